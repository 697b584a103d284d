/* One JSON Web Token (RFC 7519, RFC 8725), from text to verified claims. Loop lane. */
#pragma once

#include "gateway/auth.h"
#include "gateway/key_set.h"

struct jwt_rules {
    const struct key_set *keys; /* NULL: none yet */
    const char *issuer, *audience;
};

/* 0 with caller and expiry; or with the refusal -ENOKEY, if the token is of a key that is not there, or -EACCES. */
int jwt_verify(const struct jwt_rules *rules, const char *text, size_t len, int64_t now_s, struct caller *ret_caller,
               int64_t *ret_expires_s, struct refusal *ret_refusal);
