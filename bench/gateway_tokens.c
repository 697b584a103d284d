/* Tokens as the sign-in would give them out. */
#include "bench/gateway_bench.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static size_t base64url(const void *data, size_t len, char *ret_text)
{
    size_t n = (size_t)EVP_EncodeBlock((unsigned char *)ret_text, data, (int)len);
    while (n && ret_text[n - 1] == '=')
        n--;
    for (size_t i = 0; i < n; i++)
        ret_text[i] = ret_text[i] == '+' ? '-' : ret_text[i] == '/' ? '_' : ret_text[i];
    ret_text[n] = '\0';
    return n;
}

static void sign(EVP_PKEY *key, const char *text, size_t len, uint8_t ret_raw[64])
{
    uint8_t der[128];
    size_t der_len = sizeof(der);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    if (EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key) != 1 ||
        EVP_DigestSign(context, der, &der_len, (const uint8_t *)text, len) != 1)
        abort();
    EVP_MD_CTX_free(context);
    const uint8_t *at = der;
    ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &at, (long)der_len);
    BN_bn2binpad(ECDSA_SIG_get0_r(sig), ret_raw, 32);
    BN_bn2binpad(ECDSA_SIG_get0_s(sig), ret_raw + 32, 32);
    ECDSA_SIG_free(sig);
}

static char *make(EVP_PKEY *key, const char *kind, size_t number)
{
    static const char header[] = "{\"alg\":\"ES256\",\"typ\":\"JWT\"}";
    char claims[256], token[1024] = "Bearer ";
    uint8_t raw[64];
    int len = snprintf(claims, sizeof(claims),
                       "{\"iss\":\"ordermesh-dev\",\"aud\":\"ordermesh\",\"sub\":\"%s-%zu\",\"roles\":[\"customer\"],"
                       "\"exp\":%lld}",
                       kind, number, (long long)time(NULL) + 3600);
    size_t n = 7 + base64url(header, sizeof(header) - 1, token + 7);
    token[n++] = '.';
    n += base64url(claims, (size_t)len, token + n);
    sign(key, token + 7, n - 7, raw);
    token[n++] = '.';
    base64url(raw, 64, token + n);
    return strdup(token);
}

static char **make_all(EVP_PKEY *key, const char *kind, size_t n)
{
    char **list = calloc(n, sizeof(*list));
    for (size_t i = 0; i < n; i++)
        list[i] = make(key, kind, i);
    return list;
}

void tokens_make(struct tokens *tokens, const char *key_path, size_t n_known, size_t n_fresh)
{
    FILE *file = fopen(key_path, "r");
    EVP_PKEY *key = file ? PEM_read_PrivateKey(file, NULL, NULL, NULL) : NULL;
    if (!key) {
        fprintf(stderr, "bench/gateway: there is no key in %s\n", key_path);
        exit(EXIT_FAILURE);
    }
    fclose(file);
    *tokens = (struct tokens){ .known = make_all(key, "user", n_known),
                               .n_known = n_known,
                               .fresh = make_all(key, "guest", n_fresh),
                               .n_fresh = n_fresh,
                               .fresh_per_mille = 10 };
    EVP_PKEY_free(key);
}

void tokens_drop(struct tokens *tokens)
{
    for (size_t i = 0; i < tokens->n_known; i++)
        free(tokens->known[i]);
    for (size_t i = 0; i < tokens->n_fresh; i++)
        free(tokens->fresh[i]);
    free(tokens->known);
    free(tokens->fresh);
}
