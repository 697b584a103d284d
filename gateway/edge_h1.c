/* HTTP/1.1 connections of clients (RFC 9112): one request at a time, answered before the next one is looked at. What an
 * exchange keeps of the head comes from mint.c, so that it cannot tell which protocol it came over. */
#include "gateway/h1.h"

#include "gateway/h1_head.h"
#include "gateway/mint.h"

#include <errno.h>
#include <http_parser.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>

#define STREAM  1           /* of every exchange: 0 is the connection */
#define WINDOW  (64 * 1024) /* bytes of a body that wait for whoever serves it, before reading stops */
#define PART_US (2 * 1000 * 1000)

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
    if (!progress_look(&edge->sent, edge->link.backlog, edge->link.written, wheel_now_us(),
                       edge->gateway->limits.stalled_us)) {
        limit_met(LIMIT_STALLED);
        return link_close(&edge->link, -ETIMEDOUT);
    }
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

/* --- what is said --- */

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
        return r < 0 ? r : edge->exchanges || edge->h1->head;
    }
    if (whole && pipe_held(&h1->held) == 0) {
        h1->phase = OVER;
        link_finish(&edge->link);
    } else {
        part(edge);
    }
    return 0;
}

static int output(struct link *link, struct outbuf *out)
{
    struct edge *edge = (struct edge *)link;
    struct h1 *h1 = edge->h1;
    if (h1->go_on)
        h1_put(out, "HTTP/1.1 100 Continue\r\n\r\n", 25);
    h1->go_on = false;
    if (!edge->exchanges) {
        if (h1->head)
            h1_put(out, h1->head, h1->head_len);
        free(h1->head);
        h1->head = NULL;
        return 0;
    }
    if (h1->broken)
        return -ECANCELED;
    if (!h1->head && h1->framing == UNDECIDED)
        return 0;
    switch (h1_reply_put(h1, edge->exchanges, out)) {
    case H1_MORE:
        return 1;
    case H1_GIVEN:
        return answered(edge);
    case H1_BROKEN:
        return -EPROTO;
    default:
        return 0;
    }
}

/* --- what exchanges ask for --- */

static void head(struct edge *edge, struct exchange *x, const nghttp2_nv *nva, size_t n, bool body)
{
    h1_reply_head(edge->h1, nva, n, body);
    link_wake(&edge->link);
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
