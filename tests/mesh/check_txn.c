/* Tests of mesh/store/txn.c, many.c and rows.c: statements, values, rows. */
#include "grpc/reflection/v1/reflection.pb-c.h"
#include "mesh/base/say.h"
#include "mesh/store/inside.h"
#include "mesh/v1/log.pb-c.h"
#include "tests/mesh/store_fixture.h"
#include "tests/suite.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct migration more[] = {
    { 1, "a parent and its children",
      "CREATE TABLE parent (id {int} PRIMARY KEY, version {int} NOT NULL) {strict};\n"
      "CREATE TABLE child (\n"
      "  id {int} PRIMARY KEY,\n"
      "  parent {int} NOT NULL REFERENCES parent (id),\n"
      "  name {text} UNIQUE\n"
      ") {strict};\n" },
    { 0 },
};

static void with_store(int (*run)(struct txn *, void *), int expected)
{
    struct fixture f;
    fixture_init(&f, NULL);
    say_init("test", SAY_ERROR + 1);
    ck_assert_int_eq(store_migrate(f.store, "more", more), 0);
    ck_assert_int_eq(do_write(&f, run, NULL), expected);
    fixture_finish(&f);
}

/* --- values --- */

static int store_and_read_back(struct txn *txn, void *arg)
{
    static const uint8_t raw[] = { 0, 1, 0xff, 0 };
    struct rows rows;
    ck_assert_int_eq(txn_post(txn, "INSERT INTO t (id, n, body) VALUES ($1, $2, $3)", T("raw"), I(INT64_MAX),
                              B(((struct bytes){ .data = raw, .len = 4 }))),
                     0);
    ck_assert_int_eq(
        txn_post(txn, "INSERT INTO t (id, n, body) VALUES ($1, $2, $3)", T("empty"), I(0), B(((struct bytes){ 0 }))),
        0);
    ck_assert_int_eq(txn_post(txn, "INSERT INTO t (id, n, body) VALUES ($1, $2, $3)", T("\xc3\xa9\n'"), I(7), T(NULL)),
                     0);
    ck_assert_int_eq(txn_query(txn, &rows, "SELECT body, n, id FROM t ORDER BY n"), 0);
    ck_assert_uint_eq(rows.n, 3);
    ck_assert_uint_eq(rows.columns, 3);
    ck_assert_str_eq(rows.names[1], "n");
    ck_assert(!row_null(&rows, 0, 0));
    ck_assert_uint_eq(row_blob(&rows, 0, 0).len, 0);
    ck_assert(row_null(&rows, 1, 0));
    ck_assert_str_eq(row_text(&rows, 1, 2), "\xc3\xa9\n'");
    ck_assert_str_eq(row_text(&rows, 1, 0), "");
    ck_assert_int_eq(row_int(&rows, 1, 0), 0);
    ck_assert_int_eq(row_int(&rows, 2, 1), INT64_MAX);
    ck_assert_uint_eq(row_blob(&rows, 2, 0).len, 4);
    ck_assert_mem_eq(row_blob(&rows, 2, 0).data, raw, 4);
    return 0;
}

START_TEST(values_come_back_as_they_were)
{
    with_store(store_and_read_back, 0);
}
END_TEST

static int name_parameters_in_any_order(struct txn *txn, void *arg)
{
    struct rows rows;
    ck_assert_int_eq(txn_post(txn, "INSERT INTO t (n, id) VALUES ($2, $1)", T("x"), I(5)), 0);
    ck_assert_int_eq(
        txn_query(txn, &rows, "SELECT id FROM t WHERE n > $3 - $1 AND id = $2 AND n > $1", I(4), T("x"), I(8)), 0);
    ck_assert_uint_eq(rows.n, 1);
    return 0;
}

START_TEST(parameters_are_found_by_their_number)
{
    with_store(name_parameters_in_any_order, 0);
}
END_TEST

static int count_changes(struct txn *txn, void *arg)
{
    for (int i = 0; i < 5; i++) {
        char key[8];
        snprintf(key, sizeof(key), "k%d", i);
        ck_assert_int_eq(txn_exec(txn, "INSERT INTO t (id, n) VALUES ($1, $2)", T(key), I(i)), 1);
    }
    ck_assert_int_eq(txn_exec(txn, "UPDATE t SET n = n + 1 WHERE n >= $1", I(2)), 3);
    ck_assert_int_eq(txn_exec(txn, "UPDATE t SET n = n + 1 WHERE id = $1", T("none")), 0);
    ck_assert_int_eq(txn_exec(txn, "INSERT INTO t (id, n) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING", T("k0"), I(1)),
                     0);
    ck_assert_int_eq(txn_exec(txn, "DELETE FROM t WHERE n > $1", I(0)), 4);
    return 0;
}

START_TEST(changed_rows_are_counted)
{
    with_store(count_changes, 0);
}
END_TEST

/* --- errors --- */

#define FAILING(name, statement, ...) \
    static int name(struct txn *txn, void *arg) \
    { \
        int r = txn_post(txn, "INSERT INTO t (id, n) VALUES ($1, $2)", T("here"), I(1)); \
        return r < 0 ? r : txn_post(txn, statement __VA_OPT__(, ) __VA_ARGS__); \
    }
FAILING(insert_twice, "INSERT INTO t (id, n) VALUES ($1, $2)", T("here"), I(2))
FAILING(insert_negative, "INSERT INTO t (id, n) VALUES ($1, $2)", T("x"), I(-1))
FAILING(insert_null, "INSERT INTO t (id, n) VALUES ($1, NULL)", T("x"))
FAILING(insert_orphan, "INSERT INTO child (id, parent) VALUES ($1, $2)", I(1), I(99))
FAILING(insert_text_as_number, "INSERT INTO t (id, n) VALUES ($1, $2)", T("x"), T("seven"))
FAILING(insert_nowhere, "INSERT INTO nowhere (id) VALUES ($1)", I(1))
FAILING(quote_doubly, "UPDATE t SET id = \"text\" WHERE n = $1", I(1))
FAILING(give_too_few, "UPDATE t SET n = $1 WHERE n = $2", I(1))
FAILING(give_too_many, "UPDATE t SET n = $1", I(1), I(2))
FAILING(leave_a_gap, "UPDATE t SET n = $1 WHERE n = $3", I(1), I(2))
FAILING(use_question_marks, "UPDATE t SET n = ?", I(1))
FAILING(say_two_things, "UPDATE t SET n = 1; DELETE FROM t")
FAILING(say_nothing, "  ")

START_TEST(errors_say_what_is_wrong)
{
    static const struct {
        int (*run)(struct txn *, void *);
        int expected;
    } cases[] = {
        { insert_twice, -EEXIST }, { insert_negative, -EDOM },       { insert_null, -EDOM },
        { insert_orphan, -EDOM },  { insert_text_as_number, -EDOM }, { insert_nowhere, -EINVAL },
        { quote_doubly, -EINVAL }, { give_too_few, -EINVAL },        { give_too_many, -EINVAL },
        { leave_a_gap, -EINVAL },  { use_question_marks, -EINVAL },  { say_two_things, -EINVAL },
        { say_nothing, -EINVAL },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        with_store(cases[i].run, cases[i].expected);
}
END_TEST

static int read_more_than_the_arena_holds(struct txn *txn, void *arg)
{
    struct rows rows = { .n = 77 };
    int r = txn_query(
        txn, &rows,
        "WITH RECURSIVE c (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 1000000) SELECT i, i FROM c");
    ck_assert_uint_eq(rows.n, 77);
    return r;
}

START_TEST(a_result_beyond_the_budget_is_refused)
{
    with_store(read_more_than_the_arena_holds, -ENOMEM);
}
END_TEST

/* --- many rows --- */

static int insert_many(struct txn *txn, size_t n, size_t first)
{
    struct value *values = arena_alloc(txn->arena, (2 * n + 1) * sizeof(*values));
    for (size_t i = 0; i < n; i++) {
        values[2 * i] = value_int((int64_t)(first + i) * 3);
        values[2 * i + 1] = value_text(arena_printf(txn->arena, "row (%zu)", first + i));
    }
    return txn_post_many(txn, "INSERT INTO t (n, id, body) VALUES (CAST($1 AS BIGINT), $2, NULL)", n, 2, values);
}

static int insert_each_amount(struct txn *txn, void *arg)
{
    static const size_t amounts[] = { 0, 1, 7, 8, 9, 64, 705 };
    size_t total = 0;
    for (size_t i = 0; i < sizeof(amounts) / sizeof(amounts[0]); i++) {
        ck_assert_int_eq(insert_many(txn, amounts[i], total), 0);
        total += amounts[i];
    }
    struct rows rows;
    ck_assert_int_eq(txn_query(txn, &rows, "SELECT n, id FROM t ORDER BY n"), 0);
    ck_assert_uint_eq(rows.n, total);
    for (size_t i = 0; i < total; i++) {
        char id[32];
        snprintf(id, sizeof(id), "row (%zu)", i);
        ck_assert_int_eq(row_int(&rows, i, 0), (int64_t)i * 3);
        ck_assert_str_eq(row_text(&rows, i, 1), id);
    }
    return 0;
}

START_TEST(any_number_of_rows_goes_in)
{
    with_store(insert_each_amount, 0);
}
END_TEST

static int update_many_and_ask(struct txn *txn, void *arg)
{
    enum { N = 200 };
    struct value values[2 * N];
    struct rows rows;
    ck_assert_int_eq(insert_many(txn, N, 0), 0);
    for (int i = 0; i < N; i++) {
        values[2 * i] = value_text(arena_printf(txn->arena, "row (%d)", i));
        values[2 * i + 1] = value_int(i);
    }
    ck_assert_int_eq(txn_query_many(txn, &rows,
                                    "WITH v (id, n) AS (VALUES (CAST($1 AS TEXT), CAST($2 AS BIGINT))) "
                                    "UPDATE t SET n = t.n + v.n FROM v WHERE t.id = v.id RETURNING t.id, t.n",
                                    N, 2, values),
                     0);
    ck_assert_uint_eq(rows.n, N);
    bool seen[N] = { 0 };
    for (size_t i = 0; i < N; i++) {
        int k = (int)row_int(&rows, i, 1) / 4;
        char id[32];
        snprintf(id, sizeof(id), "row (%d)", k);
        ck_assert_str_eq(row_text(&rows, i, 0), id);
        ck_assert(!seen[k]);
        seen[k] = true;
    }
    return txn_query_many(txn, &rows, "INSERT INTO t (id, n) VALUES ($1, $2) RETURNING n", 0, 2, values);
}

START_TEST(many_rows_answer_with_all_of_theirs)
{
    with_store(update_many_and_ask, 0);
}
END_TEST

static int insert_many_with_a_double(struct txn *txn, void *arg)
{
    ck_assert_int_eq(insert_many(txn, 1, 70), 0);
    return insert_many(txn, 100, 0);
}

START_TEST(one_bad_row_of_many_fails_the_unit)
{
    with_store(insert_many_with_a_double, -EEXIST);
}
END_TEST

START_TEST(a_statement_is_repeated_in_its_values_only)
{
    static const struct {
        const char *sql, *expanded;
    } cases[] = {
        { "INSERT INTO t VALUES ($1, $2)", "INSERT INTO t VALUES ($1, $2), ($3, $4)" },
        { "insert into t values\n  ($2, CAST($1 AS BIGINT)) ON CONFLICT (id) DO NOTHING",
          "insert into t values\n  ($2, CAST($1 AS BIGINT)), ($4, CAST($3 AS BIGINT)) ON CONFLICT (id) DO NOTHING" },
        { "INSERT INTO t VALUES ($1, ')(', 'it''s $9', $2)",
          "INSERT INTO t VALUES ($1, ')(', 'it''s $9', $2), ($3, ')(', 'it''s $9', $4)" },
        { "SELECT 'VALUES (', xvalues(1), values_of (2) FROM (VALUES ($1, $2)) AS v",
          "SELECT 'VALUES (', xvalues(1), values_of (2) FROM (VALUES ($1, $2), ($3, $4)) AS v" },
        { "SELECT 1", NULL },
        { "INSERT INTO t VALUES ($1", NULL },
        { "INSERT INTO t VALUES ($1), VALUES ($2)", NULL },
        { "UPDATE t SET n = $1 FROM (VALUES ($2)) AS v", NULL },
        { "INSERT INTO t VALUES ($1) ON CONFLICT (id) DO UPDATE SET n = $2", NULL },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *expanded = many_expand(cases[i].sql, 2, 2);
        if (cases[i].expanded)
            ck_assert_str_eq(expanded, cases[i].expanded);
        else
            ck_assert_ptr_null(expanded);
        free(expanded);
    }
}
END_TEST

/* --- rows as messages --- */

static int read_messages(struct txn *txn, void *arg)
{
    struct rows rows;
    Mesh__V1__LogEntry entry = MESH__V1__LOG_ENTRY__INIT;
    ck_assert_int_eq(txn_query(txn, &rows,
                               "SELECT 7 AS seq, 'sku' AS key, -3 AS type, 4294967295 AS audience, "
                               "NULL AS trace, CAST('abc' AS BLOB) AS payload"),
                     0);
    ck_assert_int_eq(row_message(&rows, 0, &entry.base), 0);
    ck_assert_uint_eq(entry.seq, 7);
    ck_assert_str_eq(entry.key, "sku");
    ck_assert_int_eq(entry.type, -3);
    ck_assert_uint_eq(entry.audience, UINT32_MAX);
    ck_assert_str_eq(entry.trace, "");
    ck_assert_uint_eq(entry.payload.len, 3);
    ck_assert_mem_eq(entry.payload.data, "abc", 3);

    Mesh__V1__TailRequest tail = MESH__V1__TAIL_REQUEST__INIT;
    ck_assert_int_eq(txn_query(txn, &rows, "SELECT 1 AS follow"), 0);
    ck_assert_int_eq(row_message(&rows, 0, &tail.base), 0);
    ck_assert(tail.follow);

    Grpc__Reflection__V1__ServerReflectionRequest one = GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;
    ck_assert_int_eq(txn_query(txn, &rows, "SELECT 'a.proto' AS file_by_filename, NULL AS list_services"), 0);
    ck_assert_int_eq(row_message(&rows, 0, &one.base), 0);
    ck_assert_int_eq(one.message_request_case,
                     GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_BY_FILENAME);
    ck_assert_str_eq(one.file_by_filename, "a.proto");
    return 0;
}

START_TEST(columns_become_fields_by_their_names)
{
    with_store(read_messages, 0);
}
END_TEST

static int read_misfits(struct txn *txn, void *arg)
{
    Mesh__V1__LogEntry entry = MESH__V1__LOG_ENTRY__INIT;
    Mesh__V1__TailRequest tail = MESH__V1__TAIL_REQUEST__INIT;
    struct rows rows;
#define MISFIT(message, sql) \
    ck_assert_int_eq(txn_query(txn, &rows, sql), 0); \
    ck_assert_int_eq(row_message(&rows, 0, message), -EINVAL)
    MISFIT(&entry.base, "SELECT 1 AS nothing_like_it");
    MISFIT(&entry.base, "SELECT 'x' AS seq");
    MISFIT(&entry.base, "SELECT 1 AS key");
    MISFIT(&entry.base, "SELECT -1 AS seq");
    MISFIT(&entry.base, "SELECT 4294967296 AS audience");
    MISFIT(&entry.base, "SELECT 2147483648 AS type");
    MISFIT(&entry.base, "SELECT 'abc' AS payload");
    MISFIT(&tail.base, "SELECT 1 AS after");
    return 0;
}

START_TEST(a_column_that_is_no_such_field_is_refused)
{
    with_store(read_misfits, 0);
}
END_TEST

SUITE("txn", 60, values_come_back_as_they_were, parameters_are_found_by_their_number, changed_rows_are_counted,
      errors_say_what_is_wrong, a_result_beyond_the_budget_is_refused, any_number_of_rows_goes_in,
      many_rows_answer_with_all_of_theirs, one_bad_row_of_many_fails_the_unit,
      a_statement_is_repeated_in_its_values_only, columns_become_fields_by_their_names,
      a_column_that_is_no_such_field_is_refused)
