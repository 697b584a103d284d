/* How a credit memo takes effect: on the orders that it refunds, on stock and books. */
#include "svc-order/credit.h"

#include "mesh/base/money.h"

#include <errno.h>
#include <string.h>

#define QUANTITY_MAX 1000000000 /* of a line of a command */

int credit_hold(struct txn *txn, const char *credit_id)
{
    return txn_post(txn,
                    "UPDATE order_line SET held = held + v.n FROM (SELECT order_id, order_place, "
                    "CAST(SUM(quantity) AS BIGINT) AS n FROM credit_line WHERE credit_id = $1 AND order_id <> '' "
                    "GROUP BY order_id, order_place) v "
                    "WHERE order_line.order_id = v.order_id AND order_line.place = v.order_place",
                    T(credit_id));
}

int credit_release(struct txn *txn, const char *credit_id)
{
    return txn_post(txn,
                    "UPDATE order_line SET held = held - v.n FROM (SELECT order_id, order_place, "
                    "CAST(SUM(quantity) AS BIGINT) AS n FROM credit_line WHERE credit_id = $1 AND order_id <> '' "
                    "GROUP BY order_id, order_place) v "
                    "WHERE order_line.order_id = v.order_id AND order_line.place = v.order_place",
                    T(credit_id));
}

static int give_back(const struct new_credit *c)
{
    return txn_post(c->txn,
                    "UPDATE order_line SET held = held - v.n, returned = returned + v.n FROM (SELECT order_id, "
                    "order_place, CAST(SUM(quantity) AS BIGINT) AS n FROM credit_line WHERE credit_id = $1 "
                    "AND order_id <> '' GROUP BY order_id, order_place) v "
                    "WHERE order_line.order_id = v.order_id AND order_line.place = v.order_place",
                    T(c->credit_id));
}

static int tell_order(struct txn *txn, const struct rows *rows, size_t row)
{
    OrderStateChanged payload = OMS__EVENT__V1__ORDER_STATE_CHANGED__INIT;
    payload.order_id = (char *)row_text(rows, row, 0);
    payload.state = (Oms__Order__V1__Order__State)row_int(rows, row, 2);
    payload.code = "CREDITED";
    payload.version = row_int(rows, row, 3);
    payload.payment_state = (Oms__Order__V1__Order__PaymentState)row_int(rows, row, 4);
    payload.fulfillment_state = (Oms__Order__V1__Order__FulfillmentState)row_int(rows, row, 5);
    return order_tell(txn, OMS__EVENT__V1__EVENT_TYPE__ORDER_PROGRESSED, payload.order_id, row_text(rows, row, 1),
                      &payload.base);
}

/* Money is what counts: what came back at a lower price than it was sold for is not given back whole. */
static int credit_orders(const struct new_credit *c)
{
    struct rows rows;
    int r = txn_query(
        c->txn, &rows,
        "UPDATE sales_order SET credited_minor = credited_minor + v.minor, version = version + 1, "
        "update_time_us = $2, payment_state = CASE WHEN due_minor > 0 AND credited_minor + v.minor >= due_minor "
        "THEN $3 ELSE payment_state END FROM (SELECT order_id, CAST(SUM(quantity * unit_minor) AS BIGINT) AS minor "
        "FROM credit_line WHERE credit_id = $1 AND order_id <> '' GROUP BY order_id) v "
        "WHERE sales_order.order_id = v.order_id RETURNING sales_order.order_id, customer_id, state, version, "
        "payment_state, fulfillment_state",
        T(c->credit_id), I(c->txn->now_us), I(OMS__ORDER__V1__ORDER__PAYMENT_STATE__REFUNDED));
    for (size_t i = 0; r == 0 && i < rows.n; i++)
        r = tell_order(c->txn, &rows, i);
    return r;
}

static int tell(const struct new_credit *c)
{
    CreditIssued payload = OMS__EVENT__V1__CREDIT_ISSUED__INIT;
    payload.credit_id = (char *)c->credit_id;
    payload.customer_id = (char *)c->customer_id;
    payload.total = money_to_wire(c->txn->arena, c->total_minor, c->currency);
    payload.lines = c->n;
    payload.version = CREDIT_VERSION;
    if (!payload.total)
        return -ENOMEM;
    return log_append(c->txn, &(struct event){
                                  .type = OMS__EVENT__V1__EVENT_TYPE__CREDIT_ISSUED,
                                  .key = c->credit_id,
                                  .owner = c->customer_id,
                                  .audience = AUDIENCE_CREDIT,
                                  .payload = &payload.base,
                              });
}

/* The only order that it is about, or "". */
static const char *only_order(const struct new_credit *c)
{
    for (size_t i = 1; i < c->n; i++) {
        if (strcmp(c->pieces[i].order_id, c->pieces[0].order_id) != 0)
            return "";
    }
    return c->pieces[0].order_id;
}

static bool continues(const struct item *item, const struct item *next)
{
    return strcmp(item->sku, next->sku) == 0 && item->unit_minor == next->unit_minor &&
           item->stocked == next->stocked && item->quantity + next->quantity <= QUANTITY_MAX;
}

/* Pieces of one cancelled line become one again, as commands hold no more lines than a cancellation. */
static size_t join_pieces(const struct new_credit *c, struct item *items)
{
    size_t n = 0;
    for (size_t i = 0; i < c->n; i++) {
        const struct item *item = &c->pieces[i].item;
        if (n && continues(&items[n - 1], item))
            items[n - 1].quantity += item->quantity;
        else
            items[n++] = *item;
    }
    return n;
}

static int send(const struct new_credit *c)
{
    struct item *items = arena_alloc(c->txn->arena, c->n * sizeof(*items));
    if (!items)
        return -ENOMEM;
    return document_send(c->txn, &(struct document){
                                     .id = c->credit_id,
                                     .order_id = only_order(c),
                                     .customer_id = c->customer_id,
                                     .country = c->country,
                                     .channel = c->channel,
                                     .currency = c->currency,
                                     .time_us = c->issue_time_us,
                                     .credit = true,
                                     .items = items,
                                     .n = join_pieces(c, items),
                                 });
}

static bool refunds_something(const struct new_credit *c)
{
    for (size_t i = 0; i < c->n; i++) {
        if (c->pieces[i].order_id[0])
            return true;
    }
    return false;
}

int credit_begin(const struct new_credit *credit)
{
    bool refunds = refunds_something(credit);
    int r = refunds ? give_back(credit) : 0;
    if (r == 0 && refunds)
        r = credit_orders(credit);
    if (r == 0)
        r = tell(credit);
    return r < 0 ? r : send(credit);
}
