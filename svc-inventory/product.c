/* Products as rows: two queries read any number of them, a fixed number of statements writes one. */
#include "svc-inventory/product.h"

#include "mesh/base/money.h"
#include "svc-inventory/words.h"

#include <errno.h>
#include <string.h>

const char *product_etag(struct arena *arena, uint64_t version)
{
    return arena_printf(arena, "v%llu", (unsigned long long)version);
}

static int read_variant(struct txn *txn, const struct rows *rows, size_t row, Variant *ret_variant)
{
    Money *price = money_to_wire(txn->arena, row_int(rows, row, 3), row_text(rows, row, 4));
    if (!price)
        return -ENOMEM;

    *ret_variant = (Variant){
        .base = ret_variant->base,
        .sku = (char *)row_text(rows, row, 1),
        .title = (char *)row_text(rows, row, 2),
        .price = price,
        .weight_grams = row_int(rows, row, 5),
        .gtin = (char *)row_text(rows, row, 6),
        .stocked = row_int(rows, row, 7),
    };
    return 0;
}

/* The variants of products that are sorted by id, like the rows. */
static int add_variants(struct txn *txn, const struct rows *rows, struct products *products)
{
    for (size_t i = 0, row = 0; i < products->n; i++) {
        Product *product = products->items[i];
        size_t first = row;
        while (row < rows->n && strcmp(row_text(rows, row, 0), product->product_id) == 0)
            row++;

        product->variants = arena_alloc(txn->arena, (row - first) * sizeof(Variant *));
        if (!product->variants)
            return -ENOMEM;
        for (; first < row; first++) {
            Variant *variant = arena_message(txn->arena, &oms__catalog__v1__variant__descriptor);
            int r = variant ? read_variant(txn, rows, first, variant) : -ENOMEM;
            if (r < 0)
                return r;
            product->variants[product->n_variants++] = variant;
        }
    }
    return 0;
}

/* Rows of the table product, sorted by id, become whole products. */
static int read_products(struct txn *txn, const struct rows *rows, struct products *ret_products)
{
    struct products products = { .items = arena_alloc(txn->arena, rows->n * sizeof(Product *)) };
    struct value *ids = arena_alloc(txn->arena, rows->n * sizeof(*ids));
    if (!products.items || !ids)
        return -ENOMEM;

    for (size_t i = 0; i < rows->n; i++) {
        Product *product = arena_message(txn->arena, &oms__catalog__v1__product__descriptor);
        if (!product)
            return -ENOMEM;
        int r = row_message(rows, i, &product->base);
        if (r < 0)
            return r;
        product->etag = (char *)product_etag(txn->arena, product->version);
        if (!product->etag)
            return -ENOMEM;
        ids[i] = T(product->product_id);
        products.items[products.n++] = product;
    }

    struct rows variants;
    int r = txn_query_many(txn, &variants,
                           "WITH wanted (product_id) AS (VALUES (CAST($1 AS TEXT))) "
                           "SELECT v.product_id, v.sku, v.title, v.price_minor, v.currency, v.weight_grams, v.gtin, "
                           "v.stocked FROM wanted CROSS JOIN variant v WHERE v.product_id = wanted.product_id "
                           "ORDER BY v.product_id, v.place",
                           rows->n, 1, ids);
    if (r < 0)
        return r;
    r = add_variants(txn, &variants, &products);
    if (r < 0)
        return r;
    *ret_products = products;
    return 0;
}

static int first_product(struct txn *txn, const struct rows *rows, Product **ret_product)
{
    struct products products;
    int r = read_products(txn, rows, &products);
    if (r < 0)
        return r;
    *ret_product = products.n ? products.items[0] : NULL;
    return 0;
}

int product_by_id(struct txn *txn, const char *product_id, Product **ret_product)
{
    struct rows rows;
    int r = txn_query(txn, &rows,
                      "SELECT product_id, title, description, brand, category, version, update_time_us "
                      "FROM product WHERE product_id = $1",
                      T(product_id));
    return r < 0 ? r : first_product(txn, &rows, ret_product);
}

int product_by_sku(struct txn *txn, const char *sku, Product **ret_product)
{
    struct rows rows;
    int r = txn_query(txn, &rows,
                      "SELECT product_id, title, description, brand, category, version, update_time_us "
                      "FROM product WHERE product_id = (SELECT product_id FROM variant WHERE sku = $1)",
                      T(sku));
    return r < 0 ? r : first_product(txn, &rows, ret_product);
}

int products_after(struct txn *txn, const char *product_id, size_t max, struct products *ret_products)
{
    struct rows rows;
    int r = txn_query(txn, &rows,
                      "SELECT product_id, title, description, brand, category, version, update_time_us "
                      "FROM product WHERE product_id > $1 ORDER BY product_id LIMIT $2",
                      T(product_id), I(max));
    return r < 0 ? r : read_products(txn, &rows, ret_products);
}

int products_search(struct txn *txn, const char *prefix, const char *product_id, size_t max,
                    struct products *ret_products)
{
    struct word_range range;
    int r = word_prefix(txn->arena, prefix, &range);
    if (r < 0)
        return r;

    struct rows rows;
    r = txn_query(txn, &rows,
                  "SELECT product_id, title, description, brand, category, version, update_time_us "
                  "FROM product WHERE product_id > $1 AND product_id IN "
                  "(SELECT product_id FROM search_word WHERE word >= $2 AND word < $3) "
                  "ORDER BY product_id LIMIT $4",
                  T(product_id), T(range.from), T(range.below), I(max));
    return r < 0 ? r : read_products(txn, &rows, ret_products);
}

static int write_variants(struct txn *txn, const Product *product, const int64_t *prices_minor)
{
    enum { COLUMNS = 9 };
    struct value *values = arena_alloc(txn->arena, product->n_variants * COLUMNS * sizeof(*values));
    if (!values)
        return -ENOMEM;

    for (size_t i = 0; i < product->n_variants; i++) {
        const Variant *v = product->variants[i];
        const struct value row[COLUMNS] = {
            T(v->sku),          T(product->product_id),    I(i),
            T(v->title),        I(prices_minor[i]),        T(v->price->currency_code),
            I(v->weight_grams), T(v->gtin ? v->gtin : ""), I(v->stocked),
        };
        memcpy(values + i * COLUMNS, row, sizeof(row));
    }

    int r = txn_post(txn, "DELETE FROM variant WHERE product_id = $1", T(product->product_id));
    if (r < 0)
        return r;
    return txn_post_many(txn,
                         "INSERT INTO variant (sku, product_id, place, title, price_minor, currency, weight_grams, "
                         "gtin, stocked) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
                         product->n_variants, COLUMNS, values);
}

static int write_words(struct txn *txn, const Product *product)
{
    struct words words;
    int r = words_collect(txn->arena, product, &words);
    if (r < 0)
        return r;

    struct value *values = arena_alloc(txn->arena, words.n * 2 * sizeof(*values));
    if (!values)
        return -ENOMEM;
    for (size_t i = 0; i < words.n; i++) {
        values[2 * i] = T(words.items[i]);
        values[2 * i + 1] = T(product->product_id);
    }

    r = txn_post(txn, "DELETE FROM search_word WHERE product_id = $1", T(product->product_id));
    if (r < 0)
        return r;
    return txn_post_many(txn, "INSERT INTO search_word (word, product_id) VALUES ($1, $2)", words.n, 2, values);
}

int product_write(struct txn *txn, const Product *product, const int64_t *prices_minor)
{
    int r = txn_post(txn,
                     "INSERT INTO product (product_id, title, description, brand, category, version, update_time_us) "
                     "VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (product_id) DO UPDATE SET "
                     "title = excluded.title, description = excluded.description, brand = excluded.brand, "
                     "category = excluded.category, version = excluded.version, "
                     "update_time_us = excluded.update_time_us",
                     T(product->product_id), T(product->title), T(product->description), T(product->brand),
                     T(product->category), I(product->version), I(product->update_time_us));
    if (r < 0)
        return r;
    r = write_variants(txn, product, prices_minor);
    return r < 0 ? r : write_words(txn, product);
}

int product_snapshot(struct txn *txn, const char *after, size_t max, struct event *ret_events, const char **ret_keys)
{
    struct products products;
    int r = products_after(txn, after ? after : "", max, &products);
    if (r < 0)
        return r;

    for (size_t i = 0; i < products.n; i++) {
        ProductUpserted *payload = arena_message(txn->arena, &oms__event__v1__product_upserted__descriptor);
        if (!payload)
            return -ENOMEM;
        payload->product = products.items[i];
        ret_keys[i] = products.items[i]->product_id;
        ret_events[i] = (struct event){
            .type = OMS__EVENT__V1__EVENT_TYPE__PRODUCT_UPSERTED,
            .key = ret_keys[i],
            .owner = "",
            .audience = AUDIENCE_PUBLIC,
            .payload = &payload->base,
        };
    }
    return (int)products.n;
}
