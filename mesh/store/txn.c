/* Statements of a unit: values bound, rows into the arena. */
#include "mesh/base/metrics.h"
#include "mesh/store/inside.h"

#include <errno.h>
#include <string.h>

static struct metric statements_run = { .name = "mesh_store_statements_total",
                                        .help = "SQL statements run by units.",
                                        .type = METRIC_COUNTER };

/* Values outlive the step, and each run binds every parameter anew. */
static int bind(struct statement *s, const struct value *values)
{
    int code = SQLITE_OK;
    for (int i = 0; i < s->n_values && code == SQLITE_OK; i++) {
        const struct value *v = &values[i];
        switch (v->type) {
        case VALUE_NULL:
            code = sqlite3_bind_null(s->handle, i + 1);
            break;
        case VALUE_INT:
            code = sqlite3_bind_int64(s->handle, i + 1, v->number);
            break;
        case VALUE_TEXT:
            code = sqlite3_bind_text64(s->handle, i + 1, v->data, v->len, SQLITE_STATIC, SQLITE_UTF8);
            break;
        case VALUE_BLOB:
            code = sqlite3_bind_blob64(s->handle, i + 1, v->data, v->len, SQLITE_STATIC);
            break;
        }
    }
    return code;
}

/* Rows while they are gathered; several statements may add to the same. */
struct gathering {
    struct rows rows;
    struct value *cells;
    size_t capacity; /* rows */
};

static int copy_cell(struct arena *arena, sqlite3_stmt *handle, int column, struct value *ret_value)
{
    int type = sqlite3_column_type(handle, column);
    if (type == SQLITE_NULL) {
        *ret_value = (struct value){ .type = VALUE_NULL };
        return 0;
    }
    if (type == SQLITE_INTEGER) {
        *ret_value = value_int(sqlite3_column_int64(handle, column));
        return 0;
    }
    /* Floating point has no place in the portable subset; it is told as text. */
    const void *data =
        type == SQLITE_BLOB ? sqlite3_column_blob(handle, column) : (const void *)sqlite3_column_text(handle, column);
    size_t len = (size_t)sqlite3_column_bytes(handle, column);
    if (!data && len > 0)
        return -ENOMEM;
    char *copy = arena_copy(arena, data, len);
    if (!copy)
        return -ENOMEM;
    *ret_value = (struct value){ .type = type == SQLITE_BLOB ? VALUE_BLOB : VALUE_TEXT, .len = len, .data = copy };
    return 0;
}

static int add_row(struct arena *arena, struct statement *s, struct gathering *g)
{
    size_t columns = (size_t)s->n_columns;
    if (g->rows.n == g->capacity) {
        size_t capacity = g->capacity < 8 ? g->capacity * 7 + 1 : g->capacity * 2;
        struct value *cells = arena_alloc(arena, capacity * columns * sizeof(*cells));
        if (!cells)
            return -ENOMEM;
        if (g->rows.n)
            memcpy(cells, g->cells, g->rows.n * columns * sizeof(*cells));
        g->cells = cells;
        g->capacity = capacity;
    }
    for (size_t i = 0; i < columns; i++) {
        int r = copy_cell(arena, s->handle, (int)i, &g->cells[g->rows.n * columns + i]);
        if (r < 0)
            return r;
    }
    g->rows.n++;
    return 0;
}

static int step_all(struct txn *txn, struct statement *s, struct gathering *g)
{
    for (;;) {
        int code = sqlite3_step(s->handle);
        if (code == SQLITE_DONE)
            return 0;
        if (code != SQLITE_ROW)
            return error_of_sqlite(sqlite3_db_handle(s->handle), code);
        int r = g ? add_row(txn->arena, s, g) : 0;
        if (r < 0)
            return r;
    }
}

static int fail(struct txn *txn, int r)
{
    if (txn->failed == 0)
        txn->failed = r;
    return r;
}

/* As on PostgreSQL, nothing runs any more in a unit one of whose statements has failed. */
static int run(struct txn *txn, const char *sql, size_t rows, const struct value *values, size_t n, struct gathering *g)
{
    if (txn->failed)
        return txn->failed;

    struct connection *c = txn_connection(txn);
    struct statement *s;
    int r = connection_statement(c, sql, rows, n / rows, &s);
    if (r < 0)
        return fail(txn, r);
    if ((size_t)s->n_values != n)
        return fail(txn, connection_refused(c, sql, "another number of values than of parameters"));

    r = error_of_sqlite(c->db, bind(s, values));
    if (r == 0)
        r = step_all(txn, s, g);
    if (r == -EINVAL)
        connection_refused(c, sql, NULL);
    sqlite3_reset(s->handle);
    metric_add(&statements_run, 1);
    if (g) {
        g->rows.columns = (size_t)s->n_columns;
        g->rows.names = (const char *const *)s->names;
        g->rows.cells = g->cells;
    }
    return r < 0 ? fail(txn, r) : 0;
}

int txn_post_values(struct txn *txn, const char *sql, const struct value *values, size_t n)
{
    return run(txn, sql, 1, values, n, NULL);
}

int64_t txn_exec_values(struct txn *txn, const char *sql, const struct value *values, size_t n)
{
    int r = run(txn, sql, 1, values, n, NULL);
    return r < 0 ? r : sqlite3_changes64(txn_connection(txn)->db);
}

int txn_query_values(struct txn *txn, struct rows *ret_rows, const char *sql, const struct value *values, size_t n)
{
    struct gathering g = { 0 };
    int r = run(txn, sql, 1, values, n, &g);
    if (r == 0)
        *ret_rows = g.rows;
    return r;
}

/* Sizes of chunks. SQLite writes no more cheaply by a few rows in one statement, and reads do. */
static const size_t written[] = { 64, 16, 1 }, asked[] = { 64, 16, 4, 2, 1 }, one_by_one[] = { 1 };

static int run_many(struct txn *txn, const char *sql, const size_t *chunk, size_t n, size_t columns,
                    const struct value *values, struct gathering *g)
{
    for (size_t at = 0; at < n; at += *chunk) {
        while (n - at < *chunk)
            chunk++;
        int r = run(txn, sql, *chunk, values + at * columns, *chunk * columns, g);
        if (r < 0)
            return r;
    }
    return 0;
}

static int ask_many(struct txn *txn, struct rows *ret_rows, const char *sql, const size_t *chunk, size_t n,
                    size_t columns, const struct value *values)
{
    struct gathering g = { 0 };
    int r = run_many(txn, sql, chunk, n, columns, values, &g);
    if (r == 0)
        *ret_rows = g.rows;
    return r;
}

int txn_post_many_values(struct txn *txn, const char *sql, size_t n, size_t columns, const struct value *values)
{
    return run_many(txn, sql, written, n, columns, values, NULL);
}

int txn_query_many_values(struct txn *txn, struct rows *ret_rows, const char *sql, size_t n, size_t columns,
                          const struct value *values)
{
    return ask_many(txn, ret_rows, sql, asked, n, columns, values);
}

int txn_post_each_values(struct txn *txn, const char *sql, size_t n, size_t columns, const struct value *values)
{
    return run_many(txn, sql, one_by_one, n, columns, values, NULL);
}

int txn_query_each_values(struct txn *txn, struct rows *ret_rows, const char *sql, size_t n, size_t columns,
                          const struct value *values)
{
    return ask_many(txn, ret_rows, sql, one_by_one, n, columns, values);
}
