/* Connect through the gateway: unary calls with an HTTP status, streams with their end as a frame. */
#include "tests/gateway/web.h"
#include "tests/suite.h"

#include "api.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define PLACE  "/oms.order.v1.OrderService/PlaceOrder"
#define IMPORT "/oms.order.v1.OrderService/ImportOrders"
#define JSON   "application/json"
#define PROTO  "application/proto"

#define ORDER_1 "\x0a\x05ord_1" /* GetOrderRequest and its reply's order: field 1, "ord_1" */
#define REPLY_1 "\x0a\x07\x0a\x05ord_1"

static struct stage stage;

static void answer(struct call *call)
{
    if (!call->ended || call->replied)
        return;
    call_head(call, ":status: 200\ncontent-type: application/grpc\nx-head: h\nx-mesh-inner: i\n");
    call_put_message(call, REPLY_1, sizeof(REPLY_1) - 1);
    call_trailers(call, "grpc-status: 0\nx-extra: yes\nx-mesh-inner: i\n");
}

static const char *as_ann(const char *more)
{
    static char extra[4096];
    snprintf(extra, sizeof(extra), "%s%s", stage.bearer, more);
    return extra;
}

static struct call *ask(const char *path, const char *content, const char *extra, const void *body, size_t n)
{
    struct call *call = web_call(stage_client(&stage), path, content, extra);
    if (n)
        call_put(call, body, n);
    call_end(call);
    stage_until(&stage, call->closed);
    return call;
}

static struct call *ask_json(const char *path, const char *extra, const char *text)
{
    return ask(path, JSON, extra, text, strlen(text));
}

static void expect_body(const struct call *call, const char *text)
{
    ck_assert_uint_eq(call->kept, call->body_len);
    ck_assert_uint_eq(call->kept, strlen(text));
    ck_assert_mem_eq(call->body, text, call->kept);
}

/* What the process behind was asked: GetOrder of ord_1, as gRPC. */
static void expect_asked(void)
{
    static const uint8_t frame[] = "\0\0\0\0\7" ORDER_1;
    const struct call *seen = web_request(&stage, &stage.order[0]);
    stage_until(&stage, seen->ended);
    ck_assert_str_eq(call_field(seen, ":path"), GET);
    ck_assert_str_eq(call_field(seen, ":method"), "POST");
    ck_assert_str_eq(call_field(seen, "content-type"), "application/grpc");
    ck_assert_str_eq(call_field(seen, "connect-protocol-version"), "");
    ck_assert_uint_eq(seen->body_len, sizeof(frame) - 1);
    ck_assert_mem_eq(seen->body, frame, sizeof(frame) - 1);
}

START_TEST(a_message_in_json_is_answered_in_json)
{
    stage_open(&stage, STAGE_TLS);
    stage.order[0].more = answer;
    struct call *call = ask_json(GET, as_ann("connect-protocol-version: 1\n"), "{\"orderId\":\"ord_1\"}");
    expect_asked();
    ck_assert_str_eq(call_field(call, ":status"), "200");
    ck_assert_str_eq(call_field(call, "content-type"), JSON);
    ck_assert_str_eq(call_field(call, "x-head"), "h");
    ck_assert_str_eq(call_field(call, "trailer-x-extra"), "yes");
    ck_assert_ptr_null(strstr(call->head, "mesh"));
    ck_assert_ptr_null(strstr(call->head, "grpc"));
    ck_assert_str_eq(call->trailers, "");
    expect_body(call, "{\"order\":{\"orderId\":\"ord_1\"}}");
    stage_until(&stage, stage.gateway->n_exchanges == 0);
    ck_assert_uint_eq(stage.gateway->buffered, 0);
    stage_close(&stage);
}
END_TEST

START_TEST(a_packed_message_is_answered_by_one)
{
    stage_open(&stage, 0);
    stage.order[0].more = answer;
    struct call *call = ask(GET, PROTO, stage.bearer, ORDER_1, sizeof(ORDER_1) - 1);
    expect_asked();
    ck_assert_str_eq(call_field(call, "content-type"), PROTO);
    expect_body(call, REPLY_1);
    call = ask(GET, PROTO, stage.bearer, NULL, 0); /* a message without fields has no bytes */
    expect_body(call, REPLY_1);
    stage_close(&stage);
}
END_TEST

START_TEST(a_body_may_be_cut_anywhere)
{
    static const char text[] = "{\"orderId\":\"ord_1\"}";
    stage_open(&stage, 0);
    stage.order[0].more = answer;
    struct peer *client = stage_client(&stage);
    for (size_t cut = 0; cut <= strlen(text); cut++) {
        struct call *call = web_call(client, GET, JSON, stage.bearer);
        call_put(call, text, cut);
        stage_for(&stage, 10000);
        call_put(call, text + cut, strlen(text) - cut);
        call_end(call);
        stage_until(&stage, call->closed);
        expect_body(call, "{\"order\":{\"orderId\":\"ord_1\"}}");
    }
    stage_close(&stage);
}
END_TEST

static json_t *error_in(const struct call *call)
{
    json_t *error = json_loadb((const char *)call->body, call->kept, 0, NULL);
    ck_assert_ptr_nonnull(error);
    return error;
}

static const json_t *detail(const json_t *error, const char *type)
{
    size_t i;
    const json_t *one;
    json_array_foreach(json_object_get(error, "details"), i,
                       one) if (strcmp(json_string_value(json_object_get(one, "type")), type) == 0) return one;
    return NULL;
}

static void expect_error(const struct call *call, const char *http, const char *code, const char *reason)
{
    ck_assert_str_eq(call_field(call, ":status"), http);
    ck_assert_str_eq(call_field(call, "content-type"), JSON);
    json_t *error = error_in(call);
    ck_assert_str_eq(json_string_value(json_object_get(error, "code")), code);
    const json_t *info = detail(error, "google.rpc.ErrorInfo");
    ck_assert_ptr_nonnull(info);
    ck_assert_str_eq(json_string_value(json_object_get(json_object_get(info, "debug"), "reason")), reason);
    ck_assert_ptr_null(strchr(json_string_value(json_object_get(info, "value")), '='));
    json_decref(error);
}

static void expect_misfit(const char *path, const char *body, const char *field, const char *message)
{
    struct call *call = ask_json(path, stage.bearer, body);
    expect_error(call, "400", "invalid_argument", "FIELD_MALFORMED");
    json_t *error = error_in(call);
    const json_t *bad = json_object_get(detail(error, "google.rpc.BadRequest"), "debug");
    const json_t *violation = json_array_get(json_object_get(bad, "fieldViolations"), 0);
    ck_assert_str_eq(json_string_value(json_object_get(violation, "field")), field);
    ck_assert_str_eq(json_string_value(json_object_get(error, "message")), message);
    json_decref(error);
}

START_TEST(what_does_not_fit_is_named_by_its_path)
{
    stage_open(&stage, 0);
    expect_misfit(GET, "{\"orderID\":\"ord_1\"}", "orderID", "orderID: oms.order.v1.GetOrderRequest has no such field");
    expect_misfit(PLACE, "{\"lines\":[{},{\"quantity\":\"many\"}]}", "lines[1].quantity",
                  "lines[1].quantity: must be a whole number");
    expect_misfit(PLACE, "{\"lines\":[{\"unit_price\":{\"nanos\":2147483648}}]}", "lines[0].unit_price.nanos",
                  "lines[0].unit_price.nanos: is out of range");
    char body[800] = "{\""; /* a name that is cut within a character */
    for (size_t i = 0; i < 300; i++)
        strcat(body, "\xc3\xa4");
    struct call *call = ask_json(GET, stage.bearer, strcat(body, "\":1}"));
    expect_error(call, "400", "invalid_argument", "FIELD_MALFORMED");
    ck_assert_ptr_nonnull(memmem(call->body, call->kept, "too long to be told", 19));
    ck_assert_int_eq(stage.order[0].n_requests, 0);
    stage_close(&stage);
}
END_TEST

START_TEST(what_is_no_json_is_refused)
{
    static const char *const bad[] = { "",
                                       "{",
                                       "{\"orderId\":\"a\"} x",
                                       "{\"orderId\":\"a\",\"orderId\":\"b\"}",
                                       "nonsense",
                                       "{\"orderId\":\"\\u0000\"}",
                                       "{\"orderId\":\"\xff\"}" };
    stage_open(&stage, 0);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        expect_error(ask_json(GET, stage.bearer, bad[i]), "400", "invalid_argument", "JSON_MALFORMED");
    ck_assert_int_eq(stage.order[0].n_requests, 0);
    stage_close(&stage);
}
END_TEST

/* 20,000 are as many as a body may have; commas within a text are none. */
START_TEST(a_body_of_too_many_values_is_refused_before_it_becomes_a_tree)
{
    enum { COMMAS = 20002 };
    static char many[COMMAS * 2 + 32], text[COMMAS + 32];
    size_t at = (size_t)sprintf(many, "{\"orderId\":[0");
    for (int i = 0; i < COMMAS; i++)
        at += (size_t)sprintf(many + at, ",0");
    sprintf(many + at, "]}");
    at = (size_t)sprintf(text, "{\"orderId\":\"");
    memset(text + at, ',', COMMAS);
    sprintf(text + at + COMMAS, "\" ");
    stage_open(&stage, 0);
    expect_error(ask_json(GET, stage.bearer, many), "400", "invalid_argument", "JSON_TOO_MANY_VALUES");
    expect_error(ask_json(GET, stage.bearer, text), "400", "invalid_argument", "JSON_MALFORMED");
    ck_assert_int_eq(stage.order[0].n_requests, 0);
    stage_close(&stage);
}
END_TEST

START_TEST(what_the_gateway_refuses_has_a_status_of_http)
{
    static char large[600 * 1024];
    memset(large, ' ', sizeof(large));
    stage_open(&stage, 0);
    expect_error(ask_json(GET, "", "{}"), "401", "unauthenticated", "TOKEN_REQUIRED");
    expect_error(ask_json("/oms.order.v1.OrderService/Explode", stage.bearer, "{}"), "501", "unimplemented",
                 "METHOD_UNKNOWN");
    expect_error(ask_json("/oms.order.v1.OrderService/ActivateImport", stage.bearer, "{}"), "403", "permission_denied",
                 "ROLE_NOT_ALLOWED");
    expect_error(ask(GET, JSON, stage.bearer, large, sizeof(large)), "429", "resource_exhausted", "REQUEST_TOO_LARGE");
    expect_error(ask(GET, PROTO, stage.bearer, large, 65537), "429", "resource_exhausted", "REQUEST_TOO_LARGE");
    expect_error(ask_json(GET, as_ann("content-encoding: br\n"), "{}"), "501", "unimplemented",
                 "COMPRESSION_UNSUPPORTED");
    expect_error(ask_json(GET, as_ann("connect-timeout-ms: 12345678901\n"), "{}"), "400", "invalid_argument",
                 "TIMEOUT_MALFORMED");
    expect_error(ask_json(GET, as_ann("connect-timeout-ms: -1\n"), "{}"), "400", "invalid_argument",
                 "TIMEOUT_MALFORMED");
    expect_error(ask_json(GET, as_ann("connect-timeout-ms: 0\n"), "{}"), "504", "deadline_exceeded",
                 "DEADLINE_EXCEEDED");
    expect_error(ask_json(GET, as_ann("connect-protocol-version: 2\n"), "{}"), "400", "invalid_argument",
                 "VERSION_UNSUPPORTED");
    ck_assert_int_eq(stage.order[0].n_requests, 0);
    stage_until(&stage, stage.gateway->n_exchanges == 0);
    ck_assert_uint_eq(stage.gateway->buffered, 0);
    stage_close(&stage);
}
END_TEST

START_TEST(a_message_as_large_as_the_method_takes_goes_through)
{
    static char packed[65536];
    stage_open(&stage, 0);
    stage.order[0].more = answer;
    struct call *call = ask(GET, PROTO, stage.bearer, packed, sizeof(packed));
    ck_assert_str_eq(call_field(call, ":status"), "200");
    stage_close(&stage);
}
END_TEST

static int status_now;

static void answer_with_status(struct call *call)
{
    char fields[256];
    if (!call->ended || call->replied)
        return;
    snprintf(fields, sizeof(fields),
             ":status: 200\ncontent-type: application/grpc\ngrpc-status: %d\ngrpc-message: so it is%%21 "
             "100%%25\nx-more: m\n",
             status_now);
    call_only(call, fields);
}

START_TEST(every_code_has_its_name_and_its_status)
{
    static const struct {
        const char *http, *code;
    } want[] = { { "499", "canceled" },
                 { "500", "unknown" },
                 { "400", "invalid_argument" },
                 { "504", "deadline_exceeded" },
                 { "404", "not_found" },
                 { "409", "already_exists" },
                 { "403", "permission_denied" },
                 { "429", "resource_exhausted" },
                 { "400", "failed_precondition" },
                 { "409", "aborted" },
                 { "400", "out_of_range" },
                 { "501", "unimplemented" },
                 { "500", "internal" },
                 { "503", "unavailable" },
                 { "500", "data_loss" },
                 { "401", "unauthenticated" },
                 { "500", "unknown" } };
    stage_open(&stage, 0);
    stage.order[0].more = answer_with_status;
    for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
        status_now = (int)i + 1;
        struct call *call = ask_json(GET, stage.bearer, "{}");
        ck_assert_str_eq(call_field(call, ":status"), want[i].http);
        ck_assert_str_eq(call_field(call, "trailer-x-more"), "m");
        json_t *error = error_in(call);
        ck_assert_str_eq(json_string_value(json_object_get(error, "code")), want[i].code);
        ck_assert_str_eq(json_string_value(json_object_get(error, "message")), "so it is! 100%");
        json_decref(error);
    }
    stage_close(&stage);
}
END_TEST

static void answer_nothing(struct call *call)
{
    if (!call->ended || call->replied)
        return;
    call_head(call, NULL);
    call_trailers(call, "grpc-status: 0\n");
}

static void answer_twice(struct call *call)
{
    if (!call->ended || call->replied)
        return;
    call_head(call, NULL);
    call_put_message(call, REPLY_1, sizeof(REPLY_1) - 1);
    call_put_message(call, REPLY_1, sizeof(REPLY_1) - 1);
    call_trailers(call, "grpc-status: 0\n");
}

static void answer_nonsense(struct call *call)
{
    if (call->ended && !call->replied)
        call_reply(call, "\xff\xff", 2);
}

START_TEST(a_reply_that_is_not_one_message_is_no_reply)
{
    stage_open(&stage, 0);
    stage.order[0].more = answer_nothing;
    expect_error(ask_json(GET, stage.bearer, "{}"), "500", "internal", "BACKEND_BROKEN");
    stage.order[0].more = answer_twice;
    expect_error(ask(GET, PROTO, stage.bearer, "", 0), "500", "internal", "BACKEND_BROKEN");
    stage.order[0].more = answer_nonsense;
    expect_error(ask_json(GET, stage.bearer, "{}"), "500", "internal", "BACKEND_BROKEN");
    stage_close(&stage);
}
END_TEST

START_TEST(a_lost_process_is_told_though_the_reply_has_begun)
{
    stage_open(&stage, 0);
    struct call *call = web_call(stage_client(&stage), GET, JSON, stage.bearer);
    call_put(call, "{}", 2);
    call_end(call);
    struct call *seen = web_request(&stage, &stage.order[0]);
    call_head(seen, NULL);
    call_put(seen, "\0\0\0\0\7x", 6);
    stage_for(&stage, 20000);
    backend_kill(&stage.order[0]);
    stage_until(&stage, call->closed);
    expect_error(call, "503", "unavailable", "BACKEND_LOST");
    stage_close(&stage);
}
END_TEST

START_TEST(a_deadline_is_passed_on)
{
    stage_open(&stage, 0);
    struct call *call = web_call(stage_client(&stage), GET, JSON, as_ann("connect-timeout-ms: 100\n"));
    call_put(call, "{}", 2);
    call_end(call);
    struct call *seen = web_request(&stage, &stage.order[0]);
    ck_assert_ptr_nonnull(strchr(call_field(seen, "grpc-timeout"), 'u'));
    stage_until(&stage, call->closed);
    expect_error(call, "504", "deadline_exceeded", "DEADLINE_EXCEEDED");
    stage_close(&stage);
}
END_TEST

static struct call *get(const char *query)
{
    char path[512];
    snprintf(path, sizeof(path), "%s?%s", GET, query);
    struct call *call = peer_call(stage_client(&stage), path, as_ann(":method: GET\n"));
    call_end(call);
    stage_until(&stage, call->closed);
    return call;
}

START_TEST(what_changes_nothing_may_be_asked_by_get)
{
    char path[256];
    stage_open(&stage, 0);
    stage.order[0].more = answer;
    struct peer *client = stage_client(&stage);
    static const char *const good[] = {
        "connect=v1&encoding=json&message=%7B%22orderId%22%3a%22ord_1%22%7D",
        "other=1&message=%7B+%22orderId%22:%22ord_1%22+%7D&encoding=json",
        "connect=v1&base64=1&encoding=json&message=eyJvcmRlcklkIjoib3JkXzEifQ",
        "base64=1&encoding=proto&message=CgVvcmRfMQ%3D%3D",
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        snprintf(path, sizeof(path), "%s?%s", GET, good[i]);
        struct call *call = peer_bare(client, path, as_ann(":method: GET\n"));
        stage_until(&stage, call->closed);
        ck_assert_str_eq(call_field(call, ":status"), "200");
        expect_asked();
        expect_body(call, strstr(good[i], "proto") ? REPLY_1 : "{\"order\":{\"orderId\":\"ord_1\"}}");
    }
    stage_close(&stage);
}
END_TEST

static struct call *ask_by_get(const char *path)
{
    struct call *call = peer_bare(stage_client(&stage), path, as_ann(":method: GET\n"));
    stage_until(&stage, call->closed);
    return call;
}

START_TEST(what_is_asked_wrongly_by_get_is_refused)
{
    stage_open(&stage, 0);
    expect_error(ask_by_get(GET "?encoding=json"), "400", "invalid_argument", "MESSAGE_MISSING");
    expect_error(ask_by_get(GET "?encoding=json&message=%7B"), "400", "invalid_argument", "JSON_MALFORMED");
    expect_error(ask_by_get(GET "?encoding=json&message={}&connect=v2"), "400", "invalid_argument",
                 "VERSION_UNSUPPORTED");
    expect_error(ask_by_get(GET "?encoding=json&base64=1&message=%25"), "400", "invalid_argument", "MESSAGE_MALFORMED");
    expect_error(ask_by_get(GET "?encoding=json&message={}&compression=br"), "501", "unimplemented",
                 "COMPRESSION_UNSUPPORTED");
    ck_assert_str_eq(call_field(ask_by_get(PLACE "?encoding=json&message={}"), ":status"), "405"); /* it mutates */
    ck_assert_str_eq(call_field(ask_by_get(GET), ":status"), "405");
    ck_assert_str_eq(call_field(get("encoding=json&message={}"), ":status"), "405"); /* with a body */
    ck_assert_int_eq(stage.order[0].n_requests, 0);
    stage_close(&stage);
}
END_TEST

START_TEST(unary_methods_and_streams_have_types_of_their_own)
{
    stage_open(&stage, 0);
    struct call *call = ask(GET, "application/connect+json", stage.bearer, "\0\0\0\0\2{}", 7);
    ck_assert_str_eq(call_field(call, ":status"), "415");
    ck_assert_str_ne(call_field(call, "accept-post"), "");
    call = ask(EXPORT, JSON, stage_bearer(&stage, "sap", "\"erp\""), "{}", 2);
    ck_assert_str_eq(call_field(call, ":status"), "415");
    stage_close(&stage);
}
END_TEST

static struct call *open_export(const char *content, const void *body, size_t n)
{
    char extra[4096];
    snprintf(extra, sizeof(extra), "%s", stage_bearer(&stage, "sap", "\"erp\""));
    struct call *call = web_call(stage_client(&stage), EXPORT, content, extra);
    call_put(call, body, n);
    call_end(call);
    return call;
}

static void expect_end_frame(const struct call *call, size_t i, const char *text)
{
    struct web_frame frame;
    ck_assert(web_frame(call, i, &frame));
    ck_assert_uint_eq(frame.flags, 2);
    ck_assert_uint_eq(frame.payload.len, strlen(text));
    ck_assert_mem_eq(frame.payload.data, text, frame.payload.len);
    ck_assert_ptr_eq(frame.payload.data + frame.payload.len, call->body + call->kept);
}

START_TEST(a_stream_ends_with_a_frame_of_its_own)
{
    static const char *const contents[] = { "application/connect+json", "application/connect+proto" };
    static const char request[] = "\0\0\0\0\x11{\"pageToken\":\"p\"}", packed[] = "\0\0\0\0\3\x12\1p",
                      reply[] = "\x22\1q"; /* page_token */
    struct web_frame frame;
    for (size_t i = 0; i < 2; i++) {
        stage_open(&stage, 0);
        struct call *call = i ? open_export(contents[i], packed, sizeof(packed) - 1)
                              : open_export(contents[i], request, sizeof(request) - 1);
        struct call *seen = web_request(&stage, &stage.order[0]);
        stage_until(&stage, seen->ended);
        ck_assert_uint_eq(seen->body_len, sizeof(packed) - 1);
        ck_assert_mem_eq(seen->body, packed, sizeof(packed) - 1);
        call_head(seen, ":status: 200\ncontent-type: application/grpc\nx-head: h\n");
        stage_until(&stage, call->headed);
        ck_assert_str_eq(call_field(call, ":status"), "200");
        ck_assert_str_eq(call_field(call, "content-type"), contents[i]);
        ck_assert_str_eq(call_field(call, "x-head"), "h");
        for (size_t j = 0; j < 5; j++) {
            call_put_message(seen, reply, sizeof(reply) - 1);
            stage_until(&stage, web_frame(call, j, &frame));
            ck_assert_uint_eq(frame.flags, 0);
            const char *want = i ? reply : "{\"pageToken\":\"q\"}";
            ck_assert_uint_eq(frame.payload.len, strlen(want));
            ck_assert_mem_eq(frame.payload.data, want, frame.payload.len);
        }
        call_trailers(seen, "grpc-status: 0\nx-extra: a\nx-extra: b\nx-mesh-inner: i\n");
        stage_until(&stage, call->closed);
        expect_end_frame(call, 5, "{\"metadata\":{\"x-extra\":[\"a\",\"b\"]}}");
        stage_until(&stage, stage.gateway->n_exchanges == 0);
        ck_assert_uint_eq(stage.gateway->buffered, 0);
        stage_close(&stage);
    }
}
END_TEST

START_TEST(an_error_of_a_stream_is_in_its_last_frame)
{
    stage_open(&stage, 0);
    struct call *call = open_export("application/connect+json", "\0\0\0\0\2{}", 7);
    struct call *seen = web_request(&stage, &stage.order[0]);
    call_only(seen, ":status: 200\ncontent-type: application/grpc\ngrpc-status: 5\ngrpc-message: none\n");
    stage_until(&stage, call->closed);
    ck_assert_str_eq(call_field(call, ":status"), "200");
    expect_end_frame(call, 0, "{\"error\":{\"code\":\"not_found\",\"message\":\"none\"}}");

    call = open_export("application/connect+json", "\0\0\0\0\4{\"x\"", 9);
    stage_until(&stage, call->closed);
    struct web_frame frame;
    ck_assert(web_frame(call, 0, &frame));
    ck_assert_ptr_nonnull(memmem(frame.payload.data, frame.payload.len, "JSON_MALFORMED", 14));
    ck_assert_int_eq(stage.order[0].n_requests, 1);
    stage_close(&stage);
}
END_TEST

START_TEST(both_sides_speak_as_they_like)
{
    struct web_frame frame;
    stage_open(&stage, 0);
    char extra[4096];
    snprintf(extra, sizeof(extra), "%s", stage_bearer(&stage, "sap", "\"erp\""));
    struct call *call = web_call(stage_client(&stage), IMPORT, "application/connect+json", extra);
    struct call *seen = web_request(&stage, &stage.order[0]); /* before anything is said */
    call_head(seen, NULL);
    for (size_t i = 0; i < 10; i++) {
        call_put(call, "\0\0\0\0\2{", 6);
        stage_for(&stage, 5000);
        call_put(call, "}", 1);
        stage_until(&stage, seen->body_len == (i + 1) * 5);
        call_put_message(seen, "", 0);
        stage_until(&stage, web_frame(call, i, &frame));
        ck_assert_mem_eq(frame.payload.data, "{}", 2);
    }
    call_put(call, "\0\0\0\0\2{", 6); /* is never ended */
    call_end(call);
    stage_until(&stage, call->closed);
    ck_assert(web_frame(call, 10, &frame));
    ck_assert_uint_eq(frame.flags, 2);
    ck_assert_ptr_nonnull(memmem(frame.payload.data, frame.payload.len, "MESSAGE_MALFORMED", 17));
    stage_until(&stage, seen->closed && stage.gateway->n_exchanges == 0);
    ck_assert_uint_eq(stage.gateway->buffered, 0);
    stage_close(&stage);
}
END_TEST

/* Messages to a process that reads slowly; of each len bytes reach it. */
static void slow_process(const char *content, const char *message, size_t n, size_t times, size_t len)
{
    stage_open(&stage, 0);
    for (struct peer *peer = stage.order[0].peers; peer; peer = peer->next)
        peer->slow = true;
    char extra[4096];
    snprintf(extra, sizeof(extra), "%s", stage_bearer(&stage, "sap", "\"erp\""));
    struct call *call = web_call(stage_client(&stage), IMPORT, content, extra);
    struct call *seen = web_request(&stage, &stage.order[0]);
    size_t most = 0;
    for (size_t i = 0; i < times; i++)
        call_put(call, message, n);
    call_end(call);
    while (!seen->ended) {
        stage_for(&stage, 4000);
        most = stage.gateway->buffered > most ? stage.gateway->buffered : most;
        call_read(seen, seen->unread);
    }
    ck_assert_uint_eq(seen->body_len, times * len);
    ck_assert_uint_le(most, 128 * 1024);
    call_only(seen, ":status: 200\ncontent-type: application/grpc\ngrpc-status: 0\n");
    stage_until(&stage, call->closed);
    ck_assert_uint_eq(stage.gateway->buffered, 0);
    stage_close(&stage);
}

START_TEST(a_process_that_does_not_read_holds_the_client_back)
{
    static char message[200 * 1024];
    memset(message, ' ', sizeof(message));
    memcpy(message, "\0\0\0\x07\xd0{}", 7);
    slow_process("application/connect+json", message, PREFIX + 2000, 2000, PREFIX);
    memcpy(message, "\0\0\3\x1f\xfb", PREFIX);
    slow_process("application/connect+proto", message, sizeof(message), 4, sizeof(message));
}
END_TEST

static uint64_t noise = 7;

static uint8_t next_noise(void)
{
    return (uint8_t)((noise = noise * 6364136223846793005 + 1442695040888963407) >> 56);
}

START_TEST(noise_ends_every_call_and_nothing_else)
{
    static const char *const contents[] = { "application/grpc-web",      "application/grpc-web-text",
                                            "application/proto",         "application/json",
                                            "application/connect+proto", "application/connect+json" };
    static const char *const encodings[] = { "", "content-encoding: gzip\n", "connect-content-encoding: gzip\n" };
    static const char words[] = "{}[]\":,\\u0019eE-+.AB=/ \0\0\0\0\1\2\3\x1f\x8b\x08";
    stage_open(&stage, 0);
    stage.order[0].more = answer;
    struct peer *client = stage_client(&stage);
    char extra[4096];
    for (int i = 0; i < 1500; i++) {
        size_t content = next_noise() % 6;
        const char *path = content < 4 ? GET : content % 2 ? EXPORT : IMPORT;
        snprintf(extra, sizeof(extra), "%s%s", stage_bearer(&stage, "sap", "\"erp\""), encodings[next_noise() % 3]);
        struct call *call = web_call(client, path, contents[content], extra);
        for (size_t pieces = next_noise() % 4; pieces-- > 0;) {
            uint8_t data[40];
            size_t n = next_noise() % sizeof(data);
            for (size_t j = 0; j < n; j++)
                data[j] = next_noise() % 3 ? (uint8_t)words[next_noise() % (sizeof(words) - 1)] : next_noise();
            call_put(call, data, n);
            if (next_noise() % 4 == 0)
                stage_for(&stage, 4000);
        }
        if (next_noise() % 16 == 0)
            call_reset(call, NGHTTP2_CANCEL);
        call_end(call);
        if (i % 32 == 0)
            stage_until(&stage, call->closed);
    }
    stage_until(&stage, stage.gateway->n_exchanges == 0);
    ck_assert_uint_eq(stage.gateway->buffered, 0);
    struct call *call = ask_json(GET, stage.bearer, "{}");
    ck_assert_str_eq(call_field(call, ":status"), "200");
    stage_close(&stage);
}
END_TEST

SUITE("connect", 60, a_message_in_json_is_answered_in_json, a_packed_message_is_answered_by_one,
      a_body_may_be_cut_anywhere, what_does_not_fit_is_named_by_its_path, what_is_no_json_is_refused,
      a_body_of_too_many_values_is_refused_before_it_becomes_a_tree, what_the_gateway_refuses_has_a_status_of_http,
      a_message_as_large_as_the_method_takes_goes_through, every_code_has_its_name_and_its_status,
      a_reply_that_is_not_one_message_is_no_reply, a_lost_process_is_told_though_the_reply_has_begun,
      a_deadline_is_passed_on, what_changes_nothing_may_be_asked_by_get, what_is_asked_wrongly_by_get_is_refused,
      unary_methods_and_streams_have_types_of_their_own, a_stream_ends_with_a_frame_of_its_own,
      an_error_of_a_stream_is_in_its_last_frame, both_sides_speak_as_they_like,
      a_process_that_does_not_read_holds_the_client_back, noise_ends_every_call_and_nothing_else)
