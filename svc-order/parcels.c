/* What is sent from where, what has left, and what the customer owes for it. */
#include "svc-order/life.h"

#include <errno.h>
#include <string.h>

/* --- allocations: which line is served from which location --- */

struct line {
    int64_t place, left;
    const char *sku;
};

static int read_stocked(struct txn *txn, const char *order_id, struct line **ret_lines, size_t *ret_n)
{
    struct rows rows;
    int r = txn_query(txn, &rows,
                      "SELECT place, quantity, sku FROM order_line WHERE order_id = $1 AND stocked = 1 ORDER BY place",
                      T(order_id));
    if (r < 0)
        return r;
    struct line *lines = arena_alloc(txn->arena, (rows.n + 1) * sizeof(*lines));
    if (!lines)
        return -ENOMEM;
    for (size_t i = 0; i < rows.n; i++)
        lines[i] = (struct line){ row_int(&rows, i, 0), row_int(&rows, i, 1), row_text(&rows, i, 2) };
    *ret_lines = lines;
    *ret_n = rows.n;
    return 0;
}

enum { ALLOCATION_COLUMNS = 5 };

/* Serves the lines of the SKU, first come first served, and returns how many rows that took. */
static size_t share_out(const char *order_id, const Allocation *a, struct line *lines, size_t n, struct value *values)
{
    size_t rows = 0;
    int64_t left = a->quantity;
    for (size_t i = 0; i < n && left > 0; i++) {
        if (lines[i].left == 0 || strcmp(lines[i].sku, a->sku) != 0)
            continue;
        int64_t taken = lines[i].left < left ? lines[i].left : left;
        const struct value row[ALLOCATION_COLUMNS] = { T(order_id), T(a->location_id), I(lines[i].place), T(a->sku),
                                                       I(taken) };
        memcpy(values + rows++ * ALLOCATION_COLUMNS, row, sizeof(row));
        lines[i].left -= taken;
        left -= taken;
    }
    return rows;
}

int allocate(struct txn *txn, const char *order_id, Allocation *const *allocations, size_t n)
{
    struct line *lines = NULL;
    size_t n_lines = 0, rows = 0;
    int r = read_stocked(txn, order_id, &lines, &n_lines);
    if (r < 0)
        return r;
    /* Each row uses up a line or an allocation. */
    struct value *values = arena_alloc(txn->arena, (n + n_lines) * ALLOCATION_COLUMNS * sizeof(*values));
    if (!values)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        rows += share_out(order_id, allocations[i], lines, n_lines, values + rows * ALLOCATION_COLUMNS);
    return txn_post_many(txn,
                         "INSERT INTO order_allocation (order_id, location_id, place, sku, quantity) "
                         "VALUES ($1, $2, $3, $4, $5) ON CONFLICT (order_id, location_id, place) DO NOTHING",
                         rows, ALLOCATION_COLUMNS, values);
}

/* --- parcels --- */

int parcel_read(struct txn *txn, const char *fulfillment_id, const char *location_id, FulfillmentLine *const *lines,
                size_t n, struct parcel *ret_parcel)
{
    struct share *shares = arena_alloc(txn->arena, (n + 1) * sizeof(*shares));
    if (!shares)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        shares[i] = (struct share){ lines[i]->sku, lines[i]->place, lines[i]->quantity };
    *ret_parcel = (struct parcel){ fulfillment_id, location_id, shares, n };
    return 0;
}

/* Marks the shares of the order's lines, and what they cost. */
static int mark_lines(struct life *life, const struct parcel *parcel, bool shipped, int64_t *ret_minor)
{
    *ret_minor = 0;
    life->lines_changed |= parcel->n > 0;
    for (size_t i = 0; i < parcel->n; i++) {
        const struct share *s = &parcel->shares[i];
        struct rows rows;
        int r = shipped ? txn_query(life->txn, &rows,
                                    "UPDATE order_line SET shipped = shipped + $3 WHERE order_id = $1 AND place = $2 "
                                    "RETURNING unit_minor",
                                    T(life->order_id), I(s->place), I(s->quantity))
                        : txn_query(life->txn, &rows,
                                    "UPDATE order_line SET cancelled = cancelled + $3 WHERE order_id = $1 "
                                    "AND place = $2 RETURNING unit_minor",
                                    T(life->order_id), I(s->place), I(s->quantity));
        if (r < 0)
            return r;
        if (rows.n)
            *ret_minor += row_int(&rows, 0, 0) * s->quantity;
    }
    return 0;
}

/* What is not stocked goes with the first parcel. */
static int ship_unstocked(struct life *life, int64_t *ret_minor)
{
    struct rows rows;
    int r = txn_query(life->txn, &rows,
                      "UPDATE order_line SET shipped = quantity - cancelled WHERE order_id = $1 AND stocked = 0 "
                      "RETURNING unit_minor * (quantity - cancelled)",
                      T(life->order_id));
    for (size_t i = 0; r == 0 && i < rows.n; i++)
        *ret_minor += row_int(&rows, i, 0);
    return r;
}

int parcel_left(struct life *life, const struct parcel *parcel)
{
    struct rows rows;
    int64_t amount_minor;
    int r = txn_query(life->txn, &rows, "SELECT 1 FROM order_parcel WHERE order_id = $1 AND fulfillment_id = $2",
                      T(life->order_id), T(parcel->fulfillment_id));
    if (r < 0 || rows.n)
        return r;

    r = mark_lines(life, parcel, true, &amount_minor);
    if (r == 0 && life->parcels_shipped == 0)
        r = ship_unstocked(life, &amount_minor);
    if (r == 0)
        r = txn_post(life->txn,
                     "INSERT INTO order_parcel (order_id, fulfillment_id, location_id, state, amount_minor) "
                     "VALUES ($1, $2, $3, $4, $5)",
                     T(life->order_id), T(parcel->fulfillment_id), T(parcel->location_id), I(PARCEL_ON_ITS_WAY),
                     I(amount_minor));
    if (r == 0)
        r = life_commit_stock(life, parcel->fulfillment_id, parcel->location_id, parcel->shares, parcel->n);
    if (r == 0)
        r = life_capture(life, parcel->fulfillment_id, amount_minor);
    life->parcels_shipped++;
    return r < 0 ? r : life_happen(life, PARCEL_SHIPPED);
}

/* From a state to the next: what it adds to the open and to the troubled ones. */
static const struct {
    bool moves;
    int open, troubled;
} moves[PARCEL_GIVEN_UP + 1][PARCEL_GIVEN_UP + 1] = {
    [PARCEL_ON_ITS_WAY] = { [PARCEL_THERE] = { true, -1, 0 }, [PARCEL_IN_TROUBLE] = { true, 0, 1 } },
    [PARCEL_IN_TROUBLE] = { [PARCEL_THERE] = { true, -1, -1 } },
};

/* 0: nothing has been heard of it. */
static int read_parcel(struct life *life, const char *fulfillment_id, enum parcel_state *ret_state,
                       int64_t *ret_amount_minor)
{
    struct rows rows;
    int r = txn_query(life->txn, &rows,
                      "SELECT state, amount_minor FROM order_parcel WHERE order_id = $1 AND fulfillment_id = $2",
                      T(life->order_id), T(fulfillment_id));
    *ret_state = r == 0 && rows.n ? row_int(&rows, 0, 0) : 0;
    *ret_amount_minor = r == 0 && rows.n ? row_int(&rows, 0, 1) : 0;
    return r;
}

int parcel_moved(struct life *life, const char *fulfillment_id, enum parcel_state state)
{
    enum parcel_state from;
    int64_t amount_minor;
    int r = read_parcel(life, fulfillment_id, &from, &amount_minor);
    if (r < 0 || !moves[from][state].moves)
        return r;
    life->parcels_open += moves[from][state].open;
    life->parcels_troubled += moves[from][state].troubled;
    r = txn_post(life->txn, "UPDATE order_parcel SET state = $3 WHERE order_id = $1 AND fulfillment_id = $2",
                 T(life->order_id), T(fulfillment_id), I(state));
    return r < 0 ? r : life_happen(life, state == PARCEL_THERE ? PARCEL_DELIVERED : PARCEL_TROUBLED);
}

int parcel_refused(struct life *life, const struct parcel *parcel)
{
    int64_t added =
        txn_exec(life->txn,
                 "INSERT INTO order_parcel (order_id, fulfillment_id, location_id, state, amount_minor) "
                 "VALUES ($1, $2, $3, $4, 0) ON CONFLICT (order_id, fulfillment_id) DO NOTHING",
                 T(life->order_id), T(parcel->fulfillment_id), T(parcel->location_id), I(PARCEL_IN_TROUBLE));
    if (added <= 0)
        return (int)added;
    life->parcels_troubled++;
    return life_happen(life, PARCEL_TROUBLED);
}

static int give_up(struct life *life, const struct parcel *parcel)
{
    return txn_post(life->txn,
                    "INSERT INTO order_parcel (order_id, fulfillment_id, location_id, state, amount_minor) "
                    "VALUES ($1, $2, $3, $4, 0) ON CONFLICT (order_id, fulfillment_id) DO UPDATE SET "
                    "state = excluded.state",
                    T(life->order_id), T(parcel->fulfillment_id), T(parcel->location_id), I(PARCEL_GIVEN_UP));
}

/* One that is with the customer, or on its way, is too late; one in trouble is given up and paid back. */
int parcel_cancelled(struct life *life, struct cancelled *c)
{
    enum parcel_state state;
    int64_t amount_minor;
    int r = read_parcel(life, c->parcel.fulfillment_id, &state, &amount_minor);
    c->cancelled = state == PARCEL_GIVEN_UP || !c->too_late || state == PARCEL_IN_TROUBLE;
    c->now = c->cancelled && state != PARCEL_GIVEN_UP;
    if (r < 0 || !c->now)
        return r;

    life->parcels--;
    life->parcels_open--;
    life->parcels_troubled -= state == PARCEL_IN_TROUBLE;
    if (c->too_late) {
        life->parcels_shipped--;
        c->paid_minor = amount_minor;
        return give_up(life, &c->parcel);
    }
    r = mark_lines(life, &c->parcel, false, &amount_minor);
    life->due_minor -= amount_minor;
    return r < 0 ? r : give_up(life, &c->parcel);
}
