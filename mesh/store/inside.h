/* What the files of mesh/store share: a connection with its statements, the queues, a transaction's inside. */
#pragma once

#include "mesh/port.h"
#include "mesh/store/store.h"

#include <pthread.h>
#include <sqlite3.h>

#define STORE_MAX_QUEUED 4096
#define STORE_MAX_GROUP  512
#define STORE_MAX_READS  64   /* units on one snapshot: a long one would keep the WAL from being reset */
#define STORE_SLOW_US    5000 /* a unit that takes longer is counted and told */

/* --- sqlite.c: a connection --- */

struct statement {
    const char *sql; /* the literal; NULL: an empty slot */
    size_t rows;     /* how often its VALUES parenthesis is repeated */
    sqlite3_stmt *handle;
    int n_values, n_columns;
    char **names; /* of the columns */
};

enum { BEGIN_WRITE, BEGIN_READ, COMMIT, ROLLBACK, SAVEPOINT, RELEASE, ROLLBACK_TO, VERB_COUNT };

struct connection {
    sqlite3 *db;
    sqlite3_stmt *verbs[VERB_COUNT];
    struct statement *statements; /* open addressing by the literal's address; capacity is a power of two */
    size_t n_statements, capacity;
};

/* 0 or a negative errno. A reader sees an existing database and cannot change it. */
int connection_open(struct connection *c, const char *path, const char *vfs, bool reader);
void connection_close(struct connection *c);
/* A verb of transactions, prepared once. */
int connection_verb(struct connection *c, int verb);
/* Statements separated by ; without results, not kept. */
int connection_execute(struct connection *c, const char *sql);
/* Makes sure that no transaction is open any more, whatever went wrong. */
void connection_abandon(struct connection *c);
/* Forgets all statements: the schema changed. */
void connection_forget(struct connection *c);
/* The statement for so many rows, prepared and kept, in *ret_statement. */
int connection_statement(struct connection *c, const char *sql, size_t rows, size_t columns,
                         struct statement **ret_statement);
/* Says which statement is wrong and why (NULL: SQLite knows); -EINVAL. */
int connection_refused(struct connection *c, const char *sql, const char *why);
int error_of_sqlite(sqlite3 *db, int code);

/* --- many.c --- */

/* The statement with its VALUES parenthesis repeated and its parameters renumbered, on the heap; NULL: there is not
 * exactly one such parenthesis, or no memory. */
char *many_expand(const char *sql, size_t rows, size_t columns);
/* The statement with ?n for each $n, on the heap: SQLite takes $n for a name and compares it with all the others. NULL:
 * it has a ? of its own, or no memory. */
char *many_numbered(const char *sql);

/* --- migrate.c --- */

enum engine { ENGINE_SQLITE, ENGINE_POSTGRESQL };
/* DDL with the engine's types in the tokens' places, on the heap; NULL: an unknown token, or no memory. */
char *store_ddl(enum engine engine, const char *sql);
extern const char migration_table[]; /* the DDL of the table that tells what is applied */
int migrate_prepare(struct connection *c);

/* --- copy.c --- */

/* With the lock: removes what a copy has left that was killed. */
void copy_clear(const char *path);

/* --- restore.c --- */

/* With the lock, before the database is opened. */
int restore_complete(const char *path);

/* --- store.c: what waits; group.c: what a lane does with it --- */

/* SQLite's own locks would keep our reader out as well, so that another file says whose the database is. An open file,
 * which is the lock, or -EBUSY, -ENOSPC or -EIO after one clear line. */
int store_lock(const char *path);

struct queue {
    struct unit *first, **last;
    size_t waiting, running;
    bool posted; /* the lane has the task, or runs it */
    struct task task;
};

struct store {
    struct port *port;
    struct store_options options;
    int lock_fd;
    struct connection writer, reader;
    _Atomic bool copying; /* copy.c */
    pthread_mutex_t lock; /* guards the queues and closing */
    struct queue writes, reads;
    pthread_cond_t company; /* signalled when COMPANY units wait */
    int64_t due_us;         /* when the next commit is due if nobody hurries; only the writer's lane */
    bool closing;
    _Atomic uint64_t log_seq; /* the head of what is committed; only the writer changes it */
    store_commit_hook *hook;
    void *hook_arg;
    int64_t complained_us; /* when the writer last told of a failed commit */
    /* The writer's, max_group of each: the units of a commit, and those of them that run as one batch. */
    struct unit **group, **batch;
    int *results, *batch_results;
};

/* A txn as units see it, with the connection behind it. */
struct inside {
    struct txn txn;
    struct connection *connection;
};
static inline struct connection *txn_connection(struct txn *txn)
{
    return ((struct inside *)txn)->connection;
}

/* Run, commit, and tell every unit; without the lock. The writes stand in store->group. */
void group_write(struct store *store, size_t n);
void group_read(struct store *store, struct unit *const *units, size_t n);
