/* Machines: lanes, clocks, timers, and how they die and come up again. */
#include "tests/sim/inner.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WALL_EPOCH_US 1750000000000000 /* when the world begins */

struct alarm {
    struct coming event;
    struct job job;
    struct node *node;
    struct timer *timer; /* NULL: stopped after it was due */
    struct alarm *next, **at;
};

static struct node *of(struct port *port)
{
    return CONTAINER(port, struct node, port);
}

bool node_silent(const struct node *node)
{
    return !node->up || disk_doomed(node->disk);
}

static int64_t node_wall_us(struct port *port)
{
    struct node *node = of(port);

    return WALL_EPOCH_US + node->world->now_us + node->wall_offset_us;
}

static int64_t node_mono_us(struct port *port)
{
    struct node *node = of(port);

    return node->world->now_us + node->mono_offset_us;
}

static void node_random(struct port *port, void *data, size_t n)
{
    uint8_t *bytes = data;

    for (size_t i = 0; i < n; i++)
        bytes[i] = (uint8_t)(chance_next(&of(port)->world->chance) >> 32);
}

void lane_push(struct node *node, enum lane lane, struct task *task, struct job *job)
{
    struct queue *q = &node->lanes[lane];

    if (q->n == q->capacity) {
        size_t capacity = q->capacity ? 2 * q->capacity : 64;
        struct queued *items = malloc(capacity * sizeof(*items));
        assert(items);
        for (size_t i = 0; i < q->n; i++)
            items[i] = q->items[(q->first + i) % q->capacity];
        free(q->items);
        *q = (struct queue){ items, 0, q->n, capacity, q->weight, q->busy_until_us };
    }
    q->items[(q->first + q->n++) % q->capacity] = (struct queued){ task, job };
}

void writer_occupy(struct node *node, int64_t us)
{
    node->lanes[LANE_WRITER].busy_until_us = node->world->now_us + us;
    world_unschedule(node->world, &node->committed);
    world_schedule(node->world, &node->committed, us);
}

static void node_post(struct port *port, enum lane lane, struct task *task)
{
    lane_push(of(port), lane, task, NULL);
}

/* --- timers --- */

static void alarm_free(struct alarm *alarm)
{
    *alarm->at = alarm->next;
    if (alarm->next)
        alarm->next->at = alarm->at;
    free(alarm);
}

static void alarm_run(struct task *task)
{
    struct alarm *alarm = CONTAINER(task, struct alarm, job.task);
    struct timer *timer = alarm->timer;

    alarm_free(alarm);
    if (!timer)
        return;
    timer->due_us = 0;
    timer->impl = NULL;
    timer->fire(timer);
}

static void alarm_drop(struct job *job)
{
    struct alarm *alarm = CONTAINER(job, struct alarm, job);

    if (alarm->timer)
        world_bury(alarm->timer);
    alarm_free(alarm);
}

static void alarm_due(struct coming *event)
{
    struct alarm *alarm = CONTAINER(event, struct alarm, event);

    lane_push(alarm->node, LANE_LOOP, &alarm->job.task, &alarm->job);
}

static void node_timer_stop(struct port *port, struct timer *timer)
{
    struct alarm *alarm = timer->due_us ? timer->impl : NULL;

    if (!alarm)
        return;
    timer->due_us = 0;
    timer->impl = NULL;
    alarm->timer = NULL;
    if (alarm->event.at == 0)
        return;
    world_unschedule(of(port)->world, &alarm->event);
    alarm_free(alarm);
}

static void node_timer_start(struct port *port, struct timer *timer, int64_t delay_us)
{
    struct node *node = of(port);

    node_timer_stop(port, timer);
    struct alarm *alarm = calloc(1, sizeof(*alarm));
    assert(alarm);
    *alarm = (struct alarm){
        .event.happen = alarm_due,
        .job = { .task.run = alarm_run, .drop = alarm_drop },
        .node = node,
        .timer = timer,
        .next = node->alarms,
        .at = &node->alarms,
    };
    if (alarm->next)
        alarm->next->at = &alarm->next;
    node->alarms = alarm;
    timer->impl = alarm;
    timer->due_us = node_mono_us(port) + (delay_us > 0 ? delay_us : 0);
    world_schedule(node->world, &alarm->event, delay_us);
}

/* --- life and death --- */

static void wake(struct coming *event)
{
}

static void boot(struct coming *event)
{
    struct node *node = CONTAINER(event, struct node, reboot);
    struct world *w = node->world;

    node->up = true;
    node->mono_offset_us = (int64_t)world_roll(w, 3600000000);
    world_note(w, 0xb007 + node->index);
    world_say(w, "%s boots", node->name);
    bool came_up = !node->boot || node->boot(node, node->boot_arg);
    if (!came_up || node_silent(node))
        node_crash(node, -1);
}

void node_crash(struct node *node, int64_t down_us)
{
    struct world *w = node->world;

    if (!node->up)
        return;
    node->up = false;
    node->life++;
    world_note(w, 0xdead + node->index);
    world_say(w, "%s crashes%s", node->name, disk_doomed(node->disk) ? " in the middle of a write" : "");
    world_bury(node->server);
    node->ops = NULL;
    node->server = NULL;
    for (int l = 0; l < LANE_COUNT; l++) {
        struct queue *q = &node->lanes[l];
        for (; q->n > 0; q->n--, q->first = (q->first + 1) % q->capacity) {
            struct queued *lost = &q->items[q->first];
            if (lost->job)
                lost->job->drop(lost->job);
            else
                world_bury(lost->task);
        }
    }
    while (node->alarms) {
        world_unschedule(w, &node->alarms->event);
        alarm_drop(&node->alarms->job);
    }
    net_node_crashed(node);
    if (down_us == INT64_MAX)
        return;
    disk_crash(node->disk);
    node->stalled_until_us = 0;
    world_schedule(w, &node->reboot, down_us < 0 ? world_span(w, 2000000) : down_us);
}

void node_stall(struct node *node, int64_t us)
{
    world_say(node->world, "%s stands still for %lld us", node->name, (long long)us);
    world_unschedule(node->world, &node->wake);
    node->stalled_until_us = node->world->now_us + us;
    world_schedule(node->world, &node->wake, us);
}

static void emptied(struct coming *coming)
{
    disk_full(CONTAINER(coming, struct node, emptied)->disk, false);
}

void node_disk_full(struct node *node, int64_t us)
{
    world_say(node->world, "%s has a full disk for %lld us", node->name, (long long)us);
    disk_full(node->disk, true);
    world_unschedule(node->world, &node->emptied);
    world_schedule(node->world, &node->emptied, us);
}

void node_wall_offset(struct node *node, int64_t offset_us)
{
    node->wall_offset_us = offset_us;
}

bool nodes_cut(struct node *a, struct node *b)
{
    return a->cut_until_us[b->index] > a->world->now_us;
}

void world_partition(struct world *w, struct node *a, struct node *b, int64_t us)
{
    world_say(w, "no way between %s and %s for %lld us", a->name, b->name, (long long)us);
    a->cut_until_us[b->index] = b->cut_until_us[a->index] = w->now_us + us;
    net_partitioned(a, b);
}

struct node *node_create(struct world *w, const char *name)
{
    struct node *node = calloc(1, sizeof(*node));

    assert(node && w->n_nodes < NODES_MAX && strlen(name) < sizeof(node->name));
    node->port = (struct port){
        .wall_us = node_wall_us,
        .mono_us = node_mono_us,
        .random = node_random,
        .post = node_post,
        .timer_start = node_timer_start,
        .timer_stop = node_timer_stop,
        .call = net_call,
        .resume = net_resume,
        .cancel = net_cancel,
        .cache = redis_submit,
        .fetch = outside_fetch,
    };
    node->world = w;
    snprintf(node->name, sizeof(node->name), "%s", name);
    node->index = w->n_nodes;
    node->up = true;
    node->mono_offset_us = (int64_t)world_roll(w, 3600000000);
    node->wake.happen = wake;
    node->committed.happen = wake;
    node->reboot.happen = boot;
    node->emptied.happen = emptied;
    node->disk = disk_create(name, chance_next(&w->chance));
    for (int l = 0; l < LANE_COUNT; l++)
        node->lanes[l].weight = 1;
    w->nodes = realloc(w->nodes, (w->n_nodes + 1) * sizeof(struct node *));
    assert(w->nodes);
    w->nodes[w->n_nodes++] = node;
    return node;
}

struct node *world_node(struct world *w, const char *name)
{
    for (size_t i = 0; i < w->n_nodes; i++)
        if (strcmp(w->nodes[i]->name, name) == 0)
            return w->nodes[i];
    return NULL;
}

void node_answer(struct node *node, const struct server_ops *ops, void *server)
{
    node->ops = ops;
    node->server = server;
}

void node_on_boot(struct node *node, bool (*boot_)(struct node *node, void *arg), void *arg)
{
    node->boot = boot_;
    node->boot_arg = arg;
}

struct port *node_port(struct node *node)
{
    return &node->port;
}

struct disk *node_disk(struct node *node)
{
    return node->disk;
}

struct world *node_world(struct node *node)
{
    return node->world;
}

const char *node_name(const struct node *node)
{
    return node->name;
}

bool node_up(const struct node *node)
{
    return node->up;
}

uint64_t node_lives(const struct node *node)
{
    return node->life;
}

void *node_server(const struct node *node)
{
    return node->server;
}
