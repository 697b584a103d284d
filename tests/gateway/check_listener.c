/* Where clients are served, and what they must speak: tokens travel in clear only on loopback, TLS is for
 * HTTP/2 and HTTP/1.1, a renewed certificate is shown to whoever comes after it. */
#include "gateway/tls.h"
#include "tests/gateway/stage.h"
#include "tests/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <unistd.h>

#define CHECK "/grpc.health.v1.Health/Check"

static struct stage stage;

/* --- addresses --- */

static void set_true(void *arg)
{
    *(bool *)arg = true;
}

/* What gateway_create says of the addresses; a gateway that comes up is taken down again. */
static int listen_at(const struct keys *keys, const char *cert, const char *key, const char *clear, const char *tls)
{
    uv_loop_t loop;
    struct port port = { 0 };
    struct gateway *gateway = NULL;
    bool gone = false;
    const struct gateway_options options = {
        .listen = clear,
        .listen_tls = tls,
        .cert = cert,
        .key = key,
        .peers = "svc-order=127.0.0.1:1",
        .auth = { keys->jwt_path, "ordermesh-dev", "ordermesh", 0 },
    };
    uv_loop_init(&loop);
    int r = gateway_create(&port, &loop, &options, &gateway);
    if (r == 0) {
        ck_assert_int_eq(gateway_port(gateway) != 0, clear != NULL);
        ck_assert_int_eq(gateway_tls_port(gateway) != 0, tls != NULL);
        gateway_destroy(gateway, set_true, &gone);
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(gone, r == 0);
    ck_assert_int_eq(uv_loop_close(&loop), 0);
    return r;
}

START_TEST(without_tls_only_loopback_is_listened_on)
{
    static const struct {
        const char *clear, *tls;
        int result;
    } rows[] = {
        { "127.0.0.1:0", NULL, 0 },      { "127.1.2.3:0", NULL, 0 },
        { "localhost:0", NULL, 0 },      { "0.0.0.0:0", NULL, -EPERM },
        { ":0", NULL, -EPERM },          { "[::]:0", NULL, -EPERM },
        { "192.0.2.1:0", NULL, -EPERM }, { "0.0.0.0:0", "127.0.0.1:0", -EPERM },
        { NULL, "0.0.0.0:0", 0 },        { "127.0.0.1:0", "0.0.0.0:0", 0 },
        { "nonsense", NULL, -EINVAL },
    };
    struct keys keys;
    char cert[128], key[128];
    keys_make(&keys);
    keys_certificate(&keys, "shop.example", cert, key);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int r = listen_at(&keys, cert, key, rows[i].clear, rows[i].tls);
        ck_assert_msg(r == rows[i].result, "%s and %s: %d", rows[i].clear, rows[i].tls, r);
    }
    keys_drop(&keys);
}
END_TEST

/* --- protocols in TLS --- */

static SSL *connect_offering(const char *protocols)
{
    struct sockaddr_in address = {
        AF_INET, htons((uint16_t)gateway_tls_port(stage.gateway)), { htonl(INADDR_LOOPBACK) }, { 0 }
    };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    ck_assert_int_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    SSL *ssl = tls_to(stage.client_context, "shop.example");
    SSL_set_alpn_protos(ssl, (const unsigned char *)protocols, (unsigned)strlen(protocols));
    SSL_set_fd(ssl, fd);
    SSL_set_connect_state(ssl);
    return ssl;
}

static void drop(SSL *ssl)
{
    close(SSL_get_fd(ssl));
    SSL_free(ssl);
    ERR_clear_error();
}

static bool waits(SSL *ssl, int r)
{
    int why = SSL_get_error(ssl, r);
    return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE;
}

/* Reads until something came: how many bytes, or at most 0 if the gateway has hung up; also in the handshake. */
static int first_bytes(SSL *ssl)
{
    char bytes[64];
    int r;
    stage_until(&stage, (r = SSL_read(ssl, bytes, sizeof(bytes))) > 0 || !waits(ssl, r));
    return r;
}

/* What the gateway says to a request in HTTP/1.1, if it says anything. */
static const char *ask_by_http_1_1(SSL *ssl)
{
    static const char request[] = "GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    static char bytes[1024];
    size_t n = 0;
    int r;
    stage_until(&stage, (r = SSL_write(ssl, request, sizeof(request) - 1)) > 0 || !waits(ssl, r));
    do {
        stage_until(&stage, (r = SSL_read(ssl, bytes + n, (int)(sizeof(bytes) - 1 - n))) > 0 || !waits(ssl, r));
        n += r > 0 ? (size_t)r : 0;
    } while (r > 0);
    ck_assert_int_eq(SSL_get_error(ssl, r), SSL_ERROR_ZERO_RETURN); /* it has said that this is all */
    bytes[n] = '\0';
    return bytes;
}

START_TEST(what_is_spoken_is_agreed_on_in_the_handshake)
{
    stage_open(&stage, STAGE_TLS);
    SSL *ssl = connect_offering("\x08http/1.0\x06spdy/3");
    ck_assert_int_le(first_bytes(ssl), 0);
    ck_assert(!SSL_is_init_finished(ssl)); /* by an alert */
    drop(ssl);
    static const char *const old[] = { "\x08http/1.1", "\x06spdy/3\x08http/1.1",
                                       "" }; /* the last one says nothing of it */
    for (size_t i = 0; i < sizeof(old) / sizeof(old[0]); i++) {
        ssl = connect_offering(old[i]);
        ck_assert(strncmp(ask_by_http_1_1(ssl), "HTTP/1.1 405 ", 13) == 0);
        drop(ssl);
    }
    stage_until(&stage, stage.gateway->n_edges == 0);
    ssl = connect_offering("\x08http/1.1\x02h2");
    ck_assert_int_gt(first_bytes(ssl), 0); /* the gateway's settings */
    ck_assert_uint_eq(stage.gateway->n_edges, 1);
    drop(ssl);
    stage_close(&stage);
}
END_TEST

/* --- renewal --- */

static void ck_serves(struct peer *client)
{
    struct call *call = peer_call(client, CHECK, "");
    call_put_message(call, "", 0);
    call_end(call);
    stage_until(&stage, call->closed);
    ck_assert_int_eq(call_status(call), 0);
}

/* The key that the gateway has shown to a new client, which stays connected. */
static EVP_PKEY *key_shown(struct peer **ret_client)
{
    *ret_client = stage_client(&stage);
    stage_until(&stage, (*ret_client)->ready);
    X509 *shown = SSL_get1_peer_certificate((*ret_client)->link.ssl);
    EVP_PKEY *key = X509_get_pubkey(shown);
    X509_free(shown);
    return key;
}

START_TEST(a_renewed_certificate_is_shown_to_those_who_come_later)
{
    struct peer *before, *after, *later;
    stage_open(&stage, STAGE_TLS);
    EVP_PKEY *first = key_shown(&before);
    ck_serves(before);
    keys_certificate(&stage.keys, "shop.example", stage.cert, stage.key);
    gateway_reload(stage.gateway);
    EVP_PKEY *second = key_shown(&after);
    ck_assert_int_ne(EVP_PKEY_eq(first, second), 1);
    ck_serves(after);
    ck_serves(before);

    /* What cannot be used stays as it was. */
    FILE *file = fopen(stage.cert, "w");
    fputs("no certificate\n", file);
    fclose(file);
    gateway_reload(stage.gateway);
    EVP_PKEY *third = key_shown(&later);
    ck_assert_int_eq(EVP_PKEY_eq(second, third), 1);
    ck_serves(later);
    EVP_PKEY_free(first);
    EVP_PKEY_free(second);
    EVP_PKEY_free(third);
    stage_close(&stage);
}
END_TEST

/* --- sessions --- */

static SSL_SESSION *session_of(SSL *ssl)
{
    ck_assert_int_gt(first_bytes(ssl), 0);
    return SSL_get1_session(ssl);
}

/* Goes on with the session, or with none; whether the gateway did. */
static bool resumes(SSL_SESSION **session, int version)
{
    SSL *ssl = connect_offering("\x02h2");
    SSL_set_max_proto_version(ssl, version);
    if (*session)
        SSL_set_session(ssl, *session);
    SSL_SESSION *fresh = session_of(ssl);
    bool reused = SSL_session_reused(ssl);
    SSL_SESSION_free(*session);
    *session = fresh;
    SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN); /* else the session were no good any more */
    drop(ssl);
    return reused;
}

START_TEST(a_client_goes_on_with_its_session_until_the_keys_of_tickets_change)
{
    static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };
    stage_open(&stage, STAGE_TLS);
    SSL_CTX_set_session_cache_mode(stage.client_context, SSL_SESS_CACHE_CLIENT);
    for (int i = 0; i < 2; i++) {
        SSL_SESSION *session = NULL;
        ck_assert(!resumes(&session, versions[i]));
        ck_assert(resumes(&session, versions[i]));
        gateway_reload(stage.gateway);
        ck_assert(!resumes(&session, versions[i]));
        ck_assert(resumes(&session, versions[i]));
        SSL_SESSION_free(session);
    }
    stage_close(&stage);
}
END_TEST

START_TEST(old_versions_and_ciphers_are_refused)
{
    stage_open(&stage, STAGE_TLS);
    SSL_CTX_set_security_level(stage.client_context, 0);
    SSL_CTX_set_min_proto_version(stage.client_context, TLS1_VERSION);
    SSL *ssl = connect_offering("\x02h2");
    SSL_set_max_proto_version(ssl, TLS1_1_VERSION);
    ck_assert_int_le(first_bytes(ssl), 0);
    drop(ssl);
    ssl = connect_offering("\x02h2");
    SSL_set_max_proto_version(ssl, TLS1_2_VERSION);
    SSL_set_cipher_list(ssl, "ECDHE-ECDSA-AES128-SHA256:ECDHE-ECDSA-AES256-SHA");
    ck_assert_int_le(first_bytes(ssl), 0);
    drop(ssl);
    stage_close(&stage);
}
END_TEST

SUITE("listener", 60, without_tls_only_loopback_is_listened_on, what_is_spoken_is_agreed_on_in_the_handshake,
      a_renewed_certificate_is_shown_to_those_who_come_later,
      a_client_goes_on_with_its_session_until_the_keys_of_tickets_change, old_versions_and_ciphers_are_refused)
