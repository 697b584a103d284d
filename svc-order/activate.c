/* Drafts of an import begin, or are forgotten: some at a time, so that nobody waits long for the writer. Orders begin
 * before credit memos, as these may refund them. */
#include "svc-order/credit.h"
#include "svc-order/life.h"

#include <errno.h>
#include <string.h>

#define STEP_DRAFTS 50
#define STEP_LINES  400 /* some milliseconds */

/* How many of the rows, whose last column says how many lines each has, are one step: one at least. */
static size_t step_length(const struct rows *rows)
{
    int64_t lines = 0;
    size_t n = 0;
    while (n < rows->n) {
        lines += row_int(rows, n, rows->columns - 1);
        if (n && lines > STEP_LINES)
            break;
        n++;
    }
    return n;
}

/* The first column of the first n rows, as statement values with what may follow each. */
static struct value *ids_of(struct txn *txn, const struct rows *rows, size_t n, size_t columns)
{
    struct value *values = arena_alloc(txn->arena, (n + 1) * columns * sizeof(*values));
    for (size_t i = 0; values && i < n; i++)
        values[i * columns] = T(row_text(rows, i, 0));
    return values;
}

/* --- orders --- */

static int query_orders(struct txn *txn, const char *import_id, struct rows *ret_rows)
{
    return txn_query(txn, ret_rows,
                     "SELECT o.order_id, o.customer_id, o.channel, a.country, o.currency, o.payment_token, "
                     "o.place_time_us, o.total_minor, o.payment_state, o.fulfillment_state, o.elsewhere, o.lines "
                     "FROM sales_order o LEFT JOIN order_address a ON a.order_id = o.order_id "
                     "WHERE o.import_id = $1 AND o.draft = 1 ORDER BY o.order_id LIMIT $2",
                     T(import_id), I(STEP_DRAFTS));
}

static int release_drafts(struct txn *txn, const struct rows *rows, size_t n)
{
    enum { COLUMNS = 3 };
    struct value *values = ids_of(txn, rows, n, COLUMNS);
    if (!values)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        values[i * COLUMNS + 1] = I(txn->now_us);
        values[i * COLUMNS + 2] = I(txn->now_us + PENDING_PATIENCE_US);
    }
    return txn_post_each(txn,
                         "UPDATE sales_order SET draft = 0, version = 1, update_time_us = $2, "
                         "stuck_time_us = CASE WHEN elsewhere = 1 THEN 0 ELSE $3 END WHERE order_id = $1",
                         n, COLUMNS, values);
}

/* The rows are orders by their ids; those of their lines come by them, too. */
static int begin_orders(struct txn *txn, const struct rows *rows, size_t n, const struct rows *lines)
{
    struct item *items = arena_alloc(txn->arena, (lines->n + 1) * sizeof(*items));
    size_t at = 0;
    int r = items ? 0 : -ENOMEM;
    for (size_t i = 0; r >= 0 && i < n; i++) {
        struct new_order order = {
            .txn = txn,
            .order_id = row_text(rows, i, 0),
            .customer_id = row_text(rows, i, 1),
            .channel = row_text(rows, i, 2),
            .country = row_text(rows, i, 3),
            .currency = row_text(rows, i, 4),
            .payment_token = row_text(rows, i, 5),
            .place_time_us = row_int(rows, i, 6),
            .total_minor = row_int(rows, i, 7),
            .payment_state = row_int(rows, i, 8),
            .fulfillment_state = row_int(rows, i, 9),
            .elsewhere = row_int(rows, i, 10),
            .items = items + at,
        };
        for (; at < lines->n && strcmp(row_text(lines, at, 0), order.order_id) == 0; at++, order.n++)
            items[at] = (struct item){ row_text(lines, at, 1), row_text(lines, at, 2), row_int(lines, at, 3),
                                       row_int(lines, at, 4), row_int(lines, at, 5) };
        r = order_begin(&order);
    }
    return r < 0 ? r : 0;
}

static int activate_orders(struct txn *txn, const char *import_id)
{
    struct rows rows, lines;
    int r = query_orders(txn, import_id, &rows);
    if (r < 0 || rows.n == 0)
        return r;
    size_t n = step_length(&rows);
    struct value *ids = ids_of(txn, &rows, n, 1);
    r = ids ? release_drafts(txn, &rows, n) : -ENOMEM;
    if (r == 0)
        r = txn_query_many(txn, &lines,
                           "WITH wanted (order_id) AS (VALUES (CAST($1 AS TEXT))) "
                           "SELECT l.order_id, l.sku, l.title, l.quantity, l.unit_minor, l.stocked "
                           "FROM wanted CROSS JOIN order_line l WHERE l.order_id = wanted.order_id "
                           "ORDER BY l.order_id, l.place",
                           n, 1, ids);
    if (r == 0)
        r = begin_orders(txn, &rows, n, &lines);
    return r < 0 ? r : (int)n;
}

/* --- credit memos --- */

static int query_credits(struct txn *txn, const char *import_id, struct rows *ret_rows)
{
    return txn_query(txn, ret_rows,
                     "SELECT credit_id, customer_id, channel, country, currency, issue_time_us, total_minor, lines "
                     "FROM credit WHERE import_id = $1 AND draft = 1 ORDER BY credit_id LIMIT $2",
                     T(import_id), I(STEP_DRAFTS));
}

static int begin_credits(struct txn *txn, const struct rows *rows, size_t n, const struct rows *lines)
{
    struct piece *pieces = arena_alloc(txn->arena, (lines->n + 1) * sizeof(*pieces));
    size_t at = 0;
    int r = pieces ? 0 : -ENOMEM;
    for (size_t i = 0; r == 0 && i < n; i++) {
        struct new_credit credit = {
            .txn = txn,
            .credit_id = row_text(rows, i, 0),
            .customer_id = row_text(rows, i, 1),
            .channel = row_text(rows, i, 2),
            .country = row_text(rows, i, 3),
            .currency = row_text(rows, i, 4),
            .issue_time_us = row_int(rows, i, 5),
            .total_minor = row_int(rows, i, 6),
            .pieces = pieces + at,
        };
        for (; at < lines->n && strcmp(row_text(lines, at, 0), credit.credit_id) == 0; at++, credit.n++)
            pieces[at] = (struct piece){
                .item = { row_text(lines, at, 1), row_text(lines, at, 2), row_int(lines, at, 3), row_int(lines, at, 4),
                          row_int(lines, at, 5) },
                .reason = row_text(lines, at, 6),
                .order_id = row_text(lines, at, 7),
                .order_place = row_int(lines, at, 8),
            };
        r = credit_begin(&credit);
    }
    return r;
}

static int activate_credits(struct txn *txn, const char *import_id)
{
    enum { COLUMNS = 2 };
    struct rows rows, lines;
    int r = query_credits(txn, import_id, &rows);
    if (r < 0 || rows.n == 0)
        return r;
    size_t n = step_length(&rows);
    struct value *ids = ids_of(txn, &rows, n, 1), *begun = ids_of(txn, &rows, n, COLUMNS);
    if (!ids || !begun)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        begun[i * COLUMNS + 1] = I(txn->now_us);
    r = txn_post_each(txn, "UPDATE credit SET draft = 0, update_time_us = $2 WHERE credit_id = $1", n, COLUMNS, begun);
    if (r == 0)
        r = txn_query_many(txn, &lines,
                           "WITH wanted (credit_id) AS (VALUES (CAST($1 AS TEXT))) "
                           "SELECT l.credit_id, l.sku, l.title, l.quantity, l.unit_minor, l.stocked, l.reason, "
                           "l.order_id, l.order_place FROM wanted CROSS JOIN credit_line l "
                           "WHERE l.credit_id = wanted.credit_id ORDER BY l.credit_id, l.place",
                           n, 1, ids);
    if (r == 0)
        r = begin_credits(txn, &rows, n, &lines);
    return r < 0 ? r : (int)n;
}

int import_activate(struct txn *txn, const char *import_id)
{
    int n = activate_orders(txn, import_id);
    return n ? n : activate_credits(txn, import_id);
}

/* --- forgetting --- */

static int forget_credits(struct txn *txn, const char *import_id)
{
    struct rows rows;
    int r = query_credits(txn, import_id, &rows);
    if (r < 0 || rows.n == 0)
        return r;
    size_t n = step_length(&rows);
    struct value *ids = ids_of(txn, &rows, n, 1);
    if (!ids)
        return -ENOMEM;
    for (size_t i = 0; r == 0 && i < n; i++)
        r = credit_release(txn, row_text(&rows, i, 0));
    if (r == 0)
        r = txn_post_many(txn,
                          "WITH gone (id) AS (VALUES (CAST($1 AS TEXT))) DELETE FROM credit_line "
                          "WHERE credit_id IN (SELECT id FROM gone)",
                          n, 1, ids);
    if (r == 0)
        r = txn_post_many(txn,
                          "WITH gone (id) AS (VALUES (CAST($1 AS TEXT))) DELETE FROM credit "
                          "WHERE credit_id IN (SELECT id FROM gone)",
                          n, 1, ids);
    return r < 0 ? r : (int)n;
}

static int forget_orders(struct txn *txn, const char *import_id)
{
    struct rows rows;
    int r = query_orders(txn, import_id, &rows);
    if (r < 0 || rows.n == 0)
        return r;
    size_t n = step_length(&rows);
    struct value *ids = ids_of(txn, &rows, n, 1);
    if (!ids)
        return -ENOMEM;
    r = txn_post_many(txn,
                      "WITH gone (id) AS (VALUES (CAST($1 AS TEXT))) DELETE FROM order_address "
                      "WHERE order_id IN (SELECT id FROM gone)",
                      n, 1, ids);
    if (r == 0)
        r = txn_post_many(txn,
                          "WITH gone (id) AS (VALUES (CAST($1 AS TEXT))) DELETE FROM order_line "
                          "WHERE order_id IN (SELECT id FROM gone)",
                          n, 1, ids);
    if (r == 0)
        r = txn_post_many(txn,
                          "WITH gone (id) AS (VALUES (CAST($1 AS TEXT))) DELETE FROM sales_order "
                          "WHERE order_id IN (SELECT id FROM gone)",
                          n, 1, ids);
    return r < 0 ? r : (int)n;
}

int import_discard(struct txn *txn, const char *import_id)
{
    int n = forget_credits(txn, import_id);
    return n ? n : forget_orders(txn, import_id);
}
