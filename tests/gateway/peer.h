/* The other ends of the gateway in tests, in the same process and on the same loop: a client of it, and a backend
 * behind it. Both speak HTTP/2 by nghttp2; what they do is said by the test. */
#pragma once

#include "gateway/h2.h"

struct peer;
struct backend;

/* One stream as either end sees it. */
struct call {
    struct peer *peer;
    struct call *next;
    int32_t id;
    char head[4096], trailers[2048]; /* what came: "name: value\n" */
    uint8_t *body;                   /* the first kept_max bytes that came */
    size_t body_len, kept;
    bool headed, ended, closed, begun;
    uint32_t error; /* of RST_STREAM, once closed */
    struct pipe out;
    bool out_end, parked, replied;
    char out_trailers[512]; /* "name: value\n" */
    char request_head[2048];
    size_t unread; /* bytes that a slow reader has not taken yet */
    void *data;
};

struct peer {
    struct link link;
    nghttp2_session *session;
    struct backend *backend; /* NULL: a client */
    struct call *calls;
    struct peer *next;
    bool slow, ready, down, got_goaway;
    int why;
};

/* --- clients --- */
extern struct peer *all_peers; /* streams and peers outlive their connection, so that a test can look at them */
struct peer *peer_connect(struct reactor *reactor, int port, SSL_CTX *context, const char *name);
/* extra: "name: value\n"…, path "/pkg.Service/Method". POST, application/grpc and te are added unless extra has them.
 */
struct call *peer_call(struct peer *peer, const char *path, const char *extra);
struct call *peer_bare(struct peer *peer, const char *path, const char *extra); /* without a body, and ended */
void peer_close(struct peer *peer);                                             /* at once, as by kill -9 */

/* --- backends --- */
struct backend {
    struct reactor *reactor;
    SSL_CTX *context;
    uv_poll_t poll;
    int fd, port;
    struct peer *peers;
    int n_requests; /* but for health checks */
    int n_connections;
    bool sick; /* health says NOT_SERVING */
    bool slow; /* readers by default */
    /* Headers came / bytes came or the request ended. NULL: nothing. */
    void (*begin)(struct call *call);
    void (*more)(struct call *call);
    void *data;
};
void backend_start(struct backend *backend, struct reactor *reactor, SSL_CTX *context, int port);
void backend_stop(struct backend *backend); /* refuses connections from now on */
void backend_kill(struct backend *backend); /* and drops those that are open */
/* GOAWAY that names the streams up to last as processed. */
void backend_goaway(struct backend *backend, int32_t last);

/* --- streams --- */
void call_head(struct call *call, const char *fields); /* a backend's reply: ":status: 200\n…"; NULL: gRPC's */
void call_put(struct call *call, const void *data, size_t n);
void call_put_message(struct call *call, const void *data, size_t n); /* with its prefix */
void call_end(struct call *call);                                     /* a client's: no more */
void call_trailers(struct call *call, const char *fields);            /* a backend's end: "grpc-status: 0\n" */
void call_only(struct call *call, const char *fields);                /* a backend's reply that is only trailers */
void call_reset(struct call *call, uint32_t error_code);
void call_read(struct call *call, size_t n); /* a slow reader takes n bytes */
/* A whole unary reply. */
void call_reply(struct call *call, const void *data, size_t n);
/* The value of a field that came in head or trailers; "" if it did not. Static buffer. */
const char *call_field(const struct call *call, const char *name);
int call_status(const struct call *call); /* grpc-status, -1: none */
/* The ErrorInfo reason in grpc-status-details-bin; "" if there is none. Static buffer. */
const char *call_reason(const struct call *call);
/* The first field that BadRequest names, or subject of PreconditionFailure; "" if there is none. Static buffer. */
const char *call_violation(const struct call *call);
int64_t call_retry_us(const struct call *call); /* RetryInfo; 0: none */
