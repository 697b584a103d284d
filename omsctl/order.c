/* order get and list: how an order looks. */
#include "omsctl/order.h"

#include "omsctl/ask.h"
#include "omsctl/commands.h"

#include <stdio.h>

const char *order_state_name(Oms__Order__V1__Order__State state)
{
    return text_enum(&oms__order__v1__order__state__descriptor, (int)state);
}

const char *order_payment_name(Oms__Order__V1__Order__PaymentState state)
{
    return text_enum(&oms__order__v1__order__payment_state__descriptor, (int)state);
}

const char *order_fulfillment_name(Oms__Order__V1__Order__FulfillmentState state)
{
    return text_enum(&oms__order__v1__order__fulfillment_state__descriptor, (int)state);
}

bool order_is_over(Oms__Order__V1__Order__State state)
{
    return state == OMS__ORDER__V1__ORDER__STATE__REJECTED || state == OMS__ORDER__V1__ORDER__STATE__CANCELLED ||
           state == OMS__ORDER__V1__ORDER__STATE__COMPLETED;
}

/* --- one --- */

static void show_progress(struct arena *arena, const Order *order)
{
    printf("payment %s%s%s", order_payment_name(order->payment_state), order->payment_id[0] ? " " : "",
           order->payment_id);
    if (order->captured && (order->captured->units || order->captured->nanos))
        printf(" · captured %s", text_money(arena, order->captured));
    printf(" · parcels %s\n", order_fulfillment_name(order->fulfillment_state));
}

static void show_lines(struct arena *arena, const Order *order)
{
    static const char *const heads[] = {
        "SKU", "TITLE", ">QUANTITY", ">SHIPPED", ">CANCELLED", ">PRICE", ">TOTAL", NULL
    };
    struct table *table = table_create(heads);
    for (size_t i = 0; i < order->n_lines; i++) {
        const OrderLine *line = order->lines[i];
        TABLE_ROW(table, line->sku, line->title, text_number(arena, line->quantity), text_number(arena, line->shipped),
                  text_number(arena, line->cancelled), text_money(arena, line->unit_price),
                  text_money(arena, line->line_total));
    }
    table_show(table, "no lines");
}

void order_show(struct arena *arena, const Order *order)
{
    printf("%s  %s  %s\ncustomer %s · channel %s%s%s · placed %s by %s\n", order->order_id,
           order_state_name(order->state), text_money(arena, order->total), order->customer_id, order->channel,
           order->external_id[0] ? " " : "", order->external_id, text_time(arena, order->place_time_us),
           order->placed_by);
    show_progress(arena, order);
    if (order->reject_reason[0])
        printf("rejected: %s\n", order->reject_reason);
    putchar('\n');
    show_lines(arena, order);
}

void order_show_reply(struct ctl *ctl, const ProtobufCMessage *reply, const Order *order)
{
    if (ctl->json)
        show_message(reply);
    else if (order)
        order_show(&ctl->arena, order);
}

int run_order_get(struct ctl *ctl)
{
    Oms__Order__V1__GetOrderRequest request = OMS__ORDER__V1__GET_ORDER_REQUEST__INIT;
    if (ctl->n_args == 1) {
        request.order_id = ctl->args[0];
    } else {
        request.channel = ctl->args[0];
        request.external_id = ctl->args[1];
    }
    Oms__Order__V1__GetOrderResponse *reply;
    int exit =
        ask(ctl, ORDER_METHOD("GetOrder"), &request.base, &oms__order__v1__get_order_response__descriptor, &reply);
    if (exit == CTL_OK)
        order_show_reply(ctl, &reply->base, reply->order);
    return exit;
}

/* --- many --- */

static void order_row(struct arena *arena, struct table *table, const ProtobufCMessage *item)
{
    const Order *order = (const Order *)item;
    TABLE_ROW(table, order->order_id, text_time(arena, order->place_time_us), order->customer_id, order->channel,
              order->external_id, text_number(arena, (int64_t)order->n_lines), text_money(arena, order->total),
              order_state_name(order->state), order_payment_name(order->payment_state),
              order_fulfillment_name(order->fulfillment_state));
}

int run_order_list(struct ctl *ctl)
{
    static const char *const heads[] = { "ORDER",  "PLACED", "CUSTOMER", "CHANNEL", "EXTERNAL", ">LINES",
                                         ">TOTAL", "STATE",  "PAYMENT",  "PARCELS", NULL };
    Oms__Order__V1__ListOrdersRequest request = OMS__ORDER__V1__LIST_ORDERS_REQUEST__INIT;
    const char *customer = cli_flag(ctl, "customer"), *channel = cli_flag(ctl, "channel");
    const char *filter = cli_flag(ctl, "filter");
    if (customer)
        request.customer_id = (char *)customer;
    if (channel)
        request.channel = (char *)channel;
    if (filter)
        request.filter = (char *)filter;
    struct listing listing = { .pages = { .method = ORDER_METHOD("ListOrders"),
                                          .request = &request.base,
                                          .reply = &oms__order__v1__list_orders_response__descriptor,
                                          .items = "orders" },
                               .heads = heads,
                               .row = order_row,
                               .nothing = "no orders" };
    return ask_listing(ctl, &listing);
}
