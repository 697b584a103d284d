/* Tests of the CSV reader: what RFC 4180 says, and what files from elsewhere hold. */
#include "omsctl/csv.h"

#include "tests/suite.h"

#include <errno.h>
#include <lzma.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct csv *reading(const char *text)
{
    return csv_from(text, strlen(text));
}

static void expect_row(struct csv *csv, int n, const char *const *expected)
{
    char *const *fields;
    ck_assert_int_eq(csv_next(csv, &fields), n);
    for (int i = 0; i < n; i++)
        ck_assert_str_eq(fields[i], expected[i]);
}
#define ROW(...) \
    (int)(sizeof((const char *[]){ __VA_ARGS__ }) / sizeof(char *)), (const char *[]) \
    { \
        __VA_ARGS__ \
    }

static void expect_end(struct csv *csv, int result)
{
    char *const *fields;
    ck_assert_int_eq(csv_next(csv, &fields), result);
    csv_close(csv);
}

START_TEST(fields_are_split_at_commas)
{
    struct csv *csv = reading("a,b,c\n1,,3\r\n,\nlast,line");
    expect_row(csv, ROW("a", "b", "c"));
    expect_row(csv, ROW("1", "", "3"));
    expect_row(csv, ROW("", ""));
    expect_row(csv, ROW("last", "line"));
    expect_end(csv, 0);
}
END_TEST

START_TEST(quoted_fields_hold_commas_quotes_and_line_breaks)
{
    struct csv *csv = reading("\"RECORD FRAME 7\"\" SINGLE\",\"TRAY, BREAKFAST\"\n\"two\r\nlines\",\"\"\nx\n");
    expect_row(csv, ROW("RECORD FRAME 7\" SINGLE", "TRAY, BREAKFAST"));
    expect_row(csv, ROW("two\r\nlines", ""));
    ck_assert_uint_eq(csv_line(csv), 2);
    expect_row(csv, ROW("x"));
    ck_assert_uint_eq(csv_line(csv), 4);
    expect_end(csv, 0);
}
END_TEST

START_TEST(empty_lines_and_a_byte_order_mark_are_passed_over)
{
    struct csv *csv = reading("\xef\xbb\xbf\n\r\nsku\n\n\n");
    expect_row(csv, ROW("sku"));
    ck_assert_uint_eq(csv_line(csv), 3);
    expect_end(csv, 0);
}
END_TEST

START_TEST(a_quote_out_of_place_is_refused)
{
    expect_end(reading("a\"b,c\n"), -EINVAL);
    expect_end(reading("\"a\"b,c\n"), -EINVAL);
    expect_end(reading("\"never closed\n"), -EINVAL);
}
END_TEST

START_TEST(too_many_fields_or_too_long_a_row_are_refused)
{
    char text[CSV_ROW_MAX + 16];
    memset(text, ',', sizeof(text));
    expect_end(csv_from(text, CSV_FIELDS_MAX), -E2BIG);
    memset(text, 'x', sizeof(text));
    expect_end(csv_from(text, sizeof(text)), -E2BIG);
    struct csv *csv = csv_from(text, CSV_ROW_MAX - 1);
    char *const *fields;
    ck_assert_int_eq(csv_next(csv, &fields), 1);
    ck_assert_uint_eq(strlen(fields[0]), CSV_ROW_MAX - 1);
    expect_end(csv, 0);
}
END_TEST

static void write_file(char *path, const void *data, size_t len)
{
    int fd = mkstemps(path, 3);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, data, len), (ssize_t)len);
    close(fd);
}

/* A million rows' worth of text as one xz file; the caller frees nothing. */
static size_t compress(uint8_t *ret_xz, size_t size, size_t rows)
{
    size_t room = rows * 16, len = 0, out = 0;
    char *text = malloc(room);
    for (size_t i = 0; i < rows; i++)
        len += (size_t)snprintf(text + len, room - len, "row,%zu\n", i);
    ck_assert_int_eq(lzma_easy_buffer_encode(1, LZMA_CHECK_CRC64, NULL, (uint8_t *)text, len, ret_xz, &out, size), 0);
    free(text);
    return out;
}

START_TEST(a_compressed_file_reads_like_a_plain_one)
{
    enum { rows = 50000, room = 1 << 20 };
    uint8_t *xz = malloc(room);
    char path[] = "/tmp/check_csv_XXXXXX.xz";
    write_file(path, xz, compress(xz, room, rows));
    struct csv *csv;
    ck_assert_int_eq(csv_open(path, &csv), 0);
    for (int i = 0; i < rows; i++) {
        char number[16];
        snprintf(number, sizeof(number), "%d", i);
        expect_row(csv, ROW("row", number));
    }
    expect_end(csv, 0);
    unlink(path);
    free(xz);
}
END_TEST

START_TEST(a_file_cut_short_is_an_error_not_an_end)
{
    enum { rows = 50000, room = 1 << 20 };
    uint8_t *xz = malloc(room);
    size_t len = compress(xz, room, rows);
    char path[] = "/tmp/check_csv_XXXXXX.xz";
    write_file(path, xz, len / 2);
    struct csv *csv;
    char *const *fields;
    ck_assert_int_eq(csv_open(path, &csv), 0);
    int r;
    while ((r = csv_next(csv, &fields)) > 0)
        ;
    ck_assert_int_eq(r, -EIO);
    csv_close(csv);
    unlink(path);
    free(xz);
}
END_TEST

START_TEST(what_is_no_file_or_no_xz_is_refused)
{
    struct csv *csv;
    ck_assert_int_eq(csv_open("/nowhere/at/all.csv", &csv), -ENOENT);
    char path[] = "/tmp/check_csv_XXXXXX.xz";
    write_file(path, "sku,title\n", 10);
    ck_assert_int_eq(csv_open(path, &csv), -EINVAL);
    unlink(path);
}
END_TEST

START_TEST(what_is_written_is_read_as_it_was)
{
    static const char *const texts[] = { "",           "plain", "a,b", "\"",         "say \"no\"",
                                         "two\nlines", "\r",    " x ", "K\xc3\xb6ln" };
    enum { N = sizeof(texts) / sizeof(texts[0]) };
    char *text;
    size_t len;
    FILE *file = open_memstream(&text, &len);
    for (size_t i = 0; i < N; i++)
        csv_put(file, texts[i], i + 1 < N ? ',' : '\n');
    fclose(file);
    struct csv *csv = csv_from(text, len);
    char *const *fields;
    ck_assert_int_eq(csv_next(csv, &fields), N);
    for (size_t i = 0; i < N; i++)
        ck_assert_str_eq(fields[i], texts[i]);
    csv_close(csv);
    free(text);
}
END_TEST

SUITE("omsctl csv", 30, what_is_written_is_read_as_it_was, fields_are_split_at_commas,
      quoted_fields_hold_commas_quotes_and_line_breaks, empty_lines_and_a_byte_order_mark_are_passed_over,
      a_quote_out_of_place_is_refused, too_many_fields_or_too_long_a_row_are_refused,
      a_compressed_file_reads_like_a_plain_one, a_file_cut_short_is_an_error_not_an_end,
      what_is_no_file_or_no_xz_is_refused)
