/* Products as rows: read whole, written whole. Everything is allocated in the transaction's arena. */
#pragma once

#include "svc-inventory/inventory.h"

struct products {
    size_t n;
    Product **items;
};

/* All return 0 or a negative errno of the store. A product that is not there leaves *ret_product NULL. */
int product_by_id(struct txn *txn, const char *product_id, Product **ret_product);
int product_by_sku(struct txn *txn, const char *sku, Product **ret_product);
/* In the order of their ids, those after the given one ("" for the first). */
int products_after(struct txn *txn, const char *product_id, size_t max, struct products *ret_products);
/* The same, of those with a word of the title or a SKU that starts so; case does not matter. */
int products_search(struct txn *txn, const char *prefix, const char *product_id, size_t max,
                    struct products *ret_products);
/* Replaces the product, its variants (prices in minor units beside them) and its search words. */
int product_write(struct txn *txn, const Product *product, const int64_t *prices_minor);
const char *product_etag(struct arena *arena, uint64_t version);
int product_snapshot(struct txn *txn, const char *after, size_t max, struct event *ret_events, const char **ret_keys);
