/* Tests of mesh/log's consumers: every event applied once and none passed over, whatever crashes, breaks or is
 * forgotten.
 */
#include "mesh/base/metrics.h"
#include "mesh/base/say.h"
#include "mesh/log/consumer.h"
#include "mesh/run/parts.h"
#include "tests/mesh/pair.h"
#include "tests/mesh/steps_port.h"
#include "tests/suite.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SECOND_US 1000000ll

#define HEARD     "SELECT COUNT(*) FROM heard"
#define TWICE     "SELECT COUNT(*) FROM heard WHERE times > 1"
#define BY_TAIL   "SELECT COUNT(*) FROM heard WHERE times = 1 AND snapshot = 0"
#define SNAPSHOTS "SELECT COUNT(*) FROM heard WHERE snapshot = 1"
#define RUNNING   "SELECT COUNT(*) FROM consumer_cursor WHERE booting = 0"

static struct pair p;

static void begin(uint64_t seed)
{
    say_init("check", SAY_ERROR + 1);
    pair_init(&p, seed);
}

static struct consumer_state state(void)
{
    struct consumer_state now;
    consumers_state(service_consumers(node_service(p.sender)), 0, &now);
    return now;
}

START_TEST(events_are_applied_once_and_in_order)
{
    begin(1);
    pair_start(&p);
    PAIR_AWAIT(&p, p.sender, RUNNING, 1);
    for (int i = 0; i < 10; i++)
        pair_send(&p, "a", 10 * i, 10);
    PAIR_AWAIT(&p, p.sender, BY_TAIL, 100);
    ck_assert_str_eq(state().state, "RUNNING");
    ck_assert_uint_eq(state().position.seq, 100);
    ck_assert_uint_eq(state().behind, 0);
    pair_end(&p);
}
END_TEST

START_TEST(a_new_consumer_starts_from_a_snapshot)
{
    begin(2);
    p.sender_spec.consumers = NULL;
    pair_start(&p);
    char key[16];
    for (int i = 0; i < 600; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        pair_sending(&p, key, 0, 1);
    }
    PAIR_AWAIT(&p, p.receiver, "SELECT COUNT(*) FROM done", 600);
    PAIR_AWAIT(&p, p.sender, "SELECT COUNT(*) FROM outbox", 0);

    p.sender_spec.consumers = p.consumers;
    node_crash(p.sender, 0);
    PAIR_AWAIT(&p, p.sender, SNAPSHOTS, 600);
    PAIR_AWAIT(&p, p.sender, RUNNING, 1);
    pair_send(&p, "after", 0, 5);
    PAIR_AWAIT(&p, p.sender, BY_TAIL, 5);
    pair_end(&p);
}
END_TEST

/* --- crashes --- */

static bool all_heard(void)
{
    return node_service(p.sender) && node_service(p.receiver) && PAIR_COUNT(p.sender, HEARD) == 8;
}

static uint64_t tell_story(uint64_t seed, struct node *(*victim)(void), uint64_t crash_at)
{
    begin(seed);
    pair_start(&p);
    uint64_t steps = 0;
    bool sent = false;
    for (; !(sent && steps % 8 == 0 && all_heard()); steps++) {
        ck_assert_uint_lt(steps, 200000);
        if (steps == crash_at)
            node_crash(victim(), 50000);
        if (!sent) {
            sent = pair_sending(&p, "a", 0, 4);
            sent &= pair_sending(&p, "b", 0, 4);
        }
        ck_assert(world_step(p.world));
    }
    ck_assert_int_eq(PAIR_COUNT(p.sender, TWICE), 0);
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
    uint64_t steps = tell_story(3, victim, UINT64_MAX);
    ck_assert_uint_gt(steps, 50);
    for (uint64_t at = 0; at < steps; at++)
        tell_story(3, victim, at);
}

START_TEST(the_consumer_may_crash_between_any_two_steps)
{
    crash_at_every_step(the_sender);
}
END_TEST

START_TEST(the_source_may_crash_between_any_two_steps)
{
    crash_at_every_step(the_receiver);
}
END_TEST

START_TEST(whatever_goes_wrong_no_event_is_lost_or_doubled)
{
    for (uint64_t seed = 200; seed < 230; seed++) {
        begin(seed);
        pair_start(&p);
        *world_faults(p.world) = (struct faults){
            .request_lost = 20000,
            .reply_lost = 20000,
            .late = 50000,
            .stream_broken = 100000,
            .crash = 500,
            .crash_in_write = 500,
            .stall = 500,
            .partition = 300,
            .wall_jump = 300,
        };
        char key[16];
        for (int i = 0; i < 20; i++) {
            snprintf(key, sizeof(key), "k%d", i % 5);
            pair_send(&p, key, 5 * i, 5);
        }
        world_quiet(p.world);
        PAIR_AWAIT(&p, p.sender, HEARD, 100);
        ck_assert_int_eq(PAIR_COUNT(p.sender, TWICE), 0);
        pair_end(&p);
    }
}
END_TEST

/* --- what the source forgets --- */

static int prune_all(struct txn *txn, void *arg)
{
    int64_t n = log_prune(txn, -1, 1000);
    return n < 0 ? (int)n : 0;
}

/* Twenty events are heard; then the source changes while the consumer is away, and ten more happen before that. */
static void change_while_away(int (*change)(struct txn *txn, void *arg))
{
    pair_start(&p);
    PAIR_AWAIT(&p, p.sender, RUNNING, 1);
    pair_happen(&p, "a", 0, 20);
    PAIR_AWAIT(&p, p.sender, BY_TAIL, 20);
    node_crash(p.sender, 30 * SECOND_US);
    pair_happen(&p, "b", 0, 10);
    ck_assert_int_eq(pair_do(p.receiver, change, NULL), 0);
}

static void starts_from_a_snapshot(void)
{
    PAIR_AWAIT(&p, p.sender, SNAPSHOTS, 10);
    ck_assert_int_eq(PAIR_COUNT(p.sender, BY_TAIL), 20);
    PAIR_AWAIT(&p, p.sender, RUNNING, 1);
    pair_happen(&p, "c", 0, 10);
    PAIR_AWAIT(&p, p.sender, BY_TAIL, 30);
    ck_assert_int_eq(PAIR_COUNT(p.sender, TWICE), 0);
}

START_TEST(a_cursor_below_the_floor_starts_from_a_snapshot)
{
    begin(4);
    change_while_away(prune_all);
    starts_from_a_snapshot();
    pair_end(&p);
}
END_TEST

static void copy_store(const char *from, const char *to)
{
    static const char *const files[] = { "", "-wal" };
    for (size_t i = 0; i < 2; i++) {
        char of[64], as[64];
        snprintf(of, sizeof(of), "receiver/%s%s", from, files[i]);
        snprintf(as, sizeof(as), "receiver/%s%s", to, files[i]);
        disk_copy(node_disk(p.receiver), of, as);
    }
}

/* What a person does: the store as it was is put back, and the command that says so is run on it. */
static void restore(void)
{
    struct steps_port port;
    const struct service_options options = { .store_path = "receiver/store.db", .vfs = "sim" };
    steps_port_init(&port);
    copy_store("backup.db", "store.db");
    ck_assert_int_eq(service_renew(&port.port, &p.receiver_spec, &options), 0);
}

/* Its cursor stands at 30, the log that was put back goes on from 20 and is at 35 when the consumer looks again. */
START_TEST(after_a_restore_from_a_backup_a_consumer_starts_from_a_snapshot)
{
    begin(5);
    pair_start(&p);
    PAIR_AWAIT(&p, p.sender, RUNNING, 1);
    pair_happen(&p, "a", 0, 20);
    PAIR_AWAIT(&p, p.sender, BY_TAIL, 20);
    char first[INCARNATION_MAX];
    strcpy(first, state().position.incarnation);
    node_crash(p.receiver, SECOND_US);
    copy_store("store.db", "backup.db");
    PAIR_AWAIT(&p, p.receiver, "SELECT COUNT(*) FROM done", 20);
    pair_happen(&p, "b", 0, 10);
    PAIR_AWAIT(&p, p.sender, BY_TAIL, 30);

    node_crash(p.sender, 60 * SECOND_US);
    node_crash(p.receiver, SECOND_US);
    restore();
    PAIR_AWAIT(&p, p.receiver, "SELECT COUNT(*) FROM done", 20);
    pair_happen(&p, "c", 0, 15);
    PAIR_AWAIT(&p, p.sender, SNAPSHOTS, 15);
    PAIR_AWAIT(&p, p.sender, RUNNING, 1);
    ck_assert_str_ne(state().position.incarnation, first);
    pair_happen(&p, "d", 0, 5);
    PAIR_AWAIT(&p, p.sender, BY_TAIL, 35);
    ck_assert_int_eq(PAIR_COUNT(p.sender, TWICE), 0);
    pair_end(&p);
}
END_TEST

static int run_ahead(struct txn *txn, void *arg)
{
    return txn_post(txn, "UPDATE consumer_cursor SET seq = seq + 100");
}

START_TEST(a_cursor_ahead_of_the_log_starts_from_a_snapshot)
{
    begin(6);
    pair_start(&p);
    PAIR_AWAIT(&p, p.sender, RUNNING, 1);
    ck_assert_int_eq(pair_do(p.sender, run_ahead, NULL), 0);
    node_crash(p.sender, SECOND_US);
    pair_happen(&p, "b", 0, 10);
    PAIR_AWAIT(&p, p.sender, SNAPSHOTS, 10);
    pair_end(&p);
}
END_TEST

START_TEST(a_snapshot_goes_on_after_a_crash_where_it_was)
{
    begin(7);
    p.sender_spec.consumers = NULL;
    pair_start(&p);
    for (int i = 0; i < 20; i++)
        pair_happen(&p, "k", 50 * i, 50);
    p.sender_spec.consumers = p.consumers;
    node_crash(p.sender, 0);
    PAIR_AWAIT(&p, p.sender, "SELECT COUNT(*) FROM consumer_cursor WHERE booting = 1 AND page_token <> ''", 1);
    int64_t before = PAIR_COUNT(p.sender, SNAPSHOTS);
    ck_assert_int_ge(before, 200);
    ck_assert_int_lt(before, 1000);
    p.heard = 0;
    node_crash(p.sender, 0);
    PAIR_AWAIT(&p, p.sender, RUNNING, 1);
    ck_assert_int_eq(PAIR_COUNT(p.sender, SNAPSHOTS), 1000);
    ck_assert_int_le(p.heard, (1000 - before) * (p.sender_options.rerun_always ? 2 : 1));
    pair_end(&p);
}
END_TEST

/* --- trouble --- */

static int set_back(struct txn *txn, void *arg)
{
    return txn_post(txn, "UPDATE consumer_cursor SET seq = seq - 5");
}

START_TEST(a_cursor_that_somebody_else_has_moved_is_read_again)
{
    begin(8);
    pair_start(&p);
    PAIR_AWAIT(&p, p.sender, RUNNING, 1);
    pair_happen(&p, "a", 0, 20);
    PAIR_AWAIT(&p, p.sender, BY_TAIL, 20);
    ck_assert_int_eq(pair_do(p.sender, set_back, NULL), 0);
    pair_happen(&p, "b", 0, 1);
    PAIR_AWAIT(&p, p.sender, HEARD, 21);
    ck_assert_int_eq(PAIR_COUNT(p.sender, TWICE), 5);
    pair_end(&p);
}
END_TEST

START_TEST(a_consumer_that_lost_its_lease_applies_nothing)
{
    begin(12);
    pair_start(&p);
    PAIR_AWAIT(&p, p.sender, RUNNING, 1);
    ck_assert_int_eq(PAIR_COUNT(p.sender, "UPDATE lease SET owner = 'thief', term = term + 1"
                                          " WHERE name = 'consumer/hearer' RETURNING 1"),
                     1);
    pair_happen(&p, "a", 0, 5);
    world_run(p.world, 3 * SECOND_US);
    ck_assert_int_eq(PAIR_COUNT(p.sender, HEARD), 0);
    /* The thief is silent. */
    PAIR_AWAIT(&p, p.sender, BY_TAIL, 5);
    pair_end(&p);
}
END_TEST

START_TEST(an_event_that_cannot_be_applied_is_never_passed_over)
{
    begin(9);
    pair_start(&p);
    PAIR_AWAIT(&p, p.sender, RUNNING, 1);
    p.refuse_events = 9;
    pair_happen(&p, "a", 0, 5);
    PAIR_AWAIT(&p, p.sender, BY_TAIL, 5);
    ck_assert_int_eq(p.refuse_events, 0);
    pair_end(&p);
}
END_TEST

static int append_unknown(struct txn *txn, void *arg)
{
    Oms__Event__V1__ProductUpserted upserted = OMS__EVENT__V1__PRODUCT_UPSERTED__INIT;
    const struct event event = {
        .type = OMS__EVENT__V1__EVENT_TYPE__PRODUCT_UPSERTED, .key = "p", .owner = "", .payload = &upserted.base
    };
    return log_append(txn, &event);
}

START_TEST(an_unknown_event_stops_the_consumer_until_a_release_knows_it)
{
    begin(10);
    pair_start(&p);
    PAIR_AWAIT(&p, p.sender, RUNNING, 1);
    pair_happen(&p, "a", 0, 3);
    ck_assert_int_eq(pair_do(p.receiver, append_unknown, NULL), 0);
    pair_happen(&p, "b", 0, 3);
    PAIR_AWAIT(&p, p.sender, "SELECT COUNT(*) FROM lease WHERE name = 'consumer/hearer' AND owner = ''", 1);
    world_run(p.world, 30 * SECOND_US);
    ck_assert_str_eq(state().state, "STOPPED: unknown event type 1");
    ck_assert_int_eq(metric_make(METRIC_GAUGE, "mesh_consumer_stopped", "", "consumer=\"hearer\"")->value, 1);
    ck_assert_uint_eq(state().position.seq, 3);
    ck_assert_int_eq(PAIR_COUNT(p.sender, BY_TAIL), 3);
    ck_assert_int_eq(PAIR_COUNT(p.sender, "SELECT COUNT(*) FROM lease WHERE name = 'consumer/hearer' AND owner = ''"),
                     1);

    p.consumed[1] = (struct consumed){ .type = OMS__EVENT__V1__EVENT_TYPE__PRODUCT_UPSERTED };
    node_crash(p.sender, 0);
    PAIR_AWAIT(&p, p.sender, BY_TAIL, 6);
    ck_assert_uint_eq(state().position.seq, 7);
    pair_end(&p);
}
END_TEST

static struct {
    size_t largest, max; /* of the pages that came; above max they are refused */
} pages;

static int hear_all(struct txn *txn, const struct log_entry *entries, const void *const *payloads, size_t n)
{
    int r = n > pages.max ? -EINVAL : 0;
    pages.largest = n > pages.largest ? n : pages.largest;
    for (size_t i = 0; r == 0 && i < n; i++) {
        ck_assert_int_eq(entries[i].type, OMS__EVENT__V1__EVENT_TYPE__AVAILABILITY_CHANGED);
        r = txn_post(txn, "INSERT INTO heard (op, times, snapshot) VALUES ($1, 1, $2)",
                     T(((const Oms__Event__V1__AvailabilityChanged *)payloads[i])->sku), I(entries[i].snapshot));
    }
    return r;
}

/* What has no payload in its row is passed over. */
static void hear_together(size_t max)
{
    begin(10);
    pages.largest = 0;
    pages.max = max;
    p.consumers[0].apply_all = hear_all;
    p.consumed[1] = (struct consumed){ .type = OMS__EVENT__V1__EVENT_TYPE__PRODUCT_UPSERTED };
    pair_start(&p);
    PAIR_AWAIT(&p, p.sender, RUNNING, 1);
    pair_happen(&p, "a", 0, 50);
    ck_assert_int_eq(pair_do(p.receiver, append_unknown, NULL), 0);
    pair_happen(&p, "b", 0, 50);
    PAIR_AWAIT(&p, p.sender, BY_TAIL, 100);
    ck_assert_uint_eq(state().position.seq, 101);
    pair_end(&p);
}

START_TEST(a_consumer_can_take_all_entries_of_a_unit_at_once)
{
    hear_together(SIZE_MAX);
    ck_assert_uint_ge(pages.largest, 50);
}
END_TEST

START_TEST(what_comes_while_a_unit_is_away_is_the_next_units_work)
{
    begin(12);
    pages.largest = 0;
    pages.max = SIZE_MAX;
    p.consumers[0].apply_all = hear_all;
    pair_start(&p);
    PAIR_AWAIT(&p, p.sender, RUNNING, 1);
    pair_happen(&p, "a", 0, 3000);
    PAIR_AWAIT(&p, p.sender, BY_TAIL, 3000);
    ck_assert_uint_gt(pages.largest, 512); /* more than a message has */
    ck_assert_uint_eq(state().position.seq, 3000);
    pair_end(&p);
}
END_TEST

START_TEST(what_cannot_be_applied_together_is_applied_alone)
{
    hear_together(1);
    ck_assert_uint_ge(pages.largest, 50);
}
END_TEST

START_TEST(a_full_disk_delays_a_consumer_and_nothing_more)
{
    begin(11);
    pair_start(&p);
    PAIR_AWAIT(&p, p.sender, RUNNING, 1);
    disk_full(node_disk(p.sender), true);
    pair_happen(&p, "a", 0, 500);
    world_run(p.world, 20 * SECOND_US);
    disk_full(node_disk(p.sender), false);
    PAIR_AWAIT(&p, p.sender, BY_TAIL, 500);
    pair_end(&p);
}
END_TEST

SUITE("consumer", 280, events_are_applied_once_and_in_order, a_new_consumer_starts_from_a_snapshot,
      the_consumer_may_crash_between_any_two_steps, the_source_may_crash_between_any_two_steps,
      whatever_goes_wrong_no_event_is_lost_or_doubled, a_cursor_below_the_floor_starts_from_a_snapshot,
      after_a_restore_from_a_backup_a_consumer_starts_from_a_snapshot, a_cursor_ahead_of_the_log_starts_from_a_snapshot,
      a_snapshot_goes_on_after_a_crash_where_it_was, a_cursor_that_somebody_else_has_moved_is_read_again,
      a_consumer_that_lost_its_lease_applies_nothing, an_event_that_cannot_be_applied_is_never_passed_over,
      an_unknown_event_stops_the_consumer_until_a_release_knows_it, a_consumer_can_take_all_entries_of_a_unit_at_once,
      what_comes_while_a_unit_is_away_is_the_next_units_work, what_cannot_be_applied_together_is_applied_alone,
      a_full_disk_delays_a_consumer_and_nothing_more)
