/* The life of a fulfilment as one table: where it stands, what has happened, and what follows.
 *
 * A standing says more than the API's state: whether the label is there, and why a person must decide. Verbs are what a
 * warehouse asks; they may be absent. Outcomes are what has happened elsewhere, or an undo; they cannot be refused, so
 * that every pair of standing and outcome is present: late and doubled ones are ordinary. The build fails when one is
 * missing. */
#pragma once

#include "svc-shipping/api.h"

#include <stddef.h>

/* In this order, so that each of the API's states is a range. Numbers are stored. */
enum standing {
    ALLOCATED = 1,
    PACKED,   /* PACKED: the carrier is asked for a label */
    LABELLED, /* PACKED: it may be handed over */
    SHIPPED,  /* SHIPPED: handed over */
    MOVING,   /* SHIPPED: the carrier has it on its way */
    LATE,     /* SHIPPED: it will come later than was promised, or should be there already */
    DELIVERED,
    REFUSED,  /* EXCEPTION: the carrier does not take it */
    LOST,     /* EXCEPTION */
    RETURNED, /* EXCEPTION */
    CANCELLED,
    SHORT, /* nothing of it was there */
    STANDINGS = SHORT,
};

enum fulfillment_verb {
    PACK,
    PACK_SHORT,   /* without what is missing */
    PACK_NOTHING, /* as everything is missing */
    SHIP,
    FULFILLMENT_VERBS,
};

enum fulfillment_outcome {
    LABEL_GIVEN,
    LABEL_REFUSED,
    CANCEL_WANTED,
    MOVED,
    HELD_UP,
    ARRIVED,
    WENT_MISSING,
    CAME_BACK,
    OVERDUE, /* it should have been delivered a day ago */
    FULFILLMENT_OUTCOMES,
};

enum fulfillment_action { NOTHING, ASK_LABEL, HAND_OVER, WITHDRAW };

struct fulfillment_step {
    enum standing becomes;                           /* 0: nothing changes, nothing is told */
    int32_t event;                                   /* oms.event.v1.EventType, 0: none */
    Oms__Shipping__V1__TrackingEvent__Type tracking; /* 0: no row */
    enum fulfillment_action action;
};

/* NULL: that cannot be asked of it now. */
const struct fulfillment_step *fulfillment_asked(enum standing standing, enum fulfillment_verb verb);
/* Never NULL; both must be of their enums. */
const struct fulfillment_step *fulfillment_happened(enum standing standing, enum fulfillment_outcome outcome);
/* What may be asked of it now, for people: "pack, cancel", or "nothing". */
const char *fulfillment_legal(enum standing standing);

/* The standings that are the state; STATE_UNSPECIFIED: all; a state that there is not: an empty range. */
struct standings {
    enum standing first, last;
};
struct standings standings_of(Oms__Shipping__V1__Fulfillment__State state);
Oms__Shipping__V1__Fulfillment__State standing_state(enum standing standing);
/* The event that tells that it stands there; PACKED has none of its own. */
int32_t standing_event(enum standing standing);
