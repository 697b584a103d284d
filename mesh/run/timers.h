/* The timers of struct port as one heap over one timer of libuv. Loop lane. */
#pragma once

#include "mesh/port.h"

#include <uv.h>

struct timers {
    uv_timer_t uv;
    struct timer **heap; /* the earliest first; timer->impl is its place + 1 */
    size_t n, room;
};

void timers_init(struct timers *timers, uv_loop_t *loop);
void timers_start(struct timers *timers, struct timer *timer, int64_t due_us);
void timers_stop(struct timers *timers, struct timer *timer);
void timers_finish(struct timers *timers); /* the caller runs the loop once more */
int64_t timers_now_us(void);
