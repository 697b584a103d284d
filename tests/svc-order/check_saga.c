/* What becomes of orders when svc-inventory is away, late, or dies, and when svc-order does. */
#include "svc-order/api.h"
#include "svc-order/machine.h"
#include "tests/shop/shop.h"
#include "tests/suite.h"

#include <string.h>

#define MINUTE 60000000ll
#define THERE  40

static struct shop s;

static void open_shop(uint64_t seed)
{
    shop_open(&s, seed);
    open_locations(&s);
    upsert(&s, product(&s, "CUP", 1, 0));
    stock(&s, "CUP", "L1", THERE - 10);
    stock(&s, "CUP", "L2", 10);
    shop_settle(&s);
}

static struct asked *begin(int64_t quantity)
{
    PlaceOrderRequest req = OMS__ORDER__V1__PLACE_ORDER_REQUEST__INIT;
    PlaceLine line = OMS__ORDER__V1__PLACE_ORDER_REQUEST__LINE__INIT;
    PlaceLine *lines[] = { &line };
    line.sku = "CUP";
    line.quantity = quantity;
    req.request_id = fresh(&s);
    req.currency_code = "GBP";
    req.lines = lines;
    req.n_lines = 1;
    req.payment_token = "tok_ok";
    return ask_begin(&s, &anna, "PlaceOrder", &req);
}

static const char *place(int64_t quantity)
{
    const struct asked *a = ask_end(begin(quantity));
    ck_assert_int_eq(a->code, RPC_OK);
    return ((PlaceOrderResponse *)a->reply)->order->order_id;
}

static const Order *read(const char *order_id)
{
    GetOrderRequest req = OMS__ORDER__V1__GET_ORDER_REQUEST__INIT;
    req.order_id = (char *)order_id;
    return ((GetOrderResponse *)get(&s, &anna, "GetOrder", &req))->order;
}

#define RESERVED NUMBER(&s, s.inventory, "SELECT SUM(reserved) FROM stock")
#define STEP     NUMBER(&s, s.order, "SELECT state FROM order_step WHERE step = 1")

START_TEST(a_step_is_sent_until_its_outcome_has_come)
{
    open_shop(1);
    world_partition(s.world, s.order, s.inventory, MINUTE);
    const char *id = place(1);
    world_run(s.world, MINUTE / 2);
    ck_assert_int_eq(read(id)->state, OMS__ORDER__V1__ORDER__STATE__PENDING);
    ck_assert_int_eq(STEP, SENT);
    world_run(s.world, 2 * MINUTE);
    ck_assert_int_eq(read(id)->state, OMS__ORDER__V1__ORDER__STATE__CONFIRMED);
    ck_assert_int_eq(STEP, DONE);
    shop_close(&s);
}
END_TEST

START_TEST(what_cannot_be_reserved_in_time_is_rejected_and_undone)
{
    open_shop(1);
    world_partition(s.world, s.order, s.inventory, 20 * MINUTE);
    const char *id = place(1);
    world_run(s.world, 17 * MINUTE);
    ck_assert_int_eq(read(id)->state, OMS__ORDER__V1__ORDER__STATE__REJECTED);
    ck_assert_str_eq(read(id)->reject_reason, "The goods could not be reserved in time.");
    ck_assert_int_eq(STEP, UNDOING);
    world_run(s.world, 5 * MINUTE);
    ck_assert_int_eq(STEP, UNDONE);
    ck_assert_int_eq(RESERVED, 0);
    shop_close(&s);
}
END_TEST

/* svc-inventory reserves, but no answer ever comes back in time. */
START_TEST(what_was_reserved_unheard_is_released_after_giving_up)
{
    open_shop(1);
    const char *id = place(3);
    world_faults(s.world)->reply_lost = 1000000;
    world_run(s.world, MINUTE);
    ck_assert_int_eq(NUMBER(&s, s.inventory, "SELECT COUNT(*) FROM reservation"), 1);
    world_run(s.world, 16 * MINUTE);
    world_quiet(s.world);
    world_run(s.world, MINUTE);
    ck_assert_int_eq(read(id)->state, OMS__ORDER__V1__ORDER__STATE__REJECTED);
    ck_assert_int_eq(STEP, UNDONE);
    ck_assert_int_eq(RESERVED, 0);
    ck_assert_int_eq(NUMBER(&s, s.inventory, "SELECT COUNT(*) FROM reservation WHERE released = 1"), 1);
    shop_close(&s);
}
END_TEST

static void ck_books(void)
{
    ck_assert_int_eq(NUMBER(&s, s.order, "SELECT COUNT(*) FROM sales_order WHERE state NOT IN (2, 3)"), 0);
    ck_assert_int_eq(RESERVED, NUMBER(&s, s.order,
                                      "SELECT COALESCE(SUM(l.quantity), 0) FROM order_line l "
                                      "JOIN sales_order o ON o.order_id = l.order_id WHERE o.state = 2"));
    ck_assert_int_eq(NUMBER(&s, s.inventory,
                            "SELECT COUNT(*) FROM stock s WHERE (on_hand, reserved) <> "
                            "(SELECT SUM(m.on_hand), SUM(m.reserved) FROM movement m "
                            "WHERE m.sku = s.sku AND m.location_id = s.location_id)"),
                     0);
    ck_assert_int_eq(NUMBER(&s, s.order,
                            "SELECT COUNT(*) FROM sales_order o WHERE 1 <> "
                            "(SELECT COUNT(*) FROM event_log e WHERE e.key = o.order_id AND e.type IN (11, 12))"),
                     0);
    ck_assert_int_eq(NUMBER(&s, s.order,
                            "SELECT COUNT(*) FROM sales_order o WHERE version <> "
                            "(SELECT COUNT(*) FROM event_log e WHERE e.key = o.order_id)"),
                     0);
}

START_TEST(whoever_dies_every_accepted_order_ends_and_nothing_is_sold_twice)
{
    for (uint64_t seed = 1; seed <= 12; seed++) {
        open_shop(seed);
        struct faults *faults = world_faults(s.world);
        faults->request_lost = faults->reply_lost = faults->request_twice = 30000;
        faults->late = 100000;
        struct asked *asked[30];
        int accepted = 0;
        for (int i = 0; i < 30; i++) {
            asked[i] = begin(1 + i % 3);
            world_run(s.world, (int64_t)world_roll(s.world, 30000));
            if (i % 10 == 5)
                node_crash(i % 20 == 5 ? s.order : s.inventory, 200000);
        }
        world_run(s.world, MINUTE);
        world_quiet(s.world);
        world_run(s.world, 20 * MINUTE);
        for (int i = 0; i < 30; i++)
            accepted += asked[i]->done && asked[i]->code == RPC_OK;
        ck_assert_int_gt(accepted, 0);
        ck_assert_int_le(accepted, NUMBER(&s, s.order, "SELECT COUNT(*) FROM sales_order"));
        ck_assert_int_le(RESERVED, THERE);
        ck_books();
        shop_close(&s);
    }
}
END_TEST

SUITE("saga", 120, a_step_is_sent_until_its_outcome_has_come, what_cannot_be_reserved_in_time_is_rejected_and_undone,
      what_was_reserved_unheard_is_released_after_giving_up,
      whoever_dies_every_accepted_order_ends_and_nothing_is_sold_twice)
