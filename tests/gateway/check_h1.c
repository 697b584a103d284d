/* HTTP/1.1 on the wire: what a client that speaks it may do, and what ends its connection. */
#include "gateway/edge.h"
#include "gateway/tls.h"
#include "tests/gateway/web.h"
#include "tests/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <unistd.h>

static struct stage stage;

/* --- a client --- */

struct client {
    int fd;
    char got[256 * 1024];
    size_t n;
    bool closed;
};

static struct client clients[4];

static struct client *client_connect(int i)
{
    struct client *c = &clients[i];
    struct sockaddr_in address = {
        AF_INET, htons((uint16_t)gateway_port(stage.gateway)), { htonl(INADDR_LOOPBACK) }, { 0 }
    };
    *c = (struct client){ .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) };
    ck_assert_int_eq(connect(c->fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return c;
}

static void client_send(struct client *c, const char *text)
{
    ck_assert_int_eq(send(c->fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

static void client_look(struct client *c)
{
    ssize_t n;
    while (!c->closed && c->n < sizeof(c->got) - 1 &&
           (n = recv(c->fd, c->got + c->n, sizeof(c->got) - 1 - c->n, MSG_DONTWAIT)) != -1) {
        c->closed = n == 0;
        c->n += (size_t)n;
    }
    if (!c->closed && errno == ECONNRESET)
        c->closed = true;
    c->got[c->n] = '\0';
}

static int count_of(struct client *c, const char *text)
{
    int n = 0;
    client_look(c);
    for (const char *at = c->got; (at = strstr(at, text)); at += strlen(text))
        n++;
    return n;
}

#define await(c, text, times) stage_until(&stage, count_of(c, text) >= (times))
#define await_end(c)          stage_until(&stage, (client_look(c), (c)->closed))

static void client_close(struct client *c)
{
    close(c->fd);
}

#define GET_X "GET /x HTTP/1.1\r\nHost: a\r\n\r\n"

/* --- whole requests --- */

START_TEST(requests_follow_each_other_on_one_connection)
{
    stage_open(&stage, 0);
    struct client *c = client_connect(0);
    for (int i = 1; i <= 3; i++) {
        client_send(c, GET_X);
        await(c, "\r\n\r\n", i);
    }
    ck_assert_int_eq(count_of(c, "HTTP/1.1 405 Method Not Allowed\r\nallow: POST\r\ncontent-length: 0\r\n\r\n"), 3);
    ck_assert(!c->closed);
    ck_assert_uint_eq(stage.gateway->n_edges, 1);
    ck_assert_uint_eq(stage.gateway->n_exchanges, 0);
    client_close(c);
    stage_close(&stage);
}
END_TEST

START_TEST(a_request_may_come_byte_by_byte)
{
    stage_open(&stage, 0);
    struct client *c = client_connect(0);
    for (const char *at = "\r\n" GET_X GET_X; *at; at++) {
        client_send(c, (const char[]){ *at, '\0' });
        stage_turn(&stage, INT64_MAX);
    }
    await(c, "405 Method Not Allowed", 2);
    client_close(c);
    stage_close(&stage);
}
END_TEST

START_TEST(requests_sent_ahead_are_answered_in_order)
{
    stage_open(&stage, 0);
    struct client *c = client_connect(0);
    char text[4096] = "";
    for (int i = 0; i < 20; i++)
        strcat(text, i % 2 ? GET_X : "POST /x HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\n\r\n");
    client_send(c, text);
    await(c, "\r\n\r\n", 20);
    for (const char *at = c->got, *end = c->got + c->n; at < end; at = strstr(at, "\r\n\r\n") + 4) {
        ck_assert(strncmp(at, "HTTP/1.1 415", 12) == 0);
        at = strstr(at, "\r\n\r\n") + 4;
        ck_assert(strncmp(at, "HTTP/1.1 405", 12) == 0);
    }
    ck_assert_uint_eq(stage.gateway->buffered, 0);
    client_close(c);
    stage_close(&stage);
}
END_TEST

START_TEST(who_asks_for_it_is_closed_after_the_answer)
{
    static const char *const rows[] = {
        "GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        "GET /x HTTP/1.0\r\n\r\n",
        "GET /x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    };
    stage_open(&stage, 0);
    for (size_t i = 0; i < 3; i++) {
        struct client *c = client_connect(0);
        client_send(c, rows[i]);
        await_end(c);
        ck_assert_str_eq(c->got, "HTTP/1.1 405 Method Not Allowed\r\nallow: POST\r\nconnection: close\r\n"
                                 "content-length: 0\r\n\r\n");
        client_close(c);
    }
    stage_close(&stage);
}
END_TEST

START_TEST(grpc_itself_is_told_that_it_needs_http2)
{
    stage_open(&stage, 0);
    struct client *c = client_connect(0);
    client_send(c, "POST /grpc.health.v1.Health/Check HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc\r\n"
                   "TE: trailers\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n");
    await_end(c);
    ck_assert(strncmp(c->got, "HTTP/1.1 505 HTTP Version Not Supported\r\n", 41) == 0);
    ck_assert_ptr_nonnull(strstr(c->got, "gRPC needs HTTP/2"));
    client_close(c);
    stage_close(&stage);
}
END_TEST

/* --- calls, in the dialects that HTTP/1.1 carries --- */

#define GET_ORDER    "/oms.order.v1.OrderService/GetOrder"
#define IMPORT       "/oms.order.v1.OrderService/ImportOrders"
#define ORDER_1      "\x0a\x05ord_1" /* GetOrderRequest: field 1, "ord_1"; and what is ORDER_1 in a reply's field 1 */
#define REPLY_1      "\x0a\x07\x0a\x05ord_1"
#define REPLY_1_JSON "{\"order\":{\"orderId\":\"ord_1\"}}"

static void answer(struct call *call)
{
    if (call->ended && !call->replied)
        call_reply(call, REPLY_1, sizeof(REPLY_1) - 1);
}

/* A POST of ann's; the body is still to come. */
static void client_post(struct client *c, const char *path, const char *content, const char *more)
{
    static char text[4096];
    char bearer[1024];
    snprintf(bearer, sizeof(bearer), "%s", stage.bearer);
    bearer[strcspn(bearer, "\n")] = '\0';
    snprintf(text, sizeof(text), "POST %s HTTP/1.1\r\nHost: a\r\n%s\r\nContent-Type: %s\r\n%s\r\n", path, bearer,
             content, more);
    client_send(c, text);
}

START_TEST(a_call_in_json_is_answered_with_its_length)
{
    stage_open(&stage, 0);
    stage.order[0].more = answer;
    struct client *c = client_connect(0);
    for (int i = 1; i <= 2; i++) {
        client_post(c, GET_ORDER, "application/json",
                    i == 1 ? "Content-Length: 19\r\n" : "Transfer-Encoding: chunked\r\n");
        client_send(c, i == 1 ? "{\"orderId\":\"ord_1\"}" : "4\r\n{\"or\r\nf\r\nderId\":\"ord_1\"}\r\n0\r\n\r\n");
        await(c, REPLY_1_JSON, i);
    }
    ck_assert_int_eq(count_of(c, "HTTP/1.1 200 OK\r\n"), 2);
    ck_assert_int_eq(count_of(c, "content-length: 29\r\n\r\n" REPLY_1_JSON), 2);
    ck_assert_int_eq(count_of(c, "chunked"), 0);
    ck_assert_int_eq(stage.order[0].n_requests, 2);
    client_close(c);
    stage_close(&stage);
}
END_TEST

START_TEST(a_stream_comes_in_chunks_as_it_is_said)
{
    stage_open(&stage, 0);
    struct client *c = client_connect(0);
    strcpy(stage.bearer, stage_bearer(&stage, "sap", "\"erp\""));
    client_post(c, EXPORT, "application/grpc-web", "Content-Length: 5\r\n");
    ck_assert_int_eq(send(c->fd, "\0\0\0\0\0", 5, MSG_NOSIGNAL), 5);
    stage_until(&stage, stage.order[0].n_requests == 1);
    struct call *call = web_request(&stage, &stage.order[0]);
    call_head(call, NULL);
    await(c, "transfer-encoding: chunked\r\n\r\n", 1);
    size_t head = c->n;
    call_put_message(call, "one", 3);
    stage_until(&stage, (client_look(c), c->n == head + 3 + 8 + 2));
    ck_assert_mem_eq(c->got + head, "8\r\n\0\0\0\0\3one\r\n", 13);
    call_put_message(call, "two", 3);
    call_trailers(call, "grpc-status: 0\n");
    stage_until(&stage, (client_look(c), c->n > head + 13 && memcmp(c->got + c->n - 5, "0\r\n\r\n", 5) == 0));
    ck_assert(!c->closed);
    client_send(c, GET_X);
    stage_until(&stage, (client_look(c), memcmp(c->got + c->n - 4, "\r\n\r\n", 4) == 0));
    client_close(c);
    stage_close(&stage);
}
END_TEST

START_TEST(calls_sent_ahead_wait_and_are_held_within_bounds)
{
    static char ahead[60000];
    stage_open(&stage, 0);
    struct client *c = client_connect(0);
    for (int i = 0; i < 3; i++) {
        client_post(c, GET_ORDER, "application/json", "Content-Length: 19\r\n");
        client_send(c, "{\"orderId\":\"ord_1\"}");
    }
    memset(ahead, 'X', sizeof(ahead));
    ssize_t n, sent = 0;
    for (int idle = 0; idle < 50; stage_turn(&stage, INT64_MAX), idle++)
        while ((n = send(c->fd, ahead, sizeof(ahead), MSG_NOSIGNAL | MSG_DONTWAIT)) > 0) {
            sent += n;
            idle = 0;
        }
    ck_assert_int_gt(sent, 0);
    ck_assert_uint_le(stage.gateway->buffered, 2 * 64 * 1024);
    ck_assert_int_eq(stage.order[0].n_requests, 1);
    stage.order[0].more = answer;
    answer(web_request(&stage, &stage.order[0]));
    await(c, REPLY_1_JSON, 3);
    await_end(c); /* as what follows is no request */
    ck_assert_int_eq(stage.order[0].n_requests, 3);
    ck_assert_int_eq(count_of(c, "HTTP/1.1 200"), 3);
    client_close(c);
    stage_close(&stage);
}
END_TEST

START_TEST(who_waits_to_be_asked_for_the_body_is_asked)
{
    stage_open(&stage, 0);
    stage.order[0].more = answer;
    struct client *c = client_connect(0);
    client_post(c, GET_ORDER, "application/json", "Content-Length: 19\r\nExpect: 100-continue\r\n");
    await(c, "HTTP/1.1 100 Continue\r\n\r\n", 1);
    client_send(c, "{\"orderId\":\"ord_1\"}");
    await(c, REPLY_1_JSON, 1);
    client_post(c, "/no.Service/Method", "application/json", "Content-Length: 19\r\nExpect: 100-continue\r\n");
    await_end(c); /* what is not wanted is not asked for */
    ck_assert_int_eq(count_of(c, "HTTP/1.1 100"), 1);
    ck_assert_int_eq(count_of(c, "HTTP/1.1 "), 3);
    client_close(c);
    stage_close(&stage);
}
END_TEST

START_TEST(a_body_that_nobody_takes_stops_the_client)
{
    static char piece[32768];
    stage_open(&stage, 0);
    stage.order[0].slow = true;
    for (struct peer *peer = stage.order[0].peers; peer; peer = peer->next)
        peer->slow = true;
    struct client *c = client_connect(0);
    strcpy(stage.bearer, stage_bearer(&stage, "sap", "\"erp\""));
    client_post(c, IMPORT, "application/grpc-web", "Content-Length: 100000000\r\n");
    memcpy(piece, "\0\0\0\x7f\xfb", 5); /* a message in each */
    size_t sent = 0, most = 0;
    for (int idle = 0; idle < 50; stage_turn(&stage, INT64_MAX), idle++) {
        ssize_t n;
        while ((n = send(c->fd, piece + sent % sizeof(piece), sizeof(piece) - sent % sizeof(piece),
                         MSG_NOSIGNAL | MSG_DONTWAIT)) > 0) {
            sent += (size_t)n;
            idle = 0;
            ck_assert_uint_lt(sent, 50000000);
        }
        if (stage.gateway->buffered > most)
            most = stage.gateway->buffered;
    }
    ck_assert_uint_gt(most, 16 * 1024);
    ck_assert_uint_le(most, 4 * 64 * 1024);
    struct call *call = web_request(&stage, &stage.order[0]);
    size_t before = sent;
    for (int i = 0; i < 200 && sent < before + 1000000; i++) {
        call_read(call, call->unread);
        stage_turn(&stage, INT64_MAX);
        ssize_t n = send(c->fd, piece + sent % sizeof(piece), sizeof(piece) - sent % sizeof(piece),
                         MSG_NOSIGNAL | MSG_DONTWAIT);
        sent += n > 0 ? (size_t)n : 0;
    }
    ck_assert_uint_ge(sent, before + 1000000);
    client_close(c);
    stage_until(&stage, call->closed); /* as the client has gone */
    stage_until(&stage, stage.gateway->n_exchanges == 0);
    ck_assert_uint_eq(stage.gateway->buffered, 0);
    stage_close(&stage);
}
END_TEST

START_TEST(a_client_that_hangs_up_ends_its_call)
{
    stage_open(&stage, 0);
    for (int ahead = 0; ahead < 2; ahead++) { /* also when it is not being read */
        struct client *c = client_connect(0);
        client_post(c, GET_ORDER, "application/json", "Content-Length: 19\r\n");
        client_send(c, "{\"orderId\":\"ord_1\"}");
        if (ahead)
            client_send(c, GET_X);
        stage_until(&stage, stage.order[0].n_requests == ahead + 1);
        struct call *call = web_request(&stage, &stage.order[0]);
        client_close(c);
        stage_until(&stage, call->closed);
        ck_assert_uint_eq(call->error, NGHTTP2_CANCEL);
    }
    stage_until(&stage, stage.gateway->n_edges == 0);
    stage_close(&stage);
}
END_TEST

START_TEST(a_body_that_is_not_in_chunks_ends_the_call)
{
    stage_open(&stage, 0);
    struct client *c = client_connect(0);
    client_post(c, GET_ORDER, "application/json", "Transfer-Encoding: chunked\r\n");
    client_send(c, "5\r\n{\"ord?\r\n" GET_X);
    await_end(c);
    ck_assert_int_eq(count_of(c, "HTTP/1.1 400 "), 1);
    ck_assert_int_eq(count_of(c, "HTTP/1.1 "), 1);
    ck_assert_int_eq(stage.order[0].n_requests, 0);
    client_close(c);
    stage_until(&stage, stage.gateway->n_exchanges == 0);
    ck_assert_uint_eq(stage.gateway->buffered, 0);
    stage_close(&stage);
}
END_TEST

START_TEST(nobody_says_by_http_1_1_who_he_is_in_the_mesh)
{
    stage_open(&stage, 0);
    stage.order[0].more = answer;
    struct client *c = client_connect(0);
    client_post(c, GET_ORDER, "application/json",
                "X-Mesh-Caller: 64:root\r\nX-MESH-Other: 1\r\nX-Kept: k\r\nContent-Length: 19\r\n");
    client_send(c, "{\"orderId\":\"ord_1\"}");
    await(c, REPLY_1_JSON, 1);
    struct call *seen = web_request(&stage, &stage.order[0]);
    ck_assert_str_eq(call_field(seen, "x-kept"), "k");
    ck_assert_str_eq(call_field(seen, "x-mesh-other"), "");
    ck_assert_ptr_null(strstr(seen->head, "root"));
    ck_assert_ptr_nonnull(strstr(call_field(seen, "x-mesh-caller"), "ann"));
    client_close(c);
    stage_close(&stage);
}
END_TEST

START_TEST(no_header_of_a_reply_ends_a_line)
{
    stage_open(&stage, 0);
    struct client *c = client_connect(0);
    client_post(c, GET_ORDER, "application/json", "Content-Length: 19\r\n");
    client_send(c, "{\"orderId\":\"ord_1\"}");
    stage_until(&stage, stage.order[0].n_requests == 1);
    struct call *seen = web_request(&stage, &stage.order[0]);
    stage_until(&stage, seen->ended);
    call_head(seen, ":status: 200\ncontent-type: application/grpc\nx-good: g\nx-bad: b\rset-cookie: c\n");
    call_put_message(seen, REPLY_1, sizeof(REPLY_1) - 1);
    call_trailers(seen, "grpc-status: 0\n");
    await(c, REPLY_1_JSON, 1);
    ck_assert_int_eq(count_of(c, "x-good: g\r\n"), 1);
    ck_assert_int_eq(count_of(c, "set-cookie"), 0);
    client_close(c);
    stage_close(&stage);
}
END_TEST

START_TEST(the_last_answer_of_a_gateway_that_drains_says_so)
{
    stage_open(&stage, 0);
    struct client *c = client_connect(0);
    client_post(c, GET_ORDER, "application/json", "Content-Length: 19\r\n");
    client_send(c, "{\"orderId\":\"ord_1\"}");
    stage_until(&stage, stage.order[0].n_requests == 1);
    edges_leave(stage.gateway);
    stage_for(&stage, 50000);
    ck_assert_int_eq(count_of(c, "HTTP"), 0);
    answer(web_request(&stage, &stage.order[0]));
    await_end(c);
    ck_assert_int_eq(count_of(c, "connection: close\r\n"), 1);
    ck_assert_int_eq(count_of(c, REPLY_1_JSON), 1);
    client_close(c);
    stage_close(&stage);
}
END_TEST

/* --- what is refused --- */

START_TEST(what_is_no_request_is_refused_and_nothing_after_it_is_read)
{
    static const struct {
        const char *text, *status;
    } rows[] = {
        { "GET /x HTTP/1.1\nHost: a\n\n", "400" },
        { "GET /x HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n", "400" },
        { "GET /x HTTP/1.1\r\n\r\n", "400" },
        { "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400" },
        { "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", "400" },
        { "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "400" },
        { "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", "400" },
        { "GET /x HTTP/1.1\r\nHost: a\r\nExpect: wonders\r\n\r\n", "417" },
        { "GET /x HTTP/1.7\r\nHost: a\r\n\r\n", "505" },
        { "nonsense\r\n\r\n", "400" },
    };
    stage_open(&stage, 0);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct client *c = client_connect(0);
        char text[512], status[32];
        snprintf(text, sizeof(text), "%s%s", rows[i].text, GET_X); /* smuggled, if the first is misunderstood */
        snprintf(status, sizeof(status), "HTTP/1.1 %s ", rows[i].status);
        client_send(c, text);
        await_end(c);
        ck_assert_msg(strncmp(c->got, status, strlen(status)) == 0, "row %zu: %s", i, c->got);
        ck_assert_int_eq(count_of(c, "connection: "), 1);
        ck_assert_ptr_nonnull(strstr(c->got, "connection: close\r\n"));
        client_close(c);
    }
    stage_until(&stage, stage.gateway->n_edges == 0);
    ck_assert_uint_eq(stage.gateway->buffered, 0);
    stage_close(&stage);
}
END_TEST

START_TEST(headers_are_limited_as_on_http2)
{
    static char text[40000];
    stage_open(&stage, 0);
    for (int whole = 0; whole < 2; whole++) { /* by what is there, and by what would still come */
        struct client *c = client_connect(0);
        char *at = stpcpy(text, "GET /x HTTP/1.1\r\nHost: a\r\nX: ");
        memset(at, 'a', 17000);
        strcpy(at + 17000, whole ? "\r\n\r\n" : "");
        client_send(c, text);
        await_end(c);
        ck_assert_int_eq(count_of(c, "HTTP/1.1 431 "), 1);
        client_close(c);
    }
    stage_close(&stage);
}
END_TEST

START_TEST(an_answer_reaches_who_is_still_sending)
{
    static char body[20000];
    stage_open(&stage, 0);
    struct client *c = client_connect(0);
    memset(body, 'a', sizeof(body) - 1);
    client_send(c, "POST /x HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nContent-Length: 1000000\r\n\r\n");
    client_send(c, body);
    await(c, "HTTP/1.1 415 ", 1);
    for (int i = 0; i < 10; i++) {
        client_send(c, body);
        stage_turn(&stage, INT64_MAX);
    }
    ck_assert_int_eq(count_of(c, "connection: close\r\n"), 1);
    client_close(c);
    stage_until(&stage, stage.gateway->n_edges == 0);
    ck_assert_uint_eq(stage.gateway->buffered, 0);
    stage_close(&stage);
}
END_TEST

/* --- time --- */

START_TEST(headers_that_take_too_long_are_not_waited_for)
{
    stage_open(&stage, STAGE_SOON);
    struct client *c = client_connect(0);
    client_send(c, GET_X);
    await(c, "405", 1);
    client_send(c, "GET /x HTTP/1.1\r\n");
    for (int i = 0; i < 200 && (client_look(c), !c->closed); i++) {
        send(c->fd, "a", 1, MSG_NOSIGNAL); /* slowly */
        stage_for(&stage, 10000);
    }
    ck_assert_int_eq(count_of(c, "HTTP/1.1 408 "), 1);
    client_close(c);
    stage_close(&stage);
}
END_TEST

START_TEST(a_connection_without_requests_is_closed)
{
    stage_open(&stage, STAGE_SOON);
    struct client *c = client_connect(0), *half = client_connect(1), *used = client_connect(2);
    client_send(half, "PR"); /* of which protocol? */
    client_send(used, GET_X);
    await_end(c);
    await_end(half);
    await_end(used);
    ck_assert_int_eq(count_of(used, "405"), 1);
    stage_until(&stage, stage.gateway->n_edges == 0);
    for (int i = 0; i < 3; i++)
        client_close(&clients[i]);
    stage_close(&stage);
}
END_TEST

START_TEST(a_gateway_that_drains_closes_idle_connections)
{
    stage_open(&stage, 0);
    struct client *idle = client_connect(0), *half = client_connect(1), *fresh = client_connect(2);
    client_send(idle, GET_X);
    await(idle, "405", 1);
    client_send(half, "GET /x HT");
    stage_until(&stage, stage.gateway->n_edges == 3);
    edges_leave(stage.gateway);
    await_end(idle);
    await_end(half);
    await_end(fresh);
    for (int i = 0; i < 3; i++)
        client_close(&clients[i]);
    stage_until(&stage, stage.gateway->n_edges == 0);
    stage_close(&stage);
}
END_TEST

SUITE("h1", 60, requests_follow_each_other_on_one_connection, a_request_may_come_byte_by_byte,
      requests_sent_ahead_are_answered_in_order, who_asks_for_it_is_closed_after_the_answer,
      grpc_itself_is_told_that_it_needs_http2, a_call_in_json_is_answered_with_its_length,
      a_stream_comes_in_chunks_as_it_is_said, calls_sent_ahead_wait_and_are_held_within_bounds,
      who_waits_to_be_asked_for_the_body_is_asked, a_body_that_nobody_takes_stops_the_client,
      a_client_that_hangs_up_ends_its_call, a_body_that_is_not_in_chunks_ends_the_call,
      nobody_says_by_http_1_1_who_he_is_in_the_mesh, no_header_of_a_reply_ends_a_line,
      the_last_answer_of_a_gateway_that_drains_says_so, what_is_no_request_is_refused_and_nothing_after_it_is_read,
      headers_are_limited_as_on_http2, an_answer_reaches_who_is_still_sending,
      headers_that_take_too_long_are_not_waited_for, a_connection_without_requests_is_closed,
      a_gateway_that_drains_closes_idle_connections)
