/* order watch: an order and what happens to it, resumed where it stood when the gateway sends us elsewhere. */
#include "omsctl/ask.h"
#include "omsctl/commands.h"
#include "omsctl/order.h"

#include <stdio.h>
#include <string.h>

int64_t order_watch_now_us(struct ctl *ctl)
{
    struct port *port = client_port(ctl->client);
    return port->mono_us(port);
}

/* The columns are as wide as their longest state. */
void order_watch_line(const struct order_watch *watch, int64_t time_us, const char *state, const char *payment,
                      const char *fulfillment, const char *detail)
{
    struct ctl *ctl = watch->ctl;
    if (watch->start_us)
        printf("%8.1f ms", (double)(order_watch_now_us(ctl) - watch->start_us) / 1000);
    else
        printf("%s", text_time(&ctl->arena, time_us));
    printf("  %-10s  %-15s  %-14s  %s\n", state, payment, fulfillment, detail);
    fflush(stdout);
}

static void show_update(const struct order_watch *watch, const Oms__Order__V1__OrderUpdate *update)
{
    if (watch->ctl->json)
        show_message_line(&update->base);
    else
        order_watch_line(watch, update->time_us, order_state_name(update->state),
                         order_payment_name(update->payment_state), order_fulfillment_name(update->fulfillment_state),
                         update->reject_reason);
}

/* One stream; remembers where it stood. */
static enum rpc_code watch_stream(struct order_watch *watch, struct client_call *call, bool *ret_end)
{
    struct ctl *ctl = watch->ctl;
    Oms__Order__V1__WatchOrderRequest request = OMS__ORDER__V1__WATCH_ORDER_REQUEST__INIT;
    request.order_id = (char *)watch->order_id;
    request.after = watch->after;
    call->method = ORDER_METHOD("WatchOrder");
    call->request = arena_pack(&ctl->arena, &request.base);
    client_stream(ctl->client, call);
    ProtobufCAllocator allocator = arena_protobuf(&ctl->arena);
    for (struct bytes message; client_next(call, &message);) {
        Oms__Order__V1__OrderUpdate *update =
            oms__order__v1__order_update__unpack(&allocator, message.len, message.data);
        if (!update || *ret_end)
            continue;
        show_update(watch, update);
        if (update->position)
            watch->after = update->position;
        if (watch->settled && update->state != OMS__ORDER__V1__ORDER__STATE__PENDING) {
            *ret_end = true;
            client_cancel(call);
        }
    }
    return call->status.code;
}

int order_watch(struct order_watch *watch)
{
    for (;;) {
        struct client_call call = { 0 };
        bool end = false;
        enum rpc_code code = watch_stream(watch, &call, &end);
        bool resume = code == RPC_UNAVAILABLE && watch->after &&
                      strcmp(rpc_status_reason(&watch->ctl->arena, &call.status), "WATCH_RESUME") == 0;
        int exit = end || resume || code == RPC_OK ? CTL_OK : show_status(watch->ctl, &call.status);
        client_finish(&call);
        if (!resume || end)
            return exit;
    }
}

int run_order_watch(struct ctl *ctl)
{
    if (!cli_client(ctl))
        return CTL_USAGE;
    struct order_watch watch = { .ctl = ctl, .order_id = ctl->args[0], .settled = cli_flag(ctl, "settled") };
    return order_watch(&watch);
}
