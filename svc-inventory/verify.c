/* VerifyInventory: the books of a page of SKUs on one snapshot, then what Redis says of them, and last a unit that
 * looks once more at what may be mended. */
#include "svc-inventory/availability.h"
#include "svc-inventory/feed.h"
#include "svc-inventory/verification.h"

#include <errno.h>
#include <stddef.h>

#define WAIT_US   20000 /* for what is on its way to Redis */
#define WAITS_MAX 50

#define VERIFICATION_OF(pointer, member) \
    ((struct verification *)((char *)(pointer)-offsetof(struct verification, member)))

static int run_read(struct txn *txn, void *arg)
{
    return books_compare(txn, arg);
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
