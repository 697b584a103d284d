/* Tests of mesh/outbox's relay: order, exactly one effect, circuits, giving up, timers; and all of it through crashes.
 */
#include "mesh/base/metrics.h"
#include "mesh/base/say.h"
#include "mesh/outbox/circuit.h"
#include "mesh/outbox/deadletter.h"
#include "tests/mesh/pair.h"
#include "tests/suite.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SECOND_US 1000000ll
#define HOUR_US   (3600 * SECOND_US)

static struct pair p;

/* Two of one key that were carried out in another order than they were written. */
#define DISORDER \
    "SELECT COUNT(*) FROM done a JOIN done b ON a.key = b.key AND a.at < b.at" \
    " AND CAST(SUBSTR(a.op, LENGTH(a.key) + 2) AS BIGINT) >= CAST(SUBSTR(b.op, LENGTH(b.key) + 2) AS BIGINT)"
#define OUTCOMES "SELECT COUNT(*) FROM outcome"

static void begin(uint64_t seed)
{
    say_init("check", SAY_ERROR + 1);
    pair_init(&p, seed);
}

/* Every operation once at the receiver and in its order, every outcome once at the sender, nothing left. */
static void nothing_is_wrong(int64_t commands)
{
    ck_assert_int_eq(PAIR_COUNT(p.receiver, "SELECT COUNT(*) FROM done"), commands);
    ck_assert_int_eq(PAIR_COUNT(p.receiver, DISORDER), 0);
    ck_assert_int_eq(PAIR_COUNT(p.sender, OUTCOMES), commands);
    ck_assert_int_eq(PAIR_COUNT(p.sender, "SELECT COUNT(*) FROM outcome WHERE times <> 1"), 0);
    ck_assert_int_eq(PAIR_COUNT(p.sender, "SELECT COUNT(*) FROM outbox"), 0);
}

START_TEST(a_command_is_carried_out_and_its_outcome_comes_back)
{
    begin(1);
    pair_start(&p);
    pair_send(&p, "one", 1, 1);
    PAIR_AWAIT(&p, p.sender, "SELECT COUNT(*) FROM outcome WHERE code = 0 AND gave_up = 0 AND attempts = 1", 1);
    nothing_is_wrong(1);
    pair_end(&p);
}
END_TEST

START_TEST(commands_of_one_key_keep_their_order)
{
    begin(2);
    pair_start(&p);
    for (int i = 0; i < 20; i++) {
        pair_send(&p, "a", 3 * i, 3);
        pair_send(&p, "b", 3 * i, 3);
    }
    PAIR_AWAIT(&p, p.sender, OUTCOMES, 120);
    nothing_is_wrong(120);
    pair_end(&p);
}
END_TEST

static int64_t rows_read(void)
{
    return metric_make(METRIC_COUNTER, "mesh_outbox_read_total", "", "destination=\"receiver\"")->value;
}

/* One key stands in its own way; a thousand do not. */
START_TEST(many_keys_travel_together)
{
    begin(3);
    pair_start(&p);
    char key[32];
    for (int i = 0; i < 1000; i++) {
        snprintf(key, sizeof(key), "key%d", i);
        pair_sending(&p, key, 1, 1);
    }
    int64_t start_us = world_now(p.world);
    PAIR_AWAIT(&p, p.sender, OUTCOMES, 1000);
    ck_assert_int_lt(world_now(p.world) - start_us, 10 * SECOND_US);
    nothing_is_wrong(1000);
    pair_end(&p);
}
END_TEST

/* The first scan of a destination is another one. */
static void know_destination(void)
{
    pair_send(&p, "first", 1, 1);
    PAIR_AWAIT(&p, p.sender, OUTCOMES, 1);
}

START_TEST(what_is_under_way_is_not_read_again_when_more_comes)
{
    begin(27);
    pair_start(&p);
    know_destination();
    node_stall(p.receiver, SECOND_US);
    int64_t read_before = rows_read();
    char key[32];
    for (int i = 0; i < 50; i++) {
        snprintf(key, sizeof(key), "key%d", i);
        pair_send(&p, key, 1, 1);
    }
    PAIR_AWAIT(&p, p.sender, OUTCOMES, 51);
    ck_assert_int_le(rows_read() - read_before, 75);
    nothing_is_wrong(51);
    pair_end(&p);
}
END_TEST

/* --- crashes --- */

enum { PLANS = 3, PER_PLAN = 3 };

static bool all_sent(void)
{
    static const char *const keys[PLANS] = { "a", "b", "a" };
    bool all = true;
    for (int i = 0; i < PLANS; i++)
        all &= pair_sending(&p, keys[i], i * PER_PLAN, PER_PLAN);
    return all;
}

static bool all_settled(void)
{
    return node_service(p.sender) && node_service(p.receiver) && PAIR_COUNT(p.sender, OUTCOMES) == PLANS * PER_PLAN &&
           PAIR_COUNT(p.sender, "SELECT COUNT(*) FROM outbox") == 0;
}

/* Runs the story to its end, with one crash before the given step. The number of steps it took. */
static uint64_t tell_story(uint64_t seed, struct node *(*victim)(void), uint64_t crash_at)
{
    begin(seed);
    pair_start(&p);
    uint64_t steps = 0;
    bool sent = false;
    for (; !(sent && steps % 8 == 0 && all_settled()); steps++) {
        ck_assert_uint_lt(steps, 200000);
        if (steps == crash_at)
            node_crash(victim(), 50000);
        sent = sent || all_sent();
        ck_assert(world_step(p.world));
    }
    nothing_is_wrong(PLANS * PER_PLAN);
    pair_end(&p);
    return steps;
}

static struct node *the_sender(void)
{
    return p.sender;
}

static struct node *the_receiver(void)
{
    return p.receiver;
}

static void crash_at_every_step(struct node *(*victim)(void))
{
    uint64_t steps = tell_story(4, victim, UINT64_MAX);
    ck_assert_uint_gt(steps, 50);
    for (uint64_t at = 0; at < steps; at++)
        tell_story(4, victim, at);
}

START_TEST(the_sender_may_crash_between_any_two_steps)
{
    crash_at_every_step(the_sender);
}
END_TEST

START_TEST(the_receiver_may_crash_between_any_two_steps)
{
    crash_at_every_step(the_receiver);
}
END_TEST

START_TEST(whatever_goes_wrong_each_command_has_one_effect)
{
    for (uint64_t seed = 100; seed < 140; seed++) {
        begin(seed);
        pair_start(&p);
        *world_faults(p.world) = (struct faults){
            .request_lost = 50000,
            .request_twice = 50000,
            .reply_lost = 50000,
            .late = 20000,
            .crash = 500,
            .crash_in_write = 500,
            .stall = 500,
            .partition = 200,
            .wall_jump = 300,
        };
        char key[16];
        bool sent = false;
        for (int steps = 0; steps < 20000 && !sent; steps++) {
            sent = true;
            for (int i = 0; i < 12; i++) {
                snprintf(key, sizeof(key), "k%d", i % 4);
                sent &= pair_sending(&p, key, 5 * i, 5);
            }
            ck_assert(world_step(p.world));
        }
        world_quiet(p.world);
        for (int i = 0; i < 12; i++) {
            snprintf(key, sizeof(key), "k%d", i % 4);
            pair_send(&p, key, 5 * i, 5);
        }
        PAIR_AWAIT(&p, p.sender, "SELECT (SELECT COUNT(*) FROM outcome) - (SELECT COUNT(*) FROM outbox)", 60);
        ck_assert_int_eq(PAIR_COUNT(p.receiver, "SELECT COUNT(*) FROM done"), 60);
        ck_assert_int_eq(PAIR_COUNT(p.sender, "SELECT COUNT(*) FROM outcome WHERE times <> 1"), 0);
        pair_end(&p);
    }
}
END_TEST

/* --- refusals and giving up --- */

START_TEST(what_is_refused_for_good_is_told_at_once)
{
    begin(5);
    p.deliverers[0].give_up_after_us = HOUR_US;
    pair_start(&p);
    pair_send(&p, "refuse", 1, 1);
    PAIR_AWAIT(
        &p, p.sender,
        "SELECT COUNT(*) FROM outcome WHERE code = 9 AND reason = 'NOT_FOR_YOU' AND gave_up = 0 AND attempts = 1", 1);
    ck_assert_int_eq(PAIR_COUNT(p.sender, "SELECT COUNT(*) FROM outbox"), 0);
    pair_end(&p);
}
END_TEST

START_TEST(what_may_pass_is_tried_again_and_holds_only_its_own_key)
{
    begin(6);
    pair_start(&p);
    p.busy = true;
    pair_send(&p, "busy", 1, 2);
    pair_send(&p, "free", 1, 2);
    PAIR_AWAIT(&p, p.sender, OUTCOMES, 2);
    PAIR_AWAIT(&p, p.sender, "SELECT MAX(attempts) FROM outbox WHERE last_reason = 'BUSY'", 4);
    ck_assert_int_eq(PAIR_COUNT(p.receiver, "SELECT COUNT(*) FROM done WHERE key = 'busy'"), 0);
    p.busy = false;
    PAIR_AWAIT(&p, p.sender, OUTCOMES, 4);
    nothing_is_wrong(4);
    pair_end(&p);
}
END_TEST

static int64_t waiting_gauge(void)
{
    return metric_make(METRIC_GAUGE, "mesh_outbox_waiting", "", "destination=\"receiver\"")->value;
}

START_TEST(a_gauge_falls_to_zero_when_nothing_waits_any_more)
{
    begin(22);
    pair_start(&p);
    p.busy = true;
    pair_send(&p, "busy", 1, 2);
    world_run(p.world, 11 * SECOND_US);
    ck_assert_int_eq(waiting_gauge(), 2);
    p.busy = false;
    PAIR_AWAIT(&p, p.sender, OUTCOMES, 2);
    world_run(p.world, 11 * SECOND_US);
    ck_assert_int_eq(waiting_gauge(), 0);
    pair_end(&p);
}
END_TEST

START_TEST(a_saga_is_told_that_its_command_was_given_up)
{
    begin(7);
    p.busy = true;
    p.deliverers[0].give_up_after_us = 5 * SECOND_US;
    pair_start(&p);
    int64_t start_us = world_now(p.world);
    pair_send(&p, "busy", 1, 1);
    PAIR_AWAIT(&p, p.sender, "SELECT COUNT(*) FROM outcome WHERE code = 14 AND reason = 'BUSY' AND gave_up = 1", 1);
    ck_assert_int_ge(world_now(p.world) - start_us, 5 * SECOND_US);
    ck_assert_int_eq(PAIR_COUNT(p.sender, "SELECT COUNT(*) FROM outbox"), 0);
    pair_end(&p);
}
END_TEST

START_TEST(a_destination_that_is_gone_does_not_hold_a_saga_for_ever)
{
    begin(8);
    p.deliverers[0].give_up_after_us = 20 * SECOND_US;
    pair_start(&p);
    node_crash(p.receiver, 3600 * SECOND_US);
    char key[16];
    for (int i = 0; i < 300; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        pair_sending(&p, key, 1, 1);
    }
    PAIR_AWAIT(&p, p.sender, "SELECT COUNT(*) FROM outcome WHERE gave_up = 1", 300);
    ck_assert_int_lt(world_now(p.world), 120 * SECOND_US);
    pair_end(&p);
}
END_TEST

START_TEST(a_destination_that_is_gone_parks_all_that_waits_for_it)
{
    begin(20);
    p.deliverers[0].give_up = GIVE_UP_PARK;
    p.deliverers[0].give_up_after_us = 20 * SECOND_US;
    pair_start(&p);
    node_crash(p.receiver, 3600 * SECOND_US);
    char key[16];
    for (int i = 0; i < 300; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        pair_sending(&p, key, 1, 1);
    }
    PAIR_AWAIT(&p, p.sender, "SELECT COUNT(*) FROM dead_letter WHERE parked = 1", 300);
    ck_assert_int_lt(world_now(p.world), 120 * SECOND_US);
    pair_end(&p);
}
END_TEST

/* A rollout: the other side's new release comes later than ours. */
START_TEST(a_method_that_the_other_side_does_not_serve_yet_waits_for_it)
{
    begin(21);
    const struct rpc_service *const *serves = p.receiver_spec.serves;
    p.receiver_spec.serves = NULL;
    p.deliverers[0].give_up_after_us = HOUR_US;
    pair_start(&p);
    pair_send(&p, "new", 1, 2);
    PAIR_AWAIT(&p, p.sender, "SELECT MAX(attempts) FROM outbox", 3);
    p.receiver_spec.serves = serves;
    node_crash(p.receiver, SECOND_US);
    PAIR_AWAIT(&p, p.sender, OUTCOMES, 2);
    nothing_is_wrong(2);
    pair_end(&p);
}
END_TEST

START_TEST(a_skipped_command_lets_its_queue_go_on)
{
    begin(9);
    p.deliverers[0].give_up = GIVE_UP_SKIP;
    pair_start(&p);
    pair_send(&p, "refuse", 1, 3);
    PAIR_AWAIT(&p, p.sender, "SELECT COUNT(*) FROM dead_letter WHERE parked = 0 AND last_reason = 'NOT_FOR_YOU'", 3);
    ck_assert_int_eq(PAIR_COUNT(p.sender, "SELECT COUNT(*) FROM outbox"), 0);
    ck_assert_int_eq(PAIR_COUNT(p.sender, OUTCOMES), 0);
    pair_end(&p);
}
END_TEST

static int retry_first(struct txn *txn, void *arg)
{
    struct deadletter dead;
    int n = deadletter_list(txn, NULL, 1, &dead);
    return n < 0 ? n : n == 0 ? -ENOENT : deadletter_retry(txn, &dead);
}

static int discard_first(struct txn *txn, void *arg)
{
    struct deadletter dead;
    int n = deadletter_list(txn, NULL, 1, &dead);
    return n < 0 ? n : n == 0 ? -ENOENT : deadletter_discard(txn, &dead, arg);
}

START_TEST(a_parked_command_holds_its_queue_until_a_person_decides)
{
    begin(10);
    p.busy = true;
    p.deliverers[0].give_up = GIVE_UP_PARK;
    p.deliverers[0].give_up_after_us = SECOND_US;
    pair_start(&p);
    pair_send(&p, "busy", 1, 3);
    PAIR_AWAIT(&p, p.sender, "SELECT COUNT(*) FROM dead_letter WHERE parked = 1 AND discarded_us = 0", 1);
    world_run(p.world, 60 * SECOND_US);
    ck_assert_int_eq(PAIR_COUNT(p.sender, "SELECT COUNT(*) FROM outbox WHERE state = 1"), 2);
    ck_assert_int_eq(PAIR_COUNT(p.sender, "SELECT COUNT(*) FROM outbox WHERE state = 2 AND attempts > 1"), 1);

    ck_assert_int_eq(pair_do(p.sender, discard_first, "the order was cancelled by hand"), 0);
    PAIR_AWAIT(&p, p.sender, "SELECT COUNT(*) FROM dead_letter WHERE parked = 1 AND discarded_us = 0", 1);
    ck_assert_int_eq(PAIR_COUNT(p.sender, "SELECT COUNT(*) FROM outbox"), 2);

    p.busy = false;
    ck_assert_int_eq(pair_do(p.sender, retry_first, NULL), 0);
    PAIR_AWAIT(&p, p.sender, OUTCOMES, 2);
    ck_assert_int_eq(PAIR_COUNT(p.receiver, "SELECT COUNT(*) FROM done WHERE op IN ('busy-2', 'busy-3')"), 2);
    ck_assert_int_eq(PAIR_COUNT(p.sender, "SELECT COUNT(*) FROM dead_letter WHERE discarded_us = 0"), 0);
    ck_assert_int_eq(PAIR_COUNT(p.sender, "SELECT COUNT(*) FROM dead_letter WHERE discard_reason LIKE 'the order%'"),
                     1);
    pair_end(&p);
}
END_TEST

START_TEST(a_skipped_command_that_is_retried_is_carried_out)
{
    begin(11);
    p.busy = true;
    p.deliverers[0].give_up = GIVE_UP_SKIP;
    p.deliverers[0].give_up_after_us = SECOND_US;
    pair_start(&p);
    pair_send(&p, "busy", 1, 1);
    PAIR_AWAIT(&p, p.sender, "SELECT COUNT(*) FROM dead_letter", 1);
    p.busy = false;
    ck_assert_int_eq(pair_do(p.sender, retry_first, NULL), 0);
    PAIR_AWAIT(&p, p.sender, OUTCOMES, 1);
    nothing_is_wrong(1);
    ck_assert_int_eq(PAIR_COUNT(p.sender, "SELECT COUNT(*) FROM dead_letter"), 0);
    pair_end(&p);
}
END_TEST

START_TEST(an_outcome_that_cannot_be_applied_is_told_again_and_holds_up_no_other)
{
    begin(12);
    p.refuse_outcomes = 5;
    pair_start(&p);
    pair_send(&p, "a", 1, 2);
    pair_send(&p, "b", 1, 2);
    PAIR_AWAIT(&p, p.sender, OUTCOMES, 4);
    nothing_is_wrong(4);
    pair_end(&p);
}
END_TEST

START_TEST(a_kind_of_a_newer_release_is_left_alone)
{
    begin(13);
    p.deliverers[0].method = "/oms.inventory.v1.InventoryService/AnotherName";
    pair_start(&p);
    pair_send(&p, "newer", 1, 200);
    pair_undo(&p, "older", 1);
    PAIR_AWAIT(&p, p.receiver, "SELECT COUNT(*) FROM rpc_request WHERE method LIKE '%ReleaseStock'", 1);
    PAIR_AWAIT(&p, p.sender, "SELECT COUNT(*) FROM outbox WHERE attempts = 0", 200);
    world_run(p.world, 60 * SECOND_US);
    ck_assert_int_eq(PAIR_COUNT(p.sender, "SELECT COUNT(*) FROM outbox WHERE attempts = 0"), 200);
    pair_end(&p);
}
END_TEST

/* --- another process --- */

static void step_until_done(int64_t done)
{
    while (PAIR_COUNT(p.receiver, "SELECT COUNT(*) FROM done") < done)
        ck_assert(world_step(p.world));
    ck_assert_int_eq(PAIR_COUNT(p.sender, OUTCOMES), 0);
}

START_TEST(an_outcome_whose_row_is_gone_is_not_told)
{
    begin(23);
    pair_start(&p);
    pair_send(&p, "a", 1, 1);
    step_until_done(1);
    ck_assert_int_eq(PAIR_COUNT(p.sender, "DELETE FROM outbox RETURNING 1"), 1);
    world_run(p.world, 30 * SECOND_US);
    ck_assert_int_eq(PAIR_COUNT(p.sender, OUTCOMES), 0);
    pair_end(&p);
}
END_TEST

START_TEST(a_relay_that_lost_its_lease_settles_nothing)
{
    begin(24);
    pair_start(&p);
    pair_send(&p, "a", 1, 3);
    step_until_done(1);
    int64_t term =
        PAIR_COUNT(p.sender, "UPDATE lease SET owner = 'thief', term = term + 1 WHERE name = 'relay' RETURNING term");
    world_run(p.world, 3 * SECOND_US);
    ck_assert_int_eq(PAIR_COUNT(p.sender, OUTCOMES), 0);
    ck_assert_int_eq(PAIR_COUNT(p.sender, "SELECT COUNT(*) FROM outbox"), 3);
    /* The thief is silent. */
    PAIR_AWAIT(&p, p.sender, OUTCOMES, 3);
    nothing_is_wrong(3);
    ck_assert_int_eq(PAIR_COUNT(p.sender, "SELECT term FROM lease WHERE name = 'relay'"), term + 1);
    pair_end(&p);
}
END_TEST

/* --- do and undo --- */

START_TEST(an_undo_that_comes_first_keeps_its_do_from_happening)
{
    begin(14);
    pair_start(&p);
    pair_undo(&p, "x", 1);
    PAIR_AWAIT(&p, p.sender, "SELECT COUNT(*) FROM outbox", 0);
    pair_send(&p, "x", 1, 1);
    PAIR_AWAIT(&p, p.sender, "SELECT COUNT(*) FROM outcome WHERE code = 9 AND reason = 'OPERATION_UNDONE'", 1);
    ck_assert_int_eq(PAIR_COUNT(p.receiver, "SELECT COUNT(*) FROM done"), 0);
    pair_end(&p);
}
END_TEST

START_TEST(an_undo_follows_its_do)
{
    begin(15);
    pair_start(&p);
    pair_send(&p, "x", 1, 1);
    pair_undo(&p, "x", 1);
    PAIR_AWAIT(&p, p.receiver,
               "SELECT COUNT(*) FROM done WHERE (at = 1 AND what = 'reserve') OR (at = 2 AND what = 'release')", 2);
    pair_end(&p);
}
END_TEST

/* --- timers --- */

START_TEST(a_timer_fires_once_when_it_is_due)
{
    begin(16);
    pair_start(&p);
    struct port *port = node_port(p.sender);
    int64_t due_us = port->wall_us(port) + 90 * SECOND_US;
    pair_timer(&p, "later", due_us);
    pair_timer(&p, "sooner", due_us - 60 * SECOND_US);
    PAIR_AWAIT(&p, p.sender, "SELECT COUNT(*) FROM fired WHERE key = 'sooner'", 1);
    ck_assert_int_eq(PAIR_COUNT(p.sender, "SELECT COUNT(*) FROM fired"), 1);
    PAIR_AWAIT(&p, p.sender, "SELECT COUNT(*) FROM fired WHERE times = 1", 2);
    ck_assert_int_ge(p.fired_us, due_us);
    ck_assert_int_lt(p.fired_us, due_us + SECOND_US);
    ck_assert_int_eq(PAIR_COUNT(p.sender, "SELECT COUNT(*) FROM outbox"), 0);
    pair_end(&p);
}
END_TEST

START_TEST(a_timer_survives_a_crash)
{
    begin(17);
    pair_start(&p);
    struct port *port = node_port(p.sender);
    pair_timer(&p, "t", port->wall_us(port) + 5 * SECOND_US);
    node_crash(p.sender, 10 * SECOND_US);
    PAIR_AWAIT(&p, p.sender, "SELECT COUNT(*) FROM fired WHERE times = 1", 1);
    pair_end(&p);
}
END_TEST

START_TEST(a_wall_clock_set_back_does_not_hold_up_retries)
{
    begin(18);
    p.busy = true;
    pair_start(&p);
    pair_send(&p, "busy", 1, 1);
    PAIR_AWAIT(&p, p.sender, "SELECT MAX(attempts) FROM outbox", 3);
    node_wall_offset(p.sender, -HOUR_US);
    p.busy = false;
    int64_t start_us = world_now(p.world);
    PAIR_AWAIT(&p, p.sender, OUTCOMES, 1);
    ck_assert_int_lt(world_now(p.world) - start_us, 60 * SECOND_US);
    pair_end(&p);
}
END_TEST

/* Clocks are set by less than anybody takes notice of. */
#define BLINK_US 300000

START_TEST(what_is_written_after_the_clock_was_set_back_is_sent)
{
    begin(24);
    pair_start(&p);
    know_destination();
    pair_send(&p, "one", 1, 1);
    world_run(p.world, BLINK_US / 10);
    ck_assert_int_eq(PAIR_COUNT(p.sender, OUTCOMES), 2);
    node_wall_offset(p.sender, -BLINK_US);
    pair_send(&p, "two", 1, 1);
    PAIR_AWAIT(&p, p.sender, OUTCOMES, 3);
    nothing_is_wrong(3);
    pair_end(&p);
}
END_TEST

START_TEST(what_is_written_after_the_clock_was_ahead_is_sent)
{
    begin(25);
    pair_start(&p);
    know_destination();
    ck_assert(!pair_sending(&p, "one", 1, 1));
    while (PAIR_COUNT(p.sender, "SELECT COUNT(*) FROM outbox") == 0)
        ck_assert(world_step(p.world));
    node_wall_offset(p.sender, BLINK_US); /* when it is claimed, and only then */
    world_run(p.world, BLINK_US / 10);
    node_wall_offset(p.sender, 0);
    pair_send(&p, "two", 1, 1);
    PAIR_AWAIT(&p, p.sender, OUTCOMES, 3);
    nothing_is_wrong(3);
    pair_end(&p);
}
END_TEST

START_TEST(what_is_not_due_yet_as_the_clock_was_set_back_is_sent_later)
{
    begin(26);
    pair_start(&p);
    know_destination();
    ck_assert(!pair_sending(&p, "one", 1, 1));
    while (PAIR_COUNT(p.sender, "SELECT COUNT(*) FROM outbox") == 0)
        ck_assert(world_step(p.world));
    node_wall_offset(p.sender, -BLINK_US);
    PAIR_AWAIT(&p, p.sender, OUTCOMES, 2);
    nothing_is_wrong(2);
    pair_end(&p);
}
END_TEST

/* --- the circuit --- */

START_TEST(a_circuit_opens_after_five_failures_and_closes_by_a_probe)
{
    struct circuit c = { 0 };
    for (int i = 0; i < 4; i++)
        circuit_failed(&c, 1000, 0);
    ck_assert(circuit_closed(&c));
    circuit_succeeded(&c);
    for (int i = 0; i < 5; i++)
        circuit_failed(&c, 1000, 0);
    ck_assert(!circuit_closed(&c));
    ck_assert(!circuit_may_probe(&c, 1000));
    ck_assert(circuit_may_probe(&c, 1000 + CIRCUIT_FIRST_US));
    circuit_sent(&c);
    ck_assert(!circuit_may_probe(&c, 1000 + CIRCUIT_FIRST_US));
    ck_assert_str_eq(circuit_name(&c), "PROBING");
    circuit_succeeded(&c);
    ck_assert(circuit_closed(&c));
}
END_TEST

START_TEST(probes_become_rarer_up_to_a_limit)
{
    struct circuit c = { 0 };
    int64_t now = 0, last = 0;
    for (int i = 0; i < 30; i++) {
        circuit_failed(&c, now, UINT32_MAX);
        if (circuit_closed(&c))
            continue;
        ck_assert_int_ge(c.backoff_us, last);
        ck_assert_int_le(c.backoff_us, CIRCUIT_LONGEST_US);
        last = c.backoff_us;
        now = c.probe_us;
        circuit_sent(&c);
    }
    ck_assert_int_gt(last, CIRCUIT_LONGEST_US * 9 / 10);
}
END_TEST

START_TEST(a_destination_that_is_down_gets_probes_only)
{
    begin(19);
    pair_start(&p);
    node_crash(p.receiver, 60 * SECOND_US);
    char key[16];
    for (int i = 0; i < 400; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        pair_sending(&p, key, 1, 1);
    }
    world_run(p.world, 50 * SECOND_US);
    int64_t attempts = PAIR_COUNT(p.sender, "SELECT SUM(attempts) FROM outbox");
    ck_assert_int_gt(attempts, 5);
    ck_assert_int_lt(attempts, 5 * 64 + 4 * 64 + 30);
    PAIR_AWAIT(&p, p.sender, OUTCOMES, 400);
    nothing_is_wrong(400);
    pair_end(&p);
}
END_TEST

SUITE("relay", 280, a_command_is_carried_out_and_its_outcome_comes_back, commands_of_one_key_keep_their_order,
      many_keys_travel_together, what_is_under_way_is_not_read_again_when_more_comes,
      the_sender_may_crash_between_any_two_steps, the_receiver_may_crash_between_any_two_steps,
      whatever_goes_wrong_each_command_has_one_effect, what_is_refused_for_good_is_told_at_once,
      what_may_pass_is_tried_again_and_holds_only_its_own_key, a_gauge_falls_to_zero_when_nothing_waits_any_more,
      a_saga_is_told_that_its_command_was_given_up, a_destination_that_is_gone_does_not_hold_a_saga_for_ever,
      a_destination_that_is_gone_parks_all_that_waits_for_it,
      a_method_that_the_other_side_does_not_serve_yet_waits_for_it, a_skipped_command_lets_its_queue_go_on,
      a_parked_command_holds_its_queue_until_a_person_decides, a_skipped_command_that_is_retried_is_carried_out,
      an_outcome_that_cannot_be_applied_is_told_again_and_holds_up_no_other, a_kind_of_a_newer_release_is_left_alone,
      an_outcome_whose_row_is_gone_is_not_told, a_relay_that_lost_its_lease_settles_nothing,
      an_undo_that_comes_first_keeps_its_do_from_happening, an_undo_follows_its_do, a_timer_fires_once_when_it_is_due,
      a_timer_survives_a_crash, a_wall_clock_set_back_does_not_hold_up_retries,
      what_is_written_after_the_clock_was_set_back_is_sent, what_is_written_after_the_clock_was_ahead_is_sent,
      what_is_not_due_yet_as_the_clock_was_set_back_is_sent_later,
      a_circuit_opens_after_five_failures_and_closes_by_a_probe, probes_become_rarer_up_to_a_limit,
      a_destination_that_is_down_gets_probes_only)
