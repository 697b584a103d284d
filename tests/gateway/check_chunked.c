/* The chunked coding, whole and in every way of cutting it up. */
#include "gateway/chunked.h"
#include "tests/suite.h"

#include <errno.h>
#include <string.h>

/* Bodies of what comes in pieces of step bytes; returns how much was used, or a negative errno. */
static ssize_t decode(const char *text, size_t n, size_t step, char *ret_body, bool *ret_ended)
{
    struct chunked c;
    size_t at = 0, len;
    char *body = ret_body;
    chunked_init(&c);
    for (size_t end = step; at < n && !chunked_ended(&c); end += step) {
        if (end > n)
            end = n;
        while (at < end && !chunked_ended(&c)) {
            ssize_t r = chunked_take(&c, (const uint8_t *)text + at, end - at, &len);
            if (r < 0)
                return r;
            ck_assert_int_gt(r, 0);
            ck_assert_uint_le(len, (size_t)r);
            at += (size_t)r;
            body = mempcpy(body, text + at - len, len);
        }
    }
    *body = '\0';
    *ret_ended = chunked_ended(&c);
    return (ssize_t)at;
}

START_TEST(chunks_are_put_together_however_they_come)
{
    static const struct {
        const char *text, *body;
        size_t after; /* bytes that do not belong to it any more */
    } rows[] = {
        { "0\r\n\r\n", "", 0 },
        { "5\r\nhello\r\n0\r\n\r\n", "hello", 0 },
        { "5\r\nhello\r\n0\r\n\r\nGET /", "hello", 5 },
        { "00005\r\nhello\r\n6\r\n, you!\r\n000\r\n\r\n", "hello, you!", 0 },
        { "a\r\n0123456789\r\nB\r\nabcdefghijk\r\n0\r\n\r\n", "0123456789abcdefghijk", 0 },
        { "2\r\n\r\n\r\n0\r\n\r\n", "\r\n", 0 },
        { "5;name=value;x=\"y\"\r\nhello\r\n0;last\r\n\r\n", "hello", 0 },
        { "5 \r\nhello\r\n0\r\n\r\n", "hello", 0 },
        { "5\r\nhello\r\n0\r\nX-Sum: 12\r\nY: \r\n\r\n", "hello", 0 },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        size_t n = strlen(rows[i].text);
        for (size_t step = 1; step <= n; step++) {
            char body[256];
            bool ended;
            ck_assert_int_eq(decode(rows[i].text, n, step, body, &ended), (ssize_t)(n - rows[i].after));
            ck_assert(ended);
            ck_assert_str_eq(body, rows[i].body);
        }
    }
}
END_TEST

START_TEST(what_two_readers_might_read_differently_is_refused)
{
    static const char *const rows[] = {
        "\r\n",
        "x\r\n",
        "-1\r\n",
        "+5\r\nhello\r\n",
        "0x5\r\nhello\r\n",
        " 5\r\nhello\r\n",
        "5\nhello\r\n",
        "5\rhello\r\n",
        "5\r\nhelloXX0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5;a\nb\r\nhello\r\n",
        "5;a\rb\r\nhello\r\n",
        "12345678\r\n",
        "ffffffffffffffff5\r\nhello\r\n",
        "0\r\n\n",
        "0\r\nX: y\n\r\n",
        "0\r\nX: y\rz\r\n",
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        for (size_t step = 1; step <= strlen(rows[i]); step++) {
            char body[256];
            bool ended;
            ck_assert_msg(decode(rows[i], strlen(rows[i]), step, body, &ended) == -EPROTO, "row %zu, step %zu", i,
                          step);
        }
}
END_TEST

START_TEST(what_is_not_the_body_has_a_limit)
{
    static uint8_t text[2 * CHUNKED_IDLE_MAX];
    static const char *const begins[] = { "5;", "0\r\nX: " };
    for (size_t i = 0; i < 2; i++) {
        struct chunked c;
        size_t len;
        chunked_init(&c);
        memset(text, 'a', sizeof(text));
        memcpy(text, begins[i], strlen(begins[i]));
        ck_assert_int_eq(chunked_take(&c, text, sizeof(text), &len), -EPROTO);
    }
}
END_TEST

SUITE("chunked", 30, chunks_are_put_together_however_they_come, what_two_readers_might_read_differently_is_refused,
      what_is_not_the_body_has_a_limit)
