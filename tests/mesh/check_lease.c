/* Tests of mesh/run/lease.c: two processes with clocks of their own around one table. */
#include "mesh/base/say.h"
#include "mesh/run/lease.h"
#include "tests/mesh/store_fixture.h"
#include "tests/suite.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SECOND_US 1000000ll
#define HOUR_US   (3600 * SECOND_US)
#define TTL_US    (5 * SECOND_US)

/* The store lives in neither of the processes; its lane runs when the test says so. */
static struct fixture f;

struct process {
    struct steps_port port;
    struct leases *leases;
    struct lease lease;
    int taken, lost;
    bool stopped;
};
static struct process a, b;
static int64_t wall_offset_us[2]; /* of a and b */

static int64_t wall_of_a(struct port *port)
{
    return a.port.now_us + wall_offset_us[0];
}

static int64_t wall_of_b(struct port *port)
{
    return b.port.now_us + wall_offset_us[1];
}

static void changed(struct lease *lease, bool held)
{
    struct process *p = (struct process *)((char *)lease - offsetof(struct process, lease));
    p->taken += held;
    p->lost += !held;
}

static void start(struct process *p, int64_t clock_us, const char *name)
{
    *p = (struct process){ 0 };
    steps_port_init(&p->port);
    p->port.now_us = clock_us;
    p->port.port.wall_us = p == &a ? wall_of_a : wall_of_b;
    ck_assert_int_eq(leases_create(&p->port.port, f.store, name, TTL_US, &p->leases), 0);
    snprintf(p->lease.name, sizeof(p->lease.name), "work");
    p->lease.changed = changed;
    leases_add(p->leases, &p->lease);
    leases_start(p->leases);
}

/* Time goes by for all that are not NULL, in small steps, and the store keeps up. */
static void pass(struct process *x, struct process *y, int64_t us)
{
    for (int64_t at = 0; at < us; at += 10000) {
        if (x)
            steps_port_advance(&x->port, 10000);
        if (y)
            steps_port_advance(&y->port, 10000);
        steps_port_run(&f.port);
    }
    if (x)
        steps_port_run(&x->port);
    if (y)
        steps_port_run(&y->port);
}

static void begin(void)
{
    say_init("check", SAY_ERROR + 1);
    wall_offset_us[0] = wall_offset_us[1] = 0;
    const char *rerun = getenv("MESH_RERUN");
    fixture_init(&f, &(struct store_options){ .rerun_always = rerun && strcmp(rerun, "always") == 0 });
    ck_assert_int_eq(store_migrate(f.store, "leases", lease_migrations), 0);
    start(&a, 1000 * SECOND_US, "a");
    pass(&a, NULL, SECOND_US);
    ck_assert(lease_held(&a.lease));
}

static void end(void)
{
    leases_destroy(a.leases);
    leases_destroy(b.leases);
    b = (struct process){ 0 };
    fixture_finish(&f);
}

struct write {
    struct lease_hold hold;
    const char *key;
};

static int write_under_lease(struct txn *txn, void *arg)
{
    const struct write *w = arg;
    int r = lease_guard(txn, &w->hold);
    return r < 0 ? r : txn_post(txn, "INSERT INTO t (id, n) VALUES ($1, 1)", T(w->key));
}

static int write_as(struct lease_hold hold, const char *key)
{
    struct write w = { hold, key };
    return do_write(&f, write_under_lease, &w);
}

START_TEST(a_free_lease_is_taken_by_one)
{
    begin();
    start(&b, 5 * SECOND_US, "b");
    pass(&a, &b, 60 * SECOND_US);
    ck_assert(lease_held(&a.lease));
    ck_assert(!lease_held(&b.lease));
    ck_assert_int_eq(a.taken, 1);
    ck_assert_int_eq(b.taken, 0);
    end();
}
END_TEST

START_TEST(a_silent_owner_is_replaced_after_the_ttl_and_not_before)
{
    begin();
    start(&b, 5 * SECOND_US, "b");
    pass(&a, &b, 10 * SECOND_US);
    pass(NULL, &b, TTL_US - SECOND_US);
    ck_assert(!lease_held(&b.lease));
    pass(NULL, &b, TTL_US);
    ck_assert(lease_held(&b.lease));
    ck_assert_int_eq(b.lease.term, a.lease.term + 1);
    end();
}
END_TEST

START_TEST(wall_clocks_an_hour_apart_do_not_matter)
{
    static const int64_t offsets[] = { HOUR_US, -HOUR_US, 0 };
    begin();
    start(&b, 5 * SECOND_US, "b");
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 3; k++) {
            wall_offset_us[0] = offsets[i];
            wall_offset_us[1] = offsets[k];
            f.port.now_us += offsets[i] - offsets[k];
            pass(&a, &b, 20 * SECOND_US);
            ck_assert(lease_held(&a.lease));
            ck_assert(!lease_held(&b.lease));
        }
    ck_assert_int_eq(a.lost, 0);
    wall_offset_us[1] = HOUR_US;
    pass(NULL, &b, TTL_US - SECOND_US);
    ck_assert(!lease_held(&b.lease));
    wall_offset_us[1] = -HOUR_US;
    pass(NULL, &b, TTL_US);
    ck_assert(lease_held(&b.lease));
    end();
}
END_TEST

START_TEST(an_owner_that_was_stopped_and_wakes_up_cannot_write)
{
    begin();
    start(&b, 5 * SECOND_US, "b");
    pass(&a, &b, 10 * SECOND_US);
    struct lease_hold old = lease_hold(&a.lease);
    ck_assert_int_eq(write_as(old, "1"), 0);
    pass(NULL, &b, 3 * TTL_US);
    ck_assert(lease_held(&b.lease));
    ck_assert_int_eq(write_as(old, "2"), -EPERM);
    ck_assert_int_eq(write_as(lease_hold(&b.lease), "3"), 0);
    ck_assert_int_eq(count_rows(&f), 2);
    /* It sees by its own clock that time has gone by, before it has asked anybody. */
    a.port.now_us += 3 * TTL_US;
    ck_assert(!lease_held(&a.lease));
    pass(&a, &b, SECOND_US);
    ck_assert_int_eq(a.lost, 1);
    ck_assert(lease_held(&b.lease));
    end();
}
END_TEST

START_TEST(an_owner_that_cannot_beat_takes_itself_for_lapsed_before_anybody_else_does)
{
    begin();
    start(&b, 5 * SECOND_US, "b");
    pass(&a, &b, 10 * SECOND_US);
    bool both = false;
    /* a's clock goes on, but its lane for what the store says has stopped: no beat is known to have been stored. */
    for (int64_t at = 0; at < 3 * TTL_US; at += 10000) {
        a.port.now_us += 10000;
        steps_port_advance(&b.port, 10000);
        steps_port_run(&f.port);
        both |= lease_held(&a.lease) && lease_held(&b.lease);
    }
    ck_assert(!both);
    ck_assert(!lease_held(&a.lease));
    ck_assert(lease_held(&b.lease));
    end();
}
END_TEST

START_TEST(a_lapsed_owner_that_nobody_replaced_goes_on_in_a_new_term)
{
    begin();
    struct lease_hold old = lease_hold(&a.lease);
    a.port.now_us += 3 * TTL_US;
    ck_assert(!lease_held(&a.lease));
    pass(&a, NULL, 2 * TTL_US);
    ck_assert(lease_held(&a.lease));
    ck_assert_int_ge(a.lease.term, old.term);
    ck_assert_int_eq(write_as(lease_hold(&a.lease), "1"), 0);
    end();
}
END_TEST

START_TEST(a_released_lease_is_taken_without_waiting_and_can_be_wanted_again)
{
    begin();
    start(&b, 5 * SECOND_US, "b");
    pass(&a, &b, 2 * SECOND_US);
    struct lease_hold old = lease_hold(&a.lease);
    lease_release(&a.lease);
    pass(&a, &b, 2 * SECOND_US);
    ck_assert(lease_held(&b.lease));
    ck_assert(!lease_held(&a.lease));
    ck_assert_int_eq(write_as(old, "1"), -EPERM);
    lease_release(&b.lease);
    lease_want(&a.lease);
    pass(&a, &b, 4 * SECOND_US);
    ck_assert(lease_held(&a.lease));
    ck_assert_int_eq(a.lease.term, 3);
    end();
}
END_TEST

static void stopped(void *arg)
{
    ((struct process *)arg)->stopped = true;
}

START_TEST(who_stops_gives_everything_back)
{
    begin();
    leases_stop(a.leases, stopped, &a);
    ck_assert(!a.stopped);
    pass(&a, NULL, 20000);
    ck_assert(a.stopped);
    start(&b, 5 * SECOND_US, "b");
    pass(NULL, &b, 20000);
    ck_assert(lease_held(&b.lease));
    end();
}
END_TEST

START_TEST(who_has_the_database_alone_need_not_wait)
{
    begin();
    start(&b, 5 * SECOND_US, "b");
    pass(NULL, &b, SECOND_US);
    ck_assert(!lease_held(&b.lease));
    leases_destroy(b.leases);
    ck_assert_int_eq(leases_clear(f.store), 0);
    start(&b, 5 * SECOND_US, "b");
    pass(NULL, &b, 20000);
    ck_assert(lease_held(&b.lease));
    ck_assert_int_eq(b.lease.term, 2);
    end();
}
END_TEST

/* Meanwhile somebody may have asked, and gone to rest until told that the lease is held. */
START_TEST(a_holder_that_lapsed_and_beats_again_says_so)
{
    begin();
    a.port.now_us += 2 * TTL_US;
    ck_assert(!lease_held(&a.lease));
    pass(&a, NULL, TTL_US);
    ck_assert(lease_held(&a.lease));
    ck_assert_int_eq(a.lost, 1);
    ck_assert_int_eq(a.taken, 2);
    end();
}
END_TEST

SUITE("lease", 60, a_free_lease_is_taken_by_one, a_silent_owner_is_replaced_after_the_ttl_and_not_before,
      wall_clocks_an_hour_apart_do_not_matter, an_owner_that_was_stopped_and_wakes_up_cannot_write,
      an_owner_that_cannot_beat_takes_itself_for_lapsed_before_anybody_else_does,
      a_lapsed_owner_that_nobody_replaced_goes_on_in_a_new_term,
      a_released_lease_is_taken_without_waiting_and_can_be_wanted_again, who_stops_gives_everything_back,
      who_has_the_database_alone_need_not_wait, a_holder_that_lapsed_and_beats_again_says_so)
