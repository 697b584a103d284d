/* The admin port: what it answers, and what it does with those who talk nonsense or do not talk. */
#include "mesh/base/metrics.h"
#include "mesh/run/admin.h"
#include "tests/suite.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct admin *admin;
static bool well = true;

static bool is_well(void *arg)
{
    return well;
}

static void begin(void)
{
    ck_assert_int_eq(admin_create("127.0.0.1:0", is_well, NULL, &admin), 0);
}

static int connect_to(void)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)admin_port(admin)) };
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    return fd;
}

static void say_it(int fd, const char *text)
{
    ck_assert_int_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* Everything until the other side closes. */
static const char *hear(int fd)
{
    static char heard[1 << 20];
    size_t n = 0;
    ssize_t got;
    while ((got = recv(fd, heard + n, sizeof(heard) - 1 - n, 0)) > 0)
        n += (size_t)got;
    heard[n] = '\0';
    close(fd);
    return heard;
}

static const char *get(const char *request)
{
    int fd = connect_to();
    say_it(fd, request);
    return hear(fd);
}

static bool starts(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

START_TEST(healthz_follows_the_process)
{
    begin();
    ck_assert(starts(get("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"), "HTTP/1.1 200 "));
    well = false;
    ck_assert(starts(get("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"), "HTTP/1.1 503 "));
    admin_destroy(admin);
}
END_TEST

START_TEST(metrics_are_told_whole_and_head_without_them)
{
    begin();
    for (int i = 0; i < 2000; i++) {
        char labels[32];
        snprintf(labels, sizeof(labels), "n=\"%d\"", i);
        metric_add(metric_make(METRIC_COUNTER, "http_test", "Of a test.", labels), i);
    }
    const char *heard = get("GET /metrics HTTP/1.0\r\n\r\n");
    ck_assert_ptr_nonnull(strstr(heard, "http_test{n=\"1999\"} 1999"));
    size_t told = (size_t)atol(strstr(heard, "Content-Length: ") + 16);
    ck_assert_uint_eq(strlen(strstr(heard, "\r\n\r\n") + 4), told);
    heard = get("HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    ck_assert(starts(heard, "HTTP/1.1 200 "));
    ck_assert_str_eq(strstr(heard, "\r\n\r\n"), "\r\n\r\n");
    admin_destroy(admin);
}
END_TEST

START_TEST(a_request_may_come_in_pieces)
{
    begin();
    int fd = connect_to();
    for (const char *at = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"; *at; at++)
        say_it(fd, (const char[]){ *at, '\0' });
    ck_assert(starts(hear(fd), "HTTP/1.1 200 "));
    admin_destroy(admin);
}
END_TEST

START_TEST(nonsense_is_refused)
{
    static char long_one[3000];
    char *at = long_one + sprintf(long_one, "GET /");
    memset(at, 'x', 2500);
    strcpy(at + 2500, " HTTP/1.1\r\n\r\n");

    begin();
    ck_assert(starts(get("GET /other HTTP/1.1\r\nHost: x\r\n\r\n"), "HTTP/1.1 404 "));
    ck_assert(starts(get("POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi"), "HTTP/1.1 405 "));
    ck_assert(starts(get("\x16\x03\x01 what\r\n\r\n"), "HTTP/1.1 400 "));
    ck_assert(starts(get(long_one), "HTTP/1.1 400 "));
    admin_destroy(admin);
}
END_TEST

START_TEST(an_endless_request_is_cut_off)
{
    begin();
    int fd = connect_to();
    say_it(fd, "GET /healthz HTTP/1.1\r\n");
    char header[1024];
    memset(header, 'a', sizeof(header));
    memcpy(header, "X: ", 3);
    memcpy(header + sizeof(header) - 2, "\r\n", 2);
    int sent = 0;
    while (sent < 10000 && send(fd, header, sizeof(header), MSG_NOSIGNAL) > 0)
        sent++;
    ck_assert_int_lt(sent, 10000);
    close(fd);
    ck_assert(starts(get("GET /healthz HTTP/1.1\r\n\r\n"), "HTTP/1.1 200 "));
    admin_destroy(admin);
}
END_TEST

START_TEST(who_leaves_makes_room_for_others)
{
    int fds[200];
    begin();
    for (int i = 0; i < 200; i++) {
        fds[i] = connect_to();
        if (i % 2)
            say_it(fds[i], "GET /hea");
        close(fds[i]);
    }
    ck_assert(starts(get("GET /healthz HTTP/1.1\r\n\r\n"), "HTTP/1.1 200 "));
    admin_destroy(admin);
}
END_TEST

START_TEST(a_taken_or_senseless_address_is_an_error)
{
    char taken[32];
    struct admin *other;
    begin();
    snprintf(taken, sizeof(taken), "127.0.0.1:%d", admin_port(admin));
    ck_assert_int_eq(admin_create(taken, is_well, NULL, &other), -EADDRINUSE);
    ck_assert_int_eq(admin_create("nowhere", is_well, NULL, &other), -EINVAL);
    admin_destroy(admin);
    admin_destroy(NULL);
}
END_TEST

SUITE("http", 30, healthz_follows_the_process, metrics_are_told_whole_and_head_without_them,
      a_request_may_come_in_pieces, nonsense_is_refused, an_endless_request_is_cut_off,
      who_leaves_makes_room_for_others, a_taken_or_senseless_address_is_an_error)
