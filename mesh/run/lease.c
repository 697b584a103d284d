/* One unit every third of the TTL beats what is held and looks at what is not. */
#include "mesh/run/lease.h"
#include "mesh/base/metrics.h"
#include "mesh/base/say.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROUND_ARENA (256 << 10)

const struct migration lease_migrations[] = { { 1, "leases",
                                                "CREATE TABLE lease (\n"
                                                "  name {text} PRIMARY KEY,\n"
                                                "  owner {text} NOT NULL,\n"
                                                "  term {int} NOT NULL,\n"
                                                "  beat {int} NOT NULL\n"
                                                ") {clustered};\n" },
                                              {} };

/* What one round asks of the table about a lease, and what it found. */
struct turn {
    struct lease *lease;
    enum { TURN_BEAT, TURN_RELEASE, TURN_CONTEND } what;
    struct lease_hold hold;
    bool stale; /* the beat below was seen for a TTL */
    int64_t stale_term, stale_beat;
    /* found */
    bool mine;
    char owner[ID_MAX];
    int64_t term, beat;
};

struct leases {
    struct port *port;
    struct store *store;
    char instance[ID_MAX];
    int64_t ttl_us;
    struct lease *all[LEASES_MAX];
    size_t n;
    struct timer timer;
    struct task task;
    struct unit unit;
    struct arena arena;
    struct turn turns[LEASES_MAX];
    size_t n_turns;
    int64_t round_us; /* when the round began */
    int round_result;
    bool running, again, stopping, stopped;
    void (*on_stopped)(void *);
    void *on_stopped_arg;
};

#define OF(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

int lease_guard(struct txn *txn, const struct lease_hold *hold)
{
    int64_t n = txn_exec(txn, "UPDATE lease SET term = term WHERE name = $1 AND owner = $2 AND term = $3",
                         T(hold->name), T(hold->owner), I(hold->term));
    return n < 0 ? (int)n : n == 1 ? 0 : -EPERM;
}

static int beat(struct txn *txn, struct turn *t)
{
    int64_t n = txn_exec(txn, "UPDATE lease SET beat = beat + 1 WHERE name = $1 AND owner = $2 AND term = $3",
                         T(t->hold.name), T(t->hold.owner), I(t->hold.term));
    t->mine = n == 1;
    t->term = t->hold.term;
    return n < 0 ? (int)n : 0;
}

static int give_back(struct txn *txn, struct turn *t)
{
    t->mine = false;
    return txn_post(txn, "UPDATE lease SET owner = '' WHERE name = $1 AND owner = $2 AND term = $3", T(t->hold.name),
                    T(t->hold.owner), I(t->hold.term));
}

static int contend(struct txn *txn, struct turn *t)
{
    t->mine = false;
    struct rows rows;
    int r = txn_query(txn, &rows, "SELECT owner, term, beat FROM lease WHERE name = $1", T(t->hold.name));
    if (r < 0)
        return r;
    if (rows.n == 0) {
        int64_t n = txn_exec(txn,
                             "INSERT INTO lease (name, owner, term, beat) VALUES ($1, $2, 1, 0)"
                             " ON CONFLICT (name) DO NOTHING",
                             T(t->hold.name), T(t->hold.owner));
        t->mine = n == 1;
        t->term = 1;
        return n < 0 ? (int)n : 0;
    }

    snprintf(t->owner, sizeof(t->owner), "%s", row_text(&rows, 0, 0));
    t->term = row_int(&rows, 0, 1);
    t->beat = row_int(&rows, 0, 2);
    bool free = t->owner[0] == '\0' || strcmp(t->owner, t->hold.owner) == 0;
    if (!free && !(t->stale && t->stale_term == t->term && t->stale_beat == t->beat))
        return 0;
    int64_t n = txn_exec(txn,
                         "UPDATE lease SET owner = $2, term = term + 1, beat = 0"
                         " WHERE name = $1 AND owner = $3 AND term = $4 AND beat = $5",
                         T(t->hold.name), T(t->hold.owner), T(t->owner), I(t->term), I(t->beat));
    t->mine = n == 1;
    t->term += t->mine;
    return n < 0 ? (int)n : 0;
}

static int run_round(struct txn *txn, void *arg)
{
    static int (*const turns[])(struct txn *, struct turn *) = {
        [TURN_BEAT] = beat,
        [TURN_RELEASE] = give_back,
        [TURN_CONTEND] = contend,
    };
    struct leases *leases = arg;
    for (size_t i = 0; i < leases->n_turns; i++) {
        int r = turns[leases->turns[i].what](txn, &leases->turns[i]);
        if (r < 0)
            return r;
    }
    return 0;
}

static void round_done(struct unit *unit, int result)
{
    struct leases *leases = OF(unit, struct leases, unit);
    leases->round_result = result;
    leases->port->post(leases->port, LANE_LOOP, &leases->task);
}

static bool lapsed(const struct lease *lease)
{
    struct leases *leases = lease->leases;
    return leases->port->mono_us(leases->port) >= lease->beaten_us + leases->ttl_us;
}

bool lease_held(const struct lease *lease)
{
    return lease->held && !lapsed(lease);
}

struct lease_hold lease_hold(const struct lease *lease)
{
    struct lease_hold hold = { .term = lease->term };
    memcpy(hold.name, lease->name, sizeof(hold.name));
    memcpy(hold.owner, lease->leases->instance, sizeof(hold.owner));
    return hold;
}

static void set_held(struct lease *lease, bool held)
{
    if (lease->held == held)
        return;
    lease->held = held;
    lease->seen.since_us = 0;
    metric_set(lease->metric, held ? lease->term : 0);
    say(SAY_INFO, NULL, held ? "lease taken" : "lease lost", SAY_T("lease", lease->name), SAY_N("term", lease->term));
    lease->changed(lease, held);
}

static void start_round(struct leases *leases)
{
    int64_t now = leases->port->mono_us(leases->port);
    leases->n_turns = 0;
    for (size_t i = 0; i < leases->n; i++) {
        struct lease *lease = leases->all[i];
        bool wanted = lease->wanted && !leases->stopping;
        if (!lease->held && !wanted)
            continue;
        leases->turns[leases->n_turns++] = (struct turn){
            .lease = lease,
            .what = !lease->held ? TURN_CONTEND
                    : wanted     ? TURN_BEAT
                                 : TURN_RELEASE,
            .hold = lease_hold(lease),
            .stale = lease->seen.since_us && now >= lease->seen.since_us + leases->ttl_us,
            .stale_term = lease->seen.term,
            .stale_beat = lease->seen.beat,
        };
    }
    leases->again = false;
    leases->running = true;
    leases->round_us = now;
    leases->unit = (struct unit){ .run = run_round, .arg = leases, .arena = &leases->arena, .done = round_done };
    store_write(leases->store, &leases->unit);
}

static void look_again(struct leases *leases)
{
    if (leases->running)
        leases->again = true;
    else if (!leases->stopped)
        start_round(leases);
}

/* The time of seeing is taken after the fact, so that a TTL of it is never less than one of the holder's. */
static void remember(struct lease *lease, const struct turn *t)
{
    bool same = lease->seen.since_us && lease->seen.term == t->term && lease->seen.beat == t->beat &&
                strcmp(lease->seen.owner, t->owner) == 0;
    if (same)
        return;
    memcpy(lease->seen.owner, t->owner, sizeof(t->owner));
    lease->seen.term = t->term;
    lease->seen.beat = t->beat;
    lease->seen.since_us = lease->leases->port->mono_us(lease->leases->port);
}

static void finish_turn(struct leases *leases, const struct turn *t)
{
    struct lease *lease = t->lease;
    if (t->what == TURN_RELEASE) {
        lease->held = false;
        metric_set(lease->metric, 0);
    } else if (t->mine) {
        if (lapsed(lease)) /* whoever asked in the meantime took it for lost */
            set_held(lease, false);
        lease->term = t->term;
        lease->beaten_us = leases->round_us;
        if (!lapsed(lease))
            set_held(lease, true);
    } else if (t->what == TURN_BEAT) {
        set_held(lease, false);
    } else {
        remember(lease, t);
    }
}

static void end_round(struct task *task)
{
    struct leases *leases = OF(task, struct leases, task);
    arena_finish(&leases->arena);
    arena_init(&leases->arena, ROUND_ARENA);
    for (size_t i = 0; leases->round_result == 0 && i < leases->n_turns; i++)
        finish_turn(leases, &leases->turns[i]);
    for (size_t i = 0; i < leases->n; i++)
        if (leases->all[i]->held && lapsed(leases->all[i]))
            set_held(leases->all[i], false);
    leases->running = false;

    bool last = leases->stopping && !leases->again;
    if (!last && leases->again)
        return start_round(leases);
    if (!last)
        return leases->port->timer_start(leases->port, &leases->timer, leases->ttl_us / 3);
    leases->stopped = true;
    leases->on_stopped(leases->on_stopped_arg);
}

static void tick(struct timer *timer)
{
    look_again(OF(timer, struct leases, timer));
}

int leases_create(struct port *port, struct store *store, const char *instance, int64_t ttl_us,
                  struct leases **ret_leases)
{
    struct leases *leases = calloc(1, sizeof(*leases));
    if (!leases)
        return -ENOMEM;
    leases->port = port;
    leases->store = store;
    leases->ttl_us = ttl_us;
    leases->timer.fire = tick;
    leases->task.run = end_round;
    arena_init(&leases->arena, ROUND_ARENA);
    if (instance)
        snprintf(leases->instance, sizeof(leases->instance), "%s", instance);
    else
        id_make(port, "proc", leases->instance);
    *ret_leases = leases;
    return 0;
}

static int clear_all(struct txn *txn, void *arg)
{
    return txn_post(txn, "UPDATE lease SET owner = '' WHERE owner <> ''");
}

int leases_clear(struct store *store)
{
    struct arena arena;
    arena_init(&arena, ROUND_ARENA);
    struct unit unit = { .run = clear_all, .arena = &arena };
    int r = store_write_now(store, &unit);
    arena_finish(&arena);
    return r;
}

void leases_add(struct leases *leases, struct lease *lease)
{
    assert(leases->n < LEASES_MAX);
    char labels[LEASE_NAME_MAX + 16];
    snprintf(labels, sizeof(labels), "lease=\"%s\"", lease->name);
    lease->metric =
        metric_make(METRIC_GAUGE, "mesh_lease_term", "The term of a lease that this process holds, or 0.", labels);
    lease->leases = leases;
    lease->wanted = true;
    leases->all[leases->n++] = lease;
}

const char *leases_instance(const struct leases *leases)
{
    return leases->instance;
}

void leases_start(struct leases *leases)
{
    look_again(leases);
}

void lease_release(struct lease *lease)
{
    lease->wanted = false;
    look_again(lease->leases);
}

void lease_want(struct lease *lease)
{
    lease->wanted = true;
    look_again(lease->leases);
}

void leases_stop(struct leases *leases, void (*stopped)(void *), void *arg)
{
    leases->stopping = true;
    leases->on_stopped = stopped;
    leases->on_stopped_arg = arg;
    leases->port->timer_stop(leases->port, &leases->timer);
    look_again(leases);
}

void leases_destroy(struct leases *leases)
{
    if (!leases)
        return;
    arena_finish(&leases->arena);
    free(leases);
}
