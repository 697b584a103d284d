/* One queue for all lanes, one clock that the test moves. */
#include "tests/mesh/steps_port.h"

#include "tests/mesh/no_fetch.h"

#include <stdlib.h>
#include <string.h>

static int64_t now_us(struct port *port)
{
    return ((struct steps_port *)port)->now_us;
}

static void fill_random(struct port *port, void *data, size_t n)
{
    struct steps_port *p = (struct steps_port *)port;
    for (size_t i = 0; i < n; i++) {
        p->chance = p->chance * 6364136223846793005ull + 1442695040888963407ull;
        ((uint8_t *)data)[i] = (uint8_t)(p->chance >> 56);
    }
}

static void post(struct port *port, enum lane lane, struct task *task)
{
    struct steps_port *p = (struct steps_port *)port;
    task->next = NULL;
    *p->last = task;
    p->last = &task->next;
}

static void timer_stop(struct port *port, struct timer *timer)
{
    struct steps_port *p = (struct steps_port *)port;
    timer->due_us = 0;
    for (size_t i = 0; i < p->n_timers; i++) {
        if (p->timers[i] != timer)
            continue;
        p->n_timers--;
        memmove(&p->timers[i], &p->timers[i + 1], (p->n_timers - i) * sizeof(p->timers[0]));
        return;
    }
}

static void timer_start(struct port *port, struct timer *timer, int64_t delay_us)
{
    struct steps_port *p = (struct steps_port *)port;
    timer_stop(port, timer);
    if (p->n_timers == sizeof(p->timers) / sizeof(p->timers[0]))
        abort();
    timer->due_us = p->now_us + (delay_us > 0 ? delay_us : 0);
    p->timers[p->n_timers++] = timer;
}

void steps_port_init(struct steps_port *p)
{
    *p = (struct steps_port){ .now_us = 1700000000000000, .chance = 42 };
    p->last = &p->first;
    p->port = (struct port){ .wall_us = now_us,
                             .mono_us = now_us,
                             .random = fill_random,
                             .post = post,
                             .timer_start = timer_start,
                             .timer_stop = timer_stop,
                             .fetch = no_fetch };
}

void steps_port_run(struct steps_port *p)
{
    while (p->first) {
        struct task *task = p->first;
        p->first = task->next;
        if (!p->first)
            p->last = &p->first;
        task->run(task);
    }
}

void steps_port_advance(struct steps_port *p, int64_t us)
{
    int64_t end_us = p->now_us + us;
    for (;;) {
        steps_port_run(p);
        struct timer *next = NULL;
        for (size_t i = 0; i < p->n_timers; i++)
            if (p->timers[i]->due_us <= end_us && (!next || p->timers[i]->due_us < next->due_us))
                next = p->timers[i];
        if (!next)
            break;
        if (next->due_us > p->now_us)
            p->now_us = next->due_us;
        timer_stop(&p->port, next);
        next->fire(next);
    }
    p->now_us = end_us;
}
