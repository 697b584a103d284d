/* Tests of the reader of an ERP's files, and of the sample that is checked in. */
#include "omsctl/catalog_file.h"
#include "omsctl/text.h"

#include "tests/suite.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define HEAD "product_id,title,sku,variant,price,currency,weight_grams,stocked\n"

static struct arena arena;
static struct catalog_file file;

static int read_products(const char *text)
{
    char path[] = "/tmp/check_catalog_XXXXXX.csv";
    int fd = mkstemps(path, 4);
    ck_assert_int_ge(fd, 0);
    dprintf(fd, "%s", text);
    close(fd);
    arena_init(&arena, 64 << 20);
    int r = catalog_file_read(&arena, path, NULL, NULL, &file);
    unlink(path);
    return r;
}

static void expect_refused(const char *text)
{
    ck_assert_int_eq(read_products(text), -EINVAL);
    arena_finish(&arena);
}

START_TEST(lines_of_one_product_become_its_variants)
{
    ck_assert_int_eq(read_products(HEAD "P1,Mug,P1-A,Black,12.90,EUR,340,yes\n"
                                        "P1,Mug,P1-B,White,13,EUR,340,yes\n"
                                        "P2,Delivery,P2-A,,4.90,EUR,,no\n"),
                     0);
    ck_assert_uint_eq(file.n_products, 2);
    ck_assert_uint_eq(file.products[0]->n_variants, 2);
    ck_assert_int_eq(file.products[0]->variants[1]->price->units, 13);
    ck_assert_int_eq(file.products[0]->variants[0]->price->nanos, 900000000);
    ck_assert_int_eq(file.products[0]->variants[0]->weight_grams, 340);
    ck_assert(file.products[0]->variants[0]->stocked);
    ck_assert(!file.products[1]->variants[0]->stocked);
    arena_finish(&arena);
}
END_TEST

START_TEST(a_line_that_cannot_be_is_refused)
{
    expect_refused(HEAD "P1,Mug,P1-A,Black,12.905,EUR,340,yes\n");
    expect_refused(HEAD "P1,Mug,P1-A,Black,12.90,EURO,340,yes\n");
    expect_refused(HEAD "P1,Mug,P1-A,Black,,EUR,340,yes\n");
    expect_refused(HEAD "P1,Mug,P1-A,Black,12.90,EUR,heavy,yes\n");
    expect_refused(HEAD "P1,Mug,P1-A,Black,12.90,EUR,340,perhaps\n");
    expect_refused(HEAD "P1,Mug,,Black,12.90,EUR,340,yes\n");
    expect_refused(HEAD ",Mug,P1-A,Black,12.90,EUR,340,yes\n");
    expect_refused("product_id,title\nP1,Mug\n");
    expect_refused("");
}
END_TEST

static bool check_digit_fits(const char *gtin)
{
    int sum = 0;
    for (int i = 0; i < 13; i++)
        sum += (gtin[i] - '0') * (i % 2 ? 3 : 1);
    return strlen(gtin) == 13 && sum % 10 == 0;
}

START_TEST(the_sample_is_whole)
{
    const char *dir = getenv("SAMPLE_DIR");
    ck_assert_ptr_nonnull(dir);
    char paths[3][4096];
    static const char *const names[] = { "catalogue.csv", "locations.csv", "stock.csv" };
    for (int i = 0; i < 3; i++)
        snprintf(paths[i], sizeof(paths[i]), "%s/%s", dir, names[i]);
    arena_init(&arena, 64 << 20);
    ck_assert_int_eq(catalog_file_read(&arena, paths[0], paths[1], paths[2], &file), 0);
    ck_assert_uint_ge(file.n_products, 300);
    ck_assert_uint_eq(file.n_locations, 5);
    size_t variants = 0;
    for (size_t i = 0; i < file.n_products; i++) {
        const Product *product = file.products[i];
        variants += product->n_variants;
        ck_assert(product->title[0] && product->description[0] && product->category[0]);
        for (size_t j = 0; j < product->n_variants; j++) {
            const Variant *v = product->variants[j];
            ck_assert_msg(!v->stocked || (check_digit_fits(v->gtin) && v->weight_grams > 0), "%s", v->sku);
        }
    }
    ck_assert_uint_gt(variants, file.n_products);
    ck_assert_uint_gt(file.n_stock, variants);
    arena_finish(&arena);
}
END_TEST

START_TEST(amounts_are_exact_or_refused)
{
    static const struct {
        const char *text, *currency;
        int result;
        int64_t minor;
    } cases[] = {
        { "2.55", "GBP", 0, 255 },
        { "2.1", "GBP", 0, 210 },
        { "3", "GBP", 0, 300 },
        { "0.001", "GBP", -EDOM, 0 },
        { "2.550", "GBP", 0, 255 },
        { "-4.5", "GBP", 0, -450 },
        { "1000", "JPY", 0, 1000 },
        { "1.5", "JPY", -EDOM, 0 },
        { "1.234", "KWD", 0, 1234 },
        { "", "GBP", -EINVAL, 0 },
        { ".", "GBP", -EINVAL, 0 },
        { "1,5", "GBP", -EINVAL, 0 },
        { "1.2.3", "GBP", -EINVAL, 0 },
        { "1e3", "GBP", -EINVAL, 0 },
        { "1", "XXQ", -EINVAL, 0 },
        { "92233720368547758.07", "GBP", 0, INT64_MAX },
        { "92233720368547758.08", "GBP", -ERANGE, 0 },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int64_t minor = 0;
        int r = amount_parse(cases[i].text, cases[i].currency, &minor);
        ck_assert_msg(r == cases[i].result && minor == cases[i].minor, "'%s' %s: %d, %lld", cases[i].text,
                      cases[i].currency, r, (long long)minor);
    }
}
END_TEST

SUITE("omsctl catalogue file", 30, lines_of_one_product_become_its_variants, a_line_that_cannot_be_is_refused,
      the_sample_is_whole, amounts_are_exact_or_refused)
