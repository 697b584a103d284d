/* Where an order goes: asked of svc-order when the first of its parcels is packed, and kept where it can be erased. */
#include "svc-shipping/shipping.h"

#define ORDER     "svc-order"
#define GET_ORDER "/oms.order.v1.OrderService/GetOrder"

int address_want(struct txn *txn, const char *order_id)
{
    GetOrderRequest request = OMS__ORDER__V1__GET_ORDER_REQUEST__INIT;
    request.order_id = (char *)order_id;
    return outbox_add(txn, &(struct command){ ORDER, GET_ORDER, order_id, &request.base, 0 });
}

int address_there(struct txn *txn, const char *order_id)
{
    struct rows rows;
    int r = txn_query(txn, &rows, "SELECT order_id FROM shipment_address WHERE order_id = $1", T(order_id));
    return r < 0 ? r : rows.n > 0;
}

static const char *street(const Address *a, size_t i)
{
    return i < a->n_street ? a->street[i] : "";
}

/* What was packed before is labelled now. */
static int ask_labels(struct txn *txn, const char *order_id)
{
    struct rows rows;
    int r = txn_query(txn, &rows, "SELECT fulfillment_id FROM fulfillment WHERE order_id = $1 AND standing = $2",
                      T(order_id), I(PACKED));
    for (size_t i = 0; r == 0 && i < rows.n; i++)
        r = carrier_want_label(txn, row_text(&rows, i, 0));
    return r;
}

/* An order without an address has an empty one: the carrier will say what it thinks of it. */
int address_ended(struct txn *txn, const struct outcome *outcome)
{
    const GetOrderResponse *reply = outcome->reply;
    static const Address none = OMS__ORDER__V1__ADDRESS__INIT;
    if (outcome->code != RPC_OK || !reply->order)
        return 0;
    int r = address_there(txn, outcome->key);
    if (r != 0)
        return r < 0 ? r : 0; /* two were packed at once, and are labelled */
    const Address *a = reply->order->ship_to ? reply->order->ship_to : &none;
    const char *customer_id = reply->order->customer_id;
    r = txn_post(txn,
                 "INSERT INTO shipment_address (order_id, subject, name, street1, street2, street3, street4, city, "
                 "postal_code, country) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
                 T(outcome->key), T(customer_id[0] ? customer_id : outcome->key), T(a->name), T(street(a, 0)),
                 T(street(a, 1)), T(street(a, 2)), T(street(a, 3)), T(a->city), T(a->postal_code), T(a->country));
    return r < 0 ? r : ask_labels(txn, outcome->key);
}
