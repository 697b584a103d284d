/* What the parts of the world share; nobody else includes it. */
#pragma once

#include "tests/sim/world.h"

#include <stdarg.h>
#include <stddef.h>

/* Something that will happen at a moment; in the world's heap while at is not 0. */
struct coming {
    int64_t due_us;
    uint64_t number; /* the order among those due at once */
    size_t at;       /* its place in the heap, counted from 1 */
    void (*happen)(struct coming *event);
    void (*forget)(struct coming *event); /* instead, when the world ends; NULL: nothing to free */
};

/* A task of the world's own on a node's lane, and how to forget it when the node crashes. */
struct job {
    struct task task;
    void (*drop)(struct job *job);
};

struct queued {
    struct task *task;
    struct job *job; /* NULL: the node's own task */
};

#define NODES_MAX 16

struct queue {
    struct queued *items;
    size_t first, n, capacity;
    uint32_t weight;       /* how eagerly the dice pick it */
    int64_t busy_until_us; /* its last task is not over */
};

struct world {
    uint64_t chance, trace, steps, faults_seen;
    int64_t now_us;
    struct faults faults;
    bool quiet;
    int64_t hushed_until_us;
    int verbose; /* 1: what befalls machines; 2: every parcel, too */
    struct coming **heap;
    size_t n_heap, heap_capacity;
    uint64_t events;
    struct node **nodes;
    size_t n_nodes;
    struct flight *flights;
    struct redis *redis;
    struct outside *outside;
};

struct node {
    struct port port; /* first: the port is the node */
    struct world *world;
    struct disk *disk;
    char name[64];
    size_t index;
    uint32_t life;
    bool up, refuses;
    int64_t mono_offset_us, wall_offset_us, stalled_until_us;
    struct queue lanes[LANE_COUNT];
    struct coming wake, committed, reboot, emptied;
    struct alarm *alarms; /* every timer that is started */
    const struct server_ops *ops;
    void *server;
    bool (*boot)(struct node *node, void *arg);
    void *boot_arg;
    int64_t cut_until_us[NODES_MAX]; /* by the other node's index */
};

#define CONTAINER(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

void world_schedule(struct world *w, struct coming *event, int64_t delay_us);
void world_unschedule(struct world *w, struct coming *event);
void world_note(struct world *w, uint64_t what);
void world_note_bytes(struct world *w, struct bytes bytes);
void world_say(struct world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool world_fault(struct world *w, uint32_t millionths); /* counts it when it strikes */
/* What is lost in a crash stays reachable. */
void world_bury(const void *pointer);

void lane_push(struct node *node, enum lane lane, struct task *task, struct job *job);
/* The writer's last task has taken so long: what comes meanwhile waits, and is committed together. */
void writer_occupy(struct node *node, int64_t us);
/* The node can no longer do anything that others would see: its disk's fate is sealed and it will crash after this
 * task. */
bool node_silent(const struct node *node);
bool nodes_cut(struct node *a, struct node *b);
/* Mostly short, now and then up to the longest. */
int64_t world_span(struct world *w, int64_t longest_us);

void net_call(struct port *port, struct outcall *call);
void net_resume(struct port *port, struct outcall *call);
void net_cancel(struct port *port, struct outcall *call);
void net_node_crashed(struct node *node);
void net_partitioned(struct node *a, struct node *b);
void net_cancel_calls_to(struct node *node);

struct redis *redis_create(void);
void redis_destroy(struct redis *redis);
void redis_submit(struct port *port, struct cache_op *op);
void redis_misfortune(struct world *w);
void redis_quiet(struct world *w);

struct outside *outside_create(void);
void outside_destroy(struct outside *outside);
void outside_fetch(struct port *port, struct fetch *fetch);
void outside_quiet(struct world *w);
