/* Endpoints that are slow, new, or broken, and how much they get to do. */
#include "gateway/pulse.h"
#include "tests/gateway/stage.h"
#include "tests/suite.h"

#include <stdio.h>

#define GET    "/oms.order.v1.OrderService/GetOrder"
#define BROKEN ":status: 200\ncontent-type: application/grpc\ngrpc-status: 13\n"

static struct stage stage;

static void echo(struct call *call)
{
    if (call->ended && !call->replied)
        call_reply(call, call->body + 5, call->body_len - 5);
}

static void fail_all(struct call *call)
{
    if (!call->ended || call->replied)
        return;
    call->replied = true;
    call_only(call, BROKEN);
}

static struct call *get(struct peer *client)
{
    struct call *call = peer_call(client, GET, stage.bearer);
    call_put_message(call, "x", 1);
    call_end(call);
    return call;
}

/* Calls one after the other; how many of them failed. The first backend takes so long. */
static int get_many(struct peer *client, int n, int64_t first_takes_us)
{
    int failed = 0;
    for (int i = 0; i < n; i++) {
        int before = stage.order[0].n_requests;
        struct call *call = get(client);
        stage_until(&stage, call->closed || (first_takes_us && stage.order[0].n_requests > before));
        if (!call->closed) {
            stage_for(&stage, first_takes_us);
            for (struct call *seen = stage.order[0].peers->calls; seen; seen = seen->next)
                if (seen->begun && !seen->closed)
                    echo(seen);
            stage_until(&stage, call->closed);
        }
        failed += call_status(call) != 0;
    }
    return failed;
}

START_TEST(who_is_slow_gets_less)
{
    stage_open(&stage, STAGE_TWO);
    struct peer *client = stage_client(&stage);
    stage.order[0].more = stage.order[1].more = echo;
    ck_assert_int_eq(get_many(client, 40, 0), 0);
    int before = stage.order[0].n_requests;
    ck_assert_int_ge(before, 5);
    stage.order[0].more = NULL;
    ck_assert_int_eq(get_many(client, 60, 100000), 0);
    ck_assert_int_ge(stage.order[0].n_requests - before, 1);
    ck_assert_int_le(stage.order[0].n_requests - before, 15);
    stage_close(&stage);
}
END_TEST

START_TEST(who_was_slow_is_asked_again)
{
    stage_open(&stage, STAGE_TWO);
    struct peer *client = stage_client(&stage);
    stage.order[0].more = stage.order[1].more = echo;
    get_many(client, 40, 0);
    stage.order[0].more = NULL;
    get_many(client, 40, 100000);
    stage.order[0].more = echo;
    stage_for(&stage, 20000000);
    int before = stage.order[0].n_requests;
    get_many(client, 60, 0);
    ck_assert_int_ge(stage.order[0].n_requests - before, 10);
    stage_close(&stage);
}
END_TEST

START_TEST(who_never_answers_is_as_slow_as_he_was_waited_for)
{
    stage_open(&stage, STAGE_TWO);
    struct peer *client = stage_client(&stage);
    stage.order[0].more = stage.order[1].more = echo;
    get_many(client, 20, 0);
    stage.order[0].more = NULL;
    int before = stage.order[0].n_requests, lost = 0;
    for (int i = 0; i < 40; i++) {
        char extra[2048];
        snprintf(extra, sizeof(extra), "%sgrpc-timeout: 200m\n", stage.bearer);
        struct call *call = peer_call(client, GET, extra);
        call_put_message(call, "x", 1);
        call_end(call);
        stage_until(&stage, call->closed);
        lost += call_status(call) == 4;
    }
    ck_assert_int_eq(stage.order[0].n_requests - before, lost);
    ck_assert_int_le(lost, 10);
    stage_close(&stage);
}
END_TEST

START_TEST(who_is_new_gets_little_at_first)
{
    stage_open(&stage, STAGE_TWO);
    struct peer *client = stage_client(&stage);
    int port = stage.order[1].port;
    backend_kill(&stage.order[1]);
    stage_for(&stage, 6000000);
    backend_start(&stage.order[1], &stage.reactor, NULL, port);
    stage_until(&stage, balance_count(stage.gateway->balance, 0) == 2);
    int before = stage.order[1].n_requests;
    for (int i = 0; i < 55; i++)
        get(client);
    stage_until(&stage, stage.order[0].n_requests + stage.order[1].n_requests == before + 55);
    ck_assert_int_ge(stage.order[1].n_requests - before, 2);
    ck_assert_int_le(stage.order[1].n_requests - before, 10);
    stage_close(&stage);
}
END_TEST

START_TEST(who_fails_again_and_again_is_put_aside_for_a_while)
{
    stage_open(&stage, STAGE_TWO);
    struct peer *client = stage_client(&stage);
    stage.order[0].more = fail_all;
    stage.order[1].more = echo;
    int failed = get_many(client, 60, 0);
    ck_assert_int_eq(failed, 5);
    ck_assert_int_eq(stage.order[0].n_requests, 5);
    ck_assert(gateway_serving(stage.gateway));
    stage.order[0].more = echo;
    stage_for(&stage, 1100000);
    stage_for(&stage, 5000000);
    ck_assert_int_eq(get_many(client, 60, 0), 0);
    ck_assert_int_gt(stage.order[0].n_requests, 15);
    stage_close(&stage);
}
END_TEST

START_TEST(never_more_than_half_are_put_aside)
{
    stage_open(&stage, STAGE_TWO);
    struct peer *client = stage_client(&stage);
    stage.order[0].more = stage.order[1].more = fail_all;
    ck_assert_int_eq(get_many(client, 40, 0), 40);
    ck_assert_int_eq(stage.order[0].n_requests + stage.order[1].n_requests, 40);
    stage_close(&stage);
}
END_TEST

START_TEST(who_is_put_aside_is_used_when_there_is_no_other)
{
    stage_open(&stage, STAGE_TWO);
    struct peer *client = stage_client(&stage);
    stage.order[0].more = fail_all;
    stage.order[1].more = echo;
    get_many(client, 40, 0);
    stage.order[0].more = echo;
    backend_kill(&stage.order[1]);
    stage_until(&stage, balance_count(stage.gateway->balance, 0) == 1);
    ck_assert_int_eq(get_many(client, 5, 0), 0);
    stage_close(&stage);
}
END_TEST

START_TEST(the_usual_time_is_a_median)
{
    int64_t us = 0;
    median_move(&us, 100000);
    ck_assert_int_eq(us, 100000);
    for (int i = 0; i < 3000; i++)
        median_move(&us, i % 10 == 0 ? 1000000 : 1000);
    ck_assert_int_ge(us, 800);
    ck_assert_int_le(us, 1500);
    median_move(&us, 0);
    ck_assert_int_gt(us, 0);
}
END_TEST

START_TEST(strikes_add_up_and_are_forgotten)
{
    struct pulse pulse = { 0 };
    int64_t now_us = 1000000, aside_us = 0;
    for (int strike = 0; strike < 3; strike++) {
        pulse_begin(&pulse, now_us);
        for (int i = 0; i < 4; i++)
            ck_assert_int_eq(pulse_judge(&pulse, true, now_us), 0);
        aside_us = pulse_judge(&pulse, true, now_us);
        ck_assert_int_eq(aside_us, 1000000 << strike);
        now_us += aside_us;
    }
    pulse_begin(&pulse, now_us);
    for (int i = 0; i < 8; i++)
        ck_assert_int_eq(pulse_judge(&pulse, i % 4 != 3, now_us), 0);
    now_us += 61000000;
    for (int i = 0; i < 5; i++)
        aside_us = pulse_judge(&pulse, true, now_us);
    ck_assert_int_eq(aside_us, 1000000);
}
END_TEST

SUITE("pulse", 60, who_is_slow_gets_less, who_was_slow_is_asked_again,
      who_never_answers_is_as_slow_as_he_was_waited_for, who_is_new_gets_little_at_first,
      who_fails_again_and_again_is_put_aside_for_a_while, never_more_than_half_are_put_aside,
      who_is_put_aside_is_used_when_there_is_no_other, the_usual_time_is_a_median, strikes_add_up_and_are_forgotten)
