/* What the card processor answers, does not answer, or answers otherwise than a person has decided. */
#include "dev/sandbox/processor.h"
#include "tests/suite.h"
#include "tests/svc-payment/till.h"

#include <string.h>

static struct shop s;

static void ck_story(const char *payment_id, const char *story, Oms__Payment__V1__Payment__State state)
{
    till_settle(&s);
    ck_assert_str_eq(told(&s, "o1"), story);
    ck_assert_int_eq(payment_now(&s, payment_id)->state, state);
    ck_books(&s);
}

/* --- answers --- */

START_TEST(a_declined_card_says_why)
{
    static const struct {
        const char *token, *reason;
    } cards[] = {
        { "tok_declined", "CARD_DECLINED" },
        { "tok_poor", "INSUFFICIENT_FUNDS" },
        { "card", "TOKEN_UNKNOWN" },
        { "tok_\"},{", "TOKEN_UNKNOWN" },
    };
    for (size_t i = 0; i < sizeof(cards) / sizeof(cards[0]); i++) {
        shop_open(&s, i + 1);
        const char *id = authorize(&s, "o1", 1000, cards[i].token);
        ck_story(id, "DECLINED", PAYMENT_STATE(DECLINED));
        ck_assert_str_eq(payment_now(&s, id)->decline_reason, cards[i].reason);
        ck_assert_int_eq(minor_of(payment_now(&s, id)->authorized), 0);
        shop_close(&s);
    }
}
END_TEST

/* However the processor is slow, drops what it has answered, or is out of order for a while. */
START_TEST(a_card_is_charged_once_however_the_answer_comes)
{
    static const char *const tokens[] = { "tok_slow", "tok_late", "tok_silent", "tok_error", "tok_mute" };
    for (size_t i = 0; i < sizeof(tokens) / sizeof(tokens[0]); i++) {
        shop_open(&s, i + 1);
        const char *id = authorize(&s, "o1", 1000, tokens[i]);
        await_payment(&s, id, PAYMENT_STATE(AUTHORIZED));
        ck_assert_int_eq(processed(&s, "authorize"), 1);
        capture(&s, id, "f1", 1000);
        till_settle(&s);
        ck_assert_int_eq(processed(&s, "capture"), 1);
        ck_books(&s);
        shop_close(&s);
    }
}
END_TEST

START_TEST(what_has_no_answer_in_time_is_unknown_until_it_has)
{
    shop_open(&s, 1);
    const char *id = authorize(&s, "o1", 1000, "tok_mute");
    world_run(s.world, 9 * SECOND);
    ck_assert_int_eq(payment_now(&s, id)->state, PAYMENT_STATE(AUTHORIZING));
    world_run(s.world, 3 * SECOND);
    ck_assert_int_eq(payment_now(&s, id)->state, PAYMENT_STATE(UNKNOWN));
    ck_assert_str_eq(told(&s, "o1"), "UNKNOWN");
    ck_story(id, "UNKNOWN AUTHORIZED", PAYMENT_STATE(AUTHORIZED));
    ck_assert_int_eq(processed(&s, "authorize"), 1);
    shop_close(&s);
}
END_TEST

START_TEST(a_processor_that_is_away_for_an_hour_leaves_nothing_unknown)
{
    shop_open(&s, 1);
    const char *id = authorized(&s, "o1", "tok_ok");
    world_outside_down(s.world, "processor", true);
    capture(&s, id, "f1", 1000);
    const char *other = authorize(&s, "o2", 1000, "tok_declined");
    world_run(s.world, 3600 * SECOND);
    ck_assert_int_eq(operation_named(payment_now(&s, id), "f1-capture")->state, OPERATION_STATE(UNKNOWN));
    ck_assert_int_eq(payment_now(&s, id)->state, PAYMENT_STATE(AUTHORIZED));
    ck_assert_int_eq(payment_now(&s, other)->state, PAYMENT_STATE(UNKNOWN));
    world_outside_down(s.world, "processor", false);
    ck_story(id, "AUTHORIZED UNKNOWN CAPTURED", PAYMENT_STATE(CAPTURED));
    ck_assert_str_eq(told(&s, "o2"), "UNKNOWN DECLINED");
    shop_close(&s);
}
END_TEST

/* More than one transaction takes. */
START_TEST(many_that_have_no_answer_are_all_unknown)
{
    enum { N = 250 };
    shop_open(&s, 1);
    world_outside_down(s.world, "processor", true);
    for (int i = 0; i < N; i++)
        begin_authorize(&s, arena_printf(&s.arena, "o%d", i), 1000, "tok_ok");
    world_run(s.world, 12 * SECOND);
    ck_assert_int_eq(NUMBER(&s, s.payment, "SELECT COUNT(*) FROM payment_operation WHERE state = 5"), N);
    ck_assert_int_eq(NUMBER(&s, s.payment, "SELECT COUNT(*) FROM event_log WHERE type = 33"), N);
    ck_assert_int_eq(NUMBER(&s, s.payment, "SELECT COUNT(*) FROM overdue_round"), 0);
    world_outside_down(s.world, "processor", false);
    till_settle(&s);
    ck_assert_int_eq(processed(&s, "authorize"), N);
    ck_books(&s);
    shop_close(&s);
}
END_TEST

/* --- the customer has to act --- */

START_TEST(a_customer_who_proves_himself_is_authorized)
{
    shop_open(&s, 1);
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
    shop_open(&s, 1);
    const char *id = authorize(&s, "o1", 1000, "tok_3ds_fails");
    await_payment(&s, id, PAYMENT_STATE(DECLINED));
    ck_assert_str_eq(payment_now(&s, id)->decline_reason, "AUTHENTICATION_FAILED");
    ck_story(id, "ACTION_REQUIRED DECLINED", PAYMENT_STATE(DECLINED));
    shop_close(&s);
}
END_TEST

static uint64_t looks;

static void count_looks(void *arg, int64_t now_us, const struct fetch *fetch, struct outside_answer *ret)
{
    struct answer answer;
    looks += strcmp(fetch->verb, "GET") == 0;
    processor_answer(s.processor, s.epoch_us + now_us, fetch->verb, fetch->path, fetch->idempotency_key, fetch->body,
                     &answer);
    ret->status = answer.status;
    ret->body = (struct bytes){ (uint8_t *)arena_copy(&s.arena, answer.body, answer.len), answer.len };
    answer_finish(&answer);
}

START_TEST(a_customer_who_never_acts_expires_and_leaves_nothing_held)
{
    shop_open(&s, 1);
    looks = 0;
    world_outside(s.world, "processor", count_looks, NULL);
    const char *id = authorize(&s, "o1", 1000, "tok_3ds_never");
    world_run(s.world, 14 * 60 * SECOND);
    ck_assert_int_eq(payment_now(&s, id)->state, PAYMENT_STATE(ACTION_REQUIRED));
    ck_assert_uint_gt(looks, 14 * 60 / 5 - 1);
    ck_assert_uint_lt(looks, 14 * 60 / 5 + 20);
    world_run(s.world, 2 * 60 * SECOND);
    ck_assert_str_eq(payment_now(&s, id)->decline_reason, "ACTION_EXPIRED");
    ck_story(id, "ACTION_REQUIRED EXPIRED VOIDED", PAYMENT_STATE(DECLINED));
    ck_assert_int_eq(processed(&s, "void"), 1);
    ck_assert(!void_order(&s, "o1"));
    uint64_t before = looks;
    world_run(s.world, 60 * SECOND);
    ck_assert_uint_eq(looks, before);
    shop_close(&s);
}
END_TEST

/* --- a person decides --- */

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

/* --- answers that are none --- */

static struct script {
    const char *path; /* that it is about */
    int status;
    const char *body;
    int times; /* then the sandbox answers */
} script;

static void scripted(void *arg, int64_t now_us, const struct fetch *fetch, struct outside_answer *ret)
{
    if (strcmp(fetch->path, script.path) != 0 || script.times == 0) {
        count_looks(arg, now_us, fetch, ret);
        return;
    }
    script.times--;
    ret->status = script.status;
    ret->body = (struct bytes){ (const uint8_t *)script.body, strlen(script.body) };
}

START_TEST(what_is_not_understood_is_no_answer)
{
    static const struct script scripts[] = {
        { "/v1/authorizations", 400, "<html>Bad Request</html>", 2 },
        { "/v1/authorizations", 400, "{\"error\":\"Bert is not known\"}", 2 },
        { "/v1/authorizations", 401, "{\"error\":\"WHO_ARE_YOU\"}", 2 },
        { "/v1/authorizations", 403, "{\"error\":\"FORBIDDEN\"}", 2 },
        { "/v1/authorizations", 404, "{\"error\":\"NOT_FOUND\"}", 2 },
        { "/v1/authorizations", 302, "", 2 },
        { "/v1/authorizations", 200, "", 2 },
        { "/v1/authorizations", 200, "[]", 2 },
        { "/v1/authorizations", 200, "{\"status\":\"perhaps\"}", 2 },
        { "/v1/authorizations", 200, "{\"status\":\"declined\",\"status\":\"succeeded\"}", 2 },
        { "/v1/authorizations", 500, "{\"status\":\"declined\"}", 2 },
        { "/v1/captures", 200, "{\"status\":\"requires_action\"}", 2 },
    };
    for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++) {
        shop_open(&s, i + 1);
        script = scripts[i];
        world_outside(s.world, "processor", scripted, NULL);
        const char *id = authorized(&s, "o1", "tok_ok");
        capture(&s, id, "f1", 1000);
        ck_story(id, "AUTHORIZED CAPTURED", PAYMENT_STATE(CAPTURED));
        ck_assert_int_eq(script.times, 0);
        shop_close(&s);
    }
}
END_TEST

/* Nothing of a person's gets into events. */
START_TEST(a_reason_is_a_code_or_not_told)
{
    static const char *const bodies[] = {
        "{\"status\":\"declined\",\"reason\":\"Anna Bird has no money\"}",
        "{\"status\":\"declined\",\"reason\":\"\"}",
        "{\"status\":\"declined\",\"reason\":7}",
        "{\"status\":\"declined\"}",
    };
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        shop_open(&s, i + 1);
        script = (struct script){ "/v1/authorizations", 200, bodies[i], 1 };
        world_outside(s.world, "processor", scripted, NULL);
        const char *id = authorize(&s, "o1", 1000, "tok_ok");
        await_payment(&s, id, PAYMENT_STATE(DECLINED));
        ck_assert_str_eq(payment_now(&s, id)->decline_reason, "DECLINED");
        shop_close(&s);
    }
}
END_TEST

/* A hold that the processor does not let go is asked for until it does. */
START_TEST(a_void_that_is_refused_is_asked_for_again)
{
    shop_open(&s, 1);
    script = (struct script){ "/v1/voids", 400, "{\"error\":\"NOT_NOW\"}", 9 };
    world_outside(s.world, "processor", scripted, NULL);
    const char *id = authorized(&s, "o1", "tok_ok");
    void_order(&s, "o1");
    ck_story(id, "AUTHORIZED UNKNOWN VOIDED", PAYMENT_STATE(VOIDED));
    shop_close(&s);
}
END_TEST

SUITE("processor", 240, a_declined_card_says_why, a_card_is_charged_once_however_the_answer_comes,
      what_has_no_answer_in_time_is_unknown_until_it_has, a_processor_that_is_away_for_an_hour_leaves_nothing_unknown,
      many_that_have_no_answer_are_all_unknown, a_customer_who_proves_himself_is_authorized,
      a_customer_who_does_not_prove_himself_is_declined, a_customer_who_never_acts_expires_and_leaves_nothing_held,
      only_what_is_unknown_is_decided, an_answer_that_agrees_with_what_was_decided_is_not_told,
      what_was_decided_declined_and_then_authorized_is_contradicted_and_voided,
      a_void_that_waited_for_what_was_decided_is_done_all_the_same,
      what_was_decided_declined_while_a_customer_could_act_is_voided,
      what_was_decided_authorized_and_then_declined_is_contradicted,
      what_was_decided_authorized_and_waits_for_the_customer_is_followed,
      a_capture_that_was_decided_and_contradicted_is_booked_as_it_is,
      a_void_is_decided_only_as_done_and_behind_its_authorize, what_is_not_understood_is_no_answer,
      a_reason_is_a_code_or_not_told, a_void_that_is_refused_is_asked_for_again)
