/* The table, and the proof that no pair is missing. */
#include "svc-order/machine.h"

#include <assert.h>

// clang-format off
#define MACHINE(ROW) \
    /*  state      outcome              becomes    reserve  and then */ \
    ROW(PENDING,   NOTHING_TO_RESERVE,  CONFIRMED, DONE,    NOTHING) \
    ROW(PENDING,   STOCK_RESERVED,      CONFIRMED, DONE,    NOTHING) \
    ROW(PENDING,   SOLD_OUT,            REJECTED,  FAILED,  NOTHING) \
    ROW(PENDING,   RESERVE_GAVE_UP,     REJECTED,  UNDOING, RELEASE_STOCK) \
    ROW(PENDING,   STOCK_RELEASED,      REJECTED,  UNDONE,  NOTHING) \
    ROW(CONFIRMED, NOTHING_TO_RESERVE,  CONFIRMED, DONE,    NOTHING) \
    ROW(CONFIRMED, STOCK_RESERVED,      CONFIRMED, DONE,    NOTHING) \
    ROW(CONFIRMED, SOLD_OUT,            CONFIRMED, DONE,    NOTHING) \
    ROW(CONFIRMED, RESERVE_GAVE_UP,     CONFIRMED, DONE,    NOTHING) \
    ROW(CONFIRMED, STOCK_RELEASED,      CONFIRMED, DONE,    NOTHING) \
    ROW(REJECTED,  NOTHING_TO_RESERVE,  REJECTED,  FAILED,  NOTHING) \
    ROW(REJECTED,  STOCK_RESERVED,      REJECTED,  UNDOING, RELEASE_STOCK) \
    ROW(REJECTED,  SOLD_OUT,            REJECTED,  FAILED,  NOTHING) \
    ROW(REJECTED,  RESERVE_GAVE_UP,     REJECTED,  UNDOING, RELEASE_STOCK) \
    ROW(REJECTED,  STOCK_RELEASED,      REJECTED,  UNDONE,  NOTHING)
// clang-format on

#define PLACE(state, outcome)                               (((state)-PENDING) * ORDER_OUTCOMES + (outcome))
#define BIT(state, outcome, becomes_, reserve_, action_)    | 1u << PLACE(state, outcome)
#define ONE(state, outcome, becomes_, reserve_, action_)    +1
#define STORED(state, outcome, becomes_, reserve_, action_) [PLACE(state, outcome)] = { becomes_, reserve_, action_ },

_Static_assert((0u MACHINE(BIT)) == (1u << ORDER_STATES * ORDER_OUTCOMES) - 1,
               "a pair of state and outcome is missing");
_Static_assert((0 MACHINE(ONE)) <= ORDER_STATES * ORDER_OUTCOMES, "a pair of state and outcome stands there twice");

static const struct transition machine[ORDER_STATES * ORDER_OUTCOMES] = { MACHINE(STORED) };

const struct transition *machine_transition(enum order_state state, enum order_outcome outcome)
{
    assert(state >= PENDING && state < PENDING + ORDER_STATES && outcome < ORDER_OUTCOMES);
    return &machine[PLACE(state, outcome)];
}
