/* The world's heart: the dice, the heap of what will happen, and the step. */
#include "tests/sim/inner.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REWEIGH_STEPS 512

uint64_t world_roll(struct world *w, uint64_t below)
{
    return below > 1 ? chance_next(&w->chance) % below : 0;
}

bool world_chance(struct world *w, uint32_t millionths)
{
    return millionths > 0 && world_roll(w, 1000000) < millionths;
}

bool world_fault(struct world *w, uint32_t millionths)
{
    if (w->quiet || !world_chance(w, millionths))
        return false;
    w->faults_seen++;
    return true;
}

int64_t world_span(struct world *w, int64_t longest_us)
{
    return 1 + (int64_t)world_roll(w, (uint64_t)longest_us >> world_roll(w, 12));
}

void world_note(struct world *w, uint64_t what)
{
    w->trace = (w->trace ^ what) * 0x100000001b3;
    w->trace ^= w->trace >> 29;
}

void world_note_bytes(struct world *w, struct bytes bytes)
{
    uint64_t hash = 0xcbf29ce484222325;

    for (size_t i = 0; i < bytes.len; i++)
        hash = (hash ^ bytes.data[i]) * 0x100000001b3;
    world_note(w, hash);
}

void world_say(struct world *w, const char *format, ...)
{
    if (!w->verbose)
        return;
    va_list args;
    fprintf(stderr, "%10.6f %08llx ", (double)w->now_us / 1e6, (unsigned long long)(w->trace & 0xffffffff));
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

void world_bury(const void *pointer)
{
    static const void **graves;
    static size_t n, capacity;

    if (n == capacity) {
        capacity = capacity ? 2 * capacity : 1024;
        graves = realloc(graves, capacity * sizeof(*graves));
        assert(graves);
    }
    graves[n++] = pointer;
}

/* --- the heap --- */

static bool sooner(const struct coming *a, const struct coming *b)
{
    return a->due_us != b->due_us ? a->due_us < b->due_us : a->number < b->number;
}

static void put(struct world *w, size_t at, struct coming *event)
{
    w->heap[at - 1] = event;
    event->at = at;
}

static void sift(struct world *w, size_t at)
{
    struct coming *event = w->heap[at - 1];

    for (; at > 1 && sooner(event, w->heap[at / 2 - 1]); at /= 2)
        put(w, at, w->heap[at / 2 - 1]);
    for (size_t child; (child = 2 * at) <= w->n_heap; at = child) {
        if (child < w->n_heap && sooner(w->heap[child], w->heap[child - 1]))
            child++;
        if (!sooner(w->heap[child - 1], event))
            break;
        put(w, at, w->heap[child - 1]);
    }
    put(w, at, event);
}

void world_schedule(struct world *w, struct coming *event, int64_t delay_us)
{
    assert(event->at == 0);
    if (w->n_heap == w->heap_capacity) {
        w->heap_capacity = w->heap_capacity ? 2 * w->heap_capacity : 256;
        w->heap = realloc(w->heap, w->heap_capacity * sizeof(*w->heap));
        assert(w->heap);
    }
    event->due_us = w->now_us + (delay_us > 0 ? delay_us : 0);
    event->number = ++w->events;
    w->n_heap++;
    put(w, w->n_heap, event);
    sift(w, w->n_heap);
}

void world_unschedule(struct world *w, struct coming *event)
{
    size_t at = event->at;

    if (at == 0)
        return;
    struct coming *last = w->heap[--w->n_heap];
    event->at = 0;
    if (last == event)
        return;
    put(w, at, last);
    sift(w, at);
}

/* --- the step --- */

static struct node *some_node(struct world *w, bool mortal)
{
    struct node *node = w->n_nodes ? w->nodes[world_roll(w, w->n_nodes)] : NULL;

    return node && node->up && (!mortal || node->boot) ? node : NULL;
}

static void misfortune(struct world *w)
{
    const struct faults *f = &w->faults;
    struct node *node, *other;

    if (world_fault(w, f->crash) && (node = some_node(w, true)))
        node_crash(node, -1);
    if (world_fault(w, f->outage) && (node = some_node(w, true)))
        node_crash(node, 1 + (int64_t)world_roll(w, (uint64_t)f->outage_us));
    if (world_fault(w, f->crash_in_write) && (node = some_node(w, true)))
        disk_doom(node->disk, 1 + (uint32_t)world_roll(w, 60));
    if (world_fault(w, f->disk_full) && (node = some_node(w, true)))
        node_disk_full(node, world_span(w, 10000000));
    if (world_fault(w, f->stall) && (node = some_node(w, true)))
        node_stall(node, world_span(w, 20000000));
    if (world_fault(w, f->partition) && (node = some_node(w, false)) && (other = some_node(w, false)) && node != other)
        world_partition(w, node, other, world_span(w, 20000000));
    if (world_fault(w, f->wall_jump) && (node = some_node(w, false)))
        node->wall_offset_us = (int64_t)world_roll(w, 7200000000) - 3600000000;
    redis_misfortune(w);
}

static void happen(struct world *w)
{
    while (w->n_heap > 0 && w->heap[0]->due_us <= w->now_us) {
        struct coming *event = w->heap[0];
        world_unschedule(w, event);
        event->happen(event);
    }
}

static bool runnable(const struct node *node, const struct queue *lane)
{
    return lane->n > 0 && node->stalled_until_us <= node->world->now_us && lane->busy_until_us <= node->world->now_us;
}

static void reweigh(struct world *w)
{
    static const uint32_t weights[] = { 1, 8, 8, 64 };

    for (size_t i = 0; i < w->n_nodes; i++)
        for (int l = 0; l < LANE_COUNT; l++)
            w->nodes[i]->lanes[l].weight = weights[world_roll(w, 4)];
}

static struct queue *pick(struct world *w, struct node **ret_node)
{
    uint64_t total = 0;

    for (size_t i = 0; i < w->n_nodes; i++)
        for (int l = 0; l < LANE_COUNT; l++)
            if (runnable(w->nodes[i], &w->nodes[i]->lanes[l]))
                total += w->nodes[i]->lanes[l].weight;
    if (total == 0)
        return NULL;
    uint64_t dice = world_roll(w, total);
    for (size_t i = 0; i < w->n_nodes; i++) {
        for (int l = 0; l < LANE_COUNT; l++) {
            struct queue *lane = &w->nodes[i]->lanes[l];
            if (!runnable(w->nodes[i], lane))
                continue;
            if (dice < lane->weight) {
                *ret_node = w->nodes[i];
                return lane;
            }
            dice -= lane->weight;
        }
    }
    return NULL;
}

bool world_step(struct world *w)
{
    struct node *node;

    if (w->steps++ % REWEIGH_STEPS == 0)
        reweigh(w);
    if (!w->quiet && w->now_us >= w->hushed_until_us)
        misfortune(w);
    happen(w);
    struct queue *lane = pick(w, &node);
    if (!lane) {
        if (w->n_heap == 0)
            return false;
        w->now_us = w->heap[0]->due_us;
        happen(w);
        return true;
    }
    struct queued next = lane->items[lane->first];
    lane->first = (lane->first + 1) % lane->capacity;
    lane->n--;
    w->now_us += 1 + (int64_t)world_roll(w, 8);
    world_note(w, (uint64_t)w->now_us << 8 | node->index << 4 | (size_t)(lane - node->lanes));
    next.task->run(next.task);
    if (lane == &node->lanes[LANE_WRITER] && w->faults.commit_us)
        writer_occupy(node, 1 + (int64_t)world_roll(w, (uint64_t)w->faults.commit_us));
    if (node->up && node_silent(node))
        node_crash(node, -1);
    return true;
}

void world_run(struct world *w, int64_t us)
{
    int64_t end_us = w->now_us + us;

    while (w->now_us < end_us) {
        struct node *node;
        bool idle = (w->n_heap == 0 || w->heap[0]->due_us > end_us) && !pick(w, &node);
        if (idle)
            w->now_us = end_us;
        else
            world_step(w);
    }
}

bool world_until(struct world *w, bool (*condition)(void *arg), void *arg, int64_t at_most_us)
{
    int64_t end_us = w->now_us + at_most_us;

    while (!condition(arg))
        if (w->now_us >= end_us || !world_step(w))
            return condition(arg);
    return true;
}

void world_hush(struct world *w, int64_t us)
{
    w->hushed_until_us = w->now_us + us;
}

void world_quiet(struct world *w)
{
    w->quiet = true;
    redis_quiet(w);
    outside_quiet(w);
    for (size_t i = 0; i < w->n_nodes; i++) {
        struct node *node = w->nodes[i];
        node->stalled_until_us = 0;
        disk_doom(node->disk, 0);
        disk_full(node->disk, false);
        memset(node->cut_until_us, 0, sizeof(node->cut_until_us));
    }
}

/* --- the world as a whole --- */

struct world *world_create(uint64_t seed)
{
    struct world *w = calloc(1, sizeof(*w));

    assert(w);
    w->chance = seed;
    w->trace = 0xcbf29ce484222325;
    w->verbose = getenv("SIM_VERBOSE") ? atoi(getenv("SIM_VERBOSE")) : 0;
    w->redis = redis_create();
    w->outside = outside_create();
    disk_init(seed);
    return w;
}

void world_destroy(struct world *w)
{
    if (!w)
        return;
    for (size_t i = 0; i < w->n_nodes; i++)
        if (w->nodes[i]->up)
            node_crash(w->nodes[i], INT64_MAX);
    while (w->n_heap > 0) {
        struct coming *event = w->heap[0];
        world_unschedule(w, event);
        if (event->forget)
            event->forget(event);
    }
    for (size_t i = 0; i < w->n_nodes; i++) {
        for (int l = 0; l < LANE_COUNT; l++)
            free(w->nodes[i]->lanes[l].items);
        disk_destroy(w->nodes[i]->disk);
        free(w->nodes[i]);
    }
    redis_destroy(w->redis);
    outside_destroy(w->outside);
    free(w->nodes);
    free(w->heap);
    free(w);
}

struct faults *world_faults(struct world *w)
{
    return &w->faults;
}

uint64_t world_faults_seen(const struct world *w)
{
    return w->faults_seen;
}

uint64_t world_trace(const struct world *w)
{
    uint64_t trace = w->trace;

    for (size_t i = 0; i < w->n_nodes; i++)
        trace = (trace ^ disk_operations(w->nodes[i]->disk)) * 0x100000001b3;
    return trace;
}

uint64_t world_steps(const struct world *w)
{
    return w->steps;
}

int64_t world_now(const struct world *w)
{
    return w->now_us;
}
