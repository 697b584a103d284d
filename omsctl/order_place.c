/* order place: what is typed becomes an order, and is followed if that is wanted. */
#include "mesh/base/money.h"
#include "omsctl/ask.h"
#include "omsctl/commands.h"
#include "omsctl/order.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* --- the request --- */

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

/* 0, or an exit code after one clear line. street is where the address points to. */
static int fill_request(struct ctl *ctl, PlaceOrderRequest *request, Oms__Order__V1__Address *address, char **street)
{
    int exit = fill_lines(ctl, request);
    if (exit != CTL_OK)
        return exit;
    request->request_id = ask_request_id(ctl);
    request->customer_id = text_flag(ctl, "customer", "");
    request->channel = text_flag(ctl, "channel", "omsctl");
    request->external_id = text_flag(ctl, "external-id", "");
    request->payment_token = text_flag(ctl, "pay", "");
    request->email = text_flag(ctl, "email", "");
    request->wait = cli_flag(ctl, "wait") != NULL;
    fill_address(ctl, request, address, street);
    return CTL_OK;
}

/* --- placing --- */

static int place(struct ctl *ctl, const PlaceOrderRequest *request, Oms__Order__V1__PlaceOrderResponse **ret_reply)
{
    return ask(ctl, ORDER_METHOD("PlaceOrder"), &request->base, &oms__order__v1__place_order_response__descriptor,
               ret_reply);
}

static void show_placed(const struct order_watch *watch, const Oms__Order__V1__PlaceOrderResponse *reply)
{
    struct ctl *ctl = watch->ctl;
    const Order *order = reply->order;
    if (ctl->json)
        show_message_line(&reply->base);
    else
        order_watch_line(watch, order->update_time_us, order_state_name(order->state),
                         order_payment_name(order->payment_state), order_fulfillment_name(order->fulfillment_state),
                         arena_printf(&ctl->arena, "%s  %s", order->order_id, text_money(&ctl->arena, order->total)));
}

static int place_and_watch(struct ctl *ctl, const PlaceOrderRequest *request)
{
    struct order_watch watch = { .ctl = ctl,
                                 .settled = cli_flag(ctl, "settled") != NULL,
                                 .start_us = order_watch_now_us(ctl) };
    if (!ctl->json)
        order_watch_line(&watch, 0, "placing", "", "",
                         arena_printf(&ctl->arena, "%zu line%s", request->n_lines, request->n_lines == 1 ? "" : "s"));
    Oms__Order__V1__PlaceOrderResponse *reply;
    int exit = place(ctl, request, &reply);
    if (exit != CTL_OK || !reply->order)
        return exit;
    show_placed(&watch, reply);
    Oms__Order__V1__Order__State state = reply->order->state;
    if (order_is_over(state) || (watch.settled && state != OMS__ORDER__V1__ORDER__STATE__PENDING))
        return CTL_OK;
    watch.order_id = reply->order->order_id;
    watch.after = reply->position;
    return order_watch(&watch);
}

int run_order_place(struct ctl *ctl)
{
    if (!cli_client(ctl))
        return CTL_USAGE;
    PlaceOrderRequest request = OMS__ORDER__V1__PLACE_ORDER_REQUEST__INIT;
    Oms__Order__V1__Address address = OMS__ORDER__V1__ADDRESS__INIT;
    char *street;
    int exit = fill_request(ctl, &request, &address, &street);
    if (exit != CTL_OK)
        return exit;
    if (cli_flag(ctl, "watch") || cli_flag(ctl, "settled"))
        return place_and_watch(ctl, &request);
    Oms__Order__V1__PlaceOrderResponse *reply;
    exit = place(ctl, &request, &reply);
    if (exit == CTL_OK)
        order_show_reply(ctl, &reply->base, reply->order);
    return exit;
}
