/* The books of the release that knew no invoices become those of this one, and nothing in them changes. */
#include "svc-payment/book.h"
#include "tests/mesh/store_fixture.h"
#include "tests/suite.h"

#include <errno.h>

#define RELEASE_BEFORE 2 /* migrations */

static struct fixture f;

static int write_old_entries(struct txn *txn, void *arg)
{
    static const char *const statements[] = {
        ("INSERT INTO ledger_entry (entry_id, order_id, payment_id, operation_id, time_us) VALUES "
         "('led_1', 'ord_1', 'pay_1', 'op_1', 5), ('led_2', 'ord_1', 'pay_1', 'op_2', 6)"),
        ("INSERT INTO ledger_posting (entry_id, account, currency, minor) VALUES "
         "('led_1', 'PROCESSOR_RECEIVABLE', 'GBP', 700), ('led_1', 'SALES', 'GBP', -700), "
         "('led_2', 'REFUNDS', 'GBP', 100), ('led_2', 'PROCESSOR_RECEIVABLE', 'GBP', -100)"),
        ("INSERT INTO ledger_balance (account, currency, minor, entries) VALUES "
         "('PROCESSOR_RECEIVABLE', 'GBP', 600, 2), ('SALES', 'GBP', -700, 1), ('REFUNDS', 'GBP', 100, 1)"),
    };
    for (size_t i = 0; i < sizeof(statements) / sizeof(statements[0]); i++) {
        int64_t r = txn_exec_values(txn, statements[i], NULL, 0);
        if (r < 0)
            return (int)r;
    }
    return 0;
}

static void migrate_old_entries(void)
{
    struct migration before[RELEASE_BEFORE + 1] = { 0 };
    for (size_t i = 0; i < RELEASE_BEFORE; i++)
        before[i] = payment_migrations[i];
    fixture_init(&f, NULL);
    ck_assert_int_eq(store_migrate(f.store, "svc-payment", before), 0);
    ck_assert_int_eq(do_write(&f, write_old_entries, NULL), 0);
    ck_assert_int_eq(store_migrate(f.store, "svc-payment", payment_migrations), 0);
}

static int check_entries(struct txn *txn, void *arg)
{
    struct rows rows;
    int r = txn_query(txn, &rows,
                      "SELECT e.entry_id, e.lines, e.kind, SUM(p.minor) FILTER (WHERE p.minor > 0) "
                      "FROM ledger_entry e JOIN ledger_posting p ON p.entry_id = e.entry_id "
                      "WHERE e.document_id = '' AND e.effective_us = 0 GROUP BY e.entry_id, e.lines, e.kind "
                      "ORDER BY e.entry_id");
    ck_assert_int_eq(r, 0);
    ck_assert_uint_eq(rows.n, 2);
    for (size_t i = 0; i < rows.n; i++) {
        ck_assert_int_eq(row_int(&rows, i, 1), 0);
        ck_assert_int_eq(row_int(&rows, i, 2), 0);
        ck_assert_int_eq(row_int(&rows, i, 3), i ? 100 : 700);
    }
    return 0;
}

START_TEST(old_entries_stay_as_they_were)
{
    migrate_old_entries();
    ck_assert_int_eq(do_write(&f, check_entries, NULL), 0);
    fixture_finish(&f);
}
END_TEST

static int write_invoices(struct txn *txn, void *arg)
{
    struct ledger_line lines[] = { { "CUP", 2, -300 } };
    struct ledger_entry entry = {
        .entry_id = arg,
        .order_id = "ord_2",
        .payment_id = "",
        .operation_id = "",
        .document_id = "ord_2",
        .kind = 1,
        .effective_us = 1,
        .customer_id = "",
        .country = "",
        .channel = "",
        .currency = "GBP",
        .postings = { { "RECEIVABLE", 300 }, { "SALES", -300 } },
        .lined = 1,
        .lines = lines,
        .n_lines = 1,
    };
    return ledger_write(txn, &entry, 1);
}

static int read_sales(struct txn *txn, void *ret_minor)
{
    struct rows rows;
    int r = txn_query(txn, &rows, "SELECT minor FROM ledger_balance WHERE account = 'SALES'");
    if (r == 0)
        *(int64_t *)ret_minor = row_int(&rows, 0, 0);
    return r;
}

/* Also by the database itself, should two ever look at the same time. */
START_TEST(an_invoice_joins_them_and_its_document_is_there_once)
{
    int64_t sales = 0;
    migrate_old_entries();
    ck_assert_int_eq(do_write(&f, write_invoices, "led_3"), 0);
    ck_assert_int_eq(do_write(&f, write_invoices, "led_4"), -EEXIST);
    ck_assert_int_eq(do_write(&f, read_sales, &sales), 0);
    ck_assert_int_eq(sales, -1000);
    fixture_finish(&f);
}
END_TEST

START_TEST(an_entry_is_still_there_once)
{
    migrate_old_entries();
    ck_assert_int_eq(do_write(&f, write_old_entries, NULL), -EEXIST);
    fixture_finish(&f);
}
END_TEST

SUITE("migration", 20, old_entries_stay_as_they_were, an_invoice_joins_them_and_its_document_is_there_once,
      an_entry_is_still_there_once)
