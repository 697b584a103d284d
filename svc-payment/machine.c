/* The table, and the proof that no pair is missing. */
#include "svc-payment/machine.h"

#include <assert.h>

// clang-format off
#define MACHINE(ROW) \
    /*  state            outcome             becomes          and then */ \
    ROW(INIT,            ANSWERED_SUCCEEDED, SUCCEEDED,       THEN_TELL) \
    ROW(INIT,            ANSWERED_DECLINED,  DECLINED,        THEN_TELL) \
    ROW(INIT,            ANSWERED_ACTION,    ACTION_REQUIRED, THEN_TELL | THEN_AWAIT | THEN_LOOK) \
    ROW(INIT,            OVERDUE,            UNKNOWN,         THEN_TELL) \
    ROW(INIT,            ACTION_EXPIRED,     INIT,            THEN_NOTHING) \
    ROW(INIT,            DECIDED_SUCCEEDED,  INIT,            THEN_NOTHING) \
    ROW(INIT,            DECIDED_DECLINED,   INIT,            THEN_NOTHING) \
    ROW(SUCCEEDED,       ANSWERED_SUCCEEDED, SUCCEEDED,       THEN_NOTHING) \
    ROW(SUCCEEDED,       ANSWERED_DECLINED,  DECLINED,        THEN_CONTRADICT) \
    ROW(SUCCEEDED,       ANSWERED_ACTION,    ACTION_REQUIRED, THEN_CONTRADICT | THEN_AWAIT | THEN_LOOK) \
    ROW(SUCCEEDED,       OVERDUE,            SUCCEEDED,       THEN_NOTHING) \
    ROW(SUCCEEDED,       ACTION_EXPIRED,     SUCCEEDED,       THEN_NOTHING) \
    ROW(SUCCEEDED,       DECIDED_SUCCEEDED,  SUCCEEDED,       THEN_NOTHING) \
    ROW(SUCCEEDED,       DECIDED_DECLINED,   SUCCEEDED,       THEN_NOTHING) \
    ROW(DECLINED,        ANSWERED_SUCCEEDED, SUCCEEDED,       THEN_CONTRADICT | THEN_VOID) \
    ROW(DECLINED,        ANSWERED_DECLINED,  DECLINED,        THEN_NOTHING) \
    ROW(DECLINED,        ANSWERED_ACTION,    DECLINED,        THEN_VOID) \
    ROW(DECLINED,        OVERDUE,            DECLINED,        THEN_NOTHING) \
    ROW(DECLINED,        ACTION_EXPIRED,     DECLINED,        THEN_NOTHING) \
    ROW(DECLINED,        DECIDED_SUCCEEDED,  SUCCEEDED,       THEN_TELL) \
    ROW(DECLINED,        DECIDED_DECLINED,   DECLINED,        THEN_NOTHING) \
    ROW(ACTION_REQUIRED, ANSWERED_SUCCEEDED, SUCCEEDED,       THEN_TELL) \
    ROW(ACTION_REQUIRED, ANSWERED_DECLINED,  DECLINED,        THEN_TELL) \
    ROW(ACTION_REQUIRED, ANSWERED_ACTION,    ACTION_REQUIRED, THEN_LOOK) \
    ROW(ACTION_REQUIRED, OVERDUE,            ACTION_REQUIRED, THEN_NOTHING) \
    ROW(ACTION_REQUIRED, ACTION_EXPIRED,     EXPIRED,         THEN_TELL | THEN_VOID) \
    ROW(ACTION_REQUIRED, DECIDED_SUCCEEDED,  ACTION_REQUIRED, THEN_NOTHING) \
    ROW(ACTION_REQUIRED, DECIDED_DECLINED,   ACTION_REQUIRED, THEN_NOTHING) \
    ROW(UNKNOWN,         ANSWERED_SUCCEEDED, SUCCEEDED,       THEN_TELL) \
    ROW(UNKNOWN,         ANSWERED_DECLINED,  DECLINED,        THEN_TELL) \
    ROW(UNKNOWN,         ANSWERED_ACTION,    ACTION_REQUIRED, THEN_TELL | THEN_AWAIT | THEN_LOOK) \
    ROW(UNKNOWN,         OVERDUE,            UNKNOWN,         THEN_NOTHING) \
    ROW(UNKNOWN,         ACTION_EXPIRED,     UNKNOWN,         THEN_NOTHING) \
    ROW(UNKNOWN,         DECIDED_SUCCEEDED,  SUCCEEDED,       THEN_TELL) \
    ROW(UNKNOWN,         DECIDED_DECLINED,   DECLINED,        THEN_TELL) \
    ROW(EXPIRED,         ANSWERED_SUCCEEDED, SUCCEEDED,       THEN_CONTRADICT | THEN_VOID) \
    ROW(EXPIRED,         ANSWERED_DECLINED,  EXPIRED,         THEN_NOTHING) \
    ROW(EXPIRED,         ANSWERED_ACTION,    EXPIRED,         THEN_NOTHING) \
    ROW(EXPIRED,         OVERDUE,            EXPIRED,         THEN_NOTHING) \
    ROW(EXPIRED,         ACTION_EXPIRED,     EXPIRED,         THEN_NOTHING) \
    ROW(EXPIRED,         DECIDED_SUCCEEDED,  EXPIRED,         THEN_NOTHING) \
    ROW(EXPIRED,         DECIDED_DECLINED,   EXPIRED,         THEN_NOTHING)
// clang-format on

#define PAIRS                                   (OPERATION_STATES * OPERATION_OUTCOMES)
#define PLACE(state, outcome)                   (((state)-INIT) * OPERATION_OUTCOMES + (outcome))
#define BIT(state, outcome, becomes_, then_)    | 1ull << PLACE(state, outcome)
#define ONE(state, outcome, becomes_, then_)    +1
#define STORED(state, outcome, becomes_, then_) [PLACE(state, outcome)] = { becomes_, then_ },

_Static_assert((0ull MACHINE(BIT)) == (1ull << PAIRS) - 1, "a pair of state and outcome is missing");
_Static_assert((0 MACHINE(ONE)) <= PAIRS, "a pair of state and outcome stands there twice");

static const struct transition machine[PAIRS] = { MACHINE(STORED) };

const struct transition *operation_transition(enum operation_state state, enum operation_outcome outcome)
{
    assert(state >= INIT && state < INIT + OPERATION_STATES && outcome < OPERATION_OUTCOMES);
    return &machine[PLACE(state, outcome)];
}

bool operation_under_way(enum operation_state state)
{
    return state == INIT || operation_unsettled(state);
}

bool operation_unsettled(enum operation_state state)
{
    return state == ACTION_REQUIRED || state == UNKNOWN;
}

#define EVENT(name) OMS__EVENT__V1__EVENT_TYPE__PAYMENT_##name

/* A void that was refused is asked for again, so that it is never DECLINED. */
static const int32_t events[OPERATION_KINDS + 1][OPERATION_STATES + 1] = {
    [AUTHORIZE] = { [SUCCEEDED] = EVENT(AUTHORIZED),
                    [DECLINED] = EVENT(DECLINED),
                    [ACTION_REQUIRED] = EVENT(ACTION_REQUIRED),
                    [UNKNOWN] = EVENT(UNKNOWN),
                    [EXPIRED] = EVENT(EXPIRED) },
    [CAPTURE] = { [SUCCEEDED] = EVENT(CAPTURED), [DECLINED] = EVENT(CAPTURE_FAILED), [UNKNOWN] = EVENT(UNKNOWN) },
    [VOID] = { [SUCCEEDED] = EVENT(VOIDED), [UNKNOWN] = EVENT(UNKNOWN) },
    [REFUND] = { [SUCCEEDED] = EVENT(REFUNDED), [DECLINED] = EVENT(REFUND_FAILED), [UNKNOWN] = EVENT(UNKNOWN) },
};

int32_t operation_event(enum operation_kind kind, enum operation_state state)
{
    assert(kind >= AUTHORIZE && kind <= OPERATION_KINDS && state >= INIT && state <= OPERATION_STATES);
    return events[kind][state];
}
