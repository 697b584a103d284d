/* Invoices: each document is booked once of each kind, by SKU, and every entry is zero in all. */
#include "svc-payment/book.h"
#include "tests/suite.h"
#include "tests/svc-payment/till.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define KIND(name) OMS__PAYMENT__V1__BOOK_INVOICE_REQUEST__KIND__##name
#define ISSUED_US  1291191960000000ll /* 2010-12-01 08:26 */

static struct shop s;

struct sold {
    const char *sku;
    int64_t quantity, pence;
};
#define LINES(...) \
    (const struct sold[]){ __VA_ARGS__ }, sizeof((const struct sold[]){ __VA_ARGS__ }) / sizeof(struct sold)

static Money *pence(int64_t minor)
{
    return money(&s, "GBP", minor / 100, (int32_t)(minor % 100 * 10000000));
}

static BookInvoiceRequest *invoice(BookInvoiceKind kind, const char *document_id, const struct sold *sold, size_t n)
{
    BookInvoiceRequest *req = arena_message(&s.arena, &oms__payment__v1__book_invoice_request__descriptor);
    req->request_id = fresh(&s);
    req->kind = kind;
    req->document_id = req->order_id = (char *)document_id;
    req->time_us = ISSUED_US;
    req->customer_id = "cus_17850";
    req->country = "United Kingdom";
    req->channel = "erp";
    req->currency_code = "GBP";
    req->n_lines = n;
    req->lines = arena_alloc(&s.arena, n * sizeof(*req->lines));
    for (size_t i = 0; i < n; i++) {
        req->lines[i] = arena_message(&s.arena, &oms__payment__v1__book_invoice_request__line__descriptor);
        req->lines[i]->sku = (char *)sold[i].sku;
        req->lines[i]->quantity = sold[i].quantity;
        req->lines[i]->amount = pence(sold[i].pence);
    }
    return req;
}

static const char *booked(const BookInvoiceRequest *req)
{
    return ((const BookInvoiceResponse *)get(&s, &order_process, "BookInvoice", req))->entry_id;
}

static const LedgerEntry *entry_of(const char *document_id)
{
    ListLedgerEntriesRequest req = OMS__PAYMENT__V1__LIST_LEDGER_ENTRIES_REQUEST__INIT;
    req.document_id = (char *)document_id;
    const ListLedgerEntriesResponse *ret = get(&s, &erp, "ListLedgerEntries", &req);
    ck_assert_uint_eq(ret->n_entries, 1);
    ck_assert_str_eq(ret->next_page_token, "");
    return ret->entries[0];
}

/* "RECEIVABLE 700, SALES CUP 2 -600, SALES POST 1 -100" */
static const char *postings(const LedgerEntry *entry)
{
    const char *text = "";
    for (size_t i = 0; i < entry->n_postings; i++) {
        const Posting *p = entry->postings[i];
        text = arena_printf(&s.arena, "%s%s%s ", text, i ? ", " : "", p->account);
        if (p->sku[0])
            text = arena_printf(&s.arena, "%s%s %d ", text, p->sku, (int)p->quantity);
        text = arena_printf(&s.arena, "%s%d", text, (int)minor_of(p->amount));
    }
    return text;
}

static int64_t balance(const char *account)
{
    return shop_number(
        &s, s.payment,
        arena_printf(&s.arena, "SELECT COALESCE(SUM(minor), 0) FROM ledger_balance WHERE account = '%s'", account));
}

START_TEST(a_sale_is_owed_and_told_by_sku)
{
    shop_open(&s, 1);
    const char *id = booked(
        invoice(KIND(SALE), "ord_1", LINES({ "MUG", 1, 250 }, { "CUP", 2, 600 }, { "POST", 1, 0 }, { "CUP", 3, 750 })));
    const LedgerEntry *entry = entry_of("ord_1");
    ck_assert_str_eq(entry->entry_id, id);
    ck_assert_str_eq(postings(entry), "RECEIVABLE 1600, SALES CUP 5 -1350, SALES MUG 1 -250, SALES POST 1 0");
    ck_assert_str_eq(entry->order_id, "ord_1");
    ck_assert_str_eq(entry->customer_id, "cus_17850");
    ck_assert_str_eq(entry->country, "United Kingdom");
    ck_assert_str_eq(entry->channel, "erp");
    ck_assert_int_eq(entry->kind, KIND(SALE));
    ck_assert_int_eq(entry->effective_time_us, ISSUED_US);
    ck_assert_int_gt(entry->time_us, ISSUED_US);
    ck_assert_str_eq(entry->payment_id, "");
    ck_assert_int_eq(balance("RECEIVABLE"), 1600);
    ck_assert_int_eq(balance("SALES"), -1600);
    ck_books(&s);
    shop_close(&s);
}
END_TEST

START_TEST(a_credit_goes_the_other_way_and_needs_no_order)
{
    shop_open(&s, 1);
    booked(invoice(KIND(SALE), "ord_1", LINES({ "CUP", 2, 600 })));
    BookInvoiceRequest *req = invoice(KIND(CREDIT), "crd_1", LINES({ "MUG", 1, 50 }, { "CUP", 1, 300 }));
    req->order_id = "";
    booked(req);
    ck_assert_str_eq(postings(entry_of("crd_1")), "CREDITS CUP 1 300, CREDITS MUG 1 50, RECEIVABLE -350");
    ck_assert_str_eq(entry_of("crd_1")->order_id, "");
    ck_assert_int_eq(entry_of("crd_1")->kind, KIND(CREDIT));
    ck_assert_int_eq(balance("RECEIVABLE"), 250);
    ck_assert_int_eq(balance("CREDITS"), 350);
    ck_assert_int_eq(balance("SALES"), -600);
    ck_books(&s);
    shop_close(&s);
}
END_TEST

START_TEST(an_invoice_over_nothing_is_booked_as_lines_of_nothing)
{
    shop_open(&s, 1);
    booked(invoice(KIND(SALE), "ord_1", LINES({ "GIFT", 1, 0 }, { "BAG", 7, 0 })));
    ck_assert_str_eq(postings(entry_of("ord_1")), "RECEIVABLE 0, SALES BAG 7 0, SALES GIFT 1 0");
    ck_books(&s);
    shop_close(&s);
}
END_TEST

START_TEST(a_document_is_booked_once_of_each_kind)
{
    shop_open(&s, 1);
    BookInvoiceRequest *req = invoice(KIND(SALE), "doc_1", LINES({ "CUP", 2, 600 }));
    const char *id = booked(req);
    ck_assert_str_eq(booked(req), id);
    const struct asked *again =
        ask(&s, &order_process, "BookInvoice", invoice(KIND(SALE), "doc_1", LINES({ "CUP", 2, 600 })));
    ck_refused(again, RPC_ALREADY_EXISTS, "INVOICE_BOOKED", "");
    ck_assert_str_eq(again->resource, id);
    ck_assert_str_eq(rpc_status_meta(&s.arena, &again->status, "entry_id"), id);
    booked(invoice(KIND(CREDIT), "doc_1", LINES({ "CUP", 1, 100 })));
    ck_assert_int_eq(balance("RECEIVABLE"), 500);
    ck_books(&s);
    shop_close(&s);
}
END_TEST

static void ck_field(BookInvoiceRequest *req, const char *reason, const char *field)
{
    ck_refused(ask(&s, &order_process, "BookInvoice", req), RPC_INVALID_ARGUMENT, reason, field);
}

START_TEST(what_is_no_invoice_is_refused_and_says_where)
{
    static const struct {
        const char *currency;
        int64_t units;
        int32_t nanos;
        const char *reason;
    } amounts[] = {
        { "EUR", 1, 0, "CURRENCY_MISMATCH" },
        { "XXQ", 1, 0, "AMOUNT_INVALID" },
        { "GBP", 1, 1, "AMOUNT_NOT_WHOLE" },
        { "GBP", -1, 0, "AMOUNT_NEGATIVE" },
        { "GBP", 9999999999999, 0, "AMOUNT_OVERFLOW" }, /* with the line before it */
        { "GBP", INT64_MAX, 0, "AMOUNT_OVERFLOW" },
        { "EUR", INT64_MAX, 0, "CURRENCY_MISMATCH" },
    };
    shop_open(&s, 1);
    for (size_t i = 0; i < sizeof(amounts) / sizeof(amounts[0]); i++) {
        BookInvoiceRequest *req = invoice(KIND(SALE), "d", LINES({ "CUP", 1, 101 }, { "CUP", 1, 1 }));
        req->lines[1]->amount = money(&s, amounts[i].currency, amounts[i].units, amounts[i].nanos);
        ck_field(req, amounts[i].reason, "lines[1].amount");
    }
    BookInvoiceRequest *req = invoice(KIND(KIND_UNSPECIFIED), "d", LINES({ "CUP", 1, 1 }));
    ck_field(req, "KIND_UNKNOWN", "kind");
    req->kind = (BookInvoiceKind)3;
    ck_field(req, "KIND_UNKNOWN", "kind");
    req->kind = (BookInvoiceKind)-1;
    ck_field(req, "KIND_UNKNOWN", "kind");
    req = invoice(KIND(SALE), "d", LINES({ "CUP", 0, 1 }));
    ck_field(req, "OUT_OF_RANGE", "lines[0].quantity");
    req = invoice(KIND(SALE), "d", LINES({ "CUP", 1, 1 }));
    req->currency_code = "XXQ";
    ck_field(req, "CURRENCY_UNKNOWN", "currency_code");
    req->currency_code = "GBP";
    req->time_us = 0;
    ck_field(req, "OUT_OF_RANGE", "time_us");
    static struct sold many[1001];
    for (int i = 0; i < 1001; i++)
        many[i] = (struct sold){ "CUP", 1, 1 };
    ck_refused(ask(&s, &order_process, "BookInvoice", invoice(KIND(SALE), "d", many, 1001)), RPC_INVALID_ARGUMENT,
               "TOO_MANY_ITEMS", "lines");
    ck_assert_int_eq(NUMBER(&s, s.payment, "SELECT COUNT(*) FROM ledger_entry"), 0);
    shop_close(&s);
}
END_TEST

START_TEST(the_greatest_invoice_is_booked)
{
    static struct sold many[1000];
    shop_open(&s, 1);
    for (int i = 0; i < 1000; i++)
        many[i] = (struct sold){ "CUP", 1000000000, 1000000000000 };
    booked(invoice(KIND(SALE), "d", many, 1000));
    ck_assert_int_eq(NUMBER(&s, s.payment, "SELECT quantity FROM ledger_line"), 1000000000000);
    ck_assert_int_eq(balance("RECEIVABLE"), AMOUNT_MAX);
    ck_books(&s);
    shop_close(&s);
}
END_TEST

/* Delivered together, so that they are one batch: of each four one comes twice, and one is refused. */
START_TEST(many_at_once_keep_the_books_and_spoil_no_other)
{
    enum { N = 64 };
    Mesh__V1__DeliverRequest req = MESH__V1__DELIVER_REQUEST__INIT;
    Mesh__V1__Command commands[N], *all[N];
    int64_t commits;
    shop_open(&s, 1);
    booked(invoice(KIND(SALE), "d0", LINES({ "CUP", 1, 1 })));
    for (int i = 0; i < N; i++) {
        const char *document = arena_printf(&s.arena, "d%d", i % 4 == 3 ? i - 1 : i);
        BookInvoiceRequest *one = invoice(i % 8 ? KIND(SALE) : KIND(CREDIT), document,
                                          LINES({ "CUP", 1, 100 }, { "MUG", 1, i }, { "CUP", 1, 100 }));
        if (i % 4 == 1)
            one->lines[2]->amount->currency_code = "EUR";
        struct bytes packed = arena_pack(&s.arena, &one->base);
        mesh__v1__command__init(&commands[i]);
        commands[i].method = "/oms.payment.v1.LedgerService/BookInvoice";
        commands[i].request.data = (uint8_t *)packed.data;
        commands[i].request.len = packed.len;
        all[i] = &commands[i];
    }
    req.commands = all;
    req.n_commands = N;
    const Mesh__V1__DeliverResponse *ret =
        ask_end(ask_begin_at(&s, "svc-payment", &order_process, "Deliver", &req))->reply;
    ck_assert_ptr_nonnull(ret);
    for (int i = 0; i < N; i++)
        ck_assert_int_eq(ret->outcomes[i]->status->code, i % 4 == 1   ? RPC_INVALID_ARGUMENT
                                                         : i % 4 == 3 ? RPC_ALREADY_EXISTS
                                                                      : RPC_OK);
    commits = NUMBER(&s, s.payment, "SELECT COUNT(DISTINCT time_us) FROM ledger_entry");
    ck_assert_int_eq(commits, 2);
    ck_assert_int_eq(NUMBER(&s, s.payment, "SELECT COUNT(*) FROM ledger_entry"), N / 2 + 1);
    ck_books(&s);
    shop_close(&s);
}
END_TEST

/* Seven of 999 SKUs each. */
START_TEST(a_page_ends_before_it_has_too_many_postings)
{
    enum { N = 7, SKUS = 999 };
    static struct sold many[SKUS];
    static char skus[SKUS][8];
    size_t pages = 0, entries = 0;
    shop_open(&s, 1);
    for (int i = 0; i < SKUS; i++) {
        snprintf(skus[i], sizeof(skus[i]), "S%03d", i);
        many[i] = (struct sold){ skus[i], 1, i };
    }
    for (int i = 0; i < N; i++)
        booked(invoice(KIND(SALE), arena_printf(&s.arena, "d%d", i), many, SKUS));
    ListLedgerEntriesRequest req = OMS__PAYMENT__V1__LIST_LEDGER_ENTRIES_REQUEST__INIT;
    for (const ListLedgerEntriesResponse *page = NULL; !page || page->next_page_token[0]; pages++) {
        req.page_token = page ? page->next_page_token : "";
        page = get(&s, &erp, "ListLedgerEntries", &req);
        for (size_t i = 0; i < page->n_entries; i++, entries++) {
            ck_assert_uint_eq(page->entries[i]->n_postings, SKUS + 1);
            ck_assert_str_eq(page->entries[i]->postings[SKUS]->sku, "S998");
        }
        ck_assert_uint_le(page->n_entries, 4);
    }
    ck_assert_uint_eq(pages, 2);
    ck_assert_uint_eq(entries, N);
    shop_close(&s);
}
END_TEST

START_TEST(entries_are_found_by_document_and_by_order)
{
    shop_open(&s, 1);
    booked(invoice(KIND(SALE), "ord_1", LINES({ "CUP", 2, 600 })));
    BookInvoiceRequest *credit = invoice(KIND(CREDIT), "crd_1", LINES({ "CUP", 1, 300 }));
    credit->order_id = "ord_1";
    booked(credit);
    booked(invoice(KIND(SALE), "ord_2", LINES({ "CUP", 2, 600 })));
    ListLedgerEntriesRequest req = OMS__PAYMENT__V1__LIST_LEDGER_ENTRIES_REQUEST__INIT;
    req.order_id = "ord_1";
    ck_assert_uint_eq(((ListLedgerEntriesResponse *)get(&s, &erp, "ListLedgerEntries", &req))->n_entries, 2);
    req.document_id = "crd_1";
    ck_assert_uint_eq(((ListLedgerEntriesResponse *)get(&s, &erp, "ListLedgerEntries", &req))->n_entries, 1);
    req.order_id = "ord_2";
    ck_assert_uint_eq(((ListLedgerEntriesResponse *)get(&s, &erp, "ListLedgerEntries", &req))->n_entries, 0);
    shop_close(&s);
}
END_TEST

START_TEST(nobody_but_a_service_books_an_invoice)
{
    shop_open(&s, 1);
    const BookInvoiceRequest *req = invoice(KIND(SALE), "ord_1", LINES({ "CUP", 2, 600 }));
    ck_refused(ask(&s, &erp, "BookInvoice", req), RPC_PERMISSION_DENIED, "ROLE_NOT_ALLOWED", "");
    shop_close(&s);
}
END_TEST

/* --- what only a mistake of ours could ask for --- */

struct attempt {
    struct unit unit;
    struct ledger_entry entry;
    bool done;
    int result;
};

static int attempt_write(struct txn *txn, void *arg)
{
    return ledger_write(txn, &((struct attempt *)arg)->entry, 1);
}

static void attempted(struct unit *unit, int result)
{
    struct attempt *a = unit->arg;
    a->result = result;
    a->done = true;
}

static bool is_attempted(void *arg)
{
    return ((struct attempt *)arg)->done;
}

static int written(int64_t debit, int64_t credit, int64_t line)
{
    struct ledger_line lines[] = { { "CUP", 1, line }, { "MUG", 1, -100 } };
    struct attempt a = {
        .entry = { .entry_id = "led_1",
                   .order_id = "",
                   .payment_id = "",
                   .operation_id = "",
                   .document_id = "d",
                   .kind = KIND(SALE),
                   .customer_id = "",
                   .country = "",
                   .channel = "",
                   .currency = "GBP",
                   .postings = { { "RECEIVABLE", debit }, { "SALES", credit } },
                   .lined = 1,
                   .lines = lines,
                   .n_lines = 2 },
    };
    a.unit = (struct unit){ .run = attempt_write, .arg = &a, .arena = &s.arena, .done = attempted };
    store_write(service_store(node_service(s.payment)), &a.unit);
    ck_assert(world_until(s.world, is_attempted, &a, TILL_PATIENCE_US));
    return a.result;
}

START_TEST(an_entry_that_does_not_add_up_is_not_written)
{
    shop_open(&s, 1);
    ck_assert_int_eq(written(300, -301, -201), -EBADMSG);
    ck_assert_int_eq(written(300, -300, -201), -EBADMSG);
    ck_assert_int_eq(written(300, -300, INT64_MIN), -EBADMSG);
    ck_assert_int_eq(NUMBER(&s, s.payment, "SELECT COUNT(*) FROM ledger_posting"), 0);
    ck_assert_int_eq(written(300, -300, -200), 0);
    ck_books(&s);
    shop_close(&s);
}
END_TEST

/* As it writes its captures during a rollout. */
START_TEST(the_release_before_goes_on_booking_and_is_read)
{
    shop_open(&s, 1);
    booked(invoice(KIND(SALE), "ord_1", LINES({ "CUP", 2, 600 })));
    for (int i = 0; i < 2; i++) {
        shop_write(&s, s.payment,
                   arena_printf(&s.arena,
                                "INSERT INTO ledger_entry (entry_id, order_id, payment_id, operation_id, time_us) "
                                "VALUES ('led_%d', 'ord_2', 'pay_1', 'op_%d', 7)",
                                i, i));
        shop_write(&s, s.payment,
                   arena_printf(&s.arena,
                                "INSERT INTO ledger_posting (entry_id, account, currency, minor) VALUES "
                                "('led_%d', 'PAID_OTHERWISE', 'GBP', -5), ('led_%d', 'REFUNDS', 'GBP', 5)",
                                i, i));
        WRITE(&s, s.payment,
              "INSERT INTO ledger_balance (account, currency, minor, entries) VALUES ('REFUNDS', 'GBP', 5, 1), "
              "('PAID_OTHERWISE', 'GBP', -5, 1) ON CONFLICT (account, currency) DO UPDATE SET "
              "minor = ledger_balance.minor + excluded.minor, entries = ledger_balance.entries + 1");
    }
    ListLedgerEntriesRequest req = OMS__PAYMENT__V1__LIST_LEDGER_ENTRIES_REQUEST__INIT;
    req.order_id = "ord_2";
    const ListLedgerEntriesResponse *ret = get(&s, &erp, "ListLedgerEntries", &req);
    ck_assert_uint_eq(ret->n_entries, 2);
    ck_assert_str_eq(postings(ret->entries[1]), "REFUNDS 5, PAID_OTHERWISE -5");
    ck_assert_int_eq(ret->entries[1]->effective_time_us, 7);
    ck_assert_int_eq(ret->entries[1]->kind, KIND(KIND_UNSPECIFIED));
    /* Nor does it meet an entry of more than the two postings that it has room for. */
    ck_assert_int_eq(NUMBER(&s, s.payment,
                            "SELECT MAX(n) FROM (SELECT COUNT(*) AS n FROM ledger_posting "
                            "GROUP BY entry_id)"),
                     2);
    ck_books(&s);
    shop_close(&s);
}
END_TEST

SUITE("invoices", 120, a_sale_is_owed_and_told_by_sku, a_credit_goes_the_other_way_and_needs_no_order,
      an_invoice_over_nothing_is_booked_as_lines_of_nothing, a_document_is_booked_once_of_each_kind,
      what_is_no_invoice_is_refused_and_says_where, the_greatest_invoice_is_booked,
      many_at_once_keep_the_books_and_spoil_no_other, a_page_ends_before_it_has_too_many_postings,
      entries_are_found_by_document_and_by_order, nobody_but_a_service_books_an_invoice,
      an_entry_that_does_not_add_up_is_not_written, the_release_before_goes_on_booking_and_is_read)
