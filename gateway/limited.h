/* What a client is refused for, or cut off: counted as gateway_limited_total{limit="…"}. */
#pragma once

#include "mesh/base/metrics.h"

enum limit {
    LIMIT_CONNECTIONS,    /* of all clients together */
    LIMIT_SOURCE,         /* of one address */
    LIMIT_CALLS,          /* of one address */
    LIMIT_FILES,          /* there are no more file descriptors */
    LIMIT_HANDSHAKE,      /* TLS took too long, or the client did not show what it speaks */
    LIMIT_UNUSED,         /* no request came */
    LIMIT_HEAD,           /* headers took too long */
    LIMIT_HEAD_SIZE,      /* or were too large to be looked at */
    LIMIT_BODY,           /* the body of a unary call took too long */
    LIMIT_STALLED,        /* the client did not take what it had asked for */
    LIMIT_QUIET,          /* it did not answer a ping */
    LIMIT_TOKENS,         /* it tried too many that are not good */
    LIMIT_BUFFERED,       /* the gateway held too much already */
    LIMIT_PROTOCOL,       /* what it sent is not HTTP, or one of the floods that nghttp2 knows */
    LIMIT_RATE_SOURCE,    /* so often from one address */
    LIMIT_RATE_PRINCIPAL, /* or by one caller */
    LIMITS,
};

void limits_open(void); /* registers the metrics */
void limit_met(enum limit limit);
int64_t limit_times(enum limit limit); /* that it was met */
