/* The life of an order as one table: what has happened to an order in a state, what it becomes, and what follows.
 *
 * Outcomes are what has happened elsewhere; they cannot be refused, so every pair of state and outcome is present:
 * late and doubled outcomes are ordinary rows. The build fails when a pair is missing. */
#pragma once

#include "svc-order/api.h"

enum order_state {
    PENDING = OMS__ORDER__V1__ORDER__STATE__PENDING,
    CONFIRMED = OMS__ORDER__V1__ORDER__STATE__CONFIRMED,
    REJECTED = OMS__ORDER__V1__ORDER__STATE__REJECTED,
    ORDER_STATES = 3,
};

enum order_outcome {
    NOTHING_TO_RESERVE, /* no line is stocked */
    STOCK_RESERVED,
    SOLD_OUT,
    RESERVE_GAVE_UP, /* no answer in time, or none that could be used: stock may be held */
    STOCK_RELEASED,
    ORDER_OUTCOMES,
};

enum order_action {
    NOTHING,
    RELEASE_STOCK,
};

/* Of what has to be undone if the order fails: one row per order and step. */
enum step { STEP_RESERVE = 1 };
enum step_state { TODO, SENT, DONE, FAILED, UNDOING, UNDONE };

struct transition {
    enum order_state becomes;
    enum step_state reserve; /* what the step RESERVE becomes */
    enum order_action action;
};

/* The row of the pair; both must be of their enums. */
const struct transition *machine_transition(enum order_state state, enum order_outcome outcome);
