/* Tokens (JWT, RFC 7519) signed with ES256 by a key on disk: for development and tests. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct token_claims {
    const char *issuer, *audience, *subject;
    const char *const *roles; /* "customer", "erp" … */
    size_t n_roles;
    int64_t issued_s, expires_s; /* seconds since 1970 */
};

/* On the heap. 0; -ENOENT and the like: the key's file; -EINVAL: it holds no P-256 private key. */
int token_sign(const char *key_file, const struct token_claims *claims, char **ret_token);
