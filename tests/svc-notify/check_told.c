/* What customers and staff are told of real orders: svc-order and svc-shipping beside svc-notify, in one world. */
#include "svc-notify/api.h"
#include "tests/shop/shop.h"
#include "tests/suite.h"

#include <string.h>

#define SECOND_US 1000000ll

#define EMAIL "canary.bird@example.org"

static struct shop s;

static void open_shop(void)
{
    shop_open(&s, 1);
    open_locations(&s);
    upsert(&s, product(&s, "CUP", 4, 0));
    stock(&s, "CUP", "L1", 10);
    shop_settle(&s);
}

/* On account, so that no payment stands between order and parcel. */
static const Oms__Order__V1__PlaceOrderResponse *place_and(bool wait, int64_t quantity, const char *email)
{
    Oms__Order__V1__PlaceOrderRequest req = OMS__ORDER__V1__PLACE_ORDER_REQUEST__INIT;
    Oms__Order__V1__PlaceOrderRequest__Line line = OMS__ORDER__V1__PLACE_ORDER_REQUEST__LINE__INIT,
                                            *lines[] = { &line };
    Oms__Order__V1__Address address = OMS__ORDER__V1__ADDRESS__INIT;
    char *street[] = { "1 Canary Street" };
    line.sku = "CUP";
    line.quantity = quantity;
    address.name = "Canary Bird";
    address.street = street;
    address.n_street = 1;
    address.city = "Delayton";
    address.postal_code = "CB1 2RD";
    address.country = "GB";
    req.request_id = fresh(&s);
    req.customer_id = "cus_anna";
    req.lines = lines;
    req.n_lines = 1;
    req.currency_code = "GBP";
    req.ship_to = &address;
    req.email = (char *)email;
    req.wait = wait;
    return get(&s, &staff, "PlaceOrder", &req);
}

static const char *place(int64_t quantity, const char *email)
{
    return place_and(false, quantity, email)->order->order_id;
}

static bool has_mail(void *arg)
{
    return outside_mail(&s, arg);
}

static const char *await_mail(const char *end)
{
    ck_assert_msg(world_until(s.world, has_mail, (void *)end, 60 * SECOND_US), "never: %s", end);
    return outside_mail(&s, end)->text;
}

static const ListCasesResponse *cases_of(const char *order_id)
{
    ListCasesRequest req = OMS__NOTIFY__V1__LIST_CASES_REQUEST__INIT;
    req.order_id = (char *)order_id;
    return get(&s, &staff, "ListCases", &req);
}

/* Packed and shipped under one request id each, tried again while the label is not there yet. */
static void ship(const char *order_id)
{
    Oms__Shipping__V1__ListFulfillmentsRequest list = OMS__SHIPPING__V1__LIST_FULFILLMENTS_REQUEST__INIT;
    list.order_id = (char *)order_id;
    const Oms__Shipping__V1__ListFulfillmentsResponse *found;
    do {
        world_run(s.world, SECOND_US);
        found = get(&s, &depot, "ListFulfillments", &list);
    } while (found->n_fulfillments == 0);
    Oms__Shipping__V1__PackFulfillmentRequest pack = OMS__SHIPPING__V1__PACK_FULFILLMENT_REQUEST__INIT;
    pack.request_id = fresh(&s);
    pack.fulfillment_id = found->fulfillments[0]->fulfillment_id;
    while (ask(&s, &depot, "PackFulfillment", &pack)->code != RPC_OK)
        world_run(s.world, SECOND_US);
    Oms__Shipping__V1__ShipFulfillmentRequest leave = OMS__SHIPPING__V1__SHIP_FULFILLMENT_REQUEST__INIT;
    leave.request_id = fresh(&s);
    leave.fulfillment_id = pack.fulfillment_id;
    while (ask(&s, &depot, "ShipFulfillment", &leave)->code != RPC_OK)
        world_run(s.world, SECOND_US);
}

START_TEST(a_customer_follows_his_order_by_mail)
{
    open_shop();
    const char *order_id = place(2, EMAIL);
    const char *text = await_mail("-confirmed");
    ck_assert_ptr_nonnull(strstr(text, "\r\nTo: \"Canary Bird\" <" EMAIL ">\r\n"));
    ck_assert_ptr_nonnull(strstr(text, "over 8.00 GBP"));
    ship(order_id);
    ck_assert_ptr_nonnull(strstr(await_mail("-shipped"), "SB"));
    await_mail("-delayed");
    ck_assert_int_eq(cases_of(order_id)->cases[0]->kind, OMS__NOTIFY__V1__CASE__KIND__DELAY);
    await_mail("-delivered");
    await_mail("-completed");
    world_run(s.world, 5 * SECOND_US);
    ck_assert_int_eq(s.n_mails, 5);
    for (int i = 0; i < s.n_mails; i++)
        ck_assert_int_eq(s.mails[i].times, 1);
    const ListCasesResponse *cases = cases_of(order_id);
    ck_assert_uint_eq(cases->n_cases, 1);
    ck_assert_str_eq(cases->cases[0]->resolved_by, "svc-notify");

    ListMessagesRequest list = OMS__NOTIFY__V1__LIST_MESSAGES_REQUEST__INIT;
    ck_assert_uint_eq(((ListMessagesResponse *)get(&s, &anna, "ListMessages", &list))->n_messages, 5);
    ck_assert_uint_eq(((ListMessagesResponse *)get(&s, &bert, "ListMessages", &list))->n_messages, 0);
    shop_close(&s);
}
END_TEST

START_TEST(what_is_sold_out_is_told_to_the_customer_and_within_a_second_to_staff)
{
    open_shop();
    int64_t start = world_now(s.world);
    const char *order_id = place(11, EMAIL);
    while (cases_of(order_id)->n_cases == 0)
        world_run(s.world, 10000);
    ck_assert_int_lt(world_now(s.world) - start, SECOND_US);
    ck_assert_int_eq(cases_of(order_id)->cases[0]->kind, OMS__NOTIFY__V1__CASE__KIND__SHORTAGE);
    ck_assert_ptr_nonnull(strstr(await_mail("-rejected"), "Not enough in stock: CUP (11 wanted, 10 left)"));
    shop_close(&s);
}
END_TEST

/* Sometimes the event is first, sometimes who asks. */
START_TEST(who_asks_from_a_position_on_is_told_what_was_written_about_it)
{
    open_shop();
    for (int i = 0; i < 30; i++) {
        const Oms__Order__V1__PlaceOrderResponse *placed = place_and(true, 11, EMAIL);
        ListMessagesRequest list = OMS__NOTIFY__V1__LIST_MESSAGES_REQUEST__INIT;
        ListCasesRequest cases = OMS__NOTIFY__V1__LIST_CASES_REQUEST__INIT;
        list.order_id = cases.order_id = placed->order->order_id;
        list.min_position = cases.min_position = placed->position;
        ck_assert_int_eq(placed->order->state, OMS__ORDER__V1__ORDER__STATE__REJECTED);
        if (i % 2)
            ck_assert_uint_eq(((ListMessagesResponse *)get(&s, &anna, "ListMessages", &list))->n_messages, 1);
        else
            ck_assert_uint_eq(((ListCasesResponse *)get(&s, &staff, "ListCases", &cases))->n_cases, 1);
    }
    shop_close(&s);
}
END_TEST

START_TEST(without_an_address_the_message_says_so)
{
    open_shop();
    const char *order_id = place(1, "");
    ListMessagesRequest list = OMS__NOTIFY__V1__LIST_MESSAGES_REQUEST__INIT;
    list.order_id = (char *)order_id;
    const ListMessagesResponse *found;
    do {
        world_run(s.world, SECOND_US);
        found = get(&s, &anna, "ListMessages", &list);
    } while (found->n_messages == 0 || found->messages[0]->state == OMS__NOTIFY__V1__MESSAGE__STATE__QUEUED);
    ck_assert_int_eq(found->messages[0]->state, OMS__NOTIFY__V1__MESSAGE__STATE__NO_ADDRESS);
    ck_assert_int_eq(s.n_mails, 0);
    shop_close(&s);
}
END_TEST

/* Of every service what it tells, wants, answers and has given up. */
START_TEST(nobody_tells_anything_personal)
{
    open_shop();
    ship(place(1, EMAIL));
    await_mail("-delivered");
    struct node *const nodes[] = { s.order, s.inventory, s.payment, s.shipping, s.notify };
    for (size_t i = 0; i < sizeof(nodes) / sizeof(nodes[0]); i++) {
#define CANARIES(table, text) \
    ck_assert_int_eq(NUMBER(&s, nodes[i], "SELECT COUNT(*) FROM " table " WHERE " text " LIKE '%anary%'"), 0)
        CANARIES("event_log", "key || owner || CAST(payload AS TEXT)");
        CANARIES("outbox", "key || CAST(request AS TEXT) || last_reason");
        CANARIES("dead_letter", "key || CAST(request AS TEXT) || last_reason");
        CANARIES("rpc_request", "id || COALESCE(CAST(reply AS TEXT), '') || resource");
    }
    ck_assert_int_eq(NUMBER(&s, s.notify,
                            "SELECT COUNT(*) FROM message WHERE "
                            "message_id || customer_id || reason || tracking_number || amount LIKE '%anary%'"),
                     0);
    ck_assert_int_eq(NUMBER(&s, s.notify, "SELECT COUNT(*) FROM contact WHERE email LIKE '%anary%'"), 1);
    for (int i = 0; i < s.n_mails; i++)
        ck_assert_ptr_null(strstr(s.mails[i].path, "anary"));
    shop_close(&s);
}
END_TEST

SUITE("told", 120, a_customer_follows_his_order_by_mail,
      what_is_sold_out_is_told_to_the_customer_and_within_a_second_to_staff,
      who_asks_from_a_position_on_is_told_what_was_written_about_it, without_an_address_the_message_says_so,
      nobody_tells_anything_personal)
