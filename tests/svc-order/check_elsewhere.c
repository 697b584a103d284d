/* What another system has carried out or cancelled: orders that are complete as they come, and credit memos. */
#include "tests/suite.h"
#include "tests/svc-order/entries.h"

#include <string.h>

#define E(name) OMS__EVENT__V1__EVENT_TYPE__##name

static const struct caller admin = { ROLE_BIT(MESH__V1__ROLE__ADMIN), "admin" };

static const Order *read(const char *order_id)
{
    GetOrderRequest req = OMS__ORDER__V1__GET_ORDER_REQUEST__INIT;
    req.order_id = (char *)order_id;
    return ((GetOrderResponse *)get(&s, &anna, "GetOrder", &req))->order;
}

static const Credit *read_credit(const char *credit_id)
{
    GetCreditRequest req = OMS__ORDER__V1__GET_CREDIT_REQUEST__INIT;
    req.credit_id = (char *)credit_id;
    return ((GetCreditResponse *)get(&s, &erp, "GetCredit", &req))->credit;
}

/* --- carried out --- */

START_TEST(an_order_that_was_carried_out_elsewhere_is_complete_as_it_comes)
{
    open_shop();
    ImportOrdersRequest *req = chunk();
    NewOrder *e = entry(req, "1");
    sold(e, "CUP", 5, 4);
    sold(e, "POST", 1, 3);
    const ImportOrdersResponse *ret = import(req);
    ck_assert_uint_eq(ret->placed, 1);
    ck_assert_int_eq(ck_taken(ret, 0)->state, OMS__ORDER__V1__ORDER__STATE__COMPLETED);
    ck_assert_int_eq(ret->results[0]->total->units, 23);
    const Order *order = read(ret->results[0]->order_id);
    ck_assert_int_eq(order->state, OMS__ORDER__V1__ORDER__STATE__COMPLETED);
    ck_assert_int_eq(order->payment_state, OMS__ORDER__V1__ORDER__PAYMENT_STATE__ON_ACCOUNT);
    ck_assert_int_eq(order->fulfillment_state, OMS__ORDER__V1__ORDER__FULFILLMENT_STATE__DELIVERED);
    ck_assert(order->fulfilled_elsewhere);
    ck_assert_int_eq(order->lines[0]->shipped, 5);
    ck_assert_int_eq(order->lines[1]->shipped, 1);
    ck_assert_int_eq(order->place_time_us, 1000000);
    ck_assert_uint_eq(order->version, 1);
    ck_assert_int_eq(NUMBER(&s, s.order, "SELECT COUNT(*) FROM order_step"), 0);
    ck_assert_int_eq(NUMBER(&s, s.order, "SELECT SUM(stuck_time_us) FROM sales_order"), 0);
    ck_assert_int_eq(NUMBER(&s, s.order, "SELECT COUNT(*) FROM event_log"), 1);
    ck_assert_int_eq(NUMBER(&s, s.order, "SELECT type FROM event_log"), E(ORDER_IMPORTED));
    shop_settle(&s);
    ck_assert_int_eq(NUMBER(&s, s.inventory, "SELECT SUM(on_hand) FROM stock WHERE sku = 'CUP'"), 0);
    ck_assert_int_eq(NUMBER(&s, s.inventory, "SELECT COUNT(*) FROM stock WHERE sku = 'POST'"), 0);
    ck_assert_int_eq(NUMBER(&s, s.inventory, "SELECT COUNT(*) FROM reservation"), 0);
    ck_assert_int_eq(NUMBER(&s, s.payment, "SELECT COUNT(*) FROM ledger_entry"), 1);
    ck_assert_int_eq(NUMBER(&s, s.payment, "SELECT COUNT(*) FROM payment"), 0);
    ck_assert_int_eq(s.n_mails, 0);
    shop_close(&s);
}
END_TEST

START_TEST(what_has_no_goods_moves_none)
{
    open_shop();
    ImportOrdersRequest *req = chunk();
    sold(entry(req, "1"), "POST", 1, 3);
    const Order *order = read(ck_taken(import(req), 0)->order_id);
    ck_assert_int_eq(order->fulfillment_state, OMS__ORDER__V1__ORDER__FULFILLMENT_STATE__NOT_NEEDED);
    ck_assert_int_le(NUMBER(&s, s.order, "SELECT COUNT(*) FROM outbox"), 1);
    shop_settle(&s);
    ck_assert_int_eq(NUMBER(&s, s.payment, "SELECT COUNT(*) FROM ledger_entry"), 1);
    shop_close(&s);
}
END_TEST

START_TEST(what_the_stock_knows_nothing_of_is_sold_all_the_same)
{
    open_shop();
    ImportOrdersRequest *req = chunk();
    sold(entry(req, "1"), "CUP", 8, 4);
    ck_taken(import(req), 0);
    shop_settle(&s);
    ck_assert_int_eq(NUMBER(&s, s.inventory, "SELECT SUM(on_hand) FROM stock WHERE sku = 'CUP'"), 0);
    ck_assert_int_eq(NUMBER(&s, s.order, "SELECT COUNT(*) FROM dead_letter"), 0);
    shop_close(&s);
}
END_TEST

/* As after a restore of svc-order alone. */
START_TEST(what_we_have_forgotten_and_is_sent_again_is_moved_and_booked_once)
{
    const char *ids[2][2];
    open_shop();
    for (int i = 0; i < 2; i++) {
        ImportOrdersRequest *req = chunk();
        sold(entry(req, "1"), "CUP", 2, 4);
        back(entry(req, "C1"), "CUP", 1, 4, "1", "BROKEN");
        const ImportOrdersResponse *ret = import(req);
        ids[i][0] = ck_taken(ret, 0)->order_id;
        ids[i][1] = ret->results[1]->credit_id;
        shop_settle(&s);
        WRITE(&s, s.order, "DELETE FROM credit_line");
        WRITE(&s, s.order, "DELETE FROM credit");
        WRITE(&s, s.order, "DELETE FROM order_line");
        WRITE(&s, s.order, "DELETE FROM order_address");
        WRITE(&s, s.order, "DELETE FROM sales_order");
    }
    ck_assert_str_eq(ids[0][0], ids[1][0]);
    ck_assert_str_eq(ids[0][1], ids[1][1]);
    ck_assert_int_eq(NUMBER(&s, s.inventory, "SELECT SUM(on_hand) FROM stock WHERE sku = 'CUP'"), 4);
    ck_assert_int_eq(NUMBER(&s, s.payment, "SELECT COUNT(*) FROM ledger_entry"), 2);
    ck_assert_int_eq(NUMBER(&s, s.order, "SELECT COUNT(*) FROM dead_letter"), 0);
    shop_close(&s);
}
END_TEST

START_TEST(what_the_books_cannot_hold_is_not_taken)
{
    open_shop();
    ImportOrdersRequest *req = chunk();
    sold(entry(req, "1"), "CUP", 1, 10000000000000);
    sold(entry(req, "2"), "CUP", 1, 10000000000001);
    const ImportOrdersResponse *ret = import(req);
    ck_taken(ret, 0);
    ck_entry_refused(ret, 1, "AMOUNT_OVERFLOW", "lines[0].quantity");
    shop_settle(&s);
    ck_assert_int_eq(NUMBER(&s, s.payment, "SELECT COUNT(*) FROM ledger_entry"), 1);
    ck_assert_int_eq(NUMBER(&s, s.order, "SELECT COUNT(*) FROM dead_letter"), 0);
    shop_close(&s);
}
END_TEST

START_TEST(only_an_erp_says_what_was_done_elsewhere)
{
    open_shop();
    ImportOrdersRequest *req = chunk();
    sold(entry(req, "1"), "CUP", 1, 4)->unit_price = NULL;
    back(entry(req, "2"), "CUP", 1, 4, "", "GIFT");
    for (size_t i = 0; i < 2; i++)
        req->orders[i]->place_time_us = 0;
    const ImportOrdersResponse *ret = get(&s, &admin, "ImportOrders", req);
    ck_entry_refused(ret, 0, "ELSEWHERE_NOT_YOURS", "fulfilled");
    ck_entry_refused(ret, 1, "ELSEWHERE_NOT_YOURS", "cancelled");
    shop_close(&s);
}
END_TEST

START_TEST(an_entry_is_one_thing_and_is_not_paid_here)
{
    open_shop();
    ImportOrdersRequest *req = chunk();
    NewOrder *both = entry(req, "1");
    sold(both, "CUP", 1, 4);
    back(both, "CUP", 1, 4, "", "GIFT");
    NewOrder *paid = entry(req, "2");
    sold(paid, "CUP", 1, 4);
    paid->payment_token = "tok_ok";
    entry(req, "3");
    NewOrder *lines = entry(req, "4");
    back(lines, "CUP", 1, 4, "", "GIFT");
    back(lines, "CUP", 0, 4, "", "GIFT");
    back(entry(req, "5"), "CUP", 1, 4, "", "GIFT")->unit_price = NULL;
    back(entry(req, "6"), "CUP", 1, 4, "", "");
    back(entry(req, "7"), "CUP", 1, 4, "", "broken");
    back(entry(req, "8"), "CUP", 1, -4, "", "GIFT");
    back(entry(req, "9"), "NOTHING", 1, 4, "", "GIFT");
    back(entry(req, "10"), "CUP", 1000000000, 900000000000, "", "GIFT");
    back(entry(req, "11"), "CUP", 1, 4, "", "GIFT")->unit_price->currency_code = "EUR";
    const ImportOrdersResponse *ret = import(req);
    ck_assert_uint_eq(ret->refused, 11);
    ck_entry_refused(ret, 0, "FIELD_UNEXPECTED", "cancelled");
    ck_entry_refused(ret, 1, "FIELD_UNEXPECTED", "payment_token");
    ck_entry_refused(ret, 2, "FIELD_REQUIRED", "lines");
    ck_entry_refused(ret, 3, "OUT_OF_RANGE", "cancelled[1].quantity");
    ck_entry_refused(ret, 4, "FIELD_REQUIRED", "cancelled[0].unit_price");
    ck_entry_refused(ret, 5, "FIELD_REQUIRED", "cancelled[0].reason");
    ck_entry_refused(ret, 6, "REASON_INVALID", "cancelled[0].reason");
    ck_entry_refused(ret, 7, "AMOUNT_NEGATIVE", "cancelled[0].unit_price");
    ck_entry_refused(ret, 8, "SKU_UNKNOWN", "cancelled[0].sku");
    ck_entry_refused(ret, 9, "AMOUNT_OVERFLOW", "cancelled[0].quantity");
    ck_entry_refused(ret, 10, "CURRENCY_MISMATCH", "cancelled[0].unit_price");
    ck_assert_int_eq(NUMBER(&s, s.order,
                            "SELECT (SELECT COUNT(*) FROM sales_order) + (SELECT COUNT(*) FROM credit) + "
                            "(SELECT COUNT(*) FROM event_log) + (SELECT COUNT(*) FROM outbox)"),
                     0);
    shop_close(&s);
}
END_TEST

/* A chunk that is as large as it may be, of lines that are as short as can be, and of orders that are as long. */
START_TEST(a_chunk_as_large_as_they_come_is_one_unit)
{
    open_shop();
    ImportOrdersRequest *req = chunk();
    for (int i = 0; i < 100; i++) {
        NewOrder *e = entry(req, arena_printf(&s.arena, "%d", i));
        for (int k = 0; k < 275; k++)
            sold(e, "CUP", 1, 4)->unit_price = NULL;
    }
    ck_assert_uint_gt(protobuf_c_message_get_packed_size(&req->base), 250000);
    ck_assert_uint_eq(import(req)->placed, 100);
    req = chunk();
    for (int i = 0; i < 12; i++) {
        NewOrder *e = entry(req, arena_printf(&s.arena, "long %d", i));
        for (int k = 0; k < 1000; k++)
            sold(e, "CUP", 1, 123456789);
    }
    ck_assert_uint_gt(protobuf_c_message_get_packed_size(&req->base), 230000);
    ck_assert_uint_eq(import(req)->placed, 12);
    shop_close(&s);
}
END_TEST

/* --- cancelled --- */

START_TEST(what_comes_back_of_an_order_is_a_refund_of_it)
{
    open_shop();
    const char *order_id = sell();
    ImportOrdersRequest *req = chunk();
    NewOrder *e = entry(req, "C1");
    back(e, "CUP", 2, 3, "1", "DAMAGED");
    back(e, "POST", 1, 3, "1", "");
    const ImportOrdersResponse *ret = import(req);
    const ImportResult *result = ck_taken(ret, 0);
    ck_assert_uint_eq(ret->placed, 1);
    ck_assert_uint_eq(result->refunded, 2);
    ck_assert_uint_eq(result->credited, 0);
    ck_assert_int_eq(result->total->units, 9);
    ck_assert_str_eq(result->order_id, "");

    const Order *order = read(order_id);
    ck_assert_int_eq(order->credited->units, 9);
    ck_assert_int_eq(order->lines[0]->returned, 2);
    ck_assert_int_eq(order->lines[1]->returned, 0);
    ck_assert_int_eq(order->lines[2]->returned, 1);
    ck_assert_int_eq(order->payment_state, OMS__ORDER__V1__ORDER__PAYMENT_STATE__ON_ACCOUNT);
    ck_assert_int_eq(order->state, OMS__ORDER__V1__ORDER__STATE__COMPLETED);
    ck_assert_uint_eq(order->version, 2);
    ck_assert_int_eq(NUMBER(&s, s.order, "SELECT COUNT(*) FROM event_log"), 3);
    ck_assert_int_eq(NUMBER(&s, s.order, "SELECT type FROM event_log WHERE key LIKE 'crd_%'"), E(CREDIT_ISSUED));
    ck_assert_int_eq(NUMBER(&s, s.order, "SELECT type FROM event_log WHERE key LIKE 'ord_%' ORDER BY seq DESC"),
                     E(ORDER_PROGRESSED));

    const Credit *credit = read_credit(result->credit_id);
    ck_assert_str_eq(credit->customer_id, "cus_anna");
    ck_assert_str_eq(credit->external_id, "C1");
    ck_assert_str_eq(credit->country, "France");
    ck_assert_str_eq(credit->issued_by, "erp");
    ck_assert_int_eq(credit->issue_time_us, 1000000);
    ck_assert_uint_eq(credit->n_lines, 2);
    ck_assert_str_eq(credit->lines[0]->order_id, order_id);
    ck_assert_str_eq(credit->lines[0]->reason, "DAMAGED");
    ck_assert_str_eq(credit->lines[0]->title, "Title of CUP");
    ck_assert_int_eq(credit->lines[0]->line_total->units, 6);
    shop_settle(&s);
    ck_assert_int_eq(NUMBER(&s, s.inventory, "SELECT SUM(on_hand) FROM stock WHERE sku = 'CUP'"), 2);
    ck_assert_int_eq(NUMBER(&s, s.payment, "SELECT COUNT(*) FROM ledger_entry"), 2);
    shop_close(&s);
}
END_TEST

START_TEST(an_order_of_which_all_is_given_back_is_refunded)
{
    open_shop();
    const char *order_id = sell();
    ImportOrdersRequest *req = chunk();
    NewOrder *e = entry(req, "C1");
    back(e, "CUP", 5, 4, "1", "");
    back(e, "MUG", 2, 1, "1", "");
    back(entry(req, "C2"), "POST", 1, 3, "1", "");
    const ImportOrdersResponse *ret = import(req);
    ck_assert_uint_eq(ck_taken(ret, 0)->refunded, 2);
    ck_assert_uint_eq(ck_taken(ret, 1)->refunded, 1);
    const Order *order = read(order_id);
    ck_assert_int_eq(order->payment_state, OMS__ORDER__V1__ORDER__PAYMENT_STATE__REFUNDED);
    ck_assert_int_eq(order->state, OMS__ORDER__V1__ORDER__STATE__COMPLETED);
    ck_assert_int_eq(order->credited->units, 25);
    ck_assert_uint_eq(order->version, 3);
    shop_close(&s);
}
END_TEST

/* Places an order that is to be carried out here, on account or by card. */
static const char *live(const char *external_id, const char *payment_token)
{
    ImportOrdersRequest *req = chunk();
    NewOrder *e = entry(req, external_id);
    sold(e, "MUG", 1, 1);
    e->fulfilled = false;
    e->payment_token = (char *)payment_token;
    return ck_taken(import(req), 0)->order_id;
}

START_TEST(what_does_not_hold_is_a_credit_and_says_why)
{
    open_shop();
    stock(&s, "MUG", "L1", 10);
    sell();
    live("live", "");
    live("card", "tok_ok");
    WRITE(&s, s.order, "UPDATE sales_order SET state = 6, payment_id = 'pay_1' WHERE external_id = 'card'");
    ImportOrdersRequest *req = chunk();
    back(entry(req, "C0"), "CUP", 1, 4, "", "GOODWILL");
    back(entry(req, "C1"), "CUP", 1, 4, "2", "");
    NewOrder *other = entry(req, "C2");
    back(other, "CUP", 1, 4, "1", "");
    other->customer_id = "cus_bert";
    back(entry(req, "C3"), "MUG", 1, 1, "live", "");
    back(entry(req, "C4"), "MUG", 1, 1, "card", "");
    NewOrder *foreign = entry(req, "C5");
    back(foreign, "CUP", 1, 4, "1", "")->unit_price->currency_code = "EUR";
    foreign->currency_code = "EUR";
    back(entry(req, "C6"), "CUP", 6, 4, "1", "");
    back(entry(req, "C7"), "CUP", 5, 5, "1", "");
    NewOrder *elsewhere = entry(req, "C8");
    back(elsewhere, "CUP", 1, 4, "1", "");
    elsewhere->channel = "other";
    NewOrder *guest = entry(req, "C9");
    back(guest, "CUP", 1, 4, "1", "");
    guest->customer_id = "";
    static const char *const reasons[] = {
        "GOODWILL",          "ORDER_UNKNOWN",   "NOT_ITS_CUSTOMER", "ORDER_NOT_DELIVERED", "PAID_BY_CARD",
        "CURRENCY_MISMATCH", "NOT_ENOUGH_LEFT", "ABOVE_SALE_PRICE", "ORDER_UNKNOWN",       "NOT_ITS_CUSTOMER"
    };
    const ImportOrdersResponse *ret = import(req);
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        const ImportResult *result = ck_taken(ret, i);
        ck_assert_uint_eq(result->credited, 1);
        ck_assert_uint_eq(result->refunded, 0);
        const Credit *credit = read_credit(result->credit_id);
        ck_assert_str_eq(credit->lines[0]->reason, reasons[i]);
        ck_assert_str_eq(credit->lines[0]->order_id, "");
        ck_assert_str_ne(credit->lines[0]->title, "");
    }
    ck_assert_int_eq(NUMBER(&s, s.order, "SELECT SUM(returned) FROM order_line"), 0);
    ck_assert_int_eq(NUMBER(&s, s.order, "SELECT SUM(credited_minor) FROM sales_order"), 0);
    ck_assert_int_eq(NUMBER(&s, s.order, "SELECT version FROM sales_order WHERE external_id = '1'"), 1);
    shop_settle(&s);
    ck_assert_int_eq(NUMBER(&s, s.inventory, "SELECT SUM(on_hand) FROM stock WHERE sku = 'CUP'"),
                     1 + 1 + 1 + 1 + 6 + 5 + 2);
    shop_close(&s);
}
END_TEST

START_TEST(of_two_credits_for_the_last_one_left_the_first_gets_it)
{
    open_shop();
    const char *order_id = sell();
    ImportOrdersRequest *req = chunk();
    back(entry(req, "C1"), "CUP", 4, 4, "1", "");
    NewOrder *e = entry(req, "C2");
    back(e, "CUP", 1, 4, "1", "");
    back(e, "CUP", 1, 4, "1", "");
    back(entry(req, "C3"), "CUP", 1, 4, "1", "");
    const ImportOrdersResponse *ret = import(req);
    ck_assert_uint_eq(ck_taken(ret, 0)->refunded, 1);
    ck_assert_uint_eq(ck_taken(ret, 1)->refunded, 1);
    ck_assert_uint_eq(ret->results[1]->credited, 1);
    ck_assert_uint_eq(ck_taken(ret, 2)->refunded, 0);
    ck_assert_str_eq(read_credit(ret->results[2]->credit_id)->lines[0]->reason, "NOT_ENOUGH_LEFT");
    ck_assert_int_eq(read(order_id)->lines[0]->returned, 5);
    shop_close(&s);
}
END_TEST

START_TEST(what_is_taken_back_cheap_leaves_what_was_dear)
{
    open_shop();
    ImportOrdersRequest *req = chunk();
    NewOrder *e = entry(req, "1");
    sold(e, "CUP", 2, 6);
    sold(e, "CUP", 2, 5);
    ck_taken(import(req), 0);
    req = chunk();
    back(entry(req, "C1"), "CUP", 2, 4, "1", "");
    back(entry(req, "C2"), "CUP", 2, 6, "1", "");
    const ImportOrdersResponse *ret = import(req);
    ck_assert_uint_eq(ck_taken(ret, 0)->refunded, 1);
    ck_assert_uint_eq(ck_taken(ret, 1)->refunded, 1);
    shop_close(&s);
}
END_TEST

START_TEST(of_several_lines_of_a_sku_the_cheapest_that_has_cost_as_much_is_taken_first)
{
    open_shop();
    ImportOrdersRequest *req = chunk();
    NewOrder *e = entry(req, "1");
    sold(e, "CUP", 2, 5);
    sold(e, "CUP", 2, 3);
    sold(e, "CUP", 2, 4);
    sold(e, "CUP", 2, 6);
    const char *order_id = ck_taken(import(req), 0)->order_id;
    req = chunk();
    back(entry(req, "C1"), "CUP", 5, 4, "1", "");
    back(entry(req, "C2"), "CUP", 2, 4, "1", "");
    back(entry(req, "C3"), "CUP", 2, 3, "1", "");
    const ImportOrdersResponse *ret = import(req);
    const Credit *credit = read_credit(ck_taken(ret, 0)->credit_id);
    ck_assert_uint_eq(ret->results[0]->refunded, 1);
    ck_assert_uint_eq(credit->n_lines, 3);
    ck_assert_int_eq(credit->lines[0]->quantity, 2);
    ck_assert_int_eq(credit->lines[1]->quantity, 2);
    ck_assert_int_eq(credit->lines[2]->quantity, 1);
    ck_assert_int_eq(credit->total->units, 20);
    /* three are left, of which one has cost as much */
    ck_assert_str_eq(read_credit(ret->results[1]->credit_id)->lines[0]->reason, "ABOVE_SALE_PRICE");
    ck_assert_uint_eq(ret->results[2]->refunded, 1);
    const Order *order = read(order_id);
    ck_assert_int_eq(order->lines[0]->returned, 2);
    ck_assert_int_eq(order->lines[1]->returned, 2);
    ck_assert_int_eq(order->lines[2]->returned, 2);
    ck_assert_int_eq(order->lines[3]->returned, 1);
    shop_settle(&s);
    ck_assert_int_eq(NUMBER(&s, s.inventory, "SELECT SUM(on_hand) FROM stock WHERE sku = 'CUP'"), 5 + 2 + 2);
    shop_close(&s);
}
END_TEST

START_TEST(a_credit_memo_may_refund_several_orders)
{
    open_shop();
    sell();
    ImportOrdersRequest *req = chunk();
    sold(entry(req, "2"), "MUG", 7, 1);
    ck_taken(import(req), 0);
    req = chunk();
    NewOrder *e = entry(req, "C1");
    back(e, "MUG", 3, 1, "2", "");
    back(e, "MUG", 1, 1, "1", "");
    back(e, "MUG", 1, 1, "2", "");
    ck_assert_uint_eq(ck_taken(import(req), 0)->refunded, 3);
    ck_assert_int_eq(NUMBER(&s, s.order, "SELECT credited_minor FROM sales_order WHERE external_id = '2'"), 400);
    ck_assert_int_eq(NUMBER(&s, s.order, "SELECT credited_minor FROM sales_order WHERE external_id = '1'"), 100);
    ck_assert_int_eq(NUMBER(&s, s.order, "SELECT COUNT(*) FROM sales_order WHERE version = 2"), 2);
    ck_assert_int_eq(NUMBER(&s, s.order, "SELECT COUNT(*) FROM event_log"), 2 + 2 + 1);
    shop_close(&s);
}
END_TEST

START_TEST(a_refund_needs_no_catalogue)
{
    open_shop();
    sell();
    WRITE(&s, s.order, "DELETE FROM price WHERE sku = 'CUP'");
    ImportOrdersRequest *req = chunk();
    back(entry(req, "C1"), "CUP", 1, 4, "1", "");
    back(entry(req, "C2"), "CUP", 1, 5, "1", "");
    const ImportOrdersResponse *ret = import(req);
    ck_assert_uint_eq(ck_taken(ret, 0)->refunded, 1);
    ck_entry_refused(ret, 1, "SKU_UNKNOWN", "cancelled[0].sku");
    shop_close(&s);
}
END_TEST

START_TEST(a_number_has_one_credit_memo_and_a_repeated_chunk_the_same_answer)
{
    open_shop();
    const char *order_id = sell();
    ImportOrdersRequest *req = chunk();
    back(entry(req, "C1"), "CUP", 1, 4, "1", "");
    back(entry(req, "C1"), "CUP", 1, 4, "1", "");
    const ImportOrdersResponse *first = import(req), *again = import(req);
    ck_assert_uint_eq(ck_taken(first, 0)->refunded, 1);
    ck_entry_refused(first, 1, "CREDIT_EXISTS", "");
    ck_assert_str_eq(first->results[1]->credit_id, first->results[0]->credit_id);
    ck_assert_str_eq(ck_taken(again, 0)->credit_id, first->results[0]->credit_id);
    ck_assert_uint_eq(again->results[0]->refunded, 1);
    req->request_id = fresh(&s);
    ck_entry_refused(import(req), 0, "CREDIT_EXISTS", "");
    ck_assert_int_eq(read(order_id)->lines[0]->returned, 1);
    shop_close(&s);
}
END_TEST

/* svc-order dies at some time around the commit, and whoever imports sends the chunk again. */
START_TEST(a_chunk_whose_answer_is_lost_is_carried_out_once)
{
    int answered = 0;
    for (int at = 0; at < 12; at++) {
        open_shop();
        sell();
        ImportOrdersRequest *req = chunk();
        sold(entry(req, "2"), "CUP", 2, 4);
        back(entry(req, "C1"), "MUG", 1, 1, "1", "");
        const struct asked *lost = ask_begin(&s, &erp, "ImportOrders", req);
        world_run(s.world, 100 + at * 100);
        node_crash(s.order, 200000);
        world_run(s.world, 1000000);
        answered += lost->done && lost->code == RPC_OK;
        const ImportOrdersResponse *ret = import(req);
        ck_taken(ret, 0);
        ck_assert_uint_eq(ck_taken(ret, 1)->refunded, 1);
        shop_settle(&s);
        ck_assert_int_eq(NUMBER(&s, s.order, "SELECT COUNT(*) FROM sales_order"), 2);
        ck_assert_int_eq(NUMBER(&s, s.order, "SELECT COUNT(*) FROM credit"), 1);
        ck_assert_int_eq(NUMBER(&s, s.order, "SELECT SUM(returned) FROM order_line"), 1);
        ck_assert_int_eq(NUMBER(&s, s.order, "SELECT COUNT(*) FROM event_log"), 4);
        ck_assert_int_eq(NUMBER(&s, s.payment, "SELECT COUNT(*) FROM ledger_entry"), 3);
        ck_assert_int_eq(NUMBER(&s, s.inventory, "SELECT SUM(on_hand) FROM movement WHERE reason = 'SOLD'"), -9);
        ck_assert_int_eq(NUMBER(&s, s.inventory, "SELECT SUM(on_hand) FROM movement WHERE reason = 'RETURNED'"), 1);
        shop_close(&s);
    }
    ck_assert_int_gt(answered, 0);
    ck_assert_int_lt(answered, 12);
}
END_TEST

/* What is said to stock and books may be said twice, or its answer lost. */
START_TEST(stock_and_books_are_told_once_over_a_bad_network)
{
    open_shop();
    struct faults *faults = world_faults(s.world);
    faults->request_lost = faults->reply_lost = faults->request_twice = 200000;
    ImportOrdersRequest *req = NULL;
    for (int i = 0; i < 60; i++) {
        if (i % 20 == 0)
            req = chunk();
        const char *number = arena_printf(&s.arena, "%d", i);
        if (i < 40)
            sold(entry(req, number), "MUG", 2, 1);
        else
            back(entry(req, number), "MUG", 1, 1, arena_printf(&s.arena, "%d", i - 40), "");
        for (const struct asked *a = NULL; i % 20 == 19 && (!a || a->code != RPC_OK);)
            a = ask(&s, &erp, "ImportOrders", req);
    }
    world_run(s.world, 60000000);
    world_quiet(s.world);
    world_run(s.world, 60000000);
    shop_settle(&s);
    ck_assert_int_eq(NUMBER(&s, s.payment, "SELECT COUNT(*) FROM ledger_entry"), 60);
    ck_assert_int_eq(NUMBER(&s, s.inventory, "SELECT SUM(on_hand) FROM movement WHERE reason = 'SOLD'"), -80);
    ck_assert_int_eq(NUMBER(&s, s.inventory, "SELECT SUM(on_hand) FROM movement WHERE reason = 'RETURNED'"), 20);
    ck_assert_int_eq(NUMBER(&s, s.order, "SELECT COUNT(*) FROM dead_letter"), 0);
    shop_close(&s);
}
END_TEST

/* --- reading --- */

static const ListCreditsResponse *list(const struct caller *who, const char *order_id, int32_t page_size,
                                       const char *page_token)
{
    ListCreditsRequest req = OMS__ORDER__V1__LIST_CREDITS_REQUEST__INIT;
    req.order_id = (char *)order_id;
    req.page_size = page_size;
    req.page_token = (char *)page_token;
    return get(&s, who, "ListCredits", &req);
}

START_TEST(credit_memos_are_listed_newest_first_to_whoever_may_see_them)
{
    open_shop();
    const char *order_id = sell();
    ImportOrdersRequest *req = chunk();
    for (int i = 0; i < 3; i++)
        back(entry(req, arena_printf(&s.arena, "C%d", i)), "CUP", 1, 4, i == 1 ? "" : "1", "GIFT");
    req->orders[0]->place_time_us = 3000000;
    NewOrder *his = entry(req, "B");
    back(his, "CUP", 1, 4, "", "GIFT");
    his->customer_id = "cus_bert";
    const ImportOrdersResponse *ret = import(req);

    const ListCreditsResponse *page = list(&anna, "", 2, "");
    ck_assert_uint_eq(page->n_credits, 2);
    ck_assert_str_eq(page->credits[0]->external_id, "C0");
    ck_assert_uint_eq(page->credits[0]->n_lines, 1);
    page = list(&anna, "", 2, page->next_page_token);
    ck_assert_uint_eq(page->n_credits, 1);
    ck_assert_str_eq(page->next_page_token, "");
    ck_assert_uint_eq(list(&staff, "", 0, "")->n_credits, 4);
    ck_assert_uint_eq(list(&staff, order_id, 0, "")->n_credits, 2);
    ck_assert_uint_eq(list(&bert, order_id, 0, "")->n_credits, 0);
    ck_assert_uint_eq(list(&bert, "", 0, "")->n_credits, 1);

    GetCreditRequest one = OMS__ORDER__V1__GET_CREDIT_REQUEST__INIT;
    one.credit_id = ret->results[0]->credit_id;
    ck_refused(ask(&s, &bert, "GetCredit", &one), RPC_NOT_FOUND, "CREDIT_NOT_FOUND", "");
    one.channel = "erp";
    ck_refused(ask(&s, &anna, "GetCredit", &one), RPC_INVALID_ARGUMENT, "FIELD_UNEXPECTED", "channel");
    one.credit_id = "";
    ck_refused(ask(&s, &anna, "GetCredit", &one), RPC_INVALID_ARGUMENT, "FIELD_REQUIRED", "external_id");
    one.external_id = "C1";
    const GetCreditResponse *found = get(&s, &anna, "GetCredit", &one);
    ck_assert_str_eq(found->credit->credit_id, ret->results[1]->credit_id);
    shop_close(&s);
}
END_TEST

/* --- what others make of it --- */

/* svc-inventory may know better what is stocked than the projection that orders are priced by. */
START_TEST(a_document_that_is_refused_elsewhere_holds_up_no_other)
{
    open_shop();
    WRITE(&s, s.order, "UPDATE price SET stocked = 1 WHERE sku = 'POST'");
    ImportOrdersRequest *req = chunk();
    sold(entry(req, "1"), "POST", 1, 3);
    sold(entry(req, "2"), "CUP", 1, 4);
    import(req);
    world_run(s.world, 5000000);
    ck_assert_int_eq(NUMBER(&s, s.inventory, "SELECT SUM(on_hand) FROM stock WHERE sku = 'CUP'"), 4);
    ck_assert_int_eq(NUMBER(&s, s.payment, "SELECT COUNT(*) FROM ledger_entry"), 2);
    ck_assert_int_eq(NUMBER(&s, s.order, "SELECT COUNT(*) FROM dead_letter WHERE parked = 1"), 1);
    shop_close(&s);
}
END_TEST

START_TEST(an_imported_order_stays_as_it_is_whatever_is_told_of_it)
{
    open_shop();
    const char *order_id = sell();
    CancelOrderRequest cancel = OMS__ORDER__V1__CANCEL_ORDER_REQUEST__INIT;
    cancel.request_id = fresh(&s);
    cancel.order_id = (char *)order_id;
    ck_refused(ask(&s, &staff, "CancelOrder", &cancel), RPC_FAILED_PRECONDITION, "ORDER_STATE", "");
    ExplainOrderRequest explain = OMS__ORDER__V1__EXPLAIN_ORDER_REQUEST__INIT;
    explain.order_id = (char *)order_id;
    const OrderExplanation *told = get(&s, &staff, "ExplainOrder", &explain);
    ck_assert_str_eq(told->waits_for, "");
    ck_assert_uint_eq(told->n_legal, 0);
    shop_close(&s);
}
END_TEST

/* What a consumer knows of one thing when it has been told everything. */
struct known {
    const char *key;
    int64_t state, payment_state, fulfillment_state, total_units;
    uint64_t version, lines;
};
struct knowledge {
    struct known all[64];
    size_t n;
};

static struct known *known(struct knowledge *k, const char *key)
{
    for (size_t i = 0; i < k->n; i++) {
        if (strcmp(k->all[i].key, key) == 0)
            return &k->all[i];
    }
    k->all[k->n].key = key;
    return &k->all[k->n++];
}

static void learn(struct knowledge *k, int32_t type, const char *key, struct bytes payload)
{
    ProtobufCAllocator a = arena_protobuf(&s.arena);
    struct known *what = known(k, arena_copy(&s.arena, key, strlen(key)));
    if (type == E(ORDER_PLACED)) {
        const OrderPlaced *p = oms__event__v1__order_placed__unpack(&a, payload.len, payload.data);
        *what = (struct known){ what->key, 1, p->payment_state, 1, p->total->units, p->version, p->lines };
    } else if (type == E(ORDER_IMPORTED)) {
        const OrderImported *p = oms__event__v1__order_imported__unpack(&a, payload.len, payload.data);
        *what = (struct known){ what->key,       p->state,   p->payment_state, p->fulfillment_state,
                                p->total->units, p->version, p->lines };
    } else if (type == E(CREDIT_ISSUED)) {
        const CreditIssued *p = oms__event__v1__credit_issued__unpack(&a, payload.len, payload.data);
        *what = (struct known){ what->key, 0, 0, 0, p->total->units, p->version, p->lines };
    } else {
        const OrderStateChanged *p = oms__event__v1__order_state_changed__unpack(&a, payload.len, payload.data);
        what->state = p->state;
        what->payment_state = p->payment_state;
        what->fulfillment_state = p->fulfillment_state;
        what->version = p->version;
    }
}

struct reading {
    struct unit unit;
    struct knowledge *knowledge;
    bool done;
    int result;
};

static int read_log(struct txn *txn, void *arg)
{
    struct log_entry *entries;
    int n = log_read(txn, 0, 100, &entries);
    for (int i = 0; i < n; i++)
        learn(((struct reading *)arg)->knowledge, entries[i].type, entries[i].key, entries[i].payload);
    return n < 0 ? n : 0;
}

static void log_was_read(struct unit *unit, int result)
{
    struct reading *r = unit->arg;
    r->result = result;
    r->done = true;
}

static bool is_read(void *arg)
{
    return ((struct reading *)arg)->done;
}

static void follow_log(struct knowledge *knowledge)
{
    struct arena arena;
    struct reading r = { .knowledge = knowledge };
    arena_init(&arena, 1 << 20);
    r.unit = (struct unit){ .run = read_log, .arg = &r, .arena = &arena, .done = log_was_read };
    store_read(service_store(node_service(s.order)), &r.unit);
    ck_assert(world_until(s.world, is_read, &r, 10000000));
    ck_assert_int_eq(r.result, 0);
    arena_finish(&arena);
}

static void ck_same(const struct known *a, const struct known *b)
{
    ck_assert_str_eq(a->key, b->key);
    ck_assert_int_eq(a->state, b->state);
    ck_assert_int_eq(a->payment_state, b->payment_state);
    ck_assert_int_eq(a->fulfillment_state, b->fulfillment_state);
    ck_assert_int_eq(a->total_units, b->total_units);
    ck_assert_uint_eq(a->version, b->version);
    ck_assert_uint_eq(a->lines, b->lines);
}

START_TEST(whoever_begins_with_a_snapshot_knows_as_much_as_whoever_has_followed)
{
    static struct knowledge told, snapshot;
    open_shop();
    stock(&s, "MUG", "L1", 10);
    sell();
    live("live", "tok_ok");
    ImportOrdersRequest *req = chunk();
    NewOrder *all = entry(req, "C1");
    back(all, "CUP", 5, 4, "1", "");
    back(all, "MUG", 2, 1, "1", "");
    back(all, "POST", 1, 3, "1", "");
    back(entry(req, "C2"), "CUP", 1, 4, "", "GIFT");
    sold(entry(req, "2"), "POST", 1, 3);
    import(req);
    shop_settle(&s);
    follow_log(&told);

    Mesh__V1__SnapshotRequest page = MESH__V1__SNAPSHOT_REQUEST__INIT;
    const Mesh__V1__SnapshotResponse *ret = get(&s, &order_process, "Snapshot", &page);
    for (size_t i = 0; i < ret->n_entries; i++) {
        const Mesh__V1__LogEntry *e = ret->entries[i];
        learn(&snapshot, e->type, e->key, (struct bytes){ e->payload.data, e->payload.len });
    }
    ck_assert_uint_eq(told.n, 5);
    ck_assert_uint_eq(snapshot.n, told.n);
    for (size_t i = 0; i < told.n; i++)
        ck_same(known(&snapshot, told.all[i].key), &told.all[i]);
    shop_close(&s);
}
END_TEST

SUITE("elsewhere", 120, an_order_that_was_carried_out_elsewhere_is_complete_as_it_comes, what_has_no_goods_moves_none,
      a_chunk_as_large_as_they_come_is_one_unit, what_the_stock_knows_nothing_of_is_sold_all_the_same,
      what_we_have_forgotten_and_is_sent_again_is_moved_and_booked_once, what_the_books_cannot_hold_is_not_taken,
      only_an_erp_says_what_was_done_elsewhere, an_entry_is_one_thing_and_is_not_paid_here,
      what_comes_back_of_an_order_is_a_refund_of_it, an_order_of_which_all_is_given_back_is_refunded,
      what_does_not_hold_is_a_credit_and_says_why, of_two_credits_for_the_last_one_left_the_first_gets_it,
      of_several_lines_of_a_sku_the_cheapest_that_has_cost_as_much_is_taken_first,
      what_is_taken_back_cheap_leaves_what_was_dear, a_credit_memo_may_refund_several_orders,
      a_refund_needs_no_catalogue, a_number_has_one_credit_memo_and_a_repeated_chunk_the_same_answer,
      a_chunk_whose_answer_is_lost_is_carried_out_once, stock_and_books_are_told_once_over_a_bad_network,
      credit_memos_are_listed_newest_first_to_whoever_may_see_them,
      a_document_that_is_refused_elsewhere_holds_up_no_other, an_imported_order_stays_as_it_is_whatever_is_told_of_it,
      whoever_begins_with_a_snapshot_knows_as_much_as_whoever_has_followed)
