/* Timers by the thousand, on a clock and a timer of libuv's that the test turns itself. */
#include "gateway/wheel.h"
#include "tests/suite.h"

#include <string.h>

#define MANY    5000
#define LATE_US (2 << WHEEL_TICK_SHIFT) /* an alarm rings when its tick is over, at the timer's next millisecond */

static uv_loop_t loop;
static struct wheel wheel;

/* --- what stands before libuv's own: time goes on only in run_for --- */

static int64_t now_us, due_us; /* due 0: the timer is not started */
static uv_timer_cb fire;

uint64_t uv_hrtime(void)
{
    return (uint64_t)now_us * 1000;
}

void uv_update_time(uv_loop_t *l)
{
}

int uv_timer_init(uv_loop_t *l, uv_timer_t *timer)
{
    timer->loop = l;
    due_us = 0;
    return 0;
}

int uv_timer_start(uv_timer_t *timer, uv_timer_cb callback, uint64_t wait_ms, uint64_t repeat_ms)
{
    fire = callback;
    due_us = now_us + (int64_t)wait_ms * 1000;
    return 0;
}

static void run_for(int64_t us)
{
    int64_t until_us = now_us + us;
    while (due_us && due_us <= until_us) {
        now_us = due_us > now_us ? due_us : now_us;
        due_us = 0;
        fire(&wheel.timer);
    }
    now_us = until_us;
}

struct timed {
    struct alarm alarm;
    int64_t rang_us;
    int rings;
};

static struct timed timed[MANY];
static int n_rung;

static void open_wheel(void)
{
    now_us = 1000000;
    wheel_init(&wheel, &loop);
    memset(timed, 0, sizeof(timed));
    n_rung = 0;
}

static void ring(struct alarm *alarm)
{
    struct timed *t = (struct timed *)alarm;
    t->rang_us = wheel_now_us();
    t->rings++;
    n_rung++;
}

static void expect_in_time(const struct timed *t)
{
    ck_assert_int_eq(t->rings, 1);
    ck_assert_int_ge(t->rang_us, t->alarm.due_us);
    ck_assert_int_le(t->rang_us, t->alarm.due_us + LATE_US);
}

START_TEST(an_alarm_rings_once_and_never_early)
{
    open_wheel();
    for (int i = 0; i < 200; i++)
        alarm_start(&wheel, &timed[i].alarm, i * 1000, ring);
    run_for(300000);
    ck_assert_int_eq(n_rung, 200);
    for (int i = 0; i < 200; i++)
        expect_in_time(&timed[i]);
}
END_TEST

START_TEST(an_alarm_that_was_stopped_does_not_ring)
{
    open_wheel();
    for (int i = 0; i < MANY; i++)
        alarm_start(&wheel, &timed[i].alarm, 20000, ring);
    for (int i = 0; i < MANY; i += 2)
        alarm_stop(&timed[i].alarm);
    alarm_stop(&timed[0].alarm);
    run_for(100000);
    ck_assert_int_eq(n_rung, MANY / 2);
    ck_assert_int_eq(timed[0].rings, 0);
}
END_TEST

START_TEST(an_alarm_that_is_started_again_counts_anew)
{
    open_wheel();
    alarm_start(&wheel, &timed[0].alarm, 10000, ring);
    alarm_start(&wheel, &timed[0].alarm, 200000, ring);
    run_for(100000);
    ck_assert_int_eq(n_rung, 0);
    run_for(200000);
    ck_assert_int_eq(n_rung, 1);
}
END_TEST

static void ring_again(struct alarm *alarm)
{
    ring(alarm);
    if (n_rung < 5)
        alarm_start(&wheel, alarm, 1000, ring_again);
}

static void stop_the_next(struct alarm *alarm)
{
    ring(alarm);
    alarm_stop(&timed[1].alarm);
}

START_TEST(an_alarm_may_start_and_stop_others_while_it_rings)
{
    open_wheel();
    alarm_start(&wheel, &timed[5].alarm, 1000, ring_again);
    run_for(200000);
    ck_assert_int_eq(timed[5].rings, 5);
    alarm_start(&wheel, &timed[0].alarm, 5000, stop_the_next);
    alarm_start(&wheel, &timed[1].alarm, 5000, ring);
    run_for(100000);
    ck_assert_int_eq(timed[0].rings, 1);
    ck_assert_int_eq(timed[1].rings, 0);
}
END_TEST

START_TEST(an_alarm_beyond_one_round_of_the_wheel_waits_its_time)
{
    open_wheel();
    int64_t round_us = (int64_t)WHEEL_SLOTS << WHEEL_TICK_SHIFT;
    alarm_start(&wheel, &timed[0].alarm, round_us + 100000, ring);
    alarm_start(&wheel, &timed[1].alarm, 50000, ring);
    alarm_start(&wheel, &timed[2].alarm, INT64_MAX, ring);
    run_for(400000);
    ck_assert_int_eq(timed[0].rings, 0);
    ck_assert_int_eq(timed[1].rings, 1);
    run_for(round_us);
    expect_in_time(&timed[0]);
    expect_in_time(&timed[1]);
    ck_assert_int_eq(timed[2].rings, 0);
}
END_TEST

START_TEST(an_alarm_rings_after_the_wheel_stood_still)
{
    open_wheel();
    alarm_start(&wheel, &timed[0].alarm, 1000, ring);
    run_for(50000);
    expect_in_time(&timed[0]);
    now_us += 10 * ((int64_t)WHEEL_SLOTS << WHEEL_TICK_SHIFT);
    alarm_start(&wheel, &timed[1].alarm, 1000, ring);
    run_for(100000);
    expect_in_time(&timed[1]);
    ck_assert_int_eq(n_rung, 2);
}
END_TEST

SUITE("wheel", 60, an_alarm_rings_once_and_never_early, an_alarm_that_was_stopped_does_not_ring,
      an_alarm_that_is_started_again_counts_anew, an_alarm_may_start_and_stop_others_while_it_rings,
      an_alarm_beyond_one_round_of_the_wheel_waits_its_time, an_alarm_rings_after_the_wheel_stood_still)
