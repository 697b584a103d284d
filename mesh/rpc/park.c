/* Calls that wait: streams for the log to grow, deferred replies for an event of their key, requests with a
 * min_position for a consumer to go on.
 *
 * Nothing is lost between reading and waiting: a call is parked with the head that its last unit saw, and goes again at
 * once if the log has grown since, or may have got an event of its key. Keys are found by one read unit that sweeps
 * over what is new, at most one at a time, so that a thousand waiting calls cost a commit no more than one does. */
#include "mesh/log/log.h"
#include "mesh/rpc/call.h"
#include "mesh/rpc/types.h"

#include <string.h>

#define SWEEP_MAX    512
#define SWEEP_BUDGET (64u << 20)

static void sweep(struct dispatch *d);

/* --- the lists, under the lock --- */

static void link_in(struct rpc_call **list, struct rpc_call *call)
{
    call->next = *list;
    call->link = list;
    if (call->next)
        call->next->link = &call->next;
    *list = call;
}

static void link_out(struct rpc_call *call)
{
    struct dispatch *d = call->dispatch;
    *call->link = call->next;
    if (call->next)
        call->next->link = call->link;
    call->link = NULL;
    atomic_fetch_sub(&d->n_parked, 1);
    if (call->waits == WAITS_KEY)
        d->n_keyed--;
}

/* From its list onto one of those that are to be woken. */
static void move(struct rpc_call *call, enum woken woken, struct rpc_call **chain)
{
    link_out(call);
    call->woken = woken;
    call->next = *chain;
    *chain = call;
}

static void wake(struct rpc_call *chain)
{
    while (chain) {
        struct rpc_call *call = chain;
        chain = chain->next;
        call_woken(call);
    }
}

/* True: the caller starts it when he has left the lock. */
static bool want_sweep(struct dispatch *d)
{
    if (d->sweeping || d->n_keyed == 0 || atomic_load(&d->log_seq) <= d->swept_seq)
        return false;
    d->sweeping = true;
    atomic_fetch_add(&d->active, 1);
    return true;
}

/* --- the timer, for those that wait no longer than until a deadline --- */

static int64_t earliest(const struct rpc_call *list, int64_t us)
{
    for (; list; list = list->next)
        us = list->until_us < us ? list->until_us : us;
    return us;
}

static void take_expired(struct rpc_call *list, int64_t now_us, struct rpc_call **chain)
{
    while (list) {
        struct rpc_call *call = list;
        list = list->next;
        if (call->until_us <= now_us)
            move(call, WOKEN_BY_DEADLINE, chain);
    }
}

static void start_timer(struct dispatch *d)
{
    struct rpc_call *expired = NULL;
    int64_t now_us = d->port->mono_us(d->port);

    pthread_mutex_lock(&d->lock);
    d->arming = false;
    take_expired(d->tails, now_us, &expired);
    take_expired(d->behind, now_us, &expired);
    int64_t next_us = earliest(d->behind, earliest(d->tails, INT64_MAX));
    for (size_t i = 0; i < PARK_BUCKETS; i++) {
        take_expired(d->keyed[i], now_us, &expired);
        next_us = earliest(d->keyed[i], next_us);
    }
    d->armed_us = next_us;
    pthread_mutex_unlock(&d->lock);

    if (next_us < INT64_MAX)
        d->port->timer_start(d->port, &d->timer, next_us - now_us);
    wake(expired);
}

static void timer_fired(struct timer *timer)
{
    start_timer((struct dispatch *)((char *)timer - offsetof(struct dispatch, timer)));
}

static void run_arm(struct task *task)
{
    struct dispatch *d = (struct dispatch *)((char *)task - offsetof(struct dispatch, arm));
    start_timer(d);
    atomic_fetch_sub(&d->active, 1);
}

static bool want_timer(struct dispatch *d, int64_t until_us)
{
    if (d->arming || until_us >= d->armed_us)
        return false;
    d->arming = true;
    atomic_fetch_add(&d->active, 1);
    return true;
}

/* --- in and out --- */

/* Whether what the call waits for has come since its unit looked. */
static bool has_come(struct dispatch *d, const struct rpc_call *call)
{
    switch (call->waits) {
    case WAITS_LOG:
        return atomic_load(&d->log_seq) > call->unit.log_seq;
    case WAITS_KEY:
        return d->passed_seq > call->unit.log_seq || d->told_seq[call->key_hash % PARK_BUCKETS] > call->unit.log_seq;
    case WAITS_CONSUMER:
        return atomic_load(&d->moves) > call->moves;
    }
    return true;
}

/* False: there is no need to wait. */
static bool must_wait(struct dispatch *d, struct rpc_call *call, int64_t until_us)
{
    uint64_t seen = call->unit.log_seq;
    if (call->waits == WAITS_KEY && d->n_keyed == 0 && !d->sweeping && seen > d->swept_seq)
        d->swept_seq = d->passed_seq = seen; /* nobody else waits for what lies before */

    if (atomic_load(&call->hold) & HOLD_CANCELLED)
        call->woken = WOKEN_BY_CANCEL;
    else if (call->waits == WAITS_LOG && d->leaving)
        call->woken = WOKEN_BY_DRAIN;
    else if (until_us <= d->port->mono_us(d->port))
        call->woken = WOKEN_BY_DEADLINE;
    else if (has_come(d, call))
        call->woken = WOKEN_BY_LOG;
    else
        return true;
    return false;
}

static struct rpc_call **list_of(struct dispatch *d, struct rpc_call *call)
{
    if (call->waits != WAITS_KEY)
        return call->waits == WAITS_LOG ? &d->tails : &d->behind;
    return &d->keyed[call->key_hash % PARK_BUCKETS];
}

bool park(struct rpc_call *call, enum waits waits, int64_t until_us)
{
    struct dispatch *d = call->dispatch;
    bool sweeps = false, arms = false;

    pthread_mutex_lock(&d->lock);
    atomic_fetch_add(&d->n_parked,
                     1); /* before the head is looked at: dispatch_log_grown does it the other way round */
    call->waits = waits;
    if (waits == WAITS_KEY)
        call->key_hash = name_hash(call->defer_key, strlen(call->defer_key));
    bool parks = must_wait(d, call, until_us);
    if (parks) {
        call->until_us = until_us;
        d->n_keyed += waits == WAITS_KEY;
        link_in(list_of(d, call), call);
        sweeps = want_sweep(d);
        arms = want_timer(d, until_us);
    } else {
        atomic_fetch_sub(&d->n_parked, 1);
    }
    pthread_mutex_unlock(&d->lock);

    if (sweeps)
        sweep(d);
    if (arms)
        d->port->post(d->port, LANE_LOOP, &d->arm);
    return parks;
}

bool unpark(struct rpc_call *call)
{
    struct dispatch *d = call->dispatch;
    pthread_mutex_lock(&d->lock);
    bool parked = call->link != NULL;
    if (parked)
        link_out(call);
    pthread_mutex_unlock(&d->lock);
    return parked;
}

void dispatch_log_grown(struct dispatch *d, uint64_t seq)
{
    struct rpc_call *chain = NULL;
    if (seq <= atomic_load(&d->log_seq))
        return;
    atomic_store(&d->log_seq, seq);
    if (atomic_load(&d->n_parked) == 0)
        return;

    pthread_mutex_lock(&d->lock);
    while (d->tails)
        move(d->tails, WOKEN_BY_LOG, &chain);
    bool sweeps = want_sweep(d);
    pthread_mutex_unlock(&d->lock);
    if (sweeps)
        sweep(d);
    wake(chain);
}

void dispatch_consumer_moved(struct dispatch *d)
{
    struct rpc_call *chain = NULL;
    atomic_fetch_add(&d->moves, 1);
    if (atomic_load(&d->n_parked) == 0)
        return;

    pthread_mutex_lock(&d->lock);
    while (d->behind)
        move(d->behind, WOKEN_BY_LOG, &chain);
    pthread_mutex_unlock(&d->lock);
    wake(chain);
}

void dispatch_leave(struct dispatch *d)
{
    struct rpc_call *chain = NULL;
    pthread_mutex_lock(&d->lock);
    d->leaving = true;
    while (d->tails)
        move(d->tails, WOKEN_BY_DRAIN, &chain);
    pthread_mutex_unlock(&d->lock);
    wake(chain);
    chunks_leave(d);
}

/* --- the sweep --- */

static int run_sweep(struct txn *txn, void *arg)
{
    struct dispatch *d = arg;
    d->n_swept = log_read(txn, d->swept_seq, SWEEP_MAX, &d->swept);
    return d->n_swept < 0 ? (int)d->n_swept : 0;
}

static void take_key(struct dispatch *d, const char *key, uint64_t seq, struct rpc_call **chain)
{
    uint64_t hash = name_hash(key, strlen(key));
    d->told_seq[hash % PARK_BUCKETS] = seq;
    struct rpc_call *call = d->keyed[hash % PARK_BUCKETS], *next;
    for (; call; call = next) {
        next = call->next;
        if (call->key_hash == hash && strcmp(call->defer_key, key) == 0)
            move(call, WOKEN_BY_LOG, chain);
    }
}

static void take_all_keyed(struct dispatch *d, struct rpc_call **chain)
{
    for (size_t i = 0; i < PARK_BUCKETS; i++)
        while (d->keyed[i])
            move(d->keyed[i], WOKEN_BY_LOG, chain);
}

static void sweep_done(struct unit *unit, int result)
{
    struct dispatch *d = unit->arg;
    struct rpc_call *chain = NULL;

    pthread_mutex_lock(&d->lock);
    if (result < 0) {
        take_all_keyed(d, &chain); /* each asks for itself, and tells its caller what it gets */
    } else {
        for (int64_t i = 0; i < d->n_swept; i++)
            take_key(d, d->swept[i].key, d->swept[i].seq, &chain);
        d->swept_seq = d->n_swept > 0 ? d->swept[d->n_swept - 1].seq : unit->log_seq;
    }
    d->sweeping = false;
    bool again = want_sweep(d);
    pthread_mutex_unlock(&d->lock);

    if (again)
        sweep(d);
    wake(chain);
    atomic_fetch_sub(&d->active, 1);
}

static void sweep(struct dispatch *d)
{
    arena_finish(&d->sweep_arena);
    arena_init(&d->sweep_arena, SWEEP_BUDGET);
    d->sweep = (struct unit){ .run = run_sweep, .arg = d, .arena = &d->sweep_arena, .done = sweep_done };
    store_read(d->store, &d->sweep);
}

void park_init(struct dispatch *d)
{
    d->armed_us = INT64_MAX;
    d->timer.fire = timer_fired;
    d->arm.run = run_arm;
}

void park_destroy(struct dispatch *d)
{
    if (d->armed_us < INT64_MAX)
        d->port->timer_stop(d->port, &d->timer);
    arena_finish(&d->sweep_arena);
}
