/* svc-payment dies between any two steps, the network and the processor do their worst: whatever was accepted is
 * carried out once, and all books agree. */
#include "dev/sandbox/processor.h"
#include "tests/suite.h"
#include "tests/svc-payment/till.h"

#include <string.h>

static struct shop s;

/* Nobody else has anything to do with it, and a step less is a crash less. */
static void open_alone(uint64_t seed)
{
    shop_open(&s, seed);
    node_retire(s.notify);
    node_retire(s.shipping);
    node_retire(s.order);
    node_retire(s.inventory);
}

/* --- one payment that lives through everything --- */

static const char *payment_id;

static struct asked *authorize_it(void)
{
    return begin_authorize(&s, "o1", 1000, "tok_3ds");
}
static struct asked *capture_it(void)
{
    return begin_capture(&s, payment_id, "f1", 600);
}
static struct asked *refund_it(void)
{
    return begin_refund(&s, payment_id, "r1", 200);
}
static struct asked *void_it(void)
{
    return begin_void(&s, "o1");
}
static struct asked *(*const stages[])(void) = { authorize_it, capture_it, refund_it, void_it };
enum { STAGES = sizeof(stages) / sizeof(stages[0]), PAUSE_US = 50000 };

struct life {
    size_t at;
    struct asked *asked;
    int64_t next_us;
};

/* Like an outbox: the same request until it is accepted, as what comes before it has to come to something first. */
static void advance(struct life *life)
{
    if (life->at == STAGES || world_now(s.world) < life->next_us)
        return;
    if (!life->asked) {
        life->asked = stages[life->at]();
        return;
    }
    if (!life->asked->done)
        return;
    if (life->asked->code == RPC_OK && life->at++ == 0)
        payment_id = ((AuthorizePaymentResponse *)life->asked->reply)->payment_id;
    life->asked = NULL;
    life->next_us = world_now(s.world) + PAUSE_US;
}

static void ck_end(void)
{
    till_settle(&s);
    ck_books(&s);
    ck_assert_str_eq(told(&s, "o1"), "ACTION_REQUIRED AUTHORIZED CAPTURED REFUNDED VOIDED");
    ck_assert_int_eq(payment_now(&s, payment_id)->n_operations, STAGES);
    ck_assert_int_eq(processed(&s, "authorize"), 1);
    ck_assert_int_eq(processed(&s, "capture"), 1);
    ck_assert_int_eq(processed(&s, "refund"), 1);
    ck_assert_int_eq(processed(&s, "void"), 1);
}

/* Returns how many steps it took until its end was written down, too. */
static uint64_t tell_story(uint64_t crash_at)
{
    struct life life = { 0 };
    uint64_t steps = 0, more = 60;
    open_alone(7);
    for (; life.at < STAGES || processed(&s, "void") == 0 || more-- > 0; steps++) {
        ck_assert_uint_lt(steps, 100000);
        if (steps == crash_at)
            node_crash(s.payment, 20000);
        advance(&life);
        ck_assert(world_step(s.world));
    }
    ck_end();
    shop_close(&s);
    return steps;
}

START_TEST(it_may_die_between_any_two_steps)
{
    uint64_t steps = tell_story(UINT64_MAX);
    ck_assert_uint_gt(steps, 150);
    for (uint64_t at = 0; at < steps; at++)
        tell_story(at);
}
END_TEST

/* --- many payments, and everything goes wrong --- */

enum { ORDERS = 24, REQUESTS = 4 };

static const char *const tokens[] = { "tok_ok",        "tok_ok",    "tok_declined",     "tok_3ds",
                                      "tok_3ds_fails", "tok_slow",  "tok_late",         "tok_silent",
                                      "tok_mute",      "tok_error", "tok_refund_fails", "tok_capture_fails" };

/* What one order wants, each until it is accepted or refused for good. */
struct order {
    const char *order_id, *token, *payment_id;
    struct asked *asked[REQUESTS];
    bool over[REQUESTS], accepted[REQUESTS];
};

static struct asked *begin(struct order *o, int request)
{
    switch (request) {
    case 0:
        return begin_authorize(&s, o->order_id, 1000, o->token);
    case 1:
        return begin_void(&s, o->order_id);
    case 2:
        return begin_capture(&s, o->payment_id, o->order_id, 700);
    default:
        return begin_refund(&s, o->payment_id, o->order_id, 300);
    }
}

static bool is_for_good(const struct asked *a)
{
    return a->code == RPC_OK || a->code == RPC_FAILED_PRECONDITION || a->code == RPC_INVALID_ARGUMENT;
}

static void pursue(struct order *o, int request)
{
    if (o->over[request] || (request >= 2 && !o->payment_id))
        return;
    struct asked *a = o->asked[request];
    if (a && a->done) {
        o->over[request] = is_for_good(a);
        o->accepted[request] = a->code == RPC_OK;
        if (request == 0 && a->code == RPC_OK)
            o->payment_id = ((AuthorizePaymentResponse *)a->reply)->payment_id;
        o->asked[request] = NULL;
    } else if (!a && world_roll(s.world, 40) == 0) {
        o->asked[request] = begin(o, request);
    }
}

static void open_orders(struct order *orders)
{
    for (int i = 0; i < ORDERS; i++)
        orders[i] = (struct order){ .order_id = arena_printf(&s.arena, "o%d", i),
                                    .token = tokens[world_roll(s.world, sizeof(tokens) / sizeof(tokens[0]))],
                                    .over = { [1] = world_roll(s.world, 2) } };
}

static bool pursue_all(struct order *orders)
{
    bool over = true;
    for (int i = 0; i < ORDERS; i++)
        for (int request = 0; request < REQUESTS; request++) {
            pursue(&orders[i], request);
            over &= orders[i].over[request] || (request >= 2 && orders[i].over[0] && !orders[i].payment_id);
        }
    return over;
}

static void ck_orders(struct order *orders)
{
    ck_books(&s);
    ck_assert_int_eq(
        NUMBER(&s, s.payment,
               "SELECT COUNT(*) FROM payment WHERE voiding = 1 OR capturing_minor > 0 OR "
               "refunding_minor > 0 OR captured_minor > authorized_minor OR refunded_minor > captured_minor"),
        0);
    ck_assert_int_eq(NUMBER(&s, s.payment, "SELECT COUNT(*) FROM event_log WHERE type = 40"), 0);
    ck_assert_int_eq(NUMBER(&s, s.payment, "SELECT COUNT(*) FROM dead_letter"), 0);
    for (int i = 0; i < ORDERS; i++) {
        ck_assert_int_le(shop_number(&s, s.payment,
                                     arena_printf(&s.arena, "SELECT COUNT(*) FROM payment WHERE order_id = '%s'",
                                                  orders[i].order_id)),
                         1);
        if (orders[i].payment_id && orders[i].accepted[1])
            ck_assert_ptr_nonnull(strstr(told(&s, orders[i].order_id), "VOIDED"));
    }
}

START_TEST(whatever_goes_wrong_all_books_agree)
{
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct order orders[ORDERS];
        open_alone(seed);
        open_orders(orders);
        *world_faults(s.world) = (struct faults){
            .request_lost = 50000,
            .request_twice = 50000,
            .reply_lost = 50000,
            .late = 50000,
            .crash = 300,
            .crash_in_write = 300,
            .outage = 100,
            .stall = 300,
            .partition = 100,
            .outage_us = SECOND,
        };
        for (int i = 0; i < 40000 && !pursue_all(orders); i++)
            ck_assert(world_step(s.world));
        world_quiet(s.world);
        while (!pursue_all(orders))
            world_run(s.world, 20000);
        till_settle(&s);
        world_run(s.world, 20 * 60 * SECOND);
        till_settle(&s);
        ck_assert_uint_gt(world_faults_seen(s.world), 0);
        ck_orders(orders);
        shop_close(&s);
    }
}
END_TEST

SUITE("peril", 600, it_may_die_between_any_two_steps, whatever_goes_wrong_all_books_agree)
