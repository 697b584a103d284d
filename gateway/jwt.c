/* Verifies compact JWS tokens: header, signature, then claims, in this order, so that nothing unsigned is believed. */
#include "gateway/jwt.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

#define TOKEN_MAX 8192
#define PART_MAX  6144
#define LATEST_S  INT64_C(253402300799) /* the end of the year 9999 */

struct token {
    const char *text, *claims;
    size_t header_len, claims_len, signed_len; /* signed: header, dot, claims */
    uint8_t signature[SIGNATURE_MAX + 2];
    size_t signature_len;
    enum jws_algorithm algorithm;
    const char *kid; /* NULL: none */
};

static const struct refusal malformed = { "TOKEN_MALFORMED",
                                          "the token is not a JWT signed with ES256, RS256 or EdDSA" };
static const struct refusal forged = { "TOKEN_SIGNATURE", "the token's signature is not by a key we know" };
static const struct refusal unknown_key = { "TOKEN_KEY_UNKNOWN",
                                            "the token is signed with a key that is not known yet" };
static const struct refusal expired = { "TOKEN_EXPIRED", "the token has expired or is not valid yet" };
static const struct refusal foreign = { "TOKEN_FOREIGN", "the token's issuer or audience is another one" };
static const struct refusal unfit = { "TOKEN_MALFORMED", "the token's sub, exp or roles are missing or not allowed" };

static int refuse(const struct refusal *why, struct refusal *ret_refusal)
{
    *ret_refusal = *why;
    return -EACCES;
}

/* The bytes as a JSON object without a name twice; NULL if they are not. */
static json_t *decode_json(const char *text, size_t len)
{
    char buffer[PART_MAX + 4];
    ssize_t n = jws_unbase64url(text, len, (uint8_t *)buffer, sizeof(buffer));
    if (n < 0)
        return NULL;
    json_t *json = json_loadb(buffer, (size_t)n, JSON_REJECT_DUPLICATES, NULL);
    if (json_is_object(json))
        return json;
    json_decref(json);
    return NULL;
}

/* --- signature --- */

/* A key without a kid can be the one of any token; a token without one can be signed with any key. */
static bool may_have_signed(const struct jws_key *key, const char *kid)
{
    return !kid || !key->kid[0] || strcmp(key->kid, kid) == 0;
}

static int check_signature(const struct jwt_rules *rules, const struct token *token, struct refusal *ret_refusal)
{
    bool known = false;
    for (size_t i = 0; rules->keys && i < rules->keys->n; i++) {
        const struct jws_key *key = &rules->keys->keys[i];
        if (!may_have_signed(key, token->kid))
            continue;
        known = true;
        if (key->algorithm == token->algorithm &&
            jws_verify(key, token->text, token->signed_len, token->signature, token->signature_len))
            return 0;
    }
    refuse(known ? &forged : &unknown_key, ret_refusal);
    return known ? -EACCES : -ENOKEY;
}

/* --- claims --- */

static int read_caller(json_t *claims, struct caller *ret_caller)
{
    const char *subject = json_string_value(json_object_get(claims, "sub"));
    json_t *list = json_object_get(claims, "roles");
    if (!subject || !auth_subject_fits(subject) || !json_is_array(list) || json_array_size(list) == 0)
        return -EINVAL;
    struct caller caller = { 0 };
    for (size_t i = 0; i < json_array_size(list); i++) {
        uint32_t bit = auth_role(json_string_value(json_array_get(list, i)));
        if (!bit)
            return -EINVAL;
        caller.roles |= bit;
    }
    strcpy(caller.subject, subject);
    *ret_caller = caller;
    return 0;
}

/* Whether the list, with commas, has it. */
static bool lists(const char *list, const char *one)
{
    size_t len = one ? strlen(one) : 0;
    for (const char *at = list; len; at++) {
        size_t n = strcspn(at, ",");
        if (n == len && memcmp(at, one, n) == 0)
            return true;
        at += n;
        if (!*at)
            break;
    }
    return false;
}

static bool is_for_us(const json_t *aud, const char *wanted)
{
    bool ours = lists(wanted, json_string_value(aud));
    for (size_t i = 0; i < json_array_size(aud); i++)
        ours |= lists(wanted, json_string_value(json_array_get(aud, i)));
    return ours;
}

/* A NumericDate (RFC 7519, 2) in whole seconds, rounded down. */
static int read_date(const json_t *date, int64_t *ret_s)
{
    double s = json_number_value(date);
    if (!json_is_number(date) || s < 0)
        return -EINVAL;
    *ret_s = s < (double)LATEST_S ? (int64_t)s : LATEST_S;
    return 0;
}

static int read_claims(const struct jwt_rules *rules, json_t *claims, int64_t now_s, struct caller *ret_caller,
                       int64_t *ret_expires_s, struct refusal *ret_refusal)
{
    const json_t *nbf = json_object_get(claims, "nbf");
    const char *iss = json_string_value(json_object_get(claims, "iss"));
    int64_t expires_s, begins_s = 0;
    if (read_date(json_object_get(claims, "exp"), &expires_s) < 0 || (nbf && read_date(nbf, &begins_s) < 0))
        return refuse(&unfit, ret_refusal);
    if (!iss || strcmp(iss, rules->issuer) != 0 || !is_for_us(json_object_get(claims, "aud"), rules->audience))
        return refuse(&foreign, ret_refusal);
    if (expires_s < now_s - AUTH_SKEW_S || begins_s > now_s + AUTH_SKEW_S)
        return refuse(&expired, ret_refusal);
    if (read_caller(claims, ret_caller) < 0)
        return refuse(&unfit, ret_refusal);
    *ret_expires_s = expires_s;
    return 0;
}

/* --- the whole --- */

/* What kind of token it is, if it says so (RFC 8725, 3.11): a JWT, or one for access (RFC 9068). */
static bool type_fits(const json_t *typ)
{
    const char *text = json_string_value(typ);
    if (text && strncasecmp(text, "application/", 12) == 0)
        text += 12;
    return !typ || (text && (strcasecmp(text, "JWT") == 0 || strcasecmp(text, "at+jwt") == 0));
}

/* Everything else that stands in it, such as where a key could be fetched, is not looked at (RFC 8725, 3.10). */
static bool read_header(json_t *header, struct token *token)
{
    const json_t *kid = json_object_get(header, "kid");
    int algorithm = jws_algorithm(json_string_value(json_object_get(header, "alg")));
    token->algorithm = (enum jws_algorithm)algorithm;
    token->kid = json_string_value(kid);
    return algorithm >= 0 && (!kid || token->kid) && type_fits(json_object_get(header, "typ")) &&
           !json_object_get(header, "crit") && !json_object_get(header, "cty");
}

/* The three parts of it; false if they are not there. */
static bool split(const char *text, size_t len, struct token *token)
{
    const char *dot = len <= TOKEN_MAX ? memchr(text, '.', len) : NULL;
    const char *dot2 = dot ? memchr(dot + 1, '.', len - (size_t)(dot + 1 - text)) : NULL;
    if (!dot2)
        return false;
    *token = (struct token){ .text = text,
                             .signed_len = (size_t)(dot2 - text),
                             .header_len = (size_t)(dot - text),
                             .claims = dot + 1,
                             .claims_len = (size_t)(dot2 - dot - 1) };
    ssize_t n = jws_unbase64url(dot2 + 1, len - token->signed_len - 1, token->signature, sizeof(token->signature));
    token->signature_len = n > 0 ? (size_t)n : 0;
    return n > 0 && token->header_len <= PART_MAX && token->claims_len <= PART_MAX;
}

int jwt_verify(const struct jwt_rules *rules, const char *text, size_t len, int64_t now_s, struct caller *ret_caller,
               int64_t *ret_expires_s, struct refusal *ret_refusal)
{
    struct token token;
    if (!split(text, len, &token))
        return refuse(&malformed, ret_refusal);
    json_t *header = decode_json(text, token.header_len);
    int r = header && read_header(header, &token) ? check_signature(rules, &token, ret_refusal)
                                                  : refuse(&malformed, ret_refusal);
    json_decref(header);
    if (r < 0)
        return r;
    json_t *claims = decode_json(token.claims, token.claims_len);
    r = claims ? read_claims(rules, claims, now_s, ret_caller, ret_expires_s, ret_refusal)
               : refuse(&malformed, ret_refusal);
    json_decref(claims);
    return r;
}
