/* Pruning and gauges: two units, each followed by a pause. */
#include "mesh/run/chores.h"
#include "mesh/base/metrics.h"
#include "mesh/base/say.h"
#include "mesh/log/log.h"
#include "mesh/outbox/deadletter.h"
#include "mesh/port.h"
#include "mesh/rpc/idempotency.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PRUNE_ROWS         500 /* of each table in one unit */
#define PRUNE_PAUSE_US     60000000
#define PRUNE_MORE_US      200000
#define GAUGE_PAUSE_US     10000000
#define DEADLETTER_KEEP_US (30 * 86400ll * 1000000) /* discarded ones */
#define CHORE_ARENA        (4 << 20)
#define DESTINATIONS_MAX   65 /* with the timers */

#define OF(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

struct chore {
    struct chores *all;
    int (*run)(struct txn *txn, void *arg);
    void (*submit)(struct store *store, struct unit *unit);
    struct timer timer;
    struct unit unit;
    struct arena arena;
    struct task task;
    int result;
    bool running;
    bool more; /* the unit has not come to the end */
    int64_t pause_us;
};

/* The gauges of what waits for a destination; they stay when nothing does any more. */
struct waiting {
    char *destination;
    struct metric *waiting, *parked, *oldest;
};

struct chores {
    struct port *port;
    struct store *store;
    int64_t log_keep_us;
    struct chore prune, measure;
    struct waiting waiting[DESTINATIONS_MAX];
    size_t n_waiting;
    bool stopping;
    void (*on_stopped)(void *);
    void *on_stopped_arg;
};

static int run_prune(struct txn *txn, void *arg)
{
    struct chore *chore = arg;
    int64_t gone[] = {
        log_prune(txn, chore->all->log_keep_us, PRUNE_ROWS),
        rpc_prune_requests(txn, REQUEST_KEEP_US, PRUNE_ROWS),
        deadletter_prune(txn, DEADLETTER_KEEP_US, PRUNE_ROWS),
    };
    chore->more = false;
    for (size_t i = 0; i < sizeof(gone) / sizeof(gone[0]); i++) {
        if (gone[i] < 0)
            return (int)gone[i];
        chore->more |= gone[i] >= PRUNE_ROWS;
    }
    return 0;
}

static struct metric *gauge(const char *name, const char *help, const char *labels)
{
    return metric_make(METRIC_GAUGE, name, help, labels);
}

static void add_gauges(struct chores *all, const char *destination)
{
    char labels[160];
    struct waiting *w = &all->waiting[all->n_waiting];
    for (size_t i = 0; i < all->n_waiting; i++)
        if (strcmp(all->waiting[i].destination, destination) == 0)
            return;
    if (all->n_waiting == DESTINATIONS_MAX || !(w->destination = strdup(destination)))
        return;
    all->n_waiting++;
    snprintf(labels, sizeof(labels), "destination=\"%.128s\"", destination);
    w->waiting = gauge("mesh_outbox_waiting", "Commands and timers that wait.", labels);
    w->parked = gauge("mesh_outbox_parked", "Queues that wait for a person.", labels);
    w->oldest = gauge("mesh_outbox_oldest_age_us", "How long the oldest has been due.", labels);
}

static void set_gauges(struct chores *all, const struct outbox_count *counts, int n)
{
    for (int i = 0; i < n; i++)
        add_gauges(all, counts[i].destination);
    for (size_t k = 0; k < all->n_waiting; k++) {
        struct waiting *w = &all->waiting[k];
        struct outbox_count now = { 0 };
        for (int i = 0; i < n; i++)
            if (strcmp(counts[i].destination, w->destination) == 0)
                now = counts[i];
        metric_set(w->waiting, now.waiting);
        metric_set(w->parked, now.parked);
        metric_set(w->oldest, now.oldest_age_us);
    }
}

static int run_measure(struct txn *txn, void *arg)
{
    struct log_position head;
    uint64_t floor;
    struct outbox_count *counts;
    int r = log_range(txn, &head, &floor);
    int n = r < 0 ? r : outbox_counts(txn, &counts);
    if (n < 0)
        return n;
    metric_set(gauge("mesh_log_head", "The last event's number.", NULL), (int64_t)head.seq);
    metric_set(gauge("mesh_log_floor", "The last event that is not kept any more.", NULL), (int64_t)floor);
    set_gauges(((struct chore *)arg)->all, counts, n);
    return 0;
}

static void chore_done(struct unit *unit, int result)
{
    struct chore *chore = OF(unit, struct chore, unit);
    chore->result = result;
    chore->all->port->post(chore->all->port, LANE_LOOP, &chore->task);
}

static void end_if_idle(struct chores *all)
{
    if (!all->on_stopped || all->prune.running || all->measure.running)
        return;
    void (*stopped)(void *) = all->on_stopped;
    all->on_stopped = NULL;
    stopped(all->on_stopped_arg);
}

static void chore_over(struct task *task)
{
    struct chore *chore = OF(task, struct chore, task);
    struct chores *all = chore->all;
    chore->running = false;
    arena_finish(&chore->arena);
    if (chore->result < 0)
        say(SAY_WARN, NULL, "a chore failed", SAY_N("errno", -chore->result));
    if (all->stopping)
        return end_if_idle(all);
    bool more = chore->result == 0 && chore->more;
    all->port->timer_start(all->port, &chore->timer, more ? PRUNE_MORE_US : chore->pause_us);
}

static void chore_start(struct timer *timer)
{
    struct chore *chore = OF(timer, struct chore, timer);
    chore->running = true;
    arena_init(&chore->arena, CHORE_ARENA);
    chore->unit = (struct unit){ .run = chore->run, .arg = chore, .arena = &chore->arena, .done = chore_done };
    chore->submit(chore->all->store, &chore->unit);
}

static struct chore make_chore(struct chores *all, int (*run)(struct txn *, void *),
                               void (*submit)(struct store *, struct unit *), int64_t pause_us)
{
    return (struct chore){
        .all = all,
        .run = run,
        .submit = submit,
        .timer.fire = chore_start,
        .task.run = chore_over,
        .pause_us = pause_us,
    };
}

int chores_create(struct port *port, struct store *store, int64_t log_keep_us, struct chores **ret_chores)
{
    struct chores *all = calloc(1, sizeof(*all));
    if (!all)
        return -ENOMEM;
    all->port = port;
    all->store = store;
    all->log_keep_us = log_keep_us;
    all->prune = make_chore(all, run_prune, store_write, PRUNE_PAUSE_US);
    all->measure = make_chore(all, run_measure, store_read, GAUGE_PAUSE_US);
    *ret_chores = all;
    return 0;
}

void chores_start(struct chores *all)
{
    all->port->timer_start(all->port, &all->prune.timer, PRUNE_PAUSE_US);
    all->port->timer_start(all->port, &all->measure.timer, 0);
}

void chores_stop(struct chores *all, void (*stopped)(void *), void *arg)
{
    all->stopping = true;
    all->on_stopped = stopped;
    all->on_stopped_arg = arg;
    all->port->timer_stop(all->port, &all->prune.timer);
    all->port->timer_stop(all->port, &all->measure.timer);
    end_if_idle(all);
}

void chores_destroy(struct chores *all)
{
    if (!all)
        return;
    arena_finish(&all->prune.arena);
    arena_finish(&all->measure.arena);
    for (size_t i = 0; i < all->n_waiting; i++)
        free(all->waiting[i].destination);
    free(all);
}
