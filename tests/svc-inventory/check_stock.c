/* Stock and its journal, reservations and their release. */
#include "tests/suite.h"
#include "tests/svc-inventory/goods.h"

#include <string.h>

#define STORED \
    NUMBER(&s, s.inventory, \
           "SELECT (SELECT COUNT(*) FROM movement) * 1000000 + (SELECT COUNT(*) FROM stock) * 1000 + " \
           "(SELECT COUNT(*) FROM event_log) + (SELECT COUNT(*) FROM rpc_request)")

static const struct asked *adjust(const char *sku, const char *location, int64_t delta, const char *reason)
{
    AdjustStockRequest req = OMS__INVENTORY__V1__ADJUST_STOCK_REQUEST__INIT;
    req.request_id = fresh(&s);
    req.sku = (char *)sku;
    req.location_id = (char *)location;
    req.delta = delta;
    req.reason = (char *)reason;
    return ask(&s, &depot, "AdjustStock", &req);
}

static void ck_adjust_refused(const char *sku, const char *location, int64_t delta, const char *reason,
                              enum rpc_code code, const char *error, const char *field)
{
    int64_t before = STORED;
    ck_refused(adjust(sku, location, delta, reason), code, error, field);
    ck_assert_int_eq(STORED, before);
}

START_TEST(an_adjustment_moves_stock_and_is_in_the_journal)
{
    open_shop(1);
    const AdjustStockResponse *ret = adjust("CUP", "L1", 10, "RECEIVED")->reply;
    ck_assert_int_eq(ret->stock->on_hand, 10);
    ck_assert_int_eq(ret->stock->available, 10);
    ck_assert_int_eq(ret->stock->version, 1);
    ck_assert_int_gt(ret->position->seq, 0);
    ret = adjust("CUP", "L1", -10, "DAMAGED")->reply;
    ck_assert_int_eq(ret->stock->on_hand, 0);
    ck_assert_int_eq(ret->stock->version, 2);
    ck_assert_int_eq(
        NUMBER(&s, s.inventory, "SELECT COUNT(*) FROM movement WHERE reason = 'DAMAGED' AND on_hand = -10"), 1);
    ck_books();
    shop_close(&s);
}
END_TEST

START_TEST(what_cannot_be_adjusted_is_refused_and_nothing_is_stored)
{
    open_shop(1);
    stock(&s, "CUP", "L1", 10);
    reserve("o1", WANTS({ "CUP", 4 }));
    ck_adjust_refused("CUP", "L1", 0, "COUNTED", RPC_INVALID_ARGUMENT, "DELTA_ZERO", "delta");
    ck_adjust_refused("CUP", "L1", -7, "COUNTED", RPC_FAILED_PRECONDITION, "STOCK_WOULD_GO_NEGATIVE", "");
    ck_adjust_refused("CUP", "L2", -1, "COUNTED", RPC_FAILED_PRECONDITION, "STOCK_WOULD_GO_NEGATIVE", "");
    ck_adjust_refused("NONE", "L1", 1, "COUNTED", RPC_NOT_FOUND, "SKU_NOT_FOUND", "");
    ck_adjust_refused("CUP", "L9", 1, "COUNTED", RPC_NOT_FOUND, "LOCATION_NOT_FOUND", "");
    ck_adjust_refused("CUP", "L1", 1, "because Bert said so", RPC_INVALID_ARGUMENT, "REASON_INVALID", "reason");
    ck_assert_str_eq(adjust("CUP", "L1", 1000000001, "COUNTED")->field, "delta");
    ck_assert_int_eq(adjust("CUP", "L1", -6, "COUNTED")->code, RPC_OK);
    ck_books();
    shop_close(&s);
}
END_TEST

START_TEST(a_shelf_has_an_upper_end)
{
    open_shop(1);
    stock(&s, "CUP", "L1", 1);
    WRITE(&s, s.inventory, "UPDATE stock SET on_hand = 1000000000000000");
    ck_adjust_refused("CUP", "L1", 1, "COUNTED", RPC_INVALID_ARGUMENT, "STOCK_OVERFLOW", "delta");
    ck_assert_int_eq(adjust("CUP", "L1", -1, "COUNTED")->code, RPC_OK);
    shop_close(&s);
}
END_TEST

START_TEST(stock_is_listed_by_sku_and_location_in_pages)
{
    open_shop(1);
    stock(&s, "CUP", "L1", 1);
    stock(&s, "CUP", "L2", 2);
    stock(&s, "MUG", "L1", 3);
    ListStockRequest req = OMS__INVENTORY__V1__LIST_STOCK_REQUEST__INIT;
    req.page_size = 2;
    const ListStockResponse *page = get(&s, &depot, "ListStock", &req);
    ck_assert_int_eq(page->n_stock, 2);
    ck_assert_str_eq(page->stock[1]->location_id, "L2");
    req.page_token = page->next_page_token;
    page = get(&s, &depot, "ListStock", &req);
    ck_assert_int_eq(page->n_stock, 1);
    ck_assert_str_eq(page->stock[0]->sku, "MUG");
    ck_assert_str_eq(page->next_page_token, "");
    req.page_token = "";
    req.sku = "CUP";
    ck_assert_int_eq(((ListStockResponse *)get(&s, &depot, "ListStock", &req))->n_stock, 2);
    req.location_id = "L2";
    page = get(&s, &depot, "ListStock", &req);
    ck_assert_int_eq(page->n_stock, 1);
    ck_assert_int_eq(page->stock[0]->available, 2);
    shop_close(&s);
}
END_TEST

START_TEST(every_line_is_reserved_from_the_first_location_that_has_it)
{
    open_shop(1);
    stock(&s, "CUP", "L2", 5);
    stock(&s, "CUP", "L1", 3);
    stock(&s, "MUG", "L2", 1);
    const ReserveStockResponse *ret = reserve("o1", WANTS({ "MUG", 1 }, { "CUP", 2 }, { "POST", 1 }, { "CUP", 3 }));
    ck_assert_str_ne(ret->reservation_id, "");
    ck_assert_int_eq(ret->n_shortages, 0);
    ck_assert_int_eq(ret->n_allocations, 3);
    ck_assert_str_eq(ret->allocations[0]->location_id, "L1");
    ck_assert_int_eq(ret->allocations[0]->quantity, 3);
    ck_assert_str_eq(ret->allocations[1]->location_id, "L2");
    ck_assert_int_eq(ret->allocations[1]->quantity, 2);
    ck_assert_int_eq(RESERVED, 6);
    ck_assert_int_eq(ON_HAND, 9);
    ck_books();
    shop_close(&s);
}
END_TEST

START_TEST(one_short_line_reserves_nothing_and_says_what_is_missing)
{
    open_shop(1);
    stock(&s, "CUP", "L1", 5);
    stock(&s, "MUG", "L1", 1);
    const ReserveStockResponse *ret = reserve("o1", WANTS({ "CUP", 5 }, { "MUG", 1 }, { "MUG", 1 }, { "NONE", 2 }));
    ck_assert_str_eq(ret->reservation_id, "");
    ck_assert_int_eq(ret->n_allocations, 0);
    ck_assert_int_eq(ret->n_shortages, 2);
    ck_assert_str_eq(ret->shortages[0]->sku, "MUG");
    ck_assert_int_eq(ret->shortages[0]->wanted, 2);
    ck_assert_int_eq(ret->shortages[0]->available, 1);
    ck_assert_str_eq(ret->shortages[1]->sku, "NONE");
    ck_assert_int_eq(ret->shortages[1]->available, 0);
    ck_assert_int_eq(RESERVED, 0);
    ck_books();
    shop_close(&s);
}
END_TEST

START_TEST(a_repeat_of_a_reservation_is_the_same_reservation)
{
    open_shop(1);
    stock(&s, "CUP", "L1", 5);
    const ReserveStockResponse *a = reserve("o1", WANTS({ "CUP", 2 })), *b = reserve("o1", WANTS({ "CUP", 2 }));
    ck_assert_str_eq(a->reservation_id, b->reservation_id);
    ck_assert_int_eq(RESERVED, 2);
    shop_close(&s);
}
END_TEST

START_TEST(a_reservation_is_released_once)
{
    open_shop(1);
    stock(&s, "CUP", "L1", 1);
    stock(&s, "CUP", "L2", 5);
    reserve("o1", WANTS({ "CUP", 4 }));
    reserve("o2", WANTS({ "CUP", 1 }));
    ck_assert(release("o1", "a"));
    ck_assert_int_eq(RESERVED, 1);
    ck_assert(release("o1", "a"));
    ck_assert(!release("o1", "b"));
    ck_assert_int_eq(RESERVED, 1);
    ck_books();
    shop_close(&s);
}
END_TEST

START_TEST(what_was_released_before_it_came_is_never_reserved)
{
    open_shop(1);
    stock(&s, "CUP", "L1", 5);
    ck_assert(!release("o1", "a"));
    const struct asked *late = ask_end(begin_reserve("o1", WANTS({ "CUP", 1 })));
    ck_refused(late, RPC_FAILED_PRECONDITION, "OPERATION_UNDONE", "");
    ck_assert_int_eq(RESERVED, 0);
    shop_close(&s);
}
END_TEST

/* As many as there are, whatever comes together in which batch. */
START_TEST(many_at_once_never_get_more_than_there_is)
{
    for (uint64_t seed = 1; seed <= 8; seed++) {
        enum { N = 60, THERE = 50 };
        open_shop(seed);
        stock(&s, "CUP", "L1", 20);
        stock(&s, "CUP", "L2", THERE - 20);
        stock(&s, "MUG", "L1", 1000);
        struct asked *asked[N];
        int64_t granted = 0;
        for (int i = 0; i < N; i++)
            asked[i] = begin_reserve(arena_printf(&s.arena, "o%d", i), WANTS({ "CUP", 1 + i % 3 }, { "MUG", 2 }));
        for (int i = 0; i < N; i++) {
            ask_end(asked[i]);
            ck_assert_int_eq(asked[i]->code, RPC_OK);
            if (((ReserveStockResponse *)asked[i]->reply)->n_shortages == 0)
                granted += 1 + i % 3;
        }
        ck_assert_int_le(granted, THERE);
        ck_assert_int_ge(granted, THERE - 2);
        ck_assert_int_eq(NUMBER(&s, s.inventory, "SELECT SUM(reserved) FROM stock WHERE sku = 'CUP'"), granted);
        ck_books();
        shop_close(&s);
    }
}
END_TEST

START_TEST(a_large_basket_with_repeated_skus_is_reserved_whole)
{
    open_shop(1);
    enum { N = 1000 };
    struct want wants[N];
    for (int i = 0; i < 60; i++) {
        const char *sku = arena_printf(&s.arena, "S%02d", i);
        upsert(&s, product(&s, sku, 1, 0));
        stock(&s, sku, "L1", 100);
    }
    for (int i = 0; i < N; i++)
        wants[i] = (struct want){ arena_printf(&s.arena, "S%02d", i % 60), 1 };
    const ReserveStockResponse *ret = reserve("o1", N, wants);
    ck_assert_int_eq(ret->n_allocations, 60);
    ck_assert_int_eq(RESERVED, N);
    ck_books();
    shop_close(&s);
}
END_TEST

/* More lines than are granted at once. */
START_TEST(ten_large_baskets_at_once_share_what_there_is)
{
    for (uint64_t seed = 1; seed <= 3; seed++) {
        open_shop(seed);
        enum { LINES = 1000, BASKETS = 10, THERE = 6500 };
        struct want wants[LINES];
        struct asked *asked[BASKETS];
        int granted = 0;
        stock(&s, "CUP", "L1", THERE);
        for (int i = 0; i < LINES; i++)
            wants[i] = (struct want){ "CUP", 1 };
        for (int i = 0; i < BASKETS; i++)
            asked[i] = begin_reserve(arena_printf(&s.arena, "o%d", i), LINES, wants);
        for (int i = 0; i < BASKETS; i++) {
            ck_assert_int_eq(ask_end(asked[i])->code, RPC_OK);
            granted += ((ReserveStockResponse *)asked[i]->reply)->n_shortages == 0;
        }
        ck_assert_int_eq(granted, THERE / LINES);
        ck_assert_int_eq(RESERVED, granted * LINES);
        ck_books();
        shop_close(&s);
    }
}
END_TEST

SUITE("stock", 120, an_adjustment_moves_stock_and_is_in_the_journal,
      what_cannot_be_adjusted_is_refused_and_nothing_is_stored, a_shelf_has_an_upper_end,
      stock_is_listed_by_sku_and_location_in_pages, every_line_is_reserved_from_the_first_location_that_has_it,
      one_short_line_reserves_nothing_and_says_what_is_missing, a_repeat_of_a_reservation_is_the_same_reservation,
      a_reservation_is_released_once, what_was_released_before_it_came_is_never_reserved,
      many_at_once_never_get_more_than_there_is, a_large_basket_with_repeated_skus_is_reserved_whole,
      ten_large_baskets_at_once_share_what_there_is)
