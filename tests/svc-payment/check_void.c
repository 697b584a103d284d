/* Giving up what was authorized: before it came, while nobody knows, while the customer has to act, and afterwards. The
 * do and the undo in both orders leave nothing held. */
#include "tests/suite.h"
#include "tests/svc-payment/till.h"

#include <string.h>

static struct shop s;

static const Operation *void_of(const char *payment_id)
{
    return operation_named(payment_now(&s, payment_id), "o1-void");
}

static void ck_story(const char *payment_id, const char *story, Oms__Payment__V1__Payment__State state,
                     int64_t voided_minor)
{
    till_settle(&s);
    ck_assert_str_eq(told(&s, "o1"), story);
    ck_assert_int_eq(payment_now(&s, payment_id)->state, state);
    ck_assert_int_eq(void_of(payment_id)->state, OPERATION_STATE(SUCCEEDED));
    ck_assert_int_eq(minor_of(void_of(payment_id)->amount), voided_minor);
    ck_books(&s);
}

START_TEST(what_was_voided_before_it_came_is_never_authorized)
{
    shop_open(&s, 1);
    ck_assert(!void_order(&s, "o1"));
    ck_refused(ask_end(begin_authorize(&s, "o1", 1000, "tok_ok")), RPC_FAILED_PRECONDITION, "OPERATION_UNDONE", "");
    till_settle(&s);
    ck_assert_str_eq(told(&s, "o1"), "");
    ck_assert_int_eq(processed(&s, "authorize") + processed(&s, "void"), 0);
    shop_close(&s);
}
END_TEST

START_TEST(what_was_authorized_is_voided_whole)
{
    shop_open(&s, 1);
    const char *id = authorized(&s, "o1", "tok_ok");
    ck_assert(void_order(&s, "o1"));
    ck_story(id, "AUTHORIZED VOIDED", PAYMENT_STATE(VOIDED), 1000);
    ck_assert_int_eq(processed(&s, "void"), 1);
    shop_close(&s);
}
END_TEST

START_TEST(a_void_waits_behind_an_authorize_without_an_answer)
{
    shop_open(&s, 1);
    world_outside_down(s.world, "processor", true);
    const char *id = authorize(&s, "o1", 1000, "tok_ok");
    ck_assert(void_order(&s, "o1"));
    world_run(s.world, 5 * SECOND);
    ck_assert_int_eq(payment_now(&s, id)->state, PAYMENT_STATE(AUTHORIZING));
    world_outside_down(s.world, "processor", false);
    ck_story(id, "AUTHORIZED VOIDED", PAYMENT_STATE(VOIDED), 1000);
    shop_close(&s);
}
END_TEST

START_TEST(a_void_of_what_was_never_answered_follows_by_itself)
{
    shop_open(&s, 1);
    const char *id = authorize(&s, "o1", 1000, "tok_mute");
    await_payment(&s, id, PAYMENT_STATE(UNKNOWN));
    ck_assert(void_order(&s, "o1"));
    ck_story(id, "UNKNOWN AUTHORIZED VOIDED", PAYMENT_STATE(VOIDED), 1000);
    shop_close(&s);
}
END_TEST

START_TEST(what_was_declined_is_nothing_to_void_and_that_is_told)
{
    shop_open(&s, 1);
    const char *id = authorize(&s, "o1", 1000, "tok_declined");
    await_payment(&s, id, PAYMENT_STATE(DECLINED));
    ck_assert(!void_order(&s, "o1"));
    ck_story(id, "DECLINED VOIDED", PAYMENT_STATE(DECLINED), 0);
    ck_assert_int_eq(processed(&s, "void"), 0);
    shop_close(&s);
}
END_TEST

START_TEST(a_void_behind_what_is_then_declined_has_nothing_to_do)
{
    shop_open(&s, 1);
    world_outside_down(s.world, "processor", true);
    const char *id = authorize(&s, "o1", 1000, "tok_declined");
    ck_assert(void_order(&s, "o1"));
    world_outside_down(s.world, "processor", false);
    ck_story(id, "DECLINED VOIDED", PAYMENT_STATE(DECLINED), 0);
    ck_assert_int_eq(processed(&s, "void"), 0);
    shop_close(&s);
}
END_TEST

START_TEST(what_is_captured_stays_and_the_rest_is_given_up)
{
    shop_open(&s, 1);
    const char *id = authorized(&s, "o1", "tok_ok");
    capture(&s, id, "f1", 300);
    ck_assert(void_order(&s, "o1"));
    ck_refused(ask_end(begin_capture(&s, id, "f2", 100)), RPC_FAILED_PRECONDITION, "PAYMENT_VOIDED", "");
    ck_story(id, "AUTHORIZED CAPTURED VOIDED", PAYMENT_STATE(VOIDED), 700);
    ck_refused(ask_end(begin_capture(&s, id, "f3", 100)), RPC_FAILED_PRECONDITION, "PAYMENT_VOIDED", "");
    refund(&s, id, "r1", 300);
    ck_story(id, "AUTHORIZED CAPTURED VOIDED REFUNDED", PAYMENT_STATE(VOIDED), 700);
    shop_close(&s);
}
END_TEST

START_TEST(what_is_captured_whole_is_nothing_to_void)
{
    shop_open(&s, 1);
    const char *id = authorized(&s, "o1", "tok_ok");
    capture(&s, id, "f1", 1000);
    await_payment(&s, id, PAYMENT_STATE(CAPTURED));
    ck_assert(!void_order(&s, "o1"));
    ck_story(id, "AUTHORIZED CAPTURED VOIDED", PAYMENT_STATE(CAPTURED), 0);
    ck_assert_int_eq(processed(&s, "void"), 0);
    shop_close(&s);
}
END_TEST

START_TEST(a_void_behind_the_capture_of_all_has_nothing_to_do)
{
    shop_open(&s, 1);
    const char *id = authorized(&s, "o1", "tok_ok");
    world_outside_down(s.world, "processor", true);
    capture(&s, id, "f1", 1000);
    ck_assert(void_order(&s, "o1"));
    world_outside_down(s.world, "processor", false);
    ck_story(id, "AUTHORIZED CAPTURED VOIDED", PAYMENT_STATE(CAPTURED), 0);
    ck_assert_int_eq(processed(&s, "void"), 0);
    shop_close(&s);
}
END_TEST

START_TEST(a_void_is_done_once_however_often_it_is_asked_for)
{
    shop_open(&s, 1);
    const char *id = authorized(&s, "o1", "tok_ok");
    VoidPaymentRequest other = OMS__PAYMENT__V1__VOID_PAYMENT_REQUEST__INIT;
    other.request_id = "another";
    other.operation_id = "o1-authorize";
    world_outside_down(s.world, "processor", true);
    ck_assert(void_order(&s, "o1"));
    ck_assert(void_order(&s, "o1"));
    ck_assert(((VoidPaymentResponse *)get(&s, &order_process, "VoidPayment", &other))->voiding);
    world_outside_down(s.world, "processor", false);
    till_settle(&s);
    other.request_id = "yet-another";
    ck_assert(!((VoidPaymentResponse *)get(&s, &order_process, "VoidPayment", &other))->voiding);
    ck_story(id, "AUTHORIZED VOIDED", PAYMENT_STATE(VOIDED), 1000);
    ck_assert_int_eq(processed(&s, "void"), 1);
    shop_close(&s);
}
END_TEST

START_TEST(only_an_authorize_is_voided)
{
    shop_open(&s, 1);
    const char *id = authorized(&s, "o1", "tok_ok");
    capture(&s, id, "f1", 100);
    VoidPaymentRequest req = OMS__PAYMENT__V1__VOID_PAYMENT_REQUEST__INIT;
    req.request_id = "v";
    req.operation_id = "f1-capture";
    ck_assert(!((VoidPaymentResponse *)get(&s, &order_process, "VoidPayment", &req))->voiding);
    till_settle(&s);
    ck_assert_int_eq(processed(&s, "void"), 0);
    ck_books(&s);
    shop_close(&s);
}
END_TEST

/* Nobody waits for him any more, and what he does after it changes nothing. */
START_TEST(a_customer_who_has_to_act_need_not_any_more)
{
    shop_open(&s, 1);
    const char *id = authorize(&s, "o1", 1000, "tok_3ds_never");
    await_payment(&s, id, PAYMENT_STATE(ACTION_REQUIRED));
    ck_assert(void_order(&s, "o1"));
    ck_story(id, "ACTION_REQUIRED VOIDED", PAYMENT_STATE(VOIDED), 0);
    const Operation *o = operation_named(payment_now(&s, id), "o1-authorize");
    ck_assert_int_eq(o->state, OPERATION_STATE(DECLINED));
    ck_assert_str_eq(o->reason, "VOIDED");
    ck_assert_str_eq(payment_now(&s, id)->action_url, "");
    world_run(s.world, 1000 * SECOND);
    ck_story(id, "ACTION_REQUIRED VOIDED", PAYMENT_STATE(VOIDED), 0);
    shop_close(&s);
}
END_TEST

/* At whatever moment it comes between the customer's act and our hearing of it. */
START_TEST(a_void_may_meet_the_customers_act)
{
    for (int64_t at_us = 0; at_us < 800000; at_us += 23000) {
        shop_open(&s, (uint64_t)at_us + 1);
        const char *id = authorize(&s, "o1", 1000, "tok_3ds");
        world_run(s.world, at_us);
        ck_assert(void_order(&s, "o1"));
        till_settle(&s);
        const char *story = told(&s, "o1");
        const char *end = strrchr(story, ' ');
        ck_assert_msg(end && strcmp(end, " VOIDED") == 0, "%lld: %s", (long long)at_us, story);
        ck_assert_ptr_null(strstr(story, "CONTRADICTED"));
        ck_assert_int_eq(payment_now(&s, id)->state, PAYMENT_STATE(VOIDED));
        ck_books(&s);
        shop_close(&s);
    }
}
END_TEST

SUITE("void", 240, what_was_voided_before_it_came_is_never_authorized, what_was_authorized_is_voided_whole,
      a_void_waits_behind_an_authorize_without_an_answer, a_void_of_what_was_never_answered_follows_by_itself,
      what_was_declined_is_nothing_to_void_and_that_is_told, a_void_behind_what_is_then_declined_has_nothing_to_do,
      what_is_captured_stays_and_the_rest_is_given_up, what_is_captured_whole_is_nothing_to_void,
      a_void_behind_the_capture_of_all_has_nothing_to_do, a_void_is_done_once_however_often_it_is_asked_for,
      only_an_authorize_is_voided, a_customer_who_has_to_act_need_not_any_more, a_void_may_meet_the_customers_act)
