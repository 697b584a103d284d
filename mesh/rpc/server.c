/* The server: methods of the dispatcher registered with C core, calls kept posted for each, and the drain. */
#include "mesh/rpc/address.h"
#include "mesh/rpc/builtin.h"
#include "mesh/rpc/chunks.h"
#include "mesh/rpc/served.h"

#include "mesh/base/say.h"

#include <errno.h>
#include <grpc/support/time.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Posted calls: enough for one read's worth of new calls, few enough that the queue's own scan stays short. */
#define POSTED_TOTAL 256
#define POSTED_LEAST 4
#define POSTED_MOST  32
#define KEPT_MOST    256 /* finished calls kept for the next ones */

struct rpc_server {
    struct rpc_core *core;
    struct dispatch *dispatch;
    grpc_server *grpc;
    int port;
    struct served_method *methods; /* the last one is whatever is not registered */
    size_t n_methods;
    struct builtin *builtin;

    /* rpc lane */
    struct server_call *kept;
    size_t n_kept, live; /* live: posted or under way */
    bool shut, ended;    /* C core says so; the streams of builtin are told so */

    struct timer notice, grace; /* loop lane */
    int64_t grace_us;
    struct tag shutdown;
    struct task end;
    void (*drained)(void *arg);
    void *drained_arg;
    bool shutting;
    pthread_mutex_t lock; /* over, for destroy to wait on */
    pthread_cond_t changed;
    bool over;
};

/* --- the dispatcher's calls --- */

/* Replies go to the rpc lane, which starts them together: measured, that costs a fifth less than starting each where it
 * was made, as every completion of another thread's would wake the rpc lane by itself. */
static void send_now(struct task *task)
{
    struct server_call *c = (struct server_call *)((char *)task - offsetof(struct server_call, sending));
    if (!c->ending) /* a cancel may have come first, and the status with it */
        call_send(c, c->message);
}

static void finish_now(struct task *task)
{
    struct server_call *c = (struct server_call *)((char *)task - offsetof(struct server_call, finishing));
    call_finish(c, c->reply, &c->status);
}

static void transport_send(struct rpc_call *call, struct bytes message)
{
    struct server_call *c = rpc_transport_data(call);
    if (rpc_core_here(c->method->server->core)) {
        call_send(c, message);
        return;
    }
    c->message = message;
    c->sending.run = send_now;
    rpc_core_post(c->method->server->core, &c->sending);
}

static void transport_finish(struct rpc_call *call, struct bytes reply, const struct rpc_status *status)
{
    struct server_call *c = rpc_transport_data(call);
    if (rpc_core_here(c->method->server->core)) {
        call_finish(c, reply, status);
        return;
    }
    c->reply = reply;
    c->status = *status;
    c->finishing.run = finish_now;
    rpc_core_post(c->method->server->core, &c->finishing);
}

static const struct rpc_transport transport = { transport_send, transport_finish };

/* The port's monotonic clock is CLOCK_MONOTONIC, as gpr's. */
static int64_t deadline_us(gpr_timespec deadline)
{
    if (gpr_time_cmp(deadline, gpr_inf_future(deadline.clock_type)) == 0)
        return 0;
    gpr_timespec mono = gpr_convert_clock_type(deadline, GPR_CLOCK_MONOTONIC);
    return mono.tv_sec * 1000000 + mono.tv_nsec / 1000;
}

static struct rpc_begin begin_of(struct server_call *c)
{
    char trace[TRACE_TEXT];
    struct bytes name = call_method_name(c);
    struct rpc_begin begin = {
        .transport_data = c,
        .method = (const char *)name.data,
        .method_len = name.len,
        .deadline_us = deadline_us(c->method->handle ? c->deadline : c->details.deadline),
    };
    begin.authentic = rpc_identify(c->call, &c->metadata, &begin.caller);
    trace_parse(rpc_metadata_text(&c->metadata, "traceparent", trace, sizeof(trace)) ? trace : NULL, &begin.trace);
    return begin;
}

static void dispatched_begin(struct server_call *c, struct bytes request)
{
    struct rpc_begin begin = begin_of(c);
    begin.transport = &transport;
    begin.request = request;
    c->data = dispatch_begin(server_dispatch(c->method->server), &begin);
}

static void dispatched_writable(struct server_call *c)
{
    dispatch_writable(c->data);
}

static void dispatched_cancelled(struct server_call *c)
{
    dispatch_cancel(c->data);
}

static void dispatched_release(struct server_call *c)
{
    if (c->data)
        dispatch_release(c->data);
}

#define DISPATCHED \
    .begin = dispatched_begin, .writable = dispatched_writable, .cancelled = dispatched_cancelled, \
    .release = dispatched_release
/* Most calls are over before a cancel could reach them: only those that wait for something watch for it. */
static const struct call_kind plain = { DISPATCHED };
static const struct call_kind waiting = { DISPATCHED, .watched = true };
static const struct call_kind stream = { DISPATCHED, .watched = true, .streaming = true };

/* --- streams of clients --- */

static void chunks_receive(void *data)
{
    call_receive(data);
}

static void chunks_send(void *data, struct bytes ack)
{
    call_send(data, ack);
}

static void chunks_finish(void *data, const struct rpc_status *status)
{
    call_finish(data, (struct bytes){ 0 }, status);
}

static const struct chunks_transport chunks_transport = { chunks_receive, chunks_send, chunks_finish };

static void chunked_begin(struct server_call *c, struct bytes request)
{
    struct rpc_begin begin = begin_of(c);
    c->data = chunks_begin(server_dispatch(c->method->server), &chunks_transport, &begin);
}

static void chunked_received(struct server_call *c, const struct bytes *request)
{
    chunks_received(c->data, request);
}

static void chunked_writable(struct server_call *c)
{
    chunks_writable(c->data);
}

static void chunked_cancelled(struct server_call *c)
{
    chunks_cancel(c->data);
}

static void chunked_release(struct server_call *c)
{
    chunks_release(c->data);
}

static const struct call_kind chunked = {
    .streaming = true,
    .watched = true,
    .unread = true,
    .begin = chunked_begin,
    .received = chunked_received,
    .writable = chunked_writable,
    .cancelled = chunked_cancelled,
    .release = chunked_release,
};

/* --- calls posted --- */

struct server_call *server_call_new(const struct served_method *method)
{
    struct rpc_server *server = method->server;
    struct server_call *c = server->kept;
    if (c) {
        server->kept = c->next;
        server->n_kept--;
    } else {
        c = calloc(1, sizeof(*c));
        if (!c)
            abort();
        grpc_metadata_array_init(&c->metadata);
    }
    c->method = method;
    if (!method->handle)
        grpc_call_details_init(&c->details);
    server->live++;
    return c;
}

static void check_over(struct rpc_server *server)
{
    if (!server->shut || !server->ended || server->live > 0)
        return;

    void (*drained)(void *) = server->drained;
    void *arg = server->drained_arg;
    pthread_mutex_lock(&server->lock);
    server->over = true;
    pthread_cond_signal(&server->changed);
    pthread_mutex_unlock(&server->lock);
    if (drained)
        drained(arg);
}

void server_call_over(struct server_call *c)
{
    struct rpc_server *server = c->method->server;

    if (!c->method->handle)
        grpc_call_details_destroy(&c->details);
    if (server->n_kept < KEPT_MOST) {
        c->next = server->kept;
        server->kept = c;
        server->n_kept++;
    } else {
        grpc_metadata_array_destroy(&c->metadata);
        free(c);
    }
    server->live--;
    check_over(server);
}

void server_call_began(struct server_call *c)
{
    /* While the server shuts down C core refuses it at once. */
    call_request(server_call_new(c->method));
}

grpc_server *server_grpc(const struct rpc_server *server)
{
    return server->grpc;
}

struct rpc_core *server_core(const struct rpc_server *server)
{
    return server->core;
}

struct dispatch *server_dispatch(const struct rpc_server *server)
{
    return server->dispatch;
}

struct builtin *server_builtin(const struct rpc_server *server)
{
    return server->builtin;
}

/* --- start --- */

static const struct call_kind *kind_of(const struct rpc_method *row, const struct schema_method *method)
{
    if (method && method->client_streaming)
        return &chunked;
    if (method && method->server_streaming)
        return &stream;
    return row->settled ? &waiting : &plain;
}

static int add_method(struct rpc_server *server, const char *name, const struct call_kind *kind)
{
    struct served_method *methods = realloc(server->methods, (server->n_methods + 1) * sizeof(*methods));
    char *copy = name ? strdup(name) : NULL;
    if (!methods || (name && !copy))
        return -ENOMEM;

    grpc_server_register_method_payload_handling payload =
        kind->unread ? GRPC_SRM_PAYLOAD_NONE : GRPC_SRM_PAYLOAD_READ_INITIAL_BYTE_BUFFER;
    void *handle = name ? grpc_server_register_method(server->grpc, copy, NULL, payload, 0) : NULL;
    methods[server->n_methods++] = (struct served_method){ copy, handle, kind, server };
    server->methods = methods;
    return name && !handle ? -EEXIST : 0;
}

/* Everything that the dispatcher serves, health and reflection, and last whatever nobody serves: it must be answered,
 * or C core would leave it hanging. */
static int add_methods(struct rpc_server *server)
{
    int r = 0;
    for (const struct rpc_service *const *s = dispatch_services(server->dispatch); *s && r == 0; s++) {
        for (const struct rpc_method *row = (*s)->methods; row->name && r == 0; row++) {
            char name[256];
            int len = snprintf(name, sizeof(name), "/%s/%s", (*s)->name, row->name);
            if (!row->elsewhere)
                r = add_method(server, name, kind_of(row, schema_method(schema_builtin(), name, (size_t)len)));
        }
    }
    for (size_t i = 0; builtin_methods[i].name && r == 0; i++)
        r = add_method(server, builtin_methods[i].name, builtin_methods[i].kind);
    return r == 0 ? add_method(server, NULL, &plain) : r;
}

static int max_message(void)
{
    const struct schema_method *methods;
    size_t n = schema_methods(schema_builtin(), &methods), most = 64 << 10;
    for (size_t i = 0; i < n; i++)
        if (methods[i].max_request_bytes > most)
            most = methods[i].max_request_bytes;
    return (int)most;
}

static grpc_arg number(const char *key, int value)
{
    return (grpc_arg){ .type = GRPC_ARG_INTEGER, .key = (char *)key, .value.integer = value };
}

static grpc_server *make_server(void)
{
    grpc_arg args[] = {
        number("grpc.compression_enabled_algorithms_bitset", 1),
        number(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, max_message()),
        number(GRPC_ARG_MAX_CONCURRENT_STREAMS, 512),
        number(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, 10000),
        number(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 10000),
        number(GRPC_ARG_KEEPALIVE_TIME_MS, 60000),
        number(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 20000),
        number(GRPC_ARG_ENABLE_CHANNELZ, 0),
        /* Else a second process would quietly share the port instead of being told that it is taken. */
        number(GRPC_ARG_ALLOW_REUSEPORT, 0),
    };
    return grpc_server_create(&(grpc_channel_args){ sizeof(args) / sizeof(args[0]), args }, NULL);
}

static int listen_at(struct rpc_server *server, const char *address)
{
    grpc_server_credentials *credentials = rpc_tls_server(server->core);
    if (!credentials)
        return -ENOENT;
    server->port = grpc_server_add_http2_port(server->grpc, address, credentials);
    grpc_server_credentials_release(credentials);
    if (server->port > 0)
        return 0;

    /* C core only says that it could not; trying ourselves tells why. */
    int r = address_try(address);
    if (r == 0)
        r = -EPROTO;
    say(SAY_ERROR, NULL, "cannot listen", SAY_T("address", address), SAY_T("error", strerror(-r)));
    return r;
}

static void post_calls(struct rpc_server *server)
{
    size_t each = POSTED_TOTAL / server->n_methods;
    each = each < POSTED_LEAST ? POSTED_LEAST : each > POSTED_MOST ? POSTED_MOST : each;
    for (size_t i = 0; i < server->n_methods; i++)
        for (size_t n = 0; n < each; n++)
            call_request(server_call_new(&server->methods[i]));
}

static void on_shutdown(struct tag *tag, bool ok)
{
    struct rpc_server *server = (struct rpc_server *)((char *)tag - offsetof(struct rpc_server, shutdown));
    server->shut = true;
    check_over(server);
}

int rpc_server_create(struct rpc_core *core, struct dispatch *dispatch, const char *listen_on,
                      struct rpc_server **ret_server)
{
    struct rpc_server *server = calloc(1, sizeof(*server));
    if (!server)
        return -ENOMEM;
    server->core = core;
    server->dispatch = dispatch;
    server->shutdown.run = on_shutdown;
    pthread_mutex_init(&server->lock, NULL);
    pthread_cond_init(&server->changed, NULL);
    server->grpc = make_server();
    grpc_server_register_completion_queue(server->grpc, core->queue, NULL);

    int r = builtin_create(server, &server->builtin);
    if (r == 0)
        r = add_methods(server);
    if (r == 0)
        r = listen_at(server, listen_on);
    grpc_server_start(server->grpc);
    if (r < 0) {
        rpc_server_destroy(server);
        return r;
    }
    post_calls(server);
    *ret_server = server;
    return 0;
}

int rpc_server_port(const struct rpc_server *server)
{
    return server->port;
}

void rpc_server_serving(struct rpc_server *server, bool serving)
{
    builtin_serving(server->builtin, serving);
}

/* --- drain --- */

static void cancel_rest(struct timer *timer)
{
    struct rpc_server *server = (struct rpc_server *)((char *)timer - offsetof(struct rpc_server, grace));
    grpc_server_cancel_all_calls(server->grpc);
}

static void end_streams(struct task *task)
{
    struct rpc_server *server = (struct rpc_server *)((char *)task - offsetof(struct rpc_server, end));
    if (server->builtin)
        builtin_end(server->builtin);
    dispatch_leave(server->dispatch);
    server->ended = true;
    check_over(server);
}

static void shut_down(struct rpc_server *server)
{
    if (server->shutting)
        return;
    server->shutting = true;
    grpc_server_shutdown_and_notify(server->grpc, server->core->queue, &server->shutdown);
    server->end.run = end_streams;
    rpc_core_post(server->core, &server->end);
}

static void stop_serving(struct timer *timer)
{
    struct rpc_server *server = (struct rpc_server *)((char *)timer - offsetof(struct rpc_server, notice));
    shut_down(server);
    server->core->port->timer_start(server->core->port, &server->grace, server->grace_us);
}

void rpc_server_drain(struct rpc_server *server, int64_t notice_us, int64_t grace_us, void (*drained)(void *),
                      void *arg)
{
    struct port *port = server->core->port;

    server->drained = drained;
    server->drained_arg = arg;
    server->grace_us = grace_us;
    server->notice.fire = stop_serving;
    server->grace.fire = cancel_rest;
    rpc_server_serving(server, false);
    port->timer_start(port, &server->notice, notice_us);
}

void rpc_server_destroy(struct rpc_server *server)
{
    if (!server)
        return;

    struct port *port = server->core->port;
    port->timer_stop(port, &server->notice);
    port->timer_stop(port, &server->grace);
    shut_down(server);
    grpc_server_cancel_all_calls(server->grpc);
    if (!server->core->running)
        rpc_core_run(server->core);
    pthread_mutex_lock(&server->lock);
    while (!server->over)
        pthread_cond_wait(&server->changed, &server->lock);
    pthread_mutex_unlock(&server->lock);

    grpc_server_destroy(server->grpc);
    builtin_destroy(server->builtin);
    while (server->kept) {
        struct server_call *c = server->kept;
        server->kept = c->next;
        grpc_metadata_array_destroy(&c->metadata);
        free(c);
    }
    for (size_t i = 0; i < server->n_methods; i++)
        free((char *)server->methods[i].name);
    free(server->methods);
    pthread_mutex_destroy(&server->lock);
    pthread_cond_destroy(&server->changed);
    free(server);
}
