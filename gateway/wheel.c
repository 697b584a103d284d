/* A hashed wheel: alarms hang in the slot of their tick, and the one libuv timer is set to the next slot in use. */
#include "gateway/wheel.h"

#include <time.h>

int64_t wheel_now_us(void)
{
    return (int64_t)(uv_hrtime() / 1000);
}

static void unlink_alarm(struct alarm *alarm)
{
    alarm->prev->next = alarm->next;
    alarm->next->prev = alarm->prev;
    alarm->prev = alarm->next = NULL;
}

/* How many ticks from `from` to the next slot in use, at least 1; 0 if all are empty. A whole round at most. */
static int64_t next_busy(const struct wheel *wheel, int64_t from)
{
    for (int64_t step = 1; step <= WHEEL_SLOTS;) {
        unsigned slot = (unsigned)(from + step) % WHEEL_SLOTS;
        uint64_t word = wheel->busy[slot / 64] >> (slot % 64);
        if (word)
            return step + __builtin_ctzll(word) <= WHEEL_SLOTS ? step + __builtin_ctzll(word) : WHEEL_SLOTS;
        step += 64 - slot % 64;
    }
    return 0;
}

static void turn(uv_timer_t *timer);

static void arm(struct wheel *wheel, int64_t tick)
{
    wheel->armed = tick;
    int64_t wait_us = ((tick + 1) << WHEEL_TICK_SHIFT) - wheel_now_us();
    uv_timer_start(&wheel->timer, turn, wait_us > 0 ? (uint64_t)wait_us / 1000 + 1 : 0, 0);
}

/* Rings what is due in one slot. What hangs there for a later round stays. */
static void ring_slot(struct wheel *wheel, int64_t tick, int64_t now_us)
{
    struct alarm *head = &wheel->slots[tick % WHEEL_SLOTS];
    struct alarm due = { &due, &due, 0, NULL };
    for (struct alarm *a = head->next, *next; a != head; a = next) {
        next = a->next;
        if (a->due_us > now_us)
            continue;
        unlink_alarm(a);
        a->prev = due.prev, a->next = &due;
        due.prev->next = a, due.prev = a;
    }
    if (head->next == head)
        wheel->busy[tick % WHEEL_SLOTS / 64] &= ~(1ull << (tick % 64));
    while (due.next != &due) {
        struct alarm *a = due.next;
        unlink_alarm(a);
        a->ring(a);
    }
}

static void turn(uv_timer_t *timer)
{
    struct wheel *wheel = timer->data;
    wheel->armed = 0;
    uv_update_time(timer->loop);
    int64_t now_us = wheel_now_us(), last = (now_us >> WHEEL_TICK_SHIFT) - 1;
    if (last - wheel->tick > WHEEL_SLOTS)
        wheel->tick = last - WHEEL_SLOTS;
    while (wheel->tick < last)
        ring_slot(wheel, ++wheel->tick, now_us);
    int64_t step = next_busy(wheel, wheel->tick);
    if (step && (!wheel->armed || wheel->tick + step < wheel->armed))
        arm(wheel, wheel->tick + step);
}

void wheel_init(struct wheel *wheel, uv_loop_t *loop)
{
    *wheel = (struct wheel){ .tick = (wheel_now_us() >> WHEEL_TICK_SHIFT) - 1 };
    for (size_t i = 0; i < WHEEL_SLOTS; i++)
        wheel->slots[i].prev = wheel->slots[i].next = &wheel->slots[i];
    uv_timer_init(loop, &wheel->timer);
    wheel->timer.data = wheel;
}

void alarm_start(struct wheel *wheel, struct alarm *alarm, int64_t delay_us, void (*ring)(struct alarm *))
{
    alarm_stop(alarm);
    int64_t now_us = wheel_now_us();
    if (delay_us > INT64_MAX - now_us)
        delay_us = INT64_MAX - now_us;
    alarm->due_us = now_us + (delay_us > 0 ? delay_us : 0);
    alarm->ring = ring;
    int64_t tick = alarm->due_us >> WHEEL_TICK_SHIFT;
    if (tick <= wheel->tick)
        tick = wheel->tick + 1;
    struct alarm *head = &wheel->slots[tick % WHEEL_SLOTS];
    alarm->prev = head->prev, alarm->next = head;
    head->prev->next = alarm, head->prev = alarm;
    wheel->busy[tick % WHEEL_SLOTS / 64] |= 1ull << (tick % 64);
    if (tick - wheel->tick > WHEEL_SLOTS)
        tick = wheel->tick + WHEEL_SLOTS;
    if (!wheel->armed || tick < wheel->armed)
        arm(wheel, tick);
}

void alarm_stop(struct alarm *alarm)
{
    if (alarm->next)
        unlink_alarm(alarm);
}
