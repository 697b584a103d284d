/* Whether a call may be made at all: protocol, token, role. */
#pragma once

#include "gateway/exchange.h"

/* Finds the route and the caller of an exchange whose headers are complete. 0, or -EACCES with the answer. */
int access_check(struct exchange *x, struct answer *ret_answer);
#define ACCESS_NO_TIMEOUT INT64_MAX
/* grpc-timeout in microseconds; -EINVAL if it is none. */
int64_t access_timeout(const char *text, size_t len);
/* That of an exchange; ACCESS_NO_TIMEOUT if it has none. */
int64_t access_grpc_timeout(const struct exchange *x);
