/* Timers by the thousand. */
#include "gateway/wheel.h"
#include "tests/suite.h"

#include <string.h>

#define MANY 5000

static uv_loop_t loop;
static struct wheel wheel;

struct timed {
    struct alarm alarm;
    int64_t rang_us;
    int rings;
};

static struct timed timed[MANY];
static int n_rung;

static void open_wheel(void)
{
    uv_loop_init(&loop);
    wheel_init(&wheel, &loop);
    memset(timed, 0, sizeof(timed));
    n_rung = 0;
}

static void close_wheel(void)
{
    uv_close((uv_handle_t *)&wheel.timer, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&loop), 0);
}

static void ring(struct alarm *alarm)
{
    struct timed *t = (struct timed *)alarm;
    t->rang_us = wheel_now_us();
    t->rings++;
    n_rung++;
}

static void run_for(int64_t us)
{
    int64_t until_us = wheel_now_us() + us;
    while (wheel_now_us() < until_us)
        uv_run(&loop, UV_RUN_NOWAIT);
}

START_TEST(an_alarm_rings_once_and_never_early)
{
    open_wheel();
    for (int i = 0; i < 200; i++)
        alarm_start(&wheel, &timed[i].alarm, i * 1000, ring);
    run_for(300000);
    ck_assert_int_eq(n_rung, 200);
    for (int i = 0; i < 200; i++) {
        ck_assert_int_eq(timed[i].rings, 1);
        ck_assert_int_ge(timed[i].rang_us, timed[i].alarm.due_us);
    }
    close_wheel();
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
    close_wheel();
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
    close_wheel();
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
    close_wheel();
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
    ck_assert_int_eq(timed[0].rings, 1);
    ck_assert_int_ge(timed[0].rang_us, timed[0].alarm.due_us);
    ck_assert_int_eq(timed[2].rings, 0);
    close_wheel();
}
END_TEST

START_TEST(an_alarm_rings_after_the_wheel_stood_still)
{
    open_wheel();
    alarm_start(&wheel, &timed[0].alarm, 1000, ring);
    run_for(50000);
    struct timespec pause = { .tv_nsec = 300000000 };
    nanosleep(&pause, NULL);
    uv_update_time(&loop);
    alarm_start(&wheel, &timed[1].alarm, 1000, ring);
    run_for(100000);
    ck_assert_int_eq(n_rung, 2);
    close_wheel();
}
END_TEST

SUITE("wheel", 60, an_alarm_rings_once_and_never_early, an_alarm_that_was_stopped_does_not_ring,
      an_alarm_that_is_started_again_counts_anew, an_alarm_may_start_and_stop_others_while_it_rings,
      an_alarm_beyond_one_round_of_the_wheel_waits_its_time, an_alarm_rings_after_the_wheel_stood_still)
