/* order import: a retailer's day, each invoice one order at its own prices. */
#include "mesh/base/money.h"
#include "omsctl/ask.h"
#include "omsctl/commands.h"
#include "omsctl/load.h"
#include "omsctl/order.h"
#include "omsctl/order_send.h"
#include "omsctl/retail.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SETTLE_US       60000000 /* how long orders may stay PENDING before they are shown so */
#define SETTLE_PAUSE_US 200000

struct country {
    const char *name;
    size_t orders, lines;
    int64_t minor;
};

struct placed {
    const char *order_id, *refusal; /* why the server refused it */
    bool ok;                        /* read back: */
    Oms__Order__V1__Order__State state;
    int64_t minor; /* the server's total */
};

struct import {
    struct ctl *ctl;
    const char *date;
    struct retail_day day;
    struct placed *placed; /* one per invoice */
    struct country *countries;
    size_t n_countries, accepted_lines, n_placed;
    size_t *pending; /* invoices to be read back */
};

static void fill_order(void *arg, size_t i, struct arena *arena, NewOrder *ret_order)
{
    const struct import *import = arg;
    const struct retail_invoice *invoice = &import->day.invoices[i];
    const struct retail_line *first = invoice->first;
    PlaceOrderLine *lines = arena_alloc(arena, invoice->n * sizeof(*lines));
    ret_order->lines = arena_alloc(arena, invoice->n * sizeof(*ret_order->lines));
    ret_order->n_lines = invoice->n;
    for (size_t j = 0; j < invoice->n; j++) {
        const struct retail_line *line = import->day.sold[invoice->at + j];
        oms__order__v1__place_order_request__line__init(&lines[j]);
        lines[j].sku = (char *)line->code;
        lines[j].quantity = line->quantity;
        lines[j].unit_price = money_to_wire(arena, line->price_minor, RETAIL_CURRENCY);
        ret_order->lines[j] = &lines[j];
    }
    ret_order->customer_id = (char *)first->customer;
    ret_order->currency_code = (char *)RETAIL_CURRENCY;
    ret_order->channel = (char *)RETAIL_CHANNEL;
    ret_order->external_id = (char *)first->invoice;
    ret_order->place_time_us = first->time_us;
    ret_order->ship_to = arena_message(arena, &oms__order__v1__address__descriptor);
    ret_order->ship_to->country = (char *)first->country;
}

/* Where the catalogue stands now, so that no invoice is refused for a product that was imported just before. */
static int catalogue_position(struct ctl *ctl, Mesh__V1__Position **ret_position)
{
    Mesh__V1__TailRequest request = MESH__V1__TAIL_REQUEST__INIT;
    request.max_entries = 1;
    struct client_call call = { .method = LOG_METHOD("Tail"),
                                .request = arena_pack(&ctl->arena, &request.base),
                                .service = "svc-inventory" };
    ProtobufCAllocator allocator = arena_protobuf(&ctl->arena);
    Mesh__V1__TailResponse *first = NULL;
    client_stream(ctl->client, &call);
    for (struct bytes message; client_next(&call, &message); client_cancel(&call))
        first = first ? first : mesh__v1__tail_response__unpack(&allocator, message.len, message.data);
    int exit = first && first->position ? CTL_OK : show_status(ctl, &call.status);
    if (exit == CTL_OK) {
        *ret_position = first->position;
        (*ret_position)->seq = first->head;
    }
    client_finish(&call);
    return exit;
}

/* An invoice that was placed before has its order, and counts as placed. */
static void placed_or_refused(void *arg, size_t i, const ImportResult *result)
{
    struct import *import = arg;
    struct placed *placed = &import->placed[i];
    if (result->order_id[0]) {
        placed->order_id = result->order_id;
        import->n_placed++;
    } else if (result->refusal) {
        placed->refusal = arena_printf(&import->ctl->arena, "%s: %s%s%s%s", result->refusal->reason,
                                       result->refusal->message, result->refusal->field[0] ? " (" : "",
                                       result->refusal->field, result->refusal->field[0] ? ")" : "");
    }
}

/* --- what became of them, read back once they have left PENDING --- */

static struct bytes read_request(void *arg, size_t i, struct arena *arena)
{
    const struct import *import = arg;
    Oms__Order__V1__GetOrderRequest request = OMS__ORDER__V1__GET_ORDER_REQUEST__INIT;
    request.order_id = (char *)import->placed[import->pending[i]].order_id;
    return arena_pack(arena, &request.base);
}

static void read_ended(void *arg, size_t i, const struct client_call *call)
{
    struct import *import = arg;
    struct placed *placed = &import->placed[import->pending[i]];
    ProtobufCAllocator allocator = arena_protobuf(&import->ctl->arena);
    Oms__Order__V1__GetOrderResponse *reply =
        call->status.code == RPC_OK
            ? oms__order__v1__get_order_response__unpack(&allocator, call->reply.len, call->reply.data)
            : NULL;
    if (!reply || !reply->order || !reply->order->total || money_from_wire(reply->order->total, &placed->minor) < 0)
        return;
    placed->ok = true;
    placed->state = reply->order->state;
}

static size_t list_pending(struct import *import)
{
    size_t n = 0;
    for (size_t i = 0; i < import->day.n_invoices; i++) {
        const struct placed *placed = &import->placed[i];
        if (placed->order_id && (!placed->ok || placed->state == OMS__ORDER__V1__ORDER__STATE__PENDING))
            import->pending[n++] = i;
    }
    return n;
}

static int read_back(struct import *import)
{
    struct load load = { .what = "orders read back",
                         .method = ORDER_METHOD("GetOrder"),
                         .request = read_request,
                         .ended = read_ended,
                         .arg = import };
    for (int64_t left_us = SETTLE_US; (load.n = list_pending(import)) > 0; left_us -= SETTLE_PAUSE_US) {
        struct load_result result = load_run(import->ctl, &load);
        if (result.exit == CTL_UNREACHED || left_us <= 0)
            return result.exit;
        if (list_pending(import) > 0)
            nanosleep(&(struct timespec){ .tv_nsec = SETTLE_PAUSE_US * 1000 }, NULL);
    }
    return CTL_OK;
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
        const struct placed *placed = &import->placed[i];
        const char *reason = placed->order_id ? "ORDER_UNREAD" : placed->refusal ? "ORDER_REFUSED" : "ORDER_UNSENT";
        const char *why = placed->order_id  ? "it is placed, and was not read back"
                          : placed->refusal ? placed->refusal
                                            : "it is not known to be placed: import the day again";
        for (size_t j = 0; j < invoice->n && !placed->ok; j++)
            each(arg, import->day.sold[invoice->at + j], reason, why);
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
    return json_pack("{s:s, s:s, s:{s:I, s:I, s:I}, s:{s:I, s:I}, s:o, s:o, s:o}", "day", import->date, "currency",
                     RETAIL_CURRENCY, "lines", "read", (json_int_t)import->day.n_lines, "accepted",
                     (json_int_t)import->accepted_lines, "refused",
                     (json_int_t)(import->day.n_lines - import->accepted_lines), "invoices", "placed",
                     (json_int_t)import->n_placed, "refused", (json_int_t)(import->day.n_invoices - import->n_placed),
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
           import->n_placed);
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
    Mesh__V1__Position *catalogue;
    int exit = catalogue_position(ctl, &catalogue);
    if (exit != CTL_OK)
        return exit;
    import.placed = arena_zalloc(&ctl->arena, (import.day.n_invoices + 1) * sizeof(*import.placed));
    import.pending = arena_zalloc(&ctl->arena, (import.day.n_invoices + 1) * sizeof(*import.pending));
    int sent = order_send(&(struct order_sending){ .ctl = ctl,
                                                   .n = import.day.n_invoices,
                                                   .after = catalogue,
                                                   .order = fill_order,
                                                   .ended = placed_or_refused,
                                                   .arg = &import });
    int read = sent == CTL_UNREACHED ? sent : read_back(&import);
    sum_countries(&import);
    if (ctl->json)
        show_json(report(&import));
    else
        show_tables(&import);
    exit = write_report(&import);
    if (exit == CTL_OK)
        exit = sent != CTL_OK ? sent : read;
    if (exit != CTL_OK)
        return exit;
    return import.accepted_lines < import.day.n_lines ? CTL_PARTLY : CTL_OK;
}
