/* A Redis that may be late, refuse, forget everything or come back with what it knew long ago. */
#include "tests/sim/inner.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct entry {
    char *key, *epoch;
    uint64_t version;
    int64_t value;
};

struct keyspace {
    struct entry *entries; /* in the order they came; small enough to be searched */
    size_t n, capacity;
};

struct redis {
    struct keyspace now, once; /* once: what it knew when it was last saved */
    bool absent;
};

/* An operation under way: what it does there and when the answer is back are two events. */
struct request {
    struct coming effect, answer;
    struct job job;
    struct node *node;
    uint32_t life;
    struct cache_op *op;
    bool set, late; /* late: the time is over before the answer comes, whatever the effect */
    int result;
    size_t n, holders;
    char **keys, *epoch;
    uint64_t *versions;
    int64_t *values;
};

static void keyspace_clear(struct keyspace *k)
{
    for (size_t i = 0; i < k->n; i++) {
        free(k->entries[i].key);
        free(k->entries[i].epoch);
    }
    k->n = 0;
}

static struct entry *keyspace_find(struct keyspace *k, const char *key)
{
    for (size_t i = 0; i < k->n; i++)
        if (strcmp(k->entries[i].key, key) == 0)
            return &k->entries[i];
    return NULL;
}

static struct entry *keyspace_add(struct keyspace *k, const char *key)
{
    if (k->n == k->capacity) {
        k->capacity = k->capacity ? 2 * k->capacity : 64;
        k->entries = realloc(k->entries, k->capacity * sizeof(*k->entries));
        assert(k->entries);
    }
    struct entry *e = &k->entries[k->n++];
    *e = (struct entry){ .key = strdup(key), .epoch = strdup("") };
    return e;
}

static void keyspace_copy(struct keyspace *to, const struct keyspace *from)
{
    keyspace_clear(to);
    for (size_t i = 0; i < from->n; i++) {
        struct entry *e = keyspace_add(to, from->entries[i].key);
        free(e->epoch);
        e->epoch = strdup(from->entries[i].epoch);
        e->version = from->entries[i].version;
        e->value = from->entries[i].value;
    }
}

/* --- operations --- */

static void request_free(struct request *r)
{
    if (--r->holders > 0)
        return;
    for (size_t i = 0; i < r->n; i++)
        free(r->keys[i]);
    free(r->keys);
    free(r->epoch);
    free(r->versions);
    free(r->values);
    free(r);
}

static void set_if_newer(struct keyspace *k, const struct request *r, size_t i)
{
    struct entry *e = keyspace_find(k, r->keys[i]);

    if (!e)
        e = keyspace_add(k, r->keys[i]);
    else if (strcmp(e->epoch, r->epoch) == 0 && e->version >= r->versions[i])
        return;
    free(e->epoch);
    e->epoch = strdup(r->epoch);
    e->version = r->versions[i];
    e->value = r->values[i];
}

static void effect_due(struct coming *event)
{
    struct request *r = CONTAINER(event, struct request, effect);
    struct world *w = r->node->world;
    struct keyspace *k = &w->redis->now;

    if (r->set && r->result == 0 && world_chance(w, w->faults.cache_saved))
        keyspace_copy(&w->redis->once, k);
    for (size_t i = 0; r->result == 0 && i < r->n; i++) {
        if (r->set) {
            set_if_newer(k, r, i);
            continue;
        }
        const struct entry *e = keyspace_find(k, r->keys[i]);
        bool hit = e && strcmp(e->epoch, r->epoch) == 0;
        r->versions[i] = hit ? e->version : 0;
        r->values[i] = hit ? e->value : 0;
    }
    request_free(r);
}

static void answer_run(struct task *task)
{
    struct request *r = CONTAINER(task, struct request, job.task);
    struct cache_op *op = r->op;

    int result = r->late ? -ETIMEDOUT : r->result;

    world_note(r->node->world, 0xcac4e ^ (uint64_t)result);
    if (result == 0 && !r->set) {
        memcpy(op->versions, r->versions, r->n * sizeof(*op->versions));
        memcpy(op->values, r->values, r->n * sizeof(*op->values));
    }
    request_free(r);
    op->done(op, result);
}

static void answer_drop(struct job *job)
{
    struct request *r = CONTAINER(job, struct request, job);

    world_bury(r->op);
    request_free(r);
}

static void answer_due(struct coming *event)
{
    struct request *r = CONTAINER(event, struct request, answer);

    if (r->node->up && r->node->life == r->life)
        lane_push(r->node, LANE_LOOP, &r->job.task, &r->job);
    else
        answer_drop(&r->job);
}

static void effect_forget(struct coming *event)
{
    request_free(CONTAINER(event, struct request, effect));
}

static void answer_forget(struct coming *event)
{
    request_free(CONTAINER(event, struct request, answer));
}

static struct request *request_make(struct node *node, struct cache_op *op)
{
    struct request *r = calloc(1, sizeof(*r));

    assert(r && op->n <= 512);
    r->effect = (struct coming){ .happen = effect_due, .forget = effect_forget };
    r->answer = (struct coming){ .happen = answer_due, .forget = answer_forget };
    r->job = (struct job){ .task.run = answer_run, .drop = answer_drop };
    r->node = node;
    r->life = node->life;
    r->op = op;
    r->set = op->op == CACHE_SET_IF_NEWER;
    r->n = op->n;
    r->holders = 2;
    r->epoch = strdup(op->epoch);
    r->keys = calloc(op->n + 1, sizeof(*r->keys));
    r->versions = calloc(op->n + 1, sizeof(*r->versions));
    r->values = calloc(op->n + 1, sizeof(*r->values));
    assert(r->epoch && r->keys && r->versions && r->values);
    for (size_t i = 0; i < op->n; i++) {
        r->keys[i] = strdup(op->keys[i]);
        r->versions[i] = r->set ? op->versions[i] : 0;
        r->values[i] = r->set ? op->values[i] : 0;
    }
    return r;
}

void redis_submit(struct port *port, struct cache_op *op)
{
    struct node *node = CONTAINER(port, struct node, port);
    struct world *w = node->world;

    if (node_silent(node)) {
        world_bury(op);
        return;
    }
    struct request *r = request_make(node, op);
    int64_t there_us = 10 + (int64_t)world_roll(w, 200), back_us = 10 + (int64_t)world_roll(w, 200);
    if (world_fault(w, w->faults.cache_late))
        there_us = world_span(w, 5000000);
    if (world_fault(w, w->faults.cache_late))
        back_us = world_span(w, 5000000);
    int64_t answer_us = there_us + back_us;
    if (w->redis->absent || world_fault(w, w->faults.cache_refused)) {
        r->result = -ECONNREFUSED;
    } else if (op->timeout_us && answer_us > op->timeout_us) {
        r->late = true;
        answer_us = op->timeout_us;
    }
    world_schedule(w, &r->effect, there_us);
    world_schedule(w, &r->answer, answer_us);
}

/* --- what befalls it --- */

void redis_misfortune(struct world *w)
{
    if (world_fault(w, w->faults.cache_flushed)) {
        world_say(w, "the cache forgets everything");
        keyspace_clear(&w->redis->now);
    }
    if (world_fault(w, w->faults.cache_set_back))
        world_cache_set_back(w);
}

void redis_quiet(struct world *w)
{
    w->redis->absent = false;
}

void world_cache_flush(struct world *w)
{
    keyspace_clear(&w->redis->now);
}

void world_cache_set_back(struct world *w)
{
    world_say(w, "the cache is set back");
    keyspace_copy(&w->redis->now, &w->redis->once);
}

void world_cache_absent(struct world *w, bool absent)
{
    w->redis->absent = absent;
}

void world_cached(struct world *w, void (*each)(void *arg, const struct cached *cached), void *arg)
{
    const struct keyspace *k = &w->redis->now;

    for (size_t i = 0; i < k->n; i++) {
        const struct entry *e = &k->entries[i];
        each(arg, &(struct cached){ e->key, e->epoch, e->version, e->value });
    }
}

struct redis *redis_create(void)
{
    struct redis *redis = calloc(1, sizeof(*redis));

    assert(redis);
    return redis;
}

void redis_destroy(struct redis *redis)
{
    keyspace_clear(&redis->now);
    keyspace_clear(&redis->once);
    free(redis->now.entries);
    free(redis->once.entries);
    free(redis);
}
