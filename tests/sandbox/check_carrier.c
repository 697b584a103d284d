/* Tests of dev/sandbox/carrier.c, parcels.c, moves.c and cities.c. */
#include "dev/sandbox/carrier.h"
#include "tests/sandbox/journal.h"
#include "tests/suite.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define SECOND 1000000

static struct kept kept;
static struct carrier *c;
static int64_t now_us = 1000 * (int64_t)SECOND;

static void open_carrier(int64_t speed_percent)
{
    struct journal journal = kept_journal(&kept);
    ck_assert_int_eq(carrier_create(&journal, speed_percent, &c), 0);
}

static void close_carrier(void)
{
    carrier_destroy(c);
    kept_finish(&kept);
}

__attribute__((format(printf, 4, 5))) static struct answer ask(const char *verb, const char *key, const char *body,
                                                               const char *format, ...)
{
    char path[256];
    struct answer answer;
    va_list args;
    va_start(args, format);
    vsnprintf(path, sizeof(path), format, args);
    va_end(args);
    carrier_answer(c, now_us, verb, path, key, (struct bytes){ (const uint8_t *)body, strlen(body) }, &answer);
    return answer;
}

static struct answer ship_to(const char *key, const char *city, int weight)
{
    char body[512];
    snprintf(body, sizeof(body),
             "{\"reference\":\"ord_1\",\"from\":\"ber\",\"to\":{\"name\":\"Canary Bird\",\"street\":[\"Perch 1\","
             "\"Cage 2\"],\"city\":\"%s\",\"postal_code\":\"CB1 2RD\",\"country\":\"GB\"},\"weight_grams\":%d}",
             city, weight);
    return ask("POST", key, body, "/v1/shipments");
}

static struct answer cancel(const char *key)
{
    return ask("DELETE", NULL, "", "/v1/shipments/%s", key);
}

static struct answer hand_over(const char *key)
{
    return ask("POST", NULL, "", "/v1/shipments/%s/handover", key);
}

static void expect_now(struct answer answer, int status, const char *text)
{
    ck_assert(!answer.silent);
    ck_assert_int_eq(answer.delay_us, 0);
    expect(&answer, status, text);
}

/* The types of all events after a seq, in one line; the caller's. */
static char *types_after(int after)
{
    struct answer answer = ask("GET", NULL, "", "/v1/events?after=%d&limit=1000", after);
    char *text = calloc(1, answer.len + 1);
    ck_assert_int_eq(answer.status, 200);
    for (const char *at = answer.body; (at = strstr(at, "\"type\":\""));) {
        at += strlen("\"type\":\"");
        strncat(text, at, strcspn(at, "\""));
        strcat(text, " ");
    }
    answer_finish(&answer);
    return text;
}

static void expect_types(int after, const char *types)
{
    char *text = types_after(after);
    ck_assert_str_eq(text, types);
    free(text);
}

static void travels(const char *city, const char *types)
{
    open_carrier(100);
    expect_now(ship_to("f", city, 100), 200, "tracking_number");
    expect_now(hand_over("f"), 200, "handed_over");
    now_us += 10 * SECOND;
    expect_types(0, types);
    ck_assert_int_eq(carrier_next_us(c), INT64_MAX);
    close_carrier();
}

START_TEST(a_parcel_has_a_label_and_a_promise)
{
    open_carrier(100);
    expect_now(ship_to("f", "York", 100), 200,
               "{\"tracking_number\":\"SB0000000001\",\"label\":\"SANDBOX SB0000000001\",\"promise_time_us\":"
               "1003000000}");
    expect_now(ship_to("g", "York", 100), 200, "SB0000000002");
    ck_assert_int_eq(kept_lines(&kept), 2);
    ck_assert_int_eq(kept_count(&kept, "{\"key\":\"f\",\"kind\":\"shipment\",\"status\":\"labelled\",\"reference\":"
                                       "\"ord_1\",\"tracking_number\":\"SB0000000001\""),
                     1);
    close_carrier();
}
END_TEST

START_TEST(a_parcel_moves_by_time_once_it_is_handed_over)
{
    open_carrier(100);
    expect_now(ship_to("f", "York", 100), 200, "SB0000000001");
    now_us += 10 * SECOND;
    expect_types(0, "");
    ck_assert_int_eq(carrier_next_us(c), INT64_MAX);
    expect_now(hand_over("f"), 200, "handed_over");
    ck_assert_int_eq(carrier_next_us(c), now_us + 400000);
    now_us += 399999;
    expect_types(0, "");
    now_us += 1;
    expect_now(ask("GET", NULL, "", "/v1/events?after=0&limit=1"), 200,
               "{\"events\":[{\"seq\":1,\"key\":\"f\",\"tracking_number\":\"SB0000000001\",\"type\":\"IN_TRANSIT\","
               "\"time_us\":1010400000,\"promise_time_us\":1003000000}]}");
    now_us += 800000;
    expect_types(1, "DELIVERED ");
    close_carrier();
}
END_TEST

START_TEST(cities_have_their_own_journeys)
{
    travels("Delayton", "IN_TRANSIT DELAYED DELIVERED ");
    travels("Lostwick", "IN_TRANSIT LOST ");
    travels("Returnham", "IN_TRANSIT RETURNED ");
    travels("Twiceford", "IN_TRANSIT IN_TRANSIT DELIVERED DELIVERED ");
    travels("delayton", "IN_TRANSIT DELIVERED ");
}
END_TEST

START_TEST(a_delay_moves_the_promise)
{
    open_carrier(100);
    expect_now(ship_to("f", "Delayton", 100), 200, "\"promise_time_us\":1003000000}");
    expect_now(hand_over("f"), 200, "handed_over");
    now_us += 800000;
    expect_now(ask("GET", NULL, "", "/v1/events?after=1"), 200,
               "\"type\":\"DELAYED\",\"time_us\":1000800000,\"promise_time_us\":1005000000}");
    expect_now(ship_to("f", "Delayton", 100), 200, "\"promise_time_us\":1003000000}");
    close_carrier();
}
END_TEST

START_TEST(at_twice_the_speed_it_takes_half_the_time)
{
    open_carrier(200);
    expect_now(ship_to("f", "York", 100), 200, "\"promise_time_us\":1001500000}");
    expect_now(hand_over("f"), 200, "handed_over");
    now_us += 600000;
    expect_types(0, "IN_TRANSIT DELIVERED ");
    close_carrier();
    ck_assert_int_eq(carrier_create(&(struct journal){ 0 }, 0, &c), -EINVAL);
}
END_TEST

START_TEST(some_carriers_fail_or_are_silent_twice)
{
    open_carrier(100);
    expect_now(ship_to("f", "Errorby", 100), 503, "TRY_AGAIN");
    expect_now(ship_to("f", "Errorby", 100), 503, "TRY_AGAIN");
    ck_assert_int_eq(kept_lines(&kept), 0);
    expect_now(ship_to("f", "Errorby", 100), 200, "SB0000000001");
    for (int i = 0; i < 2; i++) {
        struct answer answer = ship_to("g", "Silentham", 100);
        ck_assert(answer.silent);
        answer_finish(&answer);
        ck_assert_int_eq(kept_lines(&kept), 2);
    }
    expect_now(ship_to("g", "Silentham", 100), 200, "SB0000000002");
    expect_now(ship_to("h", "Refusal", 100), 400, "ADDRESS_REFUSED");
    ck_assert_int_eq(kept_lines(&kept), 2);
    close_carrier();
}
END_TEST

START_TEST(a_key_has_one_parcel_and_one_answer)
{
    open_carrier(100);
    struct answer first = ship_to("f", "York", 100);
    now_us += SECOND;
    struct answer again = ship_to("f", "York", 100);
    ck_assert_str_eq(first.body, again.body);
    answer_finish(&first);
    answer_finish(&again);
    expect_now(ship_to("f", "York", 101), 409, "KEY_REUSED");
    expect_now(ship_to("f", "Hull", 100), 409, "KEY_REUSED");
    expect_now(hand_over("f"), 200, "handed_over");
    expect_now(hand_over("f"), 200, "handed_over");
    ck_assert_int_eq(kept_lines(&kept), 2);
    expect_now(ship_to("f", "York", 100), 200, "SB0000000001");
    now_us += 10 * SECOND;
    expect_types(0, "IN_TRANSIT DELIVERED ");
    close_carrier();
}
END_TEST

START_TEST(cancel_and_handover_exclude_each_other)
{
    open_carrier(100);
    expect_now(ship_to("f", "York", 100), 200, "SB");
    expect_now(ship_to("g", "York", 100), 200, "SB");
    expect_now(cancel("f"), 200, "cancelled");
    expect_now(cancel("f"), 200, "cancelled");
    expect_now(hand_over("f"), 409, "CANCELLED");
    expect_now(hand_over("g"), 200, "handed_over");
    expect_now(cancel("g"), 409, "HANDED_OVER");
    expect_now(hand_over("h"), 404, "UNKNOWN_SHIPMENT");
    ck_assert_int_eq(kept_lines(&kept), 4);
    expect_now(ship_to("f", "York", 100), 200, "SB0000000001");
    close_carrier();
}
END_TEST

START_TEST(what_was_cancelled_before_it_came_has_no_label)
{
    open_carrier(100);
    expect_now(cancel("f"), 200, "cancelled");
    expect_now(ship_to("f", "York", 100), 409, "CANCELLED");
    expect_now(hand_over("f"), 409, "CANCELLED");
    expect_now(ship_to("g", "York", 100), 200, "SB0000000001");
    close_carrier();
}
END_TEST

START_TEST(events_come_in_pages_without_gaps)
{
    char key[16];
    uint64_t seq = 0;
    open_carrier(100);
    for (int i = 0; i < 150; i++) {
        snprintf(key, sizeof(key), "f%d", i);
        expect_now(ship_to(key, i % 3 ? "York" : "Twiceford", 100), 200, "SB");
        expect_now(hand_over(key), 200, "handed_over");
        now_us += 7000;
    }
    now_us += 10 * SECOND;
    for (int pages = 0; seq < 400; pages++) {
        struct answer answer = ask("GET", NULL, "", "/v1/events?limit=7&after=%d", (int)seq);
        size_t n = 0;
        for (const char *at = answer.body; (at = strstr(at, "\"seq\":")); at++, n++)
            ck_assert_uint_eq(strtoull(at + 6, NULL, 10), ++seq);
        ck_assert_uint_eq(n, seq < 400 ? 7 : 1);
        answer_finish(&answer);
    }
    expect_now(ask("GET", NULL, "", "/v1/events?after=400"), 200, "{\"events\":[]}");
    expect_now(ask("GET", NULL, "", "/v1/events?after=99999"), 200, "{\"events\":[]}");
    expect_now(ask("GET", NULL, "", "/v1/events?after=x"), 400, "PAGE_INVALID");
    expect_now(ask("GET", NULL, "", "/v1/events?limit=0"), 400, "PAGE_INVALID");
    expect_now(ask("GET", NULL, "", "/v1/events?limit=1001"), 400, "PAGE_INVALID");
    close_carrier();
}
END_TEST

static int64_t last_us;
static void is_not_earlier(void *arg, const struct parcel_event *event)
{
    ck_assert_int_ge(event->time_us, last_us);
    last_us = event->time_us;
    ++*(int *)arg;
}

START_TEST(events_are_in_the_order_of_their_times)
{
    static const char *const towns[] = { "York", "Delayton", "Returnham", "Lostwick" };
    char key[16];
    int n = 0;
    open_carrier(100);
    for (int i = 0; i < 200; i++) {
        snprintf(key, sizeof(key), "f%d", i);
        expect_now(ship_to(key, towns[i * 7 % 4], 100), 200, "SB");
        expect_now(hand_over(key), 200, "handed_over");
        now_us += 13000;
    }
    carrier_advance(c, now_us + 100 * (int64_t)SECOND);
    carrier_each_event(c, is_not_earlier, &n);
    ck_assert_int_eq(n, 450);
    close_carrier();
}
END_TEST

START_TEST(what_is_wrong_with_a_request_is_told_and_leaves_no_trace)
{
    static const char *const bodies[][2] = {
        { "", "BODY_INVALID" },
        { "{}", "REFERENCE_INVALID" },
        { "{\"reference\":\"o\"}", "FROM_INVALID" },
        { "{\"reference\":\"o\",\"from\":\"b\"}", "WEIGHT_INVALID" },
        { "{\"reference\":\"o\",\"from\":\"b\",\"weight_grams\":-1}", "WEIGHT_INVALID" },
        { "{\"reference\":\"o\",\"from\":\"b\",\"weight_grams\":1}", "ADDRESS_INVALID" },
        { "{\"reference\":\"o\",\"from\":\"b\",\"weight_grams\":1,\"to\":{\"name\":\"n\",\"city\":\"c\","
          "\"postal_code\":\"p\",\"country\":\"GB\",\"street\":[1]}}",
          "ADDRESS_INVALID" },
    };
    open_carrier(100);
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++)
        expect_now(ask("POST", "f", bodies[i][0], "/v1/shipments"), 400, bodies[i][1]);
    expect_now(ship_to(NULL, "York", 100), 400, "KEY_INVALID");
    expect_now(ship_to("a b", "York", 100), 400, "KEY_INVALID");
    expect_now(ask("GET", NULL, "", "/v1/shipments/f"), 404, "NOT_FOUND");
    expect_now(ask("DELETE", NULL, "", "/v1/shipments/"), 404, "NOT_FOUND");
    ck_assert_int_eq(kept_lines(&kept), 0);
    close_carrier();
}
END_TEST

START_TEST(what_cannot_be_written_down_is_not_done)
{
    open_carrier(100);
    kept.refuse = -ENOSPC;
    expect_now(ship_to("f", "York", 100), 503, "BOOK_UNAVAILABLE");
    expect_now(cancel("f"), 503, "BOOK_UNAVAILABLE");
    kept.refuse = 0;
    expect_now(ship_to("f", "York", 100), 200, "SB0000000001");
    kept.refuse = -ENOSPC;
    expect_now(hand_over("f"), 503, "BOOK_UNAVAILABLE");
    kept.refuse = 0;
    expect_now(hand_over("f"), 200, "handed_over");
    now_us += 10 * SECOND;
    kept.refuse = -ENOSPC;
    expect_types(0, "");
    kept.refuse = 0;
    expect_types(0, "IN_TRANSIT DELIVERED ");
    close_carrier();
}
END_TEST

START_TEST(the_book_has_nobodys_name_and_address)
{
    open_carrier(100);
    expect_now(ship_to("f", "York", 100), 200, "SB");
    expect_now(ship_to("g", "Delayton", 100), 200, "SB");
    static const char *const canaries[] = { "Canary", "Perch", "Cage", "CB1", "York" };
    for (size_t i = 0; i < sizeof(canaries) / sizeof(canaries[0]); i++)
        ck_assert_uint_eq(kept_count(&kept, canaries[i]), 0);
    close_carrier();
}
END_TEST

/* --- the book --- */

static void much_happens(void)
{
    static const char *const towns[] = { "York", "Delayton", "Returnham", "Lostwick", "Twiceford" };
    char key[16];
    for (int i = 0; i < 300; i++) {
        struct answer answer;
        snprintf(key, sizeof(key), "f%d", i);
        answer = i % 11 == 0 ? cancel(key) : ship_to(key, towns[i % 5], 100 + i);
        answer_finish(&answer);
        answer = i % 7 == 0 ? cancel(key) : hand_over(key);
        answer_finish(&answer);
        now_us += 10000;
    }
}

static void write_parcel(void *arg, const struct parcel *x)
{
    fprintf(arg, "%s %s %s %d %lld %lld %lld %lld\n", x->key, x->reference, x->tracking_number, (int)x->state,
            (long long)x->weight_grams, (long long)x->promise_time_us, (long long)x->time_us,
            (long long)x->handed_over_us);
}

static void write_event(void *arg, const struct parcel_event *x)
{
    fprintf(arg, "%llu %s %s %lld %lld\n", (unsigned long long)x->seq, x->parcel->key, x->type, (long long)x->time_us,
            (long long)x->promise_time_us);
}

static char *state(void)
{
    char *text;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    carrier_each(c, write_parcel, out);
    carrier_each_event(c, write_event, out);
    fclose(out);
    return text;
}

static void restart_with(struct bytes book, size_t whole)
{
    size_t len = 0;
    carrier_destroy(c);
    open_carrier(100);
    ck_assert_int_eq(outsider_replay(book, carrier_replay, c, &len), 0);
    ck_assert_uint_eq(len, whole);
}

START_TEST(the_book_makes_the_same_state_again)
{
    open_carrier(100);
    much_happens();
    char *before = state();
    size_t len = kept.len;
    restart_with(kept_bytes(&kept), kept.len);
    char *after = state();
    ck_assert(strcmp(before, after) == 0);
    expect_now(ship_to("f1", "Delayton", 101), 200, "SB0000000001");
    expect_now(ship_to("f1", "York", 101), 409, "KEY_REUSED");
    expect_now(cancel("f1"), 409, "HANDED_OVER");
    expect_now(ship_to("f11", "York", 101), 409, "CANCELLED");
    free(before);
    free(after);

    /* And it goes on as if it had never ended. */
    carrier_advance(c, now_us + 100 * (int64_t)SECOND);
    before = state();
    kept.len = len;
    restart_with(kept_bytes(&kept), len);
    carrier_advance(c, now_us + 100 * (int64_t)SECOND);
    after = state();
    ck_assert(strcmp(before, after) == 0);
    free(before);
    free(after);
    close_carrier();
}
END_TEST

START_TEST(a_process_that_ends_between_two_events_of_one_leg_tells_the_second)
{
    open_carrier(100);
    expect_now(ship_to("f", "Twiceford", 100), 200, "SB");
    expect_now(hand_over("f"), 200, "handed_over");
    now_us += 400000;
    size_t before = kept.len;
    carrier_advance(c, now_us);
    size_t one = before + strcspn(kept.text + before, "\n") + 1;
    kept.len = one;
    restart_with((struct bytes){ (const uint8_t *)kept.text, one }, one);
    expect_types(0, "IN_TRANSIT IN_TRANSIT ");
    close_carrier();
}
END_TEST

START_TEST(a_torn_last_line_is_cut_off_and_can_be_done_again)
{
    open_carrier(100);
    expect_now(ship_to("f", "York", 100), 200, "SB");
    size_t whole = kept.len;
    expect_now(hand_over("f"), 200, "handed_over");
    for (size_t len = whole; len < kept.len; len++)
        restart_with((struct bytes){ (const uint8_t *)kept.text, len }, whole);
    expect_now(cancel("f"), 200, "cancelled");
    close_carrier();
}
END_TEST

START_TEST(a_book_that_makes_no_sense_is_refused)
{
    static const char *const lines[] = {
        "nonsense\n",
        "{}\n",
        "{\"key\":\"f\",\"kind\":\"gift\"}\n",
        "{\"key\":\"f\",\"kind\":\"handover\"}\n",
        "{\"key\":\"f\",\"kind\":\"event\",\"status\":\"LOST\"}\n",
        "{\"key\":\"f\",\"kind\":\"shipment\"}\n{\"key\":\"f\",\"kind\":\"shipment\"}\n",
        "{\"key\":\"f\",\"kind\":\"shipment\"}\n{\"key\":\"f\",\"kind\":\"event\",\"status\":\"LOST\"}\n",
    };
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        size_t len;
        open_carrier(100);
        ck_assert_int_eq(
            outsider_replay((struct bytes){ (const uint8_t *)lines[i], strlen(lines[i]) }, carrier_replay, c, &len),
            -EBADMSG);
        close_carrier();
    }
}
END_TEST

SUITE("sandbox_carrier", 10, a_parcel_has_a_label_and_a_promise, a_parcel_moves_by_time_once_it_is_handed_over,
      cities_have_their_own_journeys, a_delay_moves_the_promise, at_twice_the_speed_it_takes_half_the_time,
      some_carriers_fail_or_are_silent_twice, a_key_has_one_parcel_and_one_answer,
      cancel_and_handover_exclude_each_other, what_was_cancelled_before_it_came_has_no_label,
      events_come_in_pages_without_gaps, events_are_in_the_order_of_their_times,
      what_is_wrong_with_a_request_is_told_and_leaves_no_trace, what_cannot_be_written_down_is_not_done,
      the_book_has_nobodys_name_and_address, the_book_makes_the_same_state_again,
      a_process_that_ends_between_two_events_of_one_leg_tells_the_second,
      a_torn_last_line_is_cut_off_and_can_be_done_again, a_book_that_makes_no_sense_is_refused)
