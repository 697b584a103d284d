/* Tests of tokens, verified with OpenSSL itself, and of the table of events. */
#include "omsctl/event_types.h"
#include "omsctl/token.h"

#include "tests/suite.h"

#include "oms/event/v1/event.pb-c.h"

#include <errno.h>
#include <jansson.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char key_path[] = "/tmp/check_token_XXXXXX";

static EVP_PKEY *make_key(const char *curve)
{
    EVP_PKEY *key = EVP_EC_gen(curve);
    ck_assert_ptr_nonnull(key);
    int fd = mkstemp(key_path);
    FILE *file = fdopen(fd, "w");
    PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL);
    fclose(file);
    return key;
}

/* base64url without padding; the caller frees nothing. */
static size_t decode(const char *text, size_t len, uint8_t *ret_data)
{
    char padded[4096];
    size_t n = 0;
    for (; n < len; n++)
        padded[n] = text[n] == '-' ? '+' : text[n] == '_' ? '/' : text[n];
    size_t pad = (4 - n % 4) % 4;
    memset(padded + n, '=', pad);
    int out = EVP_DecodeBlock(ret_data, (unsigned char *)padded, (int)(n + pad));
    ck_assert_int_ge(out, 0);
    return (size_t)out - pad;
}

static bool verifies(EVP_PKEY *key, const char *token, const char *last_dot)
{
    uint8_t raw[128], der[128], *at = der;
    ck_assert_uint_eq(decode(last_dot + 1, strlen(last_dot + 1), raw), 64);
    ECDSA_SIG *sig = ECDSA_SIG_new();
    ECDSA_SIG_set0(sig, BN_bin2bn(raw, 32, NULL), BN_bin2bn(raw + 32, 32, NULL));
    int len = i2d_ECDSA_SIG(sig, &at);
    ECDSA_SIG_free(sig);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, key);
    int r = EVP_DigestVerify(ctx, der, (size_t)len, (const uint8_t *)token, (size_t)(last_dot - token));
    EVP_MD_CTX_free(ctx);
    return r == 1;
}

static const struct token_claims claims = {
    .issuer = "ordermesh-dev",
    .audience = "ordermesh",
    .subject = "ada",
    .roles = (const char *const[]){ "customer", "csr" },
    .n_roles = 2,
    .issued_s = 1700000000,
    .expires_s = 1700003600,
};

/* Many signatures: numbers with leading zeros must keep their 32 bytes. */
START_TEST(a_token_is_verified_by_its_public_key)
{
    EVP_PKEY *key = make_key("P-256");
    for (int i = 0; i < 300; i++) {
        char *token;
        ck_assert_int_eq(token_sign(key_path, &claims, &token), 0);
        ck_assert(verifies(key, token, strrchr(token, '.')));
        free(token);
    }
    unlink(key_path);
    EVP_PKEY_free(key);
}
END_TEST

START_TEST(a_token_says_who_and_until_when)
{
    EVP_PKEY *key = make_key("P-256");
    char *token;
    uint8_t text[4096];
    ck_assert_int_eq(token_sign(key_path, &claims, &token), 0);
    char *body = strchr(token, '.') + 1;
    size_t n = decode(body, strcspn(body, "."), text);
    json_t *json = json_loadb((char *)text, n, 0, NULL);
    ck_assert_str_eq(json_string_value(json_object_get(json, "sub")), "ada");
    ck_assert_str_eq(json_string_value(json_object_get(json, "iss")), "ordermesh-dev");
    ck_assert_str_eq(json_string_value(json_object_get(json, "aud")), "ordermesh");
    ck_assert_str_eq(json_string_value(json_array_get(json_object_get(json, "roles"), 1)), "csr");
    ck_assert_int_eq(json_integer_value(json_object_get(json, "exp")), 1700003600);
    json_decref(json);
    free(token);
    unlink(key_path);
    EVP_PKEY_free(key);
}
END_TEST

START_TEST(a_key_of_another_kind_is_refused)
{
    EVP_PKEY *key = make_key("P-384");
    char *token;
    ck_assert_int_eq(token_sign(key_path, &claims, &token), -EINVAL);
    ck_assert_int_eq(token_sign("/nowhere/token.key", &claims, &token), -ENOENT);
    unlink(key_path);
    EVP_PKEY_free(key);
}
END_TEST

START_TEST(every_event_has_a_payload)
{
    const ProtobufCEnumDescriptor *types = &oms__event__v1__event_type__descriptor;
    for (unsigned i = 0; i < types->n_values; i++)
        if (types->values[i].value != OMS__EVENT__V1__EVENT_TYPE__EVENT_TYPE_UNSPECIFIED)
            ck_assert_msg(event_payload(types->values[i].value) != NULL, "%s", types->values[i].name);
    ck_assert_ptr_null(event_payload(99999));
    ck_assert_str_eq(event_name(99999), "?");
}
END_TEST

SUITE("omsctl tokens", 30, a_token_is_verified_by_its_public_key, a_token_says_who_and_until_when,
      a_key_of_another_kind_is_refused, every_event_has_a_payload)
