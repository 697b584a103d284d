/* order cancel, explain, stuck: looking after an order on its way. */
#include "omsctl/ask.h"
#include "omsctl/commands.h"
#include "omsctl/order.h"

#include <stdio.h>

typedef Oms__Order__V1__OrderExplanation OrderExplanation;

/* --- cancel --- */

int run_order_cancel(struct ctl *ctl)
{
    if (!cli_client(ctl))
        return CTL_USAGE;
    const char *reason = cli_flag(ctl, "reason");
    Oms__Order__V1__CancelOrderRequest request = OMS__ORDER__V1__CANCEL_ORDER_REQUEST__INIT;
    request.request_id = ask_request_id(ctl);
    request.order_id = ctl->args[0];
    request.reason = (char *)(reason ? reason : "CUSTOMER_REQUEST");
    request.wait = cli_flag(ctl, "wait") != NULL;
    Oms__Order__V1__CancelOrderResponse *reply;
    int exit = ask(ctl, ORDER_METHOD("CancelOrder"), &request.base, &oms__order__v1__cancel_order_response__descriptor,
                   &reply);
    if (exit == CTL_OK)
        order_show_reply(ctl, &reply->base, reply->order);
    return exit;
}

/* --- explain --- */

static int64_t wall_us(struct ctl *ctl)
{
    struct port *port = client_port(ctl->client);
    return port->wall_us(port);
}

/* "2026-11-25 10:00:03 (12 s ago)" */
static void show_time(struct ctl *ctl, const char *what, int64_t time_us)
{
    if (time_us == 0)
        return;
    int64_t ago = wall_us(ctl) - time_us;
    const char *span = text_span(&ctl->arena, ago < 0 ? -ago : ago);
    printf("%-11s %s (%s%s%s)\n", what, text_time(&ctl->arena, time_us), ago < 0 ? "in " : "", span,
           ago < 0 ? "" : " ago");
}

static void show_steps(struct ctl *ctl, const OrderExplanation *order)
{
    static const char *const heads[] = { "STEP", "STATE", "SINCE", NULL };
    struct table *table = table_create(heads);
    for (size_t i = 0; i < order->n_steps; i++) {
        const Oms__Order__V1__OrderStep *step = order->steps[i];
        TABLE_ROW(table, text_enum(&oms__order__v1__order_step__step__descriptor, (int)step->step),
                  text_enum(&oms__order__v1__order_step__state__descriptor, (int)step->state),
                  text_time(&ctl->arena, step->update_time_us));
    }
    table_show(table, "no step was taken");
}

static void show_explanation(struct ctl *ctl, const OrderExplanation *order)
{
    printf("%s  %s%s\n\n", order->order_id, order_state_name(order->state), order->stuck ? "  stuck" : "");
    printf("%-11s %s\n", "waits for", order->waits_for[0] ? order->waits_for : "nothing");
    if (order->owner[0])
        printf("%-11s %s\n", "owner", order->owner);
    show_time(ctl, "since", order->since_us);
    show_time(ctl, order->stuck ? "stuck since" : "until", order->deadline_us);
    printf("%-11s", "may be done");
    for (size_t i = 0; i < order->n_legal; i++)
        printf("%s %s", i ? "," : "", order->legal[i]);
    printf("%s\n\n", order->n_legal ? "" : " nothing");
    show_steps(ctl, order);
}

int run_order_explain(struct ctl *ctl)
{
    Oms__Order__V1__ExplainOrderRequest request = OMS__ORDER__V1__EXPLAIN_ORDER_REQUEST__INIT;
    request.order_id = ctl->args[0];
    OrderExplanation *reply;
    int exit =
        ask(ctl, ORDER_METHOD("ExplainOrder"), &request.base, &oms__order__v1__order_explanation__descriptor, &reply);
    if (exit != CTL_OK)
        return exit;
    if (ctl->json)
        show_message(&reply->base);
    else
        show_explanation(ctl, reply);
    return CTL_OK;
}

/* --- stuck --- */

static void stuck_row(struct arena *arena, struct table *table, const ProtobufCMessage *item)
{
    const OrderExplanation *order = (const OrderExplanation *)item;
    TABLE_ROW(table, order->order_id, order_state_name(order->state), text_time(arena, order->since_us),
              text_time(arena, order->deadline_us), order->owner, order->waits_for);
}

int run_order_stuck(struct ctl *ctl)
{
    static const char *const heads[] = { "ORDER", "STATE", "SINCE", "STUCK SINCE", "OWNER", "WAITS FOR", NULL };
    Oms__Order__V1__ListStuckOrdersRequest request = OMS__ORDER__V1__LIST_STUCK_ORDERS_REQUEST__INIT;
    struct listing listing = { .pages = { .method = ORDER_METHOD("ListStuckOrders"),
                                          .request = &request.base,
                                          .reply = &oms__order__v1__list_stuck_orders_response__descriptor,
                                          .items = "orders" },
                               .heads = heads,
                               .row = stuck_row,
                               .nothing = "no order is stuck" };
    return ask_listing(ctl, &listing);
}
