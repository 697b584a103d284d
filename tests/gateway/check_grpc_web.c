/* gRPC-Web through the gateway: the process behind sees gRPC, the client what it asked in. */
#include "gateway/base64.h"
#include "tests/gateway/web.h"
#include "tests/suite.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define WEB  "application/grpc-web"
#define TEXT "application/grpc-web-text"
#define HELD (100 * 1024) /* bytes of one direction that the gateway may hold: a window, and base64's third */

static struct stage stage;
static uint8_t megabyte[1 << 20];

static void echo(struct call *call)
{
    if (!call->ended || call->replied)
        return;
    call_head(call,
              ":status: 200\ncontent-type: application/grpc\nx-head: h\nx-mesh-inner: i\ngrpc-encoding: identity\n");
    call_put(call, call->body, call->body_len);
    call_trailers(call, "grpc-status: 0\nx-extra: yes\nx-mesh-inner: i\n");
}

static void expect_echo(struct call *call, const char *text)
{
    struct web_frame frame;
    ck_assert_str_eq(call_field(call, ":status"), "200");
    ck_assert_str_eq(call->trailers, ""); /* of HTTP there are none */
    ck_assert(web_frame(call, 0, &frame));
    ck_assert_uint_eq(frame.flags, 0);
    ck_assert_uint_eq(frame.payload.len, strlen(text));
    ck_assert_mem_eq(frame.payload.data, text, strlen(text));
    web_trailers(call, 1);
    ck_assert_str_eq(call->trailers, "grpc-status: 0\nx-extra: yes\n");
}

static struct call *unary(const char *content, const char *extra, const void *body, size_t n)
{
    struct call *call = web_call(stage_client(&stage), GET, content, extra);
    call_put(call, body, n);
    call_end(call);
    stage_until(&stage, call->closed);
    return call;
}

static const uint8_t hello[] = { 0, 0, 0, 0, 5, 'h', 'e', 'l', 'l', 'o' };

static const char *as_ann(const char *more)
{
    static char extra[4096];
    snprintf(extra, sizeof(extra), "%s%s", stage.bearer, more);
    return extra;
}

START_TEST(a_unary_call_is_answered_with_its_trailers_in_the_body)
{
    stage_open(&stage, STAGE_TLS);
    stage.order[0].more = echo;
    struct call *call = unary(WEB, stage.bearer, hello, sizeof(hello));
    ck_assert_str_eq(call_field(call, "content-type"), "application/grpc-web+proto");
    ck_assert_str_eq(call_field(call, "x-head"), "h");
    expect_echo(call, "hello");
    call = unary("application/grpc-web+proto; charset=utf-8", stage.bearer, hello, sizeof(hello));
    expect_echo(call, "hello");
    stage_until(&stage, stage.gateway->n_exchanges == 0);
    ck_assert_uint_eq(stage.gateway->buffered, 0);
    stage_close(&stage);
}
END_TEST

START_TEST(what_is_said_to_the_gateway_goes_no_further)
{
    stage_open(&stage, 0);
    stage.order[0].more = echo;
    struct call *call =
        unary(WEB,
              as_ann("x-grpc-web: 1\nx-user-agent: ua\nuser-agent: ub\norigin: https://a\naccept: */*\n"
                     "accept-encoding: gzip\nsec-fetch-mode: cors\ncookie: c=1\nx-mesh-caller: 64:root\n"
                     "grpc-accept-encoding: gzip\nx-kept: k\n"),
              hello, sizeof(hello));
    expect_echo(call, "hello");
    const struct call *seen = web_request(&stage, &stage.order[0]);
    ck_assert_str_eq(call_field(seen, "content-type"), "application/grpc");
    ck_assert_str_eq(call_field(seen, "te"), "trailers");
    ck_assert_str_eq(call_field(seen, "x-kept"), "k");
    ck_assert_ptr_null(strstr(call_field(seen, "x-mesh-caller"), "root"));
    static const char *const ours[] = { "x-grpc-web", "x-user-agent",   "origin",         "accept",
                                        "cookie",     "sec-fetch-mode", "accept-encoding" };
    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
        ck_assert_str_eq(call_field(seen, ours[i]), "");
    ck_assert_str_eq(call_field(call, "x-mesh-inner"), "");
    ck_assert_str_eq(call_field(call, "grpc-encoding"), "");
    stage_close(&stage);
}
END_TEST

START_TEST(text_is_the_same_in_base64)
{
    stage_open(&stage, 0);
    stage.order[0].more = echo;
    static const char body[] = "AAAAAAU=aGVsbG8="; /* prefix and message, each padded on its own */
    struct call *call = unary(TEXT, stage.bearer, body, strlen(body));
    ck_assert_str_eq(call_field(call, "content-type"), "application/grpc-web-text+proto");
    web_untext(call);
    expect_echo(call, "hello");
    stage_close(&stage);
}
END_TEST

START_TEST(a_body_may_be_cut_anywhere)
{
    static const char text[] = "AAAAAAU=aGVsbG8=";
    stage_open(&stage, 0);
    stage.order[0].more = echo;
    struct peer *client = stage_client(&stage);
    for (size_t i = 0; i < 2; i++) {
        const char *body = i ? text : (const char *)hello;
        size_t n = i ? strlen(text) : sizeof(hello);
        for (size_t cut = 0; cut <= n; cut++) {
            struct call *call = web_call(client, GET, i ? TEXT : WEB, stage.bearer);
            call_put(call, body, cut);
            stage_for(&stage, 10000);
            call_put(call, body + cut, n - cut);
            call_end(call);
            stage_until(&stage, call->closed);
            if (i)
                web_untext(call);
            expect_echo(call, "hello");
        }
    }
    stage_close(&stage);
}
END_TEST

START_TEST(what_is_no_base64_or_breaks_off_is_refused)
{
    static const char *const bad[] = { "AAAA?AU=", "AAAAAAU=aGVsbG8", "AA=A", "=AAA", "AAAAAAU=aGVsbG8=AAAA",
                                       "AAAA",     "AAAAAAA=AA" };
    stage_open(&stage, 0);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct call *call = unary(TEXT, stage.bearer, bad[i], strlen(bad[i]));
        web_untext(call);
        web_trailers(call, 0);
        ck_assert_int_eq(call_status(call), 3);
        ck_assert_str_eq(call_reason(call), "MESSAGE_MALFORMED");
    }
    stage_close(&stage);
}
END_TEST

static void expect_refused(struct call *call, int status, const char *reason)
{
    ck_assert_str_eq(call_field(call, ":status"), "200");
    web_trailers(call, 0);
    ck_assert_int_eq(call_status(call), status);
    ck_assert_str_eq(call_reason(call), reason);
    ck_assert_str_ne(call_field(call, "grpc-message"), "");
}

START_TEST(what_the_gateway_refuses_is_said_in_the_body)
{
    static uint8_t large[70000] = { 0, 0, 1, 0, 1 };
    stage_open(&stage, 0);
    expect_refused(unary(WEB, "", hello, sizeof(hello)), 16, "TOKEN_REQUIRED");
    expect_refused(unary(WEB, stage.bearer, large, 5), 8, "REQUEST_TOO_LARGE");
    expect_refused(unary(WEB, stage.bearer, large, sizeof(large)), 8, "REQUEST_TOO_LARGE");
    expect_refused(unary(WEB, stage.bearer, "\1\0\0\0\0", 5), 12, "COMPRESSION_UNSUPPORTED");
    expect_refused(unary(WEB, stage.bearer, hello, 7), 3, "MESSAGE_MALFORMED");
    expect_refused(unary(WEB, stage.bearer, "", 0), 3, "MESSAGE_MALFORMED");
    expect_refused(unary(WEB, as_ann("grpc-timeout: soon\n"), hello, sizeof(hello)), 3, "TIMEOUT_MALFORMED");
    stage_until(&stage, stage.gateway->n_exchanges == 0);
    ck_assert_uint_eq(stage.gateway->buffered, 0);
    stage_close(&stage);
}
END_TEST

static struct call *open_export(struct peer *client, const char *content, const char *more)
{
    char extra[4096];
    snprintf(extra, sizeof(extra), "%s%s", stage_bearer(&stage, "sap", "\"erp\""), more);
    struct call *call = web_call(client, EXPORT, content, extra);
    call_put(call, strcmp(content, TEXT) == 0 ? "AAAAAAA=" : "\0\0\0\0\0", strcmp(content, TEXT) == 0 ? 8 : 5);
    call_end(call);
    return call;
}

START_TEST(a_stream_is_told_as_it_is_said)
{
    stage_open(&stage, 0);
    struct call *call = open_export(stage_client(&stage), WEB, "");
    struct call *seen = web_request(&stage, &stage.order[0]);
    call_head(seen, NULL);
    stage_until(&stage, call->headed);
    for (size_t i = 1; i <= 20; i++) {
        call_put_message(seen, "told", 4);
        stage_until(&stage, call->body_len == i * 9);
    }
    ck_assert(!call->closed);
    call_trailers(seen, "grpc-status: 0\nx-extra: yes\n");
    stage_until(&stage, call->closed);
    web_trailers(call, 20);
    ck_assert_int_eq(call_status(call), 0);
    stage_until(&stage, stage.gateway->n_exchanges == 0);
    ck_assert_uint_eq(stage.gateway->buffered, 0);
    stage_close(&stage);
}
END_TEST

START_TEST(an_error_may_come_before_the_first_message_and_after_it)
{
    stage_open(&stage, 0);
    struct peer *client = stage_client(&stage);
    struct call *call = open_export(client, WEB, "");
    call_only(web_request(&stage, &stage.order[0]),
              ":status: 200\ncontent-type: application/grpc\ngrpc-status: 5\ngrpc-message: none%21\n");
    stage_until(&stage, call->closed);
    web_trailers(call, 0);
    ck_assert_int_eq(call_status(call), 5);
    ck_assert_str_eq(call_field(call, "grpc-message"), "none%21");

    call = open_export(client, WEB, "");
    stage_until(&stage, stage.order[0].n_requests == 2);
    struct call *seen = web_request(&stage, &stage.order[0]);
    call_head(seen, NULL);
    call_put_message(seen, "one", 3);
    call_trailers(seen, "grpc-status: 14\n");
    stage_until(&stage, call->closed);
    web_trailers(call, 1);
    ck_assert_int_eq(call_status(call), 14);
    stage_close(&stage);
}
END_TEST

START_TEST(a_process_that_is_lost_between_messages_is_told)
{
    stage_open(&stage, 0);
    struct call *call = open_export(stage_client(&stage), WEB, "");
    struct call *seen = web_request(&stage, &stage.order[0]);
    call_head(seen, NULL);
    call_put_message(seen, "one", 3);
    stage_until(&stage, call->body_len == 8);
    backend_kill(&stage.order[0]);
    stage_until(&stage, call->closed);
    web_trailers(call, 1);
    ck_assert_int_eq(call_status(call), 14);
    ck_assert_str_eq(call_reason(call), "BACKEND_LOST");
    stage_close(&stage);
}
END_TEST

START_TEST(what_a_client_has_begun_to_read_is_whole_or_the_stream_is_reset)
{
    static const uint8_t half[] = { 0, 0, 0, 0, 10, 'h', 'a', 'l', 'f' };
    stage_open(&stage, 0);
    struct call *call = open_export(stage_client(&stage), WEB, "");
    struct call *seen = web_request(&stage, &stage.order[0]);
    call_head(seen, NULL);
    call_put(seen, half, sizeof(half));
    stage_until(&stage, call->body_len == sizeof(half));
    backend_kill(&stage.order[0]);
    stage_until(&stage, call->closed);
    ck_assert_uint_eq(call->error, NGHTTP2_INTERNAL_ERROR);
    ck_assert_uint_eq(call->body_len, sizeof(half));
    stage_close(&stage);
}
END_TEST

/* The client's window is shut while the half message comes: none of it was read, so it is as if it had not come. */
static void half_unread(const char *content)
{
    static const uint8_t half[] = { 0, 0, 0, 0, 10, 'h', 'a', 'l', 'f' };
    stage_open(&stage, 0);
    struct peer *client = stage_client(&stage);
    client->slow = true;
    struct call *call = open_export(client, content, "");
    struct call *seen = web_request(&stage, &stage.order[0]);
    call_head(seen, NULL);
    size_t whole = 0;
    for (; whole < 70; whole++)
        call_put_message(seen, megabyte, 1024 - PREFIX);
    call_put(seen, half, sizeof(half));
    stage_for(&stage, 100000);
    backend_kill(&stage.order[0]);
    for (int turns = 0; !call->closed && turns < 1000; turns++) {
        stage_for(&stage, 2000);
        call_read(call, call->unread);
    }
    ck_assert(call->closed);
    ck_assert_uint_eq(call->error, 0);
    if (strcmp(content, TEXT) == 0)
        web_untext(call);
    web_trailers(call, whole);
    ck_assert_str_eq(call_reason(call), "BACKEND_LOST");
    stage_until(&stage, stage.gateway->n_exchanges == 0);
    ck_assert_uint_eq(stage.gateway->buffered, 0);
    stage_close(&stage);
}

START_TEST(what_a_client_has_not_begun_to_read_is_taken_back)
{
    half_unread(WEB);
    half_unread(TEXT);
}
END_TEST

static void slow_reader(const char *content)
{
    stage_open(&stage, 0);
    struct peer *client = stage_client(&stage);
    client->slow = true;
    struct call *call = open_export(client, content, "");
    struct call *seen = web_request(&stage, &stage.order[0]);
    size_t most = 0;
    call_head(seen, NULL);
    for (int i = 0; i < 4; i++)
        call_put_message(seen, megabyte, sizeof(megabyte));
    call_trailers(seen, "grpc-status: 0\n");
    for (; !call->closed; call_read(call, call->unread)) {
        stage_for(&stage, 2000);
        most = stage.gateway->buffered > most ? stage.gateway->buffered : most;
    }
    ck_assert_uint_ge(call->body_len, 4 * sizeof(megabyte));
    ck_assert_uint_le(most, HELD);
    ck_assert_uint_eq(stage.gateway->buffered, 0);
    stage_close(&stage);
}

START_TEST(who_does_not_read_holds_the_process_behind_back)
{
    slow_reader(WEB);
    slow_reader(TEXT);
}
END_TEST

START_TEST(a_deadline_ends_a_stream_and_is_told)
{
    stage_open(&stage, 0);
    struct call *call = open_export(stage_client(&stage), WEB, "grpc-timeout: 100m\n");
    struct call *seen = web_request(&stage, &stage.order[0]);
    ck_assert_str_ne(call_field(seen, "grpc-timeout"), "");
    call_head(seen, NULL);
    call_put_message(seen, "one", 3);
    stage_until(&stage, call->closed);
    web_trailers(call, 1);
    ck_assert_int_eq(call_status(call), 4);
    stage_until(&stage, seen->closed);
    stage_close(&stage);
}
END_TEST

START_TEST(the_end_waits_for_a_client_but_not_for_ever)
{
    stage_open(&stage, 0);
    struct peer *client = stage_client(&stage);
    client->slow = true;
    struct call *call = open_export(client, WEB, "grpc-timeout: 100m\n");
    struct call *seen = web_request(&stage, &stage.order[0]);
    call_head(seen, NULL);
    for (int i = 0; i < 200; i++)
        call_put_message(seen, megabyte, 1024);
    stage_for(&stage, 3000000);
    ck_assert(!call->closed);
    stage_for(&stage, 3000000);
    ck_assert(call->closed);
    ck_assert_uint_eq(call->error, NGHTTP2_INTERNAL_ERROR);
    stage_until(&stage, stage.gateway->n_exchanges == 0);
    stage_close(&stage);
}
END_TEST

START_TEST(the_gateways_own_services_speak_it_too)
{
    struct web_frame frame;
    stage_open(&stage, 0);
    struct call *call = web_call(stage_client(&stage), "/grpc.health.v1.Health/Check", WEB, "");
    call_put(call, "\0\0\0\0\0", 5);
    call_end(call);
    stage_until(&stage, call->closed);
    ck_assert(web_frame(call, 0, &frame));
    ck_assert_uint_eq(frame.payload.len, 2);
    ck_assert_mem_eq(frame.payload.data, "\x08\x01", 2);
    web_trailers(call, 1);
    ck_assert_int_eq(call_status(call), 0);
    stage_close(&stage);
}
END_TEST

START_TEST(base64_is_read_in_any_pieces_and_nothing_else_is)
{
    static const struct {
        const char *text, *data;
    } good[] = { { "", "" }, { "Zg==", "f" }, { "Zm8=", "fo" }, { "Zm9v", "foo" }, { "Zg==Zm8=Zm9v", "ffofoo" } };
    char text[16];
    uint8_t data[64];
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        for (size_t step = 1; step <= 12; step++) {
            struct base64 state = { 0 };
            size_t n = 0;
            for (size_t at = 0; at < strlen(good[i].text); at += step) {
                size_t len = strlen(good[i].text) - at < step ? strlen(good[i].text) - at : step;
                int64_t more = base64_decode(&state, good[i].text + at, len, data + n);
                ck_assert_int_ge(more, 0);
                n += (size_t)more;
            }
            ck_assert(base64_whole(&state));
            ck_assert_uint_eq(n, strlen(good[i].data));
            ck_assert_mem_eq(data, good[i].data, n);
        }
    for (size_t i = 1; i < 4; i++) {
        ck_assert_uint_eq(base64_encode((const uint8_t *)good[i].data, i, true, text), 4);
        ck_assert_mem_eq(text, good[i].text, 4);
        ck_assert_uint_eq(base64_encode((const uint8_t *)good[i].data, i, false, text), i + 1);
    }
    static const char *const bad[] = { "Z===", "====", "Zg=o", "Z g=", "Zm9v=" };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct base64 state = { 0 };
        ck_assert_int_eq(base64_decode(&state, bad[i], strlen(bad[i]), data), -EINVAL);
    }
}
END_TEST

SUITE("grpc_web", 60, a_unary_call_is_answered_with_its_trailers_in_the_body,
      what_is_said_to_the_gateway_goes_no_further, text_is_the_same_in_base64, a_body_may_be_cut_anywhere,
      what_is_no_base64_or_breaks_off_is_refused, what_the_gateway_refuses_is_said_in_the_body,
      a_stream_is_told_as_it_is_said, an_error_may_come_before_the_first_message_and_after_it,
      a_process_that_is_lost_between_messages_is_told, what_a_client_has_begun_to_read_is_whole_or_the_stream_is_reset,
      what_a_client_has_not_begun_to_read_is_taken_back, who_does_not_read_holds_the_process_behind_back,
      a_deadline_ends_a_stream_and_is_told, the_end_waits_for_a_client_but_not_for_ever,
      the_gateways_own_services_speak_it_too, base64_is_read_in_any_pieces_and_nothing_else_is)
