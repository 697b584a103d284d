/* A binary heap of due times; libuv is only told about the earliest. */
#include "mesh/run/timers.h"

#include <stdlib.h>
#include <time.h>

int64_t timers_now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void put(struct timers *timers, size_t at, struct timer *timer)
{
    timers->heap[at] = timer;
    timer->impl = (void *)(at + 1);
}

static void sift_up(struct timers *timers, size_t at, struct timer *timer)
{
    while (at > 0 && timers->heap[(at - 1) / 2]->due_us > timer->due_us) {
        put(timers, at, timers->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    put(timers, at, timer);
}

static void sift_down(struct timers *timers, size_t at, struct timer *timer)
{
    for (size_t child; (child = 2 * at + 1) < timers->n; at = child) {
        if (child + 1 < timers->n && timers->heap[child + 1]->due_us < timers->heap[child]->due_us)
            child++;
        if (timers->heap[child]->due_us >= timer->due_us)
            break;
        put(timers, at, timers->heap[child]);
    }
    put(timers, at, timer);
}

static void take(struct timers *timers, size_t at)
{
    struct timer *timer = timers->heap[at], *last = timers->heap[--timers->n];
    timer->impl = NULL;
    timer->due_us = 0;
    if (last == timer)
        return;
    if (at > 0 && timers->heap[(at - 1) / 2]->due_us > last->due_us)
        sift_up(timers, at, last);
    else
        sift_down(timers, at, last);
}

static void on_due(uv_timer_t *uv);

static void aim(struct timers *timers)
{
    if (timers->n == 0) {
        uv_timer_stop(&timers->uv);
        return;
    }
    /* Rounded up: a timer never fires early. */
    int64_t left_us = timers->heap[0]->due_us - timers_now_us();
    uv_update_time(timers->uv.loop);
    uv_timer_start(&timers->uv, on_due, left_us > 0 ? (uint64_t)(left_us + 999) / 1000 : 0, 0);
}

static void on_due(uv_timer_t *uv)
{
    struct timers *timers = uv->data;
    int64_t now = timers_now_us();
    while (timers->n > 0 && timers->heap[0]->due_us <= now) {
        struct timer *timer = timers->heap[0];
        take(timers, 0);
        timer->fire(timer);
    }
    aim(timers);
}

void timers_init(struct timers *timers, uv_loop_t *loop)
{
    *timers = (struct timers){ 0 };
    uv_timer_init(loop, &timers->uv);
    timers->uv.data = timers;
}

void timers_start(struct timers *timers, struct timer *timer, int64_t due_us)
{
    if (timer->impl)
        take(timers, (size_t)timer->impl - 1);
    if (timers->n == timers->room) {
        timers->room = timers->room ? 2 * timers->room : 64;
        timers->heap = realloc(timers->heap, timers->room * sizeof(struct timer *));
        if (!timers->heap)
            abort();
    }
    timer->due_us = due_us;
    timers->n++;
    sift_up(timers, timers->n - 1, timer);
    if (timers->heap[0] == timer)
        aim(timers);
}

void timers_stop(struct timers *timers, struct timer *timer)
{
    if (!timer->impl)
        return;
    bool first = timers->heap[0] == timer;
    take(timers, (size_t)timer->impl - 1);
    if (first)
        aim(timers);
}

void timers_finish(struct timers *timers)
{
    uv_close((uv_handle_t *)&timers->uv, NULL);
    free(timers->heap);
    timers->heap = NULL;
    timers->n = 0;
}
