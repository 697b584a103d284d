/* What proves who is who: the server's certificate towards clients, mutual TLS towards the services behind. */
#pragma once

#include <openssl/ssl.h>

/* How long a client may go on with a session it had. The key that its ticket is under belongs to the context, so that
 * contexts are made anew as often. */
#define TLS_TICKET_S 3600

struct tls_files {
    const char *ca, *cert, *key; /* PEM; ca NULL: the peer is not asked who it is */
};

/* A server with a CA asks for a certificate and verifies it if one is shown. TLS 1.2 with ECDHE and AEAD, or 1.3. A
 * server prefers ALPN "h2", and accepts "http/1.1" and a client that names nothing; a client offers "h2" only. NULL
 * after one clear line. */
SSL_CTX *tls_server(const struct tls_files *files);
SSL_CTX *tls_client(const struct tls_files *files);
/* A connection to a process, whose certificate must be signed by the CA, carry its name as DNS SAN, and be
 * spiffe://ordermesh/PROCESS (mesh/rpc/spiffe.h). NULL: no memory. */
SSL *tls_to(SSL_CTX *context, const char *process);
/* Whether the handshake agreed on h2. */
int tls_is_h2(SSL *ssl);
