/* How an order begins: one that is to be carried out with its first step, one that was carried out elsewhere with what
 * stock and books have to know. */
#include "svc-order/commands.h"

#include "mesh/base/money.h"

#include <errno.h>

static int tell_placed(const struct new_order *order)
{
    OrderPlaced payload = OMS__EVENT__V1__ORDER_PLACED__INIT;
    payload.order_id = (char *)order->order_id;
    payload.customer_id = (char *)order->customer_id;
    payload.total = money_to_wire(order->txn->arena, order->total_minor, order->currency);
    payload.lines = order->n;
    payload.version = 1;
    payload.payment_state = order->payment_state;
    if (!payload.total)
        return -ENOMEM;
    return order_tell(order->txn, OMS__EVENT__V1__EVENT_TYPE__ORDER_PLACED, order->order_id, order->customer_id,
                      &payload.base);
}

/* Without a stocked line there is nothing to wait for, and life goes on at once. */
static int first_step(const struct new_order *order)
{
    struct arena *arena = order->txn->arena;
    size_t n = 0;
    struct life life = {
        .state = PENDING,
        .customer_id = order->customer_id,
        .currency = order->currency,
        .payment_token = order->payment_token,
        .payment_state = order->payment_state,
        .fulfillment_state = order->fulfillment_state,
        .total_minor = order->total_minor,
        .due_minor = order->total_minor,
    };
    ReserveLine **lines = arena_alloc(arena, order->n * sizeof(*lines));
    if (!lines)
        return -ENOMEM;
    for (size_t i = 0; i < order->n; i++) {
        if (!order->items[i].stocked)
            continue;
        lines[n] = arena_message(arena, &oms__inventory__v1__reserve_stock_request__line__descriptor);
        if (!lines[n])
            return -ENOMEM;
        lines[n]->sku = (char *)order->items[i].sku;
        lines[n++]->quantity = order->items[i].quantity;
    }
    life_begin(order->txn, order->order_id, &life);
    int r = n ? life_reserve(&life, lines, n) : life_happen(&life, NOTHING_TO_RESERVE);
    if (r == 0)
        r = n ? life_close_steps(&life) : life_close(&life);
    return r < 0 ? r : life.state == PENDING;
}

static int tell_imported(const struct new_order *order)
{
    OrderImported payload = OMS__EVENT__V1__ORDER_IMPORTED__INIT;
    payload.order_id = (char *)order->order_id;
    payload.customer_id = (char *)order->customer_id;
    payload.total = money_to_wire(order->txn->arena, order->total_minor, order->currency);
    payload.lines = order->n;
    payload.version = 1;
    payload.state = OMS__ORDER__V1__ORDER__STATE__COMPLETED;
    payload.payment_state = order->payment_state;
    payload.fulfillment_state = order->fulfillment_state;
    if (!payload.total)
        return -ENOMEM;
    return order_tell(order->txn, OMS__EVENT__V1__EVENT_TYPE__ORDER_IMPORTED, order->order_id, order->customer_id,
                      &payload.base);
}

static int send_sale(const struct new_order *order)
{
    return document_send(order->txn, &(struct document){
                                         .id = order->order_id,
                                         .order_id = order->order_id,
                                         .customer_id = order->customer_id,
                                         .country = order->country,
                                         .channel = order->channel,
                                         .currency = order->currency,
                                         .time_us = order->place_time_us,
                                         .items = order->items,
                                         .n = order->n,
                                     });
}

int order_begin(const struct new_order *order)
{
    int r = order->elsewhere ? tell_imported(order) : tell_placed(order);
    if (r < 0)
        return r;
    return order->elsewhere ? send_sale(order) : first_step(order);
}
