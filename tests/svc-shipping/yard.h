/* The yard of the tests: a shop with orders to cities of the sandbox's carrier, and what a depot does with parcels. */
#pragma once

#include "svc-shipping/api.h"
#include "tests/shop/shop.h"

#define FULFILLMENT_STATE(name) OMS__SHIPPING__V1__FULFILLMENT__STATE__##name
#define YARD_PATIENCE_US        60000000ll

void yard_open(struct shop *s, uint64_t seed);
/* Anna's, confirmed, without anything that svc-order would have shipped itself. */
const char *order_to(struct shop *s, const char *city);
const char *guest_order_to(struct shop *s, const char *city);

/* n shares from L1, L2, L1 …, two lines each, as svc-order asks for them: its own request id is its operation id. */
CreateFulfillmentRequest *shares_of(struct shop *s, const char *order_id, int n);
/* One fulfilment. */
const char *create(struct shop *s, const char *order_id);
const CancelFulfillmentResponse *cancel(struct shop *s, const char *operation_id);
const struct asked *try_pack(struct shop *s, const char *fulfillment_id);
/* Of one with the lines 0 (1 × S0) and 1 (2 × S1): without so many of each. */
const struct asked *try_pack_without(struct shop *s, const char *fulfillment_id, const int64_t missing[2]);
const struct asked *try_pack_and_wait(struct shop *s, const char *fulfillment_id);
const struct asked *try_ship(struct shop *s, const char *fulfillment_id);
/* Tried again under one request id while something is not there yet, or nobody answers. */
const Fulfillment *packed(struct shop *s, const char *fulfillment_id);
const Fulfillment *shipped(struct shop *s, const char *fulfillment_id);
/* Until the label is there, or the carrier has refused it. */
void await_label(struct shop *s, const char *fulfillment_id);
void await_state(struct shop *s, const char *fulfillment_id, Oms__Shipping__V1__Fulfillment__State state);
/* All of it, to the carrier: created, packed, shipped. */
const char *send_to(struct shop *s, const char *city);

const Fulfillment *fulfillment_of(struct shop *s, const char *fulfillment_id);
/* "HANDED_OVER IN_TRANSIT DELIVERED" */
const char *tracking_of(struct shop *s, const char *fulfillment_id);

/* --- the carrier's book --- */

/* "LABELLED", "CANCELLED" or "HANDED_OVER"; "": they have never heard of it. */
const char *book_says(struct shop *s, const char *fulfillment_id);
uint64_t book_events(struct shop *s);
uint64_t book_parcels(struct shop *s); /* with a label */
