/* The last entries of a log, and the bytes of pipes: what is kept, and what is let go. */
#include "gateway/pipe.h"
#include "gateway/window.h"
#include "tests/suite.h"

#include <stdio.h>

static struct window window;

static void put(uint64_t seq, size_t payload_len)
{
    static uint8_t payload[1 << 20];
    char key[32];
    Mesh__V1__LogEntry entry = MESH__V1__LOG_ENTRY__INIT;
    snprintf(key, sizeof(key), "ord_%llu", (unsigned long long)seq);
    entry.seq = seq;
    entry.key = key;
    entry.owner = "ann";
    entry.payload.data = payload;
    entry.payload.len = payload_len;
    ck_assert_ptr_nonnull(window_put(&window, &entry));
}

START_TEST(a_window_keeps_the_last_entries_and_says_from_where)
{
    window_reset(&window, 10);
    ck_assert_uint_eq(window.floor, 10);
    for (uint64_t seq = 11; seq <= 11 + WINDOW_ENTRIES + 4; seq++)
        put(seq, 20);
    ck_assert_uint_eq(window.n, WINDOW_ENTRIES);
    ck_assert_uint_eq(window.floor, 15);
    ck_assert_uint_eq(window_at(&window, 0)->seq, 16);
    ck_assert_str_eq(window_at(&window, 0)->key, "ord_16");
    ck_assert_str_eq(window_at(&window, WINDOW_ENTRIES - 1)->owner, "ann");
    ck_assert_uint_eq(window.seq, 15 + WINDOW_ENTRIES);
    ck_assert_ptr_null(window_at(&window, WINDOW_ENTRIES));
    window_reset(&window, 0);
}
END_TEST

START_TEST(a_window_is_bounded_in_bytes_too)
{
    window_reset(&window, 0);
    for (uint64_t seq = 1; seq <= 100; seq++)
        put(seq, 100000);
    ck_assert_uint_le(window.bytes, WINDOW_BYTES);
    ck_assert_uint_eq(window.floor, 100 - window.n);
    window_reset(&window, 0);
    ck_assert_uint_eq(window.bytes, 0);
}
END_TEST

static void expect_bytes(struct pipe *pipe, const char *text)
{
    ck_assert_uint_eq(pipe_held(pipe), strlen(text));
    if (*text)
        ck_assert_mem_eq(pipe_peek(pipe), text, strlen(text));
}

START_TEST(a_pipe_gives_out_what_was_put_and_holds_nothing_when_empty)
{
    struct pipe pipe;
    pipe_init(&pipe);
    ck_assert(pipe_put(&pipe, "hello", 5));
    pipe_take(&pipe, 2);
    expect_bytes(&pipe, "llo");
    ck_assert(pipe_put(&pipe, " world", 6));
    expect_bytes(&pipe, "llo world");
    pipe_take(&pipe, 9);
    ck_assert_ptr_null(pipe.data);
    pipe_trim();
}
END_TEST

START_TEST(a_pipe_grows_and_uses_its_room_again)
{
    struct pipe pipe;
    uint8_t byte = 0, expected = 0;
    pipe_init(&pipe);
    for (int round = 0; round < 2000; round++) {
        for (int i = 0; i < 7; i++, byte++)
            ck_assert(pipe_put(&pipe, &byte, 1));
        for (int i = 0; i < 6; i++, expected++) {
            ck_assert_uint_eq(*pipe_peek(&pipe), expected);
            pipe_take(&pipe, 1);
        }
    }
    ck_assert_uint_eq(pipe_held(&pipe), 2000);
    ck_assert_uint_le(pipe.cap, 4096);
    pipe_finish(&pipe);
    pipe_trim();
}
END_TEST

START_TEST(a_pipe_that_keeps_gives_the_same_bytes_out_again)
{
    struct pipe pipe;
    pipe_init(&pipe);
    pipe.keep = true;
    ck_assert(pipe_put(&pipe, "hello", 5));
    pipe_take(&pipe, 5);
    static const uint8_t more[1000] = "x";
    ck_assert(pipe_put(&pipe, more, sizeof(more)));
    pipe_take(&pipe, 10);
    pipe_rewind(&pipe);
    ck_assert_uint_eq(pipe_held(&pipe), 1005);
    ck_assert_mem_eq(pipe_peek(&pipe), "hellox", 6);
    pipe_take(&pipe, 1005);
    pipe_forget_taken(&pipe);
    ck_assert_ptr_null(pipe.data);
    pipe_trim();
}
END_TEST

SUITE("window", 60, a_window_keeps_the_last_entries_and_says_from_where, a_window_is_bounded_in_bytes_too,
      a_pipe_gives_out_what_was_put_and_holds_nothing_when_empty, a_pipe_grows_and_uses_its_room_again,
      a_pipe_that_keeps_gives_the_same_bytes_out_again)
