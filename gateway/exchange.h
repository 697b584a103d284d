/* One call of a client: its headers, who may make it, its bytes both ways, its end. Who answers it is a struct server.
 * Everything here belongs to the loop lane. */
#pragma once

#include "gateway/answer.h"
#include "gateway/gateway.h"
#include "gateway/sources.h"
#include "gateway/upstream.h"
#include "mesh/base/trace.h"

#define HEADERS_MAX (16 * 1024) /* of a request: names, values and 32 for each, as HTTP/2 counts */
#define PREFIX      5           /* of a gRPC message: compressed flag, length */

enum reply_state {
    REPLY_NONE,
    REPLY_HEADED, /* headers are on their way */
    REPLY_ENDED,  /* trailers are known and follow the last byte */
    REPLY_DONE,   /* the end is on its way */
};

/* How a peer gets on with taking what is there for it, as it is looked at from time to time. */
struct progress {
    uint64_t at; /* bytes that it had taken */
    int64_t us;  /* by then; 0: nothing was there */
};
/* False: something is there, and less than STALLED_LEAST bytes of it were taken for so long. */
bool progress_look(struct progress *progress, bool waits, uint64_t taken, int64_t now_us, int64_t stalled_us);

struct exchange {
    struct gateway *gateway;
    struct edge *edge; /* NULL: the client's stream is closed */
    struct source *source;
    struct exchange *prev, *next;
    int32_t stream;
    enum reply_state state;
    enum rpc_code code; /* what the client is told */
    struct route *route;
    const struct server *server;     /* NULL: not begun, or ended */
    struct translation *translation; /* NULL: the client speaks gRPC */
    struct principal *principal;
    nghttp2_rcbuf *path, *authorization, *timeout, *traceparent, *target; /* NULL: not sent */
    nghttp2_rcbuf *verb, *content; /* :method and content-type; NULL: POST, and gRPC's, or not sent */
    struct alarm deadline, repeat;
    int64_t repeat_us, sent_us;
    const void *avoid;             /* the connection that the last attempt was on; only compared */
    int64_t begun_us, deadline_us; /* deadline 0: none */
    int64_t ends_us;               /* the deadline, or when the token of a stream expires; 0: neither */
    uint64_t request_bytes;        /* that came */
    uint64_t taken;                /* bytes of the reply, by the client */
    struct progress progress;      /* with them */
    uint32_t header_bytes;         /* that came */
    uint32_t header_held;          /* of these, in the fields */
    uint32_t message_bytes;        /* the first message's length, once PREFIX bytes came */
    uint32_t unconsumed;           /* of the request: the client's window is not opened for them yet */
    uint32_t again;                /* of the request: they go out a second time */
    bool post, content_ok;
    bool proofs_many;  /* of who calls: authorization and x-api-key, or one of them twice */
    bool fields_many;  /* more than FIELDS_MAX, of the request or of the reply */
    bool reply_parked; /* nghttp2 waits for more of the reply */
    bool releasing;
    uint8_t attempts; /* to find a process */
    uint8_t repeats;  /* of a call that a process had begun */
    bool answered;    /* a reply has begun to this attempt */
    bool repeating;   /* what came of the reply does not count: it is sent again after repeat_us */
    bool reply_coded; /* the process behind said grpc-status: */
    uint8_t reply_code;
    int8_t process;
    uint8_t prefix[PREFIX]; /* the first bytes of the request */
    void *own;              /* the state of local.c or hub.c */
    char *block;
    char timeout_text[16], trace_text[TRACE_TEXT]; /* of the trace: empty without one */
    uint8_t client_span[8];                        /* that the call is a part of; all zero: none */
    /* below: not zeroed, each has its init */
    struct fields extra; /* of the request: what is passed on as it came */
    struct fields head, trailers;
    struct upcall call; /* its pipe is the request's, whoever serves it */
    struct pipe reply;
};

/* So many bytes more, or less, are held for it. */
static inline void exchange_hold(struct exchange *x, ptrdiff_t n)
{
    x->gateway->buffered += (size_t)n;
    x->source->buffered += (size_t)n;
}

/* With n bytes more the gateway would hold too much, for all or for one source. Counted. */
bool exchange_is_full(const struct exchange *x, size_t n);

/* --- for the edge --- */
struct exchange *exchange_create(struct gateway *gateway, struct edge *edge, int32_t stream); /* NULL: no memory */
void exchange_field(struct exchange *x, nghttp2_rcbuf *name, nghttp2_rcbuf *value);
void exchange_begin(struct exchange *x, bool end);
void exchange_data(struct exchange *x, const uint8_t *data, size_t n);
void exchange_end(struct exchange *x);
/* The client's stream is closed; x is freed now or when its call is. */
void exchange_closed(struct exchange *x);
/* nghttp2's data source of the reply. */
ssize_t exchange_read(struct exchange *x, size_t room, uint32_t *flags);
int exchange_send(struct exchange *x, struct outbuf *out, const uint8_t *frame_header, size_t n);
/* The same without a frame: n bytes, as many as exchange_read has said, and for which there is room. */
void exchange_take(struct exchange *x, struct outbuf *out, size_t n);

/* --- for dialects (gateway/dialect.h) --- */
/* Bytes of the request, as gRPC frames them; what is in the pipe is all. The exchange may have failed after either. */
void exchange_request(struct exchange *x, const uint8_t *data, size_t n);
void exchange_request_ended(struct exchange *x);
/* What goes over HTTP as it is: headers, the body after them, or headers that are all. */
void exchange_http_head(struct exchange *x, const nghttp2_nv *nva, size_t n);
bool exchange_http_body(struct exchange *x, const void *data, size_t n); /* false: there is no room */
void exchange_http_only(struct exchange *x, const nghttp2_nv *nva, size_t n);
/* There is no way to say more. */
void exchange_reset(struct exchange *x);

/* From time to time: one whose request takes too long fails; false: the client does not take the reply. */
bool exchange_look(struct exchange *x, int64_t now_us);

/* --- for servers --- */
/* Ends the exchange with an error of the gateway's own, at once. Aborts the server unless it is it who says so and has
 * taken x->server away. */
void exchange_fail(struct exchange *x, const struct answer *answer);
/* The same with a status as a service gave it. */
void exchange_fail_status(struct exchange *x, const struct rpc_status *status);
void exchange_head(struct exchange *x, const nghttp2_nv *nva, size_t n);
/* False: the gateway or the exchange is full; then it has failed. */
bool exchange_put(struct exchange *x, const void *data, size_t n);
/* All of the reply is put; x->trailers, or OK if there are none, follow it. */
void exchange_finish(struct exchange *x, enum rpc_code code);
/* The reply is nothing but these trailers, code being what they say. */
void exchange_only(struct exchange *x, enum rpc_code code, const nghttp2_nv *nva, size_t n);
/* n bytes of the request went on: the client may send more. */
void exchange_request_taken(struct exchange *x, size_t n);
/* Whoever held x->call open is done with it. */
void exchange_release(struct exchange *x);

/* The request's headers and the last message are not needed any more: for exchanges that last. */
void exchange_shed(struct exchange *x);

/* --- messages, for servers of the gateway's own --- */
/* The next whole message of the request. 1: there is one, until the next call; 0: not yet, or no more; -EMSGSIZE when
 * it is larger than 32 KiB; -EOPNOTSUPP when it is compressed. */
int exchange_message(struct exchange *x, struct bytes *ret_message);
/* Headers if they are not sent yet, then the message. */
bool exchange_put_message(struct exchange *x, struct bytes message);
/* The microseconds that are left, or INT64_MAX. */
int64_t exchange_left_us(const struct exchange *x);
