/* What an order waits for, since when, who has to act and what may be done: read from its state and its steps. */
#include "svc-order/life.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_DEFAULT 50

/* The first row that fits tells. */
static const struct {
    enum order_state state;
    enum order_step step; /* NO_STEP: whatever the steps are */
    int step_state;
    const char *owner, *waits_for;
} waits[] = {
    { PENDING, STEP_RESERVE, SENT, "svc-inventory", "svc-inventory is to reserve the stock" },
    { PENDING, STEP_AUTHORIZE, SENT, "svc-payment", "the card processor is to authorize the payment" },
    { PENDING, NO_STEP, 0, "svc-order", "its first step is to be taken" },
    { CANCELLING, STEP_FULFIL, UNDOING, "svc-shipping", "svc-shipping is to say which parcels can be kept" },
    { CANCELLING, STEP_RESERVE, UNDOING, "svc-inventory", "svc-inventory is to release the stock" },
    { CANCELLING, STEP_CAPTURE, UNDOING, "svc-payment", "the card processor is to pay back what was captured" },
    { CANCELLING, STEP_AUTHORIZE, UNDOING, "svc-payment", "the card processor is to void the authorization" },
    { CANCELLING, STEP_CAPTURE, DONE, "svc-payment", "the card processor is to answer to a capture" },
    { CANCELLING, NO_STEP, 0, "svc-order", "its last step is to be undone" },
    { CONFIRMED, STEP_FULFIL, SENT, "svc-shipping", "svc-shipping is to take the order on" },
    { CONFIRMED, NO_STEP, 0, "", "" }, /* see parcels_wait */
    { DRAFT, NO_STEP, 0, "whoever imports it", "its import is to be activated" },
    { REJECTED, STEP_RESERVE, UNDOING, "svc-inventory", "nothing; the stock is being released" },
    { REJECTED, STEP_AUTHORIZE, UNDOING, "svc-payment", "nothing; the authorization is being voided" },
};

/* While the payment is with somebody else than the processor. */
static void payment_waits(const struct life *life, OrderExplanation *ret)
{
    if (life->state != PENDING)
        return;
    if (life->payment_state == OMS__ORDER__V1__ORDER__PAYMENT_STATE__ACTION_REQUIRED) {
        ret->owner = "the customer";
        ret->waits_for = "the customer is to confirm the payment with his bank";
    } else if (life->payment_state == OMS__ORDER__V1__ORDER__PAYMENT_STATE__PAYMENT_UNKNOWN) {
        ret->owner = "staff";
        ret->waits_for = "the card processor has not answered; it is asked again, and a case is open";
    }
}

/* What was refused is nobody's but a person's. */
static void refund_waits(const struct life *life, OrderExplanation *ret)
{
    if (life->state != CANCELLING || life->steps[STEP_CAPTURE] != UNDOING ||
        life->returning_minor > life->refunded_minor)
        return;
    ret->owner = "staff";
    ret->waits_for = "a refund was refused: somebody has to pay back what was captured, and a case is open";
}

static void parcels_wait(const struct life *life, OrderExplanation *ret)
{
    if (life->parcels_troubled) {
        ret->owner = "staff";
        ret->waits_for = "a parcel is lost or came back: somebody has to decide";
    } else if (life->parcels_shipped < life->parcels) {
        ret->owner = "the warehouse";
        ret->waits_for = "the warehouse is to pack and ship";
    } else if (life->parcels_open) {
        ret->owner = "the carrier";
        ret->waits_for = "the carrier is to deliver";
    } else if (life->asked_minor > life->captured_minor) {
        ret->owner = "svc-payment";
        ret->waits_for = "the card processor is to answer to a capture";
    } else {
        ret->owner = "staff";
        ret->waits_for = "a capture was refused: somebody has to talk to the customer";
    }
}

static void say_wait(const struct life *life, OrderExplanation *ret)
{
    for (size_t i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
        if (waits[i].state != life->state ||
            (waits[i].step != NO_STEP && (int)life->steps[waits[i].step] != waits[i].step_state))
            continue;
        ret->owner = (char *)waits[i].owner;
        ret->waits_for = (char *)waits[i].waits_for;
        if (waits[i].waits_for[0] == '\0')
            parcels_wait(life, ret);
        payment_waits(life, ret);
        refund_waits(life, ret);
        return;
    }
}

static int add_legal(struct txn *txn, const struct life *life, OrderExplanation *ret)
{
    ret->legal = arena_alloc(txn->arena, VERBS * sizeof(char *));
    for (size_t i = 0; ret->legal && i < VERBS; i++) {
        if (verb_legal(i, life->state))
            ret->legal[ret->n_legal++] = (char *)verb_name(i);
    }
    return ret->legal ? 0 : -ENOMEM;
}

/* The steps as they stand, and since when nothing has moved. */
static int add_steps(struct txn *txn, const char *order_id, OrderExplanation *ret)
{
    struct rows rows;
    int r =
        txn_query(txn, &rows, "SELECT step, state, update_time_us FROM order_step WHERE order_id = $1 ORDER BY step",
                  T(order_id));
    if (r < 0)
        return r;
    ret->steps = arena_alloc(txn->arena, (rows.n + 1) * sizeof(OrderStep *));
    if (!ret->steps)
        return -ENOMEM;
    for (size_t i = 0; i < rows.n; i++) {
        OrderStep *step = arena_message(txn->arena, &oms__order__v1__order_step__descriptor);
        if (!step)
            return -ENOMEM;
        step->step = (Oms__Order__V1__OrderStep__Step)row_int(&rows, i, 0);
        step->state = (Oms__Order__V1__OrderStep__State)row_int(&rows, i, 1);
        step->update_time_us = row_int(&rows, i, 2);
        ret->steps[ret->n_steps++] = step;
    }
    return 0;
}

static int add_times(struct txn *txn, const char *order_id, OrderExplanation *ret)
{
    struct rows rows;
    int r =
        txn_query(txn, &rows, "SELECT update_time_us, stuck_time_us FROM sales_order WHERE order_id = $1", T(order_id));
    if (r < 0 || rows.n == 0)
        return r;
    int64_t moved_us = row_int(&rows, 0, 0);
    for (size_t i = 0; i < ret->n_steps; i++)
        if (ret->steps[i]->update_time_us > moved_us)
            moved_us = ret->steps[i]->update_time_us;
    if (ret->waits_for[0])
        ret->since_us = moved_us;
    ret->deadline_us = row_int(&rows, 0, 1);
    ret->stuck = ret->deadline_us > 0 && ret->deadline_us <= txn->now_us;
    return 0;
}

static int explain(const struct life *life, OrderExplanation *ret)
{
    struct txn *txn = life->txn;
    ret->order_id = (char *)life->order_id;
    ret->state = (Oms__Order__V1__Order__State)life->state;
    say_wait(life, ret);
    int r = add_steps(txn, life->order_id, ret);
    if (r == 0)
        r = add_legal(txn, life, ret);
    return r < 0 ? r : add_times(txn, life->order_id, ret);
}

int explain_order(struct rpc_call *call, struct txn *txn, const void *in, void *out)
{
    const ExplainOrderRequest *req = in;
    const char *owner = rpc_owner(call);
    struct life life;
    int r = life_open(txn, req->order_id, &life);
    if (r < 0)
        return r;
    if (r == 0 || !life_seen_by(&life, owner))
        return rpc_fail_missing(call, "order", req->order_id);
    return explain(&life, out);
}

static int explain_row(struct txn *txn, const char *order_id, OrderExplanation **ret_explanation)
{
    struct life life;
    int r = life_open(txn, order_id, &life);
    if (r < 0)
        return r;
    *ret_explanation = arena_message(txn->arena, &oms__order__v1__order_explanation__descriptor);
    return *ret_explanation ? explain(&life, *ret_explanation) : -ENOMEM;
}

int list_stuck_orders(struct rpc_call *call, struct txn *txn, const void *in, void *out)
{
    const ListStuckOrdersRequest *req = in;
    ListStuckOrdersResponse *ret = out;
    size_t max = req->page_size ? req->page_size : PAGE_DEFAULT;
    const char *after[2];
    struct rows rows;
    int r = rpc_page_open(call, req->page_token, "stuck", after, 2);
    if (r < 0)
        return r;
    r = txn_query(txn, &rows,
                  "SELECT order_id, stuck_time_us FROM sales_order WHERE stuck_time_us > 0 AND stuck_time_us <= $1 "
                  "AND (stuck_time_us, order_id) > ($2, $3) ORDER BY stuck_time_us, order_id LIMIT $4",
                  I(txn->now_us), I(after[0] ? strtoll(after[0], NULL, 10) : 0), T(after[1] ? after[1] : ""),
                  I(max + 1));
    if (r < 0)
        return r;
    size_t n = rows.n < max ? rows.n : max;
    ret->orders = arena_alloc(txn->arena, (n + 1) * sizeof(OrderExplanation *));
    for (size_t i = 0; ret->orders && i < n && r == 0; i++)
        r = explain_row(txn, row_text(&rows, i, 0), &ret->orders[ret->n_orders++]);
    if (r < 0 || !ret->orders)
        return r < 0 ? r : -ENOMEM;
    if (rows.n <= max)
        return 0;
    const char *last[] = { arena_printf(txn->arena, "%lld", (long long)row_int(&rows, n - 1, 1)),
                           row_text(&rows, n - 1, 0) };
    ret->next_page_token = last[0] ? (char *)rpc_page_token(call, "stuck", last, 2) : NULL;
    return ret->next_page_token ? 0 : -ENOMEM;
}
