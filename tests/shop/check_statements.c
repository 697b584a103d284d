/* How many statements an order costs: as many for a thousand lines as for one, but for the chunks of 64 rows.
 *
 * The linker leads the calls of the store's functions through the counters here (--wrap). */
#include "mesh/v1/deliver.pb-c.h"
#include "svc-order/api.h"
#include "svc-shipping/api.h"
#include "tests/shop/shop.h"
#include "tests/suite.h"

#include <stdlib.h>
#include <string.h>

static struct shop s;
static int counted;

int __real_txn_post_values(struct txn *, const char *, const struct value *, size_t);
int64_t __real_txn_exec_values(struct txn *, const char *, const struct value *, size_t);
int __real_txn_query_values(struct txn *, struct rows *, const char *, const struct value *, size_t);
int __real_txn_post_many_values(struct txn *, const char *, size_t, size_t, const struct value *);
int __real_txn_query_many_values(struct txn *, struct rows *, const char *, size_t, size_t, const struct value *);
int __wrap_txn_post_values(struct txn *, const char *, const struct value *, size_t);
int64_t __wrap_txn_exec_values(struct txn *, const char *, const struct value *, size_t);
int __wrap_txn_query_values(struct txn *, struct rows *, const char *, const struct value *, size_t);
int __wrap_txn_post_many_values(struct txn *, const char *, size_t, size_t, const struct value *);
int __wrap_txn_query_many_values(struct txn *, struct rows *, const char *, size_t, size_t, const struct value *);

/* What the runtime does now and then by itself is not the order's, and what is then asked outside not the call's. */
static void count(const char *sql)
{
    static const char *const own[] = { "lease",         "consumer_cursor", "log_head",        "FROM outbox",
                                       "UPDATE outbox", "FROM event_log",  "p.payment_token", "expire_us <= $1" };
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
        if (strstr(sql, own[i]))
            return;
    }
    counted++;
}

int __wrap_txn_post_values(struct txn *txn, const char *sql, const struct value *values, size_t n)
{
    count(sql);
    return __real_txn_post_values(txn, sql, values, n);
}

int64_t __wrap_txn_exec_values(struct txn *txn, const char *sql, const struct value *values, size_t n)
{
    count(sql);
    return __real_txn_exec_values(txn, sql, values, n);
}

int __wrap_txn_query_values(struct txn *txn, struct rows *rows, const char *sql, const struct value *values, size_t n)
{
    count(sql);
    return __real_txn_query_values(txn, rows, sql, values, n);
}

int __wrap_txn_post_many_values(struct txn *txn, const char *sql, size_t n, size_t columns, const struct value *values)
{
    count(sql);
    return __real_txn_post_many_values(txn, sql, n, columns, values);
}

int __wrap_txn_query_many_values(struct txn *txn, struct rows *rows, const char *sql, size_t n, size_t columns,
                                 const struct value *values)
{
    count(sql);
    return __real_txn_query_many_values(txn, rows, sql, n, columns, values);
}

static PlaceOrderRequest *basket(int lines)
{
    PlaceOrderRequest *req = arena_message(&s.arena, &oms__order__v1__place_order_request__descriptor);
    req->request_id = fresh(&s);
    req->currency_code = "GBP";
    req->payment_token = "tok_ok";
    req->lines = arena_alloc(&s.arena, lines * sizeof(PlaceLine *));
    for (int i = 0; i < lines; i++) {
        PlaceLine *line = arena_message(&s.arena, &oms__order__v1__place_order_request__line__descriptor);
        line->sku = arena_printf(&s.arena, "S%03d", i);
        line->quantity = 1;
        req->lines[req->n_lines++] = line;
    }
    return req;
}

/* What was sold elsewhere, or came back of it. */
static ImportOrdersRequest *invoice(const char *external_id, const char *of, int lines)
{
    ImportOrdersRequest *req = arena_message(&s.arena, &oms__order__v1__import_orders_request__descriptor);
    NewOrder *entry = arena_message(&s.arena, &oms__order__v1__import_orders_request__entry__descriptor);
    req->request_id = fresh(&s);
    req->orders = arena_alloc(&s.arena, sizeof(*req->orders));
    req->orders[req->n_orders++] = entry;
    entry->currency_code = "GBP";
    entry->channel = "erp";
    entry->external_id = (char *)external_id;
    entry->fulfilled = !of;
    entry->lines = arena_alloc(&s.arena, lines * sizeof(*entry->lines));
    entry->cancelled = arena_alloc(&s.arena, lines * sizeof(*entry->cancelled));
    for (int i = 0; i < lines; i++) {
        PlaceLine *sold = arena_message(&s.arena, &oms__order__v1__place_order_request__line__descriptor);
        CancelledLine *back = arena_message(&s.arena, &oms__order__v1__import_orders_request__cancelled__descriptor);
        sold->sku = back->sku = arena_printf(&s.arena, "S%03d", i);
        sold->quantity = back->quantity = 1;
        sold->unit_price = back->unit_price = money(&s, "GBP", 1, 0);
        back->external_id = (char *)of;
        if (of)
            entry->cancelled[entry->n_cancelled++] = back;
        else
            entry->lines[entry->n_lines++] = sold;
    }
    return req;
}

static ReserveStockRequest *reservation(int lines)
{
    ReserveStockRequest *req = arena_message(&s.arena, &oms__inventory__v1__reserve_stock_request__descriptor);
    req->request_id = fresh(&s);
    req->order_id = "o";
    req->lines = arena_alloc(&s.arena, lines * sizeof(ReserveLine *));
    for (int i = 0; i < lines; i++) {
        ReserveLine *line = arena_message(&s.arena, &oms__inventory__v1__reserve_stock_request__line__descriptor);
        line->sku = arena_printf(&s.arena, "S%03d", i);
        line->quantity = 1;
        req->lines[req->n_lines++] = line;
    }
    return req;
}

enum { SKUS = 300 };

/* One product has all of them, as many as a product may have; each has enough on one shelf. */
static void open_shop(void)
{
    shop_open(&s, 1);
    open_locations(&s);
    for (int i = 0; i < SKUS; i += 100) {
        Product *p = product(&s, arena_printf(&s.arena, "S%03d", i), 1, 0);
        for (int k = 1; k < 100; k++)
            add_variant(&s, p, arena_printf(&s.arena, "S%03d", i + k), 1, true);
        upsert(&s, p);
    }
    for (int i = 0; i < SKUS; i++)
        stock(&s, arena_printf(&s.arena, "S%03d", i), "L1", 10);
    shop_settle(&s);
}

/* Of a call alone, both runs of its unit: what follows from it waits. */
static int cost(const struct caller *who, const char *method, const void *request)
{
    world_partition(s.world, s.order, s.inventory, 1000000);
    world_partition(s.world, s.order, s.payment, 1000000);
    counted = 0;
    get(&s, who, method, request);
    int cost = counted;
    shop_settle(&s);
    return cost;
}

START_TEST(placing_a_long_order_takes_as_many_statements_as_a_short_one)
{
    open_shop();
    int one = cost(&anna, "PlaceOrder", basket(1)), many = cost(&anna, "PlaceOrder", basket(SKUS));
    ck_assert_int_eq(many, one);
    ck_assert_int_le(many, 24);
    shop_close(&s);
}
END_TEST

START_TEST(importing_a_long_invoice_takes_as_many_statements_as_a_short_one)
{
    open_shop();
    int one = cost(&erp, "ImportOrders", invoice("1", NULL, 1)),
        many = cost(&erp, "ImportOrders", invoice("2", NULL, SKUS));
    ck_assert_int_eq(many, one);
    ck_assert_int_le(many, 20);
    one = cost(&erp, "ImportOrders", invoice("C1", "1", 1));
    many = cost(&erp, "ImportOrders", invoice("C2", "2", SKUS));
    ck_assert_int_eq(many, one);
    ck_assert_int_le(many, 30);
    ck_assert_int_eq(NUMBER(&s, s.order, "SELECT SUM(returned) FROM order_line"), SKUS + 1);
    shop_close(&s);
}
END_TEST

START_TEST(reserving_many_lines_takes_as_many_statements_as_reserving_one)
{
    open_shop();
    int one = cost(&order_process, "ReserveStock", reservation(1));
    int many = cost(&order_process, "ReserveStock", reservation(SKUS));
    ck_assert_int_eq(many, one);
    ck_assert_int_le(many, 24);
    shop_close(&s);
}
END_TEST

static Mesh__V1__DeliverRequest *delivery(const char *method, int n, ProtobufCMessage *(*request)(int i))
{
    Mesh__V1__DeliverRequest *req = arena_message(&s.arena, &mesh__v1__deliver_request__descriptor);
    req->commands = arena_alloc(&s.arena, n * sizeof(*req->commands));
    for (int i = 0; i < n; i++) {
        Mesh__V1__Command *command = arena_message(&s.arena, &mesh__v1__command__descriptor);
        struct bytes packed = arena_pack(&s.arena, request(i));
        command->method = (char *)method;
        command->request.data = (uint8_t *)packed.data;
        command->request.len = packed.len;
        req->commands[req->n_commands++] = command;
    }
    return req;
}

static ProtobufCMessage *some_reservation(int i)
{
    return &reservation(1 + i % 5)->base;
}

static Mesh__V1__DeliverRequest *reservations(int n)
{
    return delivery("/oms.inventory.v1.InventoryService/ReserveStock", n, some_reservation);
}

/* Each has its request id looked up and kept, twice, as every unit is run twice; the rest they share. */
START_TEST(thirty_reservations_delivered_together_share_their_statements)
{
    open_shop();
    int one = cost(&order_process, "Deliver", reservations(1)),
        thirty = cost(&order_process, "Deliver", reservations(30));
    ck_assert_int_le(thirty, one + 29 * 2 * 2);
    shop_close(&s);
}
END_TEST

static CreateFulfillmentRequest *fulfilments(int shares, int lines)
{
    CreateFulfillmentRequest *req = arena_message(&s.arena, &oms__shipping__v1__create_fulfillment_request__descriptor);
    req->request_id = fresh(&s);
    req->order_id = "o";
    req->shares = arena_alloc(&s.arena, shares * sizeof(*req->shares));
    for (int i = 0; i < shares; i++) {
        Share *share = arena_message(&s.arena, &oms__shipping__v1__create_fulfillment_request__share__descriptor);
        share->location_id = "L1";
        share->lines = arena_alloc(&s.arena, lines * sizeof(*share->lines));
        for (; share->n_lines < (size_t)lines; share->n_lines++) {
            FulfillmentLine *line = arena_message(&s.arena, &oms__shipping__v1__fulfillment_line__descriptor);
            line->sku = "S000";
            line->quantity = 1;
            share->lines[share->n_lines] = line;
        }
        req->shares[req->n_shares++] = share;
    }
    return req;
}

START_TEST(creating_many_fulfilments_takes_as_many_statements_as_creating_one)
{
    open_shop();
    world_partition(s.world, s.order, s.shipping, 1000000);
    int one = cost(&order_process, "CreateFulfillment", fulfilments(1, 1));
    world_partition(s.world, s.order, s.shipping, 1000000);
    int many = cost(&order_process, "CreateFulfillment", fulfilments(50, 100));
    ck_assert_int_eq(many, one);
    ck_assert_int_le(many, 14);
    shop_close(&s);
}
END_TEST

static ProtobufCMessage *payment(int i)
{
    AuthorizePaymentRequest *req = arena_message(&s.arena, &oms__payment__v1__authorize_payment_request__descriptor);
    req->request_id = fresh(&s);
    req->order_id = req->request_id;
    req->amount = money(&s, "GBP", 10, 0);
    req->payment_token = "tok_ok";
    return &req->base;
}

static int cost_of_payments(int n)
{
    static const char method[] = "/oms.payment.v1.PaymentService/AuthorizePayment";
    counted = 0;
    const struct asked *a =
        ask_end(ask_begin_at(&s, "svc-payment", &order_process, "Deliver", delivery(method, n, payment)));
    int cost = counted;
    ck_assert_int_eq(a->code, RPC_OK);
    ck_assert_uint_eq(((Mesh__V1__DeliverResponse *)a->reply)->n_outcomes, n);
    world_run(s.world, 1000000);
    return cost;
}

/* 64 rows are one statement, as 1 is. */
START_TEST(authorizing_many_payments_takes_as_many_statements_as_authorizing_one)
{
    open_shop();
    world_outside_down(s.world, "processor", true);
    int one = cost_of_payments(1), many = cost_of_payments(64);
    ck_assert_int_eq(many, one);
    ck_assert_int_le(one, 14);
    ck_assert_int_eq(NUMBER(&s, s.payment, "SELECT COUNT(*) FROM payment"), 65);
    shop_close(&s);
}
END_TEST

SUITE("statements", 60, placing_a_long_order_takes_as_many_statements_as_a_short_one,
      importing_a_long_invoice_takes_as_many_statements_as_a_short_one,
      reserving_many_lines_takes_as_many_statements_as_reserving_one,
      thirty_reservations_delivered_together_share_their_statements,
      creating_many_fulfilments_takes_as_many_statements_as_creating_one,
      authorizing_many_payments_takes_as_many_statements_as_authorizing_one)
