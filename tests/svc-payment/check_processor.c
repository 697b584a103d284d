/* What the card processor answers, and what it does not. */
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
        outside_processor(&s, now_us, fetch, ret);
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
      many_that_have_no_answer_are_all_unknown, what_is_not_understood_is_no_answer, a_reason_is_a_code_or_not_told,
      a_void_that_is_refused_is_asked_for_again)
