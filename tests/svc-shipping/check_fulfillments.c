/* Creating fulfilments, undoing it, and reading them. */
#include "tests/suite.h"
#include "tests/svc-shipping/yard.h"

#include <string.h>

static struct shop s;

#define EVENTS(type) NUMBER(&s, s.shipping, "SELECT COUNT(*) FROM event_log WHERE type = " #type)
#define STORED \
    NUMBER(&s, s.shipping, \
           "SELECT (SELECT COUNT(*) FROM fulfillment) + (SELECT COUNT(*) FROM fulfillment_line) + " \
           "(SELECT COUNT(*) FROM event_log) + (SELECT COUNT(*) FROM outbox WHERE destination <> '')")

/* --- creating --- */

START_TEST(each_share_becomes_a_fulfilment_that_is_told)
{
    yard_open(&s, 1);
    const char *order = order_to(&s, "York");
    const CreateFulfillmentResponse *made = get(&s, &order_process, "CreateFulfillment", shares_of(&s, order, 3));
    ck_assert_int_eq(made->n_fulfillment_ids, 3);
    const Fulfillment *f = fulfillment_of(&s, made->fulfillment_ids[1]);
    ck_assert_int_eq(f->state, FULFILLMENT_STATE(ALLOCATED));
    ck_assert_str_eq(f->order_id, order);
    ck_assert_str_eq(f->customer_id, "cus_anna");
    ck_assert_str_eq(f->location_id, "L2");
    ck_assert_int_eq(f->n_lines, 2);
    ck_assert_str_eq(f->lines[1]->sku, "S3");
    ck_assert_int_eq(f->lines[1]->place, 3);
    ck_assert_int_eq(f->lines[1]->quantity, 4);
    ck_assert_int_eq(f->version, 1);
    ck_assert_int_eq(EVENTS(50), 3);
    ck_assert_int_eq(NUMBER(&s, s.shipping,
                            "SELECT COUNT(*) FROM event_log e WHERE e.type = 50 AND e.owner = 'cus_anna' "
                            "AND e.key = (SELECT MIN(order_id) FROM fulfillment)"),
                     3);
    shop_close(&s);
}
END_TEST

START_TEST(the_same_request_twice_makes_the_same_fulfilments)
{
    yard_open(&s, 1);
    CreateFulfillmentRequest *req = shares_of(&s, order_to(&s, "York"), 2);
    const CreateFulfillmentResponse *first = get(&s, &order_process, "CreateFulfillment", req);
    const CreateFulfillmentResponse *second = get(&s, &order_process, "CreateFulfillment", req);
    ck_assert_str_eq(first->fulfillment_ids[1], second->fulfillment_ids[1]);
    ck_assert_int_eq(NUMBER(&s, s.shipping, "SELECT COUNT(*) FROM fulfillment"), 2);
    shop_close(&s);
}
END_TEST

START_TEST(only_services_create_and_cancel)
{
    yard_open(&s, 1);
    const struct asked *a = ask(&s, &staff, "CreateFulfillment", shares_of(&s, "ord_1", 1));
    ck_assert_int_eq(a->code, RPC_PERMISSION_DENIED);
    ck_assert_int_eq(STORED, 0);
    shop_close(&s);
}
END_TEST

START_TEST(the_address_is_fetched_and_has_a_subject)
{
    yard_open(&s, 1);
    const char *york = create(&s, order_to(&s, "York")), *leeds = create(&s, guest_order_to(&s, "Leeds"));
    world_run(s.world, 2000000);
    ck_assert_int_eq(NUMBER(&s, s.shipping, "SELECT COUNT(*) FROM shipment_address"), 0); /* not before it is wanted */
    packed(&s, york);
    packed(&s, leeds);
    await_label(&s, york);
    await_label(&s, leeds);
    ck_assert_int_eq(NUMBER(&s, s.shipping,
                            "SELECT COUNT(*) FROM shipment_address WHERE city = 'York' AND subject = 'cus_anna' "
                            "AND name = 'Canary Bird' AND street2 = 'Flat 2' AND postal_code = 'CB1 2RD'"),
                     1);
    ck_assert_int_eq(
        NUMBER(&s, s.shipping, "SELECT COUNT(*) FROM shipment_address WHERE city = 'Leeds' AND subject = order_id"), 1);
    shop_close(&s);
}
END_TEST

/* Wherever it could be forgotten when somebody is erased. */
START_TEST(no_canary_flies_outside_of_the_address)
{
    yard_open(&s, 1);
    const char *id = create(&s, order_to(&s, "York"));
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(NUMBER(&s, s.shipping,
                                "SELECT (SELECT COUNT(*) FROM event_log WHERE instr(payload, x'43616e617279') > 0) + "
                                "(SELECT COUNT(*) FROM outbox WHERE instr(request, x'43616e617279') > 0) + "
                                "(SELECT COUNT(*) FROM rpc_request WHERE instr(reply, x'43616e617279') > 0)"),
                         0);
        if (i == 0)
            packed(&s, id);
        if (i == 1)
            shipped(&s, id);
    }
    ck_assert_int_eq(NUMBER(&s, s.shipping, "SELECT COUNT(*) FROM outbox WHERE length(request) > 0") > 0, 1);
    ck_assert_int_eq(NUMBER(&s, s.shipping, "SELECT COUNT(*) FROM shipment_address WHERE instr(name, 'Canary') > 0"),
                     1);
    shop_close(&s);
}
END_TEST

/* --- cancelling --- */

static void ck_verdict(const Verdict *verdict, bool too_late)
{
    ck_assert_int_eq(verdict->too_late, too_late);
    ck_assert_int_eq(verdict->n_lines, 2);
    ck_assert_int_eq(fulfillment_of(&s, verdict->fulfillment_id)->state == FULFILLMENT_STATE(CANCELLED), !too_late);
}

START_TEST(what_has_not_left_is_cancelled_and_what_has_stays)
{
    yard_open(&s, 1);
    CreateFulfillmentRequest *req = shares_of(&s, order_to(&s, "York"), 4);
    const CreateFulfillmentResponse *made = get(&s, &order_process, "CreateFulfillment", req);
    packed(&s, made->fulfillment_ids[1]);
    packed(&s, made->fulfillment_ids[2]);
    await_label(&s, made->fulfillment_ids[2]);
    packed(&s, made->fulfillment_ids[3]);
    shipped(&s, made->fulfillment_ids[3]);

    const CancelFulfillmentResponse *reply = cancel(&s, req->request_id);
    ck_assert_int_eq(reply->n_verdicts, 4);
    for (size_t i = 0; i < 4; i++)
        ck_verdict(reply->verdicts[i], strcmp(reply->verdicts[i]->fulfillment_id, made->fulfillment_ids[3]) == 0);
    ck_assert_int_eq(EVENTS(58), 3);
    world_run(s.world, 5000000);
    ck_assert_str_eq(book_says(&s, made->fulfillment_ids[0]), "");
    ck_assert_str_eq(book_says(&s, made->fulfillment_ids[1]), "CANCELLED");
    ck_assert_str_eq(book_says(&s, made->fulfillment_ids[2]), "CANCELLED");
    ck_assert_str_eq(book_says(&s, made->fulfillment_ids[3]), "HANDED_OVER");
    shop_close(&s);
}
END_TEST

START_TEST(what_was_cancelled_before_is_cancelled_still)
{
    yard_open(&s, 1);
    CreateFulfillmentRequest *req = shares_of(&s, order_to(&s, "York"), 2);
    get(&s, &order_process, "CreateFulfillment", req);
    cancel(&s, req->request_id);
    const CancelFulfillmentResponse *again = cancel(&s, req->request_id);
    ck_assert_int_eq(again->n_verdicts, 2);
    ck_verdict(again->verdicts[0], false);
    ck_assert_int_eq(EVENTS(58), 2);
    shop_close(&s);
}
END_TEST

START_TEST(what_is_cancelled_before_it_comes_is_never_created)
{
    yard_open(&s, 1);
    CreateFulfillmentRequest *req = shares_of(&s, order_to(&s, "York"), 2);
    ck_assert_int_eq(cancel(&s, req->request_id)->n_verdicts, 0);
    ck_refused(ask(&s, &order_process, "CreateFulfillment", req), RPC_FAILED_PRECONDITION, "OPERATION_UNDONE", "");
    ck_assert_int_eq(STORED, 0);
    shop_close(&s);
}
END_TEST

START_TEST(nobody_cancels_what_another_service_has_created)
{
    static const struct caller other = { ROLE_BIT(MESH__V1__ROLE__SERVICE), "svc-other" };
    yard_open(&s, 1);
    CreateFulfillmentRequest *req = shares_of(&s, order_to(&s, "York"), 1);
    get(&s, &order_process, "CreateFulfillment", req);
    CancelFulfillmentRequest undo = OMS__SHIPPING__V1__CANCEL_FULFILLMENT_REQUEST__INIT;
    undo.request_id = fresh(&s);
    undo.operation_id = req->request_id;
    const CancelFulfillmentResponse *reply = get(&s, &other, "CancelFulfillment", &undo);
    ck_assert_int_eq(reply->n_verdicts, 0);
    ck_assert_int_eq(NUMBER(&s, s.shipping, "SELECT COUNT(*) FROM fulfillment WHERE standing = 1"), 1);
    shop_close(&s);
}
END_TEST

/* --- reading --- */

START_TEST(a_customer_sees_his_own_only)
{
    yard_open(&s, 1);
    const char *id = create(&s, order_to(&s, "York"));
    packed(&s, id);
    await_label(&s, id);
    GetFulfillmentRequest one = OMS__SHIPPING__V1__GET_FULFILLMENT_REQUEST__INIT;
    TrackRequest track = OMS__SHIPPING__V1__TRACK_REQUEST__INIT;
    ListFulfillmentsRequest all = OMS__SHIPPING__V1__LIST_FULFILLMENTS_REQUEST__INIT;
    const Fulfillment *f = fulfillment_of(&s, id);
    one.fulfillment_id = (char *)id;
    track.tracking_number = f->tracking_number;
    ck_refused(ask(&s, &bert, "GetFulfillment", &one), RPC_NOT_FOUND, "FULFILLMENT_NOT_FOUND", "");
    ck_refused(ask(&s, &bert, "Track", &track), RPC_NOT_FOUND, "SHIPMENT_NOT_FOUND", "");
    ck_assert_int_eq(((ListFulfillmentsResponse *)get(&s, &bert, "ListFulfillments", &all))->n_fulfillments, 0);
    all.order_id = f->order_id;
    ck_assert_int_eq(((ListFulfillmentsResponse *)get(&s, &bert, "ListFulfillments", &all))->n_fulfillments, 0);
    ck_assert_int_eq(((ListFulfillmentsResponse *)get(&s, &anna, "ListFulfillments", &all))->n_fulfillments, 1);
    ck_assert_str_eq(((FulfillmentResponse *)get(&s, &anna, "GetFulfillment", &one))->fulfillment->fulfillment_id, id);
    ck_assert_str_eq(((FulfillmentResponse *)get(&s, &anna, "Track", &track))->fulfillment->fulfillment_id, id);
    shop_close(&s);
}
END_TEST

START_TEST(what_there_is_not_is_not_found)
{
    yard_open(&s, 1);
    create(&s, order_to(&s, "York"));
    TrackRequest track = OMS__SHIPPING__V1__TRACK_REQUEST__INIT;
    track.tracking_number = "SB404";
    ck_refused(ask(&s, &staff, "Track", &track), RPC_NOT_FOUND, "SHIPMENT_NOT_FOUND", "");
    ck_refused(try_pack(&s, "ful_404"), RPC_NOT_FOUND, "FULFILLMENT_NOT_FOUND", "");
    ck_refused(try_ship(&s, "ful_404"), RPC_NOT_FOUND, "FULFILLMENT_NOT_FOUND", "");
    shop_close(&s);
}
END_TEST

/* Page by page; how many there are, each once and in order. */
static int listed(const struct caller *who, ListFulfillmentsRequest *req)
{
    const char *last = "";
    int n = 0;
    req->page_size = 2;
    req->page_token = "";
    do {
        const ListFulfillmentsResponse *page = get(&s, who, "ListFulfillments", req);
        ck_assert_int_le(page->n_fulfillments, 2);
        for (size_t i = 0; i < page->n_fulfillments; i++, n++) {
            ck_assert_int_lt(strcmp(last, page->fulfillments[i]->fulfillment_id), 0);
            ck_assert_int_eq(page->fulfillments[i]->n_lines, 2);
            last = page->fulfillments[i]->fulfillment_id;
        }
        req->page_token = page->next_page_token;
    } while (req->page_token[0]);
    return n;
}

START_TEST(lists_are_by_order_location_and_state_and_page_by_page)
{
    yard_open(&s, 1);
    const char *orders[2];
    for (int i = 0; i < 2; i++) {
        orders[i] = order_to(&s, "York");
        const CreateFulfillmentResponse *made =
            get(&s, &order_process, "CreateFulfillment", shares_of(&s, orders[i], 5));
        packed(&s, made->fulfillment_ids[0]);
    }
    ListFulfillmentsRequest req = OMS__SHIPPING__V1__LIST_FULFILLMENTS_REQUEST__INIT;
    ck_assert_int_eq(listed(&staff, &req), 10);
    ck_assert_int_eq(listed(&anna, &req), 10);
    req.location_id = "L1";
    ck_assert_int_eq(listed(&staff, &req), 6);
    req.state = FULFILLMENT_STATE(ALLOCATED);
    ck_assert_int_eq(listed(&depot, &req), 4);
    ck_assert_int_eq(listed(&anna, &req), 4);
    req.state = FULFILLMENT_STATE(PACKED);
    ck_assert_int_eq(listed(&depot, &req), 2);
    req.order_id = (char *)orders[1];
    ck_assert_int_eq(listed(&depot, &req), 1);
    req.location_id = "";
    req.state = FULFILLMENT_STATE(ALLOCATED);
    ck_assert_int_eq(listed(&anna, &req), 4);
    req.state = FULFILLMENT_STATE(DELIVERED);
    req.order_id = "";
    ck_assert_int_eq(listed(&staff, &req), 0);
    shop_close(&s);
}
END_TEST

/* Each page looks at so many: before what is sought, some are empty. */
START_TEST(a_list_goes_through_very_many_others_in_pages)
{
    yard_open(&s, 1);
    const CreateFulfillmentResponse *made =
        get(&s, &order_process, "CreateFulfillment", shares_of(&s, order_to(&s, "York"), 1));
    packed(&s, made->fulfillment_ids[0]);
    WRITE(
        &s, s.shipping,
        "INSERT INTO fulfillment (fulfillment_id, holder, operation_id, order_id, customer_id, location_id, standing, "
        "lines, weight_grams, carrier, tracking_number, promise_time_us, delayed, exception, create_time_us, "
        "update_time_us, version) SELECT printf('a%d', n.i), holder, operation_id, order_id, customer_id, "
        "location_id, 7, lines, weight_grams, carrier, '', promise_time_us, delayed, exception, create_time_us, "
        "update_time_us, version FROM fulfillment f CROSS JOIN "
        "(WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2500) SELECT i FROM n) n");
    int pages = 0, found = 0;
    ListFulfillmentsRequest req = OMS__SHIPPING__V1__LIST_FULFILLMENTS_REQUEST__INIT;
    req.state = FULFILLMENT_STATE(PACKED);
    do {
        const ListFulfillmentsResponse *page = get(&s, &staff, "ListFulfillments", &req);
        found += (int)page->n_fulfillments;
        pages++;
        req.page_token = page->next_page_token;
    } while (req.page_token[0]);
    ck_assert_int_eq(found, 1);
    ck_assert_int_eq(pages, 3);
    shop_close(&s);
}
END_TEST

START_TEST(a_page_token_is_of_one_list)
{
    yard_open(&s, 1);
    get(&s, &order_process, "CreateFulfillment", shares_of(&s, order_to(&s, "York"), 3));
    ListFulfillmentsRequest req = OMS__SHIPPING__V1__LIST_FULFILLMENTS_REQUEST__INIT;
    req.page_size = 1;
    req.page_token = ((ListFulfillmentsResponse *)get(&s, &staff, "ListFulfillments", &req))->next_page_token;
    req.location_id = "L1";
    ck_refused(ask(&s, &staff, "ListFulfillments", &req), RPC_INVALID_ARGUMENT, "PAGE_TOKEN_INVALID", "page_token");
    shop_close(&s);
}
END_TEST

SUITE("fulfillments", 60, each_share_becomes_a_fulfilment_that_is_told,
      the_same_request_twice_makes_the_same_fulfilments, only_services_create_and_cancel,
      the_address_is_fetched_and_has_a_subject, no_canary_flies_outside_of_the_address,
      what_has_not_left_is_cancelled_and_what_has_stays, what_was_cancelled_before_is_cancelled_still,
      what_is_cancelled_before_it_comes_is_never_created, nobody_cancels_what_another_service_has_created,
      a_customer_sees_his_own_only, what_there_is_not_is_not_found,
      lists_are_by_order_location_and_state_and_page_by_page, a_list_goes_through_very_many_others_in_pages,
      a_page_token_is_of_one_list)
