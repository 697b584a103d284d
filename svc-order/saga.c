/* What happens to an order after it was placed: outcomes go through the tables, and the tables say what follows. */
#include "svc-order/life.h"

#include <errno.h>
#include <string.h>

#define SECOND 1000000ll
#define MINUTE (60 * SECOND)
#define DAY    (24 * 60 * MINUTE)

typedef Oms__Order__V1__Order__PaymentState PaymentState;
typedef Oms__Order__V1__Order__FulfillmentState FulfillmentState;

#define PAYMENT(state)     OMS__ORDER__V1__ORDER__PAYMENT_STATE__##state
#define FULFILLMENT(state) OMS__ORDER__V1__ORDER__FULFILLMENT_STATE__##state

/* --- reading --- */

static void numbers_of(const struct life *life, int64_t ret_numbers[LIFE_NUMBERS])
{
    const int64_t numbers[LIFE_NUMBERS] = { life->due_minor,       life->asked_minor,    life->captured_minor,
                                            life->returning_minor, life->refunded_minor, life->parcels,
                                            life->parcels_shipped, life->parcels_open,   life->parcels_troubled };
    memcpy(ret_numbers, numbers, sizeof(numbers));
}

static void remember(struct life *life)
{
    life->before.state = life->state;
    memcpy(life->before.steps, life->steps, sizeof(life->steps));
    life->before.payment_state = life->payment_state;
    life->before.fulfillment_state = life->fulfillment_state;
    life->before.payment_id = life->payment_id;
    numbers_of(life, life->before.numbers);
}

int life_open(struct txn *txn, const char *order_id, struct life *ret_life)
{
    struct rows rows;
    int r = txn_query(txn, &rows,
                      "SELECT CASE WHEN o.draft = 1 THEN 7 ELSE o.state END, o.customer_id, o.currency, o.total_minor, "
                      "o.payment_token, o.payment_id, "
                      "o.payment_state, o.fulfillment_state, o.due_minor, o.asked_minor, o.captured_minor, "
                      "o.refunded_minor, o.parcels, o.parcels_shipped, o.parcels_open, o.parcels_troubled, "
                      "o.payment_version, o.version, o.returning_minor, o.update_time_us, o.elsewhere, s.step, s.state "
                      "FROM sales_order o LEFT JOIN order_step s ON s.order_id = o.order_id WHERE o.order_id = $1",
                      T(order_id));
    if (r < 0 || rows.n == 0)
        return r;

    *ret_life = (struct life){
        .txn = txn,
        .order_id = order_id,
        .state = row_int(&rows, 0, 0),
        .customer_id = row_text(&rows, 0, 1),
        .currency = row_text(&rows, 0, 2),
        .total_minor = row_int(&rows, 0, 3),
        .payment_token = row_text(&rows, 0, 4),
        .payment_id = row_text(&rows, 0, 5),
        .payment_state = (PaymentState)row_int(&rows, 0, 6),
        .fulfillment_state = (FulfillmentState)row_int(&rows, 0, 7),
        .due_minor = row_int(&rows, 0, 8),
        .asked_minor = row_int(&rows, 0, 9),
        .captured_minor = row_int(&rows, 0, 10),
        .refunded_minor = row_int(&rows, 0, 11),
        .parcels = row_int(&rows, 0, 12),
        .parcels_shipped = row_int(&rows, 0, 13),
        .parcels_open = row_int(&rows, 0, 14),
        .parcels_troubled = row_int(&rows, 0, 15),
        .payment_version = row_int(&rows, 0, 16),
        .version = row_int(&rows, 0, 17),
        .returning_minor = row_int(&rows, 0, 18),
        .update_time_us = row_int(&rows, 0, 19),
        .elsewhere = row_int(&rows, 0, 20),
        .reason = "",
        .code = "",
    };
    for (size_t i = 0; i < rows.n; i++) {
        int64_t step = row_int(&rows, i, 21);
        if (step > NO_STEP && step < ORDER_STEPS)
            ret_life->steps[step] = row_int(&rows, i, 22);
    }
    remember(ret_life);
    return 1;
}

bool life_seen_by(const struct life *life, const char *owner)
{
    return owner[0] == '\0' || (life->state != DRAFT && strcmp(owner, life->customer_id) == 0);
}

void life_begin(struct txn *txn, const char *order_id, struct life *life)
{
    life->txn = txn;
    life->order_id = order_id;
    life->payment_id = life->reason = life->code = "";
    life->version = 1;
    life->update_time_us = txn->now_us;
    remember(life);
}

/* --- what is derived --- */

static const PaymentState payment_states[ORDER_OUTCOMES] = {
    [NOTHING_TO_PAY] = PAYMENT(ON_ACCOUNT),          [PAYMENT_GRANTED] = PAYMENT(AUTHORIZED),
    [PAYMENT_REFUSED] = PAYMENT(DECLINED),           [PAYMENT_NEEDS_ACTION] = PAYMENT(ACTION_REQUIRED),
    [PAYMENT_UNANSWERED] = PAYMENT(PAYMENT_UNKNOWN), [PAYMENT_GIVEN_BACK] = PAYMENT(VOIDED),
};

static bool on_account(const struct life *life)
{
    return life->payment_state == PAYMENT(ON_ACCOUNT);
}

/* What never was granted is not told to be given back. */
static void derive_payment(struct life *life, enum order_outcome outcome)
{
    PaymentState told = payment_states[outcome];
    if (life->captured_minor > 0) {
        life->payment_state = life->refunded_minor >= life->captured_minor ? PAYMENT(REFUNDED)
                              : life->captured_minor >= life->due_minor    ? PAYMENT(CAPTURED)
                                                                           : PAYMENT(PARTLY_CAPTURED);
    } else if ((life->state == REJECTED || life->state == CANCELLED) && life->steps[STEP_AUTHORIZE] == TODO &&
               !on_account(life)) {
        life->payment_state = PAYMENT(VOIDED); /* nobody was asked to pay, and nobody will be */
    } else if (told && !(told == PAYMENT(VOIDED) && (on_account(life) || life->payment_state == PAYMENT(DECLINED)))) {
        life->payment_state = told;
    }
}

static FulfillmentState derived_fulfillment(const struct life *life)
{
    if (life->elsewhere || life->state == DRAFT)
        return life->fulfillment_state;
    if (life->steps[STEP_FULFIL] == TODO)
        return life->state == PENDING || life->state == REJECTED ? FULFILLMENT(UNFULFILLED) : FULFILLMENT(NOT_NEEDED);
    if (life->parcels == 0)
        return FULFILLMENT(NOT_NEEDED);
    if (life->parcels_troubled > 0)
        return FULFILLMENT(EXCEPTION);
    if (life->parcels_open == 0)
        return FULFILLMENT(DELIVERED);
    if (life->parcels_shipped == 0)
        return FULFILLMENT(ALLOCATED);
    return life->parcels_shipped < life->parcels ? FULFILLMENT(PARTLY_SHIPPED) : FULFILLMENT(SHIPPED);
}

static bool everything_undone(const struct life *life)
{
    static const bool holds[] = { [SENT] = true, [DONE] = true, [UNDOING] = true, [UNDONE] = false };
    for (enum order_step step = STEP_RESERVE; step < ORDER_STEPS; step++) {
        if (holds[life->steps[step]])
            return false;
    }
    return true;
}

static bool everything_done(const struct life *life)
{
    return life->parcels_open == 0 && life->steps[STEP_FULFIL] != UNDOING &&
           (on_account(life) || life->captured_minor >= life->due_minor);
}

/* --- happening --- */

static void change_step(struct life *life, const struct step_change *change)
{
    if (change->step != NO_STEP && (change->again || change->state > life->steps[change->step]))
        life->steps[change->step] = change->state;
}

int life_happen(struct life *life, enum order_outcome outcome)
{
    const struct transition *t = machine_transition(life->state, outcome);
    change_step(life, machine_step(outcome));
    life->state = t->becomes;
    derive_payment(life, outcome);
    return life_act(life, t->action);
}

/* --- writing --- */

/* How long an order may stay as it is before somebody has to look after it. */
static int64_t patience_us(const struct life *life)
{
    if (machine_final(life->state) || life->state == DRAFT)
        return 0;
    if (life->stuck)
        return 1;
    if (life->state == CONFIRMED)
        return life->parcels_shipped ? 14 * DAY : 3 * DAY;
    return life->payment_state == PAYMENT(ACTION_REQUIRED) ? 20 * MINUTE : PENDING_PATIENCE_US;
}

int life_close_steps(struct life *life)
{
    enum { COLUMNS = 4 };
    struct value values[ORDER_STEPS * COLUMNS];
    size_t n = 0;
    for (enum order_step step = STEP_RESERVE; step < ORDER_STEPS; step++) {
        if (life->steps[step] == life->before.steps[step])
            continue;
        const struct value row[COLUMNS] = { T(life->order_id), I(step), I(life->steps[step]), I(life->txn->now_us) };
        memcpy(values + n++ * COLUMNS, row, sizeof(row));
    }
    return txn_post_many(life->txn,
                         "INSERT INTO order_step (order_id, step, state, update_time_us) VALUES ($1, $2, $3, $4) "
                         "ON CONFLICT (order_id, step) DO UPDATE SET state = excluded.state, "
                         "update_time_us = excluded.update_time_us",
                         n, COLUMNS, values);
}

/* Only then a reason counts: what happens to an order that was rejected does not change why. */
static bool is_rejected_now(const struct life *life)
{
    return life->state == REJECTED && life->before.state != REJECTED;
}

static int write_order(struct life *life)
{
    int64_t patience = patience_us(life);
    return txn_post(
        life->txn,
        "UPDATE sales_order SET state = CASE WHEN draft = 1 THEN state ELSE $2 END, version = $3, update_time_us = $4, "
        "reject_reason = CASE WHEN $5 = '' THEN reject_reason ELSE $5 END, payment_state = $6, "
        "payment_id = $7, payment_version = $8, due_minor = $9, asked_minor = $10, captured_minor = $11, "
        "refunded_minor = $12, fulfillment_state = $13, parcels = $14, parcels_shipped = $15, "
        "parcels_open = $16, parcels_troubled = $17, stuck_time_us = $18, returning_minor = $19 "
        "WHERE order_id = $1",
        T(life->order_id), I(life->state), I(life->version), I(life->update_time_us),
        T(is_rejected_now(life) ? life->reason : ""), I(life->payment_state), T(life->payment_id),
        I(life->payment_version), I(life->due_minor), I(life->asked_minor), I(life->captured_minor),
        I(life->refunded_minor), I(life->fulfillment_state), I(life->parcels), I(life->parcels_shipped),
        I(life->parcels_open), I(life->parcels_troubled), I(patience ? life->txn->now_us + patience : 0),
        I(life->returning_minor));
}

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
        [CANCELLING] = OMS__EVENT__V1__EVENT_TYPE__ORDER_CANCELLING,
        [CANCELLED] = OMS__EVENT__V1__EVENT_TYPE__ORDER_CANCELLED,
        [COMPLETED] = OMS__EVENT__V1__EVENT_TYPE__ORDER_COMPLETED,
    };
    return events[state];
}

static int tell(struct life *life)
{
    OrderStateChanged payload = OMS__EVENT__V1__ORDER_STATE_CHANGED__INIT;
    payload.order_id = (char *)life->order_id;
    payload.state = (Oms__Order__V1__Order__State)life->state;
    payload.reason = (char *)(is_rejected_now(life) ? life->reason : "");
    payload.code = (char *)life->code;
    payload.version = life->version;
    payload.payment_state = life->payment_state;
    payload.fulfillment_state = life->fulfillment_state;
    /* An order is confirmed once: it goes on when it was too late to cancel it. */
    bool goes_on = life->state == CONFIRMED && life->before.state == CANCELLING;
    bool same = life->state == life->before.state || goes_on;
    int32_t type = !same ? order_event_of(life->state) : OMS__EVENT__V1__EVENT_TYPE__ORDER_PROGRESSED;
    return order_tell(life->txn, type, life->order_id, life->customer_id, &payload.base);
}

static bool is_changed(const struct life *life)
{
    int64_t numbers[LIFE_NUMBERS];
    numbers_of(life, numbers);
    return life->lines_changed || life->state != life->before.state ||
           life->payment_state != life->before.payment_state ||
           life->fulfillment_state != life->before.fulfillment_state ||
           strcmp(life->payment_id, life->before.payment_id) != 0 ||
           memcmp(numbers, life->before.numbers, sizeof(numbers)) != 0;
}

int life_close(struct life *life)
{
    int r = 0;
    if (life->state == CANCELLING && everything_undone(life))
        r = life_happen(life, EVERYTHING_UNDONE);
    else if (life->state == CONFIRMED && everything_done(life))
        r = life_happen(life, EVERYTHING_DONE);
    life->fulfillment_state = derived_fulfillment(life);
    bool changed = is_changed(life);
    if (changed) {
        life->version++;
        life->update_time_us = life->txn->now_us;
    }
    if (r == 0)
        r = write_order(life);
    if (r == 0)
        r = life_close_steps(life);
    return r == 0 && changed ? tell(life) : r;
}

/* The order itself need not be read. */
static int step_happened(struct txn *txn, const char *order_id, const struct step_change *change)
{
    return txn_post(txn,
                    "UPDATE order_step SET state = $3, update_time_us = $4 WHERE order_id = $1 AND step = $2 "
                    "AND state < $3",
                    T(order_id), I(change->step), I(change->state), I(txn->now_us));
}

int order_happened(struct txn *txn, const char *order_id, enum order_outcome outcome, const char *reason,
                   const char *code)
{
    struct life life;
    if (machine_quiet(outcome))
        return step_happened(txn, order_id, machine_step(outcome));
    int r = life_open(txn, order_id, &life);
    if (r <= 0)
        return r;
    life.reason = reason;
    life.code = code;
    r = life_happen(&life, outcome);
    return r < 0 ? r : life_close(&life);
}
