/* Somebody with one call at a time. An answer that may be no answer (unavailable, too late) is asked for again, with
 * the very same bytes. */
#include "tests/sim/shop.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define PATIENCE_US 2000000
#define BACKOFF_US  500000 /* doubled with every attempt, up to that sixty-four times */

static bool may_change(enum rpc_code code)
{
    return code == RPC_UNAVAILABLE || code == RPC_DEADLINE_EXCEEDED || code == RPC_RESOURCE_EXHAUSTED ||
           code == RPC_CANCELLED;
}

static bool must_not_be(enum rpc_code code)
{
    return code == RPC_UNKNOWN || code == RPC_INTERNAL || code == RPC_DATA_LOSS || code == RPC_UNIMPLEMENTED ||
           code == RPC_UNAUTHENTICATED || code == RPC_PERMISSION_DENIED;
}

static void send(struct actor *actor)
{
    struct port *port = node_port(actor->shop->gateway);
    struct world *w = actor->shop->w;

    free(actor->reply);
    actor->reply = NULL;
    actor->reply_len = 0;
    actor->call.timeout_us = 1 + (int64_t)world_roll(w, world_roll(w, 8) ? PATIENCE_US : 2000);
    actor->asking = true;
    port->call(port, &actor->call);
}

static bool on_message(struct outcall *call, struct bytes message)
{
    struct actor *actor = (struct actor *)((char *)call - offsetof(struct actor, call));

    actor->reply = malloc(message.len + 1);
    assert(actor->reply);
    if (message.len)
        memcpy(actor->reply, message.data, message.len);
    actor->reply_len = message.len;
    return true;
}

static void on_done(struct outcall *call, const struct rpc_status *status)
{
    struct actor *actor = (struct actor *)((char *)call - offsetof(struct actor, call));
    struct arena arena;

    actor->asking = false;
    if (actor->shop->closed)
        return;
    if (actor->insists && may_change(status->code)) {
        actor_rest(actor, (int64_t)BACKOFF_US << (actor->attempts < 6 ? actor->attempts++ : 6));
        return;
    }
    arena_init(&arena, 1 << 16);
    const struct heard answer = {
        .code = status->code,
        .reply = { actor->reply, actor->reply_len },
        .reason = rpc_status_reason(&arena, status),
        .message = status->message,
    };
    if (must_not_be(answer.code))
        shop_violation(actor->shop, "%s was answered %s %s: %s", call->method, rpc_code_name(answer.code),
                       answer.reason, answer.message);
    void (*answered)(struct actor *, const struct heard *) = actor->answered;
    actor->answered = NULL;
    answered(actor, &answer);
    arena_finish(&arena);
}

void actor_ask(struct actor *actor, const char *peer, const char *method, struct bytes request, bool insists,
               void (*answered)(struct actor *actor, const struct heard *answer))
{
    struct port *port = node_port(actor->shop->gateway);

    assert(!actor->asking && !actor->answered);
    port->timer_stop(port, &actor->timer);
    actor->call = (struct outcall){
        .peer = peer,
        .method = method,
        .request = request,
        .caller = &actor->caller,
        .message = on_message,
        .done = on_done,
    };
    actor->insists = insists;
    actor->attempts = 0;
    actor->answered = answered;
    send(actor);
}

void actor_rest(struct actor *actor, int64_t longest_us)
{
    struct port *port = node_port(actor->shop->gateway);

    port->timer_start(port, &actor->timer, 1 + (int64_t)world_roll(actor->shop->w, (uint64_t)longest_us));
}

static void fire(struct timer *timer)
{
    struct actor *actor = (struct actor *)timer;

    if (actor->answered)
        send(actor);
    else
        actor->act(actor);
}

struct bytes actor_pack(struct actor *actor, const void *message)
{
    size_t len = protobuf_c_message_get_packed_size(message);
    uint8_t *data = malloc(len + 1);

    assert(data);
    protobuf_c_message_pack(message, data);
    free((void *)actor->request.data);
    actor->request = (struct bytes){ data, len };
    return actor->request;
}

void actor_init(struct actor *actor, struct shop *shop, int number, uint32_t roles, const char *subject,
                void (*act)(struct actor *actor))
{
    *actor = (struct actor){ .timer.fire = fire, .shop = shop, .number = number, .caller.roles = roles, .act = act };
    strncpy(actor->caller.subject, subject, sizeof(actor->caller.subject) - 1);
}

void actor_stop(struct actor *actor)
{
    struct port *port = node_port(actor->shop->gateway);

    port->timer_stop(port, &actor->timer);
}

void actor_finish(struct actor *actor)
{
    assert(!actor->asking);
    actor_stop(actor);
    depot_finish(actor);
    free(actor->reply);
    free((void *)actor->request.data);
}
