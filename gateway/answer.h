/* An answer that is the gateway's own: a gRPC status with ErrorInfo (AIP-193, domain "ordermesh"). */
#pragma once

#include "gateway/h2.h"
#include "mesh/rpc/rpc.h"

#define ANSWER_FIELDS 5

struct answer {
    enum rpc_code code;
    const char *reason;  /* UPPER_SNAKE_CASE; NULL: no ErrorInfo */
    const char *message; /* for people */
    int64_t retry_us;    /* RetryInfo; 0: none */
    const char *subject; /* the field of BadRequest, the subject of PreconditionFailure; NULL: none */
};

/* :status (if it is not to be trailers), content-type and the three of gRPC, encoded into a block on the heap that the
 * fields point into and that must stay until they are sent. How many, 0: no memory. */
size_t answer_fields(const struct answer *answer, bool trailers, nghttp2_nv ret_nva[ANSWER_FIELDS], char **ret_block);
/* The same with details as another process packed them. */
size_t answer_of_status(const struct rpc_status *status, bool trailers, nghttp2_nv ret_nva[ANSWER_FIELDS],
                        char **ret_block);
/* What fields like these say, which another process may have made: malformed details are none. In the arena. */
struct rpc_status answer_parse(struct arena *arena, enum rpc_code code, const nghttp2_nv *nva, size_t n);
struct rpc_status answer_status(struct arena *arena, const struct answer *answer);
/* Without its %XX; what is no such thing stays. Room for n. How many that are. */
size_t answer_unpercent(const char *text, size_t n, char *ret_text);
