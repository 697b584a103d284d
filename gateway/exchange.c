/* The life of a call on the client's side. Memory is bounded by flow control: the client's window is opened by what the
 * server took, the server's by what the client took. */
#include "gateway/exchange.h"

#include "gateway/access.h"
#include "gateway/dialect.h"
#include "gateway/edge.h"
#include "gateway/record.h"
#include "mesh/base/say.h"

#include <errno.h>
#include <stddef.h>

#define POOL_MAX        512
#define OWN_MESSAGE_MAX (32 * 1024)       /* half the window of a stream, so that a whole one always fits */
#define FAREWELL_US     (5 * 1000 * 1000) /* for what is said after a failure */

static const nghttp2_nv reply_head[] = { H2_FIELD(":status", "200"), H2_FIELD("content-type", "application/grpc") };
static const nghttp2_nv status_ok[] = { H2_FIELD("grpc-status", "0") };

/* --- life --- */

struct exchange *exchange_create(struct gateway *gateway, struct edge *edge, int32_t stream)
{
    struct exchange *x = gateway->pool;
    if (x) {
        gateway->pool = x->next;
        gateway->n_pool--;
    } else if (!(x = malloc(sizeof(*x)))) {
        return NULL;
    }
    memset(x, 0, offsetof(struct exchange, extra));
    fields_init(&x->extra);
    fields_init(&x->head);
    fields_init(&x->trailers);
    memset(&x->call, 0, offsetof(struct upcall, request));
    pipe_init(&x->call.request);
    pipe_init(&x->reply);
    x->gateway = gateway;
    x->edge = edge;
    x->source = edge->source;
    source_keep(x->source);
    x->source->calls++;
    x->stream = stream;
    x->begun_us = wheel_now_us();
    gateway->n_exchanges++;
    return x;
}

bool exchange_is_full(const struct exchange *x, size_t n)
{
    const struct gateway_limits *limits = &x->gateway->limits;
    if (x->gateway->buffered + n <= limits->buffered && x->source->buffered + n <= limits->source_buffered)
        return false;
    limit_met(LIMIT_BUFFERED);
    return true;
}

static void drop(nghttp2_rcbuf **field)
{
    if (*field)
        nghttp2_rcbuf_decref(*field);
    *field = NULL;
}

static void drop_fields(struct exchange *x)
{
    drop(&x->path);
    drop(&x->authorization);
    drop(&x->timeout);
    drop(&x->traceparent);
    drop(&x->target);
    drop(&x->verb);
    drop(&x->content);
    fields_finish(&x->extra);
    exchange_hold(x, -(ptrdiff_t)x->header_held);
    x->header_held = 0;
}

void exchange_shed(struct exchange *x)
{
    pipe_take(&x->call.request, 0);
    drop_fields(x);
}

static void empty_reply(struct exchange *x)
{
    exchange_hold(x, -(ptrdiff_t)pipe_held(&x->reply));
    pipe_finish(&x->reply);
}

void exchange_release(struct exchange *x)
{
    struct gateway *gateway = x->gateway;
    if (x->edge || x->call.upstream || x->releasing)
        return;
    x->releasing = true;
    alarm_stop(&x->deadline);
    drop_fields(x);
    fields_finish(&x->head);
    fields_finish(&x->trailers);
    empty_reply(x);
    exchange_hold(x, -(ptrdiff_t)x->unconsumed);
    pipe_finish(&x->call.request);
    translation_finish(x);
    principal_unref(x->principal);
    free(x->block);
    gateway->n_exchanges--;
    x->source->calls--;
    source_drop(gateway->sources, x->source);
    if (gateway->n_pool == POOL_MAX) {
        free(x);
        return;
    }
    x->next = gateway->pool;
    gateway->pool = x;
    gateway->n_pool++;
}

/* What came and is not wanted any more must not close the connection's window for the other calls. */
static void discard_request(struct exchange *x)
{
    if (x->translation)
        translation_discard(x);
    else if (x->edge && x->unconsumed)
        edge_consumed(x->edge, 0, x->unconsumed);
    exchange_hold(x, -(ptrdiff_t)x->unconsumed);
    x->unconsumed = 0;
    pipe_finish(&x->call.request);
}

static void abort_server(struct exchange *x)
{
    const struct server *server = x->server;
    x->server = NULL;
    if (server)
        server->abort(x);
}

void exchange_closed(struct exchange *x)
{
    if (x->state != REPLY_DONE)
        x->code = RPC_CANCELLED;
    record_end(x);
    alarm_stop(&x->deadline);
    discard_request(x);
    x->edge = NULL;
    abort_server(x);
    exchange_release(x);
}

/* --- the request --- */

static void keep(nghttp2_rcbuf **slot, nghttp2_rcbuf *value)
{
    if (*slot)
        return;
    nghttp2_rcbuf_incref(value);
    *slot = value;
}

static void keep_proof(struct exchange *x, nghttp2_rcbuf *value)
{
    x->proofs_many |= x->authorization != NULL;
    keep(&x->authorization, value);
}

static bool is(nghttp2_vec v, const char *text, size_t len)
{
    return v.len == len && memcmp(v.base, text, len) == 0;
}
#define IS(v, text)     is(v, text, sizeof(text) - 1)
#define STARTS(v, text) ((v).len >= sizeof(text) - 1 && memcmp((v).base, text, sizeof(text) - 1) == 0)

static bool content_is_grpc(nghttp2_vec v)
{
    static const char grpc[] = "application/grpc";
    return STARTS(v, grpc) && (v.len == sizeof(grpc) - 1 || v.base[16] == '+' || v.base[16] == ';');
}

/* What the gateway reads itself, and says anew or not at all. */
static bool read_field(struct exchange *x, nghttp2_vec name, nghttp2_rcbuf *value)
{
    switch (name.len) {
    case 2:
        return IS(name, "te");
    case 5:
        if (IS(name, ":path"))
            keep(&x->path, value);
        return IS(name, ":path");
    case 7:
        if (IS(name, ":method") && !(x->post = IS(nghttp2_rcbuf_get_buf(value), "POST")))
            keep(&x->verb, value);
        return name.base[0] == ':';
    case 9:
        if (IS(name, "x-api-key"))
            keep_proof(x, value);
        return IS(name, "x-api-key");
    case 10:
        return IS(name, ":authority");
    case 11:
        if (IS(name, "traceparent"))
            keep(&x->traceparent, value);
        return IS(name, "traceparent");
    case 12:
        if (IS(name, "content-type") && !(x->content_ok = content_is_grpc(nghttp2_rcbuf_get_buf(value))))
            keep(&x->content, value);
        else if (IS(name, "content-type"))
            return true;
        else if (IS(name, "grpc-timeout"))
            keep(&x->timeout, value);
        else if (IS(name, "mesh-service"))
            keep(&x->target, value);
        else
            return false;
        return true;
    case 13:
        if (IS(name, "authorization"))
            keep_proof(x, value);
        return IS(name, "authorization") || IS(name, "grpc-encoding");
    case 20:
        return IS(name, "grpc-accept-encoding");
    default:
        return IS(name, "host") || IS(name, "content-length");
    }
}

void exchange_field(struct exchange *x, nghttp2_rcbuf *name, nghttp2_rcbuf *value)
{
    nghttp2_vec n = nghttp2_rcbuf_get_buf(name), v = nghttp2_rcbuf_get_buf(value);
    x->header_bytes += (uint32_t)(n.len + v.len + 32);
    if (x->header_bytes > HEADERS_MAX)
        return;
    exchange_hold(x, (ptrdiff_t)x->header_bytes - x->header_held);
    x->header_held = x->header_bytes;
    if (read_field(x, n, value) || STARTS(n, "x-mesh-"))
        return;
    if (fields_add(&x->extra, name, value) < 0)
        x->fields_many = true;
}

static void deadline_passed(struct alarm *alarm)
{
    struct exchange *x = (struct exchange *)((char *)alarm - offsetof(struct exchange, deadline));
    if (x->ends_us == x->deadline_us)
        exchange_fail(x, &(struct answer){ RPC_DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED", "the deadline has passed", 0 });
    else
        exchange_fail(x,
                      &(struct answer){ RPC_UNAUTHENTICATED, "TOKEN_EXPIRED", "the token has expired meanwhile", 0 });
}

/* What the first message says of itself. 0, or -EMSGSIZE or the like with the answer. */
static int check_message(struct exchange *x, struct answer *ret_answer)
{
    const struct schema_method *method = x->route->method;
    const uint8_t *p = x->prefix;
    x->message_bytes = (uint32_t)p[1] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 8 | p[4];
    if (p[0] != 0) {
        *ret_answer =
            (struct answer){ RPC_UNIMPLEMENTED, "COMPRESSION_UNSUPPORTED", "messages must not be compressed", 0 };
        return -EOPNOTSUPP;
    }
    if (x->message_bytes > method->max_request_bytes) {
        *ret_answer = (struct answer){ RPC_RESOURCE_EXHAUSTED, "REQUEST_TOO_LARGE",
                                       "the message is larger than this method takes", 0 };
        return -EMSGSIZE;
    }
    return 0;
}

/* A unary request is one message and nothing else. */
static bool unary_malformed(const struct exchange *x)
{
    uint64_t whole = (uint64_t)x->message_bytes + PREFIX;
    if (x->request_bytes < PREFIX)
        return x->call.request_ended;
    return x->request_bytes > whole || (x->call.request_ended && x->request_bytes < whole);
}

/* Begins when enough of the request is there, and tells the server of what more there is. */
static void go_on(struct exchange *x, uint64_t before)
{
    struct answer answer;
    if (before < PREFIX && x->request_bytes >= PREFIX && check_message(x, &answer) < 0)
        return exchange_fail(x, &answer);
    bool streams = x->route->method->client_streaming;
    if (!streams && unary_malformed(x)) {
        answer = (struct answer){ RPC_INVALID_ARGUMENT, "MESSAGE_MALFORMED", "the body is not one gRPC message", 0 };
        return exchange_fail(x, &answer);
    }
    if (x->server)
        return x->server->more(x);
    if (!streams && x->request_bytes < PREFIX)
        return;
    x->server = x->route->server;
    x->server->begin(x);
}

void exchange_begin(struct exchange *x, bool end)
{
    struct answer answer;
    x->call.request_ended = end;
    bool grpc = x->post && x->content_ok && x->path;
    if (!grpc && !translation_begin(x))
        return;
    record_trace(x);
    if (access_check(x, &answer) < 0)
        return exchange_fail(x, &answer);
    if (!grpc && !translation_fits(x))
        return;
    if (x->ends_us)
        alarm_start(&x->gateway->reactor.wheel, &x->deadline, x->ends_us - x->begun_us, deadline_passed);
    if (x->route->method->client_streaming || (end && grpc))
        go_on(x, 0);
    if (end && !grpc)
        translation_data_end(x);
}

static const struct answer full = { RPC_RESOURCE_EXHAUSTED, "GATEWAY_FULL", "the gateway holds too much already",
                                    100000 };

void exchange_request(struct exchange *x, const uint8_t *data, size_t n)
{
    uint64_t before = x->request_bytes;
    x->request_bytes += n;
    x->unconsumed += (uint32_t)n;
    exchange_hold(x, (ptrdiff_t)n);
    if (x->state >= REPLY_ENDED)
        return discard_request(x);
    if (before < PREFIX)
        memcpy(x->prefix + before, data, n < PREFIX - before ? n : PREFIX - before);
    if (exchange_is_full(x, 0) || !pipe_put(&x->call.request, data, (uint32_t)n))
        return exchange_fail(x, &full);
    go_on(x, before);
}

void exchange_request_ended(struct exchange *x)
{
    if (x->state < REPLY_ENDED)
        go_on(x, x->request_bytes);
}

void exchange_data(struct exchange *x, const uint8_t *data, size_t n)
{
    if (x->translation)
        translation_data(x, data, n);
    else
        exchange_request(x, data, n);
}

void exchange_end(struct exchange *x)
{
    x->call.request_ended = true;
    if (x->translation)
        translation_data_end(x);
    else
        exchange_request_ended(x);
}

void exchange_request_taken(struct exchange *x, size_t n)
{
    size_t again = n < x->again ? n : x->again;
    x->again -= (uint32_t)again;
    n -= again;
    if (n > x->unconsumed)
        n = x->unconsumed;
    x->unconsumed -= (uint32_t)n;
    exchange_hold(x, -(ptrdiff_t)n);
    if (x->translation)
        translation_request_taken(x);
    else if (x->edge && n)
        edge_consumed(x->edge, x->stream, n);
}

/* --- the reply --- */

/* The stream's end is on its way: what the client still sends is not wanted. */
static void done(struct exchange *x)
{
    x->state = REPLY_DONE;
    alarm_stop(&x->deadline);
    discard_request(x);
}

void exchange_reset(struct exchange *x)
{
    empty_reply(x);
    edge_reset(x->edge, x->stream, NGHTTP2_INTERNAL_ERROR);
    done(x);
}

static void wake_reply(struct exchange *x)
{
    if (!x->reply_parked)
        return;
    x->reply_parked = false;
    edge_resume(x->edge, x->stream);
}

/* The end as the dialect says it, after what the client has not taken yet. */
static void end_translated(struct exchange *x, enum rpc_code code, const nghttp2_nv *nva, size_t n)
{
    bool first = x->state < REPLY_ENDED;
    if (first)
        x->code = code;
    if (!first || n == 0 || !translation_end(x, code, nva, n))
        return exchange_reset(x);
    x->state = REPLY_ENDED;
    wake_reply(x);
}

void exchange_only(struct exchange *x, enum rpc_code code, const nghttp2_nv *nva, size_t n)
{
    x->server = NULL;
    if (x->translation)
        return end_translated(x, code, nva, n);
    x->code = code;
    edge_head(x->edge, x, nva, n, false);
    done(x);
}

static void fail(struct exchange *x, enum rpc_code code, const nghttp2_nv *nva, size_t n)
{
    if (n == 0) /* no memory to say it */
        edge_reset(x->edge, x->stream, NGHTTP2_INTERNAL_ERROR);
    else if (x->state == REPLY_NONE)
        edge_head(x->edge, x, nva, n, false);
    else
        edge_trailers(x->edge, x->stream, nva, n);
    x->code = code;
    empty_reply(x);
    done(x);
    abort_server(x);
}

/* What the client has not taken stays, so that the end can follow it; but not for ever. */
static void fail_translated(struct exchange *x, enum rpc_code code, const nghttp2_nv *nva, size_t n)
{
    end_translated(x, code, nva, n);
    if (x->state != REPLY_DONE) {
        discard_request(x);
        x->ends_us = x->deadline_us;
        alarm_stop(&x->deadline);
        alarm_start(&x->gateway->reactor.wheel, &x->deadline, FAREWELL_US, deadline_passed);
    }
    abort_server(x);
}

void exchange_fail(struct exchange *x, const struct answer *answer)
{
    nghttp2_nv nva[ANSWER_FIELDS];
    if (!x->edge || x->state == REPLY_DONE)
        return;
    free(x->block);
    x->block = NULL;
    size_t n = answer_fields(answer, x->state != REPLY_NONE || x->translation, nva, &x->block);
    (x->translation ? fail_translated : fail)(x, answer->code, nva, n);
}

void exchange_fail_status(struct exchange *x, const struct rpc_status *status)
{
    nghttp2_nv nva[ANSWER_FIELDS];
    if (!x->edge || x->state == REPLY_DONE)
        return;
    free(x->block);
    x->block = NULL;
    size_t n = answer_of_status(status, x->state != REPLY_NONE || x->translation, nva, &x->block);
    (x->translation ? fail_translated : fail)(x, status->code, nva, n);
}

void exchange_http_head(struct exchange *x, const nghttp2_nv *nva, size_t n)
{
    edge_head(x->edge, x, nva, n, true);
}

void exchange_http_only(struct exchange *x, const nghttp2_nv *nva, size_t n)
{
    edge_head(x->edge, x, nva, n, false);
    done(x);
}

bool exchange_http_body(struct exchange *x, const void *data, size_t n)
{
    if (exchange_is_full(x, n) || !pipe_put(&x->reply, data, (uint32_t)n))
        return false;
    exchange_hold(x, (ptrdiff_t)n);
    wake_reply(x);
    return true;
}

void exchange_head(struct exchange *x, const nghttp2_nv *nva, size_t n)
{
    x->state = REPLY_HEADED;
    if (x->translation)
        translation_head(x, nva, n);
    else
        edge_head(x->edge, x, nva, n, true);
}

bool exchange_put(struct exchange *x, const void *data, size_t n)
{
    if (x->translation)
        return translation_reply(x, data, n);
    if (exchange_http_body(x, data, n))
        return true;
    exchange_fail(x, &full);
    return false;
}

void exchange_finish(struct exchange *x, enum rpc_code code)
{
    nghttp2_nv nva[FIELDS_MAX];
    if (x->state == REPLY_NONE)
        exchange_head(x, reply_head, 2);
    x->server = NULL;
    if (x->translation) {
        size_t n = fields_nva(&x->trailers, nva);
        return end_translated(x, code, n ? nva : status_ok, n ? n : 1);
    }
    x->code = code;
    x->state = REPLY_ENDED;
    wake_reply(x);
}

static void send_trailers(struct exchange *x)
{
    nghttp2_nv nva[FIELDS_MAX];
    size_t n = fields_nva(&x->trailers, nva);
    edge_trailers(x->edge, x->stream, n ? nva : status_ok, n ? n : 1);
    done(x);
}

ssize_t exchange_read(struct exchange *x, size_t room, uint32_t *flags)
{
    uint32_t held = pipe_held(&x->reply);
    if (held == 0 && x->state < REPLY_ENDED) {
        x->reply_parked = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (held > room)
        return (ssize_t)room;
    if (x->state < REPLY_ENDED)
        return held;
    *flags |= NGHTTP2_DATA_FLAG_EOF | (x->translation ? 0 : NGHTTP2_DATA_FLAG_NO_END_STREAM);
    if (x->state == REPLY_ENDED && x->translation)
        done(x);
    else if (x->state == REPLY_ENDED)
        send_trailers(x);
    return held;
}

static void reply_taken(struct exchange *x, size_t n)
{
    x->taken += n;
    exchange_hold(x, -(ptrdiff_t)n);
    if (x->translation)
        n = translation_taken(x, n);
    if (x->server)
        x->server->taken(x, n);
}

int exchange_send(struct exchange *x, struct outbuf *out, const uint8_t *frame_header, size_t n)
{
    int r = h2_send_data(out, frame_header, &x->reply, n);
    reply_taken(x, n);
    return r;
}

void exchange_take(struct exchange *x, struct outbuf *out, size_t n)
{
    memcpy(out->data + out->len, pipe_peek(&x->reply), n);
    out->len += n;
    pipe_take(&x->reply, (uint32_t)n);
    reply_taken(x, n);
}

/* --- time --- */

bool progress_look(struct progress *progress, bool waits, uint64_t taken, int64_t now_us, int64_t stalled_us)
{
    if (waits && progress->us && taken - progress->at < STALLED_LEAST)
        return now_us - progress->us < stalled_us;
    *progress = (struct progress){ taken, waits ? now_us : 0 };
    return true;
}

bool exchange_look(struct exchange *x, int64_t now_us)
{
    static const struct answer slow = { RPC_DEADLINE_EXCEEDED, "REQUEST_TOO_SLOW", "the request took too long to come",
                                        0 };
    const struct gateway_limits *limits = &x->gateway->limits;
    bool one = x->route && !x->route->method->client_streaming;
    if (one && !x->call.request_ended && x->state < REPLY_ENDED && now_us - x->begun_us >= limits->body_us) {
        limit_met(LIMIT_BODY);
        exchange_fail(x, &slow);
    }
    if (progress_look(&x->progress, pipe_held(&x->reply), x->taken, now_us, limits->stalled_us))
        return true;
    limit_met(LIMIT_STALLED);
    return false;
}

/* --- messages --- */

int exchange_message(struct exchange *x, struct bytes *ret_message)
{
    struct pipe *pipe = &x->call.request;
    if (pipe_held(pipe) < PREFIX)
        return 0;
    const uint8_t *p = pipe_peek(pipe);
    uint32_t n = (uint32_t)p[1] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 8 | p[4];
    if (p[0] != 0)
        return -EOPNOTSUPP;
    if (n > OWN_MESSAGE_MAX)
        return -EMSGSIZE;
    if (pipe_held(pipe) < PREFIX + n)
        return 0;
    *ret_message = (struct bytes){ p + PREFIX, n };
    pipe->at += PREFIX + n; /* the bytes stay where they are until more are put */
    exchange_request_taken(x, PREFIX + n);
    return 1;
}

bool exchange_put_message(struct exchange *x, struct bytes message)
{
    uint32_t n = (uint32_t)message.len;
    uint8_t prefix[PREFIX] = { 0, (uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n };
    if (x->state == REPLY_NONE)
        exchange_head(x, reply_head, 2);
    if (x->translation)
        return translation_message(x, message);
    return exchange_put(x, prefix, PREFIX) && exchange_put(x, message.data, message.len);
}

int64_t exchange_left_us(const struct exchange *x)
{
    return x->deadline_us ? x->deadline_us - wheel_now_us() : INT64_MAX;
}
