/* Tests of the retailer's day: what is sold, what is refused and why, and what products that makes. */
#include "omsctl/retail.h"

#include "tests/suite.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define HEAD "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
#define DAY  "2010-12-01"

static struct arena arena;
static struct retail_day day;

/* Reads the lines below the head; the path is gone afterwards. */
static int read_text(const char *lines, const char *date)
{
    char path[] = "/tmp/check_retail_XXXXXX.csv";
    int fd = mkstemps(path, 4);
    ck_assert_int_ge(fd, 0);
    dprintf(fd, HEAD "%s", lines);
    close(fd);
    arena_init(&arena, 64 << 20);
    int r = retail_read(&arena, path, date, &day);
    unlink(path);
    return r;
}

START_TEST(only_the_day_asked_for_is_read)
{
    ck_assert_int_eq(read_text("1,A1,X,1,2010-12-01 08:26:00,1.00,17850.0,France\n"
                               "2,A1,X,1,2010-12-02 08:26:00,1.00,17850.0,France\n",
                               DAY),
                     0);
    ck_assert_uint_eq(day.n_lines, 1);
    ck_assert_uint_eq(day.n_invoices, 1);
    arena_finish(&arena);
    ck_assert_int_eq(read_text("1,A1,X,1,2010-12-01 08:26:00,1.00,1.0,France\n", "2010-12-03"), -EINVAL);
    arena_finish(&arena);
    ck_assert_int_eq(read_text("1,A1,X,1,2010-12-01 08:26:00,1.00,1.0,France\n", "december"), -EINVAL);
    arena_finish(&arena);
}
END_TEST

START_TEST(each_refused_line_has_its_reason)
{
    static const struct {
        const char *line;
        enum retail_refusal refusal;
    } cases[] = {
        { "1,A1,X,1,2010-12-01 08:26:00,1.00,17850.0,France", RETAIL_SOLD },
        { "1,A1,,1,2010-12-01 08:26:00,1.00,,France", RETAIL_SOLD },
        { "C1,A1,X,-1,2010-12-01 08:26:00,1.00,17850.0,France", RETAIL_CANCELLED },
        { "A1,B,Adjust bad debt,1,2010-12-01 08:26:00,11062.06,,France", RETAIL_ADJUSTMENT },
        { "1,A1,X,0,2010-12-01 08:26:00,1.00,17850.0,France", RETAIL_QUANTITY },
        { "1,A1,X,-5,2010-12-01 08:26:00,1.00,17850.0,France", RETAIL_QUANTITY },
        { "1,A1,X,1,2010-12-01 08:26:00,0.0,17850.0,France", RETAIL_PRICE },
        { "1,A1,X,1,2010-12-01 08:26:00,-2.55,17850.0,France", RETAIL_PRICE },
        { "1,A1,X,1,2010-12-01 08:26:00,0.001,17850.0,France", RETAIL_PRICE_FRACTION },
        { "1,,X,1,2010-12-01 08:26:00,1.00,17850.0,France", RETAIL_MISSING_FIELD },
        { "1,A1,X,1,2010-12-01 08:26:00,1.00,17850.0,", RETAIL_MISSING_FIELD },
        { "1,A1,X,many,2010-12-01 08:26:00,1.00,17850.0,France", RETAIL_MISSING_FIELD },
        { "1,A1,X,1,2010-12-01 08:26:00,dear,17850.0,France", RETAIL_MISSING_FIELD },
        { "1,A1,X,1,2010-12-01,1.00,17850.0,France", RETAIL_MISSING_FIELD },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ck_assert_int_eq(read_text(cases[i].line, DAY), 0);
        ck_assert_msg(day.lines[0].refusal == cases[i].refusal, "%s: %s", cases[i].line,
                      retail_reason(day.lines[0].refusal));
        ck_assert_uint_eq(day.n_invoices, cases[i].refusal == RETAIL_SOLD);
        arena_finish(&arena);
    }
}
END_TEST

START_TEST(an_invoice_gathers_its_sold_lines)
{
    ck_assert_int_eq(read_text("8,A1,X,2,2010-12-01 08:26:00,1.10,17850.0,France\n"
                               "7,A1,X,1,2010-12-01 08:27:00,1.00,,United Kingdom\n"
                               "8,A2,Y,1,2010-12-01 08:28:00,0.0,17850.0,France\n"
                               "8,A1,X,3,2010-12-01 08:29:00,2.505,17850.0,France\n"
                               "8,A3,Z,1,2010-12-01 08:29:00,3.5,17850.0,France\n",
                               DAY),
                     0);
    ck_assert_uint_eq(day.n_invoices, 2);
    const struct retail_invoice *first = &day.invoices[0], *second = &day.invoices[1];
    ck_assert_str_eq(first->first->invoice, "7");
    ck_assert_str_eq(first->first->customer, RETAIL_GUEST);
    ck_assert_uint_eq(second->n, 2);
    ck_assert_str_eq(second->first->customer, "17850");
    ck_assert_int_eq(second->first->time_us, INT64_C(1291191960000000));
    ck_assert_int_eq(day.sold[second->at]->price_minor, 110);
    ck_assert_int_eq(day.sold[second->at + 1]->price_minor, 350);
    ck_assert_uint_eq(day.sold[second->at + 1]->line, 6);
    arena_finish(&arena);
}
END_TEST

START_TEST(products_have_the_longest_title_the_first_price_and_the_sum)
{
    ck_assert_int_eq(read_text("1,85123A,HEART,6,2010-12-01 08:26:00,2.55,1.0,France\n"
                               "1,POST,POSTAGE,1,2010-12-01 08:26:00,18.00,1.0,France\n"
                               "2,85123A, HANGING   HEART ,4,2010-12-01 09:00:00,2.10,1.0,France\n"
                               "2,22041,\"RECORD FRAME 7\"\" SIZE\",1,2010-12-01 09:00:00,2.1,1.0,France\n"
                               "2,71053,,1,2010-12-01 09:00:00,3.39,1.0,France\n"
                               "3,99999,GIVEN AWAY,1,2010-12-01 09:00:00,0.0,1.0,France\n",
                               DAY),
                     0);
    struct retail_product *products;
    ck_assert_uint_eq(retail_products(&arena, &day, &products), 4);
    ck_assert_str_eq(products[0].title, "RECORD FRAME 7\" SIZE");
    ck_assert_str_eq(products[1].title, "71053");
    ck_assert_str_eq(products[2].title, "HANGING HEART");
    ck_assert_int_eq(products[2].price_minor, 255);
    ck_assert_int_eq(products[2].quantity, 10);
    ck_assert(products[2].stocked);
    ck_assert_str_eq(products[3].code, "POST");
    ck_assert(!products[3].stocked);
    arena_finish(&arena);
}
END_TEST

START_TEST(a_file_without_the_columns_is_refused)
{
    char path[] = "/tmp/check_retail_XXXXXX.csv";
    int fd = mkstemps(path, 4);
    dprintf(fd, "InvoiceNo,StockCode\n1,2\n");
    close(fd);
    arena_init(&arena, 64 << 20);
    ck_assert_int_eq(retail_read(&arena, path, DAY, &day), -EINVAL);
    arena_finish(&arena);
    unlink(path);
}
END_TEST

SUITE("omsctl retail", 30, only_the_day_asked_for_is_read, each_refused_line_has_its_reason,
      an_invoice_gathers_its_sold_lines, products_have_the_longest_title_the_first_price_and_the_sum,
      a_file_without_the_columns_is_refused)
