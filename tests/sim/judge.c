/* The judge reads all databases beside the services, as another process could, and never writes to them. */
#include "tests/sim/judge.h"

#include "mesh/service.h"
#include "oms/event/v1/event.pb-c.h"
#include "oms/notify/v1/notification.pb-c.h"
#include "tests/sim/laws.h"
#include "tests/sim/town.h"

#include "dev/sandbox/carrier.h"
#include "dev/sandbox/processor.h"

#include <assert.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FEW_OFFENDERS 3

/* What reservations still hold. */
static const char held[] = "CREATE TEMP VIEW held AS SELECT order_id, sku, location_id, CASE WHEN released = 0 THEN "
                           "quantity ELSE rest END q FROM main.reservation JOIN main.reservation_line "
                           "USING (reservation_id) WHERE released = 0 OR rest > 0";

/* Whose databases are asked, and under which name; the first is main. */
static const struct {
    const char *node, *schema;
} books_of[] = {
    { "svc-inventory", "main" }, { "svc-order", "o" },  { "svc-payment", "p" },
    { "svc-shipping", "s" },     { "svc-notify", "n" },
};
#define BOOKS (sizeof(books_of) / sizeof(books_of[0]))

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

/* What customers are told of in a mail: by the event, with the code that makes it so. */
#define EVENT(type)    OMS__EVENT__V1__EVENT_TYPE__##type
#define TEMPLATE(name) OMS__NOTIFY__V1__MESSAGE__TEMPLATE__##name
static const struct {
    int type;
    const char *code;
    int template;
} mailed[] = {
    { EVENT(ORDER_CONFIRMED), "", TEMPLATE(ORDER_CONFIRMED) },
    { EVENT(ORDER_REJECTED), "", TEMPLATE(ORDER_REJECTED) },
    { EVENT(ORDER_CANCELLED), "", TEMPLATE(ORDER_CANCELLED) },
    { EVENT(ORDER_COMPLETED), "", TEMPLATE(ORDER_COMPLETED) },
    { EVENT(ORDER_PROGRESSED), "CANCEL_TOO_LATE", TEMPLATE(CANCEL_TOO_LATE) },
    { EVENT(PAYMENT_ACTION_REQUIRED), "", TEMPLATE(PAYMENT_ACTION_REQUIRED) },
    { EVENT(PAYMENT_REFUNDED), "", TEMPLATE(REFUNDED) },
    { EVENT(FULFILLMENT_SHORT), "", TEMPLATE(PARCEL_SHORT) },
    { EVENT(FULFILLMENT_SHIPPED), "", TEMPLATE(SHIPPED) },
    { EVENT(FULFILLMENT_DELAYED), "", TEMPLATE(DELAYED) },
    { EVENT(FULFILLMENT_LOST), "", TEMPLATE(PARCEL_LOST) },
    { EVENT(FULFILLMENT_RETURNED), "", TEMPLATE(PARCEL_RETURNED) },
    { EVENT(FULFILLMENT_DELIVERED), "", TEMPLATE(DELIVERED) },
};

/* Nothing, if it has begun with a snapshot, which tells of what is past. */
static void remember_mailed(sqlite3_stmt *into, const struct shop *shop)
{
    for (size_t i = 0; shop->hears_all && i < sizeof(mailed) / sizeof(mailed[0]); i++)
        insert(into, "ntn", (int64_t)mailed[i].type, mailed[i].code, (int64_t)mailed[i].template);
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
    { "mailed(type, code, template)", "mailed VALUES (?, ?, ?)", remember_mailed },
};

#define MEMORIES (sizeof(memory) / sizeof(memory[0]))

/* All databases as one connection, kept as long as none of their machines crashes, with everybody's memory as it is
 * when it is asked for, and the laws as they were prepared. */
struct books {
    sqlite3 *db;
    uint64_t lives; /* of the machines */
    bool remembered;
    sqlite3_stmt *into[MEMORIES], *asked[LAWS_MAX];
};

static bool remember(struct books *books, const struct shop *shop)
{
    bool well = true;

    for (size_t i = 0; well && !books->remembered && i < MEMORIES; i++) {
        char sql[128];
        snprintf(sql, sizeof(sql), "DELETE FROM temp.%.*s", (int)strcspn(memory[i].table, "("), memory[i].table);
        well = execute(books->db, sql);
        if (well)
            memory[i].remember(books->into[i], shop);
    }
    books->remembered = well;
    return well;
}

static sqlite3_stmt *prepare(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *s = NULL;

    sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &s, NULL);
    return s;
}

/* How many do not hold: 0 or 1. */
static int broken(struct books *books, struct shop *shop, size_t law, bool tell)
{
    sqlite3_stmt **s = &books->asked[law];
    int n = 0, r = SQLITE_ERROR;

    if (*s || (*s = prepare(books->db, laws[law].offenders)))
        r = SQLITE_ROW;
    for (; r == SQLITE_ROW; n += r == SQLITE_ROW) {
        r = sqlite3_step(*s);
        if (r == SQLITE_ROW && tell && n < FEW_OFFENDERS)
            shop_violation(shop, "%s, but not %s", laws[law].sentence, (const char *)sqlite3_column_text(*s, 0));
    }
    if (r != SQLITE_DONE) {
        shop_violation(shop, "%s: cannot be asked: %s", laws[law].sentence, sqlite3_errmsg(books->db));
        n++;
    }
    sqlite3_reset(*s);
    return n > 0;
}

/* --- opening and closing --- */

static bool attach(sqlite3 *db)
{
    char sql[128];
    bool attached = true;

    for (size_t i = 1; attached && i < BOOKS; i++) {
        snprintf(sql, sizeof(sql), "ATTACH '%s/store.db' AS %s", books_of[i].node, books_of[i].schema);
        attached = execute(db, sql);
    }
    return attached;
}

static bool make_memory(struct books *books)
{
    bool well = true;

    for (size_t i = 0; well && i < MEMORIES; i++) {
        char sql[160];
        snprintf(sql, sizeof(sql), "CREATE TABLE temp.%s", memory[i].table);
        well = execute(books->db, sql);
        snprintf(sql, sizeof(sql), "INSERT INTO temp.%s", memory[i].into);
        well = well && (books->into[i] = prepare(books->db, sql));
    }
    return well && execute(books->db, held);
}

void judge_close(struct shop *shop)
{
    struct books *books = shop->books;

    if (!books)
        return;
    for (size_t i = 0; i < MEMORIES; i++)
        sqlite3_finalize(books->into[i]);
    for (size_t i = 0; i < LAWS_MAX; i++)
        sqlite3_finalize(books->asked[i]);
    sqlite3_close(books->db);
    free(books);
    shop->books = NULL;
}

static bool open_books(struct shop *shop, uint64_t lives)
{
    struct books *books = calloc(1, sizeof(*books));

    assert(books);
    shop->books = books;
    books->lives = lives;
    return sqlite3_open_v2("svc-inventory/store.db", &books->db, SQLITE_OPEN_READONLY, "sim") == SQLITE_OK &&
           attach(books->db) && make_memory(books);
}

/* With a transaction over all of them, until judge_end; NULL: they cannot be read now. */
static struct books *begin(struct shop *shop)
{
    uint64_t lives = 0;

    for (size_t i = 0; i < BOOKS; i++) {
        struct node *node = world_node(shop->w, books_of[i].node);
        if (!node_service(node))
            return NULL;
        lives += node_lives(node);
    }
    if (shop->books && shop->books->lives != lives)
        judge_close(shop);
    if ((shop->books || open_books(shop, lives)) && execute(shop->books->db, "BEGIN"))
        return shop->books;
    shop_violation(shop, "the databases cannot be read: %s", sqlite3_errmsg(shop->books->db));
    judge_close(shop);
    return NULL;
}

static void end(struct books *books)
{
    if (!books)
        return;
    books->remembered = false;
    execute(books->db, "COMMIT");
}

/* --- judging --- */

int judge(struct shop *shop, bool at_rest, bool tell)
{
    struct books *books = begin(shop);
    int n = 0;

    for (size_t i = 0; books && laws[i].sentence; i++) {
        bool now = laws[i].when == ALWAYS || (at_rest && laws[i].when != AT_OPENING);
        if (now && (tell || n == 0) && (laws[i].when == OVER || remember(books, shop)))
            n += broken(books, shop, i, tell);
    }
    end(books);
    return books ? n : -1;
}

bool judge_one(struct shop *shop, const char *sentence)
{
    struct books *books = begin(shop);
    bool holds = books && remember(books, shop);

    for (size_t i = 0; holds && laws[i].sentence; i++)
        if (strcmp(laws[i].sentence, sentence) == 0)
            holds = !broken(books, shop, i, false);
    end(books);
    return holds;
}
