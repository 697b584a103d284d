/* Verifies compact JWS tokens: header, signature, then claims, in this order, so that nothing unsigned is believed. */
#include "gateway/jwt.h"

#include "mesh/base/say.h"

#include <errno.h>
#include <jansson.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>

#define TOKEN_MAX 4096
#define PART_MAX  3072

static const struct refusal malformed = { "TOKEN_MALFORMED", "the token is not a JWT signed with ES256" };
static const struct refusal forged = { "TOKEN_SIGNATURE", "the token's signature is not by a key we know" };
static const struct refusal expired = { "TOKEN_EXPIRED", "the token has expired or is not valid yet" };
static const struct refusal foreign = { "TOKEN_FOREIGN", "the token's issuer or audience is another one" };
static const struct refusal unfit = { "TOKEN_MALFORMED", "the token's sub, exp or roles are missing or not allowed" };

static int refuse(const struct refusal *why, struct refusal *ret_refusal)
{
    *ret_refusal = *why;
    return -EACCES;
}

/* --- keys --- */

static int key_check(EVP_PKEY *key)
{
    char group[32];
    return EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof(group), NULL) == 1 &&
                   strcmp(group, "prime256v1") == 0
               ? 0
               : -EINVAL;
}

static void base64url(const uint8_t *data, size_t len, char *ret_text)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint32_t held = 0;
    int bits = 0;
    for (size_t i = 0; i < len; i++) {
        held = held << 8 | data[i];
        for (bits += 8; bits >= 6; bits -= 6)
            *ret_text++ = digits[held >> (bits - 6) & 63];
    }
    if (bits > 0)
        *ret_text++ = digits[held << (6 - bits) & 63];
    *ret_text = 0;
}

static void key_id(EVP_PKEY *key, char *ret_kid)
{
    uint8_t *der = NULL, digest[32];
    int len = i2d_PUBKEY(key, &der);
    EVP_Digest(der, len > 0 ? (size_t)len : 0, digest, NULL, EVP_sha256(), NULL);
    OPENSSL_free(der);
    base64url(digest, sizeof(digest), ret_kid);
}

int jwt_keys_load(const char *path, struct jwt_key *ret_keys, size_t max)
{
    BIO *file = BIO_new_file(path, "r");
    size_t n = 0;
    const char *why = file ? "no public key in it" : "it cannot be read";
    for (EVP_PKEY *key; file && n < max && (key = PEM_read_bio_PUBKEY(file, NULL, NULL, NULL)); n++) {
        ret_keys[n].key = key;
        key_id(key, ret_keys[n].kid);
        if (key_check(key) == 0)
            continue;
        why = "a key is not on the curve P-256";
        for (n++; n; n--)
            EVP_PKEY_free(ret_keys[n - 1].key);
        break;
    }
    BIO_free(file);
    ERR_clear_error();
    if (n)
        return (int)n;
    say(SAY_ERROR, NULL, "the keys for tokens cannot be used", SAY_T("file", path), SAY_T("reason", why));
    return -EINVAL;
}

/* --- encoding --- */

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

/* base64url without padding; the unused bits must be zero. The length, or -EINVAL. */
static ssize_t unbase64url(const char *text, size_t len, uint8_t *ret_data, size_t room)
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

/* The bytes as a JSON object without a name twice; NULL if they are not. */
static json_t *decode_json(const char *text, size_t len)
{
    char buffer[PART_MAX + 4];
    ssize_t n = unbase64url(text, len, (uint8_t *)buffer, sizeof(buffer));
    if (n < 0)
        return NULL;
    json_t *json = json_loadb(buffer, (size_t)n, JSON_REJECT_DUPLICATES, NULL);
    if (json_is_object(json))
        return json;
    json_decref(json);
    return NULL;
}

/* --- signature --- */

/* r and s, 32 bytes each, as the ASN.1 that OpenSSL verifies. */
static int to_der(const uint8_t raw[64], uint8_t *ret_der)
{
    ECDSA_SIG *sig = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(raw, 32, NULL), *s = BN_bin2bn(raw + 32, 32, NULL);
    if (!sig || !r || !s || ECDSA_SIG_set0(sig, r, s) != 1) {
        BN_free(r);
        BN_free(s);
        ECDSA_SIG_free(sig);
        return -ENOMEM;
    }
    int len = i2d_ECDSA_SIG(sig, &ret_der);
    ECDSA_SIG_free(sig);
    return len;
}

static bool signed_by(EVP_PKEY *key, const uint8_t digest[32], const uint8_t *der, size_t len)
{
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(key, NULL);
    bool ok = context && EVP_PKEY_verify_init(context) == 1 && EVP_PKEY_verify(context, der, len, digest, 32) == 1;
    EVP_PKEY_CTX_free(context);
    ERR_clear_error();
    return ok;
}

static bool signature_good(const struct jwt_rules *rules, const char *kid, const char *text, size_t text_len,
                           const uint8_t raw[64])
{
    uint8_t digest[32], der[80];
    int len = to_der(raw, der);
    if (len <= 0 || EVP_Digest(text, text_len, digest, NULL, EVP_sha256(), NULL) != 1)
        return false;
    bool named = false;
    for (size_t i = 0; kid && i < rules->n_keys; i++)
        named |= strcmp(rules->keys[i].kid, kid) == 0;
    for (size_t i = 0; i < rules->n_keys; i++) {
        if (named && strcmp(rules->keys[i].kid, kid) != 0)
            continue;
        if (signed_by(rules->keys[i].key, digest, der, (size_t)len))
            return true;
    }
    return false;
}

/* --- claims --- */

static const struct {
    const char *name;
    Mesh__V1__Role role;
} roles[] = {
    { "customer", MESH__V1__ROLE__CUSTOMER },   { "csr", MESH__V1__ROLE__CSR },
    { "warehouse", MESH__V1__ROLE__WAREHOUSE }, { "erp", MESH__V1__ROLE__ERP },
    { "operator", MESH__V1__ROLE__OPERATOR },   { "admin", MESH__V1__ROLE__ADMIN },
};

static uint32_t role_bit(const char *name)
{
    for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++)
        if (name && strcmp(roles[i].name, name) == 0)
            return ROLE_BIT(roles[i].role);
    return 0;
}

static int read_caller(json_t *claims, struct caller *ret_caller)
{
    const char *subject = json_string_value(json_object_get(claims, "sub"));
    json_t *list = json_object_get(claims, "roles");
    if (!subject || !*subject || strlen(subject) >= CALLER_SUBJECT_MAX || !json_is_array(list) ||
        json_array_size(list) == 0)
        return -EINVAL;
    for (const char *c = subject; *c; c++)
        if (*c <= ' ' || *c > '~') /* what travels as metadata */
            return -EINVAL;
    struct caller caller = { 0 };
    for (size_t i = 0; i < json_array_size(list); i++) {
        uint32_t bit = role_bit(json_string_value(json_array_get(list, i)));
        if (!bit)
            return -EINVAL;
        caller.roles |= bit;
    }
    strcpy(caller.subject, subject);
    *ret_caller = caller;
    return 0;
}

static bool audience_is(json_t *aud, const char *wanted)
{
    if (json_is_string(aud))
        return strcmp(json_string_value(aud), wanted) == 0;
    for (size_t i = 0; i < json_array_size(aud); i++) {
        const char *one = json_string_value(json_array_get(aud, i));
        if (one && strcmp(one, wanted) == 0)
            return true;
    }
    return false;
}

static int read_claims(const struct jwt_rules *rules, json_t *claims, int64_t now_s, struct caller *ret_caller,
                       int64_t *ret_expires_s, struct refusal *ret_refusal)
{
    json_t *exp = json_object_get(claims, "exp"), *nbf = json_object_get(claims, "nbf");
    const char *iss = json_string_value(json_object_get(claims, "iss"));
    if (!json_is_integer(exp) || json_integer_value(exp) < 0 || (nbf && !json_is_integer(nbf)))
        return refuse(&unfit, ret_refusal);
    if (!iss || strcmp(iss, rules->issuer) != 0 || !audience_is(json_object_get(claims, "aud"), rules->audience))
        return refuse(&foreign, ret_refusal);
    int64_t expires_s = json_integer_value(exp);
    if (expires_s < now_s - AUTH_SKEW_S || (nbf && json_integer_value(nbf) > now_s + AUTH_SKEW_S))
        return refuse(&expired, ret_refusal);
    if (read_caller(claims, ret_caller) < 0)
        return refuse(&unfit, ret_refusal);
    *ret_expires_s = expires_s;
    return 0;
}

/* The header must say ES256 and nothing critical; kid points into it. */
static bool header_fits(json_t *header)
{
    const char *alg = json_string_value(json_object_get(header, "alg"));
    return alg && strcmp(alg, "ES256") == 0 && !json_object_get(header, "crit");
}

int jwt_verify(const struct jwt_rules *rules, const char *token, size_t len, int64_t now_s, struct caller *ret_caller,
               int64_t *ret_expires_s, struct refusal *ret_refusal)
{
    const char *dot = len <= TOKEN_MAX ? memchr(token, '.', len) : NULL;
    const char *dot2 = dot ? memchr(dot + 1, '.', len - (size_t)(dot + 1 - token)) : NULL;
    uint8_t raw[80];
    if (!dot2 || dot - token > PART_MAX || dot2 - dot > PART_MAX)
        return refuse(&malformed, ret_refusal);
    size_t raw_text = len - (size_t)(dot2 + 1 - token);
    json_t *header = decode_json(token, (size_t)(dot - token));
    int r = -EACCES;
    if (!header || !header_fits(header) || unbase64url(dot2 + 1, raw_text, raw, sizeof(raw)) != 64) {
        json_decref(header);
        return refuse(&malformed, ret_refusal);
    }
    const char *kid = json_string_value(json_object_get(header, "kid"));
    if (!signature_good(rules, kid, token, (size_t)(dot2 - token), raw)) {
        json_decref(header);
        return refuse(&forged, ret_refusal);
    }
    json_decref(header);
    json_t *claims = decode_json(dot + 1, (size_t)(dot2 - dot - 1));
    r = claims ? read_claims(rules, claims, now_s, ret_caller, ret_expires_s, ret_refusal)
               : refuse(&malformed, ret_refusal);
    json_decref(claims);
    return r;
}
