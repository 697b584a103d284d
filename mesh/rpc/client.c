/* Calls to other processes: port->call over C core. */
#include "mesh/rpc/peers.h"

#include <grpc/byte_buffer.h>
#include <grpc/slice.h>
#include <grpc/support/alloc.h>
#include <stdlib.h>
#include <string.h>

#define MESSAGE_MAX 512

struct client_call {
    struct rpc_core *core;
    struct outcall *out;
    grpc_call *call; /* NULL: it could not even be started */
    struct tag read, over, sent;
    struct task failed;
    bool streaming;
    bool reading, ended; /* a read is outstanding; the status has arrived */
    bool sending;        /* under calls_lock: a message, or the end of them, is on its way */
    bool closed;         /* the end of them was sent */
    bool held, resumed;  /* under calls_lock, as cancelled: by us */
    bool cancelled;
    grpc_metadata_array initial, trailing;
    grpc_byte_buffer *received;
    grpc_status_code code;
    grpc_slice message;
    struct client_call *next, **at; /* core->calls, under calls_lock */
};

static grpc_metadata entry(const char *key, const char *value)
{
    return (grpc_metadata){ .key = grpc_slice_from_static_string(key), .value = grpc_slice_from_copied_string(value) };
}

static size_t metadata_of(const struct rpc_core *core, const struct outcall *out, grpc_metadata ret_entries[4])
{
    char trace[TRACE_TEXT], caller[CALLER_SUBJECT_MAX + 16];
    size_t n = 0;

    trace_format(&out->trace, trace);
    ret_entries[n++] = entry("traceparent", trace);
    if (out->caller) {
        caller_format(out->caller, caller);
        ret_entries[n++] = entry("x-mesh-caller", caller);
    }
    if (out->target_service)
        ret_entries[n++] = entry("mesh-service", out->target_service);
    if (core->bearer)
        ret_entries[n++] = entry("authorization", core->bearer);
    return n;
}

static void finish(struct client_call *c, const struct rpc_status *status)
{
    struct rpc_core *core = c->core;
    struct outcall *out = c->out;

    pthread_mutex_lock(&core->calls_lock);
    out->impl = NULL;
    pthread_mutex_unlock(&core->calls_lock);

    out->done(out, status);

    pthread_mutex_lock(&core->calls_lock);
    *c->at = c->next;
    if (c->next)
        c->next->at = c->at;
    if (core->closing)
        pthread_cond_broadcast(&core->calls_fewer);
    pthread_mutex_unlock(&core->calls_lock);

    if (c->call)
        grpc_call_unref(c->call);
    grpc_metadata_array_destroy(&c->initial);
    grpc_metadata_array_destroy(&c->trailing);
    if (c->received)
        grpc_byte_buffer_destroy(c->received);
    grpc_slice_unref(c->message);
    free(c);
}

static void finish_with_status(struct client_call *c)
{
    char message[MESSAGE_MAX];
    size_t len = GRPC_SLICE_LENGTH(c->message) < sizeof(message) ? GRPC_SLICE_LENGTH(c->message) : sizeof(message) - 1;
    memcpy(message, GRPC_SLICE_START_PTR(c->message), len);
    message[len] = '\0';

    struct rpc_status status = { .code = (enum rpc_code)c->code, .message = message };
    /* A server that shuts down resets what has just arrived, and that reads as CANCELLED here. */
    pthread_mutex_lock(&c->core->calls_lock);
    if (status.code == RPC_CANCELLED && !c->cancelled)
        status = (struct rpc_status){ .code = RPC_UNAVAILABLE, .message = "the other side broke the call off" };
    pthread_mutex_unlock(&c->core->calls_lock);
    const grpc_slice *details = rpc_metadata_find(&c->trailing, "grpc-status-details-bin");
    if (details)
        status.details = (struct bytes){ GRPC_SLICE_START_PTR(*details), GRPC_SLICE_LENGTH(*details) };
    finish(c, &status);
}

/* Gives the message that has come to the caller, and says whether another is wanted now. */
static bool deliver(struct client_call *c)
{
    grpc_slice slice;
    struct bytes message = rpc_bytes_of(c->received, &slice);
    bool more = c->out->message(c->out, message);
    grpc_slice_unref(slice);
    grpc_byte_buffer_destroy(c->received);
    c->received = NULL;
    return more;
}

static void unary_over(struct tag *tag, bool ok)
{
    struct client_call *c = (struct client_call *)((char *)tag - offsetof(struct client_call, over));

    if (c->code == GRPC_STATUS_OK && !c->received) {
        finish(c, &(struct rpc_status){ RPC_INTERNAL, "the reply has no message", { 0 } });
        return;
    }
    if (c->code == GRPC_STATUS_OK)
        deliver(c);
    finish_with_status(c);
}

static void read_next(struct client_call *c)
{
    c->reading = true;
    grpc_op op = { .op = GRPC_OP_RECV_MESSAGE, .data.recv_message.recv_message = &c->received };
    grpc_call_start_batch(c->call, &op, 1, &c->read, NULL);
}

/* Nothing of it is outstanding, and the caller does not want to wait with what came last. Under calls_lock. */
static bool is_over(const struct client_call *c)
{
    return c->ended && !c->reading && !c->held && !c->sending;
}

static void stream_read(struct tag *tag, bool ok)
{
    struct client_call *c = (struct client_call *)((char *)tag - offsetof(struct client_call, read));
    struct rpc_core *core = c->core;
    bool came = c->received, more = came && deliver(c);

    pthread_mutex_lock(&core->calls_lock);
    c->reading = false;
    bool failed = c->ended && c->code != GRPC_STATUS_OK;
    if (came && (more || c->resumed))
        read_next(c);
    else if (came && !failed)
        c->held = true;
    c->resumed = false;
    bool over = is_over(c);
    pthread_mutex_unlock(&core->calls_lock);
    if (over)
        finish_with_status(c);
}

static void stream_sent(struct tag *tag, bool ok)
{
    struct client_call *c = (struct client_call *)((char *)tag - offsetof(struct client_call, sent));

    pthread_mutex_lock(&c->core->calls_lock);
    c->sending = false;
    bool over = is_over(c), taken = ok && !c->closed;
    pthread_mutex_unlock(&c->core->calls_lock);
    if (over)
        finish_with_status(c);
    else if (taken)
        c->out->taken(c->out);
}

static void stream_over(struct tag *tag, bool ok)
{
    struct client_call *c = (struct client_call *)((char *)tag - offsetof(struct client_call, over));

    pthread_mutex_lock(&c->core->calls_lock);
    c->ended = true;
    /* What was sent before a good end is still to be read; after a bad one nobody waits for the rest. */
    if (c->code != GRPC_STATUS_OK)
        c->held = false;
    bool over = is_over(c);
    pthread_mutex_unlock(&c->core->calls_lock);
    if (over)
        finish_with_status(c);
}

static void never_started(struct task *task)
{
    struct client_call *c = (struct client_call *)((char *)task - offsetof(struct client_call, failed));
    finish(c, &(struct rpc_status){
                  RPC_UNAVAILABLE, "no way to this process is configured, or its certificates are unusable", { 0 } });
}

static void start(struct client_call *c)
{
    grpc_metadata entries[4];
    size_t n = metadata_of(c->core, c->out, entries);
    grpc_byte_buffer *request = rpc_buffer_of(c->out->request);

    /* All six, or a server's cancel would never arrive. */
    grpc_op ops[] = {
        { .op = GRPC_OP_SEND_INITIAL_METADATA, .data.send_initial_metadata = { n, entries, { 0 } } },
        { .op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = request },
        { .op = GRPC_OP_SEND_CLOSE_FROM_CLIENT },
        { .op = GRPC_OP_RECV_INITIAL_METADATA, .data.recv_initial_metadata.recv_initial_metadata = &c->initial },
        { .op = GRPC_OP_RECV_MESSAGE, .data.recv_message.recv_message = &c->received },
        { .op = GRPC_OP_RECV_STATUS_ON_CLIENT,
          .data.recv_status_on_client = { &c->trailing, &c->code, &c->message, NULL } },
    };
    if (c->out->taken) {
        c->sending = true;
        grpc_call_start_batch(c->call, &ops[5], 1, &c->over, NULL);
        grpc_call_start_batch(c->call, ops, 2, &c->sent, NULL);
        grpc_call_start_batch(c->call, &ops[3], 2, &c->read, NULL);
    } else if (c->streaming) {
        grpc_call_start_batch(c->call, &ops[5], 1, &c->over, NULL);
        grpc_call_start_batch(c->call, ops, 5, &c->read, NULL);
    } else {
        grpc_call_start_batch(c->call, ops, 6, &c->over, NULL);
    }

    for (size_t i = 0; i < n; i++)
        grpc_slice_unref(entries[i].value);
    grpc_byte_buffer_destroy(request);
}

/* Under calls_lock. */
static void cancel(struct client_call *c)
{
    c->cancelled = true;
    if (c->call)
        grpc_call_cancel(c->call, NULL);
}

void rpc_core_call(struct rpc_core *core, struct outcall *out)
{
    struct client_call *c = calloc(1, sizeof(*c));
    if (!c)
        abort();

    /* A method that the schema does not know may be a stream. */
    const struct schema_method *method = schema_method(schema_builtin(), out->method, strlen(out->method));
    c->core = core;
    c->out = out;
    c->streaming = c->reading = !method || method->server_streaming;
    c->read.run = stream_read;
    c->over.run = c->streaming ? stream_over : unary_over;
    c->sent.run = stream_sent;
    c->failed.run = never_started;
    c->message = grpc_empty_slice();
    grpc_metadata_array_init(&c->initial);
    grpc_metadata_array_init(&c->trailing);
    c->call = rpc_peer_call(core, out->peer, out->method, out->timeout_us);

    pthread_mutex_lock(&core->calls_lock);
    out->impl = c;
    c->next = core->calls;
    c->at = &core->calls;
    if (c->next)
        c->next->at = &c->next;
    core->calls = c;
    if (core->closing)
        cancel(c);
    pthread_mutex_unlock(&core->calls_lock);

    if (!c->call) {
        rpc_core_post(core, &c->failed);
        return;
    }
    start(c);
}

void rpc_core_send(struct rpc_core *core, struct outcall *out, struct bytes message)
{
    pthread_mutex_lock(&core->calls_lock);
    struct client_call *c = out->impl;
    if (c && c->call && !c->ended) {
        grpc_byte_buffer *buffer = message.data ? rpc_buffer_of(message) : NULL;
        grpc_op op = { .op = buffer ? GRPC_OP_SEND_MESSAGE : GRPC_OP_SEND_CLOSE_FROM_CLIENT };
        if (buffer)
            op.data.send_message.send_message = buffer;
        c->closed = !buffer;
        c->sending = true;
        grpc_call_start_batch(c->call, &op, 1, &c->sent, NULL);
        if (buffer)
            grpc_byte_buffer_destroy(buffer);
    }
    pthread_mutex_unlock(&core->calls_lock);
}

void rpc_core_resume(struct rpc_core *core, struct outcall *out)
{
    pthread_mutex_lock(&core->calls_lock);
    struct client_call *c = out->impl;
    if (c && c->held) {
        c->held = false;
        read_next(c);
    } else if (c) {
        c->resumed = true;
    }
    pthread_mutex_unlock(&core->calls_lock);
}

void rpc_core_cancel(struct rpc_core *core, struct outcall *out)
{
    pthread_mutex_lock(&core->calls_lock);
    struct client_call *c = out->impl;
    if (c)
        cancel(c);
    pthread_mutex_unlock(&core->calls_lock);
}

void rpc_calls_end(struct rpc_core *core)
{
    pthread_mutex_lock(&core->calls_lock);
    core->closing = true;
    for (struct client_call *c = core->calls; c; c = c->next)
        cancel(c);
    while (core->calls && core->running)
        pthread_cond_wait(&core->calls_fewer, &core->calls_lock);
    pthread_mutex_unlock(&core->calls_lock);
}
