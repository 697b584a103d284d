/* What is asked of payments: accepted within what there is, refused precisely, and carried out once. */
#include "tests/suite.h"
#include "tests/svc-payment/till.h"

#include <string.h>

static struct shop s;

#define PAYMENTS   NUMBER(&s, s.payment, "SELECT COUNT(*) FROM payment")
#define OPERATIONS NUMBER(&s, s.payment, "SELECT COUNT(*) FROM payment_operation")

/* One that has captured all, in the state that refunds are about. */
static const char *captured(const char *order_id)
{
    const char *id = authorized(&s, order_id, "tok_ok");
    capture(&s, id, order_id, 1000);
    await_payment(&s, id, PAYMENT_STATE(CAPTURED));
    return id;
}

START_TEST(a_payment_is_authorized_captured_and_refunded)
{
    shop_open(&s, 1);
    const char *id = authorize(&s, "o1", 1000, "tok_ok");
    await_payment(&s, id, PAYMENT_STATE(AUTHORIZED));
    ck_assert_int_eq(minor_of(payment_now(&s, id)->authorized), 1000);
    capture(&s, id, "f1", 1000);
    await_payment(&s, id, PAYMENT_STATE(CAPTURED));
    refund(&s, id, "r1", 400);
    till_settle(&s);
    const Payment *p = payment_now(&s, id);
    ck_assert_int_eq(minor_of(p->captured), 1000);
    ck_assert_int_eq(minor_of(p->refunded), 400);
    ck_assert_int_eq(p->n_operations, 3);
    ck_assert_str_eq(p->customer_id, "cus_anna");
    ck_assert_str_eq(operation_named(p, "r1-refund")->reason, "GOODWILL");
    ck_assert_str_ne(operation_named(p, "o1-authorize")->processor_ref, "");
    ck_assert_str_eq(told(&s, "o1"), "AUTHORIZED CAPTURED REFUNDED");
    ck_books(&s);
    shop_close(&s);
}
END_TEST

/* --- authorize --- */

static AuthorizePaymentRequest *authorize_request(const char *currency, int64_t units, int32_t nanos)
{
    AuthorizePaymentRequest *req = arena_message(&s.arena, &oms__payment__v1__authorize_payment_request__descriptor);
    req->request_id = fresh(&s);
    req->order_id = req->request_id;
    req->amount = money(&s, currency, units, nanos);
    req->payment_token = "tok_ok";
    return req;
}

static void ck_authorize_refused(const AuthorizePaymentRequest *req, const char *reason, const char *field)
{
    ck_refused(ask(&s, &order_process, "AuthorizePayment", req), RPC_INVALID_ARGUMENT, reason, field);
    ck_assert_int_eq(PAYMENTS + OPERATIONS, 0);
}

START_TEST(what_cannot_be_authorized_is_refused_and_nothing_is_stored)
{
    shop_open(&s, 1);
    ck_authorize_refused(authorize_request("GBP", 0, 0), "AMOUNT_NOT_POSITIVE", "amount");
    ck_authorize_refused(authorize_request("GBP", -1, 0), "AMOUNT_NOT_POSITIVE", "amount");
    ck_authorize_refused(authorize_request("GBP", 1, 1), "AMOUNT_NOT_WHOLE", "amount");
    ck_authorize_refused(authorize_request("XXQ", 1, 0), "AMOUNT_INVALID", "amount");
    ck_authorize_refused(authorize_request("GBP", 10000000000000, 10000000), "AMOUNT_OVERFLOW", "amount");
    ck_authorize_refused(authorize_request("GBP", INT64_MAX, 0), "AMOUNT_OVERFLOW", "amount");
    AuthorizePaymentRequest *req = authorize_request("GBP", 1, 0);
    req->request_id = "o1/authorize";
    ck_authorize_refused(req, "REQUEST_ID_INVALID", "request_id");
    req->request_id = "o1\r\nX: y";
    ck_authorize_refused(req, "REQUEST_ID_INVALID", "request_id");
    ck_assert_int_eq(processed(&s, "authorize"), 0);
    shop_close(&s);
}
END_TEST

START_TEST(the_largest_amount_is_authorized_captured_and_refunded)
{
    shop_open(&s, 1);
    const char *id = authorize(&s, "o1", 1000000000000000, "tok_ok");
    await_payment(&s, id, PAYMENT_STATE(AUTHORIZED));
    capture(&s, id, "o1", 1000000000000000);
    await_payment(&s, id, PAYMENT_STATE(CAPTURED));
    refund(&s, id, "o1", 1000000000000000);
    till_settle(&s);
    ck_books(&s);
    shop_close(&s);
}
END_TEST

START_TEST(a_repeat_is_the_same_payment_and_one_authorization)
{
    shop_open(&s, 1);
    const char *id = authorize(&s, "o1", 1000, "tok_ok"), *again = authorize(&s, "o1", 1000, "tok_ok");
    ck_assert_str_eq(id, again);
    till_settle(&s);
    ck_refused(ask_end(begin_authorize(&s, "o1", 999, "tok_ok")), RPC_INVALID_ARGUMENT, "REQUEST_ID_REUSED",
               "request_id");
    ck_assert_int_eq(PAYMENTS, 1);
    ck_assert_int_eq(processed(&s, "authorize"), 1);
    shop_close(&s);
}
END_TEST

static struct asked *authorize_again(const char *order_id, const char *request_id)
{
    AuthorizePaymentRequest *req = authorize_request("GBP", 10, 0);
    req->order_id = (char *)order_id;
    req->request_id = (char *)request_id;
    return ask_begin(&s, &order_process, "AuthorizePayment", req);
}

START_TEST(an_order_has_one_payment_until_that_is_declined_or_given_up)
{
    shop_open(&s, 1);
    const char *declined = authorize(&s, "o1", 1000, "tok_declined");
    ck_refused(ask_end(authorize_again("o1", "second")), RPC_ALREADY_EXISTS, "PAYMENT_EXISTS", "");
    await_payment(&s, declined, PAYMENT_STATE(DECLINED));
    ck_assert_int_eq(ask_end(authorize_again("o1", "second"))->code, RPC_OK);
    till_settle(&s);
    ck_refused(ask_end(authorize_again("o1", "third")), RPC_ALREADY_EXISTS, "PAYMENT_EXISTS", "");

    authorized(&s, "o2", "tok_ok");
    void_order(&s, "o2");
    till_settle(&s);
    ck_assert_int_eq(ask_end(authorize_again("o2", "fourth"))->code, RPC_OK);
    till_settle(&s);
    ck_assert_int_eq(PAYMENTS, 4);
    ck_books(&s);
    shop_close(&s);
}
END_TEST

/* Those that wait become one transaction: each has an answer of its own. */
START_TEST(of_many_at_once_each_is_judged_by_itself)
{
    enum { N = 40 };
    for (uint64_t seed = 1; seed <= 4; seed++) {
        struct asked *asked[N];
        int accepted[N / 4] = { 0 };
        shop_open(&s, seed);
        captured("o0");
        for (int i = 0; i < N; i++) {
            AuthorizePaymentRequest *req = authorize_request("GBP", i % 4 == 3 ? 0 : 10, 0);
            req->order_id = arena_printf(&s.arena, "o%d", i / 4);
            asked[i] = ask_begin(&s, &order_process, "AuthorizePayment", req);
        }
        for (int i = 0; i < N; i++) {
            ask_end(asked[i]);
            if (i % 4 == 3)
                ck_refused(asked[i], RPC_INVALID_ARGUMENT, "AMOUNT_NOT_POSITIVE", "amount");
            else if (asked[i]->code != RPC_OK)
                ck_refused(asked[i], RPC_ALREADY_EXISTS, "PAYMENT_EXISTS", "");
            accepted[i / 4] += asked[i]->code == RPC_OK;
        }
        for (int i = 0; i < N / 4; i++)
            ck_assert_int_eq(accepted[i], i > 0);
        till_settle(&s);
        ck_assert_int_eq(PAYMENTS, N / 4);
        ck_assert_int_eq(processed(&s, "authorize"), N / 4);
        ck_books(&s);
        shop_close(&s);
    }
}
END_TEST

START_TEST(nobody_takes_the_id_of_somebody_elses_operation)
{
    shop_open(&s, 1);
    const char *id = captured("o1");
    RefundPaymentRequest req = OMS__PAYMENT__V1__REFUND_PAYMENT_REQUEST__INIT;
    req.request_id = "o1-authorize";
    req.payment_id = (char *)id;
    req.amount = money(&s, "GBP", 1, 0);
    ck_refused(ask(&s, &staff, "RefundPayment", &req), RPC_INVALID_ARGUMENT, "REQUEST_ID_REUSED", "request_id");
    ck_assert_int_eq(OPERATIONS, 2);
    ck_books(&s);
    shop_close(&s);
}
END_TEST

/* --- capture --- */

static void ck_not_captured(const char *payment_id, const char *id, int64_t minor, enum rpc_code code,
                            const char *reason)
{
    int64_t before = OPERATIONS;
    ck_refused(ask_end(begin_capture(&s, payment_id, id, minor)), code, reason, "");
    ck_assert_int_eq(OPERATIONS, before);
}

START_TEST(a_capture_needs_an_authorization_that_is_large_enough)
{
    shop_open(&s, 1);
    world_outside_down(s.world, "processor", true);
    const char *id = authorize(&s, "o1", 1000, "tok_ok");
    ck_not_captured(id, "f1", 100, RPC_FAILED_PRECONDITION, "PAYMENT_NOT_AUTHORIZED");
    world_outside_down(s.world, "processor", false);
    await_payment(&s, id, PAYMENT_STATE(AUTHORIZED));
    ck_not_captured(id, "f1", 1001, RPC_FAILED_PRECONDITION, "CAPTURE_EXCEEDS_AUTHORIZED");
    ck_not_captured(id, "f1", 1000000000000000, RPC_FAILED_PRECONDITION, "CAPTURE_EXCEEDS_AUTHORIZED");
    ck_not_captured("pay_none", "f1", 1, RPC_NOT_FOUND, "PAYMENT_NOT_FOUND");

    CapturePaymentRequest req = OMS__PAYMENT__V1__CAPTURE_PAYMENT_REQUEST__INIT;
    req.request_id = "f1-capture";
    req.payment_id = (char *)id;
    req.amount = money(&s, "EUR", 1, 0);
    ck_refused(ask(&s, &order_process, "CapturePayment", &req), RPC_FAILED_PRECONDITION, "CURRENCY_MISMATCH", "");
    req.amount = money(&s, "GBP", 0, 0);
    ck_refused(ask(&s, &order_process, "CapturePayment", &req), RPC_INVALID_ARGUMENT, "AMOUNT_NOT_POSITIVE", "amount");

    const char *declined = authorize(&s, "o2", 1000, "tok_declined");
    await_payment(&s, declined, PAYMENT_STATE(DECLINED));
    ck_not_captured(declined, "f2", 1, RPC_FAILED_PRECONDITION, "PAYMENT_NOT_AUTHORIZED");
    ck_books(&s);
    shop_close(&s);
}
END_TEST

START_TEST(captures_are_partial_and_repeatable)
{
    shop_open(&s, 1);
    const char *id = authorized(&s, "o1", "tok_ok");
    capture(&s, id, "f1", 400);
    capture(&s, id, "f1", 400);
    capture(&s, id, "f2", 600);
    ck_not_captured(id, "f3", 1, RPC_FAILED_PRECONDITION, "CAPTURE_EXCEEDS_AUTHORIZED");
    till_settle(&s);
    ck_assert_int_eq(payment_now(&s, id)->state, PAYMENT_STATE(CAPTURED));
    ck_assert_int_eq(processed(&s, "capture"), 2);
    ck_assert_str_eq(told(&s, "o1"), "AUTHORIZED CAPTURED CAPTURED");
    ck_books(&s);
    shop_close(&s);
}
END_TEST

/* What is under way counts. */
START_TEST(captures_at_once_never_exceed_what_is_authorized)
{
    for (uint64_t seed = 1; seed <= 6; seed++) {
        enum { N = 20 };
        struct asked *asked[N];
        int64_t taken = 0;
        shop_open(&s, seed);
        const char *id = authorized(&s, "o1", "tok_ok");
        for (int i = 0; i < N; i++)
            asked[i] = begin_capture(&s, id, arena_printf(&s.arena, "f%d", i), 90 + i % 3);
        for (int i = 0; i < N; i++) {
            if (ask_end(asked[i])->code == RPC_OK)
                taken += 90 + i % 3;
            else
                ck_refused(asked[i], RPC_FAILED_PRECONDITION, "CAPTURE_EXCEEDS_AUTHORIZED", "");
        }
        till_settle(&s);
        ck_assert_int_eq(minor_of(payment_now(&s, id)->captured), taken);
        ck_assert_int_le(taken, 1000);
        ck_assert_int_gt(taken, 1000 - 92);
        ck_books(&s);
        shop_close(&s);
    }
}
END_TEST

START_TEST(a_capture_that_was_declined_leaves_room_for_another)
{
    shop_open(&s, 1);
    const char *id = authorized(&s, "o1", "tok_capture_fails");
    capture(&s, id, "f1", 1000);
    ck_not_captured(id, "f2", 1, RPC_FAILED_PRECONDITION, "CAPTURE_EXCEEDS_AUTHORIZED");
    till_settle(&s);
    const Payment *p = payment_now(&s, id);
    ck_assert_int_eq(p->state, PAYMENT_STATE(AUTHORIZED));
    ck_assert_int_eq(minor_of(p->captured), 0);
    ck_assert_str_eq(operation_named(p, "f1-capture")->reason, "CAPTURE_REFUSED");
    capture(&s, id, "f2", 1000);
    till_settle(&s);
    ck_assert_str_eq(told(&s, "o1"), "AUTHORIZED CAPTURE_FAILED CAPTURE_FAILED");
    ck_books(&s);
    shop_close(&s);
}
END_TEST

START_TEST(a_payment_has_so_many_operations_and_no_more)
{
    shop_open(&s, 1);
    enum { MAX = 200 };
    const char *id = authorized(&s, "o1", "tok_ok");
    struct asked *asked[MAX];
    for (int i = 1; i < MAX; i++)
        asked[i] = begin_capture(&s, id, arena_printf(&s.arena, "f%d", i), 1);
    for (int i = 1; i < MAX; i++)
        ck_assert_int_eq(ask_end(asked[i])->code, RPC_OK);
    ck_not_captured(id, "one-more", 1, RPC_FAILED_PRECONDITION, "TOO_MANY_OPERATIONS");
    till_settle(&s);
    ck_assert_int_eq(payment_now(&s, id)->n_operations, MAX);
    ck_books(&s);
    shop_close(&s);
}
END_TEST

/* --- refund --- */

static void ck_not_refunded(const char *payment_id, int64_t minor, const char *reason)
{
    ck_refused(ask_end(begin_refund(&s, payment_id, fresh(&s), minor)), RPC_FAILED_PRECONDITION, reason, "");
}

START_TEST(a_refund_stays_within_what_was_captured)
{
    shop_open(&s, 1);
    const char *id = authorized(&s, "o1", "tok_ok");
    ck_not_refunded(id, 1, "REFUND_EXCEEDS_CAPTURED");
    capture(&s, id, "f1", 700);
    await_operation(&s, "f1-capture", OPERATION_STATE(SUCCEEDED));
    ck_not_refunded(id, 701, "REFUND_EXCEEDS_CAPTURED");
    refund(&s, id, "r1", 300);
    refund(&s, id, "r1", 300);
    ck_not_refunded(id, 401, "REFUND_EXCEEDS_CAPTURED");
    refund(&s, id, "r2", 400);
    till_settle(&s);
    ck_not_refunded(id, 1, "REFUND_EXCEEDS_CAPTURED");
    ck_assert_str_eq(told(&s, "o1"), "AUTHORIZED CAPTURED REFUNDED REFUNDED");
    ck_books(&s);
    shop_close(&s);
}
END_TEST

START_TEST(a_refunds_reason_is_a_code_and_its_currency_the_payments)
{
    shop_open(&s, 1);
    RefundPaymentRequest req = OMS__PAYMENT__V1__REFUND_PAYMENT_REQUEST__INIT;
    req.request_id = "r1";
    req.payment_id = (char *)captured("o1");
    req.amount = money(&s, "GBP", 1, 0);
    req.reason = "because Bert said so";
    ck_refused(ask(&s, &staff, "RefundPayment", &req), RPC_INVALID_ARGUMENT, "REASON_INVALID", "reason");
    req.reason = "";
    req.amount = money(&s, "JPY", 1, 0);
    ck_refused(ask(&s, &staff, "RefundPayment", &req), RPC_FAILED_PRECONDITION, "CURRENCY_MISMATCH", "");
    ck_refused(ask(&s, &anna, "RefundPayment", &req), RPC_PERMISSION_DENIED, "ROLE_NOT_ALLOWED", "");
    shop_close(&s);
}
END_TEST

START_TEST(refunds_at_once_never_exceed_what_was_captured)
{
    for (uint64_t seed = 1; seed <= 6; seed++) {
        enum { N = 20 };
        struct asked *asked[N];
        int64_t given = 0;
        shop_open(&s, seed);
        const char *id = captured("o1");
        for (int i = 0; i < N; i++)
            asked[i] = begin_refund(&s, id, arena_printf(&s.arena, "r%d", i), 90 + i % 3);
        for (int i = 0; i < N; i++)
            given += ask_end(asked[i])->code == RPC_OK ? 90 + i % 3 : 0;
        till_settle(&s);
        ck_assert_int_eq(minor_of(payment_now(&s, id)->refunded), given);
        ck_assert_int_le(given, 1000);
        ck_books(&s);
        shop_close(&s);
    }
}
END_TEST

START_TEST(a_refund_that_was_declined_may_be_tried_again)
{
    shop_open(&s, 1);
    const char *id = authorized(&s, "o1", "tok_refund_fails");
    capture(&s, id, "f1", 1000);
    await_payment(&s, id, PAYMENT_STATE(CAPTURED));
    refund(&s, id, "r1", 1000);
    till_settle(&s);
    ck_assert_str_eq(operation_named(payment_now(&s, id), "r1-refund")->reason, "REFUND_REFUSED");
    refund(&s, id, "r2", 1000);
    till_settle(&s);
    ck_assert_str_eq(told(&s, "o1"), "AUTHORIZED CAPTURED REFUND_FAILED REFUND_FAILED");
    ck_books(&s);
    shop_close(&s);
}
END_TEST

/* --- reading --- */

START_TEST(a_payment_is_found_by_its_order_and_only_by_whose_it_is)
{
    shop_open(&s, 1);
    const char *declined = authorize(&s, "o1", 1000, "tok_declined");
    await_payment(&s, declined, PAYMENT_STATE(DECLINED));
    const AuthorizePaymentResponse *second = ask_end(authorize_again("o1", "second"))->reply;
    GetPaymentRequest req = OMS__PAYMENT__V1__GET_PAYMENT_REQUEST__INIT;
    ck_refused(ask(&s, &staff, "GetPayment", &req), RPC_INVALID_ARGUMENT, "FIELD_REQUIRED", "payment_id");
    req.by_case = OMS__PAYMENT__V1__GET_PAYMENT_REQUEST__BY_ORDER_ID;
    req.order_id = "o1";
    ck_assert_str_eq(((Payment *)get(&s, &staff, "GetPayment", &req))->payment_id, second->payment_id);
    ck_assert_str_eq(((Payment *)get(&s, &anna, "GetPayment", &req))->payment_id, declined);
    ck_refused(ask(&s, &bert, "GetPayment", &req), RPC_NOT_FOUND, "ORDER_NOT_FOUND", "");
    req.by_case = OMS__PAYMENT__V1__GET_PAYMENT_REQUEST__BY_PAYMENT_ID;
    req.payment_id = (char *)declined;
    ck_assert_str_eq(((Payment *)get(&s, &anna, "GetPayment", &req))->decline_reason, "CARD_DECLINED");
    ck_refused(ask(&s, &bert, "GetPayment", &req), RPC_NOT_FOUND, "PAYMENT_NOT_FOUND", "");
    shop_close(&s);
}
END_TEST

/* Walks all pages of two. */
static const char *listed(const struct caller *who, const char *customer_id, bool open)
{
    ListPaymentsRequest req = OMS__PAYMENT__V1__LIST_PAYMENTS_REQUEST__INIT;
    char *orders = "";
    req.customer_id = (char *)customer_id;
    req.open = open;
    req.page_size = 2;
    for (;;) {
        const ListPaymentsResponse *page = get(&s, who, "ListPayments", &req);
        for (size_t i = 0; i < page->n_payments; i++) {
            ck_assert_int_eq(page->payments[i]->n_operations, 1);
            orders = arena_printf(&s.arena, "%s%s ", orders, page->payments[i]->order_id);
        }
        if (page->next_page_token[0] == '\0')
            return orders;
        ck_assert_int_eq(page->n_payments, 2);
        req.page_token = page->next_page_token;
    }
}

START_TEST(payments_are_listed_newest_first_and_open_ones_by_themselves)
{
    shop_open(&s, 1);
    static const char *const tokens[] = { "tok_ok", "tok_3ds_never", "tok_declined", "tok_3ds_never", "tok_mute" };
    for (int i = 0; i < 5; i++) {
        authorize(&s, arena_printf(&s.arena, "o%d", i), 1000, tokens[i]);
        world_run(s.world, 10000);
    }
    AuthorizePaymentRequest *guest = authorize_request("GBP", 1, 0);
    guest->order_id = "o5";
    get(&s, &order_process, "AuthorizePayment", guest);
    world_run(s.world, 12 * SECOND);
    ck_assert_str_eq(listed(&staff, "", false), "o5 o4 o3 o2 o1 o0 ");
    ck_assert_str_eq(listed(&staff, "cus_anna", false), "o4 o3 o2 o1 o0 ");
    ck_assert_str_eq(listed(&anna, "", false), "o4 o3 o2 o1 o0 ");
    ck_assert_str_eq(listed(&bert, "", false), "");
    ck_assert_str_eq(listed(&staff, "", true), "o4 o3 o1 ");
    ck_assert_str_eq(listed(&anna, "cus_anna", true), "o4 o3 o1 ");
    ListPaymentsRequest req = OMS__PAYMENT__V1__LIST_PAYMENTS_REQUEST__INIT;
    req.customer_id = "cus_anna";
    ck_assert_int_eq(ask(&s, &bert, "ListPayments", &req)->code, RPC_PERMISSION_DENIED);
    shop_close(&s);
}
END_TEST

SUITE("payments", 240, a_payment_is_authorized_captured_and_refunded,
      what_cannot_be_authorized_is_refused_and_nothing_is_stored,
      the_largest_amount_is_authorized_captured_and_refunded, a_repeat_is_the_same_payment_and_one_authorization,
      an_order_has_one_payment_until_that_is_declined_or_given_up, of_many_at_once_each_is_judged_by_itself,
      nobody_takes_the_id_of_somebody_elses_operation, a_capture_needs_an_authorization_that_is_large_enough,
      captures_are_partial_and_repeatable, captures_at_once_never_exceed_what_is_authorized,
      a_capture_that_was_declined_leaves_room_for_another, a_payment_has_so_many_operations_and_no_more,
      a_refund_stays_within_what_was_captured, a_refunds_reason_is_a_code_and_its_currency_the_payments,
      refunds_at_once_never_exceed_what_was_captured, a_refund_that_was_declined_may_be_tried_again,
      a_payment_is_found_by_its_order_and_only_by_whose_it_is,
      payments_are_listed_newest_first_and_open_ones_by_themselves)
