/* SQLite connections and their cached statements. */
#include "mesh/base/say.h"
#include "mesh/store/inside.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *const verb_texts[] = {
    [BEGIN_WRITE] = "BEGIN IMMEDIATE", [BEGIN_READ] = "BEGIN",      [COMMIT] = "COMMIT",
    [ROLLBACK] = "ROLLBACK",           [SAVEPOINT] = "SAVEPOINT u", [RELEASE] = "RELEASE u",
    [ROLLBACK_TO] = "ROLLBACK TO u",
};

/* What a statement allocates while it runs comes from here. */
#define LOOKASIDE_BYTES 1200
#define LOOKASIDE_SLOTS 100

static const char writer_pragmas[] = "PRAGMA page_size = 4096;"
                                     "PRAGMA journal_mode = WAL;"
                                     "PRAGMA synchronous = FULL;"
                                     "PRAGMA wal_autocheckpoint = 16000;"
                                     "PRAGMA journal_size_limit = 67108864;"
                                     "PRAGMA foreign_keys = ON;"
                                     "PRAGMA temp_store = MEMORY;"
                                     "PRAGMA cache_size = -65536;";
static const char reader_pragmas[] = "PRAGMA query_only = ON;"
                                     "PRAGMA temp_store = MEMORY;"
                                     "PRAGMA cache_size = -16384;";

int error_of_sqlite(sqlite3 *db, int code)
{
    switch (code & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return 0;
    case SQLITE_CONSTRAINT:
        code = db ? sqlite3_extended_errcode(db) : code;
        return code == SQLITE_CONSTRAINT_UNIQUE || code == SQLITE_CONSTRAINT_PRIMARYKEY ||
                       code == SQLITE_CONSTRAINT_ROWID
                   ? -EEXIST
                   : -EDOM;
    case SQLITE_FULL:
        return -ENOSPC;
    case SQLITE_NOMEM:
        return -ENOMEM;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_INTERRUPT:
        return -EAGAIN;
    case SQLITE_IOERR:
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_CANTOPEN:
    case SQLITE_PROTOCOL:
        return -EIO;
    default:
        return -EINVAL;
    }
}

int connection_execute(struct connection *c, const char *sql)
{
    return error_of_sqlite(c->db, sqlite3_exec(c->db, sql, NULL, NULL, NULL));
}

/* Once in a process: nobody asks how much memory SQLite has, and counting it takes a lock at each allocation. */
static void configure_process(void)
{
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

static int configure(struct connection *c, bool reader)
{
    if (!reader)
        sqlite3_db_config(c->db, SQLITE_DBCONFIG_LOOKASIDE, NULL, LOOKASIDE_BYTES, LOOKASIDE_SLOTS);
    sqlite3_extended_result_codes(c->db, 1);
    sqlite3_db_config(c->db, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
    sqlite3_db_config(c->db, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
    sqlite3_db_config(c->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    /* A plan depends on the statement alone: else one whose parameter might decide which partial index serves is
     * prepared anew for each value. */
    sqlite3_db_config(c->db, SQLITE_DBCONFIG_ENABLE_QPSG, 1, NULL);
    return connection_execute(c, reader ? reader_pragmas : writer_pragmas);
}

int connection_open(struct connection *c, const char *path, const char *vfs, bool reader)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, configure_process);
    *c = (struct connection){ 0 };
    int flags = SQLITE_OPEN_NOMUTEX | (reader ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
    int r = error_of_sqlite(c->db, sqlite3_open_v2(path, &c->db, flags, vfs));
    if (r == 0)
        r = configure(c, reader);
    for (int verb = 0; r == 0 && verb < VERB_COUNT; verb++)
        r = error_of_sqlite(
            c->db, sqlite3_prepare_v3(c->db, verb_texts[verb], -1, SQLITE_PREPARE_PERSISTENT, &c->verbs[verb], NULL));
    if (r < 0)
        say(SAY_ERROR, NULL, "cannot open the database", SAY_T("path", path), SAY_T("error", sqlite3_errmsg(c->db)));
    if (r < 0)
        connection_close(c);
    return r;
}

static void statement_finish(struct statement *s)
{
    sqlite3_finalize(s->handle);
    for (int i = 0; s->names && i < s->n_columns; i++)
        free(s->names[i]);
    free(s->names);
    *s = (struct statement){ 0 };
}

void connection_forget(struct connection *c)
{
    for (size_t i = 0; i < c->capacity; i++)
        if (c->statements[i].sql)
            statement_finish(&c->statements[i]);
    free(c->statements);
    c->statements = NULL;
    c->n_statements = c->capacity = 0;
}

void connection_close(struct connection *c)
{
    connection_forget(c);
    for (int verb = 0; verb < VERB_COUNT; verb++)
        sqlite3_finalize(c->verbs[verb]);
    sqlite3_close_v2(c->db);
    *c = (struct connection){ 0 };
}

int connection_verb(struct connection *c, int verb)
{
    int code = sqlite3_step(c->verbs[verb]);
    int r = error_of_sqlite(c->db, code);
    sqlite3_reset(c->verbs[verb]);
    return r;
}

void connection_abandon(struct connection *c)
{
    if (!sqlite3_get_autocommit(c->db))
        connection_verb(c, ROLLBACK);
}

/* Of many rows each has what the one has. */
static bool has_gap(const struct statement *s)
{
    for (int i = 1; s->rows == 1 && i <= s->n_values; i++)
        if (!sqlite3_bind_parameter_name(s->handle, i))
            return true;
    return false;
}

static int copy_names(struct statement *s)
{
    int n = sqlite3_column_count(s->handle);
    s->names = calloc((size_t)n + 1, sizeof(*s->names));
    if (!s->names)
        return -ENOMEM;
    for (s->n_columns = 0; s->n_columns < n; s->n_columns++) {
        s->names[s->n_columns] = strdup(sqlite3_column_name(s->handle, s->n_columns));
        if (!s->names[s->n_columns])
            return -ENOMEM;
    }
    return 0;
}

int connection_refused(struct connection *c, const char *sql, const char *why)
{
    say(SAY_ERROR, NULL, "a statement was refused", SAY_T("sql", sql),
        SAY_T("error", why ? why : sqlite3_errmsg(c->db)));
    return -EINVAL;
}

static int prepare(struct connection *c, struct statement *s, size_t columns)
{
    char *expanded = s->rows > 1 ? many_expand(s->sql, s->rows, columns) : NULL;
    if (s->rows > 1 && !expanded)
        return connection_refused(c, s->sql, "not exactly one VALUES parenthesis");
    char *text = many_numbered(expanded ? expanded : s->sql);
    free(expanded);
    if (!text)
        return connection_refused(c, s->sql, "a parameter is not $n");

    const char *tail = "";
    int r = error_of_sqlite(c->db, sqlite3_prepare_v3(c->db, text, -1, SQLITE_PREPARE_PERSISTENT, &s->handle, &tail));
    if (r == -EINVAL)
        connection_refused(c, s->sql, NULL);
    else if (r == 0 && (!s->handle || tail[strspn(tail, " \n\t;")]))
        r = connection_refused(c, s->sql, "not exactly one statement");
    free(text);
    if (r < 0)
        return r;
    s->n_values = sqlite3_bind_parameter_count(s->handle);
    return has_gap(s) ? connection_refused(c, s->sql, "parameters are not $1 to $n") : copy_names(s);
}

static struct statement *find_slot(struct statement *slots, size_t capacity, const char *sql, size_t rows)
{
    size_t at = (size_t)(((uint64_t)(uintptr_t)sql + rows) * 0x9e3779b97f4a7c15ull >> 32);
    for (;; at++) {
        struct statement *s = &slots[at & (capacity - 1)];
        if (!s->sql || (s->sql == sql && s->rows == rows))
            return s;
    }
}

static int grow(struct connection *c)
{
    size_t capacity = c->capacity ? 2 * c->capacity : 64;
    struct statement *slots = calloc(capacity, sizeof(*slots));
    if (!slots)
        return -ENOMEM;
    for (size_t i = 0; i < c->capacity; i++)
        if (c->statements[i].sql)
            *find_slot(slots, capacity, c->statements[i].sql, c->statements[i].rows) = c->statements[i];
    free(c->statements);
    c->statements = slots;
    c->capacity = capacity;
    return 0;
}

int connection_statement(struct connection *c, const char *sql, size_t rows, size_t columns,
                         struct statement **ret_statement)
{
    if (2 * c->n_statements >= c->capacity) {
        int r = grow(c);
        if (r < 0)
            return r;
    }
    struct statement *s = find_slot(c->statements, c->capacity, sql, rows);
    if (!s->sql) {
        s->sql = sql;
        s->rows = rows;
        int r = prepare(c, s, columns);
        if (r < 0) {
            statement_finish(s);
            return r;
        }
        c->n_statements++;
    }
    *ret_statement = s;
    return 0;
}
