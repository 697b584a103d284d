/* The life of an operation at the card processor as one table: what has happened to it in a state, what it becomes, and
 * what follows.
 *
 * Outcomes cannot be refused, so every pair of state and outcome is present, or the build fails. UNKNOWN is left only
 * by an answer or a named person's decision, never by a timer; what a person has decided gives way to the processor's
 * answer, and that it had to is told. A refund that was declined is decided as made when it was, another way. */
#pragma once

#include "svc-payment/api.h"

#include <stdbool.h>

#define OPERATION_STATE(name) OMS__PAYMENT__V1__OPERATION__STATE__##name
#define OPERATION_KIND(name)  OMS__PAYMENT__V1__OPERATION__KIND__##name

enum operation_state {
    INIT = OPERATION_STATE(INIT),
    SUCCEEDED = OPERATION_STATE(SUCCEEDED),
    DECLINED = OPERATION_STATE(DECLINED),
    ACTION_REQUIRED = OPERATION_STATE(ACTION_REQUIRED), /* of the customer; only an authorize */
    UNKNOWN = OPERATION_STATE(UNKNOWN),
    EXPIRED = OPERATION_STATE(EXPIRED),
    OPERATION_STATES = 6,
};

enum operation_kind {
    AUTHORIZE = OPERATION_KIND(AUTHORIZE),
    CAPTURE = OPERATION_KIND(CAPTURE),
    VOID = OPERATION_KIND(VOID),
    REFUND = OPERATION_KIND(REFUND),
    OPERATION_KINDS = 4,
};

enum operation_outcome {
    ANSWERED_SUCCEEDED,
    ANSWERED_DECLINED,
    ANSWERED_ACTION,
    OVERDUE,        /* no answer in time */
    ACTION_EXPIRED, /* the customer did not act in time */
    DECIDED_SUCCEEDED,
    DECIDED_DECLINED, /* by a named person */
    OPERATION_OUTCOMES,
};

/* What follows, as bits. */
enum {
    THEN_NOTHING = 0,
    THEN_TELL = 1,       /* what it is now */
    THEN_CONTRADICT = 2, /* that it is otherwise than was said before */
    THEN_AWAIT = 4,      /* the customer, but not for ever */
    THEN_LOOK = 8,       /* whether the customer has acted */
    THEN_VOID = 16,      /* an authorize; of other kinds nothing can be taken back */
};

struct transition {
    enum operation_state becomes;
    unsigned then;
};

/* The row of the pair; both must be of their enums. */
const struct transition *operation_transition(enum operation_state state, enum operation_outcome outcome);
/* It still may come to move money. */
bool operation_under_way(enum operation_state state);
/* A person has to see to it, or the customer. */
bool operation_unsettled(enum operation_state state);
/* The type of the event that tells that an operation has come to the state; 0: none does. */
int32_t operation_event(enum operation_kind kind, enum operation_state state);
