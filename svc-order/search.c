/* Orders looked through by a filter. Lines are read of those rows only of which nothing else has decided. */
#include "svc-order/search.h"

#include "mesh/base/money.h"

#include <errno.h>
#include <string.h>

const struct filter_field search_fields[] = {
    [FIELD_ORDER_ID] = { "order_id", FILTER_TEXT, .bare = true },
    [FIELD_CUSTOMER_ID] = { "customer_id", FILTER_TEXT, .bare = true },
    [FIELD_CHANNEL] = { "channel", FILTER_TEXT },
    [FIELD_EXTERNAL_ID] = { "external_id", FILTER_TEXT, .bare = true },
    [FIELD_PLACED_BY] = { "placed_by", FILTER_TEXT },
    [FIELD_PLACE_TIME] = { "place_time", FILTER_TIME },
    [FIELD_UPDATE_TIME] = { "update_time", FILTER_TIME },
    [FIELD_TOTAL] = { "total", FILTER_AMOUNT },
    [FIELD_CURRENCY] = { "total.currency_code", FILTER_TEXT },
    [FIELD_COUNTRY] = { "ship_to.country", FILTER_TEXT },
    [FIELD_STATE] = { "state", FILTER_ENUM, .names = &oms__order__v1__order__state__descriptor },
    [FIELD_PAYMENT_STATE] = { "payment_state", FILTER_ENUM,
                              .names = &oms__order__v1__order__payment_state__descriptor },
    [FIELD_FULFILLMENT_STATE] = { "fulfillment_state", FILTER_ENUM,
                                  .names = &oms__order__v1__order__fulfillment_state__descriptor },
    [FIELD_CAPTURED] = { "captured", FILTER_AMOUNT },
    [FIELD_CREDITED] = { "credited", FILTER_AMOUNT },
    [FIELD_PAYMENT_ID] = { "payment_id", FILTER_TEXT },
    [FIELD_ELSEWHERE] = { "fulfilled_elsewhere", FILTER_BOOL },
    [FIELD_LINE_SKU] = { "lines.sku", FILTER_TEXT, .many = true },
    [FIELD_LINE_QUANTITY] = { "lines.quantity", FILTER_NUMBER, .many = true },
    [FIELD_LINE_SHIPPED] = { "lines.shipped", FILTER_NUMBER, .many = true },
    [FIELD_LINE_CANCELLED] = { "lines.cancelled", FILTER_NUMBER, .many = true },
    [FIELD_LINE_RETURNED] = { "lines.returned", FILTER_NUMBER, .many = true },
    {},
};

enum { LINE_COLUMNS = 6 }; /* the place among those wanted, then the fields */

struct candidate {
    const struct rows *rows, *lines; /* without lines: they are not known */
    size_t row, first, n_lines;
};

static void hold(const struct rows *rows, size_t row, size_t column, int field, struct filter_held *ret)
{
    if (search_fields[field].type == FILTER_TEXT)
        ret->text = row_text(rows, row, column);
    else if (search_fields[field].type == FILTER_AMOUNT)
        money_split(row_int(rows, row, column), row_text(rows, row, FIELD_CURRENCY), &ret->number, &ret->nanos);
    else
        ret->number = row_int(rows, row, column);
}

static int get(const void *resource, int field, size_t i, struct filter_held *ret)
{
    const struct candidate *c = resource;
    bool of_line = field >= FIELD_LINE_SKU;
    if (of_line && !c->lines)
        return -1;
    if (of_line && i >= c->n_lines)
        return 0;
    const struct rows *rows = of_line ? c->lines : c->rows;
    size_t row = of_line ? c->first + i : c->row, column = of_line ? 1 + field - FIELD_LINE_SKU : field;
    if (row_null(rows, row, column))
        return 0;
    hold(rows, row, column, field, ret);
    return 1;
}

static int read_lines(struct txn *txn, bool credits, const struct value *wanted, size_t n, struct rows *ret_lines)
{
    if (credits)
        return txn_query_many(
            txn, ret_lines,
            "WITH wanted (n, credit_id) AS (VALUES (CAST($1 AS BIGINT), CAST($2 AS TEXT))) "
            "SELECT w.n, l.sku, l.quantity, CAST(NULL AS BIGINT), CAST(NULL AS BIGINT), "
            "CAST(NULL AS BIGINT) FROM wanted w CROSS JOIN credit_line l WHERE l.credit_id = w.credit_id "
            "ORDER BY w.n",
            n, 2, wanted);
    return txn_query_many(txn, ret_lines,
                          "WITH wanted (n, order_id) AS (VALUES (CAST($1 AS BIGINT), CAST($2 AS TEXT))) "
                          "SELECT w.n, l.sku, l.quantity, l.shipped, l.cancelled, l.returned "
                          "FROM wanted w CROSS JOIN order_line l WHERE l.order_id = w.order_id ORDER BY w.n",
                          n, 2, wanted);
}

/* Of the rows that wanted names, now with their lines. */
static int judge_lines(struct txn *txn, const struct search *search, const struct rows *rows,
                       const struct value *wanted, size_t n, bool *fits)
{
    struct rows lines;
    int r = n ? read_lines(txn, search->credits, wanted, n, &lines) : 0;
    struct candidate c = { rows, &lines };
    for (size_t i = 0, at = 0; r == 0 && i < n; i++) {
        c.row = (size_t)wanted[2 * i].number;
        c.first = at;
        while (at < lines.n && row_int(&lines, at, 0) == wanted[2 * i].number)
            at++;
        c.n_lines = at - c.first;
        fits[c.row] = filter_judge(search->filter, get, &c) == FILTER_YES;
    }
    return r;
}

/* Whatever the filter says. */
static bool is_out(const struct search *search, const struct rows *rows, size_t row)
{
    return row_int(rows, row, FIELD_STATE) == OMS__ORDER__V1__ORDER__STATE__DRAFT ||
           (search->channel[0] && strcmp(search->channel, row_text(rows, row, FIELD_CHANNEL)) != 0);
}

int search_judge(struct txn *txn, struct search *search, const struct rows *rows, const bool **ret_fits)
{
    bool *fits = arena_zalloc(txn->arena, rows->n + 1);
    struct value *wanted = arena_alloc(txn->arena, (2 * rows->n + 1) * sizeof(*wanted));
    size_t n = 0, n_wanted = 0;
    if (!fits || !wanted)
        return -ENOMEM;
    for (; n < rows->n && search->lines_left > 0; n++) {
        if (is_out(search, rows, n))
            continue;
        enum filter_verdict verdict = filter_judge(search->filter, get, &(struct candidate){ .rows = rows, .row = n });
        fits[n] = verdict == FILTER_YES;
        if (verdict != FILTER_MAYBE)
            continue;
        wanted[2 * n_wanted] = I((int64_t)n);
        wanted[2 * n_wanted++ + 1] = T(row_text(rows, n, FIELD_ORDER_ID));
        search->lines_left -= row_int(rows, n, SEARCH_LINES);
    }
    int r = judge_lines(txn, search, rows, wanted, n_wanted, fits);
    *ret_fits = fits;
    return r < 0 ? r : (int)n;
}

struct value search_country(const struct search *search)
{
    return I(filter_asks(search->filter, FIELD_COUNTRY));
}

size_t search_pick(struct picked *picked, const struct rows *rows, size_t n, const bool *fits)
{
    for (size_t i = 0; i < n; i++) {
        int64_t lines = row_int(rows, i, SEARCH_LINES);
        if (!fits[i])
            continue;
        if (picked->n == picked->max || (picked->n > 0 && picked->lines + lines > picked->max_lines))
            return i;
        picked->ids[picked->n++] = row_text(rows, i, FIELD_ORDER_ID);
        picked->lines += lines;
    }
    return n;
}
