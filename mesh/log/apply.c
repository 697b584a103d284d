/* A consumer's transactions: the cursor moves together with what it has passed, or neither does. */
#include "mesh/base/say.h"
#include "mesh/log/reader.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* While booting, incarnation and seq are what the snapshot's pages are valid at. */
const struct migration consumer_migrations[] = { { 1, "cursors of consumers",
                                                   "CREATE TABLE consumer_cursor (\n"
                                                   "  name {text} PRIMARY KEY,\n"
                                                   "  incarnation {text} NOT NULL,\n"
                                                   "  seq {int} NOT NULL,\n"
                                                   "  booting {int} NOT NULL CHECK (booting IN (0, 1)),\n"
                                                   "  page_token {text} NOT NULL\n"
                                                   ") {clustered};\n" },
                                                 {} };

static void unit_done(struct unit *unit, int result)
{
    struct reader *reader = OF(unit, struct reader, unit);
    reader->result = result;
    reader->port->post(reader->port, LANE_LOOP, &reader->applied);
}

static void unit_over(struct task *task)
{
    struct reader *reader = OF(task, struct reader, applied);
    reader->applying = false;
    if (reader->phase == READER_ENDING)
        reader_restart(reader, NULL, false);
    else if (reader->lost || reader->result == -ESTALE || reader->result == -ESHUTDOWN)
        reader_restart(reader, "another process has it", false);
    else
        reader->after(reader, reader->result);
}

static void submit(struct reader *reader, int (*run)(struct txn *, void *), void (*after)(struct reader *, int))
{
    reader->after = after;
    reader->applied.run = unit_over;
    reader->applying = true;
    reader->lost = false;
    reader->hold = lease_hold(&reader->lease);
    reader->unit = (struct unit){ .run = run, .arg = reader, .arena = &reader->arena, .done = unit_done };
    store_write(reader->store, &reader->unit);
}

static int guard(struct txn *txn, struct reader *reader)
{
    int r = lease_guard(txn, &reader->hold);
    reader->lost = r == -EPERM;
    return r;
}

static int moved(struct txn *txn, int64_t n)
{
    txn->touched |= TOUCHED_CURSOR;
    return n < 0 ? (int)n : n == 1 ? 0 : -ESTALE;
}

int consumer_position(struct txn *txn, const char *name, struct log_position *ret_position)
{
    struct rows rows;
    int r =
        txn_query(txn, &rows, "SELECT incarnation, seq FROM consumer_cursor WHERE name = $1 AND booting = 0", T(name));
    if (r < 0)
        return r;
    if (rows.n == 0)
        return -ENOENT;
    snprintf(ret_position->incarnation, sizeof(ret_position->incarnation), "%s", row_text(&rows, 0, 0));
    ret_position->seq = (uint64_t)row_int(&rows, 0, 1);
    return 0;
}

/* Its own log has come as far as it goes. */
static int own_reached(struct txn *txn, const char *incarnation, uint64_t *ret_seq)
{
    struct log_position own;
    int r = log_position(txn, &own);
    if (r < 0 || strcmp(own.incarnation, incarnation) != 0)
        return r < 0 ? r : -ENOENT;
    *ret_seq = own.seq;
    return 0;
}

int log_reached(struct txn *txn, const char *incarnation, uint64_t *ret_seq)
{
    struct rows rows;
    int r = txn_query(
        txn, &rows, "SELECT MIN(CASE WHEN booting = 1 THEN 0 ELSE seq END) FROM consumer_cursor WHERE incarnation = $1",
        T(incarnation));
    if (r < 0)
        return r;
    if (row_null(&rows, 0, 0))
        return own_reached(txn, incarnation, ret_seq);
    *ret_seq = (uint64_t)row_int(&rows, 0, 0);
    return 0;
}

/* --- loading, and setting back --- */

static int run_load(struct txn *txn, void *arg)
{
    struct reader *reader = arg;
    struct rows rows;
    int r = guard(txn, reader);
    if (r == 0)
        r = txn_post(txn,
                     "INSERT INTO consumer_cursor (name, incarnation, seq, booting, page_token)"
                     " VALUES ($1, '', 0, 1, '') ON CONFLICT (name) DO NOTHING",
                     T(reader->row->name));
    if (r == 0)
        r = txn_query(txn, &rows, "SELECT incarnation, seq, booting, page_token FROM consumer_cursor WHERE name = $1",
                      T(reader->row->name));
    if (r < 0)
        return r;
    if (rows.n != 1)
        return -ESTALE;
    struct cursor *c = &reader->stored;
    *c = (struct cursor){ .at.seq = (uint64_t)row_int(&rows, 0, 1), .booting = row_int(&rows, 0, 2) };
    snprintf(c->at.incarnation, sizeof(c->at.incarnation), "%s", row_text(&rows, 0, 0));
    snprintf(c->page_token, sizeof(c->page_token), "%s", row_text(&rows, 0, 3));
    return 0;
}

static void loaded(struct reader *reader, int result)
{
    if (result < 0)
        return reader_restart(reader, "the store refuses", false);
    reader->cursor = reader->stored;
    reader_begin(reader);
}

void apply_load(struct reader *reader)
{
    submit(reader, run_load, loaded);
}

static int run_bootstrap(struct txn *txn, void *arg)
{
    struct reader *reader = arg;
    int r = guard(txn, reader);
    if (r < 0)
        return r;
    return moved(txn,
                 txn_exec(txn,
                          "UPDATE consumer_cursor SET booting = 1, page_token = '' WHERE name = $1 AND incarnation = $2"
                          " AND seq = $3",
                          T(reader->row->name), T(reader->cursor.at.incarnation), I((int64_t)reader->cursor.at.seq)));
}

static void set_back(struct reader *reader, int result)
{
    reader_restart(reader, result < 0 ? "the store refuses" : NULL, result == 0);
}

void apply_bootstrap(struct reader *reader)
{
    submit(reader, run_bootstrap, set_back);
}

/* --- entries --- */

static const struct consumed *find_consumed(const struct reader *reader, int32_t type)
{
    for (const struct consumed *c = reader->row->events; c->type; c++)
        if (c->type == type)
            return c;
    return NULL;
}

static struct log_entry entry_of(const Mesh__V1__LogEntry *e, bool snapshot)
{
    return (struct log_entry){
        .seq = e->seq,
        .key = e->key,
        .owner = e->owner,
        .audience = e->audience,
        .type = e->type,
        .time_us = e->time_us,
        .trace = e->trace,
        .payload = { e->payload.data, e->payload.len },
        .snapshot = snapshot,
    };
}

static void *unpack_payload(struct txn *txn, const struct consumed *consumed, const Mesh__V1__LogEntry *e)
{
    ProtobufCAllocator allocator = arena_protobuf(txn->arena);
    return protobuf_c_message_unpack(consumed->payload, &allocator, e->payload.len, e->payload.data);
}

static int apply_each(struct txn *txn, const struct reader *reader, Mesh__V1__LogEntry *const *entries, size_t n,
                      bool snapshot)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < n; i++) {
        const struct consumed *consumed = find_consumed(reader, entries[i]->type);
        if (!consumed->apply)
            continue;
        void *payload = unpack_payload(txn, consumed, entries[i]);
        if (!payload)
            return -EBADMSG;
        struct log_entry entry = entry_of(entries[i], snapshot);
        struct trace trace;
        trace_parse(entry.trace, &trace);
        txn->trace = &trace;
        r = consumed->apply(txn, &entry, payload);
        txn->trace = NULL;
    }
    return r;
}

static int apply_together(struct txn *txn, const struct reader *reader, Mesh__V1__LogEntry *const *entries, size_t n,
                          bool snapshot)
{
    struct log_entry *kept = arena_alloc(txn->arena, n * sizeof(*kept));
    const void **payloads = arena_alloc(txn->arena, n * sizeof(*payloads));
    size_t n_kept = 0;
    if (!kept || !payloads)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        const struct consumed *consumed = find_consumed(reader, entries[i]->type);
        if (!consumed->payload)
            continue;
        payloads[n_kept] = unpack_payload(txn, consumed, entries[i]);
        if (!payloads[n_kept])
            return -EBADMSG;
        kept[n_kept++] = entry_of(entries[i], snapshot);
    }
    return n_kept ? reader->row->apply_all(txn, kept, payloads, n_kept) : 0;
}

static int apply_entries(struct txn *txn, const struct reader *reader, Mesh__V1__LogEntry *const *entries, size_t n,
                         bool snapshot)
{
    return (reader->row->apply_all ? apply_together : apply_each)(txn, reader, entries, n, snapshot);
}

static void say_refused(const struct reader *reader, int result)
{
    say(SAY_ERROR, NULL, "events cannot be applied", SAY_T("consumer", reader->row->name),
        SAY_N("after", (int64_t)reader->cursor.at.seq), SAY_N("errno", -result));
}

/* --- a page of the snapshot --- */

static int run_page(struct txn *txn, void *arg)
{
    struct reader *reader = arg;
    const struct cursor *from = &reader->cursor, *to = &reader->stored;
    int r = guard(txn, reader);
    if (r == 0)
        r = moved(txn, txn_exec(txn,
                                "UPDATE consumer_cursor SET incarnation = $3, seq = $4, booting = $5, page_token = $6"
                                " WHERE name = $1 AND booting = 1 AND page_token = $2",
                                T(reader->row->name), T(from->page_token), T(to->at.incarnation),
                                I((int64_t)to->at.seq), I(to->booting), T(to->page_token)));
    return r < 0 ? r : apply_entries(txn, reader, reader->page->entries, reader->page->n_entries, true);
}

static void page_applied(struct reader *reader, int result)
{
    if (result < 0) {
        say_refused(reader, result);
        return reader_restart(reader, "the snapshot cannot be applied", false);
    }
    metric_add(reader->applied_events, (int64_t)reader->page->n_entries);
    reader->cursor = reader->stored;
    reader->attempts = 0;
    reader_begin(reader);
}

void apply_page(struct reader *reader)
{
    const Mesh__V1__SnapshotResponse *page = reader->page;
    struct cursor *c = &reader->stored;
    for (size_t i = 0; i < page->n_entries; i++)
        if (!find_consumed(reader, page->entries[i]->type))
            return reader_stop_at(reader, page->entries[i]->type);

    *c = (struct cursor){ .booting = page->next_page_token[0] != '\0' };
    int token = snprintf(c->page_token, sizeof(c->page_token), "%s", page->next_page_token);
    if (!page->valid_at || token >= (int)sizeof(c->page_token))
        return reader_restart(reader, "the snapshot is malformed", false);
    c->at.seq = page->valid_at->seq;
    snprintf(c->at.incarnation, sizeof(c->at.incarnation), "%s", page->valid_at->incarnation);
    bool first = reader->cursor.page_token[0] == '\0';
    bool same = c->at.seq == reader->cursor.at.seq && strcmp(c->at.incarnation, reader->cursor.at.incarnation) == 0;
    if (!first && !same)
        return apply_bootstrap(reader);
    submit(reader, run_page, page_applied);
}

/* --- what the tail brings --- */

static int run_tail(struct txn *txn, void *arg)
{
    struct reader *reader = arg;
    uint64_t last = reader->tail->entries[reader->at + reader->width - 1]->seq;
    int r = guard(txn, reader);
    if (r == 0)
        r = moved(txn, txn_exec(txn,
                                "UPDATE consumer_cursor SET seq = $4 WHERE name = $1 AND incarnation = $2 AND seq = $3"
                                " AND booting = 0",
                                T(reader->row->name), T(reader->cursor.at.incarnation),
                                I((int64_t)reader->cursor.at.seq), I((int64_t)last)));
    return r < 0 ? r : apply_entries(txn, reader, reader->tail->entries + reader->at, reader->width, false);
}

static void next_window(struct reader *reader);

/* One that fails must not hold up what stands before it; it itself is never skipped. */
static void tail_applied(struct reader *reader, int result)
{
    if (result < 0 && reader->width > 1 && result != -EAGAIN) {
        reader->width = 1;
        return submit(reader, run_tail, tail_applied);
    }
    if (result < 0) {
        say_refused(reader, result);
        return reader_restart(reader, "an event cannot be applied", false);
    }
    metric_add(reader->applied_events, (int64_t)reader->width);
    reader->cursor.at.seq = reader->tail->entries[reader->at + reader->width - 1]->seq;
    reader->at += reader->width;
    next_window(reader);
}

static void next_window(struct reader *reader)
{
    if (reader->head >= reader->cursor.at.seq)
        metric_set(reader->lag, (int64_t)(reader->head - reader->cursor.at.seq));
    if (reader->at < reader->end) {
        if (reader->width != 1)
            reader->width = reader->end - reader->at;
        return submit(reader, run_tail, tail_applied);
    }
    if (reader->end < reader->tail->n_entries)
        return reader_stop_at(reader, reader->tail->entries[reader->end]->type);
    reader->attempts = 0;
    reader_go_on(reader);
}

/* A message may come twice or late: what was applied is passed over, and a gap means asking again from the cursor. */
void apply_tail(struct reader *reader)
{
    const Mesh__V1__TailResponse *tail = reader->tail;
    size_t at = 0;
    while (at < tail->n_entries && tail->entries[at]->seq <= reader->cursor.at.seq)
        at++;
    reader->at = at;
    for (uint64_t next = reader->cursor.at.seq + 1; at < tail->n_entries; at++, next++) {
        if (tail->entries[at]->seq != next)
            return reader_restart(reader, "entries are missing", true);
        if (!find_consumed(reader, tail->entries[at]->type))
            break;
    }
    reader->end = at;
    reader->width = 0;
    if (tail->head > reader->head)
        reader->head = tail->head;
    next_window(reader);
}
