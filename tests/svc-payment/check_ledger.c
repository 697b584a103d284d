/* The books: every capture and refund is an entry whose postings are zero in all, and balances are their sums. */
#include "tests/suite.h"
#include "tests/svc-payment/till.h"

#include <string.h>

static struct shop s;

static const GetTrialBalanceResponse *trial_balance(const char *currency)
{
    GetTrialBalanceRequest req = OMS__PAYMENT__V1__GET_TRIAL_BALANCE_REQUEST__INIT;
    req.currency_code = (char *)currency;
    return get(&s, &erp, "GetTrialBalance", &req);
}

static int64_t balance_of(const GetTrialBalanceResponse *ret, const char *account, const char *currency)
{
    int64_t minor = 0;
    for (size_t i = 0; i < ret->n_balances; i++) {
        const Balance *b = ret->balances[i];
        if (strcmp(b->account, account) == 0 && strcmp(b->amount->currency_code, currency) == 0)
            minor += minor_of(b->amount);
    }
    return minor;
}

static const char *captured(const char *order_id, int64_t minor)
{
    const char *id = authorized(&s, order_id, "tok_ok");
    capture(&s, id, order_id, minor);
    till_settle(&s);
    return id;
}

/* In a currency without pence. */
static void captured_yen(const char *order_id, int64_t yen)
{
    AuthorizePaymentRequest req = OMS__PAYMENT__V1__AUTHORIZE_PAYMENT_REQUEST__INIT;
    req.request_id = arena_printf(&s.arena, "%s-authorize", order_id);
    req.order_id = (char *)order_id;
    req.amount = money(&s, "JPY", yen, 0);
    req.payment_token = "tok_ok";
    const AuthorizePaymentResponse *ret = get(&s, &order_process, "AuthorizePayment", &req);
    till_settle(&s);
    CapturePaymentRequest all = OMS__PAYMENT__V1__CAPTURE_PAYMENT_REQUEST__INIT;
    all.request_id = arena_printf(&s.arena, "%s-capture", order_id);
    all.payment_id = ret->payment_id;
    all.amount = req.amount;
    get(&s, &order_process, "CapturePayment", &all);
    till_settle(&s);
}

START_TEST(what_is_authorized_or_declined_is_not_booked)
{
    shop_open(&s, 1);
    authorized(&s, "o1", "tok_ok");
    void_order(&s, "o1");
    capture(&s, authorized(&s, "o2", "tok_capture_fails"), "f2", 100);
    till_settle(&s);
    ck_assert_int_eq(trial_balance("")->n_balances, 0);
    ck_assert_int_eq(NUMBER(&s, s.payment, "SELECT COUNT(*) FROM ledger_entry"), 0);
    ck_books(&s);
    shop_close(&s);
}
END_TEST

START_TEST(captures_are_sales_and_refunds_are_booked_against_what_is_to_be_received)
{
    shop_open(&s, 1);
    const char *id = captured("o1", 1000);
    captured("o2", 250);
    refund(&s, id, "r1", 300);
    till_settle(&s);
    const GetTrialBalanceResponse *ret = trial_balance("GBP");
    ck_assert_int_eq(balance_of(ret, "PROCESSOR_RECEIVABLE", "GBP"), 950);
    ck_assert_int_eq(balance_of(ret, "SALES", "GBP"), -1250);
    ck_assert_int_eq(balance_of(ret, "REFUNDS", "GBP"), 300);
    ck_assert_int_eq(ret->n_sums, 1);
    ck_assert_int_eq(minor_of(ret->sums[0]), 0);
    for (size_t i = 0; i < ret->n_balances; i++)
        ck_assert_int_eq(ret->balances[i]->entries, strcmp(ret->balances[i]->account, "PROCESSOR_RECEIVABLE") == 0 ? 3
                                                    : strcmp(ret->balances[i]->account, "SALES") == 0              ? 2
                                                                                                                   : 1);
    ck_books(&s);
    shop_close(&s);
}
END_TEST

START_TEST(currencies_are_kept_apart)
{
    shop_open(&s, 1);
    captured("o1", 100);
    captured_yen("o2", 7000);
    const GetTrialBalanceResponse *ret = trial_balance("");
    ck_assert_int_eq(ret->n_balances, 4);
    ck_assert_int_eq(ret->n_sums, 2);
    ck_assert_int_eq(balance_of(ret, "SALES", "JPY"), -7000);
    ck_assert_int_eq(balance_of(ret, "SALES", "GBP"), -100);
    ck_assert_int_eq(trial_balance("JPY")->n_balances, 2);
    ck_assert_int_eq(trial_balance("EUR")->n_balances, 0);
    GetTrialBalanceRequest req = OMS__PAYMENT__V1__GET_TRIAL_BALANCE_REQUEST__INIT;
    req.currency_code = "XXQ";
    ck_refused(ask(&s, &erp, "GetTrialBalance", &req), RPC_INVALID_ARGUMENT, "CURRENCY_UNKNOWN", "currency_code");
    ck_refused(ask(&s, &anna, "GetTrialBalance", &req), RPC_PERMISSION_DENIED, "ROLE_NOT_ALLOWED", "");
    ck_books(&s);
    shop_close(&s);
}
END_TEST

/* Walks all pages of three. */
static size_t listed(const char *order_id, LedgerEntry **ret_entries, size_t max)
{
    ListLedgerEntriesRequest req = OMS__PAYMENT__V1__LIST_LEDGER_ENTRIES_REQUEST__INIT;
    req.order_id = (char *)order_id;
    req.page_size = 3;
    for (size_t n = 0;;) {
        const ListLedgerEntriesResponse *page = get(&s, &erp, "ListLedgerEntries", &req);
        for (size_t i = 0; i < page->n_entries; i++) {
            ck_assert_uint_lt(n, max);
            ret_entries[n++] = page->entries[i];
        }
        if (page->next_page_token[0] == '\0')
            return n;
        ck_assert_uint_eq(page->n_entries, 3);
        req.page_token = page->next_page_token;
    }
}

START_TEST(entries_are_listed_oldest_first_with_postings_that_are_zero_in_all)
{
    shop_open(&s, 1);
    LedgerEntry *entries[20];
    for (int i = 0; i < 6; i++)
        captured(arena_printf(&s.arena, "o%d", i), 100 + i);
    const char *id = captured("p", 1000);
    refund(&s, id, "r1", 600);
    till_settle(&s);
    ck_assert_uint_eq(listed("", entries, 20), 8);
    for (int i = 0; i < 8; i++) {
        ck_assert(i == 0 || entries[i - 1]->time_us <= entries[i]->time_us);
        ck_assert_uint_eq(entries[i]->n_postings, 2);
        ck_assert_int_gt(minor_of(entries[i]->postings[0]->amount), 0);
        ck_assert_int_eq(minor_of(entries[i]->postings[0]->amount), -minor_of(entries[i]->postings[1]->amount));
    }
    ck_assert_str_eq(entries[3]->order_id, "o3");
    ck_assert_str_eq(entries[3]->operation_id, "o3-capture");
    ck_assert_int_eq(minor_of(entries[3]->postings[0]->amount), 103);
    ck_assert_uint_eq(listed("p", entries, 20), 2);
    ck_assert_str_eq(entries[1]->payment_id, id);
    ck_assert_str_eq(entries[1]->postings[0]->account, "REFUNDS");
    ck_assert_str_eq(entries[1]->postings[1]->account, "PROCESSOR_RECEIVABLE");
    ck_assert_uint_eq(listed("none", entries, 20), 0);
    shop_close(&s);
}
END_TEST

SUITE("ledger", 120, what_is_authorized_or_declined_is_not_booked,
      captures_are_sales_and_refunds_are_booked_against_what_is_to_be_received, currencies_are_kept_apart,
      entries_are_listed_oldest_first_with_postings_that_are_zero_in_all)
