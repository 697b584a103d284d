/* How often somebody may, and what is said of whoever may not. */
#include "gateway/rate.h"
#include "tests/gateway/stage.h"
#include "tests/suite.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define GET "/oms.order.v1.OrderService/GetOrder"

static struct stage stage;

START_TEST(a_rate_is_so_many_in_a_time_and_at_once)
{
    static const struct {
        const char *text;
        int result;
        int64_t interval_us, burst_us;
    } rows[] = {
        { "", 0, 0, 0 },
        { "100/s", 0, 10000, 990000 },
        { "100/s:1", 0, 10000, 0 },
        { "600/m:5", 0, 100000, 400000 },
        { "0/s", -EINVAL, 0, 0 },
        { "100", -EINVAL, 0, 0 },
        { "/s", -EINVAL, 0, 0 },
        { "100/h", -EINVAL, 0, 0 },
        { "100/s:", -EINVAL, 0, 0 },
        { "100/s:0", -EINVAL, 0, 0 },
        { "100/s:5x", -EINVAL, 0, 0 },
        { "100/second", -EINVAL, 0, 0 },
        { "-1/s", -EINVAL, 0, 0 },
        { "99999999/s", -EINVAL, 0, 0 },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct rate rate;
        ck_assert_msg(rate_parse(rows[i].text, &rate) == rows[i].result, "%s", rows[i].text);
        ck_assert_int_eq(rate.interval_us, rows[i].interval_us);
        ck_assert_int_eq(rate.burst_us, rows[i].burst_us);
    }
}
END_TEST

START_TEST(whoever_takes_all_waits_for_the_next)
{
    struct rate rate;
    int64_t full_us = 0, now_us = 5000000;
    rate_parse("10/s:3", &rate);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(rate_take(&rate, &full_us, now_us), 0);
    ck_assert_int_eq(rate_take(&rate, &full_us, now_us), 100000);
    ck_assert_int_eq(rate_take(&rate, &full_us, now_us + 99999), 1);
    ck_assert_int_eq(rate_take(&rate, &full_us, now_us + 100000), 0);
    ck_assert_int_gt(rate_take(&rate, &full_us, now_us + 100000), 0);
    now_us += 1000000; /* full again, and no fuller */
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(rate_take(&rate, &full_us, now_us), 0);
    ck_assert_int_gt(rate_take(&rate, &full_us, now_us), 0);
}
END_TEST

START_TEST(buckets_are_told_apart_and_a_crowd_does_not_refill_them)
{
    struct rate rate;
    rate_parse("1/m:2", &rate);
    struct rates *rates = rates_create(&rate);
    ck_assert_int_eq(rates_take(rates, "ann", 3, 1), 0);
    ck_assert_int_eq(rates_take(rates, "ann", 3, 1), 0);
    ck_assert_int_gt(rates_take(rates, "ann", 3, 1), 0);
    ck_assert_int_eq(rates_take(rates, "bob", 3, 1), 0);
    for (int i = 0; i < 10000; i++)
        ck_assert_int_eq(rates_take(rates, &i, sizeof(i), 1), 0);
    ck_assert_int_gt(rates_take(rates, "ann", 3, 1), 0);
    rates_destroy(rates);
}
END_TEST

static struct call *get(struct peer *client, const char *extra)
{
    struct call *call = peer_call(client, GET, extra);
    call_put_message(call, "\x01", 1);
    call_end(call);
    return call;
}

static void expect_limited(struct call *call)
{
    stage_until(&stage, call->closed);
    ck_assert_int_eq(call_status(call), 8);
    ck_assert_str_eq(call_reason(call), "RATE_LIMITED");
    ck_assert_int_gt(call_retry_us(call), 0);
}

START_TEST(a_caller_who_calls_too_often_is_told_when_to_come_again)
{
    stage_open(&stage, 0);
    struct rate rate;
    rate_parse("1/m:2", &rate);
    stage.gateway->by_principal = rates_create(&rate);
    struct peer *client = stage_client(&stage);
    get(client, stage.bearer);
    get(client, stage.bearer);
    expect_limited(get(client, stage.bearer));
    expect_limited(get(stage_client(&stage), stage.bearer)); /* wherever he is */
    get(client, stage_bearer(&stage, "bob", "\"customer\""));
    stage_until(&stage, stage.order[0].n_requests == 3);
    stage_close(&stage);
}
END_TEST

START_TEST(an_address_from_which_too_much_comes_is_limited_before_its_tokens_are_read)
{
    stage_open(&stage, 0);
    struct rate rate;
    rate_parse("1/m:2", &rate);
    stage.gateway->by_source = rates_create(&rate);
    struct call *calls[2] = { get(stage_client(&stage), "authorization: Bearer x\n"),
                              get(stage_client(&stage), "authorization: Bearer y\n") };
    for (int i = 0; i < 2; i++) {
        stage_until(&stage, calls[i]->closed);
        ck_assert_str_eq(call_reason(calls[i]), "TOKEN_MALFORMED");
    }
    expect_limited(get(stage_client(&stage), "authorization: Bearer z\n"));
    stage_close(&stage);
}
END_TEST

START_TEST(a_flood_of_refusals_does_not_fill_the_log)
{
    stage_open(&stage, 0);
    struct call *last = NULL;
    struct peer *client = NULL;
    for (int i = 0; i < 150; i++) {
        if (i % 50 == 0)
            client = stage_client(&stage);
        last = get(client, "");
        stage_until(&stage, last->closed);
    }
    ck_assert_int_gt(stage.gateway->audit.left_out, 0);
    ck_assert_int_lt(stage.gateway->audit.left_out, 51);
    stage_close(&stage);
}
END_TEST

SUITE("rate", 60, a_rate_is_so_many_in_a_time_and_at_once, whoever_takes_all_waits_for_the_next,
      buckets_are_told_apart_and_a_crowd_does_not_refill_them, a_caller_who_calls_too_often_is_told_when_to_come_again,
      an_address_from_which_too_much_comes_is_limited_before_its_tokens_are_read,
      a_flood_of_refusals_does_not_fill_the_log)
