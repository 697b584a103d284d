/* The real port: lanes run to completion and in order, are woken from each other, and timers fire when due. */
#include "mesh/run/real.h"
#include "tests/suite.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

static struct real_port *open_port(const char *process)
{
    struct real_port *real;
    ck_assert_int_eq(real_port_create(&(struct real_options){ .process = process }, &real), 0);
    return real;
}

#define N 10000

struct step {
    struct task task;
    struct relay *relay;
    int number;
};

struct relay {
    struct real_port *real;
    enum lane from, to;
    struct step begin, steps[N];
    int next;
    bool ordered;
};

static void take_step(struct task *task)
{
    struct step *step = (struct step *)task;
    struct relay *relay = step->relay;
    relay->ordered = relay->ordered && step->number == relay->next++;
    if (relay->next == N)
        real_port_stop(relay->real);
}

static void begin_relay(struct task *task)
{
    struct relay *relay = ((struct step *)task)->relay;
    struct port *port = real_port(relay->real);
    for (int i = 0; i < N; i++) {
        relay->steps[i] = (struct step){ { .run = take_step }, relay, i };
        port->post(port, relay->to, &relay->steps[i].task);
    }
}

START_TEST(tasks_of_one_lane_run_in_order_on_every_other)
{
    struct real_port *real = open_port("svc-test");
    struct port *port = real_port(real);
    struct relay *relay = calloc(1, sizeof(*relay));

    for (enum lane from = 0; from < LANE_COUNT; from++) {
        for (enum lane to = 0; to < LANE_COUNT; to++) {
            relay->real = real;
            relay->from = from;
            relay->to = to;
            relay->next = 0;
            relay->ordered = true;
            relay->begin = (struct step){ { .run = begin_relay }, relay, 0 };
            port->post(port, from, &relay->begin.task);
            real_port_run(real);
            ck_assert_msg(relay->ordered && relay->next == N, "lane %d to lane %d", (int)from, (int)to);
        }
    }
    free(relay);
    real_port_destroy(real);
}
END_TEST

struct lane_probe {
    struct task task;
    pthread_t thread;
    sem_t ran;
};

static void note_thread(struct task *task)
{
    struct lane_probe *probe = (struct lane_probe *)task;
    probe->thread = pthread_self();
    sem_post(&probe->ran);
}

START_TEST(a_lane_is_always_the_same_thread_and_never_anothers)
{
    struct real_port *real = open_port("svc-test");
    struct port *port = real_port(real);
    struct lane_probe first[LANE_COUNT], second[LANE_COUNT];

    for (enum lane lane = LANE_RPC; lane < LANE_COUNT; lane++) {
        first[lane] = second[lane] = (struct lane_probe){ .task.run = note_thread };
        sem_init(&first[lane].ran, 0, 0);
        sem_init(&second[lane].ran, 0, 0);
        port->post(port, lane, &first[lane].task);
        port->post(port, lane, &second[lane].task);
        sem_wait(&first[lane].ran);
        sem_wait(&second[lane].ran);
        ck_assert(pthread_equal(first[lane].thread, second[lane].thread));
        ck_assert(!pthread_equal(first[lane].thread, pthread_self()));
        for (enum lane other = LANE_RPC; other < lane; other++)
            ck_assert(!pthread_equal(first[lane].thread, first[other].thread));
    }
    real_port_destroy(real);
}
END_TEST

struct alarm {
    struct timer timer;
    struct real_port *real;
    int64_t fired_us;
    int *order, place;
    bool last;
};

static void ring(struct timer *timer)
{
    struct alarm *alarm = (struct alarm *)timer;
    struct port *port = real_port(alarm->real);
    alarm->fired_us = port->mono_us(port);
    alarm->place = (*alarm->order)++;
    if (alarm->last)
        real_port_stop(alarm->real);
}

START_TEST(timers_fire_in_the_order_they_are_due_and_never_early)
{
    struct real_port *real = open_port(NULL);
    struct port *port = real_port(real);
    static const int64_t delays_ms[] = { 13, 2, 0, 8, 5, 11, 1, 30, 3 };
    enum { COUNT = sizeof(delays_ms) / sizeof(delays_ms[0]) };
    struct alarm alarms[COUNT];
    int64_t due[COUNT];
    int order = 0;

    for (int i = 0; i < COUNT; i++) {
        alarms[i] = (struct alarm){ { .fire = ring }, real, 0, &order, 0, delays_ms[i] == 30 };
        port->timer_start(port, &alarms[i].timer, delays_ms[i] * 1000);
        due[i] = alarms[i].timer.due_us;
    }
    real_port_run(real);
    for (int i = 0; i < COUNT; i++) {
        ck_assert_int_ge(alarms[i].fired_us, due[i]);
        ck_assert_int_eq(alarms[i].timer.due_us, 0);
        for (int j = 0; j < COUNT; j++)
            ck_assert(due[i] >= due[j] || alarms[i].place < alarms[j].place);
    }
    real_port_destroy(real);
}
END_TEST

START_TEST(a_stopped_timer_does_not_fire_and_a_restarted_one_fires_once)
{
    struct real_port *real = open_port(NULL);
    struct port *port = real_port(real);
    int order = 0;
    struct alarm stopped = { { .fire = ring }, real, 0, &order, -1, false };
    struct alarm again = { { .fire = ring }, real, 0, &order, -1, false };
    struct alarm last = { { .fire = ring }, real, 0, &order, -1, true };

    port->timer_start(port, &stopped.timer, 1000);
    port->timer_start(port, &again.timer, 1000);
    port->timer_start(port, &again.timer, 5000);
    port->timer_start(port, &last.timer, 20000);
    port->timer_stop(port, &stopped.timer);
    port->timer_stop(port, &stopped.timer);
    real_port_run(real);
    ck_assert_int_eq(stopped.place, -1);
    ck_assert_int_eq(again.place, 0);
    ck_assert_int_eq(last.place, 1);
    real_port_destroy(real);
}
END_TEST

START_TEST(random_bytes_do_not_repeat)
{
    struct real_port *real = open_port(NULL);
    struct port *port = real_port(real);
    uint8_t a[300], b[300], none[300] = { 0 };

    port->random(port, a, sizeof(a));
    port->random(port, b, sizeof(b));
    ck_assert(memcmp(a, b, sizeof(a)) != 0);
    ck_assert(memcmp(a + 268, none, 32) != 0);
    ck_assert(memcmp(a, a + 256, 16) != 0);
    real_port_destroy(real);
}
END_TEST

static int refusal;

static void note_refusal(struct cache_op *op, int result)
{
    refusal = result;
}

START_TEST(without_a_cache_every_operation_says_so)
{
    struct real_port *real = open_port(NULL);
    struct port *port = real_port(real);
    int order = 0;
    const char *key = "sku";
    struct cache_op op = { .op = CACHE_GET, .n = 1, .keys = &key, .done = note_refusal };
    struct alarm last = { { .fire = ring }, real, 0, &order, -1, true };

    port->cache(port, &op);
    ck_assert_int_eq(refusal, 0);
    port->timer_start(port, &last.timer, 10000);
    real_port_run(real);
    ck_assert_int_eq(refusal, -ENOSYS);
    real_port_destroy(real);
}
END_TEST

/* --- whoever is outside --- */

struct errand {
    struct fetch fetch;
    struct task task;
    struct real_port *real;
    pthread_t begun_on, ended_on;
    int result, status;
    bool last; /* stops the loop */
};

static void fetched(struct fetch *fetch, int result, int status, struct bytes body)
{
    struct errand *errand = (struct errand *)fetch;
    errand->ended_on = pthread_self();
    errand->result = result;
    errand->status = status;
    if (errand->last)
        real_port_stop(errand->real);
}

static void begin_errand(struct task *task)
{
    struct errand *errand = (struct errand *)((char *)task - offsetof(struct errand, task));
    struct port *port = real_port(errand->real);
    errand->begun_on = pthread_self();
    port->fetch(port, &errand->fetch);
}

static struct errand make_errand(struct real_port *real, const char *peer, bool last)
{
    return (struct errand){ .fetch = { .peer = peer,
                                       .verb = "PUT",
                                       .path = "mail",
                                       .body = { (const uint8_t *)"mail", 4 },
                                       .timeout_us = 10000000,
                                       .done = fetched },
                            .task.run = begin_errand,
                            .real = real,
                            .result = 1,
                            .last = last };
}

START_TEST(a_fetch_from_any_lane_ends_on_the_loop)
{
    char folder[] = "/tmp/check_real.XXXXXX", outside[64], path[64];
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(outside, sizeof(outside), "mail=file://%s", folder);
    snprintf(path, sizeof(path), "%s/mail", folder);
    for (enum lane lane = LANE_RPC; lane < LANE_COUNT; lane++) {
        struct real_port *real;
        const struct real_options options = { .process = "svc-test", .outside = outside };
        ck_assert_int_eq(real_port_create(&options, &real), 0);
        struct errand errand = make_errand(real, "mail", true);
        real_port(real)->post(real_port(real), lane, &errand.task);
        real_port_run(real);
        ck_assert_int_eq(errand.result, 0);
        ck_assert_int_eq(errand.status, 200);
        ck_assert(pthread_equal(errand.ended_on, pthread_self()));
        ck_assert(!pthread_equal(errand.begun_on, pthread_self()));
        ck_assert_int_eq(unlink(path), 0);
        real_port_destroy(real);
    }
    ck_assert_int_eq(rmdir(folder), 0);
}
END_TEST

START_TEST(without_anybody_outside_every_fetch_says_so)
{
    struct real_port *real = open_port(NULL);
    struct port *port = real_port(real);
    struct errand errand = make_errand(real, "mail", true);
    port->fetch(port, &errand.fetch);
    ck_assert_int_eq(errand.result, 1);
    real_port_run(real);
    ck_assert_int_eq(errand.result, -ENOSYS);
    real_port_destroy(real);
}
END_TEST

/* A socket that takes connections and never says anything. */
START_TEST(a_hang_up_ends_what_is_under_way_and_what_comes_later)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, len), 0);
    ck_assert_int_eq(listen(fd, 8), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    char outside[64];
    snprintf(outside, sizeof(outside), "mail=http://127.0.0.1:%d", ntohs(address.sin_port));

    struct real_port *real;
    ck_assert_int_eq(real_port_create(&(struct real_options){ .outside = outside }, &real), 0);
    struct port *port = real_port(real);
    struct errand first = make_errand(real, "mail", false), later = make_errand(real, "mail", true);
    struct alarm soon = { { .fire = ring }, real, 0, &(int){ 0 }, -1, true };
    first.fetch.path = later.fetch.path = "/mail";
    port->fetch(port, &first.fetch);
    port->timer_start(port, &soon.timer, 10000);
    real_port_run(real);
    ck_assert_int_eq(first.result, 1);
    real_port_hang_up(real);
    ck_assert_int_eq(first.result, -ECONNRESET);
    port->fetch(port, &later.fetch);
    real_port_run(real);
    ck_assert_int_eq(later.result, -ECONNRESET);
    real_port_destroy(real);
    close(fd);
}
END_TEST

START_TEST(who_is_outside_must_be_somewhere)
{
    struct real_port *real;
    ck_assert_int_eq(real_port_create(&(struct real_options){ .outside = "mail=nowhere" }, &real), -EINVAL);
}
END_TEST

START_TEST(a_malformed_peer_is_refused_at_start)
{
    static const char *const wrong[] = {
        "svc-order",          "=127.0.0.1:1", "svc-order=", "svc-order=here:1+there:2", "svc-order=127.0.0.1:1+[::1]:2",
        "svc-order=127.0.0.1"
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct real_port *real;
        ck_assert_msg(real_port_create(&(struct real_options){ .process = "svc-test", .peers = wrong[i] }, &real) < 0,
                      "%s", wrong[i]);
    }
}
END_TEST

SUITE("real", 30, tasks_of_one_lane_run_in_order_on_every_other, a_lane_is_always_the_same_thread_and_never_anothers,
      timers_fire_in_the_order_they_are_due_and_never_early,
      a_stopped_timer_does_not_fire_and_a_restarted_one_fires_once, random_bytes_do_not_repeat,
      without_a_cache_every_operation_says_so, a_fetch_from_any_lane_ends_on_the_loop,
      without_anybody_outside_every_fetch_says_so, a_hang_up_ends_what_is_under_way_and_what_comes_later,
      who_is_outside_must_be_somewhere, a_malformed_peer_is_refused_at_start)
