/* What does not come in time. That an operation has had no answer is looked for in rounds, one timer for all that were
 * wanted within a second: nearly always there is nothing to be found. */
#include "svc-payment/book.h"

#include <errno.h>

#define OVERDUE_US   10000000ll
#define ROUND_US     1000000ll
#define ROUND_MAX    100 /* operations of one transaction */
#define ACTION_US    (15 * 60 * 1000000ll)
#define ROUND_TIMER  "overdue"
#define ACTION_TIMER "action-expiry"

static const struct news nothing_new = { 0 };

static int start_round(struct txn *txn, int64_t due_us)
{
    char *key = arena_printf(txn->arena, "%lld", (long long)due_us);
    return key ? outbox_timer(txn, ROUND_TIMER, key, due_us) : -ENOMEM;
}

int overdue_watch(struct txn *txn)
{
    int64_t due_us = ((txn->now_us + OVERDUE_US) / ROUND_US + 1) * ROUND_US;
    int64_t first =
        txn_exec(txn, "INSERT INTO overdue_round (due_us) VALUES ($1) ON CONFLICT (due_us) DO NOTHING", I(due_us));
    return first <= 0 ? (int)first : start_round(txn, due_us);
}

static int round_is_due(struct txn *txn, const char *key, int64_t due_us)
{
    int r = txn_post(txn, "DELETE FROM overdue_round WHERE due_us = $1", I(due_us));
    if (r < 0)
        return r;
    struct rows rows;
    r = txn_query(txn, &rows,
                  "SELECT operation_id FROM payment_operation WHERE state = 1 AND create_time_us <= $1 "
                  "ORDER BY create_time_us LIMIT $2",
                  I(txn->now_us - OVERDUE_US), I(ROUND_MAX));
    for (size_t i = 0; r == 0 && i < rows.n; i++)
        r = operation_happened(txn, row_text(&rows, i, 0), OVERDUE, &nothing_new);
    if (r < 0 || rows.n < ROUND_MAX)
        return r;
    return start_round(txn, txn->now_us);
}

int action_watch(struct txn *txn, const char *operation_id)
{
    return outbox_timer(txn, ACTION_TIMER, operation_id, txn->now_us + ACTION_US);
}

static int action_is_due(struct txn *txn, const char *key, int64_t due_us)
{
    return operation_happened(txn, key, ACTION_EXPIRED, &nothing_new);
}

const struct timer_row payment_timers[] = {
    { ROUND_TIMER, round_is_due },
    { ACTION_TIMER, action_is_due },
    {},
};
