/* Credit memos as they are read: one of them, or a page of them, newest first; a customer's own only, if a customer
 * asks. */
#include "svc-order/order.h"

#include "mesh/base/money.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_DEFAULT 50
#define PAGE_LINES   2000 /* a page ends before more lines than that, so that its size is bounded */
#define LOOK_ROWS    500  /* so many are looked at for a page, drafts too */

/* The same columns in the same order in every statement. */
#define CREDIT_COLUMNS \
    "c.credit_id, c.customer_id, c.channel, c.external_id, c.total_minor, c.currency, c.issue_time_us, c.country, " \
    "c.update_time_us, c.issued_by, c.lines, c.draft FROM credit c "
enum { COLUMN_ID = 0, COLUMN_TIME = 6, COLUMN_LINES = 10, COLUMN_DRAFT };

static int read_head(struct txn *txn, const struct rows *rows, size_t row, Credit **ret_credit)
{
    Credit *credit = arena_message(txn->arena, &oms__order__v1__credit__descriptor);
    if (!credit)
        return -ENOMEM;
    credit->credit_id = (char *)row_text(rows, row, COLUMN_ID);
    credit->customer_id = (char *)row_text(rows, row, 1);
    credit->channel = (char *)row_text(rows, row, 2);
    credit->external_id = (char *)row_text(rows, row, 3);
    credit->total = money_to_wire(txn->arena, row_int(rows, row, 4), row_text(rows, row, 5));
    credit->issue_time_us = row_int(rows, row, COLUMN_TIME);
    credit->country = (char *)row_text(rows, row, 7);
    credit->update_time_us = row_int(rows, row, 8);
    credit->issued_by = (char *)row_text(rows, row, 9);
    credit->lines = arena_alloc(txn->arena, row_int(rows, row, COLUMN_LINES) * sizeof(CreditLine *));
    *ret_credit = credit;
    return credit->total && credit->lines ? 0 : -ENOMEM;
}

static int read_line(struct txn *txn, const struct rows *rows, size_t row, const char *currency, CreditLine **ret_line)
{
    CreditLine *line = arena_message(txn->arena, &oms__order__v1__credit_line__descriptor);
    int64_t unit = row_int(rows, row, 4), total;
    if (!line)
        return -ENOMEM;
    line->sku = (char *)row_text(rows, row, 1);
    line->title = (char *)row_text(rows, row, 2);
    line->quantity = row_int(rows, row, 3);
    line->order_id = (char *)row_text(rows, row, 5);
    line->reason = (char *)row_text(rows, row, 6);
    int r = money_multiply(unit, line->quantity, &total);
    if (r < 0)
        return r;
    line->unit_price = money_to_wire(txn->arena, unit, currency);
    line->line_total = money_to_wire(txn->arena, total, currency);
    *ret_line = line;
    return line->unit_price && line->line_total ? 0 : -ENOMEM;
}

static Credit *find_credit(Credit *const *credits, size_t n, const char *credit_id)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(credits[i]->credit_id, credit_id) == 0)
            return credits[i];
    }
    return NULL;
}

/* Each one's lines come together and in their places. */
static int read_lines(struct txn *txn, Credit *const *credits, size_t n)
{
    struct value *ids = arena_alloc(txn->arena, n * sizeof(*ids));
    struct rows rows;
    if (!ids)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        ids[i] = T(credits[i]->credit_id);
    int r = txn_query_many(txn, &rows,
                           "WITH wanted (credit_id) AS (VALUES (CAST($1 AS TEXT))) "
                           "SELECT l.credit_id, l.sku, l.title, l.quantity, l.unit_minor, l.order_id, l.reason "
                           "FROM wanted CROSS JOIN credit_line l WHERE l.credit_id = wanted.credit_id "
                           "ORDER BY l.credit_id, l.place",
                           n, 1, ids);
    Credit *credit = NULL;
    for (size_t i = 0; r == 0 && i < rows.n; i++) {
        if (!credit || strcmp(credit->credit_id, row_text(&rows, i, 0)) != 0)
            credit = find_credit(credits, n, row_text(&rows, i, 0));
        r = read_line(txn, &rows, i, credit->total->currency_code, &credit->lines[credit->n_lines++]);
    }
    return r;
}

/* The first n of the rows. */
static int read_credits(struct txn *txn, const struct rows *rows, size_t n, Credit ***ret_credits)
{
    Credit **credits = arena_alloc(txn->arena, (n + 1) * sizeof(*credits));
    int r = credits ? 0 : -ENOMEM;
    for (size_t i = 0; r == 0 && i < n; i++)
        r = read_head(txn, rows, i, &credits[i]);
    if (r < 0)
        return r;
    *ret_credits = credits;
    return n ? read_lines(txn, credits, n) : 0;
}

int credits_read(struct txn *txn, const char *const *credit_ids, size_t n, Credit ***ret_credits, size_t *ret_n)
{
    struct value *ids = arena_alloc(txn->arena, (n + 1) * sizeof(*ids));
    struct rows rows;
    if (!ids)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        ids[i] = T(credit_ids[i]);
    int r = txn_query_many(txn, &rows,
                           "WITH wanted (credit_id) AS (VALUES (CAST($1 AS TEXT))) SELECT " CREDIT_COLUMNS
                           "WHERE c.draft = 0 AND c.credit_id IN (SELECT credit_id FROM wanted)",
                           n, 1, ids);
    if (r < 0)
        return r;
    *ret_n = rows.n;
    return read_credits(txn, &rows, rows.n, ret_credits);
}

/* Two statements, as each has an index of its own to walk. */
static int query_one(struct rpc_call *call, struct txn *txn, const GetCreditRequest *req, struct rows *ret_rows)
{
    const char *owner = rpc_owner(call);
    if (req->credit_id[0])
        return txn_query(txn, ret_rows,
                         "SELECT " CREDIT_COLUMNS
                         "WHERE c.draft = 0 AND c.credit_id = $1 AND ($2 = '' OR c.customer_id = $2)",
                         T(req->credit_id), T(owner));
    return txn_query(txn, ret_rows,
                     "SELECT " CREDIT_COLUMNS "WHERE c.draft = 0 AND c.channel = $1 AND c.external_id = $2 "
                     "AND ($3 = '' OR c.customer_id = $3)",
                     T(req->channel), T(req->external_id), T(owner));
}

int get_credit(struct rpc_call *call, struct txn *txn, const void *in, void *out)
{
    const GetCreditRequest *req = in;
    GetCreditResponse *ret = out;
    struct rows rows;
    Credit **credits = NULL;
    int r = check_name(call, "credit", req->credit_id, req->channel, req->external_id);
    if (r == 0)
        r = query_one(call, txn, req, &rows);
    if (r == 0 && rows.n == 0)
        r = rpc_fail_missing(call, "credit", req->credit_id[0] ? req->credit_id : req->external_id);
    if (r == 0)
        r = read_credits(txn, &rows, rows.n, &credits);
    if (r < 0)
        return r;
    ret->credit = credits[0];
    return log_position_message(txn, &ret->position);
}

/* --- pages: as those of orders (list.c), they look at so many rows, and may be short, or empty --- */

struct list {
    const char *customer_id, *order_id; /* "": any */
    int64_t before_us;                  /* where the walk stands */
    const char *before_id;
    Credit **credits; /* room for max */
    size_t n, max;
    int64_t lines;
    bool more;
};

#define BEFORE "(c.issue_time_us, c.credit_id) < ($1, $2) "
#define NEWEST "ORDER BY c.issue_time_us DESC, c.credit_id DESC LIMIT $3"

/* Three statements, as each has an index of its own to walk; drafts too, so that none looks at more rows than it gives.
 */
static int query_list(struct txn *txn, const struct list *l, size_t max, struct rows *ret_rows)
{
    if (l->order_id[0])
        return txn_query(txn, ret_rows,
                         "SELECT " CREDIT_COLUMNS "WHERE c.credit_id IN "
                         "(SELECT credit_id FROM credit_line WHERE order_id = $4 AND order_id <> '') "
                         "AND ($5 = '' OR c.customer_id = $5) AND " BEFORE NEWEST,
                         I(l->before_us), T(l->before_id), I((int64_t)max), T(l->order_id), T(l->customer_id));
    if (l->customer_id[0])
        return txn_query(txn, ret_rows, "SELECT " CREDIT_COLUMNS "WHERE c.customer_id = $4 AND " BEFORE NEWEST,
                         I(l->before_us), T(l->before_id), I((int64_t)max), T(l->customer_id));
    return txn_query(txn, ret_rows, "SELECT " CREDIT_COLUMNS "WHERE " BEFORE NEWEST, I(l->before_us), T(l->before_id),
                     I((int64_t)max));
}

/* Puts the row on the page, unless it is a draft. 1: it has no room there; the first always has. */
static int take(struct txn *txn, struct list *l, const struct rows *rows, size_t row)
{
    int64_t lines = row_int(rows, row, COLUMN_LINES);
    if (row_int(rows, row, COLUMN_DRAFT))
        return 0;
    if (l->n == l->max || (l->n > 0 && l->lines + lines > PAGE_LINES))
        return 1;
    l->lines += lines;
    return read_head(txn, rows, row, &l->credits[l->n++]);
}

static int look_through(struct txn *txn, struct list *l)
{
    size_t chunk = l->max + 1;
    for (size_t looked = 0; !l->more; looked += chunk) {
        struct rows rows;
        int r = query_list(txn, l, chunk, &rows);
        size_t row = 0;
        for (; r == 0 && row < rows.n && (r = take(txn, l, &rows, row)) == 0; row++) {
            l->before_us = row_int(&rows, row, COLUMN_TIME);
            l->before_id = row_text(&rows, row, COLUMN_ID);
        }
        if (r < 0)
            return r;
        if (row == rows.n && rows.n < chunk)
            return 0;
        l->more = r > 0 || looked + chunk >= LOOK_ROWS;
    }
    return 0;
}

/* The query is what the page token holds for: a customer's own list is another one than staff's of all. */
static int open_list(struct rpc_call *call, const ListCreditsRequest *req, struct list *list, const char **ret_query)
{
    *list = (struct list){
        .customer_id = req->customer_id[0] ? req->customer_id : rpc_owner(call),
        .order_id = req->order_id,
        .before_us = INT64_MAX,
        .before_id = "",
        .max = req->page_size ? req->page_size : PAGE_DEFAULT,
    };
    list->credits = arena_alloc(rpc_arena(call), list->max * sizeof(Credit *));
    const char *query = arena_printf(rpc_arena(call), "credits %s\n%s", list->customer_id, list->order_id), *after[2];
    if (!query || !list->credits)
        return -ENOMEM;
    int r = rpc_page_open(call, req->page_token, query, after, 2);
    if (r < 0)
        return r;
    if (after[0] && after[1]) {
        list->before_us = strtoll(after[0], NULL, 10);
        list->before_id = after[1];
    }
    *ret_query = query;
    return 0;
}

int list_credits(struct rpc_call *call, struct txn *txn, const void *in, void *out)
{
    ListCreditsResponse *ret = out;
    struct list list;
    const char *query = NULL;
    int r = open_list(call, in, &list, &query);
    if (r == 0)
        r = look_through(txn, &list);
    if (r == 0 && list.n > 0)
        r = read_lines(txn, list.credits, list.n);
    if (r < 0)
        return r;
    ret->credits = list.credits;
    ret->n_credits = list.n;
    if (!list.more)
        return 0;
    const char *after[] = { arena_printf(txn->arena, "%lld", (long long)list.before_us), list.before_id };
    ret->next_page_token = after[0] ? (char *)rpc_page_token(call, query, after, 2) : NULL;
    return ret->next_page_token ? 0 : -ENOMEM;
}
