/* A little certificate authority and token issuer over OpenSSL. */
#include "tests/gateway/keys.h"

#include <check.h>
#include <dirent.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

EVP_PKEY *keys_p256(void)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    ck_assert_ptr_nonnull(key);
    return key;
}

static X509 *certificate(EVP_PKEY *key, const char *name, const char *san, EVP_PKEY *by_key, X509 *by)
{
    static long serial = 1;
    X509 *x = X509_new();
    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), serial++);
    X509_gmtime_adj(X509_getm_notBefore(x), -3600);
    X509_gmtime_adj(X509_getm_notAfter(x), 86400);
    X509_set_pubkey(x, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(x, X509_get_subject_name(by ? by : x));
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, by ? by : x, x, NULL, NULL, 0);
    X509_EXTENSION *extension = san ? X509V3_EXT_conf_nid(NULL, &context, NID_subject_alt_name, san)
                                    : X509V3_EXT_conf_nid(NULL, &context, NID_basic_constraints, "critical,CA:TRUE");
    X509_add_ext(x, extension, -1);
    X509_EXTENSION_free(extension);
    ck_assert_int_gt(X509_sign(x, by_key, EVP_sha256()), 0);
    return x;
}

static FILE *open_to_write(const char *path)
{
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    return file;
}

void keys_write_public(const char *path, EVP_PKEY *const *list, size_t n)
{
    FILE *file = open_to_write(path);
    for (size_t i = 0; i < n; i++)
        PEM_write_PUBKEY(file, list[i]);
    fclose(file);
}

void keys_make(struct keys *keys)
{
    memset(keys, 0, sizeof(*keys));
    strcpy(keys->dir, "/tmp/gateway-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(keys->dir));
    keys->ca_key = keys_p256();
    keys->ca = certificate(keys->ca_key, "test CA", NULL, keys->ca_key, NULL);
    snprintf(keys->ca_path, sizeof(keys->ca_path), "%s/ca.pem", keys->dir);
    FILE *file = open_to_write(keys->ca_path);
    PEM_write_X509(file, keys->ca);
    fclose(file);
    keys->jwt_key = keys_p256();
    snprintf(keys->jwt_path, sizeof(keys->jwt_path), "%s/jwt.pem", keys->dir);
    keys_write_public(keys->jwt_path, &keys->jwt_key, 1);
}

void keys_drop(struct keys *keys)
{
    DIR *dir = opendir(keys->dir);
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        unlinkat(dirfd(dir), entry->d_name, 0);
    closedir(dir);
    rmdir(keys->dir);
    EVP_PKEY_free(keys->ca_key);
    EVP_PKEY_free(keys->jwt_key);
    X509_free(keys->ca);
}

void keys_certificate(struct keys *keys, const char *name, char ret_cert[128], char ret_key[128])
{
    char san[256];
    snprintf(san, sizeof(san), "DNS:%s,URI:spiffe://ordermesh/%s", name, name);
    keys_certificate_for(keys, name, san, ret_cert, ret_key);
}

void keys_certificate_for(struct keys *keys, const char *name, const char *san, char ret_cert[128], char ret_key[128])
{
    snprintf(ret_cert, 128, "%s/%s.pem", keys->dir, name);
    snprintf(ret_key, 128, "%s/%s-key.pem", keys->dir, name);
    EVP_PKEY *key = keys_p256();
    X509 *x = certificate(key, name, san, keys->ca_key, keys->ca);
    FILE *file = open_to_write(ret_cert);
    PEM_write_X509(file, x);
    fclose(file);
    file = open_to_write(ret_key);
    PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL);
    fclose(file);
    X509_free(x);
    EVP_PKEY_free(key);
}

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

/* What a JWT wants in the place of ECDSA's ASN.1: r and s. */
static size_t to_raw(unsigned char *signature, size_t len)
{
    const unsigned char *at = signature;
    ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &at, (long)len);
    BN_bn2binpad(ECDSA_SIG_get0_r(sig), signature, 32);
    BN_bn2binpad(ECDSA_SIG_get0_s(sig), signature + 32, 32);
    ECDSA_SIG_free(sig);
    return 64;
}

char *keys_sign(EVP_PKEY *key, const char *header, const char *claims)
{
    char *token = malloc(2 * (strlen(header) + strlen(claims)) + 2048);
    size_t n = base64url(header, strlen(header), token);
    token[n++] = '.';
    n += base64url(claims, strlen(claims), token + n);

    unsigned char signature[1024];
    size_t len = sizeof(signature);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    const EVP_MD *digest = EVP_PKEY_is_a(key, "ED25519") ? NULL : EVP_sha256();
    ck_assert_int_eq(EVP_DigestSignInit(context, NULL, digest, NULL, key), 1);
    ck_assert_int_eq(EVP_DigestSign(context, signature, &len, (unsigned char *)token, n), 1);
    EVP_MD_CTX_free(context);
    if (EVP_PKEY_is_a(key, "EC"))
        len = to_raw(signature, len);
    token[n++] = '.';
    base64url(signature, len, token + n);
    return token;
}

/* "name":"number in base64url" */
static void write_number(FILE *file, EVP_PKEY *key, const char *name, const char *param, size_t len)
{
    char text[2048];
    unsigned char bytes[1024];
    BIGNUM *number = NULL;
    ck_assert_int_eq(EVP_PKEY_get_bn_param(key, param, &number), 1);
    int n = len ? BN_bn2binpad(number, bytes, (int)len) : BN_bn2bin(number, bytes);
    base64url(bytes, (size_t)n, text);
    fprintf(file, ",\"%s\":\"%s\"", name, text);
    BN_free(number);
}

static void write_key(FILE *file, EVP_PKEY *key)
{
    if (EVP_PKEY_is_a(key, "EC")) {
        fprintf(file, ",\"kty\":\"EC\",\"crv\":\"P-256\"");
        write_number(file, key, "x", OSSL_PKEY_PARAM_EC_PUB_X, 32);
        write_number(file, key, "y", OSSL_PKEY_PARAM_EC_PUB_Y, 32);
    } else if (EVP_PKEY_is_a(key, "RSA")) {
        fprintf(file, ",\"kty\":\"RSA\"");
        write_number(file, key, "n", OSSL_PKEY_PARAM_RSA_N, 0);
        write_number(file, key, "e", OSSL_PKEY_PARAM_RSA_E, 0);
    } else {
        unsigned char x[32];
        char text[64];
        size_t len = sizeof(x);
        ck_assert_int_eq(EVP_PKEY_get_raw_public_key(key, x, &len), 1);
        base64url(x, len, text);
        fprintf(file, ",\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"%s\"", text);
    }
}

char *keys_jwk(EVP_PKEY *key, const char *labels)
{
    char *text = NULL;
    size_t len;
    FILE *file = open_memstream(&text, &len);
    fprintf(file, "{%s", labels);
    write_key(file, key);
    fprintf(file, "}");
    fclose(file);
    return text;
}

char *keys_bearer(struct keys *keys, const char *subject, const char *roles, int64_t expires_s)
{
    char claims[512];
    snprintf(claims, sizeof(claims),
             "{\"iss\":\"ordermesh-dev\",\"aud\":\"ordermesh\",\"sub\":\"%s\",\"roles\":[%s],\"exp\":%lld}", subject,
             roles, (long long)expires_s);
    char *token = keys_sign(keys->jwt_key, "{\"alg\":\"ES256\",\"typ\":\"JWT\"}", claims);
    char *bearer = malloc(strlen(token) + 8);
    strcpy(bearer, "Bearer ");
    strcat(bearer, token);
    free(token);
    return bearer;
}
