/* The sources append events in transactions of their own; the rest is svc-notify as it ships. */
#include "tests/svc-notify/stage.h"

#include "mesh/base/say.h"
#include "svc-notify/notify.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATIENCE_US (5 * MINUTE_US)
#define AUDIENCE    ROLE_BIT(MESH__V1__ROLE__SERVICE)

const struct caller carla = { ROLE_BIT(MESH__V1__ROLE__CSR), "carla" };
const struct caller walter = { ROLE_BIT(MESH__V1__ROLE__WAREHOUSE), "walter" };
const struct caller ann = { ROLE_BIT(MESH__V1__ROLE__CUSTOMER), "cus_ord_1" };

static struct stage *stage; /* whose snapshots are told */

/* --- the sources --- */

static Order *known_order(struct txn *txn, const char *order_id, const struct rows *rows)
{
    Order *order = arena_message(txn->arena, &oms__order__v1__order__descriptor);
    order->order_id = (char *)order_id;
    order->customer_id = arena_printf(txn->arena, "cus_%s", order_id);
    order->email = (char *)row_text(rows, 0, 1);
    order->ship_to = arena_message(txn->arena, &oms__order__v1__address__descriptor);
    order->ship_to->name = (char *)row_text(rows, 0, 0);
    order->total = arena_message(txn->arena, &google__type__money__descriptor);
    order->total->currency_code = "GBP";
    order->total->units = 12;
    order->total->nanos = 300000000;
    return order;
}

static int answer_orders(struct rpc_call *call, struct txn *txn, const void *in, void *out)
{
    const BatchGetOrdersRequest *req = in;
    BatchGetOrdersResponse *ret = out;
    ret->orders = arena_alloc(txn->arena, req->n_order_ids * sizeof(Order *));
    for (size_t i = 0; i < req->n_order_ids; i++) {
        struct rows rows;
        int r = txn_query(txn, &rows, "SELECT name, email FROM known_order WHERE order_id = $1", T(req->order_ids[i]));
        if (r < 0)
            return r;
        if (rows.n)
            ret->orders[ret->n_orders++] = known_order(txn, req->order_ids[i], &rows);
    }
    return 0;
}

static const struct rpc_method order_methods[] = {
    { "PlaceOrder", .elsewhere = true },         { "GetOrder", .elsewhere = true },
    { "BatchGetOrders", .unit = answer_orders }, { "ListOrders", .elsewhere = true },
    { "ExportOrders", .elsewhere = true },       { "CancelOrder", .elsewhere = true },
    { "ImportOrders", .elsewhere = true },       { "ExplainOrder", .elsewhere = true },
    { "ListStuckOrders", .elsewhere = true },    { "WatchOrder", .elsewhere = true },
    { "GetCredit", .elsewhere = true },          { "ListCredits", .elsewhere = true },
    { "ActivateImport", .elsewhere = true },     { "DiscardImport", .elsewhere = true },
    { "GetImport", .elsewhere = true },          {},
};
static const struct rpc_service order_rpc = { "oms.order.v1.OrderService", &oms__order__v1__order_service__descriptor,
                                              order_methods };
static const struct rpc_service *const order_serves[] = { &order_rpc, NULL };
static const struct migration order_tables[] = {
    { 1, "orders",
      "CREATE TABLE known_order (order_id {text} NOT NULL PRIMARY KEY, name {text} NOT NULL, email {text} NOT NULL) "
      "{clustered}" },
    {},
};

static int parcel_snapshot(struct txn *txn, const char *after, size_t max, struct event *ret_events,
                           const char **ret_keys)
{
    int n = 0;
    for (int i = 0; i < stage->n_snapshot; i++) {
        char *key = arena_printf(txn->arena, "ord_s%d", i);
        if ((after && strcmp(key, after) <= 0) || (size_t)n == max)
            continue;
        FulfillmentChanged *changed = arena_message(txn->arena, &oms__event__v1__fulfillment_changed__descriptor);
        changed->order_id = key;
        changed->fulfillment_id = arena_printf(txn->arena, "ful_s%d", i);
        ret_events[n] = (struct event){ stage->snapshot_type, key, "cus", AUDIENCE, &changed->base };
        ret_keys[n++] = key;
    }
    return n;
}
static const struct snapshot_kind parcel_snapshots[] = { { parcel_snapshot }, {} };

static const struct service_spec order_source = { .name = "svc-order",
                                                  .serves = order_serves,
                                                  .migrations = order_tables };
static const struct service_spec payment_source = { .name = "svc-payment" };
static const struct service_spec shipping_source = { .name = "svc-shipping", .snapshots = parcel_snapshots };

/* --- the mail server --- */

static struct mail *find_mail(struct stage *s, const char *path)
{
    for (int i = 0; i < s->n_mails; i++)
        if (strcmp(s->mails[i].path, path) == 0)
            return &s->mails[i];
    ck_assert_int_lt(s->n_mails, (int)(sizeof(s->mails) / sizeof(s->mails[0])));
    struct mail *mail = &s->mails[s->n_mails++];
    snprintf(mail->path, sizeof(mail->path), "%s", path);
    return mail;
}

/* What comes again is the same. */
static void take_mail(void *arg, int64_t now_us, const struct fetch *fetch, struct outside_answer *ret_answer)
{
    struct stage *s = arg;
    if (s->status) {
        ret_answer->status = s->status;
        return;
    }
    struct mail *mail = find_mail(s, fetch->path);
    char *body = arena_copy(&s->arena, fetch->body.data, fetch->body.len);
    ck_assert_str_eq(fetch->verb, "PUT");
    if (mail->body)
        ck_assert_str_eq(mail->body, body);
    mail->body = body;
    mail->times++;
    snprintf(mail->to, sizeof(mail->to), "%s", fetch->mail_to);
    if (s->dropped > 0) {
        s->dropped--;
        ret_answer->dropped = true;
    }
}

const struct mail *stage_mail(const struct stage *s, const char *name)
{
    char path[128];
    snprintf(path, sizeof(path), "/%s.eml", name);
    for (int i = 0; i < s->n_mails; i++)
        if (strcmp(s->mails[i].path, path) == 0)
            return &s->mails[i];
    return NULL;
}

/* --- the world --- */

struct attempt {
    struct unit unit;
    struct arena arena;
    struct attempt *next;
    bool done;
    int result;
};

static struct node *host(struct stage *s, const struct service_spec *spec)
{
    static const struct service_options options = { .rerun_always = true };
    struct node *node = node_create(s->world, spec->name);
    ck_assert(node_host(node, spec, &options));
    return node;
}

void stage_open(struct stage *s, uint64_t seed)
{
    say_init("stage", SAY_ERROR + 1); /* those who stop a consumer mean it */
    int32_t snapshot_type = s->snapshot_type;
    int n_snapshot = s->n_snapshot;
    *s = (struct stage){ .world = world_create(seed), .snapshot_type = snapshot_type, .n_snapshot = n_snapshot };
    stage = s;
    arena_init(&s->arena, 1ull << 30);
    world_outside(s->world, "mail", take_mail, s);
    s->client = node_create(s->world, "client");
    s->order = host(s, &order_source);
    s->payment = host(s, &payment_source);
    s->shipping = host(s, &shipping_source);
    s->notify = host(s, &notify_service);
    AWAIT(s, "SELECT COUNT(*) FROM consumer_cursor WHERE booting = 0", 3);
}

void stage_close(struct stage *s)
{
    world_quiet(s->world);
    world_run(s->world, 5 * SECOND_US);
    struct node *nodes[] = { s->notify, s->shipping, s->payment, s->order };
    for (size_t i = 0; i < sizeof(nodes) / sizeof(nodes[0]); i++)
        node_retire(nodes[i]);
    world_destroy(s->world);
    for (struct attempt *attempt = s->begun; attempt; attempt = attempt->next)
        arena_finish(&attempt->arena);
    arena_finish(&s->arena);
    *s = (struct stage){ 0 };
}

/* --- what happens --- */

static void attempt_done(struct unit *unit, int result)
{
    struct attempt *attempt = (struct attempt *)((char *)unit - offsetof(struct attempt, unit));
    attempt->result = result;
    attempt->done = true;
}

static bool is_done(void *arg)
{
    return ((struct attempt *)arg)->done;
}

static void begin(struct node *node, struct attempt *attempt, int (*run)(struct txn *, void *), void *arg)
{
    attempt->unit = (struct unit){ .run = run, .arg = arg, .arena = &attempt->arena, .done = attempt_done };
    store_write(service_store(node_service(node)), &attempt->unit);
}

static void do_now(struct stage *s, struct node *node, int (*run)(struct txn *, void *), void *arg)
{
    struct attempt *attempt = arena_zalloc(&s->arena, sizeof(*attempt));
    arena_init(&attempt->arena, 1 << 20);
    begin(node, attempt, run, arg);
    ck_assert(world_until(s->world, is_done, attempt, PATIENCE_US));
    ck_assert_int_eq(attempt->result, 0);
    arena_finish(&attempt->arena);
}

static int write_order(struct txn *txn, void *arg)
{
    const char *const *texts = arg;
    return txn_post(txn, "INSERT INTO known_order (order_id, name, email) VALUES ($1, $2, $3)", T(texts[0]),
                    T(texts[1]), T(texts[2]));
}

void stage_order(struct stage *s, const char *order_id, const char *name, const char *email)
{
    const char *texts[] = { order_id, name, email };
    do_now(s, s->order, write_order, texts);
}

static int append(struct txn *txn, void *arg)
{
    return log_append(txn, arg);
}

static struct event event_of(struct stage *s, int32_t type, const char *order_id, const ProtobufCMessage *payload)
{
    return (struct event){
        .type = type,
        .key = order_id,
        .owner = arena_printf(&s->arena, "cus_%s", order_id),
        .audience = AUDIENCE,
        .payload = payload,
    };
}

void order_event(struct stage *s, int32_t type, const char *order_id, const char *code)
{
    OrderStateChanged changed = OMS__EVENT__V1__ORDER_STATE_CHANGED__INIT;
    changed.order_id = (char *)order_id;
    changed.reason = "Not enough in stock: CUP.";
    changed.code = (char *)code;
    changed.version = 7;
    struct event event = event_of(s, type, order_id, &changed.base);
    do_now(s, s->order, append, &event);
}

void order_event_begin(struct stage *s, int32_t type, const char *order_id)
{
    struct attempt *attempt = arena_zalloc(&s->arena, sizeof(*attempt));
    OrderStateChanged *changed = arena_message(&s->arena, &oms__event__v1__order_state_changed__descriptor);
    struct event *event = arena_alloc(&s->arena, sizeof(*event));
    changed->order_id = (char *)order_id;
    *event = event_of(s, type, order_id, &changed->base);
    arena_init(&attempt->arena, 1 << 20);
    attempt->next = s->begun;
    s->begun = attempt;
    begin(s->order, attempt, append, event);
}

void payment_event(struct stage *s, int32_t type, const char *order_id, const char *operation_id, uint64_t version)
{
    PaymentChanged changed = OMS__EVENT__V1__PAYMENT_CHANGED__INIT;
    Google__Type__Money amount = GOOGLE__TYPE__MONEY__INIT;
    amount.currency_code = "GBP";
    amount.units = 4;
    changed.payment_id = arena_printf(&s->arena, "pay_%s", order_id);
    changed.order_id = (char *)order_id;
    changed.operation_id = (char *)operation_id;
    changed.kind = OMS__PAYMENT__V1__OPERATION__KIND__CAPTURE;
    changed.amount = &amount;
    changed.version = version;
    struct event event = event_of(s, type, order_id, &changed.base);
    do_now(s, s->payment, append, &event);
}

void parcel_event(struct stage *s, int32_t type, const char *order_id, const char *fulfillment_id)
{
    FulfillmentChanged changed = OMS__EVENT__V1__FULFILLMENT_CHANGED__INIT;
    changed.fulfillment_id = (char *)fulfillment_id;
    changed.order_id = (char *)order_id;
    changed.tracking_number = "SB123";
    struct event event = event_of(s, type, order_id, &changed.base);
    do_now(s, s->shipping, append, &event);
}

/* --- looking --- */

struct looking {
    struct attempt attempt;
    const char *sql;
    int64_t number;
};

static int look(struct txn *txn, void *arg)
{
    struct looking *l = arg;
    struct rows rows;
    int r = txn_query_values(txn, &rows, l->sql, NULL, 0);
    if (r == 0)
        l->number = row_int(&rows, 0, 0);
    return r;
}

static int64_t look_into(struct stage *s, struct node *node, const char *sql)
{
    struct looking *l = arena_zalloc(&s->arena, sizeof(*l));
    l->sql = sql;
    arena_init(&l->attempt.arena, 1 << 20);
    l->attempt.unit = (struct unit){ .run = look, .arg = l, .arena = &l->attempt.arena, .done = attempt_done };
    ck_assert_ptr_nonnull(node_service(node));
    store_read(service_store(node_service(node)), &l->attempt.unit);
    ck_assert(world_until(s->world, is_done, &l->attempt, PATIENCE_US));
    ck_assert_int_eq(l->attempt.result, 0);
    arena_finish(&l->attempt.arena);
    return l->number;
}

int64_t stage_number(struct stage *s, const char *sql)
{
    return look_into(s, s->notify, sql);
}

bool stage_await(struct stage *s, const char *sql, int64_t number)
{
    for (int64_t end = world_now(s->world) + PATIENCE_US; world_now(s->world) < end;) {
        if (node_service(s->notify) && stage_number(s, sql) == number)
            return true;
        world_run(s->world, STEP_US);
    }
    return false;
}

static int change(struct txn *txn, void *arg)
{
    int64_t r = txn_exec_values(txn, arg, NULL, 0);
    return r < 0 ? (int)r : 0;
}

void stage_write(struct stage *s, const char *sql)
{
    do_now(s, s->notify, change, (void *)sql);
}

static bool is_followed(struct stage *s)
{
    int64_t head = 0;
    struct node *sources[] = { s->order, s->payment, s->shipping };
    for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++)
        head += look_into(s, sources[i], SQL("SELECT COALESCE(MAX(seq), 0) FROM event_log"));
    return NUMBER(s, "SELECT CAST(SUM(seq) AS BIGINT) FROM consumer_cursor") == head &&
           NUMBER(s, "SELECT COUNT(*) FROM outbox") == 0;
}

void stage_settle(struct stage *s)
{
    for (int64_t end = world_now(s->world) + PATIENCE_US; world_now(s->world) < end; world_run(s->world, STEP_US))
        if (node_service(s->notify) && is_followed(s))
            return;
    ck_abort_msg("svc-notify does not come to rest");
}

/* --- calls --- */

struct asking {
    struct stage *stage;
    struct outcall call;
    const ProtobufCMessageDescriptor *type;
    bool done;
    struct answer answer;
};

static bool got_reply(struct outcall *call, struct bytes bytes)
{
    struct asking *a = (struct asking *)((char *)call - offsetof(struct asking, call));
    ProtobufCAllocator allocator = arena_protobuf(&a->stage->arena);
    a->answer.reply = protobuf_c_message_unpack(a->type, &allocator, bytes.len, bytes.data);
    return true;
}

static void call_done(struct outcall *call, const struct rpc_status *status)
{
    struct asking *a = (struct asking *)((char *)call - offsetof(struct asking, call));
    const char *reason = rpc_status_reason(&a->stage->arena, status);
    a->answer.code = status->code;
    a->answer.reason = arena_copy(&a->stage->arena, reason, strlen(reason));
    a->done = true;
}

static bool has_answer(void *arg)
{
    return ((struct asking *)arg)->done;
}

struct answer stage_ask(struct stage *s, const struct caller *who, const ProtobufCServiceDescriptor *service,
                        const char *method, const ProtobufCMessage *request)
{
    struct asking *a = arena_zalloc(&s->arena, sizeof(*a));
    a->stage = s;
    a->type = protobuf_c_service_descriptor_get_method_by_name(service, method)->output;
    a->call = (struct outcall){
        .peer = "svc-notify",
        .method = arena_printf(&s->arena, "/%s/%s", service->name, method),
        .request = arena_pack(&s->arena, request),
        .timeout_us = 10 * SECOND_US,
        .caller = who,
        .message = got_reply,
        .done = call_done,
    };
    struct port *port = node_port(s->client);
    port->call(port, &a->call);
    ck_assert(world_until(s->world, has_answer, a, PATIENCE_US));
    return a->answer;
}

struct answer ask_alerts(struct stage *s, const struct caller *who, const char *method, const ProtobufCMessage *request)
{
    return stage_ask(s, who, &oms__notify__v1__alert_service__descriptor, method, request);
}

struct answer ask_messages(struct stage *s, const struct caller *who, const char *method,
                           const ProtobufCMessage *request)
{
    return stage_ask(s, who, &oms__notify__v1__notification_service__descriptor, method, request);
}

char *fresh(struct stage *s)
{
    return arena_printf(&s->arena, "r%llu", (unsigned long long)++s->requests);
}
