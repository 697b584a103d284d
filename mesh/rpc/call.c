/* A call as its handler sees it. */
#include "mesh/rpc/call.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* No subject has a space, so that a predicate bound to it is true of nothing. */
#define NOBODY " "

void *rpc_app(const struct rpc_call *call)
{
    return call->dispatch->app;
}

struct arena *rpc_arena(struct rpc_call *call)
{
    return &call->arena;
}

struct service *rpc_service_of(const struct rpc_call *call)
{
    return call->dispatch->service;
}

const struct caller *rpc_caller(const struct rpc_call *call)
{
    return &call->caller;
}

const struct trace *rpc_trace(const struct rpc_call *call)
{
    return &call->trace;
}

const char *rpc_owner(const struct rpc_call *call)
{
    uint32_t staff = ~(ROLE_BIT(MESH__V1__ROLE__GUEST) | ROLE_BIT(MESH__V1__ROLE__CUSTOMER));
    if (call->caller.roles & staff)
        return "";
    return caller_is(&call->caller, MESH__V1__ROLE__CUSTOMER) && *call->caller.subject ? call->caller.subject : NOBODY;
}

const struct rpc_refusal *rpc_item_refused(const struct rpc_call *call, size_t index)
{
    const struct spoiled *spoiled = call->spoiled;
    while (spoiled && spoiled->index != index)
        spoiled = spoiled->next;
    return spoiled ? &spoiled->refusal : NULL;
}

int64_t rpc_time_left_us(const struct rpc_call *call)
{
    if (call->deadline_us == 0)
        return INT64_MAX;
    return call->deadline_us - call->dispatch->port->mono_us(call->dispatch->port);
}

void *rpc_scratch(struct rpc_call *call, size_t size)
{
    if (!call->scratch) {
        call->scratch = calloc(2, size);
        call->scratch_size = size;
        if (!call->scratch)
            abort();
    }
    assert(size <= call->scratch_size);
    return call->scratch;
}

void rpc_at_end(struct rpc_call *call, void (*end)(void *arg), void *arg)
{
    assert(!call->at_end);
    call->at_end = end;
    call->at_end_arg = arg;
}

void rpc_defer(struct rpc_call *call, const char *key)
{
    call->defer_key = arena_copy(&call->arena, key, strlen(key));
}

bool rpc_last_look(const struct rpc_call *call)
{
    return call->last_look;
}

void rpc_made(struct rpc_call *call, const char *resource)
{
    call->resource = arena_copy(&call->arena, resource, strlen(resource));
}

const char *rpc_resource(const struct rpc_call *call)
{
    return call->resource ? call->resource : "";
}
