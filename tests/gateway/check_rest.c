/* JSON over plain HTTP through the gateway: where the fields of a request come from, and what an error looks like. */
#include "tests/gateway/web.h"
#include "tests/suite.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define JSON "application/json"
#define UUID "018f0000-0000-7000-8000-000000000001"

static struct stage stage;

static void answer(struct call *call)
{
    if (!call->ended || call->replied)
        return;
    call_head(call, ":status: 200\ncontent-type: application/grpc\n");
    call_put_message(call, "\x0a\x07\x0a\x05ord_1", 9);
    call_trailers(call, "grpc-status: 0\n");
}

static struct call *get(const char *path)
{
    char extra[4096];
    snprintf(extra, sizeof(extra), "%s:method: GET\n", stage.bearer);
    struct call *call = peer_bare(stage_client(&stage), path, extra);
    stage_until(&stage, call->closed);
    return call;
}

static struct call *post(const char *path, const char *content, const char *more, const char *body)
{
    char extra[4096];
    snprintf(extra, sizeof(extra), "%s%s", stage.bearer, more);
    struct call *call = web_call(stage_client(&stage), path, content, extra);
    if (*body)
        call_put(call, body, strlen(body));
    call_end(call);
    stage_until(&stage, call->closed);
    return call;
}

/* The method and the message that the process behind saw last. */
static void expect_asked_of(struct backend *backend, const char *name, const char *message)
{
    char path[128];
    const struct call *seen = web_request(&stage, backend);
    stage_until(&stage, seen->ended);
    snprintf(path, sizeof(path), "/oms.%s", name);
    ck_assert_str_eq(call_field(seen, ":path"), path);
    ck_assert_str_eq(call_field(seen, ":method"), "POST");
    ck_assert_str_eq(call_field(seen, "content-type"), "application/grpc");
    ck_assert_uint_eq(seen->body_len, PREFIX + strlen(message));
    ck_assert_mem_eq(seen->body + PREFIX, message, strlen(message));
}

static void expect_error(const struct call *call, int http, const char *status, const char *reason, const char *text)
{
    char number[8];
    snprintf(number, sizeof(number), "%d", http);
    ck_assert_str_eq(call_field(call, ":status"), number);
    ck_assert_str_eq(call_field(call, "content-type"), JSON);
    json_t *body = json_loadb((const char *)call->body, call->kept, 0, NULL), *error = json_object_get(body, "error");
    const json_t *info = json_array_get(json_object_get(error, "details"), 0);
    ck_assert_int_eq(json_integer_value(json_object_get(error, "code")), http);
    ck_assert_str_eq(json_string_value(json_object_get(error, "status")), status);
    ck_assert_str_eq(json_string_value(json_object_get(info, "@type")), "type.googleapis.com/google.rpc.ErrorInfo");
    ck_assert_str_eq(json_string_value(json_object_get(info, "reason")), reason);
    ck_assert_msg(strstr(json_string_value(json_object_get(error, "message")), text) != NULL, "%s",
                  json_string_value(json_object_get(error, "message")));
    json_decref(body);
}

static void expect_asked(const char *method, const char *message)
{
    char name[128];
    snprintf(name, sizeof(name), "order.v1.OrderService/%s", method);
    expect_asked_of(&stage.order[0], name, message);
}

START_TEST(fields_come_from_path_query_and_body)
{
    stage_open(&stage, STAGE_TLS);
    stage.order[0].more = answer;
    struct call *call = get("/v1/orders/ord_1");
    expect_asked("GetOrder", "\x0a\x05ord_1");
    ck_assert_str_eq(call_field(call, ":status"), "200");
    ck_assert_str_eq(call_field(call, "content-type"), JSON);
    ck_assert_uint_eq(call->kept, strlen("{\"order\":{\"orderId\":\"ord_1\"}}"));
    ck_assert_mem_eq(call->body, "{\"order\":{\"orderId\":\"ord_1\"}}", call->kept);
    get("/v1/orders/a%2fb%3A");
    expect_asked("GetOrder", "\x0a\x04"
                             "a/b:");
    get("/v1/orders?customer_id=a+b%26&pageSize=7&");
    expect_asked("ListOrders", "\x0a\x04"
                               "a b&\x18\x07");
    stage.inventory.more = answer;
    get("/v1/availability:batchGet?skus=a&skus=b");
    expect_asked_of(&stage.inventory, "inventory.v1.InventoryService/BatchGetAvailability",
                    "\x0a\x01"
                    "a\x0a\x01"
                    "b");
    post("/v1/orders/ord_1:cancel", JSON, "", "{\"requestId\":\"" UUID "\"}");
    expect_asked("CancelOrder", "\x0a\x24" UUID "\x12\x05ord_1");
    stage_until(&stage, stage.gateway->n_exchanges == 0);
    ck_assert_uint_eq(stage.gateway->buffered, 0);
    stage_close(&stage);
}
END_TEST

START_TEST(a_header_may_be_the_request_id)
{
    stage_open(&stage, 0);
    stage.order[0].more = answer;
    post("/v1/orders/ord_1:cancel", JSON, "idempotency-key: " UUID "\n", "");
    expect_asked("CancelOrder", "\x0a\x24" UUID "\x12\x05ord_1");
    post("/v1/orders/ord_1:cancel", JSON, "idempotency-key: " UUID "\n", "{\"request_id\":\"" UUID "\"}");
    expect_asked("CancelOrder", "\x0a\x24" UUID "\x12\x05ord_1");
    int n = stage.order[0].n_requests;
    expect_error(post("/v1/orders/ord_1:cancel", JSON, "idempotency-key: " UUID "\n", "{\"request_id\":\"x\"}"), 400,
                 "INVALID_ARGUMENT", "FIELD_CONTRADICTED", "something else");
    expect_error(post("/v1/orders/ord_1:cancel", JSON, "", "{\"orderId\":\"ord_2\"}"), 400, "INVALID_ARGUMENT",
                 "FIELD_CONTRADICTED", "something else");
    ck_assert_int_eq(stage.order[0].n_requests, n);
    stage_close(&stage);
}
END_TEST

START_TEST(what_does_not_fit_is_named)
{
    stage_open(&stage, 0);
    static const struct {
        const char *path, *reason, *text;
    } rows[] = {
        { "/v1/orders?colour=red", "PARAMETER_INVALID", "colour is no field" },
        { "/v1/orders?page_size.x=1", "PARAMETER_INVALID", "page_size.x is no field" },
        { "/v1/messages?min_position=1", "PARAMETER_INVALID", "min_position is no field" },
        { "/v1/messages?min_position.=1", "PARAMETER_INVALID", "min_position. is no field" },
        { "/v1/messages?min_position.colour=1", "PARAMETER_INVALID", "min_position.colour is no field" },
        { "/v1/orders?page_size=1&page_size=2", "PARAMETER_INVALID", "page_size is given twice" },
        { "/v1/orders?page_size=x", "FIELD_MALFORMED", "page" },
        { "/v1/orders?filter=%ff", "PARAMETER_INVALID", "filter is not UTF-8" },
        { "/v1/orders/ord_1?order_id=ord_2", "FIELD_CONTRADICTED", "something else" },
        { "/v1/fulfillments?state=NO_SUCH", "FIELD_MALFORMED", "state" },
        { "/v1/payments?open=perhaps", "FIELD_MALFORMED", "open" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        expect_error(get(rows[i].path), 400, "INVALID_ARGUMENT", rows[i].reason, rows[i].text);
    ck_assert_int_eq(stage.order[0].n_requests, 0);
    stage_close(&stage);
}
END_TEST

START_TEST(what_http_has_a_word_for_is_said_so)
{
    stage_open(&stage, 0);
    expect_error(get("/v1/nothing"), 404, "NOT_FOUND", "PATH_UNKNOWN", "nothing");
    struct call *call = post("/v1/orders/ord_1", JSON, "", "{}");
    expect_error(call, 405, "UNIMPLEMENTED", "VERB_NOT_ALLOWED", "allow");
    ck_assert_str_eq(call_field(call, "allow"), "GET");
    expect_error(post("/v1/orders", "application/x-www-form-urlencoded", "", "a=b"), 415, "INVALID_ARGUMENT",
                 "CONTENT_UNSUPPORTED", "application/json");
    expect_error(post("/v1/orders", "application/jsonp", "", "{}"), 415, "INVALID_ARGUMENT", "CONTENT_UNSUPPORTED",
                 "application/json");
    expect_error(post("/v1/orders", JSON "; charset=utf-8", "", "[]"), 400, "INVALID_ARGUMENT", "JSON_MALFORMED",
                 "object");
    expect_error(post("/v1/orders", JSON, "", "{"), 400, "INVALID_ARGUMENT", "JSON_MALFORMED", "line 1");
    expect_error(post("/v1/orders?wait=true", JSON, "", "{}"), 400, "INVALID_ARGUMENT", "PARAMETER_INVALID", "body");
    static char large[1024 * 1024];
    memset(large, ' ', sizeof(large) - 1);
    expect_error(post("/v1/orders/ord_1:cancel", JSON, "", large), 413, "RESOURCE_EXHAUSTED", "REQUEST_TOO_LARGE",
                 "larger");
    call = peer_bare(stage_client(&stage), "/v1/orders/ord_1", ":method: GET\n");
    stage_until(&stage, call->closed);
    expect_error(call, 401, "UNAUTHENTICATED", "TOKEN_REQUIRED", "token");
    ck_assert_int_eq(stage.order[0].n_requests, 0);
    stage_close(&stage);
}
END_TEST

/* UNAVAILABLE with RetryInfo of 1.5 s. */
static void answer_later(struct call *call)
{
    if (!call->ended || call->replied)
        return;
    call_head(call, ":status: 200\ncontent-type: application/grpc\n");
    call_trailers(call, "grpc-status: 8\ngrpc-message: full%21\ngrpc-status-details-bin: "
                        "CAgSBWZ1bGwhGjYKKHR5cGUuZ29vZ2xlYXBpcy5jb20vZ29vZ2xlLnJwYy5SZXRyeUluZm8SCgoICAEQgMq17gE\n");
}

START_TEST(when_to_ask_again_is_a_header)
{
    stage_open(&stage, 0);
    stage.order[0].more = answer_later;
    struct call *call = get("/v1/orders/ord_1");
    ck_assert_str_eq(call_field(call, ":status"), "429");
    ck_assert_str_eq(call_field(call, "retry-after"), "2");
    stage_close(&stage);
}
END_TEST

SUITE("rest", 60, fields_come_from_path_query_and_body, a_header_may_be_the_request_id, what_does_not_fit_is_named,
      what_http_has_a_word_for_is_said_so, when_to_ask_again_is_a_header)
