/* Tests of mesh/outbox/outside.c: somebody outside is told everything once and in order, answers or not, and the
 * circuit knows which of both. */
#include "mesh/base/metrics.h"
#include "mesh/base/say.h"
#include "mesh/outbox/circuit.h"
#include "tests/mesh/pair.h"
#include "tests/suite.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SECOND_US 1000000ll
#define HOUR_US   (3600 * SECOND_US)
#define OUTCOMES  "SELECT COUNT(*) FROM outcome"

static struct pair p;

/* Whom the letters are for: does what is new to it, answers the same again, and is moody by the order's name. */
static struct processor {
    struct done {
        char key[64];
    } done[1024];
    int n_done, asked;
    bool moody;          /* busy…, silent…, drop…, garbled… and large… are as they are called */
    int status;          /* of busy ones */
    int64_t delay_us;    /* of every answer */
    int64_t first_us[4]; /* when slow ones came first */
    int64_t at_us[1024]; /* when each request came */
    int refuse_asks;     /* so many asks of the sender's fail */
    int asks;
} processor;

static bool is(const char *order_id, const char *mood)
{
    return processor.moody && strncmp(order_id, mood, strlen(mood)) == 0;
}

static void keep(const char *key)
{
    for (int i = 0; i < processor.n_done; i++)
        if (strcmp(processor.done[i].key, key) == 0)
            return;
    ck_assert_int_lt(processor.n_done, 1024);
    snprintf(processor.done[processor.n_done++].key, sizeof(processor.done[0].key), "%s", key);
}

static void answer(void *arg, int64_t now_us, const struct fetch *fetch, struct outside_answer *ret_answer)
{
    static const char large[(1 << 20) + 1];
    char order_id[64];
    ck_assert_str_eq(fetch->verb, "POST");
    ck_assert_str_eq(fetch->path, "/v1/things");
    snprintf(order_id, sizeof(order_id), "%.*s", (int)fetch->body.len, (const char *)fetch->body.data);
    processor.at_us[processor.asked++ % 1024] = now_us;
    ret_answer->delay_us = processor.delay_us;
    ret_answer->silent = is(order_id, "silent");
    ret_answer->dropped = is(order_id, "drop");
    if (is(order_id, "busy")) {
        ret_answer->status = processor.status;
        return;
    }
    if (strncmp(order_id, "refuse", 6) == 0) {
        ret_answer->status = 400;
        return;
    }
    keep(fetch->idempotency_key);
    ret_answer->body = (struct bytes){ (const uint8_t *)fetch->idempotency_key, strlen(fetch->idempotency_key) };
    if (is(order_id, "garbled"))
        ret_answer->body = (struct bytes){ (const uint8_t *)"?", 1 };
    if (is(order_id, "large"))
        ret_answer->body = (struct bytes){ (const uint8_t *)large, sizeof(large) };
}

/* --- the sender's row --- */

static int ask(struct txn *txn, const void *in, struct fetch *ret_fetch)
{
    const Oms__Inventory__V1__ReserveStockRequest *request = in;
    struct rows rows;
    ck_assert_ptr_null(ret_fetch->path); /* it is clean, also when it is run again */
    processor.asks++;
    if (processor.refuse_asks > 0) {
        processor.refuse_asks--;
        return -EINVAL;
    }
    if (strncmp(request->order_id, "cancelled", 9) == 0)
        return -ECANCELED;
    int r = txn_query(txn, &rows, "SELECT key FROM outbox WHERE key = $1", T(request->order_id));
    if (r < 0)
        return r;
    ck_assert_uint_gt(rows.n, 0);
    const char *key = row_text(&rows, 0, 0);
    ret_fetch->verb = "POST";
    ret_fetch->path = arena_printf(txn->arena, "/v1/%s", "things");
    ret_fetch->idempotency_key = request->request_id;
    ret_fetch->body = (struct bytes){ (const uint8_t *)key, strlen(key) };
    return 0;
}

static enum rpc_code understand(struct arena *arena, int status, struct bytes body, const void *in, void *out)
{
    const Oms__Inventory__V1__ReserveStockRequest *request = in;
    Oms__Inventory__V1__ReserveStockResponse *reply = out;
    if (status != 200)
        return RPC_FAILED_PRECONDITION;
    reply->reservation_id = arena_copy(arena, body.data, body.len);
    return strcmp(reply->reservation_id, request->request_id) == 0 ? RPC_OK : RPC_UNAVAILABLE;
}

static const struct outside outside = { ask, understand, .timeout_us = 10 * SECOND_US };

/* Keeps the reason, or what the reply says. */
static int outcome(struct txn *txn, const struct outcome *o)
{
    const Oms__Inventory__V1__ReserveStockRequest *request = o->request;
    const Oms__Inventory__V1__ReserveStockResponse *reply = o->reply;
    return txn_post(txn,
                    "INSERT INTO outcome (op, times, code, gave_up, attempts, reason) VALUES ($1, 1, $2, $3, $4, $5)"
                    " ON CONFLICT (op) DO UPDATE SET times = outcome.times + 1",
                    T(request->request_id), I(o->code), I(o->gave_up), I(o->attempts),
                    T(reply ? reply->reservation_id : o->reason));
}

static void begin_without_processor(uint64_t seed)
{
    say_init("check", SAY_ERROR + 1);
    pair_init(&p, seed);
    processor = (struct processor){ .status = 503 };
    p.to = "processor";
    p.method = "/processor/thing";
    p.deliverers[0].method = p.method;
    p.deliverers[0].outcome = outcome;
    p.deliverers[0].outside = &outside;
}

static void begin(uint64_t seed)
{
    begin_without_processor(seed);
    world_outside(p.world, "processor", answer, NULL);
}

/* Everything was done once and in its order, every outcome told once, nothing is left. */
static void nothing_is_wrong(int letters)
{
    ck_assert_int_eq(processor.n_done, letters);
    for (int i = 0; i < letters; i++) {
        const char *a = processor.done[i].key;
        size_t key_len = (size_t)(strrchr(a, '-') - a) + 1;
        for (int j = i + 1; j < letters; j++)
            if (strncmp(a, processor.done[j].key, key_len) == 0)
                ck_assert_int_lt(atoi(a + key_len), atoi(processor.done[j].key + key_len));
    }
    ck_assert_int_eq(PAIR_COUNT(p.sender, "SELECT COUNT(*) FROM outcome WHERE times = 1 AND code = 0 AND reason = op"),
                     letters);
    ck_assert_int_eq(PAIR_COUNT(p.sender, OUTCOMES), letters);
    ck_assert_int_eq(PAIR_COUNT(p.sender, "SELECT COUNT(*) FROM outbox"), 0);
}

/* One of each of so many keys. */
static void send_many(const char *prefix, int n)
{
    char key[32];
    for (int i = 0; i < n; i++) {
        snprintf(key, sizeof(key), "%s%d", prefix, i);
        pair_sending(&p, key, 1, 1);
    }
}

static int64_t circuit_open(void)
{
    return metric_make(METRIC_GAUGE, "mesh_outbox_circuit_open", "", "destination=\"processor\"")->value;
}

/* --- answers --- */

START_TEST(an_answer_comes_back_as_an_outcome)
{
    begin(1);
    pair_start(&p);
    pair_send(&p, "one", 1, 1);
    PAIR_AWAIT(&p, p.sender, "SELECT COUNT(*) FROM outcome WHERE code = 0 AND gave_up = 0 AND attempts = 1", 1);
    nothing_is_wrong(1);
    ck_assert_int_eq(processor.asked, 1);
    pair_end(&p);
}
END_TEST

START_TEST(letters_of_one_key_keep_their_order)
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

START_TEST(what_is_declined_is_told_at_once)
{
    begin(3);
    p.deliverers[0].give_up_after_us = HOUR_US;
    pair_start(&p);
    pair_send(&p, "refuse", 1, 2);
    PAIR_AWAIT(&p, p.sender,
               "SELECT COUNT(*) FROM outcome WHERE code = 9 AND reason = 'HTTP_400' AND gave_up = 0 AND attempts = 1",
               2);
    ck_assert_int_eq(processor.asked, 2);
    pair_end(&p);
}
END_TEST

START_TEST(what_may_pass_is_said_again_and_holds_only_its_own_key)
{
    static const int statuses[] = { 500, 503, 599, 429, 408, 425, 199 };
    begin(4);
    pair_start(&p);
    processor.moody = true;
    pair_send(&p, "busy", 1, 3);
    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
        processor.status = statuses[i];
        int asked = processor.asked;
        while (processor.asked < asked + 2)
            ck_assert(world_step(p.world));
        ck_assert_int_eq(PAIR_COUNT(p.sender, OUTCOMES), 0);
    }
    pair_send(&p, "free", 1, 2);
    PAIR_AWAIT(&p, p.sender, OUTCOMES, 2);
    ck_assert_int_eq(PAIR_COUNT(p.sender, "SELECT COUNT(*) FROM outbox WHERE last_reason = 'HTTP_199'"), 1);
    processor.moody = false;
    PAIR_AWAIT(&p, p.sender, OUTCOMES, 5);
    nothing_is_wrong(5);
    pair_end(&p);
}
END_TEST

static void await_reason(const char *key, const char *sql)
{
    processor.moody = true;
    pair_send(&p, key, 1, 2);
    ck_assert_msg(pair_await(&p, p.sender, sql, 1), "never: %s", sql);
    processor.moody = false;
}

START_TEST(what_is_no_answer_is_asked_for_again)
{
    begin(5);
    pair_start(&p);
#define LAST_REASON(r) SQL("SELECT COUNT(*) FROM outbox WHERE attempts > 1 AND last_reason = '" r "'")
    await_reason("silent", LAST_REASON("NO_ANSWER_IN_TIME"));
    await_reason("drop", LAST_REASON("CONNECTION_RESET"));
    await_reason("garbled", LAST_REASON("NOT_UNDERSTOOD"));
    await_reason("large", LAST_REASON("ANSWER_TOO_LARGE"));
    PAIR_AWAIT(&p, p.sender, OUTCOMES, 8);
    nothing_is_wrong(8);
    pair_end(&p);
}
END_TEST

/* Cancelled before it was said. */
START_TEST(what_need_not_be_said_any_more_has_an_outcome_all_the_same)
{
    begin(6);
    pair_start(&p);
    pair_send(&p, "cancelled", 1, 2);
    PAIR_AWAIT(&p, p.sender, "SELECT COUNT(*) FROM outcome WHERE code = 0 AND reason = '' AND times = 1", 2);
    ck_assert_int_eq(PAIR_COUNT(p.sender, "SELECT COUNT(*) FROM outbox"), 0);
    ck_assert_int_eq(processor.asked, 0);
    pair_end(&p);
}
END_TEST

START_TEST(an_ask_that_fails_is_asked_again)
{
    begin(7);
    processor.refuse_asks = 5;
    pair_start(&p);
    pair_send(&p, "a", 1, 2);
    PAIR_AWAIT(&p, p.sender, "SELECT COUNT(*) FROM outbox WHERE last_reason = 'ASK_FAILED'", 1);
    PAIR_AWAIT(&p, p.sender, OUTCOMES, 2);
    nothing_is_wrong(2);
    pair_end(&p);
}
END_TEST

START_TEST(a_saga_is_told_that_its_letter_was_given_up)
{
    begin(8);
    processor.moody = true;
    p.deliverers[0].give_up_after_us = 5 * SECOND_US;
    pair_start(&p);
    int64_t start_us = world_now(p.world);
    pair_send(&p, "busy", 1, 1);
    PAIR_AWAIT(&p, p.sender, "SELECT COUNT(*) FROM outcome WHERE code = 14 AND gave_up = 1", 1);
    ck_assert_int_ge(world_now(p.world) - start_us, 5 * SECOND_US);
    pair_end(&p);
}
END_TEST

/* --- many at once --- */

START_TEST(a_silent_letter_holds_up_no_other_key)
{
    begin(9);
    pair_start(&p);
    processor.moody = true;
    pair_send(&p, "silent", 1, 3);
    send_many("k", 300);
    int64_t start_us = world_now(p.world);
    PAIR_AWAIT(&p, p.sender, OUTCOMES, 300);
    ck_assert_int_lt(world_now(p.world) - start_us, 5 * SECOND_US);
    ck_assert_int_eq(PAIR_COUNT(p.sender, "SELECT COUNT(*) FROM outbox WHERE key = 'silent'"), 3);
    processor.moody = false;
    PAIR_AWAIT(&p, p.sender, OUTCOMES, 303);
    nothing_is_wrong(303);
    pair_end(&p);
}
END_TEST

START_TEST(so_many_are_under_way_and_no_more)
{
    begin(10);
    processor.delay_us = SECOND_US;
    pair_start(&p);
    send_many("k", 600);
    PAIR_AWAIT(&p, p.sender, OUTCOMES, 600);
    ck_assert_int_eq(processor.asked, 600);
    int most = 0;
    for (int i = 0, first = 0; i < processor.asked; i++) {
        while (processor.at_us[i] - processor.at_us[first] >= SECOND_US)
            first++;
        most = i - first + 1 > most ? i - first + 1 : most;
    }
    ck_assert_int_eq(most, 256);
    ck_assert_int_lt(processor.at_us[599] - processor.at_us[0], 4 * SECOND_US);
    nothing_is_wrong(600);
    pair_end(&p);
}
END_TEST

/* --- crashes and faults --- */

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
    return node_service(p.sender) && PAIR_COUNT(p.sender, OUTCOMES) == PLANS * PER_PLAN &&
           PAIR_COUNT(p.sender, "SELECT COUNT(*) FROM outbox") == 0;
}

static uint64_t tell_story(uint64_t crash_at)
{
    begin(11);
    pair_start(&p);
    uint64_t steps = 0;
    bool sent = false;
    for (; !(sent && steps % 8 == 0 && all_settled()); steps++) {
        ck_assert_uint_lt(steps, 200000);
        if (steps == crash_at)
            node_crash(p.sender, 50000);
        sent = sent || all_sent();
        ck_assert(world_step(p.world));
    }
    nothing_is_wrong(PLANS * PER_PLAN);
    pair_end(&p);
    return steps;
}

START_TEST(the_sender_may_crash_between_any_two_steps)
{
    uint64_t steps = tell_story(UINT64_MAX);
    ck_assert_uint_gt(steps, 50);
    int most_asked = 0;
    for (uint64_t at = 0; at < steps; at++) {
        tell_story(at);
        most_asked = processor.asked > most_asked ? processor.asked : most_asked;
    }
    ck_assert_int_gt(most_asked, PLANS * PER_PLAN); /* some were said twice, under the same key */
}
END_TEST

START_TEST(whatever_goes_wrong_each_letter_has_one_effect)
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
        ck_assert_int_eq(processor.n_done, 60);
        ck_assert_int_eq(PAIR_COUNT(p.sender, "SELECT COUNT(*) FROM outcome WHERE times <> 1"), 0);
        pair_end(&p);
    }
}
END_TEST

/* --- the circuit --- */

START_TEST(a_peer_that_nobody_configured_is_waited_for)
{
    begin_without_processor(12);
    pair_start(&p);
    send_many("k", 20);
    PAIR_AWAIT(&p, p.sender, "SELECT MIN(attempts) FROM outbox WHERE last_reason = 'PEER_NOT_CONFIGURED'", 3);
    ck_assert_int_eq(circuit_open(), 0);
    world_outside(p.world, "processor", answer, NULL);
    PAIR_AWAIT(&p, p.sender, OUTCOMES, 20);
    nothing_is_wrong(20);
    pair_end(&p);
}
END_TEST

START_TEST(a_peer_that_is_down_gets_probes_only)
{
    begin(13);
    pair_start(&p);
    world_outside_down(p.world, "processor", true);
    send_many("k", 800);
    world_run(p.world, 50 * SECOND_US);
    ck_assert_int_eq(circuit_open(), 1);
    int64_t attempts = PAIR_COUNT(p.sender, "SELECT SUM(attempts) FROM outbox");
    ck_assert_int_gt(attempts, 5);
    ck_assert_int_lt(attempts, 256 + 64 + 30);
    world_outside_down(p.world, "processor", false);
    PAIR_AWAIT(&p, p.sender, OUTCOMES, 800);
    ck_assert_int_eq(circuit_open(), 0);
    nothing_is_wrong(800);
    pair_end(&p);
}
END_TEST

START_TEST(who_declines_everything_is_well)
{
    begin(14);
    pair_start(&p);
    send_many("refuse", 50);
    PAIR_AWAIT(&p, p.sender, "SELECT COUNT(*) FROM outcome WHERE code = 9 AND attempts = 1", 50);
    ck_assert_int_eq(circuit_open(), 0);
    pair_end(&p);
}
END_TEST

/* The only letters that could be probes say nothing about the other side. */
START_TEST(a_probe_that_says_nothing_is_followed_by_another)
{
    begin(15);
    pair_start(&p);
    world_outside_down(p.world, "processor", true);
    send_many("k", 20);
    world_run(p.world, 3 * SECOND_US);
    ck_assert_int_eq(circuit_open(), 1);
    send_many("cancelled", 5);
    PAIR_AWAIT(&p, p.sender, "SELECT COUNT(*) FROM outcome WHERE reason = ''", 5);
    ck_assert_int_eq(circuit_open(), 1);
    world_outside_down(p.world, "processor", false);
    PAIR_AWAIT(&p, p.sender, OUTCOMES, 25);
    ck_assert_int_eq(circuit_open(), 0);
    pair_end(&p);
}
END_TEST

START_TEST(an_unsaid_probe_leaves_the_circuit_as_it_was)
{
    struct circuit c = { 0 };
    circuit_unsaid(&c, 1000);
    ck_assert(circuit_closed(&c));
    for (int i = 0; i < CIRCUIT_FAILURES; i++)
        circuit_failed(&c, 1000, 0);
    int64_t probe_us = c.probe_us;
    circuit_unsaid(&c, 5000);
    ck_assert_int_eq(c.probe_us, probe_us);
    circuit_sent(&c);
    circuit_unsaid(&c, 500000);
    ck_assert_str_eq(circuit_name(&c), "OPEN");
    ck_assert(!circuit_may_probe(&c, 500000));
    ck_assert(circuit_may_probe(&c, 500000 + c.backoff_us));
}
END_TEST

SUITE("outside", 280, an_answer_comes_back_as_an_outcome, letters_of_one_key_keep_their_order,
      what_is_declined_is_told_at_once, what_may_pass_is_said_again_and_holds_only_its_own_key,
      what_is_no_answer_is_asked_for_again, what_need_not_be_said_any_more_has_an_outcome_all_the_same,
      an_ask_that_fails_is_asked_again, a_saga_is_told_that_its_letter_was_given_up,
      a_silent_letter_holds_up_no_other_key, so_many_are_under_way_and_no_more,
      the_sender_may_crash_between_any_two_steps, whatever_goes_wrong_each_letter_has_one_effect,
      a_peer_that_nobody_configured_is_waited_for, a_peer_that_is_down_gets_probes_only,
      who_declines_everything_is_well, a_probe_that_says_nothing_is_followed_by_another,
      an_unsaid_probe_leaves_the_circuit_as_it_was)
