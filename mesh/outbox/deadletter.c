/* The table of commands that were given up. */
#include "mesh/outbox/deadletter.h"

#include <errno.h>

int deadletter_add(struct txn *txn, const struct letter *letter, bool parked, enum rpc_code code, const char *reason)
{
    return txn_post(txn,
                    "INSERT INTO dead_letter (id, destination, key, n, method, request, trace, due_us, created_us,"
                    " gave_up_us, attempts, last_code, last_reason, parked, discarded_us, discard_reason)"
                    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 0, '')",
                    T(letter->id), T(letter->destination), T(letter->key), I(letter->n), T(letter->method),
                    B(letter->request), T(letter->trace), I(letter->due_us), I(letter->created_us), I(txn->now_us),
                    I(letter->attempts + 1), I(code), T(reason), I(parked));
}

static void read_dead(const struct rows *rows, size_t i, struct deadletter *ret_dead)
{
    *ret_dead = (struct deadletter){
        .letter = {
            .id = row_text(rows, i, 0),
            .destination = row_text(rows, i, 1),
            .key = row_text(rows, i, 2),
            .n = row_int(rows, i, 3),
            .method = row_text(rows, i, 4),
            .request = row_blob(rows, i, 5),
            .trace = row_text(rows, i, 6),
            .due_us = row_int(rows, i, 7),
            .created_us = row_int(rows, i, 8),
            .attempts = (uint32_t)row_int(rows, i, 9),
        },
        .gave_up_us = row_int(rows, i, 10),
        .last_code = (enum rpc_code)row_int(rows, i, 11),
        .last_reason = row_text(rows, i, 12),
        .parked = row_int(rows, i, 13),
        .waiting_behind = row_int(rows, i, 14),
    };
}

#define DEAD_COLUMNS \
    "id, destination, key, n, method, request, trace, due_us, created_us, attempts, gave_up_us, last_code," \
    " last_reason, parked, CASE WHEN parked = 0 THEN 0 ELSE (SELECT COUNT(*) FROM outbox o" \
    " WHERE o.destination = d.destination AND o.key = d.key AND o.state = 1) END"

int deadletter_list(struct txn *txn, const char *after_id, size_t max, struct deadletter *ret_letters)
{
    struct rows rows;
    int r = txn_query(txn, &rows,
                      "SELECT " DEAD_COLUMNS " FROM dead_letter d WHERE discarded_us = 0 AND id > $1"
                      " ORDER BY id LIMIT $2",
                      T(after_id ? after_id : ""), I((int64_t)max));
    if (r < 0)
        return r;
    for (size_t i = 0; i < rows.n; i++)
        read_dead(&rows, i, &ret_letters[i]);
    return (int)rows.n;
}

int deadletter_get(struct txn *txn, const char *id, struct deadletter *ret_letter)
{
    struct rows rows;
    int r =
        txn_query(txn, &rows, "SELECT " DEAD_COLUMNS " FROM dead_letter d WHERE discarded_us = 0 AND id = $1", T(id));
    if (r < 0 || rows.n == 0)
        return r;
    read_dead(&rows, 0, ret_letter);
    return 1;
}

int deadletter_retry(struct txn *txn, const struct deadletter *dead)
{
    const struct letter *l = &dead->letter;
    int r = txn_post(txn, "DELETE FROM dead_letter WHERE id = $1", T(l->id));
    if (r < 0)
        return r;
    if (!dead->parked) {
        struct letter again = *l;
        again.due_us = txn->now_us;
        return letters_add(txn, &again, 1);
    }
    txn->touched |= TOUCHED_OUTBOX;
    return txn_post(txn,
                    "UPDATE outbox SET state = 0, attempts = 0, due_us = $5, next_us = $5"
                    " WHERE destination = $1 AND key = $2 AND n = $3 AND id = $4",
                    T(l->destination), T(l->key), I(l->n), T(l->id), I(txn->now_us));
}

int deadletter_discard(struct txn *txn, const struct deadletter *dead, const char *reason)
{
    int r = txn_post(txn, "UPDATE dead_letter SET discarded_us = $2, discard_reason = $3 WHERE id = $1",
                     T(dead->letter.id), I(txn->now_us), T(reason));
    if (r < 0 || !dead->parked)
        return r;
    const struct letter *letter = &dead->letter;
    return letters_take(txn, &letter, 1, &(bool){ false });
}

int64_t deadletter_prune(struct txn *txn, int64_t max_age_us, size_t n)
{
    return txn_exec(txn,
                    "DELETE FROM dead_letter WHERE id IN (SELECT id FROM dead_letter WHERE discarded_us > 0"
                    " AND discarded_us < $1 ORDER BY id LIMIT $2)",
                    I(txn->now_us - max_age_us), I((int64_t)n));
}
