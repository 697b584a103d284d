/* A credit memo inside: the orders that a cancellation refers to, whether a line of it is a refund, and what follows
 * from it.
 *
 * All of it is in the transaction's arena. Functions return 0 or a negative errno of the store. */
#pragma once

#include "svc-order/order.h"

/* --- refund.c --- */

/* An order that is referred to. */
struct sale {
    const char *external_id, *order_id, *customer_id, *currency, *payment_id;
    enum order_state state; /* also of a draft: as it will begin */
};
/* One of its lines of which there is something left. */
struct sold {
    const struct sale *sale;
    const char *sku, *title;
    int64_t place, unit_minor, left;
    bool stocked;
};
struct refunds {
    struct txn *txn;
    const NewOrder *entry;
    const char *customer_id, *import_id;
    struct sale *sales; /* by external_id */
    size_t n_sales;
    struct sold *solds; /* by order, SKU and place */
    size_t n_solds;
};
/* txn, entry, customer_id and import_id are given: drafts are known to their own import only. */
int refunds_read(struct refunds *refunds);

/* What a cancelled line may be taken from. */
struct refund {
    struct sold *solds;
    size_t n;
};
/* NULL: it is a refund; or why it is none. */
const char *refund_find(const struct refunds *refunds, const CancelledLine *line, int64_t unit_minor,
                        struct refund *ret_refund);
/* Takes as much as one line of the order has, at most the quantity; first from one at the same price. */
struct sold *refund_take(const struct refund *refund, int64_t unit_minor, int64_t quantity, int64_t *ret_taken);

/* --- memo.c --- */

/* A line of a credit memo: all of a cancelled one, or what of it one line of an order takes. */
struct piece {
    struct item item;
    const char *reason, *order_id; /* order_id "": a credit */
    int64_t order_place;
};
struct new_credit {
    struct txn *txn;
    const char *credit_id, *customer_id, *channel, *country, *currency;
    int64_t issue_time_us, total_minor;
    const struct piece *pieces;
    size_t n;
};
/* It is written with its lines. What it refunds is held from then on, so that nobody else refunds it, */
int credit_hold(struct txn *txn, const char *credit_id);
/* until it is given back to the orders, and told with what has to be done for it, */
int credit_begin(const struct new_credit *credit);
/* or let go. */
int credit_release(struct txn *txn, const char *credit_id);
