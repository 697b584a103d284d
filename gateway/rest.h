/* JSON over plain HTTP: what google.api.http says of a method (gateway/rest_route.h). The body of a POST is the request
 * as JSON, a GET has its fields in the query: "page_size=10", nested ones by dots, repeated ones several times; both
 * styles of names are read. A field that the path says is not said again elsewhere with another value. The header
 * idempotency-key is the request_id of a request that has none.
 *
 * An error is {"error": {"code": the HTTP status, "message", "status": "NOT_FOUND", "details": […]}}, as Google's APIs
 * say it; the HTTP statuses are those of google.rpc.Code, but for what HTTP knows better (404, 405, 413, 415). */
#pragma once

#include "gateway/dialect.h"

extern const struct dialect rest;

/* Whether the path is one of plain HTTP's: below /v1/. */
bool rest_is_path(const struct exchange *x);
