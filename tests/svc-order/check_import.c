/* Chunks of orders from another system: one transaction each, every order placed or refused by itself. */
#include "svc-order/api.h"
#include "tests/shop/shop.h"
#include "tests/suite.h"

#include <stdio.h>
#include <string.h>

static struct shop s;

#define ORDERS   NUMBER(&s, s.order, "SELECT COUNT(*) FROM sales_order")
#define REQUESTS NUMBER(&s, s.order, "SELECT COUNT(*) FROM rpc_request WHERE method LIKE '%ImportOrders'")

static void open_shop(void)
{
    shop_open(&s, 1);
    open_locations(&s);
    upsert(&s, product(&s, "CUP", 4, 950000000));
    upsert(&s, product(&s, "MUG", 1, 0));
    stock(&s, "CUP", "L1", 1000);
    shop_settle(&s);
}

static ImportOrdersRequest *chunk(void)
{
    ImportOrdersRequest *req = arena_message(&s.arena, &oms__order__v1__import_orders_request__descriptor);
    req->request_id = fresh(&s);
    req->orders = arena_alloc(&s.arena, 101 * sizeof(*req->orders));
    return req;
}

/* An order of one line. */
static NewOrder *add(ImportOrdersRequest *req, const char *external_id, const char *sku, int64_t quantity)
{
    NewOrder *order = arena_message(&s.arena, &oms__order__v1__import_orders_request__entry__descriptor);
    PlaceLine *line = arena_message(&s.arena, &oms__order__v1__place_order_request__line__descriptor);
    line->sku = (char *)sku;
    line->quantity = quantity;
    order->lines = arena_alloc(&s.arena, sizeof(*order->lines));
    order->lines[0] = line;
    order->n_lines = 1;
    order->customer_id = "cus_anna";
    order->currency_code = "GBP";
    order->channel = "erp";
    order->external_id = (char *)external_id;
    req->orders[req->n_orders++] = order;
    return order;
}

static const ImportOrdersResponse *import(const ImportOrdersRequest *req)
{
    return get(&s, &erp, "ImportOrders", req);
}

static void ck_result(const ImportOrdersResponse *ret, size_t i, const char *reason, const char *field)
{
    ck_assert_ptr_nonnull(ret->results[i]->refusal);
    ck_assert_str_eq(ret->results[i]->refusal->reason, reason);
    ck_assert_str_eq(ret->results[i]->refusal->field, field);
    ck_assert_str_ne(ret->results[i]->refusal->message, "");
    ck_assert_ptr_null(ret->results[i]->total);
}

START_TEST(a_chunk_of_orders_is_placed_and_each_lives_its_life)
{
    open_shop();
    ImportOrdersRequest *req = chunk();
    for (int i = 0; i < 100; i++)
        add(req, arena_printf(&s.arena, "%d", i), "CUP", 1 + i % 3);
    req->orders[1]->lines[0]->unit_price = money(&s, "GBP", 2, 0); /* an ERP's price counts */
    req->orders[1]->place_time_us = 1000000;
    req->orders[2]->customer_id = "";
    const ImportOrdersResponse *ret = import(req);
    ck_assert_str_eq(ret->request_id, req->request_id);
    ck_assert_uint_eq(ret->n_results, 100);
    ck_assert_uint_eq(ret->placed, 100);
    ck_assert_uint_eq(ret->refused, 0);
    ck_assert_int_gt(ret->position->seq, 0);
    ck_assert_int_eq(ret->results[0]->total->units, 4);
    ck_assert_int_eq(ret->results[1]->total->units, 4);
    ck_assert_int_eq(ret->results[1]->total->nanos, 0);
    ck_assert_int_eq(ret->results[99]->state, OMS__ORDER__V1__ORDER__STATE__PENDING);
    ck_assert_int_eq(
        NUMBER(&s, s.order, "SELECT COUNT(DISTINCT place_time_us) FROM sales_order WHERE external_id <> '1'"), 1);
    ck_assert_int_eq(NUMBER(&s, s.order, "SELECT place_time_us FROM sales_order WHERE external_id = '1'"), 1000000);
    shop_settle(&s);
    ck_assert_int_eq(NUMBER(&s, s.order, "SELECT COUNT(*) FROM sales_order WHERE state = 2"), 100);
    ck_assert_int_eq(NUMBER(&s, s.inventory, "SELECT SUM(reserved) FROM stock"), 199);
    shop_close(&s);
}
END_TEST

START_TEST(an_order_that_is_refused_does_not_spoil_the_others)
{
    open_shop();
    ImportOrdersRequest *req = chunk();
    add(req, "0", "CUP", 1);
    add(req, "1", "NOTHING", 1);
    add(req, "2", "CUP", 0);
    add(req, "3", "CUP", 1)->currency_code = "EUR";
    add(req, "4", "CUP", 1)->lines[0]->unit_price = money(&s, "GBP", -1, 0);
    add(req, "0", "CUP", 1);
    add(req, "", "CUP", 1);
    add(req, "7", "CUP", 1)->n_lines = 0;
    add(req, "8", "CUP", 1)->email = "nobody";
    add(req, "9", "CUP", INT64_C(1000000000))->lines[0]->unit_price = money(&s, "GBP", INT64_C(900000000), 0);
    add(req, "10", "MUG", 1);
    const ImportOrdersResponse *ret = import(req);
    ck_assert_uint_eq(ret->placed, 2);
    ck_assert_uint_eq(ret->refused, 9);
    ck_assert_ptr_null(ret->results[0]->refusal);
    ck_result(ret, 1, "SKU_UNKNOWN", "lines[0].sku");
    ck_result(ret, 2, "OUT_OF_RANGE", "lines[0].quantity");
    ck_result(ret, 3, "CURRENCY_MISMATCH", "lines[0].sku");
    ck_result(ret, 4, "AMOUNT_NEGATIVE", "lines[0].unit_price");
    ck_result(ret, 5, "ORDER_EXISTS", "");
    ck_assert_str_eq(ret->results[5]->order_id, ret->results[0]->order_id);
    ck_result(ret, 6, "FIELD_REQUIRED", "external_id");
    ck_result(ret, 7, "FIELD_REQUIRED", "lines");
    ck_result(ret, 8, "EMAIL_INVALID", "email");
    ck_result(ret, 9, "AMOUNT_OVERFLOW", "lines[0].quantity");
    ck_assert_ptr_null(ret->results[10]->refusal);
    ck_assert_int_eq(ORDERS, 2);
    ck_assert_int_eq(NUMBER(&s, s.order, "SELECT COUNT(*) FROM order_line"), 2);
    ck_assert_int_eq(NUMBER(&s, s.order, "SELECT COUNT(*) FROM event_log"), 2);
    shop_close(&s);
}
END_TEST

START_TEST(a_repeated_chunk_has_the_same_answer_and_places_nothing)
{
    open_shop();
    ImportOrdersRequest *req = chunk();
    add(req, "0", "CUP", 1);
    add(req, "1", "NOTHING", 1);
    const ImportOrdersResponse *first = import(req);
    upsert(&s, product(&s, "NOTHING", 1, 0));
    shop_settle(&s);
    const ImportOrdersResponse *again = import(req);
    ck_assert_str_eq(again->results[0]->order_id, first->results[0]->order_id);
    ck_result(again, 1, "SKU_UNKNOWN", "lines[0].sku");
    ck_assert_uint_eq(again->position->seq, first->position->seq);
    ck_assert_int_eq(ORDERS, 1);

    req->request_id = fresh(&s); /* the same orders in a chunk of another run */
    again = import(req);
    ck_result(again, 0, "ORDER_EXISTS", "");
    ck_assert_str_eq(again->results[0]->order_id, first->results[0]->order_id);
    ck_assert_ptr_null(again->results[1]->refusal);
    ck_assert_int_eq(ORDERS, 2);
    shop_close(&s);
}
END_TEST

START_TEST(a_chunk_that_is_none_is_refused_whole_naming_the_field)
{
    open_shop();
    ImportOrdersRequest *req = chunk();
    ck_refused(ask(&s, &erp, "ImportOrders", req), RPC_INVALID_ARGUMENT, "FIELD_REQUIRED", "orders");
    for (int i = 0; i < 101; i++)
        add(req, arena_printf(&s.arena, "%d", i), "CUP", 1);
    ck_refused(ask(&s, &erp, "ImportOrders", req), RPC_INVALID_ARGUMENT, "TOO_MANY_ITEMS", "orders");
    req->n_orders = 1;
    ck_refused(ask(&s, &anna, "ImportOrders", req), RPC_PERMISSION_DENIED, "ROLE_NOT_ALLOWED", "");
    ck_refused(ask(&s, &staff, "ImportOrders", req), RPC_PERMISSION_DENIED, "ROLE_NOT_ALLOWED", "");
    req->request_id = "";
    ck_refused(ask(&s, &erp, "ImportOrders", req), RPC_INVALID_ARGUMENT, "FIELD_REQUIRED", "request_id");
    ck_assert_int_eq(ORDERS + REQUESTS, 0);
    shop_close(&s);
}
END_TEST

START_TEST(what_is_personal_is_not_in_the_stored_answer)
{
    open_shop();
    ImportOrdersRequest *req = chunk();
    Address address = OMS__ORDER__V1__ADDRESS__INIT;
    address.name = "Canary";
    add(req, "0", "CUP", 1)->ship_to = &address;
    req->orders[0]->email = "canary@example.org";
    add(req, "1", "CUP", 1)->email = "canary@@example.org";
    import(req);
    ck_assert_int_eq(REQUESTS, 1);
    ck_assert_int_eq(
        NUMBER(&s, s.order, "SELECT COUNT(*) FROM rpc_request WHERE LOWER(CAST(reply AS TEXT)) LIKE '%canary%'"), 0);
    ck_assert_int_eq(NUMBER(&s, s.order, "SELECT COUNT(*) FROM order_address WHERE name = 'Canary'"), 1);
    shop_close(&s);
}
END_TEST

SUITE("import", 120, a_chunk_of_orders_is_placed_and_each_lives_its_life,
      an_order_that_is_refused_does_not_spoil_the_others, a_repeated_chunk_has_the_same_answer_and_places_nothing,
      a_chunk_that_is_none_is_refused_whole_naming_the_field, what_is_personal_is_not_in_the_stored_answer)
