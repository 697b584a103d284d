/* The judge reads both databases beside the services, as another process could, and never writes to them. */
#include "tests/sim/judge.h"

#include "mesh/service.h"
#include "tests/sim/laws.h"
#include "tests/sim/town.h"

#include "dev/sandbox/carrier.h"
#include "dev/sandbox/processor.h"

#include <assert.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#define FEW_OFFENDERS 3

/* What people remember, as tables of the judge's own. */
static const char memory[] = "CREATE TABLE temp.wanted(request_id, customer, channel, order_id, total, fate);"
                             "CREATE TABLE temp.wanted_line(channel, sku, quantity);"
                             "CREATE TABLE temp.adjusted(request_id, sku, location_id, delta, fate);"
                             "CREATE TABLE temp.price(sku, minor);"
                             "CREATE TABLE temp.cached(key, epoch, version, value);"
                             "CREATE TABLE temp.told(order_id, placed, confirmed, rejected, cancelled, completed);"
                             "CREATE TABLE temp.follower(seq);"
                             "CREATE TABLE temp.charge(key, kind, authorization, minor, status, reference);"
                             "CREATE TABLE temp.carried(key, reference, state, handed_over);"
                             "CREATE TABLE temp.mail(path, mail_to, times);"
                             /* What reservations still hold. */
                             "CREATE TEMP VIEW held AS SELECT order_id, sku, location_id, CASE WHEN released = 0 THEN "
                             "quantity ELSE rest END q FROM main.reservation JOIN main.reservation_line "
                             "USING (reservation_id) WHERE released = 0 OR rest > 0;";

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

static void insert(sqlite3 *db, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    char *sql = sqlite3_vmprintf(format, args);
    va_end(args);
    bool inserted = execute(db, sql);
    assert(inserted);
    (void)inserted;
    sqlite3_free(sql);
}

static void remember_cached(void *db, const struct cached *c)
{
    insert(db, "INSERT INTO cached VALUES(%Q, %Q, %lld, %lld)", c->key, c->epoch, (long long)c->version,
           (long long)c->value);
}

static void remember_orders(sqlite3 *db, const struct shop *shop)
{
    char sku[16];

    for (size_t i = 0; i < shop->n_intentions; i++) {
        const struct intention *in = &shop->intentions[i];
        insert(db, "INSERT INTO wanted VALUES(%Q, %Q, %Q, %Q, %lld, %d)", in->request_id, in->customer, in->channel,
               in->order_id, (long long)in->total_minor, in->fate);
        for (size_t l = 0; l < in->n_lines; l++) {
            shop_sku(in->lines[l].sku, sku);
            insert(db, "INSERT INTO wanted_line VALUES(%Q, %Q, %lld)", in->channel, sku,
                   (long long)in->lines[l].quantity);
        }
    }
}

static void remember_staff(sqlite3 *db, const struct shop *shop)
{
    char sku[16], location[16];

    for (size_t i = 0; i < shop->n_adjustments; i++) {
        const struct adjustment *a = &shop->adjustments[i];
        shop_sku(a->sku, sku);
        shop_location(a->location, location);
        insert(db, "INSERT INTO adjusted VALUES(%Q, %Q, %Q, %lld, %d)", a->request_id, sku, location,
               (long long)a->delta, a->fate);
    }
    for (int i = 0; i < SHOP_SKUS; i++) {
        shop_sku(i, sku);
        insert(db, "INSERT INTO price VALUES(%Q, %lld)", sku, (long long)shop->price_minor[i]);
    }
}

static void remember_told(sqlite3 *db, const struct shop *shop)
{
    const struct told *told;
    if (!shop->follower)
        return;
    size_t n = follower_told(shop->follower, &told);

    insert(db, "INSERT INTO follower VALUES(%lld)", (long long)follower_seq(shop->follower));
    for (size_t i = 0; i < n; i++)
        insert(db, "INSERT INTO told VALUES(%Q, %d, %d, %d, %d, %d)", told[i].order_id, told[i].placed,
               told[i].confirmed, told[i].rejected, told[i].cancelled, told[i].completed);
}

static void remember_charge(void *db, const struct processed *c)
{
    insert(db, "INSERT INTO charge VALUES(%Q, %Q, %Q, %lld, %Q, %Q)", c->key, c->kind, c->authorization,
           (long long)c->amount_minor, c->status, c->reference);
}

static void remember_parcel(void *db, const struct parcel *p)
{
    insert(db, "INSERT INTO carried VALUES(%Q, %Q, %d, %d)", p->key, p->reference, p->state, p->handed_over_us != 0);
}

static void remember_mail(void *db, const struct posted *m)
{
    insert(db, "INSERT INTO mail VALUES(%Q, %Q, %d)", m->path, m->mail_to, m->times);
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
    return attached && execute(db, "BEGIN") && execute(db, memory);
}

/* All databases as one connection, with everybody's memory; NULL: they cannot be read now. */
static sqlite3 *open_books(struct shop *shop)
{
    sqlite3 *db;

    for (size_t i = 0; i < BOOKS; i++)
        if (!node_service(world_node(shop->w, books[i].node)))
            return NULL;
    int opened = sqlite3_open_v2("svc-inventory/store.db", &db, SQLITE_OPEN_READONLY, "sim");
    if (opened != SQLITE_OK || !attach(db)) {
        shop_violation(shop, "the databases cannot be read: %s", sqlite3_errmsg(db));
        sqlite3_close(db);
        return NULL;
    }
    remember_orders(db, shop);
    remember_staff(db, shop);
    remember_told(db, shop);
    world_cached(shop->w, remember_cached, db);
    town_each_operation(shop->town, remember_charge, db);
    town_each_parcel(shop->town, remember_parcel, db);
    town_each_mail(shop->town, remember_mail, db);
    return db;
}

int judge(struct shop *shop, bool at_rest, bool tell)
{
    sqlite3 *db = open_books(shop);
    int n = 0;

    for (const struct law *law = laws; db && law->sentence; law++)
        if (at_rest || law->when == ALWAYS)
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
