/* Packing and shipping, what the carrier makes of it, and races with a cancel. */
#include "tests/suite.h"
#include "tests/svc-shipping/yard.h"

#include <string.h>

static struct shop s;

#define EVENTS(type) NUMBER(&s, s.shipping, "SELECT COUNT(*) FROM event_log WHERE type = " #type)
enum { SECOND = 1000000 };

static const char *legal_of(const struct asked *a)
{
    return rpc_status_meta(&s.arena, &a->status, "legal");
}

/* --- one after the other --- */

START_TEST(a_parcel_is_packed_labelled_shipped_and_delivered)
{
    yard_open(&s, 1);
    const char *id = create(&s, order_to(&s, "York"));
    const Fulfillment *f = packed(&s, id);
    ck_assert_int_eq(f->state, FULFILLMENT_STATE(PACKED));
    ck_assert_int_eq(f->version, 2);
    ck_assert_int_eq(f->n_lines, 2);
    await_label(&s, id);
    ck_assert_int_eq(EVENTS(51), 1);
    f = shipped(&s, id);
    ck_assert_int_eq(f->state, FULFILLMENT_STATE(SHIPPED));
    ck_assert_int_eq(strncmp(f->tracking_number, "SB", 2), 0);
    ck_assert_int_gt(f->promise_time_us, f->create_time_us);
    await_state(&s, id, FULFILLMENT_STATE(DELIVERED));
    ck_assert_str_eq(tracking_of(&s, id), "HANDED_OVER IN_TRANSIT DELIVERED");
    ck_assert_str_eq(book_says(&s, id), "HANDED_OVER");
    ck_assert_int_eq(NUMBER(&s, s.shipping, "SELECT COUNT(*) FROM event_log WHERE type BETWEEN 50 AND 59"), 5);
    ck_assert_int_eq(EVENTS(52), 1);
    ck_assert_int_eq(EVENTS(53), 1);
    ck_assert_int_eq(EVENTS(55), 1);
    ck_assert_int_eq(NUMBER(&s, s.shipping, "SELECT weight_grams FROM fulfillment"), 750);
    shop_close(&s);
}
END_TEST

START_TEST(what_an_order_has_reserved_leaves_from_where_it_was_reserved)
{
    yard_open(&s, 1);
    upsert(&s, product(&s, "CUP", 1, 0));
    stock(&s, "CUP", "L1", 1);
    stock(&s, "CUP", "L2", 5);
    shop_settle(&s);
    Oms__Order__V1__PlaceOrderRequest req = OMS__ORDER__V1__PLACE_ORDER_REQUEST__INIT;
    Oms__Order__V1__PlaceOrderRequest__Line line = OMS__ORDER__V1__PLACE_ORDER_REQUEST__LINE__INIT,
                                            *lines[] = { &line };
    line.sku = "CUP";
    line.quantity = 3;
    req.request_id = fresh(&s);
    req.customer_id = "cus_anna";
    req.lines = lines;
    req.n_lines = 1;
    req.currency_code = "GBP";
    get(&s, &erp, "PlaceOrder", &req);
    world_run(s.world, 3 * SECOND);
    ck_assert_int_eq(NUMBER(&s, s.shipping,
                            "SELECT COUNT(*) FROM fulfillment f JOIN fulfillment_line l USING (fulfillment_id) "
                            "WHERE (location_id, quantity) IN (('L1', 1), ('L2', 2)) AND customer_id = 'cus_anna'"),
                     2);
    shop_close(&s);
}
END_TEST

START_TEST(what_is_packed_before_its_address_has_come_is_labelled_when_it_has)
{
    yard_open(&s, 1);
    const char *order = order_to(&s, "York");
    world_partition(s.world, s.shipping, s.order, 20 * (int64_t)SECOND);
    const char *id = create(&s, order);
    ck_assert_int_eq(try_pack(&s, id)->code, RPC_OK);
    world_run(s.world, 10 * (int64_t)SECOND);
    ck_assert_int_eq(fulfillment_of(&s, id)->state, FULFILLMENT_STATE(PACKED));
    ck_assert_uint_eq(book_parcels(&s), 0);
    shipped(&s, id);
    ck_assert_uint_eq(book_parcels(&s), 1);
    shop_close(&s);
}
END_TEST

START_TEST(two_that_are_packed_at_once_are_both_labelled)
{
    yard_open(&s, 1);
    const CreateFulfillmentResponse *both =
        get(&s, &order_process, "CreateFulfillment", shares_of(&s, order_to(&s, "York"), 2));
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(try_pack(&s, both->fulfillment_ids[i])->code, RPC_OK);
    for (int i = 0; i < 2; i++)
        shipped(&s, both->fulfillment_ids[i]);
    ck_assert_uint_eq(book_parcels(&s), 2);
    shop_close(&s);
}
END_TEST

START_TEST(who_packs_may_wait_for_the_label_or_its_refusal)
{
    yard_open(&s, 1);
    const struct asked *a = try_pack_and_wait(&s, create(&s, order_to(&s, "Silentham")));
    ck_assert_int_eq(a->code, RPC_OK);
    const Fulfillment *f = ((FulfillmentResponse *)a->reply)->fulfillment;
    ck_assert_int_eq(f->state, FULFILLMENT_STATE(PACKED));
    ck_assert_str_ne(f->tracking_number, "");
    ck_assert_int_eq(try_ship(&s, f->fulfillment_id)->code, RPC_OK);
    a = try_pack_and_wait(&s, create(&s, order_to(&s, "Refusal")));
    ck_assert_int_eq(a->code, RPC_OK);
    ck_assert_str_eq(((FulfillmentResponse *)a->reply)->fulfillment->exception, "ADDRESS_REFUSED");
    shop_close(&s);
}
END_TEST

/* --- shortages --- */

START_TEST(a_parcel_goes_without_what_is_missing)
{
    yard_open(&s, 1);
    const char *id = create(&s, order_to(&s, "York"));
    const struct asked *a = try_pack_without(&s, id, (int64_t[]){ 1, 1 });
    ck_assert_int_eq(a->code, RPC_OK);
    const Fulfillment *told[] = { ((FulfillmentResponse *)a->reply)->fulfillment, fulfillment_of(&s, id) };
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(told[i]->state, FULFILLMENT_STATE(PACKED));
        ck_assert_uint_eq(told[i]->n_lines, 1);
        ck_assert_str_eq(told[i]->lines[0]->sku, "S1");
        ck_assert_int_eq(told[i]->lines[0]->quantity, 1);
        ck_assert_uint_eq(told[i]->n_missing, 2);
        ck_assert_str_eq(told[i]->missing[0]->sku, "S0");
        ck_assert_str_eq(told[i]->missing[1]->sku, "S1");
        ck_assert_int_eq(told[i]->missing[1]->quantity, 1);
    }
    ck_assert_int_eq(EVENTS(60), 1);
    shipped(&s, id);
    await_state(&s, id, FULFILLMENT_STATE(DELIVERED));
    shop_close(&s);
}
END_TEST

START_TEST(a_parcel_of_which_nothing_is_there_ends_and_the_carrier_is_not_asked)
{
    yard_open(&s, 1);
    CreateFulfillmentRequest *req = shares_of(&s, order_to(&s, "York"), 1);
    const char *id =
        ((CreateFulfillmentResponse *)get(&s, &order_process, "CreateFulfillment", req))->fulfillment_ids[0];
    int64_t before_us = world_now(s.world);
    ck_assert_int_eq(try_pack_without(&s, id, (int64_t[]){ 1, 2 })->code, RPC_OK);
    ck_assert_int_lt(world_now(s.world) - before_us, SECOND); /* for no label, that is */
    world_run(s.world, 30 * (int64_t)SECOND);
    ck_assert_int_eq(fulfillment_of(&s, id)->state, FULFILLMENT_STATE(SHORT));
    ck_assert_int_eq(EVENTS(60), 1);
    ck_assert_str_eq(book_says(&s, id), "");
    ck_refused(try_ship(&s, id), RPC_FAILED_PRECONDITION, "FULFILLMENT_STATE", "");
    ck_refused(try_pack(&s, id), RPC_FAILED_PRECONDITION, "FULFILLMENT_STATE", "");
    const CancelFulfillmentResponse *cancelled = cancel(&s, req->request_id);
    ck_assert(!cancelled->verdicts[0]->too_late);
    ck_assert_uint_eq(cancelled->verdicts[0]->n_lines, 0);
    shop_close(&s);
}
END_TEST

START_TEST(no_more_is_missing_than_was_to_be_packed)
{
    yard_open(&s, 1);
    const char *id = create(&s, order_to(&s, "York"));
    ck_refused(try_pack_without(&s, id, (int64_t[]){ 0, 3 }), RPC_INVALID_ARGUMENT, "NOT_IN_PARCEL",
               "missing[0].quantity");
    ck_refused(try_pack_without(&s, id, (int64_t[]){ 2, 0 }), RPC_INVALID_ARGUMENT, "NOT_IN_PARCEL",
               "missing[0].quantity");
    ck_assert_int_eq(fulfillment_of(&s, id)->state, FULFILLMENT_STATE(ALLOCATED));
    ck_assert_uint_eq(fulfillment_of(&s, id)->n_missing, 0);
    shop_close(&s);
}
END_TEST

/* --- the label --- */

START_TEST(nothing_is_shipped_before_its_label_has_come)
{
    yard_open(&s, 1);
    const char *id = create(&s, order_to(&s, "York"));
    world_outside_down(s.world, "carrier", true);
    packed(&s, id);
    ck_refused(try_ship(&s, id), RPC_FAILED_PRECONDITION, "LABEL_NOT_THERE", "");
    world_run(s.world, 60 * (int64_t)SECOND);
    ck_assert_int_eq(EVENTS(51), 0);
    world_outside_down(s.world, "carrier", false);
    shipped(&s, id);
    shop_close(&s);
}
END_TEST

START_TEST(what_cannot_be_asked_is_refused_saying_what_can)
{
    yard_open(&s, 1);
    const char *id = create(&s, order_to(&s, "York"));
    const struct asked *a = try_ship(&s, id);
    ck_refused(a, RPC_FAILED_PRECONDITION, "FULFILLMENT_STATE", "");
    ck_assert_str_eq(legal_of(a), "pack, cancel");
    packed(&s, id);
    a = try_pack(&s, id);
    ck_refused(a, RPC_FAILED_PRECONDITION, "FULFILLMENT_STATE", "");
    ck_assert_str_eq(legal_of(a), "cancel");
    await_label(&s, id);
    ck_assert_str_eq(legal_of(try_pack(&s, id)), "ship, cancel");
    shipped(&s, id);
    ck_assert_str_eq(legal_of(try_ship(&s, id)), "nothing");
    ck_assert_int_eq(EVENTS(52), 1);
    shop_close(&s);
}
END_TEST

START_TEST(only_a_warehouse_packs_and_ships)
{
    yard_open(&s, 1);
    const char *id = create(&s, order_to(&s, "York"));
    PackFulfillmentRequest req = OMS__SHIPPING__V1__PACK_FULFILLMENT_REQUEST__INIT;
    req.request_id = fresh(&s);
    req.fulfillment_id = (char *)id;
    ck_assert_int_eq(ask(&s, &anna, "PackFulfillment", &req)->code, RPC_PERMISSION_DENIED);
    ck_assert_int_eq(ask(&s, &staff, "PackFulfillment", &req)->code, RPC_PERMISSION_DENIED);
    shop_close(&s);
}
END_TEST

/* --- what the carrier makes of it --- */

START_TEST(an_address_that_the_carrier_refuses_is_an_exception_that_can_be_cancelled)
{
    yard_open(&s, 1);
    CreateFulfillmentRequest *req = shares_of(&s, order_to(&s, "Refusal"), 1);
    const char *id =
        ((CreateFulfillmentResponse *)get(&s, &order_process, "CreateFulfillment", req))->fulfillment_ids[0];
    packed(&s, id);
    await_label(&s, id);
    const Fulfillment *f = fulfillment_of(&s, id);
    ck_assert_int_eq(f->state, FULFILLMENT_STATE(EXCEPTION));
    ck_assert_str_eq(f->exception, "ADDRESS_REFUSED");
    ck_assert_int_eq(EVENTS(59), 1);
    ck_refused(try_ship(&s, id), RPC_FAILED_PRECONDITION, "FULFILLMENT_STATE", "");
    ck_assert(!cancel(&s, req->request_id)->verdicts[0]->too_late);
    f = fulfillment_of(&s, id);
    ck_assert_int_eq(f->state, FULFILLMENT_STATE(CANCELLED));
    ck_assert_str_eq(f->exception, "");
    shop_close(&s);
}
END_TEST

/* Errorby answers 503, Silentham does it and drops the answer; either way it is asked again under the same key. */
START_TEST(a_carrier_that_fails_or_is_silent_gives_one_label)
{
    yard_open(&s, 1);
    const char *ids[] = { create(&s, order_to(&s, "Errorby")), create(&s, order_to(&s, "Silentham")) };
    for (int i = 0; i < 2; i++)
        packed(&s, ids[i]);
    for (int i = 0; i < 2; i++) {
        shipped(&s, ids[i]);
        await_state(&s, ids[i], FULFILLMENT_STATE(DELIVERED));
    }
    ck_assert_int_eq(book_parcels(&s), 2);
    ck_assert_int_eq(EVENTS(51), 2);
    shop_close(&s);
}
END_TEST

/* --- races --- */

START_TEST(a_label_that_comes_after_the_cancel_is_withdrawn)
{
    yard_open(&s, 1);
    CreateFulfillmentRequest *req = shares_of(&s, order_to(&s, "Silentham"), 1);
    const char *id =
        ((CreateFulfillmentResponse *)get(&s, &order_process, "CreateFulfillment", req))->fulfillment_ids[0];
    packed(&s, id);
    for (int i = 0; strcmp(book_says(&s, id), "LABELLED") != 0; i++) {
        ck_assert_int_lt(i, 100000);
        world_step(s.world);
    }
    ck_assert(!cancel(&s, req->request_id)->verdicts[0]->too_late);
    world_run(s.world, 60 * (int64_t)SECOND);
    const Fulfillment *f = fulfillment_of(&s, id);
    ck_assert_int_eq(f->state, FULFILLMENT_STATE(CANCELLED));
    ck_assert_str_eq(f->tracking_number, "");
    ck_assert_int_eq(EVENTS(51), 0);
    ck_assert_str_eq(book_says(&s, id), "CANCELLED");
    ck_assert_int_eq(NUMBER(&s, s.shipping, "SELECT COUNT(*) FROM outbox WHERE destination = 'carrier'"), 0);
    shop_close(&s);
}
END_TEST

/* The carrier learns of the cancel only, as nothing else was ever said. */
START_TEST(a_label_that_was_never_asked_for_is_not_asked_for_any_more)
{
    yard_open(&s, 1);
    CreateFulfillmentRequest *req = shares_of(&s, order_to(&s, "York"), 1);
    const char *id =
        ((CreateFulfillmentResponse *)get(&s, &order_process, "CreateFulfillment", req))->fulfillment_ids[0];
    world_outside_down(s.world, "carrier", true);
    packed(&s, id);
    cancel(&s, req->request_id);
    world_run(s.world, 30 * (int64_t)SECOND); /* what was on its way has been refused */
    world_outside_down(s.world, "carrier", false);
    world_run(s.world, 60 * (int64_t)SECOND);
    ck_assert_str_eq(book_says(&s, id), "CANCELLED");
    ck_assert_int_eq(book_parcels(&s), 0);
    shop_close(&s);
}
END_TEST

/* Ship and cancel begin together, in every order and interleaving: one of them wins, and everybody knows which. */
START_TEST(the_row_decides_between_shipping_and_cancelling)
{
    int wins[2] = { 0 };
    for (uint64_t seed = 1; seed <= 40; seed++) {
        yard_open(&s, seed);
        CreateFulfillmentRequest *req = shares_of(&s, order_to(&s, "York"), 1);
        const char *id =
            ((CreateFulfillmentResponse *)get(&s, &order_process, "CreateFulfillment", req))->fulfillment_ids[0];
        packed(&s, id);
        await_label(&s, id);
        ShipFulfillmentRequest go = OMS__SHIPPING__V1__SHIP_FULFILLMENT_REQUEST__INIT;
        CancelFulfillmentRequest stop = OMS__SHIPPING__V1__CANCEL_FULFILLMENT_REQUEST__INIT;
        go.request_id = fresh(&s);
        go.fulfillment_id = (char *)id;
        stop.request_id = fresh(&s);
        stop.operation_id = req->request_id;
        struct asked *a = ask_begin(&s, &depot, "ShipFulfillment", &go);
        struct asked *b = ask_begin(&s, &order_process, "CancelFulfillment", &stop);
        ask_end(a);
        ask_end(b);
        bool shipped_first = a->code == RPC_OK;
        ck_assert_int_eq(b->code, RPC_OK);
        ck_assert_int_eq(((CancelFulfillmentResponse *)b->reply)->verdicts[0]->too_late, shipped_first);
        wins[shipped_first]++;
        world_run(s.world, 10 * (int64_t)SECOND);
        ck_assert_int_eq(fulfillment_of(&s, id)->state,
                         shipped_first ? FULFILLMENT_STATE(DELIVERED) : FULFILLMENT_STATE(CANCELLED));
        ck_assert_str_eq(book_says(&s, id), shipped_first ? "HANDED_OVER" : "CANCELLED");
        ck_assert_int_eq(EVENTS(52) + EVENTS(58), 1);
        shop_close(&s);
    }
    ck_assert_int_gt(wins[false], 0);
    ck_assert_int_gt(wins[true], 0);
}
END_TEST

SUITE("warehouse", 120, a_parcel_is_packed_labelled_shipped_and_delivered,
      what_an_order_has_reserved_leaves_from_where_it_was_reserved,
      what_is_packed_before_its_address_has_come_is_labelled_when_it_has, two_that_are_packed_at_once_are_both_labelled,
      who_packs_may_wait_for_the_label_or_its_refusal, a_parcel_goes_without_what_is_missing,
      a_parcel_of_which_nothing_is_there_ends_and_the_carrier_is_not_asked, no_more_is_missing_than_was_to_be_packed,
      nothing_is_shipped_before_its_label_has_come, what_cannot_be_asked_is_refused_saying_what_can,
      only_a_warehouse_packs_and_ships, an_address_that_the_carrier_refuses_is_an_exception_that_can_be_cancelled,
      a_carrier_that_fails_or_is_silent_gives_one_label, a_label_that_comes_after_the_cancel_is_withdrawn,
      a_label_that_was_never_asked_for_is_not_asked_for_any_more, the_row_decides_between_shipping_and_cancelling)
