/* A database of the first release becomes one of this release, and no order is lost on the way. */
#include "svc-order/order.h"
#include "tests/mesh/store_fixture.h"
#include "tests/suite.h"

#include <errno.h>

#define FIRST_RELEASE 2 /* migrations */

static struct fixture f;

static int write_old_orders(struct txn *txn, void *arg)
{
    static const char *const statements[] = {
        ("INSERT INTO sales_order (order_id, customer_id, state, currency, total_minor, lines, channel, external_id, "
         "placed_by, place_time_us, update_time_us, version, reject_reason) VALUES "
         "('ord_1', 'cus_1', 2, 'GBP', 700, 2, 'web', 'w1', 'cus_1', 5, 6, 2, ''), "
         "('ord_2', 'cus_2', 3, 'GBP', 100, 1, 'web', '', 'cus_2', 7, 8, 2, 'sold out')"),
        ("INSERT INTO order_line (order_id, place, sku, title, quantity, unit_minor) VALUES "
         "('ord_1', 0, 'CUP', 'Cup', 2, 300), ('ord_1', 1, 'POST', 'Postage', 1, 100), "
         "('ord_2', 0, 'MUG', 'Mug', 1, 100)"),
        ("INSERT INTO order_address (order_id, subject, name, street1, street2, street3, street4, city, postal_code, "
         "country) VALUES ('ord_1', 'cus_1', 'Anna', 'High Street', '', '', '', 'York', 'YO1', 'UK')"),
        ("INSERT INTO order_step (order_id, step, state, update_time_us) VALUES ('ord_1', 1, 2, 6), ('ord_2', 1, 3, "
         "8)"),
    };
    for (size_t i = 0; i < sizeof(statements) / sizeof(statements[0]); i++) {
        int64_t r = txn_exec_values(txn, statements[i], NULL, 0);
        if (r < 0)
            return (int)r;
    }
    return 0;
}

static int read_order(struct txn *txn, void *ret_order)
{
    return order_read(txn, "ord_1", "", ret_order);
}

static void migrate_old_orders(void)
{
    struct migration first[FIRST_RELEASE + 1] = { 0 };
    for (size_t i = 0; i < FIRST_RELEASE; i++)
        first[i] = order_migrations[i];
    fixture_init(&f, NULL);
    ck_assert_int_eq(store_migrate(f.store, "svc-order", first), 0);
    ck_assert_int_eq(do_write(&f, write_old_orders, NULL), 0);
    ck_assert_int_eq(store_migrate(f.store, "svc-order", order_migrations), 0);
}

static int count(struct txn *txn, void *ret_n)
{
    struct rows rows;
    int r =
        txn_query(txn, &rows,
                  "SELECT (SELECT COUNT(*) FROM sales_order WHERE due_minor = total_minor AND stuck_time_us = 0) * 100 "
                  "+ (SELECT COUNT(*) FROM order_line WHERE shipped = 0 AND cancelled = 0) * 10 "
                  "+ (SELECT COUNT(*) FROM order_step)");
    if (r == 0)
        *(int64_t *)ret_n = row_int(&rows, 0, 0);
    return r;
}

START_TEST(no_order_is_lost)
{
    int64_t n = 0;
    migrate_old_orders();
    ck_assert_int_eq(do_write(&f, count, &n), 0);
    ck_assert_int_eq(n, 232);
    fixture_finish(&f);
}
END_TEST

static int check_order(struct txn *txn, void *arg)
{
    Order *order = NULL;
    int r = read_order(txn, &order);
    ck_assert_ptr_nonnull(order);
    ck_assert_str_eq(order->customer_id, "cus_1");
    ck_assert_int_eq(order->state, OMS__ORDER__V1__ORDER__STATE__CONFIRMED);
    ck_assert_int_eq(order->payment_state, OMS__ORDER__V1__ORDER__PAYMENT_STATE__ON_ACCOUNT);
    ck_assert_uint_eq(order->n_lines, 2);
    ck_assert_str_eq(order->lines[1]->title, "Postage");
    ck_assert_str_eq(order->ship_to->city, "York");
    ck_assert_str_eq(order->email, "");
    return r;
}

START_TEST(an_order_of_the_first_release_reads_as_it_was)
{
    migrate_old_orders();
    ck_assert_int_eq(do_write(&f, check_order, NULL), 0);
    fixture_finish(&f);
}
END_TEST

static int refer_to_nothing(struct txn *txn, void *arg)
{
    return txn_post(txn, "INSERT INTO order_line (order_id, place, sku, title, quantity, unit_minor) "
                         "VALUES ('ord_9', 0, 'CUP', 'Cup', 1, 1)");
}

START_TEST(a_line_still_needs_its_order)
{
    migrate_old_orders();
    ck_assert_int_lt(do_write(&f, refer_to_nothing, NULL), 0);
    fixture_finish(&f);
}
END_TEST

/* As the release before imports writes them. */
static int write_like_before(struct txn *txn, void *arg)
{
    int r =
        txn_post(txn, "INSERT INTO sales_order (order_id, customer_id, state, currency, total_minor, lines, "
                      "channel, external_id, placed_by, place_time_us, update_time_us, version, reject_reason, "
                      "payment_state, payment_token, due_minor, stuck_time_us) "
                      "VALUES ('ord_3', 'cus_1', 1, 'GBP', 300, 1, 'web', '', 'cus_1', 9, 9, 1, '', 1, '', 300, 9)");
    if (r == 0)
        r = txn_post(txn, "INSERT INTO order_line (order_id, title, place, sku, quantity, unit_minor, stocked) "
                          "VALUES ('ord_3', 'Cup', 0, 'CUP', 1, 300, 1)");
    if (r == 0)
        r = txn_post(txn, "UPDATE order_line SET shipped = shipped + 1 WHERE order_id = 'ord_3' AND place = 0");
    return r;
}

static int read_new(struct txn *txn, void *arg)
{
    Order *order = NULL;
    int r = order_read(txn, "ord_3", "", &order);
    ck_assert_ptr_nonnull(order);
    ck_assert(!order->fulfilled_elsewhere);
    ck_assert_int_eq(order->credited->units, 0);
    ck_assert_int_eq(order->lines[0]->shipped, 1);
    ck_assert_int_eq(order->lines[0]->returned, 0);
    return r;
}

START_TEST(the_release_before_goes_on_beside_this_one)
{
    migrate_old_orders();
    ck_assert_int_eq(do_write(&f, write_like_before, NULL), 0);
    ck_assert_int_eq(do_write(&f, read_new, NULL), 0);
    fixture_finish(&f);
}
END_TEST

static int return_too_much(struct txn *txn, void *arg)
{
    return txn_post(txn, "UPDATE order_line SET returned = 1 WHERE order_id = 'ord_1' AND place = 0");
}

static int credit_too_much(struct txn *txn, void *arg)
{
    return txn_post(txn, "UPDATE sales_order SET credited_minor = total_minor + 1 WHERE order_id = 'ord_1'");
}

START_TEST(no_more_comes_back_than_has_left)
{
    migrate_old_orders();
    ck_assert_int_eq(do_write(&f, return_too_much, NULL), -EDOM);
    ck_assert_int_eq(do_write(&f, credit_too_much, NULL), -EDOM);
    fixture_finish(&f);
}
END_TEST

SUITE("migration", 20, no_order_is_lost, an_order_of_the_first_release_reads_as_it_was, a_line_still_needs_its_order,
      the_release_before_goes_on_beside_this_one, no_more_comes_back_than_has_left)
