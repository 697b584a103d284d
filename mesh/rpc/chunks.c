/* A window of chunks: read ahead, carried out at once, acknowledged in their order. */
#include "mesh/rpc/chunks.h"
#include "mesh/rpc/call.h"

#include <stdlib.h>

#define STATUS_BUDGET (32u << 10)
#define RETRY_US      100000

struct chunk {
    struct chunks *stream;
    struct rpc_call *call;
    struct task task; /* from the lane that ended it to ours */
    bool ended;
    struct bytes ack;
    struct rpc_status status; /* its texts are the call's */
};

struct chunks {
    struct dispatch *dispatch;
    const struct chunks_transport *transport;
    struct rpc_begin begin; /* of every chunk */
    struct arena arena;     /* of the last status */
    /* Read and not acknowledged: n of them, the oldest at first. */
    struct chunk window[CHUNKS_AHEAD];
    size_t first, n, under_way; /* under way: not ended */
    bool reading, sending;      /* a message · an acknowledgement is on its way */
    bool said_all, leaving, finished, released;
    struct chunks *next, **link; /* the dispatcher's list; link NULL: not in it */
};

static void advance(struct chunks *s);

/* --- the end --- */

static void leave_list(struct chunks *s)
{
    if (!s->link)
        return;
    *s->link = s->next;
    if (s->next)
        s->next->link = s->link;
    s->link = NULL;
    s->dispatch->n_streams--;
}

static void free_over(struct chunks *s)
{
    struct dispatch *d = s->dispatch;
    if (!s->released || s->under_way > 0)
        return;
    for (; s->n > 0; s->n--, s->first++)
        dispatch_release(s->window[s->first % CHUNKS_AHEAD].call);
    arena_finish(&s->arena);
    free(s);
    atomic_fetch_sub(&d->active, 1);
}

/* Chunks that are still under way are wanted by nobody: those that have not begun yet do not begin. */
static void finish(struct chunks *s, const struct rpc_status *status)
{
    s->finished = true;
    leave_list(s);
    for (size_t i = 0; i < s->n; i++) {
        struct chunk *chunk = &s->window[(s->first + i) % CHUNKS_AHEAD];
        if (!chunk->ended)
            dispatch_cancel(chunk->call);
    }
    s->transport->finish(s->begin.transport_data, status);
}

static void refuse(struct chunks *s, enum rpc_code code, const char *reason, const char *message, bool again)
{
    struct rpc_call call = { 0 };
    rpc_fail(&call, code, reason, "%s", message);
    if (again)
        rpc_error_retry(&call, RETRY_US);
    struct rpc_status status = error_status(&s->arena, &call.error);
    finish(s, &status);
}

static void refuse_draining(struct chunks *s)
{
    refuse(s, RPC_UNAVAILABLE, "DRAINING", "the process ends: send again what was not acknowledged", true);
}

/* --- one chunk --- */

static void run_ended(struct task *task)
{
    struct chunk *chunk = (struct chunk *)((char *)task - offsetof(struct chunk, task));
    struct chunks *s = chunk->stream;
    chunk->ended = true;
    s->under_way--;
    if (s->finished)
        free_over(s);
    else
        advance(s);
}

/* Any lane. */
static void chunk_finish(struct rpc_call *call, struct bytes reply, const struct rpc_status *status)
{
    struct chunk *chunk = rpc_transport_data(call);
    struct port *port = call->dispatch->port;
    chunk->ack = reply;
    chunk->status = *status;
    chunk->task.run = run_ended;
    port->post(port, LANE_RPC, &chunk->task);
}

/* A chunk has one reply and sends nothing. */
static const struct rpc_transport chunk_transport = { .finish = chunk_finish };

static void begin_chunk(struct chunks *s, struct bytes message)
{
    struct chunk *chunk = &s->window[(s->first + s->n) % CHUNKS_AHEAD];
    struct rpc_begin begin = s->begin;
    *chunk = (struct chunk){ .stream = s };
    s->n++;
    s->under_way++;
    begin.transport = &chunk_transport;
    begin.transport_data = chunk;
    begin.request = message;
    chunk->call = dispatch_begin(s->dispatch, &begin);
}

/* --- the stream --- */

static void send_oldest(struct chunks *s)
{
    struct chunk *oldest = &s->window[s->first % CHUNKS_AHEAD];
    if (s->sending || s->n == 0 || !oldest->ended)
        return;
    if (oldest->status.code != RPC_OK) {
        finish(s, &oldest->status);
        return;
    }
    s->sending = true;
    s->transport->send(s->begin.transport_data, oldest->ack);
}

static void advance(struct chunks *s)
{
    static const struct rpc_status good = { RPC_OK, "", { 0 } };
    send_oldest(s);
    if (s->finished)
        return;
    if (s->n == 0 && s->said_all) {
        finish(s, &good);
    } else if (s->n == 0 && s->leaving) {
        refuse_draining(s);
    } else if (!s->reading && !s->said_all && !s->leaving && s->n < CHUNKS_AHEAD) {
        s->reading = true;
        s->transport->receive(s->begin.transport_data);
    }
}

struct chunks *chunks_begin(struct dispatch *d, const struct chunks_transport *transport, const struct rpc_begin *begin)
{
    struct chunks *s = calloc(1, sizeof(*s));
    struct rpc_status status;
    if (!s)
        abort();
    s->dispatch = d;
    s->transport = transport;
    s->begin = *begin;
    arena_init(&s->arena, STATUS_BUDGET);
    atomic_fetch_add(&d->active, 1);
    if (dispatch_admit(d, begin, &s->arena, &status) < 0) {
        finish(s, &status);
    } else if (d->leaving) {
        refuse_draining(s);
    } else if (d->n_streams >= CHUNKS_OPEN) {
        refuse(s, RPC_RESOURCE_EXHAUSTED, "OVERLOADED", "too many streams of this kind are open", true);
    } else {
        s->next = d->streams;
        s->link = &d->streams;
        if (s->next)
            s->next->link = &s->next;
        d->streams = s;
        d->n_streams++;
        advance(s);
    }
    return s;
}

void chunks_received(struct chunks *s, const struct bytes *message)
{
    s->reading = false;
    if (s->finished)
        return;
    if (!message)
        s->said_all = true;
    else if (!s->leaving) /* what comes now is not taken, nor acknowledged */
        begin_chunk(s, *message);
    advance(s);
}

void chunks_writable(struct chunks *s)
{
    s->sending = false;
    if (s->finished)
        return;
    dispatch_release(s->window[s->first % CHUNKS_AHEAD].call);
    s->first++;
    s->n--;
    advance(s);
}

void chunks_cancel(struct chunks *s)
{
    struct port *port = s->dispatch->port;
    bool late = s->begin.deadline_us > 0 && port->mono_us(port) >= s->begin.deadline_us;
    if (s->finished)
        return;
    if (late)
        refuse(s, RPC_DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED", "the deadline has passed", false);
    else
        refuse(s, RPC_CANCELLED, "CANCELLED", "the caller gave up", false);
}

void chunks_release(struct chunks *s)
{
    s->released = true;
    free_over(s);
}

void chunks_leave(struct dispatch *d)
{
    for (struct chunks *s = d->streams, *next; s; s = next) {
        next = s->next;
        s->leaving = true;
        advance(s);
    }
}
