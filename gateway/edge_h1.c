/* HTTP/1.1 connections of clients (RFC 9112): one request at a time, answered before the next one is looked at. What an
 * exchange keeps of the head comes from mint.c, so that it cannot tell which protocol it came over. */
#include "gateway/edge.h"

#include "gateway/chunked.h"
#include "gateway/h1_head.h"
#include "gateway/mint.h"

#include <errno.h>
#include <http_parser.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>

#define STREAM    1           /* of every exchange: 0 is the connection */
#define WINDOW    (64 * 1024) /* bytes of a body that wait for whoever serves it, before reading stops */
#define PART_US   (2 * 1000 * 1000)
#define CHUNK     9  /* bytes of a chunk's size, CR LF */
#define CHUNK_END 7  /* CR LF, and 0 CR LF CR LF */
#define ROOM      64 /* for one line of the reply's head */

enum phase {
    HEAD, /* the head of a request is awaited */
    BODY,
    WHOLE, /* it is there, and the answer is awaited */
    OVER,  /* nothing more is read */
};

enum framing { UNDECIDED, LENGTH, CHUNKED, TO_THE_END };

struct h1 {
    enum phase phase;
    enum framing framing; /* of the reply */
    struct pipe held;     /* what came and is not looked at yet: a head, or requests after this one */
    size_t counted;       /* of it, as buffered */
    size_t line;          /* of a head that is not whole: its last line */
    int64_t head_us;      /* when it began */
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

/* --- what is held --- */

static void count(struct edge *edge)
{
    struct h1 *h1 = edge->h1;
    edge->gateway->buffered += pipe_held(&h1->held) - h1->counted;
    edge->source->buffered += pipe_held(&h1->held) - h1->counted;
    h1->counted = pipe_held(&h1->held);
}

static void forget(struct edge *edge)
{
    pipe_finish(&edge->h1->held);
    count(edge);
}

/* --- the end --- */

static void too_late(struct alarm *alarm)
{
    struct edge *edge = (struct edge *)((char *)alarm - offsetof(struct edge, watch));
    if (edge->link.state == LINK_PARTING)
        return link_close(&edge->link, -ETIMEDOUT);
    alarm_start(&edge->link.reactor->wheel, alarm, PART_US, too_late);
}

/* After what is being said nothing more will be. */
static void part(struct edge *edge)
{
    edge->h1->phase = OVER;
    forget(edge);
    link_pause(&edge->link, false);
    link_part(&edge->link);
    alarm_start(&edge->link.reactor->wheel, &edge->watch, PART_US, too_late);
}

/* An answer to what is no request. */
static void refuse(struct edge *edge, enum limit limit, const struct h1_refusal *refusal)
{
    limit_met(limit);
    struct h1 *h1 = edge->h1;
    size_t room = 256 + strlen(refusal->text);
    h1->head = malloc(room);
    h1->head_len = h1->head
                       ? (size_t)snprintf(h1->head, room,
                                          "HTTP/1.1 %s %s\r\ncontent-type: text/plain\r\nconnection: close\r\n"
                                          "content-length: %zu\r\n\r\n%s\n",
                                          refusal->status, http_status_str((enum http_status)atoi(refusal->status)),
                                          strlen(refusal->text) + 1, refusal->text)
                       : 0;
    part(edge);
}

/* --- requests --- */

static void keep_field(void *arg, nghttp2_rcbuf *name, nghttp2_rcbuf *value)
{
    exchange_field(arg, name, value);
}

static void begin_request(struct edge *edge, uint8_t *text, size_t len)
{
    static const struct h1_refusal grpc = { "505", "gRPC needs HTTP/2, because its status is in trailers; gRPC-Web and "
                                                   "Connect are served over HTTP/1.1, too" };
    static const struct h1_refusal malformed = { "400", "the request is malformed" };
    struct h1 *h1 = edge->h1;
    struct h1_head head;
    struct h1_refusal refusal;
    if (!h1_head_read(text, len, edge->link.ssl, &head, &refusal))
        return refuse(edge, LIMIT_PROTOCOL, &refusal);
    if (head.grpc)
        return refuse(edge, LIMIT_PROTOCOL, &grpc);
    struct exchange *x = edge_begin(edge, STREAM);
    if (!x)
        return link_close(&edge->link, -ENOMEM);
    int r = mint_head(head.fields, head.n, keep_field, x);
    if (r < 0) {
        edge_end(edge, x);
        return r == -EPROTO ? refuse(edge, LIMIT_PROTOCOL, &malformed) : link_close(&edge->link, r);
    }
    bool body = head.chunked || head.length;
    h1->phase = body ? BODY : WHOLE;
    h1->is_chunked = head.chunked;
    h1->left = head.length;
    h1->keep = head.keep_alive && !edge->leaving;
    h1->old = head.old;
    h1->headers_only = head.headers_only;
    h1->framing = UNDECIDED;
    chunked_init(&h1->chunked);
    exchange_begin(x, !body);
    h1->go_on = head.expects && body && x->state == REPLY_NONE;
    link_wake(&edge->link);
}

static void body_bytes(struct edge *edge, const uint8_t *data, size_t n)
{
    edge->h1->unread += n;
    exchange_data(edge->exchanges, data, n);
}

/* How many of the bytes belong to the body; a negative errno: it is malformed. */
static ssize_t take_body(struct edge *edge, const uint8_t *data, size_t n)
{
    struct h1 *h1 = edge->h1;
    size_t at = 0, len;
    h1->go_on = false; /* it does */
    if (!h1->is_chunked) {
        at = n < h1->left ? n : (size_t)h1->left;
        h1->left -= at;
        body_bytes(edge, data, at);
    }
    while (h1->is_chunked && at < n && !chunked_ended(&h1->chunked)) {
        ssize_t r = chunked_take(&h1->chunked, data + at, n - at, &len);
        if (r < 0)
            return r;
        at += (size_t)r;
        if (len)
            body_bytes(edge, data + at - len, len);
    }
    if (h1->is_chunked ? chunked_ended(&h1->chunked) : h1->left == 0) {
        h1->phase = WHOLE;
        exchange_end(edge->exchanges);
    }
    return (ssize_t)at;
}

/* The body cannot be understood, and so nothing that comes after it. */
static int bad_body(struct edge *edge)
{
    static const struct h1_refusal malformed = { "400", "the body is not in chunks as it should be" };
    struct exchange *x = edge->exchanges;
    if (x->state != REPLY_NONE)
        return -EPROTO;
    edge_end(edge, x);
    refuse(edge, LIMIT_PROTOCOL, &malformed);
    return 0;
}

static int take_head(struct edge *edge)
{
    static const struct h1_refusal malformed = { "400", "a line of the headers does not end in CR LF, or is folded" };
    static const struct h1_refusal large = { "431", "the headers are larger than 16 KiB" };
    struct h1 *h1 = edge->h1;
    uint32_t held = pipe_held(&h1->held);
    uint8_t *text = (uint8_t *)pipe_peek(&h1->held);
    ssize_t len = h1_head_end(text, held, &h1->line);
    if (len == 0 && held <= HEADERS_MAX)
        return 0;
    if (len > HEADERS_MAX || len == 0)
        refuse(edge, LIMIT_HEAD_SIZE, &large);
    else if (len < 0)
        refuse(edge, LIMIT_PROTOCOL, &malformed);
    h1->line = 0;
    if (h1->phase == OVER)
        return 0;
    if (len > 2) /* else it is an empty line, which may stand before a request */
        begin_request(edge, text, (size_t)len);
    if (h1->phase != OVER)
        pipe_take(&h1->held, (uint32_t)len);
    return 1;
}

/* As far as what is held goes. */
static int advance(struct edge *edge)
{
    struct h1 *h1 = edge->h1;
    int more = 1;
    while (more && pipe_held(&h1->held) && edge->link.state == LINK_OPEN) {
        if (h1->phase == HEAD) {
            more = take_head(edge);
        } else if (h1->phase == BODY) {
            ssize_t n = take_body(edge, pipe_peek(&h1->held), pipe_held(&h1->held));
            if (n < 0)
                return bad_body(edge);
            pipe_take(&h1->held, (uint32_t)n);
        } else {
            more = 0;
        }
    }
    count(edge);
    link_pause(&edge->link, h1->phase == WHOLE && pipe_held(&h1->held)); /* the next one waits for its turn */
    if (h1->phase == BODY && h1->unread > WINDOW)
        link_pause(&edge->link, true);
    return 0;
}

static int input(struct link *link, const uint8_t *data, size_t n)
{
    static const struct h1_refusal full = { "503", "the gateway holds too much already" };
    struct edge *edge = (struct edge *)link;
    struct h1 *h1 = edge->h1;
    edge->heard_us = wheel_now_us();
    if (h1->phase == OVER)
        return 0;
    if (h1->phase == BODY && pipe_held(&h1->held) == 0) {
        ssize_t used = take_body(edge, data, n);
        if (used < 0)
            return bad_body(edge);
        data += used;
        n -= (size_t)used;
    }
    if (h1->phase == HEAD && pipe_held(&h1->held) == 0)
        h1->head_us = edge->heard_us;
    if (!pipe_put(&h1->held, data, (uint32_t)n))
        return -ENOMEM;
    count(edge);
    if (n && (edge->gateway->buffered > edge->gateway->limits.buffered ||
              edge->source->buffered > edge->gateway->limits.source_buffered)) {
        if (edge->exchanges)
            return -ENOBUFS;
        refuse(edge, LIMIT_BUFFERED, &full);
        return 0;
    }
    return advance(edge);
}

/* --- replies --- */

static size_t put(struct outbuf *out, const void *data, size_t n)
{
    memcpy(out->data + out->len, data, n);
    out->len += n;
    return n;
}

static size_t room_in(const struct outbuf *out)
{
    return sizeof(out->data) - out->len;
}

/* The last line of the head: how long the reply is, which is known if all of it is there. */
static void put_head(struct edge *edge, struct outbuf *out, bool whole, size_t n)
{
    struct h1 *h1 = edge->h1;
    bool silent = !h1->body || h1->headers_only;
    put(out, h1->head, h1->head_len);
    free(h1->head);
    h1->head = NULL;
    if (!edge->exchanges->call.request_ended)
        h1->keep = false;
    if (!h1->keep)
        put(out, "connection: close\r\n", 19);
    if (h1->framing == UNDECIDED && (whole || !h1->body)) {
        h1->framing = LENGTH;
        h1->reply_left = n;
        out->len += (size_t)snprintf((char *)out->data + out->len, ROOM, "content-length: %zu\r\n", n);
    } else if (h1->framing == UNDECIDED) {
        h1->framing = h1->old ? TO_THE_END : CHUNKED;
        if (h1->framing == CHUNKED)
            put(out, "transfer-encoding: chunked\r\n", 28);
    }
    put(out, "\r\n", 2);
    if (silent)
        h1->framing = LENGTH;
}

static void put_bytes(struct edge *edge, struct outbuf *out, size_t n)
{
    struct h1 *h1 = edge->h1;
    struct exchange *x = edge->exchanges;
    size_t before = out->len;
    if (h1->framing == LENGTH)
        h1->reply_left -= n < h1->reply_left ? n : h1->reply_left;
    if (h1->framing == CHUNKED)
        out->len += (size_t)snprintf((char *)out->data + out->len, CHUNK + 1, "%zx\r\n", n);
    exchange_take(x, out, n);
    if (h1->framing == CHUNKED)
        put(out, "\r\n", 2);
    if (h1->headers_only)
        out->len = before;
}

/* The answer is given. Then it is the turn of what came meanwhile. */
static int answered(struct edge *edge)
{
    struct h1 *h1 = edge->h1;
    bool whole = h1->phase == WHOLE;
    edge_end(edge, edge->exchanges);
    h1->unread = 0;
    if (h1->keep && !edge->leaving && whole && !h1->broken) {
        h1->phase = HEAD;
        h1->head_us = wheel_now_us();
        link_pause(&edge->link, false);
        int r = advance(edge);
        return r < 0 ? r : edge->exchanges != NULL;
    }
    if (whole && pipe_held(&h1->held) == 0) {
        h1->phase = OVER;
        link_finish(&edge->link);
    } else {
        part(edge);
    }
    return 0;
}

/* As much of the reply as there is room for: 1: there is more, or the next one; 0; a negative errno. */
static int put_reply(struct edge *edge, struct outbuf *out)
{
    struct h1 *h1 = edge->h1;
    struct exchange *x = edge->exchanges;
    if (h1->head && !h1->body) {
        put_head(edge, out, true, 0);
        return answered(edge);
    }
    size_t lines = h1->head ? h1->head_len + 3 * ROOM : 0;
    while (room_in(out) > lines + CHUNK + CHUNK_END + 4096) {
        uint32_t flags = 0;
        h1->reading = true;
        ssize_t n = exchange_read(x, room_in(out) - lines - CHUNK - CHUNK_END, &flags);
        h1->reading = false;
        if (n < 0 && n != NGHTTP2_ERR_DEFERRED)
            return -EPROTO;
        bool end = n >= 0 && (flags & NGHTTP2_DATA_FLAG_EOF);
        if (h1->head)
            put_head(edge, out, end, n > 0 ? (size_t)n : 0);
        lines = 0;
        if (n == NGHTTP2_ERR_DEFERRED)
            return 0;
        if (n > 0)
            put_bytes(edge, out, (size_t)n);
        if (!end)
            continue;
        if (h1->framing == LENGTH && h1->reply_left && !h1->headers_only)
            return -EPROTO;
        if (h1->framing == CHUNKED)
            put(out, "0\r\n\r\n", 5);
        return answered(edge);
    }
    return 1;
}

static int output(struct link *link, struct outbuf *out)
{
    struct edge *edge = (struct edge *)link;
    struct h1 *h1 = edge->h1;
    if (h1->go_on)
        put(out, "HTTP/1.1 100 Continue\r\n\r\n", 25);
    h1->go_on = false;
    if (!edge->exchanges) {
        if (h1->head)
            put(out, h1->head, h1->head_len);
        free(h1->head);
        h1->head = NULL;
        return 0;
    }
    if (h1->broken)
        return -ECANCELED;
    if (!h1->head && h1->framing == UNDECIDED)
        return 0;
    return put_reply(edge, out);
}

/* --- what exchanges ask for --- */

static bool is_named(const nghttp2_nv *nv, const char *name)
{
    return nv->namelen == strlen(name) && memcmp(nv->name, name, nv->namelen) == 0;
}

/* Lines of the reply's head but for the last ones, which put_head adds. Values come from processes behind, which are
 * believed, but not so far that they could end a line. */
static void head(struct edge *edge, struct exchange *x, const nghttp2_nv *nva, size_t n, bool body)
{
    struct h1 *h1 = edge->h1;
    size_t room = 3 * ROOM;
    int status = 500;
    for (size_t i = 0; i < n; i++)
        room += nva[i].namelen + nva[i].valuelen + 4;
    link_wake(&edge->link);
    h1->head = room < LINK_OUT / 2 ? malloc(room) : NULL;
    if (!h1->head) {
        h1->broken = true;
        return;
    }
    if (n && is_named(&nva[0], ":status") && nva[0].valuelen == 3)
        status = (nva[0].value[0] - '0') * 100 + (nva[0].value[1] - '0') * 10 + nva[0].value[2] - '0';
    char *at =
        h1->head + snprintf(h1->head, ROOM, "HTTP/1.1 %d %s\r\n", status, http_status_str((enum http_status)status));
    for (size_t i = 0; i < n; i++) {
        if (nva[i].name[0] == ':' || !nghttp2_check_header_value(nva[i].value, nva[i].valuelen))
            continue;
        if (is_named(&nva[i], "content-length")) {
            h1->framing = LENGTH;
            h1->reply_left = strtoull((const char *)nva[i].value, NULL, 10);
        }
        at = mempcpy(at, nva[i].name, nva[i].namelen);
        at = mempcpy(at, ": ", 2);
        at = mempcpy(at, nva[i].value, nva[i].valuelen);
        at = mempcpy(at, "\r\n", 2);
    }
    if (status == 204 || status == 304) /* they have neither a body nor a length */
        h1->framing = LENGTH;
    h1->head_len = (size_t)(at - h1->head);
    h1->body = body;
}

/* Whoever has no trailers does without; but for a reply that breaks off, which must not look whole. */
static void trailers(struct edge *edge, int32_t stream, const nghttp2_nv *nva, size_t n)
{
    edge->h1->broken |= !edge->h1->reading;
    link_wake(&edge->link);
}

static void resume(struct edge *edge, int32_t stream)
{
    link_wake(&edge->link);
}

static void reset(struct edge *edge, int32_t stream, uint32_t error_code)
{
    edge->h1->broken = true;
    link_wake(&edge->link);
}

static void consumed(struct edge *edge, int32_t stream, size_t n)
{
    struct h1 *h1 = edge->h1;
    h1->unread -= n < h1->unread ? n : h1->unread;
    if (h1->phase == BODY && h1->unread <= WINDOW / 2)
        link_pause(&edge->link, false);
}

/* --- the connection --- */

/* Nobody can be asked for a sign of life: the kernel asks. */
static int open_h1(struct edge *edge)
{
    int on = 1, idle_s = (int)(edge->gateway->limits.quiet_us / 1000000) + 1, between_s = 10, n = 3;
    setsockopt(edge->link.fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    setsockopt(edge->link.fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
    setsockopt(edge->link.fd, IPPROTO_TCP, TCP_KEEPINTVL, &between_s, sizeof(between_s));
    setsockopt(edge->link.fd, IPPROTO_TCP, TCP_KEEPCNT, &n, sizeof(n));
    edge->h1 = calloc(1, sizeof(*edge->h1));
    return edge->h1 ? 0 : -ENOMEM;
}

static void close_h1(struct edge *edge)
{
    if (!edge->h1)
        return;
    forget(edge);
    free(edge->h1->head);
    free(edge->h1);
    edge->h1 = NULL;
}

/* The answer that is under way is the last one; without one there is nothing to wait for. */
static void leave(struct edge *edge)
{
    struct h1 *h1 = edge->h1;
    h1->keep = false;
    if (edge->exchanges || h1->phase == OVER)
        return;
    if (pipe_held(&h1->held))
        return part(edge);
    h1->phase = OVER;
    link_finish(&edge->link);
}

static void calm(struct edge *edge)
{
    edge->h1->keep = false;
}

static int look(struct edge *edge, int64_t now_us)
{
    static const struct h1_refusal slow = { "408", "the headers took too long" };
    struct h1 *h1 = edge->h1;
    if (h1->phase == HEAD && pipe_held(&h1->held) && now_us - h1->head_us >= edge->gateway->limits.head_us)
        refuse(edge, LIMIT_HEAD, &slow);
    if (edge->exchanges && !exchange_look(edge->exchanges, now_us))
        return -ETIMEDOUT;
    return 0;
}

const struct wire edge_h1 = {
    .link = { NULL, input, output, edge_down, edge_gone },
    .open = open_h1,
    .close = close_h1,
    .head = head,
    .trailers = trailers,
    .resume = resume,
    .reset = reset,
    .consumed = consumed,
    .leave = leave,
    .calm = calm,
    .look = look,
};
