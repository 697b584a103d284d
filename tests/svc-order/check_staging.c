/* Imports that take effect as a whole, or not at all. */
#include "tests/suite.h"
#include "tests/svc-order/entries.h"

#include <string.h>

#define DAY 86400000000ll

static ImportOrdersRequest *staged(const char *import_id)
{
    ImportOrdersRequest *req = chunk();
    req->import_id = (char *)import_id;
    return req;
}

/* An order that is to be carried out here. */
static NewOrder *live(ImportOrdersRequest *req, const char *external_id)
{
    NewOrder *e = entry(req, external_id);
    sold(e, "CUP", 1, 4);
    e->fulfilled = false;
    return e;
}

static const struct asked *ask_activate_all(const char *import_id, int64_t entries)
{
    ActivateImportRequest req = OMS__ORDER__V1__ACTIVATE_IMPORT_REQUEST__INIT;
    req.request_id = fresh(&s);
    req.import_id = (char *)import_id;
    req.entries = entries;
    return ask(&s, &erp, "ActivateImport", &req);
}

static const struct asked *ask_activate(const char *import_id)
{
    return ask_activate_all(import_id, 0);
}

static const struct asked *ask_discard(const char *import_id)
{
    DiscardImportRequest req = OMS__ORDER__V1__DISCARD_IMPORT_REQUEST__INIT;
    req.request_id = fresh(&s);
    req.import_id = (char *)import_id;
    return ask(&s, &erp, "DiscardImport", &req);
}

static const ImportJob *job(const char *import_id)
{
    GetImportRequest req = OMS__ORDER__V1__GET_IMPORT_REQUEST__INIT;
    req.import_id = (char *)import_id;
    return ((GetImportResponse *)get(&s, &erp, "GetImport", &req))->job;
}

#define STATE(name) OMS__ORDER__V1__IMPORT_JOB__STATE__##name

static const ImportJob *ck_job(const char *import_id, int state, int64_t n_staged, int64_t n_refused, int64_t activated)
{
    const ImportJob *j = job(import_id);
    ck_assert_str_eq(j->import_id, import_id);
    ck_assert_int_eq(j->state, state);
    ck_assert_int_eq(j->staged, n_staged);
    ck_assert_int_eq(j->refused, n_refused);
    ck_assert_int_eq(j->activated, activated);
    return j;
}

static void activate(const char *import_id)
{
    ck_assert_int_eq(ask_activate(import_id)->code, RPC_OK);
}

static void discard(const char *import_id)
{
    ck_assert_int_eq(ask_discard(import_id)->code, RPC_OK);
}

static const struct asked *ask_order(const struct caller *who, const char *order_id)
{
    GetOrderRequest req = OMS__ORDER__V1__GET_ORDER_REQUEST__INIT;
    req.order_id = (char *)order_id;
    return ask(&s, who, "GetOrder", &req);
}

static const Order *read(const struct caller *who, const char *order_id)
{
    const struct asked *a = ask_order(who, order_id);
    ck_assert_int_eq(a->code, RPC_OK);
    return ((GetOrderResponse *)a->reply)->order;
}

static const struct asked *ask_credit(const char *credit_id)
{
    GetCreditRequest req = OMS__ORDER__V1__GET_CREDIT_REQUEST__INIT;
    req.credit_id = (char *)credit_id;
    return ask(&s, &erp, "GetCredit", &req);
}

/* One of each kind: "d" to be done here, "e" done elsewhere, "c" that refunds it, and "g" that is a credit. */
static const ImportOrdersResponse *stage_all(const char *import_id)
{
    ImportOrdersRequest *req = staged(import_id);
    live(req, "d");
    NewOrder *e = entry(req, "e");
    sold(e, "CUP", 2, 4);
    sold(e, "POST", 1, 3);
    NewOrder *c = entry(req, "c");
    back(c, "CUP", 2, 4, "e", "");
    back(c, "POST", 1, 3, "e", "");
    back(entry(req, "g"), "MUG", 1, 1, "", "GIFT");
    const ImportOrdersResponse *ret = import(req);
    for (size_t i = 0; i < 4; i++)
        ck_taken(ret, i);
    return ret;
}

#define EVENTS  NUMBER(&s, s.order, "SELECT COUNT(*) FROM event_log")
#define HELD    NUMBER(&s, s.order, "SELECT COALESCE(SUM(held), 0) FROM order_line")
#define CUPS    NUMBER(&s, s.inventory, "SELECT SUM(on_hand - reserved) FROM stock WHERE sku = 'CUP'")
#define ENTRIES NUMBER(&s, s.payment, "SELECT COUNT(*) FROM ledger_entry")

START_TEST(what_is_staged_does_nothing_and_nobody_but_staff_sees_it)
{
    open_shop();
    const ImportOrdersResponse *ret = stage_all("i");
    ck_assert_uint_eq(ret->placed, 4);
    ck_assert_int_eq(ret->results[0]->state, OMS__ORDER__V1__ORDER__STATE__DRAFT);
    ck_assert_int_eq(ret->results[1]->state, OMS__ORDER__V1__ORDER__STATE__DRAFT);
    ck_assert_uint_eq(ret->results[2]->refunded, 2);
    ck_assert_uint_eq(ret->results[3]->credited, 1);
    world_run(s.world, 3600000000);
    ck_assert_int_eq(EVENTS, 0);
    ck_assert_int_eq(CUPS, 5);
    ck_assert_int_eq(ENTRIES, 0);
    ck_assert_int_eq(NUMBER(&s, s.order, "SELECT SUM(stuck_time_us) FROM sales_order"), 0);
    ck_assert_int_eq(NUMBER(&s, s.order,
                            "SELECT SUM(returned) + SUM(credited_minor) FROM order_line l "
                            "JOIN sales_order o ON o.order_id = l.order_id"),
                     0);
    const ImportJob *j = ck_job("i", STATE(STAGED), 4, 0, 0);
    ck_assert_str_eq(j->created_by, "erp");
    ck_assert_int_eq(j->expire_time_us, j->create_time_us + 7 * DAY);

    for (size_t i = 0; i < 2; i++) {
        ck_refused(ask_order(&anna, ret->results[i]->order_id), RPC_NOT_FOUND, "ORDER_NOT_FOUND", "");
        ck_assert_int_eq(read(&erp, ret->results[i]->order_id)->state, OMS__ORDER__V1__ORDER__STATE__DRAFT);
        ck_refused(ask_credit(ret->results[2 + i]->credit_id), RPC_NOT_FOUND, "CREDIT_NOT_FOUND", "");
    }
    ListOrdersRequest list = OMS__ORDER__V1__LIST_ORDERS_REQUEST__INIT;
    ListCreditsRequest credits = OMS__ORDER__V1__LIST_CREDITS_REQUEST__INIT;
    Mesh__V1__SnapshotRequest snapshot = MESH__V1__SNAPSHOT_REQUEST__INIT;
    ck_assert_uint_eq(((ListOrdersResponse *)get(&s, &anna, "ListOrders", &list))->n_orders, 0);
    ck_assert_uint_eq(((ListOrdersResponse *)get(&s, &erp, "ListOrders", &list))->n_orders, 0);
    ck_assert_uint_eq(((ListCreditsResponse *)get(&s, &erp, "ListCredits", &credits))->n_credits, 0);
    ck_assert_uint_eq(((Mesh__V1__SnapshotResponse *)get(&s, &order_process, "Snapshot", &snapshot))->n_entries, 0);
    shop_close(&s);
}
END_TEST

/* Each page looks at so many rows: between those that count, some are empty. */
START_TEST(a_list_goes_through_very_many_drafts_in_pages)
{
    enum { DRAFTS = 1200, CHUNK = 100 };
    open_shop();
    ImportOrdersRequest *req = chunk();
    back(entry(req, "first"), "CUP", 1, 4, "", "GIFT");
    import(req);
    for (int i = 0; i < DRAFTS; i += CHUNK) {
        req = staged("i");
        for (int n = i; n < i + CHUNK; n++)
            back(entry(req, arena_printf(&s.arena, "D%d", n)), "CUP", 1, 4, "", "GIFT");
        ck_assert_uint_eq(import(req)->placed, CHUNK);
    }
    ListCreditsRequest list = OMS__ORDER__V1__LIST_CREDITS_REQUEST__INIT;
    int pages = 0, found = 0;
    do {
        const ListCreditsResponse *page = get(&s, &erp, "ListCredits", &list);
        found += (int)page->n_credits;
        pages++;
        list.page_token = page->next_page_token;
    } while (list.page_token[0]);
    ck_assert_int_eq(found, 1);
    ck_assert_int_eq(pages, 3);
    shop_close(&s);
}
END_TEST

START_TEST(a_draft_waits_for_its_import_and_knows_no_verb)
{
    open_shop();
    const char *order_id = stage_all("i")->results[0]->order_id;
    CancelOrderRequest cancel = OMS__ORDER__V1__CANCEL_ORDER_REQUEST__INIT;
    ExplainOrderRequest explain = OMS__ORDER__V1__EXPLAIN_ORDER_REQUEST__INIT;
    cancel.request_id = fresh(&s);
    cancel.order_id = explain.order_id = (char *)order_id;
    ck_refused(ask(&s, &staff, "CancelOrder", &cancel), RPC_FAILED_PRECONDITION, "ORDER_STATE", "");
    ck_refused(ask(&s, &anna, "CancelOrder", &cancel), RPC_NOT_FOUND, "ORDER_NOT_FOUND", "");
    ck_refused(ask(&s, &anna, "ExplainOrder", &explain), RPC_NOT_FOUND, "ORDER_NOT_FOUND", "");
    const OrderExplanation *told = get(&s, &staff, "ExplainOrder", &explain);
    ck_assert_int_eq(told->state, OMS__ORDER__V1__ORDER__STATE__DRAFT);
    ck_assert_int_eq(NUMBER(&s, s.order, "SELECT SUM(version) FROM sales_order"), 0);
    ck_assert_str_eq(told->waits_for, "its import is to be activated");
    ck_assert_uint_eq(told->n_legal, 0);
    shop_close(&s);
}
END_TEST

START_TEST(what_is_activated_is_as_if_it_had_come_at_once)
{
    open_shop();
    const ImportOrdersResponse *ret = stage_all("i");
    activate("i");
    shop_settle(&s);
    ck_job("i", STATE(ACTIVE), 4, 0, 4);
    ck_assert_int_eq(read(&anna, ret->results[0]->order_id)->state, OMS__ORDER__V1__ORDER__STATE__CONFIRMED);
    const Order *done = read(&anna, ret->results[1]->order_id);
    ck_assert_int_eq(done->state, OMS__ORDER__V1__ORDER__STATE__COMPLETED);
    ck_assert_int_eq(done->payment_state, OMS__ORDER__V1__ORDER__PAYMENT_STATE__REFUNDED);
    ck_assert_int_eq(done->fulfillment_state, OMS__ORDER__V1__ORDER__FULFILLMENT_STATE__DELIVERED);
    ck_assert_int_eq(done->credited->units, 11);
    ck_assert_int_eq(done->lines[0]->returned, 2);
    ck_assert_uint_eq(done->version, 2);
    const struct asked *credit = ask_credit(ret->results[2]->credit_id);
    ck_assert_int_eq(credit->code, RPC_OK);
    ck_assert_uint_eq(((GetCreditResponse *)credit->reply)->credit->n_lines, 2);
    ck_assert_int_eq(HELD, 0);
    ck_assert_int_eq(CUPS, 4);
    ck_assert_int_eq(NUMBER(&s, s.inventory, "SELECT SUM(on_hand) FROM stock WHERE sku = 'MUG'"), 1);
    ck_assert_int_eq(ENTRIES, 3);
    ck_assert_int_eq(NUMBER(&s, s.order, "SELECT COUNT(*) FROM event_log WHERE type = 17"), 1);
    ck_assert_int_eq(NUMBER(&s, s.order, "SELECT COUNT(*) FROM event_log WHERE type = 18"), 2);
    ck_assert_int_eq(NUMBER(&s, s.order, "SELECT COUNT(*) FROM event_log WHERE type = 10"), 1);
    ck_assert_int_eq(NUMBER(&s, s.order, "SELECT COUNT(*) FROM dead_letter"), 0);
    shop_close(&s);
}
END_TEST

START_TEST(what_is_discarded_leaves_nothing_and_frees_what_it_held)
{
    open_shop();
    sell();
    shop_settle(&s);
    stage_all("i");
    ImportOrdersRequest *req = staged("i");
    back(entry(req, "c2"), "CUP", 4, 4, "1", "");
    ck_assert_uint_eq(ck_taken(import(req), 0)->refunded, 1);
    req = chunk();
    live(req, "d");
    back(entry(req, "c"), "CUP", 1, 4, "1", "");
    back(entry(req, "x"), "CUP", 2, 4, "1", "");
    const ImportOrdersResponse *ret = import(req);
    ck_entry_refused(ret, 0, "ORDER_STAGED", "");
    ck_assert_str_eq(ret->results[0]->order_id, ""); /* it may yet be forgotten */
    ck_entry_refused(ret, 1, "CREDIT_STAGED", "");
    ck_assert_str_eq(ret->results[1]->credit_id, "");
    ck_assert_uint_eq(ck_taken(ret, 2)->credited, 1);

    discard("i");
    shop_settle(&s);
    ck_job("i", STATE(DISCARDED), 5, 0, 0);
    ck_assert_int_eq(NUMBER(&s, s.order, "SELECT COUNT(*) FROM sales_order"), 1);
    ck_assert_int_eq(NUMBER(&s, s.order, "SELECT COUNT(*) FROM order_line"), 3);
    ck_assert_int_eq(NUMBER(&s, s.order, "SELECT COUNT(*) FROM order_address"), 1);
    ck_assert_int_eq(NUMBER(&s, s.order, "SELECT COUNT(*) FROM credit"), 1);
    ck_assert_int_eq(NUMBER(&s, s.order, "SELECT COUNT(*) FROM credit_line"), 1);
    ck_assert_int_eq(HELD, 0);
    req->request_id = fresh(&s);
    ret = import(req);
    ck_taken(ret, 0);
    ck_assert_uint_eq(ck_taken(ret, 1)->refunded, 1);
    shop_close(&s);
}
END_TEST

START_TEST(an_import_with_a_refused_entry_cannot_be_activated)
{
    open_shop();
    stage_all("i");
    ImportOrdersRequest *req = staged("i");
    sold(entry(req, "x"), "NOTHING", 1, 4);
    sold(entry(req, "y"), "CUP", 0, 4);
    sold(entry(req, "e"), "CUP", 1, 4);
    const ImportOrdersResponse *ret = import(req);
    ck_assert_uint_eq(ret->refused, 3);
    ck_entry_refused(ret, 2, "ORDER_STAGED", "");
    ck_job("i", STATE(STAGED), 4, 3, 0);
    const struct asked *a = ask_activate("i");
    ck_refused(a, RPC_FAILED_PRECONDITION, "IMPORT_INCOMPLETE", "");
    ck_assert_str_eq(a->subject, "i");
    ck_job("i", STATE(STAGED), 4, 3, 0);
    discard("i");
    shop_settle(&s);
    ck_assert_int_eq(NUMBER(&s, s.order, "SELECT COUNT(*) FROM sales_order"), 0);
    shop_close(&s);
}
END_TEST

START_TEST(an_import_of_which_some_is_not_there_is_not_activated)
{
    open_shop();
    stage_all("i");
    for (int64_t entries = 3; entries <= 5; entries += 2) {
        const struct asked *a = ask_activate_all("i", entries);
        ck_refused(a, RPC_FAILED_PRECONDITION, "IMPORT_INCOMPLETE", "");
        ck_assert_str_eq(a->subject, "i");
    }
    ck_job("i", STATE(STAGED), 4, 0, 0);
    ck_assert_int_eq(ask_activate_all("i", 4)->code, RPC_OK);
    shop_settle(&s);
    ck_job("i", STATE(ACTIVE), 4, 0, 4);
    ck_assert_int_eq(ask_activate_all("i", 4)->code, RPC_OK);
    ck_refused(ask_activate_all("i", 5), RPC_FAILED_PRECONDITION, "IMPORT_INCOMPLETE",
               ""); /* not what he thinks it is */
    shop_close(&s);
}
END_TEST

START_TEST(an_import_is_decided_once)
{
    open_shop();
    stage_all("i");
    activate("i");
    shop_settle(&s);
    activate("i");
    ck_refused(ask_discard("i"), RPC_FAILED_PRECONDITION, "IMPORT_STATE", "");
    ImportOrdersRequest *req = staged("i");
    live(req, "more");
    ck_refused(ask(&s, &erp, "ImportOrders", req), RPC_FAILED_PRECONDITION, "IMPORT_CLOSED", "");
    ck_job("i", STATE(ACTIVE), 4, 0, 4);

    req = staged("j");
    live(req, "more");
    ck_taken(import(req), 0);
    discard("j");
    discard("j");
    ck_refused(ask_activate("j"), RPC_FAILED_PRECONDITION, "IMPORT_STATE", "");
    shop_settle(&s);
    req->request_id = fresh(&s);
    ck_refused(ask(&s, &erp, "ImportOrders", req), RPC_FAILED_PRECONDITION, "IMPORT_CLOSED", "");
    ck_refused(ask_activate("none"), RPC_NOT_FOUND, "IMPORT_NOT_FOUND", "");
    ck_refused(ask_discard("none"), RPC_NOT_FOUND, "IMPORT_NOT_FOUND", "");
    GetImportRequest none = OMS__ORDER__V1__GET_IMPORT_REQUEST__INIT;
    none.import_id = "none";
    ck_refused(ask(&s, &erp, "GetImport", &none), RPC_NOT_FOUND, "IMPORT_NOT_FOUND", "");
    shop_close(&s);
}
END_TEST

START_TEST(a_repeated_chunk_is_staged_once)
{
    open_shop();
    ImportOrdersRequest *req = staged("i");
    live(req, "d");
    sold(entry(req, "x"), "NOTHING", 1, 4);
    const ImportOrdersResponse *first = import(req), *again = import(req);
    ck_assert_str_eq(ck_taken(again, 0)->order_id, first->results[0]->order_id);
    ck_job("i", STATE(STAGED), 1, 1, 0);
    shop_close(&s);
}
END_TEST

START_TEST(drafts_are_known_to_their_own_import_only)
{
    open_shop();
    stage_all("i");
    ImportOrdersRequest *other = staged("j"), *none = chunk(), *own = staged("i");
    back(entry(other, "c1"), "POST", 1, 3, "e", "");
    back(entry(none, "c2"), "POST", 1, 3, "e", "");
    back(entry(own, "c3"), "CUP", 1, 4, "d", "");
    ck_assert_uint_eq(ck_taken(import(other), 0)->credited, 1);
    const char *credit_id = ck_taken(import(none), 0)->credit_id;
    ck_assert_str_eq(((GetCreditResponse *)ask_credit(credit_id)->reply)->credit->lines[0]->reason, "ORDER_UNKNOWN");
    ck_assert_uint_eq(ck_taken(import(own), 0)->credited, 1);
    ck_assert_int_eq(NUMBER(&s, s.order, "SELECT COUNT(*) FROM credit_line WHERE reason = 'ORDER_NOT_DELIVERED'"), 1);
    shop_close(&s);
}
END_TEST

/* A world of a week would take minutes. */
static void a_week_passes(void)
{
    ck_assert_int_eq(NUMBER(&s, s.order,
                            "SELECT (due_us - created_us) / 86400000000 FROM outbox "
                            "WHERE method = 'import-expiry'"),
                     7);
    WRITE(&s, s.order, "UPDATE outbox SET due_us = created_us, next_us = created_us WHERE method = 'import-expiry'");
    node_crash(s.order, 200000);
    world_run(s.world, 60000000);
}

START_TEST(an_import_that_nobody_activates_is_discarded_after_a_week)
{
    open_shop();
    stage_all("i");
    a_week_passes();
    ck_job("i", STATE(DISCARDED), 4, 0, 0);
    ck_assert_int_eq(NUMBER(&s, s.order, "SELECT COUNT(*) FROM sales_order"), 0);
    shop_close(&s);
}
END_TEST

START_TEST(one_that_was_activated_stays)
{
    open_shop();
    stage_all("i");
    activate("i");
    a_week_passes();
    ck_job("i", STATE(ACTIVE), 4, 0, 4);
    ck_assert_int_eq(NUMBER(&s, s.order, "SELECT COUNT(*) FROM sales_order"), 2);
    shop_close(&s);
}
END_TEST

enum { ORDERS = 130, CREDITS = 70 };

static void stage_many(void)
{
    ImportOrdersRequest *req = NULL;
    for (int i = 0; i < ORDERS + CREDITS; i++) {
        if (i % 50 == 0)
            req = staged("i");
        const char *number = arena_printf(&s.arena, "%d", i);
        if (i < ORDERS)
            sold(entry(req, number), "MUG", 2, 1);
        else
            back(entry(req, number), "MUG", 1, 1, arena_printf(&s.arena, "%d", i - ORDERS), "");
        if (i % 50 == 49)
            ck_assert_uint_eq(import(req)->placed, 50);
    }
}

/* Nothing is told of an order before it was imported. */
#define TOLD_TOO_EARLY \
    NUMBER(&s, s.order, \
           "SELECT COUNT(*) FROM event_log e WHERE e.type = 16 AND NOT EXISTS (SELECT 1 FROM event_log i " \
           "WHERE i.key = e.key AND i.type = 17 AND i.seq < e.seq)")

static void ck_all_have_begun_once(void)
{
    ck_assert_int_eq(TOLD_TOO_EARLY, 0);
    ck_job("i", STATE(ACTIVE), ORDERS + CREDITS, 0, ORDERS + CREDITS);
    ck_assert_int_eq(NUMBER(&s, s.order, "SELECT COUNT(*) FROM event_log WHERE type = 17"), ORDERS);
    ck_assert_int_eq(NUMBER(&s, s.order, "SELECT COUNT(*) FROM event_log WHERE type = 18"), CREDITS);
    ck_assert_int_eq(NUMBER(&s, s.order, "SELECT SUM(returned) FROM order_line"), CREDITS);
    ck_assert_int_eq(HELD, 0);
    ck_assert_int_eq(ENTRIES, ORDERS + CREDITS);
    ck_assert_int_eq(NUMBER(&s, s.inventory, "SELECT SUM(on_hand) FROM movement WHERE reason = 'SOLD'"), -2 * ORDERS);
    ck_assert_int_eq(NUMBER(&s, s.inventory, "SELECT SUM(on_hand) FROM movement WHERE reason = 'RETURNED'"), CREDITS);
}

START_TEST(activation_goes_on_after_every_crash)
{
    for (int at = 0; at < 6; at++) {
        open_shop();
        stage_many();
        activate("i");
        for (int i = 0; i < 3; i++) {
            world_run(s.world, 1000 + at * 1500);
            node_crash(s.order, 200000);
        }
        world_run(s.world, 60000000);
        shop_settle(&s);
        ck_all_have_begun_once();
        shop_close(&s);
    }
}
END_TEST

START_TEST(discarding_goes_on_after_every_crash)
{
    open_shop();
    stage_many();
    discard("i");
    for (int i = 0; i < 3; i++) {
        world_run(s.world, 1500);
        node_crash(s.order, 200000);
    }
    world_run(s.world, 60000000);
    ck_job("i", STATE(DISCARDED), ORDERS + CREDITS, 0, 0);
    ck_assert_int_eq(NUMBER(&s, s.order, "SELECT (SELECT COUNT(*) FROM sales_order) + (SELECT COUNT(*) FROM credit)"),
                     0);
    ck_assert_int_eq(EVENTS, 0);
    shop_close(&s);
}
END_TEST

SUITE("staging", 120, what_is_staged_does_nothing_and_nobody_but_staff_sees_it,
      a_list_goes_through_very_many_drafts_in_pages, a_draft_waits_for_its_import_and_knows_no_verb,
      what_is_activated_is_as_if_it_had_come_at_once, what_is_discarded_leaves_nothing_and_frees_what_it_held,
      an_import_with_a_refused_entry_cannot_be_activated, an_import_of_which_some_is_not_there_is_not_activated,
      an_import_is_decided_once, a_repeated_chunk_is_staged_once, drafts_are_known_to_their_own_import_only,
      an_import_that_nobody_activates_is_discarded_after_a_week, one_that_was_activated_stays,
      activation_goes_on_after_every_crash, discarding_goes_on_after_every_crash)
