/* Tests of mesh/store/migrate.c. */
#include "mesh/base/say.h"
#include "mesh/store/inside.h"
#include "tests/mesh/store_fixture.h"
#include "tests/suite.h"

#include <errno.h>
#include <string.h>

static const struct migration first[] = { { 1, "one", "CREATE TABLE one (id {int} PRIMARY KEY) {strict};\n" }, { 0 } };
static const struct migration second[] = {
    { 1, "one", "CREATE TABLE one (id {int} PRIMARY KEY) {strict};\n" },
    { 2, "two", "CREATE TABLE two (id {text} PRIMARY KEY) {clustered};\nINSERT INTO one (id) VALUES (1);\n" },
    { 0 },
};
static const struct migration changed[] = {
    { 1, "one", "CREATE TABLE one (id {int} PRIMARY KEY, more {text}) {strict};\n" },
    { 2, "two", "CREATE TABLE two (id {text} PRIMARY KEY) {clustered};\nINSERT INTO one (id) VALUES (1);\n" },
    { 0 },
};
static const struct migration broken[] = {
    { 1, "good", "CREATE TABLE three (id {int} PRIMARY KEY) {strict};\n" },
    { 2, "bad", "CREATE TABLE four (id {int} PRIMARY KEY) {strict};\nCREATE TABEL five;\n" },
    { 0 },
};
static const struct migration unknown_token[] = { { 1, "x", "CREATE TABLE x (id {float}) {strict};\n" }, { 0 } };

static int count_tables(struct txn *txn, void *ret_n)
{
    struct rows rows;
    int r = txn_query(txn, &rows, "SELECT COUNT(*) FROM sqlite_schema WHERE name IN ('one', 'two', 'three', 'four')");
    if (r == 0)
        *(int64_t *)ret_n = row_int(&rows, 0, 0);
    return r;
}

static int64_t tables(struct fixture *f)
{
    int64_t n;
    ck_assert_int_eq(do_write(f, count_tables, &n), 0);
    return n;
}

static int count_one(struct txn *txn, void *ret_n)
{
    struct rows rows;
    int r = txn_query(txn, &rows, "SELECT COUNT(*) FROM one");
    if (r == 0)
        *(int64_t *)ret_n = row_int(&rows, 0, 0);
    return r;
}

START_TEST(what_is_new_is_applied_once)
{
    struct fixture f;
    fixture_init(&f, NULL);
    ck_assert_int_eq(store_migrate(f.store, "list", first), 0);
    ck_assert_int_eq(tables(&f), 1);
    ck_assert_int_eq(store_migrate(f.store, "list", second), 0);
    ck_assert_int_eq(store_migrate(f.store, "list", second), 0);
    ck_assert_int_eq(tables(&f), 2);
    store_close(f.store);
    ck_assert_int_eq(fixture_open(&f, NULL), 0);
    ck_assert_int_eq(store_migrate(f.store, "list", second), 0);
    int64_t n;
    ck_assert_int_eq(do_write(&f, count_one, &n), 0);
    ck_assert_int_eq(n, 1);
    fixture_finish(&f);
}
END_TEST

START_TEST(a_changed_migration_is_refused)
{
    struct fixture f;
    fixture_init(&f, NULL);
    say_init("test", SAY_ERROR + 1);
    ck_assert_int_eq(store_migrate(f.store, "list", second), 0);
    ck_assert_int_eq(store_migrate(f.store, "list", changed), -EPROTO);
    ck_assert_int_eq(store_migrate(f.store, "list", second), 0);
    fixture_finish(&f);
}
END_TEST

START_TEST(a_database_of_a_newer_release_is_refused)
{
    struct fixture f;
    fixture_init(&f, NULL);
    say_init("test", SAY_ERROR + 1);
    ck_assert_int_eq(store_migrate(f.store, "list", second), 0);
    ck_assert_int_eq(store_migrate(f.store, "list", first), -EPROTO);
    ck_assert_int_eq(tables(&f), 2);
    fixture_finish(&f);
}
END_TEST

START_TEST(lists_are_numbered_each_on_its_own)
{
    static const struct migration other[] = { { 1, "three", "CREATE TABLE three (id {int}) {strict};\n" }, { 0 } };
    struct fixture f;
    fixture_init(&f, NULL);
    ck_assert_int_eq(store_migrate(f.store, "list", second), 0);
    ck_assert_int_eq(store_migrate(f.store, "other", other), 0);
    ck_assert_int_eq(tables(&f), 3);
    fixture_finish(&f);
}
END_TEST

START_TEST(a_failing_list_leaves_nothing)
{
    struct fixture f;
    fixture_init(&f, NULL);
    say_init("test", SAY_ERROR + 1);
    ck_assert_int_eq(store_migrate(f.store, "list", broken), -EINVAL);
    ck_assert_int_eq(store_migrate(f.store, "tokens", unknown_token), -EINVAL);
    ck_assert_int_eq(tables(&f), 0);
    ck_assert_int_eq(store_migrate(f.store, "list", second), 0);
    fixture_finish(&f);
}
END_TEST

START_TEST(tokens_become_each_engines_words)
{
    static const char sql[] =
        "CREATE TABLE t (a {int}, b {text}, c {blob}) {strict}; CREATE TABLE u (a {int}) {clustered}";
    char *sqlite = store_ddl(ENGINE_SQLITE, sql), *postgresql = store_ddl(ENGINE_POSTGRESQL, sql);
    ck_assert_str_eq(sqlite, "CREATE TABLE t (a INTEGER, b TEXT, c BLOB) STRICT; "
                             "CREATE TABLE u (a INTEGER) STRICT, WITHOUT ROWID");
    ck_assert_str_eq(postgresql, "CREATE TABLE t (a BIGINT, b TEXT, c BYTEA) ; CREATE TABLE u (a BIGINT) ");
    ck_assert_ptr_null(store_ddl(ENGINE_SQLITE, "CREATE TABLE t (a {integer})"));
    free(sqlite);
    free(postgresql);
}
END_TEST

SUITE("migrate", 60, what_is_new_is_applied_once, a_changed_migration_is_refused,
      a_database_of_a_newer_release_is_refused, lists_are_numbered_each_on_its_own, a_failing_list_leaves_nothing,
      tokens_become_each_engines_words)
