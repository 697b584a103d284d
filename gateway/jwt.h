/* One JSON Web Token, from text to verified claims. Loop lane. */
#pragma once

#include "gateway/auth.h"

#include <openssl/evp.h>

struct jwt_key {
    EVP_PKEY *key;
    char kid[44]; /* RFC 7638-like: base64url of SHA-256 of the public key's DER */
};

struct jwt_rules {
    const struct jwt_key *keys;
    size_t n_keys;
    const char *issuer, *audience;
};

/* All keys of a PEM file on the P-256 curve; at most max. How many, or -EINVAL after one clear line. */
int jwt_keys_load(const char *path, struct jwt_key *ret_keys, size_t max);
/* 0 with caller and expiry, or -EACCES with the refusal. */
int jwt_verify(const struct jwt_rules *rules, const char *token, size_t len, int64_t now_s, struct caller *ret_caller,
               int64_t *ret_expires_s, struct refusal *ret_refusal);
