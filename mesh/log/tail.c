/* LogService: Tail, page by page from any position, and its table of methods. */
#include "mesh/log/serve.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define TAIL_ENTRIES 512
#define TAIL_BYTES   (256 << 10)

struct tail {
    bool started;
    uint64_t after;
};

static int fail_foreign(struct rpc_call *call, const struct log_position *head)
{
    int r = rpc_fail_state(call, "after.incarnation", "FOREIGN_INCARNATION",
                           "the position is of another incarnation of this log");
    rpc_error_meta(call, "incarnation", head->incarnation);
    return r;
}

static int fail_seq(struct rpc_call *call, const char *reason, const char *meta, uint64_t seq, const char *message)
{
    char text[24];
    snprintf(text, sizeof(text), "%" PRIu64, seq);
    int r = rpc_fail(call, RPC_OUT_OF_RANGE, reason, "%s", message);
    rpc_error_meta(call, meta, text);
    return r;
}

/* An empty incarnation with seq 0 is no position: it reads from the floor. */
static int start(struct rpc_call *call, const Mesh__V1__Position *asked, const struct log_position *head,
                 uint64_t floor, uint64_t *ret_after)
{
    if (!asked || (asked->incarnation[0] == '\0' && asked->seq == 0)) {
        *ret_after = floor;
        return 0;
    }
    *ret_after = asked->seq;
    return strcmp(asked->incarnation, head->incarnation) == 0 ? 0 : fail_foreign(call, head);
}

static int check_range(struct rpc_call *call, uint64_t after, uint64_t floor, uint64_t head)
{
    if (after < floor)
        return fail_seq(call, "LOG_TRUNCATED", "floor", floor, "the log does not reach back that far any more");
    if (after > head)
        return fail_seq(call, "LOG_AHEAD", "head", head, "the log has not come that far");
    return 0;
}

int log_check_after(struct rpc_call *call, const struct log_position *after, const struct log_position *head,
                    uint64_t floor)
{
    if (strcmp(after->incarnation, head->incarnation) != 0)
        return fail_foreign(call, head);
    return check_range(call, after->seq, floor, head->seq);
}

/* How many entries fit into a message: at least one, as a payload is at most that large. */
static int count_fitting(struct txn *txn, uint64_t after, size_t max, size_t *ret_n)
{
    struct rows rows;
    int r = txn_query(txn, &rows,
                      "SELECT LENGTH(payload) + LENGTH(key) + LENGTH(owner) FROM event_log WHERE seq > $1 ORDER BY seq"
                      " LIMIT $2",
                      I((int64_t)after), I((int64_t)max));
    if (r < 0)
        return r;
    size_t n = 0;
    for (int64_t bytes = 0; n < rows.n; n++)
        if ((bytes += row_int(&rows, n, 0)) > TAIL_BYTES && n > 0)
            break;
    *ret_n = n;
    return 0;
}

static int read_entries(struct rpc_call *call, struct txn *txn, uint64_t after, size_t max, Mesh__V1__TailResponse *ret)
{
    struct log_entry *entries = NULL;
    size_t fitting;
    int n = count_fitting(txn, after, max, &fitting);
    if (n == 0 && fitting > 0)
        n = log_read(txn, after, fitting, &entries);
    if (n <= 0)
        return n;
    ret->entries = arena_alloc(rpc_arena(call), (size_t)n * sizeof(*ret->entries));
    for (int i = 0; ret->entries && i < n; i++) {
        ret->entries[i] = log_message(rpc_arena(call), &entries[i]);
        if (!ret->entries[i])
            return -ENOMEM;
    }
    if (!ret->entries)
        return -ENOMEM;
    ret->n_entries = (size_t)n;
    return 0;
}

static int tail_page(struct rpc_call *call, struct txn *txn, const void *in, void *out, bool *ret_empty)
{
    const Mesh__V1__TailRequest *request = in;
    Mesh__V1__TailResponse *response = out;
    struct tail *tail = rpc_scratch(call, sizeof(*tail));
    struct log_position head;
    uint64_t floor;
    bool first = tail && !tail->started;
    int r = tail ? log_range(txn, &head, &floor) : -ENOMEM;
    if (r == 0 && first)
        r = start(call, request->after, &head, floor, &tail->after);
    if (r == 0)
        r = check_range(call, tail->after, floor, head.seq);
    if (r == 0)
        r = read_entries(call, txn, tail->after, request->max_entries ? request->max_entries : TAIL_ENTRIES, response);
    if (r < 0)
        return r;

    tail->started = true;
    if (response->n_entries > 0)
        tail->after = response->entries[response->n_entries - 1]->seq;
    response->head = head.seq;
    response->position = log_position_at(rpc_arena(call), head.incarnation, tail->after);
    if (!response->position)
        return -ENOMEM;
    /* The first message comes even if it is empty: it says where the tail stands. */
    *ret_empty = !first && response->n_entries == 0;
    if (tail->after < head.seq)
        return RPC_MORE;
    return request->follow ? RPC_WAIT : RPC_END;
}

Mesh__V1__LogEntry *log_message(struct arena *arena, const struct log_entry *entry)
{
    Mesh__V1__LogEntry *message = arena_message(arena, &mesh__v1__log_entry__descriptor);
    if (!message)
        return NULL;
    message->seq = entry->seq;
    message->key = (char *)entry->key;
    message->owner = (char *)entry->owner;
    message->audience = entry->audience;
    message->type = entry->type;
    message->time_us = entry->time_us;
    message->trace = (char *)entry->trace;
    message->payload.data = (uint8_t *)entry->payload.data;
    message->payload.len = entry->payload.len;
    return message;
}

Mesh__V1__Position *log_position_at(struct arena *arena, const char *incarnation, uint64_t seq)
{
    Mesh__V1__Position *position = arena_message(arena, &mesh__v1__position__descriptor);
    char *copy = arena_copy(arena, incarnation, strlen(incarnation));
    if (!position || !copy)
        return NULL;
    position->incarnation = copy;
    position->seq = seq;
    return position;
}

static const struct rpc_method methods[] = {
    { "Tail", .page = tail_page },
    { "Snapshot", .unit = log_snapshot },
    {},
};

const struct rpc_service log_service = {
    .name = "mesh.v1.LogService",
    .descriptor = &mesh__v1__log_service__descriptor,
    .methods = methods,
};
