/* Reservations that end by themselves, and those that do not. */
#include "tests/suite.h"
#include "tests/svc-inventory/goods.h"

#define SECOND  1000000ll
#define EXPIRED NUMBER(&s, s.inventory, "SELECT COUNT(*) FROM event_log WHERE type = 3")

static int64_t in(int64_t us)
{
    struct port *port = node_port(s.inventory);
    return port->wall_us(port) + us;
}

static void reserve_for(const char *order, int64_t us, size_t n, const struct want *wants)
{
    const struct asked *a = ask_end(begin_reserve_until(order, in(us), n, wants));
    ck_assert_int_eq(a->code, RPC_OK);
}

struct confirming {
    const char *order;
    bool done;
};

static int confirm(struct txn *txn, void *arg)
{
    Oms__Event__V1__OrderStateChanged payload = OMS__EVENT__V1__ORDER_STATE_CHANGED__INIT;
    payload.order_id = (char *)((struct confirming *)arg)->order;
    payload.state = OMS__ORDER__V1__ORDER__STATE__CONFIRMED;
    const struct event event = {
        .type = OMS__EVENT__V1__EVENT_TYPE__ORDER_CONFIRMED,
        .key = payload.order_id,
        .owner = "",
        .audience = ROLE_BIT(MESH__V1__ROLE__SERVICE),
        .payload = &payload.base,
    };
    return log_append(txn, &event);
}

static void confirmed(struct unit *unit, int result)
{
    ck_assert_int_eq(result, 0);
    ((struct confirming *)unit->arg)->done = true;
}

static bool is_confirmed(void *arg)
{
    return ((struct confirming *)arg)->done;
}

/* In svc-order's log, whatever became of that order there. */
static void tell_confirmed(const char *order)
{
    struct arena arena;
    arena_init(&arena, 1 << 20);
    struct confirming confirming = { order };
    struct unit unit = { .run = confirm, .arg = &confirming, .arena = &arena, .done = confirmed };
    store_write(service_store(node_service(s.order)), &unit);
    ck_assert(world_until(s.world, is_confirmed, &confirming, SECOND));
    arena_finish(&arena);
}

START_TEST(a_reservation_ends_when_its_time_is_over_and_not_before)
{
    open_shop(1);
    stock(&s, "CUP", "L1", 5);
    reserve_for("o1", 60 * SECOND, WANTS({ "CUP", 3 }));
    reserve("o2", WANTS({ "CUP", 1 }));
    world_run(s.world, 59 * SECOND);
    ck_assert_int_eq(RESERVED, 4);
    ck_assert_int_eq(EXPIRED, 0);
    world_run(s.world, 3 * SECOND);
    ck_assert_int_eq(RESERVED, 1);
    ck_assert_int_eq(ON_HAND, 5);
    ck_assert_int_eq(NUMBER(&s, s.inventory, "SELECT reserved FROM movement WHERE reason = 'EXPIRED'"), -3);
    ck_assert_int_eq(EXPIRED, 1);
    ck_assert_int_eq(NUMBER(&s, s.inventory, "SELECT audience FROM event_log WHERE type = 3 AND key = 'o1'"),
                     ROLE_BIT(MESH__V1__ROLE__OPERATOR) | ROLE_BIT(MESH__V1__ROLE__SERVICE) |
                         ROLE_BIT(MESH__V1__ROLE__ADMIN));
    ck_assert_int_eq(EXPIRING, 0);
    ck_books();
    ck_refused(ask_end(begin_commit("o1", "a", PARTS({ "CUP", "L1", 1 }))), RPC_FAILED_PRECONDITION, "RESERVATION_GONE",
               "");
    ck_assert(!release("o1", "b"));
    world_run(s.world, 60 * SECOND);
    ck_assert_int_eq(EXPIRED, 1);
    shop_close(&s);
}
END_TEST

START_TEST(a_confirmed_order_keeps_its_goods)
{
    open_shop(1);
    stock(&s, "CUP", "L1", 5);
    reserve_for("o1", 10 * SECOND, WANTS({ "CUP", 3 }));
    reserve_for("o2", 10 * SECOND, WANTS({ "CUP", 1 }));
    tell_confirmed("o1");
    world_run(s.world, SECOND);
    ck_assert_int_eq(EXPIRING, 1);
    world_run(s.world, 20 * SECOND);
    ck_assert_int_eq(RESERVED, 3);
    ck_assert_int_eq(EXPIRED, 1);
    ck_books();
    shop_close(&s);
}
END_TEST

/* It has been confirmed in time, but nobody here has heard of it when the time is over. */
START_TEST(a_confirmation_that_is_heard_of_late_counts)
{
    for (uint64_t seed = 1; seed <= 8; seed++) {
        open_shop(seed);
        stock(&s, "CUP", "L1", 5);
        reserve_for("o1", 10 * SECOND, WANTS({ "CUP", 3 }));
        reserve_for("o2", 10 * SECOND, WANTS({ "CUP", 1 }));
        world_run(s.world, 2 * SECOND);
        world_partition(s.world, s.inventory, s.order, 60 * SECOND);
        tell_confirmed("o1");
        world_run(s.world, 50 * SECOND);
        ck_assert_int_eq(RESERVED, 4);
        world_run(s.world, 60 * SECOND);
        ck_assert_int_eq(RESERVED, 3);
        ck_assert_int_eq(EXPIRED, 1);
        ck_assert_int_eq(EXPIRING, 0);
        ck_books();
        shop_close(&s);
    }
}
END_TEST

/* svc-order's head is known, and the consumer does not come there: it has met something that it does not know. */
START_TEST(nothing_ends_while_the_consumer_stands_still)
{
    open_shop(1);
    stock(&s, "CUP", "L1", 5);
    reserve_for("o1", 10 * SECOND, WANTS({ "CUP", 3 }));
    tell_confirmed("o2");
    world_run(s.world, 2 * SECOND);
    WRITE(&s, s.inventory, "UPDATE consumer_cursor SET booting = 1");
    world_run(s.world, 20 * SECOND);
    ck_assert_int_eq(RESERVED, 3);
    WRITE(&s, s.inventory, "UPDATE consumer_cursor SET booting = 0, seq = 0");
    world_run(s.world, 20 * SECOND);
    ck_assert_int_eq(RESERVED, 3);
    tell_confirmed("o3"); /* its consumer begins anew, and comes to the head */
    world_run(s.world, 20 * SECOND);
    ck_assert_int_eq(RESERVED, 0);
    shop_close(&s);
}
END_TEST

/* Its confirmation would not find it. */
START_TEST(what_may_expire_has_an_id_of_its_order)
{
    open_shop(1);
    stock(&s, "CUP", "L1", 5);
    ReserveStockRequest req = OMS__INVENTORY__V1__RESERVE_STOCK_REQUEST__INIT;
    ReserveLine line = OMS__INVENTORY__V1__RESERVE_STOCK_REQUEST__LINE__INIT, *lines[] = { &line };
    line.sku = "CUP";
    line.quantity = 1;
    req.request_id = "o-1-reserve";
    req.order_id = "o1";
    req.lines = lines;
    req.n_lines = 1;
    req.expire_time_us = in(SECOND);
    ck_refused(ask(&s, &order_process, "ReserveStock", &req), RPC_INVALID_ARGUMENT, "REQUEST_ID_NOT_OF_ORDER",
               "request_id");
    ck_assert_int_eq(RESERVED, 0);
    req.expire_time_us = 0;
    get(&s, &order_process, "ReserveStock", &req);
    shop_close(&s);
}
END_TEST

/* o1 is confirmed, and not what only begins as it does. */
START_TEST(a_confirmation_keeps_its_own_order_only)
{
    open_shop(1);
    stock(&s, "CUP", "L1", 5);
    reserve_for("o1", 10 * SECOND, WANTS({ "CUP", 1 }));
    reserve_for("o11", 10 * SECOND, WANTS({ "CUP", 1 }));
    tell_confirmed("o1");
    world_run(s.world, 20 * SECOND);
    ck_assert_int_eq(RESERVED, 1);
    ck_assert_int_eq(NUMBER(&s, s.inventory, "SELECT COUNT(*) FROM event_log WHERE type = 3 AND key = 'o11'"), 1);
    shop_close(&s);
}
END_TEST

START_TEST(only_what_is_left_expires)
{
    open_shop(1);
    stock(&s, "CUP", "L1", 5);
    stock(&s, "MUG", "L2", 5);
    reserve_for("o1", 10 * SECOND, WANTS({ "CUP", 3 }, { "MUG", 2 }));
    reserve_for("o2", 10 * SECOND, WANTS({ "CUP", 1 }));
    ask_end(begin_release("o1", "a", PARTS({ "CUP", "L1", 2 }, { "MUG", "L2", 2 })));
    ck_assert(release("o2", "b"));
    ck_assert_int_eq(EXPIRING, 1);
    world_run(s.world, 20 * SECOND);
    ck_assert_int_eq(RESERVED, 0);
    ck_assert_int_eq(NUMBER(&s, s.inventory, "SELECT SUM(reserved) FROM movement WHERE reason = 'EXPIRED'"), -1);
    ck_assert_int_eq(EXPIRED, 1);
    ck_books();
    shop_close(&s);
}
END_TEST

START_TEST(of_what_a_part_is_on_its_way_nothing_expires)
{
    open_shop(1);
    stock(&s, "CUP", "L1", 5);
    reserve_for("o1", 10 * SECOND, WANTS({ "CUP", 3 }));
    ask_end(begin_commit("o1", "a", PARTS({ "CUP", "L1", 1 })));
    world_run(s.world, 20 * SECOND);
    ck_assert_int_eq(RESERVED, 2);
    ck_assert_int_eq(EXPIRED, 0);
    shop_close(&s);
}
END_TEST

/* More than end in one transaction. */
START_TEST(hundreds_end_together)
{
    enum { N = 150 };
    struct asked *asked[N];
    open_shop(1);
    stock(&s, "CUP", "L1", N);
    for (int i = 0; i < N; i++)
        asked[i] = begin_reserve_until(arena_printf(&s.arena, "o%d", i), in(10 * SECOND), WANTS({ "CUP", 1 }));
    for (int i = 0; i < N; i++)
        ck_assert_int_eq(ask_end(asked[i])->code, RPC_OK);
    ck_assert_int_eq(EXPIRING, N);
    world_run(s.world, 15 * SECOND);
    ck_assert_int_eq(RESERVED, 0);
    ck_assert_int_eq(EXPIRED, N);
    ck_books();
    shop_close(&s);
}
END_TEST

/* Whatever has died at whatever moment: each ends once, and none that was confirmed. */
START_TEST(a_crash_at_any_moment_ends_each_once)
{
    for (uint64_t seed = 1; seed <= 12; seed++) {
        open_shop(seed);
        stock(&s, "CUP", "L1", 10);
        for (int i = 0; i < 6; i++)
            reserve_for(arena_printf(&s.arena, "o%d", i), 3 * SECOND, WANTS({ "CUP", 1 }));
        for (int i = 0; i < 2; i++)
            tell_confirmed(arena_printf(&s.arena, "o%d", i));
        for (int i = 0; i < 6; i++) {
            world_run(s.world, (int64_t)world_roll(s.world, 2 * SECOND));
            struct node *node = world_roll(s.world, 3) ? s.inventory : s.order;
            if (node_up(node))
                node_crash(node, (int64_t)world_roll(s.world, SECOND));
        }
        world_run(s.world, 30 * SECOND);
        ck_assert_int_eq(EXPIRING, 0);
        ck_assert_int_eq(RESERVED, 2);
        ck_assert_int_eq(EXPIRED, 4);
        ck_assert_int_eq(NUMBER(&s, s.inventory, "SELECT COUNT(*) FROM movement WHERE reason = 'EXPIRED'"), 4);
        ck_books();
        shop_close(&s);
    }
}
END_TEST

SUITE("expiry", 180, a_reservation_ends_when_its_time_is_over_and_not_before, a_confirmed_order_keeps_its_goods,
      a_confirmation_that_is_heard_of_late_counts, nothing_ends_while_the_consumer_stands_still,
      what_may_expire_has_an_id_of_its_order, a_confirmation_keeps_its_own_order_only, only_what_is_left_expires,
      of_what_a_part_is_on_its_way_nothing_expires, hundreds_end_together, a_crash_at_any_moment_ends_each_once)
