/* Reservations after they were made: what each still holds, read once for all that one transaction does to them,
 * changed in memory together with the stock book, and written back with it in multi-row statements.
 *
 * Everything lives in the transaction's arena. Functions return 0 or a negative errno of the store. */
#pragma once

#include "svc-inventory/book.h"

/* Who reserved under which request id. */
struct operation {
    const char *holder, *id;
};

struct held_line {
    const char *sku, *location_id;
    int64_t held;  /* still */
    int64_t asked; /* of that, by the request that is looked at */
    int64_t rest;  /* as it is stored, which counts once the reservation is not whole any more */
};

struct holding {
    struct operation operation;
    const char *reservation_id, *order_id; /* NULL: nothing was ever reserved */
    bool whole;                            /* as it was reserved */
    bool was_whole, changed, shipped;
    struct held_line *lines; /* sorted by SKU and location */
    size_t n_lines;
};

struct holdings {
    struct txn *txn;
    struct book book;
    struct holding *all; /* sorted */
    size_t n;
};

/* Why something is not held any more. Only what was shipped has left its shelf. */
enum taking { TAKEN_RELEASED, TAKEN_EXPIRED, TAKEN_SHIPPED };

/* operations in any order, also repeatedly; their texts must outlive the holdings. */
int holdings_open(struct txn *txn, const struct operation *operations, size_t n, struct holdings *ret_holdings);
/* One that the holdings were opened for; NULL: nothing was ever reserved. */
struct holding *holdings_find(const struct holdings *holdings, const struct operation *operation);
/* NULL: the reservation never had such a line. */
struct held_line *holding_line(const struct holding *holding, const char *sku, const char *location_id);
/* False: it has been given back or shipped, all of it. */
bool holding_open(const struct holding *holding);
/* Takes from each line what was asked of it. */
int holding_take(struct holdings *holdings, struct holding *holding, enum taking why);
/* Takes all that is left. */
int holding_end(struct holdings *holdings, struct holding *holding, enum taking why);
int holdings_close(struct holdings *holdings);
