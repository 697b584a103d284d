/* One database: units of work in transactions, many of them in one commit.
 *
 * A unit is an ordinary function that may be run again: it writes only to its own arguments and its arena, and
 * does no I/O but SQL. Write units queue for the writer lane, which runs whatever queued during the last fsync in
 * one transaction, a SAVEPOINT each; read units run on the reader lane on a snapshot of their own. The same SQL
 * text serves SQLite and PostgreSQL (docs/sql.md has the portable subset; a test prepares every statement there).
 *
 * Types in DDL are tokens: {int} {text} {blob}; every table ends with {strict}, or with {clustered} if its key is a
 * text or composite (strict, too). */
#pragma once

#include "mesh/base/arena.h"
#include "mesh/base/trace.h"

#include <stdbool.h>
#include <stdint.h>

struct port;
struct store;

struct txn {
    struct store *store;
    struct arena *arena;       /* the unit's: rewound before it is run again */
    int64_t now_us;            /* wall clock of the group, the same for all its units */
    const struct trace *trace; /* whose work this is; NULL: nobody's */
    uint64_t log_seq;          /* of the last event, rolled back with the unit (mesh/log) */
    uint32_t touched;          /* TOUCHED_* bits: what the unit has written, rolled back with it */
    int failed;                /* the first error of a statement: the unit cannot commit any more */
};
enum { TOUCHED_LOG = 1, TOUCHED_OUTBOX = 2, TOUCHED_CURSOR = 4 }; /* cursor: of a consumer */

struct unit {
    int (*run)(struct txn *txn, void *arg); /* 0 commits; negative errno rolls this unit back, and only this one */
    void *arg;
    struct arena *arena; /* must outlive done */
    const struct trace *trace;
    /* After the commit is durable (0), or with run's error, or -EAGAIN (queue full), -ENOSPC, -EIO, -ESHUTDOWN.
     * On the lane that ran it. */
    void (*done)(struct unit *unit, int result);
    uint64_t log_seq; /* set before done: the log's head when it committed; a read's snapshot holds at least this */
    /* A batch: units with the same non-NULL gather and group that are queued at once run as one call over all of them,
     * in one savepoint; gather sets each unit's own result in results[i]. If it fails as a whole each is run again
     * alone. run is not called. The txn's arena is the first unit's. */
    int (*gather)(struct txn *txn, struct unit **units, size_t n, int *results);
    const void *group;
    struct unit *next;
    struct arena_mark mark;
};

struct migration {
    int number; /* 1, 2, 3 … without gaps */
    const char *name;
    const char *sql; /* statements separated by ;\n */
};

struct store_options {
    const char *path;  /* a SQLite file */
    const char *vfs;   /* NULL: the system's */
    size_t max_queued; /* write units waiting; 0: 4096 */
    size_t max_group;  /* units in one commit; 0: 512 */
    /* How far apart commits are under load, so that more units share each; on the clock of CLOCK_MONOTONIC. 0: a
     * commit begins as soon as the one before it has ended. */
    int64_t pace_us;
    bool rerun_always; /* run every unit twice (MESH_RERUN=always) */
};

struct commit {
    uint32_t touched; /* TOUCHED_* of its units */
    uint64_t log_seq; /* the log's head */
    int64_t now_us;   /* of its units */
};
/* Called once per commit on the writer lane, before the units' done. */
typedef void store_commit_hook(void *arg, const struct commit *commit);

/* Opens or makes the database and runs the migrations of every table of them, each named list numbered on its own.
 * 0; -EBUSY: another process has it; -EIO, -ENOSPC; -EPROTO: a migration that was applied has another checksum, or
 * the database is of a newer release. */
int store_open(struct port *port, const struct store_options *options, struct store **ret_store);
int store_migrate(struct store *store, const char *list, const struct migration *migrations);
void store_on_commit(struct store *store, store_commit_hook *hook, void *arg);
/* What txn->log_seq starts from (mesh/log sets it at start). */
void store_set_log_seq(struct store *store, uint64_t seq);
struct port *store_port(struct store *store);
/* Never fails at once: a full queue is told through done, on the caller's lane. */
void store_write(struct store *store, struct unit *unit);
void store_read(struct store *store, struct unit *unit);
/* Runs a unit now, on this thread; only at start, before any lane runs, and in tests. Its result; done may be NULL. */
int store_write_now(struct store *store, struct unit *unit);
/* Units submitted and not yet done, reads too. */
size_t store_queued(struct store *store);
/* Once the lanes have stopped: what still waits ends with -ESHUTDOWN, on this thread; then the file is checkpointed and
 * closed. A task of the store's that a port still holds must not be run any more. Takes NULL. */
void store_close(struct store *store);

/* --- statements, inside a unit ---
 *
 * Every function returns 0 or a negative errno that the unit must return in turn: -EEXIST (a unique key that ON
 * CONFLICT did not expect), -EDOM (CHECK, NOT NULL, REFERENCES), -EAGAIN (run the unit again), -ENOSPC, -EIO,
 * -ENOMEM (the arena's budget), -EINVAL (the statement itself).  SQL is a literal, gathered in the section mesh_sql. */

struct value {
    enum { VALUE_NULL, VALUE_INT, VALUE_TEXT, VALUE_BLOB } type;
    size_t len;
    union {
        int64_t number;
        const void *data;
    };
};

struct value value_int(int64_t n);
struct value value_text(const char *text); /* NULL is null */
struct value value_blob(struct bytes b);
#define I(n) value_int(n)
#define T(s) value_text(s)
#define B(b) value_blob(b)

#define SQL(literal) \
    ({ \
        static const char sql_[] __attribute__((section("mesh_sql"), used, aligned(1))) = literal; \
        (const char *)sql_; \
    })

/* All rows of an answer, in the unit's arena. Text and blobs have a NUL behind them. */
struct rows {
    size_t n, columns;
    const char *const *names;
    const struct value *cells; /* n × columns */
};
int64_t row_int(const struct rows *rows, size_t row, size_t column);      /* null is 0 */
const char *row_text(const struct rows *rows, size_t row, size_t column); /* null is "" */
struct bytes row_blob(const struct rows *rows, size_t row, size_t column);
bool row_null(const struct rows *rows, size_t row, size_t column);
/* Sets the fields of the message that columns name: strings, bytes, integers, bools, enums. -EINVAL: a column that
 * is no such field. Strings point into the rows. */
int row_message(const struct rows *rows, size_t row, ProtobufCMessage *message);

#define TXN_VALUES(...) \
    ((const struct value[]){ __VA_ARGS__ __VA_OPT__(, ){ 0 } }), \
        (sizeof((const struct value[]){ __VA_ARGS__ __VA_OPT__(, ){ 0 } }) / sizeof(struct value) - 1)

/* No result is wanted, so that PostgreSQL can pipeline it. */
#define txn_post(txn, sql, ...) txn_post_values(txn, SQL(sql), TXN_VALUES(__VA_ARGS__))
/* The number of rows changed, or a negative errno. */
#define txn_exec(txn, sql, ...)            txn_exec_values(txn, SQL(sql), TXN_VALUES(__VA_ARGS__))
#define txn_query(txn, ret_rows, sql, ...) txn_query_values(txn, ret_rows, SQL(sql), TXN_VALUES(__VA_ARGS__))
/* The statement is written for one row, with one parenthesis VALUES ($1, $2 …) that is repeated for chunks of rows: of
 * 64, 16, 4, 2 and 1, or, where SQLite gains nothing by smaller ones, of 64, 16 and 1. n × columns values, row by row.
 * Queries answer with all chunks' rows. No other parameter is possible. */
#define txn_post_many(txn, sql, n, columns, values) txn_post_many_values(txn, SQL(sql), n, columns, values)
#define txn_query_many(txn, ret_rows, sql, n, columns, values) \
    txn_query_many_values(txn, ret_rows, SQL(sql), n, columns, values)
/* The statement as it is, for each of n rows of values in turn: updates of many rows. */
#define txn_post_each(txn, sql, n, columns, values) txn_post_each_values(txn, SQL(sql), n, columns, values)
#define txn_query_each(txn, ret_rows, sql, n, columns, values) \
    txn_query_each_values(txn, ret_rows, SQL(sql), n, columns, values)

int txn_post_values(struct txn *txn, const char *sql, const struct value *values, size_t n);
int64_t txn_exec_values(struct txn *txn, const char *sql, const struct value *values, size_t n);
int txn_query_values(struct txn *txn, struct rows *ret_rows, const char *sql, const struct value *values, size_t n);
int txn_post_many_values(struct txn *txn, const char *sql, size_t n, size_t columns, const struct value *values);
int txn_post_each_values(struct txn *txn, const char *sql, size_t n, size_t columns, const struct value *values);
int txn_query_many_values(struct txn *txn, struct rows *ret_rows, const char *sql, size_t n, size_t columns,
                          const struct value *values);
int txn_query_each_values(struct txn *txn, struct rows *ret_rows, const char *sql, size_t n, size_t columns,
                          const struct value *values);
