/* ImportOrders: chunks of what another system has taken, carried out or cancelled. A chunk is one transaction; an entry
 * that is refused is told in its acknowledgement, and leaves the others as they are. */
#include "svc-order/order.h"

#include "mesh/base/id.h"
#include "mesh/base/money.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int tell_refusal(struct txn *txn, const struct rpc_refusal *refusal, ImportResult *result)
{
    ImportRefusal *told = arena_message(txn->arena, &oms__order__v1__import_orders_response__refusal__descriptor);
    if (!told)
        return -ENOMEM;
    told->reason = (char *)refusal->reason;
    told->message = (char *)refusal->message;
    told->field = (char *)refusal->field;
    result->refusal = told;
    return 0;
}

/* What an entry has taken up is free for the next one, so that a chunk may be long; only its id is kept. */
static char *keep_id(struct txn *txn, struct arena_mark before, const char *id)
{
    char kept[ID_MAX];
    snprintf(kept, sizeof(kept), "%s", id);
    arena_rewind(txn->arena, before);
    return arena_copy(txn->arena, kept, strlen(kept));
}

static enum order_state first_state(const NewOrder *entry, const char *import_id)
{
    return import_id[0] ? DRAFT : entry->fulfilled ? COMPLETED : PENDING;
}

static int place(struct rpc_call *call, struct txn *txn, const NewOrder *entry, const char *import_id,
                 ImportResult *result)
{
    struct arena_mark before = arena_mark(txn->arena);
    struct placed_order placed;
    int r = order_place(call, txn, entry, import_id, &placed);
    result->order_id = placed.order_id ? (char *)placed.order_id : result->order_id;
    if (r < 0)
        return r;
    result->order_id = keep_id(txn, before, placed.order_id);
    result->state = (Oms__Order__V1__Order__State)first_state(entry, import_id);
    result->total = money_to_wire(txn->arena, placed.total_minor, entry->currency_code);
    return result->order_id && result->total ? 0 : -ENOMEM;
}

static int issue(struct rpc_call *call, struct txn *txn, const NewOrder *entry, const char *import_id,
                 ImportResult *result)
{
    struct arena_mark before = arena_mark(txn->arena);
    struct issued_credit issued;
    int r = credit_issue(call, txn, entry, import_id, &issued);
    result->credit_id = issued.credit_id ? (char *)issued.credit_id : result->credit_id;
    if (r < 0)
        return r;
    result->credit_id = keep_id(txn, before, issued.credit_id);
    result->refunded = issued.refunded;
    result->credited = issued.credited;
    result->total = money_to_wire(txn->arena, issued.total_minor, entry->currency_code);
    return result->credit_id && result->total ? 0 : -ENOMEM;
}

static int import_one(struct rpc_call *call, struct txn *txn, const NewOrder *entry, const char *import_id,
                      ImportResult *result)
{
    struct rpc_refusal refusal;
    int r =
        entry->n_cancelled ? issue(call, txn, entry, import_id, result) : place(call, txn, entry, import_id, result);
    if (r == -EPROTO)
        r = rpc_refused(call, &refusal) < 0 ? -ENOMEM : tell_refusal(txn, &refusal, result);
    return r;
}

int import_orders(struct rpc_call *call, struct txn *txn, const void *in, void *out)
{
    const ImportOrdersRequest *req = in;
    ImportOrdersResponse *ret = out;
    int r = req->import_id[0] ? import_open(call, txn, req->import_id) : 0;
    ret->request_id = req->request_id;
    ret->results = arena_alloc(txn->arena, req->n_orders * sizeof(*ret->results));
    if (r < 0 || !ret->results)
        return r < 0 ? r : -ENOMEM;
    for (; ret->n_results < req->n_orders; ret->n_results++) {
        ImportResult *result = arena_message(txn->arena, &oms__order__v1__import_orders_response__result__descriptor);
        const struct rpc_refusal *refusal = rpc_item_refused(call, ret->n_results);
        r = !result   ? -ENOMEM
            : refusal ? tell_refusal(txn, refusal, result)
                      : import_one(call, txn, req->orders[ret->n_results], req->import_id, result);
        if (r < 0)
            return r;
        ret->results[ret->n_results] = result;
        ret->placed += !result->refusal;
        ret->refused += result->refusal != NULL;
    }
    r = req->import_id[0] ? import_count(txn, req->import_id, ret->placed, ret->refused) : 0;
    return r < 0 ? r : log_position_message(txn, &ret->position);
}
