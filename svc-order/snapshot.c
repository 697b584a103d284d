/* The state of all orders told as events: each was placed, and what it has become since; or it was imported as it is
 * now. And all credit memos. */
#include "svc-order/order.h"

#include "mesh/base/money.h"

#include <errno.h>

static struct event order_event(int32_t type, const struct rows *rows, size_t row, const ProtobufCMessage *payload)
{
    return (struct event){
        .type = type,
        .key = row_text(rows, row, 0),
        .owner = row_text(rows, row, 1),
        .audience = AUDIENCE_ORDER,
        .payload = payload,
    };
}

int placed_snapshot(struct txn *txn, const char *after, size_t max, struct event *ret_events, const char **ret_keys)
{
    struct rows rows;
    int r =
        txn_query(txn, &rows,
                  "SELECT order_id, customer_id, total_minor, currency, lines, version, payment_state FROM sales_order "
                  "WHERE order_id > $1 AND elsewhere = 0 AND draft = 0 ORDER BY order_id LIMIT $2",
                  T(after ? after : ""), I(max));
    if (r < 0)
        return r;
    for (size_t i = 0; i < rows.n; i++) {
        OrderPlaced *placed = arena_message(txn->arena, &oms__event__v1__order_placed__descriptor);
        if (!placed)
            return -ENOMEM;
        placed->order_id = (char *)row_text(&rows, i, 0);
        placed->customer_id = (char *)row_text(&rows, i, 1);
        placed->total = money_to_wire(txn->arena, row_int(&rows, i, 2), row_text(&rows, i, 3));
        placed->lines = row_int(&rows, i, 4);
        placed->version = row_int(&rows, i, 5);
        placed->payment_state = (Oms__Order__V1__Order__PaymentState)row_int(&rows, i, 6);
        if (!placed->total)
            return -ENOMEM;
        ret_events[i] = order_event(OMS__EVENT__V1__EVENT_TYPE__ORDER_PLACED, &rows, i, &placed->base);
        ret_keys[i] = placed->order_id;
    }
    return (int)rows.n;
}

int changed_snapshot(struct txn *txn, const char *after, size_t max, struct event *ret_events, const char **ret_keys)
{
    struct rows rows;
    int r = txn_query(txn, &rows,
                      "SELECT order_id, customer_id, state, reject_reason, version, payment_state, fulfillment_state "
                      "FROM sales_order "
                      "WHERE order_id > $1 AND state <> 1 AND elsewhere = 0 AND draft = 0 ORDER BY order_id LIMIT $2",
                      T(after ? after : ""), I(max));
    if (r < 0)
        return r;
    for (size_t i = 0; i < rows.n; i++) {
        OrderStateChanged *changed = arena_message(txn->arena, &oms__event__v1__order_state_changed__descriptor);
        if (!changed)
            return -ENOMEM;
        changed->order_id = (char *)row_text(&rows, i, 0);
        changed->state = (Oms__Order__V1__Order__State)row_int(&rows, i, 2);
        changed->reason = (char *)row_text(&rows, i, 3);
        changed->version = row_int(&rows, i, 4);
        changed->payment_state = (Oms__Order__V1__Order__PaymentState)row_int(&rows, i, 5);
        changed->fulfillment_state = (Oms__Order__V1__Order__FulfillmentState)row_int(&rows, i, 6);
        ret_events[i] = order_event(order_event_of((enum order_state)changed->state), &rows, i, &changed->base);
        ret_keys[i] = changed->order_id;
    }
    return (int)rows.n;
}

int imported_snapshot(struct txn *txn, const char *after, size_t max, struct event *ret_events, const char **ret_keys)
{
    struct rows rows;
    int r = txn_query(txn, &rows,
                      "SELECT order_id, customer_id, total_minor, currency, lines, version, state, payment_state, "
                      "fulfillment_state FROM sales_order WHERE order_id > $1 AND elsewhere = 1 AND draft = 0 "
                      "ORDER BY order_id LIMIT $2",
                      T(after ? after : ""), I(max));
    if (r < 0)
        return r;
    for (size_t i = 0; i < rows.n; i++) {
        OrderImported *imported = arena_message(txn->arena, &oms__event__v1__order_imported__descriptor);
        if (!imported)
            return -ENOMEM;
        imported->order_id = (char *)row_text(&rows, i, 0);
        imported->customer_id = (char *)row_text(&rows, i, 1);
        imported->total = money_to_wire(txn->arena, row_int(&rows, i, 2), row_text(&rows, i, 3));
        imported->lines = row_int(&rows, i, 4);
        imported->version = row_int(&rows, i, 5);
        imported->state = (Oms__Order__V1__Order__State)row_int(&rows, i, 6);
        imported->payment_state = (Oms__Order__V1__Order__PaymentState)row_int(&rows, i, 7);
        imported->fulfillment_state = (Oms__Order__V1__Order__FulfillmentState)row_int(&rows, i, 8);
        if (!imported->total)
            return -ENOMEM;
        ret_events[i] = order_event(OMS__EVENT__V1__EVENT_TYPE__ORDER_IMPORTED, &rows, i, &imported->base);
        ret_keys[i] = imported->order_id;
    }
    return (int)rows.n;
}

int credits_snapshot(struct txn *txn, const char *after, size_t max, struct event *ret_events, const char **ret_keys)
{
    struct rows rows;
    int r = txn_query(
        txn, &rows,
        "SELECT credit_id, customer_id, total_minor, currency, lines FROM credit WHERE credit_id > $1 AND draft = 0 "
        "ORDER BY credit_id LIMIT $2",
        T(after ? after : ""), I(max));
    if (r < 0)
        return r;
    for (size_t i = 0; i < rows.n; i++) {
        CreditIssued *issued = arena_message(txn->arena, &oms__event__v1__credit_issued__descriptor);
        if (!issued)
            return -ENOMEM;
        issued->credit_id = (char *)row_text(&rows, i, 0);
        issued->customer_id = (char *)row_text(&rows, i, 1);
        issued->total = money_to_wire(txn->arena, row_int(&rows, i, 2), row_text(&rows, i, 3));
        issued->lines = row_int(&rows, i, 4);
        issued->version = CREDIT_VERSION;
        if (!issued->total)
            return -ENOMEM;
        ret_events[i] = order_event(OMS__EVENT__V1__EVENT_TYPE__CREDIT_ISSUED, &rows, i, &issued->base);
        ret_events[i].audience = AUDIENCE_CREDIT;
        ret_keys[i] = issued->credit_id;
    }
    return (int)rows.n;
}
