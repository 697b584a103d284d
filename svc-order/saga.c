/* What happens to an order after it was placed: outcomes go through the table, and the table says what follows. */
#include "svc-order/order.h"

#include <errno.h>
#include <string.h>

#define INVENTORY        "svc-inventory"
#define RESERVE          "/oms.inventory.v1.InventoryService/ReserveStock"
#define RELEASE          "/oms.inventory.v1.InventoryService/ReleaseStock"
#define RESERVE_LIMIT_US (15 * 60 * 1000000ll)
#define REASON_LINES     3 /* shortages that a reason names */

int order_tell(struct txn *txn, int32_t type, const char *order_id, const char *owner, const ProtobufCMessage *payload)
{
    return log_append(txn, &(struct event){
                               .type = type,
                               .key = order_id,
                               .owner = owner,
                               .audience = AUDIENCE_ORDER,
                               .payload = payload,
                           });
}

int32_t order_event_of(enum order_state state)
{
    static const int32_t events[] = {
        [PENDING] = OMS__EVENT__V1__EVENT_TYPE__ORDER_PLACED,
        [CONFIRMED] = OMS__EVENT__V1__EVENT_TYPE__ORDER_CONFIRMED,
        [REJECTED] = OMS__EVENT__V1__EVENT_TYPE__ORDER_REJECTED,
    };
    return events[state];
}

/* An operation's id follows from the order's, so that whoever undoes it knows it. */
static char *operation_id(struct txn *txn, const char *order_id, const char *operation)
{
    return arena_printf(txn->arena, "%s-%s", order_id, operation);
}

int order_reserve(struct txn *txn, const char *order_id, ReserveLine **lines, size_t n)
{
    ReserveStockRequest request = OMS__INVENTORY__V1__RESERVE_STOCK_REQUEST__INIT;
    request.request_id = operation_id(txn, order_id, "reserve");
    if (!request.request_id)
        return -ENOMEM;
    request.order_id = (char *)order_id;
    request.lines = lines;
    request.n_lines = n;
    return outbox_add(txn, &(struct command){ INVENTORY, RESERVE, order_id, &request.base, 0 });
}

static int release(struct txn *txn, const char *order_id)
{
    ReleaseStockRequest request = OMS__INVENTORY__V1__RELEASE_STOCK_REQUEST__INIT;
    request.request_id = operation_id(txn, order_id, "release");
    request.operation_id = operation_id(txn, order_id, "reserve");
    if (!request.request_id || !request.operation_id)
        return -ENOMEM;
    return outbox_add(txn, &(struct command){ INVENTORY, RELEASE, order_id, &request.base, 0 });
}

static int change_state(struct txn *txn, const char *order_id, const char *owner, enum order_state state,
                        const char *reason)
{
    OrderStateChanged payload = OMS__EVENT__V1__ORDER_STATE_CHANGED__INIT;
    struct rows rows;
    int r = txn_query(txn, &rows,
                      "UPDATE sales_order SET state = $2, version = version + 1, update_time_us = $3, "
                      "reject_reason = $4 WHERE order_id = $1 RETURNING version",
                      T(order_id), I(state), I(txn->now_us), T(reason));
    if (r < 0)
        return r;
    payload.order_id = (char *)order_id;
    payload.state = (Oms__Order__V1__Order__State)state;
    payload.reason = (char *)reason;
    payload.version = row_int(&rows, 0, 0);
    return order_tell(txn, order_event_of(state), order_id, owner, &payload.base);
}

int order_happened(struct txn *txn, const char *order_id, enum order_outcome outcome, const char *reason)
{
    struct rows rows;
    int r = txn_query(txn, &rows, "SELECT state, customer_id FROM sales_order WHERE order_id = $1", T(order_id));
    if (r < 0 || rows.n == 0)
        return r;

    enum order_state state = row_int(&rows, 0, 0);
    const struct transition *t = machine_transition(state, outcome);
    r = txn_post(txn,
                 "INSERT INTO order_step (order_id, step, state, update_time_us) VALUES ($1, $2, $3, $4) "
                 "ON CONFLICT (order_id, step) DO UPDATE SET state = excluded.state, "
                 "update_time_us = excluded.update_time_us",
                 T(order_id), I(STEP_RESERVE), I(t->reserve), I(txn->now_us));
    if (r < 0)
        return r;
    if (t->becomes != state)
        r = change_state(txn, order_id, row_text(&rows, 0, 1), t->becomes, t->becomes == REJECTED ? reason : "");
    if (r < 0 || t->action != RELEASE_STOCK)
        return r;
    return release(txn, order_id);
}

static const char *sold_out_reason(struct txn *txn, const ReserveStockResponse *reply)
{
    char *reason = arena_printf(txn->arena, "Not enough in stock:");
    for (size_t i = 0; reason && i < reply->n_shortages && i < REASON_LINES; i++) {
        const Shortage *s = reply->shortages[i];
        reason = arena_printf(txn->arena, "%s%s %s (%lld wanted, %lld left)", reason, i ? "," : "", s->sku,
                              (long long)s->wanted, (long long)s->available);
    }
    if (reason && reply->n_shortages > REASON_LINES)
        reason = arena_printf(txn->arena, "%s and %zu more", reason, reply->n_shortages - REASON_LINES);
    return reason;
}

static int reserve_ended(struct txn *txn, const struct outcome *outcome)
{
    const ReserveStockResponse *reply = outcome->reply;
    if (outcome->code != RPC_OK)
        return order_happened(txn, outcome->key, RESERVE_GAVE_UP, "The goods could not be reserved in time.");
    if (reply->n_shortages == 0)
        return order_happened(txn, outcome->key, STOCK_RESERVED, "");
    const char *reason = sold_out_reason(txn, reply);
    return reason ? order_happened(txn, outcome->key, SOLD_OUT, reason) : -ENOMEM;
}

static int release_ended(struct txn *txn, const struct outcome *outcome)
{
    return order_happened(txn, outcome->key, STOCK_RELEASED, "The goods were released.");
}

const struct deliverer order_deliverers[] = {
    { RESERVE, &oms__inventory__v1__reserve_stock_request__descriptor,
      &oms__inventory__v1__reserve_stock_response__descriptor, reserve_ended, GIVE_UP_RAISE, RESERVE_LIMIT_US },
    { RELEASE, &oms__inventory__v1__release_stock_request__descriptor,
      &oms__inventory__v1__release_stock_response__descriptor, release_ended, GIVE_UP_PARK, RESERVE_LIMIT_US },
    {},
};
