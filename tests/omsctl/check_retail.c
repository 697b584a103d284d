/* Tests of a retailer's lines: what becomes of each, which sale a cancellation refers to, what is sent, and what
 * products that makes. */
#include "omsctl/catalog_file.h"
#include "omsctl/retail_report.h"

#include "tests/omsctl/sample.h"
#include "tests/suite.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define HEAD  "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
#define AT    ",2010-12-01 08:26:00,"
#define LINES (size_t)32

static struct arena arena;
static struct mapping mapping;
static struct retail retail;

static int read_all(const char *text)
{
    char path[] = "/tmp/check_retail_XXXXXX.csv";
    int fd = mkstemps(path, 4);
    ck_assert_int_ge(fd, 0);
    dprintf(fd, "%s", text);
    close(fd);
    arena_init(&arena, 64 << 20);
    ck_assert_int_eq(mapping_read(&arena, sample_path("retailer.json"), &mapping), 0);
    int r = retail_read(&arena, path, &mapping, &retail);
    unlink(path);
    return r;
}

static void finish(void)
{
    retail_finish(&retail);
    mapping_finish(&mapping);
    arena_finish(&arena);
}

/* Reads the lines below the head. */
static void read_lines(const char *lines)
{
    char text[8192];
    snprintf(text, sizeof(text), HEAD "%s", lines);
    ck_assert_int_eq(read_all(text), 0);
}

static const char *reason(size_t line)
{
    const struct retail_line *l = &retail.lines[line];
    return retail_reason(l->outcome)[0] ? retail_reason(l->outcome) : retail_word(l->outcome);
}

START_TEST(each_line_has_its_outcome)
{
    static const struct {
        const char *line, *reason;
    } cases[] = {
        { "1,A1,X,1" AT "1.00,17850.0,France", "sold" },
        { "1,A1,,1" AT "1.00,,France", "sold" },
        { "1,A1,X,1.0" AT "1,17850.0,France", "sold" },
        { "1,A1,X,1" AT "1.500,17850.0,France", "sold" },
        { "1,A1,X,1" AT "0.0,17850.0,France", "sold" },
        { "A1,B,Adjust bad debt,1" AT "11062.06,,France", "ADJUSTMENT" },
        { "A1,,,," AT ",", "ADJUSTMENT" },
        { ",A1,X,1" AT "1.00,17850.0,France", "FIELD_MISSING" },
        { "1,,X,1" AT "1.00,17850.0,France", "FIELD_MISSING" },
        { "1, ,X,1" AT "1.00,17850.0,France", "FIELD_MISSING" },
        { "1,A1,X,1" AT "1.00,17850.0,", "FIELD_MISSING" },
        { "X1,A1,X,1" AT "1.00,17850.0,France", "FIELD_MISSING" },
        { "1,A1,X,1,2010-12-01,1.00,17850.0,France", "FIELD_MISSING" },
        { "1,A1,X,many,2010-12-01,1.00,17850.0,France", "FIELD_MISSING" },
        { "1,A23456789012345678901234567890123456789012345678901234567890123456,X,1" AT "1.00,17850.0,France",
          "FIELD_MISSING" },
        { "1,A1,X,many" AT "1.00,17850.0,France", "QUANTITY_MISSING" },
        { "1,A1,X," AT "1.00,17850.0,France", "QUANTITY_MISSING" },
        { "1,A1,X,1.5" AT "1.00,17850.0,France", "QUANTITY_MISSING" },
        { "1,A1,X,1000000001" AT "1.00,17850.0,France", "QUANTITY_MISSING" },
        { "1,A1,X," AT ",17850.0,France", "QUANTITY_MISSING" },
        { "1,A1,X,1" AT ",17850.0,France", "PRICE_MISSING" },
        { "1,A1,X,1" AT "dear,17850.0,France", "PRICE_MISSING" },
        { "1,A1,X,1" AT "0.0,,France", "PRICE_MISSING" },
        { "1,A1,X,-5" AT "0.0,,France", "PRICE_MISSING" },
        { "1,A1,X,1" AT "0.001,17850.0,France", "PRICE_NOT_WHOLE" },
        { "1,A1,X,1" AT "0.001,,France", "PRICE_NOT_WHOLE" },
        { "1,A1,X,1" AT "-2.555,17850.0,France", "PRICE_NOT_WHOLE" },
        { "1,A1,X,1" AT "-2.55,17850.0,France", "PRICE_NEGATIVE" },
        { "1,A1,X,-1" AT "-2.55,17850.0,France", "PRICE_NEGATIVE" },
        { "1,A1,X,0" AT "1.00,17850.0,France", "QUANTITY_NOT_POSITIVE" },
        { "1,A1,X,-5" AT "1.00,17850.0,France", "QUANTITY_NOT_POSITIVE" },
        { "C1,A1,X,0" AT "1.00,17850.0,France", "QUANTITY_NOT_NEGATIVE" },
        { "C1,A1,X,5" AT "1.00,17850.0,France", "QUANTITY_NOT_NEGATIVE" },
        { "C1,A1,X,-1" AT "1.00,17850.0,France", "NO_SUCH_SALE" },
        { "C1,A1,X,-1" AT "0.00,17850.0,France", "NO_SUCH_SALE" },
        { "C1,A1,X,-1" AT "1.00,,France", "CUSTOMER_UNKNOWN" },
        { "C1,A1,X,-1" AT "0.00,,France", "PRICE_MISSING" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        read_lines(cases[i].line);
        ck_assert_uint_eq(retail.n_lines, 1);
        ck_assert_msg(strcmp(reason(0), cases[i].reason) == 0, "%s: %s", cases[i].line, reason(0));
        ck_assert_uint_eq(retail.n_sent, !retail_is_refused(retail.lines[0].outcome));
        finish();
    }
}
END_TEST

START_TEST(an_invoice_gathers_its_lines_however_far_apart)
{
    read_lines("8,A0,Z,2,2010-12-01 08:25:00,0.001,17850.0,Spain\n"
               "7,A1,X,1,2010-12-01 08:27:00,1.00,,United Kingdom\n"
               "8, A1 ,X,2,2010-12-01 08:28:00,1.10,17850.0, France\n"
               "9,A2,Y,1,2010-12-01 08:28:00,-1,17850.0,France\n"
               "8,A3,Z,1,2010-12-01 08:29:00,3.5,17850.0,France\n");
    ck_assert_uint_eq(retail.n_lines, 5);
    ck_assert_uint_eq(retail.n_sent, 2);
    ck_assert_str_eq(retail.numbers.texts[retail.sent[0]], "7");
    ck_assert_str_eq(retail.numbers.texts[retail.sent[1]], "8");
    const struct retail_invoice *guests = &retail.invoices[retail.sent[0]], *eight = &retail.invoices[retail.sent[1]];
    ck_assert_uint_eq(guests->customer, 0);
    ck_assert_str_eq(retail.customers.texts[eight->customer], "17850");
    ck_assert_str_eq(retail.countries.texts[eight->country], "France");
    ck_assert_int_eq(eight->time_us, INT64_C(1291192080000000));
    ck_assert_uint_eq(eight->n, 2);
    const struct retail_line *first = &retail.lines[eight->first];
    ck_assert_str_eq(retail.codes.texts[first->code], "A1");
    ck_assert_int_eq(first->price_minor, 110);
    ck_assert_uint_eq(first->line, 4);
    ck_assert_int_eq(retail.lines[first->next].price_minor, 350);
    ck_assert_uint_eq(retail.lines[first->next].next, RETAIL_NONE);
    finish();
}
END_TEST

static void expect_refers(size_t line, size_t sale)
{
    ck_assert_msg(retail.lines[line].outcome == RETAIL_REFUNDED, "line %zu: %s", line, reason(line));
    ck_assert_uint_eq(retail.lines[line].sale, sale);
}

START_TEST(a_cancellation_refers_to_the_latest_sale_that_no_other_refers_to)
{
    read_lines("1,A1,X,2" AT "1.00,5.0,France\n"
               "1,A1,X,3" AT "1.00,5.0,France\n"
               "2,A1,X,2" AT "0.90,5.0,France\n"
               "C3,A1,X,-2" AT "0.90,5.0,France\n"
               "C3,A1,X,-2" AT "0.95,5.0,France\n"
               "C4,A1,X,-2" AT "0.10,5.0,France\n"
               "C5,A1,X,-3" AT "1.00,5,France\n"
               "3,A1,X,2" AT "1.00,5.0,France\n");
    expect_refers(3, 2);
    expect_refers(4, 0);
    ck_assert_str_eq(reason(5), "NO_SUCH_SALE");
    expect_refers(6, 1);
    finish();
}
END_TEST

START_TEST(what_differs_from_the_sale_is_a_credit)
{
    read_lines("1,A1,X,2" AT "1.00,5.0,France\n"
               "C2,A1,X,-2" AT "1.01,5.0,France\n" /* and does not use the sale up */
               "C3,a1,X,-2" AT "1.00,5.0,France\n"
               "C4,A1,X,-1" AT "1.00,5.0,France\n"
               "C5,A1,X,-2" AT "1.00,6.0,France\n"
               "C6,A1,X,-2" AT "1.00,,France\n"
               "C7,A1,X,-2" AT "1.00,5.0,Germany\n");
    ck_assert_str_eq(reason(1), "ABOVE_SALE_PRICE");
    ck_assert_str_eq(reason(2), "NO_SUCH_SALE");
    ck_assert_str_eq(reason(3), "NO_SUCH_SALE");
    ck_assert_str_eq(reason(4), "NO_SUCH_SALE");
    ck_assert_str_eq(reason(5), "CUSTOMER_UNKNOWN");
    expect_refers(6, 0);
    finish();
}
END_TEST

START_TEST(only_what_was_sold_before_is_cancelled)
{
    read_lines("C1,A1,X,-2" AT "1.00,5.0,France\n"
               "1,A1,X,2" AT "1.00,5.0,France\n"
               "2,A2,X,2" AT "0.001,5.0,France\n"
               "C1,A1,X,-2" AT "1.00,5.0,France\n" /* its invoice begins before the sale's */
               "C2,A2,X,-2" AT "0.00,5.0,France\n");
    ck_assert_str_eq(reason(0), "NO_SUCH_SALE");
    ck_assert_str_eq(reason(3), "NO_SUCH_SALE");
    ck_assert_str_eq(reason(4), "NO_SUCH_SALE");
    finish();
}
END_TEST

START_TEST(many_sales_of_many_customers_are_kept_apart)
{
    enum { CUSTOMERS = 700 };
    char *text;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    fprintf(out, HEAD);
    for (int sign = 1; sign >= -1; sign -= 2)
        for (int i = 0; i < CUSTOMERS; i++)
            fprintf(out, "%s%d,A1,X,%d" AT "1.00,%d.0,France\n", sign > 0 ? "" : "C", i + 1, sign * (i % 7 + 1), i + 1);
    fclose(out);
    ck_assert_int_eq(read_all(text), 0);
    free(text);
    for (size_t i = 0; i < CUSTOMERS; i++)
        expect_refers(CUSTOMERS + i, i);
    finish();
}
END_TEST

START_TEST(an_invoice_that_no_entry_can_hold_is_refused_whole)
{
    char *text;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    fprintf(out, HEAD);
    for (int i = 0; i < 1000 + 1001; i++)
        fprintf(out, "%d,A%d,X,%d" AT "%s,5.0,France\n", i < 1001 ? 1 : 2, i % 1001, i + 1, i == 1500 ? "-1" : "1.00");
    fprintf(out, "2,A1,X,1" AT "1.00,5.0,France\nC3,A0,X,-1" AT "1.00,5.0,France\nC3,A1,X,-1" AT "1.00,5.0,France\n");
    fclose(out);
    ck_assert_int_eq(read_all(text), 0);
    free(text);
    ck_assert_uint_eq(retail.n_sent, 2);
    ck_assert_str_eq(retail.numbers.texts[retail.sent[0]], "2");
    ck_assert_uint_eq(retail.invoices[retail.sent[0]].n, 1000);
    ck_assert_uint_eq(retail.invoices[retail.sent[0]].place, 0);
    ck_assert_str_eq(reason(0), "INVOICE_TOO_LONG");
    ck_assert_str_eq(reason(1000), "INVOICE_TOO_LONG");
    ck_assert_str_eq(reason(2002), "NO_SUCH_SALE");
    expect_refers(2003, 2001);
    finish();
}
END_TEST

START_TEST(products_have_the_longest_title_the_first_price_and_stock_for_what_is_sold)
{
    struct catalog_file file;
    read_lines("1,85123A,HEART,6" AT "2.55,1.0,France\n"
               "1,POST,POSTAGE,1" AT "18.00,1.0,France\n"
               "2,85123A, HANGING HEART ,4" AT "2.10,1.0,France\n"
               "2,22041,\"RECORD FRAME 7\"\" SIZE\",1" AT "0,1.0,France\n"
               "2,22041,,1" AT "2.1,1.0,France\n"
               "2,71053,,1" AT "3.39,1.0,France\n"
               "3,99999,REFUSED,1" AT "0.0,,France\n"
               "C3,85123A,HEART,-6" AT "2.55,1.0,France\n"
               "C3,22000,NEVER SOLD,-6" AT "2.50,1.0,France\n");
    catalog_of_retail(&arena, &retail, "MAIN", &file);
    ck_assert_uint_eq(file.n_products, 5);
    ck_assert_str_eq(file.products[0]->title, "HANGING HEART");
    ck_assert_int_eq(file.products[0]->variants[0]->price->nanos, 550000000);
    ck_assert(file.products[0]->variants[0]->stocked);
    ck_assert_str_eq(file.products[1]->product_id, "POST");
    ck_assert(!file.products[1]->variants[0]->stocked);
    ck_assert_str_eq(file.products[2]->title, "RECORD FRAME 7\" SIZE");
    ck_assert_int_eq(file.products[2]->variants[0]->price->units, 2);
    ck_assert_str_eq(file.products[3]->title, "71053");
    ck_assert_int_eq(file.products[4]->variants[0]->price->nanos, 500000000);
    ck_assert_uint_eq(file.n_stock, 3);
    ck_assert_str_eq(file.stock[0]->sku, "85123A");
    ck_assert_int_eq(file.stock[0]->on_hand, 10);
    ck_assert_int_eq(file.stock[1]->on_hand, 2);
    ck_assert_str_eq(file.locations[0]->location_id, "MAIN");
    finish();
}
END_TEST

START_TEST(the_report_counts_every_line)
{
    struct retail_fate fates[LINES] = { 0 };
    const char *judged[LINES] = { 0 };
    char path[] = "/tmp/check_retail_XXXXXX.csv", text[1000];
    read_lines("1,\"A,1\",X,2" AT "1.00,5.0,France\n"
               "C2,\"A,1\",X,-2" AT "1.00,5.0,France\n"
               "C2,A2,X,-2" AT "1.00,5.0,France\n"
               "A3,A2,X,-2" AT "1.00,5.0,France\n"
               "3,A1,X,2" AT "1.00,5.0,France\n"
               "3,A1,X,2" AT "-1.00,5.0,France\n"
               "4,A1,X,2" AT "1.00,5.0,France\n"
               "C2,\"A,1\",X,-2" AT "1.00,5.0,France\n"
               "C2,A3,X,-2" AT "1.00,5.0,France\n");
    fates[0] = (struct retail_fate){ true, NULL };
    fates[1] = (struct retail_fate){ true, NULL };
    fates[3] = (struct retail_fate){ true, "SKU_UNKNOWN" };
    judged[7] = "NOT_ENOUGH_LEFT";
    judged[8] = "";
    const struct retail_result result = { &retail, fates, judged };
    int fd = mkstemps(path, 4);
    ck_assert_int_eq(retail_report_write(&result, path), 0);
    text[read(fd, text, sizeof(text) - 1)] = '\0';
    close(fd);
    unlink(path);
    ck_assert_str_eq(text, "line,invoice,code,outcome,reason\n"
                           "2,1,\"A,1\",sold,\n"
                           "3,C2,\"A,1\",refunded,\n"
                           "4,C2,A2,credited,NO_SUCH_SALE\n"
                           "5,A3,A2,refused,ADJUSTMENT\n"
                           "6,3,A1,refused,SKU_UNKNOWN\n"
                           "7,3,A1,refused,PRICE_NEGATIVE\n"
                           "8,4,A1,unsent,\n"
                           "9,C2,\"A,1\",credited,NOT_ENOUGH_LEFT\n"
                           "10,C2,A3,refunded,\n");
    json_t *json = retail_report_json(&result), *lines = json_object_get(json, "lines");
    ck_assert_int_eq(json_integer_value(json_object_get(lines, "read")), 9);
    ck_assert_int_eq(json_integer_value(json_object_get(lines, "accepted")), 3);
    ck_assert_int_eq(json_integer_value(json_object_get(lines, "credited")), 2);
    ck_assert_int_eq(json_integer_value(json_object_get(lines, "refused")), 3);
    ck_assert_int_eq(json_integer_value(json_object_get(lines, "unsent")), 1);
    json_decref(json);
    ck_assert_uint_eq(retail_report_refused(&result), 4);
    finish();
}
END_TEST

START_TEST(a_file_without_the_columns_or_cut_short_is_refused)
{
    ck_assert_int_eq(read_all("InvoiceNo,StockCode\n1,2\n"), -EINVAL);
    mapping_finish(&mapping);
    arena_finish(&arena);
    ck_assert_int_eq(read_all(HEAD "1,A1,X,1" AT "1.00,17850.0,France\n1,\"A1,X,1" AT "1.00,17850.0,France\n"),
                     -EINVAL);
    mapping_finish(&mapping);
    arena_finish(&arena);
}
END_TEST

SUITE("omsctl retail", 30, each_line_has_its_outcome, an_invoice_gathers_its_lines_however_far_apart,
      a_cancellation_refers_to_the_latest_sale_that_no_other_refers_to, what_differs_from_the_sale_is_a_credit,
      only_what_was_sold_before_is_cancelled, many_sales_of_many_customers_are_kept_apart,
      an_invoice_that_no_entry_can_hold_is_refused_whole,
      products_have_the_longest_title_the_first_price_and_stock_for_what_is_sold, the_report_counts_every_line,
      a_file_without_the_columns_or_cut_short_is_refused)
