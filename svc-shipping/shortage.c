/* What was not on the shelf when a parcel was packed: it is taken out of the parcel before that leaves. */
#include "svc-shipping/manifest.h"

#include <errno.h>
#include <string.h>

/* From the last lines first; what was taken. */
static int64_t take_sku(const Fulfillment *f, const Missing *missing)
{
    int64_t left = missing->quantity;
    for (size_t i = f->n_lines; i-- > 0 && left > 0;) {
        FulfillmentLine *line = f->lines[i];
        if (strcmp(line->sku, missing->sku) != 0)
            continue;
        int64_t taken = line->quantity < left ? line->quantity : left;
        line->quantity -= taken;
        left -= taken;
    }
    return missing->quantity - left;
}

static int take_out(struct rpc_call *call, const Fulfillment *f, const PackFulfillmentRequest *req)
{
    for (size_t i = 0; i < req->n_missing; i++) {
        const Missing *missing = req->missing[i];
        int64_t taken = take_sku(f, missing);
        if (taken < missing->quantity)
            return rpc_fail_field(call, arena_printf(rpc_arena(call), "missing[%zu].quantity", i), "NOT_IN_PARCEL",
                                  "of %s only %lld were to be packed", missing->sku, (long long)taken);
    }
    return 0;
}

/* Before anything is missing the lines stand as they were numbered. */
static int write_missing(struct txn *txn, const Fulfillment *f, const int64_t *allocated)
{
    enum { COLUMNS = 3 };
    struct value *values = arena_alloc(txn->arena, f->n_lines * COLUMNS * sizeof(*values));
    size_t n = 0;
    if (!values)
        return -ENOMEM;
    for (size_t i = 0; i < f->n_lines; i++) {
        const struct value row[COLUMNS] = { T(f->fulfillment_id), I(i), I(allocated[i] - f->lines[i]->quantity) };
        if (f->lines[i]->quantity < allocated[i])
            memcpy(values + n++ * COLUMNS, row, sizeof(row));
    }
    return txn_post_each(txn, "UPDATE fulfillment_line SET missing = $3 WHERE fulfillment_id = $1 AND n = $2", n,
                         COLUMNS, values);
}

/* Lines of which something is missing have another among the missing; those of which everything is are gone. */
static int part_lines(struct txn *txn, Fulfillment *f, const int64_t *allocated)
{
    size_t kept = 0;
    for (size_t i = 0; i < f->n_lines; i++) {
        FulfillmentLine *line = f->lines[i];
        if (line->quantity < allocated[i]) {
            FulfillmentLine *missing = arena_message(txn->arena, line->base.descriptor);
            if (!missing)
                return -ENOMEM;
            missing->place = line->place;
            missing->sku = line->sku;
            missing->quantity = allocated[i] - line->quantity;
            f->missing[f->n_missing++] = missing;
        }
        if (line->quantity > 0)
            f->lines[kept++] = line;
    }
    f->n_lines = kept;
    return 0;
}

int shortage_take(struct rpc_call *call, struct txn *txn, const PackFulfillmentRequest *req, Fulfillment *f)
{
    int64_t *allocated = arena_alloc(txn->arena, f->n_lines * sizeof(*allocated));
    if (!allocated)
        return -ENOMEM;
    for (size_t i = 0; i < f->n_lines; i++)
        allocated[i] = f->lines[i]->quantity;
    int r = take_out(call, f, req);
    if (r == 0)
        r = write_missing(txn, f, allocated);
    return r < 0 ? r : part_lines(txn, f, allocated);
}
