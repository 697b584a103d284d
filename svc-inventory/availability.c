/* BatchGetAvailability: asked of Redis first, and of the table for what is not there, which then goes to Redis. */
#include "svc-inventory/availability.h"

#include "svc-inventory/feed.h"

#include <errno.h>
#include <stddef.h>

struct event availability_event(const AvailabilityChanged *payload)
{
    return (struct event){
        .type = OMS__EVENT__V1__EVENT_TYPE__AVAILABILITY_CHANGED,
        .key = payload->sku,
        .owner = "",
        .audience = AUDIENCE_PUBLIC,
        .payload = &payload->base,
    };
}

int availability_page_init(struct arena *arena, size_t n, struct availability_page *ret_page)
{
    struct availability_page page = {
        .skus = arena_zalloc(arena, n * sizeof(*page.skus)),
        .values = arena_zalloc(arena, n * sizeof(*page.values)),
        .versions = arena_zalloc(arena, n * sizeof(*page.versions)),
    };
    if (!page.skus || !page.values || !page.versions)
        return -ENOMEM;
    *ret_page = page;
    return 0;
}

int availability_after(struct txn *txn, const char *sku, size_t max, struct availability_page *ret_page)
{
    struct rows rows;
    int r =
        txn_query(txn, &rows, "SELECT sku, available, version FROM availability WHERE sku > $1 ORDER BY sku LIMIT $2",
                  T(sku), I(max));
    if (r < 0)
        return r;
    struct availability_page page;
    r = availability_page_init(txn->arena, rows.n, &page);
    if (r < 0)
        return r;
    for (; page.n < rows.n; page.n++) {
        page.skus[page.n] = row_text(&rows, page.n, 0);
        page.values[page.n] = row_int(&rows, page.n, 1);
        page.versions[page.n] = row_int(&rows, page.n, 2);
    }
    *ret_page = page;
    return 0;
}

int availability_snapshot(struct txn *txn, const char *after, size_t max, struct event *ret_events,
                          const char **ret_keys)
{
    struct availability_page page;
    int r = availability_after(txn, after ? after : "", max, &page);
    if (r < 0)
        return r;
    for (size_t i = 0; i < page.n; i++) {
        AvailabilityChanged *payload = arena_message(txn->arena, &oms__event__v1__availability_changed__descriptor);
        if (!payload)
            return -ENOMEM;
        payload->sku = (char *)page.skus[i];
        payload->available = page.values[i];
        payload->version = page.versions[i];
        ret_events[i] = availability_event(payload);
        ret_keys[i] = page.skus[i];
    }
    return (int)page.n;
}

/* One call's question to Redis. */
struct lookup {
    struct cache_op op;
    struct rpc_call *call;
    void *out;
    bool answered;
    struct availability_page page; /* what it answered; version 0: not there */
};

static int fill_reply(struct arena *arena, const struct availability_page *page, BatchGetAvailabilityResponse *ret)
{
    ret->availability = arena_alloc(arena, page->n * sizeof(Availability *));
    if (!ret->availability)
        return -ENOMEM;
    for (size_t i = 0; i < page->n; i++) {
        Availability *a = arena_message(arena, &oms__inventory__v1__availability__descriptor);
        if (!a)
            return -ENOMEM;
        a->sku = (char *)page->skus[i];
        a->available = page->values[i];
        a->version = page->versions[i];
        ret->availability[ret->n_availability++] = a;
    }
    return 0;
}

static size_t count_missing(const struct availability_page *page)
{
    size_t n = 0;
    for (size_t i = 0; i < page->n; i++)
        n += page->versions[i] == 0;
    return n;
}

static void looked_up(struct cache_op *op, int result)
{
    struct lookup *lookup = (struct lookup *)((char *)op - offsetof(struct lookup, op));
    lookup->answered = result == 0;
    if (!lookup->answered || count_missing(&lookup->page)) {
        rpc_gathered(lookup->call, RPC_NOW);
        return;
    }
    int r = fill_reply(rpc_arena(lookup->call), &lookup->page, lookup->out);
    rpc_gathered(lookup->call, r < 0 ? r : RPC_REPLY);
}

int availability_cached(struct rpc_call *call, const void *in, void *out)
{
    const BatchGetAvailabilityRequest *req = in;
    struct inventory *inventory = rpc_app(call);
    if (!inventory->feed)
        return RPC_NOW;

    struct lookup *lookup = rpc_scratch(call, sizeof(*lookup));
    int r = lookup ? availability_page_init(rpc_arena(call), req->n_skus, &lookup->page) : -ENOMEM;
    if (r < 0)
        return r;
    for (size_t i = 0; i < req->n_skus; i++)
        lookup->page.skus[i] = req->skus[i];
    lookup->page.n = req->n_skus;
    lookup->call = call;
    lookup->out = out;
    lookup->op = (struct cache_op){
        .op = CACHE_GET,
        .n = req->n_skus,
        .keys = lookup->page.skus,
        .epoch = feed_epoch(inventory->feed),
        .versions = lookup->page.versions,
        .values = lookup->page.values,
        .timeout_us = CACHE_TIMEOUT_US,
        .done = looked_up,
    };
    struct port *port = service_port(inventory->service);
    port->cache(port, &lookup->op);
    return RPC_LATER;
}

/* Fills what is missing of the page; *ret_stored gets that alone. */
static int read_missing(struct txn *txn, struct availability_page *page, struct availability_page *ret_stored)
{
    size_t n = 0;
    struct value *values = arena_alloc(txn->arena, count_missing(page) * 2 * sizeof(*values));
    if (!values)
        return -ENOMEM;
    for (size_t i = 0; i < page->n; i++) {
        if (page->versions[i])
            continue;
        values[2 * n] = I(i);
        values[2 * n++ + 1] = T(page->skus[i]);
    }

    struct rows rows;
    int r = txn_query_many(txn, &rows,
                           "WITH wanted (place, sku) AS (VALUES (CAST($1 AS BIGINT), CAST($2 AS TEXT))) "
                           "SELECT w.place, a.available, a.version "
                           "FROM wanted w CROSS JOIN availability a WHERE a.sku = w.sku",
                           n, 2, values);
    if (r < 0)
        return r;
    r = availability_page_init(txn->arena, rows.n, ret_stored);
    if (r < 0)
        return r;
    for (size_t row = 0; row < rows.n; row++) {
        size_t i = row_int(&rows, row, 0);
        page->values[i] = ret_stored->values[row] = row_int(&rows, row, 1);
        page->versions[i] = ret_stored->versions[row] = row_int(&rows, row, 2);
        ret_stored->skus[row] = page->skus[i];
    }
    ret_stored->n = rows.n;
    return 0;
}

int availability_stored(struct rpc_call *call, struct txn *txn, const void *in, void *out)
{
    const BatchGetAvailabilityRequest *req = in;
    struct inventory *inventory = rpc_app(call);
    struct lookup *lookup = rpc_scratch(call, sizeof(*lookup));
    struct availability_page page, stored;
    int r = lookup ? availability_page_init(txn->arena, req->n_skus, &page) : -ENOMEM;
    if (r < 0)
        return r;
    for (; page.n < req->n_skus; page.n++) {
        page.skus[page.n] = req->skus[page.n];
        page.values[page.n] = lookup->answered ? lookup->page.values[page.n] : 0;
        page.versions[page.n] = lookup->answered ? lookup->page.versions[page.n] : 0;
    }

    r = read_missing(txn, &page, &stored);
    if (r < 0)
        return r;
    if (lookup->answered)
        cache_repair(service_port(inventory->service), inventory->feed, &stored);
    return fill_reply(txn->arena, &page, out);
}
