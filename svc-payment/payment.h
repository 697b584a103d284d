/* svc-payment inside: what its files give each other. */
#pragma once

#include "mesh/service.h"
#include "svc-payment/api.h"
#include "svc-payment/machine.h"

extern const struct service_spec payment_service;
extern const struct migration payment_migrations[];

/* The one card processor, as the outbox and the option --outside name it. */
#define PROCESSOR "processor"

#define AMOUNT_MAX     1000000000000000 /* minor units of one operation, so that sums never overflow */
#define OPERATIONS_MAX 200              /* of one payment */

/* Who may see what becomes of a payment: its owner and who works on it. */
#define AUDIENCE_PAYMENT \
    (ROLE_BIT(MESH__V1__ROLE__CUSTOMER) | ROLE_BIT(MESH__V1__ROLE__CSR) | ROLE_BIT(MESH__V1__ROLE__ERP) | \
     ROLE_BIT(MESH__V1__ROLE__OPERATOR) | ROLE_BIT(MESH__V1__ROLE__SERVICE) | ROLE_BIT(MESH__V1__ROLE__ADMIN))

/* --- the methods (spec.c has their tables) --- */

/* authorize.c */
rpc_batch authorize_payments;
/* payments.c */
rpc_unit capture_payment, void_payment, refund_payment, resolve_operation;
/* read.c */
rpc_unit get_payment, list_payments;
/* ledger.c */
rpc_unit get_trial_balance, list_ledger_entries;
/* invoices.c */
rpc_batch book_invoices;

/* --- payments.c: 0, or what the handler returns --- */

int payment_check_id(struct rpc_call *call, const char *request_id);
int payment_check_amount(struct rpc_call *call, const Money *amount, int64_t *ret_minor);
int payment_fail_taken(struct rpc_call *call);

/* --- read.c --- */

/* With its operations, in the transaction's arena. *ret_payment is NULL if there is none. 0 or a negative errno. */
int payment_message(struct txn *txn, const char *payment_id, const char *owner, Payment **ret_payment);

/* --- processor.c: what is said to the card processor --- */

extern const struct deliverer payment_deliverers[];

/* Wants the operation carried out, behind those of the same payment. */
struct errand {
    enum operation_kind kind;
    const char *payment_id, *operation_id;
    const struct trace *trace; /* whose work it is; NULL: the unit's */
};
int processor_want(struct txn *txn, const struct errand *errands, size_t n);
/* Wants to know whether the customer has acted. */
int processor_look(struct txn *txn, const char *operation_id, int64_t delay_us);

/* --- answers.c: what is understood of its answers, see struct outside --- */

enum rpc_code answer_operation(struct arena *arena, int status, struct bytes body, const void *request, void *reply);
enum rpc_code answer_move(struct arena *arena, int status, struct bytes body, const void *request, void *reply);
enum rpc_code answer_void(struct arena *arena, int status, struct bytes body, const void *request, void *reply);
enum rpc_code answer_query(struct arena *arena, int status, struct bytes body, const void *request, void *reply);

/* --- deadlines.c: an operation without an answer, a customer who does not act --- */

extern const struct timer_row payment_timers[];

/* Sees to it that an operation wanted now is UNKNOWN if it has no answer in time. */
int overdue_watch(struct txn *txn);
int action_watch(struct txn *txn, const char *operation_id);

/* --- snapshot.c: see struct snapshot_kind --- */

int open_snapshot(struct txn *txn, const char *after, size_t max, struct event *ret_events, const char **ret_keys);
int authorized_snapshot(struct txn *txn, const char *after, size_t max, struct event *ret_events,
                        const char **ret_keys);
int captured_snapshot(struct txn *txn, const char *after, size_t max, struct event *ret_events, const char **ret_keys);
int refunded_snapshot(struct txn *txn, const char *after, size_t max, struct event *ret_events, const char **ret_keys);
int voided_snapshot(struct txn *txn, const char *after, size_t max, struct event *ret_events, const char **ret_keys);
