/* order export: everything, or what has changed after a position, as JSON lines or as CSV, a row for each line. */
#include "omsctl/ask.h"
#include "omsctl/commands.h"
#include "omsctl/csv.h"
#include "omsctl/order.h"

#include "mesh/base/money.h"
#include "mesh/rpc/known.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PATIENCE_US  20000000 /* without a message, after which it is given up */
#define PAUSE_US     50000    /* before the next stream; twice as long each time nothing came */
#define PAUSE_MAX_US 1600000
#define TOKEN_MAX    513

struct exporting {
    struct ctl *ctl;
    bool csv;
    FILE *file;
    const char *path, *part; /* NULL: to stdout; the file while it is written */
    /* Where it stands. */
    bool delta;
    Mesh__V1__Position after;
    char incarnation[64], page_token[TOKEN_MAX];
    struct progress progress;
};

/* --- CSV --- */

static const char heads[] = "kind,id,channel,external_id,customer_id,time,update_time,state,payment_state,"
                            "fulfillment_state,fulfilled_elsewhere,currency,total,captured,credited,email,name,street,"
                            "city,postal_code,country,sku,title,quantity,shipped,cancelled,returned,unit_price,"
                            "line_total,order_id,reason\n";

static void put(FILE *file, const char *text)
{
    csv_put(file, text, ',');
}

static void put_number(FILE *file, int64_t number)
{
    fprintf(file, "%" PRId64 ",", number);
}

static void put_time(FILE *file, int64_t us)
{
    char text[KNOWN_TEXT];
    bool is = known_timestamp_format(us / 1000000, (int32_t)(us % 1000000 * 1000), text);
    put(file, is ? text : "");
}

/* Without its currency, which is a column of its own. */
static void put_amount(FILE *file, const Google__Type__Money *money)
{
    char text[32] = "";
    int64_t minor;
    if (money && money_from_wire(money, &minor) == 0)
        money_format(minor, money->currency_code, text);
    text[strcspn(text, " ")] = '\0';
    put(file, text);
}

static void put_address(FILE *file, struct arena *arena, const Oms__Order__V1__Address *a)
{
    static const Oms__Order__V1__Address nowhere = OMS__ORDER__V1__ADDRESS__INIT;
    const char *street = "";
    a = a ? a : &nowhere;
    for (size_t i = 0; street && i < a->n_street; i++)
        street = arena_printf(arena, "%s%s%s", street, i ? "\n" : "", a->street[i]);
    put(file, a->name);
    put(file, street ? street : "");
    put(file, a->city);
    put(file, a->postal_code);
    put(file, a->country);
}

static void put_order_line(FILE *file, struct arena *arena, const Order *o, const OrderLine *line)
{
    put(file, "order");
    put(file, o->order_id);
    put(file, o->channel);
    put(file, o->external_id);
    put(file, o->customer_id);
    put_time(file, o->place_time_us);
    put_time(file, o->update_time_us);
    put(file, order_state_name(o->state));
    put(file, order_payment_name(o->payment_state));
    put(file, order_fulfillment_name(o->fulfillment_state));
    put(file, o->fulfilled_elsewhere ? "true" : "false");
    put(file, o->total ? o->total->currency_code : "");
    put_amount(file, o->total);
    put_amount(file, o->captured);
    put_amount(file, o->credited);
    put(file, o->email);
    put_address(file, arena, o->ship_to);
    put(file, line->sku);
    put(file, line->title);
    put_number(file, line->quantity);
    put_number(file, line->shipped);
    put_number(file, line->cancelled);
    put_number(file, line->returned);
    put_amount(file, line->unit_price);
    put_amount(file, line->line_total);
    fputs(",\n", file);
}

static void put_credit_line(FILE *file, const Credit *c, const CreditLine *line)
{
    put(file, "credit");
    put(file, c->credit_id);
    put(file, c->channel);
    put(file, c->external_id);
    put(file, c->customer_id);
    put_time(file, c->issue_time_us);
    put_time(file, c->update_time_us);
    fputs(",,,,", file);
    put(file, c->total ? c->total->currency_code : "");
    put_amount(file, c->total);
    fputs(",,,,,,,", file);
    put(file, c->country);
    put(file, line->sku);
    put(file, line->title);
    put_number(file, line->quantity);
    fputs(",,,", file);
    put_amount(file, line->unit_price);
    put_amount(file, line->line_total);
    put(file, line->order_id);
    csv_put(file, line->reason, '\n');
}

static void put_csv(struct exporting *e, const ExportOrdersResponse *page)
{
    for (size_t i = 0; i < page->n_orders; i++)
        for (size_t k = 0; k < page->orders[i]->n_lines; k++)
            put_order_line(e->file, &e->ctl->arena, page->orders[i], page->orders[i]->lines[k]);
    for (size_t i = 0; i < page->n_credits; i++)
        for (size_t k = 0; k < page->credits[i]->n_lines; k++)
            put_credit_line(e->file, page->credits[i], page->credits[i]->lines[k]);
}

/* --- JSON: {"order": …}, {"credit": …}, and in the end {"position": …} --- */

static void put_json(struct exporting *e, const char *kind, const ProtobufCMessage *message)
{
    json_t *line = json_pack("{s:o}", kind, message_json(message));
    if (line)
        json_dumpf(line, e->file, JSON_COMPACT);
    fputc('\n', e->file);
    json_decref(line);
}

static void put_page(struct exporting *e, const ExportOrdersResponse *page)
{
    if (e->csv) {
        put_csv(e, page);
        return;
    }
    for (size_t i = 0; i < page->n_orders; i++)
        put_json(e, "order", &page->orders[i]->base);
    for (size_t i = 0; i < page->n_credits; i++)
        put_json(e, "credit", &page->credits[i]->base);
}

/* --- the stream --- */

static void stand(struct exporting *e, const ExportOrdersResponse *page)
{
    snprintf(e->page_token, sizeof(e->page_token), "%s", page->page_token);
    if (!page->position)
        return;
    snprintf(e->incarnation, sizeof(e->incarnation), "%s", page->position->incarnation);
    e->after.incarnation = e->incarnation;
    e->after.seq = page->position->seq;
}

/* One stream from where it stands; *ret_came: messages. */
static int stream(struct exporting *e, const char *filter, size_t *ret_came, enum rpc_code *ret_code)
{
    struct ctl *ctl = e->ctl;
    struct arena_mark mark = arena_mark(&ctl->arena);
    ExportOrdersRequest request = OMS__ORDER__V1__EXPORT_ORDERS_REQUEST__INIT;
    request.filter = (char *)(filter ? filter : "");
    request.after = e->delta ? &e->after : NULL;
    request.page_token = e->page_token;
    struct client_call call = { .method = ORDER_METHOD("ExportOrders"),
                                .request = arena_pack(&ctl->arena, &request.base) };
    client_stream(ctl->client, &call);
    struct arena_mark behind = arena_mark(&ctl->arena);
    ProtobufCAllocator allocator = arena_protobuf(&ctl->arena);
    for (struct bytes message; client_next(&call, &message); arena_rewind(&ctl->arena, behind)) {
        ExportOrdersResponse *page =
            oms__order__v1__export_orders_response__unpack(&allocator, message.len, message.data);
        if (!page)
            continue;
        put_page(e, page);
        stand(e, page);
        progress_add(&e->progress, page->n_orders + page->n_credits);
        ++*ret_came;
    }
    *ret_code = call.status.code;
    int exit = call.status.code == RPC_OK || call.status.code == RPC_UNAVAILABLE ? exit_of(call.status.code)
                                                                                 : show_status(ctl, &call.status);
    client_finish(&call);
    arena_rewind(&ctl->arena, mark);
    return exit;
}

static int64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000) + t.tv_nsec / 1000;
}

/* To the end, through as many streams as that takes. */
static int export(struct exporting *e, const char *filter)
{
    int64_t heard_us = now_us(), pause_us = PAUSE_US;
    for (;;) {
        size_t came = 0;
        enum rpc_code code;
        int exit = stream(e, filter, &came, &code);
        if (code != RPC_UNAVAILABLE)
            return exit;
        if (came) {
            heard_us = now_us();
            pause_us = PAUSE_US;
        }
        if (now_us() - heard_us > PATIENCE_US) {
            fprintf(stderr, "omsctl: UNAVAILABLE: nothing has come for %d s\n", PATIENCE_US / 1000000);
            return exit;
        }
        struct timespec pause = { pause_us / 1000000, pause_us % 1000000 * 1000 };
        nanosleep(&pause, NULL);
        pause_us = pause_us < PAUSE_MAX_US / 2 ? 2 * pause_us : PAUSE_MAX_US;
    }
}

/* --- where it goes --- */

static int open_output(struct exporting *e)
{
    e->file = stdout;
    e->path = cli_flag(e->ctl, "to");
    if (e->path) {
        e->part = arena_printf(&e->ctl->arena, "%s.part", e->path);
        e->file = e->part ? fopen(e->part, "we") : NULL;
    }
    if (!e->file)
        return cli_usage("%s cannot be written: %s", e->path, strerror(errno));
    if (e->csv)
        fputs(heads, e->file);
    return CTL_OK;
}

/* A file is there when it is whole. */
static int close_output(struct exporting *e, int exit)
{
    if (exit == CTL_OK && !e->csv)
        put_json(e, "position", &e->after.base);
    bool ok = fflush(e->file) == 0 && !ferror(e->file);
    if (e->path)
        ok = fclose(e->file) == 0 && ok && (exit != CTL_OK || rename(e->part, e->path) == 0);
    if (!ok)
        fprintf(stderr, "omsctl: %s cannot be written: %s\n", e->path ? e->path : "the output", strerror(errno));
    if (e->path && (!ok || exit != CTL_OK))
        remove(e->part);
    return ok ? exit : CTL_USAGE;
}

int run_order_export(struct ctl *ctl)
{
    const char *format = cli_flag(ctl, "format");
    struct exporting e = { .ctl = ctl, .csv = format && strcmp(format, "csv") == 0 };
    mesh__v1__position__init(&e.after);
    if (format && !e.csv && strcmp(format, "json") != 0)
        return cli_usage("--format is json or csv, not '%s'", format);
    int exit = ask_after(ctl, "svc-order", &e.after);
    if (exit == CTL_OK)
        exit = open_output(&e);
    if (exit != CTL_OK)
        return exit;
    e.delta = e.after.seq || e.after.incarnation[0];
    progress_start(&e.progress, "orders and credits", 0);
    exit = close_output(&e, export(&e, cli_flag(ctl, "filter")));
    progress_end(&e.progress);
    if (exit == CTL_OK)
        fprintf(stderr, "position %s:%" PRIu64 "\n", e.after.incarnation, e.after.seq);
    return exit;
}
