/* The judge reads all databases beside the services, as another process could, and never writes to them. */
#include "tests/sim/judge.h"

#include "mesh/service.h"
#include "tests/sim/laws.h"
#include "tests/sim/town.h"

#include "dev/sandbox/carrier.h"
#include "dev/sandbox/processor.h"

#include <assert.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define FEW_OFFENDERS 3

/* What reservations still hold. */
static const char held[] = "CREATE TEMP VIEW held AS SELECT order_id, sku, location_id, CASE WHEN released = 0 THEN "
                           "quantity ELSE rest END q FROM main.reservation JOIN main.reservation_line "
                           "USING (reservation_id) WHERE released = 0 OR rest > 0";

/* Whose databases are asked, and under which name; the first is main. */
static const struct {
    const char *node, *schema;
} books[] = {
    { "svc-inventory", "main" }, { "svc-order", "o" },  { "svc-payment", "p" },
    { "svc-shipping", "s" },     { "svc-notify", "n" },
};
#define BOOKS (sizeof(books) / sizeof(books[0]))

static bool execute(sqlite3 *db, const char *sql)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK;
}

/* One row of a table of the memory: t for a text, n for a number. */
static void insert(sqlite3_stmt *into, const char *types, ...)
{
    va_list args;

    va_start(args, types);
    for (int i = 1; types[i - 1]; i++) {
        if (types[i - 1] == 't')
            sqlite3_bind_text(into, i, va_arg(args, const char *), -1, SQLITE_STATIC);
        else
            sqlite3_bind_int64(into, i, va_arg(args, int64_t));
    }
    va_end(args);
    int r = sqlite3_step(into);
    assert(r == SQLITE_DONE);
    (void)r;
    sqlite3_reset(into);
}

static void remember_cached(void *into, const struct cached *c)
{
    insert(into, "ttnn", c->key, c->epoch, (int64_t)c->version, c->value);
}

static void remember_orders(sqlite3_stmt *into, const struct shop *shop)
{
    for (size_t i = 0; i < shop->n_intentions; i++) {
        const struct intention *in = &shop->intentions[i];
        insert(into, "ttttnn", in->request_id, in->customer, in->channel, in->order_id, in->total_minor,
               (int64_t)in->fate);
    }
}

static void remember_lines(sqlite3_stmt *into, const struct shop *shop)
{
    char sku[16];

    for (size_t i = 0; i < shop->n_intentions; i++) {
        const struct intention *in = &shop->intentions[i];
        for (size_t l = 0; l < in->n_lines; l++) {
            shop_sku(in->lines[l].sku, sku);
            insert(into, "ttn", in->channel, sku, in->lines[l].quantity);
        }
    }
}

static void remember_adjustments(sqlite3_stmt *into, const struct shop *shop)
{
    char sku[16], location[16];

    for (size_t i = 0; i < shop->n_adjustments; i++) {
        const struct adjustment *a = &shop->adjustments[i];
        shop_sku(a->sku, sku);
        shop_location(a->location, location);
        insert(into, "tttnn", a->request_id, sku, location, a->delta, (int64_t)a->fate);
    }
}

static void remember_prices(sqlite3_stmt *into, const struct shop *shop)
{
    char sku[16];

    for (int i = 0; i < SHOP_SKUS; i++) {
        shop_sku(i, sku);
        insert(into, "tn", sku, shop->price_minor[i]);
    }
}

static void remember_follower(sqlite3_stmt *into, const struct shop *shop)
{
    if (shop->follower)
        insert(into, "n", (int64_t)follower_seq(shop->follower));
}

static void remember_told(sqlite3_stmt *into, const struct shop *shop)
{
    const struct told *told;
    size_t n = shop->follower ? follower_told(shop->follower, &told) : 0;

    for (size_t i = 0; i < n; i++)
        insert(into, "tnnnnn", told[i].order_id, (int64_t)told[i].placed, (int64_t)told[i].confirmed,
               (int64_t)told[i].rejected, (int64_t)told[i].cancelled, (int64_t)told[i].completed);
}

static void remember_cache(sqlite3_stmt *into, const struct shop *shop)
{
    world_cached(shop->w, remember_cached, into);
}

static void remember_charge(void *into, const struct processed *c)
{
    insert(into, "tttntt", c->key, c->kind, c->authorization, c->amount_minor, c->status, c->reference);
}

static void remember_charges(sqlite3_stmt *into, const struct shop *shop)
{
    town_each_operation(shop->town, remember_charge, into);
}

static void remember_parcel(void *into, const struct parcel *p)
{
    insert(into, "ttnn", p->key, p->reference, (int64_t)p->state, (int64_t)(p->handed_over_us != 0));
}

static void remember_parcels(sqlite3_stmt *into, const struct shop *shop)
{
    town_each_parcel(shop->town, remember_parcel, into);
}

static void remember_mail(void *into, const struct posted *m)
{
    insert(into, "ttn", m->path, m->mail_to, (int64_t)m->times);
}

static void remember_mails(sqlite3_stmt *into, const struct shop *shop)
{
    town_each_mail(shop->town, remember_mail, into);
}

/* What people remember, as tables of the judge's own. */
static const struct {
    const char *table, *into;
    void (*remember)(sqlite3_stmt *into, const struct shop *shop);
} memory[] = {
    { "wanted(request_id, customer, channel, order_id, total, fate)", "wanted VALUES (?, ?, ?, ?, ?, ?)",
      remember_orders },
    { "wanted_line(channel, sku, quantity)", "wanted_line VALUES (?, ?, ?)", remember_lines },
    { "adjusted(request_id, sku, location_id, delta, fate)", "adjusted VALUES (?, ?, ?, ?, ?)", remember_adjustments },
    { "price(sku, minor)", "price VALUES (?, ?)", remember_prices },
    { "cached(key, epoch, version, value)", "cached VALUES (?, ?, ?, ?)", remember_cache },
    { "told(order_id, placed, confirmed, rejected, cancelled, completed)", "told VALUES (?, ?, ?, ?, ?, ?)",
      remember_told },
    { "follower(seq)", "follower VALUES (?)", remember_follower },
    { "charge(key, kind, authorization, minor, status, reference)", "charge VALUES (?, ?, ?, ?, ?, ?)",
      remember_charges },
    { "carried(key, reference, state, handed_over)", "carried VALUES (?, ?, ?, ?)", remember_parcels },
    { "mail(path, mail_to, times)", "mail VALUES (?, ?, ?)", remember_mails },
};

static bool remember(sqlite3 *db, const struct shop *shop)
{
    bool well = true;

    for (size_t i = 0; well && i < sizeof(memory) / sizeof(memory[0]); i++) {
        char sql[128];
        sqlite3_stmt *into = NULL;
        snprintf(sql, sizeof(sql), "CREATE TABLE temp.%s", memory[i].table);
        well = execute(db, sql);
        snprintf(sql, sizeof(sql), "INSERT INTO temp.%s", memory[i].into);
        well = well && sqlite3_prepare_v2(db, sql, -1, &into, NULL) == SQLITE_OK;
        if (well)
            memory[i].remember(into, shop);
        sqlite3_finalize(into);
    }
    return well && execute(db, held);
}

/* False if the law holds. */
static bool broken(sqlite3 *db, struct shop *shop, const struct law *law, bool tell)
{
    sqlite3_stmt *s = NULL;
    int n = 0, r = sqlite3_prepare_v2(db, law->offenders, -1, &s, NULL);

    for (; r == SQLITE_OK || r == SQLITE_ROW; n += r == SQLITE_ROW) {
        r = sqlite3_step(s);
        if (r == SQLITE_ROW && tell && n < FEW_OFFENDERS)
            shop_violation(shop, "%s, but not %s", law->sentence, (const char *)sqlite3_column_text(s, 0));
    }
    if (r != SQLITE_DONE) {
        shop_violation(shop, "%s: cannot be asked: %s", law->sentence, sqlite3_errmsg(db));
        n++;
    }
    sqlite3_finalize(s);
    return n > 0;
}

static bool attach(sqlite3 *db)
{
    char sql[128];
    bool attached = true;

    for (size_t i = 1; attached && i < BOOKS; i++) {
        snprintf(sql, sizeof(sql), "ATTACH '%s/store.db' AS %s", books[i].node, books[i].schema);
        attached = execute(db, sql);
    }
    return attached && execute(db, "BEGIN");
}

/* All databases as one connection, with everybody's memory; NULL: they cannot be read now. */
static sqlite3 *open_books(struct shop *shop)
{
    sqlite3 *db;

    for (size_t i = 0; i < BOOKS; i++)
        if (!node_service(world_node(shop->w, books[i].node)))
            return NULL;
    int opened = sqlite3_open_v2("svc-inventory/store.db", &db, SQLITE_OPEN_READONLY, "sim");
    if (opened != SQLITE_OK || !attach(db) || !remember(db, shop)) {
        shop_violation(shop, "the databases cannot be read: %s", sqlite3_errmsg(db));
        sqlite3_close(db);
        return NULL;
    }
    return db;
}

int judge(struct shop *shop, bool at_rest, bool tell)
{
    sqlite3 *db = open_books(shop);
    int n = 0;

    for (const struct law *law = laws; db && law->sentence; law++)
        if ((at_rest || law->when == ALWAYS) && (tell || n == 0))
            n += broken(db, shop, law, tell);
    sqlite3_close(db);
    return db ? n : -1;
}

bool judge_one(struct shop *shop, const char *sentence)
{
    sqlite3 *db = open_books(shop);
    bool holds = db;

    for (const struct law *law = laws; holds && law->sentence; law++)
        if (strcmp(law->sentence, sentence) == 0)
            holds = !broken(db, shop, law, false);
    sqlite3_close(db);
    return holds;
}
