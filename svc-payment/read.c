/* Payments as they are read: one of them, or a page of them, newest first; a customer's own only, if a customer asks.
 */
#include "svc-payment/book.h"

#include "mesh/base/money.h"

#include <errno.h>
#include <string.h>

#define PAGE_DEFAULT    50
#define PAGE_OPERATIONS 2000 /* a page ends before more operations than that, so that its size is bounded */

static int payment_head(struct txn *txn, const struct payment *p, Payment *ret)
{
    struct arena *arena = txn->arena;
    *ret = (Payment){
        .base = ret->base,
        .payment_id = (char *)p->payment_id,
        .order_id = (char *)p->order_id,
        .customer_id = (char *)p->customer_id,
        .state = payment_state(p),
        .amount = money_to_wire(arena, p->amount_minor, p->currency),
        .authorized = money_to_wire(arena, p->authorized_minor, p->currency),
        .captured = money_to_wire(arena, p->captured_minor, p->currency),
        .refunded = money_to_wire(arena, p->refunded_minor, p->currency),
        .decline_reason = (char *)p->decline_reason,
        .action_url = (char *)p->action_url,
        .create_time_us = p->create_time_us,
        .update_time_us = p->update_time_us,
        .version = p->version,
        .operations = arena_alloc(arena, (size_t)p->operations * sizeof(Operation *)),
    };
    return ret->amount && ret->authorized && ret->captured && ret->refunded && ret->operations ? 0 : -ENOMEM;
}

static int add_operation(struct txn *txn, const struct operation *o, Payment *payment)
{
    Operation *ret = arena_message(txn->arena, &oms__payment__v1__operation__descriptor);
    if (!ret)
        return -ENOMEM;
    *ret = (Operation){
        .base = ret->base,
        .operation_id = (char *)o->operation_id,
        .kind = (Oms__Payment__V1__Operation__Kind)o->kind,
        .state = (Oms__Payment__V1__Operation__State)o->state,
        .amount = money_to_wire(txn->arena, o->amount_minor, payment->amount->currency_code),
        .processor_ref = (char *)o->processor_ref,
        .reason = (char *)o->reason,
        .decided_by = (char *)o->decided_by,
        .create_time_us = o->create_time_us,
        .update_time_us = o->update_time_us,
    };
    payment->operations[payment->n_operations++] = ret;
    return ret->amount ? 0 : -ENOMEM;
}

static Payment *find_payment(Payment *const *payments, size_t n, const char *payment_id)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(payments[i]->payment_id, payment_id) == 0)
            return payments[i];
    }
    return NULL;
}

/* Each payment's operations come together and in their places, the payments in any order. */
static int read_operations(struct txn *txn, Payment *const *payments, size_t n)
{
    struct value *ids = arena_alloc(txn->arena, n * sizeof(*ids));
    if (!ids)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        ids[i] = T(payments[i]->payment_id);
    struct rows rows;
    int r = txn_query_many(txn, &rows,
                           "WITH wanted (payment_id) AS (VALUES (CAST($1 AS TEXT))) "
                           "SELECT o.payment_id, " OPERATION_COLUMNS " FROM wanted "
                           "CROSS JOIN payment_operation o WHERE o.payment_id = wanted.payment_id "
                           "ORDER BY o.payment_id, o.place",
                           n, 1, ids);
    Payment *payment = NULL;
    for (size_t i = 0; r == 0 && i < rows.n; i++) {
        if (!payment || strcmp(payment->payment_id, row_text(&rows, i, 0)) != 0)
            payment = find_payment(payments, n, row_text(&rows, i, 0));
        struct operation operation = operation_of(&rows, i, 1);
        r = add_operation(txn, &operation, payment);
    }
    return r;
}

/* The first n of the rows. */
static int read_payments(struct txn *txn, const struct rows *rows, size_t n, Payment ***ret_payments)
{
    Payment **payments = arena_alloc(txn->arena, n * sizeof(Payment *));
    if (!payments)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        struct payment payment = payment_of(rows, i);
        payments[i] = arena_message(txn->arena, &oms__payment__v1__payment__descriptor);
        int r = payments[i] ? payment_head(txn, &payment, payments[i]) : -ENOMEM;
        if (r < 0)
            return r;
    }
    *ret_payments = payments;
    return read_operations(txn, payments, n);
}

static int first_payment(struct txn *txn, const struct rows *rows, Payment **ret_payment)
{
    Payment **payments;
    int r = read_payments(txn, rows, rows->n, &payments);
    if (r < 0)
        return r;
    *ret_payment = rows->n ? payments[0] : NULL;
    return 0;
}

int payment_message(struct txn *txn, const char *payment_id, const char *owner, Payment **ret_payment)
{
    struct rows rows;
    int r = txn_query(txn, &rows,
                      "SELECT " PAYMENT_COLUMNS " FROM payment p WHERE p.payment_id = $1 "
                      "AND ($2 = '' OR p.customer_id = $2)",
                      T(payment_id), T(owner));
    return r < 0 ? r : first_payment(txn, &rows, ret_payment);
}

/* The last one, if those before it were declined. */
static int payment_of_order(struct txn *txn, const char *order_id, const char *owner, Payment **ret_payment)
{
    struct rows rows;
    int r = txn_query(txn, &rows,
                      "SELECT " PAYMENT_COLUMNS " FROM payment p WHERE p.order_id = $1 "
                      "AND ($2 = '' OR p.customer_id = $2) ORDER BY p.payment_id DESC LIMIT 1",
                      T(order_id), T(owner));
    return r < 0 ? r : first_payment(txn, &rows, ret_payment);
}

int get_payment(struct rpc_call *call, struct txn *txn, const void *in, void *out)
{
    const GetPaymentRequest *req = in;
    bool by_order = req->by_case == OMS__PAYMENT__V1__GET_PAYMENT_REQUEST__BY_ORDER_ID;
    Payment *payment = NULL;
    if (req->by_case == OMS__PAYMENT__V1__GET_PAYMENT_REQUEST__BY__NOT_SET)
        return rpc_fail_field(call, "payment_id", "FIELD_REQUIRED", "payment_id or order_id must be given");
    int r = by_order ? payment_of_order(txn, req->order_id, rpc_owner(call), &payment)
                     : payment_message(txn, req->payment_id, rpc_owner(call), &payment);
    if (r < 0)
        return r;
    if (!payment)
        return rpc_fail_missing(call, by_order ? "order" : "payment", by_order ? req->order_id : req->payment_id);
    *(Payment *)out = *payment;
    return 0;
}

/* --- lists --- */

/* Three statements, as each has an index of its own to walk. */
static int query_list(struct txn *txn, const char *customer_id, bool open, const char *before, size_t max,
                      struct rows *ret_rows)
{
    if (customer_id[0])
        return txn_query(txn, ret_rows,
                         "SELECT " PAYMENT_COLUMNS " FROM payment p WHERE p.customer_id = $3 AND p.payment_id < $1 "
                         "AND p.open_operations >= $4 ORDER BY p.payment_id DESC LIMIT $2",
                         T(before), I(max), T(customer_id), I(open));
    if (open)
        return txn_query(txn, ret_rows,
                         "SELECT " PAYMENT_COLUMNS " FROM payment p WHERE p.open_operations > 0 "
                         "AND p.payment_id < $1 ORDER BY p.payment_id DESC LIMIT $2",
                         T(before), I(max));
    return txn_query(txn, ret_rows,
                     "SELECT " PAYMENT_COLUMNS " FROM payment p WHERE p.payment_id < $1 "
                     "ORDER BY p.payment_id DESC LIMIT $2",
                     T(before), I(max));
}

/* How many of the rows make a page: as many as asked for, unless they have too many operations. */
static size_t page_length(const struct rows *rows, size_t max)
{
    size_t n = 0;
    int64_t operations = 0;
    while (n < rows->n && n < max) {
        operations += row_int(rows, n, COLUMN_OPERATIONS);
        if (n && operations > PAGE_OPERATIONS)
            break;
        n++;
    }
    return n;
}

int list_payments(struct rpc_call *call, struct txn *txn, const void *in, void *out)
{
    const ListPaymentsRequest *req = in;
    ListPaymentsResponse *ret = out;
    const char *customer_id = req->customer_id[0] ? req->customer_id : rpc_owner(call), *before;
    size_t max = req->page_size ? (size_t)req->page_size : PAGE_DEFAULT;
    const char *query = arena_printf(rpc_arena(call), "payments %s\n%d", customer_id, req->open);
    if (!query)
        return -ENOMEM;
    int r = rpc_page_open(call, req->page_token, query, &before, 1);
    if (r < 0)
        return r;

    struct rows rows;
    r = query_list(txn, customer_id, req->open, before ? before : "\U0010ffff", max + 1, &rows);
    if (r < 0)
        return r;
    size_t n = page_length(&rows, max);
    r = read_payments(txn, &rows, n, &ret->payments);
    if (r < 0)
        return r;
    ret->n_payments = n;
    if (n == rows.n)
        return 0;
    const char *last = ret->payments[n - 1]->payment_id;
    ret->next_page_token = (char *)rpc_page_token(call, query, &last, 1);
    return ret->next_page_token ? 0 : -ENOMEM;
}
