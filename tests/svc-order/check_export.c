/* Exports: a copy made of everything and then of what has changed is the present state, wherever it was broken off. */
#include "svc-order/api.h"
#include "tests/shop/shop.h"
#include "tests/suite.h"

#include <stdio.h>
#include <string.h>

static struct shop s;

#define SECOND 1000000ll

static const struct caller admin = { ROLE_BIT(MESH__V1__ROLE__ADMIN), "admin" };
static const struct caller operator= { ROLE_BIT(MESH__V1__ROLE__OPERATOR), "operator" };

static void open_shop(uint64_t seed)
{
    shop_open(&s, seed);
    open_locations(&s);
    upsert(&s, product(&s, "CUP", 4, 0));
    upsert(&s, product(&s, "MUG", 0, 0)); /* a gift */
    Product *post = product(&s, "POST", 3, 0);
    post->variants[0]->stocked = false;
    upsert(&s, post);
    stock(&s, "CUP", "L1", 30);
    stock(&s, "CUP", "L2", 3000);
    stock(&s, "MUG", "L1", 100000);
    shop_settle(&s);
}

static int roll(int below)
{
    return (int)world_roll(s.world, (uint64_t)below);
}

/* --- what happens meanwhile --- */

static char *order_ids[1000];
static int n_order_ids;

static NewOrder *entry(ImportOrdersRequest *req, const char *external_id)
{
    NewOrder *e = arena_message(&s.arena, &oms__order__v1__import_orders_request__entry__descriptor);
    req->orders = req->orders ? req->orders : arena_alloc(&s.arena, 100 * sizeof(*req->orders));
    e->customer_id = roll(2) ? "cus_anna" : "cus_bert";
    e->currency_code = "GBP";
    e->channel = roll(2) ? "web" : "erp";
    e->external_id = (char *)external_id;
    req->orders[req->n_orders++] = e;
    return e;
}

static void add_line(NewOrder *e, const char *sku, int64_t quantity)
{
    PlaceLine *line = arena_message(&s.arena, &oms__order__v1__place_order_request__line__descriptor);
    PlaceLine **lines = arena_alloc(&s.arena, (e->n_lines + 1) * sizeof(*lines));
    if (e->n_lines)
        memcpy(lines, e->lines, e->n_lines * sizeof(*lines));
    line->sku = (char *)sku;
    line->quantity = quantity;
    lines[e->n_lines++] = line;
    e->lines = lines;
}

static void order_some(int n)
{
    static const char *const skus[] = { "CUP", "MUG", "POST" };
    static int number;
    ImportOrdersRequest *req = arena_message(&s.arena, &oms__order__v1__import_orders_request__descriptor);
    req->request_id = fresh(&s);
    for (int i = 0; i < n; i++) {
        NewOrder *e = entry(req, arena_printf(&s.arena, "S-%d", number++));
        for (int lines = 1 + roll(3); lines > 0; lines--)
            add_line(e, skus[roll(3)], 1 + roll(4));
        e->payment_token = roll(2) ? "tok_ok" : "";
        e->fulfilled = !e->payment_token[0] && roll(2);
        e->place_time_us = e->fulfilled ? 1000000 + roll(1000) : 0;
    }
    const ImportOrdersResponse *ret = get(&s, &erp, "ImportOrders", req);
    for (size_t i = 0; i < ret->n_results; i++)
        if (!ret->results[i]->refusal)
            order_ids[n_order_ids++] = ret->results[i]->order_id;
}

static const char *some_order(void)
{
    return order_ids[roll(n_order_ids)];
}

static const Order *read(const char *order_id)
{
    GetOrderRequest req = OMS__ORDER__V1__GET_ORDER_REQUEST__INIT;
    req.order_id = (char *)order_id;
    return ((GetOrderResponse *)get(&s, &erp, "GetOrder", &req))->order;
}

/* A credit memo of something of an order, which may be a refund of it. */
static void credit_one(const char *order_id)
{
    static int number;
    const Order *order = read(order_id);
    ImportOrdersRequest *req = arena_message(&s.arena, &oms__order__v1__import_orders_request__descriptor);
    CancelledLine *line = arena_message(&s.arena, &oms__order__v1__import_orders_request__cancelled__descriptor);
    req->request_id = fresh(&s);
    NewOrder *e = entry(req, arena_printf(&s.arena, "C-%d", number++));
    e->customer_id = order->customer_id;
    e->channel = order->channel;
    e->cancelled = arena_alloc(&s.arena, sizeof(*e->cancelled));
    e->cancelled[e->n_cancelled++] = line;
    line->sku = order->lines[0]->sku;
    line->quantity = 1;
    line->unit_price = money(&s, "GBP", 0, 0);
    line->external_id = order->external_id;
    line->reason = "RETURNED";
    get(&s, &erp, "ImportOrders", req);
}

static void cancel_one(const char *order_id)
{
    CancelOrderRequest req = OMS__ORDER__V1__CANCEL_ORDER_REQUEST__INIT;
    req.request_id = fresh(&s);
    req.order_id = (char *)order_id;
    ask(&s, &staff, "CancelOrder", &req);
}

/* The parcel goes without so many of a line. */
static void pack(const Oms__Shipping__V1__Fulfillment *f, const FulfillmentLine *line, int64_t missing)
{
    Oms__Shipping__V1__PackFulfillmentRequest req = OMS__SHIPPING__V1__PACK_FULFILLMENT_REQUEST__INIT;
    Oms__Shipping__V1__PackFulfillmentRequest__Missing less =
        OMS__SHIPPING__V1__PACK_FULFILLMENT_REQUEST__MISSING__INIT;
    Oms__Shipping__V1__PackFulfillmentRequest__Missing *all[] = { &less };
    req.request_id = fresh(&s);
    req.fulfillment_id = f->fulfillment_id;
    less.sku = line->sku;
    less.quantity = missing;
    req.missing = all;
    req.n_missing = missing > 0 && missing <= line->quantity;
    ask(&s, &depot, "PackFulfillment", &req);
    world_run(s.world, 10 * SECOND);
}

static const Oms__Shipping__V1__ListFulfillmentsResponse *parcels_of(const char *order_id)
{
    Oms__Shipping__V1__ListFulfillmentsRequest req = OMS__SHIPPING__V1__LIST_FULFILLMENTS_REQUEST__INIT;
    req.order_id = (char *)order_id;
    return get(&s, &depot, "ListFulfillments", &req);
}

static void send_one(const char *order_id)
{
    const Oms__Shipping__V1__ListFulfillmentsResponse *parcels = parcels_of(order_id);
    if (parcels->n_fulfillments == 0)
        return;
    const Oms__Shipping__V1__Fulfillment *f = parcels->fulfillments[roll((int)parcels->n_fulfillments)];
    Oms__Shipping__V1__ShipFulfillmentRequest ship = OMS__SHIPPING__V1__SHIP_FULFILLMENT_REQUEST__INIT;
    if (f->n_lines == 0)
        return; /* nothing of it was there */
    pack(f, f->lines[0], roll(3));
    ship.request_id = fresh(&s);
    ship.fulfillment_id = f->fulfillment_id;
    ask(&s, &depot, "ShipFulfillment", &ship);
}

static void something_happens(void)
{
    switch (roll(4)) {
    case 0:
        order_some(1 + roll(5));
        break;
    case 1:
        cancel_one(some_order());
        break;
    case 2:
        credit_one(some_order());
        break;
    default:
        send_one(some_order());
    }
    world_run(s.world, roll(2) * SECOND / 2);
}

/* --- a copy, as another system has it --- */

struct copy {
    struct {
        const char *id;
        struct bytes as;
    } items[1000];
    size_t n;
    Position *position; /* of the last message */
    char *page_token;
};

static void put(struct copy *copy, const char *id, const ProtobufCMessage *message)
{
    size_t i = 0;
    while (i < copy->n && strcmp(copy->items[i].id, id) != 0)
        i++;
    copy->n += i == copy->n;
    copy->items[i].id = id;
    copy->items[i].as = arena_pack(&s.arena, message);
}

static void take(struct copy *copy, const ExportOrdersResponse *page)
{
    for (size_t i = 0; i < page->n_orders; i++)
        put(copy, page->orders[i]->order_id, &page->orders[i]->base);
    for (size_t i = 0; i < page->n_credits; i++)
        put(copy, page->credits[i]->credit_id, &page->credits[i]->base);
    copy->position = page->position;
    copy->page_token = page->page_token;
}

static const struct asked *export(const ExportOrdersRequest *req)
{
    const struct asked *a = ask(&s, &erp, "ExportOrders", req);
    ck_assert_msg(a->code == RPC_OK, "%s: %s", a->reason, a->message);
    ck_assert_uint_gt(a->n_replies, 0);
    ck_assert_str_eq(((ExportOrdersResponse *)a->reply)->page_token, "");
    return a;
}

/* What has changed since the copy was made. */
static void catch_up(struct copy *copy)
{
    ExportOrdersRequest req = OMS__ORDER__V1__EXPORT_ORDERS_REQUEST__INIT;
    req.after = copy->position;
    const struct asked *a = export(&req);
    for (size_t i = 0; i < a->n_replies; i++)
        take(copy, a->replies[i]);
}

/* Every order and credit as it is read one by one. */
static void read_all(struct copy *now)
{
    ListOrdersRequest orders = OMS__ORDER__V1__LIST_ORDERS_REQUEST__INIT;
    ListCreditsRequest credits = OMS__ORDER__V1__LIST_CREDITS_REQUEST__INIT;
    do {
        const ListOrdersResponse *page = get(&s, &erp, "ListOrders", &orders);
        for (size_t i = 0; i < page->n_orders; i++)
            put(now, page->orders[i]->order_id, &read(page->orders[i]->order_id)->base);
        orders.page_token = page->next_page_token;
    } while (orders.page_token[0]);
    do {
        const ListCreditsResponse *page = get(&s, &erp, "ListCredits", &credits);
        for (size_t i = 0; i < page->n_credits; i++)
            put(now, page->credits[i]->credit_id, &page->credits[i]->base);
        credits.page_token = page->next_page_token;
    } while (credits.page_token[0]);
}

static void ck_same(const struct copy *copy, const struct copy *now)
{
    ck_assert_uint_eq(copy->n, now->n);
    for (size_t i = 0; i < now->n; i++) {
        size_t k = 0;
        while (k < copy->n && strcmp(copy->items[k].id, now->items[i].id) != 0)
            k++;
        ck_assert_msg(k < copy->n, "%s is missing", now->items[i].id);
        struct bytes a = now->items[i].as, b = copy->items[k].as;
        ck_assert_msg(a.len == b.len && memcmp(a.data, b.data, a.len) == 0, "%s is another", now->items[i].id);
    }
}

/* The copy, brought up to date, is the present state. What changes while that is read makes it another one. */
static void ck_present(struct copy *copy)
{
    struct copy *now = malloc(sizeof(*now));
    do {
        now->n = 0;
        catch_up(copy);
        read_all(now);
    } while (NUMBER(&s, s.order, "SELECT MAX(seq) FROM event_log") != (int64_t)copy->position->seq);
    ck_same(copy, now);
    free(now);
}

START_TEST(everything_and_then_what_has_changed_is_the_present_state)
{
    struct copy *copy = calloc(1, sizeof(*copy));
    open_shop(1);
    order_some(40);
    world_run(s.world, SECOND / 2);
    const struct asked *a = export(&(ExportOrdersRequest)OMS__ORDER__V1__EXPORT_ORDERS_REQUEST__INIT);
    for (size_t i = 0; i < a->n_replies; i++)
        take(copy, a->replies[i]);
    ck_present(copy);
    for (int round = 0; round < 60; round++) {
        something_happens();
        if (round % 5 == 0)
            ck_present(copy);
    }
    shop_settle(&s);
    ck_present(copy);
    ck_assert_int_gt(NUMBER(&s, s.order, "SELECT COUNT(*) FROM credit"), 3);
    ck_assert_int_gt(NUMBER(&s, s.order, "SELECT COUNT(*) FROM order_parcel"), 3);
    ck_assert_int_gt(NUMBER(&s, s.order, "SELECT COUNT(*) FROM order_line WHERE cancelled > 0"), 3);
    shop_close(&s);
    free(copy);
}
END_TEST

/* Each message is the last that came: from its token on, with what happens meanwhile. */
START_TEST(an_export_of_everything_goes_on_behind_any_message)
{
    struct copy *copy = calloc(1, sizeof(*copy));
    ExportOrdersRequest req = OMS__ORDER__V1__EXPORT_ORDERS_REQUEST__INIT;
    int messages = 0;
    open_shop(2);
    for (int i = 0; i < 4; i++) {
        order_some(90);
        shop_settle(&s);
    }
    for (int i = 0; i < 20; i++)
        credit_one(some_order());
    do {
        const struct asked *a = export(&req);
        take(copy, a->replies[0]);
        ck_assert_uint_eq(copy->position->seq, ((ExportOrdersResponse *)a->reply)->position->seq);
        req.page_token = copy->page_token;
        messages++;
        for (int i = 0; i < 4; i++)
            something_happens();
    } while (req.page_token[0]);
    ck_assert_int_ge(messages, 3);
    shop_settle(&s);
    ck_present(copy);
    shop_close(&s);
    free(copy);
}
END_TEST

/* Each message is the last that came, now of what has changed. */
START_TEST(what_has_changed_goes_on_after_any_message)
{
    struct copy *copy = calloc(1, sizeof(*copy));
    ExportOrdersRequest req = OMS__ORDER__V1__EXPORT_ORDERS_REQUEST__INIT;
    int messages = 0;
    open_shop(3);
    take(copy, export(&req)->reply);
    for (int i = 0; i < 3; i++) {
        order_some(90);
        shop_settle(&s);
    }
    for (int i = 0; i < 30; i++)
        credit_one(some_order());
    for (bool last = false; !last; messages++) {
        req.after = copy->position;
        const struct asked *a = export(&req);
        last = a->n_replies == 1;
        take(copy, a->replies[0]);
    }
    ck_assert_int_ge(messages, 3);
    ck_present(copy);
    shop_close(&s);
    free(copy);
}
END_TEST

START_TEST(an_order_comes_once_a_message_however_often_it_has_changed)
{
    ExportOrdersRequest req = OMS__ORDER__V1__EXPORT_ORDERS_REQUEST__INIT;
    open_shop(1);
    req.after = ((ExportOrdersResponse *)export(&req)->reply)->position;
    order_some(3);
    shop_settle(&s);
    ck_assert_int_gt(NUMBER(&s, s.order, "SELECT COUNT(*) FROM event_log"), 3);
    const struct asked *a = export(&req);
    const ExportOrdersResponse *page = a->replies[0];
    ck_assert_uint_eq(page->n_orders, 3);
    ck_assert_int_eq(page->position->seq, NUMBER(&s, s.order, "SELECT MAX(seq) FROM event_log"));
    req.after = page->position;
    page = export(&req)->reply;
    ck_assert_uint_eq(page->n_orders + page->n_credits, 0);
    ck_assert_uint_eq(page->position->seq, req.after->seq);
    shop_close(&s);
}
END_TEST

static void ck_messages(const struct asked *a, size_t orders)
{
    size_t n = 0;
    for (size_t i = 0; i < a->n_replies; i++) {
        const ExportOrdersResponse *page = a->replies[i];
        size_t lines = 0;
        for (size_t k = 0; k < page->n_orders; k++)
            lines += page->orders[k]->n_lines;
        ck_assert(lines <= 500 || page->n_orders == 1);
        n += page->n_orders;
    }
    ck_assert_uint_eq(n, orders);
    ck_assert_uint_ge(a->n_replies, orders - 2);
}

START_TEST(messages_are_small_however_large_orders_are)
{
    open_shop(1);
    ExportOrdersRequest req = OMS__ORDER__V1__EXPORT_ORDERS_REQUEST__INIT;
    ImportOrdersRequest *import = arena_message(&s.arena, &oms__order__v1__import_orders_request__descriptor);
    import->request_id = fresh(&s);
    order_some(1);
    shop_settle(&s);
    for (int i = 0; i < 7; i++) {
        NewOrder *e = entry(import, arena_printf(&s.arena, "L-%d", i));
        for (int k = 0; k < (i == 3 ? 1000 : 705); k++)
            add_line(e, "POST", 1);
    }
    req.after = ((ExportOrdersResponse *)export(&req)->reply)->position;
    credit_one(some_order());
    get(&s, &erp, "ImportOrders", import);
    shop_settle(&s);
    for (int round = 0; round < 2; round++) {
        req.filter = "external_id = L-*";
        ck_messages(export(&req), 7);
        req.filter = "external_id = L-* lines.sku:POST";
        ck_messages(export(&req), 7);
        req.filter = "lines.sku:NOTHING"; /* so many lines are looked at for each kind */
        export(&req);
        req.after = NULL;
    }
    shop_close(&s);
}
END_TEST

static void decide(const char *method, const char *import_id)
{
    ActivateImportRequest activate = OMS__ORDER__V1__ACTIVATE_IMPORT_REQUEST__INIT;
    DiscardImportRequest discard = OMS__ORDER__V1__DISCARD_IMPORT_REQUEST__INIT;
    activate.request_id = discard.request_id = fresh(&s);
    activate.import_id = discard.import_id = (char *)import_id;
    get(&s, &erp, method, method[0] == 'D' ? (void *)&discard : (void *)&activate);
    shop_settle(&s);
}

static void stage(const char *import_id)
{
    ImportOrdersRequest *req = arena_message(&s.arena, &oms__order__v1__import_orders_request__descriptor);
    req->request_id = fresh(&s);
    req->import_id = (char *)import_id;
    for (int i = 0; i < 3; i++) {
        NewOrder *e = entry(req, arena_printf(&s.arena, "%s-%d", import_id, i));
        add_line(e, "POST", 1);
        e->fulfilled = i == 0;
    }
    CancelledLine *line = arena_message(&s.arena, &oms__order__v1__import_orders_request__cancelled__descriptor);
    NewOrder *e = entry(req, arena_printf(&s.arena, "%s-C", import_id));
    e->cancelled = arena_alloc(&s.arena, sizeof(*e->cancelled));
    e->cancelled[e->n_cancelled++] = line;
    line->sku = "POST";
    line->quantity = 1;
    line->unit_price = money(&s, "GBP", 1, 0);
    line->reason = "RETURNED";
    get(&s, &erp, "ImportOrders", req);
}

static void ck_exports(ExportOrdersRequest req, int orders, int credits);

START_TEST(drafts_are_exported_when_they_have_begun)
{
    open_shop(1);
    order_some(1);
    ExportOrdersRequest req = OMS__ORDER__V1__EXPORT_ORDERS_REQUEST__INIT, all = req;
    shop_settle(&s);
    req.after = ((ExportOrdersResponse *)export(&req)->reply)->position;
    stage("first");
    stage("second");
    ck_exports(all, 1, 0);
    ck_exports(req, 0, 0);
    decide("DiscardImport", "second");
    ck_exports(all, 1, 0);
    ck_exports(req, 0, 0);
    decide("ActivateImport", "first");
    world_run(s.world, 5 * SECOND);
    ck_exports(all, 4, 1);
    ck_exports(req, 3, 1);
    shop_close(&s);
}
END_TEST

/* --- filters --- */

static void ck_exports(ExportOrdersRequest req, int orders, int credits)
{
    const struct asked *a = export(&req);
    int n_orders = 0, n_credits = 0;
    for (size_t i = 0; i < a->n_replies; i++) {
        n_orders += (int)((ExportOrdersResponse *)a->replies[i])->n_orders;
        n_credits += (int)((ExportOrdersResponse *)a->replies[i])->n_credits;
    }
    ck_assert_msg(n_orders == orders && n_credits == credits, "%s: %d orders, %d credits", req.filter, n_orders,
                  n_credits);
}

START_TEST(only_what_fits_is_exported)
{
    open_shop(5);
    ExportOrdersRequest req = OMS__ORDER__V1__EXPORT_ORDERS_REQUEST__INIT;
    Position *start = ((ExportOrdersResponse *)export(&req)->reply)->position;
    order_some(60);
    shop_settle(&s);
    for (int i = 0; i < 20; i++)
        credit_one(some_order());
    shop_settle(&s);
    static const struct {
        char *filter;
        const char *orders, *credits;
    } cases[] = {
        { "channel = web", "channel = 'web'", "channel = 'web'" },
        { "customer_id = cus_anna channel:erp", "customer_id = 'cus_anna' AND channel = 'erp'",
          "customer_id = 'cus_anna' AND channel = 'erp'" },
        { "state = COMPLETED", "state = 6", "0 = 1" },
        { "NOT state = COMPLETED", "state <> 6", "1 = 1" },
        { "external_id = C-*", "0 = 1", "1 = 1" },
        { "order_id = crd_*", "0 = 1", "1 = 1" },
        { "lines.sku:CUP", "order_id IN (SELECT order_id FROM order_line WHERE sku = 'CUP')",
          "credit_id IN (SELECT credit_id FROM credit_line WHERE sku = 'CUP')" },
        { "lines.returned:*", "order_id IN (SELECT order_id FROM order_line WHERE returned > 0)", "0 = 1" },
        { "place_time < 2000-01-01", "place_time_us < 946684800000000", "issue_time_us < 946684800000000" },
        { "placed_by = erp", "placed_by = 'erp'", "issued_by = 'erp'" },
        { "total >= 0", "1 = 1", "1 = 1" },
        { "ship_to.country = Nowhere", "0 = 1", "0 = 1" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *orders = arena_printf(&s.arena, "SELECT COUNT(*) FROM sales_order WHERE %s", cases[i].orders);
        char *credits = arena_printf(&s.arena, "SELECT COUNT(*) FROM credit WHERE %s", cases[i].credits);
        int n_orders = (int)shop_number(&s, s.order, orders), n_credits = (int)shop_number(&s, s.order, credits);
        req.filter = cases[i].filter;
        req.after = NULL;
        ck_exports(req, n_orders, n_credits);
        req.after = start;
        ck_exports(req, n_orders, n_credits);
    }
    shop_close(&s);
}
END_TEST

/* --- refused --- */

START_TEST(who_copies_nothing_may_not_export)
{
    open_shop(1);
    ExportOrdersRequest req = OMS__ORDER__V1__EXPORT_ORDERS_REQUEST__INIT;
    ck_refused(ask(&s, &anna, "ExportOrders", &req), RPC_PERMISSION_DENIED, "ROLE_NOT_ALLOWED", "");
    ck_refused(ask(&s, &staff, "ExportOrders", &req), RPC_PERMISSION_DENIED, "ROLE_NOT_ALLOWED", "");
    ck_refused(ask(&s, &depot, "ExportOrders", &req), RPC_PERMISSION_DENIED, "ROLE_NOT_ALLOWED", "");
    ck_assert_int_eq(ask(&s, &admin, "ExportOrders", &req)->code, RPC_OK);
    ck_assert_int_eq(ask(&s, &operator, "ExportOrders", &req)->code, RPC_OK);
    shop_close(&s);
}
END_TEST

static const char *meta(const struct asked *a, const char *key)
{
    return rpc_status_meta(&s.arena, &a->status, key);
}

START_TEST(a_position_that_the_log_does_not_have_is_refused)
{
    open_shop(1);
    order_some(10);
    shop_settle(&s);
    ExportOrdersRequest req = OMS__ORDER__V1__EXPORT_ORDERS_REQUEST__INIT;
    Position at = *((ExportOrdersResponse *)export(&req)->reply)->position;
    char head[24];
    snprintf(head, sizeof(head), "%llu", (unsigned long long)at.seq);
    req.after = &at;
    at.seq++;
    const struct asked *a = ask(&s, &erp, "ExportOrders", &req);
    ck_refused(a, RPC_OUT_OF_RANGE, "LOG_AHEAD", "");
    ck_assert_str_eq(meta(a, "head"), head);

    WRITE(&s, s.order, "UPDATE log_head SET floor = 5");
    WRITE(&s, s.order, "DELETE FROM event_log WHERE seq <= 5");
    at.seq = 4;
    a = ask(&s, &erp, "ExportOrders", &req);
    ck_refused(a, RPC_OUT_OF_RANGE, "LOG_TRUNCATED", "");
    ck_assert_str_eq(meta(a, "floor"), "5");
    at.seq = 5;
    ck_assert_int_eq(ask(&s, &erp, "ExportOrders", &req)->code, RPC_OK);

    at.incarnation = "0123456789abcdef";
    a = ask(&s, &erp, "ExportOrders", &req);
    ck_refused(a, RPC_FAILED_PRECONDITION, "FOREIGN_INCARNATION", "");
    ck_assert_str_eq(a->subject, "after.incarnation");
    at.incarnation = "";
    ck_refused(ask(&s, &erp, "ExportOrders", &req), RPC_FAILED_PRECONDITION, "FOREIGN_INCARNATION", "");
    shop_close(&s);
}
END_TEST

/* What has changed since it began could not be told any more. */
START_TEST(an_export_of_everything_that_is_too_old_is_refused)
{
    open_shop(1);
    for (int i = 0; i < 3; i++)
        order_some(90);
    shop_settle(&s);
    ExportOrdersRequest req = OMS__ORDER__V1__EXPORT_ORDERS_REQUEST__INIT;
    const struct asked *a = export(&req);
    req.page_token = ((ExportOrdersResponse *)a->replies[0])->page_token;
    ck_assert_int_eq(ask(&s, &erp, "ExportOrders", &req)->code, RPC_OK);
    order_some(5);
    WRITE(&s, s.order, "UPDATE log_head SET floor = (SELECT MAX(seq) FROM event_log)");
    WRITE(&s, s.order, "DELETE FROM event_log");
    ck_refused(ask(&s, &erp, "ExportOrders", &req), RPC_OUT_OF_RANGE, "LOG_TRUNCATED", "");
    WRITE(&s, s.order, "UPDATE log_head SET incarnation = 'another'");
    ck_refused(ask(&s, &erp, "ExportOrders", &req), RPC_FAILED_PRECONDITION, "FOREIGN_INCARNATION", "");
    shop_close(&s);
}
END_TEST

START_TEST(tokens_and_filters_that_are_wrong_are_refused)
{
    open_shop(1);
    for (int i = 0; i < 3; i++)
        order_some(90);
    ExportOrdersRequest req = OMS__ORDER__V1__EXPORT_ORDERS_REQUEST__INIT;
    const struct asked *a = export(&req);
    ck_assert_uint_gt(a->n_replies, 1);
    req.page_token = ((ExportOrdersResponse *)a->replies[0])->page_token;
    req.filter = "channel = web";
    ck_refused(ask(&s, &erp, "ExportOrders", &req), RPC_INVALID_ARGUMENT, "PAGE_TOKEN_INVALID", "page_token");
    req.filter = "";
    req.after = ((ExportOrdersResponse *)a->reply)->position;
    ck_refused(ask(&s, &erp, "ExportOrders", &req), RPC_INVALID_ARGUMENT, "FIELD_UNEXPECTED", "page_token");
    req.after = NULL;
    req.page_token = "AAAA";
    ck_refused(ask(&s, &erp, "ExportOrders", &req), RPC_INVALID_ARGUMENT, "PAGE_TOKEN_INVALID", "page_token");
    req.page_token = "";
    req.filter = "channel";
    ck_assert_int_eq(ask(&s, &erp, "ExportOrders", &req)->code, RPC_OK);
    req.filter = "channel =";
    ck_refused(ask(&s, &erp, "ExportOrders", &req), RPC_INVALID_ARGUMENT, "FILTER_INVALID", "filter");
    shop_close(&s);
}
END_TEST

/* A line that costs nothing: neither a sum nor a state changes. */
START_TEST(a_gift_that_was_not_on_the_shelf_is_told)
{
    open_shop(1);
    ExportOrdersRequest req = OMS__ORDER__V1__EXPORT_ORDERS_REQUEST__INIT;
    ImportOrdersRequest *import = arena_message(&s.arena, &oms__order__v1__import_orders_request__descriptor);
    import->request_id = fresh(&s);
    NewOrder *e = entry(import, "G-1");
    add_line(e, "MUG", 2);
    add_line(e, "CUP", 1);
    const ImportOrdersResponse *placed = get(&s, &erp, "ImportOrders", import);
    const char *order_id = placed->results[0]->order_id;
    shop_settle(&s);
    world_run(s.world, 2 * SECOND);
    req.after = ((ExportOrdersResponse *)export(&req)->reply)->position;

    const Oms__Shipping__V1__Fulfillment *parcel = parcels_of(order_id)->fulfillments[0];
    ck_assert_str_eq(parcel->lines[0]->sku, "MUG");
    pack(parcel, parcel->lines[0], 1);
    const ExportOrdersResponse *page = export(&req)->replies[0];
    ck_assert_uint_eq(page->n_orders, 1);
    ck_assert_int_eq(page->orders[0]->lines[0]->cancelled, 1);
    shop_close(&s);
}
END_TEST

SUITE("export", 120, everything_and_then_what_has_changed_is_the_present_state,
      an_export_of_everything_goes_on_behind_any_message, what_has_changed_goes_on_after_any_message,
      an_order_comes_once_a_message_however_often_it_has_changed, messages_are_small_however_large_orders_are,
      drafts_are_exported_when_they_have_begun, only_what_fits_is_exported, who_copies_nothing_may_not_export,
      a_position_that_the_log_does_not_have_is_refused, an_export_of_everything_that_is_too_old_is_refused,
      tokens_and_filters_that_are_wrong_are_refused, a_gift_that_was_not_on_the_shelf_is_told)
