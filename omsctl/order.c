/* order place, get, list, watch. */
#include "mesh/base/money.h"
#include "omsctl/api_names.h"
#include "omsctl/ask.h"
#include "omsctl/commands.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *state_name(Oms__Order__V1__Order__State state)
{
    const ProtobufCEnumValue *value =
        protobuf_c_enum_descriptor_get_value(&oms__order__v1__order__state__descriptor, (int)state);
    return value ? value->name : "?";
}

/* --- get and list --- */

static void show_order(struct arena *arena, const Order *order)
{
    static const char *const heads[] = { "SKU", "TITLE", ">QUANTITY", ">PRICE", ">TOTAL", NULL };
    printf("%s  %s  %s\ncustomer %s · channel %s%s%s · placed %s by %s\n", order->order_id, state_name(order->state),
           text_money(arena, order->total), order->customer_id, order->channel, order->external_id[0] ? " " : "",
           order->external_id, text_time(arena, order->place_time_us), order->placed_by);
    if (order->reject_reason[0])
        printf("rejected: %s\n", order->reject_reason);
    putchar('\n');
    struct table *table = table_create(heads);
    for (size_t i = 0; i < order->n_lines; i++) {
        const OrderLine *line = order->lines[i];
        TABLE_ROW(table, line->sku, line->title, text_number(arena, line->quantity),
                  text_money(arena, line->unit_price), text_money(arena, line->line_total));
    }
    table_show(table, "no lines");
}

int run_order_get(struct ctl *ctl)
{
    Oms__Order__V1__GetOrderRequest request = OMS__ORDER__V1__GET_ORDER_REQUEST__INIT;
    request.order_id = ctl->args[0];
    Oms__Order__V1__GetOrderResponse *reply;
    int exit =
        ask(ctl, ORDER_METHOD("GetOrder"), &request.base, &oms__order__v1__get_order_response__descriptor, &reply);
    if (exit != CTL_OK)
        return exit;
    if (ctl->json)
        show_message(&reply->base);
    else if (reply->order)
        show_order(&ctl->arena, reply->order);
    return CTL_OK;
}

static void order_row(struct arena *arena, struct table *table, const ProtobufCMessage *item)
{
    const Order *order = (const Order *)item;
    TABLE_ROW(table, order->order_id, text_time(arena, order->place_time_us), order->customer_id, order->channel,
              order->external_id, text_number(arena, (int64_t)order->n_lines), text_money(arena, order->total),
              state_name(order->state));
}

int run_order_list(struct ctl *ctl)
{
    static const char *const heads[] = { "ORDER",  "PLACED", "CUSTOMER", "CHANNEL", "EXTERNAL",
                                         ">LINES", ">TOTAL", "STATE",    NULL };
    Oms__Order__V1__ListOrdersRequest request = OMS__ORDER__V1__LIST_ORDERS_REQUEST__INIT;
    const char *customer = cli_flag(ctl, "customer"), *channel = cli_flag(ctl, "channel");
    if (customer)
        request.customer_id = (char *)customer;
    if (channel)
        request.channel = (char *)channel;
    struct listing listing = { .pages = { .method = ORDER_METHOD("ListOrders"),
                                          .request = &request.base,
                                          .reply = &oms__order__v1__list_orders_response__descriptor,
                                          .items = "orders" },
                               .heads = heads,
                               .row = order_row,
                               .nothing = "no orders" };
    return ask_listing(ctl, &listing);
}

/* --- watch --- */

struct watch {
    struct ctl *ctl;
    const char *order_id;
    Mesh__V1__Position *after; /* NULL: the order as it is, then changes */
    bool settled;              /* end when it has left PENDING */
    int64_t start_us;          /* monotonic; 0: show wall clock times */
};

static int64_t mono_us(struct ctl *ctl)
{
    struct port *port = client_port(ctl->client);
    return port->mono_us(port);
}

static void show_step(struct ctl *ctl, int64_t start_us, const char *what, const char *detail)
{
    printf("%8.1f ms  %-10s %s\n", (double)(mono_us(ctl) - start_us) / 1000, what, detail);
    fflush(stdout);
}

static void show_update(const struct watch *watch, const Oms__Order__V1__OrderUpdate *update)
{
    struct ctl *ctl = watch->ctl;
    if (ctl->json)
        show_message_line(&update->base);
    else if (watch->start_us)
        show_step(ctl, watch->start_us, state_name(update->state), update->reject_reason);
    else
        printf("%s  %-10s %s\n", text_time(&ctl->arena, update->time_us), state_name(update->state),
               update->reject_reason);
    fflush(stdout);
}

/* One stream; remembers where it stood. */
static enum rpc_code watch_stream(struct watch *watch, struct client_call *call, bool *ret_end)
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

/* A watch that the gateway ends because it drains, or we were slow, is resumed where it stood. */
static int watch_order(struct watch *watch)
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
    struct watch watch = { .ctl = ctl, .order_id = ctl->args[0], .settled = cli_flag(ctl, "settled") };
    return watch_order(&watch);
}

/* --- place --- */

/* SKU[=QUANTITY][@PRICE]; prices wait as text until the currency is known. */
static int parse_line(char *text, PlaceOrderLine *line, const char **ret_price)
{
    char *price = strrchr(text, '@');
    if (price)
        *price++ = '\0';
    char *quantity = strrchr(text, '=');
    if (quantity)
        *quantity++ = '\0';
    char *end = NULL;
    errno = 0;
    line->sku = text;
    line->quantity = quantity ? strtoll(quantity, &end, 10) : 1;
    *ret_price = price;
    if (quantity && (errno || end == quantity || *end))
        return -EINVAL;
    return 0;
}

static int set_price(struct ctl *ctl, PlaceOrderLine *line, const char *price, const char *currency)
{
    int64_t minor;
    if (!price)
        return 0;
    int r = amount_parse(price, currency, &minor);
    if (r < 0) {
        cli_usage("'%s' is no amount in %s%s", price, currency, r == -EDOM ? ": it has too many decimals" : "");
        return r;
    }
    line->unit_price = money_to_wire(&ctl->arena, minor, currency);
    return 0;
}

/* The currency of the SKU's price; NULL after the error was shown. */
static const char *currency_of(struct ctl *ctl, const char *sku, int *ret_exit)
{
    Oms__Catalog__V1__GetProductRequest request = OMS__CATALOG__V1__GET_PRODUCT_REQUEST__INIT;
    request.by_case = OMS__CATALOG__V1__GET_PRODUCT_REQUEST__BY_SKU;
    request.sku = (char *)sku;
    Product *product;
    *ret_exit = ask(ctl, CATALOG_METHOD("GetProduct"), &request.base, &oms__catalog__v1__product__descriptor, &product);
    for (size_t i = 0; *ret_exit == CTL_OK && i < product->n_variants; i++)
        if (strcmp(product->variants[i]->sku, sku) == 0 && product->variants[i]->price)
            return product->variants[i]->price->currency_code;
    return NULL;
}

static char *text_flag(struct ctl *ctl, const char *name, const char *absent)
{
    const char *value = cli_flag(ctl, name);
    return (char *)(value ? value : absent);
}

static void fill_address(struct ctl *ctl, PlaceOrderRequest *request, Oms__Order__V1__Address *address, char **street)
{
    address->name = text_flag(ctl, "name", "");
    address->city = text_flag(ctl, "city", "");
    address->postal_code = text_flag(ctl, "postal-code", "");
    address->country = text_flag(ctl, "country", "");
    *street = text_flag(ctl, "street", "");
    address->street = street;
    address->n_street = (*street)[0] != '\0';
    if (address->name[0] || address->city[0] || address->postal_code[0] || address->country[0] || address->n_street)
        request->ship_to = address;
}

/* 0, or an exit code after one clear line. */
static int fill_lines(struct ctl *ctl, PlaceOrderRequest *request)
{
    size_t n = (size_t)ctl->n_args;
    PlaceOrderLine *lines = arena_zalloc(&ctl->arena, n * sizeof(*lines));
    request->lines = arena_zalloc(&ctl->arena, n * sizeof(*request->lines));
    request->n_lines = n;
    const char **prices = arena_zalloc(&ctl->arena, n * sizeof(*prices));
    for (size_t i = 0; i < n; i++) {
        oms__order__v1__place_order_request__line__init(&lines[i]);
        request->lines[i] = &lines[i];
        if (parse_line(arena_printf(&ctl->arena, "%s", ctl->args[i]), &lines[i], &prices[i]) < 0)
            return cli_usage("a line is SKU[=QUANTITY][@PRICE], not '%s'", ctl->args[i]);
    }
    int exit = CTL_REFUSED;
    const char *currency = cli_flag(ctl, "currency");
    if (!currency && !(currency = currency_of(ctl, lines[0].sku, &exit)))
        return exit;
    request->currency_code = (char *)currency;
    for (size_t i = 0; i < n; i++)
        if (set_price(ctl, &lines[i], prices[i], currency) < 0)
            return CTL_USAGE;
    return CTL_OK;
}

static int place_and_watch(struct ctl *ctl, const PlaceOrderRequest *request)
{
    struct watch watch = { .ctl = ctl, .settled = true, .start_us = mono_us(ctl) };
    if (!ctl->json)
        show_step(ctl, watch.start_us, "placing",
                  arena_printf(&ctl->arena, "%zu line%s", request->n_lines, request->n_lines == 1 ? "" : "s"));
    Oms__Order__V1__PlaceOrderResponse *reply;
    int exit =
        ask(ctl, ORDER_METHOD("PlaceOrder"), &request->base, &oms__order__v1__place_order_response__descriptor, &reply);
    if (exit != CTL_OK || !reply->order)
        return exit;
    const Order *order = reply->order;
    if (ctl->json)
        show_message_line(&reply->base);
    else
        show_step(ctl, watch.start_us, state_name(order->state),
                  arena_printf(&ctl->arena, "%s  %s", order->order_id, text_money(&ctl->arena, order->total)));
    if (order->state != OMS__ORDER__V1__ORDER__STATE__PENDING)
        return CTL_OK;
    watch.order_id = order->order_id;
    watch.after = reply->position;
    return watch_order(&watch);
}

int run_order_place(struct ctl *ctl)
{
    if (!cli_client(ctl))
        return CTL_USAGE;
    PlaceOrderRequest request = OMS__ORDER__V1__PLACE_ORDER_REQUEST__INIT;
    Oms__Order__V1__Address address = OMS__ORDER__V1__ADDRESS__INIT;
    char *street;
    int exit = fill_lines(ctl, &request);
    if (exit != CTL_OK)
        return exit;
    request.request_id = ask_request_id(ctl);
    request.customer_id = text_flag(ctl, "customer", "");
    request.channel = text_flag(ctl, "channel", "omsctl");
    request.external_id = text_flag(ctl, "external-id", "");
    request.wait = cli_flag(ctl, "wait") != NULL;
    fill_address(ctl, &request, &address, &street);
    if (cli_flag(ctl, "watch"))
        return place_and_watch(ctl, &request);
    Oms__Order__V1__PlaceOrderResponse *reply;
    exit =
        ask(ctl, ORDER_METHOD("PlaceOrder"), &request.base, &oms__order__v1__place_order_response__descriptor, &reply);
    if (exit != CTL_OK)
        return exit;
    if (ctl->json)
        show_message(&reply->base);
    else if (reply->order)
        show_order(&ctl->arena, reply->order);
    return CTL_OK;
}
