/* Whether what is cancelled is a refund: of an order of the same customer that was delivered on account, and of which
 * as much is left, at that price or a higher one. */
#include "svc-order/credit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* --- reading --- */

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Each number once, as statement values. */
static int wanted_sales(const struct refunds *f, struct value **ret_values, size_t *ret_n)
{
    const NewOrder *entry = f->entry;
    const char **ids = arena_alloc(f->txn->arena, entry->n_cancelled * sizeof(*ids));
    struct value *values = arena_alloc(f->txn->arena, 2 * entry->n_cancelled * sizeof(*values));
    size_t n = 0, kept = 0;
    if (!ids || !values)
        return -ENOMEM;
    for (size_t i = 0; i < entry->n_cancelled; i++) {
        if (entry->cancelled[i]->external_id[0])
            ids[n++] = entry->cancelled[i]->external_id;
    }
    qsort(ids, n, sizeof(*ids), compare_texts);
    for (size_t i = 0; i < n; i++) {
        if (i && strcmp(ids[i - 1], ids[i]) == 0)
            continue;
        values[2 * kept] = T(entry->channel);
        values[2 * kept++ + 1] = T(ids[i]);
    }
    *ret_values = values;
    *ret_n = kept;
    return 0;
}

static int compare_sales(const void *a, const void *b)
{
    return strcmp(((const struct sale *)a)->external_id, ((const struct sale *)b)->external_id);
}

static int read_sales(struct refunds *f)
{
    struct value *wanted = NULL;
    struct rows rows;
    size_t n = 0;
    int r = wanted_sales(f, &wanted, &n);
    if (r < 0 || n == 0)
        return r;
    r = txn_query_many(f->txn, &rows,
                       "WITH wanted (channel, external_id) AS (VALUES (CAST($1 AS TEXT), CAST($2 AS TEXT))) "
                       "SELECT o.external_id, o.order_id, o.customer_id, o.currency, o.payment_id, o.state, "
                       "o.draft, o.import_id FROM wanted CROSS JOIN sales_order o WHERE o.channel = wanted.channel "
                       "AND o.external_id = wanted.external_id AND o.external_id <> ''",
                       n, 2, wanted);
    f->sales = r == 0 ? arena_alloc(f->txn->arena, (rows.n + 1) * sizeof(*f->sales)) : NULL;
    if (!f->sales)
        return r < 0 ? r : -ENOMEM;
    for (size_t i = 0; i < rows.n; i++) {
        if (row_int(&rows, i, 6) && strcmp(row_text(&rows, i, 7), f->import_id) != 0)
            continue;
        f->sales[f->n_sales++] = (struct sale){
            .external_id = row_text(&rows, i, 0),
            .order_id = row_text(&rows, i, 1),
            .customer_id = row_text(&rows, i, 2),
            .currency = row_text(&rows, i, 3),
            .payment_id = row_text(&rows, i, 4),
            .state = row_int(&rows, i, 5),
        };
    }
    qsort(f->sales, f->n_sales, sizeof(*f->sales), compare_sales);
    return 0;
}

static int compare_solds(const void *a, const void *b)
{
    const struct sold *x = a, *y = b;
    int r = x->sale == y->sale ? strcmp(x->sku, y->sku) : x->sale < y->sale ? -1 : 1;
    return r ? r : (x->place > y->place) - (x->place < y->place);
}

static const struct sale *sale_of(const struct refunds *f, const char *order_id, const struct sale *last)
{
    const struct sale *sale = last;
    if (!sale || strcmp(sale->order_id, order_id) != 0) /* lines of one order come together */
        for (sale = f->sales; strcmp(sale->order_id, order_id) != 0; sale++)
            continue;
    return sale;
}

static const struct sale *find_sale(const struct refunds *f, const char *external_id)
{
    const struct sale wanted = { .external_id = (char *)external_id };
    return f->n_sales ? bsearch(&wanted, f->sales, f->n_sales, sizeof(wanted), compare_sales) : NULL;
}

/* Each SKU of each order once, as statement values: what else the orders have is not read. */
static int wanted_solds(const struct refunds *f, struct value **ret_values, size_t *ret_n)
{
    const NewOrder *entry = f->entry;
    struct sold *wanted = arena_alloc(f->txn->arena, entry->n_cancelled * sizeof(*wanted));
    struct value *values = arena_alloc(f->txn->arena, 2 * entry->n_cancelled * sizeof(*values));
    size_t n = 0, kept = 0;
    if (!wanted || !values)
        return -ENOMEM;
    for (size_t i = 0; i < entry->n_cancelled; i++) {
        const CancelledLine *line = entry->cancelled[i];
        const struct sale *sale = line->external_id[0] ? find_sale(f, line->external_id) : NULL;
        if (sale)
            wanted[n++] = (struct sold){ .sale = sale, .sku = line->sku };
    }
    qsort(wanted, n, sizeof(*wanted), compare_solds);
    for (size_t i = 0; i < n; i++) {
        if (i && compare_solds(&wanted[i - 1], &wanted[i]) == 0)
            continue;
        values[2 * kept] = T(wanted[i].sale->order_id);
        values[2 * kept++ + 1] = T(wanted[i].sku);
    }
    *ret_values = values;
    *ret_n = kept;
    return 0;
}

static int read_solds(struct refunds *f)
{
    struct value *wanted = NULL;
    struct rows rows;
    size_t n = 0;
    int r = wanted_solds(f, &wanted, &n);
    if (r < 0 || n == 0)
        return r;
    r = txn_query_many(
        f->txn, &rows,
        "WITH wanted (order_id, sku) AS (VALUES (CAST($1 AS TEXT), CAST($2 AS TEXT))) "
        "SELECT l.order_id, l.sku, l.title, l.place, l.unit_minor, l.shipped - l.returned - l.held, l.stocked "
        "FROM wanted CROSS JOIN order_line l WHERE l.order_id = wanted.order_id AND l.sku = wanted.sku "
        "AND l.shipped > l.returned + l.held ORDER BY l.order_id",
        n, 2, wanted);
    f->solds = r == 0 ? arena_alloc(f->txn->arena, (rows.n + 1) * sizeof(*f->solds)) : NULL;
    if (!f->solds)
        return r < 0 ? r : -ENOMEM;
    for (size_t i = 0; i < rows.n; i++) {
        f->solds[i] = (struct sold){
            .sale = sale_of(f, row_text(&rows, i, 0), i ? f->solds[i - 1].sale : NULL),
            .sku = row_text(&rows, i, 1),
            .title = row_text(&rows, i, 2),
            .place = row_int(&rows, i, 3),
            .unit_minor = row_int(&rows, i, 4),
            .left = row_int(&rows, i, 5),
            .stocked = row_int(&rows, i, 6),
        };
    }
    f->n_solds = rows.n;
    qsort(f->solds, f->n_solds, sizeof(*f->solds), compare_solds);
    return 0;
}

int refunds_read(struct refunds *f)
{
    int r = read_sales(f);
    return r < 0 || f->n_sales == 0 ? r : read_solds(f);
}

/* --- one line --- */

/* The lines of that SKU. */
static struct refund find_solds(const struct refunds *f, const struct sale *sale, const char *sku)
{
    const struct sold wanted = { .sale = sale, .sku = sku, .place = -1 };
    size_t low = 0, high = f->n_solds;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare_solds(&f->solds[middle], &wanted) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    size_t end = low;
    while (end < f->n_solds && f->solds[end].sale == sale && strcmp(f->solds[end].sku, sku) == 0)
        end++;
    return (struct refund){ f->solds + low, end - low };
}

const char *refund_find(const struct refunds *f, const CancelledLine *line, int64_t unit_minor,
                        struct refund *ret_refund)
{
    const struct sale *sale = find_sale(f, line->external_id);
    int64_t left = 0, dear = 0;
    if (!sale)
        return "ORDER_UNKNOWN";
    if (strcmp(sale->customer_id, f->customer_id) != 0)
        return "NOT_ITS_CUSTOMER";
    if (sale->state != COMPLETED)
        return "ORDER_NOT_DELIVERED";
    if (sale->payment_id[0])
        return "PAID_BY_CARD";
    if (strcmp(sale->currency, f->entry->currency_code) != 0)
        return "CURRENCY_MISMATCH";
    struct refund refund = find_solds(f, sale, line->sku);
    for (const struct sold *s = refund.solds; s < refund.solds + refund.n; s++) {
        left += s->left;
        dear += s->unit_minor >= unit_minor ? s->left : 0;
    }
    *ret_refund = refund;
    return left < line->quantity ? "NOT_ENOUGH_LEFT" : dear < line->quantity ? "ABOVE_SALE_PRICE" : NULL;
}

/* The cheapest that was not cheaper than that, so that what was dear is left for what is said to have been dear. */
static struct sold *cheapest_left(const struct refund *refund, int64_t unit_minor)
{
    struct sold *cheapest = NULL;
    for (struct sold *s = refund->solds; s < refund->solds + refund->n; s++) {
        if (s->left > 0 && s->unit_minor >= unit_minor && (!cheapest || s->unit_minor < cheapest->unit_minor))
            cheapest = s;
    }
    return cheapest;
}

struct sold *refund_take(const struct refund *refund, int64_t unit_minor, int64_t quantity, int64_t *ret_taken)
{
    struct sold *s = cheapest_left(refund, unit_minor);
    int64_t taken = s->left < quantity ? s->left : quantity;
    s->left -= taken;
    *ret_taken = taken;
    return s;
}
