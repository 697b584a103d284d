/* The customer has to prove himself (3-D Secure): he does, he does not, never, too late, or is given up meanwhile. */
#include "tests/suite.h"
#include "tests/svc-payment/till.h"

#include <string.h>

static struct shop s;

/* How the processor behaves otherwise than the sandbox's. */
static struct {
    uint64_t looks;        /* so many so far */
    int64_t look_delay_us; /* so late is a look answered */
    bool acted;            /* the customer, whatever the token */
    int voids_refused;     /* so many more */
} stub;

static void answer(void *arg, int64_t now_us, const struct fetch *fetch, struct outside_answer *ret)
{
    static const char succeeded[] = "{\"status\":\"succeeded\",\"id\":\"prc_1\"}";
    bool look = strcmp(fetch->verb, "GET") == 0;
    if (strcmp(fetch->path, "/v1/voids") == 0 && stub.voids_refused > 0) {
        stub.voids_refused--;
        ret->status = 400;
        return;
    }
    outside_processor(&s, now_us, fetch, ret);
    if (!look)
        return;
    stub.looks++;
    ret->delay_us = stub.look_delay_us;
    if (stub.acted)
        ret->body = (struct bytes){ (const uint8_t *)succeeded, strlen(succeeded) };
}

static void open_shop(uint64_t seed)
{
    memset(&stub, 0, sizeof(stub));
    shop_open(&s, seed);
    world_outside(s.world, "processor", answer, NULL);
}

static void ck_story(const char *payment_id, const char *story, Oms__Payment__V1__Payment__State state)
{
    till_settle(&s);
    ck_assert_str_eq(told(&s, "o1"), story);
    ck_assert_int_eq(payment_now(&s, payment_id)->state, state);
    ck_books(&s);
}

START_TEST(a_customer_who_proves_himself_is_authorized)
{
    open_shop(1);
    const char *id = authorize(&s, "o1", 1000, "tok_3ds");
    await_payment(&s, id, PAYMENT_STATE(ACTION_REQUIRED));
    ck_assert_ptr_nonnull(strstr(payment_now(&s, id)->action_url, "http://"));
    ck_refused(ask_end(begin_capture(&s, id, "f1", 1)), RPC_FAILED_PRECONDITION, "PAYMENT_NOT_AUTHORIZED", "");
    world_run(s.world, SECOND);
    ck_assert_str_eq(payment_now(&s, id)->action_url, "");
    ck_story(id, "ACTION_REQUIRED AUTHORIZED", PAYMENT_STATE(AUTHORIZED));
    world_run(s.world, 1000 * SECOND);
    ck_story(id, "ACTION_REQUIRED AUTHORIZED", PAYMENT_STATE(AUTHORIZED));
    shop_close(&s);
}
END_TEST

START_TEST(a_customer_who_does_not_prove_himself_is_declined)
{
    open_shop(1);
    const char *id = authorize(&s, "o1", 1000, "tok_3ds_fails");
    await_payment(&s, id, PAYMENT_STATE(DECLINED));
    ck_assert_str_eq(payment_now(&s, id)->decline_reason, "AUTHENTICATION_FAILED");
    ck_story(id, "ACTION_REQUIRED DECLINED", PAYMENT_STATE(DECLINED));
    shop_close(&s);
}
END_TEST

START_TEST(a_customer_who_never_acts_expires_and_leaves_nothing_held)
{
    open_shop(1);
    const char *id = authorize(&s, "o1", 1000, "tok_3ds_never");
    world_run(s.world, 14 * 60 * SECOND);
    ck_assert_int_eq(payment_now(&s, id)->state, PAYMENT_STATE(ACTION_REQUIRED));
    ck_assert_uint_gt(stub.looks, 14 * 60 / 5 - 1);
    ck_assert_uint_lt(stub.looks, 14 * 60 / 5 + 20);
    world_run(s.world, 2 * 60 * SECOND);
    ck_assert_str_eq(payment_now(&s, id)->decline_reason, "ACTION_EXPIRED");
    ck_story(id, "ACTION_REQUIRED EXPIRED VOIDED", PAYMENT_STATE(DECLINED));
    ck_assert_int_eq(processed(&s, "void"), 1);
    ck_assert(!void_order(&s, "o1"));
    uint64_t before = stub.looks;
    world_run(s.world, 60 * SECOND);
    ck_assert_uint_eq(stub.looks, before);
    shop_close(&s);
}
END_TEST

/* He acts, we ask, he is voided, and only then the answer to what we asked comes. */
START_TEST(an_answer_from_before_the_void_contradicts_nothing)
{
    open_shop(1);
    stub.look_delay_us = 3 * SECOND;
    const char *id = authorize(&s, "o1", 1000, "tok_3ds_never");
    await_payment(&s, id, PAYMENT_STATE(ACTION_REQUIRED));
    stub.acted = true;
    world_run(s.world, SECOND);
    ck_assert_uint_eq(stub.looks, 1);
    ck_assert(void_order(&s, "o1"));
    world_run(s.world, SECOND);
    ck_assert_int_eq(payment_now(&s, id)->state, PAYMENT_STATE(VOIDED));
    world_run(s.world, 10 * SECOND);
    ck_story(id, "ACTION_REQUIRED VOIDED", PAYMENT_STATE(VOIDED));
    shop_close(&s);
}
END_TEST

START_TEST(nobody_looks_after_a_customer_who_is_to_be_voided)
{
    open_shop(1);
    stub.voids_refused = 6;
    const char *id = authorize(&s, "o1", 1000, "tok_3ds_never");
    await_payment(&s, id, PAYMENT_STATE(ACTION_REQUIRED));
    ck_assert(void_order(&s, "o1"));
    uint64_t before = stub.looks;
    world_run(s.world, 3 * SECOND);
    ck_assert_int_eq(payment_now(&s, id)->state, PAYMENT_STATE(ACTION_REQUIRED));
    ck_assert_uint_eq(stub.looks, before);
    ck_story(id, "ACTION_REQUIRED VOIDED", PAYMENT_STATE(VOIDED));
    shop_close(&s);
}
END_TEST

/* The last look is on its way when his time is over. */
START_TEST(a_customer_who_acts_too_late_is_contradicted_and_voided)
{
    open_shop(1);
    const char *id = authorize(&s, "o1", 1000, "tok_3ds_never");
    await_payment(&s, id, PAYMENT_STATE(ACTION_REQUIRED));
    world_run(s.world, 15 * 60 * SECOND - 5500000);
    stub.acted = true;
    stub.look_delay_us = 4900000;
    stub.voids_refused = 20;
    world_run(s.world, 8 * SECOND);
    ck_assert_str_eq(told(&s, "o1"), "ACTION_REQUIRED EXPIRED CONTRADICTED");
    stub.voids_refused = 0;
    till_settle(&s);
    ck_assert_int_eq(payment_now(&s, id)->state, PAYMENT_STATE(VOIDED));
    ck_assert_int_eq(processed(&s, "void"), 1);
    shop_close(&s);
}
END_TEST

SUITE("action", 240, a_customer_who_proves_himself_is_authorized, a_customer_who_does_not_prove_himself_is_declined,
      a_customer_who_never_acts_expires_and_leaves_nothing_held, an_answer_from_before_the_void_contradicts_nothing,
      nobody_looks_after_a_customer_who_is_to_be_voided, a_customer_who_acts_too_late_is_contradicted_and_voided)
