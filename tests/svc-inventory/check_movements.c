/* What leaves and comes back without a reservation, and the journal that tells of it. */
#include "tests/suite.h"
#include "tests/svc-inventory/goods.h"

#include <string.h>

#define MOVEMENTS NUMBER(&s, s.inventory, "SELECT COUNT(*) FROM movement")
#define AT(sku, location) \
    NUMBER(&s, s.inventory, \
           "SELECT COALESCE(SUM(on_hand), -1) FROM stock WHERE sku = '" sku "' AND location_id = '" location "'")
#define STORED \
    NUMBER(&s, s.inventory, \
           "SELECT (SELECT COUNT(*) FROM movement) * 1000000 + (SELECT COUNT(*) FROM stock) * 1000 + " \
           "(SELECT COUNT(*) FROM event_log) + (SELECT COUNT(*) FROM rpc_request)")

/* A request of many lines, under its document's id. */
static RecordMovementsRequest *request(const char *document, const char *reason, size_t n, const struct want *deltas)
{
    RecordMovementsRequest *req = arena_message(&s.arena, &oms__inventory__v1__record_movements_request__descriptor);
    req->request_id = arena_printf(&s.arena, "%s-stock", document);
    req->document_id = (char *)document;
    req->order_id = (char *)document;
    req->time_us = 1290000000000000;
    req->reason = (char *)reason;
    req->lines = arena_alloc(&s.arena, n * sizeof(*req->lines));
    for (size_t i = 0; i < n; i++) {
        req->lines[i] = arena_message(&s.arena, &oms__inventory__v1__record_movements_request__line__descriptor);
        req->lines[i]->sku = (char *)deltas[i].sku;
        req->lines[i]->delta = deltas[i].quantity;
    }
    req->n_lines = n;
    return req;
}

/* How much had to be found. */
static int64_t record(const char *document, const char *reason, size_t n, const struct want *deltas)
{
    const RecordMovementsResponse *ret =
        get(&s, &order_process, "RecordMovements", request(document, reason, n, deltas));
    return ret->uncounted;
}

static const ListMovementsResponse *list(const char *sku, const char *location, const char *document, int size,
                                         const char *token)
{
    ListMovementsRequest req = OMS__INVENTORY__V1__LIST_MOVEMENTS_REQUEST__INIT;
    req.sku = (char *)sku;
    req.location_id = (char *)location;
    req.document_id = (char *)document;
    req.page_size = size;
    req.page_token = (char *)token;
    return get(&s, &depot, "ListMovements", &req);
}

START_TEST(what_has_left_is_taken_in_the_order_of_priority)
{
    open_shop(1);
    stock(&s, "CUP", "L2", 5);
    stock(&s, "CUP", "L1", 3);
    ck_assert_int_eq(record("ord_1", "SOLD", WANTS({ "CUP", -4 })), 0);
    ck_assert_int_eq(AT("CUP", "L1"), 0);
    ck_assert_int_eq(AT("CUP", "L2"), 4);
    ck_books();
    shop_close(&s);
}
END_TEST

START_TEST(what_is_promised_stays_and_what_is_missing_is_found)
{
    open_shop(1);
    stock(&s, "CUP", "L1", 5);
    stock(&s, "CUP", "L2", 1);
    reserve("o1", WANTS({ "CUP", 4 }));
    ck_assert_int_eq(record("ord_1", "SOLD", WANTS({ "CUP", -5 })), 3);
    ck_assert_int_eq(AT("CUP", "L1"), 4);
    ck_assert_int_eq(AT("CUP", "L2"), 0);
    ck_assert_int_eq(RESERVED, 4);
    ck_assert_int_eq(NUMBER(&s, s.inventory, "SELECT SUM(on_hand) FROM movement WHERE reason = 'UNCOUNTED'"), 3);
    ck_assert_int_eq(NUMBER(&s, s.inventory, "SELECT SUM(on_hand) FROM movement WHERE reason = 'SOLD'"), -5);
    ck_books();
    ck_assert_int_eq(ask_end(begin_commit("o1", "c", PARTS({ "CUP", "L1", 4 })))->code, RPC_OK);
    shop_close(&s);
}
END_TEST

START_TEST(what_was_never_there_has_left_all_the_same)
{
    open_shop(1);
    ck_assert_int_eq(record("ord_1", "SOLD", WANTS({ "MUG", -2 }, { "CUP", -1 })), 3);
    ck_assert_int_eq(AT("MUG", "L1"), 0);
    ck_assert_int_eq(MOVEMENTS, 4);
    ck_books();
    shop_close(&s);
}
END_TEST

START_TEST(what_comes_back_goes_to_the_first_location)
{
    open_shop(1);
    stock(&s, "CUP", "L2", 5);
    ck_assert_int_eq(record("crd_1", "RETURNED", WANTS({ "CUP", 2 }, { "MUG", 1 })), 0);
    ck_assert_int_eq(AT("CUP", "L1"), 2);
    ck_assert_int_eq(AT("CUP", "L2"), 5);
    ck_assert_int_eq(AT("MUG", "L1"), 1);
    ck_books();
    shop_close(&s);
}
END_TEST

START_TEST(lines_of_one_sku_are_added_up)
{
    open_shop(1);
    stock(&s, "CUP", "L1", 3);
    stock(&s, "MUG", "L1", 3);
    int64_t before = MOVEMENTS;
    ck_assert_int_eq(record("ord_1", "SOLD", WANTS({ "CUP", -4 }, { "MUG", -1 }, { "CUP", 1 }, { "MUG", 1 })), 0);
    ck_assert_int_eq(MOVEMENTS, before + 1);
    ck_assert_int_eq(AT("CUP", "L1"), 0);
    ck_books();
    shop_close(&s);
}
END_TEST

static void ck_record_refused(const RecordMovementsRequest *req, enum rpc_code code, const char *reason,
                              const char *field)
{
    int64_t before = STORED;
    ck_refused(ask(&s, &order_process, "RecordMovements", req), code, reason, field);
    ck_assert_int_eq(STORED, before);
}

START_TEST(what_cannot_be_booked_is_refused_whole)
{
    open_shop(1);
    stock(&s, "CUP", "L1", 3);
    ck_record_refused(request("o", "SOLD", WANTS({ "CUP", -1 }, { "POST", -1 })), RPC_FAILED_PRECONDITION,
                      "SKU_NOT_STOCKED", "");
    ck_record_refused(request("o", "SOLD", WANTS({ "CUP", -1 }, { "NONE", -1 })), RPC_FAILED_PRECONDITION,
                      "SKU_UNKNOWN", "");
    ck_record_refused(request("o", "SOLD", WANTS({ "CUP", -1 }, { "CUP", 0 })), RPC_INVALID_ARGUMENT, "DELTA_ZERO",
                      "lines[1].delta");
    ck_record_refused(request("o", "sold to Bert", WANTS({ "CUP", -1 })), RPC_INVALID_ARGUMENT, "REASON_INVALID",
                      "reason");
    WRITE(&s, s.inventory, "UPDATE stock SET on_hand = 1000000000000000");
    ck_record_refused(request("o", "RETURNED", WANTS({ "CUP", 1 })), RPC_FAILED_PRECONDITION, "STOCK_OVERFLOW", "");
    shop_close(&s);
}
END_TEST

START_TEST(what_was_refused_is_booked_once_it_can_be)
{
    shop_open(&s, 1);
    ck_record_refused(request("ord_1", "SOLD", WANTS({ "CUP", -1 })), RPC_FAILED_PRECONDITION, "NO_LOCATION", "");
    open_locations(&s);
    ck_record_refused(request("ord_1", "SOLD", WANTS({ "CUP", -1 })), RPC_FAILED_PRECONDITION, "SKU_UNKNOWN", "");
    upsert(&s, product(&s, "CUP", 1, 0));
    ck_assert_int_eq(record("ord_1", "SOLD", WANTS({ "CUP", -1 })), 1);
    shop_close(&s);
}
END_TEST

START_TEST(a_repeat_is_booked_once)
{
    open_shop(1);
    stock(&s, "CUP", "L1", 3);
    ck_assert_int_eq(record("ord_1", "SOLD", WANTS({ "CUP", -4 })), 1);
    int64_t before = STORED;
    ck_assert_int_eq(record("ord_1", "SOLD", WANTS({ "CUP", -4 })), 1);
    ck_assert_int_eq(STORED, before);
    shop_close(&s);
}
END_TEST

/* One delivery of commands, as svc-order's relay makes it. */
static const Mesh__V1__DeliverResponse *deliver(size_t n, RecordMovementsRequest *const *requests)
{
    Mesh__V1__DeliverRequest delivery = MESH__V1__DELIVER_REQUEST__INIT;
    delivery.commands = arena_alloc(&s.arena, n * sizeof(*delivery.commands));
    for (size_t i = 0; i < n; i++) {
        struct bytes packed = arena_pack(&s.arena, &requests[i]->base);
        delivery.commands[i] = arena_message(&s.arena, &mesh__v1__command__descriptor);
        delivery.commands[i]->method = (char *)"/oms.inventory.v1.InventoryService/RecordMovements";
        delivery.commands[i]->request = (ProtobufCBinaryData){ packed.len, (uint8_t *)packed.data };
    }
    delivery.n_commands = n;
    const struct asked *a = ask_end(ask_begin_at(&s, "svc-inventory", &order_process, "Deliver", &delivery));
    ck_assert_msg(a->code == RPC_OK, "%s %s", a->reason, a->message);
    return a->reply;
}

START_TEST(one_that_is_refused_leaves_the_others_of_its_delivery_as_they_are)
{
    open_shop(1);
    stock(&s, "CUP", "L1", 3);
    const Mesh__V1__DeliverResponse *ret =
        deliver(3, (RecordMovementsRequest *[]){ request("ord_1", "SOLD", WANTS({ "CUP", -1 })),
                                                 request("ord_2", "SOLD", WANTS({ "CUP", -1 }, { "NONE", -1 })),
                                                 request("ord_3", "SOLD", WANTS({ "CUP", -1 })) });
    ck_assert_int_eq(ret->outcomes[0]->status->code, RPC_OK);
    ck_assert_int_eq(ret->outcomes[1]->status->code, RPC_FAILED_PRECONDITION);
    ck_assert_int_eq(ret->outcomes[2]->status->code, RPC_OK);
    ck_assert_int_eq(AT("CUP", "L1"), 1);
    ck_books();
    shop_close(&s);
}
END_TEST

#define DOCUMENTS 48

static void make_documents(RecordMovementsRequest **ret)
{
    static const char *const skus[] = { "CUP", "MUG", "PAN" };
    for (int i = 0; i < DOCUMENTS; i++) {
        bool sold = i % 3 != 1;
        int64_t sign = sold ? -1 : 1;
        ret[i] = request(
            arena_printf(&s.arena, "ord_%02d", i), sold ? "SOLD" : "RETURNED",
            WANTS({ skus[i % 3], sign * (1 + i % 7) }, { skus[i * 5 % 3], sign * (i % 5 + 1) }, { skus[0], sign * 2 }));
    }
}

/* All that the books say, in one number. */
#define BOOKS \
    NUMBER(&s, s.inventory, \
           "SELECT COALESCE(SUM((place * 31 + on_hand * 7 + version) * (place + 13)), 0) FROM (SELECT on_hand, " \
           "version, ROW_NUMBER() OVER (ORDER BY sku, location_id) AS place FROM stock) b") * \
            100003 + \
        NUMBER(&s, s.inventory, \
               "SELECT COALESCE(SUM((place * 17 + on_hand) * (place + 11)), 0) FROM (SELECT on_hand, " \
               "ROW_NUMBER() OVER (ORDER BY sku, location_id, version) AS place FROM movement) b")

START_TEST(many_at_once_are_booked_as_one_after_the_other)
{
    RecordMovementsRequest *requests[DOCUMENTS];
    int64_t books[2], found[2] = { 0 };
    for (int together = 0; together < 2; together++) {
        open_shop(1);
        upsert(&s, product(&s, "PAN", 1, 0));
        stock(&s, "CUP", "L2", 9);
        stock(&s, "MUG", "L1", 20);
        stock(&s, "MUG", "L2", 7);
        make_documents(requests);
        const Mesh__V1__DeliverResponse *ret = together ? deliver(DOCUMENTS, requests) : NULL;
        for (int i = 0; i < DOCUMENTS; i++) {
            const RecordMovementsResponse *one =
                get(&s, &order_process, "RecordMovements", requests[i]); /* a repeat, if together */
            found[together] += one->uncounted;
            ck_assert(!ret || ret->outcomes[i]->status->code == RPC_OK);
        }
        books[together] = BOOKS;
        ck_assert_int_eq(ON_HAND, NUMBER(&s, s.inventory, "SELECT SUM(on_hand) FROM movement"));
        ck_books();
        shop_close(&s);
    }
    ck_assert_int_gt(found[0], 0);
    ck_assert_int_eq(found[0], found[1]);
    ck_assert_int_eq(books[0], books[1]);
}
END_TEST

START_TEST(more_lines_than_are_booked_at_once_are_all_booked)
{
    open_shop(1);
    enum { LINES = 1000, N = 9 };
    struct want lines[LINES];
    RecordMovementsRequest *requests[N];
    stock(&s, "CUP", "L1", 8500);
    for (int i = 0; i < LINES; i++)
        lines[i] = (struct want){ "CUP", -1 };
    for (int i = 0; i < N; i++)
        requests[i] = request(arena_printf(&s.arena, "ord_%d", i), "SOLD", LINES, lines);
    const Mesh__V1__DeliverResponse *ret = deliver(N, requests);
    for (int i = 0; i < N; i++)
        ck_assert_int_eq(ret->outcomes[i]->status->code, RPC_OK);
    ck_assert_int_eq(NUMBER(&s, s.inventory, "SELECT SUM(on_hand) FROM movement WHERE reason = 'UNCOUNTED'"), 500);
    ck_assert_int_eq(AT("CUP", "L1"), 0);
    ck_books();
    shop_close(&s);
}
END_TEST

START_TEST(the_books_still_agree_and_availability_follows)
{
    open_shop(1);
    stock(&s, "CUP", "L1", 9);
    record("ord_1", "SOLD", WANTS({ "CUP", -4 }, { "MUG", -1 }));
    record("crd_1", "RETURNED", WANTS({ "MUG", 1 }));
    shop_settle(&s);
    BatchGetAvailabilityRequest get_request = OMS__INVENTORY__V1__BATCH_GET_AVAILABILITY_REQUEST__INIT;
    get_request.skus = (char *[]){ (char *)"CUP", (char *)"MUG" };
    get_request.n_skus = 2;
    const BatchGetAvailabilityResponse *there = get(&s, &anna, "BatchGetAvailability", &get_request);
    ck_assert_int_eq(there->availability[0]->available, 5);
    ck_assert_int_eq(there->availability[1]->available, 1);
    VerifyInventoryRequest verify = OMS__INVENTORY__V1__VERIFY_INVENTORY_REQUEST__INIT;
    verify.request_id = fresh(&s);
    const VerifyInventoryResponse *books = get(&s, &erp, "VerifyInventory", &verify);
    ck_assert_int_eq(books->verified, 2);
    ck_assert_uint_eq(books->n_divergences, 0);
    shop_close(&s);
}
END_TEST

START_TEST(the_journal_tells_when_and_why)
{
    open_shop(1);
    stock(&s, "CUP", "L1", 1);
    record("ord_1", "SOLD", WANTS({ "CUP", -2 }));
    const ListMovementsResponse *ret = list("CUP", "", "", 0, "");
    ck_assert_uint_eq(ret->n_movements, 3);
    const Movement *sold = ret->movements[0], *found = ret->movements[1], *received = ret->movements[2];
    ck_assert_str_eq(sold->reason, "SOLD");
    ck_assert_int_eq(sold->on_hand, -2);
    ck_assert_uint_eq(sold->version, 3);
    ck_assert_str_eq(sold->ref, "ord_1-stock");
    ck_assert_str_eq(sold->document_id, "ord_1");
    ck_assert_int_eq(sold->effective_time_us, 1290000000000000);
    ck_assert_int_gt(sold->time_us, sold->effective_time_us);
    ck_assert_str_eq(found->reason, "UNCOUNTED");
    ck_assert_int_eq(found->on_hand, 1);
    ck_assert_str_eq(found->document_id, "ord_1");
    ck_assert_str_eq(received->reason, "RECEIVED");
    ck_assert_str_eq(received->document_id, "");
    ck_assert_int_eq(received->effective_time_us, received->time_us);
    shop_close(&s);
}
END_TEST

/* What the previous release writes while both run. */
START_TEST(a_movement_of_the_previous_release_is_told_too)
{
    open_shop(1);
    stock(&s, "CUP", "L1", 1);
    WRITE(&s, s.inventory,
          "INSERT INTO movement (sku, location_id, version, on_hand, reserved, reason, ref, time_us) "
          "VALUES ('CUP', 'L1', 2, -1, 0, 'COUNTED', 'request', 77)");
    const ListMovementsResponse *ret = list("CUP", "L1", "", 0, "");
    ck_assert_uint_eq(ret->n_movements, 2);
    ck_assert_str_eq(ret->movements[0]->ref, "request");
    ck_assert_int_eq(ret->movements[0]->effective_time_us, 77);
    shop_close(&s);
}
END_TEST

/* All pages of a listing, joined: "SKU LOCATION VERSION" each. */
static const char *pages(const char *sku, const char *location, const char *document, int size)
{
    const char *all = "", *token = "";
    do {
        const ListMovementsResponse *page = list(sku, location, document, size, token);
        ck_assert_uint_le(page->n_movements, (size_t)size);
        for (size_t i = 0; i < page->n_movements; i++)
            all = arena_printf(&s.arena, "%s%s%s.%s.%d", all, *all ? " " : "", page->movements[i]->sku,
                               page->movements[i]->location_id, (int)page->movements[i]->version);
        token = page->next_page_token;
    } while (*token);
    return all;
}

START_TEST(the_journal_is_told_shelf_by_shelf_the_latest_first)
{
    open_shop(1);
    stock(&s, "CUP", "L1", 3);
    stock(&s, "CUP", "L2", 1);
    stock(&s, "MUG", "L2", 1);
    record("ord_1", "SOLD", WANTS({ "CUP", -4 }, { "MUG", -1 }));
    record("ord_2", "SOLD", WANTS({ "CUP", -1 }));
    for (int size = 1; size <= 9; size++) {
        ck_assert_str_eq(pages("", "", "", size), "CUP.L1.4 CUP.L1.3 CUP.L1.2 CUP.L1.1 CUP.L2.2 CUP.L2.1 MUG.L2.2 "
                                                  "MUG.L2.1");
        ck_assert_str_eq(pages("CUP", "", "", size), "CUP.L1.4 CUP.L1.3 CUP.L1.2 CUP.L1.1 CUP.L2.2 CUP.L2.1");
        ck_assert_str_eq(pages("", "L2", "", size), "CUP.L2.2 CUP.L2.1 MUG.L2.2 MUG.L2.1");
        ck_assert_str_eq(pages("CUP", "L2", "", size), "CUP.L2.2 CUP.L2.1");
        ck_assert_str_eq(pages("", "", "ord_1", size), "CUP.L1.2 CUP.L2.2 MUG.L2.2");
        ck_assert_str_eq(pages("", "", "ord_2", size), "CUP.L1.4 CUP.L1.3");
        ck_assert_str_eq(pages("CUP", "", "ord_1", size), "CUP.L1.2 CUP.L2.2");
        ck_assert_str_eq(pages("", "L2", "ord_1", size), "CUP.L2.2 MUG.L2.2");
        ck_assert_str_eq(pages("PAN", "", "", size), "");
    }
    shop_close(&s);
}
END_TEST

START_TEST(what_happens_between_two_pages_moves_neither)
{
    open_shop(1);
    for (int i = 0; i < 4; i++)
        stock(&s, "CUP", "L1", 1);
    const ListMovementsResponse *page = list("CUP", "", "", 2, "");
    const char *token = page->next_page_token;
    ck_assert_uint_eq(page->movements[1]->version, 3);
    stock(&s, "CUP", "L1", 1);
    page = list("CUP", "", "", 2, token);
    ck_assert_uint_eq(page->movements[0]->version, 2);
    ck_assert_uint_eq(page->movements[1]->version, 1);
    ck_assert_str_eq(page->next_page_token, "");
    ListMovementsRequest other = OMS__INVENTORY__V1__LIST_MOVEMENTS_REQUEST__INIT;
    other.sku = (char *)"MUG";
    other.page_token = (char *)token;
    ck_refused(ask(&s, &depot, "ListMovements", &other), RPC_INVALID_ARGUMENT, "PAGE_TOKEN_INVALID", "page_token");
    shop_close(&s);
}
END_TEST

START_TEST(an_order_is_the_document_of_what_is_shipped_for_it)
{
    open_shop(1);
    stock(&s, "CUP", "L1", 3);
    reserve("ord_1", WANTS({ "CUP", 2 }));
    ask_end(begin_commit("ord_1", "c", PARTS({ "CUP", "L1", 1 })));
    ck_assert(release("ord_1", "r"));
    const ListMovementsResponse *ret = list("", "", "ord_1", 0, "");
    ck_assert_uint_eq(ret->n_movements, 1);
    ck_assert_str_eq(ret->movements[0]->reason, "SHIPPED");
    ck_assert_int_eq(ret->movements[0]->on_hand, -1);
    shop_close(&s);
}
END_TEST

SUITE("movements", 120, what_has_left_is_taken_in_the_order_of_priority,
      what_is_promised_stays_and_what_is_missing_is_found, what_was_never_there_has_left_all_the_same,
      what_comes_back_goes_to_the_first_location, lines_of_one_sku_are_added_up, what_cannot_be_booked_is_refused_whole,
      what_was_refused_is_booked_once_it_can_be, a_repeat_is_booked_once,
      one_that_is_refused_leaves_the_others_of_its_delivery_as_they_are, many_at_once_are_booked_as_one_after_the_other,
      more_lines_than_are_booked_at_once_are_all_booked, the_books_still_agree_and_availability_follows,
      the_journal_tells_when_and_why, a_movement_of_the_previous_release_is_told_too,
      the_journal_is_told_shelf_by_shelf_the_latest_first, what_happens_between_two_pages_moves_neither,
      an_order_is_the_document_of_what_is_shipped_for_it)
