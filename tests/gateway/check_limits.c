/* Every limit of a client's connection is met, what it ends ends, what is beside it goes on, and it is counted. */
#include "gateway/edge.h"
#include "tests/gateway/web.h"
#include "tests/suite.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <unistd.h>

#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0" /* with empty settings */
#define CHECK   "/grpc.health.v1.Health/Check"

static struct stage stage;

/* --- sockets --- */

static int connect_from(const char *address, int port, int buffer)
{
    struct sockaddr_in to = { AF_INET, htons((uint16_t)port), { htonl(INADDR_LOOPBACK) }, { 0 } }, from = { AF_INET };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(inet_pton(AF_INET, address, &from.sin_addr), 1);
    if (buffer)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(buffer));
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&from, sizeof(from)), 0);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    return fd;
}

static int raw(void)
{
    return connect_from("127.0.0.1", gateway_port(stage.gateway), 0);
}

static void say(int fd, const void *bytes, size_t n)
{
    ck_assert_int_eq(send(fd, bytes, n, MSG_NOSIGNAL), (ssize_t)n);
}

static bool closed(int fd)
{
    char bytes[4096];
    ssize_t n;
    while ((n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0)
        ;
    return n == 0 || errno == ECONNRESET || errno == EPIPE;
}

#define await_end(fd) stage_until(&stage, closed(fd))

static void ck_lives(struct peer *client)
{
    struct call *call = peer_call(client, CHECK, "");
    call_put_message(call, "", 0);
    call_end(call);
    stage_until(&stage, call->closed);
    ck_assert_int_eq(call_status(call), 0);
}

static struct peer *bystander(void)
{
    struct peer *client = stage_client(&stage);
    ck_lives(client);
    return client;
}

/* --- how many --- */

START_TEST(one_address_gets_so_many_connections)
{
    stage_open(&stage, 0);
    stage.gateway->limits.per_source = 2;
    int port = gateway_port(stage.gateway);
    int first = raw(), second = raw(), third = raw(), other = connect_from("127.0.0.2", port, 0);
    await_end(third);
    stage_until(&stage, stage.gateway->n_edges == 3);
    ck_assert(!closed(first) && !closed(second) && !closed(other));
    ck_assert_int_eq(limit_times(LIMIT_SOURCE), 1);
    close(first);
    stage_until(&stage, stage.gateway->n_edges == 2);
    int again = raw();
    stage_until(&stage, stage.gateway->n_edges == 3);
    stage_for(&stage, 20000);
    ck_assert(!closed(again));
    close(second), close(third), close(other), close(again);
    stage_close(&stage);
}
END_TEST

START_TEST(all_together_get_so_many_connections)
{
    stage_open(&stage, STAGE_FEW);
    int fds[5];
    char address[16];
    for (int i = 0; i < 5; i++) {
        snprintf(address, sizeof(address), "127.0.0.%d", i + 1);
        fds[i] = connect_from(address, gateway_port(stage.gateway), 0);
        stage_until(&stage, (int)stage.gateway->n_edges == (i < 4 ? i + 1 : 4));
    }
    await_end(fds[4]);
    ck_assert_int_eq(limit_times(LIMIT_CONNECTIONS), 1);
    for (int i = 0; i < 5; i++)
        close(fds[i]);
    stage_close(&stage);
}
END_TEST

static struct source *enter(struct sources *sources, const char *address, size_t most)
{
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
    struct sockaddr_in v4 = { .sin_family = AF_INET };
    if (inet_pton(AF_INET, address, &v4.sin_addr) == 1)
        return source_enter(sources, (struct sockaddr *)&v4, most);
    ck_assert_int_eq(inet_pton(AF_INET6, address, &v6.sin6_addr), 1);
    return source_enter(sources, (struct sockaddr *)&v6, most);
}

START_TEST(a_source_is_an_address_or_a_network_of_ipv6)
{
    static const struct {
        const char *a, *b;
        bool same;
    } rows[] = {
        { "192.0.2.1", "192.0.2.1", true },
        { "192.0.2.1", "192.0.2.2", false },
        { "192.0.2.1", "::ffff:192.0.2.1", true },
        { "2001:db8::1", "2001:db8::2", true },
        { "2001:db8::1", "2001:db8:0:0:ffff::1", true },
        { "2001:db8::1", "2001:db8:0:1::1", false },
        { "::1", "0.0.0.0", false },
    };
    struct sources *sources = sources_create();
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct source *a = enter(sources, rows[i].a, 2), *b = enter(sources, rows[i].b, 2);
        ck_assert_msg((a == b) == rows[i].same, "%s and %s", rows[i].a, rows[i].b);
        ck_assert_ptr_eq(enter(sources, rows[i].a, 1), NULL);
        source_leave(sources, a);
        source_leave(sources, b);
    }
    struct source *many[3000];
    char address[16];
    for (int i = 0; i < 3000; i++) {
        snprintf(address, sizeof(address), "10.0.%d.%d", i / 256, i % 256);
        many[i] = enter(sources, address, 1);
        ck_assert_ptr_nonnull(many[i]);
    }
    for (int i = 0; i < 3000; i++)
        source_leave(sources, many[i]);
    sources_destroy(sources);
}
END_TEST

/* --- how long until something comes --- */

START_TEST(who_says_nothing_is_not_waited_for)
{
    stage_open(&stage, STAGE_SOON | STAGE_TLS);
    int clear = raw(), tls = connect_from("127.0.0.1", gateway_tls_port(stage.gateway), 0), half = raw();
    say(half, PREFACE, 10);
    await_end(clear);
    await_end(tls);
    await_end(half);
    ck_assert_int_eq(limit_times(LIMIT_HANDSHAKE), 3);
    close(clear), close(tls), close(half);
    stage_close(&stage);
}
END_TEST

START_TEST(who_begins_no_call_is_not_waited_for)
{
    stage_open(&stage, STAGE_SOON);
    int fd = raw();
    say(fd, PREFACE, sizeof(PREFACE) - 1);
    for (int i = 0; i < 100 && !closed(fd); i++) { /* however much else it says */
        send(fd, "\0\0\10\6\0\0\0\0\0pingping", 17, MSG_NOSIGNAL);
        stage_for(&stage, 10000);
    }
    await_end(fd);
    ck_assert_int_eq(limit_times(LIMIT_UNUSED), 1);
    close(fd);
    stage_close(&stage);
}
END_TEST

START_TEST(headers_that_do_not_end_are_not_waited_for)
{
    stage_open(&stage, STAGE_SOON);
    int fd = raw();
    say(fd, PREFACE, sizeof(PREFACE) - 1);
    say(fd, "\0\0\1\1\0\0\0\0\1\x83", 10);             /* HEADERS, and a CONTINUATION with a value */
    say(fd, "\0\2\0\x9\0\0\0\0\1\0\1x\x7f\x81\1", 15); /* of 256 bytes that is still to come */
    for (int i = 0; i < 100 && !closed(fd); i++) {
        send(fd, "a", 1, MSG_NOSIGNAL);
        stage_for(&stage, 10000);
    }
    ck_assert(closed(fd));
    ck_assert_int_eq(limit_times(LIMIT_HEAD), 1);
    close(fd);
    stage_until(&stage, stage.gateway->n_exchanges == 0);
    stage_close(&stage);
}
END_TEST

START_TEST(a_message_that_does_not_end_is_not_waited_for)
{
    stage_open(&stage, STAGE_SOON);
    struct peer *client = bystander();
    struct call *call = peer_call(client, GET, stage.bearer);
    for (int i = 0; i < 100 && !call->closed; i++) { /* however slowly it comes */
        call_put(call, i ? "a" : "\0\0\0\1\0", i ? 1 : 5);
        stage_for(&stage, 10000);
    }
    ck_assert_int_eq(call_status(call), 4);
    ck_assert_str_eq(call_reason(call), "REQUEST_TOO_SLOW");
    ck_assert_int_eq(limit_times(LIMIT_BODY), 1);
    ck_lives(client);
    stage_until(&stage, stage.gateway->n_exchanges == 0);
    ck_assert_uint_eq(stage.gateway->buffered, 0);
    stage_close(&stage);
}
END_TEST

START_TEST(a_body_over_http_1_1_that_does_not_end_is_not_waited_for)
{
    stage_open(&stage, STAGE_SOON);
    char text[2048], got[4096];
    int fd = raw();
    stage.bearer[strcspn(stage.bearer, "\n")] = '\0';
    snprintf(text, sizeof(text),
             "POST " GET " HTTP/1.1\r\nHost: a\r\n%s\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n{",
             stage.bearer);
    say(fd, text, strlen(text));
    ssize_t n = 0;
    for (int i = 0; i < 100 && (n = recv(fd, got, sizeof(got) - 1, MSG_DONTWAIT)) <= 0; i++) {
        send(fd, " ", 1, MSG_NOSIGNAL);
        stage_for(&stage, 10000);
    }
    ck_assert_int_gt(n, 0);
    got[n] = '\0';
    ck_assert_msg(strncmp(got, "HTTP/1.1 504 ", 13) == 0, "%s", got);
    ck_assert_ptr_nonnull(strstr(got, "connection: close\r\n"));
    ck_assert_int_eq(limit_times(LIMIT_BODY), 1);
    await_end(fd);
    close(fd);
    stage_close(&stage);
}
END_TEST

/* --- how long until it is taken --- */

static struct call *export_to(struct peer *client)
{
    char bearer[1024];
    snprintf(bearer, sizeof(bearer), "%s", stage_bearer(&stage, "sap", "\"erp\""));
    struct call *call = peer_call(client, EXPORT, bearer);
    int n = stage.order[0].n_requests;
    call_put_message(call, "", 0);
    call_end(call);
    stage_until(&stage, stage.order[0].n_requests == n + 1);
    return call;
}

START_TEST(who_does_not_take_a_reply_loses_it)
{
    static uint8_t large[300000];
    stage_open(&stage, STAGE_SOON);
    struct peer *client = bystander();
    client->slow = true;
    struct call *call = export_to(client), *seen = web_request(&stage, &stage.order[0]);
    call_head(seen, NULL);
    call_put(seen, large, sizeof(large));
    stage_until(&stage, call->closed);
    ck_assert_uint_eq(call->error, NGHTTP2_CANCEL);
    stage_until(&stage, seen->closed);
    ck_assert_int_eq(limit_times(LIMIT_STALLED), 1);
    ck_assert(!client->down);
    stage_until(&stage, stage.gateway->n_exchanges == 0);
    ck_assert_uint_eq(stage.gateway->buffered, 0);
    stage_close(&stage);
}
END_TEST

START_TEST(who_takes_it_slowly_gets_it)
{
    static uint8_t large[160000];
    stage_open(&stage, STAGE_SOON);
    struct peer *client = bystander();
    client->slow = true;
    struct call *call = export_to(client), *seen = web_request(&stage, &stage.order[0]);
    call_head(seen, NULL);
    call_put(seen, large, sizeof(large));
    call_trailers(seen, "grpc-status: 0\n");
    while (!call->closed) {
        stage_for(&stage, 100000);
        call_read(call, call->unread < 16000 ? call->unread : 16000);
    }
    ck_assert_uint_eq(call->body_len, sizeof(large));
    ck_assert_int_eq(call_status(call), 0);
    ck_assert_int_eq(limit_times(LIMIT_STALLED), 0);
    stage_close(&stage);
}
END_TEST

START_TEST(who_watches_in_silence_is_left_alone)
{
    stage_open(&stage, STAGE_SOON);
    struct peer *client = bystander();
    struct call *call = export_to(client), *seen = web_request(&stage, &stage.order[0]);
    call_head(seen, NULL);
    call_put_message(seen, "x", 1);
    stage_for(&stage, 2000000);
    ck_assert(!call->closed && !client->down);
    call_put_message(seen, "y", 1);
    stage_until(&stage, call->body_len == 12);
    stage_close(&stage);
}
END_TEST

START_TEST(who_does_not_read_at_all_is_cut_off)
{
    static uint8_t large[65536];
    stage_open(&stage, STAGE_SOON);
    int fd = connect_from("127.0.0.1", gateway_port(stage.gateway), 4096);
    char text[2048], bearer[1024];
    snprintf(bearer, sizeof(bearer), "%s", stage_bearer(&stage, "sap", "\"erp\""));
    bearer[strcspn(bearer, "\n")] = '\0';
    snprintf(text, sizeof(text),
             "POST " EXPORT
             " HTTP/1.1\r\nHost: a\r\n%s\r\nContent-Type: application/grpc-web\r\nContent-Length: 5\r\n\r\n",
             bearer);
    say(fd, text, strlen(text));
    say(fd, "\0\0\0\0\0", 5);
    stage_until(&stage, stage.order[0].n_requests == 1);
    struct call *seen = web_request(&stage, &stage.order[0]);
    call_head(seen, NULL);
    for (int i = 0; i < 200 && !seen->closed; i++) { /* more than the kernel takes */
        call_put(seen, large, sizeof(large));
        stage_turn(&stage, INT64_MAX);
        ck_assert_uint_le(stage.gateway->buffered, 256 * 1024);
    }
    stage_until(&stage, seen->closed);
    ck_assert_int_eq(limit_times(LIMIT_STALLED), 1);
    stage_until(&stage, stage.gateway->n_edges == 0);
    ck_assert_uint_eq(stage.gateway->buffered, 0);
    close(fd);
    stage_close(&stage);
}
END_TEST

/* --- how much --- */

/* Health as a client at the other address is told it. */
static void ck_other_is_served(void)
{
    static const char text[] = "POST " CHECK " HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
                               "Content-Length: 2\r\nConnection: close\r\n\r\n{}";
    char got[1024];
    ssize_t n = 0;
    int fd = connect_from("127.0.0.2", gateway_port(stage.gateway), 0);
    say(fd, text, sizeof(text) - 1);
    stage_until(&stage, (n = recv(fd, got, sizeof(got) - 1, MSG_DONTWAIT)) > 0);
    got[n] = '\0';
    ck_assert_msg(strncmp(got, "HTTP/1.1 200 ", 13) == 0, "%s", got);
    close(fd);
}

START_TEST(one_address_has_so_many_calls_under_way)
{
    static const char watch[] = "/grpc.health.v1.Health/Watch";
    stage_open(&stage, 0);
    stage.gateway->limits.source_calls = 2;
    struct call *calls[3];
    for (int i = 0; i < 3; i++) {
        calls[i] = peer_call(stage_client(&stage), watch, "");
        call_put_message(calls[i], "", 0);
        call_end(calls[i]);
        stage_until(&stage, calls[i]->body_len || calls[i]->closed);
    }
    ck_assert_str_eq(call_reason(calls[2]), "TOO_MANY_CALLS");
    ck_assert_int_eq(limit_times(LIMIT_CALLS), 1);
    ck_other_is_served();
    call_reset(calls[0], NGHTTP2_CANCEL);
    stage_until(&stage, stage.gateway->n_exchanges == 1);
    ck_lives(calls[0]->peer);
    stage_close(&stage);
}
END_TEST

START_TEST(one_address_holds_so_many_bytes)
{
    static uint8_t large[300000];
    stage_open(&stage, 0);
    stage.gateway->limits.source_buffered = 150000;
    struct peer *clients[4];
    struct call *calls[4];
    for (int i = 0; i < 4; i++) {
        clients[i] = stage_client(&stage);
        stage_until(&stage, clients[i]->ready);
        clients[i]->slow = true;
        calls[i] = peer_call(clients[i], EXPORT, stage_bearer(&stage, "sap", "\"erp\""));
        call_put_message(calls[i], "", 0);
        call_end(calls[i]);
        stage_until(&stage, stage.order[0].n_requests == i + 1 || calls[i]->closed);
        struct call *seen = web_request(&stage, &stage.order[0]);
        if (seen->replied)
            break;
        call_head(seen, NULL);
        call_put(seen, large, sizeof(large));
        stage_for(&stage, 50000);
        ck_assert_uint_le(stage.gateway->buffered, 150000);
        ck_other_is_served();
    }
    ck_assert_int_ge(limit_times(LIMIT_BUFFERED), 1);
    for (int i = 0; i < 4; i++)
        peer_close(clients[i]);
    stage_until(&stage, stage.gateway->n_exchanges == 0);
    ck_assert_uint_eq(stage.gateway->buffered, 0);
    stage_close(&stage);
}
END_TEST

START_TEST(headers_count_as_held)
{
    static char value[900];
    stage_open(&stage, 0);
    stage.gateway->limits.source_buffered = 4000;
    struct peer *client = stage_client(&stage);
    struct call *calls[4];
    char extra[sizeof(value) + 16];
    memset(value, 'a', sizeof(value) - 1);
    snprintf(extra, sizeof(extra), "x-a: %s\n", value);
    for (int i = 0; i < 4; i++) { /* of which nothing more comes */
        calls[i] = peer_call(client, CHECK, extra);
        stage_for(&stage, 20000);
    }
    ck_assert_str_eq(call_reason(calls[3]), "GATEWAY_FULL");
    ck_assert(!calls[0]->closed);
    ck_other_is_served();
    peer_close(client);
    stage_until(&stage, stage.gateway->n_exchanges == 0);
    ck_assert_uint_eq(stage.gateway->buffered, 0);
    stage_close(&stage);
}
END_TEST

/* ListProducts, as anybody may call it; returns where it ends. */
static uint8_t *write_call(uint8_t *at, uint32_t stream, bool given_up)
{
    static const char list[] = "\x83\x86\x04\x2b/oms.catalog.v1.CatalogService/ListProducts\x01\x01"
                               "a"
                               "\x0f\x10\x10"
                               "application/grpc";
    const uint8_t id[] = { 0, 0, (uint8_t)(stream >> 8), (uint8_t)stream };
    at = mempcpy(at, (const uint8_t[]){ 0, 0, sizeof(list) - 1, 1, 4 }, 5);
    at = mempcpy(mempcpy(at, id, 4), list, sizeof(list) - 1);
    at = mempcpy(mempcpy(at, (const uint8_t[]){ 0, 0, 5, 0, 1 }, 5), id, 4);
    at = mempcpy(at, "\0\0\0\0", 5);
    if (!given_up)
        return at;
    at = mempcpy(mempcpy(at, (const uint8_t[]){ 0, 0, 4, 3, 0 }, 5), id, 4);
    return mempcpy(at, (const uint8_t[]){ 0, 0, 0, 8 }, 4);
}

START_TEST(calls_that_are_given_up_take_nobodys_place)
{
    static uint8_t bytes[200000];
    stage_open(&stage, 0);
    int fd = raw();
    uint8_t *at = mempcpy(bytes, PREFACE, sizeof(PREFACE) - 1);
    for (uint32_t i = 0; i < 700; i++) /* more than a process may have under way, in one turn of the loop */
        at = write_call(at, 2 * i + 1, true);
    at = write_call(at, 1401, false);
    say(fd, bytes, (size_t)(at - bytes));
    stage_until(&stage, stage.inventory.n_requests);
    stage_until(&stage, stage.gateway->n_exchanges == 1);
    struct call *seen = web_request(&stage, &stage.inventory);
    ck_assert_str_eq(call_field(seen, ":path"), "/oms.catalog.v1.CatalogService/ListProducts");
    call_reply(seen, "", 0);
    stage_until(&stage, stage.gateway->n_exchanges == 0);
    close(fd);
    stage_close(&stage);
}
END_TEST

/* --- how long at all --- */

START_TEST(a_connection_may_have_an_age)
{
    stage_open(&stage, STAGE_SOON);
    stage.gateway->limits.age_us = 300000;
    struct peer *client = bystander();
    struct call *call = export_to(client), *seen = web_request(&stage, &stage.order[0]);
    stage_until(&stage, client->got_goaway);
    stage_for(&stage, 300000);
    ck_assert(!call->closed); /* what is under way goes on */
    call_reply(seen, "", 0);
    stage_until(&stage, client->down);
    ck_assert_int_eq(call_status(call), 0);
    stage_close(&stage);
}
END_TEST

START_TEST(what_else_ends_a_connection_is_counted)
{
    stage_open(&stage, STAGE_SOON);
    struct peer *client = bystander();
    for (int i = 0; i < 64; i++) {
        struct call *call = peer_call(client, GET, "authorization: Bearer x.y.z\n");
        call_put_message(call, "", 0);
        call_end(call);
        stage_until(&stage, call->closed || client->down);
    }
    stage_until(&stage, client->down);
    ck_assert_int_eq(limit_times(LIMIT_TOKENS), 1);

    int fd = raw();
    say(fd, "GET nonsense\r\n\r\n", 16);
    await_end(fd);
    close(fd);
    fd = raw();
    say(fd, PREFACE "\xff\xff\xff\0\0\0\0\0\1", sizeof(PREFACE) + 8);
    await_end(fd);
    close(fd);
    ck_assert_int_ge(limit_times(LIMIT_PROTOCOL), 1);

    client = bystander();
    struct call *call = export_to(client);
    uv_poll_stop(&client->link.poll); /* it answers no ping from now on */
    stage_until(&stage, web_request(&stage, &stage.order[0])->closed);
    ck_assert_int_eq(limit_times(LIMIT_QUIET), 1);
    ck_assert(!call->closed);
    stage_close(&stage);
}
END_TEST

SUITE("limits", 60, one_address_gets_so_many_connections, all_together_get_so_many_connections,
      a_source_is_an_address_or_a_network_of_ipv6, who_says_nothing_is_not_waited_for,
      who_begins_no_call_is_not_waited_for, headers_that_do_not_end_are_not_waited_for,
      a_message_that_does_not_end_is_not_waited_for, a_body_over_http_1_1_that_does_not_end_is_not_waited_for,
      who_does_not_take_a_reply_loses_it, who_takes_it_slowly_gets_it, who_watches_in_silence_is_left_alone,
      who_does_not_read_at_all_is_cut_off, one_address_has_so_many_calls_under_way, one_address_holds_so_many_bytes,
      headers_count_as_held, calls_that_are_given_up_take_nobodys_place, a_connection_may_have_an_age,
      what_else_ends_a_connection_is_counted)
