/* Tests of mesh/base/arena.c. */
#include "google/type/money.pb-c.h"
#include "mesh/base/arena.h"
#include "tests/suite.h"

#include <string.h>

START_TEST(memory_is_aligned_and_its_own)
{
    struct arena a;
    arena_init(&a, 1 << 20);
    char *last = NULL;
    for (size_t n = 0; n < 300; n++) {
        char *p = arena_alloc(&a, n);
        ck_assert_ptr_nonnull(p);
        ck_assert_uint_eq((uintptr_t)p % 16, 0);
        memset(p, (int)n, n);
        if (last && n > 1)
            ck_assert_int_eq((unsigned char)last[n - 2], (n - 1) & 0xff);
        last = p;
    }
    arena_finish(&a);
}
END_TEST

START_TEST(a_spent_budget_is_refused_and_told)
{
    struct arena a;
    arena_init(&a, 64);
    ck_assert_ptr_nonnull(arena_alloc(&a, 48));
    ck_assert(!a.spent);
    ck_assert_ptr_null(arena_alloc(&a, 17));
    ck_assert(a.spent);
    ck_assert_ptr_null(arena_alloc(&a, SIZE_MAX));
    ck_assert_ptr_null(arena_copy(&a, "", SIZE_MAX));
    ck_assert_ptr_nonnull(arena_alloc(&a, 16));
    ck_assert_ptr_null(arena_alloc(&a, 0));
    ck_assert_ptr_null(arena_printf(&a, "%s", "no room"));
    ck_assert_uint_eq(a.used, 64);
    arena_finish(&a);
}
END_TEST

START_TEST(one_allocation_may_be_larger_than_any_block)
{
    struct arena a;
    arena_init(&a, 1 << 20);
    char *big = arena_zalloc(&a, 300000);
    ck_assert_ptr_nonnull(big);
    ck_assert_int_eq(big[299999], 0);
    ck_assert_ptr_nonnull(arena_alloc(&a, 1));
    arena_finish(&a);
}
END_TEST

START_TEST(a_rewind_forgets_what_came_after_the_mark)
{
    struct arena a;
    arena_init(&a, 1 << 20);
    char *kept = arena_printf(&a, "%s-%d", "kept", 7);
    struct arena_mark mark = arena_mark(&a);
    char *first = arena_alloc(&a, 100);
    for (int i = 0; i < 20; i++)
        ck_assert_ptr_nonnull(arena_alloc(&a, 40000));
    arena_rewind(&a, mark);
    ck_assert_ptr_eq(arena_alloc(&a, 100), first);
    ck_assert_str_eq(kept, "kept-7");
    ck_assert_uint_eq(a.used, mark.used + 112);
    arena_finish(&a);
}
END_TEST

START_TEST(the_mark_of_an_empty_arena_rewinds_to_nothing)
{
    struct arena a;
    arena_init(&a, 4096);
    struct arena_mark mark = arena_mark(&a);
    ck_assert_ptr_nonnull(arena_alloc(&a, 4000));
    arena_rewind(&a, mark);
    ck_assert_uint_eq(a.used, 0);
    ck_assert_ptr_nonnull(arena_alloc(&a, 4096));
    arena_finish(&a);
}
END_TEST

START_TEST(a_message_goes_through_the_arena_and_back)
{
    struct arena a;
    arena_init(&a, 4096);
    Google__Type__Money money = GOOGLE__TYPE__MONEY__INIT;
    money.currency_code = "EUR";
    money.units = 12;
    struct bytes packed = arena_pack(&a, &money.base);
    ck_assert_ptr_nonnull(packed.data);
    ProtobufCAllocator allocator = arena_protobuf(&a);
    Google__Type__Money *back = google__type__money__unpack(&allocator, packed.len, packed.data);
    ck_assert_ptr_nonnull(back);
    ck_assert_str_eq(back->currency_code, "EUR");
    ck_assert_int_eq(back->units, 12);
    google__type__money__free_unpacked(back, &allocator);
    arena_finish(&a);
}
END_TEST

START_TEST(unpacking_stops_at_the_budget)
{
    struct arena a;
    arena_init(&a, 4096);
    Google__Type__Money money = GOOGLE__TYPE__MONEY__INIT;
    money.currency_code = "EUR";
    struct bytes packed = arena_pack(&a, &money.base);
    struct arena small;
    arena_init(&small, 48);
    ProtobufCAllocator allocator = arena_protobuf(&small);
    ck_assert_ptr_null(google__type__money__unpack(&allocator, packed.len, packed.data));
    ck_assert(small.spent);
    arena_finish(&small);
    arena_finish(&a);
}
END_TEST

SUITE("arena", 10, memory_is_aligned_and_its_own, a_spent_budget_is_refused_and_told,
      one_allocation_may_be_larger_than_any_block, a_rewind_forgets_what_came_after_the_mark,
      the_mark_of_an_empty_arena_rewinds_to_nothing, a_message_goes_through_the_arena_and_back,
      unpacking_stops_at_the_budget)
