/* What becomes of reservations: released and shipped, whole and in parts. */
#include "tests/suite.h"
#include "tests/svc-inventory/goods.h"

#include "mesh/v1/deliver.pb-c.h"

#include <string.h>

#define MOVEMENTS NUMBER(&s, s.inventory, "SELECT COUNT(*) FROM movement")
#define CHANGES   NUMBER(&s, s.inventory, "SELECT COUNT(*) FROM event_log WHERE type = 2") /* of availability */

static void ck_good(struct asked *asked)
{
    const struct asked *a = ask_end(asked);
    ck_assert_msg(a->code == RPC_OK, "%s %s", a->reason, a->message);
}

static bool released(struct asked *asked)
{
    ck_good(asked);
    return ((ReleaseStockResponse *)asked->reply)->released;
}

/* o1: three cups in L1, two in L2, one mug. */
static void open_reserved(void)
{
    open_shop(1);
    stock(&s, "CUP", "L1", 3);
    stock(&s, "CUP", "L2", 5);
    stock(&s, "MUG", "L1", 4);
    reserve("o1", WANTS({ "CUP", 5 }, { "MUG", 1 }));
}

START_TEST(a_part_is_released_and_the_rest_is_still_held)
{
    open_reserved();
    ck_assert(released(begin_release("o1", "a", PARTS({ "CUP", "L1", 2 }, { "MUG", "L1", 1 }))));
    ck_assert_int_eq(RESERVED, 3);
    ck_books();
    ck_assert(released(begin_release("o1", "a", PARTS({ "CUP", "L1", 2 }, { "MUG", "L1", 1 })))); /* a repeat */
    ck_assert_int_eq(RESERVED, 3);
    ck_assert(released(begin_release("o1", "b", PARTS({ "CUP", "L2", 1 }, { "CUP", "L2", 1 }))));
    ck_assert_int_eq(RESERVED, 1);
    ck_books();
    ck_assert(release("o1", "c"));
    ck_assert(!release("o1", "d"));
    ck_assert(!released(begin_release("o1", "e", PARTS({ "CUP", "L1", 1 }))));
    ck_assert_int_eq(RESERVED, 0);
    ck_assert_int_eq(ON_HAND, 12);
    ck_books();
    shop_close(&s);
}
END_TEST

START_TEST(what_is_shipped_leaves_its_shelf_and_changes_no_availability)
{
    open_reserved();
    int64_t changes = CHANGES;
    ck_good(begin_commit("o1", "a", PARTS({ "CUP", "L1", 3 }, { "MUG", "L1", 1 })));
    ck_good(begin_commit("o1", "a", PARTS({ "CUP", "L1", 3 }, { "MUG", "L1", 1 })));
    ck_assert_int_eq(ON_HAND, 8);
    ck_assert_int_eq(RESERVED, 2);
    ck_assert_int_eq(
        NUMBER(&s, s.inventory, "SELECT COUNT(*) FROM movement WHERE reason = 'SHIPPED' AND on_hand = reserved"), 2);
    ck_books();
    ck_good(begin_commit("o1", "b", PARTS({ "CUP", "L2", 2 })));
    ck_assert_int_eq(RESERVED, 0);
    ck_assert_int_eq(CHANGES, changes);
    ck_assert(!release("o1", "c"));
    ck_books();
    shop_close(&s);
}
END_TEST

START_TEST(what_is_not_shipped_can_be_released)
{
    open_reserved();
    ck_good(begin_commit("o1", "a", PARTS({ "CUP", "L1", 1 })));
    ck_assert(released(begin_release("o1", "b", PARTS({ "CUP", "L1", 1 }))));
    ck_assert(release("o1", "c"));
    ck_assert_int_eq(ON_HAND, 11);
    ck_assert_int_eq(RESERVED, 0);
    ck_books();
    shop_close(&s);
}
END_TEST

static void ck_refuses(struct asked *asked, const char *reason, const char *sku, const char *location_id)
{
    int64_t before = MOVEMENTS;
    const struct asked *a = ask_end(asked);
    ck_refused(a, RPC_FAILED_PRECONDITION, reason, "");
    ck_assert_str_eq(rpc_status_meta(&s.arena, &a->status, "sku"), sku);
    ck_assert_str_eq(rpc_status_meta(&s.arena, &a->status, "location_id"), location_id);
    ck_assert_int_eq(MOVEMENTS, before);
    ck_books();
}

START_TEST(what_is_not_held_is_refused_and_nothing_changes)
{
    open_reserved();
    ck_refuses(begin_release("o1", "a", PARTS({ "MUG", "L1", 1 }, { "CUP", "L1", 4 })), "MORE_THAN_RESERVED", "CUP",
               "L1");
    ck_refuses(begin_release("o1", "a", PARTS({ "CUP", "L2", 1 }, { "CUP", "L1", 1 }, { "CUP", "L2", 2 })),
               "MORE_THAN_RESERVED", "CUP", "L2");
    ck_refuses(begin_release("o1", "a", PARTS({ "CUP", "L1", 1 }, { "MUG", "L2", 1 })), "LINE_NOT_RESERVED", "MUG",
               "L2");
    ck_refuses(begin_commit("o1", "a", PARTS({ "POST", "L1", 1 })), "LINE_NOT_RESERVED", "POST", "L1");
    ck_refuses(begin_commit("o1", "a", PARTS({ "MUG", "L1", 2 })), "MORE_THAN_RESERVED", "MUG", "L1");
    ck_refuses(begin_commit("o2", "a", PARTS({ "MUG", "L1", 1 })), "RESERVATION_GONE", "MUG", "L1");
    ck_good(
        begin_commit("o1", "a", PARTS({ "MUG", "L1", 1 }))); /* the id is free still, and what it asks for is right */
    ck_refuses(begin_commit("o1", "b", PARTS({ "CUP", "L1", 1 }, { "MUG", "L1", 1 })), "RESERVATION_GONE", "MUG", "L1");
    ck_refuses(begin_release("o1", "c", PARTS({ "MUG", "L1", 1 })), "RESERVATION_GONE", "MUG", "L1");
    ck_assert(release("o1", "d"));
    ck_refuses(begin_commit("o1", "e", PARTS({ "CUP", "L2", 1 })), "RESERVATION_GONE", "CUP", "L2");
    shop_close(&s);
}
END_TEST

START_TEST(a_part_that_is_released_before_it_came_is_never_reserved)
{
    open_shop(1);
    stock(&s, "CUP", "L1", 5);
    ck_refused(ask_end(begin_commit("o1", "a", PARTS({ "CUP", "L1", 1 }))), RPC_FAILED_PRECONDITION, "RESERVATION_GONE",
               "");
    ck_assert(!released(begin_release("o1", "b", PARTS({ "CUP", "L1", 1 }))));
    ck_assert(!released(begin_release("o1", "c", PARTS({ "CUP", "L1", 2 }))));
    ck_refused(ask_end(begin_reserve("o1", WANTS({ "CUP", 1 }))), RPC_FAILED_PRECONDITION, "OPERATION_UNDONE", "");
    ck_assert_int_eq(RESERVED, 0);
    ck_books();
    shop_close(&s);
}
END_TEST

START_TEST(nobody_releases_or_ships_what_somebody_else_holds)
{
    static const struct caller other = { ROLE_BIT(MESH__V1__ROLE__SERVICE), "svc-shipping" };
    open_reserved();
    ReleaseStockRequest req = OMS__INVENTORY__V1__RELEASE_STOCK_REQUEST__INIT;
    req.request_id = "a";
    req.operation_id = "o1-reserve";
    ck_assert(!((ReleaseStockResponse *)get(&s, &other, "ReleaseStock", &req))->released);
    ReservedLine line = OMS__INVENTORY__V1__RESERVED_LINE__INIT, *lines[] = { &line };
    CommitStockRequest commit = OMS__INVENTORY__V1__COMMIT_STOCK_REQUEST__INIT;
    line.sku = "MUG";
    line.location_id = "L1";
    line.quantity = 1;
    commit.request_id = "b";
    commit.operation_id = "o1-reserve";
    commit.lines = lines;
    commit.n_lines = 1;
    ck_refused(ask(&s, &other, "CommitStock", &commit), RPC_FAILED_PRECONDITION, "RESERVATION_GONE", "");
    ck_assert_int_eq(RESERVED, 6);
    shop_close(&s);
}
END_TEST

START_TEST(an_order_of_nothing_that_is_stocked_is_released_once)
{
    open_shop(1);
    reserve("o1", WANTS({ "POST", 1 }));
    ck_assert(release("o1", "a"));
    ck_assert(!release("o1", "b"));
    shop_close(&s);
}
END_TEST

/* The previous release gives back whole reservations, and must not give back what has gone in part. */
START_TEST(a_reservation_of_which_a_part_has_gone_is_none_for_the_previous_release)
{
    open_reserved();
    reserve("o2", WANTS({ "MUG", 1 }));
    ck_good(begin_commit("o1", "a", PARTS({ "CUP", "L1", 1 })));
    ck_assert_int_eq(NUMBER(&s, s.inventory, "SELECT COUNT(*) FROM reservation WHERE released = 0"), 1);
    WRITE(&s, s.inventory, "UPDATE reservation SET released = 1"); /* so that one does it with o2 */
    ck_assert(!release("o2", "b"));
    ck_assert(release("o1", "c"));
    ck_assert_int_eq(RESERVED, 1);
    shop_close(&s);
}
END_TEST

/* Delivered together, so that they are one batch: the first asks for a mug, and then for too many cups. */
START_TEST(one_that_is_refused_spoils_no_other_of_its_batch)
{
    static const struct part parts[][2] = {
        { { "MUG", "L1", 1 }, { "CUP", "L1", 4 } },
        { { "CUP", "L1", 3 }, { "CUP", "L2", 2 } },
        { { "MUG", "L1", 1 }, { "CUP", "L1", 1 } },
    };
    enum { N = 3 };
    static const int codes[N] = { RPC_FAILED_PRECONDITION, RPC_OK, RPC_FAILED_PRECONDITION };
    Mesh__V1__DeliverRequest req = MESH__V1__DELIVER_REQUEST__INIT;
    Mesh__V1__Command commands[N], *all[N];
    open_reserved();
    for (int i = 0; i < N; i++) {
        mesh__v1__command__init(&commands[i]);
        struct bytes packed = arena_pack(&s.arena, &release_request("o1", fresh(&s), 2, parts[i])->base);
        commands[i].method = "/oms.inventory.v1.InventoryService/ReleaseStock";
        commands[i].request.data = (uint8_t *)packed.data;
        commands[i].request.len = packed.len;
        all[i] = &commands[i];
    }
    req.commands = all;
    req.n_commands = N;
    const Mesh__V1__DeliverResponse *ret = get(&s, &order_process, "Deliver", &req);
    for (int i = 0; i < N; i++)
        ck_assert_int_eq(ret->outcomes[i]->status->code, codes[i]);
    ck_assert_int_eq(RESERVED, 1);
    ck_books();
    shop_close(&s);
}
END_TEST

/* Each order: of two cups and a mug one cup is shipped, one released, and twice too much is asked for; then the rest.
 */
START_TEST(sixty_four_at_once_keep_the_books)
{
    for (uint64_t seed = 1; seed <= 4; seed++) {
        enum { N = 16, EACH = 4 };
        struct asked *asked[N * EACH];
        open_shop(seed);
        stock(&s, "CUP", "L1", 2 * N);
        stock(&s, "MUG", "L2", N);
        for (int i = 0; i < N; i++)
            reserve(arena_printf(&s.arena, "o%d", i), WANTS({ "CUP", 2 }, { "MUG", 1 }));
        for (int i = 0; i < N; i++) {
            const char *order = arena_printf(&s.arena, "o%d", i);
            asked[i * EACH] = begin_release(order, fresh(&s), PARTS({ "MUG", "L2", 1 }, { "CUP", "L1", 3 }));
            asked[i * EACH + 1] = begin_commit(order, fresh(&s), PARTS({ "CUP", "L1", 1 }));
            asked[i * EACH + 2] = begin_release(order, fresh(&s), PARTS({ "CUP", "L1", 1 }));
            asked[i * EACH + 3] = begin_commit(order, fresh(&s), PARTS({ "MUG", "L1", 1 }));
        }
        for (int i = 0; i < N; i++) {
            ck_assert_int_eq(ask_end(asked[i * EACH])->code, RPC_FAILED_PRECONDITION);
            ck_good(asked[i * EACH + 1]);
            ck_assert(released(asked[i * EACH + 2]));
            ck_refused(ask_end(asked[i * EACH + 3]), RPC_FAILED_PRECONDITION, "LINE_NOT_RESERVED", "");
        }
        ck_assert_int_eq(ON_HAND, 2 * N);
        ck_assert_int_eq(RESERVED, N);
        ck_books();
        for (int i = 0; i < N; i++)
            asked[i] = i % 2 ? begin_release(arena_printf(&s.arena, "o%d", i), fresh(&s), 0, NULL)
                             : begin_commit(arena_printf(&s.arena, "o%d", i), fresh(&s), PARTS({ "MUG", "L2", 1 }));
        for (int i = 0; i < N; i++)
            ck_good(asked[i]);
        ck_assert_int_eq(ON_HAND, 2 * N - N / 2);
        ck_assert_int_eq(RESERVED, 0);
        ck_books();
        shop_close(&s);
    }
}
END_TEST

/* Of sixteen that want the last eight pieces, and give them back or send them off at once, nobody gets one too many. */
START_TEST(what_is_released_is_reserved_again_and_never_oversold)
{
    for (uint64_t seed = 1; seed <= 4; seed++) {
        enum { N = 16, THERE = 8 };
        struct asked *wants[N], *ends[N];
        int64_t shipped = 0;
        open_shop(seed);
        stock(&s, "CUP", "L1", THERE);
        for (int i = 0; i < N; i++) {
            const char *order = arena_printf(&s.arena, "o%d", i);
            wants[i] = begin_reserve(order, WANTS({ "CUP", 1 }));
            ends[i] = i % 2 ? begin_release(order, fresh(&s), 0, NULL)
                            : begin_commit(order, fresh(&s), PARTS({ "CUP", "L1", 1 }));
        }
        for (int i = 0; i < N; i++) {
            ask_end(wants[i]);
            ask_end(ends[i]);
            shipped += i % 2 == 0 && ends[i]->code == RPC_OK;
        }
        ck_assert_int_eq(ON_HAND, THERE - shipped);
        ck_assert_int_le(RESERVED, THERE - shipped);
        ck_books();
        shop_close(&s);
    }
}
END_TEST

SUITE("releases", 120, a_part_is_released_and_the_rest_is_still_held,
      what_is_shipped_leaves_its_shelf_and_changes_no_availability, what_is_not_shipped_can_be_released,
      what_is_not_held_is_refused_and_nothing_changes, a_part_that_is_released_before_it_came_is_never_reserved,
      nobody_releases_or_ships_what_somebody_else_holds, an_order_of_nothing_that_is_stocked_is_released_once,
      a_reservation_of_which_a_part_has_gone_is_none_for_the_previous_release,
      one_that_is_refused_spoils_no_other_of_its_batch, sixty_four_at_once_keep_the_books,
      what_is_released_is_reserved_again_and_never_oversold)
