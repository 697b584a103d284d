/* Reservations: every line of an order or none, first come first served.
 *
 * All requests that wait are granted in one transaction: their SKUs are read once, granted in memory in the order the
 * requests came, and written back once. Check and allocation are the same transaction, so nothing is sold twice. */
#include "svc-inventory/book.h"

#include "mesh/base/id.h"

#include <errno.h>
#include <string.h>

#define SLICE_LINES 4096 /* granted at once: what queues can be far more than one arena holds */

struct held {
    const char *reservation_id, *sku, *location_id;
    int64_t quantity;
};

struct slice {
    struct txn *txn;
    struct book book;
    struct rpc_item *items;
    size_t n, n_lines;
    struct portion **wants; /* of each item */
    size_t *n_wants;
    struct value *reservations; /* rows, see write_reservations */
    size_t n_reservations;
    struct held *held;
    size_t n_held, max_held;
};
enum { RESERVATION_COLUMNS = 7 };

static int collect_wants(struct slice *slice, size_t item)
{
    const ReserveStockRequest *req = slice->items[item].in;
    struct portion *wants = arena_alloc(slice->txn->arena, req->n_lines * sizeof(*wants));
    if (!wants)
        return -ENOMEM;
    for (size_t i = 0; i < req->n_lines; i++)
        wants[i] = (struct portion){ req->lines[i]->sku, req->lines[i]->quantity };
    slice->wants[item] = wants;
    slice->n_wants[item] = portions_add_up(wants, req->n_lines);
    return 0;
}

static int open_slice(struct slice *slice)
{
    struct arena *arena = slice->txn->arena;
    const char **skus = arena_alloc(arena, slice->n_lines * sizeof(*skus));
    slice->wants = arena_alloc(arena, slice->n * sizeof(*slice->wants));
    slice->n_wants = arena_alloc(arena, slice->n * sizeof(*slice->n_wants));
    slice->reservations = arena_alloc(arena, slice->n * RESERVATION_COLUMNS * sizeof(*slice->reservations));
    if (!skus || !slice->wants || !slice->n_wants || !slice->reservations)
        return -ENOMEM;

    size_t n = 0;
    for (size_t item = 0; item < slice->n; item++) {
        int r = collect_wants(slice, item);
        if (r < 0)
            return r;
        for (size_t i = 0; i < slice->n_wants[item]; i++)
            skus[n++] = slice->wants[item][i].sku;
    }
    return book_open(slice->txn, skus, n, &slice->book);
}

static bool is_short(const struct sku_stock *sku, int64_t quantity)
{
    return sku->stocked && sku->available < quantity;
}

static int tell_shortages(struct slice *slice, size_t item, size_t n)
{
    struct arena *arena = rpc_arena(slice->items[item].call);
    ReserveStockResponse *ret = slice->items[item].out;
    ret->shortages = arena_alloc(arena, n * sizeof(Shortage *));
    if (!ret->shortages)
        return -ENOMEM;

    for (size_t i = 0; i < slice->n_wants[item]; i++) {
        const struct portion *want = &slice->wants[item][i];
        const struct sku_stock *sku = book_find(&slice->book, want->sku);
        if (!is_short(sku, want->quantity))
            continue;
        Shortage *shortage = arena_message(arena, &oms__inventory__v1__reserve_stock_response__shortage__descriptor);
        if (!shortage)
            return -ENOMEM;
        shortage->sku = (char *)want->sku;
        shortage->wanted = want->quantity;
        shortage->available = sku->available;
        ret->shortages[ret->n_shortages++] = shortage;
    }
    return 0;
}

static int hold(struct slice *slice, const struct held *held)
{
    if (slice->n_held == slice->max_held) {
        size_t max = slice->max_held ? 2 * slice->max_held : 64;
        struct held *grown = arena_alloc(slice->txn->arena, max * sizeof(*grown));
        if (!grown)
            return -ENOMEM;
        if (slice->n_held)
            memcpy(grown, slice->held, slice->n_held * sizeof(*grown));
        slice->held = grown;
        slice->max_held = max;
    }
    slice->held[slice->n_held++] = *held;
    return 0;
}

/* From the shelves in their order, as many as it takes. */
static int take(struct slice *slice, const struct cause *cause, const struct portion *want)
{
    struct sku_stock *sku = book_find(&slice->book, want->sku);
    int64_t left = sku->stocked ? want->quantity : 0;
    for (size_t i = 0; left > 0; i++) {
        struct shelf *shelf = &sku->shelves[i];
        int64_t available = shelf->on_hand - shelf->reserved;
        int64_t taken = available < left ? available : left;
        if (taken == 0)
            continue;
        left -= taken;
        int r = book_move(&slice->book, sku, shelf, 0, taken, cause);
        if (r < 0)
            return r;
        r = hold(slice, &(struct held){ cause->ref, want->sku, shelf->location_id, taken });
        if (r < 0)
            return r;
    }
    return 0;
}

/* The reply lives in its own call's arena: the other calls may end before it. */
static int tell_allocations(struct rpc_item *item, const struct held *held, size_t n)
{
    struct arena *arena = rpc_arena(item->call);
    ReserveStockResponse *ret = item->out;
    ret->allocations = arena_alloc(arena, n * sizeof(Allocation *));
    if (!ret->allocations)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        Allocation *allocation =
            arena_message(arena, &oms__inventory__v1__reserve_stock_response__allocation__descriptor);
        if (!allocation)
            return -ENOMEM;
        allocation->sku = (char *)held[i].sku;
        allocation->location_id = arena_copy(arena, held[i].location_id, strlen(held[i].location_id));
        if (!allocation->location_id)
            return -ENOMEM;
        allocation->quantity = held[i].quantity;
        ret->allocations[ret->n_allocations++] = allocation;
    }
    return 0;
}

static void add_reservation(struct slice *slice, const struct rpc_item *item, const char *reservation_id)
{
    const ReserveStockRequest *req = item->in;
    const struct value row[RESERVATION_COLUMNS] = {
        T(rpc_caller(item->call)->subject),
        T(req->request_id),
        T(reservation_id),
        T(req->order_id),
        I(0),
        I(slice->txn->now_us),
        I(req->expire_time_us),
    };
    memcpy(slice->reservations + slice->n_reservations++ * RESERVATION_COLUMNS, row, sizeof(row));
}

/* So that whoever hears of the order finds what is reserved for it. */
static int check_ids(struct rpc_item *item)
{
    const ReserveStockRequest *req = item->in;
    if (req->expire_time_us == 0 || strncmp(req->request_id, req->order_id, strlen(req->order_id)) == 0)
        return 0;
    return rpc_fail_field(item->call, "request_id", "REQUEST_ID_NOT_OF_ORDER",
                          "of what may expire it begins with the order's id");
}

static int grant(struct slice *slice, size_t i)
{
    struct rpc_item *item = &slice->items[i];
    ReserveStockResponse *ret = item->out;
    size_t shortages = 0, first = slice->n_held;
    item->result = check_ids(item);
    if (item->result < 0)
        return 0;
    for (size_t w = 0; w < slice->n_wants[i]; w++)
        shortages += is_short(book_find(&slice->book, slice->wants[i][w].sku), slice->wants[i][w].quantity);
    if (shortages)
        return tell_shortages(slice, i, shortages);

    char id[ID_MAX];
    id_make(store_port(slice->txn->store), "rsv", id);
    ret->reservation_id = arena_copy(rpc_arena(item->call), id, strlen(id));
    struct cause *cause = arena_alloc(slice->txn->arena, sizeof(*cause));
    if (!ret->reservation_id || !cause)
        return -ENOMEM;
    *cause = (struct cause){ "RESERVED", ret->reservation_id, "", 0 };
    for (size_t w = 0; w < slice->n_wants[i]; w++) {
        int r = take(slice, cause, &slice->wants[i][w]);
        if (r < 0)
            return r;
    }

    add_reservation(slice, item, ret->reservation_id);
    return tell_allocations(item, slice->n_held > first ? &slice->held[first] : NULL, slice->n_held - first);
}

static int write_reservations(struct slice *slice)
{
    enum { COLUMNS = 4 };
    struct value *values = arena_alloc(slice->txn->arena, slice->n_held * COLUMNS * sizeof(*values));
    if (!values)
        return -ENOMEM;
    for (size_t i = 0; i < slice->n_held; i++) {
        const struct held *held = &slice->held[i];
        const struct value row[COLUMNS] = { T(held->reservation_id), T(held->sku), T(held->location_id),
                                            I(held->quantity) };
        memcpy(values + i * COLUMNS, row, sizeof(row));
    }

    int r = txn_post_many(slice->txn,
                          "INSERT INTO reservation (holder, operation_id, reservation_id, order_id, released, time_us, "
                          "expire_us) VALUES ($1, $2, $3, $4, $5, $6, $7)",
                          slice->n_reservations, RESERVATION_COLUMNS, slice->reservations);
    if (r < 0)
        return r;
    return txn_post_many(slice->txn,
                         "INSERT INTO reservation_line (reservation_id, sku, location_id, quantity) "
                         "VALUES ($1, $2, $3, $4)",
                         slice->n_held, COLUMNS, values);
}

static int reserve_slice(struct txn *txn, void *arg)
{
    struct slice *slice = arg;
    slice->txn = txn;
    int r = open_slice(slice);
    if (r < 0)
        return r;
    for (size_t i = 0; i < slice->n; i++) {
        r = grant(slice, i);
        if (r < 0)
            return r;
    }
    r = book_close(&slice->book);
    return r < 0 ? r : write_reservations(slice);
}

int reserve_stock(struct txn *txn, struct rpc_item *items, size_t n)
{
    for (size_t first = 0; first < n;) {
        struct slice slice = { .items = items + first };
        do
            slice.n_lines += ((const ReserveStockRequest *)items[first + slice.n++].in)->n_lines;
        while (first + slice.n < n &&
               slice.n_lines + ((const ReserveStockRequest *)items[first + slice.n].in)->n_lines <= SLICE_LINES);

        int r = book_apart(txn, reserve_slice, &slice);
        if (r < 0)
            return r;
        first += slice.n;
    }
    return 0;
}
