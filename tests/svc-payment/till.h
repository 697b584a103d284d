/* The till of the tests: a shop whose orders are paid with tokens of the sandbox's card processor, what people and
 * svc-order do with payments, and a comparison of all the books. */
#pragma once

#include "svc-payment/api.h"
#include "tests/shop/shop.h"

#define PAYMENT_STATE(name)   OMS__PAYMENT__V1__PAYMENT__STATE__##name
#define OPERATION_STATE(name) OMS__PAYMENT__V1__OPERATION__STATE__##name
#define TILL_PATIENCE_US      120000000ll
#define SECOND                1000000ll

/* Amounts are pence. The operation ids are those that svc-order gives: ORDER-authorize, ID-capture, ORDER-void. */
struct asked *begin_authorize(struct shop *s, const char *order_id, int64_t minor, const char *token);
struct asked *begin_capture(struct shop *s, const char *payment_id, const char *id, int64_t minor);
struct asked *begin_refund(struct shop *s, const char *payment_id, const char *id, int64_t minor);
struct asked *begin_void(struct shop *s, const char *order_id);

/* The same, accepted. */
const char *authorize(struct shop *s, const char *order_id, int64_t minor, const char *token);
void capture(struct shop *s, const char *payment_id, const char *id, int64_t minor);
void refund(struct shop *s, const char *payment_id, const char *id, int64_t minor);
bool void_order(struct shop *s, const char *order_id);
/* By carla. */
const struct asked *resolve(struct shop *s, const char *operation_id, bool succeeded);

/* 10.00 pounds of Anna's, answered. */
const char *authorized(struct shop *s, const char *order_id, const char *token);

const Payment *payment_now(struct shop *s, const char *payment_id);
/* NULL: there is none. */
const Operation *operation_named(const Payment *payment, const char *operation_id);
void await_payment(struct shop *s, const char *payment_id, Oms__Payment__V1__Payment__State state);
void await_operation(struct shop *s, const char *operation_id, Oms__Payment__V1__Operation__State state);
/* Until nothing is left to be said to the processor. */
void till_settle(struct shop *s);

int64_t minor_of(const Money *money);
/* What was told of an order: "AUTHORIZED CAPTURED VOIDED". */
const char *told(struct shop *s, const char *order_id);
/* How many operations of the kind the processor has done successfully: "authorize", "capture", "refund", "void". */
int64_t processed(struct shop *s, const char *kind);

/* Once all is settled: sums, operations and ledger are what the processor's book says. */
void ck_books(struct shop *s);
/* At any time: the ledger adds up, and the sums are those of the operations. */
void ck_ledger(struct shop *s);
