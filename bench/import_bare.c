/* The peer of bench/import: one bare loop on SQLite that writes what is left of an import in any case, in one database
 * and in commits of the same size: the order with its lines, what left the stock, the entry in the books.
 *
 * bench_import_bare SECONDS PLAN: prints one line: invoices, lines, wall_us, cpu_us. */
#include "bench/machine.h"
#include "bench/plan.h"

#include <sqlite3.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define COMMIT_INVOICES 50

enum { ORDER, LINE, STOCK, MOVEMENT, ENTRY, POSTING, SALES, BALANCE, BEGIN, COMMIT, N_STATEMENTS };

static const char schema[] =
    "PRAGMA page_size = 4096; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
    "PRAGMA wal_autocheckpoint = 16000; PRAGMA cache_size = -65536;"
    "CREATE TABLE orders (id TEXT PRIMARY KEY, customer TEXT NOT NULL, external TEXT NOT NULL, country TEXT NOT NULL,"
    "  state INTEGER NOT NULL, total INTEGER NOT NULL, placed_us INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
    "CREATE UNIQUE INDEX orders_external ON orders (external);"
    "CREATE INDEX orders_customer ON orders (customer, id);"
    "CREATE TABLE order_line (order_id TEXT NOT NULL, place INTEGER NOT NULL, sku TEXT NOT NULL,"
    "  quantity INTEGER NOT NULL, price INTEGER NOT NULL, PRIMARY KEY (order_id, place)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE stock (sku TEXT PRIMARY KEY, on_hand INTEGER NOT NULL, version INTEGER NOT NULL) STRICT, WITHOUT "
    "ROWID;"
    "CREATE TABLE movement (sku TEXT NOT NULL, version INTEGER NOT NULL, on_hand INTEGER NOT NULL, document TEXT NOT "
    "NULL,"
    "  time_us INTEGER NOT NULL, PRIMARY KEY (sku, version)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE entry (id TEXT PRIMARY KEY, document TEXT NOT NULL, country TEXT NOT NULL, time_us INTEGER NOT NULL)"
    "  STRICT, WITHOUT ROWID;"
    "CREATE UNIQUE INDEX entry_document ON entry (document);"
    "CREATE TABLE posting (entry_id TEXT NOT NULL, account TEXT NOT NULL, minor INTEGER NOT NULL,"
    "  PRIMARY KEY (entry_id, account)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE sales (entry_id TEXT NOT NULL, sku TEXT NOT NULL, quantity INTEGER NOT NULL, minor INTEGER NOT NULL,"
    "  PRIMARY KEY (entry_id, sku)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE balance (account TEXT PRIMARY KEY, minor INTEGER NOT NULL) STRICT, WITHOUT ROWID;";

static const char *const texts[N_STATEMENTS] = {
    [ORDER] = "INSERT INTO orders VALUES (?, ?, ?, ?, 6, ?, ?)",
    [LINE] = "INSERT INTO order_line VALUES (?, ?, ?, ?, ?)",
    [STOCK] =
        "INSERT INTO stock VALUES (?, -?, 1) ON CONFLICT (sku) DO UPDATE SET on_hand = on_hand + excluded.on_hand, "
        "version = version + 1 RETURNING version",
    [MOVEMENT] = "INSERT INTO movement VALUES (?, ?, -?, ?, ?)",
    [ENTRY] = "INSERT INTO entry VALUES (?, ?, ?, ?)",
    [POSTING] = "INSERT INTO posting VALUES (?, ?, ?)",
    [SALES] = "INSERT INTO sales VALUES (?, ?, ?, ?) ON CONFLICT (entry_id, sku) DO UPDATE SET "
              "quantity = quantity + excluded.quantity, minor = minor + excluded.minor",
    [BALANCE] = "INSERT INTO balance VALUES (?, ?) ON CONFLICT (account) DO UPDATE SET minor = minor + excluded.minor",
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
};

struct bare {
    sqlite3 *db;
    sqlite3_stmt *statements[N_STATEMENTS];
    size_t invoices, lines;
};

static void must(bool good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "bench/import: %s failed\n", what);
    exit(EXIT_FAILURE);
}

static void text(sqlite3_stmt *s, int at, const char *value)
{
    must(sqlite3_bind_text(s, at, value, -1, SQLITE_STATIC) == SQLITE_OK, "a text");
}

static void number(sqlite3_stmt *s, int at, int64_t value)
{
    must(sqlite3_bind_int64(s, at, value) == SQLITE_OK, "a number");
}

static int64_t step(sqlite3_stmt *s)
{
    int code = sqlite3_step(s);
    int64_t value = code == SQLITE_ROW ? sqlite3_column_int64(s, 0) : 0;
    must(code == SQLITE_ROW || code == SQLITE_DONE, sqlite3_sql(s));
    sqlite3_reset(s);
    return value;
}

static void open_bare(struct bare *b, const char *dir)
{
    char *path = path_in(dir, "bare.db");
    must(sqlite3_open_v2(path, &b->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL) ==
             SQLITE_OK,
         path);
    must(sqlite3_exec(b->db, schema, NULL, NULL, NULL) == SQLITE_OK, "the schema");
    for (int i = 0; i < N_STATEMENTS; i++)
        must(sqlite3_prepare_v3(b->db, texts[i], -1, SQLITE_PREPARE_PERSISTENT, &b->statements[i], NULL) == SQLITE_OK,
             texts[i]);
    free(path);
}

static void close_bare(struct bare *b)
{
    for (int i = 0; i < N_STATEMENTS; i++)
        sqlite3_finalize(b->statements[i]);
    sqlite3_close(b->db);
}

static void write_line(struct bare *b, const char *id, const struct plan_line *line, size_t place)
{
    sqlite3_stmt **s = b->statements;
    text(s[LINE], 1, id);
    number(s[LINE], 2, (int64_t)place);
    text(s[LINE], 3, line->sku);
    number(s[LINE], 4, line->quantity);
    number(s[LINE], 5, line->minor);
    step(s[LINE]);
    text(s[STOCK], 1, line->sku);
    number(s[STOCK], 2, line->quantity);
    int64_t version = step(s[STOCK]);
    text(s[MOVEMENT], 1, line->sku);
    number(s[MOVEMENT], 2, version);
    number(s[MOVEMENT], 3, line->quantity);
    text(s[MOVEMENT], 4, id);
    number(s[MOVEMENT], 5, (int64_t)b->invoices);
    step(s[MOVEMENT]);
    text(s[SALES], 1, id);
    text(s[SALES], 2, line->sku);
    number(s[SALES], 3, line->quantity);
    number(s[SALES], 4, -line->quantity * line->minor);
    step(s[SALES]);
}

static void post(struct bare *b, const char *id, const char *account, int64_t minor)
{
    sqlite3_stmt **s = b->statements;
    text(s[POSTING], 1, id);
    text(s[POSTING], 2, account);
    number(s[POSTING], 3, minor);
    step(s[POSTING]);
    text(s[BALANCE], 1, account);
    number(s[BALANCE], 2, minor);
    step(s[BALANCE]);
}

static void write_invoice(struct bare *b, const struct plan_invoice *invoice)
{
    sqlite3_stmt **s = b->statements;
    char id[64], external[32];
    int64_t total = 0;
    snprintf(id, sizeof(id), "ord_%026zu", b->invoices);
    snprintf(external, sizeof(external), "%zu", b->invoices);
    text(s[ENTRY], 1, id);
    text(s[ENTRY], 2, id);
    text(s[ENTRY], 3, invoice->country);
    number(s[ENTRY], 4, (int64_t)b->invoices);
    step(s[ENTRY]);
    for (size_t i = 0; i < invoice->n_lines; i++) {
        write_line(b, id, &invoice->lines[i], i);
        total += invoice->lines[i].quantity * invoice->lines[i].minor;
    }
    text(s[ORDER], 1, id);
    text(s[ORDER], 2, invoice->customer);
    text(s[ORDER], 3, external);
    text(s[ORDER], 4, invoice->country);
    number(s[ORDER], 5, total);
    number(s[ORDER], 6, (int64_t)b->invoices);
    step(s[ORDER]);
    post(b, id, "RECEIVABLE", total);
    post(b, id, "SALES", -total);
    b->invoices++;
    b->lines += invoice->n_lines;
}

int main(int argc, char **argv)
{
    struct bare b = { 0 };
    struct plan plan;
    if (argc != 3) {
        fprintf(stderr, "bench_import_bare SECONDS PLAN\n");
        return EXIT_FAILURE;
    }
    plan_read(&plan, argv[2]);
    open_bare(&b, machine_scratch("import"));
    double cpu = machine_now_s(CLOCK_PROCESS_CPUTIME_ID), wall = machine_now_s(CLOCK_MONOTONIC);
    while (machine_now_s(CLOCK_MONOTONIC) < wall + atof(argv[1])) {
        step(b.statements[BEGIN]);
        for (size_t i = 0; i < COMMIT_INVOICES; i++)
            write_invoice(&b, &plan.invoices[b.invoices % plan.n]);
        step(b.statements[COMMIT]);
    }
    printf("%zu %zu %.0f %.0f\n", b.invoices, b.lines, (machine_now_s(CLOCK_MONOTONIC) - wall) * 1e6,
           (machine_now_s(CLOCK_PROCESS_CPUTIME_ID) - cpu) * 1e6);
    close_bare(&b);
    plan_drop(&plan);
    return EXIT_SUCCESS;
}
