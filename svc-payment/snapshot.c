/* The state of all payments told as events: operations that failed or have no answer, as they are a matter for staff,
 * and then what became of the authorize, what was captured, refunded and given up, as far as it has happened. The last
 * of them has the payment's version, those before it lower ones. */
#include "svc-payment/book.h"

#include <errno.h>

enum told { TOLD_AUTHORIZED, TOLD_CAPTURED, TOLD_REFUNDED, TOLD_VOIDED, TOLD };

static const enum operation_kind kinds[TOLD] = { AUTHORIZE, CAPTURE, REFUND, VOID };

static bool is_told(const struct payment *p, enum told what)
{
    switch (what) {
    case TOLD_AUTHORIZED:
        return p->authorize_state != INIT;
    case TOLD_CAPTURED:
        return p->captured_minor > 0;
    case TOLD_REFUNDED:
        return p->refunded_minor > 0;
    default:
        return p->voiding == VOIDED;
    }
}

/* Which payments there are to tell of, each with the last operation of the kind that came to something. */
static int query_page(struct txn *txn, enum told what, const char *after, size_t max, struct rows *ret_rows)
{
    return txn_query(txn, ret_rows,
                     "SELECT " PAYMENT_COLUMNS ", " OPERATION_COLUMNS " FROM payment p "
                     "JOIN payment_operation o ON o.payment_id = p.payment_id AND o.place = "
                     "(SELECT MAX(l.place) FROM payment_operation l WHERE l.payment_id = p.payment_id "
                     "AND l.kind = $4 AND (l.kind = 1 OR l.state = 2)) "
                     "WHERE p.payment_id > $1 AND CASE WHEN $3 = 0 THEN p.authorize_state <> 1 "
                     "WHEN $3 = 1 THEN p.captured_minor > 0 WHEN $3 = 2 THEN p.refunded_minor > 0 "
                     "ELSE p.voiding = 2 END ORDER BY p.payment_id LIMIT $2",
                     T(after ? after : ""), I(max), I(what), I(kinds[what]));
}

static int snapshot(struct txn *txn, enum told what, const char *after, size_t max, struct event *ret_events,
                    const char **ret_keys)
{
    struct rows rows;
    int r = query_page(txn, what, after, max, &rows);
    for (size_t i = 0; r == 0 && i < rows.n; i++) {
        struct payment p = payment_of(&rows, i);
        struct operation o = operation_of(&rows, i, PAYMENT_COLUMN_COUNT);
        for (enum told later = what + 1; later < TOLD; later++)
            p.version -= is_told(&p, later);
        ret_keys[i] = p.payment_id;
        r = payment_event(txn, operation_event(o.kind, o.state), &p, &o, &ret_events[i]);
    }
    return r < 0 ? r : (int)rows.n;
}

/* The authorize is told by its own row. */
int open_snapshot(struct txn *txn, const char *after, size_t max, struct event *ret_events, const char **ret_keys)
{
    struct rows rows;
    int r = txn_query(txn, &rows,
                      "SELECT " PAYMENT_COLUMNS ", " OPERATION_COLUMNS " FROM payment_operation o "
                      "JOIN payment p ON p.payment_id = o.payment_id WHERE o.operation_id > $1 "
                      "AND ((o.kind IN (2, 4) AND o.state = 3) OR (o.kind <> 1 AND o.state = 5)) "
                      "ORDER BY o.operation_id LIMIT $2",
                      T(after ? after : ""), I(max));
    for (size_t i = 0; r == 0 && i < rows.n; i++) {
        struct payment p = payment_of(&rows, i);
        struct operation o = operation_of(&rows, i, PAYMENT_COLUMN_COUNT);
        for (enum told later = TOLD_AUTHORIZED; later < TOLD; later++)
            p.version -= is_told(&p, later);
        p.version -= (uint64_t)(p.operations - o.place);
        ret_keys[i] = o.operation_id;
        r = payment_event(txn, operation_event(o.kind, o.state), &p, &o, &ret_events[i]);
    }
    return r < 0 ? r : (int)rows.n;
}

int authorized_snapshot(struct txn *txn, const char *after, size_t max, struct event *ret_events, const char **ret_keys)
{
    return snapshot(txn, TOLD_AUTHORIZED, after, max, ret_events, ret_keys);
}

int captured_snapshot(struct txn *txn, const char *after, size_t max, struct event *ret_events, const char **ret_keys)
{
    return snapshot(txn, TOLD_CAPTURED, after, max, ret_events, ret_keys);
}

int refunded_snapshot(struct txn *txn, const char *after, size_t max, struct event *ret_events, const char **ret_keys)
{
    return snapshot(txn, TOLD_REFUNDED, after, max, ret_events, ret_keys);
}

int voided_snapshot(struct txn *txn, const char *after, size_t max, struct event *ret_events, const char **ret_keys)
{
    return snapshot(txn, TOLD_VOIDED, after, max, ret_events, ret_keys);
}
