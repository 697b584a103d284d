/* Byte connections, in the clear and over TLS: everything arrives, in order, whatever the kernel takes at once. */
#include "gateway/link.h"
#include "gateway/tls.h"
#include "tests/gateway/keys.h"
#include "tests/suite.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define TOTAL (8u << 20)

struct end {
    struct link link;
    size_t sent, to_send, received;
    int why;
    bool ready, down, gone, wrong;
};

static uv_loop_t loop;
static struct reactor reactor;
static struct end left, right;
static struct keys keys;

static uint8_t byte_at(size_t i)
{
    return (uint8_t)(i * 31 + i / 4096);
}

static void on_ready(struct link *link)
{
    ((struct end *)link)->ready = true;
}

static int on_input(struct link *link, const uint8_t *data, size_t n)
{
    struct end *end = (struct end *)link;
    for (size_t i = 0; i < n; i++)
        end->wrong |= data[i] != byte_at(end->received + i);
    end->received += n;
    return 0;
}

static int on_output(struct link *link, struct outbuf *out)
{
    struct end *end = (struct end *)link;
    while (end->sent < end->to_send && out->len < sizeof(out->data))
        out->data[out->len++] = byte_at(end->sent++);
    return end->sent < end->to_send;
}

static void on_down(struct link *link, int why)
{
    ((struct end *)link)->down = true;
    ((struct end *)link)->why = why;
}

static void on_gone(struct link *link)
{
    ((struct end *)link)->gone = true;
}

static const struct link_ops ops = { on_ready, on_input, on_output, on_down, on_gone };

static void beat(uv_timer_t *timer)
{
}

static uv_timer_t timer;

static void open_ends(SSL *left_ssl, SSL *right_ssl)
{
    int fds[2];
    uv_loop_init(&loop);
    reactor_init(&reactor, &loop);
    uv_timer_init(&loop, &timer);
    uv_timer_start(&timer, beat, 5, 5);
    memset(&left, 0, sizeof(left));
    memset(&right, 0, sizeof(right));
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    ck_assert_int_eq(link_accept(&left.link, &reactor, &ops, fds[0], left_ssl), 0);
    ck_assert_int_eq(link_accept(&right.link, &reactor, &ops, fds[1], right_ssl), 0);
}

#define until(condition) \
    do { \
        int64_t end_us_ = wheel_now_us() + 20000000; \
        while (!(condition)) { \
            ck_assert_int_lt(wheel_now_us(), end_us_); \
            uv_run(&loop, UV_RUN_ONCE); \
        } \
    } while (0)

static void nothing(void *arg)
{
}

static void close_ends(void)
{
    link_close(&left.link, 0);
    link_close(&right.link, 0);
    until(reactor.n_links == 0);
    ck_assert(left.gone && right.gone);
    uv_close((uv_handle_t *)&timer, NULL);
    reactor_finish(&reactor, nothing, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&loop), 0);
}

START_TEST(everything_arrives_in_order_both_ways)
{
    open_ends(NULL, NULL);
    left.to_send = right.to_send = TOTAL;
    link_wake(&left.link);
    link_wake(&right.link);
    until(left.received == TOTAL && right.received == TOTAL);
    ck_assert(!left.wrong && !right.wrong);
    close_ends();
}
END_TEST

START_TEST(what_the_kernel_does_not_take_waits_and_nothing_more_is_asked_for)
{
    open_ends(NULL, NULL);
    uv_poll_stop(&right.link.poll); /* it does not read */
    left.to_send = TOTAL;
    link_wake(&left.link);
    until(left.link.backlog != NULL);
    size_t sent = left.sent;
    for (int i = 0; i < 20; i++) {
        link_wake(&left.link);
        uv_run(&loop, UV_RUN_ONCE);
    }
    ck_assert_uint_eq(left.sent, sent);
    ck_assert_uint_lt(sent, TOTAL);
    right.link.events = 0;
    uv_poll_start(&right.link.poll, UV_READABLE, left.link.poll.poll_cb);
    right.link.events = UV_READABLE;
    until(right.received == TOTAL);
    ck_assert(!right.wrong);
    close_ends();
}
END_TEST

START_TEST(a_deaf_link_does_not_read_while_its_writing_is_blocked)
{
    open_ends(NULL, NULL);
    left.link.deaf = true;
    uv_poll_cb callback = right.link.poll.poll_cb;
    uv_poll_stop(&right.link.poll);
    left.to_send = TOTAL;
    link_wake(&left.link);
    until(left.link.backlog != NULL);
    uint8_t bytes[1000];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = byte_at(i);
    ck_assert_int_eq(write(right.link.fd, bytes, sizeof(bytes)), sizeof(bytes));
    for (int i = 0; i < 20; i++)
        uv_run(&loop, UV_RUN_ONCE);
    ck_assert_uint_eq(left.received, 0);
    uv_poll_start(&right.link.poll, UV_READABLE, callback);
    until(right.received == TOTAL);
    until(left.received == sizeof(bytes));
    close_ends();
}
END_TEST

START_TEST(a_link_that_finishes_sends_everything_first)
{
    open_ends(NULL, NULL);
    left.to_send = TOTAL;
    link_finish(&left.link);
    until(right.down);
    ck_assert_uint_eq(right.received, TOTAL);
    ck_assert_int_eq(right.why, -ECONNRESET);
    ck_assert(left.down);
    ck_assert_int_eq(left.why, 0);
    close_ends();
}
END_TEST

static void open_tls(void)
{
    char cert[128], key[128];
    keys_make(&keys);
    keys_certificate(&keys, "svc-order", cert, key);
    SSL_CTX *server = tls_server(&(struct tls_files){ NULL, cert, key });
    SSL_CTX *client = tls_client(&(struct tls_files){ keys.ca_path, NULL, NULL });
    SSL *left_ssl = SSL_new(server), *right_ssl = tls_to(client, "svc-order");
    ck_assert(left_ssl && right_ssl);
    open_ends(left_ssl, right_ssl);
    SSL_set_connect_state(right_ssl);
    SSL_CTX_free(server);
    SSL_CTX_free(client);
    /* The client speaks first: its end is told so by a first look at the socket. */
    until((SSL_do_handshake(right_ssl), true));
    until(left.ready && right.ready);
}

START_TEST(everything_arrives_over_tls_too)
{
    open_tls();
    left.to_send = right.to_send = TOTAL;
    link_wake(&left.link);
    link_wake(&right.link);
    until(left.received == TOTAL && right.received == TOTAL);
    ck_assert(!left.wrong && !right.wrong);
    close_ends();
    keys_drop(&keys);
}
END_TEST

START_TEST(many_small_records_that_come_at_once_are_all_read)
{
    open_tls();
    for (size_t i = 0; i < 200; i++) {
        uint8_t byte = byte_at(i);
        ck_assert_int_eq(SSL_write(right.link.ssl, &byte, 1), 1);
    }
    until(left.received == 200);
    ck_assert(!left.wrong);
    close_ends();
    keys_drop(&keys);
}
END_TEST

START_TEST(a_link_that_fails_says_why_once)
{
    open_ends(NULL, NULL);
    link_close(&left.link, -EPROTO);
    link_close(&left.link, -EIO);
    until(left.gone);
    ck_assert_int_eq(left.why, -EPROTO);
    until(right.down);
    close_ends();
}
END_TEST

SUITE("link", 60, everything_arrives_in_order_both_ways,
      what_the_kernel_does_not_take_waits_and_nothing_more_is_asked_for,
      a_deaf_link_does_not_read_while_its_writing_is_blocked, a_link_that_finishes_sends_everything_first,
      everything_arrives_over_tls_too, many_small_records_that_come_at_once_are_all_read,
      a_link_that_fails_says_why_once)
