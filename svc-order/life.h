/* One order as one transaction sees it: read once, carried on by the tables of machine.h as often as something happens
 * to it, written back once with the event that tells of it.
 *
 * Everything lives in the transaction's arena. Functions return 0 or a negative errno of the store. */
#pragma once

#include "svc-order/order.h"

#define PENDING_PATIENCE_US (16 * 60 * 1000000ll) /* then somebody has to look after it */

enum { LIFE_NUMBERS = 9 }; /* sums and parcels */

struct life {
    struct txn *txn;
    const char *order_id, *customer_id, *currency, *payment_token, *payment_id;
    enum order_state state;
    enum step_state steps[ORDER_STEPS];
    Oms__Order__V1__Order__PaymentState payment_state;
    Oms__Order__V1__Order__FulfillmentState fulfillment_state;
    uint64_t version, payment_version;
    int64_t total_minor, due_minor, asked_minor, captured_minor, returning_minor, refunded_minor; /* see schema.c */
    int64_t parcels, parcels_shipped, parcels_open, parcels_troubled;
    const char *reason; /* a sentence for the customer, kept if the order is rejected */
    const char *code;   /* for machines */
    bool elsewhere;     /* it was carried out there: nothing of it is ours */
    bool stuck;         /* somebody has to look after it at once */
    bool lines_changed; /* what of them is shipped or cancelled */
    int64_t update_time_us;
    struct {
        enum order_state state;
        enum step_state steps[ORDER_STEPS];
        Oms__Order__V1__Order__PaymentState payment_state;
        Oms__Order__V1__Order__FulfillmentState fulfillment_state;
        const char *payment_id;
        int64_t numbers[LIFE_NUMBERS];
    } before;
};

/* 1; 0: there is no such order; or a negative errno. */
int life_open(struct txn *txn, const char *order_id, struct life *ret_life);
/* A customer sees what is his and has begun; "" sees all. */
bool life_seen_by(const struct life *life, const char *owner);
/* An order that is being placed: nothing has happened to it. */
void life_begin(struct txn *txn, const char *order_id, struct life *life);
int life_happen(struct life *life, enum order_outcome outcome);
/* Written and told, unless nothing but steps has changed: every version of an order has its event in the log. */
int life_close(struct life *life);
/* Instead of life_close, when nothing but steps has changed. */
int life_close_steps(struct life *life);
/* Opens, happens and closes; an order that is not there is let be. reason and code may be "". */
int order_happened(struct txn *txn, const char *order_id, enum order_outcome outcome, const char *reason,
                   const char *code);

/* --- what follows, by enum order_action (commands.c) --- */
#define OPERATION_FULFIL "fulfil" /* the operation's id is the order's, a dash, and this */
int life_act(struct life *life, enum order_action action);
/* Captures the amount for what the id names; nothing if the order is on account or the amount is zero. */
int life_capture(struct life *life, const char *id, int64_t amount_minor);
int life_refund(struct life *life, const char *id, int64_t amount_minor);

/* What of a line has left or stays, at which location. */
struct share {
    const char *sku;
    int64_t place, quantity;
};
int life_commit_stock(struct life *life, const char *id, const char *location_id, const struct share *shares, size_t n);
int life_release_lines(struct life *life, const char *id, const char *location_id, const struct share *shares,
                       size_t n);

/* --- allocations and parcels (parcels.c) --- */
struct parcel {
    const char *fulfillment_id, *location_id;
    const struct share *shares;
    size_t n;
};
enum parcel_state { PARCEL_ON_ITS_WAY = 1, PARCEL_THERE, PARCEL_IN_TROUBLE, PARCEL_GIVEN_UP };
/* It has left, which may have been told before: stock is committed, its amount captured. */
int parcel_left(struct life *life, const struct parcel *parcel);
/* It is in that state now; nothing if it was so already. */
int parcel_moved(struct life *life, const char *fulfillment_id, enum parcel_state state);
/* The carrier does not take it. */
int parcel_refused(struct life *life, const struct parcel *parcel);
/* Some of it, or all, was not there when it was packed, which may have been told before (shortage.c). */
int parcel_short(struct life *life, const FulfillmentChanged *told);
/* What became of it when the order was to be cancelled. */
struct cancelled {
    struct parcel parcel;
    bool too_late;      /* it has left */
    bool cancelled;     /* it stays here, or, having left, will not come to the customer any more */
    bool now;           /* it was not so before */
    int64_t paid_minor; /* to be given back for it */
};
/* Takes parcel and too_late, fills the rest. */
int parcel_cancelled(struct life *life, struct cancelled *cancelled);
int parcel_read(struct txn *txn, const char *fulfillment_id, const char *location_id, FulfillmentLine *const *lines,
                size_t n, struct parcel *ret_parcel);
/* Which line is served from where, by what was reserved. */
int allocate(struct txn *txn, const char *order_id, Allocation *const *allocations, size_t n);
