/* Creating fulfilments and undoing it.
 *
 * All requests that wait become one transaction, whose statements are as many for a thousand fulfilments as for one. */
#include "svc-shipping/manifest.h"

#include "mesh/base/id.h"

#include <errno.h>
#include <string.h>

#define SLICE_LINES  4096               /* written at once: what queues can be far more than one arena holds */
#define SLICE_BUDGET (64 * 1024 * 1024) /* bytes */

enum { FULFILLMENT_VALUES = 17, LINE_VALUES = 5 };

struct slice {
    struct txn *txn;
    struct value *fulfillments, *lines;
    struct event *events;
    size_t n_fulfillments, n_lines;
};

static int tell_created(struct slice *slice, const CreateFulfillmentRequest *req, const Share *share,
                        const char *fulfillment_id)
{
    Fulfillment created = OMS__SHIPPING__V1__FULFILLMENT__INIT;
    created.fulfillment_id = (char *)fulfillment_id;
    created.order_id = req->order_id;
    created.customer_id = req->customer_id;
    created.location_id = share->location_id;
    created.state = standing_state(ALLOCATED);
    created.n_lines = share->n_lines;
    created.lines = share->lines;
    created.carrier = CARRIER;
    created.version = 1;
    created.operation_id = req->request_id;
    return manifest_event(slice->txn, standing_event(ALLOCATED), &created, &slice->events[slice->n_fulfillments]);
}

static int add_share(struct slice *slice, const struct rpc_item *item, const Share *share, const char *id)
{
    const CreateFulfillmentRequest *req = item->in;
    int64_t now_us = slice->txn->now_us;
    int r = tell_created(slice, req, share, id);
    if (r < 0)
        return r;
    const struct value row[FULFILLMENT_VALUES] = {
        T(id),
        T(rpc_caller(item->call)->subject),
        T(req->request_id),
        T(req->order_id),
        T(req->customer_id),
        T(share->location_id),
        I(ALLOCATED),
        I(share->n_lines),
        I(0),
        T(CARRIER),
        T(""),
        I(0),
        I(0),
        T(""),
        I(now_us),
        I(now_us),
        I(1),
    };
    memcpy(slice->fulfillments + slice->n_fulfillments++ * FULFILLMENT_VALUES, row, sizeof(row));
    for (size_t i = 0; i < share->n_lines; i++) {
        const FulfillmentLine *l = share->lines[i];
        const struct value line[LINE_VALUES] = { T(id), I(i), I(l->place), T(l->sku), I(l->quantity) };
        memcpy(slice->lines + slice->n_lines++ * LINE_VALUES, line, sizeof(line));
    }
    return 0;
}

/* The reply lives in its own call's arena: the other calls may end before it. */
static int add_item(struct slice *slice, struct rpc_item *item)
{
    const CreateFulfillmentRequest *req = item->in;
    CreateFulfillmentResponse *ret = item->out;
    struct arena *arena = rpc_arena(item->call);
    ret->fulfillment_ids = arena_alloc(arena, req->n_shares * sizeof(char *));
    if (!ret->fulfillment_ids)
        return -ENOMEM;
    for (size_t i = 0; i < req->n_shares; i++) {
        char id[ID_MAX];
        id_make(store_port(slice->txn->store), "ful", id);
        char *copy = arena_copy(arena, id, strlen(id));
        int r = copy ? add_share(slice, item, req->shares[i], copy) : -ENOMEM;
        if (r < 0)
            return r;
        ret->fulfillment_ids[ret->n_fulfillment_ids++] = copy;
    }
    return 0;
}

static int write_slice(struct slice *slice)
{
    int r = txn_post_many(slice->txn,
                          "INSERT INTO fulfillment (fulfillment_id, holder, operation_id, order_id, customer_id, "
                          "location_id, standing, lines, weight_grams, carrier, tracking_number, promise_time_us, "
                          "delayed, exception, create_time_us, update_time_us, version) VALUES "
                          "($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)",
                          slice->n_fulfillments, FULFILLMENT_VALUES, slice->fulfillments);
    if (r < 0)
        return r;
    r = txn_post_many(slice->txn,
                      "INSERT INTO fulfillment_line (fulfillment_id, n, place, sku, quantity) "
                      "VALUES ($1, $2, $3, $4, $5)",
                      slice->n_lines, LINE_VALUES, slice->lines);
    return r < 0 ? r : log_append_many(slice->txn, slice->events, slice->n_fulfillments);
}

static void count(const struct rpc_item *item, size_t *shares, size_t *lines)
{
    const CreateFulfillmentRequest *req = item->in;
    *shares += req->n_shares;
    for (size_t i = 0; i < req->n_shares; i++)
        *lines += req->shares[i]->n_lines;
}

static int create_slice(struct slice *slice, struct rpc_item *items, size_t n)
{
    size_t shares = 0, lines = 0;
    struct arena *arena = slice->txn->arena;
    for (size_t i = 0; i < n; i++)
        count(&items[i], &shares, &lines);
    slice->fulfillments = arena_alloc(arena, shares * FULFILLMENT_VALUES * sizeof(*slice->fulfillments));
    slice->lines = arena_alloc(arena, lines * LINE_VALUES * sizeof(*slice->lines));
    slice->events = arena_alloc(arena, shares * sizeof(*slice->events));
    if (!slice->fulfillments || !slice->lines || !slice->events)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        int r = add_item(slice, &items[i]);
        if (r < 0)
            return r;
    }
    return write_slice(slice);
}

/* Takes an arena of its own: what the requests of many need is not one caller's budget. */
static int create_items(struct txn *txn, struct rpc_item *items, size_t n)
{
    struct arena own, *callers = txn->arena;
    arena_init(&own, SLICE_BUDGET);
    txn->arena = &own;
    struct slice slice = { .txn = txn };
    int r = create_slice(&slice, items, n);
    txn->arena = callers;
    arena_finish(&own);
    return r;
}

int create_fulfillments(struct txn *txn, struct rpc_item *items, size_t n)
{
    for (size_t first = 0; first < n;) {
        size_t end = first, shares = 0, lines = 0;
        do
            count(&items[end++], &shares, &lines);
        while (end < n && lines < SLICE_LINES);
        int r = create_items(txn, items + first, end - first);
        if (r < 0)
            return r;
        first = end;
    }
    return 0;
}

/* --- undo --- */

static int judge(struct manifest *manifest, struct entry *entry, Verdict **ret_verdict)
{
    static const struct news nothing_new = { 0 };
    Verdict *verdict =
        arena_message(manifest->txn->arena, &oms__shipping__v1__cancel_fulfillment_response__verdict__descriptor);
    if (!verdict)
        return -ENOMEM;
    int r = manifest_move(manifest, entry, fulfillment_happened(entry->standing, CANCEL_WANTED), &nothing_new);
    if (r < 0)
        return r;
    verdict->fulfillment_id = entry->told->fulfillment_id;
    verdict->location_id = entry->told->location_id;
    verdict->too_late = entry->standing != CANCELLED && entry->standing != SHORT;
    verdict->n_lines = entry->told->n_lines;
    verdict->lines = entry->told->lines;
    *ret_verdict = verdict;
    return 0;
}

int cancel_fulfillment(struct rpc_call *call, struct txn *txn, const void *in, void *out)
{
    const CancelFulfillmentRequest *req = in;
    CancelFulfillmentResponse *ret = out;
    struct rows rows;
    int r = txn_query(txn, &rows, "SELECT fulfillment_id FROM fulfillment WHERE holder = $1 AND operation_id = $2",
                      T(rpc_caller(call)->subject), T(req->operation_id));
    if (r < 0)
        return r;
    const char **ids = arena_alloc(txn->arena, rows.n * sizeof(*ids));
    ret->verdicts = arena_alloc(txn->arena, rows.n * sizeof(Verdict *));
    if (!ids || !ret->verdicts)
        return -ENOMEM;
    for (size_t i = 0; i < rows.n; i++)
        ids[i] = row_text(&rows, i, 0);

    struct manifest manifest;
    r = manifest_open(txn, ids, rows.n, rows.n, &manifest);
    for (; r == 0 && ret->n_verdicts < manifest.n; ret->n_verdicts++)
        r = judge(&manifest, &manifest.entries[ret->n_verdicts], &ret->verdicts[ret->n_verdicts]);
    return r < 0 ? r : manifest_close(&manifest);
}
