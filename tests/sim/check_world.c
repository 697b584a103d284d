/* The simulated world keeps its promises: seeds replay, disks lose only what was not synced, the network misbehaves as
 * told and no other way. */
#include "tests/sim/world.h"
#include "tests/suite.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

/* --- a server that counts, and a caller --- */

struct counted {
    struct task task;
    void *leg;
    int begun, cancelled, released, sent, to_send;
    bool mute;
};

static struct counted counted;

static void answer(struct task *task)
{
    struct counted *c = &counted;
    const struct rpc_status ok = { RPC_OK, "", { NULL, 0 } };

    node_finish(c->leg, c, (struct bytes){ (const uint8_t *)"pong", 4 }, &ok);
}

static void *begin(struct node *node, void *leg, const struct outcall *call, const struct caller *caller,
                   int64_t deadline_us)
{
    counted.begun++;
    counted.leg = leg;
    if (counted.to_send)
        node_send(leg, (struct bytes){ (const uint8_t *)&counted.sent, sizeof(int) });
    else if (!counted.mute)
        answer(NULL);
    return &counted;
}

static bool streams(const char *method)
{
    return counted.to_send > 0;
}

static void writable(void *call)
{
    if (++counted.sent < counted.to_send)
        node_send(counted.leg, (struct bytes){ (const uint8_t *)&counted.sent, sizeof(int) });
    else
        answer(NULL);
}

static void cancel(void *call)
{
    const struct rpc_status gone = { RPC_CANCELLED, "gone", { NULL, 0 } };

    counted.cancelled++;
    node_finish(counted.leg, &counted, (struct bytes){ NULL, 0 }, &gone);
}

static void release(void *call)
{
    counted.released++;
}

static const struct server_ops ops = { begin, streams, writable, cancel, release };

struct asked {
    struct outcall call;
    struct world *w;
    int messages, ends, last;
    enum rpc_code code;
    int64_t end_us;
    bool hold;
};

static bool on_message(struct outcall *call, struct bytes message)
{
    struct asked *a = (struct asked *)call;

    a->messages++;
    if (counted.to_send) {
        int n;
        memcpy(&n, message.data, sizeof(n));
        ck_assert_int_eq(n, a->last + 1);
        a->last = n;
    }
    return !a->hold;
}

static void on_done(struct outcall *call, const struct rpc_status *status)
{
    struct asked *a = (struct asked *)call;

    a->ends++;
    a->code = status->code;
    a->end_us = world_now(a->w);
}

static void ask(struct asked *a, struct node *from, int64_t timeout_us)
{
    *a = (struct asked){
        .call = { .peer = "server",
                  .method = "/a.B/C",
                  .request = { (const uint8_t *)"ping", 4 },
                  .timeout_us = timeout_us,
                  .message = on_message,
                  .done = on_done },
        .w = node_world(from),
        .last = -1,
    };
    node_port(from)->call(node_port(from), &a->call);
}

static bool ended(void *arg)
{
    return ((struct asked *)arg)->ends > 0;
}

START_TEST(a_call_is_answered_once_after_a_while)
{
    struct world *w = world_create(1);
    struct node *server = node_create(w, "server"), *client = node_create(w, "client");
    struct asked a;

    node_answer(server, &ops, NULL);
    ask(&a, client, 1000000);
    ck_assert(world_until(w, ended, &a, 1000000));
    ck_assert_int_eq(a.code, RPC_OK);
    ck_assert_int_eq(a.messages, 1);
    ck_assert_int_gt(a.end_us, 0);
    world_run(w, 5000000);
    ck_assert_int_eq(a.ends, 1);
    ck_assert_int_eq(counted.released, 1);
    world_destroy(w);
}
END_TEST

START_TEST(a_mute_server_costs_the_deadline_and_is_cancelled)
{
    struct world *w = world_create(2);
    struct node *server = node_create(w, "server"), *client = node_create(w, "client");
    struct asked a;

    counted.mute = true;
    node_answer(server, &ops, NULL);
    ask(&a, client, 1000000);
    world_run(w, 3000000);
    ck_assert_int_eq(a.code, RPC_DEADLINE_EXCEEDED);
    ck_assert_int_ge(a.end_us, 1000000);
    ck_assert_int_eq(counted.cancelled, 1);
    ck_assert_int_eq(counted.released, 1);
    world_destroy(w);
}
END_TEST

START_TEST(a_doubled_request_arrives_twice_and_is_answered_once)
{
    struct world *w = world_create(3);
    struct node *server = node_create(w, "server"), *client = node_create(w, "client");
    struct asked a;

    world_faults(w)->request_twice = 1000000;
    node_answer(server, &ops, NULL);
    ask(&a, client, 1000000);
    world_run(w, 90000000);
    ck_assert_int_eq(counted.begun, 2);
    ck_assert_int_eq(a.ends, 1);
    ck_assert_int_eq(a.messages, 1);
    world_destroy(w);
}
END_TEST

START_TEST(a_lost_reply_had_its_effect)
{
    struct world *w = world_create(4);
    struct node *server = node_create(w, "server"), *client = node_create(w, "client");
    struct asked a;

    world_faults(w)->reply_lost = 1000000;
    node_answer(server, &ops, NULL);
    ask(&a, client, 1000000);
    world_run(w, 90000000);
    ck_assert_int_eq(counted.begun, 1);
    ck_assert_int_eq(a.ends, 1);
    ck_assert(a.code == RPC_UNAVAILABLE || a.code == RPC_DEADLINE_EXCEEDED);
    world_destroy(w);
}
END_TEST

START_TEST(a_stream_keeps_its_order_and_is_held_by_who_reads_it)
{
    struct world *w = world_create(5);
    struct node *server = node_create(w, "server"), *client = node_create(w, "client");
    struct asked a;

    counted.to_send = 50;
    world_faults(w)->late = 300000;
    node_answer(server, &ops, NULL);
    ask(&a, client, 0);
    a.hold = true;
    world_run(w, 100000000);
    ck_assert_int_eq(a.messages, 1);
    a.hold = false;
    node_port(client)->resume(node_port(client), &a.call);
    world_run(w, 2000000000);
    ck_assert_int_eq(a.messages, 50);
    ck_assert_int_eq(a.code, RPC_OK);
    world_destroy(w);
}
END_TEST

START_TEST(a_broken_stream_ends_for_both)
{
    struct world *w = world_create(6);
    struct node *server = node_create(w, "server"), *client = node_create(w, "client");
    struct asked a;

    counted.to_send = 1000000;
    world_faults(w)->stream_broken = 10000;
    node_answer(server, &ops, NULL);
    ask(&a, client, 0);
    world_run(w, 100000000);
    ck_assert_int_eq(a.ends, 1);
    ck_assert_int_eq(a.code, RPC_UNAVAILABLE);
    ck_assert_int_eq(counted.cancelled, 1);
    world_destroy(w);
}
END_TEST

START_TEST(a_crashed_server_is_noticed_and_a_crashed_caller_cancels)
{
    struct world *w = world_create(7);
    struct node *server = node_create(w, "server"), *client = node_create(w, "client");
    struct asked a, b;

    counted.mute = true;
    node_answer(server, &ops, NULL);
    ask(&a, client, 0);
    world_run(w, 10000);
    node_crash(server, 1000);
    world_run(w, 40000000);
    ck_assert_int_eq(a.code, RPC_UNAVAILABLE);
    ck_assert_int_eq(a.ends, 1);

    ck_assert(node_up(server));
    node_answer(server, &ops, NULL);
    ask(&b, client, 0);
    world_run(w, 10000);
    node_crash(client, 1000);
    world_run(w, 40000000);
    ck_assert_int_eq(b.ends, 0);
    ck_assert_int_eq(counted.cancelled, 1);
    world_destroy(w);
}
END_TEST

START_TEST(a_partition_ends_and_so_do_the_calls_in_it)
{
    struct world *w = world_create(8);
    struct node *server = node_create(w, "server"), *client = node_create(w, "client");
    struct asked a, b;

    node_answer(server, &ops, NULL);
    world_partition(w, server, client, 5000000);
    ask(&a, client, 1000000);
    world_run(w, 6000000);
    ck_assert_int_ne(a.code, RPC_OK);
    ck_assert_int_eq(a.ends, 1);
    ask(&b, client, 1000000);
    world_run(w, 6000000);
    ck_assert_int_eq(b.code, RPC_OK);
    world_destroy(w);
}
END_TEST

/* --- timers and lanes --- */

struct ticking {
    struct timer timer;
    int fired;
};

static void tick(struct timer *timer)
{
    ((struct ticking *)timer)->fired++;
}

START_TEST(a_timer_fires_once_unless_it_is_stopped_or_its_machine_crashes)
{
    struct world *w = world_create(9);
    struct node *n = node_create(w, "a");
    struct port *port = node_port(n);
    struct ticking fires = { { tick, 0, NULL }, 0 }, stopped = fires, restarted = fires, lost = fires;

    port->timer_start(port, &fires.timer, 1000);
    port->timer_start(port, &stopped.timer, 1000);
    port->timer_start(port, &restarted.timer, 1000);
    port->timer_start(port, &restarted.timer, 5000);
    port->timer_start(port, &lost.timer, 9000);
    port->timer_stop(port, &stopped.timer);
    world_run(w, 4000);
    ck_assert_int_eq(fires.fired, 1);
    ck_assert_int_eq(stopped.fired, 0);
    ck_assert_int_eq(restarted.fired, 0);
    world_run(w, 4000);
    ck_assert_int_eq(restarted.fired, 1);
    node_crash(n, 1000);
    world_run(w, 100000);
    ck_assert_int_eq(lost.fired, 0);
    ck_assert(node_up(n));
    world_destroy(w);
}
END_TEST

static char order[64];
struct named {
    struct task task;
    char name;
};

static void say_name(struct task *task)
{
    size_t n = strlen(order);

    order[n] = ((struct named *)task)->name;
    order[n + 1] = 0;
}

START_TEST(a_lane_keeps_its_order_and_a_stalled_machine_stands_still)
{
    struct world *w = world_create(10);
    struct node *a = node_create(w, "a"), *b = node_create(w, "b");
    struct named tasks[] = { { { say_name, NULL }, 'A' },
                             { { say_name, NULL }, 'B' },
                             { { say_name, NULL }, 'C' },
                             { { say_name, NULL }, 'z' } };

    for (int i = 0; i < 3; i++)
        node_port(a)->post(node_port(a), LANE_WRITER, &tasks[i].task);
    node_port(b)->post(node_port(b), LANE_LOOP, &tasks[3].task);
    node_stall(b, 50000);
    world_run(w, 20000);
    ck_assert_str_eq(order, "ABC");
    world_run(w, 50000);
    ck_assert_str_eq(order, "ABCz");
    world_destroy(w);
}
END_TEST

/* --- disks --- */

static int one_int(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *s;
    int n = -1;

    if (sqlite3_prepare_v2(db, sql, -1, &s, NULL) != SQLITE_OK)
        return -1;
    if (sqlite3_step(s) == SQLITE_ROW)
        n = sqlite3_column_int(s, 0);
    sqlite3_finalize(s);
    return n;
}

static sqlite3 *open_db(const char *path, const char *synchronous)
{
    sqlite3 *db;
    char sql[200];

    ck_assert_int_eq(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, "sim"), SQLITE_OK);
    snprintf(sql, sizeof(sql),
             "PRAGMA journal_mode=WAL; PRAGMA synchronous=%s; PRAGMA wal_autocheckpoint=20;"
             "CREATE TABLE IF NOT EXISTS t(k INTEGER PRIMARY KEY, v BLOB)",
             synchronous);
    sqlite3_exec(db, sql, NULL, NULL, NULL);
    return db;
}

/* Inserts rows in transactions of two until told to crash; returns what is missing of what had been committed. */
static int crash_once(uint64_t seed, const char *synchronous)
{
    struct world *w = world_create(seed);
    struct node *n = node_create(w, "machine");
    sqlite3 *db = open_db("machine/db", synchronous);
    sqlite3 *reader = open_db("machine/db", synchronous);
    int committed = 0;

    disk_doom(node_disk(n), 1 + (uint32_t)world_roll(w, 400));
    for (int i = 0; i < 200 && !disk_doomed(node_disk(n)); i++) {
        char sql[200];
        snprintf(sql, sizeof(sql),
                 "BEGIN; INSERT INTO t VALUES(%d, randomblob(900)); INSERT INTO t VALUES(%d, randomblob(900)); COMMIT",
                 2 * i, 2 * i + 1);
        ck_assert_int_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
        if (!disk_doomed(node_disk(n)))
            committed = 2 * i + 2;
        ck_assert_int_eq(one_int(reader, "SELECT count(*) FROM t"), 2 * i + 2);
    }
    node_crash(n, 1000);
    ck_assert_int_ne(sqlite3_exec(db, "INSERT INTO t VALUES(-1, 0)", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    sqlite3_close(reader);
    db = open_db("machine/db", synchronous);
    int there = one_int(db, "SELECT count(*) FROM t");
    ck_assert_int_eq(there % 2, 0);
    ck_assert_int_eq(one_int(db, "SELECT integrity_check = 'ok' FROM pragma_integrity_check"), 1);
    sqlite3_close(db);
    world_destroy(w);
    return committed > there ? committed - there : 0;
}

START_TEST(a_synced_transaction_survives_every_crash_whole)
{
    for (uint64_t seed = 1; seed <= 60; seed++)
        ck_assert_int_eq(crash_once(seed, "FULL"), 0);
}
END_TEST

START_TEST(an_unsynced_transaction_is_sometimes_lost)
{
    int lost = 0;

    for (uint64_t seed = 1; seed <= 60; seed++)
        lost += crash_once(seed, "NORMAL");
    ck_assert_int_gt(lost, 0);
}
END_TEST

START_TEST(a_full_disk_refuses_and_is_well_again)
{
    struct world *w = world_create(11);
    struct node *n = node_create(w, "machine");
    sqlite3 *db = open_db("machine/db", "FULL");

    disk_full(node_disk(n), true);
    ck_assert_int_eq(sqlite3_exec(db, "INSERT INTO t VALUES(1, zeroblob(100000))", NULL, NULL, NULL), SQLITE_FULL);
    disk_full(node_disk(n), false);
    ck_assert_int_eq(sqlite3_exec(db, "INSERT INTO t VALUES(1, zeroblob(100000))", NULL, NULL, NULL), SQLITE_OK);
    ck_assert_int_eq(one_int(db, "SELECT count(*) FROM t"), 1);
    sqlite3_close(db);
    world_destroy(w);
}
END_TEST

/* --- the cache --- */

struct cached_op {
    struct cache_op op;
    int ends, result;
};

static void cached_done(struct cache_op *op, int result)
{
    struct cached_op *c = (struct cached_op *)op;

    c->ends++;
    c->result = result;
}

static int cache_ask(struct node *n, bool set, const char *epoch, uint64_t *version, int64_t *value)
{
    const char *keys[] = { "sku" };
    struct cached_op c = { .op = { .op = set ? CACHE_SET_IF_NEWER : CACHE_GET,
                                   .n = 1,
                                   .keys = keys,
                                   .epoch = epoch,
                                   .versions = version,
                                   .values = value,
                                   .timeout_us = 100000,
                                   .done = cached_done } };

    node_port(n)->cache(node_port(n), &c.op);
    world_run(node_world(n), 200000);
    ck_assert_int_eq(c.ends, 1);
    return c.result;
}

START_TEST(the_cache_keeps_the_newer_value_until_it_forgets)
{
    struct world *w = world_create(12);
    struct node *n = node_create(w, "a");
    uint64_t version = 2;
    int64_t value = 20;

    ck_assert_int_eq(cache_ask(n, true, "e", &version, &value), 0);
    version = 1, value = 10;
    ck_assert_int_eq(cache_ask(n, true, "e", &version, &value), 0);
    ck_assert_int_eq(cache_ask(n, false, "e", &version, &value), 0);
    ck_assert_int_eq(version, 2);
    ck_assert_int_eq(value, 20);
    ck_assert_int_eq(cache_ask(n, false, "other", &version, &value), 0);
    ck_assert_int_eq(version, 0);
    world_cache_absent(w, true);
    ck_assert_int_ne(cache_ask(n, false, "e", &version, &value), 0);
    world_cache_absent(w, false);
    world_cache_flush(w);
    ck_assert_int_eq(cache_ask(n, false, "e", &version, &value), 0);
    ck_assert_int_eq(version, 0);
    world_destroy(w);
}
END_TEST

/* --- outside --- */

struct visit {
    struct fetch fetch;
    struct world *w;
    int ended, result, status;
    size_t len;
    int64_t end_us;
};

static struct {
    int asked;
    int64_t at_us;
    struct outside_answer answer;
} bank;

static void bank_answers(void *arg, int64_t now_us, const struct fetch *fetch, struct outside_answer *ret_answer)
{
    ck_assert_ptr_eq(arg, &bank);
    ck_assert_str_eq(fetch->path, "/v1/book");
    ck_assert_str_eq(fetch->idempotency_key, "key");
    ck_assert_uint_eq(fetch->body.len, 4);
    ck_assert_int_eq(ret_answer->status, 200);
    bank.asked++;
    bank.at_us = now_us;
    *ret_answer = bank.answer;
}

static void visited(struct fetch *fetch, int result, int status, struct bytes body)
{
    struct visit *v = (struct visit *)fetch;
    v->ended++;
    v->result = result;
    v->status = status;
    v->len = body.len;
    v->end_us = world_now(v->w);
}

static void visit(struct visit *v, struct node *node, const char *peer)
{
    *v = (struct visit){ .fetch = { .peer = peer,
                                    .verb = "POST",
                                    .path = "/v1/book",
                                    .idempotency_key = "key",
                                    .body = { (const uint8_t *)"body", 4 },
                                    .timeout_us = 1000000,
                                    .done = visited },
                         .w = node_world(node) };
    node_port(node)->fetch(node_port(node), &v->fetch);
    ck_assert_int_eq(v->ended, 0);
}

static int visit_ends(struct visit *v)
{
    while (!v->ended)
        ck_assert(world_step(v->w));
    world_run(v->w, 100000000);
    ck_assert_int_eq(v->ended, 1);
    return v->result;
}

static struct node *begin_outside(uint64_t seed)
{
    struct world *w = world_create(seed);
    bank.answer = (struct outside_answer){ .status = 201, .body = { (const uint8_t *)"paid", 4 } };
    bank.asked = 0;
    world_outside(w, "bank", bank_answers, &bank);
    return node_create(w, "client");
}

START_TEST(whoever_is_outside_answers_as_he_likes)
{
    struct node *n = begin_outside(20);
    struct visit v;

    bank.answer.delay_us = 500000;
    visit(&v, n, "bank");
    ck_assert_int_eq(visit_ends(&v), 0);
    ck_assert_int_eq(v.status, 201);
    ck_assert_uint_eq(v.len, 4);
    ck_assert_int_gt(bank.at_us, 0);
    ck_assert_int_ge(v.end_us, bank.at_us + 500000);
    bank.answer.delay_us = 2000000;
    visit(&v, n, "bank");
    ck_assert_int_eq(visit_ends(&v), -ETIMEDOUT);
    bank.answer = (struct outside_answer){ .silent = true };
    visit(&v, n, "bank");
    ck_assert_int_eq(visit_ends(&v), -ETIMEDOUT);
    bank.answer = (struct outside_answer){ .dropped = true };
    visit(&v, n, "bank");
    ck_assert_int_eq(visit_ends(&v), -ECONNRESET);
    ck_assert_int_eq(bank.asked, 4);
    world_outside_down(node_world(n), "bank", true);
    visit(&v, n, "bank");
    ck_assert_int_eq(visit_ends(&v), -ECONNREFUSED);
    visit(&v, n, "nobody");
    ck_assert_int_eq(visit_ends(&v), -ENOSYS);
    ck_assert_int_eq(bank.asked, 4);
    world_quiet(node_world(n));
    bank.answer = (struct outside_answer){ .status = 200 };
    visit(&v, n, "bank");
    ck_assert_int_eq(visit_ends(&v), 0);
    world_destroy(node_world(n));
}
END_TEST

START_TEST(a_fetch_is_lost_on_either_way_or_comes_twice)
{
    static const struct {
        struct faults faults;
        int asked;
        bool answered;
    } cases[] = {
        { { .request_lost = 1000000 }, 0, false },
        { { .reply_lost = 1000000 }, 1, false },
        { { .request_twice = 1000000 }, 2, true },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct node *n = begin_outside(21 + i);
        struct visit v;
        *world_faults(node_world(n)) = cases[i].faults;
        visit(&v, n, "bank");
        int result = visit_ends(&v);
        ck_assert_int_eq(bank.asked, cases[i].asked);
        ck_assert_int_eq(result == 0, cases[i].answered);
        ck_assert(result == 0 || result == -ECONNRESET || result == -ETIMEDOUT);
        world_destroy(node_world(n));
    }
}
END_TEST

START_TEST(a_crash_forgets_the_fetch_but_not_its_effect)
{
    struct node *n = begin_outside(30);
    struct visit v;

    visit(&v, n, "bank");
    node_crash(n, 1000);
    world_run(node_world(n), 10000000);
    ck_assert_int_eq(bank.asked, 1);
    ck_assert_int_eq(v.ended, 0);
    world_destroy(node_world(n));
}
END_TEST

/* --- the whole --- */

static uint64_t history(uint64_t seed)
{
    struct world *w = world_create(seed);
    struct node *server = node_create(w, "server");
    struct node *clients[] = { node_create(w, "a"), node_create(w, "b") };
    struct asked asked[40];
    struct visit visits[40];

    world_outside(w, "bank", bank_answers, &bank);
    bank.answer = (struct outside_answer){ .status = 200, .delay_us = 100 };
    *world_faults(w) = (struct faults){
        .request_lost = 50000, .request_twice = 50000, .reply_lost = 50000, .late = 50000, .partition = 5000
    };
    counted = (struct counted){ .mute = false };
    node_answer(server, &ops, NULL);
    for (int i = 0; i < 40; i++) {
        ask(&asked[i], clients[world_roll(w, 2)], 1000000);
        visit(&visits[i], clients[world_roll(w, 2)], "bank");
        world_run(w, (int64_t)world_roll(w, 10000));
    }
    world_run(w, 100000000);
    uint64_t trace = world_trace(w);
    world_destroy(w);
    return trace;
}

START_TEST(a_seed_replays_byte_for_byte)
{
    ck_assert(history(77) == history(77));
    ck_assert(history(77) != history(78));
}
END_TEST

SUITE("world", 60, a_call_is_answered_once_after_a_while, a_mute_server_costs_the_deadline_and_is_cancelled,
      a_doubled_request_arrives_twice_and_is_answered_once, a_lost_reply_had_its_effect,
      a_stream_keeps_its_order_and_is_held_by_who_reads_it, a_broken_stream_ends_for_both,
      a_crashed_server_is_noticed_and_a_crashed_caller_cancels, a_partition_ends_and_so_do_the_calls_in_it,
      a_timer_fires_once_unless_it_is_stopped_or_its_machine_crashes,
      a_lane_keeps_its_order_and_a_stalled_machine_stands_still, a_synced_transaction_survives_every_crash_whole,
      an_unsynced_transaction_is_sometimes_lost, a_full_disk_refuses_and_is_well_again,
      the_cache_keeps_the_newer_value_until_it_forgets, whoever_is_outside_answers_as_he_likes,
      a_fetch_is_lost_on_either_way_or_comes_twice, a_crash_forgets_the_fetch_but_not_its_effect,
      a_seed_replays_byte_for_byte)
