/* VerifyInventory inside: what one call finds before its unit. */
#pragma once

#include "svc-inventory/inventory.h"

struct finding {
    const char *sku, *location_id, *what;
    int64_t expected, found;
};

/* What Redis and the table of availability said of a SKU, and what its shelves have. */
struct word {
    const char *sku;
    int64_t cached, stored, free;
    uint64_t cached_version, version;
};

/* One call's work before its unit. */
struct verification {
    struct rpc_call *call;
    struct inventory *inventory;
    const VerifyInventoryRequest *request;
    struct unit unit;
    struct task task;
    struct timer timer;
    struct cache_op op;
    int waits;
    bool cache_read;

    uint64_t seq; /* of the snapshot */
    const char *next_sku;
    struct finding *findings;
    size_t n_findings;
    struct word *words; /* of each SKU */
    size_t n_words, n_skus;
};

/* books.c: reads the next page of SKUs, compares what the books say of each, and fills in seq and what stands behind
 * it. Inside a read unit, in its arena; 0 or a negative errno. */
int books_compare(struct txn *txn, struct verification *v);
