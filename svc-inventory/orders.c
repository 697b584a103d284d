/* What svc-order tells of orders: the goods of one that is confirmed are its own, and do not expire any more. */
#include "svc-inventory/inventory.h"

#include <errno.h>
#include <string.h>

/* All of the entries are confirmations. An order's reservations have ids that begin with its own. */
static int keep(struct txn *txn, const struct log_entry *entries, const void *const *payloads, size_t n)
{
    enum { COLUMNS = 3 };
    struct value *values = arena_alloc(txn->arena, n * COLUMNS * sizeof(*values));
    if (!values)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        const char *behind = arena_printf(txn->arena, "%s\U0010ffff", entries[i].key);
        const struct value row[COLUMNS] = { T(ORDERS_SOURCE), T(entries[i].key), T(behind) };
        if (!behind)
            return -ENOMEM;
        memcpy(values + i * COLUMNS, row, sizeof(row));
    }
    return txn_post_each(txn,
                         "UPDATE reservation SET expire_us = 0 WHERE holder = $1 AND operation_id >= $2 "
                         "AND operation_id < $3 AND order_id = $2 AND expire_us > 0",
                         n, COLUMNS, values);
}

static const struct consumed events[] = {
    { OMS__EVENT__V1__EVENT_TYPE__ORDER_CONFIRMED, &oms__event__v1__order_state_changed__descriptor, NULL },
    { OMS__EVENT__V1__EVENT_TYPE__ORDER_PLACED, NULL, NULL },
    { OMS__EVENT__V1__EVENT_TYPE__ORDER_REJECTED, NULL, NULL },
    { OMS__EVENT__V1__EVENT_TYPE__ORDER_CANCELLING, NULL, NULL },
    { OMS__EVENT__V1__EVENT_TYPE__ORDER_CANCELLED, NULL, NULL },
    { OMS__EVENT__V1__EVENT_TYPE__ORDER_COMPLETED, NULL, NULL },
    { OMS__EVENT__V1__EVENT_TYPE__ORDER_PROGRESSED, NULL, NULL },
    { OMS__EVENT__V1__EVENT_TYPE__ORDER_IMPORTED, NULL, NULL },
    { OMS__EVENT__V1__EVENT_TYPE__CREDIT_ISSUED, NULL, NULL },
    {},
};
const struct consumer inventory_consumers[] = {
    { ORDERS_CONSUMER, ORDERS_SOURCE, events, .apply_all = keep },
    {},
};
