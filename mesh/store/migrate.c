/* Migrations: numbered, forward only, compiled in, checksummed; every list applied in one transaction. */
#include "mesh/base/say.h"
#include "mesh/store/inside.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char migration_table[] = "CREATE TABLE IF NOT EXISTS mesh_migration (\n"
                               "  list {text} NOT NULL,\n"
                               "  number {int} NOT NULL,\n"
                               "  name {text} NOT NULL,\n"
                               "  checksum {int} NOT NULL,\n"
                               "  applied_us {int} NOT NULL,\n"
                               "  PRIMARY KEY (list, number)\n"
                               ") {clustered};\n";

static const struct {
    const char *token, *text[2];
} tokens[] = {
    { "{int}", { [ENGINE_SQLITE] = "INTEGER", [ENGINE_POSTGRESQL] = "BIGINT" } },
    { "{text}", { [ENGINE_SQLITE] = "TEXT", [ENGINE_POSTGRESQL] = "TEXT" } },
    { "{blob}", { [ENGINE_SQLITE] = "BLOB", [ENGINE_POSTGRESQL] = "BYTEA" } },
    { "{strict}", { [ENGINE_SQLITE] = "STRICT", [ENGINE_POSTGRESQL] = "" } },
    { "{clustered}", { [ENGINE_SQLITE] = "STRICT, WITHOUT ROWID", [ENGINE_POSTGRESQL] = "" } },
};
#define N_TOKENS (sizeof(tokens) / sizeof(tokens[0]))

char *store_ddl(enum engine engine, const char *sql)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    if (!out)
        return NULL;

    bool known = true;
    while (*sql && known) {
        size_t plain = strcspn(sql, "{");
        fwrite(sql, 1, plain, out);
        sql += plain;
        size_t i = 0;
        while (i < N_TOKENS && strncmp(sql, tokens[i].token, strlen(tokens[i].token)) != 0)
            i++;
        known = !*sql || i < N_TOKENS;
        if (*sql && known) {
            fputs(tokens[i].text[engine], out);
            sql += strlen(tokens[i].token);
        }
    }
    if (fclose(out) != 0 || !known) {
        free(text);
        return NULL;
    }
    return text;
}

static int execute_ddl(struct connection *c, const char *sql)
{
    char *ddl = store_ddl(ENGINE_SQLITE, sql);
    int r = ddl ? connection_execute(c, ddl) : -EINVAL;
    free(ddl);
    return r;
}

int migrate_prepare(struct connection *c)
{
    return execute_ddl(c, migration_table);
}

/* FNV-1a. It guards against mistakes, not against an enemy who has the file. */
static int64_t checksum_of(const char *sql)
{
    uint64_t hash = 0xcbf29ce484222325ull;
    for (; *sql; sql++)
        hash = (hash ^ (unsigned char)*sql) * 0x100000001b3ull;
    return (int64_t)hash;
}

struct migrating {
    struct store *store;
    const char *list;
    const struct migration *migrations;
};

static int refuse(const struct migrating *m, int64_t number, const char *why, int r)
{
    say(SAY_ERROR, NULL, "the database cannot be migrated", SAY_T("path", m->store->options.path),
        SAY_T("list", m->list), SAY_N("number", number), SAY_T("error", why));
    return r;
}

/* How many of the list are applied already, each of them unchanged. */
static int count_applied(struct txn *txn, const struct migrating *m, size_t *ret_n)
{
    struct rows rows;
    int r = txn_query(txn, &rows, "SELECT number, checksum FROM mesh_migration WHERE list = $1 ORDER BY number",
                      T(m->list));
    if (r < 0)
        return r;
    for (size_t i = 0; i < rows.n; i++) {
        const struct migration *known = &m->migrations[i];
        if (!known->sql)
            return refuse(m, row_int(&rows, i, 0), "the database is of a newer release", -EPROTO);
        if (row_int(&rows, i, 0) != known->number || row_int(&rows, i, 1) != checksum_of(known->sql))
            return refuse(m, known->number, "what was applied differs from this release", -EPROTO);
    }
    *ret_n = rows.n;
    return 0;
}

static int migrate_unit(struct txn *txn, void *arg)
{
    const struct migrating *m = arg;
    size_t applied;
    int r = count_applied(txn, m, &applied);
    for (size_t i = applied; r == 0 && m->migrations[i].sql; i++) {
        const struct migration *next = &m->migrations[i];
        assert(next->number == (int)i + 1);
        r = execute_ddl(txn_connection(txn), next->sql);
        if (r < 0)
            return refuse(m, next->number, sqlite3_errmsg(txn_connection(txn)->db), r);
        r = txn_post(
            txn, "INSERT INTO mesh_migration (list, number, name, checksum, applied_us) VALUES ($1, $2, $3, $4, $5)",
            T(m->list), I(next->number), T(next->name), I(checksum_of(next->sql)), I(txn->now_us));
    }
    return r;
}

int store_migrate(struct store *store, const char *list, const struct migration *migrations)
{
    struct arena arena;
    arena_init(&arena, 1 << 20);
    struct migrating m = { .store = store, .list = list, .migrations = migrations };
    struct unit unit = { .run = migrate_unit, .arg = &m, .arena = &arena };
    int r = store_write_now(store, &unit);
    arena_finish(&arena);
    connection_forget(&store->writer);
    connection_forget(&store->reader);
    return r;
}
