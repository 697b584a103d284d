/* CancelOrder: what can be undone is undone. Whether a parcel has left is decided by its own row, in svc-shipping. */
#include "svc-order/life.h"

#include <errno.h>
#include <string.h>

/* Which verbs a state knows: what people ask for, and may be refused. */
static const struct {
    const char *name;
    bool in[PENDING + ORDER_STATES];
} verbs[VERBS] = {
    [VERB_CANCEL] = { "CancelOrder", { [PENDING] = true, [CONFIRMED] = true } },
};

bool verb_legal(enum verb verb, enum order_state state)
{
    return verbs[verb].in[state];
}

const char *verb_name(enum verb verb)
{
    return verbs[verb].name;
}

static bool is_code(const char *text)
{
    return text[strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")] == '\0';
}

static int check_state(struct rpc_call *call, const struct life *life)
{
    if (life->state == CANCELLING)
        return rpc_fail(call, RPC_ABORTED, "ORDER_CHANGING", "the order is being cancelled already");
    if (!verb_legal(VERB_CANCEL, life->state)) {
        int r = rpc_fail_state(call, life->order_id, "ORDER_STATE", "an order that is %s cannot be cancelled",
                               machine_state_name(life->state));
        rpc_error_meta(call, "state", machine_state_name(life->state));
        return r;
    }
    return 0;
}

static int fill_reply(struct txn *txn, const char *order_id, CancelOrderResponse *ret)
{
    int r = order_read(txn, order_id, "", &ret->order);
    return r < 0 ? r : log_position_message(txn, &ret->position);
}

static int check_owner(struct rpc_call *call, const struct life *life)
{
    const char *owner = rpc_owner(call);
    return life_seen_by(life, owner) ? 0 : rpc_fail_missing(call, "order", life->order_id);
}

int cancel_order(struct rpc_call *call, struct txn *txn, const void *in, void *out)
{
    const CancelOrderRequest *req = in;
    struct life life;
    if (!is_code(req->reason))
        return rpc_fail_field(call, "reason", "REASON_INVALID", "a reason is a code of A-Z, 0-9 and _");
    int r = life_open(txn, req->order_id, &life);
    if (r <= 0)
        return r < 0 ? r : rpc_fail_missing(call, "order", req->order_id);
    r = check_owner(call, &life);
    if (r == 0)
        r = check_state(call, &life);
    if (r < 0)
        return r;

    life.state = CANCELLING;
    life.code = req->reason;
    r = life_act(&life, STOP_PARCELS);
    if (r == 0)
        r = life_close(&life);
    if (r < 0)
        return r;
    rpc_made(call, req->order_id);
    if (req->wait && life.state == CANCELLING)
        rpc_defer(call, req->order_id);
    return fill_reply(txn, req->order_id, out);
}

int replay_cancel_order(struct rpc_call *call, struct txn *txn, const void *in, void *out)
{
    return fill_reply(txn, rpc_resource(call), out);
}

int settle_cancel_order(struct rpc_call *call, struct txn *txn, const void *in, void *out)
{
    const char *order_id = rpc_resource(call);
    struct rows rows;
    int r = txn_query(txn, &rows, "SELECT state FROM sales_order WHERE order_id = $1", T(order_id));
    if (r < 0)
        return r;
    if (rows.n && row_int(&rows, 0, 0) == CANCELLING)
        return RPC_WAIT;
    r = fill_reply(txn, order_id, out);
    return r < 0 ? r : RPC_END;
}
