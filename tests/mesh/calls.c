/* Handlers that mark what they were told, in a table that a rollback takes away. */
#include "tests/mesh/calls.h"

#include "mesh/log/consumer.h"
#include "mesh/rpc/deliver.h"
#include "mesh/rpc/wire.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const struct migration world_migrations[] = {
    { 1, "marks", "CREATE TABLE mark (id {int} PRIMARY KEY, what {text} NOT NULL) {strict};\n" },
    {},
};

static int mark(struct txn *txn, const char *what)
{
    struct rows rows;
    int r = txn_query(txn, &rows, "SELECT COALESCE(MAX(id), 0) + 1 FROM mark");
    if (r < 0)
        return r;
    return txn_post(txn, "INSERT INTO mark (id, what) VALUES ($1, $2)", I(row_int(&rows, 0, 0)), T(what));
}

/* --- inventory --- */

static int upsert_location(struct rpc_call *call, struct txn *txn, const void *in, void *out)
{
    struct world *w = rpc_app(call);
    const Oms__Inventory__V1__UpsertLocationRequest *request = in;
    Oms__Inventory__V1__Location *location = out;
    atomic_fetch_add(&w->runs, 1);
    location->location_id = request->location->location_id;
    location->title = request->location->title;
    rpc_made(call, location->location_id);
    return mark(txn, "location");
}

/* The title is personal here: it is not stored with the request. */
static int replay_location(struct rpc_call *call, struct txn *txn, const void *in, void *out)
{
    Oms__Inventory__V1__Location *location = out;
    location->location_id = (char *)rpc_resource(call);
    location->title = (char *)"rebuilt";
    return 0;
}

static int list_locations(struct rpc_call *call, struct txn *txn, const void *in, void *out)
{
    return 0;
}

/* The SKU says what is to happen. */
static int adjust_stock(struct rpc_call *call, struct txn *txn, const void *in, void *out)
{
    struct world *w = rpc_app(call);
    const Oms__Inventory__V1__AdjustStockRequest *request = in;
    Oms__Inventory__V1__AdjustStockResponse *response = out;
    Oms__Inventory__V1__Stock *stock = arena_alloc(rpc_arena(call), sizeof(*stock));
    int runs = atomic_fetch_add(&w->runs, 1) + 1;

    ck_assert_ptr_null(response->stock); /* each run starts anew */
    oms__inventory__v1__stock__init(stock);
    stock->sku = request->sku;
    stock->version = (uint64_t)runs;
    response->stock = stock;
    int r = mark(txn, request->sku);
    if (r < 0)
        return r;
    if (strcmp(request->sku, "fail") == 0)
        return rpc_fail_state(call, request->sku, "NO_SUCH_LUCK", "it fails");
    if (strcmp(request->sku, "bare") == 0)
        return -EPROTO;
    if (strncmp(request->sku, "errno", 5) == 0)
        return -atoi(request->sku + 5);
    return 0;
}

static int list_stock(struct rpc_call *call, struct txn *txn, const void *in, void *out)
{
    struct world *w = rpc_app(call);
    const Oms__Inventory__V1__ListStockRequest *request = in;
    Oms__Inventory__V1__ListStockResponse *response = out;
    atomic_fetch_add(&w->runs, 1);
    ck_assert_ptr_eq(response->next_page_token, protobuf_c_empty_string);
    w->trace = *rpc_trace(call);
    response->next_page_token = request->page_token;
    if (strncmp(request->sku, "errno", 5) == 0)
        return -atoi(request->sku + 5);
    return 0;
}

static int gather_availability(struct rpc_call *call, const void *in, void *out)
{
    struct world *w = rpc_app(call);
    const Oms__Inventory__V1__BatchGetAvailabilityRequest *request = in;
    int *scratch = rpc_scratch(call, sizeof(*scratch));
    ck_assert_int_eq(*scratch, 0);
    *scratch = 7;
    if (strcmp(request->skus[0], "reply") == 0)
        return RPC_REPLY;
    if (strcmp(request->skus[0], "fail") == 0)
        return rpc_fail(call, RPC_UNAVAILABLE, "NOBODY_THERE", "nobody answers");
    if (strncmp(request->skus[0], "later", 5) == 0) {
        w->gathering = call;
        return RPC_LATER;
    }
    if (strcmp(request->skus[0], "inside") == 0) {
        rpc_gathered(call, RPC_NOW);
        return RPC_LATER;
    }
    return RPC_NOW;
}

static int work_availability(struct rpc_call *call, const void *in, void *out)
{
    int *scratch = rpc_scratch(call, sizeof(*scratch));
    ck_assert_int_eq(*scratch, 7);
    *scratch = 8;
    return 0;
}

static int get_availability(struct rpc_call *call, struct txn *txn, const void *in, void *out)
{
    Oms__Inventory__V1__BatchGetAvailabilityResponse *response = out;
    int *scratch = rpc_scratch(call, sizeof(*scratch));
    ck_assert_int_eq(*scratch, 8); /* also when it is run again */
    *scratch = 9;
    response->availability = arena_alloc(rpc_arena(call), sizeof(void *));
    response->availability[0] = arena_alloc(rpc_arena(call), sizeof(**response->availability));
    oms__inventory__v1__availability__init(response->availability[0]);
    response->availability[0]->available = *scratch;
    response->n_availability = 1;
    return 0;
}

static int reserve_batch(struct txn *txn, struct rpc_item *items, size_t n)
{
    struct world *w = rpc_app(items[0].call);
    if ((int)n > atomic_load(&w->batch_most))
        atomic_store(&w->batch_most, (int)n);
    for (size_t i = 0; i < n; i++) {
        const Oms__Inventory__V1__ReserveStockRequest *request = items[i].in;
        Oms__Inventory__V1__ReserveStockResponse *response = items[i].out;
        atomic_fetch_add(&w->runs, 1);
        if (strcmp(request->order_id, "fail") == 0) {
            items[i].result = rpc_fail_state(items[i].call, request->order_id, "NO_SUCH_LUCK", "it fails");
            continue;
        }
        if (strcmp(request->order_id, "poison") == 0)
            return -EINVAL;
        int r = mark(txn, request->order_id);
        if (r < 0)
            return r;
        /* In the memory of the first one, as rows of a batch are. */
        response->reservation_id = arena_printf(txn->arena, "res-%s", request->order_id);
    }
    return 0;
}

static int release_batch(struct txn *txn, struct rpc_item *items, size_t n)
{
    struct world *w = rpc_app(items[0].call);
    int r = 0;
    for (size_t i = 0; r == 0 && i < n; i++) {
        Oms__Inventory__V1__ReleaseStockResponse *response = items[i].out;
        atomic_fetch_add(&w->runs, 1);
        w->time_left_us = rpc_time_left_us(items[i].call);
        response->released = true;
        r = mark(txn, "released");
    }
    return r;
}

static const struct rpc_method inventory_methods[] = {
    { "UpsertLocation", .unit = upsert_location, .replay = replay_location },
    { "ListLocations", .unit = list_locations },
    { "AdjustStock", .unit = adjust_stock },
    { "ListStock", .unit = list_stock },
    { "BatchGetAvailability", .gather = gather_availability, .work = work_availability, .unit = get_availability },
    { "ReserveStock", .batch = reserve_batch },
    { "ReleaseStock", .batch = release_batch },
    { "CommitStock", .elsewhere = true },
    { "RecordMovements", .elsewhere = true },
    { "ListMovements", .elsewhere = true },
    { "VerifyInventory", .elsewhere = true },
    {},
};
static const struct rpc_service inventory = { "oms.inventory.v1.InventoryService",
                                              &oms__inventory__v1__inventory_service__descriptor, inventory_methods };

/* --- orders: deferred until a mark "confirm" is there --- */

static int place_order(struct rpc_call *call, struct txn *txn, const void *in, void *out)
{
    struct world *w = rpc_app(call);
    const Oms__Order__V1__PlaceOrderRequest *request = in;
    Oms__Order__V1__PlaceOrderResponse *response = out;
    Oms__Order__V1__Order *order = arena_alloc(rpc_arena(call), sizeof(*order));
    atomic_fetch_add(&w->runs, 1);
    snprintf(w->owner, sizeof(w->owner), "%s", rpc_owner(call));
    oms__order__v1__order__init(order);
    order->order_id = (char *)"ord_1";
    order->customer_id = request->customer_id;
    order->state = OMS__ORDER__V1__ORDER__STATE__PENDING;
    response->order = order;
    if (request->wait)
        rpc_defer(call, order->order_id);
    return mark(txn, "order");
}

static int order_settled(struct rpc_call *call, struct txn *txn, const void *in, void *out)
{
    struct world *w = rpc_app(call);
    Oms__Order__V1__PlaceOrderResponse *response = out;
    struct rows rows;
    atomic_fetch_add(&w->settled_runs, 1);
    int r = txn_query(txn, &rows, "SELECT id FROM mark WHERE what = $1", T("confirm"));
    if (r < 0)
        return r;
    ck_assert_str_eq(response->order->order_id, "ord_1");
    if (rows.n == 0)
        return RPC_WAIT;
    response->order->state = OMS__ORDER__V1__ORDER__STATE__CONFIRMED;
    return 0;
}

/* One mark an order, and its acknowledgement tells in which run it was made. */
static int import_orders(struct rpc_call *call, struct txn *txn, const void *in, void *out)
{
    struct world *w = rpc_app(call);
    const Oms__Order__V1__ImportOrdersRequest *request = in;
    Oms__Order__V1__ImportOrdersResponse *response = out;
    int r = 0;
    response->request_id = request->request_id;
    response->placed = (uint32_t)atomic_fetch_add(&w->runs, 1) + 1;
    for (size_t i = 0; r == 0 && i < request->n_orders; i++)
        r = mark(txn, request->orders[i]->external_id);
    return r;
}

static int get_order(struct rpc_call *call, struct txn *txn, const void *in, void *out)
{
    return rpc_fail_missing(call, "Order", ((const Oms__Order__V1__GetOrderRequest *)in)->order_id);
}

static int list_orders(struct rpc_call *call, struct txn *txn, const void *in, void *out)
{
    struct world *w = rpc_app(call);
    const Oms__Order__V1__ListOrdersRequest *request = in;
    snprintf(w->owner, sizeof(w->owner), "%s", request->customer_id);
    return 0;
}

static const struct rpc_method order_methods[] = {
    { "PlaceOrder", .unit = place_order, .settled = order_settled },
    { "GetOrder", .unit = get_order },
    { "ListOrders", .unit = list_orders },
    { "ImportOrders", .unit = import_orders },
    { "BatchGetOrders", .elsewhere = true },
    { "ExportOrders", .elsewhere = true },
    { "CancelOrder", .elsewhere = true },
    { "ExplainOrder", .elsewhere = true },
    { "ListStuckOrders", .elsewhere = true },
    { "GetCredit", .elsewhere = true },
    { "ListCredits", .elsewhere = true },
    { "ActivateImport", .elsewhere = true },
    { "DiscardImport", .elsewhere = true },
    { "GetImport", .elsewhere = true },
    { "WatchOrder", .elsewhere = true },
    {},
};
static const struct rpc_service orders = { "oms.order.v1.OrderService", &oms__order__v1__order_service__descriptor,
                                           order_methods };

/* --- the log: a tail of one entry a page --- */

static int tail_page(struct rpc_call *call, struct txn *txn, const void *in, void *out, bool *ret_empty)
{
    const Mesh__V1__TailRequest *request = in;
    Mesh__V1__TailResponse *response = out;
    uint64_t *cursor = rpc_scratch(call, sizeof(*cursor));
    struct log_entry *entries;
    int64_t n = log_read(txn, *cursor, 1, &entries);
    if (n < 0)
        return (int)n;
    if (n == 0) {
        *ret_empty = true;
        return request->follow ? RPC_WAIT : RPC_END;
    }
    *cursor = entries[0].seq;
    response->head = *cursor;
    return RPC_MORE;
}

static int snapshot(struct rpc_call *call, struct txn *txn, const void *in, void *out)
{
    return 0;
}

static const struct rpc_method log_methods[] = { { "Tail", .page = tail_page }, { "Snapshot", .unit = snapshot }, {} };
static const struct rpc_service log_service = { "mesh.v1.LogService", &mesh__v1__log_service__descriptor, log_methods };

static const struct rpc_service *const services[] = { &inventory, &orders, &log_service, &deliver_service, NULL };

/* --- the world --- */

static void committed(void *arg, const struct commit *commit)
{
    struct world *w = arg;
    atomic_fetch_add(&w->commits, 1);
    if (w->dispatch && (commit->touched & TOUCHED_LOG))
        dispatch_log_grown(w->dispatch, commit->log_seq);
    if (w->dispatch && (commit->touched & TOUCHED_CURSOR))
        dispatch_consumer_moved(w->dispatch);
}

void world_open(struct world *w, bool threads)
{
    char path[96];
    struct log_position head;
    memset(w, 0, sizeof(*w));
    w->threads = threads;
    steps_port_init(&w->steps);
    w->port = threads ? threads_port_create() : &w->steps.port;
    strcpy(w->dir, "/tmp/check_calls.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(w->dir));
    snprintf(path, sizeof(path), "%s/db", w->dir);
    ck_assert_int_eq(store_open(w->port, &(struct store_options){ .path = path }, &w->store), 0);
    ck_assert_int_eq(store_migrate(w->store, "rpc", rpc_migrations), 0);
    ck_assert_int_eq(store_migrate(w->store, "log", log_migrations), 0);
    ck_assert_int_eq(store_migrate(w->store, "consumer", consumer_migrations), 0);
    ck_assert_int_eq(store_migrate(w->store, "world", world_migrations), 0);
    ck_assert_int_eq(log_open(w->store, &head), 0);
    w->dispatch = dispatch_create(w->port, w->store, NULL, w, services);
    store_on_commit(w->store, committed, w);
}

void world_close(struct world *w)
{
    char command[96];
    world_settle(w);
    ck_assert_uint_eq(dispatch_active(w->dispatch), 0);
    dispatch_destroy(w->dispatch);
    if (w->threads)
        threads_port_destroy(w->port);
    store_close(w->store);
    snprintf(command, sizeof(command), "rm -r %s", w->dir);
    ck_assert_int_eq(system(command), 0);
}

void world_settle(struct world *w)
{
    if (w->threads)
        threads_port_settle(w->port);
    else
        steps_port_run(&w->steps);
}

struct counting {
    const char *what;
    bool requests;
    int64_t n;
};

static int count(struct txn *txn, void *arg)
{
    struct counting *c = arg;
    struct rows rows;
    int r = c->requests ? txn_query(txn, &rows, "SELECT COUNT(*) FROM rpc_request")
            : c->what   ? txn_query(txn, &rows, "SELECT COUNT(*) FROM mark WHERE what = $1", T(c->what))
                        : txn_query(txn, &rows, "SELECT COUNT(*) FROM mark");
    if (r == 0)
        c->n = row_int(&rows, 0, 0);
    return r;
}

struct running {
    struct unit unit;
    int result;
};

static void ran(struct unit *unit, int result)
{
    ((struct running *)unit)->result = result;
}

/* On the writer lane, where there is one: what the commit wakes may be there before it has returned. */
static void run_now(struct world *w, int (*run)(struct txn *txn, void *arg), void *arg)
{
    struct arena arena;
    arena_init(&arena, 1 << 20);
    struct running running = { .unit = { .run = run, .arg = arg, .arena = &arena, .done = ran }, .result = 1 };
    world_settle(w);
    if (w->threads)
        store_write(w->store, &running.unit);
    else
        running.result = store_write_now(w->store, &running.unit);
    if (w->threads)
        world_settle(w);
    ck_assert_int_eq(running.result, 0);
    arena_finish(&arena);
}

int64_t world_marks(struct world *w, const char *what)
{
    struct counting c = { .what = what };
    run_now(w, count, &c);
    return c.n;
}

int64_t world_requests(struct world *w)
{
    struct counting c = { .requests = true };
    run_now(w, count, &c);
    return c.n;
}

static int append(struct txn *txn, void *arg)
{
    Oms__Event__V1__AvailabilityChanged payload = OMS__EVENT__V1__AVAILABILITY_CHANGED__INIT;
    struct event event = {
        .type = OMS__EVENT__V1__EVENT_TYPE__AVAILABILITY_CHANGED, .key = arg, .owner = "", .payload = &payload.base
    };
    int r = log_append(txn, &event);
    return r < 0 || strcmp(arg, "ord_1") != 0 ? r : mark(txn, "confirm");
}

void world_event(struct world *w, const char *key)
{
    run_now(w, append, (void *)key);
}

struct cursor {
    const char *name, *incarnation;
    int64_t seq;
    bool booting;
};

static int move_cursor(struct txn *txn, void *arg)
{
    const struct cursor *to = arg;
    txn->touched |= TOUCHED_CURSOR;
    return txn_post(txn,
                    "INSERT INTO consumer_cursor (name, incarnation, seq, booting, page_token)"
                    " VALUES ($1, $2, $3, $4, '') ON CONFLICT (name) DO UPDATE SET"
                    " incarnation = excluded.incarnation, seq = excluded.seq, booting = excluded.booting",
                    T(to->name), T(to->incarnation), I(to->seq), I(to->booting));
}

void world_consumer(struct world *w, const char *name, const char *incarnation, int64_t seq, bool booting)
{
    struct cursor to = { name, incarnation, seq, booting };
    run_now(w, move_cursor, &to);
}

/* --- calls --- */

static void keep_details(struct asked *a, struct arena *arena, struct bytes details)
{
    ProtobufCAllocator allocator = arena_protobuf(arena);
    Google__Rpc__Status *status = google__rpc__status__unpack(&allocator, details.len, details.data);
    for (size_t i = 0; status && i < status->n_details; i++) {
        const Google__Protobuf__Any *any = status->details[i];
        if (strcmp(any->type_url, "type.googleapis.com/google.rpc.BadRequest") == 0) {
            Google__Rpc__BadRequest *bad =
                google__rpc__bad_request__unpack(&allocator, any->value.len, any->value.data);
            snprintf(a->field, sizeof(a->field), "%s", bad->field_violations[0]->field);
        } else if (strcmp(any->type_url, "type.googleapis.com/google.rpc.RetryInfo") == 0) {
            Google__Rpc__RetryInfo *retry =
                google__rpc__retry_info__unpack(&allocator, any->value.len, any->value.data);
            a->retry_us = retry->retry_delay->seconds * 1000000 + retry->retry_delay->nanos / 1000;
        }
    }
}

static void transport_send(struct rpc_call *call, struct bytes message)
{
    struct asked *a = rpc_transport_data(call);
    ck_assert_int_eq(atomic_load(&a->finished), 0);
    a->len = message.len;
    memcpy(a->reply, message.data, message.len);
    atomic_fetch_add(&a->sent, 1);
    if (!a->hold)
        dispatch_writable(call);
}

static void transport_finish(struct rpc_call *call, struct bytes reply, const struct rpc_status *status)
{
    struct asked *a = rpc_transport_data(call);
    struct arena arena;
    arena_init(&arena, 1 << 20);
    a->code = status->code;
    snprintf(a->reason, sizeof(a->reason), "%s", rpc_status_reason(&arena, status));
    snprintf(a->message, sizeof(a->message), "%s", status->message);
    keep_details(a, &arena, status->details);
    arena_finish(&arena);
    ck_assert_uint_le(reply.len, sizeof(a->reply));
    if (reply.len > 0) {
        a->len = reply.len;
        memcpy(a->reply, reply.data, reply.len);
    }
    dispatch_release(call);
    ck_assert_int_eq(atomic_fetch_add(&a->finished, 1), 0);
}

static const struct rpc_transport transport = { transport_send, transport_finish };

void ask_begin(struct world *w, struct asked *a, const struct asking *asking)
{
    bool hold = a->hold;
    memset(a, 0, sizeof(*a));
    a->world = w;
    a->hold = hold;
    uint8_t packed[8192];
    struct bytes bytes = asking->bytes;
    if (asking->request) {
        ck_assert_uint_le(protobuf_c_message_get_packed_size(asking->request), sizeof(packed));
        bytes = (struct bytes){ packed, protobuf_c_message_pack(asking->request, packed) };
    }
    struct rpc_begin begin = {
        .transport = &transport,
        .transport_data = a,
        .method = asking->method,
        .method_len = strlen(asking->method),
        .request = bytes,
        .caller.roles =
            asking->roles ? asking->roles : ROLE_BIT(MESH__V1__ROLE__SERVICE) | ROLE_BIT(MESH__V1__ROLE__ERP),
        .authentic = !asking->not_authentic,
        .trace = asking->trace,
        .deadline_us = asking->timeout_us ? w->port->mono_us(w->port) + asking->timeout_us : 0,
    };
    snprintf(begin.caller.subject, sizeof(begin.caller.subject), "%s", asking->subject ? asking->subject : "tester");
    a->call = dispatch_begin(w->dispatch, &begin);
}

void ask(struct world *w, struct asked *a, const struct asking *asking)
{
    ask_begin(w, a, asking);
    world_settle(w);
}

const Oms__Inventory__V1__AdjustStockRequest *adjust(const char *request_id, const char *sku)
{
    static Oms__Inventory__V1__AdjustStockRequest request;
    oms__inventory__v1__adjust_stock_request__init(&request);
    request.request_id = (char *)request_id;
    request.sku = (char *)sku;
    request.location_id = (char *)"loc";
    request.delta = 1;
    request.reason = (char *)"COUNTED";
    return &request;
}

const Oms__Inventory__V1__ReserveStockRequest *reserve(const char *request_id, const char *order_id)
{
    static Oms__Inventory__V1__ReserveStockRequest request;
    static Oms__Inventory__V1__ReserveStockRequest__Line line, *lines[] = { &line };
    oms__inventory__v1__reserve_stock_request__init(&request);
    oms__inventory__v1__reserve_stock_request__line__init(&line);
    line.sku = (char *)"A";
    line.quantity = 1;
    request.request_id = (char *)request_id;
    request.order_id = (char *)order_id;
    request.lines = lines;
    request.n_lines = 1;
    return &request;
}

const Oms__Inventory__V1__ReleaseStockRequest *release(const char *request_id, const char *operation_id)
{
    static Oms__Inventory__V1__ReleaseStockRequest request;
    oms__inventory__v1__release_stock_request__init(&request);
    request.request_id = (char *)request_id;
    request.operation_id = (char *)operation_id;
    return &request;
}

const Oms__Order__V1__PlaceOrderRequest *place(const char *request_id, const char *customer_id)
{
    static Oms__Order__V1__PlaceOrderRequest request;
    static Oms__Order__V1__PlaceOrderRequest__Line line, *lines[] = { &line };
    oms__order__v1__place_order_request__init(&request);
    oms__order__v1__place_order_request__line__init(&line);
    line.sku = (char *)"A";
    line.quantity = 1;
    request.request_id = (char *)request_id;
    request.customer_id = (char *)customer_id;
    request.currency_code = (char *)"GBP";
    request.lines = lines;
    request.n_lines = 1;
    return &request;
}
