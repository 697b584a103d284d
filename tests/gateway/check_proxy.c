/* Calls through the gateway, seen from both ends. */
#include "tests/gateway/stage.h"
#include "tests/suite.h"

#include <stdio.h>
#include <string.h>

#define GET    "/oms.order.v1.OrderService/GetOrder"
#define SEARCH "/oms.catalog.v1.CatalogService/GetProduct"

static struct stage stage;

static struct call *last_request(struct backend *backend)
{
    struct call *found = NULL;
    for (struct peer *peer = backend->peers; peer; peer = peer->next)
        for (struct call *call = peer->calls; call && !found; call = call->next)
            if (call->begun)
                found = call;
    return found;
}

static void echo(struct call *call)
{
    if (call->ended && !call->replied)
        call_reply(call, call->body + 5, call->body_len - 5);
}

static struct call *unary(struct peer *peer, const char *path, const char *extra, const char *text)
{
    struct call *call = peer_call(peer, path, extra);
    call_put_message(call, text, strlen(text));
    call_end(call);
    return call;
}

static void expect_echo(const struct call *call, const char *text)
{
    ck_assert_int_eq(call_status(call), 0);
    ck_assert_uint_eq(call->body_len, strlen(text) + 5);
    ck_assert_mem_eq(call->body + 5, text, strlen(text));
}

START_TEST(a_unary_call_goes_through_and_back)
{
    stage_open(&stage, 0);
    stage.order[0].more = echo;
    struct peer *client = stage_client(&stage);
    struct call *call = unary(client, GET, stage.bearer, "hello");
    stage_until(&stage, call->closed);
    expect_echo(call, "hello");
    stage_close(&stage);
}
END_TEST

START_TEST(a_unary_call_goes_through_tls_on_both_sides)
{
    stage_open(&stage, STAGE_TLS);
    stage.order[0].more = echo;
    struct peer *client = stage_client(&stage);
    struct call *call = unary(client, GET, stage.bearer, "hello");
    stage_until(&stage, call->closed);
    expect_echo(call, "hello");
    stage_close(&stage);
}
END_TEST

START_TEST(a_service_goes_to_its_process)
{
    stage_open(&stage, 0);
    stage.order[0].more = stage.inventory.more = echo;
    struct peer *client = stage_client(&stage);
    struct call *call = unary(client, SEARCH, stage.bearer, "x");
    stage_until(&stage, call->closed);
    ck_assert_int_eq(call_status(call), 0);
    ck_assert_int_eq(stage.order[0].n_requests, 0);
    ck_assert_int_eq(stage.inventory.n_requests, 1);
    stage_close(&stage);
}
END_TEST

START_TEST(the_caller_is_told_and_cannot_be_forged)
{
    stage_open(&stage, 0);
    stage.order[0].more = echo;
    struct peer *client = stage_client(&stage);
    char extra[4096];
    snprintf(extra, sizeof(extra), "%sx-mesh-caller: 80;root\nx-mesh-anything: 1\nx-own: kept\n", stage.bearer);
    struct call *call = unary(client, GET, extra, "x");
    stage_until(&stage, call->closed);
    struct call *seen = last_request(&stage.order[0]);
    ck_assert_str_eq(call_field(seen, "x-mesh-caller"), "4;ann");
    ck_assert_ptr_null(strstr(strstr(seen->head, "x-mesh-caller: ") + 1, "x-mesh-"));
    ck_assert_str_eq(call_field(seen, "x-own"), "kept");
    ck_assert_str_eq(call_field(seen, "authorization"), "");
    ck_assert_str_eq(call_field(seen, ":authority"), "svc-order");
    stage_close(&stage);
}
END_TEST

/* --- streams --- */

#define TAIL "/mesh.v1.LogService/Tail"

static char erp_bearer[2048];

static const char *erp(void)
{
    snprintf(erp_bearer, sizeof(erp_bearer), "%smesh-service: svc-order\n", stage_bearer(&stage, "sap", "\"erp\""));
    return erp_bearer;
}

static uint8_t megabyte[1 << 20];

START_TEST(a_server_stream_goes_through_whole)
{
    stage_open(&stage, 0);
    struct peer *client = stage_client(&stage);
    struct call *call = unary(client, TAIL, erp(), "x");
    struct call *seen;
    stage_until(&stage, (seen = last_request(&stage.order[0])) != NULL && seen->ended);
    call_head(seen, NULL);
    size_t sent = 0;
    for (int i = 0; i < 20; i++, sent += sizeof(megabyte) + 5) {
        call_put_message(seen, megabyte, sizeof(megabyte));
        stage_until(&stage, pipe_held(&seen->out) < 64 * 1024);
    }
    call_trailers(seen, "grpc-status: 0\nx-extra: yes\n");
    stage_until(&stage, call->closed);
    ck_assert_uint_eq(call->body_len, sent);
    ck_assert_int_eq(call_status(call), 0);
    ck_assert_str_eq(call_field(call, "x-extra"), "yes");
    stage_close(&stage);
}
END_TEST

START_TEST(a_client_that_reads_slowly_costs_bounded_memory)
{
    stage_open(&stage, 0);
    struct peer *client = stage_client(&stage);
    client->slow = true;
    struct call *call = unary(client, TAIL, erp(), "x");
    struct call *seen;
    stage_until(&stage, (seen = last_request(&stage.order[0])) != NULL && seen->ended);
    call_head(seen, NULL);
    for (int i = 0; i < 4; i++)
        call_put_message(seen, megabyte, sizeof(megabyte));
    call_trailers(seen, "grpc-status: 0\n");
    size_t whole = 4 * (sizeof(megabyte) + 5), most = 0;
    while (!call->closed) {
        stage_for(&stage, 2000);
        if (stage.gateway->buffered > most)
            most = stage.gateway->buffered;
        call_read(call, call->unread);
    }
    ck_assert_uint_eq(call->body_len, whole);
    ck_assert_uint_gt(most, 0);
    ck_assert_uint_le(most, 66 * 1024);
    ck_assert_uint_eq(stage.gateway->buffered, 0);
    stage_close(&stage);
}
END_TEST

START_TEST(a_slow_client_does_not_stop_its_neighbours)
{
    stage_open(&stage, 0);
    struct peer *slow = stage_client(&stage), *fast = stage_client(&stage);
    slow->slow = true;
    struct call *stuck = unary(slow, TAIL, erp(), "x");
    struct call *seen;
    stage_until(&stage, (seen = last_request(&stage.order[0])) != NULL && seen->ended);
    call_head(seen, NULL);
    for (int i = 0; i < 8; i++)
        call_put_message(seen, megabyte, sizeof(megabyte));
    stage_for(&stage, 100000);
    ck_assert(!stuck->closed);
    stage.order[0].more = echo;
    for (int i = 0; i < 50; i++) {
        struct call *call = unary(fast, GET, stage.bearer, "hello");
        stage_until(&stage, call->closed);
        expect_echo(call, "hello");
    }
    stage_close(&stage);
}
END_TEST

START_TEST(a_backend_that_reads_slowly_holds_the_client_back)
{
    stage_open(&stage, 0);
    struct peer *client = stage_client(&stage);
    for (struct peer *peer = stage.order[0].peers; peer; peer = peer->next)
        peer->slow = true;
    struct call *call = peer_call(client, "/oms.order.v1.OrderService/PlaceOrder", stage.bearer);
    size_t whole = 200 * 1024;
    call_put_message(call, megabyte, whole);
    call_end(call);
    struct call *seen;
    stage_until(&stage, (seen = last_request(&stage.order[0])) != NULL && seen->body_len > 0);
    size_t most = 0;
    while (!seen->ended) {
        stage_for(&stage, 2000);
        if (stage.gateway->buffered > most)
            most = stage.gateway->buffered;
        call_read(seen, seen->unread);
    }
    ck_assert_uint_eq(seen->body_len, whole + 5);
    ck_assert_uint_le(most, 66 * 1024);
    call_reply(seen, "ok", 2);
    stage_until(&stage, call->closed);
    ck_assert_int_eq(call_status(call), 0);
    stage_close(&stage);
}
END_TEST

START_TEST(trailers_only_answers_come_as_they_are)
{
    stage_open(&stage, 0);
    struct peer *client = stage_client(&stage);
    struct call *call = unary(client, GET, stage.bearer, "x");
    struct call *seen;
    stage_until(&stage, (seen = last_request(&stage.order[0])) != NULL && seen->ended);
    call_only(seen, ":status: 200\ncontent-type: application/grpc\ngrpc-status: 5\ngrpc-message: no%20such\n"
                    "grpc-status-details-bin: CAUSB25vbmU\n");
    stage_until(&stage, call->closed);
    ck_assert_int_eq(call_status(call), 5);
    ck_assert_str_eq(call_field(call, "grpc-message"), "no%20such");
    ck_assert_str_eq(call_field(call, "grpc-status-details-bin"), "CAUSB25vbmU");
    ck_assert_uint_eq(call->body_len, 0);
    stage_close(&stage);
}
END_TEST

START_TEST(an_error_after_messages_comes_in_the_trailers)
{
    stage_open(&stage, 0);
    struct peer *client = stage_client(&stage);
    struct call *call = unary(client, TAIL, erp(), "x");
    struct call *seen;
    stage_until(&stage, (seen = last_request(&stage.order[0])) != NULL && seen->ended);
    call_head(seen, NULL);
    call_put_message(seen, "abc", 3);
    stage_until(&stage, call->body_len == 8);
    call_trailers(seen, "grpc-status: 11\n");
    stage_until(&stage, call->closed);
    ck_assert_int_eq(call_status(call), 11);
    ck_assert_uint_eq(call->error, NGHTTP2_NO_ERROR);
    stage_close(&stage);
}
END_TEST

START_TEST(a_backend_that_does_not_speak_grpc_is_an_error)
{
    stage_open(&stage, 0);
    struct peer *client = stage_client(&stage);
    const char *heads[] = { ":status: 502\ncontent-type: text/html\n",
                            ":status: 200\ncontent-type: application/grpc\n" };
    for (int i = 0; i < 2; i++) {
        struct call *call = unary(client, GET, stage.bearer, "x");
        stage_until(&stage, stage.order[0].n_requests == i + 1);
        struct call *seen = last_request(&stage.order[0]);
        call_only(seen, heads[i]);
        stage_until(&stage, call->closed);
        ck_assert_int_eq(call_status(call), 13);
        ck_assert_str_eq(call_reason(call), "BACKEND_BROKEN");
    }
    stage_close(&stage);
}
END_TEST

/* --- ends --- */

START_TEST(a_client_that_cancels_cancels_the_call_behind)
{
    stage_open(&stage, 0);
    struct peer *client = stage_client(&stage);
    struct call *call = unary(client, GET, stage.bearer, "x");
    struct call *seen;
    stage_until(&stage, (seen = last_request(&stage.order[0])) != NULL && seen->ended);
    call_reset(call, NGHTTP2_CANCEL);
    stage_until(&stage, seen->closed);
    ck_assert_uint_eq(seen->error, NGHTTP2_CANCEL);
    stage_until(&stage, stage.gateway->n_exchanges == 0);
    stage_close(&stage);
}
END_TEST

START_TEST(a_client_that_vanishes_cancels_all_its_calls)
{
    stage_open(&stage, 0);
    struct peer *client = stage_client(&stage);
    for (int i = 0; i < 5; i++)
        unary(client, GET, stage.bearer, "x");
    stage_until(&stage, stage.order[0].n_requests == 5);
    peer_close(client);
    stage_until(&stage, stage.gateway->n_exchanges == 0);
    struct peer *behind = stage.order[0].peers;
    for (struct call *seen = behind->calls; seen; seen = seen->next)
        stage_until(&stage, seen->closed);
    stage_close(&stage);
}
END_TEST

START_TEST(a_backend_that_resets_a_call_ends_it_with_its_status)
{
    stage_open(&stage, 0);
    struct peer *client = stage_client(&stage);
    static const struct {
        uint32_t error;
        int status;
    } rows[] = { { NGHTTP2_CANCEL, 1 }, { NGHTTP2_ENHANCE_YOUR_CALM, 8 }, { NGHTTP2_INTERNAL_ERROR, 13 } };
    for (size_t i = 0; i < 3; i++) {
        struct call *call = unary(client, GET, stage.bearer, "x");
        stage_until(&stage, stage.order[0].n_requests == (int)i + 1);
        call_reset(last_request(&stage.order[0]), rows[i].error);
        stage_until(&stage, call->closed);
        ck_assert_int_eq(call_status(call), rows[i].status);
        ck_assert_str_eq(call_reason(call), "BACKEND_RESET");
    }
    stage_close(&stage);
}
END_TEST

START_TEST(a_deadline_is_enforced_and_what_is_left_is_passed_on)
{
    stage_open(&stage, 0);
    struct peer *client = stage_client(&stage);
    char extra[4096];
    snprintf(extra, sizeof(extra), "%sgrpc-timeout: 150m\n", stage.bearer);
    int64_t begun_us = wheel_now_us();
    struct call *call = unary(client, GET, extra, "x");
    struct call *seen;
    stage_until(&stage, (seen = last_request(&stage.order[0])) != NULL && seen->ended);
    const char *left = call_field(seen, "grpc-timeout");
    ck_assert_int_eq(left[strlen(left) - 1], 'u');
    ck_assert_int_le(atoi(left), 150000);
    ck_assert_int_gt(atoi(left), 50000);
    stage_until(&stage, call->closed);
    int64_t took_us = wheel_now_us() - begun_us;
    ck_assert_int_eq(call_status(call), 4);
    ck_assert_str_eq(call_reason(call), "DEADLINE_EXCEEDED");
    ck_assert_int_ge(took_us, 150000);
    ck_assert_int_lt(took_us, 1500000);
    stage_until(&stage, seen->closed);
    ck_assert_uint_eq(seen->error, NGHTTP2_CANCEL);
    stage_close(&stage);
}
END_TEST

START_TEST(a_deadline_ends_a_stream_that_nobody_reads)
{
    stage_open(&stage, 0);
    struct peer *client = stage_client(&stage);
    client->slow = true;
    char extra[4096];
    snprintf(extra, sizeof(extra), "%sgrpc-timeout: 200m\n", erp());
    struct call *call = unary(client, TAIL, extra, "x");
    struct call *seen;
    stage_until(&stage, (seen = last_request(&stage.order[0])) != NULL && seen->ended);
    call_head(seen, NULL);
    call_put_message(seen, megabyte, sizeof(megabyte));
    stage_until(&stage, call->closed);
    ck_assert_int_eq(call_status(call), 4);
    stage_until(&stage, stage.gateway->n_exchanges == 0 && seen->closed);
    ck_assert_uint_eq(stage.gateway->buffered, 0);
    stage_close(&stage);
}
END_TEST

START_TEST(a_unary_call_without_a_deadline_gets_one)
{
    stage_open(&stage, STAGE_SOON);
    struct call *call = unary(stage_client(&stage), GET, stage.bearer, "x");
    stage_until(&stage, call->closed);
    ck_assert_int_eq(call_status(call), 4);
    stage_close(&stage);
}
END_TEST

START_TEST(a_reply_that_comes_before_the_request_has_ended_stops_the_request)
{
    stage_open(&stage, 0);
    struct peer *client = stage_client(&stage);
    struct call *call = peer_call(client, "/oms.order.v1.OrderService/PlaceOrder", stage.bearer);
    call_put(call, (uint8_t[]){ 0, 0, 2, 0, 0 }, 5);
    struct call *seen;
    stage_until(&stage, (seen = last_request(&stage.order[0])) != NULL && seen->headed);
    call_only(seen, ":status: 200\ncontent-type: application/grpc\ngrpc-status: 8\n");
    stage_until(&stage, call->closed && seen->closed);
    ck_assert_int_eq(call_status(call), 8);
    ck_assert_uint_eq(call->error, NGHTTP2_NO_ERROR);
    stage_until(&stage, stage.gateway->n_exchanges == 0);
    stage_close(&stage);
}
END_TEST

#define TRACE_OF 36 /* of a traceparent: "00-", the trace, "-" */
#define SPAN_OF  17

START_TEST(a_trace_is_passed_on_or_begun)
{
    stage_open(&stage, 0);
    stage.order[0].more = echo;
    struct peer *client = stage_client(&stage);
    static const char given[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    char extra[2048], made[64];
    snprintf(extra, sizeof(extra), "%straceparent: %s\n", stage.bearer, given);
    struct call *call = unary(client, GET, extra, "x");
    stage_until(&stage, call->closed);
    const char *passed_on = call_field(last_request(&stage.order[0]), "traceparent");
    ck_assert_int_eq(strncmp(passed_on, given, TRACE_OF), 0);
    ck_assert_msg(strncmp(passed_on + TRACE_OF, given + TRACE_OF, SPAN_OF) != 0, "the gateway has a span of its own");
    ck_assert_str_eq(passed_on + TRACE_OF + SPAN_OF, "00");
    call = unary(client, GET, stage.bearer, "x");
    stage_until(&stage, call->closed);
    snprintf(made, sizeof(made), "%s", call_field(last_request(&stage.order[0]), "traceparent"));
    struct trace trace;
    ck_assert(trace_parse(made, &trace));
    snprintf(extra, sizeof(extra), "%straceparent: nonsense\n", stage.bearer);
    call = unary(client, GET, extra, "x");
    stage_until(&stage, call->closed);
    ck_assert(trace_parse(call_field(last_request(&stage.order[0]), "traceparent"), &trace));
    ck_assert_str_ne(call_field(last_request(&stage.order[0]), "traceparent"), made);
    stage_close(&stage);
}
END_TEST

START_TEST(whether_a_trace_is_sampled_is_not_for_the_client_to_say)
{
    stage_open(&stage, 0);
    stage.order[0].more = echo;
    struct peer *client = stage_client(&stage);
    char extra[2048];
    snprintf(extra, sizeof(extra), "%straceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00\n",
             stage.bearer);
    stage.gateway->trace_every = 1;
    struct call *call = unary(client, GET, extra, "x");
    stage_until(&stage, call->closed);
    ck_assert_str_eq(call_field(last_request(&stage.order[0]), "traceparent") + TRACE_OF + SPAN_OF, "01");
    stage_close(&stage);
}
END_TEST

START_TEST(many_calls_at_once_all_get_their_own_answer)
{
    stage_open(&stage, STAGE_TLS);
    stage.order[0].more = echo;
    struct peer *clients[4];
    struct call *calls[400];
    char text[16];
    for (int i = 0; i < 4; i++)
        clients[i] = stage_client(&stage);
    for (int i = 0; i < 400; i++) {
        snprintf(text, sizeof(text), "call %d", i);
        calls[i] = unary(clients[i % 4], GET, stage.bearer, text);
    }
    for (int i = 0; i < 400; i++) {
        snprintf(text, sizeof(text), "call %d", i);
        stage_until(&stage, calls[i]->closed);
        expect_echo(calls[i], text);
    }
    ck_assert_uint_eq(auth_counts(stage.gateway->auth).verified, 1);
    stage_close(&stage);
}
END_TEST

SUITE("proxy", 60, a_unary_call_goes_through_and_back, a_unary_call_goes_through_tls_on_both_sides,
      a_service_goes_to_its_process, the_caller_is_told_and_cannot_be_forged, a_server_stream_goes_through_whole,
      a_client_that_reads_slowly_costs_bounded_memory, a_slow_client_does_not_stop_its_neighbours,
      a_backend_that_reads_slowly_holds_the_client_back, trailers_only_answers_come_as_they_are,
      an_error_after_messages_comes_in_the_trailers, a_backend_that_does_not_speak_grpc_is_an_error,
      a_client_that_cancels_cancels_the_call_behind, a_client_that_vanishes_cancels_all_its_calls,
      a_backend_that_resets_a_call_ends_it_with_its_status, a_deadline_is_enforced_and_what_is_left_is_passed_on,
      a_deadline_ends_a_stream_that_nobody_reads, a_unary_call_without_a_deadline_gets_one,
      a_reply_that_comes_before_the_request_has_ended_stops_the_request, a_trace_is_passed_on_or_begun,
      whether_a_trace_is_sampled_is_not_for_the_client_to_say, many_calls_at_once_all_get_their_own_answer)
