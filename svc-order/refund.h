/* The orders that a cancellation refers to: read once, taken from line by line, written back and told once.
 *
 * All of it is in the transaction's arena. Functions return 0 or a negative errno of the store. */
#pragma once

#include "svc-order/order.h"

/* An order, as far as it concerns a refund. */
struct sale {
    const char *external_id, *order_id, *customer_id, *currency, *payment_id;
    enum order_state state;
    Oms__Order__V1__Order__PaymentState payment_state;
    Oms__Order__V1__Order__FulfillmentState fulfillment_state;
    uint64_t version;
    int64_t due_minor, credited_minor;
    int64_t back_minor; /* by this cancellation; below 0: nothing */
};

/* One of its lines of which there is something left. */
struct sold {
    struct sale *sale;
    const char *sku, *title;
    int64_t place, unit_minor, left;
    int64_t back; /* of what was left, by this cancellation */
    bool stocked;
};

struct refunds {
    struct txn *txn;
    const NewOrder *entry;
    const char *customer_id;
    struct sale *sales; /* by external_id */
    size_t n_sales;
    struct sold *solds; /* by order, SKU and place */
    size_t n_solds;
};
/* txn, entry and customer_id are given. */
int refunds_read(struct refunds *refunds);
int refunds_write(struct refunds *refunds);

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
