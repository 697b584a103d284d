/* The table of events and its head: appending, reading and forgetting entries, inside units. */
#include "mesh/log/log.h"
#include "mesh/port.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define COLUMNS 8

/* The head of an emptied log is its floor, so neither is ever lost by pruning. */
const struct migration log_migrations[] = { { 1, "the log of events",
                                              "CREATE TABLE event_log (\n"
                                              "  seq {int} PRIMARY KEY,\n"
                                              "  key {text} NOT NULL,\n"
                                              "  owner {text} NOT NULL,\n"
                                              "  audience {int} NOT NULL,\n"
                                              "  type {int} NOT NULL,\n"
                                              "  time_us {int} NOT NULL,\n"
                                              "  trace {text} NOT NULL,\n"
                                              "  payload {blob} NOT NULL\n"
                                              ") {strict};\n"
                                              "CREATE TABLE log_head (\n"
                                              "  one {int} PRIMARY KEY CHECK (one = 1),\n"
                                              "  incarnation {text} NOT NULL,\n"
                                              "  floor {int} NOT NULL\n"
                                              ") {strict};\n" },
                                            {} };

static const char *trace_of(struct txn *txn)
{
    if (!txn->trace)
        return "";
    char text[TRACE_TEXT];
    trace_format(txn->trace, text);
    return arena_copy(txn->arena, text, strlen(text));
}

int log_append_many(struct txn *txn, const struct event *events, size_t n)
{
    if (n == 0)
        return 0;
    struct value *values = arena_alloc(txn->arena, n * COLUMNS * sizeof(*values));
    const char *trace = trace_of(txn);
    if (!values || !trace)
        return -ENOMEM;

    struct value *at = values;
    for (const struct event *e = events; e < events + n; e++) {
        assert(e->type > 0 && e->key && e->owner && e->payload);
        struct bytes payload = arena_pack(txn->arena, e->payload);
        if (!payload.data)
            return -ENOMEM;
        if (payload.len > LOG_PAYLOAD_MAX)
            return -E2BIG;
        *at++ = I((int64_t)++txn->log_seq);
        *at++ = T(e->key);
        *at++ = T(e->owner);
        *at++ = I(e->audience);
        *at++ = I(e->type);
        *at++ = I(txn->now_us);
        *at++ = T(trace);
        *at++ = B(payload);
    }
    txn->touched |= TOUCHED_LOG;
    return txn_post_many(txn,
                         "INSERT INTO event_log (seq, key, owner, audience, type, time_us, trace, payload)"
                         " VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
                         n, COLUMNS, values);
}

int log_append(struct txn *txn, const struct event *event)
{
    return log_append_many(txn, event, 1);
}

struct opening {
    char incarnation[INCARNATION_MAX];
    struct log_position *ret_head;
};

static int open_log(struct txn *txn, void *arg)
{
    struct opening *opening = arg;
    int r =
        txn_post(txn, "INSERT INTO log_head (one, incarnation, floor) VALUES (1, $1, 0) ON CONFLICT (one) DO NOTHING",
                 T(opening->incarnation));
    return r < 0 ? r : log_position(txn, opening->ret_head);
}

static int renew_log(struct txn *txn, void *arg)
{
    struct opening *opening = arg;
    int r = txn_post(txn, "UPDATE log_head SET incarnation = $1 WHERE one = 1", T(opening->incarnation));
    return r < 0 ? r : log_position(txn, opening->ret_head);
}

/* Runs with an incarnation that nobody had. */
static int with_incarnation(struct store *store, int (*run)(struct txn *txn, void *arg), struct log_position *ret_head)
{
    struct log_position head = { 0 };
    struct opening opening = { .ret_head = &head };
    uint64_t chance;
    struct port *port = store_port(store);
    port->random(port, &chance, sizeof(chance));
    snprintf(opening.incarnation, sizeof(opening.incarnation), "%016llx", (unsigned long long)chance);

    struct arena arena;
    arena_init(&arena, 64 << 10);
    struct unit unit = { .run = run, .arg = &opening, .arena = &arena };
    int r = store_write_now(store, &unit);
    arena_finish(&arena);
    if (r == 0)
        *ret_head = head;
    return r;
}

int log_open(struct store *store, struct log_position *ret_head)
{
    int r = with_incarnation(store, open_log, ret_head);
    if (r == 0)
        store_set_log_seq(store, ret_head->seq);
    return r;
}

int log_renew(struct store *store, struct log_position *ret_head)
{
    return with_incarnation(store, renew_log, ret_head);
}

int log_range(struct txn *txn, struct log_position *ret_head, uint64_t *ret_floor)
{
    struct rows rows;
    int r = txn_query(txn, &rows,
                      "SELECT incarnation, COALESCE((SELECT MAX(seq) FROM event_log), floor), floor"
                      " FROM log_head WHERE one = 1");
    if (r < 0)
        return r;
    if (rows.n != 1)
        return -EPROTO;
    snprintf(ret_head->incarnation, sizeof(ret_head->incarnation), "%s", row_text(&rows, 0, 0));
    ret_head->seq = (uint64_t)row_int(&rows, 0, 1);
    *ret_floor = (uint64_t)row_int(&rows, 0, 2);
    return 0;
}

int log_position(struct txn *txn, struct log_position *ret_position)
{
    uint64_t floor;
    return log_range(txn, ret_position, &floor);
}

/* How many of the first n are old, and the number of the last of them. */
static int64_t find_old(struct txn *txn, int64_t max_age_us, size_t n, int64_t *ret_last)
{
    struct rows rows;
    int r = txn_query(txn, &rows, "SELECT seq, time_us FROM event_log ORDER BY seq LIMIT $1", I((int64_t)n));
    if (r < 0)
        return r;
    size_t old = 0;
    while (old < rows.n && row_int(&rows, old, 1) < txn->now_us - max_age_us)
        old++;
    if (old > 0)
        *ret_last = row_int(&rows, old - 1, 0);
    return (int64_t)old;
}

/* Only a prefix goes: an entry that a clock set in the future dated keeps what follows it, but the log stays gapless.
 * Mostly there is nothing to forget, which the first entry tells. */
int64_t log_prune(struct txn *txn, int64_t max_age_us, size_t n)
{
    int64_t floor = 0, old = find_old(txn, max_age_us, 1, &floor);
    if (old > 0 && n > 1)
        old = find_old(txn, max_age_us, n, &floor);
    if (old <= 0)
        return old;

    int r = txn_post(txn, "UPDATE log_head SET floor = $1 WHERE one = 1", I(floor));
    return r < 0 ? r : txn_exec(txn, "DELETE FROM event_log WHERE seq <= $1", I(floor));
}

int log_read(struct txn *txn, uint64_t after, size_t max, struct log_entry **ret_entries)
{
    struct rows rows;
    int r = txn_query(txn, &rows,
                      "SELECT seq, key, owner, audience, type, time_us, trace, payload FROM event_log"
                      " WHERE seq > $1 ORDER BY seq LIMIT $2",
                      I((int64_t)after), I((int64_t)max));
    if (r < 0)
        return r;
    struct log_entry *entries = arena_alloc(txn->arena, (rows.n + 1) * sizeof(*entries));
    if (!entries)
        return -ENOMEM;
    for (size_t i = 0; i < rows.n; i++)
        entries[i] = (struct log_entry){
            .seq = (uint64_t)row_int(&rows, i, 0),
            .key = row_text(&rows, i, 1),
            .owner = row_text(&rows, i, 2),
            .audience = (uint32_t)row_int(&rows, i, 3),
            .type = (int32_t)row_int(&rows, i, 4),
            .time_us = row_int(&rows, i, 5),
            .trace = row_text(&rows, i, 6),
            .payload = row_blob(&rows, i, 7),
        };
    *ret_entries = entries;
    return (int)rows.n;
}
