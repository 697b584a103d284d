/* order import: a retailer's file, each invoice an entry of ImportOrders at its own prices. */
#include "mesh/base/money.h"
#include "omsctl/commands.h"
#include "omsctl/order.h"
#include "omsctl/order_send.h"
#include "omsctl/retail_report.h"
#include "omsctl/show.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHOWN_REFUSALS 20 /* invoices that the server refused, told at once; the report has all */

struct import {
    struct ctl *ctl;
    struct retail *retail;
    struct retail_fate *fates; /* of each invoice number */
    uint32_t *sales;           /* invoices that are sent */
    size_t refused;
};

static void fill_lines(const struct import *import, const struct retail_invoice *invoice, struct arena *arena,
                       NewOrder *entry)
{
    entry->lines = arena_alloc(arena, invoice->n * sizeof(*entry->lines));
    for (uint32_t at = invoice->first; at != RETAIL_NONE; at = import->retail->lines[at].next) {
        const struct retail_line *from = &import->retail->lines[at];
        PlaceOrderLine *line = arena_message(arena, &oms__order__v1__place_order_request__line__descriptor);
        line->sku = (char *)import->retail->codes.texts[from->code];
        line->quantity = from->quantity;
        line->unit_price = money_to_wire(arena, from->price_minor, import->retail->mapping->currency);
        entry->lines[entry->n_lines++] = line;
    }
}

static size_t fill_entry(void *arg, size_t i, struct arena *arena, NewOrder *entry)
{
    const struct import *import = arg;
    const struct retail *retail = import->retail;
    const struct retail_invoice *invoice = &retail->invoices[import->sales[i]];
    fill_lines(import, invoice, arena, entry);
    entry->customer_id = (char *)retail->customers.texts[invoice->customer];
    entry->currency_code = (char *)retail->mapping->currency;
    entry->channel = (char *)retail->mapping->channel;
    entry->external_id = (char *)retail->numbers.texts[import->sales[i]];
    entry->place_time_us = invoice->time_us;
    entry->ship_to = arena_message(arena, &oms__order__v1__address__descriptor);
    entry->ship_to->country = (char *)retail->countries.texts[invoice->country];
    return ORDER_SEND_NONE;
}

/* One that came in before is in, and counts as taken. */
static size_t entry_ended(void *arg, size_t i, const ImportResult *result)
{
    struct import *import = arg;
    uint32_t number = import->sales[i];
    struct retail_fate *fate = &import->fates[number];
    const Oms__Order__V1__ImportOrdersResponse__Refusal *refusal = result->order_id[0] ? NULL : result->refusal;
    fate->answered = true;
    if (refusal) {
        fate->refusal = arena_printf(&import->ctl->arena, "%s", refusal->reason);
        if (import->refused++ < SHOWN_REFUSALS)
            fprintf(stderr, "\nomsctl: invoice %s is refused: %s: %s%s%s%s\n", import->retail->numbers.texts[number],
                    refusal->reason, refusal->message, refusal->field[0] ? " (" : "", refusal->field,
                    refusal->field[0] ? ")" : "");
    }
    return import->retail->invoices[number].n;
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

static int send_invoices(struct import *import)
{
    const struct retail *retail = import->retail;
    struct order_sending sending = { .ctl = import->ctl, .entry = fill_entry, .ended = entry_ended, .arg = import };
    import->sales = arena_alloc(&import->ctl->arena, (retail->n_sent + 1) * sizeof(*import->sales));
    for (size_t i = 0; i < retail->n_sent; i++) {
        const struct retail_invoice *invoice = &retail->invoices[retail->sent[i]];
        if (invoice->cancellation)
            continue;
        import->sales[sending.n++] = retail->sent[i];
        sending.lines += invoice->n;
    }
    int exit = catalogue_position(import->ctl, &sending.after);
    return exit == CTL_OK ? order_send(&sending) : exit;
}

static int tell(struct import *import, int exit)
{
    const struct retail_result result = { import->retail, import->fates };
    const char *path = cli_flag(import->ctl, "report");
    if (import->ctl->json)
        show_json(retail_report_json(&result));
    else
        retail_report_show(&result);
    if (path && retail_report_write(&result, path) < 0 && exit == CTL_OK)
        return CTL_USAGE;
    return exit == CTL_OK && retail_report_refused(&result) > 0 ? CTL_PARTLY : exit;
}

int run_order_import(struct ctl *ctl)
{
    const char *map = cli_flag(ctl, "map");
    struct mapping mapping;
    struct retail retail;
    int exit = CTL_USAGE;
    if (!map)
        return cli_usage("it is: omsctl order import FILE --map MAPPING");
    if (mapping_read(&ctl->arena, map, &mapping) < 0)
        return CTL_USAGE;
    if (retail_read(&ctl->arena, ctl->args[0], &mapping, &retail) == 0) {
        struct import import = { ctl, &retail,
                                 arena_zalloc(&ctl->arena, (retail.numbers.n + 1) * sizeof(*import.fates)), 0 };
        if (cli_client(ctl))
            exit = tell(&import, send_invoices(&import));
        retail_finish(&retail);
    }
    mapping_finish(&mapping);
    return exit;
}
