/* Calls that are sent again although a process had begun them: which, when, and how many. */
#include "gateway/retry.h"
#include "tests/gateway/stage.h"
#include "tests/suite.h"

#include <errno.h>
#include <stdio.h>

#define GET         "/oms.order.v1.OrderService/GetOrder"
#define PLACE       "/oms.order.v1.OrderService/PlaceOrder"
#define UNAVAILABLE ":status: 200\ncontent-type: application/grpc\ngrpc-status: 14\n"

static struct stage stage;

static void echo(struct call *call)
{
    if (call->ended && !call->replied)
        call_reply(call, call->body + 5, call->body_len - 5);
}

static const char *refusal; /* what all backends say, for a while */
static int refusals;

static void refuse_then_echo(struct call *call)
{
    if (!call->ended || call->replied)
        return;
    if (refusals-- <= 0)
        return echo(call);
    call->replied = true;
    call_only(call, refusal);
}

static void refuse_all(const char *reply, int n)
{
    refusal = reply;
    refusals = n;
    stage.order[0].more = stage.order[1].more = refuse_then_echo;
}

static struct call *ask(struct peer *client, const char *path, const char *extra, size_t n)
{
    static const uint8_t body[32 * 1024] = "x";
    char all[2048];
    snprintf(all, sizeof(all), "%s%s", stage.bearer, extra);
    struct call *call = peer_call(client, path, all);
    call_put_message(call, body, n);
    call_end(call);
    return call;
}

static struct call *newest(struct backend *backend)
{
    for (struct peer *peer = backend->peers; peer; peer = peer->next)
        for (struct call *call = peer->calls; call; call = call->next)
            if (call->begun)
                return call;
    return NULL;
}

static int n_requests(void)
{
    return stage.order[0].n_requests + stage.order[1].n_requests;
}

/* The backend that has the first call. */
static int who_has_it(void)
{
    stage_until(&stage, n_requests() == 1);
    int who = stage.order[1].n_requests;
    stage_until(&stage, newest(&stage.order[who])->ended);
    return who;
}

static void expect_ok(struct call *call)
{
    stage_until(&stage, call->closed);
    ck_assert_int_eq(call_status(call), 0);
    ck_assert_uint_eq(call->body_len, 6);
    ck_assert_int_eq(call->body[5], 'x');
}

static void expect_unavailable(struct call *call)
{
    stage_until(&stage, call->closed);
    ck_assert_int_eq(call_status(call), 14);
}

START_TEST(a_call_whose_process_dies_goes_on_elsewhere)
{
    static const char *const paths[] = { GET, PLACE };
    for (int i = 0; i < 2; i++) {
        stage_open(&stage, STAGE_TWO);
        struct call *call = ask(stage_client(&stage), paths[i], "", 1);
        int who = who_has_it();
        stage.order[!who].more = echo;
        backend_kill(&stage.order[who]);
        expect_ok(call);
        ck_assert_int_eq(stage.order[!who].n_requests, 1);
        ck_assert_str_eq(call_field(newest(&stage.order[!who]), "grpc-previous-rpc-attempts"), "1");
        stage_close(&stage);
    }
}
END_TEST

START_TEST(a_request_that_is_not_kept_is_not_sent_again)
{
    stage_open(&stage, STAGE_TWO);
    struct call *call = ask(stage_client(&stage), PLACE, "", 20 * 1024);
    backend_kill(&stage.order[who_has_it()]);
    expect_unavailable(call);
    ck_assert_str_eq(call_reason(call), "BACKEND_LOST");
    ck_assert_int_eq(n_requests(), 1);
    stage_close(&stage);
}
END_TEST

START_TEST(what_is_told_already_is_not_asked_for_again)
{
    stage_open(&stage, STAGE_TWO);
    struct call *call = ask(stage_client(&stage), GET, "", 1);
    int who = who_has_it();
    call_head(newest(&stage.order[who]), NULL);
    stage_until(&stage, call->headed);
    backend_kill(&stage.order[who]);
    expect_unavailable(call);
    ck_assert_int_eq(n_requests(), 1);
    stage_close(&stage);
}
END_TEST

START_TEST(a_server_that_did_not_come_to_its_handler_is_asked_again_elsewhere)
{
    stage_open(&stage, STAGE_TWO);
    refuse_all(UNAVAILABLE, 1);
    expect_ok(ask(stage_client(&stage), GET, "", 1));
    ck_assert_int_eq(stage.order[0].n_requests, 1);
    ck_assert_int_eq(stage.order[1].n_requests, 1);
    stage_close(&stage);
}
END_TEST

START_TEST(a_handler_that_says_unavailable_is_believed)
{
    stage_open(&stage, STAGE_TWO);
    refuse_all(UNAVAILABLE "grpc-status-details-bin: CA4\n", 1);
    expect_unavailable(ask(stage_client(&stage), GET, "", 1));
    ck_assert_int_eq(n_requests(), 1);
    stage_close(&stage);
}
END_TEST

START_TEST(no_call_is_sent_more_than_three_times)
{
    stage_open(&stage, STAGE_TWO);
    refuse_all(UNAVAILABLE, 5);
    expect_unavailable(ask(stage_client(&stage), GET, "", 1));
    ck_assert_int_eq(n_requests(), 3);
    stage_until(&stage, stage.gateway->n_exchanges == 0);
    ck_assert_uint_eq(stage.gateway->buffered, 0);
    stage_close(&stage);
}
END_TEST

START_TEST(a_process_says_when_it_will_be_asked_again)
{
    stage_open(&stage, 0);
    refuse_all(UNAVAILABLE "grpc-status-details-bin: CA4\ngrpc-retry-pushback-ms: 300\n", 1);
    int64_t begun_us = wheel_now_us();
    expect_ok(ask(stage_client(&stage), GET, "", 1));
    ck_assert_int_ge(wheel_now_us() - begun_us, 300000);
    refuse_all(UNAVAILABLE "grpc-retry-pushback-ms: -1\n", 1);
    expect_unavailable(ask(stage_client(&stage), GET, "", 1));
    ck_assert_int_eq(n_requests(), 3);
    stage_close(&stage);
}
END_TEST

START_TEST(nobody_waits_for_what_comes_after_the_deadline)
{
    stage_open(&stage, 0);
    refuse_all(UNAVAILABLE "grpc-retry-pushback-ms: 5000\n", 1);
    expect_unavailable(ask(stage_client(&stage), GET, "grpc-timeout: 4S\n", 1));
    ck_assert_int_eq(n_requests(), 1);
    stage_close(&stage);
}
END_TEST

START_TEST(a_client_that_leaves_is_not_waited_for)
{
    stage_open(&stage, 0);
    refuse_all(UNAVAILABLE "grpc-retry-pushback-ms: 200\n", 1);
    struct call *call = ask(stage_client(&stage), GET, "", 1);
    stage_until(&stage, n_requests() == 1);
    stage_for(&stage, 50000);
    call_reset(call, NGHTTP2_CANCEL);
    stage_until(&stage, stage.gateway->n_exchanges == 0);
    stage_for(&stage, 300000);
    ck_assert_int_eq(n_requests(), 1);
    ck_assert_uint_eq(stage.gateway->buffered, 0);
    stage_close(&stage);
}
END_TEST

START_TEST(a_process_in_trouble_is_not_given_three_times_as_much_of_it)
{
    enum { CALLS = 400, AT_ONCE = 20 };
    stage_open(&stage, STAGE_TWO);
    refuse_all(UNAVAILABLE, 1000000);
    struct peer *client = stage_client(&stage);
    int64_t begun_us = wheel_now_us();
    for (int i = 0; i < CALLS / AT_ONCE; i++) {
        struct call *calls[AT_ONCE];
        for (int j = 0; j < AT_ONCE; j++)
            calls[j] = ask(client, GET, "", 1);
        for (int j = 0; j < AT_ONCE; j++)
            expect_unavailable(calls[j]);
    }
    int by_time = (int)((wheel_now_us() - begun_us) * 10 / 1000000);
    ck_assert_int_le(n_requests(), CALLS + CALLS / 5 + 50 + by_time + 1);
    ck_assert_int_ge(n_requests(), CALLS + CALLS / 5);
    stage_close(&stage);
}
END_TEST

START_TEST(what_a_pushback_says_is_read_as_it_is_meant)
{
    ck_assert_int_eq(retry_pushback_us("0", 1), 0);
    ck_assert_int_eq(retry_pushback_us("1500", 4), 1500000);
    ck_assert_int_eq(retry_pushback_us("-1", 2), -EINVAL);
    ck_assert_int_eq(retry_pushback_us("soon", 4), -EINVAL);
    ck_assert_int_eq(retry_pushback_us("", 0), -EINVAL);
    ck_assert_int_eq(retry_pushback_us("9999999999", 10), -EINVAL);
}
END_TEST

START_TEST(who_tries_again_waits_longer_each_time_and_never_in_step)
{
    for (unsigned attempts = 1; attempts <= 3; attempts++) {
        int64_t most_us = 10000 << attempts;
        ck_assert_int_eq(retry_delay_us(attempts, 0), most_us / 2);
        ck_assert_int_gt(retry_delay_us(attempts, 65535), most_us * 99 / 100);
        ck_assert_int_le(retry_delay_us(attempts, 65535), most_us);
    }
}
END_TEST

SUITE("retry", 60, a_call_whose_process_dies_goes_on_elsewhere, a_request_that_is_not_kept_is_not_sent_again,
      what_is_told_already_is_not_asked_for_again, a_server_that_did_not_come_to_its_handler_is_asked_again_elsewhere,
      a_handler_that_says_unavailable_is_believed, no_call_is_sent_more_than_three_times,
      a_process_says_when_it_will_be_asked_again, nobody_waits_for_what_comes_after_the_deadline,
      a_client_that_leaves_is_not_waited_for, a_process_in_trouble_is_not_given_three_times_as_much_of_it,
      what_a_pushback_says_is_read_as_it_is_meant, who_tries_again_waits_longer_each_time_and_never_in_step)
