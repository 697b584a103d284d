/* Batches on their way: many commands of one destination in one mesh.v1.Deliver call. */
#include "mesh/base/say.h"
#include "mesh/outbox/batch.h"
#include "mesh/v1/deliver.pb-c.h"

#include <stdlib.h>
#include <string.h>

#define DELIVER_METHOD     "/mesh.v1.DeliverService/Deliver"
#define DELIVER_TIMEOUT_US 10000000
#define BATCH_ARENA        (16 << 20) /* the request, packed, and the reply, unpacked */

bool batch_fits(const struct destination *to, const struct parcel *next)
{
    return to->in_flight < (next->deliverer && next->deliverer->outside ? FETCHES_MAX : BATCHES_MAX);
}

void batch_free(struct batch *batch)
{
    struct destination *to = batch->to;
    *batch->back = batch->next;
    if (batch->next)
        batch->next->back = batch->back;
    to->in_flight--;
    to->relay->port->timer_stop(to->relay->port, &batch->again);
    arena_finish(&batch->arena);
    arena_finish(&batch->unit_arena);
    free(batch);
}

static struct batch *make_batch(struct destination *to)
{
    struct relay *relay = to->relay;
    struct batch *batch = calloc(1, sizeof(*batch));
    if (!batch)
        return NULL;
    arena_init(&batch->arena, BATCH_ARENA);
    batch->relay = relay;
    batch->to = to;
    batch->next = relay->batches;
    batch->back = &relay->batches;
    if (batch->next)
        batch->next->back = &batch->next;
    relay->batches = batch;
    to->in_flight++;
    return batch;
}

static void fill(struct batch *batch, size_t max)
{
    struct destination *to = batch->to;
    for (size_t bytes = 0; to->ready && batch->n < max;) {
        struct parcel *parcel = to->ready;
        bytes += parcel->letter.request.len;
        if (batch->n > 0 && (parcel->alone || bytes > BATCH_BYTES_MAX))
            break;
        to->ready = parcel->next;
        if (!to->ready)
            to->ready_end = &to->ready;
        to->n_ready--;
        batch->parcels[batch->n++] = parcel;
        if (parcel->alone)
            break;
    }
}

static struct bytes pack(struct batch *batch)
{
    Mesh__V1__DeliverRequest request = MESH__V1__DELIVER_REQUEST__INIT;
    Mesh__V1__Command commands[BATCH_MAX], *pointers[BATCH_MAX];
    for (size_t i = 0; i < batch->n; i++) {
        const struct letter *letter = &batch->parcels[i]->letter;
        mesh__v1__command__init(&commands[i]);
        commands[i].method = (char *)letter->method;
        commands[i].request.data = (uint8_t *)letter->request.data;
        commands[i].request.len = letter->request.len;
        commands[i].trace = (char *)letter->trace;
        pointers[i] = &commands[i];
    }
    request.n_commands = batch->n;
    request.commands = pointers;
    return arena_pack(&batch->arena, &request.base);
}

static bool got_reply(struct outcall *call, struct bytes message)
{
    struct batch *batch = OF(call, struct batch, call);
    batch->reply.data = (uint8_t *)arena_copy(&batch->arena, message.data, message.len);
    batch->reply.len = message.len;
    return true;
}

static struct rpc_status copy_status(struct arena *arena, const struct rpc_status *status)
{
    const char *message = arena_copy(arena, status->message, strlen(status->message));
    const char *details = arena_copy(arena, status->details.data, status->details.len);
    return (struct rpc_status){
        .code = status->code,
        .message = message ? message : "",
        .details = { (const uint8_t *)details, details ? status->details.len : 0 },
    };
}

static void call_done(struct outcall *call, const struct rpc_status *status)
{
    struct batch *batch = OF(call, struct batch, call);
    batch->status = copy_status(&batch->arena, status);
    batch->relay->port->post(batch->relay->port, LANE_LOOP, &batch->task);
}

static void set_result(struct batch *batch, size_t i, const struct rpc_status *status)
{
    struct result *result = &batch->results[i];
    result->code = status->code;
    result->message = status->message;
    result->reason = rpc_status_reason(&batch->arena, status);
}

static void set_outcome(struct batch *batch, size_t i, const Mesh__V1__Outcome *outcome)
{
    struct rpc_status status = { .message = "" };
    if (outcome->status) {
        status.code = (enum rpc_code)outcome->status->code;
        status.message = outcome->status->message;
        status.details = arena_pack(&batch->arena, &outcome->status->base);
    }
    set_result(batch, i, &status);
    batch->results[i].reply = (struct bytes){ outcome->reply.data, outcome->reply.len };
}

/* False: what came is no answer to what was asked. */
static bool read_outcomes(struct batch *batch)
{
    ProtobufCAllocator allocator = arena_protobuf(&batch->arena);
    Mesh__V1__DeliverResponse *response =
        batch->reply.data ? mesh__v1__deliver_response__unpack(&allocator, batch->reply.len, batch->reply.data) : NULL;
    if (!response || response->n_outcomes != batch->n)
        return false;
    for (size_t i = 0; i < batch->n; i++)
        set_outcome(batch, i, response->outcomes[i]);
    return true;
}

void batch_tell_circuit(struct batch *batch, bool well)
{
    struct destination *to = batch->to;
    struct relay *relay = batch->relay;
    bool was_closed = circuit_closed(&to->circuit);
    if (well)
        circuit_succeeded(&to->circuit);
    else
        circuit_failed(&to->circuit, relay->port->mono_us(relay->port), relay_chance(relay));
    if (well) {
        to->dirty |= to->dropped;
        to->dropped = false;
    }
    if (was_closed != circuit_closed(&to->circuit))
        say(SAY_WARN, NULL, was_closed ? "circuit opened" : "circuit closed", SAY_T("destination", to->name));
}

/* One of them may be what the other side refuses to read: each goes alone. */
static void send_singly(struct batch *batch)
{
    struct relay *relay = batch->relay;
    for (size_t i = batch->n; i-- > 0;) {
        batch->parcels[i]->alone = true;
        parcel_put_back(batch->to, batch->parcels[i]);
    }
    batch_free(batch);
    relay_turn(relay);
}

/* The other side is well and will refuse the same again, for the sake of at least one command. */
static bool refused_whole(struct batch *batch)
{
    const char *reason = rpc_status_reason(&batch->arena, &batch->status);
    return batch->status.code == RPC_INVALID_ARGUMENT || (reason && strcmp(reason, "NOT_DELIVERABLE") == 0);
}

static void call_over(struct task *task)
{
    struct batch *batch = OF(task, struct batch, task);
    struct rpc_status unreadable = { .code = RPC_INTERNAL, .message = "the reply of Deliver is not readable" };
    bool refused = refused_whole(batch);
    bool answered = batch->status.code == RPC_OK && read_outcomes(batch);
    batch_tell_circuit(batch, answered || refused);
    if (refused && batch->n > 1)
        return send_singly(batch);

    struct rpc_status failure = batch->status.code == RPC_OK ? unreadable : batch->status;
    /* That Deliver is not served or not allowed is no answer to the command: a rollout may still be under way. */
    if (!answered && !refused)
        failure.code = RPC_UNAVAILABLE;
    for (size_t i = 0; !answered && i < batch->n; i++)
        set_result(batch, i, &failure);
    batch_settle(batch);
}

static void deliver(struct batch *batch)
{
    struct port *port = batch->relay->port;
    batch->task.run = call_over;
    batch->call = (struct outcall){
        .peer = batch->to->name,
        .method = DELIVER_METHOD,
        .request = pack(batch),
        .timeout_us = DELIVER_TIMEOUT_US,
        .message = got_reply,
        .done = call_done,
    };
    trace_child(port, NULL, &batch->call.trace); /* each command has its own */
    port->call(port, &batch->call);
}

bool batch_send(struct destination *to, size_t n)
{
    struct batch *batch = make_batch(to);
    if (!batch)
        return false;
    fill(batch, n);
    if (to->name[0] == '\0') {
        batch_settle(batch);
        return true;
    }
    circuit_sent(&to->circuit);
    if (batch->parcels[0]->deliverer->outside)
        batch_fetch(batch);
    else
        deliver(batch);
    return true;
}

void batch_expire(struct destination *to)
{
    int64_t wall = to->relay->port->wall_us(to->relay->port);
    static const struct rpc_status down = { .code = RPC_UNAVAILABLE, .message = "the destination does not answer" };
    struct batch *batch = NULL;
    struct parcel *all = to->ready;
    to->ready = NULL;
    to->ready_end = &to->ready;
    to->n_ready = 0;
    for (struct parcel *parcel = all, *next; parcel; parcel = next) {
        next = parcel->next;
        bool old = parcel_too_old(parcel, wall) && (batch || batch_fits(to, parcel));
        if (old && !batch)
            batch = make_batch(to);
        if (old && batch && batch->n < BATCH_MAX) {
            set_result(batch, batch->n, &down);
            batch->parcels[batch->n++] = parcel;
        } else if (!to->ready) {
            parcel_put_back(to, parcel);
        } else {
            to->dropped = true;
            parcel_gone(to, parcel);
        }
    }
    if (batch)
        batch_settle(batch);
}
