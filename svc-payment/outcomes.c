/* What becomes of an operation: outcomes go through the table, sums and ledger follow its state, and the event tells
 * it; all in one transaction. */
#include "svc-payment/book.h"

#include "mesh/base/money.h"

#include <errno.h>

#define LOOK_FIRST_US   200000
#define LOOK_LONGEST_US 5000000

/* --- telling --- */

int payment_event(struct txn *txn, int32_t type, const struct payment *p, const struct operation *o,
                  struct event *ret_event)
{
    PaymentChanged *payload = arena_message(txn->arena, &oms__event__v1__payment_changed__descriptor);
    if (!payload)
        return -ENOMEM;
    *payload = (PaymentChanged){
        .base = payload->base,
        .payment_id = (char *)p->payment_id,
        .order_id = (char *)p->order_id,
        .operation_id = (char *)o->operation_id,
        .kind = (Oms__Payment__V1__Operation__Kind)o->kind,
        .operation_state = (Oms__Payment__V1__Operation__State)o->state,
        .state = payment_state(p),
        .amount = money_to_wire(txn->arena, o->amount_minor, p->currency),
        .authorized = money_to_wire(txn->arena, p->authorized_minor, p->currency),
        .captured = money_to_wire(txn->arena, p->captured_minor, p->currency),
        .refunded = money_to_wire(txn->arena, p->refunded_minor, p->currency),
        .reason = (char *)o->reason,
        .version = p->version,
    };
    if (!payload->amount || !payload->authorized || !payload->captured || !payload->refunded)
        return -ENOMEM;
    *ret_event = (struct event){
        .type = type,
        .key = p->order_id,
        .owner = p->customer_id,
        .audience = AUDIENCE_PAYMENT,
        .payload = &payload->base,
    };
    return 0;
}

int payment_tell(struct txn *txn, int32_t type, const struct payment *payment, const struct operation *operation)
{
    struct event event;
    int r = payment_event(txn, type, payment, operation, &event);
    return r < 0 ? r : log_append(txn, &event);
}

/* --- sums --- */

/* By how much the sum of those under way, or of those that have succeeded, changes. */
static int64_t change(bool before, bool now, int64_t amount_minor)
{
    return ((int64_t)now - (int64_t)before) * amount_minor;
}

static void authorize_became(struct payment *p, const struct operation *o, const struct news *news)
{
    bool declined = o->state == DECLINED || o->state == EXPIRED;
    p->authorize_state = o->state;
    p->authorized_minor = o->state == SUCCEEDED ? o->amount_minor : 0;
    p->decline_reason = declined ? o->reason : "";
    p->action_url = o->state == ACTION_REQUIRED && news->action_url ? news->action_url : "";
}

/* What was authorized and not captured is given up; whoever still had to act has nothing to act for. */
static int void_succeeded(struct txn *txn, struct payment *p, struct operation *o)
{
    o->amount_minor = p->authorized_minor > p->captured_minor ? p->authorized_minor - p->captured_minor : 0;
    p->voiding = VOIDED;
    if (p->authorize_state != ACTION_REQUIRED)
        return 0;
    p->authorize_state = DECLINED;
    p->decline_reason = "VOIDED";
    p->action_url = "";
    p->open_operations--;
    return txn_post(txn,
                    "UPDATE payment_operation SET state = $2, reason = $3, update_time_us = $4 "
                    "WHERE payment_id = $1 AND place = 1",
                    T(p->payment_id), I(DECLINED), T(p->decline_reason), I(txn->now_us));
}

static int move(struct txn *txn, struct payment *p, struct operation *o, enum operation_state before,
                const struct news *news)
{
    int64_t under_way = change(operation_under_way(before), operation_under_way(o->state), o->amount_minor);
    int64_t done = change(before == SUCCEEDED, o->state == SUCCEEDED, o->amount_minor);
    p->open_operations += change(operation_unsettled(before), operation_unsettled(o->state), 1);
    switch (o->kind) {
    case AUTHORIZE:
        authorize_became(p, o, news);
        return 0;
    case CAPTURE:
        p->capturing_minor += under_way;
        p->captured_minor += done;
        return done ? ledger_book(txn, p, o, done, false) : 0;
    case REFUND:
        p->refunding_minor += under_way;
        p->refunded_minor += done;
        return done ? ledger_book(txn, p, o, done, before == DECLINED) : 0;
    case VOID:
        return o->state == SUCCEEDED ? void_succeeded(txn, p, o) : 0;
    default:
        return -EINVAL;
    }
}

/* --- what follows --- */

/* Half as long again as it has lasted already, so that who acts at once is soon seen to have acted. */
static int look(struct txn *txn, const struct operation *o, bool first)
{
    int64_t delay_us = first ? 0 : (txn->now_us - o->update_time_us) / 2;
    if (delay_us < LOOK_FIRST_US)
        delay_us = LOOK_FIRST_US;
    if (delay_us > LOOK_LONGEST_US)
        delay_us = LOOK_LONGEST_US;
    return processor_look(txn, o->operation_id, delay_us);
}

static int follow(struct txn *txn, struct payment *p, const struct operation *o, unsigned then, bool changed)
{
    int r = 0;
    if (then & THEN_AWAIT)
        r = action_watch(txn, o->operation_id);
    if (r == 0 && then & THEN_LOOK)
        r = look(txn, o, changed);
    if (r == 0 && then & THEN_VOID && o->kind == AUTHORIZE)
        r = void_want(txn, p);
    return r;
}

static void take_news(struct operation *o, const struct news *news, enum operation_state becomes)
{
    o->state = becomes;
    if (news->processor_ref)
        o->processor_ref = news->processor_ref;
    if (news->decided_by)
        o->decided_by = news->decided_by;
    if (news->reason)
        o->reason = news->reason;
    else if (becomes == EXPIRED)
        o->reason = "ACTION_EXPIRED";
}

static int carry_on(struct txn *txn, struct payment *p, struct operation *o, const struct transition *t,
                    const struct news *news)
{
    enum operation_state before = o->state;
    bool changed = t->becomes != before;
    int r = 0;
    if (changed) {
        take_news(o, news, t->becomes);
        r = move(txn, p, o, before, news);
    }
    if (r == 0)
        r = follow(txn, p, o, t->then, changed);
    if (r == 0 && changed)
        r = operation_write(txn, p, o);
    if (r == 0 && (changed || t->then & THEN_VOID))
        r = payment_write(txn, p);
    if (r == 0 && t->then & THEN_TELL)
        r = payment_tell(txn, operation_event(o->kind, o->state), p, o);
    if (r == 0 && t->then & THEN_CONTRADICT)
        r = payment_tell(txn, OMS__EVENT__V1__EVENT_TYPE__PAYMENT_CONTRADICTED, p, o);
    return r;
}

int operation_happened(struct txn *txn, const char *operation_id, enum operation_outcome outcome,
                       const struct news *news)
{
    struct payment payment;
    struct operation operation;
    int r = payment_open_operation(txn, operation_id, &payment, &operation);
    if (r <= 0)
        return r;
    return carry_on(txn, &payment, &operation, operation_transition(operation.state, outcome), news);
}
