/* The side that clients are on: listeners, and HTTP/2 sessions with the limits that hold against hostile ones.
 * Everything here belongs to the loop lane. */
#pragma once

#include "gateway/exchange.h"

struct edge {
    struct link link;
    struct gateway *gateway;
    struct edge *prev, *next;
    nghttp2_session *session;
    struct exchange *exchanges;
    struct exchange *current; /* whose headers are being received */
    uint32_t n_exchanges;
    /* The token that came last, by the buffer it lives in: a client repeats its own. */
    nghttp2_rcbuf *token;
    struct principal *principal;
    struct alarm watch; /* handshake, then silence */
    int64_t heard_us;   /* any byte */
    int64_t used_us;    /* a call began or ended */
    uint16_t refused;   /* tokens */
    bool pinged;
    bool leaving; /* the client knows that it should go */
    bool left;    /* and calls that come now are refused */
};

struct listener;

/* host:port, port 0 picks one; context NULL: cleartext, which only loopback addresses may have. 0, or a negative errno
 * after one clear line. */
int listener_create(struct gateway *gateway, const char *address, SSL_CTX *context, struct listener **ret_listener);
int listener_port(const struct listener *listener);
/* For connections to come. Takes the context over. */
void listener_context(struct listener *listener, SSL_CTX *context);
/* Closes the socket; the loop must run once more. NULL is harmless. */
void listener_destroy(struct listener *listener);

/* Takes over a socket that a listener got. */
void edge_accept(struct gateway *gateway, int fd, SSL_CTX *context);
/* Tells every client to go elsewhere: new calls are refused, those under way go on. */
void edges_leave(struct gateway *gateway);
void edges_close(struct gateway *gateway);

/* --- for exchange.c and access.c --- */
int edge_authenticate(struct edge *edge, nghttp2_rcbuf *authorization, struct principal **ret_principal,
                      struct refusal *ret_refusal);
void edge_head(struct edge *edge, struct exchange *x, const nghttp2_nv *nva, size_t n, bool body);
void edge_trailers(struct edge *edge, int32_t stream, const nghttp2_nv *nva, size_t n);
void edge_resume(struct edge *edge, int32_t stream);
void edge_reset(struct edge *edge, int32_t stream, uint32_t error_code);
/* Opens the windows of the stream (0: only of the connection). */
void edge_consumed(struct edge *edge, int32_t stream, size_t n);
