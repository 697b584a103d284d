/* Availability through the shared cache: whatever happens to Redis, the answer is what the books say. */
#include "svc-inventory/inventory.h"
#include "tests/mesh/steps_port.h"
#include "tests/shop/shop.h"
#include "tests/suite.h"

#include <string.h>

static struct shop s;

#define SECOND 1000000

static void open_shop(uint64_t seed)
{
    shop_open(&s, seed);
    open_locations(&s);
    static const char *const skus[] = { "CUP", "MUG", "JUG", "NEW" };
    for (size_t i = 0; i < 4; i++)
        upsert(&s, product(&s, skus[i], 1, 0));
    stock(&s, "CUP", "L1", 5);
    stock(&s, "CUP", "L2", 2);
    stock(&s, "MUG", "L1", 3);
    stock(&s, "MUG", "L1", -3);
    stock(&s, "JUG", "L1", 1);
}

static const BatchGetAvailabilityResponse *available(size_t n, char **skus)
{
    BatchGetAvailabilityRequest req = OMS__INVENTORY__V1__BATCH_GET_AVAILABILITY_REQUEST__INIT;
    req.skus = skus;
    req.n_skus = n;
    return get(&s, &anna, "BatchGetAvailability", &req);
}

static int64_t available_of(char *sku)
{
    return available(1, &sku)->availability[0]->available;
}

struct look {
    const char *key;
    struct cached found;
};

static void look_at(void *arg, const struct cached *cached)
{
    struct look *look = arg;
    if (strcmp(cached->key, look->key) == 0)
        look->found = *cached;
}

/* Version 0: it is not there. */
static struct cached in_cache(const char *key)
{
    struct look look = { .key = key };
    world_cached(s.world, look_at, &look);
    return look.found;
}

static void ck_cache_is_right(void)
{
    ck_assert_int_eq(in_cache("CUP").value,
                     NUMBER(&s, s.inventory, "SELECT available FROM availability WHERE sku = 'CUP'"));
    ck_assert_int_eq(in_cache("CUP").version,
                     NUMBER(&s, s.inventory, "SELECT version FROM availability WHERE sku = 'CUP'"));
    ck_assert_int_eq(in_cache("MUG").value,
                     NUMBER(&s, s.inventory, "SELECT available FROM availability WHERE sku = 'MUG'"));
    ck_assert_int_eq(in_cache("MUG").version,
                     NUMBER(&s, s.inventory, "SELECT version FROM availability WHERE sku = 'MUG'"));
    ck_assert_int_eq(in_cache("JUG").version,
                     NUMBER(&s, s.inventory, "SELECT version FROM availability WHERE sku = 'JUG'"));
}

START_TEST(each_sku_is_told_in_the_order_asked)
{
    open_shop(1);
    char *skus[] = { "MUG", "CUP", "NEW", "NONE", "CUP", "JUG" };
    for (int round = 0; round < 2; round++) {
        const BatchGetAvailabilityResponse *ret = available(6, skus);
        static const int64_t expected[] = { 0, 7, 0, 0, 7, 1 };
        ck_assert_int_eq(ret->n_availability, 6);
        for (size_t i = 0; i < 6; i++) {
            ck_assert_str_eq(ret->availability[i]->sku, skus[i]);
            ck_assert_int_eq(ret->availability[i]->available, expected[i]);
        }
        ck_assert_int_eq(ret->availability[1]->version, 2);
        ck_assert_int_eq(ret->availability[2]->version, 0);
        world_run(s.world, SECOND);
    }
    shop_close(&s);
}
END_TEST

START_TEST(every_change_reaches_the_cache_and_sold_out_is_one)
{
    open_shop(1);
    world_run(s.world, SECOND);
    ck_cache_is_right();
    ck_assert_int_eq(in_cache("MUG").value, 0);
    ck_assert_int_eq(in_cache("MUG").version, 2);
    stock(&s, "CUP", "L1", 10);
    world_run(s.world, SECOND);
    ck_assert_int_eq(in_cache("CUP").value, 17);
    shop_close(&s);
}
END_TEST

START_TEST(a_flushed_cache_is_filled_by_who_reads_and_then_by_the_feed)
{
    open_shop(1);
    world_run(s.world, SECOND);
    world_cache_flush(s.world);
    ck_assert_int_eq(available_of("CUP"), 7);
    world_run(s.world, SECOND / 10);
    ck_assert_int_eq(in_cache("CUP").value, 7);
    ck_assert_int_eq(in_cache("JUG").version, 0);
    world_run(s.world, 3 * SECOND);
    ck_cache_is_right();
    shop_close(&s);
}
END_TEST

START_TEST(without_redis_the_answer_is_the_same_and_later_the_cache_is_right)
{
    open_shop(1);
    world_run(s.world, SECOND);
    world_cache_absent(s.world, true);
    stock(&s, "CUP", "L1", 1);
    ck_assert_int_eq(available_of("CUP"), 8);
    ck_assert_int_eq(available_of("JUG"), 1);
    world_run(s.world, 5 * SECOND);
    world_cache_absent(s.world, false);
    world_run(s.world, 3 * SECOND);
    ck_cache_is_right();
    ck_assert_int_eq(available_of("CUP"), 8);
    shop_close(&s);
}
END_TEST

START_TEST(a_redis_that_comes_back_old_or_late_is_told_anew)
{
    for (uint64_t seed = 1; seed <= 10; seed++) {
        open_shop(seed);
        struct faults *faults = world_faults(s.world);
        faults->cache_set_back = 3000;
        faults->cache_flushed = 1000;
        faults->cache_late = 100000;
        faults->cache_refused = 50000;
        for (int i = 0; i < 20; i++) {
            stock(&s, "CUP", "L1", 1);
            stock(&s, "MUG", "L2", 1);
            world_run(s.world, (int64_t)world_roll(s.world, SECOND));
        }
        ck_assert_int_gt(world_faults_seen(s.world), 0);
        world_quiet(s.world);
        world_run(s.world, 5 * SECOND);
        ck_cache_is_right();
        ck_assert_int_eq(available_of("CUP"), 27);
        shop_close(&s);
    }
}
END_TEST

/* In particular between the feed's look at its marks and its telling. */
START_TEST(a_flush_at_any_moment_of_a_change_is_noticed)
{
    for (int moment = 0; moment < 80; moment++) {
        open_shop(1);
        world_run(s.world, SECOND / 2);
        AdjustStockRequest req = OMS__INVENTORY__V1__ADJUST_STOCK_REQUEST__INIT;
        req.request_id = fresh(&s);
        req.sku = "CUP";
        req.location_id = "L1";
        req.delta = 1;
        req.reason = "RECEIVED";
        struct asked *asked = ask_begin(&s, &depot, "AdjustStock", &req);
        for (int i = 0; i < moment; i++)
            world_step(s.world);
        world_cache_flush(s.world);
        ck_assert_int_eq(ask_end(asked)->code, RPC_OK);
        world_run(s.world, 3 * SECOND);
        ck_cache_is_right();
        shop_close(&s);
    }
}
END_TEST

START_TEST(a_service_that_died_before_it_told_tells_when_it_is_back)
{
    for (uint64_t seed = 1; seed <= 10; seed++) {
        open_shop(seed);
        world_run(s.world, SECOND);
        stock(&s, "CUP", "L1", 4);
        node_crash(s.inventory, SECOND);
        world_run(s.world, 10 * SECOND);
        ck_assert(node_up(s.inventory));
        ck_cache_is_right();
        ck_assert_int_eq(in_cache("CUP").value, 11);
        shop_close(&s);
    }
}
END_TEST

static void copy_store(const char *from, const char *to)
{
    static const char *const files[] = { "", "-wal" };
    for (size_t i = 0; i < 2; i++)
        disk_copy(node_disk(s.inventory), arena_printf(&s.arena, "svc-inventory/%s%s", from, files[i]),
                  arena_printf(&s.arena, "svc-inventory/%s%s", to, files[i]));
}

/* The cache knows newer versions than the store that was put back. */
START_TEST(after_a_restore_from_a_backup_the_cache_is_not_believed)
{
    struct steps_port port;
    const struct service_options options = { .store_path = "svc-inventory/store.db", .vfs = "sim" };
    open_shop(1);
    node_crash(s.inventory, SECOND);
    copy_store("store.db", "backup.db");
    world_run(s.world, 3 * SECOND);
    for (int i = 0; i < 5; i++)
        stock(&s, "CUP", "L1", 10);
    world_run(s.world, SECOND);
    struct cached before = in_cache("CUP");
    ck_assert_int_eq(before.value, 57);

    node_crash(s.inventory, SECOND);
    copy_store("backup.db", "store.db");
    steps_port_init(&port);
    ck_assert_int_eq(service_renew(&port.port, &inventory_service, &options), 0);
    world_run(s.world, 3 * SECOND);
    ck_assert_int_eq(available_of("CUP"), 7);
    ck_assert_int_lt(in_cache("CUP").version, before.version);
    ck_cache_is_right();
    shop_close(&s);
}
END_TEST

static void count_one(void *arg, const struct cached *cached)
{
    ++*(int *)arg;
}

START_TEST(switched_off_the_cache_is_neither_written_nor_read)
{
    inventory_service.options[0].value = "off";
    open_shop(1);
    world_run(s.world, 2 * SECOND);
    int keys = 0;
    world_cached(s.world, count_one, &keys);
    ck_assert_int_eq(keys, 0);
    ck_assert_int_eq(available_of("CUP"), 7);
    shop_close(&s);
}
END_TEST

START_TEST(more_skus_than_a_page_are_all_told)
{
    shop_open(&s, 1);
    open_locations(&s);
    enum { N = 700 };
    static struct asked *asked[N];
    for (int i = 0; i < N; i++)
        upsert(&s, product(&s, arena_printf(&s.arena, "S%03d", i), 1, 0));
    for (int i = 0; i < N; i++) {
        AdjustStockRequest req = OMS__INVENTORY__V1__ADJUST_STOCK_REQUEST__INIT;
        req.request_id = fresh(&s);
        req.sku = arena_printf(&s.arena, "S%03d", i);
        req.location_id = "L1";
        req.delta = i + 1;
        req.reason = "RECEIVED";
        asked[i] = ask_begin(&s, &depot, "AdjustStock", &req);
        if (i % 50 == 49)
            ask_end(asked[i]);
    }
    for (int i = 0; i < N; i++)
        ck_assert_int_eq(ask_end(asked[i])->code, RPC_OK);
    world_cache_flush(s.world);
    world_run(s.world, 5 * SECOND);
    for (int i = 0; i < N; i++)
        ck_assert_int_eq(in_cache(arena_printf(&s.arena, "S%03d", i)).value, i + 1);
    shop_close(&s);
}
END_TEST

SUITE("availability", 120, each_sku_is_told_in_the_order_asked, every_change_reaches_the_cache_and_sold_out_is_one,
      a_flushed_cache_is_filled_by_who_reads_and_then_by_the_feed,
      without_redis_the_answer_is_the_same_and_later_the_cache_is_right,
      a_redis_that_comes_back_old_or_late_is_told_anew, a_flush_at_any_moment_of_a_change_is_noticed,
      a_service_that_died_before_it_told_tells_when_it_is_back, after_a_restore_from_a_backup_the_cache_is_not_believed,
      switched_off_the_cache_is_neither_written_nor_read, more_skus_than_a_page_are_all_told)
