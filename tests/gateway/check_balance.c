/* Backends that come, go, fall ill and die, and what the calls see of it. */
#include "gateway/tls.h"
#include "tests/gateway/stage.h"
#include "tests/suite.h"

#define GET "/oms.order.v1.OrderService/GetOrder"

static struct stage stage;

static void echo(struct call *call)
{
    if (call->ended && !call->replied)
        call_reply(call, call->body + 5, call->body_len - 5);
}

static struct call *get(struct peer *client)
{
    struct call *call = peer_call(client, GET, stage.bearer);
    call_put_message(call, "x", 1);
    call_end(call);
    return call;
}

static void set_true(void *arg)
{
    *(bool *)arg = true;
}

static struct call *newest(struct backend *backend)
{
    for (struct peer *peer = backend->peers; peer; peer = peer->next)
        for (struct call *call = peer->calls; call; call = call->next)
            if (call->begun)
                return call;
    return NULL;
}

START_TEST(the_less_loaded_of_two_gets_the_call)
{
    stage_open(&stage, STAGE_TWO);
    struct peer *client = stage_client(&stage);
    for (int i = 0; i < 40; i++)
        get(client);
    stage_until(&stage, stage.order[0].n_requests + stage.order[1].n_requests == 40);
    ck_assert_int_eq(stage.order[0].n_requests, 20);
    stage_close(&stage);
}
END_TEST

START_TEST(a_stuck_backend_does_not_get_the_calls_of_the_other)
{
    stage_open(&stage, STAGE_TWO);
    struct peer *client = stage_client(&stage);
    stage.order[1].more = echo;
    for (int i = 0; i < 30; i++) {
        int stuck = stage.order[0].n_requests;
        struct call *call = get(client);
        stage_until(&stage, call->closed || stage.order[0].n_requests > stuck);
    }
    stage_until(&stage, stage.order[0].n_requests + stage.order[1].n_requests == 30);
    ck_assert_int_gt(stage.order[1].n_requests, stage.order[0].n_requests);
    ck_assert_int_le(stage.order[0].n_requests, 10);
    stage_close(&stage);
}
END_TEST

START_TEST(without_a_backend_a_call_is_told_to_retry)
{
    stage_open(&stage, 0);
    backend_kill(&stage.order[0]);
    stage_until(&stage, !gateway_serving(stage.gateway));
    struct call *call = get(stage_client(&stage));
    stage_until(&stage, call->closed);
    ck_assert_int_eq(call_status(call), 14);
    ck_assert_str_eq(call_reason(call), "NO_BACKEND");
    ck_assert_int_gt(call_retry_us(call), 0);
    stage_close(&stage);
}
END_TEST

START_TEST(a_backend_that_dies_within_a_call_is_told)
{
    stage_open(&stage, 0);
    struct call *call = get(stage_client(&stage));
    stage_until(&stage, newest(&stage.order[0]) && newest(&stage.order[0])->ended);
    backend_kill(&stage.order[0]);
    stage_until(&stage, call->closed);
    ck_assert_int_eq(call_status(call), 14);
    ck_assert_str_eq(call_reason(call), "BACKEND_LOST");
    stage_close(&stage);
}
END_TEST

START_TEST(a_backend_that_dies_within_a_reply_is_told_in_the_trailers)
{
    stage_open(&stage, 0);
    struct call *call = get(stage_client(&stage));
    stage_until(&stage, newest(&stage.order[0]) && newest(&stage.order[0])->ended);
    call_head(newest(&stage.order[0]), NULL);
    call_put_message(newest(&stage.order[0]), "half", 4);
    stage_until(&stage, call->body_len == 9);
    backend_kill(&stage.order[0]);
    stage_until(&stage, call->closed);
    ck_assert_int_eq(call_status(call), 14);
    ck_assert_str_eq(call_reason(call), "BACKEND_LOST");
    stage_close(&stage);
}
END_TEST

START_TEST(a_backend_that_comes_back_is_used_again)
{
    stage_open(&stage, 0);
    struct peer *client = stage_client(&stage);
    int port = stage.order[0].port;
    backend_kill(&stage.order[0]);
    stage_until(&stage, !gateway_serving(stage.gateway));
    stage_for(&stage, 120000);
    backend_start(&stage.order[1], &stage.reactor, NULL, port);
    stage.order[1].more = echo;
    stage_until(&stage, gateway_serving(stage.gateway));
    struct call *call = get(client);
    stage_until(&stage, call->closed);
    ck_assert_int_eq(call_status(call), 0);
    stage_close(&stage);
}
END_TEST

START_TEST(a_sick_backend_gets_no_calls)
{
    stage_open(&stage, STAGE_TWO);
    struct peer *client = stage_client(&stage);
    stage.order[0].more = stage.order[1].more = echo;
    stage.order[0].sick = true;
    stage_until(&stage, balance_count(stage.gateway->balance, 0) == 1);
    int before = stage.order[0].n_requests;
    for (int i = 0; i < 20; i++) {
        struct call *call = get(client);
        stage_until(&stage, call->closed);
        ck_assert_int_eq(call_status(call), 0);
    }
    ck_assert_int_eq(stage.order[0].n_requests, before);
    ck_assert_int_eq(stage.order[1].n_requests, 20);
    stage_close(&stage);
}
END_TEST

START_TEST(a_call_that_goaway_says_was_not_processed_goes_elsewhere)
{
    stage_open(&stage, STAGE_TWO);
    struct peer *client = stage_client(&stage);
    struct call *calls[10];
    for (int i = 0; i < 10; i++)
        calls[i] = get(client);
    stage_until(&stage, stage.order[0].n_requests + stage.order[1].n_requests == 10);
    stage.order[1].more = echo;
    for (struct call *call = stage.order[1].peers->calls; call; call = call->next)
        if (call->begun)
            echo(call);
    backend_stop(&stage.order[0]);
    backend_goaway(&stage.order[0], 0);
    for (int i = 0; i < 10; i++) {
        stage_until(&stage, calls[i]->closed);
        ck_assert_int_eq(call_status(calls[i]), 0);
        ck_assert_uint_eq(calls[i]->body_len, 6);
    }
    ck_assert_int_eq(stage.order[1].n_requests, 10);
    stage_close(&stage);
}
END_TEST

START_TEST(a_call_that_was_begun_before_goaway_finishes)
{
    stage_open(&stage, 0);
    struct peer *client = stage_client(&stage);
    struct call *call = get(client);
    stage_until(&stage, newest(&stage.order[0]) && newest(&stage.order[0])->ended);
    struct call *seen = newest(&stage.order[0]);
    backend_goaway(&stage.order[0], seen->id);
    stage_until(&stage, stage.order[0].n_connections == 2);
    ck_assert(!call->closed);
    call_reply(seen, "late", 4);
    stage_until(&stage, call->closed);
    ck_assert_int_eq(call_status(call), 0);
    stage_until(&stage, seen->peer->down);
    stage_until(&stage, gateway_serving(stage.gateway));
    stage.order[0].more = echo;
    call = get(client);
    stage_until(&stage, call->closed);
    ck_assert_int_eq(call_status(call), 0);
    stage_close(&stage);
}
END_TEST

START_TEST(a_refused_stream_is_tried_again)
{
    stage_open(&stage, 0);
    struct call *call = get(stage_client(&stage));
    stage_until(&stage, stage.order[0].n_requests == 1);
    call_reset(newest(&stage.order[0]), NGHTTP2_REFUSED_STREAM);
    stage_until(&stage, stage.order[0].n_requests == 2);
    struct call *seen = newest(&stage.order[0]);
    stage_until(&stage, seen->ended);
    ck_assert_uint_eq(seen->body_len, 6);
    ck_assert_int_eq(seen->body[5], 'x');
    echo(seen);
    stage_until(&stage, call->closed);
    ck_assert_int_eq(call_status(call), 0);
    stage_close(&stage);
}
END_TEST

START_TEST(a_stream_refused_for_ever_is_given_up)
{
    stage_open(&stage, 0);
    struct call *call = get(stage_client(&stage));
    for (int i = 1; i <= 3; i++) {
        stage_until(&stage, stage.order[0].n_requests == i);
        call_reset(newest(&stage.order[0]), NGHTTP2_REFUSED_STREAM);
    }
    stage_until(&stage, call->closed);
    ck_assert_int_eq(call_status(call), 14);
    ck_assert_int_eq(stage.order[0].n_requests, 3);
    stage_close(&stage);
}
END_TEST

/* Whether a backend of svc-order with these names in its certificate is one. */
static bool is_trusted(const char *san)
{
    char cert[128], key[128];
    stage_open(&stage, STAGE_TLS);
    int port = stage.order[0].port;
    backend_kill(&stage.order[0]);
    stage_until(&stage, !gateway_serving(stage.gateway));
    keys_certificate_for(&stage.keys, "svc-order", san, cert, key);
    SSL_CTX *context = tls_server(&(struct tls_files){ stage.keys.ca_path, cert, key });
    backend_start(&stage.order[1], &stage.reactor, context, port);
    stage_until(&stage, stage.order[1].n_connections >= 2 || gateway_serving(stage.gateway));
    bool trusted = gateway_serving(stage.gateway);
    stage_close(&stage);
    return trusted;
}

START_TEST(a_backend_with_anothers_certificate_is_not_trusted)
{
    ck_assert(is_trusted("DNS:svc-order,URI:spiffe://ordermesh/svc-order"));
    ck_assert(!is_trusted("DNS:svc-inventory,URI:spiffe://ordermesh/svc-inventory"));
    ck_assert(!is_trusted("DNS:svc-inventory,URI:spiffe://ordermesh/svc-order"));
    ck_assert(!is_trusted("DNS:svc-order,URI:spiffe://ordermesh/svc-inventory"));
    ck_assert(!is_trusted("DNS:svc-order,URI:spiffe://ordermesh/svc-order2"));
    ck_assert(!is_trusted("DNS:svc-order,URI:spiffe://elsewhere/svc-order"));
    ck_assert(!is_trusted("DNS:svc-order,URI:spiffe://ordermesh/svc-order,URI:spiffe://ordermesh/svc-inventory"));
    ck_assert(!is_trusted("DNS:svc-order"));
}
END_TEST

START_TEST(a_draining_gateway_finishes_what_it_has_begun)
{
    stage_open(&stage, 0);
    struct peer *client = stage_client(&stage);
    struct call *call = get(client);
    stage_until(&stage, newest(&stage.order[0]) && newest(&stage.order[0])->ended);
    bool drained = false;
    gateway_drain(stage.gateway, 20000, 5000000, set_true, &drained);
    ck_assert(!gateway_serving(stage.gateway));
    stage_until(&stage, client->got_goaway);
    ck_assert(!drained);
    call_reply(newest(&stage.order[0]), "late", 4);
    stage_until(&stage, call->closed);
    ck_assert_int_eq(call_status(call), 0);
    stage_until(&stage, drained);
    stage_until(&stage, client->down);
    stage_close(&stage);
}
END_TEST

START_TEST(a_drain_does_not_wait_longer_than_its_grace)
{
    stage_open(&stage, 0);
    struct call *call = get(stage_client(&stage));
    stage_until(&stage, newest(&stage.order[0]) && newest(&stage.order[0])->ended);
    bool drained = false;
    int64_t begun_us = wheel_now_us();
    gateway_drain(stage.gateway, 10000, 300000, set_true, &drained);
    stage_until(&stage, drained);
    ck_assert_int_ge(wheel_now_us() - begun_us, 300000);
    ck_assert(!call->closed);
    stage_close(&stage);
}
END_TEST

SUITE("balance", 60, the_less_loaded_of_two_gets_the_call, a_stuck_backend_does_not_get_the_calls_of_the_other,
      without_a_backend_a_call_is_told_to_retry, a_backend_that_dies_within_a_call_is_told,
      a_backend_that_dies_within_a_reply_is_told_in_the_trailers, a_backend_that_comes_back_is_used_again,
      a_sick_backend_gets_no_calls, a_call_that_goaway_says_was_not_processed_goes_elsewhere,
      a_call_that_was_begun_before_goaway_finishes, a_refused_stream_is_tried_again,
      a_stream_refused_for_ever_is_given_up, a_backend_with_anothers_certificate_is_not_trusted,
      a_draining_gateway_finishes_what_it_has_begun, a_drain_does_not_wait_longer_than_its_grace)
