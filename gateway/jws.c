/* One row an algorithm: its name, what a key of it is, how long its signature is and how OpenSSL wants it. */
#include "gateway/jws.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <string.h>

#define RSA_BITS_MIN 2048 /* RFC 7518, 3.3 */
#define RSA_BITS_MAX (8 * SIGNATURE_MAX)
#define ES256_BYTES  64

/* --- keys --- */

static const char *p256_misfit(EVP_PKEY *key)
{
    char group[32];
    bool p256 = EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof(group), NULL) == 1 &&
                strcmp(group, "prime256v1") == 0;
    return p256 ? NULL : "it is not on the curve P-256";
}

static const char *rsa_misfit(EVP_PKEY *key)
{
    int bits = EVP_PKEY_get_bits(key);
    return bits >= RSA_BITS_MIN && bits <= RSA_BITS_MAX ? NULL : "an RSA key has 2,048 to 8,192 bits";
}

static const char *no_misfit(EVP_PKEY *key)
{
    return NULL;
}

static const struct {
    const char *name;
    const char *type;                     /* of key, as OpenSSL names it */
    const char *(*misfit)(EVP_PKEY *key); /* why it is none, or NULL */
    const char *digest;
} algorithms[JWS_ALGORITHMS] = {
    [JWS_ES256] = { "ES256", "EC", p256_misfit, "SHA256" },
    [JWS_RS256] = { "RS256", "RSA", rsa_misfit, "SHA256" },
    [JWS_EDDSA] = { "EdDSA", "ED25519", no_misfit, NULL },
};

int jws_algorithm(const char *name)
{
    for (int i = 0; name && i < JWS_ALGORITHMS; i++)
        if (strcmp(algorithms[i].name, name) == 0)
            return i;
    return -EINVAL;
}

const char *jws_algorithm_name(enum jws_algorithm algorithm)
{
    return algorithms[algorithm].name;
}

uint32_t jws_algorithms(const char *names)
{
    uint32_t bits = 0;
    while (true) {
        char name[16] = "";
        size_t len = strcspn(names, ",");
        if (len < sizeof(name))
            memcpy(name, names, len);
        int algorithm = jws_algorithm(name);
        if (algorithm < 0)
            return 0;
        bits |= 1u << algorithm;
        if (!names[len])
            return bits;
        names += len + 1;
    }
}

/* That a point lies on its curve, and that a modulus can be one. */
static bool is_whole(EVP_PKEY *key)
{
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(key, NULL);
    bool whole = context && EVP_PKEY_public_check(context) == 1;
    EVP_PKEY_CTX_free(context);
    ERR_clear_error();
    return whole;
}

int jws_key_init(struct jws_key *ret_key, EVP_PKEY *key, const char **ret_why)
{
    const char *why = "it is neither EC, RSA nor Ed25519";
    for (int i = 0; i < JWS_ALGORITHMS; i++) {
        if (EVP_PKEY_is_a(key, algorithms[i].type) != 1)
            continue;
        why = algorithms[i].misfit(key);
        if (!why && !is_whole(key))
            why = "its numbers are not those of a public key";
        if (why)
            break;
        *ret_key = (struct jws_key){ .key = key, .algorithm = (enum jws_algorithm)i };
        return 0;
    }
    EVP_PKEY_free(key);
    *ret_why = why;
    return -EINVAL;
}

/* --- signatures --- */

/* r and s, 32 bytes each, as the ASN.1 that OpenSSL verifies; 0 if there is no memory. */
static size_t to_der(const uint8_t raw[ES256_BYTES], uint8_t *ret_der)
{
    ECDSA_SIG *sig = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(raw, 32, NULL), *s = BN_bin2bn(raw + 32, 32, NULL);
    if (!sig || !r || !s || ECDSA_SIG_set0(sig, r, s) != 1) {
        BN_free(r);
        BN_free(s);
        ECDSA_SIG_free(sig);
        return 0;
    }
    int len = i2d_ECDSA_SIG(sig, &ret_der);
    ECDSA_SIG_free(sig);
    return len > 0 ? (size_t)len : 0;
}

bool jws_verify(const struct jws_key *key, const void *text, size_t len, const uint8_t *signature, size_t signature_len)
{
    uint8_t der[ES256_BYTES + 16];
    if (key->algorithm == JWS_ES256) {
        if (signature_len != ES256_BYTES)
            return false;
        signature_len = to_der(signature, der);
        signature = der;
    }
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool good =
        context && signature_len &&
        EVP_DigestVerifyInit_ex(context, NULL, algorithms[key->algorithm].digest, NULL, NULL, key->key, NULL) == 1 &&
        EVP_DigestVerify(context, signature, signature_len, text, len) == 1;
    EVP_MD_CTX_free(context);
    ERR_clear_error();
    return good;
}

/* --- base64url --- */

static int digit(uint8_t c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '-' ? 62 : c == '_' ? 63 : -1;
}

ssize_t jws_unbase64url(const char *text, size_t len, uint8_t *ret_data, size_t room)
{
    if (len % 4 == 1 || len / 4 * 3 + 2 > room)
        return -EINVAL;
    uint32_t held = 0;
    int bits = 0;
    ssize_t n = 0;
    for (size_t i = 0; i < len; i++) {
        int d = digit((uint8_t)text[i]);
        if (d < 0)
            return -EINVAL;
        held = held << 6 | (uint32_t)d;
        bits += 6;
        if (bits >= 8)
            ret_data[n++] = (uint8_t)(held >> (bits -= 8));
    }
    return held & ((1u << bits) - 1) ? -EINVAL : n;
}
