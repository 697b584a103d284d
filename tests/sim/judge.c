/* The judge reads both databases beside the services, as another process could, and never writes to them. */
#include "tests/sim/judge.h"

#include "mesh/service.h"
#include "tests/sim/laws.h"

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
                             "CREATE TABLE temp.told(order_id, placed, confirmed, rejected);"
                             "CREATE TABLE temp.follower(seq);";

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
        insert(db, "INSERT INTO told VALUES(%Q, %d, %d, %d)", told[i].order_id, told[i].placed, told[i].confirmed,
               told[i].rejected);
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

static bool both_up(struct world *w)
{
    return node_service(world_node(w, "svc-inventory")) && node_service(world_node(w, "svc-order"));
}

/* Both databases as one connection, with everybody's memory; NULL: they cannot be read now. */
static sqlite3 *open_books(struct shop *shop)
{
    sqlite3 *db;

    if (!both_up(shop->w))
        return NULL;
    int opened = sqlite3_open_v2("svc-inventory/store.db", &db, SQLITE_OPEN_READONLY, "sim");
    if (opened != SQLITE_OK || !execute(db, "ATTACH 'svc-order/store.db' AS o; BEGIN") || !execute(db, memory)) {
        shop_violation(shop, "the databases cannot be read: %s", sqlite3_errmsg(db));
        sqlite3_close(db);
        return NULL;
    }
    remember_orders(db, shop);
    remember_staff(db, shop);
    remember_told(db, shop);
    world_cached(shop->w, remember_cached, db);
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
