/* Whole lives of orders in the simulated shop: what is told to the customer, what is captured, and what is left on the
 * shelves, when all goes well and when it does not. */
#include "svc-order/api.h"
#include "svc-order/machine.h"
#include "tests/shop/shop.h"
#include "tests/suite.h"

#include <string.h>

#define SECOND 1000000ll
#define MINUTE (60 * SECOND)

static struct shop s;

static void open_shop(uint64_t seed)
{
    shop_open(&s, seed);
    open_locations(&s);
    upsert(&s, product(&s, "CUP", 10, 0));
    upsert(&s, product(&s, "MUG", 7, 0));
    Product *post = product(&s, "POST", 3, 0);
    post->variants[0]->stocked = false;
    upsert(&s, post);
    stock(&s, "CUP", "L1", 5);
    stock(&s, "CUP", "L2", 50);
    stock(&s, "MUG", "L1", 50);
    shop_settle(&s);
}

struct basket {
    const char *token /* NULL: on account */, *city;
    int64_t cups, mugs, posts;
};

static const Order *place(const struct basket *basket)
{
    PlaceOrderRequest *req = arena_message(&s.arena, &oms__order__v1__place_order_request__descriptor);
    Address *address = arena_message(&s.arena, &oms__order__v1__address__descriptor);
    const struct {
        const char *sku;
        int64_t quantity;
    } wanted[] = { { "CUP", basket->cups }, { "MUG", basket->mugs }, { "POST", basket->posts } };
    req->request_id = fresh(&s);
    req->currency_code = "GBP";
    req->channel = "web";
    req->payment_token = (char *)(basket->token ? basket->token : "");
    req->customer_id = (char *)(basket->token ? "" : anna.subject);
    req->email = "anna@example.com";
    address->name = "Anna";
    address->city = (char *)(basket->city ? basket->city : "York");
    req->ship_to = address;
    req->lines = arena_alloc(&s.arena, 3 * sizeof(*req->lines));
    for (size_t i = 0; i < 3; i++) {
        if (!wanted[i].quantity)
            continue;
        PlaceLine *line = arena_message(&s.arena, &oms__order__v1__place_order_request__line__descriptor);
        line->sku = (char *)wanted[i].sku;
        line->quantity = wanted[i].quantity;
        req->lines[req->n_lines++] = line;
    }
    return ((PlaceOrderResponse *)get(&s, basket->token ? &anna : &erp, "PlaceOrder", req))->order;
}

static const Order *read(const char *order_id)
{
    GetOrderRequest req = OMS__ORDER__V1__GET_ORDER_REQUEST__INIT;
    req.order_id = (char *)order_id;
    return ((GetOrderResponse *)get(&s, &anna, "GetOrder", &req))->order;
}

struct awaited {
    const char *order_id;
    int state, payment_state, fulfillment_state; /* 0: whatever */
};

static bool has_come(const struct awaited *a)
{
    const Order *order = read(a->order_id);
    return (!a->state || (int)order->state == a->state) &&
           (!a->payment_state || (int)order->payment_state == a->payment_state) &&
           (!a->fulfillment_state || (int)order->fulfillment_state == a->fulfillment_state);
}

static const Order *await(struct awaited a)
{
    for (int i = 0; i < 400 && !has_come(&a); i++)
        world_run(s.world, i < 100 ? SECOND / 10 : 5 * SECOND);
    const Order *order = read(a.order_id);
    ck_assert_msg(has_come(&a), "%s is %s, payment %d, fulfilment %d: %s", a.order_id,
                  machine_state_name((enum order_state)order->state), order->payment_state, order->fulfillment_state,
                  order->reject_reason);
    return order;
}
#define AWAIT(id, ...) await((struct awaited){ .order_id = (id), __VA_ARGS__ })
#define PAID(name)     OMS__ORDER__V1__ORDER__PAYMENT_STATE__##name
#define SENT_(name)    OMS__ORDER__V1__ORDER__FULFILLMENT_STATE__##name

static Oms__Shipping__V1__ListFulfillmentsResponse *parcels(const char *order_id)
{
    Oms__Shipping__V1__ListFulfillmentsRequest req = OMS__SHIPPING__V1__LIST_FULFILLMENTS_REQUEST__INIT;
    req.order_id = (char *)order_id;
    return get(&s, &depot, "ListFulfillments", &req);
}

static void pack_one(const char *fulfillment_id)
{
    Oms__Shipping__V1__PackFulfillmentRequest req = OMS__SHIPPING__V1__PACK_FULFILLMENT_REQUEST__INIT;
    req.request_id = fresh(&s);
    req.fulfillment_id = (char *)fulfillment_id;
    get(&s, &depot, "PackFulfillment", &req);
    world_run(s.world, 10 * SECOND);
}

static void ship_one(const char *fulfillment_id)
{
    Oms__Shipping__V1__ShipFulfillmentRequest req = OMS__SHIPPING__V1__SHIP_FULFILLMENT_REQUEST__INIT;
    req.request_id = fresh(&s);
    req.fulfillment_id = (char *)fulfillment_id;
    get(&s, &depot, "ShipFulfillment", &req);
}

/* From one location, or ("") from all. */
static void send_parcels(const char *order_id, const char *location_id)
{
    world_run(s.world, 2 * SECOND);
    Oms__Shipping__V1__ListFulfillmentsResponse *list = parcels(order_id);
    for (size_t i = 0; i < list->n_fulfillments; i++) {
        const Oms__Shipping__V1__Fulfillment *f = list->fulfillments[i];
        if (location_id[0] && strcmp(f->location_id, location_id) != 0)
            continue;
        pack_one(f->fulfillment_id);
        ship_one(f->fulfillment_id);
    }
}

static const struct asked *cancel(const struct caller *who, const char *order_id)
{
    CancelOrderRequest req = OMS__ORDER__V1__CANCEL_ORDER_REQUEST__INIT;
    req.request_id = fresh(&s);
    req.order_id = (char *)order_id;
    req.reason = "CUSTOMER_REQUEST";
    req.wait = true;
    return ask(&s, who, "CancelOrder", &req);
}

static const OrderExplanation *explain(const char *order_id)
{
    ExplainOrderRequest req = OMS__ORDER__V1__EXPLAIN_ORDER_REQUEST__INIT;
    req.order_id = (char *)order_id;
    return get(&s, &anna, "ExplainOrder", &req);
}

#define RESERVED NUMBER(&s, s.inventory, "SELECT SUM(reserved) FROM stock")
#define ON_HAND  NUMBER(&s, s.inventory, "SELECT SUM(on_hand) FROM stock")

/* --- well --- */

START_TEST(an_order_is_paid_when_it_ships_and_completed_when_it_is_there)
{
    open_shop(1);
    const char *id = place(&(struct basket){ "tok_ok", NULL, 2, 1, 1 })->order_id;
    const Order *order = AWAIT(id, CONFIRMED, PAID(AUTHORIZED), SENT_(ALLOCATED));
    ck_assert_int_eq(order->captured->units, 0);
    ck_assert_int_eq(RESERVED, 3);
    ck_assert_str_eq(explain(id)->owner, "the warehouse");
    send_parcels(id, "");
    order = AWAIT(id, .payment_state = PAID(CAPTURED));
    ck_assert_int_eq(order->captured->units, 30);
    ck_assert_int_eq(order->lines[0]->shipped, 2);
    order = AWAIT(id, COMPLETED, PAID(CAPTURED), SENT_(DELIVERED));
    ck_assert_str_eq(explain(id)->waits_for, "");
    shop_settle(&s);
    ck_assert_int_eq(RESERVED, 0);
    ck_assert_int_eq(ON_HAND, 102);
    shop_close(&s);
}
END_TEST

START_TEST(each_parcel_is_captured_when_it_leaves_and_postage_with_the_first)
{
    open_shop(1);
    const char *id = place(&(struct basket){ "tok_ok", NULL, 7, 0, 1 })->order_id;
    AWAIT(id, CONFIRMED, .fulfillment_state = SENT_(ALLOCATED));
    send_parcels(id, "L2");
    const Order *order = AWAIT(id, .payment_state = PAID(PARTLY_CAPTURED), .fulfillment_state = SENT_(PARTLY_SHIPPED));
    ck_assert_int_eq(order->captured->units, 23);
    send_parcels(id, "L1");
    order = AWAIT(id, COMPLETED, PAID(CAPTURED));
    ck_assert_int_eq(order->captured->units, 73);
    shop_close(&s);
}
END_TEST

START_TEST(what_needs_no_parcel_is_captured_at_once)
{
    open_shop(1);
    const char *id = place(&(struct basket){ "tok_ok", NULL, 0, 0, 2 })->order_id;
    const Order *order = AWAIT(id, COMPLETED, PAID(CAPTURED), SENT_(NOT_NEEDED));
    ck_assert_int_eq(order->captured->units, 6);
    shop_close(&s);
}
END_TEST

START_TEST(a_customer_who_proves_himself_has_his_order)
{
    open_shop(1);
    const char *id = place(&(struct basket){ "tok_3ds", NULL, 1, 0, 0 })->order_id;
    AWAIT(id, CONFIRMED, PAID(AUTHORIZED));
    shop_close(&s);
}
END_TEST

/* --- not well --- */

START_TEST(a_declined_card_rejects_the_order_and_gives_the_stock_back)
{
    open_shop(1);
    const char *id = place(&(struct basket){ "tok_declined", NULL, 3, 0, 0 })->order_id;
    const Order *order = AWAIT(id, REJECTED, PAID(DECLINED));
    ck_assert_str_eq(order->reject_reason, "The payment was declined.");
    shop_settle(&s);
    ck_assert_int_eq(RESERVED, 0);
    ck_assert_int_eq(ON_HAND, 105);
    shop_close(&s);
}
END_TEST

START_TEST(who_never_proves_himself_loses_the_order)
{
    open_shop(1);
    const char *id = place(&(struct basket){ "tok_3ds_never", NULL, 1, 0, 0 })->order_id;
    AWAIT(id, PENDING, PAID(ACTION_REQUIRED));
    ck_assert_str_eq(explain(id)->owner, "the customer");
    AWAIT(id, REJECTED);
    shop_settle(&s);
    ck_assert_int_eq(RESERVED, 0);
    shop_close(&s);
}
END_TEST

START_TEST(a_processor_that_never_answers_is_asked_again_until_it_does)
{
    open_shop(1);
    const char *id = place(&(struct basket){ "tok_mute", NULL, 1, 0, 0 })->order_id;
    AWAIT(id, PENDING, PAID(PAYMENT_UNKNOWN));
    ck_assert_str_eq(explain(id)->owner, "staff");
    AWAIT(id, CONFIRMED, PAID(AUTHORIZED));
    shop_close(&s);
}
END_TEST

/* It has charged, and nobody has heard of it when the order is over: the charge is given back when it is heard of. */
START_TEST(an_order_whose_payment_stays_unknown_ends_and_is_voided_later)
{
    open_shop(1);
    world_outside_down(s.world, "processor", true);
    const char *id = place(&(struct basket){ "tok_ok", NULL, 1, 0, 0 })->order_id;
    AWAIT(id, PENDING, PAID(PAYMENT_UNKNOWN));
    const Order *order = AWAIT(id, REJECTED);
    ck_assert_str_eq(order->reject_reason, "The payment could not be made in time.");
    world_outside_down(s.world, "processor", false);
    AWAIT(id, REJECTED, PAID(VOIDED));
    shop_settle(&s);
    ck_assert_int_eq(RESERVED, 0);
    ck_assert_int_eq(NUMBER(&s, s.order, "SELECT COUNT(*) FROM order_step WHERE state NOT IN (3, 5)"), 0);
    shop_close(&s);
}
END_TEST

START_TEST(a_capture_that_is_refused_is_told_and_the_order_waits_for_staff)
{
    open_shop(1);
    const char *id = place(&(struct basket){ "tok_capture_fails", NULL, 1, 0, 0 })->order_id;
    AWAIT(id, CONFIRMED, .fulfillment_state = SENT_(ALLOCATED));
    send_parcels(id, "");
    AWAIT(id, CONFIRMED, .fulfillment_state = SENT_(DELIVERED));
    ck_assert_str_eq(explain(id)->owner, "staff");
    ck_assert_int_eq(read(id)->captured->units, 0);
    shop_close(&s);
}
END_TEST

/* --- cancelled --- */

START_TEST(an_order_that_has_not_left_is_cancelled_and_voided)
{
    open_shop(1);
    const char *id = place(&(struct basket){ "tok_ok", NULL, 7, 0, 1 })->order_id;
    AWAIT(id, CONFIRMED, .fulfillment_state = SENT_(ALLOCATED));
    const struct asked *a = cancel(&anna, id);
    ck_assert_int_eq(a->code, RPC_OK);
    ck_assert_int_eq(((CancelOrderResponse *)a->reply)->order->state, OMS__ORDER__V1__ORDER__STATE__CANCELLED);
    const Order *order = AWAIT(id, CANCELLED, PAID(VOIDED));
    ck_assert_int_eq(order->lines[0]->cancelled, 7);
    shop_settle(&s);
    ck_assert_int_eq(RESERVED, 0);
    ck_assert_int_eq(ON_HAND, 105);
    a = cancel(&anna, id);
    ck_refused(a, RPC_FAILED_PRECONDITION, "ORDER_STATE", "");
    shop_close(&s);
}
END_TEST

START_TEST(an_order_that_is_still_pending_is_cancelled)
{
    open_shop(1);
    world_outside_down(s.world, "processor", true);
    const char *id = place(&(struct basket){ "tok_ok", NULL, 1, 0, 0 })->order_id;
    AWAIT(id, PENDING, PAID(AUTHORIZING));
    struct awaited cancelling = { id, CANCELLING, 0, 0 };
    CancelOrderRequest req = OMS__ORDER__V1__CANCEL_ORDER_REQUEST__INIT;
    req.request_id = fresh(&s);
    req.order_id = (char *)id;
    get(&s, &anna, "CancelOrder", &req);
    await(cancelling);
    req.request_id = fresh(&s);
    ck_refused(ask(&s, &anna, "CancelOrder", &req), RPC_ABORTED, "ORDER_CHANGING", "");
    world_outside_down(s.world, "processor", false);
    AWAIT(id, CANCELLED);
    shop_settle(&s);
    ck_assert_int_eq(RESERVED, 0);
    shop_close(&s);
}
END_TEST

START_TEST(what_has_left_goes_on_and_the_rest_is_cancelled)
{
    open_shop(1);
    const char *id = place(&(struct basket){ "tok_ok", NULL, 7, 0, 0 })->order_id;
    AWAIT(id, CONFIRMED, .fulfillment_state = SENT_(ALLOCATED));
    send_parcels(id, "L1");
    const struct asked *a = cancel(&anna, id);
    ck_assert_int_eq(a->code, RPC_OK);
    const Order *order = AWAIT(id, COMPLETED, PAID(CAPTURED), SENT_(DELIVERED));
    ck_assert_int_eq(order->lines[0]->shipped, 5);
    ck_assert_int_eq(order->lines[0]->cancelled, 2);
    ck_assert_int_eq(order->captured->units, 50);
    shop_settle(&s);
    ck_assert_int_eq(RESERVED, 0);
    ck_assert_int_eq(ON_HAND, 100);
    shop_close(&s);
}
END_TEST

START_TEST(a_lost_parcel_is_given_up_by_staff_and_paid_back)
{
    open_shop(1);
    const char *id = place(&(struct basket){ "tok_ok", "Lostwick", 1, 0, 0 })->order_id;
    AWAIT(id, CONFIRMED, .fulfillment_state = SENT_(ALLOCATED));
    send_parcels(id, "");
    AWAIT(id, CONFIRMED, PAID(CAPTURED), SENT_(EXCEPTION));
    ck_assert_str_eq(explain(id)->owner, "staff");
    ck_assert_int_eq(cancel(&staff, id)->code, RPC_OK);
    AWAIT(id, CANCELLED, PAID(REFUNDED));
    shop_close(&s);
}
END_TEST

START_TEST(only_the_owner_and_staff_may_cancel_or_ask)
{
    open_shop(1);
    const char *id = place(&(struct basket){ "tok_ok", NULL, 1, 0, 0 })->order_id;
    ExplainOrderRequest req = OMS__ORDER__V1__EXPLAIN_ORDER_REQUEST__INIT;
    req.order_id = (char *)id;
    ck_refused(cancel(&bert, id), RPC_NOT_FOUND, "ORDER_NOT_FOUND", "");
    ck_refused(ask(&s, &bert, "ExplainOrder", &req), RPC_NOT_FOUND, "ORDER_NOT_FOUND", "");
    ck_refused(cancel(&anna, "ord_nothing"), RPC_NOT_FOUND, "ORDER_NOT_FOUND", "");
    ck_assert_int_eq(cancel(&depot, id)->code, RPC_PERMISSION_DENIED);
    shop_close(&s);
}
END_TEST

START_TEST(stuck_orders_are_listed_the_longest_first)
{
    ListStuckOrdersRequest req = OMS__ORDER__V1__LIST_STUCK_ORDERS_REQUEST__INIT;
    open_shop(1);
    world_partition(s.world, s.order, s.payment, 40 * MINUTE);
    const char *first = place(&(struct basket){ "tok_ok", NULL, 1, 0, 0 })->order_id;
    world_run(s.world, SECOND);
    const char *second = place(&(struct basket){ "tok_ok", NULL, 1, 0, 0 })->order_id;
    world_run(s.world, SECOND);
    ck_assert_uint_eq(((ListStuckOrdersResponse *)get(&s, &staff, "ListStuckOrders", &req))->n_orders, 0);
    WRITE(&s, s.order, "UPDATE sales_order SET stuck_time_us = stuck_time_us - 1000000000");
    req.page_size = 1;
    ListStuckOrdersResponse *page = get(&s, &staff, "ListStuckOrders", &req);
    ck_assert_str_eq(page->orders[0]->order_id, first);
    ck_assert(page->orders[0]->stuck);
    ck_assert_str_eq(page->orders[0]->owner, "svc-payment");
    ck_assert_str_eq(page->orders[0]->legal[0], "CancelOrder");
    req.page_token = page->next_page_token;
    page = get(&s, &staff, "ListStuckOrders", &req);
    ck_assert_str_eq(page->orders[0]->order_id, second);
    ck_assert_str_eq(page->next_page_token, "");
    world_quiet(s.world);
    shop_settle(&s);
    shop_close(&s);
}
END_TEST

/* --- not paid back --- */

static const char *lose(const char *token)
{
    const char *id = place(&(struct basket){ token, "Lostwick", 2, 0, 0 })->order_id;
    AWAIT(id, CONFIRMED, .fulfillment_state = SENT_(ALLOCATED));
    send_parcels(id, "");
    AWAIT(id, CONFIRMED, PAID(CAPTURED), SENT_(EXCEPTION));
    return id;
}

static const Oms__Payment__V1__Payment *payment_of(const char *order_id)
{
    Oms__Payment__V1__GetPaymentRequest req = OMS__PAYMENT__V1__GET_PAYMENT_REQUEST__INIT;
    req.by_case = OMS__PAYMENT__V1__GET_PAYMENT_REQUEST__BY_ORDER_ID;
    req.order_id = (char *)order_id;
    return get(&s, &staff, "GetPayment", &req);
}

static void cancel_at_once(const char *order_id)
{
    CancelOrderRequest req = OMS__ORDER__V1__CANCEL_ORDER_REQUEST__INIT;
    req.request_id = fresh(&s);
    req.order_id = (char *)order_id;
    get(&s, &staff, "CancelOrder", &req);
}

#define OPEN_REFUNDS NUMBER(&s, s.notify, "SELECT COUNT(*) FROM alert_case WHERE kind = 9 AND state <> 3")

START_TEST(a_refund_that_is_refused_is_a_case_of_staff_until_it_was_made_another_way)
{
    open_shop(1);
    const char *id = lose("tok_refund_fails");
    cancel_at_once(id);
    for (int i = 0; i < 100 && OPEN_REFUNDS == 0; i++)
        world_run(s.world, SECOND);
    ck_assert_int_eq(OPEN_REFUNDS, 1);
    world_run(s.world, 5 * SECOND);
    ck_assert_int_eq(read(id)->state, OMS__ORDER__V1__ORDER__STATE__CANCELLING);
    ck_assert_str_eq(explain(id)->owner, "staff");
    const Oms__Payment__V1__Payment *payment = payment_of(id);
    Oms__Payment__V1__ResolveOperationRequest req = OMS__PAYMENT__V1__RESOLVE_OPERATION_REQUEST__INIT;
    req.request_id = fresh(&s);
    for (size_t i = 0; i < payment->n_operations; i++)
        if (payment->operations[i]->kind == OMS__PAYMENT__V1__OPERATION__KIND__REFUND)
            req.operation_id = payment->operations[i]->operation_id;
    req.succeeded = true;
    req.reason = "BANK_TRANSFER";
    get(&s, &staff, "ResolveOperation", &req);
    AWAIT(id, CANCELLED, PAID(REFUNDED));
    world_run(s.world, 5 * SECOND);
    ck_assert_int_eq(OPEN_REFUNDS, 0);
    shop_close(&s);
}
END_TEST

START_TEST(what_staff_pay_back_meanwhile_is_not_asked_for_again)
{
    open_shop(1);
    const char *id = lose("tok_ok");
    Oms__Payment__V1__RefundPaymentRequest req = OMS__PAYMENT__V1__REFUND_PAYMENT_REQUEST__INIT;
    world_outside_down(s.world, "processor", true);
    req.request_id = fresh(&s);
    req.payment_id = payment_of(id)->payment_id;
    req.amount = money(&s, "GBP", 1, 0);
    get(&s, &staff, "RefundPayment", &req);
    cancel_at_once(id);
    world_run(s.world, 20 * SECOND);
    ck_assert_str_eq(explain(id)->owner, "staff");
    world_outside_down(s.world, "processor", false);
    AWAIT(id, CANCELLED, PAID(REFUNDED));
    ck_assert_int_eq(payment_of(id)->refunded->units, 20);
    shop_close(&s);
}
END_TEST

/* --- not there --- */

/* What is to be packed at the location, without so many of its first line; 0: all of it; -1: without anything. */
static void pack_short(const char *order_id, const char *location_id, int64_t missing)
{
    Oms__Shipping__V1__PackFulfillmentRequest *req =
        arena_message(&s.arena, &oms__shipping__v1__pack_fulfillment_request__descriptor);
    const Oms__Shipping__V1__ListFulfillmentsResponse *list = parcels(order_id);
    for (size_t i = 0; i < list->n_fulfillments; i++) {
        Oms__Shipping__V1__Fulfillment *f = list->fulfillments[i];
        if (strcmp(f->location_id, location_id) != 0)
            continue;
        req->fulfillment_id = f->fulfillment_id;
        req->missing = arena_alloc(&s.arena, f->n_lines * sizeof(*req->missing));
        size_t n = missing < 0 ? f->n_lines : missing > 0;
        for (; req->n_missing < n; req->n_missing++) {
            const Oms__Shipping__V1__FulfillmentLine *line = f->lines[req->n_missing];
            Oms__Shipping__V1__PackFulfillmentRequest__Missing *each =
                arena_message(&s.arena, &oms__shipping__v1__pack_fulfillment_request__missing__descriptor);
            each->sku = line->sku;
            each->quantity = missing < 0 ? line->quantity : missing;
            req->missing[req->n_missing] = each;
        }
    }
    req->request_id = fresh(&s);
    get(&s, &depot, "PackFulfillment", req);
    world_run(s.world, 10 * SECOND);
}

static void ship_all(const char *order_id)
{
    const Oms__Shipping__V1__ListFulfillmentsResponse *list = parcels(order_id);
    for (size_t i = 0; i < list->n_fulfillments; i++) {
        if (list->fulfillments[i]->state == OMS__SHIPPING__V1__FULFILLMENT__STATE__ALLOCATED)
            pack_one(list->fulfillments[i]->fulfillment_id);
        if (list->fulfillments[i]->state != OMS__SHIPPING__V1__FULFILLMENT__STATE__SHORT)
            ship_one(list->fulfillments[i]->fulfillment_id);
    }
}

#define SHORTAGES NUMBER(&s, s.notify, "SELECT COUNT(*) FROM alert_case WHERE kind = 1 AND state <> 3")

START_TEST(what_is_not_there_is_cancelled_and_never_captured)
{
    open_shop(1);
    const char *id = place(&(struct basket){ "tok_ok", NULL, 7, 0, 1 })->order_id;
    AWAIT(id, CONFIRMED, .fulfillment_state = SENT_(ALLOCATED));
    pack_short(id, "L1", 2);
    const Order *order = AWAIT(id, CONFIRMED, PAID(AUTHORIZED));
    ck_assert_int_eq(order->lines[0]->cancelled, 2);
    ck_assert_int_eq(SHORTAGES, 1);
    ship_all(id);
    order = AWAIT(id, COMPLETED, PAID(CAPTURED), SENT_(DELIVERED));
    ck_assert_int_eq(order->lines[0]->shipped, 5);
    ck_assert_int_eq(order->captured->units, 53);
    shop_settle(&s);
    ck_assert_int_eq(RESERVED, 0);
    ck_assert_int_eq(ON_HAND, 100);
    ck_assert_int_eq(NUMBER(&s, s.payment, "SELECT COUNT(*) FROM payment WHERE voiding = 2"), 1);
    shop_close(&s);
}
END_TEST

START_TEST(an_order_goes_on_without_a_parcel_of_which_nothing_is_there)
{
    open_shop(1);
    const char *id = place(&(struct basket){ "tok_ok", NULL, 7, 0, 1 })->order_id;
    AWAIT(id, CONFIRMED, .fulfillment_state = SENT_(ALLOCATED));
    pack_short(id, "L2", -1);
    ship_all(id);
    const Order *order = AWAIT(id, COMPLETED, PAID(CAPTURED), SENT_(DELIVERED));
    ck_assert_int_eq(order->lines[0]->shipped, 5);
    ck_assert_int_eq(order->lines[0]->cancelled, 2);
    ck_assert_int_eq(order->captured->units, 53);
    shop_settle(&s);
    ck_assert_int_eq(RESERVED, 0);
    shop_close(&s);
}
END_TEST

START_TEST(an_order_of_which_nothing_is_there_is_cancelled)
{
    open_shop(1);
    const char *id = place(&(struct basket){ "tok_ok", NULL, 7, 0, 1 })->order_id;
    AWAIT(id, CONFIRMED, .fulfillment_state = SENT_(ALLOCATED));
    pack_short(id, "L1", -1);
    pack_short(id, "L2", -1);
    const Order *order = AWAIT(id, CANCELLED, PAID(VOIDED));
    ck_assert_int_eq(order->lines[0]->cancelled, 7);
    shop_settle(&s);
    ck_assert_int_eq(RESERVED, 0);
    ck_assert_int_eq(ON_HAND, 105);
    ck_assert_int_eq(SHORTAGES, 2);
    shop_close(&s);
}
END_TEST

/* Whichever svc-order hears of first: the verdicts on the parcels, or that something is missing. */
START_TEST(a_shortage_and_a_cancel_at_once_count_each_unit_once)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        open_shop(seed);
        const char *id = place(&(struct basket){ "tok_ok", NULL, 7, 0, 1 })->order_id;
        AWAIT(id, CONFIRMED, .fulfillment_state = SENT_(ALLOCATED));
        CancelOrderRequest req = OMS__ORDER__V1__CANCEL_ORDER_REQUEST__INIT;
        req.request_id = fresh(&s);
        req.order_id = (char *)id;
        world_partition(s.world, s.order, s.shipping, 20 * SECOND);
        pack_short(id, seed % 2 ? "L1" : "L2", seed % 4 < 2 ? -1 : 1);
        get(&s, &anna, "CancelOrder", &req);
        AWAIT(id, CANCELLED, PAID(VOIDED));
        shop_settle(&s);
        world_run(s.world, MINUTE);
        ck_assert_int_eq(NUMBER(&s, s.order, "SELECT SUM(cancelled) FROM order_line WHERE stocked = 1"), 7);
        ck_assert_int_eq(NUMBER(&s, s.order, "SELECT parcels + parcels_open FROM sales_order"), 0);
        ck_assert_int_eq(RESERVED, 0);
        shop_close(&s);
    }
}
END_TEST

/* The parcel of nothing stays, the other has left: nothing of what has left is released for it. */
START_TEST(a_cancel_told_of_a_parcel_of_nothing_releases_nothing)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        open_shop(seed);
        const char *id = place(&(struct basket){ "tok_ok", NULL, 7, 0, 1 })->order_id;
        AWAIT(id, CONFIRMED, .fulfillment_state = SENT_(ALLOCATED));
        CancelOrderRequest req = OMS__ORDER__V1__CANCEL_ORDER_REQUEST__INIT;
        req.request_id = fresh(&s);
        req.order_id = (char *)id;
        pack_short(id, "L1", 0);
        world_partition(s.world, s.order, s.shipping, 20 * SECOND);
        pack_short(id, "L2", -1);
        ship_all(id);
        get(&s, &anna, "CancelOrder", &req);
        AWAIT(id, COMPLETED, .fulfillment_state = SENT_(DELIVERED));
        shop_settle(&s);
        ck_assert_int_eq(NUMBER(&s, s.order, "SELECT SUM(shipped) FROM order_line WHERE stocked = 1"), 5);
        ck_assert_int_eq(RESERVED, 0);
        ck_assert_int_eq(ON_HAND, 100);
        shop_close(&s);
    }
}
END_TEST

/* --- somebody else's --- */

static const struct caller stranger = { ROLE_BIT(MESH__V1__ROLE__SERVICE), "svc-gifts" };

/* Another service sends a parcel in the name of an order. */
static void send_foreign_parcel(const char *order_id, const char *location_id, int32_t line_place)
{
    CreateFulfillmentRequest req = OMS__SHIPPING__V1__CREATE_FULFILLMENT_REQUEST__INIT;
    Share share = OMS__SHIPPING__V1__CREATE_FULFILLMENT_REQUEST__SHARE__INIT;
    FulfillmentLine line = OMS__SHIPPING__V1__FULFILLMENT_LINE__INIT;
    Share *shares[] = { &share };
    FulfillmentLine *lines[] = { &line };
    line.sku = "CUP";
    line.place = line_place;
    line.quantity = 2;
    share.location_id = (char *)location_id;
    share.lines = lines;
    share.n_lines = 1;
    req.request_id = fresh(&s);
    req.order_id = (char *)order_id;
    req.shares = shares;
    req.n_shares = 1;
    get(&s, &stranger, "CreateFulfillment", &req);
    WRITE(&s, s.shipping,
          "INSERT INTO shipment_address (order_id, subject, name, street1, street2, street3, street4, city, "
          "postal_code, country) SELECT DISTINCT order_id, order_id, '', '', '', '', '', 'York', '', '' FROM "
          "fulfillment WHERE TRUE ON CONFLICT (order_id) DO NOTHING");
    send_parcels(order_id, location_id);
}

START_TEST(a_parcel_that_svc_order_has_not_asked_for_is_none_of_the_orders)
{
    open_shop(1);
    const char *id = place(&(struct basket){ "tok_ok", NULL, 2, 0, 0 })->order_id;
    AWAIT(id, CONFIRMED, .fulfillment_state = SENT_(ALLOCATED));
    send_foreign_parcel(id, "L8", 0);
    send_foreign_parcel(id, "L9", 7);
    send_foreign_parcel("ord_nobodys", "L9", 0);
    const Order *order = AWAIT(id, CONFIRMED, PAID(AUTHORIZED), SENT_(ALLOCATED));
    ck_assert_int_eq(order->lines[0]->shipped, 0);
    send_parcels(id, "L1");
    order = AWAIT(id, COMPLETED, PAID(CAPTURED), SENT_(DELIVERED));
    ck_assert_int_eq(order->lines[0]->shipped, 2);
    ck_assert_int_eq(order->captured->units, 20);
    shop_settle(&s);
    ck_assert_int_eq(ON_HAND, 103);
    shop_close(&s);
}
END_TEST

static void pay_foreign(const char *order_id, const char *token)
{
    AuthorizePaymentRequest req = OMS__PAYMENT__V1__AUTHORIZE_PAYMENT_REQUEST__INIT;
    req.request_id = fresh(&s);
    req.order_id = (char *)order_id;
    req.amount = money(&s, "GBP", 1, 0);
    req.payment_token = (char *)token;
    get(&s, &stranger, "AuthorizePayment", &req);
    world_run(s.world, 5 * SECOND);
}

START_TEST(a_payment_that_svc_order_has_not_asked_for_is_none_of_the_orders)
{
    open_shop(1);
    const char *id = place(&(struct basket){ NULL, NULL, 1, 0, 0 })->order_id;
    AWAIT(id, CONFIRMED, PAID(ON_ACCOUNT), SENT_(ALLOCATED));
    pay_foreign(id, "tok_declined");
    pay_foreign(id, "tok_ok");
    pay_foreign("ord_nobodys", "tok_ok");
    AWAIT(id, CONFIRMED, PAID(ON_ACCOUNT), SENT_(ALLOCATED));
    const char *paid = place(&(struct basket){ "tok_ok", NULL, 1, 0, 0 })->order_id;
    AWAIT(paid, CONFIRMED, PAID(AUTHORIZED));
    shop_close(&s);
}
END_TEST

SUITE("life", 120, an_order_is_paid_when_it_ships_and_completed_when_it_is_there,
      each_parcel_is_captured_when_it_leaves_and_postage_with_the_first, what_needs_no_parcel_is_captured_at_once,
      a_customer_who_proves_himself_has_his_order, a_declined_card_rejects_the_order_and_gives_the_stock_back,
      who_never_proves_himself_loses_the_order, a_processor_that_never_answers_is_asked_again_until_it_does,
      an_order_whose_payment_stays_unknown_ends_and_is_voided_later,
      a_capture_that_is_refused_is_told_and_the_order_waits_for_staff,
      an_order_that_has_not_left_is_cancelled_and_voided, an_order_that_is_still_pending_is_cancelled,
      what_has_left_goes_on_and_the_rest_is_cancelled, a_lost_parcel_is_given_up_by_staff_and_paid_back,
      only_the_owner_and_staff_may_cancel_or_ask, stuck_orders_are_listed_the_longest_first,
      a_refund_that_is_refused_is_a_case_of_staff_until_it_was_made_another_way,
      what_staff_pay_back_meanwhile_is_not_asked_for_again, what_is_not_there_is_cancelled_and_never_captured,
      an_order_goes_on_without_a_parcel_of_which_nothing_is_there, an_order_of_which_nothing_is_there_is_cancelled,
      a_shortage_and_a_cancel_at_once_count_each_unit_once, a_cancel_told_of_a_parcel_of_nothing_releases_nothing,
      a_parcel_that_svc_order_has_not_asked_for_is_none_of_the_orders,
      a_payment_that_svc_order_has_not_asked_for_is_none_of_the_orders)
