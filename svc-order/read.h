/* How orders are read: the columns that every statement selects, in their order, and orders as messages.
 *
 * Messages are in the transaction's arena and point into the rows; functions return 0 or a negative errno. */
#pragma once

#include "svc-order/order.h"

#define ORDER_COLUMNS \
    "o.order_id, o.customer_id, CASE WHEN o.draft = 1 THEN 7 ELSE o.state END, o.currency, o.total_minor, o.lines, " \
    "o.channel, o.external_id, o.placed_by, " \
    "o.place_time_us, o.update_time_us, o.version, o.reject_reason, o.payment_state, o.fulfillment_state, " \
    "o.payment_id, o.captured_minor, o.credited_minor, o.elsewhere, a.email, a.name, a.street1, a.street2, " \
    "a.street3, a.street4, a.city, a.postal_code, a.country "
#define ORDER_ADDRESS "LEFT JOIN order_address a ON a.order_id = o.order_id "
#define ORDER_TABLES  "FROM sales_order o " ORDER_ADDRESS

/* The orders of these ids that there are, in their order, with or without their lines. Returns how many. */
int orders_read(struct txn *txn, const char *const *ids, size_t n, bool lines, Order ***ret_orders);
