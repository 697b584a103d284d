/* Tests of copies of a store (mesh/store/copy.c): one moment of it, while it goes on. */
#include "mesh/store/copy.h"
#include "tests/mesh/store_fixture.h"
#include "tests/suite.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define ROWS 300
#define BODY 8000 /* bytes: two pages a row */
#define SUM  1000

static struct fixture f;
static char out_path[96];

static int put_row(struct txn *txn, void *arg)
{
    char key[16];
    static const uint8_t body[BODY] = { 7 };
    snprintf(key, sizeof(key), "row-%d", *(int *)arg);
    return txn_post(txn, "INSERT INTO t (id, n, body) VALUES ($1, 0, $2)", T(key), B(((struct bytes){ body, BODY })));
}

static int put_rows(struct txn *txn, void *arg)
{
    int r = txn_post(txn, "INSERT INTO t (id, n) VALUES ('left', 1000), ('right', 0)");
    for (int i = 0; r == 0 && i < ROWS; i++)
        r = put_row(txn, &i);
    return r;
}

/* Moves one from the left to the right, and adds a row. */
static int transfer(struct txn *txn, void *arg)
{
    int r = txn_post(txn, "UPDATE t SET n = n - 1 WHERE id = 'left'");
    if (r == 0)
        r = txn_post(txn, "UPDATE t SET n = n + 1 WHERE id = 'right'");
    return r < 0 ? r : put_row(txn, arg);
}

static void begin(void)
{
    fixture_init(&f, NULL);
    snprintf(out_path, sizeof(out_path), "%s-out", f.path);
    ck_assert_int_eq(do_write(&f, put_rows, NULL), 0);
}

static void end(void)
{
    unlink(out_path);
    fixture_finish(&f);
}

static struct store_copy *begin_copy(void)
{
    struct store_copy *copy;
    ck_assert_int_eq(store_copy_begin(f.store, &copy), 0);
    return copy;
}

/* With that many transfers in between; how many steps it took. */
static int finish_copy(struct store_copy *copy, int transfers)
{
    int steps = 1, r;
    while ((r = store_copy_step(copy)) > 0) {
        int row = ROWS + steps;
        if (steps++ <= transfers)
            ck_assert_int_eq(do_write(&f, transfer, &row), 0);
    }
    ck_assert_int_eq(r, 0);
    return steps;
}

static void save(struct store_copy *copy)
{
    static uint8_t piece[5000];
    uint64_t size = store_copy_size(copy);
    int fd = open(out_path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    for (uint64_t at = 0; at < size; at += sizeof(piece)) {
        size_t n = size - at < sizeof(piece) ? (size_t)(size - at) : sizeof(piece);
        ck_assert_int_eq(store_copy_read(copy, at, piece, n), 0);
        ck_assert_int_eq(write(fd, piece, n), (ssize_t)n);
    }
    close(fd);
    ck_assert_int_lt(store_copy_read(copy, size, piece, 1), 0);
}

static int64_t number_in(const char *path, const char *sql)
{
    sqlite3 *db;
    sqlite3_stmt *statement;
    ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
    ck_assert_int_eq(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    ck_assert_int_eq(sqlite3_step(statement), SQLITE_ROW);
    int64_t number = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return number;
}

START_TEST(a_copy_is_one_moment_of_what_goes_on)
{
    begin();
    for (int row = 1000; row < 1007; row++)
        ck_assert_int_eq(do_write(&f, transfer, &row), 0);
    struct store_copy *copy = begin_copy();
    ck_assert_int_ge(finish_copy(copy, 20), 8);
    save(copy);
    store_copy_destroy(copy);
    ck_assert_int_eq(store_check(out_path), 0);
    ck_assert_int_eq(number_in(out_path, "SELECT SUM(n) FROM t"), SUM);
    ck_assert_int_eq(number_in(out_path, "SELECT n FROM t WHERE id = 'right'"), 7);
    ck_assert_int_eq(number_in(out_path, "SELECT COUNT(*) FROM t"), ROWS + 2 + 7);
    ck_assert_int_gt(count_rows(&f), ROWS + 2 + 7);
    end();
}
END_TEST

static int read_sum(struct txn *txn, void *arg)
{
    struct rows rows;
    int r = txn_query(txn, &rows, "SELECT COUNT(*) FROM t");
    if (r == 0)
        *(int64_t *)arg = row_int(&rows, 0, 0);
    return r;
}

START_TEST(what_is_asked_of_it_is_of_that_moment)
{
    int64_t n = 0;
    int row = 2000;
    struct arena arena;
    arena_init(&arena, 1 << 20);
    begin();
    struct store_copy *copy = begin_copy();
    ck_assert_int_eq(do_write(&f, transfer, &row), 0);
    ck_assert_int_eq(store_copy_ask(copy, read_sum, &n, &arena), 0);
    ck_assert_int_eq(n, ROWS + 2);
    store_copy_destroy(copy);
    arena_finish(&arena);
    end();
}
END_TEST

/* Whether all that is in the log can be brought into the database, which a snapshot hinders. */
static bool log_can_end(void)
{
    return number_in(f.path, "PRAGMA wal_checkpoint(TRUNCATE)") == 0;
}

START_TEST(the_log_is_held_until_the_copy_is_whole_and_no_longer)
{
    int row = 2000;
    begin();
    struct store_copy *copy = begin_copy();
    ck_assert_int_eq(do_write(&f, transfer, &row), 0);
    ck_assert(!log_can_end());
    finish_copy(copy, 0);
    ck_assert(log_can_end());
    save(copy);
    store_copy_destroy(copy);
    end();
}
END_TEST

static size_t files_in(const char *path)
{
    size_t n = 0;
    DIR *directory = opendir(path);
    while (readdir(directory))
        n++;
    closedir(directory);
    return n;
}

START_TEST(a_copy_has_no_name_and_leaves_nothing_behind)
{
    begin();
    store_copy_destroy(begin_copy()); /* SQLite keeps one of its files to use it again */
    size_t files = files_in(f.dir), open_files = files_in("/proc/self/fd");
    for (int steps = 0; steps <= 6; steps += 3) {
        struct store_copy *copy = begin_copy();
        for (int i = 0; i < steps; i++)
            ck_assert_int_eq(store_copy_step(copy), 1);
        ck_assert_uint_eq(files_in(f.dir), files);
        store_copy_destroy(copy);
        ck_assert_uint_eq(files_in(f.dir), files);
        ck_assert_uint_eq(files_in("/proc/self/fd"), open_files);
    }
    ck_assert(log_can_end());
    end();
}
END_TEST

START_TEST(what_a_killed_one_has_left_is_gone_when_the_store_is_opened)
{
    char left[128];
    begin();
    store_close(f.store);
    f.store = NULL;
    snprintf(left, sizeof(left), "%s-copy", f.path);
    close(open(left, O_WRONLY | O_CREAT, 0600));
    ck_assert_int_eq(access(left, F_OK), 0);
    ck_assert_int_eq(fixture_open(&f, NULL), 0);
    ck_assert_int_ne(access(left, F_OK), 0);
    end();
}
END_TEST

START_TEST(there_is_one_copy_at_a_time)
{
    struct store_copy *second;
    begin();
    struct store_copy *copy = begin_copy();
    ck_assert_int_eq(store_copy_begin(f.store, &second), -EBUSY);
    finish_copy(copy, 0);
    ck_assert_int_eq(store_copy_begin(f.store, &second), -EBUSY);
    store_copy_destroy(copy);
    store_copy_destroy(begin_copy());
    end();
}
END_TEST

START_TEST(a_damaged_copy_is_found)
{
    begin();
    struct store_copy *copy = begin_copy();
    finish_copy(copy, 0);
    save(copy);
    store_copy_destroy(copy);
    int fd = open(out_path, O_WRONLY);
    ck_assert_int_eq(pwrite(fd, "damaged damaged damaged", 23, 3 * 4096), 23);
    close(fd);
    ck_assert_int_eq(store_check(out_path), -EIO);
    ck_assert_int_eq(truncate(out_path, 100), 0);
    ck_assert_int_eq(store_check(out_path), -EIO);
    unlink(out_path);
    ck_assert_int_eq(store_check(out_path), -EIO);
    ck_assert_int_ne(access(out_path, F_OK), 0);
    end();
}
END_TEST

START_TEST(a_copy_is_checked_whatever_its_path_is)
{
    static const char *const names[] = { "a?mode=rw", "a#b", "50%41", "a b&c", "plain" };
    char path[160];
    begin();
    struct store_copy *copy = begin_copy();
    finish_copy(copy, 0);
    save(copy);
    store_copy_destroy(copy);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        snprintf(path, sizeof(path), "/%s/%s", f.dir, names[i]); /* which begins with // */
        ck_assert_int_eq(rename(out_path, path), 0);
        ck_assert_msg(store_check(path) == 0, "%s", path);
        ck_assert_msg(store_check(path + 1) == 0, "%s", path + 1);
        ck_assert_int_eq(rename(path, out_path), 0);
        ck_assert_int_eq(store_check(path), -EIO);
    }
    end();
}
END_TEST

SUITE("copy", 60, a_copy_is_one_moment_of_what_goes_on, what_is_asked_of_it_is_of_that_moment,
      the_log_is_held_until_the_copy_is_whole_and_no_longer, a_copy_has_no_name_and_leaves_nothing_behind,
      what_a_killed_one_has_left_is_gone_when_the_store_is_opened, there_is_one_copy_at_a_time, a_damaged_copy_is_found,
      a_copy_is_checked_whatever_its_path_is)
