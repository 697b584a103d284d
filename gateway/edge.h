/* The side that clients are on: listeners, connections with the limits that hold against hostile ones, and the two
 * protocols that are spoken on them, HTTP/2 (edge_h2.c) and HTTP/1.1 (edge_h1.c). Everything here belongs to the loop
 * lane. */
#pragma once

#include "gateway/exchange.h"
#include "gateway/limited.h"
#include "gateway/sources.h"

struct h1;
struct wire;

struct edge {
    struct link link;
    struct gateway *gateway;
    struct edge *prev, *next;
    const struct wire *wire;  /* NULL: the client has not shown yet what it speaks */
    nghttp2_session *session; /* HTTP/2 */
    struct exchange *current; /* whose headers are being received */
    struct h1 *h1;
    struct source *source;
    struct exchange *exchanges;
    uint32_t n_exchanges;
    /* The token that came last, by the buffer it lives in: a client repeats its own. */
    nghttp2_rcbuf *token;
    struct principal *principal;
    struct principal *certified; /* the account of its certificate; NULL: not looked for, or none */
    struct alarm watch;          /* handshake, then silence */
    int64_t heard_us;            /* any byte */
    int64_t used_us;             /* a call began or ended */
    int64_t since_us;            /* connected */
    struct progress sent;
    uint16_t refused; /* tokens */
    uint8_t matched;  /* bytes of HTTP/2's preface that came, while wire is NULL */
    bool used;        /* a call has begun on it */
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
void edge_accept(struct gateway *gateway, int fd, const struct sockaddr *from, SSL_CTX *context);
/* Tells every client to go elsewhere: new calls are refused, those under way go on. */
void edges_leave(struct gateway *gateway);
void edges_close(struct gateway *gateway);
/* After accounts were read again: ends the streams of machines, as their account may be gone. */
void edges_renew(struct gateway *gateway);

/* --- the protocols --- */

/* What a protocol does. link is what the connection's link asks for, once the protocol is known; its down is edge_down
 * and its gone edge_gone. */
struct wire {
    struct link_ops link;
    int (*open)(struct edge *edge); /* a negative errno ends the connection */
    void (*close)(struct edge *edge);
    void (*head)(struct edge *edge, struct exchange *x, const nghttp2_nv *nva, size_t n, bool body);
    void (*trailers)(struct edge *edge, int32_t stream, const nghttp2_nv *nva, size_t n);
    void (*resume)(struct edge *edge, int32_t stream);
    void (*reset)(struct edge *edge, int32_t stream, uint32_t error_code);
    void (*consumed)(struct edge *edge, int32_t stream, size_t n);
    void (*leave)(struct edge *edge); /* asks the client to go, once */
    void (*calm)(struct edge *edge);  /* ends it with a client that costs too much */
    /* From time to time: a negative errno closes the connection. */
    int (*look)(struct edge *edge, int64_t now_us);
};
extern const struct wire edge_h2, edge_h1;

/* A call begins, and is closed. */
struct exchange *edge_begin(struct edge *edge, int32_t stream); /* NULL: no memory */
void edge_end(struct edge *edge, struct exchange *x);
void edge_watch(struct edge *edge); /* the next look is due after the usual time */
void edge_down(struct link *link, int why);
void edge_gone(struct link *link);

/* --- for exchanges --- */

int edge_authenticate(struct edge *edge, nghttp2_rcbuf *authorization, struct principal **ret_principal,
                      struct refusal *ret_refusal);

/* The reply's headers; a body follows that is taken by exchange_read and what belongs to it, or this is all. */
static inline void edge_head(struct edge *edge, struct exchange *x, const nghttp2_nv *nva, size_t n, bool body)
{
    edge->wire->head(edge, x, nva, n, body);
}

/* Inside exchange_read: follow the last byte. Else: the call has failed and ends with them, as far as they can be
 * told. */
static inline void edge_trailers(struct edge *edge, int32_t stream, const nghttp2_nv *nva, size_t n)
{
    edge->wire->trailers(edge, stream, nva, n);
}

static inline void edge_resume(struct edge *edge, int32_t stream)
{
    edge->wire->resume(edge, stream);
}

static inline void edge_reset(struct edge *edge, int32_t stream, uint32_t error_code)
{
    edge->wire->reset(edge, stream, error_code);
}

/* Opens the windows of the stream (0: only of the connection). */
static inline void edge_consumed(struct edge *edge, int32_t stream, size_t n)
{
    edge->wire->consumed(edge, stream, n);
}
