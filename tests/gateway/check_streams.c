/* Streams of clients, and of both sides at once, through the gateway: every byte when it is said, and every end. */
#include "tests/gateway/stage.h"
#include "tests/suite.h"

#include <stdio.h>
#include <string.h>

#define IMPORT "/oms.order.v1.OrderService/ImportOrders"
#define HELD   (66 * 1024) /* bytes of one direction that the gateway may hold */

static struct stage stage;
static uint8_t megabyte[1 << 20];

static struct call *open_call(struct peer *client, const char *more)
{
    char extra[4096];
    snprintf(extra, sizeof(extra), "%s%s", stage_bearer(&stage, "sap", "\"erp\""), more);
    return peer_call(client, IMPORT, extra);
}

static struct call *request_at(struct backend *backend)
{
    for (struct peer *peer = backend->peers; peer; peer = peer->next)
        for (struct call *call = peer->calls; call; call = call->next)
            if (call->begun)
                return call;
    return NULL;
}

/* Its call as the process behind sees it. */
static struct call *await_request(struct backend *backend)
{
    struct call *seen;
    stage_until(&stage, (seen = request_at(backend)) != NULL && seen->headed);
    return seen;
}

START_TEST(both_sides_speak_as_they_like)
{
    stage_open(&stage, STAGE_TLS);
    struct call *call = open_call(stage_client(&stage), "");
    struct call *seen = await_request(&stage.order[0]); /* before anything is said */
    call_head(seen, NULL);
    stage_until(&stage, call->headed);
    for (size_t i = 1; i <= 20; i++) {
        call_put_message(call, "chunk", 5);
        stage_until(&stage, seen->body_len == i * 10);
        ck_assert(!seen->ended);
        call_put_message(seen, "ack", 3);
        stage_until(&stage, call->body_len == i * 8);
    }
    ck_assert_mem_eq(seen->body + 5, "chunk", 5);
    ck_assert_mem_eq(call->body + 5, "ack", 3);
    call_end(call);
    stage_until(&stage, seen->ended);
    ck_assert(!call->closed);
    call_put_message(seen, "end", 3); /* after the client has said everything */
    call_trailers(seen, "grpc-status: 0\nx-extra: yes\n");
    stage_until(&stage, call->closed);
    ck_assert_uint_eq(call->body_len, 21 * 8);
    ck_assert_int_eq(call_status(call), 0);
    ck_assert_str_eq(call_field(call, "x-extra"), "yes");
    stage_until(&stage, stage.gateway->n_exchanges == 0);
    stage_close(&stage);
}
END_TEST

START_TEST(a_client_that_says_nothing_is_answered)
{
    stage_open(&stage, 0);
    struct call *call = open_call(stage_client(&stage), "");
    call_end(call);
    struct call *seen = await_request(&stage.order[0]);
    stage_until(&stage, seen->ended);
    ck_assert_uint_eq(seen->body_len, 0);
    call_only(seen, ":status: 200\ncontent-type: application/grpc\ngrpc-status: 0\n");
    stage_until(&stage, call->closed);
    ck_assert_int_eq(call_status(call), 0);
    stage_close(&stage);
}
END_TEST

START_TEST(who_does_not_read_holds_the_other_side_back_and_only_in_his_direction)
{
    stage_open(&stage, 0);
    struct peer *client = stage_client(&stage);
    for (struct peer *peer = stage.order[0].peers; peer; peer = peer->next)
        peer->slow = true;
    struct call *call = open_call(client, "");
    struct call *seen = await_request(&stage.order[0]);
    call_head(seen, NULL);
    for (int i = 0; i < 4; i++)
        call_put_message(call, megabyte, 200 * 1024);
    call_end(call);
    size_t whole = 4 * (200 * 1024 + 5), most = 0;
    stage_for(&stage, 100000);
    ck_assert_uint_lt(seen->body_len, whole); /* it waits */
    for (size_t i = 1; i <= 10; i++) {        /* and the other direction does not */
        call_put_message(seen, "ack", 3);
        stage_until(&stage, call->body_len == i * 8);
    }
    while (!seen->ended) {
        stage_for(&stage, 2000);
        most = stage.gateway->buffered > most ? stage.gateway->buffered : most;
        call_read(seen, seen->unread);
    }
    ck_assert_uint_eq(seen->body_len, whole);
    ck_assert_uint_le(most, HELD);

    client->slow = true;
    for (int i = 0; i < 4; i++)
        call_put_message(seen, megabyte, sizeof(megabyte));
    call_trailers(seen, "grpc-status: 0\n");
    for (most = 0; !call->closed; call_read(call, call->unread)) {
        stage_for(&stage, 2000);
        most = stage.gateway->buffered > most ? stage.gateway->buffered : most;
    }
    ck_assert_uint_eq(call->body_len, 10 * 8 + 4 * (sizeof(megabyte) + 5));
    ck_assert_uint_le(most, HELD);
    ck_assert_uint_eq(stage.gateway->buffered, 0);
    stage_close(&stage);
}
END_TEST

START_TEST(an_end_that_comes_while_the_client_speaks_ends_the_call)
{
    stage_open(&stage, 0);
    struct call *call = open_call(stage_client(&stage), "");
    call_put_message(call, "good", 4);
    call_put_message(call, "bad", 3);
    struct call *seen = await_request(&stage.order[0]);
    stage_until(&stage, seen->body_len == 17);
    call_head(seen, NULL);
    call_put_message(seen, "ack", 3);
    call_trailers(seen, "grpc-status: 3\ngrpc-message: bad\n");
    stage_until(&stage, call->closed && seen->closed);
    ck_assert_uint_eq(call->body_len, 8);
    ck_assert_int_eq(call_status(call), 3);
    ck_assert_str_eq(call_field(call, "grpc-message"), "bad");
    stage_until(&stage, stage.gateway->n_exchanges == 0);
    ck_assert_uint_eq(stage.gateway->buffered, 0);
    stage_close(&stage);
}
END_TEST

START_TEST(what_a_client_says_after_the_end_begins_nothing)
{
    stage_open(&stage, 0);
    struct peer *client = stage_client(&stage);
    client->slow = true;
    struct call *call = open_call(client, "");
    struct call *seen = await_request(&stage.order[0]);
    call_head(seen, NULL);
    call_put_message(seen, megabyte, 100 * 1024); /* more than the client takes: the end waits behind it */
    call_trailers(seen, "grpc-status: 0\n");
    stage_for(&stage, 50000);
    call_put_message(call, "more", 4);
    stage_for(&stage, 50000);
    ck_assert_int_eq(stage.order[0].n_requests, 1);
    for (; !call->closed; call_read(call, call->unread))
        stage_for(&stage, 2000);
    ck_assert_uint_eq(call->body_len, 100 * 1024 + 5);
    ck_assert_int_eq(call_status(call), 0);
    stage_until(&stage, stage.gateway->n_exchanges == 0);
    ck_assert_uint_eq(stage.gateway->buffered, 0);
    stage_close(&stage);
}
END_TEST

START_TEST(a_client_that_cancels_or_vanishes_cancels_its_stream_behind)
{
    stage_open(&stage, 0);
    struct peer *client = stage_client(&stage);
    struct call *call = open_call(client, "");
    call_put_message(call, "chunk", 5);
    struct call *seen = await_request(&stage.order[0]);
    call_head(seen, NULL);
    stage_until(&stage, call->headed);
    call_reset(call, NGHTTP2_CANCEL);
    stage_until(&stage, seen->closed);
    ck_assert_uint_eq(seen->error, NGHTTP2_CANCEL);

    open_call(client, "");
    stage_until(&stage, stage.order[0].n_requests == 2);
    peer_close(client);
    stage_until(&stage, stage.gateway->n_exchanges == 0);
    stage_until(&stage, request_at(&stage.order[0])->closed);
    stage_close(&stage);
}
END_TEST

START_TEST(a_process_that_resets_a_stream_ends_it_with_its_status)
{
    stage_open(&stage, 0);
    struct call *call = open_call(stage_client(&stage), "");
    call_put_message(call, "chunk", 5);
    struct call *seen = await_request(&stage.order[0]);
    call_head(seen, NULL);
    call_put_message(seen, "ack", 3);
    stage_until(&stage, call->body_len == 8);
    call_reset(seen, NGHTTP2_CANCEL);
    stage_until(&stage, call->closed);
    ck_assert_int_eq(call_status(call), 1);
    ck_assert_str_eq(call_reason(call), "BACKEND_RESET");
    stage_close(&stage);
}
END_TEST

/* What was said may have been carried out: only the client can say it again. */
START_TEST(a_process_that_dies_in_a_stream_is_told_behind_what_it_has_answered)
{
    stage_open(&stage, STAGE_TWO);
    struct peer *client = stage_client(&stage);
    for (int acks = 0; acks < 2; acks++) {
        int before = stage.order[1].n_requests;
        struct call *call = open_call(client, "");
        call_put_message(call, "chunk", 5);
        stage_until(&stage, stage.order[0].n_requests + stage.order[1].n_requests == acks + 1);
        struct backend *backend = &stage.order[stage.order[1].n_requests > before];
        struct call *seen = await_request(backend);
        stage_until(&stage, seen->body_len == 10);
        if (acks) {
            call_head(seen, NULL);
            call_put_message(seen, "ack", 3);
            stage_until(&stage, call->body_len == 8);
        }
        backend_kill(backend);
        stage_until(&stage, call->closed);
        ck_assert_uint_eq(call->body_len, acks ? 8 : 0);
        ck_assert_int_eq(call_status(call), 14);
        ck_assert_str_eq(call_reason(call), "BACKEND_LOST");
        ck_assert_int_eq(stage.order[0].n_requests + stage.order[1].n_requests, acks + 1);
    }
    stage_until(&stage, stage.gateway->n_exchanges == 0);
    stage_close(&stage);
}
END_TEST

START_TEST(a_stream_that_nobody_has_begun_goes_on_elsewhere)
{
    stage_open(&stage, STAGE_TWO);
    struct call *call = open_call(stage_client(&stage), "");
    call_put_message(call, "chunk", 5);
    stage_until(&stage, stage.order[0].n_requests + stage.order[1].n_requests == 1);
    bool first = stage.order[1].n_requests == 1;
    struct call *seen = await_request(&stage.order[first]);
    stage_until(&stage, seen->body_len == 10);
    call_reset(seen, NGHTTP2_REFUSED_STREAM);
    stage_until(&stage, stage.order[0].n_requests + stage.order[1].n_requests == 2);
    struct call *again = NULL;
    stage_until(&stage, ((again = request_at(&stage.order[!first])) && again != seen) ||
                            ((again = request_at(&stage.order[first])) && again != seen));
    stage_until(&stage, again->body_len == 10);
    call_put_message(call, "more", 4);
    call_end(call);
    stage_until(&stage, again->ended);
    ck_assert_uint_eq(again->body_len, 19);
    ck_assert_mem_eq(again->body + 5, "chunk", 5);
    ck_assert_mem_eq(again->body + 15, "more", 4);
    call_head(again, NULL);
    call_trailers(again, "grpc-status: 0\n");
    stage_until(&stage, call->closed);
    ck_assert_int_eq(call_status(call), 0);
    stage_close(&stage);
}
END_TEST

START_TEST(a_deadline_ends_a_stream_that_goes_on)
{
    stage_open(&stage, 0);
    struct call *call = open_call(stage_client(&stage), "grpc-timeout: 150m\n");
    struct call *seen = await_request(&stage.order[0]);
    call_head(seen, NULL);
    call_put_message(call, "chunk", 5);
    stage_until(&stage, call->closed && seen->closed);
    ck_assert_int_eq(call_status(call), 4);
    ck_assert_uint_eq(seen->error, NGHTTP2_CANCEL);
    stage_close(&stage);
}
END_TEST

SUITE("streams", 60, both_sides_speak_as_they_like, a_client_that_says_nothing_is_answered,
      who_does_not_read_holds_the_other_side_back_and_only_in_his_direction,
      an_end_that_comes_while_the_client_speaks_ends_the_call, what_a_client_says_after_the_end_begins_nothing,
      a_client_that_cancels_or_vanishes_cancels_its_stream_behind,
      a_process_that_resets_a_stream_ends_it_with_its_status,
      a_process_that_dies_in_a_stream_is_told_behind_what_it_has_answered,
      a_stream_that_nobody_has_begun_goes_on_elsewhere, a_deadline_ends_a_stream_that_goes_on)
