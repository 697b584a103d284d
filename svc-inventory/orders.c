/* What svc-order tells of orders: the goods of one that is confirmed are its own, and do not expire any more. */
#include "svc-inventory/inventory.h"

#include <errno.h>

/* Its reservations' ids begin with its own. */
static int keep(struct txn *txn, const struct log_entry *entry, const void *payload)
{
    const char *behind = arena_printf(txn->arena, "%s\U0010ffff", entry->key);
    if (!behind)
        return -ENOMEM;
    return txn_post(txn,
                    "UPDATE reservation SET expire_us = 0 WHERE holder = $1 AND operation_id >= $2 "
                    "AND operation_id < $3 AND order_id = $2 AND expire_us > 0",
                    T(ORDERS_SOURCE), T(entry->key), T(behind));
}

static const struct consumed events[] = {
    { OMS__EVENT__V1__EVENT_TYPE__ORDER_CONFIRMED, &oms__event__v1__order_state_changed__descriptor, keep },
    { OMS__EVENT__V1__EVENT_TYPE__ORDER_PLACED, NULL, NULL },
    { OMS__EVENT__V1__EVENT_TYPE__ORDER_REJECTED, NULL, NULL },
    { OMS__EVENT__V1__EVENT_TYPE__ORDER_CANCELLING, NULL, NULL },
    { OMS__EVENT__V1__EVENT_TYPE__ORDER_CANCELLED, NULL, NULL },
    { OMS__EVENT__V1__EVENT_TYPE__ORDER_COMPLETED, NULL, NULL },
    { OMS__EVENT__V1__EVENT_TYPE__ORDER_PROGRESSED, NULL, NULL },
    {},
};
const struct consumer inventory_consumers[] = {
    { ORDERS_CONSUMER, ORDERS_SOURCE, events },
    {},
};
