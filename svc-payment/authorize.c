/* AuthorizePayment: a payment and its first operation, on their way to the processor.
 *
 * All requests that wait become one transaction, whose statements are as many for a hundred payments as for one. */
#include "svc-payment/book.h"

#include "mesh/base/id.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BATCH_BUDGET (64 * 1024 * 1024) /* bytes */

/* A request that may become a payment. */
struct candidate {
    struct rpc_item *item;
    const AuthorizePaymentRequest *req;
    const char *payment_id;
    int64_t amount_minor;
};

struct batch {
    struct txn *txn;
    struct candidate *candidates;
    size_t n;
};

/* --- checks: what is refused is not a candidate any more --- */

static int fail_exists(struct rpc_call *call)
{
    return rpc_fail(call, RPC_ALREADY_EXISTS, "PAYMENT_EXISTS", "the order has a payment already");
}

static void keep_accepted(struct batch *batch)
{
    size_t kept = 0;
    for (size_t i = 0; i < batch->n; i++) {
        if (batch->candidates[i].item->result >= 0)
            batch->candidates[kept++] = batch->candidates[i];
    }
    batch->n = kept;
}

/* By the order, those that came first before the others. */
static int compare_candidates(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    int order = strcmp(x->req->order_id, y->req->order_id);
    return order ? order : (x->item > y->item) - (x->item < y->item);
}

static void check_requests(struct batch *batch, struct rpc_item *items, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct candidate *c = &batch->candidates[batch->n++];
        *c = (struct candidate){ .item = &items[i], .req = items[i].in };
        int r = payment_check_id(c->item->call, c->req->request_id);
        if (r == 0)
            r = payment_check_amount(c->item->call, c->req->amount, &c->amount_minor);
        c->item->result = r;
    }
    keep_accepted(batch);
    qsort(batch->candidates, batch->n, sizeof(*batch->candidates), compare_candidates);
    for (size_t i = 1; i < batch->n; i++) {
        struct candidate *c = &batch->candidates[i];
        if (strcmp(c->req->order_id, c[-1].req->order_id) == 0)
            c->item->result = fail_exists(c->item->call);
    }
    keep_accepted(batch);
}

static void refuse(struct batch *batch, const char *operation_id, bool taken)
{
    for (size_t i = 0; i < batch->n; i++) {
        struct candidate *c = &batch->candidates[i];
        if (strcmp(c->req->request_id, operation_id) == 0)
            c->item->result = taken ? payment_fail_taken(c->item->call) : fail_exists(c->item->call);
    }
}

/* A payment that was declined or given up may be followed by another of the same order. */
static int check_book(struct batch *batch)
{
    struct value *values = arena_alloc(batch->txn->arena, batch->n * 2 * sizeof(*values));
    if (!values)
        return -ENOMEM;
    for (size_t i = 0; i < batch->n; i++) {
        values[2 * i] = T(batch->candidates[i].req->order_id);
        values[2 * i + 1] = T(batch->candidates[i].req->request_id);
    }
    struct rows rows;
    int r = txn_query_many(batch->txn, &rows,
                           "WITH wanted (order_id, operation_id) AS (VALUES (CAST($1 AS TEXT), CAST($2 AS TEXT))), "
                           "known (operation_id, taken, paid) AS (SELECT w.operation_id, "
                           "(SELECT COUNT(*) FROM payment_operation o WHERE o.operation_id = w.operation_id), "
                           "(SELECT COUNT(*) FROM payment p WHERE p.order_id = w.order_id "
                           "AND p.authorize_state NOT IN (3, 6) AND p.voiding < 2) FROM wanted w) "
                           "SELECT operation_id, taken FROM known WHERE taken > 0 OR paid > 0",
                           batch->n, 2, values);
    for (size_t i = 0; r == 0 && i < rows.n; i++)
        refuse(batch, row_text(&rows, i, 0), row_int(&rows, i, 1) > 0);
    keep_accepted(batch);
    return r;
}

/* --- writing --- */

/* The reply lives in its own call's arena: the other calls may end before it. */
static int name_payments(struct batch *batch)
{
    for (size_t i = 0; i < batch->n; i++) {
        struct candidate *c = &batch->candidates[i];
        AuthorizePaymentResponse *ret = c->item->out;
        char id[ID_MAX];
        id_make(store_port(batch->txn->store), "pay", id);
        ret->payment_id = arena_copy(rpc_arena(c->item->call), id, strlen(id));
        if (!ret->payment_id)
            return -ENOMEM;
        c->payment_id = ret->payment_id;
    }
    return 0;
}

static int write_payments(struct batch *batch)
{
    enum { COLUMNS = 7 };
    struct value *values = arena_alloc(batch->txn->arena, batch->n * COLUMNS * sizeof(*values));
    if (!values)
        return -ENOMEM;
    for (size_t i = 0; i < batch->n; i++) {
        const struct candidate *c = &batch->candidates[i];
        const struct value row[COLUMNS] = {
            T(c->payment_id),   T(c->req->order_id),      T(c->req->customer_id), T(c->req->amount->currency_code),
            I(c->amount_minor), T(c->req->payment_token), I(batch->txn->now_us),
        };
        memcpy(values + i * COLUMNS, row, sizeof(row));
    }
    return txn_post_many(batch->txn,
                         "INSERT INTO payment (payment_id, order_id, customer_id, currency, amount_minor, "
                         "authorized_minor, capturing_minor, captured_minor, refunding_minor, refunded_minor, "
                         "authorize_state, voiding, payment_token, decline_reason, action_url, operations, "
                         "open_operations, create_time_us, update_time_us, version) "
                         "VALUES ($1, $2, $3, $4, $5, 0, 0, 0, 0, 0, 1, 0, $6, '', '', 1, 0, $7, $7, 1)",
                         batch->n, COLUMNS, values);
}

static int write_operations(struct batch *batch)
{
    enum { COLUMNS = 4 };
    struct value *values = arena_alloc(batch->txn->arena, batch->n * COLUMNS * sizeof(*values));
    if (!values)
        return -ENOMEM;
    for (size_t i = 0; i < batch->n; i++) {
        const struct candidate *c = &batch->candidates[i];
        const struct value row[COLUMNS] = { T(c->payment_id), T(c->req->request_id), I(c->amount_minor),
                                            I(batch->txn->now_us) };
        memcpy(values + i * COLUMNS, row, sizeof(row));
    }
    return txn_post_many(batch->txn,
                         "INSERT INTO payment_operation (payment_id, place, operation_id, kind, state, amount_minor, "
                         "processor_ref, reason, decided_by, create_time_us, update_time_us) "
                         "VALUES ($1, 1, $2, 1, 1, $3, '', '', '', $4, $4)",
                         batch->n, COLUMNS, values);
}

static int send(struct batch *batch)
{
    struct errand *errands = arena_alloc(batch->txn->arena, batch->n * sizeof(*errands));
    if (!errands)
        return -ENOMEM;
    for (size_t i = 0; i < batch->n; i++) {
        const struct candidate *c = &batch->candidates[i];
        errands[i] = (struct errand){ AUTHORIZE, c->payment_id, c->req->request_id, rpc_trace(c->item->call) };
    }
    int r = processor_want(batch->txn, errands, batch->n);
    return r < 0 ? r : overdue_watch(batch->txn);
}

static int authorize(struct batch *batch, struct rpc_item *items, size_t n)
{
    static int (*const parts[])(struct batch *) = { check_book, name_payments, write_payments, write_operations, send };
    batch->candidates = arena_alloc(batch->txn->arena, n * sizeof(*batch->candidates));
    if (!batch->candidates)
        return -ENOMEM;
    check_requests(batch, items, n);
    for (size_t i = 0; batch->n > 0 && i < sizeof(parts) / sizeof(parts[0]); i++) {
        int r = parts[i](batch);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Takes an arena of its own: what the requests of many need is not one caller's budget. */
int authorize_payments(struct txn *txn, struct rpc_item *items, size_t n)
{
    struct arena own, *callers = txn->arena;
    arena_init(&own, BATCH_BUDGET);
    txn->arena = &own;
    struct batch batch = { .txn = txn };
    int r = authorize(&batch, items, n);
    txn->arena = callers;
    arena_finish(&own);
    return r;
}
