/* The projection "order-prices" of svc-inventory's catalogue: what a SKU costs, without asking anybody. */
#include "svc-order/order.h"

#include "mesh/base/money.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { COLUMNS = 6 };

static const char *line_title(struct txn *txn, const Product *product, const Variant *variant)
{
    if (variant->title[0] == '\0')
        return product->title;
    return arena_printf(txn->arena, "%s, %s", product->title, variant->title);
}

static int price_row(struct txn *txn, const Product *product, const Variant *variant, struct value *ret_row)
{
    int64_t minor;
    const char *title = line_title(txn, product, variant);
    if (!title)
        return -ENOMEM;
    if (!variant->price || money_from_wire(variant->price, &minor) < 0)
        return -EBADMSG;
    const struct value row[COLUMNS] = { T(variant->sku), T(product->product_id),           T(title),
                                        I(minor),        T(variant->price->currency_code), I(variant->stocked) };
    memcpy(ret_row, row, sizeof(row));
    return 0;
}

/* A SKU may have moved here from another product whose own event comes later. */
static int write_prices(struct txn *txn, const Product *product)
{
    struct value *values = arena_alloc(txn->arena, product->n_variants * COLUMNS * sizeof(*values));
    if (!values)
        return -ENOMEM;
    for (size_t i = 0; i < product->n_variants; i++) {
        int r = price_row(txn, product, product->variants[i], values + i * COLUMNS);
        if (r < 0)
            return r;
    }

    int r = txn_post(txn, "DELETE FROM price WHERE product_id = $1", T(product->product_id));
    if (r < 0)
        return r;
    return txn_post_many(txn,
                         "INSERT INTO price (sku, product_id, title, price_minor, currency, stocked) "
                         "VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (sku) DO UPDATE SET "
                         "product_id = excluded.product_id, title = excluded.title, "
                         "price_minor = excluded.price_minor, currency = excluded.currency, "
                         "stocked = excluded.stocked",
                         product->n_variants, COLUMNS, values);
}

/* What a snapshot says is so, even if a restored catalogue counts its versions from lower again. */
static int apply_product(struct txn *txn, const struct log_entry *entry, const void *payload)
{
    const Product *product = ((const ProductUpserted *)payload)->product;
    if (!product)
        return -EBADMSG;
    int64_t newer = txn_exec(txn,
                             "INSERT INTO priced_product (product_id, version) VALUES ($1, $2) "
                             "ON CONFLICT (product_id) DO UPDATE SET version = excluded.version "
                             "WHERE priced_product.version < excluded.version OR CAST($3 AS BIGINT) = 1",
                             T(product->product_id), I(product->version), I(entry->snapshot));
    return newer <= 0 ? (int)newer : write_prices(txn, product);
}

const struct consumed price_events[] = {
    { OMS__EVENT__V1__EVENT_TYPE__PRODUCT_UPSERTED, &oms__event__v1__product_upserted__descriptor, apply_product },
    { OMS__EVENT__V1__EVENT_TYPE__AVAILABILITY_CHANGED, NULL, NULL },
    { OMS__EVENT__V1__EVENT_TYPE__RESERVATION_EXPIRED, &oms__event__v1__reservation_expired__descriptor,
      apply_reservation_expired },
    {},
};

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int compare_prices(const void *a, const void *b)
{
    return strcmp(((const struct price *)a)->sku, ((const struct price *)b)->sku);
}

/* Each SKU once, as statement values; sorts them. */
static int distinct_skus(struct txn *txn, const char **skus, size_t n, struct value **ret_values, size_t *ret_n)
{
    struct value *values = arena_alloc(txn->arena, n * sizeof(*values));
    size_t kept = 0;
    if (!values)
        return -ENOMEM;
    qsort(skus, n, sizeof(*skus), compare_texts);
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || strcmp(skus[i - 1], skus[i]) != 0)
            values[kept++] = T(skus[i]);
    }
    *ret_values = values;
    *ret_n = kept;
    return 0;
}

int prices_read(struct txn *txn, const char **skus, size_t n, struct price_list *ret_list)
{
    struct value *wanted;
    size_t n_wanted;
    int r = distinct_skus(txn, skus, n, &wanted, &n_wanted);
    if (r < 0)
        return r;
    struct rows rows;
    r = txn_query_many(
        txn, &rows,
        "WITH wanted (sku) AS (VALUES (CAST($1 AS TEXT))) SELECT p.sku, p.title, p.price_minor, p.currency, p.stocked "
        "FROM wanted CROSS JOIN price p WHERE p.sku = wanted.sku",
        n_wanted, 1, wanted);
    if (r < 0)
        return r;

    struct price_list list = { .items = arena_alloc(txn->arena, rows.n * sizeof(*list.items)), .n = rows.n };
    if (!list.items)
        return -ENOMEM;
    for (size_t i = 0; i < rows.n; i++) {
        list.items[i] = (struct price){
            .sku = row_text(&rows, i, 0),
            .title = row_text(&rows, i, 1),
            .minor = row_int(&rows, i, 2),
            .currency = row_text(&rows, i, 3),
            .stocked = row_int(&rows, i, 4),
        };
    }
    qsort(list.items, list.n, sizeof(*list.items), compare_prices);
    *ret_list = list;
    return 0;
}

const struct price *prices_find(const struct price_list *list, const char *sku)
{
    const struct price wanted = { .sku = sku };
    return bsearch(&wanted, list->items, list->n, sizeof(wanted), compare_prices);
}
