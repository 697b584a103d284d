/* Signatures of tokens (RFC 7515): the algorithms that are taken, the keys that belong to them, and base64url.
 *
 * The algorithm belongs to the key, never to the token (RFC 8725, 3.1): what a token says of it can only be wrong. Loop
 * lane. */
#pragma once

#include <openssl/evp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define KID_MAX       128
#define SIGNATURE_MAX 1024 /* bytes: of an RSA key of 8,192 bits */

enum jws_algorithm {
    JWS_ES256, /* ECDSA on P-256 with SHA-256: RFC 7518, 3.4 */
    JWS_RS256, /* RSA, PKCS #1 v1.5 with SHA-256: RFC 7518, 3.3 */
    JWS_EDDSA, /* Ed25519: RFC 8037, 3.1 */
    JWS_ALGORITHMS,
};

struct jws_key {
    EVP_PKEY *key;
    enum jws_algorithm algorithm;
    char kid[KID_MAX]; /* "": it has none */
};

/* The enum, or -EINVAL: no name of an algorithm that is taken. NULL is none. */
int jws_algorithm(const char *name);
const char *jws_algorithm_name(enum jws_algorithm algorithm);
/* "ES256,EdDSA" as bits 1 << JWS_…; 0: one of the names is none. */
uint32_t jws_algorithms(const char *names);
/* A public key, taken over, that can be one of these: P-256, RSA of 2,048 to 8,192 bits, Ed25519, each whole in itself.
 * 0, or -EINVAL, the key freed, and why. */
int jws_key_init(struct jws_key *ret_key, EVP_PKEY *key, const char **ret_why);
bool jws_verify(const struct jws_key *key, const void *text, size_t len, const uint8_t *signature,
                size_t signature_len);
/* Without padding, the unused bits zero. The length, or -EINVAL; room may have to be 2 bytes more than that. */
ssize_t jws_unbase64url(const char *text, size_t len, uint8_t *ret_data, size_t room);
