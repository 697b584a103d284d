/* What is understood of a carrier's answers: what is no answer is asked again, and nothing personal comes in by them.
 */
#include "svc-shipping/shipping.h"
#include "tests/suite.h"

#include <stdio.h>
#include <string.h>

static struct arena arena;

static const struct deliverer *deliverer_of(const char *method)
{
    for (const struct deliverer *d = shipping_deliverers; d->method; d++) {
        if (strcmp(d->method, method) == 0)
            return d;
    }
    ck_abort_msg("%s?", method);
}

static enum rpc_code understand(const char *method, int status, const char *body, const void *request, void **ret_reply)
{
    const struct deliverer *d = deliverer_of(method);
    arena_init(&arena, 1 << 20);
    *ret_reply = arena_message(&arena, d->reply);
    return d->outside->understand(&arena, status, (struct bytes){ (const uint8_t *)body, strlen(body) }, request,
                                  *ret_reply);
}

/* --- labels --- */

static enum rpc_code label(int status, const char *body, const CarrierLabel **ret_label)
{
    void *reply;
    CarrierRequest request = OMS__SHIPPING__V1__CARRIER_REQUEST__INIT;
    enum rpc_code code = understand("/carrier/ship", status, body, &request, &reply);
    *ret_label = reply;
    return code;
}

START_TEST(a_label_has_a_number_and_a_promise)
{
    const CarrierLabel *l;
    ck_assert_int_eq(label(200, "{\"tracking_number\":\"SB1\",\"label\":\"x\",\"promise_time_us\":12}", &l), RPC_OK);
    ck_assert_str_eq(l->tracking_number, "SB1");
    ck_assert_int_eq(l->promise_time_us, 12);
    ck_assert_str_eq(l->refused, "");
    arena_finish(&arena);
}
END_TEST

START_TEST(what_is_no_label_is_asked_for_again)
{
    static const struct {
        int status;
        const char *body;
    } answers[] = {
        { 200, "" },
        { 200, "{" },
        { 200, "[]" },
        { 200, "{\"tracking_number\":\"\",\"promise_time_us\":12}" },
        { 200, "{\"tracking_number\":7,\"promise_time_us\":12}" },
        { 200, "{\"tracking_number\":\"SB1\"}" },
        { 200, "{\"tracking_number\":\"SB1\",\"promise_time_us\":0}" },
        { 200, "{\"tracking_number\":\"SB1\",\"promise_time_us\":-5}" },
        { 200, "{\"tracking_number\":\"SB1\",\"promise_time_us\":9223372036854775807}" },
        { 200, "{\"tracking_number\":\"SB1\",\"promise_time_us\":\"12\"}" },
        { 202, "{\"tracking_number\":\"SB1\",\"promise_time_us\":12}" },
        { 301, "{}" },
        { 401, "{\"error\":\"KEY_MISSING\"}" },
        { 404, "{\"error\":\"NOT_FOUND\"}" },
    };
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        const CarrierLabel *l;
        ck_assert_int_eq(label(answers[i].status, answers[i].body, &l), RPC_UNAVAILABLE);
        arena_finish(&arena);
    }
}
END_TEST

START_TEST(a_refusal_keeps_its_code_and_nothing_else)
{
    static const struct {
        const char *body, *refused;
    } answers[] = {
        { "{\"error\":\"ADDRESS_REFUSED\",\"message\":\"Canary Bird does not live there\"}", "ADDRESS_REFUSED" },
        { "{\"error\":\"Canary Bird does not live there\"}", "SHIPMENT_REFUSED" },
        { "{\"error\":\"\"}", "SHIPMENT_REFUSED" },
        { "{\"error\":7}", "SHIPMENT_REFUSED" },
        { "<html>", "SHIPMENT_REFUSED" },
        { "", "SHIPMENT_REFUSED" },
        { "{\"error\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}", "SHIPMENT_REFUSED" },
    };
    static const int statuses[] = { 400, 409, 422 };
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        const CarrierLabel *l;
        ck_assert_int_eq(label(statuses[i % 3], answers[i].body, &l), RPC_OK);
        ck_assert_str_eq(l->refused, answers[i].refused);
        ck_assert_str_eq(l->tracking_number, "");
        arena_finish(&arena);
    }
}
END_TEST

/* --- handing over and cancelling --- */

START_TEST(books_that_say_otherwise_are_for_a_person)
{
    static const struct {
        int status;
        enum rpc_code code;
    } answers[] = { { 200, RPC_OK },          { 404, RPC_NOT_FOUND },   { 409, RPC_FAILED_PRECONDITION },
                    { 400, RPC_UNAVAILABLE }, { 401, RPC_UNAVAILABLE }, { 302, RPC_UNAVAILABLE } };
    static const char *const methods[] = { "/carrier/handover", "/carrier/cancel" };
    for (size_t i = 0; i < 2 * sizeof(answers) / sizeof(answers[0]); i++) {
        void *reply;
        ck_assert_int_eq(deliverer_of(methods[i % 2])->give_up, GIVE_UP_PARK);
        ck_assert_int_eq(understand(methods[i % 2], answers[i / 2].status, "{}", NULL, &reply), answers[i / 2].code);
        arena_finish(&arena);
    }
}
END_TEST

/* --- events --- */

static enum rpc_code events(uint64_t after, const char *body, const CarrierEvents **ret_events)
{
    void *reply;
    CarrierEventsRequest request = OMS__SHIPPING__V1__CARRIER_EVENTS_REQUEST__INIT;
    request.after = after;
    enum rpc_code code = understand("/carrier/events", 200, body, &request, &reply);
    *ret_events = reply;
    return code;
}

START_TEST(events_are_read_with_what_is_known_of_them)
{
    const CarrierEvents *page;
    ck_assert_int_eq(events(4,
                            "{\"events\":[{\"seq\":5,\"key\":\"ful_1\",\"type\":\"DELAYED\",\"time_us\":7,"
                            "\"promise_time_us\":9},{\"seq\":7,\"key\":\"ful_2\",\"type\":\"EATEN_BY_A_DOG\"}]}",
                            &page),
                     RPC_OK);
    ck_assert_int_eq(page->n_events, 2);
    ck_assert_str_eq(page->events[0]->fulfillment_id, "ful_1");
    ck_assert_int_eq(page->events[0]->type, OMS__SHIPPING__V1__TRACKING_EVENT__TYPE__DELAYED);
    ck_assert_int_eq(page->events[0]->time_us, 7);
    ck_assert_int_eq(page->events[0]->promise_time_us, 9);
    ck_assert_int_eq(page->events[1]->seq, 7);
    ck_assert_int_eq(page->events[1]->type, 0);
    ck_assert_int_eq(page->events[1]->promise_time_us, 0);
    arena_finish(&arena);
}
END_TEST

START_TEST(a_page_that_cannot_follow_is_asked_for_again)
{
    static const char *const bodies[] = {
        "",
        "{}",
        "{\"events\":{}}",
        "{\"events\":[7]}",
        "{\"events\":[{\"seq\":4,\"key\":\"a\",\"type\":\"LOST\"}]}",
        "{\"events\":[{\"seq\":0,\"key\":\"a\",\"type\":\"LOST\"}]}",
        "{\"events\":[{\"seq\":6,\"key\":\"a\",\"type\":\"LOST\"},{\"seq\":5,\"key\":\"a\",\"type\":\"LOST\"}]}",
        "{\"events\":[{\"seq\":6,\"key\":\"a\",\"type\":\"LOST\"},{\"seq\":6,\"key\":\"a\",\"type\":\"LOST\"}]}",
        "{\"events\":[{\"seq\":6,\"type\":\"LOST\"}]}",
    };
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        const CarrierEvents *page;
        ck_assert_int_eq(events(4, bodies[i], &page), RPC_UNAVAILABLE);
        arena_finish(&arena);
    }
}
END_TEST

START_TEST(a_page_longer_than_asked_for_is_none)
{
    static char body[64 * (CARRIER_PAGE + 2)];
    for (int n = CARRIER_PAGE; n <= CARRIER_PAGE + 1; n++) {
        const CarrierEvents *page;
        char *at = body + sprintf(body, "{\"events\":[");
        for (int i = 1; i <= n; i++)
            at += sprintf(at, "%s{\"seq\":%d,\"key\":\"a\",\"type\":\"LOST\"}", i > 1 ? "," : "", i);
        sprintf(at, "]}");
        ck_assert_int_eq(events(0, body, &page), n == CARRIER_PAGE ? RPC_OK : RPC_UNAVAILABLE);
        arena_finish(&arena);
    }
}
END_TEST

SUITE("carrier", 10, a_label_has_a_number_and_a_promise, what_is_no_label_is_asked_for_again,
      a_refusal_keeps_its_code_and_nothing_else, books_that_say_otherwise_are_for_a_person,
      events_are_read_with_what_is_known_of_them, a_page_that_cannot_follow_is_asked_for_again,
      a_page_longer_than_asked_for_is_none)
