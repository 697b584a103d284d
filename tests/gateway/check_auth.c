/* Who a token says one is, and every way in which it may not say it. */
#include "gateway/auth.h"
#include "tests/gateway/keys.h"
#include "tests/suite.h"

#include <errno.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <string.h>

#define NOW 1700000000

static struct keys keys;
static struct auth *auth;

static void open_auth(size_t remember)
{
    keys_make(&keys);
    const struct auth_options options = { keys.jwt_path, "ordermesh-dev", "ordermesh", remember };
    auth = auth_create(NULL, &options);
    ck_assert_ptr_nonnull(auth);
}

static void close_auth(void)
{
    auth_destroy(auth);
    keys_drop(&keys);
}

static void expect_refusal(const char *bearer, int64_t now_s, const char *reason)
{
    struct principal *principal = NULL;
    struct refusal refusal = { 0 };
    ck_assert_int_eq(auth_check(auth, bearer, strlen(bearer), now_s, &principal, &refusal), -EACCES);
    ck_assert_str_eq(refusal.reason, reason);
    ck_assert_ptr_null(principal);
}

static void expect_caller(const char *bearer, int64_t now_s, uint32_t roles, const char *subject)
{
    struct principal *principal;
    struct refusal refusal = { 0 };
    ck_assert_int_eq(auth_check(auth, bearer, bearer ? strlen(bearer) : 0, now_s, &principal, &refusal), 0);
    ck_assert_uint_eq(principal->caller.roles, roles);
    ck_assert_str_eq(principal->caller.subject, subject);
    principal_unref(principal);
}

/* A token of this header and these claims, refused for this reason. */
static void expect_claims_refused(EVP_PKEY *key, const char *header, const char *claims, const char *reason)
{
    char bearer[2048];
    char *token = keys_sign(key, header, claims);
    snprintf(bearer, sizeof(bearer), "Bearer %s", token);
    free(token);
    expect_refusal(bearer, NOW, reason);
}

/* Taken, and of the customer ann. */
static void expect_claims_taken(EVP_PKEY *key, const char *header, const char *claims)
{
    char bearer[2048];
    char *token = keys_sign(key, header, claims);
    snprintf(bearer, sizeof(bearer), "Bearer %s", token);
    free(token);
    expect_caller(bearer, NOW, ROLE_BIT(MESH__V1__ROLE__CUSTOMER), "ann");
}

#define ES256   "{\"alg\":\"ES256\"}"
#define GOOD    "\"iss\":\"ordermesh-dev\",\"aud\":\"ordermesh\",\"sub\":\"ann\",\"roles\":[\"customer\"]"
#define IN_TIME ",\"exp\":1700000600"
#define FINE    "{" GOOD IN_TIME "}"

START_TEST(a_good_token_says_who_calls)
{
    open_auth(0);
    char *bearer = keys_bearer(&keys, "ann", "\"customer\",\"csr\"", NOW + 60);
    expect_caller(bearer, NOW, ROLE_BIT(MESH__V1__ROLE__CUSTOMER) | ROLE_BIT(MESH__V1__ROLE__CSR), "ann");
    free(bearer);
    close_auth();
}
END_TEST

START_TEST(nobody_in_particular_is_a_guest)
{
    open_auth(0);
    expect_caller(NULL, NOW, ROLE_BIT(MESH__V1__ROLE__GUEST), "");
    close_auth();
}
END_TEST

START_TEST(a_token_is_verified_once)
{
    open_auth(0);
    char *bearer = keys_bearer(&keys, "ann", "\"customer\"", NOW + 60);
    for (int i = 0; i < 5; i++)
        expect_caller(bearer, NOW, ROLE_BIT(MESH__V1__ROLE__CUSTOMER), "ann");
    ck_assert_uint_eq(auth_counts(auth).verified, 1);
    ck_assert_uint_eq(auth_counts(auth).hits, 4);
    free(bearer);
    close_auth();
}
END_TEST

START_TEST(a_remembered_token_still_expires)
{
    open_auth(0);
    char *bearer = keys_bearer(&keys, "ann", "\"customer\"", NOW + 60);
    expect_caller(bearer, NOW, ROLE_BIT(MESH__V1__ROLE__CUSTOMER), "ann");
    expect_caller(bearer, NOW + 60 + AUTH_SKEW_S, ROLE_BIT(MESH__V1__ROLE__CUSTOMER), "ann");
    expect_refusal(bearer, NOW + 61 + AUTH_SKEW_S, "TOKEN_EXPIRED");
    ck_assert_uint_eq(auth_counts(auth).remembered, 0);
    free(bearer);
    close_auth();
}
END_TEST

START_TEST(what_is_remembered_is_bounded_and_the_oldest_goes)
{
    open_auth(8);
    char *bearers[10];
    for (int i = 0; i < 10; i++) {
        char subject[16];
        snprintf(subject, sizeof(subject), "user-%d", i);
        bearers[i] = keys_bearer(&keys, subject, "\"customer\"", NOW + 60);
        expect_caller(bearers[i], NOW, ROLE_BIT(MESH__V1__ROLE__CUSTOMER), subject);
        expect_caller(bearers[0], NOW, ROLE_BIT(MESH__V1__ROLE__CUSTOMER), "user-0");
    }
    ck_assert_uint_eq(auth_counts(auth).remembered, 8);
    ck_assert_uint_eq(auth_counts(auth).verified, 10);
    expect_caller(bearers[1], NOW, ROLE_BIT(MESH__V1__ROLE__CUSTOMER), "user-1");
    ck_assert_uint_eq(auth_counts(auth).verified, 11);
    for (int i = 0; i < 10; i++)
        free(bearers[i]);
    close_auth();
}
END_TEST

START_TEST(hundreds_of_callers_are_told_apart)
{
    open_auth(0);
    for (int i = 0; i < 300; i++) {
        char subject[16];
        snprintf(subject, sizeof(subject), "user-%d", i);
        char *bearer = keys_bearer(&keys, subject, "\"customer\"", NOW + 60);
        expect_caller(bearer, NOW, ROLE_BIT(MESH__V1__ROLE__CUSTOMER), subject);
        expect_caller(bearer, NOW, ROLE_BIT(MESH__V1__ROLE__CUSTOMER), subject);
        free(bearer);
    }
    ck_assert_uint_eq(auth_counts(auth).verified, 300);
    ck_assert_uint_eq(auth_counts(auth).hits, 300);
    close_auth();
}
END_TEST

START_TEST(no_algorithm_but_those_of_public_keys_is_taken)
{
    open_auth(0);
    static const char *const headers[] = {
        "{\"alg\":\"none\"}",
        "{\"alg\":\"HS256\"}",
        "{\"alg\":\"es256\"}",
        "{\"alg\":[\"ES256\"]}",
        "{\"alg\":\"none\",\"alg\":\"ES256\"}",
        "{\"alg\":\"ES256\",\"crit\":[\"b64\"],\"b64\":false}",
        "{\"alg\":\"ES256\",\"cty\":\"JWT\"}",
        "{\"alg\":\"ES256\",\"kid\":7}",
        "{}",
    };
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++)
        expect_claims_refused(keys.jwt_key, headers[i], FINE, "TOKEN_MALFORMED");
    close_auth();
}
END_TEST

/* RFC 8725, 3.11: what another protocol signed is no token for us. */
START_TEST(a_token_of_another_type_is_refused)
{
    open_auth(0);
    static const char *const types[] = { "\"dpop+jwt\"", "\"logout+jwt\"", "\"secevent+jwt\"", "\"JWS\"", "7", "\"\"",
                                         "null" };
    char header[128];
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        snprintf(header, sizeof(header), "{\"alg\":\"ES256\",\"typ\":%s}", types[i]);
        expect_claims_refused(keys.jwt_key, header, FINE, "TOKEN_MALFORMED");
    }
    expect_claims_taken(keys.jwt_key, "{\"alg\":\"ES256\",\"typ\":\"jwt\"}", FINE);
    expect_claims_taken(keys.jwt_key, "{\"alg\":\"ES256\",\"typ\":\"at+jwt\"}", FINE);
    expect_claims_taken(keys.jwt_key, "{\"alg\":\"ES256\",\"typ\":\"application/at+JWT\"}", FINE);
    close_auth();
}
END_TEST

/* RFC 8725, 3.10: nothing in it leads anywhere. */
START_TEST(a_key_that_the_token_brings_is_not_looked_at)
{
    open_auth(0);
    EVP_PKEY *other = keys_p256();
    char *jwk = keys_jwk(other, "\"use\":\"sig\""), header[1024];
    snprintf(header, sizeof(header),
             "{\"alg\":\"ES256\",\"jwk\":%s,\"jku\":\"http://127.0.0.1:1/\",\"x5u\":\"file:///\"}", jwk);
    expect_claims_refused(other, header, FINE, "TOKEN_SIGNATURE");
    free(jwk);
    EVP_PKEY_free(other);
    close_auth();
}
END_TEST

/* --- keys of several kinds --- */

enum { KIND_EC, KIND_RSA, KIND_ED };
static EVP_PKEY *kinds[3];
static const char *const kind_headers[3] = { "{\"alg\":\"ES256\",\"kid\":\"0\"}", "{\"alg\":\"RS256\",\"kid\":\"1\"}",
                                             "{\"alg\":\"EdDSA\",\"kid\":\"2\"}" };

/* A JWK Set of one key of each kind, kids "0", "1", "2". */
static void open_kinds(const char *algorithms)
{
    keys_make(&keys);
    kinds[KIND_EC] = keys_p256();
    kinds[KIND_RSA] = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048);
    kinds[KIND_ED] = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    FILE *file = fopen(keys.jwt_path, "w");
    for (int i = 0; i < 3; i++) {
        char labels[32];
        snprintf(labels, sizeof(labels), "\"kid\":\"%d\"", i);
        char *jwk = keys_jwk(kinds[i], labels);
        fprintf(file, "%s%s", i ? "," : "{\"keys\":[", jwk);
        free(jwk);
    }
    fputs("]}", file);
    fclose(file);
    const struct auth_options options = { keys.jwt_path, "ordermesh-dev", "shop,ordermesh", 0, algorithms };
    auth = auth_create(NULL, &options);
    ck_assert_ptr_nonnull(auth);
}

static void close_kinds(void)
{
    for (int i = 0; i < 3; i++)
        EVP_PKEY_free(kinds[i]);
    close_auth();
}

START_TEST(tokens_are_signed_with_es256_rs256_or_eddsa)
{
    open_kinds(NULL);
    for (int i = 0; i < 3; i++)
        expect_claims_taken(kinds[i], kind_headers[i], FINE);
    expect_claims_taken(kinds[KIND_RSA], "{\"alg\":\"RS256\"}", FINE);
    close_kinds();
}
END_TEST

START_TEST(the_algorithm_is_the_keys_whatever_the_token_says)
{
    open_kinds(NULL);
    static const char *const names[] = { "ES256", "RS256", "EdDSA" };
    char header[64];
    for (int key = 0; key < 3; key++)
        for (int named = 0; named < 3; named++)
            for (int said = 0; said < 3; said++) {
                snprintf(header, sizeof(header), "{\"alg\":\"%s\",\"kid\":\"%d\"}", names[said], named);
                if (key == named && named == said)
                    expect_claims_taken(kinds[key], header, FINE);
                else
                    expect_claims_refused(kinds[key], header, FINE, "TOKEN_SIGNATURE");
            }
    close_kinds();
}
END_TEST

/* HMAC with the public key as the secret: the classic. */
START_TEST(a_public_key_is_no_secret_to_sign_with)
{
    open_kinds(NULL);
    uint8_t *pem, mac[32];
    char text[1024], signature[64], bearer[2048];
    BIO *bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PUBKEY(bio, kinds[KIND_RSA]);
    long len = BIO_get_mem_data(bio, &pem);
    static const char *const headers[] = { "{\"alg\":\"HS256\",\"kid\":\"1\"}", "{\"alg\":\"RS256\",\"kid\":\"1\"}" };
    static const char *const reasons[] = { "TOKEN_MALFORMED", "TOKEN_SIGNATURE" };
    for (int i = 0; i < 2; i++) {
        char *token = keys_sign(kinds[KIND_EC], headers[i], FINE);
        *strrchr(token, '.') = '\0';
        snprintf(text, sizeof(text), "%s", token);
        free(token);
        HMAC(EVP_sha256(), pem, (int)len, (uint8_t *)text, strlen(text), mac, NULL);
        EVP_EncodeBlock((uint8_t *)signature, mac, 32);
        for (char *c = signature; *c; c++)
            *c = *c == '+' ? '-' : *c == '/' ? '_' : *c == '=' ? '\0' : *c;
        snprintf(bearer, sizeof(bearer), "Bearer %s.%s", text, signature);
        expect_refusal(bearer, NOW, reasons[i]);
    }
    BIO_free(bio);
    close_kinds();
}
END_TEST

START_TEST(a_kid_that_is_not_there_is_a_key_that_is_not_known)
{
    open_kinds(NULL);
    expect_claims_refused(kinds[KIND_EC], "{\"alg\":\"ES256\",\"kid\":\"3\"}", FINE, "TOKEN_KEY_UNKNOWN");
    expect_claims_refused(kinds[KIND_EC], "{\"alg\":\"ES256\",\"kid\":\"../0\"}", FINE, "TOKEN_KEY_UNKNOWN");
    expect_claims_refused(kinds[KIND_EC], "{\"alg\":\"ES256\",\"kid\":\"\"}", FINE, "TOKEN_KEY_UNKNOWN");
    close_kinds();
}
END_TEST

START_TEST(an_algorithm_that_the_operator_does_not_allow_is_refused)
{
    open_kinds("EdDSA");
    expect_claims_refused(kinds[KIND_EC], kind_headers[KIND_EC], FINE, "TOKEN_KEY_UNKNOWN");
    expect_claims_refused(kinds[KIND_RSA], kind_headers[KIND_RSA], FINE, "TOKEN_KEY_UNKNOWN");
    expect_claims_refused(kinds[KIND_RSA], "{\"alg\":\"RS256\"}", FINE, "TOKEN_SIGNATURE");
    expect_claims_taken(kinds[KIND_ED], kind_headers[KIND_ED], FINE);
    close_kinds();
}
END_TEST

START_TEST(a_token_may_be_for_one_of_several_audiences)
{
#define FOR(aud) "{\"iss\":\"ordermesh-dev\",\"aud\":" aud ",\"sub\":\"ann\",\"roles\":[\"customer\"]" IN_TIME "}"
    open_kinds(NULL);
    expect_claims_taken(kinds[KIND_EC], kind_headers[KIND_EC], FOR("\"shop\""));
    expect_claims_taken(kinds[KIND_EC], kind_headers[KIND_EC], FOR("[\"x\",\"ordermesh\"]"));
    static const char *const foreign[] = { FOR("\"sho\""),      FOR("\"shop,ordermesh\""), FOR("\",\""),
                                           FOR("\"\""),         FOR("\"mesh\""),           FOR("[]"),
                                           FOR("{\"shop\":1}"), FOR("[[\"shop\"]]") };
    for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++)
        expect_claims_refused(kinds[KIND_EC], kind_headers[KIND_EC], foreign[i], "TOKEN_FOREIGN");
    close_kinds();
}
END_TEST

START_TEST(a_token_without_a_signature_is_refused)
{
    open_auth(0);
    char *bearer = keys_bearer(&keys, "ann", "\"customer\"", NOW + 60);
    strrchr(bearer, '.')[1] = '\0';
    expect_refusal(bearer, NOW, "TOKEN_MALFORMED");
    *strrchr(bearer, '.') = '\0';
    expect_refusal(bearer, NOW, "TOKEN_MALFORMED");
    free(bearer);
    expect_refusal("Bearer ", NOW, "TOKEN_MALFORMED");
    expect_refusal("Bearer ..", NOW, "TOKEN_MALFORMED");
    expect_refusal("Basic YW5uOmFubg==", NOW, "TOKEN_MALFORMED");
    expect_refusal("", NOW, "TOKEN_MALFORMED");
    close_auth();
}
END_TEST

START_TEST(a_token_of_another_key_is_refused)
{
    open_auth(0);
    EVP_PKEY *other = keys_p256();
    expect_claims_refused(other, ES256, FINE, "TOKEN_SIGNATURE");
    EVP_PKEY_free(other);
    close_auth();
}
END_TEST

START_TEST(no_byte_of_a_token_may_be_changed)
{
    open_auth(0);
    char *bearer = keys_bearer(&keys, "ann", "\"customer\"", NOW + 60);
    expect_caller(bearer, NOW, ROLE_BIT(MESH__V1__ROLE__CUSTOMER), "ann");
    for (size_t i = 7; bearer[i]; i++) {
        struct principal *principal;
        struct refusal refusal;
        char was = bearer[i];
        bearer[i] = was == 'A' ? 'B' : 'A';
        ck_assert_int_eq(auth_check(auth, bearer, strlen(bearer), NOW, &principal, &refusal), -EACCES);
        bearer[i] = was;
    }
    free(bearer);
    close_auth();
}
END_TEST

START_TEST(time_is_checked_with_half_a_minute_of_grace)
{
    open_auth(0);
    expect_claims_refused(keys.jwt_key, ES256, "{" GOOD ",\"exp\":1699999969}", "TOKEN_EXPIRED");
    expect_claims_refused(keys.jwt_key, ES256, "{" GOOD IN_TIME ",\"nbf\":1700000031}", "TOKEN_EXPIRED");
    expect_claims_refused(keys.jwt_key, ES256, "{" GOOD "}", "TOKEN_MALFORMED");
    expect_claims_refused(keys.jwt_key, ES256, "{" GOOD ",\"exp\":\"1700000600\"}", "TOKEN_MALFORMED");
    expect_claims_refused(keys.jwt_key, ES256, "{" GOOD ",\"exp\":-1}", "TOKEN_MALFORMED");
    expect_claims_refused(keys.jwt_key, ES256, "{" GOOD IN_TIME ",\"nbf\":\"soon\"}", "TOKEN_MALFORMED");
    char *bearer = keys_bearer(&keys, "ann", "\"customer\"", NOW - AUTH_SKEW_S);
    expect_caller(bearer, NOW, ROLE_BIT(MESH__V1__ROLE__CUSTOMER), "ann");
    free(bearer);
    expect_claims_taken(keys.jwt_key, ES256, "{" GOOD ",\"exp\":1700000600.75,\"nbf\":1.6e9}");
    expect_claims_taken(keys.jwt_key, ES256, "{" GOOD ",\"exp\":9223372036854775807}");
    expect_claims_taken(keys.jwt_key, ES256, "{" GOOD ",\"exp\":1e300}");
    close_auth();
}
END_TEST

START_TEST(a_token_for_others_is_foreign)
{
    open_auth(0);
    expect_claims_refused(keys.jwt_key, ES256,
                          "{\"iss\":\"other\",\"aud\":\"ordermesh\",\"sub\":\"a\",\"roles\":[\"csr\"]" IN_TIME "}",
                          "TOKEN_FOREIGN");
    expect_claims_refused(keys.jwt_key, ES256,
                          "{\"iss\":\"ordermesh-dev\",\"aud\":\"shop\",\"sub\":\"a\",\"roles\":[\"csr\"]" IN_TIME "}",
                          "TOKEN_FOREIGN");
    expect_claims_refused(keys.jwt_key, ES256,
                          "{\"iss\":\"ordermesh-dev\",\"aud\":[\"shop\"],\"sub\":\"a\",\"roles\":[\"csr\"]" IN_TIME "}",
                          "TOKEN_FOREIGN");
    expect_claims_refused(keys.jwt_key, ES256, "{\"sub\":\"a\",\"roles\":[\"csr\"]" IN_TIME "}", "TOKEN_FOREIGN");
    close_auth();
}
END_TEST

static void expect_roles_refused(const char *subject, const char *roles)
{
    char claims[1024];
    snprintf(claims, sizeof(claims),
             "{\"iss\":\"ordermesh-dev\",\"aud\":[\"x\",\"ordermesh\"],\"sub\":%s,\"roles\":%s" IN_TIME "}", subject,
             roles);
    expect_claims_refused(keys.jwt_key, ES256, claims, "TOKEN_MALFORMED");
}

START_TEST(a_token_cannot_make_a_service_or_a_guest)
{
    open_auth(0);
    expect_roles_refused("\"ann\"", "[\"service\"]");
    expect_roles_refused("\"ann\"", "[\"customer\",\"service\"]");
    expect_roles_refused("\"ann\"", "[\"guest\"]");
    expect_roles_refused("\"ann\"", "[\"CUSTOMER\"]");
    expect_roles_refused("\"ann\"", "[]");
    expect_roles_refused("\"ann\"", "\"customer\"");
    expect_roles_refused("\"ann\"", "[7]");
    close_auth();
}
END_TEST

START_TEST(a_subject_is_short_and_visible)
{
    open_auth(0);
    char subject[160] = "\"";
    memset(subject + 1, 'a', 128);
    strcpy(subject + 129, "\"");
    expect_roles_refused(subject, "[\"customer\"]");
    expect_roles_refused("\"\"", "[\"customer\"]");
    expect_roles_refused("7", "[\"customer\"]");
    expect_roles_refused("\"a\\nb\"", "[\"customer\"]");
    expect_roles_refused("\"a\\u0000b\"", "[\"customer\"]");
    expect_roles_refused("\"a b\"", "[\"customer\"]");
    expect_roles_refused("\"\\u00e4\"", "[\"customer\"]");
    close_auth();
}
END_TEST

START_TEST(keys_are_rotated_by_reading_them_again)
{
    open_auth(0);
    char *old = keys_bearer(&keys, "ann", "\"customer\"", NOW + 60);
    expect_caller(old, NOW, ROLE_BIT(MESH__V1__ROLE__CUSTOMER), "ann");
    EVP_PKEY *pair[] = { keys.jwt_key, keys_p256() };
    keys_write_public(keys.jwt_path, pair, 2);
    ck_assert_int_eq(auth_reload(auth), 0);
    EVP_PKEY *was = keys.jwt_key;
    keys.jwt_key = pair[1];
    char *fresh = keys_bearer(&keys, "bob", "\"erp\"", NOW + 60);
    expect_caller(old, NOW, ROLE_BIT(MESH__V1__ROLE__CUSTOMER), "ann");
    expect_caller(fresh, NOW, ROLE_BIT(MESH__V1__ROLE__ERP), "bob");
    keys_write_public(keys.jwt_path, &pair[1], 1);
    ck_assert_int_eq(auth_reload(auth), 0);
    expect_refusal(old, NOW, "TOKEN_SIGNATURE");
    expect_caller(fresh, NOW, ROLE_BIT(MESH__V1__ROLE__ERP), "bob");
    free(old);
    free(fresh);
    EVP_PKEY_free(was);
    close_auth();
}
END_TEST

START_TEST(keys_that_do_not_fit_leave_the_old_ones)
{
    open_auth(0);
    char *bearer = keys_bearer(&keys, "ann", "\"customer\"", NOW + 60);
    EVP_PKEY *rsa = EVP_RSA_gen(1024);
    keys_write_public(keys.jwt_path, &rsa, 1);
    ck_assert_int_eq(auth_reload(auth), -EINVAL);
    expect_caller(bearer, NOW, ROLE_BIT(MESH__V1__ROLE__CUSTOMER), "ann");
    EVP_PKEY_free(rsa);
    free(bearer);
    close_auth();
}
END_TEST

SUITE("auth", 60, a_good_token_says_who_calls, nobody_in_particular_is_a_guest, a_token_is_verified_once,
      a_remembered_token_still_expires, what_is_remembered_is_bounded_and_the_oldest_goes,
      hundreds_of_callers_are_told_apart, no_algorithm_but_those_of_public_keys_is_taken,
      a_token_of_another_type_is_refused, a_key_that_the_token_brings_is_not_looked_at,
      tokens_are_signed_with_es256_rs256_or_eddsa, the_algorithm_is_the_keys_whatever_the_token_says,
      a_public_key_is_no_secret_to_sign_with, a_kid_that_is_not_there_is_a_key_that_is_not_known,
      an_algorithm_that_the_operator_does_not_allow_is_refused, a_token_may_be_for_one_of_several_audiences,
      a_token_without_a_signature_is_refused, a_token_of_another_key_is_refused, no_byte_of_a_token_may_be_changed,
      time_is_checked_with_half_a_minute_of_grace, a_token_for_others_is_foreign,
      a_token_cannot_make_a_service_or_a_guest, a_subject_is_short_and_visible, keys_are_rotated_by_reading_them_again,
      keys_that_do_not_fit_leave_the_old_ones)
