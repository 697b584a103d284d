/* What nobody knows a named person decides; and what the processor says then all the same. */
#include "tests/suite.h"
#include "tests/svc-payment/till.h"

static struct shop s;

static void ck_story(const char *payment_id, const char *story, Oms__Payment__V1__Payment__State state)
{
    till_settle(&s);
    ck_assert_str_eq(told(&s, "o1"), story);
    ck_assert_int_eq(payment_now(&s, payment_id)->state, state);
    ck_books(&s);
}

static const char *unknown(const char *token)
{
    const char *id = authorize(&s, "o1", 1000, token);
    world_outside_down(s.world, "processor", true);
    await_payment(&s, id, PAYMENT_STATE(UNKNOWN));
    return id;
}

static void come_back(void)
{
    world_outside_down(s.world, "processor", false);
    till_settle(&s);
}

START_TEST(only_what_is_unknown_is_decided)
{
    shop_open(&s, 1);
    authorized(&s, "o2", "tok_ok");
    ck_refused(resolve(&s, "o2-authorize", false), RPC_FAILED_PRECONDITION, "OPERATION_NOT_UNKNOWN", "");
    ck_refused(resolve(&s, "none", false), RPC_NOT_FOUND, "OPERATION_NOT_FOUND", "");
    await_payment(&s, authorize(&s, "o3", 1000, "tok_3ds_never"), PAYMENT_STATE(ACTION_REQUIRED));
    ck_refused(resolve(&s, "o3-authorize", false), RPC_FAILED_PRECONDITION, "OPERATION_NOT_UNKNOWN", "");
    const char *id = unknown("tok_mute");
    ck_assert_int_eq(resolve(&s, "o1-authorize", true)->code, RPC_OK);
    ck_refused(resolve(&s, "o1-authorize", false), RPC_FAILED_PRECONDITION, "OPERATION_NOT_UNKNOWN", "");
    const Operation *o = operation_named(payment_now(&s, id), "o1-authorize");
    ck_assert_str_eq(o->decided_by, "carla");
    ck_assert_str_eq(o->reason, "BANK_SAYS_SO");
    shop_close(&s);
}
END_TEST

START_TEST(an_answer_that_agrees_with_what_was_decided_is_not_told)
{
    shop_open(&s, 1);
    const char *id = unknown("tok_mute");
    const ResolveOperationResponse *ret = resolve(&s, "o1-authorize", true)->reply;
    ck_assert_int_eq(ret->payment->state, PAYMENT_STATE(AUTHORIZED));
    come_back();
    capture(&s, id, "f1", 400);
    ck_story(id, "UNKNOWN AUTHORIZED CAPTURED", PAYMENT_STATE(AUTHORIZED));
    shop_close(&s);
}
END_TEST

/* The order is gone by then: what is held is given back. */
START_TEST(what_was_decided_declined_and_then_authorized_is_contradicted_and_voided)
{
    shop_open(&s, 1);
    const char *id = unknown("tok_mute");
    resolve(&s, "o1-authorize", false);
    ck_assert_int_eq(payment_now(&s, id)->state, PAYMENT_STATE(DECLINED));
    ck_assert(!void_order(&s, "o1"));
    come_back();
    ck_story(id, "UNKNOWN DECLINED VOIDED CONTRADICTED VOIDED", PAYMENT_STATE(VOIDED));
    ck_assert_int_eq(processed(&s, "void"), 1);
    shop_close(&s);
}
END_TEST

START_TEST(a_void_that_waited_for_what_was_decided_is_done_all_the_same)
{
    shop_open(&s, 1);
    const char *id = unknown("tok_mute");
    ck_assert(void_order(&s, "o1"));
    resolve(&s, "o1-authorize", false);
    come_back();
    ck_assert_int_eq(payment_now(&s, id)->state, PAYMENT_STATE(VOIDED));
    ck_assert_int_eq(processed(&s, "void"), 1);
    ck_books(&s);
    shop_close(&s);
}
END_TEST

START_TEST(what_was_decided_declined_while_a_customer_could_act_is_voided)
{
    shop_open(&s, 1);
    world_outside_down(s.world, "processor", true);
    const char *id = unknown("tok_3ds");
    resolve(&s, "o1-authorize", false);
    come_back();
    ck_story(id, "UNKNOWN DECLINED VOIDED", PAYMENT_STATE(DECLINED));
    ck_assert_int_eq(processed(&s, "authorize"), 0);
    shop_close(&s);
}
END_TEST

START_TEST(what_was_decided_authorized_and_then_declined_is_contradicted)
{
    shop_open(&s, 1);
    world_outside_down(s.world, "processor", true);
    const char *id = unknown("tok_poor");
    resolve(&s, "o1-authorize", true);
    come_back();
    ck_story(id, "UNKNOWN AUTHORIZED CONTRADICTED", PAYMENT_STATE(DECLINED));
    ck_assert_int_eq(minor_of(payment_now(&s, id)->authorized), 0);
    ck_assert_str_eq(payment_now(&s, id)->decline_reason, "INSUFFICIENT_FUNDS");
    shop_close(&s);
}
END_TEST

START_TEST(what_was_decided_authorized_and_waits_for_the_customer_is_followed)
{
    shop_open(&s, 1);
    world_outside_down(s.world, "processor", true);
    const char *id = unknown("tok_3ds");
    resolve(&s, "o1-authorize", true);
    come_back();
    ck_story(id, "UNKNOWN AUTHORIZED CONTRADICTED AUTHORIZED", PAYMENT_STATE(AUTHORIZED));
    shop_close(&s);
}
END_TEST

static const char *unknown_capture(const char *token)
{
    const char *id = authorized(&s, "o1", token);
    world_outside_down(s.world, "processor", true);
    capture(&s, id, "f1", 1000);
    await_operation(&s, "f1-capture", OPERATION_STATE(UNKNOWN));
    return id;
}

START_TEST(a_capture_that_was_decided_and_contradicted_is_booked_as_it_is)
{
    shop_open(&s, 1);
    const char *id = unknown_capture("tok_ok");
    resolve(&s, "f1-capture", false);
    ck_ledger(&s);
    come_back();
    ck_story(id, "AUTHORIZED UNKNOWN CAPTURE_FAILED CONTRADICTED", PAYMENT_STATE(CAPTURED));
    shop_close(&s);

    shop_open(&s, 2);
    id = unknown_capture("tok_capture_fails");
    resolve(&s, "f1-capture", true);
    ck_assert_int_eq(payment_now(&s, id)->state, PAYMENT_STATE(CAPTURED));
    ck_ledger(&s);
    come_back();
    ck_story(id, "AUTHORIZED UNKNOWN CAPTURED CONTRADICTED", PAYMENT_STATE(AUTHORIZED));
    ck_assert_int_eq(NUMBER(&s, s.payment, "SELECT COUNT(*) FROM ledger_entry"), 2);
    shop_close(&s);
}
END_TEST

START_TEST(a_void_is_decided_only_as_done_and_behind_its_authorize)
{
    shop_open(&s, 1);
    const char *id = unknown("tok_mute");
    ck_assert(void_order(&s, "o1"));
    await_operation(&s, "o1-void", OPERATION_STATE(UNKNOWN));
    ck_refused(resolve(&s, "o1-void", false), RPC_FAILED_PRECONDITION, "VOID_CANNOT_FAIL", "");
    ck_refused(resolve(&s, "o1-void", true), RPC_FAILED_PRECONDITION, "AUTHORIZE_NOT_DECIDED", "");
    resolve(&s, "o1-authorize", true);
    ck_assert_int_eq(resolve(&s, "o1-void", true)->code, RPC_OK);
    come_back();
    ck_story(id, "UNKNOWN UNKNOWN AUTHORIZED VOIDED", PAYMENT_STATE(VOIDED));
    shop_close(&s);
}
END_TEST

START_TEST(a_refund_that_was_declined_is_decided_only_as_made_another_way)
{
    shop_open(&s, 1);
    const char *id = authorized(&s, "o1", "tok_refund_fails");
    capture(&s, id, "f1", 1000);
    await_operation(&s, "f1-capture", OPERATION_STATE(SUCCEEDED));
    refund(&s, id, "f1", 600);
    await_operation(&s, "f1-refund", OPERATION_STATE(DECLINED));
    ck_refused(resolve(&s, "f1-refund", false), RPC_FAILED_PRECONDITION, "OPERATION_NOT_UNKNOWN", "");
    ck_assert_int_eq(resolve(&s, "f1-refund", true)->code, RPC_OK);
    ck_refused(resolve(&s, "f1-refund", true), RPC_FAILED_PRECONDITION, "OPERATION_NOT_UNKNOWN", "");
    ck_assert_int_eq(minor_of(payment_now(&s, id)->refunded), 600);
    ck_assert_int_eq(NUMBER(&s, s.payment, "SELECT minor FROM ledger_balance WHERE account = 'PAID_OTHERWISE'"), -600);
    ck_assert_int_eq(NUMBER(&s, s.payment, "SELECT minor FROM ledger_balance WHERE account = 'PROCESSOR_RECEIVABLE'"),
                     1000);
    ck_assert_int_eq(NUMBER(&s, s.payment, "SELECT SUM(minor) FROM ledger_balance"), 0);
    refund(&s, id, "f2", 400);
    await_operation(&s, "f2-refund", OPERATION_STATE(DECLINED));
    refund(&s, id, "f3", 400);
    ck_refused(resolve(&s, "f2-refund", true), RPC_FAILED_PRECONDITION, "REFUND_EXCEEDS_CAPTURED", "");
    shop_close(&s);
}
END_TEST

SUITE("decision", 240, only_what_is_unknown_is_decided, an_answer_that_agrees_with_what_was_decided_is_not_told,
      what_was_decided_declined_and_then_authorized_is_contradicted_and_voided,
      a_void_that_waited_for_what_was_decided_is_done_all_the_same,
      what_was_decided_declined_while_a_customer_could_act_is_voided,
      what_was_decided_authorized_and_then_declined_is_contradicted,
      what_was_decided_authorized_and_waits_for_the_customer_is_followed,
      a_capture_that_was_decided_and_contradicted_is_booked_as_it_is,
      a_void_is_decided_only_as_done_and_behind_its_authorize,
      a_refund_that_was_declined_is_decided_only_as_made_another_way)
