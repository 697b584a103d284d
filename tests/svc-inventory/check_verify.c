/* VerifyInventory: whatever has been changed behind the books' back is found, and what may be mended is. */
#include "tests/suite.h"
#include "tests/svc-inventory/goods.h"

#include <string.h>

#define SECOND 1000000ll

static const struct caller operator= { ROLE_BIT(MESH__V1__ROLE__OPERATOR), "olga" };

static const VerifyInventoryResponse *verify(bool repair, const char *after)
{
    VerifyInventoryRequest req = OMS__INVENTORY__V1__VERIFY_INVENTORY_REQUEST__INIT;
    req.request_id = fresh(&s);
    req.repair = repair;
    req.after_sku = (char *)after;
    return get(&s, &operator, "VerifyInventory", &req);
}

/* Of all kinds of books some: shelves in two places, held in parts, shipped, released. */
static void open_books(void)
{
    open_shop(1);
    stock(&s, "CUP", "L1", 10);
    stock(&s, "CUP", "L2", 10);
    stock(&s, "MUG", "L1", 10);
    reserve("o1", WANTS({ "CUP", 12 }, { "MUG", 2 }));
    reserve("o2", WANTS({ "CUP", 1 }));
    reserve("o3", WANTS({ "MUG", 1 }));
    ask_end(begin_commit("o1", "a", PARTS({ "CUP", "L1", 4 })));
    ask_end(begin_release("o1", "b", PARTS({ "MUG", "L1", 1 })));
    release("o3", "c");
    world_run(s.world, 3 * SECOND);
    ck_books();
}

static void ck_whole(const VerifyInventoryResponse *ret, int64_t skus)
{
    for (size_t i = 0; i < ret->n_divergences; i++)
        ck_abort_msg("%s of %s in %s: %lld, not %lld", ret->divergences[i]->what, ret->divergences[i]->sku,
                     ret->divergences[i]->location_id, (long long)ret->divergences[i]->found,
                     (long long)ret->divergences[i]->expected);
    ck_assert_int_eq(ret->verified, skus);
    ck_assert(ret->cache_read);
}

static void ck_divergence(const Divergence *d, const char *what, const char *sku, const char *location_id,
                          int64_t expected, int64_t found, bool repaired)
{
    ck_assert_str_eq(d->what, what);
    ck_assert_str_eq(d->sku, sku);
    ck_assert_str_eq(d->location_id, location_id);
    ck_assert_int_eq(d->expected, expected);
    ck_assert_int_eq(d->found, found);
    ck_assert_int_eq(d->repaired, repaired);
}

START_TEST(books_that_agree_are_told_to_agree)
{
    open_books();
    const VerifyInventoryResponse *ret = verify(true, "");
    ck_whole(ret, 2);
    ck_assert_str_eq(ret->next_sku, "");
    ck_assert_int_eq(verify(false, "CUP")->verified, 1);
    ck_assert_int_eq(verify(false, "MUG")->verified, 0);
    shop_close(&s);
}
END_TEST

START_TEST(nothing_at_all_agrees_too)
{
    shop_open(&s, 1);
    world_run(s.world, SECOND);
    ck_whole(verify(true, ""), 0);
    shop_close(&s);
}
END_TEST

/* Found also when repair is asked for, and left as it is: which of the two is right a person must see. */
static void ck_reported(const char *what, const char *location_id, int64_t expected, int64_t found)
{
    for (int repair = 0; repair < 2; repair++) {
        const VerifyInventoryResponse *ret = verify(repair, "");
        size_t i = 0;
        while (i < ret->n_divergences && strcmp(ret->divergences[i]->what, what) != 0)
            i++;
        ck_assert_msg(i < ret->n_divergences, "%s is not found", what);
        ck_divergence(ret->divergences[i], what, "CUP", location_id, expected, found, false);
    }
}

START_TEST(a_shelf_that_is_not_what_its_journal_adds_up_to_is_found)
{
    open_books();
    WRITE(&s, s.inventory, "UPDATE stock SET on_hand = on_hand + 1 WHERE sku = 'CUP' AND location_id = 'L2'");
    ck_reported("ON_HAND", "L2", 10, 11);
    shop_close(&s);
}
END_TEST

START_TEST(a_movement_that_is_gone_is_found)
{
    open_books();
    WRITE(&s, s.inventory, "DELETE FROM movement WHERE sku = 'CUP' AND location_id = 'L1' AND reason = 'SHIPPED'");
    ck_reported("ON_HAND", "L1", 10, 6);
    ck_reported("RESERVED", "L1", 10, 6);
    shop_close(&s);
}
END_TEST

START_TEST(a_shelf_that_is_gone_is_found)
{
    open_books();
    WRITE(&s, s.inventory, "DELETE FROM stock WHERE sku = 'CUP' AND location_id = 'L2'");
    ck_reported("ON_HAND", "L2", 10, 0);
    ck_reported("RESERVATIONS", "L2", 0, 3);
    shop_close(&s);
}
END_TEST

START_TEST(a_promise_that_is_not_in_the_journal_is_found)
{
    open_books();
    WRITE(&s, s.inventory, "UPDATE stock SET reserved = reserved - 1 WHERE sku = 'CUP' AND location_id = 'L1'");
    ck_reported("RESERVED", "L1", 6, 5);
    shop_close(&s);
}
END_TEST

START_TEST(reservations_that_hold_otherwise_than_promised_are_found)
{
    open_books();
    WRITE(&s, s.inventory, "UPDATE reservation_line SET rest = rest + 2 WHERE sku = 'CUP' AND location_id = 'L1'");
    ck_reported("RESERVATIONS", "L1", 6, 8);
    WRITE(&s, s.inventory, "UPDATE reservation_line SET rest = rest - 2 WHERE sku = 'CUP' AND location_id = 'L1'");
    WRITE(&s, s.inventory, "UPDATE reservation SET released = 1");
    ck_reported("RESERVATIONS", "L2", 3, 2);
    shop_close(&s);
}
END_TEST

START_TEST(an_availability_that_is_wrong_is_found_and_mended)
{
    open_books();
    WRITE(&s, s.inventory, "UPDATE availability SET available = 99 WHERE sku = 'CUP'");
    const VerifyInventoryResponse *ret = verify(false, "");
    ck_assert_int_eq(ret->n_divergences, 1);
    ck_divergence(ret->divergences[0], "AVAILABLE", "CUP", "", 7, 99, false);
    ret = verify(true, "");
    ck_assert_int_eq(ret->n_divergences, 1);
    ck_divergence(ret->divergences[0], "AVAILABLE", "CUP", "", 7, 99, true);
    ck_whole(verify(false, ""), 2);
    ck_books();
    WRITE(&s, s.inventory, "DELETE FROM availability WHERE sku = 'MUG'");
    ck_divergence(verify(true, "CUP")->divergences[0], "AVAILABLE", "MUG", "", 9, 0, true);
    ck_books();
    shop_close(&s);
}
END_TEST

/* --- Redis --- */

struct telling {
    struct cache_op op;
    bool done;
};

static void told(struct cache_op *op, int result)
{
    ck_assert_int_eq(result, 0);
    ((struct telling *)op)->done = true;
}

static bool is_told(void *arg)
{
    return ((struct telling *)arg)->done;
}

static void look_at(void *arg, const struct cached *cached)
{
    if (strcmp(cached->key, "CUP") == 0)
        *(struct cached *)arg = *cached;
}

/* Something about cups, of a version that is so much newer than the one that is known there. */
static void tell_redis(struct cached was, uint64_t newer, int64_t value)
{
    const char *key = "CUP";
    uint64_t version = was.version + newer;
    struct port *port = node_port(s.client);
    struct telling telling = {
        .op = { .op = CACHE_SET_IF_NEWER,
                .n = 1,
                .keys = &key,
                .epoch = was.epoch,
                .versions = &version,
                .values = &value,
                .timeout_us = SECOND,
                .done = told },
    };
    port->cache(port, &telling.op);
    ck_assert(world_until(s.world, is_told, &telling, SECOND));
}

static struct cached in_cache(void)
{
    struct cached cached = { .epoch = "" };
    world_cached(s.world, look_at, &cached);
    cached.epoch = arena_printf(&s.arena, "%s", cached.epoch);
    return cached;
}

static void ck_mended(int64_t found)
{
    ck_divergence(verify(false, "")->divergences[0], "CACHE", "CUP", "", 7, found, false);
    ck_divergence(verify(true, "")->divergences[0], "CACHE", "CUP", "", 7, found, true);
    ck_whole(verify(false, ""), 2);
    ck_assert_int_eq(in_cache().value, 7);
    ck_books();
}

START_TEST(a_redis_that_knows_what_never_was_is_found_and_mended)
{
    open_books();
    tell_redis(in_cache(), 5, 99);
    ck_mended(99);
    tell_redis(in_cache(), 3, 7); /* rightly, but nothing newer would be believed */
    ck_mended(7);
    shop_close(&s);
}
END_TEST

START_TEST(a_redis_that_knows_a_version_otherwise_is_found_and_mended)
{
    open_books();
    struct cached was = in_cache();
    world_cache_flush(s.world);
    tell_redis(was, 0, 42);
    world_run(s.world, 3 * SECOND);
    ck_mended(42);
    shop_close(&s);
}
END_TEST

START_TEST(a_redis_that_was_never_told_is_found_and_mended)
{
    open_books();
    WRITE(&s, s.inventory, "UPDATE stock SET on_hand = on_hand - 3 WHERE sku = 'CUP' AND location_id = 'L2'");
    WRITE(&s, s.inventory,
          "UPDATE availability SET available = available - 3, version = version + 1 WHERE sku = 'CUP'");
    ck_assert_int_eq(verify(true, "")->n_divergences, 2);
    const VerifyInventoryResponse *ret = verify(false, "");
    ck_assert_int_eq(ret->n_divergences, 1);
    ck_divergence(ret->divergences[0], "ON_HAND", "CUP", "L2", 10, 7, false);
    ck_assert_int_eq(in_cache().value, 4);
    shop_close(&s);
}
END_TEST

START_TEST(what_redis_has_not_at_all_is_no_divergence)
{
    open_books();
    world_cache_flush(s.world);
    ck_whole(verify(true, ""), 2);
    shop_close(&s);
}
END_TEST

START_TEST(without_redis_the_books_are_verified_all_the_same)
{
    open_books();
    world_cache_absent(s.world, true);
    WRITE(&s, s.inventory, "UPDATE availability SET available = 99 WHERE sku = 'CUP'");
    const VerifyInventoryResponse *ret = verify(true, "");
    ck_assert(!ret->cache_read);
    ck_assert_int_eq(ret->verified, 2);
    ck_assert_int_eq(ret->n_divergences, 1);
    ck_divergence(ret->divergences[0], "AVAILABLE", "CUP", "", 7, 99, true);
    world_cache_absent(s.world, false);
    world_run(s.world, 3 * SECOND);
    ck_whole(verify(false, ""), 2);
    shop_close(&s);
}
END_TEST

START_TEST(what_changes_all_the_time_is_no_divergence)
{
    for (uint64_t seed = 1; seed <= 4; seed++) {
        enum { N = 40 };
        struct asked *asked[N];
        open_shop(seed);
        stock(&s, "CUP", "L1", 1000);
        stock(&s, "MUG", "L2", 1000);
        for (int i = 0; i < N; i++) {
            const char *order = arena_printf(&s.arena, "o%d", i);
            asked[i] = begin_reserve(order, WANTS({ "CUP", 1 }, { "MUG", 2 }));
            if (i % 8 == 7)
                ck_whole(verify(true, ""), 2);
        }
        for (int i = 0; i < N; i++)
            ask_end(asked[i]);
        ck_books();
        shop_close(&s);
    }
}
END_TEST

START_TEST(many_skus_are_verified_page_by_page)
{
    enum { N = 450 };
    open_shop(1);
    for (int i = 0; i < N; i += 90) {
        Product *p = product(&s, arena_printf(&s.arena, "S%03d", i), 1, 0);
        for (int k = 1; k < 90; k++)
            add_variant(&s, p, arena_printf(&s.arena, "S%03d", i + k), 1, true);
        upsert(&s, p);
    }
    for (int i = 0; i < N; i++)
        stock(&s, arena_printf(&s.arena, "S%03d", i), "L1", 1 + i);
    world_run(s.world, 3 * SECOND);
    WRITE(&s, s.inventory, "UPDATE availability SET available = available + 1");
    WRITE(&s, s.inventory, "DELETE FROM stock WHERE sku = 'S300'"); /* it stands in the journal still */
    int64_t verified = 0, pages = 0, found = 0, repaired = 0;
    const char *after = "";
    do {
        const VerifyInventoryResponse *ret = verify(true, after);
        ck_assert_int_le(ret->verified, 200);
        pages++;
        verified += ret->verified;
        found += ret->n_divergences;
        for (size_t i = 0; i < ret->n_divergences; i++)
            repaired += ret->divergences[i]->repaired;
        after = ret->next_sku;
    } while (*after);
    ck_assert_int_eq(pages, 3);
    ck_assert_int_eq(verified, N);
    ck_assert_int_eq(found, N + 2); /* and of S300 the shelf, and what Redis says */
    ck_assert_int_eq(repaired, N + 1);
    shop_close(&s);
}
END_TEST

START_TEST(a_repeat_has_the_same_answer)
{
    open_books();
    WRITE(&s, s.inventory, "UPDATE availability SET available = 99 WHERE sku = 'CUP'");
    VerifyInventoryRequest req = OMS__INVENTORY__V1__VERIFY_INVENTORY_REQUEST__INIT;
    req.request_id = "again";
    req.repair = true;
    for (int i = 0; i < 2; i++) {
        const VerifyInventoryResponse *ret = get(&s, &operator, "VerifyInventory", &req);
        ck_assert_int_eq(ret->n_divergences, 1);
        ck_divergence(ret->divergences[0], "AVAILABLE", "CUP", "", 7, 99, true);
    }
    ck_books();
    shop_close(&s);
}
END_TEST

SUITE("verify", 120, books_that_agree_are_told_to_agree, nothing_at_all_agrees_too,
      a_shelf_that_is_not_what_its_journal_adds_up_to_is_found, a_movement_that_is_gone_is_found,
      a_shelf_that_is_gone_is_found, a_promise_that_is_not_in_the_journal_is_found,
      reservations_that_hold_otherwise_than_promised_are_found, an_availability_that_is_wrong_is_found_and_mended,
      a_redis_that_knows_what_never_was_is_found_and_mended, a_redis_that_knows_a_version_otherwise_is_found_and_mended,
      a_redis_that_was_never_told_is_found_and_mended, what_redis_has_not_at_all_is_no_divergence,
      without_redis_the_books_are_verified_all_the_same, what_changes_all_the_time_is_no_divergence,
      many_skus_are_verified_page_by_page, a_repeat_has_the_same_answer)
