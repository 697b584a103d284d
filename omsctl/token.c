/* Signs a token: header and claims as JSON in base64url, and the ECDSA signature as two numbers of 32 bytes. */
#include "omsctl/token.h"

#include "omsctl/commands.h"
#include "omsctl/show.h"

#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define P256_BYTES  32
#define DER_MAX     80
#define ROLES_MAX   16
#define TTL_DEFAULT 3600

static char *base64url(const void *data, size_t len)
{
    char *text = malloc(len / 3 * 4 + 8);
    if (!text)
        return NULL;
    EVP_EncodeBlock((unsigned char *)text, data, (int)len);
    for (char *c = text; *c; c++)
        *c = *c == '+' ? '-' : *c == '/' ? '_' : *c;
    text[strcspn(text, "=")] = '\0';
    return text;
}

static char *json_part(json_t *json)
{
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    char *part = text ? base64url(text, strlen(text)) : NULL;
    free(text);
    json_decref(json);
    return part;
}

static int read_key(const char *path, EVP_PKEY **ret_key)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return -errno;
    EVP_PKEY *key = PEM_read_PrivateKey(file, NULL, NULL, NULL);
    fclose(file);
    if (!key || EVP_PKEY_base_id(key) != EVP_PKEY_EC || EVP_PKEY_bits(key) != 256) {
        EVP_PKEY_free(key);
        return -EINVAL;
    }
    *ret_key = key;
    return 0;
}

/* r and s of the signature behind each other, big endian (RFC 7518, 3.4). */
static int sign(EVP_PKEY *key, const char *text, uint8_t ret_signature[2 * P256_BYTES])
{
    uint8_t der[DER_MAX];
    size_t len = sizeof(der);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx && EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key) == 1 &&
              EVP_DigestSign(ctx, der, &len, (const uint8_t *)text, strlen(text)) == 1;
    EVP_MD_CTX_free(ctx);
    const uint8_t *at = der;
    ECDSA_SIG *sig = ok ? d2i_ECDSA_SIG(NULL, &at, (long)len) : NULL;
    if (!sig)
        return -EINVAL;
    BN_bn2binpad(ECDSA_SIG_get0_r(sig), ret_signature, P256_BYTES);
    BN_bn2binpad(ECDSA_SIG_get0_s(sig), ret_signature + P256_BYTES, P256_BYTES);
    ECDSA_SIG_free(sig);
    return 0;
}

static char *unsigned_part(const struct token_claims *claims)
{
    json_t *roles = json_array();
    for (size_t i = 0; i < claims->n_roles; i++)
        json_array_append_new(roles, json_string(claims->roles[i]));
    char *head = json_part(json_pack("{s:s, s:s}", "alg", "ES256", "typ", "JWT"));
    char *body = json_part(json_pack("{s:s, s:s, s:s, s:o, s:I, s:I}", "iss", claims->issuer, "aud", claims->audience,
                                     "sub", claims->subject, "roles", roles, "iat", (json_int_t)claims->issued_s, "exp",
                                     (json_int_t)claims->expires_s));
    char *text = NULL;
    if (!head || !body || asprintf(&text, "%s.%s", head, body) < 0)
        text = NULL;
    free(head);
    free(body);
    return text;
}

int token_sign(const char *key_file, const struct token_claims *claims, char **ret_token)
{
    EVP_PKEY *key = NULL;
    int r = read_key(key_file, &key);
    if (r < 0)
        return r;
    uint8_t signature[2 * P256_BYTES];
    char *text = unsigned_part(claims), *last = NULL;
    r = text ? sign(key, text, signature) : -EINVAL;
    if (r == 0)
        last = base64url(signature, sizeof(signature));
    if (r == 0 && (!last || asprintf(ret_token, "%s.%s", text, last) < 0))
        r = -ENOMEM;
    free(last);
    free(text);
    EVP_PKEY_free(key);
    return r;
}

/* "erp,csr" into texts; the number, or -EINVAL: a role that no token can have. */
static int split_roles(char *text, const char **ret_roles)
{
    int n = 0;
    for (char *at = text, *role; (role = strsep(&at, ",")) && n < ROLES_MAX;) {
        char upper[32];
        size_t len = strlen(role);
        for (size_t i = 0; i <= len && i < sizeof(upper); i++)
            upper[i] = (char)toupper(role[i]);
        const ProtobufCEnumValue *value =
            len < sizeof(upper) ? protobuf_c_enum_descriptor_get_value_by_name(&mesh__v1__role__descriptor, upper)
                                : NULL;
        if (!value || value->value == MESH__V1__ROLE__ROLE_UNSPECIFIED || value->value == MESH__V1__ROLE__SERVICE) {
            cli_usage("'%s' is no role of a token: customer, csr, warehouse, erp, operator, admin", role);
            return -EINVAL;
        }
        ret_roles[n++] = role;
    }
    return n;
}

int run_token(struct ctl *ctl)
{
    const char *subject = cli_flag(ctl, "sub"), *role = cli_flag(ctl, "role"), *ttl = cli_flag(ctl, "ttl");
    const char *key = cli_flag(ctl, "key");
    if (!subject || !role || !key)
        return cli_usage("a token needs --sub, --role and --key (dev/up sets the key's default)");
    if (!subject[0] || strlen(subject) >= CALLER_SUBJECT_MAX)
        return cli_usage("--sub has 1 to %d characters", CALLER_SUBJECT_MAX - 1);
    int64_t ttl_us = INT64_C(1000000) * TTL_DEFAULT;
    bool past = ttl && ttl[0] == '-'; /* a token that has expired, to test with */
    if (ttl && cli_duration(ttl + past, &ttl_us) < 0)
        return cli_usage("--ttl is a duration such as 10m or 12h, not '%s'", ttl);

    const char *roles[ROLES_MAX];
    int n = split_roles(arena_printf(&ctl->arena, "%s", role), roles);
    if (n < 0)
        return CTL_USAGE;
    int64_t now_s = time(NULL);
    const char *issuer = cli_flag(ctl, "issuer"), *audience = cli_flag(ctl, "audience");
    struct token_claims claims = { .issuer = issuer ? issuer : "ordermesh-dev",
                                   .audience = audience ? audience : "ordermesh",
                                   .subject = subject,
                                   .roles = roles,
                                   .n_roles = (size_t)n,
                                   .issued_s = now_s,
                                   .expires_s = now_s + (past ? -ttl_us : ttl_us) / 1000000 };
    char *token;
    int r = token_sign(key, &claims, &token);
    if (r < 0)
        return cli_usage("the key %s cannot be used: %s", key, r == -EINVAL ? "no P-256 private key" : strerror(-r));
    if (ctl->json)
        show_json(json_pack("{s:s, s:I}", "token", token, "expires", (json_int_t)claims.expires_s));
    else
        puts(token);
    free(token);
    return CTL_OK;
}
