/* The book of payments: a payment and an operation on it as they are read, changed in memory and written back.
 *
 * Everything lives in the transaction's arena. Functions return 0 or a negative errno of the store. */
#pragma once

#include "svc-payment/payment.h"

enum voiding { NOT_VOIDED, VOIDING, VOIDED };

struct payment {
    const char *payment_id, *order_id, *customer_id, *currency;
    int64_t amount_minor, authorized_minor;
    int64_t capturing_minor, captured_minor; /* of operations under way; of those that have succeeded */
    int64_t refunding_minor, refunded_minor;
    enum operation_state authorize_state;
    enum voiding voiding;
    const char *decline_reason, *action_url;
    int64_t operations, open_operations;
    int64_t create_time_us, update_time_us;
    uint64_t version, version_before;
};

struct operation {
    int64_t place; /* within its payment; the authorize is 1 */
    const char *operation_id;
    enum operation_kind kind;
    enum operation_state state;
    int64_t amount_minor;
    const char *processor_ref, *reason, *decided_by;
    int64_t create_time_us, update_time_us;
};

/* The same columns in the same order in every statement whose rows are read by payment_of. */
#define PAYMENT_COLUMNS \
    "p.payment_id, p.order_id, p.customer_id, p.currency, p.amount_minor, p.authorized_minor, p.capturing_minor, " \
    "p.captured_minor, p.refunding_minor, p.refunded_minor, p.authorize_state, p.voiding, p.decline_reason, " \
    "p.action_url, p.operations, p.open_operations, p.create_time_us, p.update_time_us, p.version"
enum { COLUMN_OPERATIONS = 14, PAYMENT_COLUMN_COUNT = 19 };
struct payment payment_of(const struct rows *rows, size_t row);

/* And these behind the first column for operation_of. */
#define OPERATION_COLUMNS \
    "o.place, o.operation_id, o.kind, o.state, o.amount_minor, o.processor_ref, o.reason, o.decided_by, " \
    "o.create_time_us, o.update_time_us"
struct operation operation_of(const struct rows *rows, size_t row, size_t column);

/* How the API shows it. */
PaymentState payment_state(const struct payment *payment);

/* 1: found; 0: there is none. */
int payment_open(struct txn *txn, const char *payment_id, struct payment *ret_payment);
int payment_open_operation(struct txn *txn, const char *operation_id, struct payment *ret_payment,
                           struct operation *ret_operation);
/* Raises the version. -EAGAIN: another transaction was there first. */
int payment_write(struct txn *txn, struct payment *payment);
/* -EALREADY: the id belongs to another operation. */
int operation_insert(struct txn *txn, const struct payment *payment, const struct operation *operation);
int operation_write(struct txn *txn, const struct payment *payment, const struct operation *operation);

/* A new operation on a payment that is there, on its way to the processor; the payment is to be written. -EALREADY as
 * above. */
int operation_want(struct txn *txn, struct payment *payment, const struct operation *operation);
/* The same, of a void that nobody outside has asked for; one that is under way is enough. */
int void_want(struct txn *txn, struct payment *payment);

/* --- outcomes.c --- */

/* What is known besides the outcome itself; NULL: nothing, or as it was. */
struct news {
    const char *processor_ref, *reason, *action_url, *decided_by;
};
/* Carries the operation on by the table: states, sums, ledger, event, and what follows. One that is not there is let
 * be. */
int operation_happened(struct txn *txn, const char *operation_id, enum operation_outcome outcome,
                       const struct news *news);
/* Adds the event of the payment as it is now to the log. */
int payment_tell(struct txn *txn, int32_t type, const struct payment *payment, const struct operation *operation);
int payment_event(struct txn *txn, int32_t type, const struct payment *payment, const struct operation *operation,
                  struct event *ret_event);

/* --- ledger.c --- */

/* Of one SKU within a posting, signed as the posting. */
struct ledger_line {
    const char *sku;
    int64_t quantity, minor;
};

/* An entry to be written: two postings, whose sum is zero, and what one of them is made of. Texts are not NULL. */
struct ledger_entry {
    const char *entry_id, *order_id;
    const char *payment_id, *operation_id; /* of an operation, else empty */
    const char *document_id;               /* of an invoice, else empty */
    int64_t kind, effective_us;            /* effective_us 0: when it is booked */
    const char *customer_id, *country, *channel, *currency;
    struct {
        const char *account;
        int64_t minor; /* debits are above zero */
    } postings[2];
    size_t lined; /* the posting that has the lines */
    const struct ledger_line *lines;
    size_t n_lines; /* 0: it is not told what it is made of */
};
/* Writes them and brings the balances up to date, in as many statements for one as for a hundred. -EBADMSG, and nothing
 * is written: one does not add up. */
int ledger_write(struct txn *txn, const struct ledger_entry *entries, size_t n);

/* Books a capture or a refund; minor below zero takes it back. Of other kinds there is nothing to be booked. otherwise:
 * it was not by the processor. */
int ledger_book(struct txn *txn, const struct payment *payment, const struct operation *operation, int64_t minor,
                bool otherwise);
