/* The two services and what drives them. */
#include "tests/mesh/pair.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATIENCE_US 600000000

static unsigned worlds;   /* made so far */
static struct pair *pair; /* the one of this process: services' code has no other way to it */

/* --- the receiver --- */

static const struct migration receiver_migrations[] = { { 1, "what was done",
                                                          "CREATE TABLE done (at {int} PRIMARY KEY, op {text} NOT "
                                                          "NULL, key {text} NOT NULL, what {text} NOT NULL) {strict}" },
                                                        {} };

static int note(struct txn *txn, const char *op, const char *key, const char *what)
{
    return txn_post(txn, "INSERT INTO done (at, op, key, what) SELECT COUNT(*) + 1, $1, $2, $3 FROM done", T(op),
                    T(key), T(what));
}

static int carry_out(struct txn *txn, const char *op, const char *key)
{
    Oms__Event__V1__AvailabilityChanged changed = OMS__EVENT__V1__AVAILABILITY_CHANGED__INIT;
    changed.sku = (char *)op;
    const struct event event = {
        .type = OMS__EVENT__V1__EVENT_TYPE__AVAILABILITY_CHANGED, .key = key, .owner = "", .payload = &changed.base
    };
    int r = note(txn, op, key, "reserve");
    return r < 0 ? r : log_append(txn, &event);
}

static int reserve(struct rpc_call *call, struct txn *txn, const void *in, void *out)
{
    const Oms__Inventory__V1__ReserveStockRequest *request = in;
    Oms__Inventory__V1__ReserveStockResponse *response = out;
    if (strncmp(request->order_id, "refuse", 6) == 0)
        return rpc_fail_state(call, request->order_id, "NOT_FOR_YOU", "this order is refused");
    if (pair->busy && strncmp(request->order_id, "busy", 4) == 0)
        return rpc_fail(call, RPC_UNAVAILABLE, "BUSY", "not now");
    response->reservation_id = request->request_id;
    return carry_out(txn, request->request_id, request->order_id);
}

static int release(struct rpc_call *call, struct txn *txn, const void *in, void *out)
{
    const Oms__Inventory__V1__ReleaseStockRequest *request = in;
    Oms__Inventory__V1__ReleaseStockResponse *response = out;
    response->released = true;
    return note(txn, request->operation_id, "", "release");
}

static const struct rpc_method receiver_methods[] = {
    { "UpsertLocation", .elsewhere = true },       { "ListLocations", .elsewhere = true },
    { "AdjustStock", .elsewhere = true },          { "ListStock", .elsewhere = true },
    { "BatchGetAvailability", .elsewhere = true }, { "ReserveStock", .unit = reserve },
    { "ReleaseStock", .unit = release },           { "CommitStock", .elsewhere = true },
    { "RecordMovements", .elsewhere = true },      { "ListMovements", .elsewhere = true },
    { "VerifyInventory", .elsewhere = true },      {},
};
static const struct rpc_service receiver_service = {
    .name = "oms.inventory.v1.InventoryService",
    .descriptor = &oms__inventory__v1__inventory_service__descriptor,
    .methods = receiver_methods,
};
static const struct rpc_service *const receiver_serves[] = { &receiver_service, NULL };

/* The state of the receiver as events: every reservation. */
static int page(struct txn *txn, const char *after, size_t max, struct event *ret_events, const char **ret_keys)
{
    struct rows rows;
    int r = txn_query(txn, &rows, "SELECT op, key FROM done WHERE what = 'reserve' AND op > $1 ORDER BY op LIMIT $2",
                      T(after), I((int64_t)max));
    for (size_t i = 0; r == 0 && i < rows.n; i++) {
        Oms__Event__V1__AvailabilityChanged *changed =
            arena_message(txn->arena, &oms__event__v1__availability_changed__descriptor);
        changed->sku = (char *)row_text(&rows, i, 0);
        ret_keys[i] = row_text(&rows, i, 0);
        ret_events[i] = (struct event){
            .type = OMS__EVENT__V1__EVENT_TYPE__AVAILABILITY_CHANGED,
            .key = row_text(&rows, i, 1),
            .owner = "",
            .payload = &changed->base,
        };
    }
    return r < 0 ? r : (int)rows.n;
}

static int no_page(struct txn *txn, const char *after, size_t max, struct event *ret_events, const char **ret_keys)
{
    return 0;
}

static const struct snapshot_kind receiver_snapshots[] = { { no_page }, { page }, {} };

/* --- the sender --- */

static const struct migration sender_migrations[] = {
    { 1, "plans, outcomes, what was heard",
      "CREATE TABLE plan (id {text} PRIMARY KEY) {clustered};\n"
      "CREATE TABLE outcome (op {text} PRIMARY KEY, times {int} NOT NULL, code {int} NOT NULL, gave_up {int} NOT NULL,"
      " attempts {int} NOT NULL, reason {text} NOT NULL) {clustered};\n"
      "CREATE TABLE fired (key {text} PRIMARY KEY, times {int} NOT NULL) {clustered};\n"
      "CREATE TABLE heard (op {text} PRIMARY KEY, times {int} NOT NULL, snapshot {int} NOT NULL) {clustered}" },
    {}
};

static int outcome(struct txn *txn, const struct outcome *o)
{
    const Oms__Inventory__V1__ReserveStockRequest *request = o->request;
    const Oms__Inventory__V1__ReserveStockResponse *reply = o->reply;
    if (pair->refuse_outcomes > 0) {
        pair->refuse_outcomes--;
        return -EINVAL;
    }
    if (reply && strcmp(reply->reservation_id, request->request_id) != 0)
        return -EDOM;
    return txn_post(txn,
                    "INSERT INTO outcome (op, times, code, gave_up, attempts, reason) VALUES ($1, 1, $2, $3, $4, $5)"
                    " ON CONFLICT (op) DO UPDATE SET times = outcome.times + 1",
                    T(request->request_id), I(o->code), I(o->gave_up), I(o->attempts), T(o->reason));
}

static int fire(struct txn *txn, const char *key, int64_t due_us)
{
    pair->fired_us = txn->now_us;
    return txn_post(
        txn, "INSERT INTO fired (key, times) VALUES ($1, 1) ON CONFLICT (key) DO UPDATE SET times = fired.times + 1",
        T(key));
}

static int hear(struct txn *txn, const struct log_entry *entry, const void *payload)
{
    const Oms__Event__V1__AvailabilityChanged *changed = payload;
    pair->heard++;
    if (pair->refuse_events > 0) {
        pair->refuse_events--;
        return -EINVAL;
    }
    return txn_post(txn,
                    "INSERT INTO heard (op, times, snapshot) VALUES ($1, $2, $3)"
                    " ON CONFLICT (op) DO UPDATE SET times = heard.times + $2",
                    T(changed->sku), I(!entry->snapshot), I(entry->snapshot));
}

static const struct timer_row sender_timers[] = { { "reminder", fire }, {} };

/* --- the world --- */

void pair_init(struct pair *p, uint64_t seed)
{
    const char *rerun = getenv("MESH_RERUN");
    *p = (struct pair){ .world = world_create(seed), .to = "receiver", .method = RESERVE };
    pair = p;
    worlds++;
    p->sender_options.rerun_always = p->receiver_options.rerun_always = rerun && strcmp(rerun, "always") == 0;
    p->deliverers[0] = (struct deliverer){
        .method = RESERVE,
        .request = &oms__inventory__v1__reserve_stock_request__descriptor,
        .reply = &oms__inventory__v1__reserve_stock_response__descriptor,
        .outcome = outcome,
    };
    p->deliverers[1] = (struct deliverer){
        .method = RELEASE,
        .request = &oms__inventory__v1__release_stock_request__descriptor,
        .reply = &oms__inventory__v1__release_stock_response__descriptor,
    };
    p->consumed[0] = (struct consumed){ OMS__EVENT__V1__EVENT_TYPE__AVAILABILITY_CHANGED,
                                        &oms__event__v1__availability_changed__descriptor, hear };
    p->consumers[0] = (struct consumer){ "hearer", "receiver", p->consumed };
    p->sender_spec = (struct service_spec){
        .name = "sender",
        .deliverers = p->deliverers,
        .timers = sender_timers,
        .consumers = p->consumers,
        .migrations = sender_migrations,
    };
    p->receiver_spec = (struct service_spec){
        .name = "receiver",
        .serves = receiver_serves,
        .snapshots = receiver_snapshots,
        .migrations = receiver_migrations,
    };
}

void pair_start(struct pair *p)
{
    p->sender = node_create(p->world, "sender");
    p->receiver = node_create(p->world, "receiver");
    ck_assert(node_host(p->sender, &p->sender_spec, &p->sender_options));
    ck_assert(node_host(p->receiver, &p->receiver_spec, &p->receiver_options));
}

void pair_end(struct pair *p)
{
    world_quiet(p->world);
    node_retire(p->sender);
    node_retire(p->receiver);
    world_destroy(p->world);
}

/* --- driving it --- */

/* Lives until the process ends, as a crash may leave it with a lane. */
struct attempt {
    struct unit unit;
    struct arena arena;
    struct node *node;
    bool done;
    int result;
    struct attempt *next;
};
static struct attempt *attempts;

/* A machine whose disk is doomed cannot tell anybody any more. */
static void attempt_done(struct unit *unit, int result)
{
    struct attempt *attempt = (struct attempt *)unit;
    if (disk_doomed(node_disk(attempt->node)))
        return;
    attempt->done = true;
    attempt->result = result;
}

static struct attempt *begin_attempt(struct node *node, int (*run)(struct txn *, void *), void *arg)
{
    struct attempt *attempt = calloc(1, sizeof(*attempt));
    arena_init(&attempt->arena, 1 << 20);
    attempt->unit = (struct unit){ .run = run, .arg = arg, .arena = &attempt->arena, .done = attempt_done };
    attempt->node = node;
    attempt->next = attempts;
    attempts = attempt;
    store_write(service_store(node_service(node)), &attempt->unit);
    return attempt;
}

int pair_do(struct node *node, int (*run)(struct txn *txn, void *arg), void *arg)
{
    struct attempt *attempt = begin_attempt(node, run, arg);
    while (!attempt->done)
        ck_assert(world_step(node_world(node)));
    return attempt->result;
}

struct plan {
    unsigned world; /* which one it belongs to */
    char key[64];
    int first, n;
    struct attempt *attempt;
    struct service *service;
    struct plan *next;
};
static struct plan *plans;

static int run_plan(struct txn *txn, void *arg)
{
    struct plan *plan = arg;
    char id[96], op[96];
    snprintf(id, sizeof(id), "%s-%d+%d", plan->key, plan->first, plan->n);
    int r = txn_post(txn, "INSERT INTO plan (id) VALUES ($1)", T(id));
    Oms__Inventory__V1__ReserveStockRequest__Line line = OMS__INVENTORY__V1__RESERVE_STOCK_REQUEST__LINE__INIT;
    Oms__Inventory__V1__ReserveStockRequest__Line *lines[] = { &line };
    line.sku = "sku";
    line.quantity = 1;
    for (int i = plan->first; r == 0 && i < plan->first + plan->n; i++) {
        Oms__Inventory__V1__ReserveStockRequest request = OMS__INVENTORY__V1__RESERVE_STOCK_REQUEST__INIT;
        snprintf(op, sizeof(op), "%s-%d", plan->key, i);
        request.request_id = op;
        request.order_id = plan->key;
        request.n_lines = 1;
        request.lines = lines;
        const struct command command = {
            .destination = pair->to, .method = pair->method, .key = plan->key, .request = &request.base
        };
        r = outbox_add(txn, &command);
    }
    return r;
}

bool pair_sending(struct pair *p, const char *key, int first, int n)
{
    struct plan *plan = plans;
    while (plan && !(plan->world == worlds && strcmp(plan->key, key) == 0 && plan->first == first))
        plan = plan->next;
    if (!plan) {
        plan = calloc(1, sizeof(*plan));
        snprintf(plan->key, sizeof(plan->key), "%s", key);
        plan->world = worlds;
        plan->first = first;
        plan->n = n;
        plan->next = plans;
        plans = plan;
    }
    if (plan->attempt && plan->attempt->done && (plan->attempt->result == 0 || plan->attempt->result == -EEXIST))
        return true;
    struct service *service = node_service(p->sender);
    bool lost = !plan->attempt || plan->attempt->done || plan->service != service;
    if (service && lost) {
        plan->service = service;
        plan->attempt = begin_attempt(p->sender, run_plan, plan);
    }
    return false;
}

void pair_send(struct pair *p, const char *key, int first, int n)
{
    while (!pair_sending(p, key, first, n))
        ck_assert(world_step(p->world));
}

struct happening {
    const char *key;
    int first, n;
};

static int run_happening(struct txn *txn, void *arg)
{
    const struct happening *h = arg;
    int r = 0;
    for (int i = h->first; r == 0 && i < h->first + h->n; i++) {
        char *op = arena_printf(txn->arena, "%s-%d", h->key, i);
        r = op ? carry_out(txn, op, h->key) : -ENOMEM;
    }
    return r;
}

void pair_happen(struct pair *p, const char *key, int first, int n)
{
    struct happening happening = { key, first, n };
    ck_assert_int_eq(pair_do(p->receiver, run_happening, &happening), 0);
}

struct undo {
    const char *key;
    int number;
};

static int run_undo(struct txn *txn, void *arg)
{
    const struct undo *undo = arg;
    char op[96], id[104];
    snprintf(op, sizeof(op), "%s-%d", undo->key, undo->number);
    snprintf(id, sizeof(id), "undo-%s", op);
    Oms__Inventory__V1__ReleaseStockRequest request = OMS__INVENTORY__V1__RELEASE_STOCK_REQUEST__INIT;
    request.request_id = id;
    request.operation_id = op;
    const struct command command = {
        .destination = "receiver", .method = RELEASE, .key = undo->key, .request = &request.base
    };
    return outbox_add(txn, &command);
}

void pair_undo(struct pair *p, const char *key, int number)
{
    struct undo undo = { key, number };
    ck_assert_int_eq(pair_do(p->sender, run_undo, &undo), 0);
}

struct reminder {
    const char *key;
    int64_t due_us;
};

static int run_timer(struct txn *txn, void *arg)
{
    const struct reminder *reminder = arg;
    return outbox_timer(txn, "reminder", reminder->key, reminder->due_us);
}

void pair_timer(struct pair *p, const char *key, int64_t due_us)
{
    struct reminder reminder = { key, due_us };
    ck_assert_int_eq(pair_do(p->sender, run_timer, &reminder), 0);
}

/* --- looking --- */

struct count {
    const char *sql;
    int64_t number;
};

static int run_count(struct txn *txn, void *arg)
{
    struct count *count = arg;
    struct rows rows;
    int r = txn_query_values(txn, &rows, count->sql, NULL, 0);
    if (r == 0)
        count->number = row_int(&rows, 0, 0);
    return r;
}

int64_t pair_count(struct node *node, const char *sql)
{
    struct count count = { .sql = sql };
    struct arena arena;
    arena_init(&arena, 1 << 20);
    struct unit unit = { .run = run_count, .arg = &count, .arena = &arena };
    ck_assert_int_eq(store_write_now(service_store(node_service(node)), &unit), 0);
    arena_finish(&arena);
    return count.number;
}

struct awaited {
    struct node *node;
    const char *sql;
    int64_t number;
    uint64_t steps;
};

static bool is_so(void *arg)
{
    struct awaited *a = arg;
    return node_service(a->node) && a->steps++ % 16 == 0 && pair_count(a->node, a->sql) == a->number;
}

bool pair_await(struct pair *p, struct node *node, const char *sql, int64_t number)
{
    struct awaited awaited = { node, sql, number, 0 };
    return world_until(p->world, is_so, &awaited, PATIENCE_US);
}

/* --- calls --- */

static bool got_reply(struct outcall *call, struct bytes message)
{
    struct asked *asked = (struct asked *)call;
    ck_assert_uint_lt(asked->n, sizeof(asked->replies) / sizeof(asked->replies[0]));
    asked->replies[asked->n++] =
        (struct bytes){ (const uint8_t *)arena_copy(&asked->arena, message.data, message.len), message.len };
    return true;
}

static void call_over(struct outcall *call, const struct rpc_status *status)
{
    static const char *const keys[] = { "floor", "incarnation", "head" };
    struct asked *asked = (struct asked *)call;
    asked->done = true;
    asked->code = status->code;
    snprintf(asked->reason, sizeof(asked->reason), "%s", rpc_status_reason(&asked->arena, status));
    for (size_t i = 0; i < 3 && !asked->meta[0]; i++)
        snprintf(asked->meta, sizeof(asked->meta), "%s", rpc_status_meta(&asked->arena, status, keys[i]));
}

static size_t awaited_replies;

static bool answered(void *arg)
{
    const struct asked *asked = arg;
    return asked->done || (awaited_replies && asked->n >= awaited_replies);
}

void pair_await_replies(struct pair *p, struct asked *asked, size_t replies)
{
    awaited_replies = replies;
    ck_assert(world_until(p->world, answered, asked, PATIENCE_US));
}

void pair_ask(struct pair *p, struct asked *asked, struct node *from, const char *to, const char *method,
              const ProtobufCMessage *request, bool operator, size_t replies)
{
    *asked = (struct asked){ .caller = { .roles = ROLE_BIT(MESH__V1__ROLE__OPERATOR), .subject = "operator" } };
    arena_init(&asked->arena, 64 << 20);
    asked->call = (struct outcall){
        .peer = to,
        .method = method,
        .request = arena_pack(&asked->arena, request),
        .timeout_us = replies ? 0 : 10000000,
        .caller = operator? &asked->caller : NULL,
        .message = got_reply,
        .done = call_over,
    };
    struct port *port = node_port(from);
    port->call(port, &asked->call);
    pair_await_replies(p, asked, replies);
}

void pair_cancel(struct pair *p, struct asked *asked, struct node *from)
{
    struct port *port = node_port(from);
    port->cancel(port, &asked->call);
    pair_await_replies(p, asked, 0);
    ck_assert_int_eq(asked->code, RPC_CANCELLED);
}

void asked_finish(struct asked *asked)
{
    ck_assert(asked->done);
    arena_finish(&asked->arena);
}
