/* Every SQL statement of the runtime and of one service, as the linker gathered them, is understood by SQLite and by
 * Debian's PostgreSQL with the same migrations applied: check_sql [SERVICE].
 *
 * Built once a service, with SQL_SERVICE and SQL_MIGRATIONS naming it; TAP by hand, for the sake of the skip. */
#include "mesh/base/say.h"
#include "mesh/log/consumer.h"
#include "mesh/log/log.h"
#include "mesh/outbox/outbox.h"
#include "mesh/rpc/dispatch.h"
#include "mesh/run/lease.h"
#include "mesh/store/inside.h"
#include "tests/mesh/postgresql.h"
#include "tests/mesh/steps_port.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern const char __start_mesh_sql[], __stop_mesh_sql[];
#ifdef SQL_MIGRATIONS
extern const struct migration SQL_MIGRATIONS[];
#endif

static const struct {
    const char *name;
    const struct migration *migrations;
} lists[] = {
    { "log", log_migrations },       { "outbox", outbox_migrations },      { "requests", rpc_migrations },
    { "leases", lease_migrations },  { "consumers", consumer_migrations },
#ifdef SQL_MIGRATIONS
    { SQL_SERVICE, SQL_MIGRATIONS },
#endif
};
#define N_LISTS (sizeof(lists) / sizeof(lists[0]))

/* No engine may take what the other one refuses: these are refused by one of them. */
static const char only_sqlite[] = "INSERT OR IGNORE INTO event_log (seq) VALUES ($1)";
static const char only_postgresql[] = "SELECT GREATEST($1, seq) FROM event_log FOR UPDATE";

static int tests_run, tests_failed;

static void tell(bool passed, const char *name, const char *more)
{
    printf("%s %d - %s%s\n", passed ? "ok" : "not ok", ++tests_run, name, more);
    tests_failed += !passed;
}

/* How many statements the engine refuses, each told with its reason. */
typedef bool understands(void *engine, const char *sql, const char **ret_why);

static int refusals(understands *understand, void *engine)
{
    int refused = 0, n = 0;
    for (const char *sql = __start_mesh_sql; sql < __stop_mesh_sql; sql += strlen(sql) + 1) {
        const char *why;
        if (!*sql)
            continue;
        n++;
        if (understand(engine, sql, &why))
            continue;
        refused++;
        printf("# %s\n# %s\n", sql, why);
    }
    printf("# %d statements, %d refused\n", n, refused);
    return n > 0 ? refused : 1;
}

/* --- SQLite --- */

static bool sqlite_understands(void *engine, const char *sql, const char **ret_why)
{
    struct store *store = engine;
    struct statement *statement;
    int r = connection_statement(&store->writer, sql, 1, 0, &statement);
    *ret_why = r < 0 ? sqlite3_errmsg(store->writer.db) : "";
    return r == 0;
}

/* Values that rows are looked up by are walked through: a table that is made of them first costs as much as a dozen
 * rows. */
static bool sqlite_makes_no_table(void *engine, const char *sql, const char **ret_why)
{
    static char why[512];
    struct store *store = engine;
    if (!strstr(sql, "(VALUES"))
        return true;
    char *explain = sqlite3_mprintf("EXPLAIN QUERY PLAN %s", sql);
    sqlite3_stmt *plan = NULL;
    bool good = sqlite3_prepare_v2(store->writer.db, explain, -1, &plan, NULL) == SQLITE_OK;
    snprintf(why, sizeof(why), "%s", good ? "" : sqlite3_errmsg(store->writer.db));
    while (good && sqlite3_step(plan) == SQLITE_ROW) {
        const char *step = (const char *)sqlite3_column_text(plan, 3);
        good = step && !strstr(step, "MATERIALIZE") && !strstr(step, "AUTOMATIC");
        snprintf(why, sizeof(why), "%s", step ? step : "");
    }
    sqlite3_finalize(plan);
    sqlite3_free(explain);
    *ret_why = why;
    return good;
}

static void check_sqlite(void)
{
    char dir[] = "/tmp/check_sql_XXXXXX", path[64], lock[64];
    struct steps_port port;
    struct store *store = NULL;
    steps_port_init(&port);
    if (!mkdtemp(dir))
        abort();
    snprintf(path, sizeof(path), "%s/db", dir);
    snprintf(lock, sizeof(lock), "%s/db-lock", dir);

    int r = store_open(&port.port, &(struct store_options){ .path = path }, &store);
    for (size_t i = 0; r == 0 && i < N_LISTS; i++)
        r = store_migrate(store, lists[i].name, lists[i].migrations);
    tell(r == 0, "sqlite_takes_every_migration", "");
    if (r == 0) {
        const char *why;
        tell(refusals(sqlite_understands, store) == 0, "sqlite_understands_every_statement", "");
        tell(!sqlite_understands(store, only_postgresql, &why) && sqlite_understands(store, only_sqlite, &why),
             "sqlite_refuses_what_only_postgresql_knows", "");
        tell(refusals(sqlite_makes_no_table, store) == 0, "sqlite_makes_no_table_of_values", "");
    }
    store_close(store);
    unlink(path);
    unlink(lock);
    rmdir(dir);
}

/* --- PostgreSQL --- */

static bool postgresql_understands(void *engine, const char *sql, const char **ret_why)
{
    static char why[512];
    PGresult *result = PQprepare(engine, "", sql, 0, NULL);
    bool understood = PQresultStatus(result) == PGRES_COMMAND_OK;
    snprintf(why, sizeof(why), "%s", PQresultErrorMessage(result));
    why[strcspn(why, "\n")] = '\0';
    *ret_why = why;
    PQclear(result);
    return understood;
}

static bool apply(PGconn *connection, const char *sql)
{
    char *ddl = store_ddl(ENGINE_POSTGRESQL, sql);
    PGresult *result = ddl ? PQexec(connection, ddl) : NULL;
    bool applied = PQresultStatus(result) == PGRES_COMMAND_OK;
    if (!applied)
        printf("# %s\n# %s", sql, ddl ? PQresultErrorMessage(result) : "an unknown token\n");
    PQclear(result);
    free(ddl);
    return applied;
}

static bool apply_all(PGconn *connection)
{
    bool applied = apply(connection, migration_table);
    for (size_t i = 0; applied && i < N_LISTS; i++)
        for (const struct migration *m = lists[i].migrations; applied && m->sql; m++)
            applied = apply(connection, m->sql);
    return applied;
}

static void check_postgresql(void)
{
    struct postgresql *server = NULL;
    int r = postgresql_start(&server);
    PGconn *connection = r == 0 ? postgresql_connect(server) : NULL;
    if (r == -ENOENT) {
        tell(true, "postgresql_understands_every_statement", " # SKIP PostgreSQL is not installed");
        return;
    }
    bool applied = connection && apply_all(connection);
    tell(applied, "postgresql_takes_every_migration", "");
    if (applied) {
        const char *why;
        tell(refusals(postgresql_understands, connection) == 0, "postgresql_understands_every_statement", "");
        tell(!postgresql_understands(connection, only_sqlite, &why) &&
                 postgresql_understands(connection, only_postgresql, &why),
             "postgresql_refuses_what_only_sqlite_knows", "");
    }
    PQfinish(connection);
    postgresql_stop(server);
}

int main(void)
{
    say_init("test", SAY_ERROR + 1);
    check_sqlite();
    check_postgresql();
    printf("1..%d\n", tests_run);
    return tests_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
