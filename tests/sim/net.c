/* The network: calls and streams between machines as parcels that take their time, get lost, come twice or late. */
#include "tests/sim/inner.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define KEEPALIVE_US 20000000  /* by then a side has noticed that the other one is gone */
#define HELD_UP_US   120000000 /* what was held up arrives by so long after it could */
#define WINDOW_MAX   4         /* messages of a stream under way */

enum leg_state { LEG_FLYING, LEG_LIVE, LEG_FINISHED, LEG_OVER };

/* One delivery of a request; a doubled request has two. */
struct leg {
    struct flight *flight;
    enum leg_state state;
    void *call;  /* the server's handle while LIVE */
    bool orphan; /* a double, or long given up: nobody cancels it */
    bool may_send, blocked;
    unsigned unacknowledged, window;
    struct parcel *deadline;
};

struct flight {
    struct world *world;
    struct node *from, *to;
    struct outcall *out; /* NULL: the caller has been told the end, or is gone */
    struct outcall sent; /* copies of what was sent */
    struct caller caller;
    int64_t deadline_us;
    struct leg legs[2];
    size_t n_legs, parcels;
    bool streams;
    bool torn; /* what the server still says is lost */
    bool held; /* the caller does not want the next message yet */
    struct parcel *waiting, **waiting_end;
    struct parcel *deadline;
    int64_t last_arrival_us;
    struct flight *next, **at;
};

struct parcel {
    struct coming event;
    struct job job;
    struct flight *flight;
    struct leg *leg; /* NULL: the world itself says it */
    const struct parcel_kind *kind;
    void *call;
    uint8_t *data;
    size_t len;
    enum rpc_code code;
    char *message;
    uint8_t *details;
    size_t details_len;
    struct parcel *next;
};

struct parcel_kind {
    char letter;
    bool to_server;
    void (*arrive)(struct parcel *parcel); /* on the rpc lane of where it goes; the parcel is freed afterwards */
    void (*lost)(struct parcel *parcel);   /* where it goes is down; NULL: nobody cares */
};

static void begin_arrives(struct parcel *p), begin_lost(struct parcel *p), cancel_arrives(struct parcel *p),
    writable_arrives(struct parcel *p), acknowledge_arrives(struct parcel *p), release_arrives(struct parcel *p),
    release_lost(struct parcel *p), answer_arrives(struct parcel *p);

static const struct parcel_kind begin_kind = { 'B', true, begin_arrives, begin_lost };
static const struct parcel_kind cancel_kind = { 'C', true, cancel_arrives, NULL };
static const struct parcel_kind drain_kind = { 'D', true, cancel_arrives, NULL };
static const struct parcel_kind writable_kind = { 'W', true, writable_arrives, NULL };
static const struct parcel_kind acknowledge_kind = { 'A', true, acknowledge_arrives, NULL };
static const struct parcel_kind release_kind = { 'R', true, release_arrives, release_lost };
static const struct parcel_kind message_kind = { 'M', false, answer_arrives, NULL };
static const struct parcel_kind end_kind = { 'E', false, answer_arrives, NULL };

static void *copy(const void *data, size_t n)
{
    char *made = malloc(n + 1);

    assert(made);
    if (n)
        memcpy(made, data, n);
    made[n] = 0;
    return made;
}

/* --- parcels --- */

static void flight_end(struct flight *f)
{
    if (f->out || f->parcels > 0)
        return;
    for (size_t i = 0; i < f->n_legs; i++)
        if (f->legs[i].state == LEG_LIVE)
            return;
    *f->at = f->next;
    if (f->next)
        f->next->at = f->at;
    free((void *)f->sent.request.data);
    free((void *)f->sent.method);
    free(f);
}

static void parcel_free(struct parcel *p)
{
    struct flight *f = p->flight;

    if (f->deadline == p)
        f->deadline = NULL;
    if (p->leg && p->leg->deadline == p)
        p->leg->deadline = NULL;
    free(p->data);
    free(p->message);
    free(p->details);
    free(p);
    f->parcels--;
    flight_end(f);
}

static void parcel_drop(struct job *job)
{
    struct parcel *p = CONTAINER(job, struct parcel, job);

    if (p->kind->lost)
        p->kind->lost(p);
    parcel_free(p);
}

static void parcel_run(struct task *task)
{
    struct parcel *p = CONTAINER(task, struct parcel, job.task);
    struct world *w = p->flight->world;

    world_note(w, (uint64_t)p->kind->letter << 16 | p->flight->from->index << 8 | p->flight->to->index);
    world_note_bytes(w, (struct bytes){ p->data, p->len });
    if (w->verbose > 1)
        world_say(w, "%s %c %s %s %s", p->flight->from->name, p->kind->letter, p->flight->to->name,
                  p->flight->sent.method, p->kind == &end_kind ? rpc_code_name(p->code) : "");
    p->kind->arrive(p);
    parcel_free(p);
}

static void parcel_hand_over(struct parcel *p)
{
    struct node *at = p->kind->to_server ? p->flight->to : p->flight->from;
    bool local = p->leg == NULL || p->kind == &writable_kind || p->kind == &release_kind || p->kind == &drain_kind;

    if (!at->up || (!local && nodes_cut(p->flight->from, p->flight->to)))
        parcel_drop(&p->job);
    else
        lane_push(at, LANE_RPC, &p->job.task, &p->job);
}

static void parcel_due(struct coming *event)
{
    parcel_hand_over(CONTAINER(event, struct parcel, event));
}

static void parcel_forget(struct coming *event)
{
    parcel_free(CONTAINER(event, struct parcel, event));
}

static struct parcel *parcel_make(struct flight *f, struct leg *leg, const struct parcel_kind *kind)
{
    struct parcel *p = calloc(1, sizeof(*p));

    assert(p);
    p->event.happen = parcel_due;
    p->event.forget = parcel_forget;
    p->job = (struct job){ .task.run = parcel_run, .drop = parcel_drop };
    p->flight = f;
    p->leg = leg;
    p->kind = kind;
    f->parcels++;
    return p;
}

static struct parcel *parcel_send(struct flight *f, struct leg *leg, const struct parcel_kind *kind, int64_t delay_us)
{
    struct parcel *p = parcel_make(f, leg, kind);

    world_schedule(f->world, &p->event, delay_us);
    return p;
}

/* Takes a parcel out of the heap; one that is already on a lane finds its purpose gone. */
static void parcel_recall(struct parcel *p)
{
    if (!p || p->event.at == 0)
        return;
    world_unschedule(p->flight->world, &p->event);
    parcel_free(p);
}

static int64_t latency_us(struct world *w)
{
    if (world_fault(w, w->faults.late))
        return world_span(w, KEEPALIVE_US);
    return 20 + (int64_t)world_roll(w, 400);
}

static struct parcel *tell_caller(struct flight *f, enum rpc_code code, const char *message, int64_t delay_us)
{
    struct parcel *p = parcel_send(f, NULL, &end_kind, delay_us);

    p->code = code;
    p->message = copy(message, strlen(message));
    return p;
}

/* The connection is gone: each side notices at its own time. */
static void tear(struct flight *f)
{
    if (f->torn)
        return;
    f->torn = true;
    if (f->out)
        tell_caller(f, RPC_UNAVAILABLE, "the connection broke", world_span(f->world, KEEPALIVE_US));
    for (size_t i = 0; i < f->n_legs; i++)
        if (f->legs[i].state <= LEG_LIVE && !f->legs[i].orphan)
            parcel_send(f, &f->legs[i], &cancel_kind, world_span(f->world, KEEPALIVE_US));
}

/* --- at the server --- */

static void begin_arrives(struct parcel *p)
{
    struct flight *f = p->flight;
    struct leg *leg = p->leg;
    struct node *node = f->to;

    if (leg->state != LEG_FLYING)
        return;
    if (!node->ops || node->refuses) {
        leg->state = LEG_OVER;
        if (f->out && !leg->orphan)
            tell_caller(f, RPC_UNAVAILABLE, "connection refused", latency_us(f->world));
        return;
    }
    leg->state = LEG_LIVE;
    leg->may_send = true;
    f->streams = node->ops->streams(f->sent.method);
    int64_t deadline_us = f->deadline_us;
    if (deadline_us && leg->orphan && world_roll(f->world, 2))
        deadline_us = f->world->now_us + f->sent.timeout_us;
    if (deadline_us)
        leg->deadline = parcel_send(f, leg, &cancel_kind, deadline_us - f->world->now_us);
    void *call =
        node->ops->begin(node, leg, &f->sent, &f->caller, deadline_us ? deadline_us + node->mono_offset_us : 0);
    if (leg->state == LEG_LIVE)
        leg->call = call;
}

/* Until then, and a while longer: who was told that nobody is there has gone on. */
static int64_t held_up_us(const struct flight *f)
{
    const struct node *to = f->to;
    int64_t until_us = to->up ? f->from->cut_until_us[to->index] : to->reboot.due_us;

    return (until_us > f->world->now_us ? until_us - f->world->now_us : 0) + (int64_t)world_roll(f->world, HELD_UP_US);
}

static void begin_lost(struct parcel *p)
{
    struct flight *f = p->flight;
    struct world *w = f->world;
    struct leg *leg = p->leg;

    if (f->out && !leg->orphan)
        tell_caller(f, RPC_UNAVAILABLE, "connection refused", world_span(w, KEEPALIVE_US));
    leg->state = f->sent.timeout_us && world_fault(w, w->faults.held_up) ? LEG_FLYING : LEG_OVER;
    if (leg->state == LEG_OVER)
        return;
    leg->orphan = true;
    parcel_send(f, leg, &begin_kind, held_up_us(f));
}

static void cancel_arrives(struct parcel *p)
{
    if (p->leg->state == LEG_FLYING)
        p->leg->state = LEG_OVER;
    else if (p->leg->state == LEG_LIVE)
        p->flight->to->ops->cancel(p->leg->call);
}

static void writable_arrives(struct parcel *p)
{
    if (p->leg->state != LEG_LIVE)
        return;
    p->leg->may_send = true;
    p->flight->to->ops->writable(p->leg->call);
}

static void acknowledge_arrives(struct parcel *p)
{
    p->leg->unacknowledged--;
    if (!p->leg->blocked)
        return;
    p->leg->blocked = false;
    writable_arrives(p);
}

static void release_arrives(struct parcel *p)
{
    p->flight->to->ops->release(p->call);
    p->leg->state = LEG_OVER;
}

static void release_lost(struct parcel *p)
{
    world_bury(p->call);
}

void node_send(void *handle, struct bytes message)
{
    struct leg *leg = handle;
    struct flight *f = leg->flight;
    struct world *w = f->world;

    if (node_silent(f->to))
        return;
    assert(leg->state == LEG_LIVE && leg->may_send);
    leg->may_send = false;
    if (world_fault(w, w->faults.stream_broken))
        tear(f);
    int64_t due_us = w->now_us + latency_us(w);
    f->last_arrival_us = due_us > f->last_arrival_us ? due_us : f->last_arrival_us;
    struct parcel *p = parcel_send(f, leg, &message_kind, f->last_arrival_us - w->now_us);
    p->data = copy(message.data, message.len);
    p->len = message.len;
    leg->blocked = ++leg->unacknowledged >= leg->window;
    if (!leg->blocked)
        parcel_send(f, leg, &writable_kind, 5 + (int64_t)world_roll(w, 50));
}

void node_finish(void *handle, void *call, struct bytes reply, const struct rpc_status *status)
{
    struct leg *leg = handle;
    struct flight *f = leg->flight;
    struct world *w = f->world;

    if (node_silent(f->to))
        return;
    assert(leg->state == LEG_LIVE);
    leg->state = LEG_FINISHED;
    struct parcel *release = parcel_make(f, leg, &release_kind);
    release->call = call;
    lane_push(f->to, LANE_RPC, &release->job.task, &release->job);
    parcel_recall(leg->deadline);
    if (world_fault(w, w->faults.reply_lost)) {
        tear(f);
        return;
    }
    int64_t due_us = w->now_us + latency_us(w);
    f->last_arrival_us = due_us > f->last_arrival_us ? due_us : f->last_arrival_us;
    struct parcel *p = parcel_send(f, leg, &end_kind, f->last_arrival_us - w->now_us);
    p->data = copy(reply.data, reply.len);
    p->len = reply.len;
    p->code = status->code;
    p->message = copy(status->message, strlen(status->message));
    p->details = copy(status->details.data, status->details.len);
    p->details_len = status->details.len;
}

/* --- at the caller --- */

static void forget_waiting(struct flight *f)
{
    while (f->waiting) {
        struct parcel *p = f->waiting;
        f->waiting = p->next;
        parcel_free(p);
    }
    f->waiting_end = &f->waiting;
}

static void done(struct flight *f, const struct parcel *p)
{
    struct outcall *out = f->out;
    struct rpc_status status = { p->code, p->message ? p->message : "", { p->details, p->details_len } };

    f->out = NULL;
    out->impl = NULL;
    forget_waiting(f);
    if (f->deadline != p)
        parcel_recall(f->deadline);
    for (size_t i = 0; i < f->n_legs; i++)
        if (f->legs[i].state <= LEG_LIVE && !f->legs[i].orphan)
            parcel_send(f, &f->legs[i], &cancel_kind, latency_us(f->world));
    out->done(out, &status);
}

static void answer_take(struct parcel *p)
{
    struct flight *f = p->flight;
    bool message = p->kind == &message_kind || (p->leg && p->code == RPC_OK && !f->streams);

    if (message && !f->out->message(f->out, (struct bytes){ p->data, p->len }) && p->kind == &message_kind)
        f->held = true;
    if (p->kind == &end_kind && f->out)
        done(f, p);
    else if (p->kind == &message_kind)
        parcel_send(f, p->leg, &acknowledge_kind, latency_us(f->world));
}

static void answer_arrives(struct parcel *p)
{
    struct flight *f = p->flight;

    if (!f->out || (p->leg && f->torn))
        return;
    if (f->held && p->code != RPC_CANCELLED && p->code != RPC_DEADLINE_EXCEEDED) {
        struct parcel *waits = parcel_make(f, p->leg, p->kind);
        waits->data = p->data;
        waits->len = p->len;
        waits->code = p->code;
        waits->message = p->message;
        waits->details = p->details;
        waits->details_len = p->details_len;
        p->data = p->details = NULL;
        p->message = NULL;
        *f->waiting_end = waits;
        f->waiting_end = &waits->next;
        return;
    }
    answer_take(p);
}

void net_resume(struct port *port, struct outcall *call)
{
    struct flight *f = call->impl;

    if (!f || !f->held)
        return;
    f->held = false;
    struct parcel *waiting = f->waiting;
    f->waiting = NULL;
    f->waiting_end = &f->waiting;
    while (waiting) {
        struct parcel *p = waiting;
        waiting = p->next;
        lane_push(f->from, LANE_RPC, &p->job.task, &p->job);
    }
}

void net_cancel(struct port *port, struct outcall *call)
{
    struct flight *f = call->impl;

    if (!f || node_silent(f->from))
        return;
    f->torn = true;
    struct parcel *p = parcel_make(f, NULL, &end_kind);
    p->code = RPC_CANCELLED;
    p->message = copy("cancelled", 9);
    lane_push(f->from, LANE_RPC, &p->job.task, &p->job);
}

static void leg_add(struct flight *f, bool orphan)
{
    struct leg *leg = &f->legs[f->n_legs++];
    struct world *w = f->world;

    *leg = (struct leg){ .flight = f, .orphan = orphan, .window = 1 + (unsigned)world_roll(w, WINDOW_MAX) };
    parcel_send(f, leg, &begin_kind, orphan ? world_span(w, 2 * KEEPALIVE_US) : latency_us(w));
}

void net_call(struct port *port, struct outcall *call)
{
    struct node *from = CONTAINER(port, struct node, port);
    struct world *w = from->world;
    struct flight *f = calloc(1, sizeof(*f));

    assert(f);
    f->world = w;
    f->from = from;
    f->to = world_node(w, call->peer);
    f->waiting_end = &f->waiting;
    f->next = w->flights;
    f->at = &w->flights;
    if (f->next)
        f->next->at = &f->next;
    w->flights = f;
    f->sent = *call;
    f->sent.method = copy(call->method, strlen(call->method));
    f->sent.request.data = copy(call->request.data, call->request.len);
    f->caller = (struct caller){ .roles = ROLE_BIT(MESH__V1__ROLE__SERVICE) };
    memcpy(f->caller.subject, from->name, strlen(from->name) + 1);
    if (call->caller)
        f->caller = *call->caller;
    if (node_silent(from)) {
        world_bury(call);
        flight_end(f);
        return;
    }
    f->out = call;
    call->impl = f;
    if (!f->to) {
        f->to = from;
        tell_caller(f, RPC_UNAVAILABLE, "no such peer", 1);
        return;
    }
    if (call->timeout_us) {
        f->deadline_us = w->now_us + call->timeout_us;
        f->deadline = tell_caller(f, RPC_DEADLINE_EXCEEDED, "the deadline passed", call->timeout_us);
    }
    if (world_fault(w, w->faults.request_lost))
        tear(f);
    else
        leg_add(f, false);
    if (call->timeout_us && world_fault(w, w->faults.request_twice))
        leg_add(f, true);
}

/* --- what befalls machines --- */

void net_partitioned(struct node *a, struct node *b)
{
    for (struct flight *f = a->world->flights; f; f = f->next)
        if ((f->from == a && f->to == b) || (f->from == b && f->to == a))
            tear(f);
}

void net_cancel_calls_to(struct node *node)
{
    for (struct flight *f = node->world->flights; f; f = f->next)
        for (size_t i = 0; f->to == node && i < f->n_legs; i++)
            if (f->legs[i].state == LEG_LIVE)
                parcel_send(f, &f->legs[i], &drain_kind, 0);
}

static void leg_crashed(struct flight *f, struct leg *leg)
{
    if (leg->state == LEG_FLYING || leg->state == LEG_OVER)
        return;
    if (leg->call)
        world_bury(leg->call);
    bool was_live = leg->state == LEG_LIVE;
    leg->state = LEG_OVER;
    leg->call = NULL;
    parcel_recall(leg->deadline);
    if (was_live && !leg->orphan)
        tear(f);
}

void net_node_crashed(struct node *node)
{
    struct flight *next;

    for (struct flight *f = node->world->flights; f; f = next) {
        next = f->next;
        f->parcels++;
        for (size_t i = 0; f->to == node && i < f->n_legs; i++)
            leg_crashed(f, &f->legs[i]);
        if (f->from == node && f->out) {
            world_bury(f->out);
            f->out = NULL;
            parcel_recall(f->deadline);
            f->torn = false;
            tear(f);
        }
        if (f->from == node)
            forget_waiting(f);
        f->parcels--;
        flight_end(f);
    }
}

bool world_belated(const struct world *w)
{
    for (const struct flight *f = w->flights; f; f = f->next)
        for (size_t i = 0; i < f->n_legs; i++)
            if (f->legs[i].orphan && f->legs[i].state == LEG_FLYING)
                return true;
    return false;
}
