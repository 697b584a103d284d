/* Cases: raised once for a matter, settled when it ends by itself, taken and resolved by people. */
#include "tests/suite.h"
#include "tests/svc-notify/stage.h"

#include <stdio.h>
#include <string.h>

#define E(event) OMS__EVENT__V1__EVENT_TYPE__##event
#define K(kind)  OMS__NOTIFY__V1__CASE__KIND__##kind

static struct stage s;

static const ListCasesResponse *list(ListCasesRequest request)
{
    request.order_id = request.order_id ? request.order_id : "";
    request.page_token = request.page_token ? request.page_token : "";
    struct answer a = ask_alerts(&s, &carla, "ListCases", &request.base);
    ck_assert_int_eq(a.code, RPC_OK);
    return a.reply;
}
#define LIST(...) \
    list((ListCasesRequest){ PROTOBUF_C_MESSAGE_INIT(&oms__notify__v1__list_cases_request__descriptor) __VA_OPT__(, ) \
                                 __VA_ARGS__ })
#define OPEN_CASES LIST(.state = OMS__NOTIFY__V1__CASE__STATE__OPEN)

static struct answer acknowledge(const struct caller *who, const char *id, const char *etag)
{
    AcknowledgeCaseRequest request = OMS__NOTIFY__V1__ACKNOWLEDGE_CASE_REQUEST__INIT;
    request.request_id = fresh(&s);
    request.case_id = (char *)id;
    request.etag = (char *)etag;
    return ask_alerts(&s, who, "AcknowledgeCase", &request.base);
}

static struct answer resolve(const struct caller *who, const char *id, const char *reason, const char *etag)
{
    ResolveCaseRequest request = OMS__NOTIFY__V1__RESOLVE_CASE_REQUEST__INIT;
    request.request_id = fresh(&s);
    request.case_id = (char *)id;
    request.reason = (char *)reason;
    request.etag = (char *)etag;
    return ask_alerts(&s, who, "ResolveCase", &request.base);
}

static void ck_failed(struct answer answer, enum rpc_code code, const char *reason)
{
    ck_assert_str_eq(rpc_code_name(answer.code), rpc_code_name(code));
    ck_assert_str_eq(answer.reason, reason);
}

START_TEST(a_shortage_is_a_case_within_a_second)
{
    stage_open(&s, 1);
    int64_t start = world_now(s.world);
    order_event(&s, E(ORDER_REJECTED), "ord_1", "OUT_OF_STOCK");
    AWAIT(&s, "SELECT COUNT(*) FROM alert_case", 1);
    ck_assert_int_lt(world_now(s.world) - start, SECOND_US);
    const Case *found = OPEN_CASES->cases[0];
    ck_assert_int_eq(found->kind, K(SHORTAGE));
    ck_assert_str_eq(found->order_id, "ord_1");
    ck_assert_str_eq(found->customer_id, "cus_ord_1");
    ck_assert_str_eq(found->ref, "ord_1");
    ck_assert_str_eq(found->detail, "OUT_OF_STOCK");
    ck_assert_uint_eq(found->version, 1);
    ck_assert_str_eq(found->etag, "v1");
    stage_close(&s);
}
END_TEST

START_TEST(each_event_raises_the_case_that_is_written_here)
{
    static const struct {
        int32_t type;
        int kind;
        const char *ref;
    } payments[] = {
        { E(PAYMENT_UNKNOWN), K(PAYMENT_UNKNOWN), "o1" },
        { E(PAYMENT_CONTRADICTED), K(PAYMENT_CONTRADICTED), "o2" },
        { E(PAYMENT_CAPTURE_FAILED), K(CAPTURE_FAILED), "o3" },
        { E(PAYMENT_REFUND_FAILED), K(REFUND_FAILED), "o4" },
        { E(PAYMENT_DECLINED), 0, "o5" },
        { E(PAYMENT_EXPIRED), 0, "o6" },
    }, parcels[] = {
        { E(FULFILLMENT_DELAYED), K(DELAY), "f1" },           { E(FULFILLMENT_LOST), K(PARCEL_LOST), "f2" },
        { E(FULFILLMENT_RETURNED), K(PARCEL_RETURNED), "f3" }, { E(FULFILLMENT_REFUSED), K(ADDRESS_REFUSED), "f4" },
        { E(FULFILLMENT_CANCELLED), 0, "f5" },                 { E(FULFILLMENT_SHORT), K(SHORTAGE), "f6" },
    };
    stage_open(&s, 1);
    size_t n = 0;
    for (size_t i = 0; i < sizeof(payments) / sizeof(payments[0]); i++, n++)
        payment_event(&s, payments[i].type, "ord_1", payments[i].ref, i);
    for (size_t i = 0; i < sizeof(parcels) / sizeof(parcels[0]); i++, n++)
        parcel_event(&s, parcels[i].type, "ord_1", parcels[i].ref);
    order_event(&s, E(ORDER_REJECTED), "ord_1", "CARD_DECLINED");
    stage_settle(&s);
    const ListCasesResponse *all = OPEN_CASES;
    ck_assert_uint_eq(all->n_cases, 9);
    for (size_t k = 0; k < all->n_cases; k++) {
        bool right = false;
        for (size_t i = 0; i < sizeof(payments) / sizeof(payments[0]); i++)
            right |= payments[i].kind == (int)all->cases[k]->kind && !strcmp(payments[i].ref, all->cases[k]->ref);
        for (size_t i = 0; i < sizeof(parcels) / sizeof(parcels[0]); i++)
            right |= parcels[i].kind == (int)all->cases[k]->kind && !strcmp(parcels[i].ref, all->cases[k]->ref);
        ck_assert(right);
        ck_assert_str_eq(all->cases[k]->detail, all->cases[k]->ref[0] == 'o' ? "CAPTURE" : "SB123");
    }
    stage_close(&s);
}
END_TEST

START_TEST(a_matter_is_one_case_until_it_is_resolved)
{
    stage_open(&s, 1);
    for (int i = 0; i < 2; i++) {
        world_partition(s.world, s.notify, s.shipping, SECOND_US);
        parcel_event(&s, E(FULFILLMENT_LOST), "ord_1", "ful_1");
        parcel_event(&s, E(FULFILLMENT_LOST), "ord_1", "ful_1");
        stage_settle(&s);
    }
    ck_assert_uint_eq(LIST()->n_cases, 1);
    ck_assert_int_eq(NUMBER(&s, "SELECT COUNT(*) FROM event_log WHERE type = 70"), 1);
    ck_assert_int_eq(resolve(&carla, LIST()->cases[0]->case_id, "SENT_AGAIN", "").code, RPC_OK);
    parcel_event(&s, E(FULFILLMENT_LOST), "ord_1", "ful_1");
    stage_settle(&s);
    ck_assert_uint_eq(LIST()->n_cases, 2);
    ck_assert_uint_eq(OPEN_CASES->n_cases, 1);
    stage_close(&s);
}
END_TEST

START_TEST(an_answer_settles_what_was_unknown_and_nothing_else)
{
    static const int32_t answers[] = { E(PAYMENT_AUTHORIZED),  E(PAYMENT_DECLINED), E(PAYMENT_ACTION_REQUIRED),
                                       E(PAYMENT_EXPIRED),     E(PAYMENT_CAPTURED), E(PAYMENT_CAPTURE_FAILED),
                                       E(PAYMENT_VOIDED),      E(PAYMENT_REFUNDED), E(PAYMENT_REFUND_FAILED),
                                       E(PAYMENT_CONTRADICTED) };
    stage_open(&s, 1);
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        char *operation = arena_printf(&s.arena, "op%zu", i);
        payment_event(&s, E(PAYMENT_UNKNOWN), "ord_1", operation, 2 * i);
        stage_settle(&s);
        ck_assert_uint_eq(LIST(.kind = K(PAYMENT_UNKNOWN), .state = OMS__NOTIFY__V1__CASE__STATE__OPEN)->n_cases, 1);
        payment_event(&s, answers[i], "ord_1", "another", 2 * i + 1);
        stage_settle(&s);
        ck_assert_uint_eq(LIST(.kind = K(PAYMENT_UNKNOWN), .state = OMS__NOTIFY__V1__CASE__STATE__OPEN)->n_cases, 1);
        payment_event(&s, answers[i], "ord_1", operation, 2 * i + 1);
        stage_settle(&s);
        ck_assert_uint_eq(LIST(.kind = K(PAYMENT_UNKNOWN), .state = OMS__NOTIFY__V1__CASE__STATE__OPEN)->n_cases, 0);
    }
    const Case *last = LIST(.kind = K(PAYMENT_UNKNOWN))->cases[0];
    ck_assert_str_eq(last->resolved_by, "svc-notify");
    ck_assert_str_eq(last->resolution, "PAYMENT_CONTRADICTED");
    ck_assert_int_gt(last->resolve_time_us, 0);
    ck_assert_uint_eq(last->version, 2);
    stage_close(&s);
}
END_TEST

START_TEST(what_arrives_was_not_delayed_for_ever)
{
    stage_open(&s, 1);
    parcel_event(&s, E(FULFILLMENT_DELAYED), "ord_1", "ful_1");
    parcel_event(&s, E(FULFILLMENT_DELAYED), "ord_2", "ful_2");
    stage_settle(&s);
    ck_assert_int_eq(acknowledge(&walter, LIST(.order_id = "ord_1")->cases[0]->case_id, "").code, RPC_OK);
    parcel_event(&s, E(FULFILLMENT_DELIVERED), "ord_1", "ful_1");
    stage_settle(&s);
    const Case *settled = LIST(.order_id = "ord_1")->cases[0];
    ck_assert_int_eq(settled->state, OMS__NOTIFY__V1__CASE__STATE__RESOLVED);
    ck_assert_str_eq(settled->acknowledged_by, "walter");
    ck_assert_str_eq(settled->resolved_by, "svc-notify");
    ck_assert_str_eq(settled->resolution, "FULFILLMENT_DELIVERED");
    ck_assert_uint_eq(OPEN_CASES->n_cases, 1);
    stage_close(&s);
}
END_TEST

/* Raised and settled in statements of their own, but as if one after the other. */
START_TEST(in_one_page_a_matter_ends_and_begins_as_it_did)
{
    stage_open(&s, 1);
    world_partition(s.world, s.notify, s.shipping, 5 * SECOND_US);
    parcel_event(&s, E(FULFILLMENT_DELAYED), "ord_1", "ful_1");
    parcel_event(&s, E(FULFILLMENT_DELIVERED), "ord_1", "ful_1");
    parcel_event(&s, E(FULFILLMENT_DELIVERED), "ord_2", "ful_2");
    parcel_event(&s, E(FULFILLMENT_DELAYED), "ord_2", "ful_2");
    parcel_event(&s, E(FULFILLMENT_DELAYED), "ord_1", "ful_1");
    stage_settle(&s);
    ck_assert_uint_eq(LIST(.order_id = "ord_1", .state = OMS__NOTIFY__V1__CASE__STATE__OPEN)->n_cases, 1);
    ck_assert_uint_eq(LIST(.order_id = "ord_1", .state = OMS__NOTIFY__V1__CASE__STATE__RESOLVED)->n_cases, 1);
    ck_assert_uint_eq(LIST(.order_id = "ord_2")->n_cases, 1);
    ck_assert_int_eq(LIST(.order_id = "ord_2")->cases[0]->state, OMS__NOTIFY__V1__CASE__STATE__OPEN);
    stage_close(&s);
}
END_TEST

START_TEST(a_snapshot_raises_what_is_still_open_and_is_new)
{
    s.snapshot_type = E(FULFILLMENT_LOST);
    s.n_snapshot = 3;
    stage_open(&s, 1);
    stage_settle(&s);
    ck_assert_uint_eq(OPEN_CASES->n_cases, 3);
    ck_assert_int_eq(resolve(&carla, LIST(.order_id = "ord_s0")->cases[0]->case_id, "FOUND", "").code, RPC_OK);
    stage_write(&s, SQL("UPDATE consumer_cursor SET booting = 1, page_token = ''"));
    node_crash(s.notify, 0);
    world_run(s.world, MINUTE_US);
    stage_settle(&s);
    ck_assert_uint_eq(LIST()->n_cases, 3);
    ck_assert_uint_eq(OPEN_CASES->n_cases, 2);
    stage_close(&s);
}
END_TEST

/* --- people --- */

static const Case *one_case(void)
{
    stage_open(&s, 1);
    parcel_event(&s, E(FULFILLMENT_LOST), "ord_1", "ful_1");
    stage_settle(&s);
    return LIST()->cases[0];
}

START_TEST(a_case_is_taken_by_one_and_resolved_with_a_reason)
{
    const Case *found = one_case();
    struct answer a = acknowledge(&carla, found->case_id, found->etag);
    ck_assert_int_eq(a.code, RPC_OK);
    const Case *taken = a.reply;
    ck_assert_int_eq(taken->state, OMS__NOTIFY__V1__CASE__STATE__ACKNOWLEDGED);
    ck_assert_str_eq(taken->acknowledged_by, "carla");
    ck_assert_str_eq(taken->etag, "v2");
    a = resolve(&walter, found->case_id, "SENT_AGAIN", taken->etag);
    ck_assert_int_eq(a.code, RPC_OK);
    const Case *ended = a.reply;
    ck_assert_int_eq(ended->state, OMS__NOTIFY__V1__CASE__STATE__RESOLVED);
    ck_assert_str_eq(ended->resolved_by, "walter");
    ck_assert_str_eq(ended->resolution, "SENT_AGAIN");
    GetCaseRequest get = OMS__NOTIFY__V1__GET_CASE_REQUEST__INIT;
    get.case_id = found->case_id;
    const Case *read = ask_alerts(&s, &carla, "GetCase", &get.base).reply;
    ck_assert_str_eq(read->etag, "v3");
    ck_assert_str_eq(read->resolution, "SENT_AGAIN");
    ck_assert_str_eq(read->acknowledged_by, "carla");
    ck_assert_int_eq(NUMBER(&s, "SELECT COUNT(*) FROM event_log WHERE type = 70"), 1);
    ck_assert_int_eq(NUMBER(&s, "SELECT COUNT(*) FROM event_log WHERE type = 71"), 1);
    ck_assert_int_eq(NUMBER(&s, "SELECT COUNT(*) FROM event_log WHERE type = 72"), 1);
    stage_close(&s);
}
END_TEST

START_TEST(a_case_that_has_changed_is_not_changed_by_mistake)
{
    const Case *found = one_case();
    ck_failed(acknowledge(&carla, found->case_id, "v7"), RPC_ABORTED, "ETAG_MISMATCH");
    ck_failed(resolve(&carla, found->case_id, "FOUND", "nonsense"), RPC_ABORTED, "ETAG_MISMATCH");
    ck_assert_int_eq(acknowledge(&walter, found->case_id, found->etag).code, RPC_OK);
    ck_failed(resolve(&carla, found->case_id, "FOUND", found->etag), RPC_ABORTED, "ETAG_MISMATCH");
    ck_assert_uint_eq(LIST()->cases[0]->version, 2);
    stage_close(&s);
}
END_TEST

START_TEST(what_a_case_does_not_allow_is_refused)
{
    const Case *found = one_case();
    ck_failed(acknowledge(&carla, "cas_none", ""), RPC_NOT_FOUND, "CASE_NOT_FOUND");
    ck_failed(resolve(&carla, "cas_none", "FOUND", ""), RPC_NOT_FOUND, "CASE_NOT_FOUND");
    ck_failed(resolve(&carla, found->case_id, "in my own words", ""), RPC_INVALID_ARGUMENT, "REASON_INVALID");
    ck_failed(resolve(&carla, found->case_id, "", ""), RPC_INVALID_ARGUMENT, "FIELD_REQUIRED");
    ck_failed(acknowledge(&ann, found->case_id, ""), RPC_PERMISSION_DENIED, "ROLE_NOT_ALLOWED");
    ck_assert_int_eq(acknowledge(&walter, found->case_id, "").code, RPC_OK);
    ck_failed(acknowledge(&carla, found->case_id, ""), RPC_FAILED_PRECONDITION, "CASE_NOT_OPEN");
    ck_assert_int_eq(resolve(&carla, found->case_id, "FOUND", "").code, RPC_OK);
    ck_failed(acknowledge(&carla, found->case_id, ""), RPC_FAILED_PRECONDITION, "CASE_NOT_OPEN");
    ck_failed(resolve(&carla, found->case_id, "FOUND", ""), RPC_FAILED_PRECONDITION, "CASE_RESOLVED");
    ck_assert_uint_eq(LIST()->cases[0]->version, 3);
    stage_close(&s);
}
END_TEST

START_TEST(cases_are_listed_in_pages_newest_first)
{
    stage_open(&s, 1);
    for (int i = 0; i < 7; i++) {
        parcel_event(&s, i % 2 ? E(FULFILLMENT_LOST) : E(FULFILLMENT_DELAYED), i < 4 ? "ord_1" : "ord_2",
                     arena_printf(&s.arena, "ful_%d", i));
        stage_settle(&s);
    }
    size_t n = 0;
    const ListCasesResponse *page = LIST(.page_size = 3);
    for (;; page = LIST(.page_size = 3, .page_token = page->next_page_token)) {
        for (size_t i = 0; i < page->n_cases; i++, n++)
            ck_assert_str_eq(page->cases[i]->ref, arena_printf(&s.arena, "ful_%zu", 6 - n));
        if (page->next_page_token[0] == '\0')
            break;
    }
    ck_assert_uint_eq(n, 7);
    ck_assert_uint_eq(LIST(.kind = K(PARCEL_LOST))->n_cases, 3);
    ck_assert_uint_eq(LIST(.order_id = "ord_1")->n_cases, 4);
    ck_assert_uint_eq(LIST(.order_id = "ord_1", .kind = K(DELAY))->n_cases, 2);
    ck_assert_uint_eq(LIST(.state = OMS__NOTIFY__V1__CASE__STATE__OPEN, .kind = K(DELAY))->n_cases, 4);
    ck_assert_uint_eq(LIST(.state = OMS__NOTIFY__V1__CASE__STATE__RESOLVED)->n_cases, 0);
    ck_assert_uint_eq(LIST(.order_id = "ord_1", .state = OMS__NOTIFY__V1__CASE__STATE__RESOLVED)->n_cases, 0);

    ListCasesRequest other = OMS__NOTIFY__V1__LIST_CASES_REQUEST__INIT;
    other.page_token = LIST(.page_size = 3)->next_page_token;
    other.kind = K(DELAY);
    ck_failed(ask_alerts(&s, &carla, "ListCases", &other.base), RPC_INVALID_ARGUMENT, "PAGE_TOKEN_INVALID");
    ck_failed(ask_alerts(&s, &ann, "ListCases", &other.base), RPC_PERMISSION_DENIED, "ROLE_NOT_ALLOWED");
    stage_close(&s);
}
END_TEST

SUITE("cases", 200, a_shortage_is_a_case_within_a_second, each_event_raises_the_case_that_is_written_here,
      a_matter_is_one_case_until_it_is_resolved, an_answer_settles_what_was_unknown_and_nothing_else,
      what_arrives_was_not_delayed_for_ever, in_one_page_a_matter_ends_and_begins_as_it_did,
      a_snapshot_raises_what_is_still_open_and_is_new, a_case_is_taken_by_one_and_resolved_with_a_reason,
      a_case_that_has_changed_is_not_changed_by_mistake, what_a_case_does_not_allow_is_refused,
      cases_are_listed_in_pages_newest_first)
