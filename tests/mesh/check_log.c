/* Tests of mesh/log/log.c: numbers without gaps, a head that nothing loses, a floor that rises. */
#include "mesh/base/say.h"
#include "mesh/log/log.h"
#include "tests/mesh/store_fixture.h"
#include "tests/suite.h"

#include "api.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define HOUR_US 3600000000ll

static struct fixture f;
static struct store_options options;
static struct log_position head;

static void open_it(void)
{
    ck_assert_int_eq(store_migrate(f.store, "log", log_migrations), 0);
    ck_assert_int_eq(log_open(f.store, &head), 0);
}

static void begin(void)
{
    say_init("check", SAY_ERROR + 1);
    const char *rerun = getenv("MESH_RERUN");
    options.rerun_always = rerun && strcmp(rerun, "always") == 0;
    fixture_init(&f, &options);
    open_it();
}

static void open_again(void)
{
    store_close(f.store);
    ck_assert_int_eq(fixture_open(&f, &options), 0);
    open_it();
}

static struct event event_of(const Oms__Event__V1__AvailabilityChanged *payload)
{
    return (struct event){
        .type = OMS__EVENT__V1__EVENT_TYPE__AVAILABILITY_CHANGED,
        .key = payload->sku,
        .owner = "somebody",
        .audience = 6,
        .payload = &payload->base,
    };
}

/* For a job: appends as many events as its number says; a negative number fails after one. */
static int append(struct txn *txn, void *arg)
{
    const struct job *job = arg;
    Oms__Event__V1__AvailabilityChanged changed = OMS__EVENT__V1__AVAILABILITY_CHANGED__INIT;
    changed.sku = (char *)job->key;
    const struct event event = event_of(&changed);
    int r = log_append(txn, &event);
    for (int64_t i = 1; r == 0 && i < job->number; i++)
        r = log_append(txn, &event);
    return r == 0 && job->number < 0 ? -EINVAL : r;
}

static void append_now(const char *key, int64_t n)
{
    struct job job;
    job_init(&job, append, key, n);
    ck_assert_int_eq(do_write(&f, append, &job), 0);
    job_finish(&job);
}

struct look {
    struct log_position head;
    uint64_t floor, first, last;
    int n;
    bool gapless;
    char key[32], owner[32], trace[64];
    uint32_t audience;
    int64_t time_us;
};

static int look_inside(struct txn *txn, void *arg)
{
    struct look *look = arg;
    struct log_entry *entries;
    *look = (struct look){ .gapless = true };
    int r = log_range(txn, &look->head, &look->floor);
    if (r == 0)
        r = look->n = log_read(txn, look->floor, 10000, &entries);
    for (int i = 0; i < look->n; i++)
        look->gapless &= entries[i].seq == look->floor + 1 + (uint64_t)i;
    if (look->n > 0) {
        look->first = entries[0].seq;
        look->last = entries[look->n - 1].seq;
        snprintf(look->key, sizeof(look->key), "%s", entries[0].key);
        snprintf(look->owner, sizeof(look->owner), "%s", entries[0].owner);
        snprintf(look->trace, sizeof(look->trace), "%s", entries[0].trace);
        look->audience = entries[0].audience;
        look->time_us = entries[0].time_us;
    }
    return r < 0 ? r : 0;
}

static struct look look(void)
{
    struct look now;
    ck_assert_int_eq(do_write(&f, look_inside, &now), 0);
    return now;
}

START_TEST(a_new_log_has_an_incarnation_and_no_entries)
{
    begin();
    ck_assert_uint_eq(strlen(head.incarnation), 16);
    ck_assert_uint_eq(head.seq, 0);
    ck_assert_int_eq(look().n, 0);
    ck_assert_uint_eq(look().floor, 0);
    fixture_finish(&f);
}
END_TEST

START_TEST(a_log_that_is_opened_again_goes_on)
{
    begin();
    struct log_position first = head;
    append_now("a", 3);
    open_again();
    ck_assert_str_eq(head.incarnation, first.incarnation);
    ck_assert_uint_eq(head.seq, 3);
    append_now("a", 1);
    ck_assert_uint_eq(look().head.seq, 4);
    ck_assert(look().gapless);
    fixture_finish(&f);
}
END_TEST

START_TEST(two_logs_are_two_incarnations)
{
    struct fixture other;
    struct log_position others;
    begin();
    fixture_init(&other, NULL);
    other.port.chance = 43;
    ck_assert_int_eq(store_migrate(other.store, "log", log_migrations), 0);
    ck_assert_int_eq(log_open(other.store, &others), 0);
    ck_assert_str_ne(others.incarnation, head.incarnation);
    fixture_finish(&other);
    fixture_finish(&f);
}
END_TEST

START_TEST(a_renewed_log_is_another_incarnation_and_goes_on)
{
    begin();
    struct log_position first = head;
    append_now("a", 3);
    ck_assert_int_eq(log_renew(f.store, &head), 0);
    ck_assert_str_ne(head.incarnation, first.incarnation);
    ck_assert_uint_eq(head.seq, 3);
    struct log_position renewed = head;
    open_again();
    ck_assert_str_eq(head.incarnation, renewed.incarnation);
    append_now("a", 1);
    ck_assert_uint_eq(look().head.seq, 4);
    ck_assert_int_eq(look().n, 4);
    ck_assert(look().gapless);
    fixture_finish(&f);
}
END_TEST

START_TEST(what_is_rolled_back_leaves_no_gap)
{
    static const int64_t numbers[] = { 2, -1, 3, -1, 1 };
    struct job jobs[5];
    begin();
    for (int i = 0; i < 5; i++) {
        job_init(&jobs[i], append, "a", numbers[i]);
        store_write(f.store, &jobs[i].unit);
    }
    steps_port_run(&f.port);
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(jobs[i].result, numbers[i] < 0 ? -EINVAL : 0);
    ck_assert_uint_eq(jobs[4].unit.log_seq, 6);
    ck_assert_uint_eq(f.head, 6);
    ck_assert_uint_eq((f.touched & TOUCHED_LOG), TOUCHED_LOG);
    ck_assert_int_eq(look().n, 6);
    ck_assert(look().gapless);
    for (int i = 0; i < 5; i++)
        job_finish(&jobs[i]);
    fixture_finish(&f);
}
END_TEST

static int append_many(struct txn *txn, void *arg)
{
    static Oms__Event__V1__AvailabilityChanged changed[700];
    struct event events[700];
    for (int i = 0; i < 700; i++) {
        oms__event__v1__availability_changed__init(&changed[i]);
        changed[i].sku = "s";
        events[i] = event_of(&changed[i]);
    }
    return log_append_many(txn, events, 700);
}

START_TEST(many_events_are_appended_in_few_statements)
{
    begin();
    ck_assert_int_eq(do_write(&f, append_many, NULL), 0);
    ck_assert_int_eq(look().n, 700);
    ck_assert(look().gapless);
    fixture_finish(&f);
}
END_TEST

static int append_large(struct txn *txn, void *arg)
{
    char *text = arena_alloc(txn->arena, LOG_PAYLOAD_MAX + 1);
    memset(text, 'x', LOG_PAYLOAD_MAX);
    text[LOG_PAYLOAD_MAX] = '\0';
    Oms__Event__V1__AvailabilityChanged changed = OMS__EVENT__V1__AVAILABILITY_CHANGED__INIT;
    changed.sku = text;
    struct event event = event_of(&changed);
    event.key = "k";
    return log_append(txn, &event);
}

START_TEST(an_event_that_is_too_large_is_refused)
{
    begin();
    ck_assert_int_eq(do_write(&f, append_large, NULL), -E2BIG);
    ck_assert_int_eq(look().n, 0);
    fixture_finish(&f);
}
END_TEST

START_TEST(an_entry_keeps_what_its_transaction_was)
{
    struct trace trace;
    struct job job;
    begin();
    ck_assert(trace_parse("00-0123456789abcdef0123456789abcdef-0123456789abcdef-01", &trace));
    job_init(&job, append, "the-key", 1);
    job.unit.trace = &trace;
    store_write(f.store, &job.unit);
    steps_port_run(&f.port);
    ck_assert_int_eq(job.result, 0);
    struct look now = look();
    ck_assert_str_eq(now.trace, "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01");
    ck_assert_str_eq(now.key, "the-key");
    ck_assert_str_eq(now.owner, "somebody");
    ck_assert_uint_eq(now.audience, 6);
    ck_assert_int_eq(now.time_us, f.port.now_us);
    job_finish(&job);
    fixture_finish(&f);
}
END_TEST

/* --- retention --- */

struct pruning {
    int64_t age_us;
    size_t n;
    int64_t gone;
};

static int prune(struct txn *txn, void *arg)
{
    struct pruning *pruning = arg;
    pruning->gone = log_prune(txn, pruning->age_us, pruning->n);
    return pruning->gone < 0 ? (int)pruning->gone : 0;
}

static int64_t prune_now(int64_t age_us, size_t n)
{
    struct pruning pruning = { age_us, n, 0 };
    ck_assert_int_eq(do_write(&f, prune, &pruning), 0);
    return pruning.gone;
}

START_TEST(what_is_old_goes_and_the_floor_rises)
{
    begin();
    append_now("old", 5);
    f.port.now_us += 2 * HOUR_US;
    append_now("new", 5);
    ck_assert_int_eq(prune_now(HOUR_US, 100), 5);
    struct look now = look();
    ck_assert_uint_eq(now.floor, 5);
    ck_assert_uint_eq(now.first, 6);
    ck_assert_str_eq(now.key, "new");
    ck_assert_uint_eq(now.head.seq, 10);
    ck_assert_int_eq(prune_now(HOUR_US, 100), 0);
    fixture_finish(&f);
}
END_TEST

START_TEST(it_goes_in_small_pieces)
{
    begin();
    append_now("old", 25);
    f.port.now_us += 2 * HOUR_US;
    ck_assert_int_eq(prune_now(HOUR_US, 10), 10);
    ck_assert_uint_eq(look().floor, 10);
    ck_assert_int_eq(prune_now(HOUR_US, 10), 10);
    ck_assert_int_eq(prune_now(HOUR_US, 10), 5);
    ck_assert_uint_eq(look().floor, 25);
    fixture_finish(&f);
}
END_TEST

START_TEST(an_emptied_log_keeps_its_head)
{
    begin();
    append_now("old", 5);
    f.port.now_us += 2 * HOUR_US;
    ck_assert_int_eq(prune_now(HOUR_US, 100), 5);
    ck_assert_uint_eq(look().head.seq, 5);
    open_again();
    ck_assert_uint_eq(head.seq, 5);
    append_now("new", 1);
    ck_assert_uint_eq(look().first, 6);
    fixture_finish(&f);
}
END_TEST

START_TEST(an_entry_of_a_clock_that_was_ahead_makes_no_hole)
{
    begin();
    f.port.now_us += 10 * HOUR_US;
    append_now("ahead", 1);
    f.port.now_us -= 10 * HOUR_US;
    append_now("old", 3);
    f.port.now_us += 2 * HOUR_US;
    ck_assert_int_eq(prune_now(HOUR_US, 100), 0);
    ck_assert_int_eq(look().n, 4);
    f.port.now_us += 10 * HOUR_US;
    ck_assert_int_eq(prune_now(HOUR_US, 100), 4);
    fixture_finish(&f);
}
END_TEST

SUITE("log", 60, a_new_log_has_an_incarnation_and_no_entries, a_log_that_is_opened_again_goes_on,
      two_logs_are_two_incarnations, a_renewed_log_is_another_incarnation_and_goes_on,
      what_is_rolled_back_leaves_no_gap, many_events_are_appended_in_few_statements,
      an_event_that_is_too_large_is_refused, an_entry_keeps_what_its_transaction_was,
      what_is_old_goes_and_the_floor_rises, it_goes_in_small_pieces, an_emptied_log_keeps_its_head,
      an_entry_of_a_clock_that_was_ahead_makes_no_hole)
