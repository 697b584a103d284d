/* Lanes as threads, each with a queue; one lock for all of them. */
#include "tests/mesh/threads_port.h"

#include "tests/mesh/no_fetch.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

struct threads_port;

struct lane_thread {
    struct threads_port *port;
    pthread_t thread;
    pthread_cond_t wake;
    struct task *first, **last;
};

struct threads_port {
    struct port port;
    pthread_mutex_t lock;
    pthread_cond_t idle;
    size_t busy; /* tasks posted and not yet run to their end */
    bool ending;
    struct lane_thread lanes[LANE_COUNT];
};

static int64_t clock_us(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec * 1000000ll + now.tv_nsec / 1000;
}

static int64_t wall_us(struct port *port)
{
    return clock_us(CLOCK_REALTIME);
}

static int64_t mono_us(struct port *port)
{
    return clock_us(CLOCK_MONOTONIC);
}

static void fill_random(struct port *port, void *data, size_t n)
{
    if (getrandom(data, n, 0) != (ssize_t)n)
        abort();
}

static void post(struct port *port, enum lane lane, struct task *task)
{
    struct threads_port *p = (struct threads_port *)port;
    struct lane_thread *l = &p->lanes[lane];
    pthread_mutex_lock(&p->lock);
    task->next = NULL;
    *l->last = task;
    l->last = &task->next;
    p->busy++;
    pthread_cond_signal(&l->wake);
    pthread_mutex_unlock(&p->lock);
}

static void *run_lane(void *arg)
{
    struct lane_thread *l = arg;
    struct threads_port *p = l->port;
    pthread_mutex_lock(&p->lock);
    for (;;) {
        while (!l->first && !p->ending)
            pthread_cond_wait(&l->wake, &p->lock);
        struct task *task = l->first;
        if (!task)
            break;
        l->first = task->next;
        if (!l->first)
            l->last = &l->first;
        pthread_mutex_unlock(&p->lock);
        task->run(task);
        pthread_mutex_lock(&p->lock);
        if (--p->busy == 0)
            pthread_cond_broadcast(&p->idle);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

static void start_timer(struct port *port, struct timer *timer, int64_t delay_us)
{
}

static void stop_timer(struct port *port, struct timer *timer)
{
}

struct port *threads_port_create(void)
{
    struct threads_port *p = calloc(1, sizeof(*p));
    if (!p)
        abort();
    p->port = (struct port){ .wall_us = wall_us,
                             .mono_us = mono_us,
                             .random = fill_random,
                             .post = post,
                             .timer_start = start_timer,
                             .timer_stop = stop_timer,
                             .fetch = no_fetch };
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->idle, NULL);
    for (int i = 0; i < LANE_COUNT; i++) {
        struct lane_thread *l = &p->lanes[i];
        l->port = p;
        l->last = &l->first;
        pthread_cond_init(&l->wake, NULL);
        if (pthread_create(&l->thread, NULL, run_lane, l) != 0)
            abort();
    }
    return &p->port;
}

void threads_port_settle(struct port *port)
{
    struct threads_port *p = (struct threads_port *)port;
    pthread_mutex_lock(&p->lock);
    while (p->busy > 0)
        pthread_cond_wait(&p->idle, &p->lock);
    pthread_mutex_unlock(&p->lock);
}

void threads_port_destroy(struct port *port)
{
    if (!port)
        return;
    struct threads_port *p = (struct threads_port *)port;
    threads_port_settle(port);
    pthread_mutex_lock(&p->lock);
    p->ending = true;
    for (int i = 0; i < LANE_COUNT; i++)
        pthread_cond_signal(&p->lanes[i].wake);
    pthread_mutex_unlock(&p->lock);
    for (int i = 0; i < LANE_COUNT; i++) {
        pthread_join(p->lanes[i].thread, NULL);
        pthread_cond_destroy(&p->lanes[i].wake);
    }
    pthread_cond_destroy(&p->idle);
    pthread_mutex_destroy(&p->lock);
    free(p);
}
