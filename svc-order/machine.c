/* The tables, and the proof that no cell is missing. */
#include "svc-order/machine.h"

#include <assert.h>

#define TO(becomes_, action_) \
    { \
        becomes_, action_ \
    }
#define STAY(state) TO(state, NOTHING)

/* What turns out to be held although the order has ended, or is to end, is given back. */
#define ENDED STAY(REJECTED), STAY(CANCELLING), STAY(CANCELLED), STAY(COMPLETED), STAY(DRAFT)
#define LATE  TO(REJECTED, UNDO), TO(CANCELLING, UNDO), TO(CANCELLED, UNDO), STAY(COMPLETED), STAY(DRAFT)

// clang-format off
#define MACHINE(ROW) \
    /*  outcome                step            becomes         PENDING                      CONFIRMED                     REJECTED … DRAFT */ \
    ROW(NOTHING_TO_RESERVE,    NO_STEP,        TODO,    false, TO(PENDING, AUTHORIZE),      STAY(CONFIRMED),              ENDED) \
    ROW(STOCK_RESERVED,        STEP_RESERVE,   DONE,    false, TO(PENDING, AUTHORIZE),      STAY(CONFIRMED),              LATE) \
    ROW(SOLD_OUT,              STEP_RESERVE,   FAILED,  false, TO(REJECTED, UNDO),          STAY(CONFIRMED),              LATE) \
    ROW(RESERVE_GAVE_UP,       STEP_RESERVE,   SENT,    false, TO(REJECTED, UNDO),          STAY(CONFIRMED),              LATE) \
    ROW(STOCK_RELEASED,        STEP_RESERVE,   UNDONE,  false, TO(REJECTED, UNDO),          TO(CANCELLING, STOP_PARCELS), LATE) \
    ROW(STOCK_EXPIRED,         STEP_RESERVE,   UNDONE,  false, TO(REJECTED, UNDO),          TO(CANCELLING, STOP_PARCELS), LATE) \
    ROW(NOTHING_TO_PAY,        NO_STEP,        TODO,    false, TO(CONFIRMED, FULFIL),       STAY(CONFIRMED),              LATE) \
    ROW(PAYMENT_GRANTED,       STEP_AUTHORIZE, DONE,    false, TO(CONFIRMED, FULFIL),       STAY(CONFIRMED),              LATE) \
    ROW(PAYMENT_REFUSED,       STEP_AUTHORIZE, FAILED,  false, TO(REJECTED, UNDO),          TO(CANCELLING, STOP_PARCELS), LATE) \
    ROW(PAYMENT_NEEDS_ACTION,  STEP_AUTHORIZE, SENT,    false, STAY(PENDING),               STAY(CONFIRMED),              LATE) \
    ROW(PAYMENT_UNANSWERED,    STEP_AUTHORIZE, SENT,    false, TO(PENDING, AWAIT_PAYMENT),  STAY(CONFIRMED),              LATE) \
    ROW(PAYMENT_GAVE_UP,       STEP_AUTHORIZE, SENT,    false, TO(REJECTED, UNDO),          STAY(CONFIRMED),              LATE) \
    ROW(PAYMENT_TOOK_TOO_LONG, NO_STEP,        TODO,    false, TO(REJECTED, UNDO),          STAY(CONFIRMED),              LATE) \
    ROW(PAYMENT_GIVEN_BACK,    STEP_AUTHORIZE, UNDONE,  false, TO(REJECTED, UNDO),          TO(CANCELLING, STOP_PARCELS), LATE) \
    ROW(MONEY_CAPTURED,        STEP_CAPTURE,   DONE,    true,  STAY(PENDING),               STAY(CONFIRMED),              LATE) \
    ROW(CAPTURE_REFUSED,       STEP_CAPTURE,   FAILED,  false, STAY(PENDING),               STAY(CONFIRMED),              ENDED) \
    ROW(MONEY_REFUNDED,        STEP_CAPTURE,   UNDONE,  false, STAY(PENDING),               STAY(CONFIRMED),              ENDED) \
    ROW(MONEY_PARTLY_REFUNDED, NO_STEP,        TODO,    false, STAY(PENDING),               STAY(CONFIRMED),              LATE) \
    ROW(REFUND_REFUSED,        NO_STEP,        TODO,    false, STAY(PENDING),               STAY(CONFIRMED),              ENDED) \
    ROW(FULFILLMENT_ACCEPTED,  STEP_FULFIL,    DONE,    false, STAY(PENDING),               STAY(CONFIRMED),              ENDED) \
    ROW(FULFILLMENT_REFUSED,   STEP_FULFIL,    FAILED,  false, TO(REJECTED, UNDO),          TO(CANCELLING, UNDO),         LATE) \
    ROW(PARCEL_SHORT,          STEP_FULFIL,    DONE,    false, STAY(PENDING),               STAY(CONFIRMED),              ENDED) \
    ROW(PARCEL_SHIPPED,        STEP_FULFIL,    DONE,    false, STAY(PENDING),               STAY(CONFIRMED),              ENDED) \
    ROW(PARCEL_DELIVERED,      STEP_FULFIL,    DONE,    false, STAY(PENDING),               STAY(CONFIRMED),              ENDED) \
    ROW(PARCEL_TROUBLED,       STEP_FULFIL,    DONE,    false, STAY(PENDING),               STAY(CONFIRMED),              ENDED) \
    ROW(CANCEL_GRANTED,        STEP_FULFIL,    UNDONE,  false, TO(REJECTED, UNDO),          TO(CANCELLING, UNDO),         LATE) \
    ROW(CANCEL_TOO_LATE,       STEP_FULFIL,    DONE,    true,  STAY(PENDING),               STAY(CONFIRMED), \
        STAY(REJECTED), STAY(CONFIRMED), STAY(CANCELLED), STAY(COMPLETED), STAY(DRAFT)) \
    ROW(EVERYTHING_UNDONE,     NO_STEP,        TODO,    false, STAY(PENDING),               STAY(CONFIRMED), \
        STAY(REJECTED), STAY(CANCELLED), STAY(CANCELLED), STAY(COMPLETED), STAY(DRAFT)) \
    ROW(EVERYTHING_DONE,       NO_STEP,        TODO,    false, STAY(PENDING),               TO(COMPLETED, FREE_REST),     ENDED)
// clang-format on

#define BIT(outcome, step_, state_, again_, ...)    | 1u << (outcome)
#define ONE(outcome, step_, state_, again_, ...)    +1
#define CELLS(outcome, step_, state_, again_, ...)  [outcome] = { __VA_ARGS__ },
#define CHANGE(outcome, step_, state_, again_, ...) [outcome] = { step_, state_, again_ },
#define WIDTH(outcome, step_, state_, again_, ...) \
    _Static_assert(sizeof((struct transition[]){ __VA_ARGS__ }) / sizeof(struct transition) == ORDER_STATES, \
                   "a cell of " #outcome " is missing");
#define NAME(outcome, step_, state_, again_, ...) [outcome] = #outcome,

_Static_assert((0u MACHINE(BIT)) == (1u << ORDER_OUTCOMES) - 1, "an outcome has no row");
_Static_assert((0 MACHINE(ONE)) == ORDER_OUTCOMES, "an outcome has two rows");
MACHINE(WIDTH)

static const struct transition machine[ORDER_OUTCOMES][ORDER_STATES] = { MACHINE(CELLS) };
static const struct step_change changes[ORDER_OUTCOMES] = { MACHINE(CHANGE) };

const struct transition *machine_transition(enum order_state state, enum order_outcome outcome)
{
    assert(state >= PENDING && state < PENDING + ORDER_STATES && outcome < ORDER_OUTCOMES);
    return &machine[outcome][state - PENDING];
}

const struct step_change *machine_step(enum order_outcome outcome)
{
    assert(outcome < ORDER_OUTCOMES);
    return &changes[outcome];
}

bool machine_quiet(enum order_outcome outcome)
{
    for (enum order_state state = PENDING; state < PENDING + ORDER_STATES; state++) {
        const struct transition *t = machine_transition(state, outcome);
        if (t->becomes != state || t->action != NOTHING)
            return false;
    }
    return true;
}

bool machine_final(enum order_state state)
{
    return state == REJECTED || state == CANCELLED || state == COMPLETED;
}

const char *machine_outcome_name(enum order_outcome outcome)
{
    static const char *const names[] = { MACHINE(NAME) };
    return names[outcome];
}

const char *machine_state_name(enum order_state state)
{
    static const char *const names[] = { "PENDING",   "CONFIRMED", "REJECTED", "CANCELLING",
                                         "CANCELLED", "COMPLETED", "DRAFT" };
    return names[state - PENDING];
}

const char *machine_action_name(enum order_action action)
{
    static const char *const names[] = {
        "", "authorize", "fulfil", "await payment", "stop parcels", "undo", "free rest"
    };
    return names[action];
}
