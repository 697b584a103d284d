/* Header fields in the buffers that nghttp2 gives out (nghttp2_rcbuf), for requests that did not come over HTTP/2: an
 * exchange keeps those and nothing else. nghttp2 makes them only of what it receives, so that a client's session is
 * held against a server's, both in memory. Whatever goes through it has been checked as every head over HTTP/2 is:
 * names, values, the pseudo-headers, and what must not be said twice. Loop lane. */
#pragma once

#include "gateway/h2.h"

/* Names in lower case, pseudo-headers first, nothing that belongs to a connection, no content-length. field gets the
 * buffers in the same order, and increments the reference counts of those that it keeps. 0; -EPROTO: they are no head
 * of a request, and field has had some of them; -ENOMEM. */
int mint_head(const nghttp2_nv *nva, size_t n, void (*field)(void *arg, nghttp2_rcbuf *name, nghttp2_rcbuf *value),
              void *arg);
/* Gives back what is kept; buffers in use stay valid. */
void mint_trim(void);
