/* order import: a retailer's file, each invoice an entry of ImportOrders at its own prices. */
#include "mesh/base/money.h"
#include "omsctl/commands.h"
#include "omsctl/order_credits.h"
#include "omsctl/order_send.h"
#include "omsctl/order_stage.h"
#include "omsctl/patience.h"
#include "omsctl/retail_report.h"
#include "omsctl/show.h"

#include <stdio.h>

#define SHOWN_REFUSALS 20 /* invoices that the server refused, told at once; the report has all */

struct import {
    struct ctl *ctl;
    const struct retail *retail;
    const char *import_id;     /* "": what is taken begins at once */
    struct retail_fate *fates; /* of each invoice number */
    const char **judged;       /* of each line */
    uint32_t *unlike;          /* cancellations whose credit memos may be otherwise than the file has it */
    size_t n_unlike, refused;
};

/* --- entries --- */

static Money *price_of(const struct import *import, const struct retail_line *line, struct arena *arena)
{
    return money_to_wire(arena, line->price_minor, import->retail->mapping->currency);
}

static void fill_sold(const struct import *import, const struct retail_invoice *invoice, struct arena *arena,
                      NewOrder *entry)
{
    entry->fulfilled = true;
    entry->lines = arena_alloc(arena, invoice->n * sizeof(*entry->lines));
    for (uint32_t at = invoice->first; at != RETAIL_NONE; at = import->retail->lines[at].next) {
        const struct retail_line *from = &import->retail->lines[at];
        PlaceOrderLine *line = arena_message(arena, &oms__order__v1__place_order_request__line__descriptor);
        line->sku = (char *)import->retail->codes.texts[from->code];
        line->quantity = from->quantity;
        line->unit_price = price_of(import, from, arena);
        entry->lines[entry->n_lines++] = line;
    }
}

/* Returns the place of the latest sale that it refers to. */
static size_t fill_cancelled(const struct import *import, const struct retail_invoice *invoice, struct arena *arena,
                             NewOrder *entry)
{
    const struct retail *retail = import->retail;
    size_t latest = ORDER_SEND_NONE;
    entry->cancelled = arena_alloc(arena, invoice->n * sizeof(*entry->cancelled));
    for (uint32_t at = invoice->first; at != RETAIL_NONE; at = retail->lines[at].next) {
        const struct retail_line *from = &retail->lines[at];
        CancelledLine *line = arena_message(arena, &oms__order__v1__import_orders_request__cancelled__descriptor);
        line->sku = (char *)retail->codes.texts[from->code];
        line->quantity = from->quantity;
        line->unit_price = price_of(import, from, arena);
        line->reason = (char *)retail_reason(from->outcome);
        if (from->sale != RETAIL_NONE) {
            uint32_t sale = retail->lines[from->sale].invoice;
            line->external_id = (char *)retail->numbers.texts[sale];
            if (latest == ORDER_SEND_NONE || retail->invoices[sale].place > latest)
                latest = retail->invoices[sale].place;
        }
        entry->cancelled[entry->n_cancelled++] = line;
    }
    return latest;
}

static size_t fill_entry(void *arg, size_t i, struct arena *arena, NewOrder *entry)
{
    const struct import *import = arg;
    const struct retail *retail = import->retail;
    const struct retail_invoice *invoice = &retail->invoices[retail->sent[i]];
    entry->customer_id = (char *)retail->customers.texts[invoice->customer];
    entry->currency_code = (char *)retail->mapping->currency;
    entry->channel = (char *)retail->mapping->channel;
    entry->external_id = (char *)retail->numbers.texts[retail->sent[i]];
    entry->place_time_us = invoice->time_us;
    entry->ship_to = arena_message(arena, &oms__order__v1__address__descriptor);
    entry->ship_to->country = (char *)retail->countries.texts[invoice->country];
    if (invoice->cancellation)
        return fill_cancelled(import, invoice, arena, entry);
    fill_sold(import, invoice, arena, entry);
    return ORDER_SEND_NONE;
}

/* --- what became of them --- */

static size_t refunds_of(const struct import *import, const struct retail_invoice *invoice)
{
    size_t n = 0;
    for (uint32_t at = invoice->first; at != RETAIL_NONE; at = import->retail->lines[at].next)
        n += import->retail->lines[at].outcome == RETAIL_REFUNDED;
    return n;
}

static void note_refusal(struct import *import, uint32_t number, const ImportRefusal *refusal)
{
    import->fates[number].refusal = arena_printf(&import->ctl->arena, "%s", refusal->reason);
    if (import->refused++ < SHOWN_REFUSALS)
        fprintf(stderr, "\nomsctl: invoice %s is refused: %s: %s%s%s%s\n", import->retail->numbers.texts[number],
                refusal->reason, refusal->message, refusal->field[0] ? " (" : "", refusal->field,
                refusal->field[0] ? ")" : "");
}

/* One that came in before is in, and counts as taken; but not with a staged import, which it is no part of. */
static size_t entry_ended(void *arg, size_t i, const ImportResult *result)
{
    struct import *import = arg;
    uint32_t number = import->retail->sent[i];
    const struct retail_invoice *invoice = &import->retail->invoices[number];
    import->fates[number].answered = true;
    if (result->refusal && (import->import_id[0] || (!result->order_id[0] && !result->credit_id[0])))
        note_refusal(import, number, result->refusal);
    else if (invoice->cancellation && (result->refusal || result->refunded != refunds_of(import, invoice)))
        import->unlike[import->n_unlike++] = number;
    return invoice->n;
}

/* --- the run --- */

static enum rpc_code tail_once(struct ctl *ctl, struct client_call *call, Mesh__V1__Position **ret_position)
{
    Mesh__V1__TailRequest request = MESH__V1__TAIL_REQUEST__INIT;
    request.max_entries = 1;
    *call = (struct client_call){ .method = LOG_METHOD("Tail"),
                                  .request = arena_pack(&ctl->arena, &request.base),
                                  .service = "svc-inventory" };
    ProtobufCAllocator allocator = arena_protobuf(&ctl->arena);
    Mesh__V1__TailResponse *first = NULL;
    client_stream(ctl->client, call);
    for (struct bytes message; client_next(call, &message); client_cancel(call))
        first = first ? first : mesh__v1__tail_response__unpack(&allocator, message.len, message.data);
    if (!first || !first->position)
        return call->status.code;
    *ret_position = first->position;
    (*ret_position)->seq = first->head;
    return RPC_OK;
}

/* Where the catalogue stands now, so that no invoice is refused for a product that was imported just before. */
static int catalogue_position(struct ctl *ctl, Mesh__V1__Position **ret_position)
{
    struct patience patience;
    int exit = CTL_OK;
    patience_renew(&patience);
    for (bool go_on = true; go_on;) {
        struct client_call call;
        enum rpc_code code = tail_once(ctl, &call, ret_position);
        go_on = code != RPC_OK && patience_try(&patience, code);
        if (code != RPC_OK && !go_on)
            exit = show_status(ctl, &call.status);
        client_finish(&call);
    }
    return exit;
}

static int send_invoices(struct import *import)
{
    const struct retail *retail = import->retail;
    struct order_sending sending = { .ctl = import->ctl,
                                     .n = retail->n_sent,
                                     .import_id = import->import_id,
                                     .entry = fill_entry,
                                     .ended = entry_ended,
                                     .arg = import };
    for (size_t i = 0; i < retail->n_sent; i++)
        sending.lines += retail->invoices[retail->sent[i]].n;
    Mesh__V1__Position *catalogue = NULL;
    int exit = catalogue_position(import->ctl, &catalogue);
    if (exit == CTL_OK)
        exit = order_stage_await(import->ctl, catalogue);
    sending.catalogue = catalogue;
    return exit == CTL_OK ? order_send(&sending) : exit;
}

static int end_stage(struct import *import)
{
    if (import->refused == 0)
        return order_stage_activate(import->ctl, import->import_id, import->retail->n_sent);
    fprintf(stderr, "omsctl: nothing is imported: %zu of %zu invoices were refused, and import %s is discarded\n",
            import->refused, import->retail->n_sent, import->import_id);
    int exit = order_stage_discard(import->ctl, import->import_id);
    return exit == CTL_OK ? CTL_REFUSED : exit;
}

/* What was staged and has not begun is not taken. */
static void forget_staged(struct import *import)
{
    for (size_t i = 0; i < import->retail->n_sent; i++) {
        struct retail_fate *fate = &import->fates[import->retail->sent[i]];
        fate->answered = fate->refusal != NULL;
    }
}

static int run_import(struct import *import)
{
    int exit = send_invoices(import);
    if (exit == CTL_OK && import->import_id[0])
        exit = end_stage(import);
    if (exit != CTL_OK && import->import_id[0])
        forget_staged(import);
    if (exit != CTL_OK)
        return exit;
    return order_credits_read(import->ctl, import->retail, import->unlike, import->n_unlike, import->judged);
}

static int tell(const struct import *import, int exit)
{
    const struct retail_result result = { import->retail, import->fates, import->judged };
    const char *path = cli_flag(import->ctl, "report");
    if (import->ctl->json)
        show_json(retail_report_json(&result));
    else
        retail_report_show(&result);
    if (path && retail_report_write(&result, path) < 0 && exit == CTL_OK)
        return CTL_USAGE;
    return exit == CTL_OK && retail_report_refused(&result) > 0 ? CTL_PARTLY : exit;
}

static int import_retail(struct ctl *ctl, const struct retail *retail)
{
    const char *import_id = cli_flag(ctl, "staged");
    struct import import = { .ctl = ctl, .retail = retail, .import_id = import_id ? import_id : "" };
    if (!cli_client(ctl))
        return CTL_USAGE;
    import.fates = arena_zalloc(&ctl->arena, (retail->numbers.n + 1) * sizeof(*import.fates));
    import.judged = arena_zalloc(&ctl->arena, (retail->n_lines + 1) * sizeof(*import.judged));
    import.unlike = arena_alloc(&ctl->arena, (retail->n_sent + 1) * sizeof(*import.unlike));
    return tell(&import, run_import(&import));
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
        exit = import_retail(ctl, &retail);
        retail_finish(&retail);
    }
    mapping_finish(&mapping);
    return exit;
}
