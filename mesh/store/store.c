/* Opening and closing, and the queues in front of the two lanes. */
#include "mesh/base/say.h"
#include "mesh/store/inside.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define COMPANY 64 /* units that need not wait for more */
#define BURST   16 /* commits that may come faster than pace_us */

static void queue_init(struct queue *q, void (*run)(struct task *))
{
    q->last = &q->first;
    q->task.run = run;
}

static void queue_put(struct queue *q, struct unit *unit)
{
    unit->next = NULL;
    *q->last = unit;
    q->last = &unit->next;
    q->waiting++;
}

static size_t queue_take(struct queue *q, struct unit **units, size_t max)
{
    size_t n = 0;
    while (q->first && n < max) {
        units[n++] = q->first;
        q->first = q->first->next;
    }
    if (!q->first)
        q->last = &q->first;
    q->waiting -= n;
    q->running += n;
    return n;
}

static void submit(struct store *store, struct queue *q, enum lane lane, struct unit *unit)
{
    assert(unit->arena);
    unit->mark = arena_mark(unit->arena);

    pthread_mutex_lock(&store->lock);
    int r = store->closing ? -ESHUTDOWN : q->waiting >= store->options.max_queued ? -EAGAIN : 0;
    bool post = r == 0 && !q->posted;
    if (r == 0)
        queue_put(q, unit);
    if (q == &store->writes && q->waiting == COMPANY)
        pthread_cond_signal(&store->company);
    q->posted = q->posted || post;
    pthread_mutex_unlock(&store->lock);

    if (r < 0 && unit->done)
        unit->done(unit, r);
    if (post)
        store->port->post(store->port, lane, &q->task);
}

/* --- pacing: under load a commit that waits a little for company makes every unit cheaper ---
 *
 * Commits are due pace_us apart, on average: who has not committed for a while may do so BURST times at once, so that
 * nobody who comes alone waits. A large company waits for nothing. */

/* When a commit that wants to begin now may begin. */
static int64_t pace(struct store *store, int64_t now_us)
{
    int64_t pace_us = store->options.pace_us, burst_us = (BURST - 1) * pace_us;
    int64_t due_us = store->due_us > now_us ? store->due_us : now_us;
    int64_t latest_us = now_us + burst_us; /* who hurried with a company owes no more than that */
    store->due_us = (due_us < latest_us ? due_us : latest_us) + pace_us;
    return due_us - burst_us;
}

static void await_company(struct store *store)
{
    int64_t now_us = store->port->mono_us(store->port);
    int64_t until_us = store->options.pace_us ? pace(store, now_us) : now_us;
    if (until_us <= now_us)
        return;
    const struct timespec until = { until_us / 1000000, until_us % 1000000 * 1000 };
    int r = 0;
    pthread_mutex_lock(&store->lock);
    while (store->writes.waiting < COMPANY && r == 0)
        r = pthread_cond_timedwait(&store->company, &store->lock, &until);
    pthread_mutex_unlock(&store->lock);
}

static size_t begin_task(struct store *store, struct queue *q, struct unit **units, size_t max)
{
    pthread_mutex_lock(&store->lock);
    size_t n = queue_take(q, units, max);
    pthread_mutex_unlock(&store->lock);
    return n;
}

static void end_task(struct store *store, struct queue *q, enum lane lane)
{
    pthread_mutex_lock(&store->lock);
    q->running = 0;
    bool more = q->posted = q->waiting > 0;
    pthread_mutex_unlock(&store->lock);
    if (more)
        store->port->post(store->port, lane, &q->task);
}

static void write_task(struct task *task)
{
    struct store *store = (struct store *)((char *)task - offsetof(struct store, writes.task));
    await_company(store);
    size_t n = begin_task(store, &store->writes, store->group, store->options.max_group);
    if (n > 0)
        group_write(store, n);
    end_task(store, &store->writes, LANE_WRITER);
}

static void read_task(struct task *task)
{
    struct store *store = (struct store *)((char *)task - offsetof(struct store, reads.task));
    struct unit *units[STORE_MAX_READS];
    size_t n = begin_task(store, &store->reads, units, STORE_MAX_READS);
    if (n > 0)
        group_read(store, units, n);
    end_task(store, &store->reads, LANE_READER);
}

void store_write(struct store *store, struct unit *unit)
{
    submit(store, &store->writes, LANE_WRITER, unit);
}

void store_read(struct store *store, struct unit *unit)
{
    submit(store, &store->reads, LANE_READER, unit);
}

int store_write_now(struct store *store, struct unit *unit)
{
    assert(unit->arena);
    unit->mark = arena_mark(unit->arena);
    store->group[0] = unit;
    group_write(store, 1);
    return store->results[0];
}

size_t store_queued(struct store *store)
{
    pthread_mutex_lock(&store->lock);
    size_t n = store->writes.waiting + store->writes.running + store->reads.waiting + store->reads.running;
    pthread_mutex_unlock(&store->lock);
    return n;
}

void store_on_commit(struct store *store, store_commit_hook *hook, void *arg)
{
    store->hook = hook;
    store->hook_arg = arg;
}

void store_set_log_seq(struct store *store, uint64_t seq)
{
    atomic_store(&store->log_seq, seq);
}

struct port *store_port(struct store *store)
{
    return store->port;
}

int store_lock(const char *path)
{
    char lock[4096];
    if ((size_t)snprintf(lock, sizeof(lock), "%s-lock", path) >= sizeof(lock))
        return -ENAMETOOLONG;
    int fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
        return fd;
    int r = errno == EWOULDBLOCK ? -EBUSY : -errno;
    if (fd >= 0)
        close(fd);
    say(SAY_ERROR, NULL, r == -EBUSY ? "another process has the database" : "cannot lock the database",
        SAY_T("path", path), SAY_T("error", strerror(-r)));
    return r == -EBUSY || r == -ENOSPC ? r : -EIO;
}

/* The simulator's databases belong to nobody else. */
static int take_lock(struct store *store)
{
    if (store->options.vfs)
        return 0;
    store->lock_fd = store_lock(store->options.path);
    if (store->lock_fd < 0)
        return store->lock_fd;
    copy_clear(store->options.path);
    return restore_complete(store->options.path);
}

static int open_inside(struct store *store)
{
    const struct store_options *o = &store->options;
    store->group = calloc(o->max_group, sizeof(*store->group));
    store->batch = calloc(o->max_group, sizeof(*store->batch));
    store->results = calloc(o->max_group, sizeof(*store->results));
    store->batch_results = calloc(o->max_group, sizeof(*store->batch_results));
    if (!o->path || !store->group || !store->batch || !store->results || !store->batch_results)
        return -ENOMEM;

    int r = take_lock(store);
    if (r == 0)
        r = connection_open(&store->writer, o->path, o->vfs, false);
    if (r == 0)
        r = migrate_prepare(&store->writer);
    if (r == 0)
        r = connection_open(&store->reader, o->path, o->vfs, true);
    return r;
}

static void init_company(struct store *store)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&store->company, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

int store_open(struct port *port, const struct store_options *options, struct store **ret_store)
{
    struct store *store = calloc(1, sizeof(*store));
    if (!store)
        return -ENOMEM;
    const char *rerun = getenv("MESH_RERUN");
    store->port = port;
    store->lock_fd = -1;
    store->options = *options;
    store->options.path = strdup(options->path);
    store->options.max_queued = options->max_queued ? options->max_queued : STORE_MAX_QUEUED;
    store->options.max_group = options->max_group ? options->max_group : STORE_MAX_GROUP;
    store->options.rerun_always = options->rerun_always || (rerun && strcmp(rerun, "always") == 0);
    pthread_mutex_init(&store->lock, NULL);
    init_company(store);
    queue_init(&store->writes, write_task);
    queue_init(&store->reads, read_task);

    int r = open_inside(store);
    if (r < 0) {
        store_close(store);
        return r;
    }
    *ret_store = store;
    return 0;
}

static void refuse_waiting(struct store *store, struct queue *q)
{
    struct unit *unit;
    while (begin_task(store, q, &unit, 1) > 0)
        if (unit->done)
            unit->done(unit, -ESHUTDOWN);
}

void store_close(struct store *store)
{
    if (!store)
        return;
    pthread_mutex_lock(&store->lock);
    store->closing = true;
    pthread_mutex_unlock(&store->lock);
    refuse_waiting(store, &store->writes);
    refuse_waiting(store, &store->reads);

    /* The last connection checkpoints, and only the writer can. */
    connection_close(&store->reader);
    connection_close(&store->writer);
    if (store->lock_fd >= 0)
        close(store->lock_fd);
    pthread_cond_destroy(&store->company);
    pthread_mutex_destroy(&store->lock);
    free(store->group);
    free(store->batch);
    free(store->results);
    free(store->batch_results);
    free((char *)store->options.path);
    free(store);
}
