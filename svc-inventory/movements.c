/* RecordMovements: what has left or come back, whatever the stock says of it.
 *
 * All requests that wait are booked in one transaction, in the order they came: their SKUs are read once, moved in
 * memory and written back once. Each is looked at whole before it moves anything. */
#include "svc-inventory/book.h"

#include <errno.h>

#define SLICE_LINES 4096 /* booked at once: what queues can be far more than one arena holds */

struct slice {
    struct rpc_item *items;
    size_t n, n_lines;
    struct book book;
    const char *home; /* the first location; NULL: there is none */
    struct portion **portions;
    size_t *n_portions; /* of each item */
};

static int read_home(struct txn *txn, const char **ret_home)
{
    struct rows rows;
    int r = txn_query(txn, &rows, "SELECT location_id FROM location ORDER BY priority, location_id LIMIT 1");
    if (r == 0)
        *ret_home = rows.n ? row_text(&rows, 0, 0) : NULL;
    return r;
}

static int open_slice(struct slice *slice, struct txn *txn)
{
    const char **skus = arena_alloc(txn->arena, slice->n_lines * sizeof(*skus));
    struct portion *portions = arena_alloc(txn->arena, slice->n_lines * sizeof(*portions));
    slice->portions = arena_alloc(txn->arena, slice->n * sizeof(*slice->portions));
    slice->n_portions = arena_alloc(txn->arena, slice->n * sizeof(*slice->n_portions));
    if (!skus || !portions || !slice->portions || !slice->n_portions)
        return -ENOMEM;

    size_t n = 0;
    for (size_t i = 0; i < slice->n; i++) {
        const RecordMovementsRequest *req = slice->items[i].in;
        for (size_t line = 0; line < req->n_lines; line++)
            portions[line] = (struct portion){ req->lines[line]->sku, req->lines[line]->delta };
        slice->portions[i] = portions;
        slice->n_portions[i] = portions_add_up(portions, req->n_lines);
        for (size_t p = 0; p < slice->n_portions[i]; p++)
            skus[n++] = portions[p].sku;
        portions += slice->n_portions[i];
    }
    int r = read_home(txn, &slice->home);
    return r < 0 ? r : book_open(txn, skus, n, &slice->book);
}

static int refuse(struct rpc_call *call, const char *sku, const char *reason, const char *why)
{
    int r = rpc_fail_state(call, sku, reason, "%s %s", sku, why);
    rpc_error_meta(call, "sku", sku);
    return r;
}

/* What is on shelves counts, even if the catalogue has dropped it since. */
static int check_portion(const struct slice *slice, struct rpc_call *call, const struct portion *portion)
{
    const struct sku_stock *sku = book_find(&slice->book, portion->sku);
    if (!sku->known && sku->n_shelves == 0)
        return refuse(call, portion->sku, "SKU_UNKNOWN", "is not in the catalogue");
    if (!sku->stocked)
        return refuse(call, portion->sku, "SKU_NOT_STOCKED", "has no stock");
    const struct shelf *shelf = book_shelf(sku, slice->home);
    if (shelf && shelf->on_hand + portion->quantity > STOCK_MAX)
        return refuse(call, portion->sku, "STOCK_OVERFLOW", "would be more than a shelf holds");
    return 0;
}

static int check_item(const struct slice *slice, size_t i)
{
    struct rpc_call *call = slice->items[i].call;
    const RecordMovementsRequest *req = slice->items[i].in;
    int r = check_reason(call, req->reason);
    for (size_t line = 0; r == 0 && line < req->n_lines; line++) {
        if (req->lines[line]->delta == 0)
            r = rpc_fail_field(call, arena_printf(rpc_arena(call), "lines[%zu].delta", line), "DELTA_ZERO",
                               "a movement changes something");
    }
    if (r == 0 && !slice->home)
        r = rpc_fail_state(call, "location", "NO_LOCATION", "there is no location to book it at");
    for (size_t p = 0; r == 0 && p < slice->n_portions[i]; p++)
        r = check_portion(slice, call, &slice->portions[i][p]);
    return r;
}

/* The SKU's shelf at the first location. */
static int home_shelf(struct slice *slice, struct sku_stock *sku, struct shelf **ret_shelf)
{
    *ret_shelf = book_shelf(sku, slice->home);
    return *ret_shelf ? 0 : book_add_shelf(&slice->book, sku, slice->home, ret_shelf);
}

static int bring(struct slice *slice, struct sku_stock *sku, int64_t quantity, const struct cause *cause)
{
    struct shelf *shelf;
    int r = home_shelf(slice, sku, &shelf);
    return r < 0 ? r : book_move(&slice->book, sku, shelf, quantity, 0, cause);
}

static int take(struct slice *slice, struct sku_stock *sku, int64_t quantity, const struct cause *cause)
{
    int r = 0;
    for (size_t i = 0; r == 0 && quantity > 0 && i < sku->n_shelves; i++) {
        struct shelf *shelf = &sku->shelves[i];
        int64_t available = shelf->on_hand - shelf->reserved;
        int64_t taken = available < quantity ? available : quantity;
        quantity -= taken;
        if (taken > 0)
            r = book_move(&slice->book, sku, shelf, -taken, 0, cause);
    }
    return r;
}

static int find(struct slice *slice, struct sku_stock *sku, int64_t quantity, const struct cause *cause)
{
    struct cause *found = arena_alloc(slice->book.txn->arena, sizeof(*found));
    if (!found)
        return -ENOMEM;
    *found = *cause;
    found->reason = "UNCOUNTED";
    return bring(slice, sku, quantity, found);
}

static int move(struct slice *slice, const struct portion *portion, const struct cause *cause, int64_t *uncounted)
{
    struct sku_stock *sku = book_find(&slice->book, portion->sku);
    if (portion->quantity == 0)
        return 0;
    if (portion->quantity > 0)
        return bring(slice, sku, portion->quantity, cause);
    int64_t missing = -portion->quantity - sku->available;
    if (missing > 0) {
        int r = find(slice, sku, missing, cause);
        if (r < 0)
            return r;
        *uncounted += missing;
    }
    return take(slice, sku, -portion->quantity, cause);
}

static int record(struct slice *slice, size_t i)
{
    const RecordMovementsRequest *req = slice->items[i].in;
    RecordMovementsResponse *ret = slice->items[i].out;
    slice->items[i].result = check_item(slice, i);
    if (slice->items[i].result < 0)
        return 0;
    struct cause *cause = arena_alloc(slice->book.txn->arena, sizeof(*cause));
    if (!cause)
        return -ENOMEM;
    *cause = (struct cause){ req->reason, req->request_id, req->document_id, req->time_us };
    int r = 0;
    for (size_t p = 0; r == 0 && p < slice->n_portions[i]; p++)
        r = move(slice, &slice->portions[i][p], cause, &ret->uncounted);
    return r;
}

static int run_slice(struct txn *txn, void *arg)
{
    struct slice *slice = arg;
    int r = open_slice(slice, txn);
    for (size_t i = 0; r == 0 && i < slice->n; i++)
        r = record(slice, i);
    return r < 0 ? r : book_close(&slice->book);
}

static size_t lines_of(const struct rpc_item *item)
{
    return ((const RecordMovementsRequest *)item->in)->n_lines;
}

int record_movements(struct txn *txn, struct rpc_item *items, size_t n)
{
    int r = 0;
    for (size_t first = 0; r == 0 && first < n;) {
        struct slice slice = { .items = items + first };
        do
            slice.n_lines += lines_of(&items[first + slice.n++]);
        while (first + slice.n < n && slice.n_lines + lines_of(&items[first + slice.n]) <= SLICE_LINES);
        r = book_apart(txn, run_slice, &slice);
        first += slice.n;
    }
    return r;
}
