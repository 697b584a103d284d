/* Calls go through the network of the world, like everybody's. */
#include "tests/shop/shop.h"

#include "mesh/base/say.h"
#include "svc-inventory/inventory.h"
#include "svc-order/order.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

#define PATIENCE_US 60000000

/* In svc-payment/payment.h and svc-shipping/shipping.h, whose names are like svc-order's. */
extern const struct service_spec payment_service, shipping_service;

extern const struct service_spec notify_service; /* svc-notify/notify.h */

const struct caller anna = { ROLE_BIT(MESH__V1__ROLE__CUSTOMER), "cus_anna" };
const struct caller bert = { ROLE_BIT(MESH__V1__ROLE__CUSTOMER), "cus_bert" };
const struct caller staff = { ROLE_BIT(MESH__V1__ROLE__CSR), "carla" };
const struct caller erp = { ROLE_BIT(MESH__V1__ROLE__ERP), "erp" };
const struct caller depot = { ROLE_BIT(MESH__V1__ROLE__WAREHOUSE), "depot" };
const struct caller order_process = { ROLE_BIT(MESH__V1__ROLE__SERVICE), "svc-order" };

void shop_open(struct shop *s, uint64_t seed)
{
    static const struct service_options options = { .rerun_always = true };
    say_init("shop", SAY_ERROR);
    *s = (struct shop){ .world = world_create(seed) };
    arena_init(&s->arena, 1ull << 30);
    s->inventory = node_create(s->world, "svc-inventory");
    s->order = node_create(s->world, "svc-order");
    s->payment = node_create(s->world, "svc-payment");
    s->shipping = node_create(s->world, "svc-shipping");
    s->client = node_create(s->world, "client");
    s->notify = node_create(s->world, "svc-notify");
    outside_open(s);
    ck_assert(node_host(s->inventory, &inventory_service, &options));
    ck_assert(node_host(s->order, &order_service, &options));
    ck_assert(node_host(s->payment, &payment_service, &options));
    ck_assert(node_host(s->shipping, &shipping_service, &options));
    ck_assert(node_host(s->notify, &notify_service, &options));
}

void shop_close(struct shop *s)
{
    node_retire(s->notify);
    node_retire(s->shipping);
    node_retire(s->payment);
    node_retire(s->order);
    node_retire(s->inventory);
    world_destroy(s->world);
    outside_close(s);
    arena_finish(&s->arena);
}

/* --- calls --- */

static const struct {
    const ProtobufCServiceDescriptor *descriptor;
    const char *peer;
} services[] = {
    { &oms__order__v1__order_service__descriptor, "svc-order" },
    { &oms__catalog__v1__catalog_service__descriptor, "svc-inventory" },
    { &oms__inventory__v1__inventory_service__descriptor, "svc-inventory" },
    { &oms__payment__v1__payment_service__descriptor, "svc-payment" },
    { &oms__payment__v1__ledger_service__descriptor, "svc-payment" },
    { &oms__shipping__v1__fulfillment_service__descriptor, "svc-shipping" },
    { &oms__notify__v1__alert_service__descriptor, "svc-notify" },
    { &oms__notify__v1__notification_service__descriptor, "svc-notify" },
    { &mesh__v1__deliver_service__descriptor, "svc-inventory" },
    { &mesh__v1__log_service__descriptor, "svc-order" },
};

static bool message(struct outcall *call, struct bytes bytes)
{
    struct asked *a = (struct asked *)((char *)call - offsetof(struct asked, call));
    ProtobufCAllocator allocator = arena_protobuf(&a->shop->arena);
    a->reply = protobuf_c_message_unpack(a->type, &allocator, bytes.len, bytes.data);
    ck_assert_ptr_nonnull(a->reply);
    void **replies = arena_alloc(&a->shop->arena, (a->n_replies + 1) * sizeof(*replies));
    if (a->n_replies)
        memcpy(replies, a->replies, a->n_replies * sizeof(*replies));
    replies[a->n_replies++] = a->reply;
    a->replies = replies;
    return true;
}

static void read_details(struct asked *a)
{
    ProtobufCAllocator allocator = arena_protobuf(&a->shop->arena);
    Google__Rpc__Status *status =
        google__rpc__status__unpack(&allocator, a->status.details.len, a->status.details.data);
    a->field = a->subject = a->resource = "";
    for (size_t i = 0; status && i < status->n_details; i++) {
        const Google__Protobuf__Any *any = status->details[i];
        if (strstr(any->type_url, "BadRequest")) {
            Google__Rpc__BadRequest *bad =
                google__rpc__bad_request__unpack(&allocator, any->value.len, any->value.data);
            a->field = bad->field_violations[0]->field;
        } else if (strstr(any->type_url, "PreconditionFailure")) {
            Google__Rpc__PreconditionFailure *failure =
                google__rpc__precondition_failure__unpack(&allocator, any->value.len, any->value.data);
            ck_assert_str_eq(failure->violations[0]->type, a->reason);
            a->subject = failure->violations[0]->subject;
        } else if (strstr(any->type_url, "ResourceInfo")) {
            a->resource =
                google__rpc__resource_info__unpack(&allocator, any->value.len, any->value.data)->resource_name;
        }
    }
}

static void done(struct outcall *call, const struct rpc_status *status)
{
    struct asked *a = (struct asked *)((char *)call - offsetof(struct asked, call));
    struct arena *arena = &a->shop->arena;
    a->done = true;
    a->code = status->code;
    a->status = (struct rpc_status){
        .code = status->code,
        .message = arena_copy(arena, status->message, strlen(status->message)),
        .details = { (uint8_t *)arena_copy(arena, status->details.data, status->details.len), status->details.len },
    };
    a->message = a->status.message;
    a->reason = rpc_status_reason(arena, &a->status);
    read_details(a);
}

struct asked *ask_begin_at(struct shop *s, const char *peer, const struct caller *who, const char *method,
                           const void *request)
{
    struct asked *a = arena_zalloc(&s->arena, sizeof(*a));
    const ProtobufCMethodDescriptor *found = NULL;
    size_t i = 0;
    while (!(found = protobuf_c_service_descriptor_get_method_by_name(services[i].descriptor, method)))
        i++;
    a->shop = s;
    a->type = found->output;
    a->call = (struct outcall){
        .peer = peer ? peer : services[i].peer,
        .method = arena_printf(&s->arena, "/%s/%s", services[i].descriptor->name, method),
        .request = arena_pack(&s->arena, request),
        .timeout_us = 30000000,
        .caller = who,
        .message = message,
        .done = done,
    };
    struct port *port = node_port(s->client);
    port->call(port, &a->call);
    return a;
}

struct asked *ask_begin(struct shop *s, const struct caller *who, const char *method, const void *request)
{
    return ask_begin_at(s, NULL, who, method, request);
}

static bool is_done(void *arg)
{
    return ((struct asked *)arg)->done;
}

const struct asked *ask_end(struct asked *a)
{
    ck_assert(world_until(a->shop->world, is_done, a, PATIENCE_US));
    return a;
}

const struct asked *ask(struct shop *s, const struct caller *who, const char *method, const void *request)
{
    return ask_end(ask_begin(s, who, method, request));
}

void *get(struct shop *s, const struct caller *who, const char *method, const void *request)
{
    const struct asked *a = ask(s, who, method, request);
    if (a->code != RPC_OK)
        ck_abort_msg("%s: %s %s %s %s", method, rpc_code_name(a->code), a->reason, a->field, a->message);
    return a->reply;
}

void ck_refused(const struct asked *a, enum rpc_code code, const char *reason, const char *field)
{
    ck_assert_str_eq(rpc_code_name(a->code), rpc_code_name(code));
    ck_assert_str_eq(a->reason, reason);
    ck_assert_str_eq(a->field, field);
    ck_assert_msg((a->subject[0] != '\0') == (code == RPC_FAILED_PRECONDITION), "the subject is \"%s\"", a->subject);
}

char *fresh(struct shop *s)
{
    return arena_printf(&s->arena, "r%llu", (unsigned long long)++s->requests);
}

/* --- looking into databases --- */

struct looking {
    struct unit unit;
    const char *sql;
    int64_t number;
    bool done;
    int result;
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

static void looked(struct unit *unit, int result)
{
    struct looking *l = unit->arg;
    l->result = result;
    l->done = true;
}

static bool has_looked(void *arg)
{
    return ((struct looking *)arg)->done;
}

int64_t shop_number(struct shop *s, struct node *node, const char *sql)
{
    struct arena arena;
    arena_init(&arena, 1 << 20);
    struct looking l = { .sql = sql };
    l.unit = (struct unit){ .run = look, .arg = &l, .arena = &arena, .done = looked };
    store_read(service_store(node_service(node)), &l.unit);
    ck_assert(world_until(s->world, has_looked, &l, PATIENCE_US));
    arena_finish(&arena);
    ck_assert_int_eq(l.result, 0);
    return l.number;
}

static int change(struct txn *txn, void *arg)
{
    const struct looking *l = arg;
    int64_t r = txn_exec_values(txn, l->sql, NULL, 0);
    return r < 0 ? (int)r : 0;
}

void shop_write(struct shop *s, struct node *node, const char *sql)
{
    struct arena arena;
    arena_init(&arena, 1 << 20);
    struct looking l = { .sql = sql };
    l.unit = (struct unit){ .run = change, .arg = &l, .arena = &arena, .done = looked };
    store_write(service_store(node_service(node)), &l.unit);
    ck_assert(world_until(s->world, has_looked, &l, PATIENCE_US));
    arena_finish(&arena);
    ck_assert_int_eq(l.result, 0);
}

void shop_settle(struct shop *s)
{
    for (int i = 0; i < 100; i++) {
        world_run(s->world, 300000);
        int64_t head = NUMBER(s, s->inventory, "SELECT COALESCE(MAX(seq), 0) FROM event_log");
        if (NUMBER(s, s->order, "SELECT COUNT(*) FROM outbox WHERE due_us < created_us + 60000000") == 0 &&
            NUMBER(s, s->order, "SELECT COALESCE(MAX(seq), 0) FROM consumer_cursor WHERE name = 'order-prices'") ==
                head)
            return;
    }
    ck_abort_msg("the shop does not come to rest");
}

/* --- stock and catalogue --- */

Money *money(struct shop *s, const char *currency, int64_t units, int32_t nanos)
{
    Money *m = arena_message(&s->arena, &google__type__money__descriptor);
    m->currency_code = (char *)currency;
    m->units = units;
    m->nanos = nanos;
    return m;
}

void add_variant(struct shop *s, Product *p, const char *sku, int64_t units, bool stocked)
{
    Variant **variants = arena_alloc(&s->arena, (p->n_variants + 1) * sizeof(*variants));
    if (p->n_variants)
        memcpy(variants, p->variants, p->n_variants * sizeof(*variants));
    Variant *v = arena_message(&s->arena, &oms__catalog__v1__variant__descriptor);
    v->sku = (char *)sku;
    v->price = money(s, "GBP", units, 0);
    v->stocked = stocked;
    variants[p->n_variants++] = v;
    p->variants = variants;
}

Product *product(struct shop *s, const char *sku, int64_t units, int32_t nanos)
{
    Product *p = arena_message(&s->arena, &oms__catalog__v1__product__descriptor);
    p->product_id = (char *)sku;
    p->title = arena_printf(&s->arena, "Title of %s", sku);
    add_variant(s, p, sku, units, true);
    p->variants[0]->price->nanos = nanos;
    return p;
}

const Product *upsert(struct shop *s, Product *p)
{
    UpsertProductRequest req = OMS__CATALOG__V1__UPSERT_PRODUCT_REQUEST__INIT;
    req.request_id = fresh(s);
    req.product = p;
    return ((UpsertProductResponse *)get(s, &erp, "UpsertProduct", &req))->product;
}

void open_locations(struct shop *s)
{
    for (int i = 1; i <= 2; i++) {
        Location location = OMS__INVENTORY__V1__LOCATION__INIT;
        UpsertLocationRequest req = OMS__INVENTORY__V1__UPSERT_LOCATION_REQUEST__INIT;
        location.location_id = arena_printf(&s->arena, "L%d", i);
        location.title = "a location";
        location.priority = i;
        req.request_id = fresh(s);
        req.location = &location;
        get(s, &depot, "UpsertLocation", &req);
    }
}

void stock(struct shop *s, const char *sku, const char *location_id, int64_t delta)
{
    AdjustStockRequest req = OMS__INVENTORY__V1__ADJUST_STOCK_REQUEST__INIT;
    req.request_id = fresh(s);
    req.sku = (char *)sku;
    req.location_id = (char *)location_id;
    req.delta = delta;
    req.reason = "RECEIVED";
    get(s, &depot, "AdjustStock", &req);
}
