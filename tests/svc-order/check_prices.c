/* The projection of the catalogue that orders are priced by. */
#include "svc-order/order.h"
#include "tests/shop/shop.h"
#include "tests/suite.h"

#include <stdio.h>
#include <string.h>

static struct shop s;

struct applying {
    struct unit unit;
    const Product *product;
    bool snapshot, done;
    int result;
};

static int apply(struct txn *txn, void *arg)
{
    struct applying *a = arg;
    ProductUpserted payload = OMS__EVENT__V1__PRODUCT_UPSERTED__INIT;
    payload.product = (Product *)a->product;
    const struct log_entry entry = { .key = a->product->product_id, .owner = "", .snapshot = a->snapshot };
    return order_consumers[0].events[0].apply(txn, &entry, &payload);
}

static void applied(struct unit *unit, int result)
{
    struct applying *a = unit->arg;
    a->done = true;
    a->result = result;
}

static bool is_applied(void *arg)
{
    return ((struct applying *)arg)->done;
}

static void tell(const char *id, uint64_t version, bool snapshot, size_t n, const char *const *skus, int64_t units)
{
    Product *p = product(&s, id, units, 0);
    p->n_variants = 0;
    p->version = version;
    for (size_t i = 0; i < n; i++)
        add_variant(&s, p, skus[i], units, true);
    struct arena arena;
    arena_init(&arena, 1 << 20);
    struct applying a = { .product = p, .snapshot = snapshot };
    a.unit = (struct unit){ .run = apply, .arg = &a, .arena = &arena, .done = applied };
    store_write(service_store(node_service(s.order)), &a.unit);
    ck_assert(world_until(s.world, is_applied, &a, 10000000));
    ck_assert_int_eq(a.result, 0);
    arena_finish(&arena);
}
#define SKUS(...) \
    sizeof((const char *[]){ __VA_ARGS__ }) / sizeof(char *), (const char *[]) \
    { \
        __VA_ARGS__ \
    }
#define PRICE(sku) NUMBER(&s, s.order, "SELECT COALESCE((SELECT price_minor FROM price WHERE sku = '" sku "'), -1)")

START_TEST(only_a_newer_version_changes_a_price)
{
    shop_open(&s, 1);
    tell("P", 2, false, SKUS("A"), 20);
    tell("P", 1, false, SKUS("A"), 10);
    ck_assert_int_eq(PRICE("A"), 2000);
    tell("P", 2, false, SKUS("A"), 30);
    ck_assert_int_eq(PRICE("A"), 2000);
    tell("P", 3, false, SKUS("A"), 40);
    ck_assert_int_eq(PRICE("A"), 4000);
    shop_close(&s);
}
END_TEST

START_TEST(a_variant_that_was_removed_has_no_price_and_stays_away)
{
    shop_open(&s, 1);
    tell("P", 1, false, SKUS("A", "B"), 10);
    tell("P", 2, false, SKUS("A"), 10);
    ck_assert_int_eq(PRICE("B"), -1);
    tell("P", 1, false, SKUS("A", "B"), 10);
    ck_assert_int_eq(PRICE("B"), -1);
    shop_close(&s);
}
END_TEST

START_TEST(a_sku_may_move_to_another_product_in_either_order_of_telling)
{
    shop_open(&s, 1);
    tell("P", 1, false, SKUS("A", "X"), 10);
    tell("P", 2, false, SKUS("A"), 10);
    tell("Q", 1, false, SKUS("X"), 20);
    ck_assert_int_eq(PRICE("X"), 2000);
    /* as a bootstrap may tell it: the new home first, the old one's change afterwards */
    tell("Q", 2, false, SKUS("Y"), 20);
    tell("P", 3, false, SKUS("A", "X"), 30);
    tell("Q", 3, false, SKUS("Y", "X"), 40);
    tell("P", 4, false, SKUS("A"), 30);
    ck_assert_int_eq(PRICE("X"), 4000);
    ck_assert_int_eq(NUMBER(&s, s.order, "SELECT COUNT(*) FROM price"), 3);
    shop_close(&s);
}
END_TEST

START_TEST(a_snapshot_is_believed_even_with_a_lower_version)
{
    shop_open(&s, 1);
    tell("P", 9, false, SKUS("A"), 90);
    tell("P", 3, true, SKUS("A"), 30);
    ck_assert_int_eq(PRICE("A"), 3000);
    tell("P", 4, false, SKUS("A"), 40);
    ck_assert_int_eq(PRICE("A"), 4000);
    shop_close(&s);
}
END_TEST

START_TEST(what_the_catalogue_says_is_what_orders_cost_a_moment_later)
{
    for (uint64_t seed = 1; seed <= 5; seed++) {
        shop_open(&s, seed);
        Product *p = product(&s, "A", 10, 0);
        add_variant(&s, p, "B", 11, false);
        p->variants[1]->title = "blue";
        upsert(&s, p);
        for (int i = 0; i < 10; i++) {
            p->variants[0]->price->units = 100 + i;
            upsert(&s, p);
        }
        shop_settle(&s);
        ck_assert_int_eq(PRICE("A"), 10900);
        ck_assert_int_eq(NUMBER(&s, s.order,
                                "SELECT COUNT(*) FROM price WHERE sku = 'B' AND stocked = 0 AND "
                                "title = 'Title of A, blue' AND currency = 'GBP'"),
                         1);
        shop_close(&s);
    }
}
END_TEST

static PlaceOrderRequest *one(const char *sku, const Position *after)
{
    PlaceOrderRequest *req = arena_message(&s.arena, &oms__order__v1__place_order_request__descriptor);
    PlaceLine *line = arena_message(&s.arena, &oms__order__v1__place_order_request__line__descriptor);
    line->sku = (char *)sku;
    line->quantity = 1;
    req->lines = arena_alloc(&s.arena, sizeof(*req->lines));
    req->lines[0] = line;
    req->n_lines = 1;
    req->request_id = fresh(&s);
    req->currency_code = "GBP";
    req->payment_token = "tok_ok";
    req->min_position = (Position *)after;
    return req;
}

static const Position *upsert_at(const char *sku, int64_t units)
{
    Oms__Catalog__V1__UpsertProductRequest *req =
        arena_message(&s.arena, &oms__catalog__v1__upsert_product_request__descriptor);
    req->request_id = fresh(&s);
    req->product = product(&s, sku, units, 0);
    return ((Oms__Catalog__V1__UpsertProductResponse *)get(&s, &erp, "UpsertProduct", req))->position;
}

/* Sometimes the event is first, sometimes the order. */
START_TEST(right_after_an_upsert_an_order_has_the_new_price)
{
    shop_open(&s, 1);
    shop_settle(&s);
    for (int64_t units = 1; units <= 100; units++) {
        const Position *at = upsert_at("CUP", units);
        const PlaceOrderResponse *ret = get(&s, &anna, "PlaceOrder", one("CUP", at));
        ck_assert_int_eq(ret->order->total->units, units);
    }
    shop_close(&s);
}
END_TEST

START_TEST(an_order_that_needs_a_price_that_does_not_come_is_told_so)
{
    shop_open(&s, 1);
    shop_settle(&s);
    world_partition(s.world, s.order, s.inventory, 60000000);
    const Position *at = upsert_at("CUP", 1);
    ck_refused(ask(&s, &anna, "PlaceOrder", one("CUP", at)), RPC_UNAVAILABLE, "POSITION_NOT_REACHED", "");
    ck_assert_int_eq(NUMBER(&s, s.order, "SELECT COUNT(*) FROM sales_order"), 0);
    shop_close(&s);
}
END_TEST

SUITE("prices", 60, only_a_newer_version_changes_a_price, a_variant_that_was_removed_has_no_price_and_stays_away,
      a_sku_may_move_to_another_product_in_either_order_of_telling, a_snapshot_is_believed_even_with_a_lower_version,
      what_the_catalogue_says_is_what_orders_cost_a_moment_later, right_after_an_upsert_an_order_has_the_new_price,
      an_order_that_needs_a_price_that_does_not_come_is_told_so)
