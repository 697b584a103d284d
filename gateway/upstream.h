/* A connection to one process behind: the client side of HTTP/2, over mTLS where that is configured, with the calls
 * that run on it. Everything here belongs to the loop lane. */
#pragma once

#include "gateway/h2.h"

struct upstream;
struct upcall;

#define UPCALL_LOST UINT32_MAX /* as an error code: the connection went down */

struct upcall_ops {
    /* A field of the reply's headers or trailers. */
    void (*field)(struct upcall *call, nghttp2_rcbuf *name, nghttp2_rcbuf *value);
    /* The headers are complete; end: and nothing follows (trailers, or a reply that is only trailers). */
    void (*head)(struct upcall *call, bool end);
    /* Bytes of the reply: whoever takes them says upcall_consumed once it has room for more. */
    void (*data)(struct upcall *call, const uint8_t *data, size_t n);
    /* DATA ended the stream without trailers. */
    void (*end)(struct upcall *call);
    /* n bytes of the request went out. */
    void (*taken)(struct upcall *call, size_t n);
    /* The stream is over, exactly once. unprocessed: the other side has not begun to work on it. */
    void (*closed)(struct upcall *call, uint32_t error_code, bool unprocessed);
};

/* One stream. Embedded in what uses it, which must live until closed. */
struct upcall {
    const struct upcall_ops *ops;
    struct upstream *upstream; /* NULL: none, or closed */
    struct upcall *prev, *next;
    int32_t stream;
    bool parked;        /* nghttp2 waits for upcall_wake */
    bool request_ended; /* what is in the pipe is all */
    bool sent;          /* a byte of the request's body went out */
    bool cancelled;     /* and takes nobody's place any more */
    struct pipe request;
};

struct upstream_owner {
    /* Ready for calls; and no longer: either it takes no new calls (GOAWAY) or it is gone, why as a negative errno. */
    void (*up)(struct upstream *upstream);
    void (*leaving)(struct upstream *upstream);
    void (*down)(struct upstream *upstream, int why);
};

#define UPSTREAM_CALLERS 8

struct upstream {
    struct link link;
    nghttp2_session *session;
    const struct upstream_owner *owner;
    void *owner_data;
    struct upcall *calls;
    struct upcall *current; /* whose headers are being received */
    uint32_t in_flight;
    bool ready, leaving;
    bool taught; /* the names that change their value with every call are in the header table */
    const void *callers[UPSTREAM_CALLERS]; /* who called last, by a hash: see forward.c */
    struct alarm handshake;
};

/* Starts to connect. process is the name that the certificate must carry; context NULL: cleartext. NULL: no memory or
 * no socket. It lives until down was told. */
struct upstream *upstream_connect(struct reactor *reactor, const struct sockaddr *address, const char *process,
                                  SSL_CTX *context, const struct upstream_owner *owner, void *owner_data);
/* No new calls; it goes when the last one is done. */
void upstream_leave(struct upstream *upstream);
void upstream_close(struct upstream *upstream);

/* Sends a request; the fields must stay valid until the call is closed or has got its reply's headers. 0, -ENOMEM
 * or -EAGAIN (this connection takes no more calls), and then closed does not come. */
int upcall_start(struct upcall *call, struct upstream *upstream, const nghttp2_nv *nva, size_t n);
/* There is more in the pipe, or the request has ended. */
void upcall_wake(struct upcall *call);
void upcall_consumed(struct upcall *call, size_t n);
/* closed still comes. */
void upcall_cancel(struct upcall *call, uint32_t error_code);
