/* Pages that are put together of several services' parts, each of which may be late, fail or be refused. */
#include "tests/gateway/behind.h"
#include "tests/suite.h"

#include <stdio.h>

#define OVERVIEW     "/oms.storefront.v1.StorefrontService/GetOrderOverview"
#define PRODUCT_PAGE "/oms.storefront.v1.StorefrontService/GetProductPage"
#define ORDER        "/oms.order.v1.OrderService/GetOrder"
#define PAYMENT      "/oms.payment.v1.PaymentService/GetPayment"
#define FULFILLMENTS "/oms.shipping.v1.FulfillmentService/ListFulfillments"
#define MESSAGES     "/oms.notify.v1.NotificationService/ListMessages"
#define PRODUCT      "/oms.catalog.v1.CatalogService/GetProduct"
#define AVAILABILITY "/oms.inventory.v1.InventoryService/BatchGetAvailability"

typedef Oms__Storefront__V1__GetOrderOverviewResponse Overview;
typedef Oms__Storefront__V1__GetProductPageResponse Page;

static struct call *ask_overview(struct peer *client, const char *extra)
{
    Oms__Storefront__V1__GetOrderOverviewRequest request = OMS__STOREFRONT__V1__GET_ORDER_OVERVIEW_REQUEST__INIT;
    uint8_t packed[128];
    request.order_id = (char *)"ord_1";
    struct call *call = peer_call(client, OVERVIEW, extra);
    call_put_message(call, packed, oms__storefront__v1__get_order_overview_request__pack(&request, packed));
    call_end(call);
    return call;
}

static struct call *ask_page(struct peer *client, const char *extra)
{
    Oms__Storefront__V1__GetProductPageRequest request = OMS__STOREFRONT__V1__GET_PRODUCT_PAGE_REQUEST__INIT;
    uint8_t packed[128];
    request.by_case = OMS__STOREFRONT__V1__GET_PRODUCT_PAGE_REQUEST__BY_SKU;
    request.sku = (char *)"MUG-S";
    struct call *call = peer_call(client, PRODUCT_PAGE, extra);
    call_put_message(call, packed, oms__storefront__v1__get_product_page_request__pack(&request, packed));
    call_end(call);
    return call;
}

static const char *with(const char *bearer, const char *more)
{
    static char extra[2048];
    snprintf(extra, sizeof(extra), "%s%s", bearer, more);
    return extra;
}

static struct outcall *await_call(const char *method)
{
    struct outcall *call;
    stage_until(&stage, (call = find_call(method)) != NULL);
    return call;
}

static void answer(const char *method, const ProtobufCMessage *message)
{
    struct outcall *call = await_call(method);
    send_message(call, message);
    end_call(call, RPC_OK, "");
}

static void refuse(const char *method, enum rpc_code code)
{
    end_call(await_call(method), code, "no");
}

static void answer_payment(void)
{
    Oms__Payment__V1__Payment payment = OMS__PAYMENT__V1__PAYMENT__INIT;
    payment.payment_id = (char *)"pay_1";
    answer(PAYMENT, &payment.base);
}

static void answer_fulfillments(void)
{
    Oms__Shipping__V1__ListFulfillmentsResponse reply = OMS__SHIPPING__V1__LIST_FULFILLMENTS_RESPONSE__INIT;
    Oms__Shipping__V1__Fulfillment first = OMS__SHIPPING__V1__FULFILLMENT__INIT, second = first,
                                   *both[] = { &first, &second };
    first.fulfillment_id = (char *)"ful_1";
    second.fulfillment_id = (char *)"ful_2";
    reply.fulfillments = both;
    reply.n_fulfillments = 2;
    reply.next_page_token = (char *)"more";
    answer(FULFILLMENTS, &reply.base);
}

static void answer_messages(void)
{
    Oms__Notify__V1__ListMessagesResponse reply = OMS__NOTIFY__V1__LIST_MESSAGES_RESPONSE__INIT;
    Oms__Notify__V1__Message message = OMS__NOTIFY__V1__MESSAGE__INIT, *one[] = { &message };
    message.message_id = (char *)"msg_1";
    reply.messages = one;
    reply.n_messages = 1;
    answer(MESSAGES, &reply.base);
}

static void answer_product(bool second_stocked)
{
    Oms__Catalog__V1__Product product = OMS__CATALOG__V1__PRODUCT__INIT;
    Oms__Catalog__V1__Variant variants[3], *list[3];
    static const char *const skus[] = { "MUG-S", "POST", "MUG-L" };
    for (size_t i = 0; i < 3; i++) {
        oms__catalog__v1__variant__init(&variants[i]);
        variants[i].sku = (char *)skus[i];
        variants[i].stocked = second_stocked && i != 1;
        list[i] = &variants[i];
    }
    product.product_id = (char *)"mug";
    product.variants = list;
    product.n_variants = 3;
    answer(PRODUCT, &product.base);
}

static Overview *overview_of(struct call *call)
{
    stage_until(&stage, call->closed);
    ck_assert_int_eq(call_status(call), 0);
    ck_assert_uint_gt(call->kept, 5);
    Overview *overview =
        oms__storefront__v1__get_order_overview_response__unpack(NULL, call->body_len - 5, call->body + 5);
    ck_assert_ptr_nonnull(overview);
    return overview;
}

static Page *page_of(struct call *call)
{
    stage_until(&stage, call->closed);
    ck_assert_int_eq(call_status(call), 0);
    Page *page = oms__storefront__v1__get_product_page_response__unpack(NULL, call->body_len - 5, call->body + 5);
    ck_assert_ptr_nonnull(page);
    return page;
}

/* The only part that is missing. */
static void expect_missing(struct call *call, const char *part, enum rpc_code code, const char *reason)
{
    Overview *overview = overview_of(call);
    ck_assert_uint_eq(overview->n_missing, 1);
    ck_assert_str_eq(overview->missing[0]->part, part);
    ck_assert_int_eq(overview->missing[0]->code, code);
    ck_assert_str_eq(overview->missing[0]->reason, reason);
    ck_assert_uint_eq(overview->n_as_of, 3);
    ck_assert_int_eq(overview->order != NULL, strcmp(part, "order") != 0);
    ck_assert_int_eq(overview->payment != NULL, strcmp(part, "payment") != 0);
    ck_assert_uint_eq(overview->n_fulfillments, strcmp(part, "fulfillments") ? 2 : 0);
    ck_assert_uint_eq(overview->n_messages, strcmp(part, "messages") ? 1 : 0);
    oms__storefront__v1__get_order_overview_response__free_unpacked(overview, NULL);
}

static void answer_all_but(const char *method)
{
    if (strcmp(method, ORDER) != 0)
        answer_read("ord_1", CONFIRMED, 7);
    if (strcmp(method, PAYMENT) != 0)
        answer_payment();
    if (strcmp(method, FULFILLMENTS) != 0)
        answer_fulfillments();
    if (strcmp(method, MESSAGES) != 0)
        answer_messages();
}

START_TEST(an_overview_is_put_together_of_its_parts)
{
    open_stage();
    struct call *call = ask_overview(stage_client(&stage), stage.bearer);
    answer_messages();
    answer_payment();
    answer_read("ord_1", CONFIRMED, 7);
    stage_for(&stage, 50000);
    ck_assert(!call->closed);
    answer_fulfillments();
    Overview *overview = overview_of(call);
    ck_assert_uint_eq(overview->n_missing, 0);
    ck_assert_str_eq(overview->order->order_id, "ord_1");
    ck_assert_str_eq(overview->payment->payment_id, "pay_1");
    ck_assert_uint_eq(overview->n_fulfillments, 2);
    ck_assert_str_eq(overview->fulfillments[1]->fulfillment_id, "ful_2");
    ck_assert_str_eq(overview->fulfillments_page_token, "more");
    ck_assert_str_eq(overview->messages[0]->message_id, "msg_1");
    ck_assert_str_eq(overview->messages_page_token, "");
    ck_assert_uint_eq(overview->n_as_of, 4);
    ck_assert_str_eq(overview->as_of[0]->part, "order");
    ck_assert_str_eq(overview->as_of[0]->position->incarnation, INC);
    ck_assert_uint_eq(overview->as_of[0]->position->seq, 7);
    ck_assert_int_gt(overview->as_of[1]->time_us, stage.epoch_us);
    oms__storefront__v1__get_order_overview_response__free_unpacked(overview, NULL);
    stage_until(&stage, stage.gateway->n_exchanges == 0);
    ck_assert_uint_eq(stage.gateway->buffered, 0);
    close_stage();
}
END_TEST

START_TEST(parts_are_asked_for_at_once_on_the_callers_behalf_and_within_his_deadline)
{
    static const char *const methods[] = { ORDER, PAYMENT, FULFILLMENTS, MESSAGES };
    open_stage();
    ask_overview(stage_client(&stage), with(stage.bearer, "grpc-timeout: 500m\n"));
    stage_until(&stage, behind.n == 4);
    for (size_t i = 0; i < 4; i++) {
        struct outcall *call = find_call(methods[i]);
        ck_assert_ptr_nonnull(call);
        ck_assert_str_eq(call->caller->subject, "ann");
        ck_assert_uint_eq(call->caller->roles, ROLE_BIT(MESH__V1__ROLE__CUSTOMER));
        ck_assert_int_gt(call->timeout_us, 300000);
        ck_assert_int_lt(call->timeout_us, 490000);
    }
    close_stage();
}
END_TEST

START_TEST(somebody_elses_order_is_not_found_as_a_whole)
{
    open_stage();
    struct call *call = ask_overview(stage_client(&stage), stage.bearer);
    answer_fulfillments();
    refuse(ORDER, RPC_NOT_FOUND);
    stage_until(&stage, call->closed);
    ck_assert_int_eq(call_status(call), RPC_NOT_FOUND);
    ck_assert_uint_eq(call->body_len, 0);
    ck_assert_uint_eq(behind.n, 0); /* nobody works on it any more */
    run_posted();
    ck_assert_uint_eq(stage.gateway->buffered, 0);
    close_stage();
}
END_TEST

START_TEST(a_part_that_is_late_is_named_and_the_rest_is_told)
{
    open_stage();
    struct call *call = ask_overview(stage_client(&stage), with(stage.bearer, "grpc-timeout: 200m\n"));
    answer_all_but(MESSAGES);
    expect_missing(call, "messages", RPC_DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED");
    ck_assert_uint_eq(behind.n, 0);
    run_posted();
    close_stage();
}
END_TEST

START_TEST(a_part_does_not_take_longer_than_its_own_deadline)
{
    open_stage();
    int64_t begun_us = wheel_now_us();
    struct call *call = ask_overview(stage_client(&stage), stage.bearer);
    answer_all_but(PAYMENT);
    expect_missing(call, "payment", RPC_DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED");
    ck_assert_int_lt(wheel_now_us() - begun_us, 2500000);
    run_posted();
    close_stage();
}
END_TEST

START_TEST(a_part_that_fails_is_named_and_the_rest_is_told)
{
    static const char *const parts[][2] = {
        { "payment", PAYMENT }, { "fulfillments", FULFILLMENTS }, { "messages", MESSAGES }, { "order", ORDER }
    };
    open_stage();
    struct peer *client = stage_client(&stage);
    for (size_t i = 0; i < 4; i++) {
        struct call *call = ask_overview(client, stage.bearer);
        refuse(parts[i][1], RPC_UNAVAILABLE);
        answer_all_but(parts[i][1]);
        expect_missing(call, parts[i][0], RPC_UNAVAILABLE, "");
    }
    close_stage();
}
END_TEST

START_TEST(what_the_caller_may_not_see_is_named)
{
    open_stage();
    struct call *call = ask_overview(stage_client(&stage), stage_bearer(&stage, "will", "\"warehouse\""));
    refuse(PAYMENT, RPC_PERMISSION_DENIED);
    answer_all_but(PAYMENT);
    expect_missing(call, "payment", RPC_PERMISSION_DENIED, "");
    close_stage();
}
END_TEST

START_TEST(an_order_without_a_payment_misses_none)
{
    open_stage();
    struct call *call = ask_overview(stage_client(&stage), stage.bearer);
    refuse(PAYMENT, RPC_NOT_FOUND);
    answer_all_but(PAYMENT);
    Overview *overview = overview_of(call);
    ck_assert_ptr_null(overview->payment);
    ck_assert_uint_eq(overview->n_missing, 0);
    ck_assert_uint_eq(overview->n_as_of, 3);
    oms__storefront__v1__get_order_overview_response__free_unpacked(overview, NULL);
    close_stage();
}
END_TEST

START_TEST(without_any_part_the_whole_fails)
{
    open_stage();
    struct call *call = ask_overview(stage_client(&stage), stage.bearer);
    refuse(MESSAGES, RPC_UNAVAILABLE);
    refuse(FULFILLMENTS, RPC_UNAVAILABLE);
    refuse(PAYMENT, RPC_NOT_FOUND);
    ck_assert(!call->closed);
    refuse(ORDER, RPC_UNAVAILABLE);
    stage_until(&stage, call->closed);
    ck_assert_int_eq(call_status(call), RPC_UNAVAILABLE);
    ck_assert_str_eq(call_reason(call), "PARTS_MISSING");
    ck_assert_int_gt(call_retry_us(call), 0);
    close_stage();
}
END_TEST

START_TEST(a_part_that_is_too_large_is_named)
{
    static uint8_t large[1200000] = { 0x1a };
    open_stage();
    struct call *call = ask_overview(stage_client(&stage), stage.bearer);
    struct outcall *part = await_call(FULFILLMENTS);
    part->message(part, (struct bytes){ large, sizeof(large) });
    run_posted();
    answer_all_but(FULFILLMENTS);
    expect_missing(call, "fulfillments", RPC_RESOURCE_EXHAUSTED, "PART_TOO_LARGE");
    close_stage();
}
END_TEST

START_TEST(a_part_that_is_no_message_is_named)
{
    open_stage();
    struct call *call = ask_overview(stage_client(&stage), stage.bearer);
    struct outcall *part = await_call(FULFILLMENTS);
    part->message(part, (struct bytes){ (const uint8_t *)"\x0a\x7fx", 3 });
    run_posted();
    end_call(part, RPC_OK, "");
    answer_all_but(FULFILLMENTS);
    expect_missing(call, "fulfillments", RPC_INTERNAL, "BACKEND_BROKEN");
    close_stage();
}
END_TEST

START_TEST(a_client_that_leaves_ends_the_calls_for_its_parts)
{
    open_stage();
    struct call *call = ask_overview(stage_client(&stage), stage.bearer);
    answer_payment();
    stage_until(&stage, behind.n == 3);
    call_reset(call, NGHTTP2_CANCEL);
    stage_until(&stage, behind.n == 0);
    stage_until(&stage, stage.gateway->n_exchanges == 0);
    ck_assert_uint_eq(stage.gateway->buffered, 0);
    run_posted();
    close_stage();
}
END_TEST

START_TEST(a_gateway_that_ends_leaves_no_part_behind)
{
    open_stage();
    ask_overview(stage_client(&stage), stage.bearer);
    answer_payment();
    stage_until(&stage, behind.n == 3);
    close_stage();
    ck_assert_uint_eq(behind.n, 0);
}
END_TEST

START_TEST(a_guest_sees_products_and_no_orders)
{
    open_stage();
    struct peer *client = stage_client(&stage);
    struct call *call = ask_overview(client, "");
    stage_until(&stage, call->closed);
    ck_assert_int_eq(call_status(call), RPC_UNAUTHENTICATED);
    ck_assert_str_eq(call_reason(call), "TOKEN_REQUIRED");
    ask_page(client, "");
    await_call(PRODUCT);
    close_stage();
}
END_TEST

START_TEST(a_request_that_breaks_a_field_rule_asks_for_nothing)
{
    open_stage();
    struct call *call = peer_call(stage_client(&stage), OVERVIEW, stage.bearer);
    call_put_message(call, "", 0);
    call_end(call);
    stage_until(&stage, call->closed);
    ck_assert_int_eq(call_status(call), RPC_INVALID_ARGUMENT);
    ck_assert_str_eq(call_violation(call), "order_id");
    ck_assert_uint_eq(behind.n, 0);
    close_stage();
}
END_TEST

START_TEST(a_products_page_has_the_availability_of_what_is_stocked)
{
    open_stage();
    struct call *call = ask_page(stage_client(&stage), "");
    answer_product(true);
    struct outcall *second = await_call(AVAILABILITY);
    Oms__Inventory__V1__BatchGetAvailabilityRequest *asked =
        oms__inventory__v1__batch_get_availability_request__unpack(NULL, second->request.len, second->request.data);
    ck_assert_uint_eq(asked->n_skus, 2);
    ck_assert_str_eq(asked->skus[1], "MUG-L");
    oms__inventory__v1__batch_get_availability_request__free_unpacked(asked, NULL);
    Oms__Inventory__V1__BatchGetAvailabilityResponse reply = OMS__INVENTORY__V1__BATCH_GET_AVAILABILITY_RESPONSE__INIT;
    Oms__Inventory__V1__Availability some = OMS__INVENTORY__V1__AVAILABILITY__INIT, *list[] = { &some, &some };
    some.sku = (char *)"MUG-S";
    some.available = 3;
    reply.availability = list;
    reply.n_availability = 2;
    answer(AVAILABILITY, &reply.base);
    Page *page = page_of(call);
    ck_assert_str_eq(page->product->product_id, "mug");
    ck_assert_uint_eq(page->n_availability, 2);
    ck_assert_int_eq(page->availability[0]->available, 3);
    ck_assert_uint_eq(page->n_missing, 0);
    ck_assert_uint_eq(page->n_as_of, 2);
    oms__storefront__v1__get_product_page_response__free_unpacked(page, NULL);
    close_stage();
}
END_TEST

START_TEST(a_products_page_without_availability_names_it)
{
    open_stage();
    struct call *call = ask_page(stage_client(&stage), "grpc-timeout: 300m\n");
    answer_product(true);
    await_call(AVAILABILITY);
    Page *page = page_of(call);
    ck_assert_str_eq(page->product->product_id, "mug");
    ck_assert_uint_eq(page->n_missing, 1);
    ck_assert_str_eq(page->missing[0]->part, "availability");
    ck_assert_int_eq(page->missing[0]->code, RPC_DEADLINE_EXCEEDED);
    oms__storefront__v1__get_product_page_response__free_unpacked(page, NULL);
    run_posted();
    close_stage();
}
END_TEST

START_TEST(of_what_is_not_stocked_nothing_is_asked)
{
    open_stage();
    struct call *call = ask_page(stage_client(&stage), "");
    answer_product(false);
    Page *page = page_of(call);
    ck_assert_uint_eq(page->n_missing, 0);
    ck_assert_uint_eq(page->n_availability, 0);
    oms__storefront__v1__get_product_page_response__free_unpacked(page, NULL);
    ck_assert_uint_eq(behind.n, 0);
    close_stage();
}
END_TEST

START_TEST(a_product_that_does_not_come_leaves_no_page)
{
    open_stage();
    struct peer *client = stage_client(&stage);
    struct call *call = ask_page(client, "");
    refuse(PRODUCT, RPC_NOT_FOUND);
    stage_until(&stage, call->closed);
    ck_assert_int_eq(call_status(call), RPC_NOT_FOUND);
    call = ask_page(client, "");
    refuse(PRODUCT, RPC_UNAVAILABLE);
    stage_until(&stage, call->closed);
    ck_assert_int_eq(call_status(call), RPC_UNAVAILABLE);
    close_stage();
}
END_TEST

START_TEST(pages_under_way_are_limited)
{
    open_stage();
    struct peer *clients[] = { stage_client(&stage), stage_client(&stage) };
    for (size_t i = 0; i < 200; i++)
        ask_page(clients[i % 2], "");
    stage_until(&stage, behind.n == 200);
    struct call *call = ask_page(clients[0], "");
    stage_until(&stage, call->closed);
    ck_assert_int_eq(call_status(call), RPC_UNAVAILABLE);
    ck_assert_str_eq(call_reason(call), "OVERLOADED");
    ck_assert_int_gt(call_retry_us(call), 0);
    refuse(PRODUCT, RPC_NOT_FOUND);
    ask_page(clients[1], "");
    stage_until(&stage, behind.n == 200);
    close_stage();
}
END_TEST

SUITE("storefront", 60, an_overview_is_put_together_of_its_parts,
      parts_are_asked_for_at_once_on_the_callers_behalf_and_within_his_deadline,
      somebody_elses_order_is_not_found_as_a_whole, a_part_that_is_late_is_named_and_the_rest_is_told,
      a_part_does_not_take_longer_than_its_own_deadline, a_part_that_fails_is_named_and_the_rest_is_told,
      what_the_caller_may_not_see_is_named, an_order_without_a_payment_misses_none, without_any_part_the_whole_fails,
      a_part_that_is_too_large_is_named, a_part_that_is_no_message_is_named,
      a_client_that_leaves_ends_the_calls_for_its_parts, a_gateway_that_ends_leaves_no_part_behind,
      a_guest_sees_products_and_no_orders, a_request_that_breaks_a_field_rule_asks_for_nothing,
      a_products_page_has_the_availability_of_what_is_stocked, a_products_page_without_availability_names_it,
      of_what_is_not_stocked_nothing_is_asked, a_product_that_does_not_come_leaves_no_page, pages_under_way_are_limited)
