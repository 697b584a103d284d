/* BookInvoice: what was sold or credited without an operation of ours, by SKU.
 *
 * All requests that wait become one transaction, whose statements are as many for a hundred invoices as for one, apart
 * from one for every 64 lines. */
#include "svc-payment/book.h"

#include "mesh/base/id.h"
#include "mesh/base/money.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SLICE_LINES  4096               /* booked at once: what queues can be far more than one arena holds */
#define SLICE_BUDGET (64 * 1024 * 1024) /* bytes */

enum { DEBIT, CREDIT };

/* The line's side is told by SKU; the other is the total. */
static const struct {
    const char *accounts[2];
    size_t lined;
} kinds[] = {
    [OMS__PAYMENT__V1__BOOK_INVOICE_REQUEST__KIND__SALE] = { { "RECEIVABLE", "SALES" }, CREDIT },
    [OMS__PAYMENT__V1__BOOK_INVOICE_REQUEST__KIND__CREDIT] = { { "CREDITS", "RECEIVABLE" }, DEBIT },
};
enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

/* A request that may become an entry. */
struct candidate {
    struct rpc_item *item;
    const BookInvoiceRequest *req;
    int64_t total_minor;
    struct ledger_line *lines; /* one of each SKU, signed */
    size_t n_lines;
};

struct slice {
    struct txn *txn;
    struct candidate *candidates;
    size_t n;
};

/* --- checks: what is refused is not a candidate any more --- */

static int fail_booked(struct rpc_call *call, const char *entry_id)
{
    int r = rpc_fail(call, RPC_ALREADY_EXISTS, "INVOICE_BOOKED", "the document is in the books already, as this kind");
    rpc_error_meta(call, "entry_id", entry_id);
    rpc_error_resource(call, "ledger_entry", entry_id);
    return r;
}

static void keep_accepted(struct slice *slice)
{
    size_t kept = 0;
    for (size_t i = 0; i < slice->n; i++) {
        if (slice->candidates[i].item->result >= 0)
            slice->candidates[kept++] = slice->candidates[i];
    }
    slice->n = kept;
}

static const char *line_field(struct rpc_call *call, size_t i, const char *field)
{
    const char *path = arena_printf(rpc_arena(call), "lines[%zu].%s", i, field);
    return path ? path : field;
}

static int check_line(struct candidate *c, size_t i)
{
    struct rpc_call *call = c->item->call;
    const Money *amount = c->req->lines[i]->amount;
    int64_t minor = 0;
    int r = money_from_wire(amount, &minor);
    if (r == -EDOM)
        return rpc_fail_field(call, line_field(call, i, "amount"), "AMOUNT_NOT_WHOLE",
                              "not a whole number of minor units");
    if (r == -EINVAL)
        return rpc_fail_field(call, line_field(call, i, "amount"), "AMOUNT_INVALID",
                              "no amount of a currency of ISO 4217");
    if (strcmp(amount->currency_code, c->req->currency_code) != 0)
        return rpc_fail_field(call, line_field(call, i, "amount"), "CURRENCY_MISMATCH", "the invoice is in %s",
                              c->req->currency_code);
    if (r == 0 && minor < 0)
        return rpc_fail_field(call, line_field(call, i, "amount"), "AMOUNT_NEGATIVE",
                              "a line is not below zero: what is given back is a credit");
    if (r < 0 || minor > AMOUNT_MAX - c->total_minor)
        return rpc_fail_field(call, line_field(call, i, "amount"), "AMOUNT_OVERFLOW",
                              "up to here more than %lld minor units", (long long)AMOUNT_MAX);
    c->total_minor += minor;
    c->lines[i] = (struct ledger_line){ c->req->lines[i]->sku, c->req->lines[i]->quantity,
                                        kinds[c->req->kind].lined == CREDIT ? -minor : minor };
    return 0;
}

static int check_head(struct candidate *c)
{
    struct rpc_call *call = c->item->call;
    if ((size_t)c->req->kind >= KINDS || !kinds[c->req->kind].accounts[DEBIT])
        return rpc_fail_field(call, "kind", "KIND_UNKNOWN", "an invoice is a SALE or a CREDIT");
    if (money_exponent(c->req->currency_code) < 0)
        return rpc_fail_field(call, "currency_code", "CURRENCY_UNKNOWN", "no currency of ISO 4217");
    return 0;
}

static int compare_lines(const void *a, const void *b)
{
    const struct ledger_line *x = a, *y = b;
    return strcmp(x->sku, y->sku);
}

/* A request has at most 1000 lines, none of them above AMOUNT_MAX nor of more than a thousand million pieces. */
static void add_up(struct candidate *c)
{
    size_t n = 0;
    qsort(c->lines, c->n_lines, sizeof(*c->lines), compare_lines);
    for (size_t i = 0; i < c->n_lines; i++) {
        if (n && strcmp(c->lines[n - 1].sku, c->lines[i].sku) == 0) {
            c->lines[n - 1].quantity += c->lines[i].quantity;
            c->lines[n - 1].minor += c->lines[i].minor;
        } else {
            c->lines[n++] = c->lines[i];
        }
    }
    c->n_lines = n;
}

/* 0, -ENOMEM, or what the call is refused with. */
static int check_request(struct slice *slice, struct candidate *c)
{
    int r = check_head(c);
    if (r < 0)
        return r;
    c->lines = arena_alloc(slice->txn->arena, c->req->n_lines * sizeof(*c->lines));
    if (!c->lines)
        return -ENOMEM;
    for (; r == 0 && c->n_lines < c->req->n_lines; c->n_lines++)
        r = check_line(c, c->n_lines);
    if (r == 0)
        add_up(c);
    return r;
}

static bool same_document(const struct candidate *c, const char *document_id, int64_t kind)
{
    return (int64_t)c->req->kind == kind && strcmp(c->req->document_id, document_id) == 0;
}

static int check_requests(struct slice *slice, struct rpc_item *items, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct candidate *c = &slice->candidates[slice->n++];
        *c = (struct candidate){ .item = &items[i], .req = items[i].in };
        c->item->result = check_request(slice, c);
        if (c->item->result == -ENOMEM)
            return -ENOMEM;
    }
    keep_accepted(slice);
    return 0;
}

/* Of two in the same batch, which nobody means to send, the unique index refuses the second; then the batch has failed,
 * each is run again alone, and it is found here. */
static int check_books(struct slice *slice)
{
    struct value *values = arena_alloc(slice->txn->arena, slice->n * 2 * sizeof(*values));
    if (!values)
        return -ENOMEM;
    for (size_t i = 0; i < slice->n; i++) {
        values[2 * i] = T(slice->candidates[i].req->document_id);
        values[2 * i + 1] = I(slice->candidates[i].req->kind);
    }
    struct rows rows;
    int r = txn_query_many(slice->txn, &rows,
                           "WITH wanted (document_id, kind) AS (VALUES (CAST($1 AS TEXT), CAST($2 AS BIGINT))) "
                           "SELECT e.document_id, e.kind, e.entry_id FROM wanted w CROSS JOIN ledger_entry e "
                           "WHERE e.document_id = w.document_id AND e.kind = w.kind AND e.document_id <> ''",
                           slice->n, 2, values);
    for (size_t i = 0; r == 0 && i < rows.n; i++)
        for (size_t k = 0; k < slice->n; k++)
            if (same_document(&slice->candidates[k], row_text(&rows, i, 0), row_int(&rows, i, 1)))
                slice->candidates[k].item->result = fail_booked(slice->candidates[k].item->call, row_text(&rows, i, 2));
    keep_accepted(slice);
    return r;
}

/* --- writing --- */

static struct ledger_entry entry_of(const struct candidate *c, const char *entry_id)
{
    const BookInvoiceRequest *req = c->req;
    return (struct ledger_entry){
        .entry_id = entry_id,
        .order_id = req->order_id,
        .payment_id = "",
        .operation_id = "",
        .document_id = req->document_id,
        .kind = req->kind,
        .effective_us = req->time_us,
        .customer_id = req->customer_id,
        .country = req->country,
        .channel = req->channel,
        .currency = req->currency_code,
        .postings = { { kinds[req->kind].accounts[DEBIT], c->total_minor },
                      { kinds[req->kind].accounts[CREDIT], -c->total_minor } },
        .lined = kinds[req->kind].lined,
        .lines = c->lines,
        .n_lines = c->n_lines,
    };
}

/* The reply lives in its own call's arena: the other calls may end before it. */
static int write_invoices(struct slice *slice)
{
    struct ledger_entry *entries = arena_alloc(slice->txn->arena, slice->n * sizeof(*entries));
    if (!entries)
        return -ENOMEM;
    for (size_t i = 0; i < slice->n; i++) {
        const struct candidate *c = &slice->candidates[i];
        BookInvoiceResponse *ret = c->item->out;
        char id[ID_MAX];
        id_make(store_port(slice->txn->store), "led", id);
        ret->entry_id = arena_copy(rpc_arena(c->item->call), id, strlen(id));
        if (!ret->entry_id)
            return -ENOMEM;
        entries[i] = entry_of(c, ret->entry_id);
    }
    return ledger_write(slice->txn, entries, slice->n);
}

static int book(struct slice *slice, struct rpc_item *items, size_t n)
{
    slice->candidates = arena_alloc(slice->txn->arena, n * sizeof(*slice->candidates));
    int r = slice->candidates ? check_requests(slice, items, n) : -ENOMEM;
    if (r == 0 && slice->n > 0)
        r = check_books(slice);
    if (r == 0 && slice->n > 0)
        r = write_invoices(slice);
    return r;
}

/* Takes an arena of its own: what the requests of many need is not one caller's budget. */
static int book_slice(struct txn *txn, struct rpc_item *items, size_t n)
{
    struct arena own, *callers = txn->arena;
    arena_init(&own, SLICE_BUDGET);
    txn->arena = &own;
    int r = book(&(struct slice){ .txn = txn }, items, n);
    txn->arena = callers;
    arena_finish(&own);
    return r;
}

static size_t lines_of(const struct rpc_item *item)
{
    return ((const BookInvoiceRequest *)item->in)->n_lines;
}

int book_invoices(struct txn *txn, struct rpc_item *items, size_t n)
{
    int r = 0;
    for (size_t first = 0; r == 0 && first < n;) {
        size_t end = first, lines = 0;
        do
            lines += lines_of(&items[end++]);
        while (end < n && lines + lines_of(&items[end]) <= SLICE_LINES);
        r = book_slice(txn, items + first, end - first);
        first = end;
    }
    return r;
}
