/* What a warehouse did not find when it packed: the order goes on without it. It is cancelled and never captured, and
 * the shelf's promise is taken back, so that whoever counts the shelf finds nothing held there. */
#include "svc-order/life.h"

#include <errno.h>

/* An allocation says what is to be sent: one that says so already was told before. 1: it is less now; 0: it was. */
static int64_t lessen_allocation(struct life *life, const char *location_id, const FulfillmentLine *missing,
                                 int64_t packed)
{
    if (packed > 0)
        return txn_exec(life->txn,
                        "UPDATE order_allocation SET quantity = $4 WHERE order_id = $1 AND location_id = $2 "
                        "AND place = $3 AND quantity > $4",
                        T(life->order_id), T(location_id), I(missing->place), I(packed));
    return txn_exec(life->txn, "DELETE FROM order_allocation WHERE order_id = $1 AND location_id = $2 AND place = $3",
                    T(life->order_id), T(location_id), I(missing->place));
}

static int cancel_missing(struct life *life, const FulfillmentLine *missing)
{
    struct rows rows;
    life->lines_changed = true;
    int r = txn_query(life->txn, &rows,
                      "UPDATE order_line SET cancelled = cancelled + $3 WHERE order_id = $1 AND place = $2 "
                      "RETURNING unit_minor * $3",
                      T(life->order_id), I(missing->place), I(missing->quantity));
    if (r == 0 && rows.n)
        life->due_minor -= row_int(&rows, 0, 0);
    return r;
}

static int64_t packed_of(const FulfillmentChanged *told, int32_t place)
{
    for (size_t i = 0; i < told->n_lines; i++)
        if (told->lines[i]->place == place)
            return told->lines[i]->quantity;
    return 0;
}

/* It will not come; a cancel may have been told so before. */
static int give_up(struct life *life, const FulfillmentChanged *told)
{
    int64_t added = txn_exec(life->txn,
                             "INSERT INTO order_parcel (order_id, fulfillment_id, location_id, state, amount_minor) "
                             "VALUES ($1, $2, $3, $4, 0) ON CONFLICT (order_id, fulfillment_id) DO NOTHING",
                             T(life->order_id), T(told->fulfillment_id), T(told->location_id), I(PARCEL_GIVEN_UP));
    if (added <= 0)
        return (int)added;
    life->parcels--;
    life->parcels_open--;
    return 0;
}

int parcel_short(struct life *life, const FulfillmentChanged *told)
{
    struct share *shares = arena_alloc(life->txn->arena, told->n_missing * sizeof(*shares));
    const char *id = arena_printf(life->txn->arena, "%s-short", told->fulfillment_id);
    size_t n = 0;
    if (!shares || !id)
        return -ENOMEM;
    for (size_t i = 0; i < told->n_missing; i++) {
        const FulfillmentLine *missing = told->missing[i];
        int64_t less = lessen_allocation(life, told->location_id, missing, packed_of(told, missing->place));
        int r = less > 0 ? cancel_missing(life, missing) : (int)less;
        if (r < 0)
            return r;
        if (less > 0)
            shares[n++] = (struct share){ missing->sku, missing->place, missing->quantity };
    }
    if (n == 0)
        return 0;
    int r = life_release_lines(life, id, told->location_id, shares, n);
    if (r == 0 && told->n_lines == 0)
        r = give_up(life, told);
    life->code = "SHORTAGE";
    if (r == 0)
        r = life_happen(life, PARCEL_SHORT);
    /* Nothing is left to be sent. */
    return r == 0 && life->parcels == 0 ? life_happen(life, CANCEL_GRANTED) : r;
}
