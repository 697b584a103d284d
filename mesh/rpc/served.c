/* One call at the server: two events for a unary call, one more per message of a stream and for a watched cancel. */
#include "mesh/rpc/served.h"

#include <grpc/byte_buffer.h>
#include <grpc/slice.h>
#include <stdlib.h>
#include <string.h>

#define CALL_OF(tag, member) ((struct server_call *)((char *)(tag)-offsetof(struct server_call, member)))

/* The last tag takes the call with it. */
static void drop(struct server_call *c)
{
    if (--c->open > 0)
        return;
    if (c->method->kind->release)
        c->method->kind->release(c);
    grpc_call_unref(c->call);
    c->call = NULL;
    server_call_over(c);
}

static void start(struct server_call *c, grpc_op *ops, size_t n, struct tag *tag)
{
    /* Refused only for what a programmer gets wrong: an operation twice, or after the end. */
    if (grpc_call_start_batch(c->call, ops, n, tag, NULL) != GRPC_CALL_OK)
        abort();
}

static void on_ended(struct tag *tag, bool ok)
{
    drop(CALL_OF(tag, ended));
}

static void on_sent(struct tag *tag, bool ok)
{
    struct server_call *c = CALL_OF(tag, sent);
    if (ok && !c->ending)
        c->method->kind->writable(c);
    drop(c);
}

static void on_closed(struct tag *tag, bool ok)
{
    struct server_call *c = CALL_OF(tag, closed);
    if (c->cancelled && !c->ending)
        c->method->kind->cancelled(c);
    drop(c);
}

/* Whoever asks for the next message has it there at once, perhaps. */
static grpc_byte_buffer *take_payload(struct server_call *c)
{
    grpc_byte_buffer *payload = c->payload;
    c->payload = NULL;
    return payload;
}

static void on_received(struct tag *tag, bool ok)
{
    struct server_call *c = CALL_OF(tag, received);
    grpc_byte_buffer *payload = take_payload(c);
    if (!c->ending) {
        grpc_slice slice;
        struct bytes message = rpc_bytes_of(payload, &slice);
        c->method->kind->received(c, payload ? &message : NULL);
        grpc_slice_unref(slice);
    }
    if (payload)
        grpc_byte_buffer_destroy(payload);
    drop(c);
}

static void begin(struct server_call *c)
{
    const struct call_kind *kind = c->method->kind;

    c->open = kind->watched ? 2 : 1;
    if (kind->watched) {
        grpc_op close = { .op = GRPC_OP_RECV_CLOSE_ON_SERVER, .data.recv_close_on_server.cancelled = &c->cancelled };
        start(c, &close, 1, &c->closed);
    }
    if (c->method->handle && !c->payload && !kind->unread) {
        /* The client closed its side, or went away, without a message. */
        call_finish(c, (struct bytes){ 0 }, &(struct rpc_status){ RPC_INTERNAL, "the request has no message", { 0 } });
        return;
    }

    grpc_slice slice;
    grpc_byte_buffer *payload = take_payload(c);
    struct bytes request = rpc_bytes_of(payload, &slice);
    kind->begin(c, request);
    grpc_slice_unref(slice);
    if (payload)
        grpc_byte_buffer_destroy(payload);
}

static void on_requested(struct tag *tag, bool ok)
{
    struct server_call *c = CALL_OF(tag, requested);
    if (!ok) {
        server_call_over(c);
        return;
    }
    server_call_began(c);
    begin(c);
}

void call_request(struct server_call *c)
{
    grpc_completion_queue *queue = server_core(c->method->server)->queue;
    grpc_server *server = server_grpc(c->method->server);

    c->metadata.count = 0;
    c->payload = NULL;
    c->call = NULL;
    c->cancelled = 0;
    c->data = NULL;
    c->opened = c->ending = false;
    c->requested.run = on_requested;
    c->received.run = on_received;
    c->sent.run = on_sent;
    c->closed.run = on_closed;
    c->ended.run = on_ended;

    grpc_call_error error =
        c->method->handle
            ? grpc_server_request_registered_call(server, c->method->handle, &c->call, &c->deadline, &c->metadata,
                                                  c->method->kind->unread ? NULL : &c->payload, queue, queue,
                                                  &c->requested)
            : grpc_server_request_call(server, &c->call, &c->details, &c->metadata, queue, queue, &c->requested);
    if (error != GRPC_CALL_OK)
        abort();
}

static size_t open_with(struct server_call *c, grpc_op *op)
{
    if (c->opened)
        return 0;
    c->opened = true;
    *op = (grpc_op){ .op = GRPC_OP_SEND_INITIAL_METADATA };
    return 1;
}

void call_send(struct server_call *c, struct bytes message)
{
    grpc_byte_buffer *buffer = rpc_buffer_of(message);
    grpc_op ops[2];
    size_t n = open_with(c, ops);

    ops[n++] = (grpc_op){ .op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = buffer };
    c->open++;
    start(c, ops, n, &c->sent);
    grpc_byte_buffer_destroy(buffer);
}

void call_receive(struct server_call *c)
{
    grpc_op op = { .op = GRPC_OP_RECV_MESSAGE, .data.recv_message.recv_message = &c->payload };
    c->open++;
    start(c, &op, 1, &c->received);
}

void call_finish(struct server_call *c, struct bytes reply, const struct rpc_status *status)
{
    if (c->ending)
        return;
    c->ending = true;

    const struct call_kind *kind = c->method->kind;
    grpc_byte_buffer *buffer = NULL;
    grpc_slice message = grpc_slice_from_copied_string(status->message);
    grpc_metadata details = { .key = grpc_slice_from_static_string("grpc-status-details-bin") };
    bool detailed = status->details.len > 0;
    if (detailed)
        details.value = grpc_slice_from_copied_buffer((const char *)status->details.data, status->details.len);

    grpc_op ops[4];
    size_t n = open_with(c, ops);
    if (!kind->streaming && status->code == RPC_OK) {
        buffer = rpc_buffer_of(reply);
        ops[n++] = (grpc_op){ .op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = buffer };
    }
    ops[n++] = (grpc_op){ .op = GRPC_OP_SEND_STATUS_FROM_SERVER,
                          .data.send_status_from_server = { detailed ? 1 : 0, &details, (grpc_status_code)status->code,
                                                            *status->message ? &message : NULL } };
    if (!kind->watched)
        ops[n++] =
            (grpc_op){ .op = GRPC_OP_RECV_CLOSE_ON_SERVER, .data.recv_close_on_server.cancelled = &c->cancelled };
    start(c, ops, n, &c->ended);

    grpc_slice_unref(message);
    if (detailed)
        grpc_slice_unref(details.value);
    if (buffer)
        grpc_byte_buffer_destroy(buffer);
}

struct bytes call_method_name(const struct server_call *c)
{
    if (c->method->handle)
        return (struct bytes){ (const uint8_t *)c->method->name, strlen(c->method->name) };
    return (struct bytes){ GRPC_SLICE_START_PTR(c->details.method), GRPC_SLICE_LENGTH(c->details.method) };
}
