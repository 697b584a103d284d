/* A port of one thread for tests: what is posted waits until steps_port_run, in order; the clock stands still unless
 * moved, and chance is a fixed sequence. No calls or cache, and nobody
 * outside. */
#pragma once

#include "mesh/port.h"

#include <stddef.h>

struct steps_port {
    struct port port;
    int64_t now_us; /* of both clocks */
    uint64_t chance;
    struct task *first, **last;
    struct timer *timers[64];
    size_t n_timers;
};

void steps_port_init(struct steps_port *p);
/* Runs posted tasks, and those that they post, until none is left. */
void steps_port_run(struct steps_port *p);
/* Moves the clock, firing what falls due on the way in its order, with the tasks in between. */
void steps_port_advance(struct steps_port *p, int64_t us);
