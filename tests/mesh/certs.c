/* A small certificate authority on OpenSSL. */
#include "tests/mesh/certs.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

#define must(x) \
    do { \
        if (!(x)) \
            abort(); \
    } while (0)

static void path_of(char *ret_path, size_t size, const char *dir, const char *name, const char *end)
{
    must(snprintf(ret_path, size, "%s/%s%s", dir, name, end) < (int)size);
}

static X509 *fresh(const char *name, EVP_PKEY *key)
{
    X509 *cert = X509_new();
    uint32_t serial;
    must(cert && RAND_bytes((uint8_t *)&serial, sizeof(serial)) == 1);
    X509_set_version(cert, X509_VERSION_3);
    ASN1_INTEGER_set_uint64(X509_get_serialNumber(cert), serial);
    X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
    X509_gmtime_adj(X509_getm_notAfter(cert), 86400);
    X509_set_pubkey(cert, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC, (const uint8_t *)name, -1, -1, 0);
    return cert;
}

static void extend(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    must(extension && X509_add_ext(cert, extension, -1));
    X509_EXTENSION_free(extension);
}

static void write_pair(const char *dir, const char *name, X509 *cert, EVP_PKEY *key)
{
    char fresh_path[512], path[512];

    path_of(fresh_path, sizeof(fresh_path), dir, name, ".key~");
    path_of(path, sizeof(path), dir, name, ".key");
    FILE *file = fopen(fresh_path, "w");
    must(file && PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) && fclose(file) == 0);
    must(rename(fresh_path, path) == 0);

    path_of(fresh_path, sizeof(fresh_path), dir, name, ".pem~");
    path_of(path, sizeof(path), dir, name, ".pem");
    file = fopen(fresh_path, "w");
    must(file && PEM_write_X509(file, cert) && fclose(file) == 0);
    must(rename(fresh_path, path) == 0);
}

void certs_authority(const char *dir, const char *name)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = fresh(name, key);

    X509_set_issuer_name(cert, X509_get_subject_name(cert));
    extend(cert, cert, NID_basic_constraints, "critical,CA:TRUE");
    extend(cert, cert, NID_key_usage, "critical,keyCertSign,cRLSign");
    must(X509_sign(cert, key, EVP_sha256()));
    write_pair(dir, name, cert, key);
    X509_free(cert);
    EVP_PKEY_free(key);
}

static void read_pair(const char *dir, const char *name, X509 **ret_cert, EVP_PKEY **ret_key)
{
    char path[512];
    path_of(path, sizeof(path), dir, name, ".pem");
    FILE *file = fopen(path, "r");
    must(file && (*ret_cert = PEM_read_X509(file, NULL, NULL, NULL)));
    fclose(file);
    path_of(path, sizeof(path), dir, name, ".key");
    file = fopen(path, "r");
    must(file && (*ret_key = PEM_read_PrivateKey(file, NULL, NULL, NULL)));
    fclose(file);
}

void certs_issue(const char *dir, const char *authority, const char *process)
{
    char names[256];
    snprintf(names, sizeof(names), "DNS:%s,URI:spiffe://ordermesh/%s", process, process);
    certs_issue_for(dir, authority, process, names);
}

void certs_issue_for(const char *dir, const char *authority, const char *process, const char *names)
{
    X509 *ca;
    EVP_PKEY *ca_key, *key = EVP_EC_gen("P-256");

    read_pair(dir, authority, &ca, &ca_key);
    X509 *cert = fresh(process, key);
    X509_set_issuer_name(cert, X509_get_subject_name(ca));
    extend(cert, ca, NID_subject_alt_name, names);
    must(X509_sign(cert, ca_key, EVP_sha256()));
    write_pair(dir, process, cert, key);
    X509_free(cert);
    X509_free(ca);
    EVP_PKEY_free(key);
    EVP_PKEY_free(ca_key);
}
