/* The transaction's side of the outbox: adding commands and timers, and what moves a row on. */
#include "mesh/base/id.h"
#include "mesh/outbox/queue.h"
#include "mesh/port.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LETTER_COLUMNS "key, n, id, method, trace, request, due_us, next_us, created_us, attempts"

/* Clustered by queue, so that adding to one and moving its next up are one seek each. Ready heads have an index of
 * their own; rows behind them cost a claim nothing, however long the queue. */
const struct migration outbox_migrations[] = {
    { 1, "commands and timers",
      "CREATE TABLE outbox (\n"
      "  destination {text} NOT NULL,\n"
      "  key {text} NOT NULL,\n"
      "  n {int} NOT NULL,\n"
      "  id {text} NOT NULL,\n"
      "  method {text} NOT NULL,\n"
      "  request {blob} NOT NULL,\n"
      "  trace {text} NOT NULL,\n"
      "  due_us {int} NOT NULL,\n"
      "  next_us {int} NOT NULL,\n"
      "  created_us {int} NOT NULL,\n"
      "  attempts {int} NOT NULL,\n"
      "  state {int} NOT NULL CHECK (state BETWEEN 0 AND 2),\n"
      "  last_code {int} NOT NULL,\n"
      "  last_reason {text} NOT NULL,\n"
      "  PRIMARY KEY (destination, key, n)\n"
      ") {clustered};\n"
      "CREATE INDEX outbox_due ON outbox (destination, next_us, key, n) WHERE state = 0;\n"
      "CREATE TABLE dead_letter (\n"
      "  id {text} PRIMARY KEY,\n"
      "  destination {text} NOT NULL,\n"
      "  key {text} NOT NULL,\n"
      "  n {int} NOT NULL,\n"
      "  method {text} NOT NULL,\n"
      "  request {blob} NOT NULL,\n"
      "  trace {text} NOT NULL,\n"
      "  due_us {int} NOT NULL,\n"
      "  created_us {int} NOT NULL,\n"
      "  gave_up_us {int} NOT NULL,\n"
      "  attempts {int} NOT NULL,\n"
      "  last_code {int} NOT NULL,\n"
      "  last_reason {text} NOT NULL,\n"
      "  parked {int} NOT NULL CHECK (parked IN (0, 1)),\n"
      "  discarded_us {int} NOT NULL,\n"
      "  discard_reason {text} NOT NULL\n"
      ") {clustered};\n" },
    { 2, "whether any stand behind", "CREATE INDEX outbox_behind ON outbox (state, destination) WHERE state = 1;\n" },
    {}
};

static int64_t not_before(const struct txn *txn, int64_t due_us)
{
    return due_us > txn->now_us ? due_us : txn->now_us;
}

/* Gives a letter what it has of its own. */
static int make(struct txn *txn, const char *prefix, const struct trace *trace, struct letter *letter)
{
    char id[ID_MAX], text[TRACE_TEXT] = "";
    id_make(store_port(txn->store), prefix, id);
    if (trace)
        trace_format(trace, text);
    letter->id = arena_copy(txn->arena, id, strlen(id));
    letter->trace = arena_copy(txn->arena, text, strlen(text));
    letter->created_us = txn->now_us;
    if (letter->due_us == 0)
        letter->due_us = txn->now_us;
    return letter->id && letter->trace ? 0 : -ENOMEM;
}

static int make_command(struct txn *txn, const struct command *command, struct letter *ret_letter)
{
    assert(command->destination[0] != '\0' && command->method[0] == '/');
    struct letter letter = {
        .destination = command->destination,
        .key = command->key,
        .method = command->method,
        .request = arena_pack(txn->arena, command->request),
        .due_us = command->due_us,
    };
    if (!letter.request.data)
        return -ENOMEM;
    if (letter.request.len > OUTBOX_REQUEST_MAX)
        return -E2BIG;
    *ret_letter = letter;
    return make(txn, "cmd", command->trace ? command->trace : txn->trace, ret_letter);
}

static int compare_queues(const void *a, const void *b)
{
    const struct letter *x = *(const struct letter *const *)a, *y = *(const struct letter *const *)b;
    int r = strcmp(x->destination, y->destination);
    if (r == 0)
        r = strcmp(x->key, y->key);
    return r ? r : x < y ? -1 : 1;
}

/* Which of them are the first of their queues. */
static int find_firsts(struct txn *txn, const struct letter *letters, size_t n, bool *ret_first)
{
    const struct letter **sorted = arena_alloc(txn->arena, n * sizeof(*sorted));
    if (!sorted)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        sorted[i] = &letters[i];
    qsort(sorted, n, sizeof(*sorted), compare_queues);
    for (size_t i = 0; i < n; i++)
        ret_first[sorted[i] - letters] = i == 0 || strcmp(sorted[i - 1]->destination, sorted[i]->destination) != 0 ||
                                         strcmp(sorted[i - 1]->key, sorted[i]->key) != 0;
    return 0;
}

/* Numbers need not be without gaps, only in order: each is as far behind its queue's last as it stands here. */
int letters_add(struct txn *txn, const struct letter *letters, size_t n)
{
    enum { COLUMNS = 11 };
    struct value *values = arena_alloc(txn->arena, n * COLUMNS * sizeof(*values));
    bool *first = arena_alloc(txn->arena, n * sizeof(*first));
    int r = values && first ? find_firsts(txn, letters, n, first) : -ENOMEM;
    for (size_t i = 0; r == 0 && i < n; i++) {
        const struct letter *l = &letters[i];
        const struct value row[COLUMNS] = { T(l->destination), T(l->key),    I((int64_t)i + 1),
                                            T(l->id),          T(l->method), B(l->request),
                                            T(l->trace),       I(l->due_us), I(not_before(txn, l->due_us)),
                                            I(l->created_us),  I(first[i]) };
        memcpy(values + i * COLUMNS, row, sizeof(row));
    }
    if (r < 0 || n == 0)
        return r;
    txn->touched |= TOUCHED_OUTBOX;
    return txn_post_many(
        txn,
        "INSERT INTO outbox (destination, key, n, id, method, request, trace, due_us, next_us, created_us, attempts,"
        " state, last_code, last_reason) VALUES ($1, $2, CAST($3 AS BIGINT) +"
        " COALESCE((SELECT MAX(n) FROM outbox WHERE destination = $1 AND key = $2), 0), $4, $5, $6, $7, $8, $9, $10, 0,"
        " CASE WHEN $1 <> '' AND (CAST($11 AS BIGINT) = 0"
        " OR EXISTS (SELECT 1 FROM outbox WHERE destination = $1 AND key = $2)) THEN 1 ELSE 0 END, 0, '')",
        n, COLUMNS, values);
}

int outbox_add_many(struct txn *txn, const struct command *commands, size_t n)
{
    struct letter *letters = arena_alloc(txn->arena, (n + 1) * sizeof(*letters));
    int r = letters ? 0 : -ENOMEM;
    for (size_t i = 0; r == 0 && i < n; i++)
        r = make_command(txn, &commands[i], &letters[i]);
    return r < 0 ? r : letters_add(txn, letters, n);
}

int outbox_add(struct txn *txn, const struct command *command)
{
    return outbox_add_many(txn, command, 1);
}

int outbox_timer(struct txn *txn, const char *name, const char *key, int64_t due_us)
{
    struct letter letter = {
        .destination = "", .key = key, .method = name, .request = { (const uint8_t *)"", 0 }, .due_us = due_us
    };
    int r = make(txn, "tmr", txn->trace, &letter);
    return r < 0 ? r : letters_add(txn, &letter, 1);
}

static void read_letter(const struct rows *rows, size_t i, const char *destination, struct letter *ret_letter)
{
    *ret_letter = (struct letter){
        .destination = destination,
        .key = row_text(rows, i, 0),
        .n = row_int(rows, i, 1),
        .id = row_text(rows, i, 2),
        .method = row_text(rows, i, 3),
        .trace = row_text(rows, i, 4),
        .request = row_blob(rows, i, 5),
        .due_us = row_int(rows, i, 6),
        .next_us = row_int(rows, i, 7),
        .created_us = row_int(rows, i, 8),
        .attempts = (uint32_t)row_int(rows, i, 9),
    };
}

int letter_due(struct txn *txn, const char *destination, const struct letter_place *after, size_t max,
               struct letter **ret_letters)
{
    struct rows rows;
    int r = txn_query(txn, &rows,
                      "SELECT " LETTER_COLUMNS " FROM outbox WHERE destination = $1 AND state = 0 AND next_us <= $2"
                      " AND (next_us, key, n) > ($3, $4, $5) ORDER BY next_us, key, n LIMIT $6",
                      T(destination), I(txn->now_us), I(after->next_us), T(after->key ? after->key : ""), I(after->n),
                      I((int64_t)max));
    if (r < 0)
        return r;
    struct letter *letters = arena_alloc(txn->arena, (rows.n + 1) * sizeof(*letters));
    if (!letters)
        return -ENOMEM;
    for (size_t i = 0; i < rows.n; i++)
        read_letter(&rows, i, destination, &letters[i]);
    *ret_letters = letters;
    return (int)rows.n;
}

int letter_next_due(struct txn *txn, const char *destination, int64_t *ret_due_us)
{
    struct rows rows;
    int r = txn_query(txn, &rows,
                      "SELECT next_us FROM outbox WHERE destination = $1 AND state = 0 AND next_us > $2"
                      " ORDER BY next_us LIMIT 1",
                      T(destination), I(txn->now_us));
    if (r < 0)
        return r;
    *ret_due_us = rows.n ? row_int(&rows, 0, 0) : INT64_MAX;
    return 0;
}

int letter_destination(struct txn *txn, const char *after, const char **ret_destination)
{
    struct rows rows;
    int r = after
                ? txn_query(txn, &rows,
                            "SELECT destination FROM outbox WHERE state = 0 AND destination > $1"
                            " ORDER BY destination LIMIT 1",
                            T(after))
                : txn_query(txn, &rows, "SELECT destination FROM outbox WHERE state = 0 ORDER BY destination LIMIT 1");
    if (r < 0)
        return r;
    *ret_destination = rows.n ? row_text(&rows, 0, 0) : NULL;
    return 0;
}

static int move_up(struct txn *txn, const struct letter *gone)
{
    return txn_post(txn,
                    "UPDATE outbox SET state = 0, next_us = CASE WHEN next_us > $3 THEN next_us ELSE $3 END"
                    " WHERE destination = $1 AND key = $2 AND state = 1"
                    " AND n = (SELECT MIN(n) FROM outbox WHERE destination = $1 AND key = $2)",
                    T(gone->destination), T(gone->key), I(txn->now_us));
}

/* Mostly there is none, and then one look is enough for all of them. */
static int any_behind(struct txn *txn, const char *destination)
{
    struct rows rows;
    int r = txn_query(txn, &rows, "SELECT 1 FROM outbox WHERE destination = $1 AND state = 1 LIMIT 1", T(destination));
    return r < 0 ? r : rows.n > 0;
}

int letters_take(struct txn *txn, const struct letter *const *letters, size_t n, bool *ret_taken)
{
    for (size_t i = 0; i < n; i++) {
        const struct letter *l = letters[i];
        int64_t taken = txn_exec(txn, "DELETE FROM outbox WHERE destination = $1 AND key = $2 AND n = $3 AND id = $4",
                                 T(l->destination), T(l->key), I(l->n), T(l->id));
        if (taken < 0)
            return (int)taken;
        ret_taken[i] = taken > 0;
    }
    int r = n && letters[0]->destination[0] ? any_behind(txn, letters[0]->destination) : 0;
    if (r <= 0)
        return r;
    txn->touched |= TOUCHED_OUTBOX;
    for (size_t i = 0; i < n; i++)
        if (ret_taken[i] && (r = move_up(txn, letters[i])) < 0)
            return r;
    return 0;
}

int letter_retry(struct txn *txn, const struct letter *letter, int64_t next_us, enum rpc_code code, const char *reason)
{
    txn->touched |= TOUCHED_OUTBOX;
    return txn_post(txn,
                    "UPDATE outbox SET attempts = attempts + 1, next_us = $5, last_code = $6, last_reason = $7"
                    " WHERE destination = $1 AND key = $2 AND n = $3 AND id = $4",
                    T(letter->destination), T(letter->key), I(letter->n), T(letter->id), I(not_before(txn, next_us)),
                    I(code), T(reason));
}

int letter_park(struct txn *txn, const struct letter *letter, enum rpc_code code, const char *reason)
{
    return (int)txn_exec(txn,
                         "UPDATE outbox SET state = 2, attempts = attempts + 1, last_code = $5, last_reason = $6"
                         " WHERE destination = $1 AND key = $2 AND n = $3 AND id = $4",
                         T(letter->destination), T(letter->key), I(letter->n), T(letter->id), I(code), T(reason));
}

int outbox_counts(struct txn *txn, struct outbox_count **ret_counts)
{
    struct rows rows;
    int r = txn_query(txn, &rows,
                      "SELECT destination, COUNT(*) FILTER (WHERE state <> 2), COUNT(*) FILTER (WHERE state = 2),"
                      " COALESCE(MIN(due_us), $1) FROM outbox GROUP BY destination ORDER BY destination",
                      I(txn->now_us));
    if (r < 0)
        return r;
    struct outbox_count *counts = arena_alloc(txn->arena, (rows.n + 1) * sizeof(*counts));
    if (!counts)
        return -ENOMEM;
    for (size_t i = 0; i < rows.n; i++) {
        const char *destination = row_text(&rows, i, 0);
        int64_t age_us = txn->now_us - row_int(&rows, i, 3);
        counts[i] = (struct outbox_count){
            .destination = *destination ? destination : "timers",
            .waiting = row_int(&rows, i, 1),
            .parked = row_int(&rows, i, 2),
            .oldest_age_us = age_us > 0 ? age_us : 0,
        };
    }
    *ret_counts = counts;
    return (int)rows.n;
}
