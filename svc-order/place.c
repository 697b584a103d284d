/* PlaceOrder: one order, for whoever buys it or on his behalf. */
#include "svc-order/order.h"

/* --- the reply, which holds an address and so is never stored --- */

static int fill_reply(struct txn *txn, const char *order_id, PlaceOrderResponse *ret)
{
    int r = order_read(txn, order_id, "", &ret->order);
    return r < 0 ? r : log_position_message(txn, &ret->position);
}

int place_order(struct rpc_call *call, struct txn *txn, const void *in, void *out)
{
    const PlaceOrderRequest *req = in;
    struct placed_order placed;
    NewOrder order = OMS__ORDER__V1__IMPORT_ORDERS_REQUEST__ENTRY__INIT;
    order.customer_id = req->customer_id;
    order.n_lines = req->n_lines;
    order.lines = req->lines;
    order.currency_code = req->currency_code;
    order.channel = req->channel;
    order.external_id = req->external_id;
    order.ship_to = req->ship_to;
    order.place_time_us = req->place_time_us;
    order.payment_token = req->payment_token;
    order.email = req->email;
    int r = order_place(call, txn, &order, "", &placed);
    if (r < 0)
        return r;
    rpc_made(call, placed.order_id);
    if (!req->wait || !placed.pending)
        return fill_reply(txn, placed.order_id, out);
    rpc_defer(call, placed.order_id); /* who waits gets the order as it is then */
    return 0;
}

int replay_place_order(struct rpc_call *call, struct txn *txn, const void *in, void *out)
{
    return fill_reply(txn, rpc_resource(call), out);
}

int settle_place_order(struct rpc_call *call, struct txn *txn, const void *in, void *out)
{
    const char *order_id = rpc_resource(call);
    struct rows rows;
    int r = txn_query(txn, &rows, "SELECT state FROM sales_order WHERE order_id = $1", T(order_id));
    if (r < 0)
        return r;
    if (rows.n && row_int(&rows, 0, 0) == PENDING && !rpc_last_look(call))
        return RPC_WAIT;
    r = fill_reply(txn, order_id, out);
    return r < 0 ? r : RPC_END;
}
