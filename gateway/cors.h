/* Pages of other origins that may call from a browser (https://fetch.spec.whatwg.org/#http-cors-protocol): those that
 * the operator names, and nobody without that. Callers prove themselves by a token that the page has to know, never by
 * what a browser sends on its own, so credentials mode is not allowed to anybody. */
#pragma once

#include "gateway/dialect.h"

#define CORS_FIELDS  3
#define CORS_EXPOSED 2048

/* On the heap: the origin if it is one of the list's ("https://a,https://b"), "*" if the list is that; NULL: none. */
char *cors_origin(const char *list, nghttp2_vec origin);
/* Answers OPTIONS; false: the exchange is none. */
bool cors_preflight(struct exchange *x);
/* What a reply with these headers says to the browser; exposed is for their names. How many. */
size_t cors_fields(const char *origin, const nghttp2_nv *nva, size_t n, char exposed[CORS_EXPOSED],
                   nghttp2_nv ret_nva[CORS_FIELDS]);
