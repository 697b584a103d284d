/* What becomes of reservations: given back or shipped, whole or in parts.
 *
 * All requests that wait are carried out in one transaction, in the order they came. Each is looked at whole before it
 * changes anything, so that one that is refused has changed nothing. */
#include "svc-inventory/holdings.h"

#include <errno.h>
#include <stdio.h>

#define SLICE_ITEMS 64 /* at once: what they hold can be far more than one arena */

/* A request of either kind. */
struct asking {
    struct operation operation;
    ReservedLine **lines;
    size_t n_lines;
};

struct slice {
    struct rpc_item *items;
    size_t n;
    struct asking (*read)(const struct rpc_item *item);
    int (*carry_out)(struct rpc_item *item, const struct asking *asking, struct holdings *holdings);
};

static int refuse(struct rpc_call *call, const ReservedLine *line, const char *reason, int64_t held)
{
    int r = rpc_fail_state(call, line->sku, reason, "%lld of %s in %s are asked for, %lld are held",
                           (long long)line->quantity, line->sku, line->location_id, (long long)held);
    rpc_error_meta(call, "sku", line->sku);
    rpc_error_meta(call, "location_id", line->location_id);
    return r;
}

static void forget_asked(struct holding *holding)
{
    for (size_t i = 0; i < holding->n_lines; i++)
        holding->lines[i].asked = 0;
}

/* Adds up what is asked of each line, as a line may stand there twice. */
static int ask_lines(struct rpc_call *call, const struct asking *asking, struct holding *holding)
{
    int r = 0;
    for (size_t i = 0; i < asking->n_lines && r == 0; i++) {
        const ReservedLine *wanted = asking->lines[i];
        struct held_line *line = holding_line(holding, wanted->sku, wanted->location_id);
        if (!line)
            r = refuse(call, wanted, "LINE_NOT_RESERVED", 0);
        else if ((line->asked += wanted->quantity) > line->held)
            r = refuse(call, wanted, line->held ? "MORE_THAN_RESERVED" : "RESERVATION_GONE", line->held);
    }
    if (r < 0)
        forget_asked(holding);
    return r;
}

static struct asking read_release(const struct rpc_item *item)
{
    const ReleaseStockRequest *req = item->in;
    return (struct asking){ { rpc_caller(item->call)->subject, req->operation_id }, req->lines, req->n_lines };
}

static int release(struct rpc_item *item, const struct asking *asking, struct holdings *holdings)
{
    ReleaseStockResponse *ret = item->out;
    struct holding *holding = holdings_find(holdings, &asking->operation);
    if (!holding || !holding_open(holding))
        return 0;
    if (asking->n_lines > 0) {
        item->result = ask_lines(item->call, asking, holding);
        if (item->result < 0)
            return 0;
    }
    ret->released = true;
    return asking->n_lines > 0 ? holding_take(holdings, holding, TAKEN_RELEASED)
                               : holding_end(holdings, holding, TAKEN_RELEASED);
}

static struct asking read_commit(const struct rpc_item *item)
{
    const CommitStockRequest *req = item->in;
    return (struct asking){ { rpc_caller(item->call)->subject, req->operation_id }, req->lines, req->n_lines };
}

static int commit(struct rpc_item *item, const struct asking *asking, struct holdings *holdings)
{
    struct holding *holding = holdings_find(holdings, &asking->operation);
    item->result =
        holding ? ask_lines(item->call, asking, holding) : refuse(item->call, asking->lines[0], "RESERVATION_GONE", 0);
    return item->result < 0 ? 0 : holding_take(holdings, holding, TAKEN_SHIPPED);
}

static int run_slice(struct txn *txn, void *arg)
{
    struct slice *slice = arg;
    struct asking *asked = arena_alloc(txn->arena, slice->n * sizeof(*asked));
    struct operation *operations = arena_alloc(txn->arena, slice->n * sizeof(*operations));
    if (!asked || !operations)
        return -ENOMEM;
    for (size_t i = 0; i < slice->n; i++) {
        asked[i] = slice->read(&slice->items[i]);
        operations[i] = asked[i].operation;
    }

    struct holdings holdings;
    int r = holdings_open(txn, operations, slice->n, &holdings);
    for (size_t i = 0; r == 0 && i < slice->n; i++)
        r = slice->carry_out(&slice->items[i], &asked[i], &holdings);
    return r < 0 ? r : holdings_close(&holdings);
}

static int run_slices(struct txn *txn, struct slice all)
{
    int r = 0;
    for (size_t first = 0; r == 0 && first < all.n; first += SLICE_ITEMS) {
        struct slice slice = all;
        slice.items += first;
        slice.n = all.n - first < SLICE_ITEMS ? all.n - first : SLICE_ITEMS;
        r = book_apart(txn, run_slice, &slice);
    }
    return r;
}

int release_stock(struct txn *txn, struct rpc_item *items, size_t n)
{
    return run_slices(txn, (struct slice){ items, n, read_release, release });
}

int commit_stock(struct txn *txn, struct rpc_item *items, size_t n)
{
    return run_slices(txn, (struct slice){ items, n, read_commit, commit });
}
