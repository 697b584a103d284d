/* The entries of the books as they are read: by order, by document, or all of them. */
#include "svc-payment/book.h"

#include "mesh/base/money.h"

#include <errno.h>
#include <string.h>

#define PAGE_DEFAULT  50
#define PAGE_POSTINGS 4000 /* of a page, unless one entry alone has more */
#define POSTINGS      2    /* of an entry that does not tell what they are made of */

#define ENTRY_COLUMNS \
    "entry_id, order_id, payment_id, operation_id, time_us, document_id, kind, " \
    "CASE WHEN effective_us = 0 THEN time_us ELSE effective_us END AS effective_time_us, customer_id, country, " \
    "channel"
enum { COLUMN_LINES = 11 };

/* Three statements, as each has an index of its own to walk. */
static int query_entries(struct txn *txn, const ListLedgerEntriesRequest *req, const char *after, size_t max,
                         struct rows *ret_rows)
{
    if (req->document_id[0])
        return txn_query(txn, ret_rows,
                         "SELECT " ENTRY_COLUMNS ", lines FROM ledger_entry WHERE document_id = $3 "
                         "AND document_id <> '' AND ($4 = '' OR order_id = $4) AND entry_id > $1 "
                         "ORDER BY entry_id LIMIT $2",
                         T(after), I(max), T(req->document_id), T(req->order_id));
    if (req->order_id[0])
        return txn_query(txn, ret_rows,
                         "SELECT " ENTRY_COLUMNS ", lines FROM ledger_entry WHERE order_id = $3 AND entry_id > $1 "
                         "ORDER BY entry_id LIMIT $2",
                         T(after), I(max), T(req->order_id));
    return txn_query(txn, ret_rows,
                     "SELECT " ENTRY_COLUMNS ", lines FROM ledger_entry WHERE entry_id > $1 "
                     "ORDER BY entry_id LIMIT $2",
                     T(after), I(max));
}

static size_t postings_of(const struct rows *rows, size_t row)
{
    int64_t lines = row_int(rows, row, COLUMN_LINES);
    return lines > 0 ? (size_t)lines + POSTINGS - 1 : POSTINGS;
}

/* As many of the rows as a page has room for, at least one. */
static size_t page_of(const struct rows *rows, size_t max)
{
    size_t n = 0, postings = 0;
    while (n < rows->n && n < max && (n == 0 || postings + postings_of(rows, n) <= PAGE_POSTINGS))
        postings += postings_of(rows, n++);
    return n;
}

static int add_posting(struct txn *txn, const struct rows *rows, size_t row, size_t max, LedgerEntry *entry)
{
    Posting *posting = arena_message(txn->arena, &oms__payment__v1__posting__descriptor);
    if (!posting || entry->n_postings == max)
        return posting ? -EBADMSG : -ENOMEM;
    posting->account = (char *)row_text(rows, row, 1);
    posting->amount = money_to_wire(txn->arena, row_int(rows, row, 3), row_text(rows, row, 2));
    posting->sku = (char *)row_text(rows, row, 4);
    posting->quantity = row_int(rows, row, 5);
    entry->postings[entry->n_postings++] = posting;
    return posting->amount ? 0 : -ENOMEM;
}

/* Debits first. Each entry's postings come together, and the entries as they were asked for. */
static int read_postings(struct txn *txn, const struct rows *heads, LedgerEntry *const *entries, size_t n)
{
    struct value *ids = arena_alloc(txn->arena, n * sizeof(*ids));
    if (!ids)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        ids[i] = T(entries[i]->entry_id);
    struct rows rows;
    int r = txn_query_many(txn, &rows,
                           "WITH wanted (entry_id) AS (VALUES (CAST($1 AS TEXT))) "
                           "SELECT p.entry_id, p.account, p.currency, COALESCE(l.minor, p.minor), l.sku, l.quantity "
                           "FROM wanted CROSS JOIN ledger_posting p "
                           "LEFT JOIN ledger_line l ON l.entry_id = p.entry_id AND l.account = p.account "
                           "WHERE p.entry_id = wanted.entry_id "
                           "ORDER BY p.entry_id, p.minor DESC, p.account, l.sku",
                           n, 1, ids);
    for (size_t i = 0, e = 0; r == 0 && i < rows.n; i++) {
        while (e < n && strcmp(entries[e]->entry_id, row_text(&rows, i, 0)) != 0)
            e++;
        r = e < n ? add_posting(txn, &rows, i, postings_of(heads, e), entries[e]) : -EBADMSG;
    }
    return r;
}

static LedgerEntry *entry_of(struct arena *arena, const struct rows *rows, size_t row)
{
    LedgerEntry *entry = arena_message(arena, &oms__payment__v1__ledger_entry__descriptor);
    Posting **postings = arena_alloc(arena, postings_of(rows, row) * sizeof(Posting *));
    if (!entry || !postings)
        return NULL;
    entry->entry_id = (char *)row_text(rows, row, 0);
    entry->order_id = (char *)row_text(rows, row, 1);
    entry->payment_id = (char *)row_text(rows, row, 2);
    entry->operation_id = (char *)row_text(rows, row, 3);
    entry->time_us = row_int(rows, row, 4);
    entry->document_id = (char *)row_text(rows, row, 5);
    entry->kind = (BookInvoiceKind)row_int(rows, row, 6);
    entry->effective_time_us = row_int(rows, row, 7);
    entry->customer_id = (char *)row_text(rows, row, 8);
    entry->country = (char *)row_text(rows, row, 9);
    entry->channel = (char *)row_text(rows, row, 10);
    entry->postings = postings;
    return entry;
}

static int read_entries(struct txn *txn, const struct rows *rows, size_t n, LedgerEntry ***ret_entries)
{
    LedgerEntry **entries = arena_alloc(txn->arena, n * sizeof(LedgerEntry *));
    if (!entries)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        entries[i] = entry_of(txn->arena, rows, i);
        if (!entries[i])
            return -ENOMEM;
    }
    *ret_entries = entries;
    return read_postings(txn, rows, entries, n);
}

int list_ledger_entries(struct rpc_call *call, struct txn *txn, const void *in, void *out)
{
    const ListLedgerEntriesRequest *req = in;
    ListLedgerEntriesResponse *ret = out;
    size_t max = req->page_size ? (size_t)req->page_size : PAGE_DEFAULT;
    const char *query = arena_printf(rpc_arena(call), "entries %s %s", req->order_id, req->document_id), *after;
    if (!query)
        return -ENOMEM;
    int r = rpc_page_open(call, req->page_token, query, &after, 1);
    if (r < 0)
        return r;

    struct rows rows;
    r = query_entries(txn, req, after ? after : "", max + 1, &rows);
    if (r < 0)
        return r;
    size_t n = page_of(&rows, max);
    r = read_entries(txn, &rows, n, &ret->entries);
    if (r < 0)
        return r;
    ret->n_entries = n;
    if (n == rows.n)
        return 0;
    const char *last = ret->entries[n - 1]->entry_id;
    ret->next_page_token = (char *)rpc_page_token(call, query, &last, 1);
    return ret->next_page_token ? 0 : -ENOMEM;
}
