/* The books: double entry, written in the transaction of the operation that moved the money. An entry is never changed;
 * what turns out not to have been so is taken back by another. Balances are kept beside the postings, so that a trial
 * balance need not add them up. */
#include "svc-payment/book.h"

#include "mesh/base/id.h"
#include "mesh/base/money.h"

#include <errno.h>
#include <string.h>

#define PAGE_DEFAULT 50
#define POSTINGS     2 /* of an entry */

static const struct {
    const char *debit, *credit;
} accounts[OPERATION_KINDS + 1] = {
    [CAPTURE] = { "PROCESSOR_RECEIVABLE", "SALES" },
    [REFUND] = { "REFUNDS", "PROCESSOR_RECEIVABLE" },
};

/* --- booking --- */

int ledger_book(struct txn *txn, const struct payment *p, const struct operation *o, int64_t minor, bool otherwise)
{
    const char *debit = accounts[o->kind].debit;
    const char *credit = otherwise ? "PAID_OTHERWISE" : accounts[o->kind].credit;
    char id[ID_MAX];
    if (!debit)
        return 0;
    id_make(store_port(txn->store), "led", id);
    int r = txn_post(txn,
                     "INSERT INTO ledger_entry (entry_id, order_id, payment_id, operation_id, time_us) "
                     "VALUES ($1, $2, $3, $4, $5)",
                     T(id), T(p->order_id), T(p->payment_id), T(o->operation_id), I(txn->now_us));
    if (r < 0)
        return r;
    r = txn_post(txn,
                 "INSERT INTO ledger_posting (entry_id, account, currency, minor) "
                 "VALUES ($1, $2, $3, $4), ($1, $5, $3, $6)",
                 T(id), T(debit), T(p->currency), I(minor), T(credit), I(-minor));
    if (r < 0)
        return r;
    return txn_post(txn,
                    "INSERT INTO ledger_balance (account, currency, minor, entries) "
                    "VALUES ($1, $2, $3, 1), ($4, $2, $5, 1) ON CONFLICT (account, currency) DO UPDATE SET "
                    "minor = ledger_balance.minor + excluded.minor, entries = ledger_balance.entries + 1",
                    T(debit), T(p->currency), I(minor), T(credit), I(-minor));
}

/* --- the trial balance --- */

static int read_balances(struct txn *txn, const char *currency, GetTrialBalanceResponse *ret)
{
    struct rows rows;
    int r = txn_query(txn, &rows,
                      "SELECT account, currency, minor, entries FROM ledger_balance WHERE $1 = '' OR currency = $1 "
                      "ORDER BY account, currency",
                      T(currency));
    if (r < 0)
        return r;
    ret->balances = arena_alloc(txn->arena, rows.n * sizeof(Balance *));
    if (!ret->balances)
        return -ENOMEM;
    for (size_t i = 0; i < rows.n; i++) {
        Balance *balance = arena_message(txn->arena, &oms__payment__v1__balance__descriptor);
        if (!balance)
            return -ENOMEM;
        balance->account = (char *)row_text(&rows, i, 0);
        balance->amount = money_to_wire(txn->arena, row_int(&rows, i, 2), row_text(&rows, i, 1));
        balance->entries = row_int(&rows, i, 3);
        if (!balance->amount)
            return -ENOMEM;
        ret->balances[ret->n_balances++] = balance;
    }
    return 0;
}

static int read_sums(struct txn *txn, const char *currency, GetTrialBalanceResponse *ret)
{
    struct rows rows;
    int r = txn_query(txn, &rows,
                      "SELECT currency, CAST(COALESCE(SUM(minor), 0) AS BIGINT) FROM ledger_balance "
                      "WHERE $1 = '' OR currency = $1 GROUP BY currency ORDER BY currency",
                      T(currency));
    if (r < 0)
        return r;
    ret->sums = arena_alloc(txn->arena, rows.n * sizeof(Money *));
    if (!ret->sums)
        return -ENOMEM;
    for (size_t i = 0; i < rows.n; i++) {
        ret->sums[i] = money_to_wire(txn->arena, row_int(&rows, i, 1), row_text(&rows, i, 0));
        if (!ret->sums[i])
            return -ENOMEM;
        ret->n_sums++;
    }
    return 0;
}

int get_trial_balance(struct rpc_call *call, struct txn *txn, const void *in, void *out)
{
    const GetTrialBalanceRequest *req = in;
    if (req->currency_code[0] && money_exponent(req->currency_code) < 0)
        return rpc_fail_field(call, "currency_code", "CURRENCY_UNKNOWN", "no currency of ISO 4217");
    int r = read_balances(txn, req->currency_code, out);
    return r < 0 ? r : read_sums(txn, req->currency_code, out);
}

/* --- entries --- */

/* Two statements, as each has an index of its own to walk. */
static int query_entries(struct txn *txn, const char *order_id, const char *after, size_t max, struct rows *ret_rows)
{
    if (order_id[0] == '\0')
        return txn_query(txn, ret_rows,
                         "SELECT entry_id, order_id, payment_id, operation_id, time_us FROM ledger_entry "
                         "WHERE entry_id > $1 ORDER BY entry_id LIMIT $2",
                         T(after), I(max));
    return txn_query(txn, ret_rows,
                     "SELECT entry_id, order_id, payment_id, operation_id, time_us FROM ledger_entry "
                     "WHERE order_id = $3 AND entry_id > $1 ORDER BY entry_id LIMIT $2",
                     T(after), I(max), T(order_id));
}

static int add_posting(struct txn *txn, const struct rows *rows, size_t row, LedgerEntry *entry)
{
    Posting *posting = arena_message(txn->arena, &oms__payment__v1__posting__descriptor);
    if (!posting || entry->n_postings == POSTINGS)
        return posting ? -EBADMSG : -ENOMEM;
    posting->account = (char *)row_text(rows, row, 1);
    posting->amount = money_to_wire(txn->arena, row_int(rows, row, 3), row_text(rows, row, 2));
    entry->postings[entry->n_postings++] = posting;
    return posting->amount ? 0 : -ENOMEM;
}

/* Each entry's postings come together, and the entries as they were asked for. */
static int read_postings(struct txn *txn, LedgerEntry *const *entries, size_t n)
{
    struct value *ids = arena_alloc(txn->arena, n * sizeof(*ids));
    if (!ids)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        ids[i] = T(entries[i]->entry_id);
    struct rows rows;
    int r = txn_query_many(txn, &rows,
                           "WITH wanted (entry_id) AS (VALUES (CAST($1 AS TEXT))) "
                           "SELECT p.entry_id, p.account, p.currency, p.minor FROM wanted "
                           "JOIN ledger_posting p ON p.entry_id = wanted.entry_id ORDER BY p.entry_id, p.minor DESC",
                           n, 1, ids);
    for (size_t i = 0, e = 0; r == 0 && i < rows.n; i++) {
        while (e < n && strcmp(entries[e]->entry_id, row_text(&rows, i, 0)) != 0)
            e++;
        r = e < n ? add_posting(txn, &rows, i, entries[e]) : -EBADMSG;
    }
    return r;
}

static int read_entries(struct txn *txn, const struct rows *rows, size_t n, LedgerEntry ***ret_entries)
{
    LedgerEntry **entries = arena_alloc(txn->arena, n * sizeof(LedgerEntry *));
    if (!entries)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        entries[i] = arena_message(txn->arena, &oms__payment__v1__ledger_entry__descriptor);
        int r = entries[i] ? row_message(rows, i, &entries[i]->base) : -ENOMEM;
        if (r < 0)
            return r;
        entries[i]->postings = arena_alloc(txn->arena, POSTINGS * sizeof(Posting *));
        if (!entries[i]->postings)
            return -ENOMEM;
    }
    *ret_entries = entries;
    return read_postings(txn, entries, n);
}

int list_ledger_entries(struct rpc_call *call, struct txn *txn, const void *in, void *out)
{
    const ListLedgerEntriesRequest *req = in;
    ListLedgerEntriesResponse *ret = out;
    size_t max = req->page_size ? (size_t)req->page_size : PAGE_DEFAULT;
    const char *query = arena_printf(rpc_arena(call), "entries %s", req->order_id), *after;
    if (!query)
        return -ENOMEM;
    int r = rpc_page_open(call, req->page_token, query, &after, 1);
    if (r < 0)
        return r;

    struct rows rows;
    r = query_entries(txn, req->order_id, after ? after : "", max + 1, &rows);
    if (r < 0)
        return r;
    size_t n = rows.n > max ? max : rows.n;
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
