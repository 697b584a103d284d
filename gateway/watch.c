/* A watch's life: read the order, catch up, then live. */
#include "gateway/watch.h"

#include <errno.h>

#define WATCHES_MAX    60000
#define REPLAYS_MAX    16          /* at once */
#define REPLAYED_MAX   65536       /* entries for one watch: one that is further behind has to begin anew */
#define HELD_MAX       (16 * 1024) /* bytes of updates that a client has not taken */
#define READ_US        (5 * 1000 * 1000)
#define MESSAGE_BUDGET (8 * 1024 * 1024)

typedef Oms__Order__V1__Order Order;
typedef Oms__Order__V1__OrderUpdate OrderUpdate;

static bool is_final(Oms__Order__V1__Order__State state)
{
    return state == OMS__ORDER__V1__ORDER__STATE__COMPLETED || state == OMS__ORDER__V1__ORDER__STATE__REJECTED ||
           state == OMS__ORDER__V1__ORDER__STATE__CANCELLED;
}

/* --- the end --- */

static void drop_watch(struct watch *watch)
{
    if (watch->state == WATCH_REPLAYING)
        watch->hub->n_replays--;
    if (watch->ask)
        ask_cancel(watch->ask);
    if (watch->added)
        hub_remove(watch->hub, watch);
    watch->hub->n_watches--;
    metric_add(watch->hub->watches, -1);
    watch->x->own = NULL;
    free(watch->read_reply);
    free(watch);
}

static void fail(struct watch *watch, enum rpc_code code, const char *reason, const char *message)
{
    exchange_fail(watch->x, &(struct answer){ code, reason, message, code == RPC_UNAVAILABLE ? 50000 : 0 });
}

void watch_resume_later(struct watch *watch)
{
    fail(watch, RPC_UNAVAILABLE, "WATCH_RESUME", "the watch ends here: resume it after the last position");
}

static void finish(struct watch *watch)
{
    struct exchange *x = watch->x;
    drop_watch(watch);
    exchange_finish(x, RPC_OK);
}

/* --- updates --- */

/* False: the watch has ended. */
static bool put_update(struct watch *watch, const OrderUpdate *update)
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

#define CHANGED(state) \
    { \
        OMS__EVENT__V1__EVENT_TYPE__ORDER_##state, OMS__ORDER__V1__ORDER__STATE__##state, true \
    }

static const struct {
    int32_t type;
    Oms__Order__V1__Order__State state; /* 0: as the payload says */
    bool changed;                       /* the payload is an OrderStateChanged */
} events[] = {
    { OMS__EVENT__V1__EVENT_TYPE__ORDER_PLACED, OMS__ORDER__V1__ORDER__STATE__PENDING, false },
    { OMS__EVENT__V1__EVENT_TYPE__ORDER_PROGRESSED, 0, true },
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

/* False: the watch has ended. */
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
    Oms__Event__V1__OrderStateChanged *changed = NULL;
    if (events[event].changed && may_see(watch, entry))
        changed = oms__event__v1__order_state_changed__unpack(&allocator, entry->payload_len, entry->payload);
    if (changed) {
        update.state = changed->state;
        update.reject_reason = changed->reason;
        update.payment_state = changed->payment_state;
        update.fulfillment_state = changed->fulfillment_state;
    }
    bool alive = !update.state || put_update(watch, &update);
    arena_finish(&arena);
    if (alive && is_final(update.state)) {
        finish(watch);
        return false;
    }
    return alive;
}

/* False: the watch has ended. */
static bool tell(struct watch *watch, const struct window_entry *entry)
{
    if (entry->seq <= watch->told)
        return true;
    watch->told = entry->seq;
    for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
        if (events[i].type == entry->type)
            return tell_event(watch, entry, i);
    return true;
}

void watch_tell(struct watch *watch, const struct window_entry *entry)
{
    tell(watch, entry);
}

/* --- catching up --- */

static bool replay(struct watch *watch);

/* From told to where the window stands, then live. False: the watch has ended. */
static bool catch_up(struct watch *watch)
{
    const struct window *window = &watch->hub->window;
    if (watch->told < window->floor || (watch->final && window->seq < watch->read))
        return replay(watch);
    const struct window_entry *entry;
    for (size_t i = 0; (entry = window_at(window, i)); i++)
        if (strcmp(entry->key, watch->order_id) == 0 && !tell(watch, entry))
            return false;
    watch->state = WATCH_LIVE;
    if (!watch->final)
        return true;
    finish(watch);
    return false;
}

static void on_replayed(struct ask *ask, struct bytes message)
{
    struct watch *watch = ask_data(ask);
    struct arena arena;
    arena_init(&arena, MESSAGE_BUDGET);
    ProtobufCAllocator allocator = arena_protobuf(&arena);
    Mesh__V1__TailResponse *tail = mesh__v1__tail_response__unpack(&allocator, message.len, message.data);
    bool alive = tail && strcmp(tail->position ? tail->position->incarnation : "", watch->hub->incarnation) == 0;
    if (!alive)
        watch_resume_later(watch);
    for (size_t i = 0; alive && i < tail->n_entries; i++) {
        const struct window_entry entry = window_entry_of(tail->entries[i]);
        if (++watch->replayed > REPLAYED_MAX) {
            fail(watch, RPC_OUT_OF_RANGE, "WATCH_TOO_FAR_BEHIND", "too much has happened since: begin a new watch");
            alive = false;
        } else if (strcmp(entry.key, watch->order_id) == 0) {
            alive = tell(watch, &entry);
        } else if (entry.seq > watch->told) {
            watch->told = entry.seq;
        }
    }
    if (alive && tail->position->seq > watch->told)
        watch->told = tail->position->seq;
    arena_finish(&arena);
}

static void on_replay_end(struct ask *ask, const struct rpc_status *status)
{
    struct watch *watch = ask_data(ask);
    struct hub *hub = ask_owner(ask);
    if (!watch)
        return hub_ask_over(hub);
    watch->ask = NULL;
    watch->state = WATCH_READING;
    hub->n_replays--;
    if (status->code != RPC_OK)
        exchange_fail_status(watch->x, status);
    else if (watch->final && watch->told >= watch->read)
        finish(watch);
    else
        catch_up(watch);
    hub_ask_over(hub);
}

static const struct ask_ops replay_ops = { on_replayed, on_replay_end };

static bool replay(struct watch *watch)
{
    struct hub *hub = watch->hub;
    Mesh__V1__Position position = MESH__V1__POSITION__INIT;
    Mesh__V1__TailRequest request = MESH__V1__TAIL_REQUEST__INIT;
    uint8_t packed[128];
    position.incarnation = hub->incarnation;
    position.seq = watch->told;
    request.after = &position;
    const struct ask_options options = {
        .peer = HUB_PEER,
        .method = "/mesh.v1.LogService/Tail",
        .request = { packed, mesh__v1__tail_request__pack(&request, packed) },
    };
    if (hub->n_replays < REPLAYS_MAX && watch->replays++ < 3)
        watch->ask = ask_start(hub->gateway->port, &options, &replay_ops, hub, watch);
    if (!watch->ask) {
        watch_resume_later(watch);
        return false;
    }
    watch->state = WATCH_REPLAYING;
    hub->n_replays++;
    hub->n_asks++;
    return true;
}

/* --- the read that opens it --- */

static bool check_after(struct watch *watch, const Mesh__V1__Position *read)
{
    if (strcmp(watch->incarnation, read->incarnation) != 0) {
        fail(watch, RPC_FAILED_PRECONDITION, "FOREIGN_INCARNATION",
             "the position is of another incarnation of the log: begin a new watch");
        return false;
    }
    if (watch->told <= read->seq)
        return true;
    fail(watch, RPC_OUT_OF_RANGE, "LOG_AHEAD", "the log has not come that far");
    return false;
}

static bool put_order(struct watch *watch, Oms__Order__V1__GetOrderResponse *read)
{
    OrderUpdate update = OMS__ORDER__V1__ORDER_UPDATE__INIT;
    update.position = read->position;
    update.state = read->order->state;
    update.reject_reason = read->order->reject_reason;
    update.time_us = read->order->update_time_us;
    update.order = read->order;
    update.payment_state = read->order->payment_state;
    update.fulfillment_state = read->order->fulfillment_state;
    return put_update(watch, &update);
}

static void begin_at(struct watch *watch, Oms__Order__V1__GetOrderResponse *read)
{
    if (watch->resumes && !check_after(watch, read->position))
        return;
    hub_stands_at(watch->hub, read->position);
    hub_add(watch->hub, watch);
    watch->added = true;
    watch->read = read->position->seq;
    watch->final = is_final(read->order->state);
    if (!watch->resumes) {
        watch->told = watch->read;
        if (!put_order(watch, read))
            return;
        if (watch->final)
            return finish(watch);
    }
    catch_up(watch);
}

static void on_order(struct ask *ask, struct bytes message)
{
    struct watch *watch = ask_data(ask);
    free(watch->read_reply);
    watch->read_len = message.len;
    watch->read_reply = malloc(message.len + 1);
    if (watch->read_reply)
        memcpy(watch->read_reply, message.data, message.len);
}

static void open_watch(struct watch *watch)
{
    struct arena arena;
    arena_init(&arena, MESSAGE_BUDGET);
    ProtobufCAllocator allocator = arena_protobuf(&arena);
    Oms__Order__V1__GetOrderResponse *read = NULL;
    if (watch->read_reply)
        read = oms__order__v1__get_order_response__unpack(&allocator, watch->read_len, watch->read_reply);
    free(watch->read_reply);
    watch->read_reply = NULL;
    if (read && read->order && read->position)
        begin_at(watch, read);
    else
        fail(watch, RPC_INTERNAL, "BACKEND_BROKEN", "the order could not be read");
    arena_finish(&arena);
}

static void on_order_end(struct ask *ask, const struct rpc_status *status)
{
    struct watch *watch = ask_data(ask);
    struct hub *hub = ask_owner(ask);
    if (watch) {
        watch->ask = NULL;
        if (status->code != RPC_OK)
            exchange_fail_status(watch->x, status);
        else if (hub->leaving)
            watch_resume_later(watch);
        else
            open_watch(watch);
    }
    hub_ask_over(hub);
}

static const struct ask_ops read_ops = { on_order, on_order_end };

/* The watch's own bytes are the read's request: order_id is the first field of both, so that svc-order judges it, and
 * does not know the second. */
static void read_order(struct watch *watch, struct bytes request)
{
    struct hub *hub = watch->hub;
    struct ask_options options = {
        .peer = HUB_PEER,
        .method = "/oms.order.v1.OrderService/GetOrder",
        .request = request,
        .timeout_us = READ_US,
        .caller = &watch->x->principal->caller,
    };
    if (watch->x->traceparent)
        trace_parse((const char *)nghttp2_rcbuf_get_buf(watch->x->traceparent).base, &options.trace);
    watch->ask = ask_start(hub->gateway->port, &options, &read_ops, hub, watch);
    if (watch->ask)
        hub->n_asks++;
    else
        watch_resume_later(watch);
}

/* --- the exchange --- */

static struct watch *create_watch(struct exchange *x, const Oms__Order__V1__WatchOrderRequest *request)
{
    struct hub *hub = x->gateway->hub;
    size_t len = strlen(request->order_id);
    struct watch *watch = hub->n_watches < WATCHES_MAX ? calloc(1, sizeof(*watch) + len + 1) : NULL;
    if (!watch)
        return NULL;
    memcpy(watch->order_id, request->order_id, len);
    watch->hub = hub;
    watch->x = x;
    if (request->after && request->after->incarnation[0]) {
        watch->resumes = true;
        watch->told = request->after->seq;
        snprintf(watch->incarnation, sizeof(watch->incarnation), "%s", request->after->incarnation);
    }
    hub->n_watches++;
    metric_add(hub->watches, 1);
    x->own = watch;
    return watch;
}

static void refuse(struct exchange *x, enum rpc_code code, const char *reason, const char *message)
{
    exchange_fail(x, &(struct answer){ code, reason, message, code == RPC_UNAVAILABLE ? 500000 : 0 });
}

static void begin(struct exchange *x)
{
    struct bytes message;
    int r = x->own ? 0 : exchange_message(x, &message);
    if (r < 0)
        return refuse(x, RPC_RESOURCE_EXHAUSTED, "REQUEST_TOO_LARGE", "the message is larger than this method takes");
    if (r == 0)
        return;
    struct arena arena;
    arena_init(&arena, MESSAGE_BUDGET);
    ProtobufCAllocator allocator = arena_protobuf(&arena);
    Oms__Order__V1__WatchOrderRequest *request =
        oms__order__v1__watch_order_request__unpack(&allocator, message.len, message.data);
    struct watch *watch = request && !x->gateway->hub->leaving ? create_watch(x, request) : NULL;
    arena_finish(&arena);
    if (!request)
        return refuse(x, RPC_INVALID_ARGUMENT, "MESSAGE_MALFORMED", "no WatchOrderRequest");
    if (!watch)
        return refuse(x, RPC_UNAVAILABLE, "WATCH_RESUME", "the gateway takes no more watches: try elsewhere");
    read_order(watch, message);
    if (x->server)
        exchange_shed(x);
}

static void taken(struct exchange *x, size_t n)
{
}

static void abandon(struct exchange *x)
{
    if (x->own)
        drop_watch(x->own);
}

const struct server hub_watch_order = { begin, begin, taken, abandon };
