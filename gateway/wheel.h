/* Timers by the thousand: starting and stopping one costs a list operation; they fire up to 8 ms late, never early.
 * Everything here belongs to the loop lane. */
#pragma once

#include <stdint.h>
#include <uv.h>

#define WHEEL_SLOTS      512
#define WHEEL_TICK_SHIFT 13 /* 8,192 µs */

struct alarm {
    struct alarm *prev, *next; /* NULL: not started */
    int64_t due_us;
    void (*ring)(struct alarm *alarm);
};

struct wheel {
    uv_timer_t timer;
    struct alarm slots[WHEEL_SLOTS]; /* heads of rings */
    uint64_t busy[WHEEL_SLOTS / 64];
    int64_t tick;  /* the slot that was looked at last, as a count of ticks */
    int64_t armed; /* the tick the timer is set to; 0: none */
};

int64_t wheel_now_us(void); /* the monotonic clock that alarms are on */
void wheel_init(struct wheel *wheel, uv_loop_t *loop);
/* Its end is closing the timer's handle. */
/* Restarts a started one. The alarm may be started again, or freed, in its ring. */
void alarm_start(struct wheel *wheel, struct alarm *alarm, int64_t delay_us, void (*ring)(struct alarm *));
void alarm_stop(struct alarm *alarm); /* harmless if not started */
