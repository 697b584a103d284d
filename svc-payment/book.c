/* One statement reads a payment with the operation that it is about, one writes each of them. */
#include "svc-payment/book.h"

#include "mesh/base/id.h"

#include <errno.h>
#include <string.h>

struct payment payment_of(const struct rows *rows, size_t row)
{
    return (struct payment){
        .payment_id = row_text(rows, row, 0),
        .order_id = row_text(rows, row, 1),
        .customer_id = row_text(rows, row, 2),
        .currency = row_text(rows, row, 3),
        .amount_minor = row_int(rows, row, 4),
        .authorized_minor = row_int(rows, row, 5),
        .capturing_minor = row_int(rows, row, 6),
        .captured_minor = row_int(rows, row, 7),
        .refunding_minor = row_int(rows, row, 8),
        .refunded_minor = row_int(rows, row, 9),
        .authorize_state = (enum operation_state)row_int(rows, row, 10),
        .voiding = (enum voiding)row_int(rows, row, 11),
        .decline_reason = row_text(rows, row, 12),
        .action_url = row_text(rows, row, 13),
        .operations = row_int(rows, row, COLUMN_OPERATIONS),
        .open_operations = row_int(rows, row, 15),
        .create_time_us = row_int(rows, row, 16),
        .update_time_us = row_int(rows, row, 17),
        .version = (uint64_t)row_int(rows, row, 18),
        .version_before = (uint64_t)row_int(rows, row, 18),
    };
}

struct operation operation_of(const struct rows *rows, size_t row, size_t column)
{
    return (struct operation){
        .place = row_int(rows, row, column),
        .operation_id = row_text(rows, row, column + 1),
        .kind = (enum operation_kind)row_int(rows, row, column + 2),
        .state = (enum operation_state)row_int(rows, row, column + 3),
        .amount_minor = row_int(rows, row, column + 4),
        .processor_ref = row_text(rows, row, column + 5),
        .reason = row_text(rows, row, column + 6),
        .decided_by = row_text(rows, row, column + 7),
        .create_time_us = row_int(rows, row, column + 8),
        .update_time_us = row_int(rows, row, column + 9),
    };
}

#define STATE(name) OMS__PAYMENT__V1__PAYMENT__STATE__##name

PaymentState payment_state(const struct payment *p)
{
    static const PaymentState states[] = {
        [INIT] = STATE(AUTHORIZING),  [SUCCEEDED] = STATE(AUTHORIZED),
        [DECLINED] = STATE(DECLINED), [ACTION_REQUIRED] = STATE(ACTION_REQUIRED),
        [UNKNOWN] = STATE(UNKNOWN),   [EXPIRED] = STATE(DECLINED),
    };
    if (p->authorize_state == SUCCEEDED && p->captured_minor >= p->authorized_minor)
        return STATE(CAPTURED);
    bool given_up = p->authorize_state == SUCCEEDED || strcmp(p->decline_reason, "VOIDED") == 0;
    if (p->voiding == VOIDED && given_up)
        return STATE(VOIDED);
    return states[p->authorize_state];
}

int payment_open(struct txn *txn, const char *payment_id, struct payment *ret_payment)
{
    struct rows rows;
    int r = txn_query(txn, &rows, "SELECT " PAYMENT_COLUMNS " FROM payment p WHERE p.payment_id = $1", T(payment_id));
    if (r < 0 || rows.n == 0)
        return r;
    *ret_payment = payment_of(&rows, 0);
    return 1;
}

int payment_open_operation(struct txn *txn, const char *operation_id, struct payment *ret_payment,
                           struct operation *ret_operation)
{
    struct rows rows;
    int r = txn_query(txn, &rows,
                      "SELECT " PAYMENT_COLUMNS ", " OPERATION_COLUMNS " FROM payment_operation o "
                      "JOIN payment p ON p.payment_id = o.payment_id WHERE o.operation_id = $1",
                      T(operation_id));
    if (r < 0 || rows.n == 0)
        return r;
    *ret_payment = payment_of(&rows, 0);
    *ret_operation = operation_of(&rows, 0, PAYMENT_COLUMN_COUNT);
    return 1;
}

int payment_write(struct txn *txn, struct payment *p)
{
    p->version = p->version_before + 1;
    p->update_time_us = txn->now_us;
    int64_t n = txn_exec(txn,
                         "UPDATE payment SET authorized_minor = $3, capturing_minor = $4, captured_minor = $5, "
                         "refunding_minor = $6, refunded_minor = $7, authorize_state = $8, voiding = $9, "
                         "decline_reason = $10, action_url = $11, operations = $12, open_operations = $13, "
                         "update_time_us = $14, version = $15 WHERE payment_id = $1 AND version = $2",
                         T(p->payment_id), I(p->version_before), I(p->authorized_minor), I(p->capturing_minor),
                         I(p->captured_minor), I(p->refunding_minor), I(p->refunded_minor), I(p->authorize_state),
                         I(p->voiding), T(p->decline_reason), T(p->action_url), I(p->operations), I(p->open_operations),
                         I(p->update_time_us), I(p->version));
    if (n < 0)
        return (int)n;
    p->version_before = p->version;
    return n ? 0 : -EAGAIN;
}

int operation_insert(struct txn *txn, const struct payment *p, const struct operation *o)
{
    int64_t n = txn_exec(txn,
                         "INSERT INTO payment_operation (payment_id, place, operation_id, kind, state, amount_minor, "
                         "processor_ref, reason, decided_by, create_time_us, update_time_us) "
                         "VALUES ($1, $2, $3, $4, $5, $6, '', $7, '', $8, $8) ON CONFLICT (operation_id) DO NOTHING",
                         T(p->payment_id), I(o->place), T(o->operation_id), I(o->kind), I(o->state), I(o->amount_minor),
                         T(o->reason), I(txn->now_us));
    if (n < 0)
        return (int)n;
    return n ? 0 : -EALREADY;
}

int operation_write(struct txn *txn, const struct payment *p, const struct operation *o)
{
    return txn_post(txn,
                    "UPDATE payment_operation SET state = $3, amount_minor = $4, processor_ref = $5, reason = $6, "
                    "decided_by = $7, update_time_us = $8 WHERE payment_id = $1 AND place = $2",
                    T(p->payment_id), I(o->place), I(o->state), I(o->amount_minor), T(o->processor_ref), T(o->reason),
                    T(o->decided_by), I(txn->now_us));
}

int operation_want(struct txn *txn, struct payment *p, const struct operation *wanted)
{
    struct operation o = *wanted;
    o.place = ++p->operations;
    o.state = INIT;
    p->capturing_minor += o.kind == CAPTURE ? o.amount_minor : 0;
    p->refunding_minor += o.kind == REFUND ? o.amount_minor : 0;
    if (o.kind == VOID)
        p->voiding = VOIDING;
    int r = operation_insert(txn, p, &o);
    if (r == 0)
        r = processor_want(txn, &(struct errand){ o.kind, p->payment_id, o.operation_id, NULL }, 1);
    return r < 0 ? r : overdue_watch(txn);
}

int void_want(struct txn *txn, struct payment *p)
{
    char id[ID_MAX];
    if (p->voiding == VOIDING)
        return 0;
    id_make(store_port(txn->store), "void", id);
    return operation_want(txn, p, &(struct operation){ .operation_id = id, .kind = VOID, .reason = "" });
}
