/* The life of an order as two tables: what an outcome does to a step, and what the order becomes by it in each state,
 * with what follows.
 *
 * Outcomes are what has happened elsewhere; they cannot be refused, so every outcome has a cell for every state: late
 * and doubled ones are ordinary cells. The build fails when one is missing. Verbs, which people ask for, may be
 * refused. */
#pragma once

#include "svc-order/api.h"

#include <stdbool.h>

enum order_state {
    PENDING = OMS__ORDER__V1__ORDER__STATE__PENDING,
    CONFIRMED = OMS__ORDER__V1__ORDER__STATE__CONFIRMED,
    REJECTED = OMS__ORDER__V1__ORDER__STATE__REJECTED,
    CANCELLING = OMS__ORDER__V1__ORDER__STATE__CANCELLING,
    CANCELLED = OMS__ORDER__V1__ORDER__STATE__CANCELLED,
    COMPLETED = OMS__ORDER__V1__ORDER__STATE__COMPLETED,
    DRAFT = OMS__ORDER__V1__ORDER__STATE__DRAFT, /* nothing has begun */
    ORDER_STATES = 7,
};

enum order_outcome {
    NOTHING_TO_RESERVE, /* no line is stocked */
    STOCK_RESERVED,
    SOLD_OUT,
    RESERVE_GAVE_UP, /* no answer in time, or none that could be used: stock may be held */
    STOCK_RELEASED,
    STOCK_EXPIRED, /* the reservation ended by itself */
    NOTHING_TO_PAY,
    PAYMENT_GRANTED,
    PAYMENT_REFUSED,       /* declined, or the customer did not prove himself */
    PAYMENT_NEEDS_ACTION,  /* the customer has to */
    PAYMENT_UNANSWERED,    /* by the processor; it is asked again */
    PAYMENT_GAVE_UP,       /* svc-payment could not be asked in time: money may be held */
    PAYMENT_TOOK_TOO_LONG, /* still unanswered at the deadline */
    PAYMENT_GIVEN_BACK,    /* what was not captured is free again */
    MONEY_CAPTURED,
    CAPTURE_REFUSED,
    MONEY_REFUNDED,
    MONEY_PARTLY_REFUNDED, /* by staff, perhaps */
    REFUND_REFUSED,
    FULFILLMENT_ACCEPTED,
    FULFILLMENT_REFUSED, /* by svc-shipping, or it could not be asked in time */
    PARCEL_SHORT,        /* some of it, or all, was not there when it was packed */
    PARCEL_SHIPPED,
    PARCEL_DELIVERED,
    PARCEL_TROUBLED, /* lost, returned, refused: a person decides */
    CANCEL_GRANTED,  /* nothing has left, or what had left is not with the customer */
    CANCEL_TOO_LATE, /* at least one parcel has left */
    EVERYTHING_UNDONE,
    EVERYTHING_DONE,
    ORDER_OUTCOMES,
};

enum order_action {
    NOTHING,
    AUTHORIZE,     /* the payment, or nothing if there is none to be made */
    FULFIL,        /* hand over to the warehouses, or go on if there is nothing to send */
    AWAIT_PAYMENT, /* but not for ever */
    STOP_PARCELS,  /* ask for what can still be kept here; without parcels undo at once */
    UNDO,          /* whatever the steps say is done or under way */
    FREE_REST,     /* of the authorization: what will never be captured */
};

/* What has to be undone if the order fails: one row per order and step. A step only moves forwards in this order. */
enum order_step { NO_STEP, STEP_RESERVE, STEP_AUTHORIZE, STEP_FULFIL, STEP_CAPTURE, ORDER_STEPS };
enum step_state { TODO, SENT, DONE, FAILED, UNDOING, UNDONE };

struct transition {
    enum order_state becomes;
    enum order_action action;
};
struct step_change {
    enum order_step step;
    enum step_state state;
    bool again; /* also backwards: an undo that was refused, one more parcel that was captured */
};

/* Both must be of their enums. */
const struct transition *machine_transition(enum order_state state, enum order_outcome outcome);
const struct step_change *machine_step(enum order_outcome outcome);
/* Whether nothing but its step ever follows from it. */
bool machine_quiet(enum order_outcome outcome);
bool machine_final(enum order_state state);
const char *machine_outcome_name(enum order_outcome outcome); /* "STOCK_RESERVED" */
const char *machine_state_name(enum order_state state);
const char *machine_action_name(enum order_action action);
