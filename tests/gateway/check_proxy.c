/* Calls through the gateway, seen from both ends. */
#include "tests/gateway/stage.h"
#include "tests/suite.h"

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
    char extra[2048];
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

SUITE("proxy", 60, a_unary_call_goes_through_and_back, a_unary_call_goes_through_tls_on_both_sides,
      a_service_goes_to_its_process, the_caller_is_told_and_cannot_be_forged)
