/* What is refused at the door, and how precisely. */
#include "gateway/access.h"
#include "tests/gateway/stage.h"
#include "tests/suite.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <unistd.h>

#define GET   "/oms.order.v1.OrderService/GetOrder"
#define PLACE "/oms.order.v1.OrderService/PlaceOrder"
#define CHECK "/grpc.health.v1.Health/Check"
#define WATCH "/grpc.health.v1.Health/Watch"

static struct stage stage;

static struct call *body(const char *path, const char *extra, const void *data, size_t n)
{
    struct call *call = peer_call(stage_client(&stage), path, extra);
    if (n)
        call_put(call, data, n);
    call_end(call);
    stage_until(&stage, call->closed);
    return call;
}

static struct call *ask(const char *path, const char *extra)
{
    return body(path, extra, (uint8_t[5]){ 0 }, 5);
}

static void expect(const struct call *call, int status, const char *reason)
{
    ck_assert_int_eq(call_status(call), status);
    ck_assert_str_eq(call_reason(call), reason);
    ck_assert_str_ne(call_field(call, "grpc-message"), "");
    ck_assert_int_eq(stage.order[0].n_requests + stage.inventory.n_requests, 0);
}

static const char *as(const char *roles, const char *more)
{
    static char extra[2048];
    snprintf(extra, sizeof(extra), "%s%s", stage_bearer(&stage, "x", roles), more);
    return extra;
}

START_TEST(an_unknown_method_is_unimplemented)
{
    stage_open(&stage, 0);
    expect(ask("/oms.order.v1.OrderService/Explode", stage.bearer), 12, "METHOD_UNKNOWN");
    expect(ask("/oms.order.v1.OrderService/GetOrde", stage.bearer), 12, "METHOD_UNKNOWN");
    expect(ask("/oms.order.v1.OrderService/GetOrders", stage.bearer), 12, "METHOD_UNKNOWN");
    expect(ask("/", stage.bearer), 12, "METHOD_UNKNOWN");
    stage_close(&stage);
}
END_TEST

START_TEST(a_protected_method_needs_a_token)
{
    stage_open(&stage, 0);
    expect(ask(GET, ""), 16, "TOKEN_REQUIRED");
    stage_close(&stage);
}
END_TEST

START_TEST(a_bad_token_is_refused_with_its_reason)
{
    stage_open(&stage, 0);
    expect(ask(GET, "authorization: Bearer nonsense\n"), 16, "TOKEN_MALFORMED");
    expect(ask(GET, "authorization: Basic eA==\n"), 16, "TOKEN_MALFORMED");
    stage.skew_us = 700 * INT64_C(1000000);
    expect(ask(GET, stage.bearer), 16, "TOKEN_EXPIRED");
    stage_close(&stage);
}
END_TEST

START_TEST(a_connection_that_tries_many_bad_tokens_is_closed)
{
    stage_open(&stage, 0);
    struct peer *client = stage_client(&stage);
    for (int i = 0; i < 64 && !client->down; i++) {
        struct call *call = peer_call(client, GET, "authorization: Bearer x.y.z\n");
        call_end(call);
        stage_until(&stage, call->closed);
    }
    stage_until(&stage, client->down);
    ck_assert(client->got_goaway);
    stage_close(&stage);
}
END_TEST

START_TEST(a_role_that_is_not_allowed_is_denied)
{
    stage_open(&stage, 0);
    expect(ask(PLACE, as("\"warehouse\"", "")), 7, "ROLE_NOT_ALLOWED");
    expect(ask("/oms.inventory.v1.InventoryService/ReserveStock", as("\"admin\"", "")), 7, "ROLE_NOT_ALLOWED");
    expect(ask("/mesh.v1.DeliverService/Deliver", as("\"admin\"", "mesh-service: svc-order\n")), 7, "ROLE_NOT_ALLOWED");
    stage_close(&stage);
}
END_TEST

START_TEST(every_method_of_the_schema_has_a_route_and_a_rule)
{
    const struct schema_method *methods;
    size_t n = schema_methods(schema_builtin(), &methods);
    ck_assert_uint_gt(n, 10);
    for (size_t i = 0; i < n; i++) {
        ck_assert_msg(routes_process_of(methods[i].service) != -ENOENT, "%s", methods[i].full_name);
        ck_assert_msg(methods[i].allow != 0, "%s", methods[i].full_name);
    }
}
END_TEST

START_TEST(a_service_of_every_process_needs_the_process_named)
{
    stage_open(&stage, 0);
    const char *status = "/mesh.v1.AdminService/GetStatus";
    expect(ask(status, as("\"operator\"", "")), 3, "MESH_SERVICE_REQUIRED");
    expect(ask(status, as("\"operator\"", "mesh-service: svc-nobody\n")), 3, "MESH_SERVICE_REQUIRED");
    expect(ask(status, as("\"operator\"", "mesh-service: svc-orde\n")), 3, "MESH_SERVICE_REQUIRED");
    struct call *call = peer_call(stage_client(&stage), status, as("\"operator\"", "mesh-service: svc-inventory\n"));
    call_put_message(call, "", 0);
    call_end(call);
    stage_until(&stage, stage.inventory.n_requests == 1);
    ck_assert_int_eq(stage.order[0].n_requests, 0);
    stage_close(&stage);
}
END_TEST

START_TEST(what_is_not_grpc_gets_an_http_status)
{
    stage_open(&stage, 0);
    ck_assert_str_eq(call_field(ask(GET, "content-type: text/plain\n"), ":status"), "415");
    ck_assert_str_eq(call_field(ask(GET, "content-type: application/grpc-wet\n"), ":status"), "415");
    ck_assert_str_eq(call_field(ask(GET, "content-type: application/grpc-web+json\n"), ":status"), "415");
    ck_assert_str_eq(call_field(ask(GET, ":method: GET\n"), ":status"), "405");
    ck_assert_int_eq(call_status(ask(GET, "content-type: application/grpc+proto\n")), 16);
    stage_close(&stage);
}
END_TEST

START_TEST(a_message_larger_than_the_method_takes_is_refused)
{
    stage_open(&stage, 0);
    static uint8_t large[70000] = { 0, 0, 1, 0, 1 };
    expect(body(GET, stage.bearer, large, 5), 8, "REQUEST_TOO_LARGE");
    expect(body(GET, stage.bearer, large, 65536 + 6), 8, "REQUEST_TOO_LARGE");
    expect(body(GET, stage.bearer, (uint8_t[]){ 0, 0xff, 0xff, 0xff, 0xff }, 5), 8, "REQUEST_TOO_LARGE");
    stage_close(&stage);
}
END_TEST

START_TEST(a_compressed_message_is_refused)
{
    stage_open(&stage, 0);
    expect(body(GET, stage.bearer, (uint8_t[]){ 1, 0, 0, 0, 0 }, 5), 12, "COMPRESSION_UNSUPPORTED");
    stage_close(&stage);
}
END_TEST

START_TEST(a_body_that_is_not_one_message_is_refused)
{
    stage_open(&stage, 0);
    expect(body(GET, stage.bearer, NULL, 0), 3, "MESSAGE_MALFORMED");
    expect(body(GET, stage.bearer, (uint8_t[]){ 0, 0, 0 }, 3), 3, "MESSAGE_MALFORMED");
    expect(body(GET, stage.bearer, (uint8_t[]){ 0, 0, 0, 0, 0, 7 }, 6), 3, "MESSAGE_MALFORMED");
    struct call *call = body(GET, stage.bearer, (uint8_t[]){ 0, 0, 0, 0, 9, 7 }, 6);
    ck_assert_int_eq(call_status(call), 3);
    ck_assert_str_eq(call_reason(call), "MESSAGE_MALFORMED");
    stage_close(&stage);
}
END_TEST

START_TEST(metadata_beyond_16_kib_is_refused)
{
    stage_open(&stage, 0);
    struct peer *client = stage_client(&stage);
    static char value[900], fields[24 * 1024];
    memset(value, 'v', sizeof(value) - 1);
    /* a request of many fields is built by hand, as the peer's own buffer is small */
    nghttp2_nv nva[64] = { H2_FIELD(":method", "POST"), H2_FIELD(":scheme", "http"), H2_FIELD(":path", GET),
                           H2_FIELD(":authority", "t"), H2_FIELD("content-type", "application/grpc") };
    size_t n = 5;
    for (int i = 0; i < 20; i++) {
        char *name = fields + i * 16;
        snprintf(name, 16, "x-long-%d", i);
        nva[n++] = (nghttp2_nv){ (uint8_t *)name, (uint8_t *)value, strlen(name), strlen(value), 0 };
    }
    stage_until(&stage, client->ready);
    struct call *call = peer_call(client, GET, stage.bearer);
    int32_t id = nghttp2_submit_request(client->session, NULL, nva, n, NULL, call);
    call->id = id;
    stage_until(&stage, call_status(call) >= 0);
    ck_assert_int_eq(call_status(call), 8);
    ck_assert_str_eq(call_reason(call), "HEADERS_TOO_LARGE");
    stage_close(&stage);
}
END_TEST

START_TEST(a_timeout_is_read_in_every_unit)
{
    static const struct {
        const char *text;
        int64_t us;
    } rows[] = {
        { "1H", 3600000000 },
        { "2M", 120000000 },
        { "3S", 3000000 },
        { "4m", 4000 },
        { "5u", 5 },
        { "1n", 1 },
        { "0S", 0 },
        { "99999999u", 99999999 },
        { "99999999H", 7 * 86400 * INT64_C(1000000) },
        { "", -EINVAL },
        { "S", -EINVAL },
        { "1", -EINVAL },
        { "1s", -EINVAL },
        { "-1S", -EINVAL },
        { "1.5S", -EINVAL },
        { " 1S", -EINVAL },
        { "123456789S", -EINVAL },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        ck_assert_int_eq(access_timeout(rows[i].text, strlen(rows[i].text)), rows[i].us);
}
END_TEST

START_TEST(a_malformed_timeout_is_refused)
{
    stage_open(&stage, 0);
    char extra[2048];
    snprintf(extra, sizeof(extra), "%sgrpc-timeout: soon\n", stage.bearer);
    expect(ask(GET, extra), 3, "TIMEOUT_MALFORMED");
    snprintf(extra, sizeof(extra), "%sgrpc-timeout: 0S\n", stage.bearer);
    expect(ask(GET, extra), 4, "DEADLINE_EXCEEDED");
    stage_close(&stage);
}
END_TEST

/* --- health and reflection --- */

static struct call *check(const char *service)
{
    uint8_t message[128] = { 0, 0, 0, 0, (uint8_t)(strlen(service) + 2), 10, (uint8_t)strlen(service) };
    memcpy(message + 7, service, strlen(service));
    return body(CHECK, "", message, strlen(service) + 7);
}

START_TEST(health_follows_the_processes_behind)
{
    stage_open(&stage, 0);
    struct call *call = ask(CHECK, "");
    ck_assert_int_eq(call_status(call), 0);
    ck_assert_int_eq(call->body[6], 1);
    ck_assert_int_eq(check("oms.order.v1.OrderService")->body[6], 1);
    ck_assert_int_eq(call_status(check("oms.nothing.v1.Service")), 5);
    stage.order[0].sick = true;
    stage_until(&stage, !gateway_serving(stage.gateway));
    ck_assert_int_eq(check("oms.order.v1.OrderService")->body[6], 2);
    ck_assert_int_eq(check("oms.catalog.v1.CatalogService")->body[6], 1);
    ck_assert_int_eq(ask(CHECK, "")->body[6], 2);
    stage.order[0].sick = false;
    stage_until(&stage, gateway_serving(stage.gateway));
    ck_assert_int_eq(ask(CHECK, "")->body[6], 1);
    stage_close(&stage);
}
END_TEST

START_TEST(a_watch_of_health_is_told_every_change)
{
    stage_open(&stage, 0);
    struct call *call = peer_call(stage_client(&stage), WATCH, "");
    call_put_message(call, "", 0);
    call_end(call);
    stage_until(&stage, call->body_len == 7);
    ck_assert_int_eq(call->body[6], 1);
    stage.inventory.sick = true;
    stage_until(&stage, call->body_len == 14);
    ck_assert_int_eq(call->body[13], 2);
    stage.inventory.sick = false;
    stage_until(&stage, call->body_len == 21);
    ck_assert_int_eq(call->body[20], 1);
    ck_assert(!call->closed);
    stage_close(&stage);
}
END_TEST

static void reflection(const char *path)
{
    struct call *call = peer_call(stage_client(&stage), path, "");
    call_put_message(call, "\x3a\x00", 2); /* list_services */
    stage_until(&stage, call->body_len > 5 && call->body_len == 5u + ((size_t)call->body[3] << 8) + call->body[4]);
    ck_assert_ptr_nonnull(memmem(call->body, call->kept, "oms.order.v1.OrderService", 25));
    ck_assert_ptr_nonnull(memmem(call->body, call->kept, "grpc.health.v1.Health", 21));
    ck_assert(!call->closed);
    call_end(call);
    stage_until(&stage, call->closed);
    ck_assert_int_eq(call_status(call), 0);
}

START_TEST(reflection_lists_what_is_behind_in_both_versions)
{
    stage_open(&stage, 0);
    reflection("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo");
    reflection("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo");
    stage_close(&stage);
}
END_TEST

START_TEST(garbage_for_health_and_reflection_is_refused)
{
    stage_open(&stage, 0);
    expect(body(CHECK, "", (uint8_t[]){ 0, 0, 0, 0, 2, 0xff, 0xff }, 7), 3, "MESSAGE_MALFORMED");
    expect(body(WATCH, "", (uint8_t[]){ 0, 0, 0, 0, 2, 0xff, 0xff }, 7), 3, "MESSAGE_MALFORMED");
    const char *reflect = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
    expect(body(reflect, "", (uint8_t[]){ 0, 0, 0, 0, 2, 0xff, 0xff }, 7), 3, "MESSAGE_MALFORMED");
    expect(body(reflect, "", (uint8_t[]){ 0, 0, 0, 0, 9, 0xff, 0xff }, 7), 3, "MESSAGE_MALFORMED");
    stage_close(&stage);
}
END_TEST

/* --- limits --- */

START_TEST(connections_beyond_the_limit_are_closed)
{
    stage_open(&stage, STAGE_FEW);
    struct peer *clients[5];
    for (int i = 0; i < 4; i++) {
        clients[i] = stage_client(&stage);
        stage_until(&stage, clients[i]->ready);
    }
    stage_until(&stage, stage.gateway->n_edges == 4);
    clients[4] = stage_client(&stage);
    stage_until(&stage, clients[4]->down);
    ck_assert(!clients[0]->down);
    stage_close(&stage);
}
END_TEST

START_TEST(a_connection_without_calls_is_sent_away)
{
    stage_open(&stage, STAGE_SOON);
    struct peer *client = stage_client(&stage);
    struct call *call = peer_call(client, CHECK, "");
    call_put_message(call, "", 0);
    call_end(call);
    stage_until(&stage, call->closed);
    ck_assert(!client->down);
    stage_until(&stage, client->down);
    stage_close(&stage);
}
END_TEST

static int raw_connection(void)
{
    struct sockaddr_in address = {
        AF_INET, htons((uint16_t)gateway_port(stage.gateway)), { htonl(INADDR_LOOPBACK) }, { 0 }
    };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

START_TEST(a_client_that_died_with_a_call_open_is_noticed)
{
    stage_open(&stage, STAGE_SOON);
    struct peer *client = stage_client(&stage);
    struct call *call = peer_call(client, WATCH, "");
    call_put_message(call, "", 0);
    call_end(call);
    stage_until(&stage, call->body_len == 7);
    stage_for(&stage, 700000);
    ck_assert(!client->down);
    uv_poll_stop(&client->link.poll); /* it answers no ping from now on */
    stage_until(&stage, stage.gateway->n_edges == 0);
    stage_close(&stage);
}
END_TEST

START_TEST(a_connection_that_never_says_anything_is_closed)
{
    stage_open(&stage, STAGE_SOON);
    int fd = raw_connection();
    stage_until(&stage, stage.gateway->n_edges == 1);
    stage_until(&stage, stage.gateway->n_edges == 0);
    close(fd);
    stage_close(&stage);
}
END_TEST

START_TEST(calls_beyond_the_limit_of_a_connection_wait_for_their_turn)
{
    stage_open(&stage, STAGE_FEW);
    struct peer *client = stage_client(&stage);
    for (int i = 0; i < 8; i++) {
        struct call *call = peer_call(client, GET, stage.bearer);
        call_put_message(call, "", 0);
        call_end(call);
    }
    stage_until(&stage, stage.order[0].n_requests == 4);
    stage_for(&stage, 50000);
    ck_assert_int_eq(stage.order[0].n_requests, 4);
    stage_close(&stage);
}
END_TEST

START_TEST(what_all_calls_hold_together_is_bounded)
{
    stage_open(&stage, STAGE_FEW | STAGE_SOON);
    static uint8_t large[60000];
    struct peer *clients[4];
    struct call *calls[8];
    stage.order[0].slow = true;
    for (struct peer *peer = stage.order[0].peers; peer; peer = peer->next)
        peer->slow = true;
    for (int i = 0; i < 4; i++)
        clients[i] = stage_client(&stage);
    for (int i = 0; i < 8; i++) {
        calls[i] = peer_call(clients[i % 4], PLACE, stage.bearer);
        call_put_message(calls[i], large, sizeof(large));
    }
    int n_full = 0;
    for (int i = 0; i < 8; i++) {
        stage_until(&stage, calls[i]->closed);
        n_full += strcmp(call_reason(calls[i]), "GATEWAY_FULL") == 0;
        ck_assert_uint_le(stage.gateway->buffered, 256 * 1024);
    }
    ck_assert_int_gt(n_full, 0);
    stage_close(&stage);
}
END_TEST

START_TEST(a_flood_of_resets_ends_the_connection)
{
    stage_open(&stage, 0);
    struct peer *client = stage_client(&stage);
    struct call *calls[50];
    for (int round = 0; round < 100 && !client->got_goaway; round++) {
        for (int i = 0; i < 50; i++)
            calls[i] = peer_call(client, GET, stage.bearer);
        stage_turn(&stage, INT64_MAX);
        for (int i = 0; i < 50; i++)
            call_reset(calls[i], NGHTTP2_CANCEL);
        stage_turn(&stage, INT64_MAX);
    }
    ck_assert(client->got_goaway);
    stage_until(&stage, client->down);
    stage_until(&stage, stage.gateway->n_exchanges == 0);
    stage_close(&stage);
}
END_TEST

START_TEST(garbage_instead_of_http2_is_dropped)
{
    stage_open(&stage, 0);
    int fd = raw_connection();
    char byte;
    ck_assert_int_gt(write(fd, "PRI * HTTP/2.0\r\nHost: x\r\n\r\n", 27), 0); /* HTTP/1.1 is check_h1.c's */
    stage_until(&stage, recv(fd, &byte, 1, MSG_DONTWAIT) == 0 || errno == ECONNRESET);
    close(fd);
    stage_close(&stage);
}
END_TEST

/* --- what does not come over nghttp2 --- */

#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

static bool is_closed(int fd)
{
    char bytes[4096];
    ssize_t n;
    while ((n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0)
        ;
    return n == 0 || errno == ECONNRESET || errno == EPIPE;
}

/* Sends a frame again and again, so many in one turn; how many until the gateway hangs up. */
static int flood(const void *first, size_t first_len, const void *frame, size_t len, int at_once)
{
    int fd = raw_connection(), n = 0, before = (int)stage.gateway->n_edges;
    static const uint8_t settings[9] = { 0, 0, 0, 4 };
    send(fd, PREFACE, sizeof(PREFACE) - 1, MSG_NOSIGNAL);
    send(fd, settings, sizeof(settings), MSG_NOSIGNAL);
    if (first_len)
        send(fd, first, first_len, MSG_NOSIGNAL);
    stage_until(&stage, (int)stage.gateway->n_edges == before + 1);
    while (stage.gateway->n_edges > (size_t)before && n < 4000000) {
        for (int i = 0; i < at_once; i++)
            n += send(fd, frame, len, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)len;
        stage_turn(&stage, INT64_MAX);
        is_closed(fd);
    }
    close(fd);
    return n;
}

START_TEST(a_flood_of_continuations_ends_the_connection)
{
    stage_open(&stage, 0);
    static const uint8_t headers[] = { 0, 0, 1, 1, 0, 0, 0, 0, 1, 0x83 };
    static const uint8_t more[] = { 0, 0, 1, 9, 0, 0, 0, 0, 1, 0x83 };
    ck_assert_int_lt(flood(headers, sizeof(headers), more, sizeof(more), 100), 1000);
    stage_close(&stage);
}
END_TEST

START_TEST(a_flood_of_settings_ends_the_connection)
{
    stage_open(&stage, 0);
    static const uint8_t small[15] = { 0, 0, 6, 4, [10] = 3 };
    static uint8_t large[9 + 33 * 6] = { 0, 0, 33 * 6, 4 };
    for (int i = 0; i < 33; i++)
        large[9 + i * 6 + 1] = 3;
    ck_assert_int_lt(flood(NULL, 0, small, sizeof(small), 100), 1000);
    ck_assert_int_lt(flood(NULL, 0, large, sizeof(large), 1), 10);
    stage_close(&stage);
}
END_TEST

START_TEST(a_client_that_pings_and_never_reads_costs_no_memory)
{
    stage_open(&stage, 0);
    int fd = raw_connection();
    static const uint8_t settings[9] = { 0, 0, 0, 4 }, ping[17] = { 0, 0, 8, 6 };
    int sent = 0, small = 4096;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    send(fd, PREFACE, sizeof(PREFACE) - 1, MSG_NOSIGNAL);
    send(fd, settings, sizeof(settings), MSG_NOSIGNAL);
    stage_until(&stage, stage.gateway->n_edges == 1);
    /* Until the gateway has stopped reading: the kernel's buffers are full, or it has hung up. */
    for (int idle = 0; idle < 20 && stage.gateway->n_edges; stage_turn(&stage, INT64_MAX)) {
        int before = sent;
        while (send(fd, ping, sizeof(ping), MSG_NOSIGNAL | MSG_DONTWAIT) > 0)
            sent++;
        idle = sent == before ? idle + 1 : 0;
        ck_assert_int_lt(sent, 4000000);
    }
    close(fd);
    stage_close(&stage);
}
END_TEST

START_TEST(a_stream_does_not_outlive_its_token)
{
    stage_open(&stage, 0);
    struct peer *client = stage_client(&stage);
    char extra[2048];
    snprintf(extra, sizeof(extra), "%smesh-service: svc-order\n", stage_bearer(&stage, "sap", "\"erp\""));
    stage.skew_us = (600 + AUTH_SKEW_S - 2) * INT64_C(1000000);
    struct call *call = peer_call(client, "/mesh.v1.LogService/Tail", extra);
    call_put_message(call, "", 0);
    call_end(call);
    stage_until(&stage, stage.order[0].n_requests == 1);
    ck_assert(!call->closed);
    stage_until(&stage, call->closed);
    ck_assert_int_eq(call_status(call), 16);
    ck_assert_str_eq(call_reason(call), "TOKEN_EXPIRED");
    stage_close(&stage);
}
END_TEST

START_TEST(keys_that_change_are_read_again)
{
    stage_open(&stage, 0);
    struct peer *client = stage_client(&stage);
    struct call *call = NULL;
    EVP_PKEY *other = keys_p256();
    keys_write_public(stage.keys.jwt_path, &other, 1);
    int64_t until_us = wheel_now_us() + 8000000;
    do {
        ck_assert_int_lt(wheel_now_us(), until_us);
        stage_for(&stage, 50000);
        call = peer_call(client, GET, stage.bearer);
        call_put_message(call, "\x01", 1);
        call_end(call);
        stage_for(&stage, 20000);
    } while (!call->closed);
    ck_assert_str_eq(call_reason(call), "TOKEN_SIGNATURE");
    EVP_PKEY_free(other);
    stage_close(&stage);
}
END_TEST

SUITE("access", 60, an_unknown_method_is_unimplemented, a_protected_method_needs_a_token,
      a_bad_token_is_refused_with_its_reason, a_connection_that_tries_many_bad_tokens_is_closed,
      a_role_that_is_not_allowed_is_denied, every_method_of_the_schema_has_a_route_and_a_rule,
      a_service_of_every_process_needs_the_process_named, what_is_not_grpc_gets_an_http_status,
      a_message_larger_than_the_method_takes_is_refused, a_compressed_message_is_refused,
      a_body_that_is_not_one_message_is_refused, metadata_beyond_16_kib_is_refused, a_timeout_is_read_in_every_unit,
      a_malformed_timeout_is_refused, health_follows_the_processes_behind, a_watch_of_health_is_told_every_change,
      reflection_lists_what_is_behind_in_both_versions, garbage_for_health_and_reflection_is_refused,
      connections_beyond_the_limit_are_closed, a_connection_without_calls_is_sent_away,
      a_client_that_died_with_a_call_open_is_noticed, a_connection_that_never_says_anything_is_closed,
      calls_beyond_the_limit_of_a_connection_wait_for_their_turn, what_all_calls_hold_together_is_bounded,
      a_flood_of_resets_ends_the_connection, garbage_instead_of_http2_is_dropped,
      a_flood_of_continuations_ends_the_connection, a_flood_of_settings_ends_the_connection,
      a_client_that_pings_and_never_reads_costs_no_memory, a_stream_does_not_outlive_its_token,
      keys_that_change_are_read_again)
