/* A chain of turns, one at a time: is anything due, where is svc-order's head, and then, as soon as the consumer has
 * come there, the end of some of what was due when that was asked. */
#include "svc-inventory/expiry.h"

#include "svc-inventory/holdings.h"

#include "mesh/base/say.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BEAT_US             1000000
#define BEHIND_US           50000 /* until the consumer is looked at again */
#define ASK_TIMEOUT_US      5000000
#define ENDS_MAX            64 /* in one transaction */
#define ARENA_BUDGET        (4 << 20)
#define TAIL                "/mesh.v1.LogService/Tail"
#define OF(pointer, member) ((struct expiry *)((char *)(pointer)-offsetof(struct expiry, member)))

struct expiry {
    struct service *service;
    struct port *port;
    struct timer beat;
    struct arena arena; /* of one turn */
    struct unit unit;
    struct task task;
    struct outcall call;
    bool busy, calling;
    int result;
    void (*stopped)(void *); /* NULL: not to stop */
    void *stopped_arg;

    bool due, more;           /* the time of some is over; and of others, too */
    struct log_position at;   /* of the consumer */
    struct log_position head; /* of svc-order's log, as it was at asked_us or later */
    int64_t asked_us;
    bool known, behind; /* the head is; the consumer has not come there */
};

static void next(struct expiry *expiry, void (*run)(struct task *task))
{
    expiry->task.run = run;
    expiry->port->post(expiry->port, LANE_LOOP, &expiry->task);
}

static void rest(struct expiry *expiry, int64_t pause_us)
{
    expiry->busy = false;
    if (expiry->stopped)
        expiry->stopped(expiry->stopped_arg);
    else
        expiry->port->timer_start(expiry->port, &expiry->beat, pause_us);
}

/* --- the end of some --- */

static int tell(struct txn *txn, struct event *events, const struct holding *holding)
{
    ReservationExpired *payload = arena_message(txn->arena, &oms__event__v1__reservation_expired__descriptor);
    if (!payload)
        return -ENOMEM;
    payload->order_id = (char *)holding->order_id;
    payload->operation_id = (char *)holding->operation.id;
    *events = (struct event){
        .type = OMS__EVENT__V1__EVENT_TYPE__RESERVATION_EXPIRED,
        .key = holding->order_id,
        .owner = "",
        .audience = AUDIENCE_STAFF,
        .payload = &payload->base,
    };
    return 0;
}

static int end_all(struct txn *txn, const struct operation *operations, size_t n)
{
    struct holdings holdings;
    struct event *events = arena_alloc(txn->arena, n * sizeof(*events));
    size_t n_events = 0;
    int r = events ? holdings_open(txn, operations, n, &holdings) : -ENOMEM;
    for (size_t i = 0; r == 0 && i < n; i++) {
        struct holding *holding = holdings_find(&holdings, &operations[i]);
        if (!holding || !holding_open(holding))
            continue;
        r = holding_end(&holdings, holding, TAKEN_EXPIRED);
        if (r == 0)
            r = tell(txn, &events[n_events++], holding);
    }
    if (r == 0)
        r = holdings_close(&holdings);
    return r < 0 ? r : log_append_many(txn, events, n_events);
}

static int end_due(struct txn *txn, void *arg)
{
    struct expiry *expiry = arg;
    struct rows rows;
    int r = txn_query(txn, &rows,
                      "UPDATE reservation SET expire_us = 0 WHERE (holder, operation_id) IN (SELECT holder, "
                      "operation_id FROM reservation WHERE expire_us > 0 AND expire_us <= $1 "
                      "ORDER BY expire_us LIMIT $2) RETURNING holder, operation_id",
                      I(expiry->asked_us), I(ENDS_MAX));
    if (r < 0)
        return r;
    struct operation *operations = arena_alloc(txn->arena, rows.n * sizeof(*operations));
    if (!operations)
        return -ENOMEM;
    for (size_t i = 0; i < rows.n; i++)
        operations[i] = (struct operation){ row_text(&rows, i, 0), row_text(&rows, i, 1) };
    expiry->more = rows.n == ENDS_MAX;
    return rows.n ? end_all(txn, operations, rows.n) : 0;
}

static int run_end(struct txn *txn, void *arg)
{
    struct expiry *expiry = arg;
    expiry->behind = expiry->more = false;
    int r = consumer_position(txn, ORDERS_CONSUMER, &expiry->at);
    if (r < 0)
        return r;
    if (strcmp(expiry->at.incarnation, expiry->head.incarnation) != 0)
        return -ENOENT;
    expiry->behind = expiry->at.seq < expiry->head.seq;
    return expiry->behind ? 0 : book_apart(txn, end_due, expiry);
}

static void start_ending(struct expiry *expiry);

static void ended(struct task *task)
{
    struct expiry *expiry = OF(task, task);
    if (expiry->result == 0 && expiry->more && !expiry->stopped)
        return start_ending(expiry);
    if (expiry->result < 0 && expiry->result != -ENOENT)
        say(SAY_WARN, NULL, "reservations could not be ended", SAY_N("errno", -expiry->result));
    expiry->known = expiry->result == 0 && expiry->behind;
    rest(expiry, expiry->known ? BEHIND_US : BEAT_US);
}

static void end_done(struct unit *unit, int result)
{
    struct expiry *expiry = OF(unit, unit);
    expiry->result = result;
    next(expiry, ended);
}

static void start_ending(struct expiry *expiry)
{
    expiry->unit = (struct unit){ .run = run_end, .arg = expiry, .arena = &expiry->arena, .done = end_done };
    store_write(service_store(expiry->service), &expiry->unit);
}

/* --- where the head is --- */

static bool heard(struct outcall *call, struct bytes message)
{
    struct expiry *expiry = OF(call, call);
    ProtobufCAllocator allocator = arena_protobuf(&expiry->arena);
    Mesh__V1__TailResponse *tail = mesh__v1__tail_response__unpack(&allocator, message.len, message.data);
    if (!tail || !tail->position)
        return true;
    expiry->head = expiry->at;
    expiry->head.seq = tail->head;
    expiry->known = true;
    return true;
}

static void asked(struct task *task)
{
    struct expiry *expiry = OF(task, task);
    expiry->calling = false;
    expiry->known &= expiry->result == 0;
    if (expiry->known && !expiry->stopped)
        start_ending(expiry);
    else
        rest(expiry, BEAT_US);
}

static void call_done(struct outcall *call, const struct rpc_status *status)
{
    struct expiry *expiry = OF(call, call);
    expiry->result = status->code == RPC_OK ? 0 : -EIO;
    next(expiry, asked);
}

static void ask_head(struct expiry *expiry)
{
    Mesh__V1__Position after = MESH__V1__POSITION__INIT;
    Mesh__V1__TailRequest request = MESH__V1__TAIL_REQUEST__INIT;
    after.incarnation = expiry->at.incarnation;
    after.seq = expiry->at.seq;
    request.after = &after;
    request.max_entries = 1;
    expiry->asked_us = expiry->port->wall_us(expiry->port);
    expiry->call = (struct outcall){
        .peer = ORDERS_SOURCE,
        .method = TAIL,
        .request = arena_pack(&expiry->arena, &request.base),
        .timeout_us = ASK_TIMEOUT_US,
        .message = heard,
        .done = call_done,
    };
    trace_child(expiry->port, NULL, &expiry->call.trace);
    expiry->calling = true;
    expiry->port->call(expiry->port, &expiry->call);
}

/* --- is anything due --- */

static int run_look(struct txn *txn, void *arg)
{
    struct expiry *expiry = arg;
    struct rows rows;
    int r = txn_query(txn, &rows, "SELECT 1 FROM reservation WHERE expire_us > 0 AND expire_us <= $1 LIMIT 1",
                      I(txn->now_us));
    if (r < 0)
        return r;
    expiry->due = rows.n > 0;
    return expiry->due ? consumer_position(txn, ORDERS_CONSUMER, &expiry->at) : 0;
}

static void looked(struct task *task)
{
    struct expiry *expiry = OF(task, task);
    if (expiry->result == 0 && expiry->due && !expiry->stopped)
        ask_head(expiry);
    else
        rest(expiry, BEAT_US);
}

static void look_done(struct unit *unit, int result)
{
    struct expiry *expiry = OF(unit, unit);
    expiry->result = result;
    next(expiry, looked);
}

static void beat(struct timer *timer)
{
    struct expiry *expiry = OF(timer, beat);
    expiry->busy = true;
    arena_finish(&expiry->arena);
    arena_init(&expiry->arena, ARENA_BUDGET);
    if (expiry->known)
        return start_ending(expiry);
    expiry->unit = (struct unit){ .run = run_look, .arg = expiry, .arena = &expiry->arena, .done = look_done };
    store_read(service_store(expiry->service), &expiry->unit);
}

int expiry_create(struct service *service, struct expiry **ret_expiry)
{
    struct expiry *expiry = calloc(1, sizeof(*expiry));
    if (!expiry)
        return -ENOMEM;
    expiry->service = service;
    expiry->port = service_port(service);
    expiry->beat.fire = beat;
    expiry->port->timer_start(expiry->port, &expiry->beat, BEAT_US);
    *ret_expiry = expiry;
    return 0;
}

void expiry_stop(struct expiry *expiry, void (*stopped)(void *), void *arg)
{
    expiry->stopped = stopped;
    expiry->stopped_arg = arg;
    expiry->port->timer_stop(expiry->port, &expiry->beat);
    if (expiry->calling)
        expiry->port->cancel(expiry->port, &expiry->call);
    if (!expiry->busy)
        stopped(arg);
}

void expiry_destroy(struct expiry *expiry)
{
    if (!expiry)
        return;
    arena_finish(&expiry->arena);
    free(expiry);
}
