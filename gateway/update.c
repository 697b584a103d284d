/* What a watch tells of its order, to whom, and with which state it ends. */
#include "gateway/watch.h"

#define HELD_MAX       (16 * 1024) /* bytes of updates that a client has not taken */
#define MESSAGE_BUDGET (8 * 1024 * 1024)

typedef Oms__Order__V1__OrderUpdate OrderUpdate;

bool watch_ends_with(Oms__Order__V1__Order__State state)
{
    return state == OMS__ORDER__V1__ORDER__STATE__COMPLETED || state == OMS__ORDER__V1__ORDER__STATE__REJECTED ||
           state == OMS__ORDER__V1__ORDER__STATE__CANCELLED;
}

bool watch_put(struct watch *watch, const OrderUpdate *update)
{
    struct arena arena;
    if (pipe_held(&watch->x->reply) > HELD_MAX) {
        watch_resume_later(watch);
        return false;
    }
    arena_init(&arena, MESSAGE_BUDGET);
    struct bytes packed = arena_pack(&arena, &update->base);
    bool fits = packed.data, put = fits && exchange_put_message(watch->x, packed);
    arena_finish(&arena);
    if (put)
        metric_add(watch->hub->told, 1);
    else if (!fits)
        watch_resume_later(watch);
    return put;
}

/* What payloads add to an update; nothing if they do not decode. */
static void add_placed(ProtobufCAllocator *allocator, const struct window_entry *entry, OrderUpdate *update)
{
    const Oms__Event__V1__OrderPlaced *placed =
        oms__event__v1__order_placed__unpack(allocator, entry->payload_len, entry->payload);
    if (placed)
        update->payment_state = placed->payment_state;
}

static void add_imported(ProtobufCAllocator *allocator, const struct window_entry *entry, OrderUpdate *update)
{
    const Oms__Event__V1__OrderImported *imported =
        oms__event__v1__order_imported__unpack(allocator, entry->payload_len, entry->payload);
    if (!imported)
        return;
    update->payment_state = imported->payment_state;
    update->fulfillment_state = imported->fulfillment_state;
}

static void add_changed(ProtobufCAllocator *allocator, const struct window_entry *entry, OrderUpdate *update)
{
    const Oms__Event__V1__OrderStateChanged *changed =
        oms__event__v1__order_state_changed__unpack(allocator, entry->payload_len, entry->payload);
    if (!changed)
        return;
    if (!update->state)
        update->state = changed->state;
    update->reject_reason = changed->reason;
    update->payment_state = changed->payment_state;
    update->fulfillment_state = changed->fulfillment_state;
}

#define CHANGED(state) \
    { \
        OMS__EVENT__V1__EVENT_TYPE__ORDER_##state, OMS__ORDER__V1__ORDER__STATE__##state, add_changed \
    }

static const struct {
    int32_t type;
    Oms__Order__V1__Order__State state; /* 0: only the payload says; who may not see that is told nothing */
    void (*add)(ProtobufCAllocator *allocator, const struct window_entry *entry, OrderUpdate *update);
} events[] = {
    { OMS__EVENT__V1__EVENT_TYPE__ORDER_PLACED, OMS__ORDER__V1__ORDER__STATE__PENDING, add_placed },
    { OMS__EVENT__V1__EVENT_TYPE__ORDER_IMPORTED, OMS__ORDER__V1__ORDER__STATE__COMPLETED, add_imported },
    { OMS__EVENT__V1__EVENT_TYPE__ORDER_PROGRESSED, 0, add_changed },
    CHANGED(CONFIRMED),
    CHANGED(REJECTED),
    CHANGED(CANCELLING),
    CHANGED(CANCELLED),
    CHANGED(COMPLETED),
};

/* Whether the payload is for this caller: one of the roles, and as a customer only of what is one's own. */
static bool may_see(const struct watch *watch, const struct window_entry *entry)
{
    const struct caller *caller = &watch->x->principal->caller;
    uint32_t roles = entry->audience & caller->roles;
    if (roles & ~ROLE_BIT(MESH__V1__ROLE__CUSTOMER))
        return true;
    return roles && strcmp(entry->owner, caller->subject) == 0;
}

static bool tell_event(struct watch *watch, const struct window_entry *entry, size_t event)
{
    struct arena arena;
    arena_init(&arena, MESSAGE_BUDGET);
    ProtobufCAllocator allocator = arena_protobuf(&arena);
    Mesh__V1__Position position = MESH__V1__POSITION__INIT;
    OrderUpdate update = OMS__ORDER__V1__ORDER_UPDATE__INIT;
    position.incarnation = watch->hub->incarnation;
    position.seq = entry->seq;
    update.position = &position;
    update.state = events[event].state;
    update.time_us = entry->time_us;
    if (may_see(watch, entry))
        events[event].add(&allocator, entry, &update);
    bool alive = !update.state || watch_put(watch, &update);
    arena_finish(&arena);
    if (alive && watch_ends_with(update.state)) {
        watch_finish(watch);
        return false;
    }
    return alive;
}

bool watch_tell(struct watch *watch, const struct window_entry *entry)
{
    if (entry->seq <= watch->told)
        return true;
    watch->told = entry->seq;
    for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
        if (events[i].type == entry->type)
            return tell_event(watch, entry, i);
    return true;
}
