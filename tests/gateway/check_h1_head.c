/* Heads of HTTP/1.1 requests: what is read of them, and what is refused, also when http_parser lets it through. */
#include "gateway/h1_head.h"
#include "gateway/mint.h"
#include "tests/suite.h"

#include <errno.h>

static struct h1_head head;
static struct h1_refusal refusal;
static uint8_t copy[64 * 1024];

/* 1: read; 0: not whole; -1: refused. */
static int read_head(const char *text)
{
    size_t n = strlen(text), line = 0;
    memcpy(copy, text, n);
    ssize_t end = h1_head_end(copy, n, &line);
    if (end <= 0)
        return end < 0 ? -1 : 0;
    return h1_head_read(copy, (size_t)end, false, &head, &refusal) ? 1 : -1;
}

static const char *value_of(const char *name)
{
    static char text[256];
    for (size_t i = 0; i < head.n; i++)
        if (head.fields[i].namelen == strlen(name) && memcmp(head.fields[i].name, name, strlen(name)) == 0) {
            *(char *)mempcpy(text, head.fields[i].value, head.fields[i].valuelen) = '\0';
            return text;
        }
    return NULL;
}

START_TEST(a_head_is_read)
{
    ck_assert_int_eq(read_head("POST /a.B/C?d=e HTTP/1.1\r\nHost: shop.example:80\r\nContent-Length: 17\r\n"
                               "X-Two:  words here \t\r\nX-Empty:\r\nContent-Type: application/json\r\n\r\nbody"),
                     1);
    ck_assert_str_eq(value_of(":method"), "POST");
    ck_assert_str_eq(value_of(":scheme"), "http");
    ck_assert_str_eq(value_of(":path"), "/a.B/C?d=e");
    ck_assert_str_eq(value_of(":authority"), "shop.example:80");
    ck_assert_str_eq(value_of("x-two"), "words here");
    ck_assert_str_eq(value_of("x-empty"), "");
    ck_assert_str_eq(value_of("content-type"), "application/json");
    ck_assert_uint_eq(head.n, 7);
    ck_assert_uint_eq(head.length, 17);
    ck_assert(head.keep_alive && !head.chunked && !head.old && !head.expects && !head.headers_only && !head.grpc);
}
END_TEST

START_TEST(what_belongs_to_the_connection_ends_here)
{
    ck_assert_int_eq(
        read_head("HEAD * HTTP/1.1\r\nHost: a\r\nConnection: close, X-Mine ,te\r\nKeep-Alive: 5\r\n"
                  "X-Mine: 1\r\nTE: trailers\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\nProxy-Connection: x\r\n"
                  "Expect: 100-continue\r\nTransfer-Encoding: Chunked\r\nX-Other: 2\r\n\r\n"),
        1);
    ck_assert_uint_eq(head.n, 5);
    ck_assert_str_eq(value_of("x-other"), "2");
    ck_assert(!head.keep_alive && head.chunked && head.expects && head.headers_only);
}
END_TEST

START_TEST(a_whole_url_says_the_host)
{
    static const struct {
        const char *text, *authority, *path;
    } rows[] = {
        { "GET http://shop.example:81/x?y HTTP/1.1\r\nHost: other\r\n\r\n", "shop.example:81", "/x?y" },
        { "GET https://shop.example HTTP/1.1\r\nHost: other\r\n\r\n", "shop.example", "/" },
        { "GET http://[::1]:81/ HTTP/1.1\r\nHost: other\r\n\r\n", "[::1]:81", "/" },
        { "GET / HTTP/1.1\r\nHost:\r\n\r\n", "-", "/" },
        { "GET / HTTP/1.0\r\n\r\n", "-", "/" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        ck_assert_int_eq(read_head(rows[i].text), 1);
        ck_assert_str_eq(value_of(":authority"), rows[i].authority);
        ck_assert_str_eq(value_of(":path"), rows[i].path);
    }
}
END_TEST

START_TEST(http_1_0_has_one_request_a_connection)
{
    ck_assert_int_eq(read_head("GET / HTTP/1.0\r\nConnection: keep-alive\r\nExpect: 100-continue\r\n\r\n"), 1);
    ck_assert(head.old && !head.keep_alive && !head.expects);
}
END_TEST

START_TEST(grpc_itself_is_known_by_its_content_type)
{
    static const struct {
        const char *content;
        bool grpc;
    } rows[] = {
        { "application/grpc", true },           { "Application/GRPC+proto", true },
        { "application/grpc;x=y", true },       { "application/grpc-web", false },
        { "application/grpcx", false },         { "application/grpc-web+proto", false },
        { "application/grpc-web-text", false }, { "application/json", false },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[256];
        snprintf(text, sizeof(text), "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: %s\r\n\r\n", rows[i].content);
        ck_assert_int_eq(read_head(text), 1);
        ck_assert_msg(head.grpc == rows[i].grpc, "%s", rows[i].content);
    }
}
END_TEST

#define POST "POST / HTTP/1.1\r\nHost: a\r\n"

START_TEST(what_two_readers_might_read_differently_is_refused)
{
    static const char *const rows[] = {
        "POST / HTTP/1.1\nHost: a\n\n",
        "POST / HTTP/1.1\r\nHost: a\n\r\n",
        POST "X: a\n\r\n",
        POST "X: a\rb\r\n\r\n",
        POST "X: a\r\n b\r\n\r\n",
        POST "X: a\r\n\tb\r\n\r\n",
        " POST / HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST / HTTP/1.1\r\n Host: a\r\n\r\n",
        POST "Content-Length: 5\r\nContent-Length: 5\r\n\r\n",
        POST "Content-Length: 5\r\nContent-Length: 6\r\n\r\n",
        POST "Content-Length: 5, 5\r\n\r\n",
        POST "Content-Length: +5\r\n\r\n",
        POST "Content-Length: -5\r\n\r\n",
        POST "Content-Length: 5 5\r\n\r\n",
        POST "Content-Length: 0x5\r\n\r\n",
        POST "Content-Length:\r\n\r\n",
        POST "Content-Length: 99999999999999999999999\r\n\r\n",
        POST "Content-Length : 5\r\n\r\n",
        POST "Content-Length\t: 5\r\n\r\n",
        POST "Content Length: 5\r\n\r\n",
        POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        POST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
        POST "Transfer-Encoding: gzip\r\n\r\n",
        POST "Transfer-Encoding: gzip, chunked\r\n\r\n",
        POST "Transfer-Encoding: chunked, gzip\r\n\r\n",
        POST "Transfer-Encoding: chunked, chunked\r\n\r\n",
        POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n",
        POST "Transfer-Encoding: xchunked\r\n\r\n",
        POST "Transfer-Encoding: \"chunked\"\r\n\r\n",
        POST "Transfer-Encoding:\r\n\r\n",
        POST "Transfer-Encoding : chunked\r\n\r\n",
        "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST / HTTP/1.1\r\n\r\n",
        POST "Host: b\r\n\r\n",
        POST ": empty\r\n\r\n",
        POST ":path: /x\r\n\r\n",
        POST "X\x01: y\r\n\r\n",
        POST "X: \x01\r\n\r\n",
        POST "X: \x7f\r\n\r\n",
        POST "no colon\r\n\r\n",
        "POST /a b HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST  / HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST / HTTP/1.1 \r\nHost: a\r\n\r\n",
        "POST / HTTP/1.2\r\nHost: a\r\n\r\n",
        "POST / HTTP/2.0\r\nHost: a\r\n\r\n",
        "POST / HTTP/0.9\r\nHost: a\r\n\r\n",
        "POST / HTTP/11.1\r\nHost: a\r\n\r\n",
        "POST /\r\nHost: a\r\n\r\n",
        "POST x HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST http:///x HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST http://me@a/x HTTP/1.1\r\nHost: a\r\n\r\n",
        "BREW / HTTP/1.1\r\nHost: a\r\n\r\n",
        "post / HTTP/1.1\r\nHost: a\r\n\r\n",
        POST "Expect: wonders\r\n\r\n",
        "\x16\x03\x01\x02\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        ck_assert_msg(read_head(rows[i]) == -1, "row %zu was let through: %s", i, rows[i]);
}
END_TEST

START_TEST(a_head_may_come_byte_by_byte)
{
    const char text[] = POST "X: y\r\nContent-Length: 5\r\n\r\nhello";
    size_t line = 0, n = 1;
    ssize_t end;
    while ((end = h1_head_end((const uint8_t *)text, n, &line)) == 0)
        n++;
    ck_assert_int_eq(end, (ssize_t)sizeof(text) - 1 - 5);
    ck_assert_uint_eq(n, (size_t)end);
}
END_TEST

START_TEST(too_many_headers_are_refused)
{
    static char text[H1_LINES_MAX * 8 + 64];
    char *at = stpcpy(text, POST);
    for (int i = 0; i < H1_LINES_MAX - 1; i++)
        at = stpcpy(at, "X: y\r\n");
    strcpy(at, "\r\n");
    ck_assert_int_eq(read_head(text), 1);
    strcpy(at, "X: y\r\n\r\n");
    ck_assert_int_eq(read_head(text), -1);
    ck_assert_str_eq(refusal.status, "431");
}
END_TEST

/* --- what exchanges keep --- */

static struct fields kept;

static void keep(void *arg, nghttp2_rcbuf *name, nghttp2_rcbuf *value)
{
    fields_add(&kept, name, value);
}

START_TEST(fields_come_back_in_nghttp2s_buffers)
{
    fields_init(&kept);
    for (int round = 0; round < 3; round++) {
        ck_assert_int_eq(read_head("POST /a.B/C HTTP/1.1\r\nHost: shop.example\r\nX-Mine: 1\r\nX-Mine: 2\r\n\r\n"), 1);
        ck_assert_int_eq(mint_head(head.fields, head.n, keep, NULL), 0);
        mint_trim();
        ck_assert_uint_eq(kept.n, head.n);
        for (size_t i = 0; i < kept.n; i++) {
            nghttp2_vec name = nghttp2_rcbuf_get_buf(kept.list[i].name);
            nghttp2_vec value = nghttp2_rcbuf_get_buf(kept.list[i].value);
            ck_assert_mem_eq(name.base, head.fields[i].name, head.fields[i].namelen);
            ck_assert_uint_eq(value.len, head.fields[i].valuelen);
            if (value.len)
                ck_assert_mem_eq(value.base, head.fields[i].value, value.len);
        }
        fields_finish(&kept);
    }
}
END_TEST

START_TEST(what_http2_would_refuse_is_refused)
{
    static const char *const good = "POST /a HTTP/1.1\r\nHost: a\r\n\r\n";
    static const char *const rows[] = {
        "POST /a HTTP/1.1\r\nHost: a b\r\n\r\n",
        "POST * HTTP/1.1\r\nHost: a\r\n\r\n",
        "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
    };
    fields_init(&kept);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int r = read_head(rows[i]);
        if (r == 1)
            ck_assert_msg(mint_head(head.fields, head.n, keep, NULL) == -EPROTO, "row %zu", i);
        fields_finish(&kept);
        ck_assert_int_eq(read_head(good), 1); /* and the next one is not touched by it */
        ck_assert_int_eq(mint_head(head.fields, head.n, keep, NULL), 0);
        ck_assert_uint_eq(kept.n, 4);
        fields_finish(&kept);
    }
    const nghttp2_nv bad[] = { H2_FIELD(":method", "POST"), H2_FIELD(":scheme", "http"), H2_FIELD(":path", "/"),
                               H2_FIELD(":authority", "a"), H2_FIELD("x y", "1") };
    ck_assert_int_eq(mint_head(bad, 5, keep, NULL), -EPROTO);
    fields_finish(&kept);
    for (int i = 0; i < 5000; i++) { /* of which none is held against the others */
        ck_assert_int_eq(read_head(rows[0]), 1);
        ck_assert_int_eq(mint_head(head.fields, head.n, keep, NULL), -EPROTO);
        fields_finish(&kept);
    }
    ck_assert_int_eq(read_head(good), 1);
    ck_assert_int_eq(mint_head(head.fields, head.n, keep, NULL), 0);
    fields_finish(&kept);
    mint_trim();
}
END_TEST

SUITE("h1_head", 60, a_head_is_read, what_belongs_to_the_connection_ends_here, a_whole_url_says_the_host,
      http_1_0_has_one_request_a_connection, grpc_itself_is_known_by_its_content_type,
      what_two_readers_might_read_differently_is_refused, a_head_may_come_byte_by_byte, too_many_headers_are_refused,
      fields_come_back_in_nghttp2s_buffers, what_http2_would_refuse_is_refused)
