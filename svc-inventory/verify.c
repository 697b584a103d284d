/* VerifyInventory: the books of a page of SKUs on one snapshot, then what Redis says of them, and last a unit that
 * looks once more at what may be mended.
 *
 * A hold that no shelf knows has no SKU whose page would show it, so that reservations are looked at all at once,
 * with the first page. */
#include "svc-inventory/availability.h"
#include "svc-inventory/book.h"
#include "svc-inventory/feed.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#define PAGE_SKUS 200
#define HOLDS_MAX 500   /* reservations' shelves that differ and are told */
#define WAIT_US   20000 /* for what is on its way to Redis */
#define WAITS_MAX 50

struct finding {
    const char *sku, *location_id, *what;
    int64_t expected, found;
};

/* What Redis and the table of availability said of a SKU, and what its shelves have. */
struct word {
    const char *sku;
    int64_t cached, stored, free;
    uint64_t cached_version, version;
};

/* One call's work before its unit. */
struct verification {
    struct rpc_call *call;
    struct inventory *inventory;
    const VerifyInventoryRequest *request;
    struct unit unit;
    struct task task;
    struct timer timer;
    struct cache_op op;
    int waits;
    bool cache_read;

    const char *next_sku;
    uint64_t seq; /* of the snapshot */
    struct finding *findings;
    size_t n_findings;
    struct word *words; /* of each SKU */
    size_t n_words, n_skus;
};

#define VERIFICATION_OF(pointer, member) \
    ((struct verification *)((char *)(pointer)-offsetof(struct verification, member)))

/* --- the books --- */

/* Everything that has a shelf, a movement or an availability, each table by its key. */
static int read_page(struct txn *txn, struct verification *v, struct rows *ret_rows)
{
    return txn_query(
        txn, ret_rows,
        "WITH RECURSIVE moved (sku) AS (SELECT MIN(sku) FROM movement WHERE sku > $1 UNION ALL "
        "SELECT (SELECT MIN(sku) FROM movement n WHERE n.sku > moved.sku) FROM moved WHERE moved.sku IS NOT NULL), "
        "page (sku) AS (SELECT sku FROM (SELECT sku FROM moved WHERE sku IS NOT NULL LIMIT $2) m UNION "
        "SELECT sku FROM (SELECT DISTINCT sku FROM stock WHERE sku > $1 ORDER BY sku LIMIT $2) s UNION "
        "SELECT sku FROM (SELECT sku FROM availability WHERE sku > $1 ORDER BY sku LIMIT $2) a) "
        "SELECT sku FROM page ORDER BY sku LIMIT $2",
        T(v->request->after_sku), I(PAGE_SKUS));
}

static int read_shelves(struct txn *txn, const char *after, const char *last, struct rows *ret_rows)
{
    return txn_query(txn, ret_rows,
                     "SELECT sku, location_id, CAST(SUM(moved) AS BIGINT), CAST(SUM(there) AS BIGINT), "
                     "CAST(SUM(moved_reserved) AS BIGINT), CAST(SUM(reserved) AS BIGINT) FROM ("
                     "SELECT sku, location_id, on_hand AS moved, 0 AS there, reserved AS moved_reserved, 0 AS reserved "
                     "FROM movement WHERE sku > $1 AND sku <= $2 UNION ALL "
                     "SELECT sku, location_id, 0, on_hand, 0, reserved FROM stock WHERE sku > $1 AND sku <= $2) b "
                     "GROUP BY sku, location_id ORDER BY sku, location_id",
                     T(after), T(last));
}

static int read_words(struct txn *txn, const char *after, const char *last, struct rows *ret_rows)
{
    return txn_query(txn, ret_rows,
                     "SELECT sku, CAST(SUM(free) AS BIGINT), CAST(SUM(available) AS BIGINT), "
                     "CAST(SUM(version) AS BIGINT) FROM ("
                     "SELECT sku, on_hand - reserved AS free, 0 AS available, 0 AS version FROM stock "
                     "WHERE sku > $1 AND sku <= $2 UNION ALL "
                     "SELECT sku, 0, available, version FROM availability WHERE sku > $1 AND sku <= $2) b "
                     "GROUP BY sku ORDER BY sku",
                     T(after), T(last));
}

static int read_holds(struct txn *txn, struct rows *ret_rows)
{
    return txn_query(txn, ret_rows,
                     "SELECT sku, location_id, CAST(SUM(reserved) AS BIGINT), CAST(SUM(held) AS BIGINT) FROM ("
                     "SELECT sku, location_id, reserved, 0 AS held FROM stock UNION ALL "
                     "SELECT l.sku, l.location_id, 0, l.quantity FROM reservation r JOIN reservation_line l "
                     "ON l.reservation_id = r.reservation_id WHERE r.released = 0 UNION ALL "
                     "SELECT sku, location_id, 0, rest FROM reservation_line WHERE rest > 0) b "
                     "GROUP BY sku, location_id HAVING SUM(reserved) <> SUM(held) ORDER BY sku, location_id LIMIT $1",
                     I(HOLDS_MAX));
}

static void find(struct verification *v, const struct rows *rows, size_t row, size_t column, const char *what)
{
    const struct finding finding = { row_text(rows, row, 0), row_text(rows, row, 1), what, row_int(rows, row, column),
                                     row_int(rows, row, column + 1) };
    if (finding.expected != finding.found)
        v->findings[v->n_findings++] = finding;
}

static int compare_books(struct txn *txn, struct verification *v, const char *last)
{
    struct rows shelves, holds = { 0 }, words;
    const char *after = v->request->after_sku;
    int r = read_shelves(txn, after, last, &shelves);
    if (r == 0)
        r = read_words(txn, after, last, &words);
    if (r == 0 && after[0] == '\0')
        r = read_holds(txn, &holds);
    if (r < 0)
        return r;

    v->findings = arena_alloc(txn->arena, (2 * shelves.n + holds.n) * sizeof(*v->findings));
    v->words = arena_zalloc(txn->arena, words.n * sizeof(*v->words));
    if (!v->findings || !v->words)
        return -ENOMEM;
    for (size_t i = 0; i < shelves.n; i++) {
        find(v, &shelves, i, 2, "ON_HAND");
        find(v, &shelves, i, 4, "RESERVED");
    }
    for (size_t i = 0; i < holds.n; i++)
        find(v, &holds, i, 2, "RESERVATIONS");
    for (; v->n_words < words.n; v->n_words++)
        v->words[v->n_words] = (struct word){
            .sku = row_text(&words, v->n_words, 0),
            .free = row_int(&words, v->n_words, 1),
            .stored = row_int(&words, v->n_words, 2),
            .version = (uint64_t)row_int(&words, v->n_words, 3),
        };
    return 0;
}

static int run_read(struct txn *txn, void *arg)
{
    struct verification *v = arg;
    struct log_position at;
    struct rows rows;
    v->n_findings = v->n_words = v->n_skus = 0;
    int r = log_position(txn, &at);
    if (r == 0)
        r = read_page(txn, v, &rows);
    if (r < 0)
        return r;
    v->seq = at.seq;
    v->n_skus = rows.n;
    v->next_sku = rows.n == PAGE_SKUS ? row_text(&rows, rows.n - 1, 0) : "";
    return compare_books(txn, v, rows.n ? row_text(&rows, rows.n - 1, 0) : v->request->after_sku);
}

/* --- Redis --- */

static void cache_answered(struct cache_op *op, int result)
{
    struct verification *v = VERIFICATION_OF(op, op);
    v->cache_read = result == 0;
    for (size_t i = 0; result == 0 && i < v->n_words; i++) {
        v->words[i].cached = op->values[i];
        v->words[i].cached_version = op->versions[i];
    }
    rpc_gathered(v->call, RPC_NOW);
}

static int start_lookup(struct verification *v)
{
    struct availability_page page;
    int r = availability_page_init(rpc_arena(v->call), v->n_words, &page);
    if (r < 0)
        return r;
    for (size_t i = 0; i < v->n_words; i++)
        page.skus[i] = v->words[i].sku;
    v->op = (struct cache_op){
        .op = CACHE_GET,
        .n = v->n_words,
        .keys = page.skus,
        .epoch = feed_epoch(v->inventory->feed),
        .versions = page.versions,
        .values = page.values,
        .timeout_us = CACHE_TIMEOUT_US,
        .done = cache_answered,
    };
    struct port *port = service_port(v->inventory->service);
    port->cache(port, &v->op);
    return 0;
}

/* What Redis says can be judged only when it has been told all that the snapshot holds. */
static void look_at_cache(struct verification *v)
{
    struct feed *feed = v->inventory->feed;
    struct port *port = service_port(v->inventory->service);
    bool wait = feed && v->n_words && !feed_has_told(feed, v->seq);
    if (wait && v->waits++ < WAITS_MAX) {
        port->timer_start(port, &v->timer, WAIT_US);
        return;
    }
    int r = RPC_NOW;
    if (feed && v->n_words && !wait)
        r = start_lookup(v);
    else
        v->cache_read = feed && !wait;
    if (r < 0 || !v->op.n)
        rpc_gathered(v->call, r);
}

static void waited(struct timer *timer)
{
    look_at_cache(VERIFICATION_OF(timer, timer));
}

static void books_read(struct task *task)
{
    look_at_cache(VERIFICATION_OF(task, task));
}

static void read_done(struct unit *unit, int result)
{
    struct verification *v = unit->arg;
    struct port *port = service_port(v->inventory->service);
    if (result < 0)
        rpc_gathered(v->call, result);
    else
        port->post(port, LANE_LOOP, &v->task);
}

int verify_books(struct rpc_call *call, const void *in, void *out)
{
    struct verification *v = rpc_scratch(call, sizeof(*v));
    if (!v)
        return -ENOMEM;
    v->call = call;
    v->inventory = rpc_app(call);
    v->request = in;
    v->timer.fire = waited;
    v->task.run = books_read;
    v->unit = (struct unit){ .run = run_read, .arg = v, .arena = rpc_arena(call), .done = read_done };
    store_read(service_store(v->inventory->service), &v->unit);
    return RPC_LATER;
}

/* --- the reply, and what is mended --- */

static int add(struct arena *arena, VerifyInventoryResponse *ret, const struct finding *finding, bool repaired)
{
    Divergence *d = arena_message(arena, &oms__inventory__v1__verify_inventory_response__divergence__descriptor);
    if (!d)
        return -ENOMEM;
    d->sku = (char *)finding->sku;
    d->location_id = (char *)finding->location_id;
    d->what = (char *)finding->what;
    d->expected = finding->expected;
    d->found = finding->found;
    d->repaired = repaired;
    ret->divergences[ret->n_divergences++] = d;
    return 0;
}

static bool is_told_wrong(const struct verification *v, const struct word *word)
{
    if (!v->cache_read || word->cached_version == 0)
        return false;
    return word->cached != word->free || word->cached_version > word->version;
}

/* Those of whom something is perhaps wrong; Redis may also have been told of more than the snapshot held. */
static size_t collect_suspects(const struct verification *v, const struct word **ret_suspects)
{
    size_t n = 0;
    for (size_t i = 0; i < v->n_words; i++)
        if (v->words[i].stored != v->words[i].free || is_told_wrong(v, &v->words[i]))
            ret_suspects[n++] = &v->words[i];
    return n;
}

static int read_again(struct txn *txn, const struct word *const *suspects, size_t n, struct rows *ret_rows)
{
    struct value *values = arena_alloc(txn->arena, n * 2 * sizeof(*values));
    if (!values)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        values[2 * i] = I(i);
        values[2 * i + 1] = T(suspects[i]->sku);
    }
    return txn_query_many(txn, ret_rows,
                          "WITH wanted (place, sku) AS (VALUES (CAST($1 AS BIGINT), CAST($2 AS TEXT))) "
                          "SELECT w.place, COALESCE(a.available, 0), COALESCE(a.version, 0), "
                          "(SELECT CAST(COALESCE(SUM(s.on_hand - s.reserved), 0) AS BIGINT) FROM stock s "
                          "WHERE s.sku = w.sku) FROM wanted w LEFT JOIN availability a ON a.sku = w.sku",
                          n, 2, values);
}

/* A version above all that was ever told, so that it goes the way of every change. */
static int mend(struct txn *txn, const struct word *now)
{
    AvailabilityChanged *payload = arena_message(txn->arena, &oms__event__v1__availability_changed__descriptor);
    if (!payload)
        return -ENOMEM;
    payload->sku = (char *)now->sku;
    payload->available = now->free;
    payload->version = (now->version > now->cached_version ? now->version : now->cached_version) + 1;
    int r = txn_post(txn,
                     "INSERT INTO availability (sku, available, version) VALUES ($1, $2, $3) "
                     "ON CONFLICT (sku) DO UPDATE SET available = excluded.available, version = excluded.version",
                     T(now->sku), I(now->free), I(payload->version));
    if (r < 0)
        return r;
    const struct event event = availability_event(payload);
    return log_append(txn, &event);
}

/* now is what the tables say in this transaction, and what Redis said before it. */
static int judge(struct txn *txn, const struct verification *v, const struct word *then, const struct word *now,
                 VerifyInventoryResponse *ret)
{
    bool wrong = now->stored != now->free;
    bool same = then->version == now->version;
    bool told_wrong =
        is_told_wrong(v, now) && (same || now->cached_version > now->version || now->cached_version < then->version);
    const struct finding available = { now->sku, "", "AVAILABLE", now->free, now->stored };
    const struct finding cache = { now->sku, "", "CACHE", now->free, now->cached };
    int r = wrong ? add(txn->arena, ret, &available, v->request->repair) : 0;
    if (r == 0 && told_wrong)
        r = add(txn->arena, ret, &cache, v->request->repair);
    if (r < 0 || !v->request->repair || (!wrong && !told_wrong))
        return r;
    return mend(txn, now);
}

static int judge_words(struct txn *txn, const struct verification *v, VerifyInventoryResponse *ret)
{
    struct rows rows = { 0 };
    const struct word **suspects = arena_alloc(txn->arena, v->n_words * sizeof(*suspects));
    if (!suspects)
        return -ENOMEM;
    size_t n = collect_suspects(v, suspects);
    int r = n ? read_again(txn, suspects, n, &rows) : 0;
    for (size_t row = 0; r == 0 && row < rows.n; row++) {
        const struct word *then = suspects[row_int(&rows, row, 0)];
        struct word now = *then;
        now.stored = row_int(&rows, row, 1);
        now.version = (uint64_t)row_int(&rows, row, 2);
        now.free = row_int(&rows, row, 3);
        r = judge(txn, v, then, &now, ret);
    }
    return r;
}

int verify_inventory(struct rpc_call *call, struct txn *txn, const void *in, void *out)
{
    VerifyInventoryResponse *ret = out;
    const struct verification *v = rpc_scratch(call, sizeof(*v));
    if (!v)
        return -ENOMEM;
    ret->verified = (int64_t)v->n_skus;
    ret->next_sku = (char *)v->next_sku;
    ret->cache_read = v->cache_read;
    ret->divergences = arena_alloc(txn->arena, (v->n_findings + 2 * v->n_words) * sizeof(Divergence *));
    if (!ret->divergences)
        return -ENOMEM;
    for (size_t i = 0; i < v->n_findings; i++) {
        int r = add(txn->arena, ret, &v->findings[i], false);
        if (r < 0)
            return r;
    }
    return judge_words(txn, v, ret);
}
