/* What svc-order tells of orders: the goods of one that is confirmed are its own, and do not expire any more. */
#include "svc-inventory/inventory.h"

static int keep(struct txn *txn, const struct log_entry *entry, const void *payload)
{
    return txn_post(txn, "DELETE FROM reservation_expiry WHERE order_id = $1", T(entry->key));
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
