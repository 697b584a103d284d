/* The stock book: what is on the shelves for the SKUs that one transaction needs, read once, changed in memory, and
 * written back in multi-row statements together with the journal, the availability and its events.
 *
 * Everything lives in the transaction's arena. Functions return 0 or a negative errno of the store. */
#pragma once

#include "svc-inventory/inventory.h"

#define STOCK_MAX 1000000000000000 /* on one shelf, so that sums over all of them never overflow */

struct shelf {
    const char *location_id;
    int64_t on_hand, reserved;
    uint64_t version; /* 0: not stored yet */
    bool changed;
};

struct sku_stock {
    const char *sku;
    bool known;   /* the catalogue has it */
    bool stocked; /* what the catalogue does not know counts as stocked: then only shelves matter */
    int64_t available, available_before; /* over all shelves */
    uint64_t version;                    /* of the availability; 0: not stored yet */
    struct shelf *shelves;               /* to be taken from in this order */
    size_t n_shelves;
};

/* Why a shelf changes. */
struct cause {
    const char *reason, *ref;
    const char *document_id; /* for which goods have left or come; "": none */
    int64_t effective_us;    /* when it happened; 0: now */
};

struct movement {
    const char *sku, *location_id;
    uint64_t version;
    int64_t on_hand, reserved;
    const struct cause *cause;
};

struct book {
    struct txn *txn;
    struct sku_stock *skus; /* sorted */
    size_t n_skus;
    struct movement *movements;
    size_t n_movements, max_movements;
};

/* So much of a SKU. */
struct portion {
    const char *sku;
    int64_t quantity;
};
/* Sorts them and adds up those of one SKU; how many that leaves. */
size_t portions_add_up(struct portion *portions, size_t n);

/* skus in any order, also repeatedly; they must outlive the book. */
int book_open(struct txn *txn, const char *const *skus, size_t n, struct book *ret_book);
/* A SKU that the book was opened for. */
struct sku_stock *book_find(const struct book *book, const char *sku);
/* NULL: nothing of it was ever there. */
struct shelf *book_shelf(const struct sku_stock *sku, const char *location_id);
/* It is the first of the SKU's shelves from then on. */
int book_add_shelf(struct book *book, struct sku_stock *sku, const char *location_id, struct shelf **ret_shelf);
/* The caller has seen to 0 ≤ reserved ≤ on_hand ≤ STOCK_MAX. The cause must outlive the book. */
int book_move(struct book *book, struct sku_stock *sku, struct shelf *shelf, int64_t on_hand, int64_t reserved,
              const struct cause *cause);
int book_close(struct book *book);

/* Runs with an arena of its own, up to 64 MiB: what the requests of many need is not one caller's budget. Replies must
 * not point into it. */
int book_apart(struct txn *txn, int (*run)(struct txn *txn, void *arg), void *arg);
