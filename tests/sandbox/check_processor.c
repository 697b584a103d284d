/* Tests of dev/sandbox/processor.c, accounts.c and tokens.c. */
#include "dev/sandbox/processor.h"
#include "tests/sandbox/journal.h"
#include "tests/suite.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define SECOND 1000000

static struct kept kept;
static struct processor *p;
static int64_t now_us = 1000 * (int64_t)SECOND;

static void open_processor(void)
{
    struct journal journal = kept_journal(&kept);
    ck_assert_int_eq(processor_create(&journal, &p), 0);
}

static void close_processor(void)
{
    processor_destroy(p);
    kept_finish(&kept);
}

__attribute__((format(printf, 3, 4))) static struct answer post(const char *path, const char *key, const char *format,
                                                                ...)
{
    char body[512];
    struct answer answer;
    va_list args;
    va_start(args, format);
    int len = vsnprintf(body, sizeof(body), format, args);
    va_end(args);
    processor_answer(p, now_us, "POST", path, key, (struct bytes){ (const uint8_t *)body, (size_t)len }, &answer);
    return answer;
}

static struct answer authorize(const char *key, const char *token, int amount)
{
    return post("/v1/authorizations", key,
                "{\"amount_minor\":%d,\"currency\":\"GBP\",\"token\":\"%s\",\"reference\":\"ord_1\"}", amount, token);
}

static struct answer move(const char *path, const char *key, const char *authorization, int amount)
{
    return post(path, key, "{\"authorization\":\"%s\",\"amount_minor\":%d,\"currency\":\"GBP\"}", authorization,
                amount);
}

static struct answer capture(const char *key, const char *authorization, int amount)
{
    return move("/v1/captures", key, authorization, amount);
}

static struct answer refund(const char *key, const char *authorization, int amount)
{
    return move("/v1/refunds", key, authorization, amount);
}

static struct answer void_it(const char *key, const char *authorization)
{
    return post("/v1/voids", key, "{\"authorization\":\"%s\"}", authorization);
}

static struct answer look(const char *key)
{
    char path[256];
    struct answer answer;
    snprintf(path, sizeof(path), "/v1/operations/%s", key);
    processor_answer(p, now_us, "GET", path, NULL, (struct bytes){ 0 }, &answer);
    return answer;
}

static void expect_now(struct answer answer, int status, const char *text)
{
    ck_assert(!answer.silent);
    ck_assert_int_eq(answer.delay_us, 0);
    expect(&answer, status, text);
}

static void expect_silence(struct answer answer, int64_t delay_us)
{
    ck_assert(answer.silent);
    ck_assert_int_eq(answer.delay_us, delay_us);
    answer_finish(&answer);
}

/* --- tokens --- */

START_TEST(a_good_card_is_authorized)
{
    open_processor();
    expect_now(authorize("a", "tok_ok", 500), 200, "{\"status\":\"succeeded\",\"id\":\"prc_");
    expect_now(authorize("b", "tok_whatever", 500), 200, "\"succeeded\"");
    expect_now(look("a"), 200, "\"succeeded\"");
    expect_now(look("c"), 404, "UNKNOWN_OPERATION");
    ck_assert_int_eq(kept_lines(&kept), 2);
    ck_assert_int_eq(kept_count(&kept,
                                "{\"key\":\"a\",\"kind\":\"authorize\",\"authorization\":\"a\",\"amount_minor\":500,"
                                "\"currency\":\"GBP\",\"status\":\"succeeded\""),
                     1);
    ck_assert_int_eq(kept_count(&kept, "\"reference\":\"ord_1\",\"time_us\":1000000000}"), 2);
    close_processor();
}
END_TEST

START_TEST(cards_are_declined_for_a_reason)
{
    open_processor();
    expect_now(authorize("a", "tok_declined", 500), 200, "\"reason\":\"CARD_DECLINED\"");
    expect_now(authorize("b", "tok_poor", 500), 200, "\"reason\":\"INSUFFICIENT_FUNDS\"");
    expect_now(look("b"), 200, "{\"status\":\"declined\"");
    expect_now(capture("c", "a", 1), 400, "AUTHORIZATION_DECLINED");
    close_processor();
}
END_TEST

START_TEST(a_customer_acts_and_then_it_has_succeeded)
{
    open_processor();
    ck_assert_int_eq(processor_next_us(p), INT64_MAX);
    expect_now(authorize("a", "tok_3ds", 500), 200, "\"action_url\":\"http://");
    ck_assert_int_eq(processor_next_us(p), now_us + 300000);
    now_us += 299999;
    expect_now(look("a"), 200, "requires_action");
    expect_now(capture("c", "a", 1), 400, "AUTHORIZATION_OPEN");
    now_us += 1;
    expect_now(look("a"), 200, "succeeded");
    expect_now(authorize("a", "tok_3ds", 500), 200, "requires_action");
    expect_now(capture("c", "a", 500), 200, "succeeded");
    ck_assert_int_eq(processor_next_us(p), INT64_MAX);
    ck_assert_int_eq(kept_count(&kept, "\"status\":\"succeeded\""), 2);
    close_processor();
}
END_TEST

START_TEST(a_customer_fails_or_never_acts)
{
    open_processor();
    expect_now(authorize("a", "tok_3ds_fails", 500), 200, "requires_action");
    expect_now(authorize("b", "tok_3ds_never", 500), 200, "requires_action");
    now_us += 3600LL * SECOND;
    expect_now(look("a"), 200, "\"reason\":\"AUTHENTICATION_FAILED\"");
    expect_now(look("b"), 200, "requires_action");
    ck_assert_int_eq(processor_next_us(p), INT64_MAX);
    close_processor();
}
END_TEST

START_TEST(slow_and_late_answers_come_that_long_after_it_was_done)
{
    static const struct {
        const char *token;
        int64_t after_us;
    } rows[] = { { "tok_slow", 2 * SECOND }, { "tok_late", 20 * SECOND } };
    open_processor();
    for (size_t i = 0; i < 2; i++) {
        struct answer answer = authorize(rows[i].token, rows[i].token, 500);
        ck_assert_int_eq(answer.delay_us, rows[i].after_us);
        expect(&answer, 200, "succeeded");
        expect_now(look(rows[i].token), 200, "succeeded");
        now_us += SECOND;
        answer = authorize(rows[i].token, rows[i].token, 500);
        ck_assert_int_eq(answer.delay_us, rows[i].after_us - SECOND);
        expect(&answer, 200, "succeeded");
        now_us += rows[i].after_us;
        expect_now(authorize(rows[i].token, rows[i].token, 500), 200, "succeeded");
    }
    ck_assert_int_eq(kept_lines(&kept), 2);
    close_processor();
}
END_TEST

START_TEST(the_silent_do_it_once_and_answer_the_fourth_time)
{
    open_processor();
    for (int i = 0; i < 3; i++)
        expect_silence(authorize("a", "tok_silent", 500), 0);
    expect_now(look("a"), 200, "succeeded");
    expect_now(authorize("a", "tok_silent", 500), 200, "succeeded");
    ck_assert_int_eq(kept_lines(&kept), 1);
    close_processor();
}
END_TEST

START_TEST(the_mute_do_nothing_for_fifteen_seconds_and_then_all_is_well)
{
    open_processor();
    expect_silence(authorize("a", "tok_mute", 500), 15 * SECOND);
    now_us += 5 * SECOND;
    expect_silence(authorize("a", "tok_mute", 500), 10 * SECOND);
    expect_now(look("a"), 404, "UNKNOWN_OPERATION");
    now_us += 10 * SECOND;
    ck_assert_int_eq(kept_lines(&kept), 0);
    expect_now(authorize("a", "tok_mute", 500), 200, "succeeded");
    expect_now(authorize("a", "tok_mute", 500), 200, "succeeded");
    ck_assert_int_eq(kept_lines(&kept), 1);
    close_processor();
}
END_TEST

START_TEST(errors_end_the_third_time)
{
    open_processor();
    expect_now(authorize("a", "tok_error", 500), 503, "TRY_AGAIN");
    expect_now(authorize("a", "tok_error", 500), 503, "TRY_AGAIN");
    ck_assert_int_eq(kept_lines(&kept), 0);
    expect_now(authorize("a", "tok_error", 500), 200, "succeeded");
    close_processor();
}
END_TEST

START_TEST(captures_and_refunds_can_be_refused)
{
    open_processor();
    expect_now(authorize("a", "tok_capture_fails", 500), 200, "succeeded");
    expect_now(capture("c", "a", 500), 200, "\"reason\":\"CAPTURE_REFUSED\"");
    ck_assert_int_eq(processor_captured(p, "a"), 0);
    expect_now(authorize("b", "tok_refund_fails", 500), 200, "succeeded");
    expect_now(capture("d", "b", 500), 200, "succeeded");
    expect_now(refund("e", "b", 500), 200, "\"reason\":\"REFUND_REFUSED\"");
    ck_assert_int_eq(processor_refunded(p, "b"), 0);
    close_processor();
}
END_TEST

/* --- keys and sums --- */

START_TEST(a_key_has_one_effect_and_one_answer)
{
    open_processor();
    expect_now(authorize("a", "tok_ok", 500), 200, "succeeded");
    struct answer first = capture("c", "a", 300), again = capture("c", "a", 300);
    ck_assert_str_eq(first.body, again.body);
    answer_finish(&first);
    answer_finish(&again);
    ck_assert_int_eq(processor_captured(p, "a"), 300);
    expect_now(refund("r", "a", 100), 200, "succeeded");
    expect_now(refund("r", "a", 100), 200, "succeeded");
    ck_assert_int_eq(processor_refunded(p, "a"), 100);
    expect_now(void_it("v", "a"), 200, "succeeded");
    expect_now(void_it("v", "a"), 200, "succeeded");
    ck_assert_int_eq(kept_lines(&kept), 4);
    close_processor();
}
END_TEST

START_TEST(another_request_under_a_key_is_refused)
{
    open_processor();
    expect_now(authorize("a", "tok_ok", 500), 200, "succeeded");
    expect_now(authorize("a", "tok_ok", 501), 409, "KEY_REUSED");
    expect_now(authorize("a", "tok_poor", 500), 409, "KEY_REUSED");
    expect_now(post("/v1/authorizations", "a",
                    "{\"amount_minor\":500,\"currency\":\"EUR\",\"token\":\"tok_ok\",\"reference\":\"ord_1\"}"),
               409, "KEY_REUSED");
    expect_now(post("/v1/authorizations", "a",
                    "{\"amount_minor\":500,\"currency\":\"GBP\",\"token\":\"tok_ok\",\"reference\":\"ord_2\"}"),
               409, "KEY_REUSED");
    expect_now(capture("a", "a", 500), 409, "KEY_REUSED");
    expect_now(void_it("a", "a"), 409, "KEY_REUSED");
    expect_now(capture("c", "a", 1), 200, "succeeded");
    expect_now(capture("c", "a", 2), 409, "KEY_REUSED");
    expect_now(refund("c", "a", 1), 409, "KEY_REUSED");
    ck_assert_int_eq(kept_lines(&kept), 2);
    close_processor();
}
END_TEST

START_TEST(captures_stay_within_the_authorization_and_refunds_within_captures)
{
    open_processor();
    expect_now(authorize("a", "tok_ok", 500), 200, "succeeded");
    expect_now(capture("c1", "a", 501), 400, "CAPTURE_EXCEEDS_AUTHORIZATION");
    expect_now(capture("c1", "a", 300), 200, "succeeded");
    expect_now(capture("c2", "a", 201), 400, "CAPTURE_EXCEEDS_AUTHORIZATION");
    expect_now(capture("c2", "a", 200), 200, "succeeded");
    expect_now(capture("c3", "a", 1), 400, "CAPTURE_EXCEEDS_AUTHORIZATION");
    expect_now(refund("r1", "a", 501), 400, "REFUND_EXCEEDS_CAPTURES");
    expect_now(refund("r1", "a", 500), 200, "succeeded");
    expect_now(refund("r2", "a", 1), 400, "REFUND_EXCEEDS_CAPTURES");
    expect_now(capture("c4", "none", 1), 400, "AUTHORIZATION_UNKNOWN");
    expect_now(refund("r4", "c1", 1), 400, "AUTHORIZATION_UNKNOWN");
    expect_now(post("/v1/captures", "c5", "{\"authorization\":\"a\",\"amount_minor\":1,\"currency\":\"EUR\"}"), 400,
               "CURRENCY_MISMATCH");
    ck_assert_int_eq(kept_lines(&kept), 4);
    close_processor();
}
END_TEST

/* --- voids --- */

START_TEST(what_was_voided_before_it_came_is_declined)
{
    open_processor();
    expect_now(void_it("v", "a"), 200, "succeeded");
    expect_now(look("a"), 404, "UNKNOWN_OPERATION");
    expect_now(void_it("w", "a"), 200, "succeeded");
    expect_now(authorize("a", "tok_ok", 500), 200, "\"reason\":\"VOIDED\"");
    expect_now(void_it("x", "b"), 200, "succeeded");
    expect_now(authorize("b", "tok_3ds", 500), 200, "\"reason\":\"VOIDED\"");
    expect_now(void_it("y", "a"), 200, "succeeded");
    close_processor();
}
END_TEST

START_TEST(nothing_is_captured_after_a_void_but_what_was_captured_can_be_refunded)
{
    open_processor();
    expect_now(authorize("a", "tok_ok", 500), 200, "succeeded");
    expect_now(capture("c", "a", 300), 200, "succeeded");
    expect_now(void_it("v", "a"), 200, "succeeded");
    expect_now(capture("d", "a", 100), 200, "\"reason\":\"VOIDED\"");
    expect_now(look("a"), 200, "succeeded");
    expect_now(refund("r", "a", 300), 200, "succeeded");
    ck_assert_int_eq(processor_captured(p, "a"), 300);
    ck_assert_int_eq(processor_refunded(p, "a"), 300);
    close_processor();
}
END_TEST

START_TEST(a_customer_who_is_too_late_finds_it_voided)
{
    open_processor();
    expect_now(authorize("a", "tok_3ds", 500), 200, "requires_action");
    expect_now(void_it("v", "a"), 200, "succeeded");
    now_us += SECOND;
    expect_now(look("a"), 200, "\"reason\":\"VOIDED\"");
    expect_now(capture("c", "a", 1), 200, "\"reason\":\"VOIDED\"");
    ck_assert_int_eq(kept_count(&kept, "\"key\":\"a\""), 1);
    close_processor();
}
END_TEST

/* --- requests --- */

START_TEST(what_is_wrong_with_a_request_is_told_and_leaves_no_trace)
{
    static const char *const bodies[][2] = {
        { "", "BODY_INVALID" },
        { "[]", "BODY_INVALID" },
        { "{\"amount_minor\":1,\"amount_minor\":2}", "BODY_INVALID" },
        { "{}", "AMOUNT_INVALID" },
        { "{\"amount_minor\":0,\"currency\":\"GBP\"}", "AMOUNT_INVALID" },
        { "{\"amount_minor\":-5,\"currency\":\"GBP\"}", "AMOUNT_INVALID" },
        { "{\"amount_minor\":1.5,\"currency\":\"GBP\"}", "AMOUNT_INVALID" },
        { "{\"amount_minor\":\"1\",\"currency\":\"GBP\"}", "AMOUNT_INVALID" },
        { "{\"amount_minor\":1,\"currency\":\"gbp\"}", "CURRENCY_INVALID" },
        { "{\"amount_minor\":1,\"currency\":\"GBP\",\"token\":\"4111111111111111\"}", "TOKEN_UNKNOWN" },
        { "{\"amount_minor\":1,\"currency\":\"GBP\",\"token\":\"tok_\\\"\"}", "TOKEN_UNKNOWN" },
        { "{\"amount_minor\":1,\"currency\":\"GBP\",\"token\":\"tok_ok\"}", "REFERENCE_INVALID" },
    };
    open_processor();
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++)
        expect_now(post("/v1/authorizations", "a", "%s", bodies[i][0]), 400, bodies[i][1]);
    expect_now(authorize(NULL, "tok_ok", 1), 400, "KEY_INVALID");
    expect_now(authorize("", "tok_ok", 1), 400, "KEY_INVALID");
    expect_now(authorize("a b", "tok_ok", 1), 400, "KEY_INVALID");
    expect_now(post("/v1/voids", "v", "{}"), 400, "AUTHORIZATION_INVALID");
    expect_now(post("/v1/elsewhere", "v", "{}"), 404, "NOT_FOUND");
    expect_now(look("a/b"), 404, "NOT_FOUND");
    ck_assert_int_eq(kept_lines(&kept), 0);
    expect_now(authorize("a", "tok_ok", 1), 200, "succeeded");
    close_processor();
}
END_TEST

START_TEST(what_cannot_be_written_down_is_not_done)
{
    open_processor();
    kept.refuse = -ENOSPC;
    expect_now(authorize("a", "tok_ok", 500), 503, "BOOK_UNAVAILABLE");
    expect_now(void_it("v", "b"), 503, "BOOK_UNAVAILABLE");
    expect_now(look("a"), 404, "UNKNOWN_OPERATION");
    kept.refuse = 0;
    expect_now(authorize("b", "tok_3ds", 500), 200, "requires_action");
    kept.refuse = -ENOSPC;
    now_us += SECOND;
    expect_now(look("b"), 200, "requires_action");
    kept.refuse = 0;
    expect_now(look("b"), 200, "succeeded");
    close_processor();
}
END_TEST

/* --- the book --- */

static void much_happens(void)
{
    char key[32], other[32];
    for (int i = 0; i < 300; i++) {
        static const char *const tokens[] = { "tok_ok", "tok_poor", "tok_3ds", "tok_3ds_never", "tok_capture_fails" };
        struct answer answer;
        snprintf(key, sizeof(key), "a%d", i);
        answer = authorize(key, tokens[i % 5], 100 + i);
        answer_finish(&answer);
        snprintf(other, sizeof(other), "c%d", i);
        answer = capture(other, key, 50);
        answer_finish(&answer);
        snprintf(other, sizeof(other), "r%d", i);
        answer = refund(other, key, 20);
        answer_finish(&answer);
        snprintf(other, sizeof(other), "v%d", i);
        snprintf(key, sizeof(key), "a%d", i + i % 3);
        answer = i % 4 == 0 ? void_it(other, key) : look(other);
        answer_finish(&answer);
        now_us += 10000;
    }
    expect_now(void_it("v301", "a301"), 200, "succeeded");
}

static void write_one(void *arg, const struct processed *o)
{
    fprintf(arg, "%s %s %s %lld %s %s %s %s %s %lld %lld %lld\n", o->key, o->kind, o->authorization,
            (long long)o->amount_minor, o->currency, o->status, o->reason, o->token, o->reference,
            (long long)o->time_us, (long long)processor_captured(p, o->key), (long long)processor_refunded(p, o->key));
}

/* All that is known, as text; the caller's. */
static char *state(void)
{
    char *text;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    processor_each(p, write_one, out);
    fprintf(out, "%lld\n", (long long)processor_next_us(p));
    fclose(out);
    return text;
}

static void restart_with(struct bytes book, size_t whole)
{
    size_t len = 0;
    processor_destroy(p);
    open_processor();
    ck_assert_int_eq(outsider_replay(book, processor_replay, p, &len), 0);
    ck_assert_uint_eq(len, whole);
}

START_TEST(the_book_makes_the_same_state_again)
{
    open_processor();
    much_happens();
    char *before = state();
    size_t lines = kept_lines(&kept);
    restart_with(kept_bytes(&kept), kept.len);
    char *after = state();
    ck_assert(strcmp(before, after) == 0);
    expect_now(authorize("a0", "tok_ok", 100), 200, "succeeded");
    expect_now(authorize("a0", "tok_ok", 101), 409, "KEY_REUSED");
    expect_now(authorize("a2", "tok_3ds", 102), 200, "requires_action");
    expect_now(look("a2"), 200, "succeeded");
    expect_now(authorize("a301", "tok_ok", 1), 200, "VOIDED");
    now_us += SECOND;
    processor_advance(p, now_us);
    ck_assert_uint_gt(kept_lines(&kept), lines);
    free(before);
    free(after);
    close_processor();
}
END_TEST

START_TEST(a_torn_last_line_is_cut_off_and_can_be_done_again)
{
    open_processor();
    expect_now(authorize("a", "tok_ok", 500), 200, "succeeded");
    size_t whole = kept.len;
    expect_now(capture("c", "a", 500), 200, "succeeded");
    for (size_t len = whole; len < kept.len; len++)
        restart_with((struct bytes){ (const uint8_t *)kept.text, len }, whole);
    expect_now(look("c"), 404, "UNKNOWN_OPERATION");
    expect_now(capture("c", "a", 500), 200, "succeeded");
    close_processor();
}
END_TEST

START_TEST(a_book_that_makes_no_sense_is_refused)
{
    static const char *const lines[] = {
        "nonsense\n",
        "{}\n",
        "{\"key\":\"a\",\"kind\":\"gift\",\"authorization\":\"a\",\"status\":\"succeeded\"}\n",
        "{\"key\":\"a\",\"kind\":\"void\",\"authorization\":\"a\",\"status\":\"odd\"}\n",
        ("{\"key\":\"a\",\"kind\":\"void\",\"authorization\":\"b\",\"status\":\"succeeded\"}\n"
         "{\"key\":\"a\",\"kind\":\"void\",\"authorization\":\"b\",\"status\":\"succeeded\"}\n"),
    };
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        size_t len = 77;
        open_processor();
        ck_assert_int_eq(
            outsider_replay((struct bytes){ (const uint8_t *)lines[i], strlen(lines[i]) }, processor_replay, p, &len),
            -EBADMSG);
        ck_assert_uint_eq(len, 77);
        close_processor();
    }
}
END_TEST

SUITE("sandbox_processor", 10, a_good_card_is_authorized, cards_are_declined_for_a_reason,
      a_customer_acts_and_then_it_has_succeeded, a_customer_fails_or_never_acts,
      slow_and_late_answers_come_that_long_after_it_was_done, the_silent_do_it_once_and_answer_the_fourth_time,
      the_mute_do_nothing_for_fifteen_seconds_and_then_all_is_well, errors_end_the_third_time,
      captures_and_refunds_can_be_refused, a_key_has_one_effect_and_one_answer, another_request_under_a_key_is_refused,
      captures_stay_within_the_authorization_and_refunds_within_captures, what_was_voided_before_it_came_is_declined,
      nothing_is_captured_after_a_void_but_what_was_captured_can_be_refunded,
      a_customer_who_is_too_late_finds_it_voided, what_is_wrong_with_a_request_is_told_and_leaves_no_trace,
      what_cannot_be_written_down_is_not_done, the_book_makes_the_same_state_again,
      a_torn_last_line_is_cut_off_and_can_be_done_again, a_book_that_makes_no_sense_is_refused)
