/* Commands in, outcomes out. */
#include "mesh/rpc/deliver.h"
#include "mesh/rpc/call.h"

#include "api.h"

#include <string.h>

/* One delivery under way. Its calls are kept until the last one has ended, as their replies lie in them. */
struct delivery {
    struct rpc_call *call;
    Mesh__V1__DeliverResponse *response;
    size_t n;
    atomic_size_t left;
    struct delivered {
        struct delivery *delivery;
        struct rpc_call *call;
        struct bytes reply, details;
        enum rpc_code code;
    } * each;
};

static Mesh__V1__Outcome *outcome_of(struct arena *arena, const struct delivered *one)
{
    Mesh__V1__Outcome *outcome = arena_alloc(arena, sizeof(*outcome));
    Google__Rpc__Status *status = NULL;
    if (!outcome)
        return NULL;
    mesh__v1__outcome__init(outcome);
    if (one->code != RPC_OK) {
        ProtobufCAllocator allocator = arena_protobuf(arena);
        status = google__rpc__status__unpack(&allocator, one->details.len, one->details.data);
    } else if ((status = arena_alloc(arena, sizeof(*status)))) {
        google__rpc__status__init(status);
        outcome->reply.data = (uint8_t *)arena_copy(arena, one->reply.data, one->reply.len);
        outcome->reply.len = outcome->reply.data ? one->reply.len : 0;
    }
    outcome->status = status;
    return status && (one->code != RPC_OK || outcome->reply.data) ? outcome : NULL;
}

/* All have ended, so that nobody else touches the arena. */
static void collect(struct delivery *d)
{
    struct rpc_call *call = d->call;
    int r = RPC_REPLY;
    for (size_t i = 0; i < d->n; i++) {
        d->response->outcomes[i] = outcome_of(rpc_arena(call), &d->each[i]);
        if (!d->response->outcomes[i])
            r = -ENOMEM;
    }
    for (size_t i = 0; i < d->n; i++)
        if (d->each[i].call)
            dispatch_release(d->each[i].call);
    rpc_gathered(call, r);
}

static void one_ended(struct delivery *d)
{
    if (atomic_fetch_sub(&d->left, 1) == 1)
        collect(d);
}

static void finish(struct rpc_call *call, struct bytes reply, const struct rpc_status *status)
{
    struct delivered *one = rpc_transport_data(call);
    one->call = call;
    one->reply = reply;
    one->code = status->code;
    one->details = status->details;
    one_ended(one->delivery);
}

/* Only streams send, and none is delivered. */
static const struct rpc_transport transport = { .finish = finish };

/* A delivery within a delivery would have no end. */
static bool deliverable(const char *method)
{
    const struct schema_method *rule = schema_method(schema_builtin(), method, strlen(method));
    if (!rule)
        return true;
    bool repeatable = (rule->mutates || rule->idempotent) && !rule->server_streaming && !rule->client_streaming;
    bool for_services = rule->allow != SCHEMA_PUBLIC && (rule->allow & ROLE_BIT(MESH__V1__ROLE__SERVICE));
    return repeatable && for_services && strcmp(rule->service, deliver_service.name) != 0;
}

static void refuse(struct delivered *one)
{
    struct rpc_call *call = one->delivery->call;
    rpc_fail(call, RPC_PERMISSION_DENIED, "NOT_DELIVERABLE", "only what a service may call again is delivered");
    one->code = call->error.code;
    one->details = error_pack(call);
    error_clear(call);
    call->arena.budget = REPLY_BUDGET;
    one_ended(one->delivery);
}

static void dispatch_command(struct delivered *one, const Mesh__V1__Command *command)
{
    struct rpc_call *call = one->delivery->call;
    struct rpc_begin begin = {
        .transport = &transport,
        .transport_data = one,
        .method = command->method,
        .method_len = strlen(command->method),
        .request = { command->request.data, command->request.len },
        .caller = call->caller,
        .authentic = true,
        .deadline_us = call->deadline_us,
    };
    if (!trace_parse(command->trace, &begin.trace))
        begin.trace = call->trace;
    dispatch_begin(call->dispatch, &begin);
}

static int deliver(struct rpc_call *call, const void *in, void *out)
{
    const Mesh__V1__DeliverRequest *request = in;
    Mesh__V1__DeliverResponse *response = out;
    struct arena *arena = rpc_arena(call);
    size_t n = request->n_commands;
    struct delivery *d = arena_zalloc(arena, sizeof(*d));
    struct delivered *each = arena_zalloc(arena, n * sizeof(*each));
    response->outcomes = arena_zalloc(arena, n * sizeof(Mesh__V1__Outcome *));
    if (!d || !each || !response->outcomes)
        return -ENOMEM;

    response->n_outcomes = n;
    *d = (struct delivery){ .call = call, .response = response, .n = n, .each = each };
    atomic_init(&d->left, n + 1); /* and one for this loop, as the arena is its own until it has ended */
    for (size_t i = 0; i < n; i++) {
        each[i].delivery = d;
        if (deliverable(request->commands[i]->method))
            dispatch_command(&each[i], request->commands[i]);
        else
            refuse(&each[i]);
    }
    one_ended(d);
    return RPC_LATER;
}

static const struct rpc_method methods[] = { { "Deliver", .gather = deliver }, {} };
const struct rpc_service deliver_service = { "mesh.v1.DeliverService", &mesh__v1__deliver_service__descriptor,
                                             methods };
