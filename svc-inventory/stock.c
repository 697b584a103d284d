/* Locations, and what is on their shelves. */
#include "svc-inventory/book.h"

#include <errno.h>
#include <string.h>

#define PAGE_DEFAULT 50

int upsert_location(struct rpc_call *call, struct txn *txn, const void *in, void *out)
{
    const UpsertLocationRequest *req = in;
    const Location *l = req->location;
    int r = txn_post(txn,
                     "INSERT INTO location (location_id, title, country, priority) VALUES ($1, $2, $3, $4) "
                     "ON CONFLICT (location_id) DO UPDATE SET title = excluded.title, country = excluded.country, "
                     "priority = excluded.priority",
                     T(l->location_id), T(l->title), T(l->country), I(l->priority));
    if (r < 0)
        return r;
    *(Location *)out = *l;
    return 0;
}

int list_locations(struct rpc_call *call, struct txn *txn, const void *in, void *out)
{
    ListLocationsResponse *ret = out;
    struct rows rows;
    int r = txn_query(txn, &rows,
                      "SELECT location_id, title, country, priority FROM location ORDER BY priority, location_id");
    if (r < 0)
        return r;

    ret->locations = arena_alloc(txn->arena, rows.n * sizeof(Location *));
    if (!ret->locations)
        return -ENOMEM;
    for (size_t i = 0; i < rows.n; i++) {
        Location *location = arena_message(txn->arena, &oms__inventory__v1__location__descriptor);
        r = location ? row_message(&rows, i, &location->base) : -ENOMEM;
        if (r < 0)
            return r;
        ret->locations[ret->n_locations++] = location;
    }
    return 0;
}

static int check_location(struct rpc_call *call, struct txn *txn, const char *location_id)
{
    struct rows rows;
    int r = txn_query(txn, &rows, "SELECT location_id FROM location WHERE location_id = $1", T(location_id));
    if (r < 0)
        return r;
    return rows.n ? 0 : rpc_fail_missing(call, "location", location_id);
}

int check_reason(struct rpc_call *call, const char *reason)
{
    if (reason[strspn(reason, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")] == '\0')
        return 0;
    return rpc_fail_field(call, "reason", "REASON_INVALID", "a reason is a code of A-Z, 0-9 and _");
}

static int check_shelf(struct rpc_call *call, const char *sku, const struct shelf *shelf, int64_t delta)
{
    if (shelf->on_hand + delta < shelf->reserved) {
        int r = rpc_fail_state(call, sku, "STOCK_WOULD_GO_NEGATIVE", "%lld are there, of which %lld are reserved",
                               (long long)shelf->on_hand, (long long)shelf->reserved);
        rpc_error_meta(call, "location_id", shelf->location_id);
        return r;
    }
    if (shelf->on_hand + delta > STOCK_MAX)
        return rpc_fail_field(call, "delta", "STOCK_OVERFLOW", "one shelf holds at most %lld", (long long)STOCK_MAX);
    return 0;
}

static int stock_message(struct txn *txn, const char *sku, const struct shelf *shelf, Stock **ret_stock)
{
    Stock *stock = arena_message(txn->arena, &oms__inventory__v1__stock__descriptor);
    if (!stock)
        return -ENOMEM;
    stock->sku = (char *)sku;
    stock->location_id = (char *)shelf->location_id;
    stock->on_hand = shelf->on_hand;
    stock->reserved = shelf->reserved;
    stock->available = shelf->on_hand - shelf->reserved;
    stock->version = shelf->version;
    *ret_stock = stock;
    return 0;
}

static int move_stock(struct rpc_call *call, struct book *book, struct sku_stock *sku, const AdjustStockRequest *req,
                      AdjustStockResponse *ret)
{
    struct shelf *shelf = book_shelf(sku, req->location_id);
    int r = shelf ? 0 : book_add_shelf(book, sku, req->location_id, &shelf);
    if (r < 0)
        return r;
    r = check_shelf(call, req->sku, shelf, req->delta);
    if (r < 0)
        return r;
    const struct cause cause = { req->reason, req->request_id, "", 0 };
    r = book_move(book, sku, shelf, req->delta, 0, &cause);
    if (r == 0)
        r = book_close(book);
    return r < 0 ? r : stock_message(book->txn, sku->sku, shelf, &ret->stock);
}

int adjust_stock(struct rpc_call *call, struct txn *txn, const void *in, void *out)
{
    const AdjustStockRequest *req = in;
    AdjustStockResponse *ret = out;
    if (req->delta == 0)
        return rpc_fail_field(call, "delta", "DELTA_ZERO", "an adjustment changes something");
    int r = check_reason(call, req->reason);
    if (r == 0)
        r = check_location(call, txn, req->location_id);
    if (r < 0)
        return r;
    struct book book;
    r = book_open(txn, (const char *const[]){ req->sku }, 1, &book);
    if (r < 0)
        return r;
    struct sku_stock *sku = book_find(&book, req->sku);
    if (!sku->known && sku->n_shelves == 0)
        return rpc_fail_missing(call, "sku", req->sku);

    r = move_stock(call, &book, sku, req, ret);
    return r < 0 ? r : log_position_message(txn, &ret->position);
}

/* Without a SKU the range is all of them. */
static int read_stock(struct txn *txn, const ListStockRequest *req, const char *const *after, size_t max,
                      struct rows *ret_rows)
{
    const char *last = req->sku[0] ? req->sku : "\U0010ffff";
    return txn_query(txn, ret_rows,
                     "SELECT sku, location_id, on_hand, reserved, on_hand - reserved AS available, version "
                     "FROM stock WHERE (sku, location_id) > ($1, $2) AND sku >= $3 AND sku <= $4 "
                     "AND ($5 = '' OR location_id = $5) ORDER BY sku, location_id LIMIT $6",
                     T(after[0] ? after[0] : req->sku), T(after[1] ? after[1] : ""), T(req->sku), T(last),
                     T(req->location_id), I(max));
}

int list_stock(struct rpc_call *call, struct txn *txn, const void *in, void *out)
{
    const ListStockRequest *req = in;
    ListStockResponse *ret = out;
    size_t max = req->page_size ? req->page_size : PAGE_DEFAULT;
    const char *query = arena_printf(rpc_arena(call), "stock %s\n%s", req->sku, req->location_id), *after[2];
    if (!query)
        return -ENOMEM;
    int r = rpc_page_open(call, req->page_token, query, after, 2);
    if (r < 0)
        return r;

    struct rows rows;
    r = read_stock(txn, req, after, max + 1, &rows);
    if (r < 0)
        return r;
    bool more = rows.n > max;
    size_t n = more ? max : rows.n;
    ret->stock = arena_alloc(txn->arena, n * sizeof(Stock *));
    if (!ret->stock)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        Stock *stock = arena_message(txn->arena, &oms__inventory__v1__stock__descriptor);
        r = stock ? row_message(&rows, i, &stock->base) : -ENOMEM;
        if (r < 0)
            return r;
        ret->stock[ret->n_stock++] = stock;
    }
    if (!more)
        return 0;
    const char *last[] = { ret->stock[n - 1]->sku, ret->stock[n - 1]->location_id };
    ret->next_page_token = (char *)rpc_page_token(call, query, last, 2);
    return ret->next_page_token ? 0 : -ENOMEM;
}
