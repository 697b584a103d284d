/* An HTTP/1.1 connection as its two halves share it: requests and the connection (edge_h1.c), replies (h1_reply.c). */
#pragma once

#include "gateway/chunked.h"
#include "gateway/edge.h"

enum h1_phase {
    HEAD, /* the head of a request is awaited */
    BODY,
    WHOLE, /* it is there, and the answer is awaited */
    OVER,  /* nothing more is read */
};

enum h1_framing { UNDECIDED, LENGTH, CHUNKED, TO_THE_END };

struct h1 {
    enum h1_phase phase;
    enum h1_framing framing; /* of the reply */
    struct pipe held;        /* what came and is not looked at yet: a head, or requests after this one */
    size_t counted;          /* of it, as buffered */
    size_t line;             /* of a head that is not whole: its last line */
    int64_t head_us;         /* when it began */
    struct chunked chunked;
    uint64_t left; /* of a body with a length */
    size_t unread; /* bytes of the body that nobody has taken yet */
    char *head;    /* of the reply: status line and headers, until they are written */
    size_t head_len;
    uint64_t reply_left; /* with a length */
    bool is_chunked;     /* the request */
    bool body;           /* the reply has one */
    bool keep;           /* the connection, after this answer */
    bool old, headers_only;
    bool go_on;   /* 100 Continue is to be said */
    bool reading; /* inside exchange_read */
    bool broken;  /* the reply cannot be ended as it should be */
};

/* For which there is room. */
static inline void h1_put(struct outbuf *out, const void *data, size_t n)
{
    memcpy(out->data + out->len, data, n);
    out->len += n;
}

/* The reply's status line and headers, as wire.head. */
void h1_reply_head(struct h1 *h1, const nghttp2_nv *nva, size_t n, bool body);
enum h1_reply { H1_WAITS, H1_MORE, H1_GIVEN, H1_BROKEN };
/* As much of the reply as there is, and room for. */
enum h1_reply h1_reply_put(struct h1 *h1, struct exchange *x, struct outbuf *out);
