/* OpenSSL contexts, set up once: small buffers while idle, one record layer read per readable socket. */
#include "gateway/tls.h"

#include "mesh/base/say.h"
#include "mesh/rpc/spiffe.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>

static const unsigned char h2_alpn[] = { 2, 'h', '2' };
static const unsigned char served[] = { 2, 'h', '2', 8, 'h', 't', 't', 'p', '/', '1', '.', '1' };

static int select_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in,
                           unsigned in_len, void *arg)
{
    unsigned char *chosen;
    if (SSL_select_next_proto(&chosen, out_len, served, sizeof(served), in, in_len) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static SSL_CTX *refuse(SSL_CTX *context, const char *file)
{
    char text[160];
    ERR_error_string_n(ERR_get_error(), text, sizeof(text));
    ERR_clear_error();
    say(SAY_ERROR, NULL, "a certificate or key cannot be used", SAY_T("file", file), SAY_T("reason", text));
    SSL_CTX_free(context);
    return NULL;
}

static SSL_CTX *context_of(const SSL_METHOD *method, const struct tls_files *files)
{
    SSL_CTX *context = SSL_CTX_new(method);
    if (!context)
        return refuse(NULL, "");
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_cipher_list(context, "ECDHE+AESGCM:ECDHE+CHACHA20"); /* of 1.2; 1.3 has no others */
    SSL_CTX_set_mode(context,
                     SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_read_ahead(context, 1);
    if (files->cert && SSL_CTX_use_certificate_chain_file(context, files->cert) != 1)
        return refuse(context, files->cert);
    if (files->key && SSL_CTX_use_PrivateKey_file(context, files->key, SSL_FILETYPE_PEM) != 1)
        return refuse(context, files->key);
    if (files->ca && SSL_CTX_load_verify_locations(context, files->ca, NULL) != 1)
        return refuse(context, files->ca);
    return context;
}

SSL_CTX *tls_server(const struct tls_files *files)
{
    SSL_CTX *context = context_of(TLS_server_method(), files);
    if (!context)
        return NULL;
    SSL_CTX_set_alpn_select_cb(context, select_protocol, NULL);
    SSL_CTX_set_timeout(context, TLS_TICKET_S);
    if (!files->ca)
        return context;
    /* Whoever goes on with a session has shown his certificate to this very context, and so by this CA. */
    SSL_CTX_set_session_id_context(context, (const unsigned char *)"ordermesh", 9);
    SSL_CTX_set_client_CA_list(context, SSL_load_client_CA_file(files->ca));
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    return context;
}

SSL_CTX *tls_client(const struct tls_files *files)
{
    SSL_CTX *context = context_of(TLS_client_method(), files);
    if (!context)
        return NULL;
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_alpn_protos(context, h2_alpn, sizeof(h2_alpn));
    return context;
}

/* The chain and the name in DNS are good; the certificate itself must be the process's, too. */
static int check_process(int good, X509_STORE_CTX *store)
{
    if (!good || X509_STORE_CTX_get_error_depth(store) > 0)
        return good;
    const SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    if (spiffe_is(X509_STORE_CTX_get_current_cert(store), SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name)))
        return 1;
    X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
    return 0;
}

SSL *tls_to(SSL_CTX *context, const char *process)
{
    SSL *ssl = SSL_new(context);
    if (!ssl)
        return NULL;
    SSL_set_verify(ssl, SSL_VERIFY_PEER, check_process);
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_WILDCARDS);
    if (SSL_set1_host(ssl, process) == 1 && SSL_set_tlsext_host_name(ssl, process) == 1)
        return ssl;
    SSL_free(ssl);
    return NULL;
}

int tls_is_h2(SSL *ssl)
{
    const unsigned char *protocol;
    unsigned len;
    SSL_get0_alpn_selected(ssl, &protocol, &len);
    return len == 2 && memcmp(protocol, "h2", 2) == 0;
}
