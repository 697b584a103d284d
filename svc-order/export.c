/* Orders and credit memos for another system's copy: everything there is, by key, or what the log tells has changed.
 *
 * Everything: pages by key, orders first. Their position is the log's head when the first began, so that what changes
 * meanwhile comes again with what has changed after it. What has changed: the orders that the log's entries name, once
 * a message, as they are now; the position is that of the last entry that the message covers. */
#include "svc-order/read.h"
#include "svc-order/search.h"

#include "mesh/log/serve.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_ORDERS  100
#define PAGE_LINES   500 /* of a message; one order may have more by itself */
#define LOOK_ROWS    500 /* so many are looked at for a message */
#define LOOK_LINES   1000
#define PAGE_ENTRIES 256
#define KEY_MAX      64

/* Between pages. */
struct export
{
    bool begun, delta;
    bool credits; /* everything: it is at these */
    char after[KEY_MAX + 1];
    struct log_position at; /* everything: when it began; what has changed: up to where */
    uint64_t until;
};

enum { TOKEN_KIND, TOKEN_AFTER, TOKEN_INCARNATION, TOKEN_SEQ, TOKEN_FIELDS };

static const char *query_of(struct rpc_call *call, const ExportOrdersRequest *req)
{
    return arena_printf(rpc_arena(call), "export\n%s", req->filter);
}

/* --- where it begins --- */

static bool names_position(const Position *after)
{
    return after && (after->incarnation[0] || after->seq);
}

static int begin_again(struct rpc_call *call, const ExportOrdersRequest *req, struct export *e)
{
    const char *query = query_of(call, req), *fields[TOKEN_FIELDS];
    int r = query ? rpc_page_open(call, req->page_token, query, fields, TOKEN_FIELDS) : -ENOMEM;
    if (r < 0)
        return r;
    e->credits = strcmp(fields[TOKEN_KIND], "credits") == 0;
    snprintf(e->after, sizeof(e->after), "%s", fields[TOKEN_AFTER]);
    snprintf(e->at.incarnation, sizeof(e->at.incarnation), "%s", fields[TOKEN_INCARNATION]);
    e->at.seq = strtoull(fields[TOKEN_SEQ], NULL, 10);
    return 0;
}

static int begin(struct rpc_call *call, const ExportOrdersRequest *req, const struct log_position *head,
                 struct export *e)
{
    e->begun = true;
    e->delta = names_position(req->after);
    e->at = *head;
    e->until = head->seq;
    if (e->delta && req->page_token[0])
        return rpc_fail_field(call, "page_token", "FIELD_UNEXPECTED",
                              "what has changed after a position goes on after that of the last message");
    if (req->page_token[0])
        return begin_again(call, req, e);
    if (e->delta) {
        snprintf(e->at.incarnation, sizeof(e->at.incarnation), "%s", req->after->incarnation);
        e->at.seq = req->after->seq;
    }
    return 0;
}

/* --- everything --- */

static int query_by_key(struct txn *txn, const struct search *search, const char *after, struct rows *ret_rows)
{
    if (search->credits)
        return txn_query(txn, ret_rows,
                         "SELECT " SEARCH_CREDIT "FROM credit c WHERE c.credit_id > $1 ORDER BY c.credit_id LIMIT $2",
                         T(after), I(PAGE_ORDERS));
    return txn_query(txn, ret_rows,
                     "SELECT " SEARCH_ORDER("CAST($3 AS BIGINT)") "FROM sales_order o WHERE o.order_id > $1 "
                                                                  "ORDER BY o.order_id LIMIT $2",
                     T(after), I(PAGE_ORDERS), search_country(search));
}

/* Fills the page and moves the key; *ret_end: there is nothing behind it. */
static int look_on(struct txn *txn, struct search *search, struct export *e, struct picked *picked, bool *ret_end)
{
    for (size_t looked = 0; looked < LOOK_ROWS; looked += PAGE_ORDERS) {
        struct rows rows;
        const bool *fits;
        int r = query_by_key(txn, search, e->after, &rows);
        int n = r == 0 ? search_judge(txn, search, &rows, &fits) : r;
        if (n < 0)
            return n;
        size_t passed = search_pick(picked, &rows, (size_t)n, fits);
        if (passed > 0)
            snprintf(e->after, sizeof(e->after), "%s", row_text(&rows, passed - 1, FIELD_ORDER_ID));
        *ret_end = passed == rows.n && rows.n < PAGE_ORDERS;
        if (*ret_end || passed < rows.n || picked->n == picked->max)
            return 0;
    }
    return 0;
}

static const char *token_of(struct rpc_call *call, const ExportOrdersRequest *req, const struct export *e)
{
    char seq[24];
    snprintf(seq, sizeof(seq), "%" PRIu64, e->at.seq);
    const char *fields[TOKEN_FIELDS] = { e->credits ? "credits" : "orders", e->after, e->at.incarnation, seq };
    const char *query = query_of(call, req);
    return query ? rpc_page_token(call, query, fields, TOKEN_FIELDS) : NULL;
}

static int fill(struct txn *txn, bool credits, const struct picked *picked, ExportOrdersResponse *ret)
{
    int n = 0;
    if (credits)
        return credits_read(txn, picked->ids, picked->n, &ret->credits, &ret->n_credits);
    n = orders_read(txn, picked->ids, picked->n, true, &ret->orders);
    ret->n_orders = n < 0 ? 0 : (size_t)n;
    return n < 0 ? n : 0;
}

static int everything_page(struct rpc_call *call, struct txn *txn, const ExportOrdersRequest *req, struct export *e,
                           struct search *search, ExportOrdersResponse *ret)
{
    struct picked picked = { .ids = arena_alloc(txn->arena, PAGE_ORDERS * sizeof(char *)),
                             .max = PAGE_ORDERS,
                             .max_lines = PAGE_LINES };
    bool end = false;
    search->credits = e->credits;
    search->lines_left = LOOK_LINES;
    int r = picked.ids ? look_on(txn, search, e, &picked, &end) : -ENOMEM;
    if (r == 0)
        r = fill(txn, e->credits, &picked, ret);
    if (r < 0)
        return r;
    if (end && e->credits)
        return RPC_END;
    if (end) {
        e->credits = true;
        e->after[0] = '\0';
    }
    ret->page_token = (char *)token_of(call, req, e);
    return ret->page_token ? RPC_MORE : -ENOMEM;
}

/* --- what has changed --- */

/* All that svc-order tells is of orders, but for this. */
static bool is_of_credit(const struct log_entry *entry)
{
    return entry->type == OMS__EVENT__V1__EVENT_TYPE__CREDIT_ISSUED;
}

/* The keys that the entries name, each where it comes first. */
static size_t keys_of(const struct log_entry *entries, size_t n, bool credits, const char **keys)
{
    size_t n_keys = 0;
    for (size_t i = 0; i < n; i++) {
        bool known = is_of_credit(&entries[i]) != credits;
        for (size_t k = 0; !known && k < n_keys; k++)
            known = strcmp(keys[k], entries[i].key) == 0;
        if (!known)
            keys[n_keys++] = entries[i].key;
    }
    return n_keys;
}

static int query_by_keys(struct txn *txn, bool credits, const char *const *keys, size_t n, struct rows *ret_rows)
{
    struct value *values = arena_alloc(txn->arena, (2 * n + 1) * sizeof(*values));
    for (size_t i = 0; values && i < n; i++) {
        values[2 * i] = I((int64_t)i);
        values[2 * i + 1] = T(keys[i]);
    }
    if (!values)
        return -ENOMEM;
    if (credits)
        return txn_query_many(txn, ret_rows,
                              "WITH wanted (n, credit_id) AS (VALUES (CAST($1 AS BIGINT), CAST($2 AS TEXT))) "
                              "SELECT " SEARCH_CREDIT
                              "FROM wanted w CROSS JOIN credit c WHERE c.credit_id = w.credit_id "
                              "ORDER BY w.n",
                              n, 2, values);
    return txn_query_many(
        txn, ret_rows,
        "WITH wanted (n, order_id) AS (VALUES (CAST($1 AS BIGINT), CAST($2 AS TEXT))) "
        "SELECT " SEARCH_ORDER("1") "FROM wanted w CROSS JOIN sales_order o WHERE o.order_id = w.order_id "
                                    "ORDER BY w.n",
        n, 2, values);
}

/* Those of one kind, as far as the message has room; *n is how many entries it then covers. */
static int add_changed(struct txn *txn, struct search *search, bool credits, const struct log_entry *entries, size_t *n,
                       struct picked *picked, ExportOrdersResponse *ret)
{
    search->credits = credits;
    search->lines_left = LOOK_LINES;
    const char **keys = arena_alloc(txn->arena, (*n + 1) * sizeof(*keys));
    struct rows rows;
    const bool *fits;
    picked->ids = arena_alloc(txn->arena, (*n + 1) * sizeof(char *));
    if (!keys || !picked->ids)
        return -ENOMEM;
    picked->n = 0;
    picked->max = *n;
    size_t n_keys = keys_of(entries, *n, credits, keys);
    if (n_keys == 0)
        return 0;
    int r = query_by_keys(txn, credits, keys, n_keys, &rows);
    int judged = r == 0 ? search_judge(txn, search, &rows, &fits) : r;
    if (judged < 0)
        return judged;
    size_t passed = search_pick(picked, &rows, (size_t)judged, fits), covered = 0;
    while (passed < rows.n && strcmp(entries[covered].key, row_text(&rows, passed, FIELD_ORDER_ID)) != 0)
        covered++;
    if (passed < rows.n)
        *n = covered;
    return fill(txn, credits, picked, ret);
}

static int changed_page(struct txn *txn, struct export *e, struct search *search, ExportOrdersResponse *ret)
{
    struct log_entry *entries;
    uint64_t left = e->until - e->at.seq;
    int r = log_read(txn, e->at.seq, left < PAGE_ENTRIES ? left : PAGE_ENTRIES, &entries);
    if (r < 0)
        return r;
    size_t n = (size_t)r;
    struct picked picked = { .max_lines = PAGE_LINES };
    r = add_changed(txn, search, false, entries, &n, &picked, ret);
    if (r == 0)
        r = add_changed(txn, search, true, entries, &n, &picked, ret);
    if (r < 0)
        return r;
    if (n > 0)
        e->at.seq = entries[n - 1].seq;
    return e->at.seq < e->until ? RPC_MORE : RPC_END;
}

int export_orders(struct rpc_call *call, struct txn *txn, const void *in, void *out, bool *ret_empty)
{
    const ExportOrdersRequest *req = in;
    ExportOrdersResponse *ret = out;
    struct export *e = rpc_scratch(call, sizeof(*e));
    struct search search = { .channel = "" };
    struct log_position head;
    uint64_t floor;
    int r = e ? log_range(txn, &head, &floor) : -ENOMEM;
    if (r == 0 && !e->begun)
        r = begin(call, req, &head, e);
    if (r == 0)
        r = log_check_after(call, &e->at, &head, floor);
    if (r == 0)
        r = filter_parse(call, req->filter, search_fields, &search.filter);
    if (r == 0)
        r = e->delta ? changed_page(txn, e, &search, ret) : everything_page(call, txn, req, e, &search, ret);
    if (r < 0)
        return r;
    ret->position = log_position_at(txn->arena, e->at.incarnation, e->at.seq);
    return ret->position ? r : -ENOMEM;
}
