/* A watch's life: read the order, catch up, then live. What it tells is in update.c. */
#include "gateway/watch.h"

#include <errno.h>

#define WATCHES_MAX    60000
#define REPLAYS_MAX    16    /* at once */
#define REPLAYED_MAX   65536 /* entries for one watch: one that is further behind has to begin anew */
#define READ_US        (5 * 1000 * 1000)
#define MESSAGE_BUDGET (8 * 1024 * 1024)

typedef Oms__Order__V1__OrderUpdate OrderUpdate;

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

void watch_finish(struct watch *watch)
{
    struct exchange *x = watch->x;
    drop_watch(watch);
    exchange_finish(x, RPC_OK);
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
        if (strcmp(entry->key, watch->order_id) == 0 && !watch_tell(watch, entry))
            return false;
    watch->state = WATCH_LIVE;
    if (!watch->final)
        return true;
    watch_finish(watch);
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
            alive = watch_tell(watch, &entry);
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
        watch_finish(watch);
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
        exchange_fail(watch->x, &(struct answer){
                                    .code = RPC_FAILED_PRECONDITION,
                                    .reason = "FOREIGN_INCARNATION",
                                    .message = "the position is of another incarnation of the log: begin a new watch",
                                    .subject = "after.incarnation" });
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
    return watch_put(watch, &update);
}

static void begin_at(struct watch *watch, Oms__Order__V1__GetOrderResponse *read)
{
    if (watch->resumes && !check_after(watch, read->position))
        return;
    hub_stands_at(watch->hub, read->position);
    hub_add(watch->hub, watch);
    watch->added = true;
    watch->read = read->position->seq;
    watch->final = watch_ends_with(read->order->state);
    if (!watch->resumes) {
        watch->told = watch->read;
        if (!put_order(watch, read))
            return;
        if (watch->final)
            return watch_finish(watch);
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

static void read_order(struct watch *watch)
{
    struct hub *hub = watch->hub;
    Oms__Order__V1__GetOrderRequest request = OMS__ORDER__V1__GET_ORDER_REQUEST__INIT;
    uint8_t packed[128];
    request.order_id = watch->order_id;
    struct ask_options options = {
        .peer = HUB_PEER,
        .method = "/oms.order.v1.OrderService/GetOrder",
        .request = { packed, oms__order__v1__get_order_request__pack(&request, packed) },
        .timeout_us = READ_US,
        .caller = &watch->x->principal->caller,
    };
    trace_parse(watch->x->trace_text, &options.trace);
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

/* 0, or -EINVAL: it was refused. The order's id, which goes on to svc-order, is judged there once more. */
static int check_request(struct exchange *x, struct bytes message, struct arena *arena)
{
    struct rpc_status status;
    const struct schema_message *type = schema_message(schema_builtin(), x->route->method->input);
    if (schema_judge(arena, type, message, &status) == 0)
        return 0;
    exchange_fail_status(x, &status);
    return -EINVAL;
}

static bool is_position(const Mesh__V1__Position *after)
{
    return !after || after->incarnation[0] || after->seq == 0;
}

/* Out of the request, unless it was refused. */
static void begin_with(struct exchange *x, struct bytes message, struct arena *arena)
{
    if (check_request(x, message, arena) < 0)
        return;
    ProtobufCAllocator allocator = arena_protobuf(arena);
    Oms__Order__V1__WatchOrderRequest *request =
        oms__order__v1__watch_order_request__unpack(&allocator, message.len, message.data);
    if (!request)
        return refuse(x, RPC_INVALID_ARGUMENT, "MALFORMED_REQUEST", "no WatchOrderRequest");
    if (!is_position(request->after))
        return exchange_fail(x, &(struct answer){ .code = RPC_INVALID_ARGUMENT,
                                                  .reason = "FIELD_REQUIRED",
                                                  .message = "a position is of an incarnation of the log",
                                                  .subject = "after.incarnation" });
    struct watch *watch = x->gateway->hub->leaving ? NULL : create_watch(x, request);
    if (!watch)
        return refuse(x, RPC_UNAVAILABLE, "WATCH_RESUME", "the gateway takes no more watches: try elsewhere");
    read_order(watch);
    if (x->server)
        exchange_shed(x);
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
    begin_with(x, message, &arena);
    arena_finish(&arena);
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
