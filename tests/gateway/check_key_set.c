/* Which keys are taken for verifying tokens, and that they verify what the RFCs say they do. */
#include "gateway/key_set.h"
#include "tests/gateway/keys.h"
#include "tests/suite.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <string.h>

#define ALL ((1u << JWS_ALGORITHMS) - 1)

static struct key_set *read_text(const char *text, uint32_t allowed, const char **ret_why)
{
    return key_set_read((struct bytes){ (const uint8_t *)text, strlen(text) }, allowed, ret_why);
}

static struct key_set *read_good(const char *text, size_t n)
{
    const char *why;
    struct key_set *set = read_text(text, ALL, &why);
    ck_assert_msg(set != NULL, "%s: %s", text, why);
    ck_assert_uint_eq(set->n, n);
    return set;
}

static void expect_refused(const char *text, const char *reason)
{
    const char *why = "";
    ck_assert_ptr_null(read_text(text, ALL, &why));
    ck_assert_msg(strstr(why, reason) != NULL, "%s: %s", text, why);
}

/* --- what the RFCs have --- */

static const struct {
    const char *jwk;
    enum jws_algorithm algorithm;
    const char *token;
} vectors[] = {
    /* RFC 7515, A.3 */
    { "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
      "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}",
      JWS_ES256,
      "eyJhbGciOiJFUzI1NiJ9"
      ".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
      ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q" },
    /* RFC 7515, A.2 */
    { "{\"kty\":\"RSA\",\"n\":\"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-"
      "4qPCJrcS2mJPMEzP1Pt"
      "0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-"
      "KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2eth"
      "FkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ\",\"e\":\"AQAB\"}",
      JWS_RS256,
      "eyJhbGciOiJSUzI1NiJ9"
      ".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
      ".cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7"
      "t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi1"
      "2jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypG"
      "lUPQGe77Rw" },
    /* RFC 8037, A.2 and A.4 */
    { "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}", JWS_EDDSA,
      "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc"
      ".hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg" },
};
#define N_VECTORS (sizeof(vectors) / sizeof(vectors[0]))

static struct key_set *set_of_vector(size_t i)
{
    char text[2048];
    snprintf(text, sizeof(text), " {\"keys\":[%s]}", vectors[i].jwk);
    return read_good(text, 1);
}

static size_t signature_of_vector(size_t i, uint8_t ret_signature[SIGNATURE_MAX + 2])
{
    const char *text = strrchr(vectors[i].token, '.') + 1;
    ssize_t n = jws_unbase64url(text, strlen(text), ret_signature, SIGNATURE_MAX + 2);
    ck_assert_int_gt(n, 0);
    return (size_t)n;
}

static size_t signed_of_vector(size_t i)
{
    return (size_t)(strrchr(vectors[i].token, '.') - vectors[i].token);
}

START_TEST(the_signatures_of_the_rfcs_are_good)
{
    for (size_t i = 0; i < N_VECTORS; i++) {
        uint8_t signature[SIGNATURE_MAX + 2];
        struct key_set *set = set_of_vector(i);
        size_t n = signature_of_vector(i, signature);
        ck_assert_int_eq(set->keys[0].algorithm, vectors[i].algorithm);
        ck_assert(jws_verify(&set->keys[0], vectors[i].token, signed_of_vector(i), signature, n));
        key_set_free(set);
    }
}
END_TEST

START_TEST(no_bit_of_a_signature_may_be_another_nor_its_length)
{
    for (size_t i = 0; i < N_VECTORS; i++) {
        uint8_t signature[SIGNATURE_MAX + 2];
        struct key_set *set = set_of_vector(i);
        size_t n = signature_of_vector(i, signature), text = signed_of_vector(i);
        for (size_t bit = 0; bit < 8 * n; bit++) {
            signature[bit / 8] ^= (uint8_t)(1 << bit % 8);
            ck_assert(!jws_verify(&set->keys[0], vectors[i].token, text, signature, n));
            signature[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        for (size_t len = 0; len < n; len++)
            ck_assert(!jws_verify(&set->keys[0], vectors[i].token, text, signature, len));
        signature[n] = 0;
        ck_assert(!jws_verify(&set->keys[0], vectors[i].token, text, signature, n + 1));
        ck_assert(!jws_verify(&set->keys[0], vectors[i].token, text - 1, signature, n));
        ck_assert(jws_verify(&set->keys[0], vectors[i].token, text, signature, n));
        key_set_free(set);
    }
}
END_TEST

START_TEST(a_signature_of_zeroes_is_none) /* r = s = 0: CVE-2022-21449 */
{
    static const uint8_t zeroes[256];
    static const size_t lengths[N_VECTORS] = { 64, 256, 64 };
    for (size_t i = 0; i < N_VECTORS; i++) {
        struct key_set *set = set_of_vector(i);
        ck_assert(!jws_verify(&set->keys[0], vectors[i].token, signed_of_vector(i), zeroes, lengths[i]));
        key_set_free(set);
    }
}
END_TEST

/* --- JWK Sets --- */

#define EC_X     "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\""
#define EC_Y     "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\""
#define P256     "\"kty\":\"EC\",\"crv\":\"P-256\"," EC_X "," EC_Y
#define ED_X     "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\""
#define ED25519  "\"kty\":\"OKP\",\"crv\":\"Ed25519\"," ED_X
#define SET(jwk) "{\"keys\":[{" jwk "}]}"
#define NONE     "there is no key in it"

START_TEST(a_key_is_for_verifying_or_left_out)
{
    expect_refused(SET(P256 ",\"use\":\"enc\""), NONE);
    expect_refused(SET(P256 ",\"use\":7"), NONE);
    expect_refused(SET(P256 ",\"key_ops\":[\"sign\"]"), NONE);
    expect_refused(SET(P256 ",\"key_ops\":[]"), NONE);
    expect_refused(SET(P256 ",\"key_ops\":\"verify\""), NONE);
    key_set_free(read_good(SET(P256 ",\"use\":\"sig\",\"key_ops\":[\"sign\",\"verify\"],\"x5c\":[\"?\"]"), 1));
}
END_TEST

START_TEST(the_algorithm_of_a_key_is_that_of_its_kind)
{
    expect_refused(SET(P256 ",\"alg\":\"RS256\""), NONE);
    expect_refused(SET(P256 ",\"alg\":\"HS256\""), NONE);
    expect_refused(SET(P256 ",\"alg\":\"ES384\""), NONE);
    expect_refused(SET(P256 ",\"alg\":null"), NONE);
    expect_refused(SET(ED25519 ",\"alg\":\"ES256\""), NONE);
    key_set_free(read_good(SET(P256 ",\"alg\":\"ES256\""), 1));
    key_set_free(read_good(SET(ED25519 ",\"alg\":\"EdDSA\""), 1));
}
END_TEST

START_TEST(a_secret_is_no_public_key)
{
    expect_refused(SET("\"kty\":\"oct\",\"k\":\"AyM1SysPpbyDfgZld3umj1qzKObwVMko\""), NONE);
    expect_refused(SET(P256 ",\"d\":\"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI\""), NONE);
    expect_refused(SET(ED25519 ",\"d\":\"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A\""), NONE);
}
END_TEST

START_TEST(a_key_of_another_curve_or_kind_is_left_out)
{
    expect_refused(SET("\"kty\":\"EC\",\"crv\":\"P-384\"," EC_X "," EC_Y), NONE);
    expect_refused(SET("\"kty\":\"EC\",\"crv\":\"secp256k1\"," EC_X "," EC_Y), NONE);
    expect_refused(SET("\"kty\":\"EC\"," EC_X "," EC_Y), NONE);
    expect_refused(SET("\"kty\":\"OKP\",\"crv\":\"X25519\"," ED_X), NONE);
    expect_refused(SET("\"kty\":\"OKP\",\"crv\":\"Ed448\"," ED_X), NONE);
    expect_refused(SET("\"kty\":\"AKP\",\"alg\":\"ML-DSA-44\",\"pub\":\"AAAA\""), NONE);
    expect_refused(SET("\"kty\":7"), NONE);
    expect_refused(SET(""), NONE);
}
END_TEST

START_TEST(a_key_whose_numbers_are_broken_is_left_out)
{
    expect_refused(SET("\"kty\":\"EC\",\"crv\":\"P-256\"," EC_X), NONE);
    expect_refused(
        SET("\"kty\":\"EC\",\"crv\":\"P-256\"," EC_X ",\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a\""), NONE);
    /* another y: not on the curve */
    expect_refused(
        SET("\"kty\":\"EC\",\"crv\":\"P-256\"," EC_X ",\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a4\""), NONE);
    expect_refused(SET("\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\","
                       "\"y\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\""),
                   NONE);
    expect_refused(
        SET("\"kty\":\"EC\",\"crv\":\"P-256\"," EC_X ",\"y\":\"x/FEzRu9m36HLN+tue659LNpXW6pCyStikYjKIWI5a0=\""), NONE);
    expect_refused(SET("\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHUQ\""),
                   NONE);
    expect_refused(SET("\"kty\":\"RSA\",\"n\":\"AAAA\",\"e\":\"AQAB\""), NONE);
    expect_refused(SET("\"kty\":\"RSA\",\"n\":\"\",\"e\":\"AQAB\""), NONE);
}
END_TEST

/* A set of one RSA key of so many bits with this exponent; the test frees it. */
static char *rsa_set(unsigned bits, const char *e)
{
    EVP_PKEY *key = EVP_RSA_gen(bits);
    char *jwk = keys_jwk(key, "\"kid\":\"r\""), *text = NULL;
    char *at = strstr(jwk, "\"e\":\"AQAB\"");
    ck_assert_ptr_nonnull(at);
    *at = '\0';
    ck_assert_int_gt(asprintf(&text, "{\"keys\":[%s\"e\":\"%s\"}]}", jwk, e), 0);
    EVP_PKEY_free(key);
    free(jwk);
    return text;
}

START_TEST(a_weak_rsa_key_is_left_out)
{
    static const struct {
        unsigned bits;
        const char *e;
        bool good;
    } rows[] = { { 2048, "AQAB", true },  { 2048, "Aw", true },  { 1024, "AQAB", false },
                 { 2040, "AQAB", false }, { 2048, "AQ", false }, { 2048, "BA", false } };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char *text = rsa_set(rows[i].bits, rows[i].e);
        if (rows[i].good)
            key_set_free(read_good(text, 1));
        else
            expect_refused(text, NONE);
        free(text);
    }
}
END_TEST

START_TEST(what_can_be_used_of_a_set_is_used)
{
    struct key_set *set =
        read_good("{\"keys\":[{\"kty\":\"oct\",\"kid\":\"h\"},{" P256 ",\"kid\":\"a\"},{},7,null,{" ED25519
                  ",\"kid\":\"b\"},{" P256 ",\"kid\":\"\"}],\"more\":{}}",
                  2);
    ck_assert_str_eq(set->keys[0].kid, "a");
    ck_assert_str_eq(set->keys[1].kid, "b");
    key_set_free(set);
}
END_TEST

START_TEST(a_set_that_is_in_doubt_is_refused_whole)
{
    expect_refused("{\"keys\":[{" P256 ",\"kid\":\"a\"},{" ED25519 ",\"kid\":\"a\"}]}", "the same kid");
    expect_refused("{\"keys\":[{" P256 ",\"kid\":\"a\",\"kid\":\"b\"}]}", "no JWK Set");
    expect_refused("{\"keys\":{}}", "no JWK Set");
    expect_refused("{" P256 "}", "no JWK Set");
    expect_refused("{\"keys\":[{" P256 "}]", "no JWK Set");
    expect_refused("{\"keys\":[]}", NONE);
    expect_refused("<html>", NONE);
    expect_refused("", NONE);
    char *many = NULL;
    size_t len;
    FILE *file = open_memstream(&many, &len);
    for (int i = 0; i <= KEYS_MAX; i++)
        fprintf(file, "%s{" P256 ",\"kid\":\"%d\"}", i ? "," : "{\"keys\":[", i);
    fprintf(file, "]}");
    fclose(file);
    expect_refused(many, "more than 32");
    free(many);
}
END_TEST

START_TEST(an_algorithm_that_is_not_allowed_is_left_out)
{
    const char *why;
    static const char both[] = "{\"keys\":[{" P256 "},{" ED25519 "}]}";
    struct key_set *set = read_text(both, jws_algorithms("EdDSA"), &why);
    ck_assert_uint_eq(set->n, 1);
    ck_assert_int_eq(set->keys[0].algorithm, JWS_EDDSA);
    key_set_free(set);
    ck_assert_ptr_null(read_text(both, jws_algorithms("RS256"), &why));
}
END_TEST

START_TEST(algorithms_are_named_exactly)
{
    ck_assert_uint_eq(jws_algorithms("ES256,RS256,EdDSA"), ALL);
    ck_assert_uint_eq(jws_algorithms("RS256"), 1u << JWS_RS256);
    static const char *const wrong[] = { "",       "none",        "es256",
                                         "ES256,", ",ES256",      "ES256 ",
                                         "HS256",  "ES256,PS256", "ES256ES256ES256ES256" };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        ck_assert_msg(jws_algorithms(wrong[i]) == 0, "%s", wrong[i]);
}
END_TEST

/* --- PEM --- */

static char *pem_of(EVP_PKEY *const *keys, size_t n, const char *rest)
{
    char *text = NULL;
    size_t len;
    FILE *file = open_memstream(&text, &len);
    for (size_t i = 0; i < n; i++)
        PEM_write_PUBKEY(file, keys[i]);
    fputs(rest, file);
    fclose(file);
    return text;
}

static void expect_pem_refused(EVP_PKEY *const *keys, size_t n, const char *rest, const char *reason)
{
    char *text = pem_of(keys, n, rest);
    expect_refused(text, reason);
    free(text);
}

START_TEST(keys_in_pem_are_all_good_or_none_is_taken)
{
    EVP_PKEY *keys[] = { keys_p256(),
                         EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048),
                         EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"),
                         EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)1024),
                         EVP_EC_gen("P-384"),
                         EVP_PKEY_Q_keygen(NULL, NULL, "X25519") };
    char *text = pem_of(keys, 3, "and words behind it\n");
    struct key_set *set = read_good(text, 3);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(set->keys[i].algorithm, i);
        ck_assert_str_eq(set->keys[i].kid, "");
    }
    key_set_free(set);
    const char *why;
    ck_assert_ptr_null(read_text(text, jws_algorithms("ES256,EdDSA"), &why));
    ck_assert_str_eq(why, "the algorithm of one of its keys is not allowed");
    free(text);
    expect_pem_refused(&keys[3], 1, "", "2,048");
    expect_pem_refused(&keys[4], 1, "", "P-256");
    expect_pem_refused(&keys[5], 1, "", "neither EC, RSA nor Ed25519");
    expect_pem_refused(keys, 4, "", "2,048");
    expect_pem_refused(keys, 1, "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "not a public key");
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        EVP_PKEY_free(keys[i]);
}
END_TEST

SUITE("key_set", 60, the_signatures_of_the_rfcs_are_good, no_bit_of_a_signature_may_be_another_nor_its_length,
      a_signature_of_zeroes_is_none, a_key_is_for_verifying_or_left_out, the_algorithm_of_a_key_is_that_of_its_kind,
      a_secret_is_no_public_key, a_key_of_another_curve_or_kind_is_left_out, a_key_whose_numbers_are_broken_is_left_out,
      a_weak_rsa_key_is_left_out, what_can_be_used_of_a_set_is_used, a_set_that_is_in_doubt_is_refused_whole,
      an_algorithm_that_is_not_allowed_is_left_out, algorithms_are_named_exactly,
      keys_in_pem_are_all_good_or_none_is_taken)
