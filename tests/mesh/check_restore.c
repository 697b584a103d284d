/* Tests of restores (mesh/store/restore.c): whichever step was the process's last, the store is one or the other. */
#include "mesh/base/say.h"
#include "mesh/store/restore.h"
#include "tests/mesh/store_fixture.h"
#include "tests/suite.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct fixture f, other;

static int insert(struct txn *txn, void *arg)
{
    return txn_post(txn, "INSERT INTO t (id, n) VALUES ($1, 1)", T(arg));
}

static void copy_file(const char *from, const char *from_ending, const char *to, const char *to_ending)
{
    char command[400];
    snprintf(command, sizeof(command), "cp %s%s %s%s", from, from_ending, to, to_ending);
    ck_assert_int_eq(system(command), 0);
}

/* A store that was killed, so that what it has is in its log; and beside it one of two rows that is closed. */
static void begin(void)
{
    char saved[96];
    say_init("check", SAY_ERROR);
    fixture_init(&other, NULL);
    ck_assert_int_eq(do_write(&other, insert, (void *)"new"), 0);
    ck_assert_int_eq(do_write(&other, insert, (void *)"newer"), 0);
    store_close(other.store);
    other.store = NULL;

    fixture_init(&f, NULL);
    snprintf(saved, sizeof(saved), "%s-saved", f.path);
    ck_assert_int_eq(do_write(&f, insert, (void *)"old"), 0);
    copy_file(f.path, "", saved, "");
    copy_file(f.path, "-wal", saved, "-wal");
    copy_file(f.path, "-shm", saved, "-shm");
    store_close(f.store);
    f.store = NULL;
    copy_file(saved, "", f.path, "");
    copy_file(saved, "-wal", f.path, "-wal");
    copy_file(saved, "-shm", f.path, "-shm");
    char command[300];
    snprintf(command, sizeof(command), "rm %s %s-wal %s-shm", saved, saved, saved);
    ck_assert_int_eq(system(command), 0);
}

static bool there(const char *ending)
{
    char path[128];
    snprintf(path, sizeof(path), "%s%s", f.path, ending);
    return access(path, F_OK) == 0;
}

static void remove_file(const char *ending)
{
    char path[128];
    snprintf(path, sizeof(path), "%s%s", f.path, ending);
    ck_assert_int_eq(unlink(path), 0);
}

/* Opens it as a service does: so many rows are in it, and nothing is left of a restore. */
static void ck_rows(int64_t rows)
{
    ck_assert_int_eq(fixture_open(&f, NULL), 0);
    ck_assert_int_eq(count_rows(&f), rows);
    ck_assert(!there("-new") && !there("-restored"));
}

static void end(void)
{
    fixture_finish(&f);
    fixture_finish(&other);
}

START_TEST(another_database_takes_the_place_of_one_that_was_killed)
{
    struct store_restore *restore;
    begin();
    ck_assert(there("-wal"));
    ck_assert_int_eq(store_restore_begin(f.path, &restore), 0);
    copy_file(other.path, "", store_restore_path(restore), "");
    ck_assert_int_eq(store_restore_end(restore), 0);
    store_restore_destroy(restore);
    ck_assert(!there("-wal") && !there("-shm"));
    ck_rows(2);
    end();
}
END_TEST

START_TEST(where_there_was_none_it_is_made)
{
    struct store_restore *restore;
    begin();
    remove_file("");
    remove_file("-wal");
    remove_file("-shm");
    ck_assert_int_eq(store_restore_begin(f.path, &restore), 0);
    copy_file(other.path, "", store_restore_path(restore), "");
    ck_assert_int_eq(store_restore_end(restore), 0);
    store_restore_destroy(restore);
    ck_rows(2);
    end();
}
END_TEST

START_TEST(a_store_that_is_open_is_not_replaced)
{
    struct store_restore *restore;
    begin();
    ck_rows(1);
    ck_assert_int_eq(store_restore_begin(f.path, &restore), -EBUSY);
    ck_assert_int_eq(count_rows(&f), 1);
    store_close(f.store);
    f.store = NULL;
    ck_assert_int_eq(store_restore_begin(f.path, &restore), 0);
    ck_assert_int_eq(fixture_open(&f, NULL), -EBUSY);
    store_restore_destroy(restore);
    ck_rows(1);
    end();
}
END_TEST

START_TEST(one_that_is_not_ended_changes_nothing)
{
    struct store_restore *restore;
    begin();
    ck_assert_int_eq(store_restore_begin(f.path, &restore), 0);
    copy_file(other.path, "", store_restore_path(restore), "");
    store_restore_destroy(restore);
    ck_assert(!there("-new"));
    ck_rows(1);
    end();
}
END_TEST

START_TEST(what_has_a_log_of_its_own_is_not_put_in_place)
{
    struct store_restore *restore;
    begin();
    ck_assert_int_eq(store_restore_begin(f.path, &restore), 0);
    copy_file(other.path, "", store_restore_path(restore), "");
    copy_file(f.path, "-wal", store_restore_path(restore), "-wal");
    ck_assert_int_eq(store_restore_end(restore), -EIO);
    store_restore_destroy(restore);
    ck_rows(1);
    end();
}
END_TEST

/* The process ends while the new one is made: the old one is as it was. */
START_TEST(what_was_made_by_half_is_forgotten)
{
    begin();
    copy_file(other.path, "", f.path, "-new");
    copy_file(f.path, "-wal", f.path, "-new-wal");
    copy_file(f.path, "-shm", f.path, "-new-shm");
    copy_file(other.path, "-lock", f.path, "-new-lock");
    ck_rows(1);
    ck_assert(!there("-new-wal") && !there("-new-shm") && !there("-new-lock"));
    end();
}
END_TEST

/* The process ends after each of the steps from which there is no way back. */
START_TEST(what_was_begun_is_completed_when_the_store_is_opened)
{
    static const char *const gone[] = { NULL, "-wal", "-shm" };
    for (size_t steps = 0; steps < 3; steps++) {
        begin();
        copy_file(other.path, "", f.path, "-restored");
        for (size_t i = 1; i <= steps; i++)
            remove_file(gone[i]);
        ck_rows(2);
        end();
    }
}
END_TEST

START_TEST(what_was_begun_gives_way_to_another_restore)
{
    struct store_restore *restore;
    begin();
    copy_file(f.path, "", f.path, "-restored");
    ck_assert_int_eq(store_restore_begin(f.path, &restore), 0);
    copy_file(other.path, "", store_restore_path(restore), "");
    ck_assert_int_eq(store_restore_end(restore), 0);
    store_restore_destroy(restore);
    ck_rows(2);
    end();
}
END_TEST

SUITE("restore", 60, another_database_takes_the_place_of_one_that_was_killed, where_there_was_none_it_is_made,
      a_store_that_is_open_is_not_replaced, one_that_is_not_ended_changes_nothing,
      what_has_a_log_of_its_own_is_not_put_in_place, what_was_made_by_half_is_forgotten,
      what_was_begun_is_completed_when_the_store_is_opened, what_was_begun_gives_way_to_another_restore)
