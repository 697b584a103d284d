/* Certificates: credentials from PEM files that are read again when they change, and who a peer is by its own. */
#include "mesh/rpc/core.h"

#include "mesh/base/say.h"
#include "mesh/rpc/spiffe.h"

#include <errno.h>
#include <grpc/slice.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define PEM_MAX (256 << 10)

struct pems {
    char *ca, *cert, *key;
};

static void pems_free(struct pems *pems)
{
    free(pems->ca);
    free(pems->cert);
    if (pems->key)
        OPENSSL_cleanse(pems->key, strlen(pems->key));
    free(pems->key);
}

static char *read_file(const char *path)
{
    FILE *file = fopen(path, "re");
    char *text = file ? malloc(PEM_MAX + 1) : NULL;
    size_t n = text ? fread(text, 1, PEM_MAX + 1, file) : 0;
    bool good = n > 0 && n <= PEM_MAX && !ferror(file);

    if (good)
        text[n] = '\0';
    else
        say(SAY_ERROR, NULL, "a certificate file cannot be read", SAY_T("file", path),
            SAY_T("error", file ? "empty or too large" : strerror(errno)));
    if (file)
        fclose(file);
    if (good)
        return text;
    free(text);
    return NULL;
}

static X509 *parse_certificate(const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    X509 *certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    BIO_free(bio);
    return certificate;
}

static bool key_fits(const char *cert_pem, const char *key_pem)
{
    X509 *certificate = parse_certificate(cert_pem);
    BIO *bio = BIO_new_mem_buf(key_pem, -1);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    bool fits = certificate && key && X509_check_private_key(certificate, key) == 1;

    BIO_free(bio);
    EVP_PKEY_free(key);
    X509_free(certificate);
    ERR_clear_error();
    return fits;
}

/* Checked here, to say plainly what is wrong, and to look again at a pair that was only half renewed. */
static int pems_read(const struct rpc_tls *tls, struct pems *ret_pems)
{
    struct pems pems = { .ca = read_file(tls->ca) };
    if (tls->cert)
        pems.cert = read_file(tls->cert);
    if (tls->key)
        pems.key = read_file(tls->key);
    if (!pems.ca || (tls->cert && !pems.cert) || (tls->key && !pems.key)) {
        pems_free(&pems);
        return -ENOENT;
    }

    X509 *ca = parse_certificate(pems.ca);
    bool good = ca && (!tls->cert || key_fits(pems.cert, pems.key));
    if (!good) {
        say(SAY_ERROR, NULL, ca ? "the key is not the certificate's" : "the CA file holds no certificate",
            SAY_T("ca", tls->ca), SAY_T("cert", tls->cert), SAY_T("key", tls->key));
        pems_free(&pems);
    } else {
        *ret_pems = pems;
    }
    X509_free(ca);
    return good ? 0 : -EINVAL;
}

uint64_t rpc_tls_version(const struct rpc_tls *tls)
{
    const char *const paths[] = { tls->ca, tls->cert, tls->key };
    uint64_t version = 0;
    for (size_t i = 0; i < 3; i++) {
        struct stat st;
        if (!paths[i] || stat(paths[i], &st) < 0)
            continue;
        uint64_t mixed = (uint64_t)st.st_mtim.tv_sec * 1000000007u ^ (uint64_t)st.st_mtim.tv_nsec ^
                         (uint64_t)st.st_ino << 40 ^ (uint64_t)st.st_size << 20;
        version = version * 31 + mixed;
    }
    return version;
}

/* The name in DNS was checked before. */
static int check_process(const char *process, const char *pem, void *arg)
{
    X509 *certificate = parse_certificate(pem);
    bool good = certificate && spiffe_is(certificate, process);
    X509_free(certificate);
    ERR_clear_error();
    return good ? 0 : -1;
}

grpc_channel_credentials *rpc_tls_channel(const struct rpc_core *core)
{
    if (!core->tls.ca)
        return grpc_insecure_credentials_create();

    struct pems pems;
    if (pems_read(&core->tls, &pems) < 0)
        return NULL;
    grpc_ssl_pem_key_cert_pair pair = { pems.key, pems.cert };
    /* Who has no certificate itself is no process of the mesh, but a client at its door, whose certificate is the
     * world's. */
    const grpc_ssl_verify_peer_options mesh = { .verify_peer_callback = check_process };
    grpc_channel_credentials *credentials =
        grpc_ssl_credentials_create_ex(pems.ca, pems.cert ? &pair : NULL, pems.cert ? &mesh : NULL, NULL);
    pems_free(&pems);
    return credentials;
}

/* At start and at every handshake, which is rare enough for three stat(). */
static grpc_ssl_certificate_config_reload_status fetch(void *arg, grpc_ssl_server_certificate_config **ret_config)
{
    struct rpc_core *core = arg;
    uint64_t version = rpc_tls_version(&core->tls);
    if (version == core->tls_served)
        return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;

    struct pems pems;
    if (pems_read(&core->tls, &pems) < 0)
        return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_FAIL;
    grpc_ssl_pem_key_cert_pair pair = { pems.key, pems.cert };
    *ret_config = grpc_ssl_server_certificate_config_create(pems.ca, &pair, 1);
    pems_free(&pems);
    core->tls_served = version;
    return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW;
}

grpc_server_credentials *rpc_tls_server(struct rpc_core *core)
{
    if (!core->tls.ca && !core->tls.cert)
        return grpc_insecure_server_credentials_create();
    if (!core->tls.ca || !core->tls.cert || !core->tls.key) {
        say(SAY_ERROR, NULL, "a server needs CA, certificate and key, or none of them");
        return NULL;
    }

    struct pems pems;
    if (pems_read(&core->tls, &pems) < 0)
        return NULL;
    pems_free(&pems);
    core->tls_served = 0;
    /* Who has no certificate gets UNAUTHENTICATED from the dispatcher, which says more than a dead connection. */
    return grpc_ssl_server_credentials_create_with_options(
        grpc_ssl_server_credentials_create_options_using_config_fetcher(GRPC_SSL_REQUEST_CLIENT_CERTIFICATE_AND_VERIFY,
                                                                        fetch, core));
}

static bool peer_process(grpc_call *call, char *ret_process, size_t size)
{
    grpc_auth_context *context = grpc_call_auth_context(call);
    if (!context)
        return false;

    bool found = false;
    grpc_auth_property_iterator it = grpc_auth_context_find_properties_by_name(context, GRPC_PEER_URI_PROPERTY_NAME);
    const grpc_auth_property *uri;
    while (!found && (uri = grpc_auth_property_iterator_next(&it))) {
        const size_t prefix = sizeof(SPIFFE_PREFIX) - 1;
        if (uri->value_length <= prefix || memcmp(uri->value, SPIFFE_PREFIX, prefix) != 0 ||
            uri->value_length - prefix >= size)
            continue;
        memcpy(ret_process, uri->value + prefix, uri->value_length - prefix);
        ret_process[uri->value_length - prefix] = '\0';
        found = true;
    }
    grpc_auth_context_release(context);
    return found;
}

bool rpc_identify(grpc_call *call, const grpc_metadata_array *metadata, struct caller *ret_caller)
{
    *ret_caller = (struct caller){ .roles = 0 };
    if (!peer_process(call, ret_caller->subject, sizeof(ret_caller->subject)))
        return false;

    ret_caller->roles = ROLE_BIT(MESH__V1__ROLE__SERVICE);
    if (strcmp(ret_caller->subject, "gateway") != 0)
        return true;

    /* The gateway is the only one that speaks for others. */
    char text[CALLER_SUBJECT_MAX + 16];
    if (!rpc_metadata_find(metadata, "x-mesh-caller"))
        return true;
    struct caller named;
    if (!rpc_metadata_text(metadata, "x-mesh-caller", text, sizeof(text)) || !caller_parse(text, &named))
        return false;
    *ret_caller = named;
    return true;
}
