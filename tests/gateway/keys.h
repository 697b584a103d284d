/* Keys, certificates and tokens made while a test runs, in a directory of its own. */
#pragma once

#include <openssl/evp.h>
#include <stdint.h>

struct keys {
    char dir[64];
    EVP_PKEY *ca_key, *jwt_key;
    void *ca; /* X509 */
    char ca_path[128], jwt_path[128];
};

void keys_make(struct keys *keys);
void keys_drop(struct keys *keys); /* and the directory */
/* Writes NAME.pem and NAME-key.pem: DNS SAN name and URI SAN spiffe://ordermesh/NAME, signed by the CA. */
void keys_certificate(struct keys *keys, const char *name, char ret_cert[128], char ret_key[128]);
/* With other names: "DNS:a,URI:b". */
void keys_certificate_for(struct keys *keys, const char *name, const char *san, char ret_cert[128], char ret_key[128]);
EVP_PKEY *keys_p256(void);
void keys_write_public(const char *path, EVP_PKEY *const *list, size_t n);
/* The public key as a JWK, on the heap. labels begin it: "\"kid\":\"a\"". */
char *keys_jwk(EVP_PKEY *key, const char *labels);
/* base64url(header).base64url(claims).base64url(signature), on the heap. The key is of P-256, RSA or Ed25519. */
char *keys_sign(EVP_PKEY *key, const char *header, const char *claims);
/* "Bearer …" of a good token, on the heap. roles as JSON: "\"customer\"". */
char *keys_bearer(struct keys *keys, const char *subject, const char *roles, int64_t expires_s);
