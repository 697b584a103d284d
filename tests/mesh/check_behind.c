/* Read your writes: who names a position is answered from there on, and not before. */
#include "mesh/rpc/call.h"
#include "tests/mesh/calls.h"
#include "tests/suite.h"

#include <string.h>

#define LOG "0123456789abcdef0123456789abcdef"

static struct world world;
static struct asked a;

static const struct asking *order_after(const char *incarnation, uint64_t seq)
{
    static Mesh__V1__Position position;
    static Oms__Order__V1__PlaceOrderRequest request;
    static struct asking asking;
    mesh__v1__position__init(&position);
    position.incarnation = (char *)incarnation;
    position.seq = seq;
    request = *place("r1", "cus");
    request.min_position = &position;
    asking = (struct asking){ ORDER("PlaceOrder"), &request.base };
    return &asking;
}

static void ck_good(void)
{
    ck_assert_int_eq(atomic_load(&a.finished), 1);
    ck_assert_msg(a.code == RPC_OK, "%s: %s", a.reason, a.message);
}

static void ck_error(enum rpc_code code, const char *reason)
{
    ck_assert_int_eq(atomic_load(&a.finished), 1);
    ck_assert_int_eq(a.code, code);
    ck_assert_str_eq(a.reason, reason);
    ck_assert_int_eq(world_marks(&world, NULL), 0);
    ck_assert_int_eq(world_requests(&world), 0);
}

START_TEST(a_request_waits_until_its_position_is_reached)
{
    world_open(&world, false);
    world_consumer(&world, "prices", LOG, 4, false);
    ask(&world, &a, order_after(LOG, 6));
    world_consumer(&world, "prices", LOG, 5, false);
    world_settle(&world);
    ck_assert_int_eq(atomic_load(&a.finished), 0);
    ck_assert_int_eq(atomic_load(&world.runs), 0);
    world_consumer(&world, "prices", LOG, 6, false);
    world_settle(&world);
    ck_good();
    ck_assert_int_eq(world_marks(&world, "order"), 1);
    world_close(&world);
}
END_TEST

START_TEST(what_is_reached_does_not_wait)
{
    world_open(&world, false);
    world_consumer(&world, "prices", LOG, 7, false);
    ask(&world, &a, order_after(LOG, 6));
    ck_good();
    ask(&world, &a, order_after("", 0)); /* before the first entry of any log; and a repeat of nothing */
    ck_assert_str_eq(a.reason, "REQUEST_ID_REUSED");
    world_close(&world);
}
END_TEST

START_TEST(the_consumer_that_has_come_least_far_counts)
{
    world_open(&world, false);
    world_consumer(&world, "prices", LOG, 9, false);
    world_consumer(&world, "stock", LOG, 3, false);
    ask(&world, &a, order_after(LOG, 6));
    ck_assert_int_eq(atomic_load(&a.finished), 0);
    world_consumer(&world, "stock", LOG, 8, true); /* at a snapshot: what it holds is no state yet */
    world_settle(&world);
    ck_assert_int_eq(atomic_load(&a.finished), 0);
    world_consumer(&world, "stock", LOG, 8, false);
    world_settle(&world);
    ck_good();
    world_close(&world);
}
END_TEST

static int read_head(struct txn *txn, void *arg)
{
    return log_position(txn, arg);
}

START_TEST(the_own_log_is_always_reached)
{
    struct log_position head;
    struct arena arena;
    world_open(&world, false);
    world_event(&world, "k");
    arena_init(&arena, 1 << 20);
    ck_assert_int_eq(store_write_now(world.store, &(struct unit){ .run = read_head, .arg = &head, .arena = &arena }),
                     0);
    ask(&world, &a, order_after(head.incarnation, head.seq));
    ck_good();
    arena_finish(&arena);
    world_close(&world);
}
END_TEST

START_TEST(a_repeat_is_answered_without_waiting)
{
    world_open(&world, false);
    world_consumer(&world, "prices", LOG, 6, false);
    ask(&world, &a, order_after(LOG, 6));
    ck_good();
    world_consumer(&world, "prices", LOG, 6, true);
    ask(&world, &a, order_after(LOG, 6));
    ck_good();
    ck_assert_int_eq(world_marks(&world, "order"), 1);
    world_close(&world);
}
END_TEST

START_TEST(what_is_not_reached_in_time_is_unavailable)
{
    world_open(&world, false);
    world_consumer(&world, "prices", LOG, 4, false);
    struct asking asking = *order_after(LOG, 6);
    asking.timeout_us = 1000000;
    ask(&world, &a, &asking);
    steps_port_advance(&world.steps, 900000);
    ck_assert_int_eq(atomic_load(&a.finished), 0);
    steps_port_advance(&world.steps, 60000);
    ck_error(RPC_UNAVAILABLE, "POSITION_NOT_REACHED");

    ask(&world, &a, order_after(LOG, 6)); /* without a deadline */
    steps_port_advance(&world.steps, 4900000);
    ck_assert_int_eq(atomic_load(&a.finished), 0);
    steps_port_advance(&world.steps, 100000);
    ck_error(RPC_UNAVAILABLE, "POSITION_NOT_REACHED");
    world_close(&world);
}
END_TEST

START_TEST(a_log_that_nobody_here_follows_is_told)
{
    world_open(&world, false);
    world_consumer(&world, "prices", LOG, 9, false);
    ask(&world, &a, order_after("another", 6));
    ck_assert_int_eq(atomic_load(&a.finished), 0); /* the source may have become another one just now */
    steps_port_advance(&world.steps, 5000000);
    ck_error(RPC_FAILED_PRECONDITION, "FOREIGN_INCARNATION");
    ask(&world, &a, order_after("", 6));
    ck_error(RPC_INVALID_ARGUMENT, "FIELD_REQUIRED");
    ck_assert_str_eq(a.field, "min_position.incarnation");
    world_close(&world);
}
END_TEST

START_TEST(who_waits_can_be_cancelled)
{
    world_open(&world, false);
    world_consumer(&world, "prices", LOG, 4, false);
    ask(&world, &a, order_after(LOG, 6));
    dispatch_cancel(a.call);
    world_settle(&world);
    ck_error(RPC_CANCELLED, "CANCELLED");
    world_close(&world);
}
END_TEST

START_TEST(a_consumer_that_went_on_while_the_unit_ran_is_not_missed)
{
    world_open(&world, false);
    struct rpc_call call = { .dispatch = world.dispatch, .moves = atomic_load(&world.dispatch->moves) };
    world_consumer(&world, "prices", LOG, 4, false);
    ck_assert(!park(&call, WAITS_CONSUMER, INT64_MAX));
    ck_assert_int_eq(call.woken, WOKEN_BY_LOG);
    world_close(&world);
}
END_TEST

START_TEST(threads_that_wait_are_all_answered)
{
    static struct asked many[64];
    static char ids[64][8];
    world_open(&world, true);
    world_consumer(&world, "prices", LOG, 0, false);
    for (int i = 0; i < 64; i++) {
        struct asking asking = *order_after(LOG, (uint64_t)i + 1);
        snprintf(ids[i], sizeof(ids[i]), "r%d", i);
        ((Oms__Order__V1__PlaceOrderRequest *)asking.request)->request_id = ids[i];
        ask_begin(&world, &many[i], &asking);
    }
    for (int i = 1; i <= 64; i++)
        world_consumer(&world, "prices", LOG, i, false);
    world_settle(&world);
    for (int i = 0; i < 64; i++)
        ck_assert_int_eq(atomic_load(&many[i].finished), 1);
    ck_assert_int_eq(world_marks(&world, "order"), 64);
    world_close(&world);
}
END_TEST

SUITE("behind", 60, a_request_waits_until_its_position_is_reached, what_is_reached_does_not_wait,
      the_consumer_that_has_come_least_far_counts, the_own_log_is_always_reached, a_repeat_is_answered_without_waiting,
      what_is_not_reached_in_time_is_unavailable, a_log_that_nobody_here_follows_is_told, who_waits_can_be_cancelled,
      a_consumer_that_went_on_while_the_unit_ran_is_not_missed, threads_that_wait_are_all_answered)
