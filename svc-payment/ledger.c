/* The books: double entry, written in the transaction of what moved the money. An entry is never changed; what turns
 * out not to have been so is taken back by another. Balances are kept beside the postings, so that a trial balance need
 * not add them up. */
#include "svc-payment/book.h"

#include "mesh/base/id.h"
#include "mesh/base/money.h"

#include <errno.h>
#include <string.h>

#define POSTINGS 2 /* of an entry */

/* --- writing --- */

static bool adds_up(const struct ledger_entry *e)
{
    int64_t lines_minor = 0;
    for (size_t i = 0; i < e->n_lines; i++)
        if (money_add(lines_minor, e->lines[i].minor, &lines_minor) < 0)
            return false;
    if (e->n_lines > 0 && lines_minor != e->postings[e->lined].minor)
        return false;
    return e->postings[0].minor == -e->postings[1].minor;
}

static int write_entries(struct txn *txn, const struct ledger_entry *entries, size_t n)
{
    enum { COLUMNS = 12 };
    struct value *values = arena_alloc(txn->arena, n * COLUMNS * sizeof(*values));
    if (!values)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        const struct ledger_entry *e = &entries[i];
        const struct value row[COLUMNS] = {
            T(e->entry_id),    T(e->order_id),    T(e->payment_id), T(e->operation_id),
            I(txn->now_us),    T(e->document_id), I(e->kind),       I(e->effective_us),
            T(e->customer_id), T(e->country),     T(e->channel),    I(e->n_lines),
        };
        memcpy(values + i * COLUMNS, row, sizeof(row));
    }
    return txn_post_many(txn,
                         "INSERT INTO ledger_entry (entry_id, order_id, payment_id, operation_id, time_us, "
                         "document_id, kind, effective_us, customer_id, country, channel, lines) "
                         "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
                         n, COLUMNS, values);
}

static int write_postings(struct txn *txn, const struct ledger_entry *entries, size_t n)
{
    enum { COLUMNS = 4 };
    struct value *values = arena_alloc(txn->arena, n * POSTINGS * COLUMNS * sizeof(*values));
    if (!values)
        return -ENOMEM;
    for (size_t i = 0; i < n * POSTINGS; i++) {
        const struct ledger_entry *e = &entries[i / POSTINGS];
        const struct value row[COLUMNS] = { T(e->entry_id), T(e->postings[i % POSTINGS].account), T(e->currency),
                                            I(e->postings[i % POSTINGS].minor) };
        memcpy(values + i * COLUMNS, row, sizeof(row));
    }
    return txn_post_many(txn, "INSERT INTO ledger_posting (entry_id, account, currency, minor) VALUES ($1, $2, $3, $4)",
                         n * POSTINGS, COLUMNS, values);
}

static int write_lines(struct txn *txn, const struct ledger_entry *entries, size_t n)
{
    enum { COLUMNS = 5 };
    size_t n_lines = 0, at = 0;
    for (size_t i = 0; i < n; i++)
        n_lines += entries[i].n_lines;
    if (n_lines == 0)
        return 0;
    struct value *values = arena_alloc(txn->arena, n_lines * COLUMNS * sizeof(*values));
    if (!values)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        const struct ledger_entry *e = &entries[i];
        for (size_t l = 0; l < e->n_lines; l++) {
            const struct value row[COLUMNS] = { T(e->entry_id), T(e->postings[e->lined].account), T(e->lines[l].sku),
                                                I(e->lines[l].quantity), I(e->lines[l].minor) };
            memcpy(values + at++ * COLUMNS, row, sizeof(row));
        }
    }
    return txn_post_many(txn,
                         "INSERT INTO ledger_line (entry_id, account, sku, quantity, minor) "
                         "VALUES ($1, $2, $3, $4, $5)",
                         n_lines, COLUMNS, values);
}

/* Of one account in one currency. */
struct change {
    const char *account, *currency;
    int64_t minor, entries;
};

static int add_change(struct change *changes, size_t *n, const struct change *more)
{
    size_t i = 0;
    while (i < *n &&
           (strcmp(changes[i].account, more->account) != 0 || strcmp(changes[i].currency, more->currency) != 0))
        i++;
    if (i == *n)
        changes[(*n)++] = (struct change){ more->account, more->currency, 0, 0 };
    changes[i].entries += more->entries;
    return money_add(changes[i].minor, more->minor, &changes[i].minor);
}

static int write_balances(struct txn *txn, const struct ledger_entry *entries, size_t n)
{
    enum { COLUMNS = 4 };
    size_t n_changes = 0;
    struct change *changes = arena_alloc(txn->arena, n * POSTINGS * sizeof(*changes));
    struct value *values = arena_alloc(txn->arena, n * POSTINGS * COLUMNS * sizeof(*values));
    if (!changes || !values)
        return -ENOMEM;
    for (size_t i = 0; i < n * POSTINGS; i++) {
        const struct ledger_entry *e = &entries[i / POSTINGS];
        const struct change more = { e->postings[i % POSTINGS].account, e->currency, e->postings[i % POSTINGS].minor,
                                     1 };
        int r = add_change(changes, &n_changes, &more);
        if (r < 0)
            return r;
    }
    for (size_t i = 0; i < n_changes; i++) {
        const struct value row[COLUMNS] = { T(changes[i].account), T(changes[i].currency), I(changes[i].minor),
                                            I(changes[i].entries) };
        memcpy(values + i * COLUMNS, row, sizeof(row));
    }
    return txn_post_many(txn,
                         "INSERT INTO ledger_balance (account, currency, minor, entries) VALUES ($1, $2, $3, $4) "
                         "ON CONFLICT (account, currency) DO UPDATE SET minor = ledger_balance.minor + excluded.minor, "
                         "entries = ledger_balance.entries + excluded.entries",
                         n_changes, COLUMNS, values);
}

int ledger_write(struct txn *txn, const struct ledger_entry *entries, size_t n)
{
    static int (*const parts[])(struct txn * txn, const struct ledger_entry *entries, size_t n) = {
        write_entries,
        write_postings,
        write_lines,
        write_balances,
    };
    int r = 0;
    for (size_t i = 0; i < n; i++)
        if (!adds_up(&entries[i]))
            return -EBADMSG;
    for (size_t i = 0; r == 0 && i < sizeof(parts) / sizeof(parts[0]); i++)
        r = parts[i](txn, entries, n);
    return r;
}

/* --- operations of payments --- */

static const struct {
    const char *debit, *credit;
} accounts[OPERATION_KINDS + 1] = {
    [CAPTURE] = { "PROCESSOR_RECEIVABLE", "SALES" },
    [REFUND] = { "REFUNDS", "PROCESSOR_RECEIVABLE" },
};

int ledger_book(struct txn *txn, const struct payment *p, const struct operation *o, int64_t minor, bool otherwise)
{
    const char *debit = accounts[o->kind].debit;
    const char *credit = otherwise ? "PAID_OTHERWISE" : accounts[o->kind].credit;
    char id[ID_MAX];
    if (!debit)
        return 0;
    id_make(store_port(txn->store), "led", id);
    const struct ledger_entry entry = {
        .entry_id = id,
        .order_id = p->order_id,
        .payment_id = p->payment_id,
        .operation_id = o->operation_id,
        .document_id = "",
        .customer_id = p->customer_id,
        .country = "",
        .channel = "",
        .currency = p->currency,
        .postings = { { debit, minor }, { credit, -minor } },
    };
    return ledger_write(txn, &entry, 1);
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
