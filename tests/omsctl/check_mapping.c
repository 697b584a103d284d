/* Tests of the declared mapping: what it says is taken, and a mistake in it is told by file and key. */
#include "omsctl/mapping.h"

#include "tests/omsctl/sample.h"
#include "tests/suite.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct arena arena;
static struct mapping mapping;
static char complaint[1000];

/* The committed mapping with `from` replaced by `to`; what is complained about is in complaint. */
static int read_changed(const char *from, const char *to)
{
    char path[] = "/tmp/check_mapping_XXXXXX.json", text[4096], told[] = "/tmp/check_mapping_XXXXXX.err";
    FILE *sample = fopen(sample_path("retailer.json"), "r");
    ck_assert_ptr_nonnull(sample);
    text[fread(text, 1, sizeof(text) - 1, sample)] = '\0';
    fclose(sample);
    char *at = strstr(text, from);
    ck_assert_msg(at, "the sample has no '%s'", from);
    int fd = mkstemps(path, 5), err = mkstemps(told, 4), old = dup(STDERR_FILENO);
    dprintf(fd, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    close(fd);
    fflush(stderr);
    dup2(err, STDERR_FILENO);
    arena_init(&arena, 1 << 20);
    int r = mapping_read(&arena, path, &mapping);
    fflush(stderr);
    dup2(old, STDERR_FILENO);
    complaint[pread(err, complaint, sizeof(complaint) - 1, 0)] = '\0';
    ck_assert(r == 0 ? complaint[0] == '\0' : strstr(complaint, path) != NULL);
    close(err);
    close(old);
    unlink(path);
    unlink(told);
    return r;
}

START_TEST(the_sample_says_what_it_says)
{
    int64_t us;
    ck_assert_int_eq(read_changed("", ""), 0);
    ck_assert_str_eq(mapping.columns[MAPPING_INVOICE], "InvoiceNo");
    ck_assert_str_eq(mapping.columns[MAPPING_COUNTRY], "Country");
    ck_assert_ptr_null(mapping.columns[MAPPING_COLUMNS]);
    ck_assert_str_eq(mapping.currency, "GBP");
    ck_assert_str_eq(mapping.customer_suffix, ".0");
    ck_assert(mapping_fits(&mapping, MAPPING_SALE, "536365"));
    ck_assert(!mapping_fits(&mapping, MAPPING_SALE, "C536365"));
    ck_assert(mapping_fits(&mapping, MAPPING_CANCELLATION, "C536365"));
    ck_assert(mapping_fits(&mapping, MAPPING_ADJUSTMENT, "A563185"));
    ck_assert(mapping_fits(&mapping, MAPPING_GOODS, "85123A"));
    ck_assert(mapping_fits(&mapping, MAPPING_GOODS, "DCGS0003"));
    ck_assert(!mapping_fits(&mapping, MAPPING_GOODS, "POST"));
    ck_assert_int_eq(mapping_time(&mapping, "2010-12-01 08:26:00", &us), 0);
    ck_assert_int_eq(us, INT64_C(1291191960000000));
    ck_assert_int_eq(mapping_time(&mapping, "2010-12-01", &us), -EINVAL);
    ck_assert_int_eq(mapping_time(&mapping, "2010-12-01 08:26:00.5", &us), -EINVAL);
    mapping_finish(&mapping);
    arena_finish(&arena);
}
END_TEST

START_TEST(a_mistake_is_told_by_its_key)
{
    static const struct {
        const char *from, *to, *told;
    } cases[] = {
        { "\"currency\": \"GBP\",", "", "currency: is missing" },
        { "\"GBP\"", "\"POUNDS\"", "currency: is no currency" },
        { "\"GBP\"", "5", "currency: is not a text" },
        { "\"invoice\": \"InvoiceNo\",", "", "columns.invoice: is missing" },
        { "\"InvoiceNo\"", "\"\"", "columns.invoice: is empty" },
        { "\"InvoiceNo\"", "[]", "columns.invoice: is not a text" },
        { "\"sale\": \"^[0-9]+$\",", "", "invoices.sale: is missing" },
        { "\"^C[0-9]+$\"", "\"^C([0-9]+$\"", "invoices.cancellation: " },
        { "\"^([0-9]|DCGS)\"", "\"[\"", "goods: " },
        { "%Y-%m-%d %H:%M:%S", "%H:%M:%S", "time: does not tell the day" },
        { "%Y-%m-%d %H:%M:%S", "", "time: does not tell the day" },
        { "\"erp\"", "\"\"", "channel: has 1 to 32 characters" },
        { "\"channel\"", "\"chanel\"", "chanel: is no key of a mapping" },
        { "\"description\"", "\"describtion\"", "columns.describtion: is no key of a mapping" },
        { "\"currency\": \"GBP\",", "\"currency\": \"GBP\", \"currency\": \"EUR\",", "duplicate" },
        { "\"GBP\",", "\"GBP\"", ":14: " },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ck_assert_int_eq(read_changed(cases[i].from, cases[i].to), -EINVAL);
        ck_assert_msg(strstr(complaint, cases[i].told), "%s: %s", cases[i].told, complaint);
        arena_finish(&arena);
    }
}
END_TEST

START_TEST(what_may_be_left_out_may_be_left_out)
{
    ck_assert_int_eq(read_changed("\"customer_suffix\": \".0\",", ""), 0);
    ck_assert_str_eq(mapping.customer_suffix, "");
    mapping_finish(&mapping);
    arena_finish(&arena);
}
END_TEST

START_TEST(no_file_and_no_object_are_refused)
{
    arena_init(&arena, 1 << 20);
    ck_assert_int_eq(mapping_read(&arena, "/nowhere/retailer.json", &mapping), -EINVAL);
    ck_assert_int_eq(mapping_read(&arena, sample_path("locations.csv"), &mapping), -EINVAL);
    arena_finish(&arena);
}
END_TEST

SUITE("omsctl mapping", 30, the_sample_says_what_it_says, a_mistake_is_told_by_its_key,
      what_may_be_left_out_may_be_left_out, no_file_and_no_object_are_refused)
