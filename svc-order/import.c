/* ImportOrders: chunks of orders that another system has taken. A chunk is one transaction; an order that is refused
 * is told in its acknowledgement, and leaves the others as they are. */
#include "svc-order/order.h"

#include "mesh/base/money.h"

#include <errno.h>

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

static int import_one(struct rpc_call *call, struct txn *txn, const NewOrder *order, ImportResult *result)
{
    struct placed_order placed;
    struct rpc_refusal refusal;
    int r = order_place(call, txn, order, &placed);
    if (placed.order_id)
        result->order_id = (char *)placed.order_id;
    if (r == -EPROTO)
        r = rpc_refused(call, &refusal) < 0 ? -ENOMEM : tell_refusal(txn, &refusal, result);
    if (r < 0 || result->refusal)
        return r;
    result->state = OMS__ORDER__V1__ORDER__STATE__PENDING;
    result->total = money_to_wire(txn->arena, placed.total_minor, order->currency_code);
    return result->total ? 0 : -ENOMEM;
}

int import_orders(struct rpc_call *call, struct txn *txn, const void *in, void *out)
{
    const ImportOrdersRequest *req = in;
    ImportOrdersResponse *ret = out;
    ret->request_id = req->request_id;
    ret->results = arena_alloc(txn->arena, req->n_orders * sizeof(*ret->results));
    if (!ret->results)
        return -ENOMEM;
    for (; ret->n_results < req->n_orders; ret->n_results++) {
        ImportResult *result = arena_message(txn->arena, &oms__order__v1__import_orders_response__result__descriptor);
        const struct rpc_refusal *refusal = rpc_item_refused(call, ret->n_results);
        int r = !result   ? -ENOMEM
                : refusal ? tell_refusal(txn, refusal, result)
                          : import_one(call, txn, req->orders[ret->n_results], result);
        if (r < 0)
            return r;
        ret->results[ret->n_results] = result;
        ret->placed += !result->refusal;
        ret->refused += result->refusal != NULL;
    }
    return log_position_message(txn, &ret->position);
}
