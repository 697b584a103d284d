/* The public keys that tokens are verified with, read from text: a JWK Set (RFC 7517) or PEM. Loop lane. */
#pragma once

#include "gateway/jws.h"
#include "mesh/base/arena.h"

#include <jansson.h>

#define KEYS_MAX 32

struct key_set {
    size_t n; /* at least one */
    struct jws_key keys[KEYS_MAX];
};

/* What begins with { is a JWK Set, whose keys that are not for us are left out, as RFC 7517, 5 wants it, and said:
 * those of kinds that are unknown, not allowed, too weak or not for verifying. PEM is public keys, all of which must be
 * good. allowed: jws_algorithms. NULL and why, if no key is left, if there are too many, or if two have the same kid.
 */
struct key_set *key_set_read(struct bytes text, uint32_t allowed, const char **ret_why);
void key_set_free(struct key_set *set); /* NULL is harmless */

/* jwk.c: one key of a JWK Set. 0, or -EINVAL and why it cannot be used. */
int jwk_read(const json_t *jwk, struct jws_key *ret_key, const char **ret_why);
