/* Placing orders: what is taken, what is refused and leaves nothing behind, and how orders are read again. */
#include "svc-order/api.h"
#include "tests/shop/shop.h"
#include "tests/suite.h"

#include <string.h>

static struct shop s;

#define STORED \
    NUMBER(&s, s.order, \
           "SELECT (SELECT COUNT(*) FROM sales_order) + (SELECT COUNT(*) FROM order_line) + " \
           "(SELECT COUNT(*) FROM order_address) + (SELECT COUNT(*) FROM order_step) + " \
           "(SELECT COUNT(*) FROM event_log) + (SELECT COUNT(*) FROM outbox) + (SELECT COUNT(*) FROM rpc_request)")
#define ORDERS NUMBER(&s, s.order, "SELECT COUNT(*) FROM sales_order")

static void open_shop(uint64_t seed)
{
    shop_open(&s, seed);
    open_locations(&s);
    upsert(&s, product(&s, "CUP", 4, 950000000));
    upsert(&s, product(&s, "MUG", 1, 0));
    Product *post = product(&s, "POST", 3, 0);
    post->variants[0]->stocked = false;
    upsert(&s, post);
    stock(&s, "CUP", "L1", 100);
    stock(&s, "MUG", "L1", 1);
    shop_settle(&s);
}

static PlaceOrderRequest *basket(void)
{
    PlaceOrderRequest *req = arena_message(&s.arena, &oms__order__v1__place_order_request__descriptor);
    req->request_id = fresh(&s);
    req->currency_code = "GBP";
    req->channel = "web";
    req->payment_token = "tok_ok";
    return req;
}

static PlaceLine *add(PlaceOrderRequest *req, const char *sku, int64_t quantity)
{
    PlaceLine **lines = arena_alloc(&s.arena, (req->n_lines + 1) * sizeof(*lines));
    if (req->n_lines)
        memcpy(lines, req->lines, req->n_lines * sizeof(*lines));
    PlaceLine *line = arena_message(&s.arena, &oms__order__v1__place_order_request__line__descriptor);
    line->sku = (char *)sku;
    line->quantity = quantity;
    lines[req->n_lines++] = line;
    req->lines = lines;
    return line;
}

static PlaceOrderRequest *cups(int64_t quantity)
{
    PlaceOrderRequest *req = basket();
    add(req, "CUP", quantity);
    return req;
}

static const Order *place(const struct caller *who, PlaceOrderRequest *req)
{
    return ((PlaceOrderResponse *)get(&s, who, "PlaceOrder", req))->order;
}

static const Order *read(const struct caller *who, const char *order_id)
{
    GetOrderRequest req = OMS__ORDER__V1__GET_ORDER_REQUEST__INIT;
    req.order_id = (char *)order_id;
    return ((GetOrderResponse *)get(&s, who, "GetOrder", &req))->order;
}

static const struct asked *ck_place_refused(const struct caller *who, PlaceOrderRequest *req, enum rpc_code code,
                                            const char *reason, const char *field)
{
    int64_t before = STORED;
    const struct asked *a = ask(&s, who, "PlaceOrder", req);
    ck_refused(a, code, reason, field);
    ck_assert_int_eq(STORED, before);
    return a;
}
#define INVALID(who, req, reason, field) ck_place_refused(who, req, RPC_INVALID_ARGUMENT, reason, field)

/* --- taken --- */

START_TEST(an_order_is_priced_by_us_and_confirmed)
{
    open_shop(1);
    PlaceOrderRequest *req = cups(2);
    add(req, "POST", 1);
    add(req, "CUP", 3)->unit_price = money(&s, "GBP", 4, 950000000);
    Address address = OMS__ORDER__V1__ADDRESS__INIT;
    char *street[] = { "1 High Street", "Flat 2" };
    address.name = "Anna";
    address.street = street;
    address.n_street = 2;
    address.city = "York";
    address.postal_code = "YO1";
    address.country = "United Kingdom";
    req->ship_to = &address;
    req->wait = true;
    const Order *order = place(&anna, req);
    ck_assert_int_eq(order->state, OMS__ORDER__V1__ORDER__STATE__CONFIRMED);
    ck_assert_str_eq(order->customer_id, "cus_anna");
    ck_assert_str_eq(order->placed_by, "cus_anna");
    ck_assert_int_eq(order->total->units, 27);
    ck_assert_int_eq(order->total->nanos, 750000000);
    ck_assert_int_eq(order->n_lines, 3);
    ck_assert_str_eq(order->lines[0]->title, "Title of CUP");
    ck_assert_int_eq(order->lines[2]->line_total->units, 14);
    ck_assert_int_eq(order->lines[2]->line_total->nanos, 850000000);
    ck_assert_int_eq(order->payment_state, OMS__ORDER__V1__ORDER__PAYMENT_STATE__AUTHORIZED);
    ck_assert_int_eq(order->version, 2);
    ck_assert_str_eq(order->etag, "v2");
    ck_assert_str_eq(order->ship_to->name, "Anna");
    ck_assert_int_eq(order->ship_to->n_street, 2);
    ck_assert_str_eq(order->ship_to->street[1], "Flat 2");
    ck_assert_str_eq(order->ship_to->country, "United Kingdom");
    ck_assert_int_eq(NUMBER(&s, s.inventory, "SELECT SUM(reserved) FROM stock"), 5);
    ck_assert_int_eq(read(&anna, order->order_id)->state, OMS__ORDER__V1__ORDER__STATE__CONFIRMED);
    shop_close(&s);
}
END_TEST

START_TEST(without_wait_the_reply_comes_when_the_order_is_durable)
{
    open_shop(1);
    const PlaceOrderResponse *ret = get(&s, &anna, "PlaceOrder", cups(1));
    ck_assert_int_eq(ret->order->state, OMS__ORDER__V1__ORDER__STATE__PENDING);
    ck_assert_int_gt(ret->position->seq, 0);
    shop_settle(&s);
    ck_assert_int_eq(read(&anna, ret->order->order_id)->state, OMS__ORDER__V1__ORDER__STATE__CONFIRMED);
    shop_close(&s);
}
END_TEST

START_TEST(a_wait_ends_before_the_deadline_with_the_order_as_it_is)
{
    open_shop(1);
    world_partition(s.world, s.order, s.inventory, 60000000);
    PlaceOrderRequest *req = cups(1);
    req->wait = true;
    ck_assert_int_eq(place(&anna, req)->state, OMS__ORDER__V1__ORDER__STATE__PENDING);
    world_run(s.world, 60000000);
    ck_assert_int_eq(place(&anna, req)->state, OMS__ORDER__V1__ORDER__STATE__CONFIRMED);
    ck_assert_int_eq(ORDERS, 1);
    shop_close(&s);
}
END_TEST

START_TEST(what_is_sold_out_is_rejected_with_a_sentence_and_holds_nothing)
{
    open_shop(1);
    PlaceOrderRequest *req = cups(2);
    add(req, "MUG", 1);
    add(req, "MUG", 2);
    req->wait = true;
    const Order *order = place(&anna, req);
    ck_assert_int_eq(order->state, OMS__ORDER__V1__ORDER__STATE__REJECTED);
    ck_assert_str_eq(order->reject_reason, "Not enough in stock: MUG (3 wanted, 1 left)");
    ck_assert_int_eq(NUMBER(&s, s.inventory, "SELECT SUM(reserved) FROM stock"), 0);
    ck_assert_int_eq(NUMBER(&s, s.order, "SELECT state FROM order_step WHERE step = 1"), 3);
    ck_assert_int_eq(order->payment_state, OMS__ORDER__V1__ORDER__PAYMENT_STATE__VOIDED);
    shop_close(&s);
}
END_TEST

START_TEST(an_order_of_nothing_stocked_on_account_is_completed_at_once)
{
    open_shop(1);
    PlaceOrderRequest *req = basket();
    add(req, "POST", 1);
    req->customer_id = "cus_anna";
    req->payment_token = "";
    req->wait = true;
    int64_t before_us = world_now(s.world);
    const Order *order = place(&staff, req);
    ck_assert_int_lt(world_now(s.world) - before_us, 1000000); /* there is nothing to wait for */
    ck_assert_int_eq(order->state, OMS__ORDER__V1__ORDER__STATE__COMPLETED);
    ck_assert_int_eq(order->payment_state, OMS__ORDER__V1__ORDER__PAYMENT_STATE__ON_ACCOUNT);
    ck_assert_int_eq(order->fulfillment_state, OMS__ORDER__V1__ORDER__FULFILLMENT_STATE__NOT_NEEDED);
    ck_assert_int_eq(NUMBER(&s, s.order, "SELECT COUNT(*) FROM outbox"), 0);
    shop_close(&s);
}
END_TEST

START_TEST(a_customer_pays_with_the_order)
{
    open_shop(1);
    PlaceOrderRequest *req = cups(1);
    req->payment_token = "";
    INVALID(&anna, req, "PAYMENT_REQUIRED", "payment_token");
    req->customer_id = "cus_anna";
    ck_assert_int_eq(place(&staff, req)->payment_state, OMS__ORDER__V1__ORDER__PAYMENT_STATE__ON_ACCOUNT);
    shop_close(&s);
}
END_TEST

START_TEST(an_address_that_no_mail_can_go_to_is_refused)
{
    static const char *const bad[] = {
        "anna", "@york", "anna@", "a b@york", "anna@york@bath", "anna@york\r\nBcc: x@y"
    };
    open_shop(1);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        PlaceOrderRequest *req = cups(1);
        req->email = (char *)bad[i];
        INVALID(&anna, req, "EMAIL_INVALID", "email");
    }
    PlaceOrderRequest *req = cups(1);
    req->email = "anna@example.com";
    ck_assert_str_eq(place(&anna, req)->email, "anna@example.com");
    shop_close(&s);
}
END_TEST

START_TEST(a_repeat_is_the_same_order_as_it_is_now)
{
    open_shop(1);
    PlaceOrderRequest *req = cups(1);
    Address address = OMS__ORDER__V1__ADDRESS__INIT;
    address.name = "Anna";
    req->ship_to = &address;
    const Order *first = place(&anna, req);
    shop_settle(&s);
    const Order *again = place(&anna, req);
    ck_assert_str_eq(again->order_id, first->order_id);
    ck_assert_int_eq(again->state, OMS__ORDER__V1__ORDER__STATE__CONFIRMED);
    ck_assert_str_eq(again->ship_to->name, "Anna");
    ck_assert_int_eq(ORDERS, 1);

    req->lines[0]->quantity = 2;
    INVALID(&anna, req, "REQUEST_ID_REUSED", "request_id");
    ck_assert_str_ne(place(&bert, req)->order_id, first->order_id);
    shop_close(&s);
}
END_TEST

START_TEST(sixty_four_repeats_at_once_are_one_order)
{
    for (uint64_t seed = 1; seed <= 4; seed++) {
        open_shop(seed);
        PlaceOrderRequest *req = cups(1);
        req->wait = true;
        struct asked *asked[64];
        for (int i = 0; i < 64; i++)
            asked[i] = ask_begin(&s, &anna, "PlaceOrder", req);
        const char *id = NULL;
        for (int i = 0; i < 64; i++) {
            ck_assert_int_eq(ask_end(asked[i])->code, RPC_OK);
            const Order *order = ((PlaceOrderResponse *)asked[i]->reply)->order;
            ck_assert_int_eq(order->state, OMS__ORDER__V1__ORDER__STATE__CONFIRMED);
            ck_assert_str_eq(order->order_id, id ? id : order->order_id);
            id = order->order_id;
        }
        ck_assert_int_eq(ORDERS, 1);
        ck_assert_int_eq(NUMBER(&s, s.inventory, "SELECT SUM(reserved) FROM stock"), 1);
        shop_close(&s);
    }
}
END_TEST

START_TEST(an_erp_sets_prices_time_and_guests)
{
    open_shop(1);
    PlaceOrderRequest *req = basket();
    add(req, "CUP", 2)->unit_price = money(&s, "EUR", 0, 10000000);
    add(req, "MUG", 1)->unit_price = money(&s, "EUR", 0, 0);
    req->currency_code = "EUR";
    req->place_time_us = 1300000000000000;
    req->external_id = "536365";
    req->payment_token = "";
    const Order *order = place(&erp, req);
    ck_assert_str_eq(order->customer_id, "");
    ck_assert_int_eq(order->place_time_us, 1300000000000000);
    ck_assert_str_eq(order->total->currency_code, "EUR");
    ck_assert_int_eq(order->total->nanos, 20000000);
    shop_close(&s);
}
END_TEST

START_TEST(a_thousand_lines_are_one_order)
{
    open_shop(1);
    PlaceOrderRequest *req = basket();
    for (int i = 0; i < 1000; i++)
        add(req, i % 3 ? "CUP" : "POST", 1);
    stock(&s, "CUP", "L2", 1000);
    req->wait = true;
    const Order *order = place(&anna, req);
    ck_assert_int_eq(order->n_lines, 1000);
    ck_assert_int_eq(order->state, OMS__ORDER__V1__ORDER__STATE__CONFIRMED);
    ck_assert_int_eq(NUMBER(&s, s.inventory, "SELECT SUM(reserved) FROM stock"), 666);
    ck_assert_int_eq(NUMBER(&s, s.inventory, "SELECT COUNT(*) FROM reservation_line"), 2);
    shop_close(&s);
}
END_TEST

/* --- refused --- */

START_TEST(bad_lines_are_refused_naming_them)
{
    open_shop(1);
    PlaceOrderRequest *req = cups(1);
    INVALID(&anna, basket(), "FIELD_REQUIRED", "lines");
    add(req, "NONE", 1);
    INVALID(&anna, req, "SKU_UNKNOWN", "lines[1].sku");
    req->lines[1]->sku = "";
    INVALID(&anna, req, "FIELD_REQUIRED", "lines[1].sku");
    req->lines[1]->sku = "a\xff";
    ck_assert_str_eq(ask(&s, &anna, "PlaceOrder", req)->field, "lines[1].sku");
    char *longer = arena_zalloc(&s.arena, 80);
    memset(longer, 'x', 65);
    req->lines[1]->sku = longer;
    ck_assert_str_eq(ask(&s, &anna, "PlaceOrder", req)->field, "lines[1].sku");
    static const int64_t wrong[] = { 0, -1, 1000000001, INT64_MAX };
    for (size_t i = 0; i < 4; i++)
        ck_assert_str_eq(ask(&s, &anna, "PlaceOrder", cups(wrong[i]))->field, "lines[0].quantity");
    req = cups(1);
    for (int i = 0; i < 1000; i++)
        add(req, "CUP", 1);
    ck_assert_str_eq(ask(&s, &anna, "PlaceOrder", req)->field, "lines");
    ck_assert_int_eq(ORDERS, 0);
    shop_close(&s);
}
END_TEST

START_TEST(amounts_that_do_not_fit_are_refused)
{
    open_shop(1);
    upsert(&s, product(&s, "GOLD", INT64_MAX / 100, 0));
    upsert(&s, product(&s, "SILVER", 10000000000, 0));
    shop_settle(&s);
    PlaceOrderRequest *req = basket();
    add(req, "GOLD", 2);
    INVALID(&anna, req, "AMOUNT_OVERFLOW", "lines[0].quantity");
    req = basket();
    add(req, "SILVER", 999);
    add(req, "SILVER", 999);
    INVALID(&anna, req, "AMOUNT_OVERFLOW", "lines[1].quantity");
    shop_close(&s);
}
END_TEST

START_TEST(a_price_that_is_not_ours_is_refused_telling_ours)
{
    open_shop(1);
    PlaceOrderRequest *req = cups(1);
    req->lines[0]->unit_price = money(&s, "GBP", 4, 940000000);
    const struct asked *a = ck_place_refused(&anna, req, RPC_FAILED_PRECONDITION, "PRICE_CHANGED", "");
    ck_assert_str_eq(rpc_status_meta(&s.arena, &a->status, "sku"), "CUP");
    ck_assert_str_eq(rpc_status_meta(&s.arena, &a->status, "price"), "4.95 GBP");
    req->customer_id = "cus_anna";
    ck_place_refused(&staff, req, RPC_FAILED_PRECONDITION, "PRICE_CHANGED", "");
    shop_close(&s);
}
END_TEST

START_TEST(bad_amounts_and_mixed_currencies_are_refused_naming_them)
{
    open_shop(1);
    static const struct {
        const char *currency;
        int64_t units;
        int32_t nanos;
        const char *reason;
    } bad[] = {
        { "EUR", 4, 950000000, "CURRENCY_MISMATCH" },
        { "GBP", 4, 955000000, "AMOUNT_NOT_WHOLE" },
        { "GBP", -4, 0, "AMOUNT_NEGATIVE" },
        { "GBP", INT64_MAX, 0, "AMOUNT_OVERFLOW" },
        { "QQQ", 4, 0, "AMOUNT_INVALID" },
        { "GBP", 4, -1, "AMOUNT_INVALID" },
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        PlaceOrderRequest *req = cups(1);
        add(req, "CUP", 1)->unit_price = money(&s, bad[i].currency, bad[i].units, bad[i].nanos);
        INVALID(&anna, req, bad[i].reason, "lines[1].unit_price");
        INVALID(&erp, req, bad[i].reason, "lines[1].unit_price");
    }
    PlaceOrderRequest *req = cups(1);
    req->currency_code = "EUR";
    INVALID(&anna, req, "CURRENCY_MISMATCH", "lines[0].sku");
    INVALID(&erp, req, "CURRENCY_MISMATCH", "lines[0].sku");
    req->currency_code = "QQQ";
    INVALID(&anna, req, "CURRENCY_UNKNOWN", "currency_code");
    req->currency_code = "";
    INVALID(&anna, req, "FIELD_REQUIRED", "currency_code");
    shop_close(&s);
}
END_TEST

START_TEST(who_may_not_say_so_is_refused)
{
    open_shop(1);
    PlaceOrderRequest *req = cups(1);
    INVALID(&staff, req, "CUSTOMER_REQUIRED", "customer_id");
    req->place_time_us = 1;
    INVALID(&anna, req, "PLACE_TIME_NOT_YOURS", "place_time_us");
    req = cups(1);
    req->customer_id = "cus_bert";
    int64_t before = STORED;
    ck_assert_int_eq(ask(&s, &anna, "PlaceOrder", req)->code, RPC_PERMISSION_DENIED);
    ck_assert_int_eq(ask(&s, &depot, "PlaceOrder", req)->code, RPC_PERMISSION_DENIED);
    ck_assert_int_eq(STORED, before);
    ck_assert_str_eq(place(&staff, req)->customer_id, "cus_bert");
    shop_settle(&s);
    req = cups(1);
    req->request_id = "";
    INVALID(&anna, req, "FIELD_REQUIRED", "request_id");
    shop_close(&s);
}
END_TEST

START_TEST(a_channels_number_names_one_order)
{
    open_shop(1);
    PlaceOrderRequest *req = cups(1);
    req->external_id = "W-1";
    const Order *first = place(&anna, req);
    shop_settle(&s);
    req->request_id = fresh(&s);
    const struct asked *a = ck_place_refused(&anna, req, RPC_ALREADY_EXISTS, "ORDER_EXISTS", "");
    ck_assert_str_eq(a->resource, first->order_id);
    a = ck_place_refused(&bert, req, RPC_ALREADY_EXISTS, "ORDER_EXISTS", "");
    ck_assert_str_eq(a->resource, "");
    req->channel = "app";
    ck_assert_str_ne(place(&anna, req)->order_id, first->order_id);
    req->external_id = "";
    req->request_id = fresh(&s);
    place(&anna, req);
    req->request_id = fresh(&s);
    place(&anna, req);
    ck_assert_int_eq(ORDERS, 4);
    shop_close(&s);
}
END_TEST

/* --- read --- */

START_TEST(somebody_elses_order_is_not_there)
{
    open_shop(1);
    const Order *order = place(&anna, cups(1));
    GetOrderRequest req = OMS__ORDER__V1__GET_ORDER_REQUEST__INIT;
    req.order_id = order->order_id;
    ck_refused(ask(&s, &bert, "GetOrder", &req), RPC_NOT_FOUND, "ORDER_NOT_FOUND", "");
    ck_assert_str_eq(read(&staff, order->order_id)->customer_id, "cus_anna");
    req.order_id = "ord_none";
    ck_refused(ask(&s, &staff, "GetOrder", &req), RPC_NOT_FOUND, "ORDER_NOT_FOUND", "");
    shop_close(&s);
}
END_TEST

START_TEST(several_are_read_at_once_without_their_lines)
{
    open_shop(1);
    char *ids[] = { place(&anna, cups(1))->order_id, "ord_none", place(&bert, cups(2))->order_id };
    BatchGetOrdersRequest req = OMS__ORDER__V1__BATCH_GET_ORDERS_REQUEST__INIT;
    req.order_ids = ids;
    req.n_order_ids = 3;
    const BatchGetOrdersResponse *reply = get(&s, &staff, "BatchGetOrders", &req);
    ck_assert_uint_eq(reply->n_orders, 2);
    for (size_t i = 0; i < 2; i++) {
        const Order *order = reply->orders[i], *whole = read(&staff, order->order_id);
        ck_assert_str_eq(order->customer_id, whole->customer_id);
        ck_assert_int_eq(order->total->units, whole->total->units);
        ck_assert_uint_eq(order->n_lines, 0);
    }
    ck_refused(ask(&s, &anna, "BatchGetOrders", &req), RPC_PERMISSION_DENIED, "ROLE_NOT_ALLOWED", "");
    req.n_order_ids = 0;
    ck_refused(ask(&s, &staff, "BatchGetOrders", &req), RPC_INVALID_ARGUMENT, "FIELD_REQUIRED", "order_ids");
    shop_close(&s);
}
END_TEST

static int listed(const struct caller *who, const char *customer, const char *channel, int page_size)
{
    ListOrdersRequest req = OMS__ORDER__V1__LIST_ORDERS_REQUEST__INIT;
    req.customer_id = (char *)customer;
    req.channel = (char *)channel;
    req.page_size = page_size;
    int n = 0;
    int64_t last = INT64_MAX;
    do {
        const ListOrdersResponse *page = get(&s, who, "ListOrders", &req);
        for (size_t i = 0; i < page->n_orders; i++, n++) {
            ck_assert_int_le(page->orders[i]->place_time_us, last);
            ck_assert_int_gt(page->orders[i]->n_lines, 0);
            ck_assert(!customer[0] || strcmp(page->orders[i]->customer_id, customer) == 0);
            last = page->orders[i]->place_time_us;
        }
        ck_assert_int_le(page->n_orders, page_size);
        req.page_token = page->next_page_token;
    } while (req.page_token[0]);
    return n;
}

START_TEST(orders_are_listed_newest_first_and_only_to_whom_they_belong)
{
    open_shop(1);
    for (int i = 0; i < 9; i++) {
        PlaceOrderRequest *req = cups(1);
        req->channel = i % 3 ? "web" : "app";
        place(i % 2 ? &anna : &bert, req);
    }
    for (int i = 0; i < 5; i++) {
        PlaceOrderRequest *req = cups(1);
        req->channel = "erp";
        req->place_time_us = 1300000000000000 + i / 2; /* two at the same time */
        place(&erp, req);
    }
    ck_assert_int_eq(listed(&staff, "", "", 4), 14);
    ck_assert_int_eq(listed(&staff, "", "", 2), 14);
    ck_assert_int_eq(listed(&staff, "", "erp", 2), 5);
    ck_assert_int_eq(listed(&staff, "cus_bert", "", 2), 5);
    ck_assert_int_eq(listed(&anna, "", "", 3), 4);
    ck_assert_int_eq(listed(&anna, "", "app", 3), 1);
    ListOrdersRequest req = OMS__ORDER__V1__LIST_ORDERS_REQUEST__INIT;
    req.customer_id = "cus_bert";
    ck_assert_int_eq(ask(&s, &anna, "ListOrders", &req)->code, RPC_PERMISSION_DENIED);
    req.customer_id = "";
    req.page_token = "AAAA";
    ck_refused(ask(&s, &anna, "ListOrders", &req), RPC_INVALID_ARGUMENT, "PAGE_TOKEN_INVALID", "page_token");
    shop_close(&s);
}
END_TEST

START_TEST(a_page_of_large_orders_is_short)
{
    open_shop(1);
    for (int i = 0; i < 5; i++) {
        PlaceOrderRequest *req = basket();
        for (int k = 0; k < 450; k++)
            add(req, "POST", 1);
        place(&anna, req);
    }
    ListOrdersRequest req = OMS__ORDER__V1__LIST_ORDERS_REQUEST__INIT;
    ck_assert_int_eq(((ListOrdersResponse *)get(&s, &anna, "ListOrders", &req))->n_orders, 2);
    ck_assert_int_eq(listed(&anna, "", "", 50), 5);
    shop_close(&s);
}
END_TEST

START_TEST(what_is_personal_stands_in_its_table_alone)
{
    open_shop(1);
    PlaceOrderRequest *req = cups(1);
    Address address = OMS__ORDER__V1__ADDRESS__INIT;
    char *street[] = { "canary-street" };
    address.name = "canary-name";
    address.street = street;
    address.n_street = 1;
    address.city = "canary-city";
    address.postal_code = "canary-code";
    req->ship_to = &address;
    place(&anna, req);
    place(&anna, req);
#define BLOB "CAST('canary' AS BLOB)"
    ck_assert_int_eq(NUMBER(&s, s.order, "SELECT COUNT(*) FROM outbox WHERE instr(request, " BLOB ") > 0"), 0);
    shop_settle(&s);
    ck_assert_int_eq(NUMBER(&s, s.order, "SELECT COUNT(*) FROM event_log WHERE instr(payload, " BLOB ") > 0"), 0);
    ck_assert_int_eq(NUMBER(&s, s.order, "SELECT COUNT(*) FROM rpc_request WHERE instr(reply, " BLOB ") > 0"), 0);
    ck_assert_int_eq(NUMBER(&s, s.inventory, "SELECT COUNT(*) FROM rpc_request WHERE instr(reply, " BLOB ") > 0"), 0);
    ck_assert_int_eq(NUMBER(&s, s.order,
                            "SELECT COUNT(*) FROM order_address WHERE subject = 'cus_anna' "
                            "AND name = 'canary-name'"),
                     1);
    shop_close(&s);
}
END_TEST

SUITE("place", 120, an_order_is_priced_by_us_and_confirmed, without_wait_the_reply_comes_when_the_order_is_durable,
      a_wait_ends_before_the_deadline_with_the_order_as_it_is,
      what_is_sold_out_is_rejected_with_a_sentence_and_holds_nothing,
      an_order_of_nothing_stocked_on_account_is_completed_at_once, a_customer_pays_with_the_order,
      an_address_that_no_mail_can_go_to_is_refused, a_repeat_is_the_same_order_as_it_is_now,
      sixty_four_repeats_at_once_are_one_order, an_erp_sets_prices_time_and_guests, a_thousand_lines_are_one_order,
      bad_lines_are_refused_naming_them, amounts_that_do_not_fit_are_refused,
      a_price_that_is_not_ours_is_refused_telling_ours, bad_amounts_and_mixed_currencies_are_refused_naming_them,
      who_may_not_say_so_is_refused, a_channels_number_names_one_order, somebody_elses_order_is_not_there,
      several_are_read_at_once_without_their_lines, orders_are_listed_newest_first_and_only_to_whom_they_belong,
      a_page_of_large_orders_is_short, what_is_personal_stands_in_its_table_alone)
