/* order import: a retailer's day, each invoice one order at its own prices. */
#include "mesh/base/money.h"
#include "omsctl/ask.h"
#include "omsctl/commands.h"
#include "omsctl/load.h"
#include "omsctl/order.h"
#include "omsctl/retail.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct country {
    const char *name;
    size_t orders, lines;
    int64_t minor;
};

struct placed {
    bool ok;
    const char *order_id, *refusal; /* why the server refused it */
    Oms__Order__V1__Order__State state;
    int64_t minor; /* the server's total */
};

struct import {
    struct ctl *ctl;
    const char *date;
    struct retail_day day;
    struct placed *placed; /* one per invoice */
    struct country *countries;
    size_t n_countries, accepted_lines;
    struct load_result result;
};

static struct bytes place_request(void *arg, size_t i, struct arena *arena)
{
    const struct import *import = arg;
    const struct retail_invoice *invoice = &import->day.invoices[i];
    const struct retail_line *first = invoice->first;
    PlaceOrderRequest request = OMS__ORDER__V1__PLACE_ORDER_REQUEST__INIT;
    Oms__Order__V1__Address address = OMS__ORDER__V1__ADDRESS__INIT;
    PlaceOrderLine *lines = arena_alloc(arena, invoice->n * sizeof(*lines));
    request.lines = arena_alloc(arena, invoice->n * sizeof(*request.lines));
    request.n_lines = invoice->n;
    for (size_t j = 0; j < invoice->n; j++) {
        const struct retail_line *line = import->day.sold[invoice->at + j];
        oms__order__v1__place_order_request__line__init(&lines[j]);
        lines[j].sku = (char *)line->code;
        lines[j].quantity = line->quantity;
        lines[j].unit_price = money_to_wire(arena, line->price_minor, RETAIL_CURRENCY);
        request.lines[j] = &lines[j];
    }
    request.request_id = arena_printf(arena, "invoice:%s", first->invoice);
    request.customer_id = (char *)first->customer;
    request.currency_code = (char *)RETAIL_CURRENCY;
    request.channel = (char *)RETAIL_CHANNEL;
    request.external_id = (char *)first->invoice;
    request.place_time_us = first->time_us;
    request.wait = true; /* part of the body: the same in every run, or the request id would not fit it */
    address.country = (char *)first->country;
    request.ship_to = &address;
    return arena_pack(arena, &request.base);
}

static void place_ended(void *arg, size_t i, const struct client_call *call)
{
    struct import *import = arg;
    struct placed *placed = &import->placed[i];
    struct arena *arena = &import->ctl->arena;
    ProtobufCAllocator allocator = arena_protobuf(arena);
    Oms__Order__V1__PlaceOrderResponse *reply =
        call->status.code == RPC_OK
            ? oms__order__v1__place_order_response__unpack(&allocator, call->reply.len, call->reply.data)
            : NULL;
    placed->ok =
        reply && reply->order && reply->order->total && money_from_wire(reply->order->total, &placed->minor) == 0;
    if (placed->ok) {
        placed->order_id = reply->order->order_id;
        placed->state = reply->order->state;
        return;
    }
    placed->refusal = status_line(arena, &call->status);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct country *)a)->name, ((const struct country *)b)->name);
}

static void sum_countries(struct import *import)
{
    struct arena *arena = &import->ctl->arena;
    size_t n = import->day.n_invoices;
    import->countries = arena_zalloc(arena, (n + 1) * sizeof(*import->countries));
    for (size_t i = 0; i < n; i++) {
        const struct retail_invoice *invoice = &import->day.invoices[i];
        if (!import->placed[i].ok)
            continue;
        size_t c = 0;
        while (c < import->n_countries && strcmp(import->countries[c].name, invoice->first->country) != 0)
            c++;
        struct country *country = &import->countries[c];
        import->n_countries += c == import->n_countries;
        country->name = invoice->first->country;
        country->orders++;
        country->lines += invoice->n;
        country->minor += import->placed[i].minor;
        import->accepted_lines += invoice->n;
    }
    qsort(import->countries, import->n_countries, sizeof(*import->countries), by_name);
}

/* --- what is told --- */

/* Calls each with every line that became no order line, and why. */
static void each_refused(const struct import *import,
                         void (*each)(void *arg, const struct retail_line *line, const char *reason, const char *why),
                         void *arg)
{
    for (size_t i = 0; i < import->day.n_lines; i++) {
        const struct retail_line *line = &import->day.lines[i];
        if (line->refusal != RETAIL_SOLD)
            each(arg, line, retail_reason(line->refusal), retail_sentence(line->refusal));
    }
    for (size_t i = 0; i < import->day.n_invoices; i++) {
        const struct retail_invoice *invoice = &import->day.invoices[i];
        for (size_t j = 0; j < invoice->n && !import->placed[i].ok; j++)
            each(arg, import->day.sold[invoice->at + j], "ORDER_REFUSED",
                 import->placed[i].refusal ? import->placed[i].refusal : "it was not sent");
    }
}

static void refused_json(void *arg, const struct retail_line *line, const char *reason, const char *why)
{
    json_array_append_new(arg, json_pack("{s:I, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "line", (json_int_t)line->line,
                                         "invoice", line->invoice, "stockCode", line->code, "quantity",
                                         line->quantity_text, "unitPrice", line->price_text, "country", line->country,
                                         "reason", reason, "why", why));
}

static json_t *report(const struct import *import)
{
    json_t *countries = json_array(), *orders = json_array(), *refused = json_array();
    for (size_t i = 0; i < import->n_countries; i++) {
        const struct country *c = &import->countries[i];
        json_array_append_new(countries,
                              json_pack("{s:s, s:I, s:I, s:I}", "country", c->name, "orders", (json_int_t)c->orders,
                                        "lines", (json_int_t)c->lines, "minor", (json_int_t)c->minor));
    }
    for (size_t i = 0; i < import->day.n_invoices; i++) {
        const struct retail_invoice *invoice = &import->day.invoices[i];
        const struct placed *p = &import->placed[i];
        if (p->ok)
            json_array_append_new(orders, json_pack("{s:s, s:s, s:s, s:s, s:I, s:I}", "invoice",
                                                    invoice->first->invoice, "orderId", p->order_id, "state",
                                                    order_state_name(p->state), "country", invoice->first->country,
                                                    "lines", (json_int_t)invoice->n, "minor", (json_int_t)p->minor));
    }
    each_refused(import, refused_json, refused);
    return json_pack(
        "{s:s, s:s, s:{s:I, s:I, s:I}, s:{s:I, s:I}, s:o, s:o, s:o}", "day", import->date, "currency", RETAIL_CURRENCY,
        "lines", "read", (json_int_t)import->day.n_lines, "accepted", (json_int_t)import->accepted_lines, "refused",
        (json_int_t)(import->day.n_lines - import->accepted_lines), "invoices", "placed",
        (json_int_t)import->result.accepted, "refused", (json_int_t)(import->day.n_invoices - import->result.accepted),
        "countries", countries, "orders", orders, "refusedLines", refused);
}

static int write_report(const struct import *import)
{
    const char *path = cli_flag(import->ctl, "report");
    if (!path)
        return CTL_OK;
    json_t *json = report(import);
    int r = json_dump_file(json, path, JSON_INDENT(1));
    json_decref(json);
    if (r < 0)
        fprintf(stderr, "omsctl: the report cannot be written to %s: %s\n", path, strerror(errno));
    return r < 0 ? CTL_USAGE : CTL_OK;
}

static void refused_row(void *arg, const struct retail_line *line, const char *reason, const char *why)
{
    char number[24];
    snprintf(number, sizeof(number), "%zu", line->line);
    TABLE_ROW(arg, number, line->invoice, line->code, line->quantity_text, line->price_text, why);
}

static void show_tables(const struct import *import)
{
    static const char *const country_heads[] = { "COUNTRY", ">ORDERS", ">LINES", ">SUM", NULL };
    static const char *const refused_heads[] = { ">LINE", "INVOICE", "CODE", ">QUANTITY", ">PRICE", "REFUSED", NULL };
    struct arena *arena = &import->ctl->arena;
    struct table *table = table_create(country_heads);
    for (size_t i = 0; i < import->n_countries; i++) {
        const struct country *c = &import->countries[i];
        char sum[32];
        money_format(c->minor, RETAIL_CURRENCY, sum);
        TABLE_ROW(table, c->name, text_number(arena, (int64_t)c->orders), text_number(arena, (int64_t)c->lines), sum);
    }
    printf("%s: %zu of %zu lines in %zu orders\n\n", import->date, import->accepted_lines, import->day.n_lines,
           import->result.accepted);
    table_show(table, "no order was placed");
    putchar('\n');
    table = table_create(refused_heads);
    each_refused(import, refused_row, table);
    table_show(table, "no line was refused");
}

int run_order_import(struct ctl *ctl)
{
    const char *path = cli_flag(ctl, "retailer");
    struct import import = { .ctl = ctl, .date = cli_flag(ctl, "day") };
    if (!path || !import.date)
        return cli_usage("it is: omsctl order import --retailer FILE --day YYYY-MM-DD");
    if (retail_read(&ctl->arena, path, import.date, &import.day) < 0 || !cli_client(ctl))
        return CTL_USAGE;
    import.placed = arena_zalloc(&ctl->arena, (import.day.n_invoices + 1) * sizeof(*import.placed));
    struct load load = { .what = "orders",
                         .method = ORDER_METHOD("PlaceOrder"),
                         .n = import.day.n_invoices,
                         .request = place_request,
                         .ended = place_ended,
                         .arg = &import };
    import.result = load_run(ctl, &load);
    sum_countries(&import);
    if (ctl->json)
        show_json(report(&import));
    else
        show_tables(&import);
    int exit = write_report(&import);
    if (exit != CTL_OK || import.result.exit == CTL_UNREACHED)
        return exit != CTL_OK ? exit : CTL_UNREACHED;
    return import.accepted_lines < import.day.n_lines ? CTL_PARTLY : CTL_OK;
}
