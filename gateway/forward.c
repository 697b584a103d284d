/* The proxied call: the gateway's headers in place of the client's claims, then bytes both ways. A call that no process
 * has begun to work on is sent again elsewhere at once; one that a process had begun after a moment, if that does no
 * harm, its connection was lost or what answered was no handler, and there is a budget for it. */
#include "gateway/forward.h"

#include "gateway/pulse.h"
#include "mesh/port.h"

#include <errno.h>
#include <stdio.h>

#define ATTEMPTS      3
#define IN_FLIGHT_MAX 512         /* calls on one connection */
#define BUSY          16          /* calls on one connection from which on a deadline must leave the usual time */
#define REPLAY_MAX    (16 * 1024) /* bytes of a request that are kept to be sent again */
#define NAMES_MAX     16
#define CALLER_FIELD  6 /* of the request's: then come traceparent and grpc-timeout */

static const struct upcall_ops ops;

static struct exchange *exchange_of(struct upcall *call)
{
    return (struct exchange *)((char *)call - offsetof(struct exchange, call));
}

/* --- the request --- */

static size_t timeout_text(int64_t us, char ret_text[16])
{
    if (us < 1)
        us = 1;
    if (us <= 99999999)
        return (size_t)snprintf(ret_text, 16, "%du", (int)us);
    if (us / 1000 <= 99999999)
        return (size_t)snprintf(ret_text, 16, "%dm", (int)(us / 1000));
    return (size_t)snprintf(ret_text, 16, "%dS", (int)(us / 1000000));
}

static size_t request_fields(struct exchange *x, nghttp2_nv *ret_nva)
{
    static const nghttp2_nv https[] = { H2_FIELD(":method", "POST"), H2_FIELD(":scheme", "https") };
    static const nghttp2_nv http[] = { H2_FIELD(":method", "POST"), H2_FIELD(":scheme", "http") };
    static const nghttp2_nv grpc[] = { H2_FIELD("te", "trailers"), H2_FIELD("content-type", "application/grpc") };
    const char *process = routes_processes()[x->process], *path = x->route->method->full_name;
    size_t n = 0;
    memcpy(ret_nva, balance_encrypted(x->gateway->balance) ? https : http, sizeof(http));
    n += 2;
    ret_nva[n++] = H2_VALUE(":path", path, strlen(path));
    ret_nva[n++] = H2_VALUE(":authority", process, strlen(process));
    memcpy(ret_nva + n, grpc, sizeof(grpc));
    n += 2;
    ret_nva[n++] = H2_VALUE("x-mesh-caller", x->principal->text, x->principal->text_len);
    ret_nva[n++] = H2_VALUE("traceparent", x->trace_text, TRACE_TEXT - 1);
    if (x->deadline_us) {
        size_t len = timeout_text(x->deadline_us - x->sent_us, x->timeout_text);
        ret_nva[n++] = H2_VALUE("grpc-timeout", x->timeout_text, len);
    }
    static const nghttp2_nv previous[] = { H2_FIELD("grpc-previous-rpc-attempts", "1"),
                                           H2_FIELD("grpc-previous-rpc-attempts", "2") };
    if (x->repeats)
        ret_nva[n++] = previous[x->repeats < 2 ? 0 : 1];
    return n + fields_nva(&x->extra, ret_nva + n);
}

/* Values that do not come again would only push others out of the header table. Their names are worth a place, and
 * get it with the first call; a caller is worth one who calls more often than the others. */
static void choose_indexing(struct exchange *x, struct upstream *upstream, nghttp2_nv *nva)
{
    const void **slot = &upstream->callers[(uintptr_t)x->principal / 64 % UPSTREAM_CALLERS];
    bool again = *slot == x->principal;
    *slot = x->principal;
    uint8_t flags = nva[CALLER_FIELD].flags & (uint8_t)~NGHTTP2_NV_FLAG_NO_INDEX;
    uint8_t rare = upstream->taught ? flags | NGHTTP2_NV_FLAG_NO_INDEX : flags;
    nva[CALLER_FIELD].flags = again ? flags : rare;
    nva[CALLER_FIELD + 1].flags = rare;
    if (!x->deadline_us)
        return;
    nva[CALLER_FIELD + 2].flags = rare;
    upstream->taught = true;
}

static void no_backend(struct exchange *x)
{
    exchange_fail(x, &(struct answer){ RPC_UNAVAILABLE, "NO_BACKEND",
                                       "no process that serves this is well at the moment", 500000 });
}

static bool shed(struct exchange *x, const char *reason, const char *message)
{
    static struct metric *counts;
    if (!counts)
        counts = metric_make(METRIC_COUNTER, "gateway_shed_total",
                             "Calls that were refused as the process behind has too much to do.", NULL);
    metric_add(counts, 1);
    exchange_fail(x, &(struct answer){ RPC_UNAVAILABLE, reason, message, 100000 });
    return true;
}

/* Too much is under way: for what ranks lower sooner; and where something is under way, what would come too late is not
 * begun, as it would only keep what comes in time from doing so. */
static bool is_shed(struct exchange *x, const struct upstream *upstream)
{
    static const uint32_t rooms[] = {
        [RANK_CHANGES] = IN_FLIGHT_MAX, [RANK_READS] = IN_FLIGHT_MAX * 7 / 8, [RANK_LISTS] = IN_FLIGHT_MAX / 2
    };
    if (upstream->in_flight >= rooms[x->route->rank])
        return shed(x, "OVERLOADED", "the process behind has too many calls under way");
    if (upstream->in_flight >= BUSY && x->deadline_us && x->deadline_us - x->sent_us < x->route->usual_us)
        return shed(x, "DEADLINE_TOO_SOON", "the process behind is busy and would answer too late");
    return false;
}

static void pass_on(struct exchange *x)
{
    nghttp2_nv nva[NAMES_MAX + FIELDS_MAX];
    x->sent_us = wheel_now_us();
    size_t n = request_fields(x, nva);
    while (x->attempts++ < ATTEMPTS) {
        struct upstream *upstream = balance_pick(x->gateway->balance, x->process, x->avoid);
        if (!upstream)
            return no_backend(x);
        if (is_shed(x, upstream))
            return;
        x->avoid = upstream;
        choose_indexing(x, upstream, nva);
        if (upcall_start(&x->call, upstream, nva, n) == 0)
            return;
    }
    no_backend(x);
}

static void begin(struct exchange *x)
{
    x->call.ops = &ops;
    x->call.request.keep = pipe_held(&x->call.request) <= REPLAY_MAX;
    retries_earn(&x->gateway->retries, x->process);
    pass_on(x);
}

static void more(struct exchange *x)
{
    if (x->call.request.keep && x->call.request.len > REPLAY_MAX)
        pipe_forget_taken(&x->call.request);
    upcall_wake(&x->call);
}

static void taken(struct exchange *x, size_t n)
{
    upcall_consumed(&x->call, n);
}

/* A reply came, or nobody waits for it any longer; late: it would have taken longer still. */
static void heard(struct exchange *x, bool late)
{
    struct route *route = x->route;
    int64_t now_us = wheel_now_us(), took_us = now_us - x->sent_us;
    if (late && took_us <= route->usual_us)
        return;
    median_move(&route->usual_us, took_us);
    balance_heard(x->call.upstream, took_us, route->usual_us, now_us);
}

static void abandon(struct exchange *x)
{
    alarm_stop(&x->repeat);
    if (x->call.upstream && !x->answered)
        heard(x, true);
    upcall_cancel(&x->call, NGHTTP2_CANCEL);
}

const struct server forward_server = { begin, more, taken, abandon };

/* --- the reply --- */

static bool is(nghttp2_vec v, const char *text, size_t len)
{
    return v.len == len && memcmp(v.base, text, len) == 0;
}
#define IS(v, text) is(v, text, sizeof(text) - 1)

static void on_field(struct upcall *call, nghttp2_rcbuf *name, nghttp2_rcbuf *value)
{
    struct exchange *x = exchange_of(call);
    nghttp2_vec n = nghttp2_rcbuf_get_buf(name), v = nghttp2_rcbuf_get_buf(value);
    if (!x->server || IS(n, "grpc-accept-encoding"))
        return;
    if (IS(n, "grpc-status")) {
        x->reply_code = v.len && v.len <= 2 ? (uint8_t)atoi((const char *)v.base) : RPC_UNKNOWN;
        x->reply_coded = true;
    }
    if (fields_add(x->state == REPLY_NONE ? &x->head : &x->trailers, name, value) < 0)
        x->fields_many = true;
}

static bool head_is_good(const struct exchange *x)
{
    nghttp2_vec name = { 0 }, value = { 0 };
    if (x->head.n) {
        name = nghttp2_rcbuf_get_buf(x->head.list[0].name);
        value = nghttp2_rcbuf_get_buf(x->head.list[0].value);
    }
    return IS(name, ":status") && IS(value, "200");
}

static void broken(struct exchange *x)
{
    exchange_fail(x, &(struct answer){ RPC_INTERNAL, "BACKEND_BROKEN", "the process behind did not speak gRPC", 0 });
}

/* The reply is whole; what of the request is still under way is wanted by nobody. */
static void settle(struct exchange *x)
{
    if (!x->call.request_ended || pipe_held(&x->call.request))
        upcall_cancel(&x->call, NGHTTP2_NO_ERROR);
}

/* --- once more --- */

static void send_again(struct exchange *x)
{
    x->again = (uint32_t)(x->request_bytes - x->unconsumed);
    pipe_rewind(&x->call.request);
    fields_finish(&x->head);
    x->reply_coded = x->repeating = x->answered = false;
    pass_on(x);
}

static void repeat_now(struct alarm *alarm)
{
    send_again((struct exchange *)((char *)alarm - offsetof(struct exchange, repeat)));
}

/* Nothing of the reply is told yet, all of the request is here, and once or twice is the same. */
static bool can_repeat(const struct exchange *x)
{
    const struct schema_method *method = x->route->method;
    return (method->idempotent || method->mutates) && !method->client_streaming && x->state == REPLY_NONE &&
           x->call.request.keep && x->call.request_ended && x->attempts < ATTEMPTS;
}

/* Whether the call, which has failed, is sent again in wait_us; negative: after the usual backoff. */
static bool repeat_in(struct exchange *x, int64_t wait_us)
{
    struct gateway *gateway = x->gateway;
    uint16_t chance;
    gateway_random(gateway, &chance, sizeof(chance));
    if (wait_us < 0)
        wait_us = retry_delay_us(x->repeats + 1u, chance);
    if (!can_repeat(x) || !balance_pick(gateway->balance, x->process, NULL) || exchange_left_us(x) <= wait_us ||
        !retries_take(&gateway->retries, x->process, wheel_now_us()))
        return false;
    x->repeats++;
    x->repeating = true;
    x->repeat_us = wait_us;
    return true;
}

static nghttp2_vec end_field(const struct exchange *x, const char *name)
{
    const struct fields *end = x->state == REPLY_NONE ? &x->head : &x->trailers;
    for (size_t i = 0; i < end->n; i++)
        if (is(nghttp2_rcbuf_get_buf(end->list[i].name), name, strlen(name)))
            return nghttp2_rcbuf_get_buf(end->list[i].value);
    return (nghttp2_vec){ 0 };
}

/* The reply is only trailers, and they say UNAVAILABLE. A handler that says so gives details, and its word is for the
 * client; without them it was the server around it, which did not come to the handler. */
static bool repeat_unavailable(struct exchange *x)
{
    nghttp2_vec pushback = end_field(x, "grpc-retry-pushback-ms");
    if (pushback.len) {
        int64_t wait_us = retry_pushback_us((const char *)pushback.base, pushback.len);
        return wait_us >= 0 && repeat_in(x, wait_us);
    }
    return end_field(x, "grpc-status-details-bin").len == 0 && repeat_in(x, -1);
}

/* What a process says that is broken, whatever it was asked. */
static bool is_failure(const struct exchange *x)
{
    int code = x->reply_code;
    return code == RPC_INTERNAL || code == RPC_UNKNOWN || code == RPC_DATA_LOSS ||
           (code == RPC_UNAVAILABLE && end_field(x, "grpc-status-details-bin").len == 0);
}

static void on_head(struct upcall *call, bool end)
{
    struct exchange *x = exchange_of(call);
    if (!x->server)
        return;
    if (!x->answered)
        heard(x, false);
    x->answered = true;
    if (end)
        balance_judge(call->upstream, is_failure(x), x->sent_us);
    if (x->fields_many || (x->state == REPLY_NONE && (!head_is_good(x) || (end && !x->reply_coded))))
        return broken(x);
    if (x->state == REPLY_HEADED) {
        if (!end || !x->reply_coded)
            return broken(x);
        settle(x);
        return exchange_finish(x, (enum rpc_code)x->reply_code);
    }
    if (end && x->reply_code == RPC_UNAVAILABLE && repeat_unavailable(x))
        return settle(x);
    pipe_forget_taken(&x->call.request);
    nghttp2_nv nva[FIELDS_MAX];
    size_t n = fields_nva(&x->head, nva);
    if (!end)
        return exchange_head(x, nva, n);
    settle(x);
    exchange_only(x, (enum rpc_code)x->reply_code, nva, n);
}

static void on_data(struct upcall *call, const uint8_t *data, size_t n)
{
    struct exchange *x = exchange_of(call);
    if (x->server && x->state == REPLY_HEADED)
        exchange_put(x, data, n);
}

static void on_end(struct upcall *call)
{
    struct exchange *x = exchange_of(call);
    if (x->server)
        broken(x);
}

static void on_taken(struct upcall *call, size_t n)
{
    exchange_request_taken(exchange_of(call), n);
}

static void on_closed(struct upcall *call, uint32_t error_code, bool unprocessed)
{
    struct exchange *x = exchange_of(call);
    if (!x->server)
        return exchange_release(x);
    if (unprocessed && x->state == REPLY_NONE && call->request.keep && x->attempts < ATTEMPTS)
        return send_again(x);
    if (x->repeating || (error_code == UPCALL_LOST && repeat_in(x, -1)))
        return alarm_start(&x->gateway->reactor.wheel, &x->repeat, x->repeat_us, repeat_now);
    if (error_code == UPCALL_LOST)
        exchange_fail(x, &(struct answer){ RPC_UNAVAILABLE, "BACKEND_LOST",
                                           "the process behind was lost during the call", 100000 });
    else
        exchange_fail(x, &(struct answer){ (enum rpc_code)h2_error_to_code(error_code), "BACKEND_RESET",
                                           "the process behind reset the call", 0 });
}

static const struct upcall_ops ops = { on_field, on_head, on_data, on_end, on_taken, on_closed };
