/* How orders are found again. */
#include "svc-order/api.h"
#include "tests/shop/shop.h"
#include "tests/suite.h"

static struct shop s;

static void open_shop(void)
{
    shop_open(&s, 1);
    open_locations(&s);
    upsert(&s, product(&s, "CUP", 4, 950000000));
    stock(&s, "CUP", "L1", 100000);
    shop_settle(&s);
}

static PlaceOrderRequest *basket(const char *sku, int64_t quantity)
{
    PlaceOrderRequest *req = arena_message(&s.arena, &oms__order__v1__place_order_request__descriptor);
    PlaceLine *line = arena_message(&s.arena, &oms__order__v1__place_order_request__line__descriptor);
    req->request_id = fresh(&s);
    req->currency_code = "GBP";
    req->payment_token = "tok_ok";
    req->lines = arena_alloc(&s.arena, sizeof(*req->lines));
    req->lines[0] = line;
    req->n_lines = 1;
    line->sku = (char *)sku;
    line->quantity = quantity;
    return req;
}

static const Order *place(const struct caller *who, PlaceOrderRequest *req)
{
    return ((PlaceOrderResponse *)get(&s, who, "PlaceOrder", req))->order;
}

static const Order *numbered(const struct caller *who, const char *channel, const char *external_id)
{
    PlaceOrderRequest *req = basket("CUP", 1);
    req->channel = (char *)channel;
    req->external_id = (char *)external_id;
    return place(who, req);
}

/* --- one --- */

static GetOrderRequest by_number(const char *channel, const char *external_id)
{
    GetOrderRequest req = OMS__ORDER__V1__GET_ORDER_REQUEST__INIT;
    req.channel = (char *)channel;
    req.external_id = (char *)external_id;
    return req;
}

static void ck_found(const struct caller *who, const char *channel, const char *external_id, const Order *order)
{
    GetOrderRequest req = by_number(channel, external_id);
    const Order *found = ((GetOrderResponse *)get(&s, who, "GetOrder", &req))->order;
    ck_assert_str_eq(found->order_id, order->order_id);
    ck_assert_uint_eq(found->n_lines, 1);
}

static void ck_not_found(const struct caller *who, const char *channel, const char *external_id)
{
    GetOrderRequest req = by_number(channel, external_id);
    const struct asked *a = ask(&s, who, "GetOrder", &req);
    ck_refused(a, RPC_NOT_FOUND, "ORDER_NOT_FOUND", "");
    ck_assert_str_eq(a->resource, external_id);
}

START_TEST(an_order_is_found_by_the_number_that_it_has_in_its_channel)
{
    open_shop();
    const Order *web = numbered(&anna, "web", "7"), *app = numbered(&bert, "app", "7"),
                *bare = numbered(&anna, "", "7");
    numbered(&anna, "web", "");
    ck_found(&staff, "web", "7", web);
    ck_found(&staff, "app", "7", app);
    ck_found(&staff, "", "7", bare);
    ck_found(&anna, "web", "7", web);
    ck_not_found(&bert, "web", "7");
    ck_not_found(&staff, "web", "8");
    ck_not_found(&staff, "erp", "7");
    shop_close(&s);
}
END_TEST

START_TEST(an_order_is_named_in_one_way)
{
    open_shop();
    const Order *order = numbered(&anna, "web", "7");
    static const struct {
        bool id;
        const char *channel, *external_id, *reason, *field;
    } cases[] = {
        { false, "", "", "FIELD_REQUIRED", "order_id" },         { false, "web", "", "FIELD_REQUIRED", "external_id" },
        { true, "web", "7", "FIELD_UNEXPECTED", "external_id" }, { true, "", "7", "FIELD_UNEXPECTED", "external_id" },
        { true, "web", "", "FIELD_UNEXPECTED", "channel" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        GetOrderRequest req = by_number(cases[i].channel, cases[i].external_id);
        if (cases[i].id)
            req.order_id = order->order_id;
        ck_refused(ask(&s, &staff, "GetOrder", &req), RPC_INVALID_ARGUMENT, cases[i].reason, cases[i].field);
    }
    shop_close(&s);
}
END_TEST

SUITE("read", 120, an_order_is_found_by_the_number_that_it_has_in_its_channel, an_order_is_named_in_one_way)
