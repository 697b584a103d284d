/* What proves who is who: the server's certificate towards clients, mutual TLS towards the services behind. */
#pragma once

#include <openssl/ssl.h>

struct tls_files {
    const char *ca, *cert, *key; /* PEM; ca only where the peer has to prove itself */
};

/* Contexts offer and accept ALPN "h2" only, TLS 1.2 or later. NULL after one clear line. */
SSL_CTX *tls_server(const struct tls_files *files);
SSL_CTX *tls_client(const struct tls_files *files);
/* A connection to a process, whose certificate must be signed by the CA and carry its name as DNS SAN. NULL: no memory.
 */
SSL *tls_to(SSL_CTX *context, const char *process);
/* Whether the handshake agreed on h2. */
int tls_is_h2(SSL *ssl);
