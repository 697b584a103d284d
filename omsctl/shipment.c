/* shipment list, get, track, pack, ship: what leaves the warehouses. */
#include "omsctl/api_names.h"
#include "omsctl/ask.h"
#include "omsctl/commands.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *state_name(const Fulfillment *f)
{
    return text_enum(&oms__shipping__v1__fulfillment__state__descriptor, (int)f->state);
}

/* --- one --- */

static void show_tracking(struct arena *arena, const Fulfillment *f)
{
    for (size_t i = 0; i < f->n_tracking; i++)
        printf("%s  %s\n", text_time(arena, f->tracking[i]->time_us),
               text_enum(&oms__shipping__v1__tracking_event__type__descriptor, (int)f->tracking[i]->type));
}

static void show_shipment(struct arena *arena, const Fulfillment *f)
{
    static const char *const heads[] = { ">LINE", "SKU", ">QUANTITY", "REMARK", NULL };
    printf("%s  %s%s%s%s\norder %s · customer %s · from %s\n", f->fulfillment_id, state_name(f),
           f->exception[0] ? " " : "", f->exception, f->delayed ? " (delayed)" : "", f->order_id, f->customer_id,
           f->location_id);
    if (f->tracking_number[0])
        printf("%s %s · promised for %s\n", f->carrier, f->tracking_number, text_time(arena, f->promise_time_us));
    show_tracking(arena, f);
    putchar('\n');
    struct table *table = table_create(heads);
    for (size_t i = 0; i < f->n_lines; i++)
        TABLE_ROW(table, text_number(arena, f->lines[i]->place), f->lines[i]->sku,
                  text_number(arena, f->lines[i]->quantity), "");
    for (size_t i = 0; i < f->n_missing; i++)
        TABLE_ROW(table, text_number(arena, f->missing[i]->place), f->missing[i]->sku,
                  text_number(arena, f->missing[i]->quantity), "MISSING");
    table_show(table, "no lines");
}

static int ask_shipment(struct ctl *ctl, const char *method, const ProtobufCMessage *request)
{
    Oms__Shipping__V1__FulfillmentResponse *reply;
    int exit = ask(ctl, method, request, &oms__shipping__v1__fulfillment_response__descriptor, &reply);
    if (exit != CTL_OK)
        return exit;
    if (ctl->json)
        show_message(&reply->base);
    else if (reply->fulfillment)
        show_shipment(&ctl->arena, reply->fulfillment);
    return CTL_OK;
}

int run_shipment_get(struct ctl *ctl)
{
    Oms__Shipping__V1__GetFulfillmentRequest request = OMS__SHIPPING__V1__GET_FULFILLMENT_REQUEST__INIT;
    request.fulfillment_id = ctl->args[0];
    return ask_shipment(ctl, SHIPPING_METHOD("GetFulfillment"), &request.base);
}

int run_shipment_track(struct ctl *ctl)
{
    Oms__Shipping__V1__TrackRequest request = OMS__SHIPPING__V1__TRACK_REQUEST__INIT;
    request.tracking_number = ctl->args[0];
    return ask_shipment(ctl, SHIPPING_METHOD("Track"), &request.base);
}

/* SKU[=QUANTITY]; false after one clear line. */
static bool read_missing(char *text, Oms__Shipping__V1__PackFulfillmentRequest__Missing *ret)
{
    char *quantity = strrchr(text, '='), *end = "";
    oms__shipping__v1__pack_fulfillment_request__missing__init(ret);
    if (quantity)
        *quantity++ = '\0';
    errno = 0;
    ret->sku = text;
    ret->quantity = quantity ? strtoll(quantity, &end, 10) : 1;
    if (errno == 0 && *end == '\0' && end != quantity)
        return true;
    cli_usage("'%s' is no quantity of %s", quantity, text);
    return false;
}

int run_shipment_pack(struct ctl *ctl)
{
    Oms__Shipping__V1__PackFulfillmentRequest request = OMS__SHIPPING__V1__PACK_FULFILLMENT_REQUEST__INIT;
    Oms__Shipping__V1__PackFulfillmentRequest__Missing missing[SHIPMENT_MISSING_MAX], *each[SHIPMENT_MISSING_MAX];
    if (cli_number(ctl, "weight", 0, 10000000, 0, &request.weight_grams) < 0)
        return CTL_USAGE;
    for (; request.n_missing < (size_t)ctl->n_args - 1; request.n_missing++) {
        each[request.n_missing] = &missing[request.n_missing];
        if (!read_missing(ctl->args[1 + request.n_missing], each[request.n_missing]))
            return CTL_USAGE;
    }
    if (!cli_client(ctl))
        return CTL_USAGE;
    request.missing = each;
    request.wait = cli_flag(ctl, "wait") != NULL;
    request.request_id = ask_request_id(ctl);
    request.fulfillment_id = ctl->args[0];
    return ask_shipment(ctl, SHIPPING_METHOD("PackFulfillment"), &request.base);
}

int run_shipment_ship(struct ctl *ctl)
{
    Oms__Shipping__V1__ShipFulfillmentRequest request = OMS__SHIPPING__V1__SHIP_FULFILLMENT_REQUEST__INIT;
    if (!cli_client(ctl))
        return CTL_USAGE;
    request.request_id = ask_request_id(ctl);
    request.fulfillment_id = ctl->args[0];
    return ask_shipment(ctl, SHIPPING_METHOD("ShipFulfillment"), &request.base);
}

/* --- many --- */

static void shipment_row(struct arena *arena, struct table *table, const ProtobufCMessage *item)
{
    const Fulfillment *f = (const Fulfillment *)item;
    TABLE_ROW(table, f->fulfillment_id, f->order_id, f->location_id, text_time(arena, f->create_time_us),
              text_number(arena, (int64_t)f->n_lines), f->tracking_number, state_name(f),
              f->exception[0] ? f->exception
              : f->delayed    ? "DELAYED"
                              : "");
}

/* Any case; false after one clear line. */
static bool read_state(struct ctl *ctl, Oms__Shipping__V1__Fulfillment__State *ret_state)
{
    const ProtobufCEnumDescriptor *states = &oms__shipping__v1__fulfillment__state__descriptor;
    const char *name = cli_flag(ctl, "state");
    for (unsigned i = 0; name && i < states->n_values; i++) {
        if (states->values[i].value == 0 || strcasecmp(states->values[i].name, name) != 0)
            continue;
        *ret_state = (Oms__Shipping__V1__Fulfillment__State)states->values[i].value;
        return true;
    }
    if (name)
        cli_usage("--state: '%s' is none of allocated, packed, short, shipped, delivered, exception, cancelled", name);
    return !name;
}

int run_shipment_list(struct ctl *ctl)
{
    static const char *const heads[] = { "SHIPMENT", "ORDER", "FROM",   "CREATED", ">LINES",
                                         "TRACKING", "STATE", "REMARK", NULL };
    Oms__Shipping__V1__ListFulfillmentsRequest request = OMS__SHIPPING__V1__LIST_FULFILLMENTS_REQUEST__INIT;
    const char *order = cli_flag(ctl, "order"), *location = cli_flag(ctl, "location");
    if (!read_state(ctl, &request.state))
        return CTL_USAGE;
    if (order)
        request.order_id = (char *)order;
    if (location)
        request.location_id = (char *)location;
    struct listing listing = { .pages = { .method = SHIPPING_METHOD("ListFulfillments"),
                                          .request = &request.base,
                                          .reply = &oms__shipping__v1__list_fulfillments_response__descriptor,
                                          .items = "fulfillments" },
                               .heads = heads,
                               .row = shipment_row,
                               .nothing = "no shipments" };
    return ask_listing(ctl, &listing);
}
