/* What is asked of payments: accepted within what there is, refused precisely, and carried out once. */
#include "tests/suite.h"
#include "tests/svc-payment/till.h"

static struct shop s;

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
    ck_assert_str_eq(told(&s, "o1"), "AUTHORIZED CAPTURED REFUNDED");
    ck_books(&s);
    shop_close(&s);
}
END_TEST

SUITE("payments", 120, a_payment_is_authorized_captured_and_refunded)
