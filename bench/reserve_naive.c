/* What is done without thinking about it: one conditional UPDATE and one INSERT for each request, in a transaction of
 * its own, which is on the disk before the next one gets the row. */
#include "bench/reserve_bench.h"
#include "tests/mesh/postgresql.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#define CONNECTIONS 16
#define TABLES \
    "CREATE TABLE stock (sku TEXT NOT NULL PRIMARY KEY, on_hand BIGINT NOT NULL, reserved BIGINT NOT NULL);" \
    "CREATE TABLE reservation (order_id TEXT NOT NULL PRIMARY KEY, sku TEXT NOT NULL, quantity BIGINT NOT NULL);" \
    "INSERT INTO stock VALUES ('HOT', 1000000000, 0)"
#define TAKE   "UPDATE stock SET reserved = reserved + 1 WHERE sku = 'HOT' AND on_hand - reserved >= 1"
#define RECORD "INSERT INTO reservation (order_id, sku, quantity) VALUES ('ord_01%024lx', 'HOT', 1)"

static void must(bool good, const char *what, const char *why)
{
    if (good)
        return;
    fprintf(stderr, "bench/reserve: %s: %s\n", what, why);
    exit(EXIT_FAILURE);
}

/* --- SQLite --- */

enum { BEGIN, UPDATE, INSERT, COMMIT, N_STATEMENTS };

static sqlite3 *open_database(const char *path, sqlite3_stmt **ret_statements)
{
    static const char *const texts[N_STATEMENTS] = {
        "BEGIN IMMEDIATE", TAKE, "INSERT INTO reservation (order_id, sku, quantity) VALUES (?, 'HOT', 1)", "COMMIT"
    };
    sqlite3 *db;
    must(sqlite3_open(path, &db) == SQLITE_OK, path, "cannot be opened");
    sqlite3_exec(db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 16000", NULL,
                 NULL, NULL);
    sqlite3_exec(db, TABLES, NULL, NULL, NULL); /* they are there already in the second round */
    for (int i = 0; i < N_STATEMENTS; i++)
        must(sqlite3_prepare_v2(db, texts[i], -1, &ret_statements[i], NULL) == SQLITE_OK, texts[i], sqlite3_errmsg(db));
    return db;
}

void naive_sqlite(const char *path, double seconds, struct cost *cost)
{
    static unsigned long made;
    sqlite3_stmt *statements[N_STATEMENTS];
    sqlite3 *db = open_database(path, statements);
    double begun = machine_now_s(CLOCK_MONOTONIC), cpu = machine_now_s(CLOCK_THREAD_CPUTIME_ID);
    while (machine_now_s(CLOCK_MONOTONIC) < begun + seconds) {
        char id[64];
        snprintf(id, sizeof(id), "ord_01%024lx", ++made);
        sqlite3_bind_text(statements[INSERT], 1, id, -1, SQLITE_STATIC);
        for (int i = 0; i < N_STATEMENTS; i++) {
            must(sqlite3_step(statements[i]) == SQLITE_DONE, "SQLite", sqlite3_errmsg(db));
            sqlite3_reset(statements[i]);
        }
        cost->granted++;
        cost->requests++;
    }
    cost->wall_s += machine_now_s(CLOCK_MONOTONIC) - begun;
    cost->cpu_s += machine_now_s(CLOCK_THREAD_CPUTIME_ID) - cpu;
    for (int i = 0; i < N_STATEMENTS; i++)
        sqlite3_finalize(statements[i]);
    sqlite3_close(db);
}

/* --- PostgreSQL --- */

struct shopper {
    pthread_t thread;
    PGconn *connection;
    unsigned long number;
    double until;
    long granted;
};

/* Both statements in one message are one transaction, and one way there and back. */
static void *shop(void *arg)
{
    struct shopper *shopper = arg;
    while (machine_now_s(CLOCK_MONOTONIC) < shopper->until) {
        char sql[256];
        snprintf(sql, sizeof(sql), TAKE "; " RECORD, shopper->number);
        shopper->number += CONNECTIONS;
        PGresult *result = PQexec(shopper->connection, sql);
        must(PQresultStatus(result) == PGRES_COMMAND_OK, "PostgreSQL", PQerrorMessage(shopper->connection));
        PQclear(result);
        shopper->granted++;
    }
    return NULL;
}

bool naive_postgresql(double seconds, struct cost *cost)
{
    struct postgresql *server;
    struct shopper shoppers[CONNECTIONS];
    if (postgresql_start_durable(&server) < 0)
        return false;
    PGconn *first = postgresql_connect(server);
    must(first != NULL, "PostgreSQL", "does not answer");
    PQclear(PQexec(first, TABLES));
    for (int i = 0; i < CONNECTIONS; i++)
        shoppers[i] = (struct shopper){ .connection = postgresql_connect(server), .number = (unsigned long)i };
    double begun = machine_now_s(CLOCK_MONOTONIC);
    for (int i = 0; i < CONNECTIONS; i++) {
        shoppers[i].until = begun + seconds;
        must(pthread_create(&shoppers[i].thread, NULL, shop, &shoppers[i]) == 0, "a thread", "cannot be made");
    }
    for (int i = 0; i < CONNECTIONS; i++) {
        pthread_join(shoppers[i].thread, NULL);
        cost->granted += shoppers[i].granted;
        cost->requests += shoppers[i].granted;
        PQfinish(shoppers[i].connection);
    }
    cost->wall_s += machine_now_s(CLOCK_MONOTONIC) - begun;
    PQfinish(first);
    postgresql_stop(server);
    return true;
}
