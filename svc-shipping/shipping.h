/* svc-shipping inside: what its files give each other. */
#pragma once

#include "mesh/service.h"
#include "svc-shipping/api.h"
#include "svc-shipping/machine.h"

extern const struct service_spec shipping_service;
extern const struct migration shipping_migrations[];

/* The one carrier, as the outbox and the option --outside name it. */
#define CARRIER "carrier"

/* Who may see what happens to a fulfilment: its owner and who works on it. */
#define AUDIENCE_FULFILLMENT \
    (ROLE_BIT(MESH__V1__ROLE__CUSTOMER) | ROLE_BIT(MESH__V1__ROLE__CSR) | ROLE_BIT(MESH__V1__ROLE__WAREHOUSE) | \
     ROLE_BIT(MESH__V1__ROLE__ERP) | ROLE_BIT(MESH__V1__ROLE__OPERATOR) | ROLE_BIT(MESH__V1__ROLE__SERVICE) | \
     ROLE_BIT(MESH__V1__ROLE__ADMIN))

/* --- the methods of FulfillmentService (spec.c has their table) --- */

/* fulfillments.c */
rpc_batch create_fulfillments;
rpc_unit cancel_fulfillment;
/* warehouse.c */
rpc_unit pack_fulfillment, settle_pack_fulfillment, ship_fulfillment;
/* read.c */
rpc_unit get_fulfillment, list_fulfillments, track_fulfillment;

/* --- shortage.c --- */

/* Takes what the request says is missing out of a parcel that is still to be packed. 0, or what the handler returns. */
int shortage_take(struct rpc_call *call, struct txn *txn, const PackFulfillmentRequest *req, Fulfillment *fulfillment);

/* --- read.c: rows as messages in the transaction's arena --- */

/* The same columns in the same order in every statement whose rows are read by fulfillments_read. */
#define FULFILLMENT_COLUMNS \
    "f.fulfillment_id, f.order_id, f.customer_id, f.location_id, f.standing, f.lines, f.weight_grams, f.carrier, " \
    "f.tracking_number, f.promise_time_us, f.delayed, f.exception, f.create_time_us, f.update_time_us, f.version, " \
    "f.operation_id "
enum { COLUMN_STANDING = 4, COLUMN_LINES, COLUMN_WEIGHT };
/* The first n of the rows, with their lines. 0 or a negative errno of the store. */
int fulfillments_read(struct txn *txn, const struct rows *rows, size_t n, Fulfillment ***ret_fulfillments);

/* --- address.c --- */

/* Wants the order's address fetched. */
int address_want(struct txn *txn, const char *order_id);
int address_ended(struct txn *txn, const struct outcome *outcome);
/* 1: it has come; 0; or a negative errno of the store. */
int address_there(struct txn *txn, const char *order_id);

/* --- carrier.c: what is said to the carrier --- */

extern const struct deliverer shipping_deliverers[];

int carrier_want_label(struct txn *txn, const char *fulfillment_id);
int carrier_act(struct txn *txn, enum fulfillment_action action, const Fulfillment *fulfillment);
/* Asks for what has happened after seq. */
int carrier_ask_events(struct txn *txn, const char *carrier, uint64_t seq, int64_t round);
#define CARRIER_PAGE 100 /* events of one answer */

/* --- tracking.c: what the carrier tells --- */

extern const struct timer_row shipping_timers[];

/* Something of theirs is on its way now. */
int tracking_wake(struct txn *txn, const char *carrier);
/* Tells that it is overdue a day after the promise, if it is still on its way then. */
int tracking_await(struct txn *txn, const Fulfillment *fulfillment);
int tracking_events_came(struct txn *txn, const struct outcome *outcome);

/* --- spec.c --- */

int64_t shipping_carrier_poll_us(void);

/* --- snapshot.c: see struct snapshot_kind --- */

int created_snapshot(struct txn *txn, const char *after, size_t max, struct event *ret_events, const char **ret_keys);
int shipped_snapshot(struct txn *txn, const char *after, size_t max, struct event *ret_events, const char **ret_keys);
int became_snapshot(struct txn *txn, const char *after, size_t max, struct event *ret_events, const char **ret_keys);
