/* Somebody outside the mesh: a card processor, a carrier, a mail server. A request to them is an errand: it takes its
 * time there and back, gets lost on either way, comes twice or late, and goes on when who sent it has crashed. */
#include "tests/sim/inner.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FAR_US      20000000 /* what is late arrives by then */
#define ANSWER_MAX  (1 << 20)
#define OUTSIDE_MAX 8

struct outsider {
    char *name;
    world_outside_fn *answer;
    void *arg;
    bool down;
};

struct outside {
    struct outsider all[OUTSIDE_MAX];
    size_t n;
};

/* The request arrives, perhaps once more, and the fetch ends: each by itself. */
struct errand {
    struct coming arrive, again, end;
    struct job job;
    struct node *node;
    uint32_t life;
    struct outsider *to;
    struct fetch *fetch;
    struct fetch sent; /* copies */
    int result, status;
    uint8_t *body;
    size_t body_len;
    size_t holders;
    bool ended;
};

static struct outsider *find(struct world *w, const char *name)
{
    for (size_t i = 0; i < w->outside->n; i++)
        if (strcmp(w->outside->all[i].name, name) == 0)
            return &w->outside->all[i];
    return NULL;
}

static char *copy(const void *data, size_t n)
{
    char *made = malloc(n + 1);

    assert(made);
    if (n)
        memcpy(made, data, n);
    made[n] = 0;
    return made;
}

static char *copy_text(const char *text)
{
    return text ? copy(text, strlen(text)) : NULL;
}

static void errand_release(struct errand *e)
{
    if (--e->holders > 0)
        return;
    free((char *)e->sent.peer);
    free((char *)e->sent.verb);
    free((char *)e->sent.path);
    free((char *)e->sent.idempotency_key);
    free((char *)e->sent.mail_from);
    free((char *)e->sent.mail_to);
    free((void *)e->sent.body.data);
    free(e->body);
    free(e);
}

static int64_t way_us(struct world *w)
{
    if (world_fault(w, w->faults.late))
        return world_span(w, FAR_US);
    return 100 + (int64_t)world_roll(w, 1000);
}

/* --- the end --- */

static void end_run(struct task *task)
{
    struct errand *e = CONTAINER(task, struct errand, job.task);
    struct world *w = e->node->world;
    struct bytes body = { e->body, e->body_len };

    world_note(w, 0x07de ^ (uint64_t)e->result << 16 ^ (uint64_t)e->status);
    world_note_bytes(w, body);
    if (w->verbose > 1)
        world_say(w, "%s < %s %s %s: %d %d", e->node->name, e->sent.peer, e->sent.verb, e->sent.path, e->result,
                  e->status);
    e->fetch->done(e->fetch, e->result, e->status, body);
    errand_release(e);
}

static void end_drop(struct job *job)
{
    struct errand *e = CONTAINER(job, struct errand, job);

    world_bury(e->fetch);
    errand_release(e);
}

static void end_due(struct coming *event)
{
    struct errand *e = CONTAINER(event, struct errand, end);

    e->ended = true;
    if (e->node->up && e->node->life == e->life)
        lane_push(e->node, LANE_LOOP, &e->job.task, &e->job);
    else
        end_drop(&e->job);
}

static void end_forget(struct coming *event)
{
    end_drop(&CONTAINER(event, struct errand, end)->job);
}

/* Only sooner than it would have ended anyway: the time that it may take counts. */
static void end_in(struct errand *e, int64_t delay_us, int result)
{
    struct world *w = e->node->world;

    if (e->ended || w->now_us + delay_us >= e->end.due_us)
        return;
    world_unschedule(w, &e->end);
    world_schedule(w, &e->end, delay_us);
    e->result = result;
}

static void connection_breaks(struct errand *e)
{
    end_in(e, world_span(e->node->world, FAR_US), -ECONNRESET);
}

/* --- there --- */

static void arrives(struct errand *e, bool first)
{
    struct world *w = e->node->world;
    struct outside_answer answer = { .status = 200 };

    world_note(w, (uint64_t)'O' << 16 | e->node->index << 8 | first);
    world_note_bytes(w, e->sent.body);
    if (w->verbose > 1)
        world_say(w, "%s > %s %s %s", e->node->name, e->sent.peer, e->sent.verb, e->sent.path);
    if (e->to->down) {
        if (first)
            end_in(e, way_us(w), -ECONNREFUSED);
        return;
    }
    e->to->answer(e->to->arg, w->now_us, &e->sent, &answer);
    if (!first || answer.silent)
        return;
    if (answer.dropped)
        return end_in(e, answer.delay_us + way_us(w), -ECONNRESET);
    if (world_fault(w, w->faults.reply_lost))
        return connection_breaks(e);
    bool fits = answer.body.len <= ANSWER_MAX;
    e->status = fits ? answer.status : 0;
    e->body_len = fits ? answer.body.len : 0;
    e->body = (uint8_t *)copy(answer.body.data, e->body_len);
    end_in(e, answer.delay_us + way_us(w), fits ? 0 : -EMSGSIZE);
}

static void arrive_due(struct coming *event)
{
    struct errand *e = CONTAINER(event, struct errand, arrive);

    arrives(e, true);
    errand_release(e);
}

static void again_due(struct coming *event)
{
    struct errand *e = CONTAINER(event, struct errand, again);

    arrives(e, false);
    errand_release(e);
}

static void arrive_forget(struct coming *event)
{
    errand_release(CONTAINER(event, struct errand, arrive));
}

static void again_forget(struct coming *event)
{
    errand_release(CONTAINER(event, struct errand, again));
}

/* --- the way there --- */

static void start(struct world *w, struct errand *e, struct coming *event, int64_t delay_us)
{
    e->holders++;
    world_schedule(w, event, delay_us);
}

static struct errand *errand_make(struct node *node, struct fetch *fetch)
{
    struct errand *e = calloc(1, sizeof(*e));

    assert(e && fetch->timeout_us > 0 && fetch->verb && fetch->path);
    e->arrive = (struct coming){ .happen = arrive_due, .forget = arrive_forget };
    e->again = (struct coming){ .happen = again_due, .forget = again_forget };
    e->end = (struct coming){ .happen = end_due, .forget = end_forget };
    e->job = (struct job){ .task.run = end_run, .drop = end_drop };
    e->node = node;
    e->life = node->life;
    e->to = find(node->world, fetch->peer);
    e->fetch = fetch;
    e->sent = (struct fetch){
        .peer = copy_text(fetch->peer),
        .verb = copy_text(fetch->verb),
        .path = copy_text(fetch->path),
        .idempotency_key = copy_text(fetch->idempotency_key),
        .mail_from = copy_text(fetch->mail_from),
        .mail_to = copy_text(fetch->mail_to),
        .body = { (uint8_t *)copy(fetch->body.data, fetch->body.len), fetch->body.len },
        .timeout_us = fetch->timeout_us,
    };
    return e;
}

void outside_fetch(struct port *port, struct fetch *fetch)
{
    struct node *node = CONTAINER(port, struct node, port);
    struct world *w = node->world;

    if (node_silent(node)) {
        world_bury(fetch);
        return;
    }
    struct errand *e = errand_make(node, fetch);
    e->result = e->to ? -ETIMEDOUT : -ENOSYS;
    start(w, e, &e->end, e->to ? fetch->timeout_us : 1);
    if (!e->to)
        return;
    if (world_fault(w, w->faults.request_lost))
        connection_breaks(e);
    else
        start(w, e, &e->arrive, way_us(w));
    if (world_fault(w, w->faults.request_twice))
        start(w, e, &e->again, world_span(w, 2 * FAR_US));
}

/* --- who there is --- */

void world_outside(struct world *w, const char *name, world_outside_fn *answer, void *arg)
{
    struct outsider *o = find(w, name);

    if (!o) {
        assert(w->outside->n < OUTSIDE_MAX);
        o = &w->outside->all[w->outside->n++];
        o->name = copy_text(name);
    }
    o->answer = answer;
    o->arg = arg;
}

void world_outside_down(struct world *w, const char *name, bool down)
{
    struct outsider *o = find(w, name);

    assert(o);
    o->down = down;
}

void outside_quiet(struct world *w)
{
    for (size_t i = 0; i < w->outside->n; i++)
        w->outside->all[i].down = false;
}

struct outside *outside_create(void)
{
    struct outside *outside = calloc(1, sizeof(*outside));

    assert(outside);
    return outside;
}

void outside_destroy(struct outside *outside)
{
    for (size_t i = 0; i < outside->n; i++)
        free(outside->all[i].name);
    free(outside);
}
