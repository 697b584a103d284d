/* One JSON Web Key (RFC 7517; RFC 7518, 6; RFC 8037, 2) as a public key of OpenSSL. */
#include "gateway/key_set.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <string.h>

#define COORDINATE 32
#define EXPONENT   8 /* bytes at most */

static const char *text_of(const json_t *jwk, const char *name)
{
    return json_string_value(json_object_get(jwk, name));
}

/* A number of the key in base64url: how many bytes, 0 if it is none. */
static size_t number_of(const json_t *jwk, const char *name, uint8_t *ret_bytes, size_t max)
{
    const char *text = text_of(jwk, name);
    ssize_t n = text ? jws_unbase64url(text, strlen(text), ret_bytes, max + 2) : 0;
    return n > 0 && (size_t)n <= max ? (size_t)n : 0;
}

static EVP_PKEY *make(const char *type, OSSL_PARAM *params)
{
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    if (!context || EVP_PKEY_fromdata_init(context) != 1 ||
        EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
        key = NULL;
    EVP_PKEY_CTX_free(context);
    ERR_clear_error();
    return key;
}

static EVP_PKEY *read_ec(const json_t *jwk)
{
    uint8_t x[COORDINATE + 2], y[COORDINATE + 2], point[1 + 2 * COORDINATE] = { POINT_CONVERSION_UNCOMPRESSED };
    const char *curve = text_of(jwk, "crv");
    if (!curve || strcmp(curve, "P-256") != 0 || number_of(jwk, "x", x, COORDINATE) != COORDINATE ||
        number_of(jwk, "y", y, COORDINATE) != COORDINATE)
        return NULL;
    memcpy(point + 1, x, COORDINATE);
    memcpy(point + 1 + COORDINATE, y, COORDINATE);
    return make("EC", (OSSL_PARAM[]){ OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0),
                                      OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point)),
                                      OSSL_PARAM_construct_end() });
}

static EVP_PKEY *read_rsa(const json_t *jwk)
{
    uint8_t n[SIGNATURE_MAX + 2], e[EXPONENT + 2];
    size_t n_len = number_of(jwk, "n", n, SIGNATURE_MAX), e_len = number_of(jwk, "e", e, EXPONENT);
    if (!n_len || !e_len)
        return NULL;
    BIGNUM *modulus = BN_bin2bn(n, (int)n_len, NULL), *exponent = BN_bin2bn(e, (int)e_len, NULL);
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    OSSL_PARAM *params = NULL;
    if (modulus && exponent && build && OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, modulus) == 1 &&
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, exponent) == 1)
        params = OSSL_PARAM_BLD_to_param(build);
    EVP_PKEY *key = params ? make("RSA", params) : NULL;
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(build);
    BN_free(modulus);
    BN_free(exponent);
    return key;
}

static EVP_PKEY *read_okp(const json_t *jwk)
{
    uint8_t x[COORDINATE + 2];
    const char *curve = text_of(jwk, "crv");
    if (!curve || strcmp(curve, "Ed25519") != 0 || number_of(jwk, "x", x, COORDINATE) != COORDINATE)
        return NULL;
    return EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, x, COORDINATE);
}

static const struct {
    const char *type;
    EVP_PKEY *(*read)(const json_t *jwk);
} kinds[] = { { "EC", read_ec }, { "RSA", read_rsa }, { "OKP", read_okp } };

static bool may_verify(const json_t *jwk)
{
    const json_t *use = json_object_get(jwk, "use"), *ops = json_object_get(jwk, "key_ops");
    const char *text = json_string_value(use);
    if (use && (!text || strcmp(text, "sig") != 0))
        return false;
    bool verifies = !ops;
    for (size_t i = 0; i < json_array_size(ops); i++) {
        text = json_string_value(json_array_get(ops, i));
        verifies |= text && strcmp(text, "verify") == 0;
    }
    return verifies;
}

static int refuse(const char *why, const char **ret_why)
{
    *ret_why = why;
    return -EINVAL;
}

/* What the key says of itself beside its numbers. */
static int check_labels(const json_t *jwk, struct jws_key *key, const char **ret_why)
{
    const json_t *kid = json_object_get(jwk, "kid"), *alg = json_object_get(jwk, "alg");
    const char *text = json_string_value(kid);
    if (kid && (!text || !*text || strlen(text) >= KID_MAX))
        return refuse("its kid is not a text of 1 to 127 bytes", ret_why);
    if (alg && jws_algorithm(json_string_value(alg)) != (int)key->algorithm)
        return refuse("its alg is none that is taken, or not that of its kind", ret_why);
    if (text)
        strcpy(key->kid, text);
    return 0;
}

int jwk_read(const json_t *jwk, struct jws_key *ret_key, const char **ret_why)
{
    const char *type = text_of(jwk, "kty");
    EVP_PKEY *read = NULL;
    struct jws_key key;
    if (!may_verify(jwk))
        return refuse("it is not for verifying", ret_why);
    if (json_object_get(jwk, "d") || json_object_get(jwk, "k"))
        return refuse("it is a secret, which must not be here", ret_why);
    for (size_t i = 0; type && i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (strcmp(kinds[i].type, type) == 0)
            read = kinds[i].read(jwk);
    if (!read)
        return refuse("it is no whole key of P-256, RSA or Ed25519", ret_why);
    int r = jws_key_init(&key, read, ret_why);
    if (r < 0)
        return r;
    r = check_labels(jwk, &key, ret_why);
    if (r < 0)
        EVP_PKEY_free(key.key);
    else
        *ret_key = key;
    return r;
}
