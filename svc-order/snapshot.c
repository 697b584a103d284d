/* The state of all orders told as events: how each came, placed or imported, and what it has become since. And all
 * credit memos. */
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

/* The columns of the query below. */
enum { ID, CUSTOMER, STATE, TOTAL, CURRENCY, LINES, VERSION, REASON, PAYMENT, FULFILLMENT, ELSEWHERE };

static const ProtobufCMessage *placed(struct txn *txn, const struct rows *rows, size_t row)
{
    OrderPlaced *placed = arena_message(txn->arena, &oms__event__v1__order_placed__descriptor);
    if (!placed)
        return NULL;
    placed->order_id = (char *)row_text(rows, row, ID);
    placed->customer_id = (char *)row_text(rows, row, CUSTOMER);
    placed->total = money_to_wire(txn->arena, row_int(rows, row, TOTAL), row_text(rows, row, CURRENCY));
    placed->lines = row_int(rows, row, LINES);
    placed->version = row_int(rows, row, VERSION);
    placed->payment_state = (Oms__Order__V1__Order__PaymentState)row_int(rows, row, PAYMENT);
    return placed->total ? &placed->base : NULL;
}

static const ProtobufCMessage *changed(struct txn *txn, const struct rows *rows, size_t row)
{
    OrderStateChanged *changed = arena_message(txn->arena, &oms__event__v1__order_state_changed__descriptor);
    if (!changed)
        return NULL;
    changed->order_id = (char *)row_text(rows, row, ID);
    changed->state = (Oms__Order__V1__Order__State)row_int(rows, row, STATE);
    changed->reason = (char *)row_text(rows, row, REASON);
    changed->version = row_int(rows, row, VERSION);
    changed->payment_state = (Oms__Order__V1__Order__PaymentState)row_int(rows, row, PAYMENT);
    changed->fulfillment_state = (Oms__Order__V1__Order__FulfillmentState)row_int(rows, row, FULFILLMENT);
    return &changed->base;
}

static const ProtobufCMessage *imported(struct txn *txn, const struct rows *rows, size_t row)
{
    OrderImported *imported = arena_message(txn->arena, &oms__event__v1__order_imported__descriptor);
    if (!imported)
        return NULL;
    imported->order_id = (char *)row_text(rows, row, ID);
    imported->customer_id = (char *)row_text(rows, row, CUSTOMER);
    imported->total = money_to_wire(txn->arena, row_int(rows, row, TOTAL), row_text(rows, row, CURRENCY));
    imported->lines = row_int(rows, row, LINES);
    imported->version = row_int(rows, row, VERSION);
    imported->state = (Oms__Order__V1__Order__State)row_int(rows, row, STATE);
    imported->payment_state = (Oms__Order__V1__Order__PaymentState)row_int(rows, row, PAYMENT);
    imported->fulfillment_state = (Oms__Order__V1__Order__FulfillmentState)row_int(rows, row, FULFILLMENT);
    return imported->total ? &imported->base : NULL;
}

/* Orders after the key that have left the state; 0: all. */
static int query_orders(struct txn *txn, const char *after, int64_t left, size_t max, struct rows *ret_rows)
{
    return txn_query(txn, ret_rows,
                     "SELECT order_id, customer_id, state, total_minor, currency, lines, version, reject_reason, "
                     "payment_state, fulfillment_state, elsewhere FROM sales_order "
                     "WHERE order_id > $1 AND state <> $2 AND draft = 0 ORDER BY order_id LIMIT $3",
                     T(after ? after : ""), I(left), I(max));
}

int came_snapshot(struct txn *txn, const char *after, size_t max, struct event *ret_events, const char **ret_keys)
{
    struct rows rows;
    int r = query_orders(txn, after, 0, max, &rows);
    for (size_t i = 0; r == 0 && i < rows.n; i++) {
        ret_events[i] = row_int(&rows, i, ELSEWHERE)
                            ? order_event(OMS__EVENT__V1__EVENT_TYPE__ORDER_IMPORTED, &rows, i, imported(txn, &rows, i))
                            : order_event(OMS__EVENT__V1__EVENT_TYPE__ORDER_PLACED, &rows, i, placed(txn, &rows, i));
        ret_keys[i] = ret_events[i].key;
        r = ret_events[i].payload ? 0 : -ENOMEM;
    }
    return r < 0 ? r : (int)rows.n;
}

int changed_snapshot(struct txn *txn, const char *after, size_t max, struct event *ret_events, const char **ret_keys)
{
    struct rows rows;
    int r = query_orders(txn, after, PENDING, max, &rows);
    for (size_t i = 0; r == 0 && i < rows.n; i++) {
        enum order_state state = (enum order_state)row_int(&rows, i, STATE);
        ret_events[i] = order_event(order_event_of(state), &rows, i, changed(txn, &rows, i));
        ret_keys[i] = ret_events[i].key;
        r = ret_events[i].payload ? 0 : -ENOMEM;
    }
    return r < 0 ? r : (int)rows.n;
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
