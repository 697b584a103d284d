/* Tests of mesh/base/money.c. */
#include "mesh/base/arena.h"
#include "mesh/base/money.h"
#include "tests/suite.h"

#include <errno.h>
#include <string.h>

static Google__Type__Money wire(int64_t units, int32_t nanos, const char *currency)
{
    Google__Type__Money m = GOOGLE__TYPE__MONEY__INIT;
    m.currency_code = (char *)currency;
    m.units = units;
    m.nanos = nanos;
    return m;
}

static int read_wire(int64_t units, int32_t nanos, const char *currency, int64_t *ret)
{
    Google__Type__Money m = wire(units, nanos, currency);
    return money_from_wire(&m, ret);
}

START_TEST(currencies_have_their_own_digits)
{
    ck_assert_int_eq(money_exponent("EUR"), 2);
    ck_assert_int_eq(money_exponent("GBP"), 2);
    ck_assert_int_eq(money_exponent("AED"), 2);
    ck_assert_int_eq(money_exponent("ZWG"), 2);
    ck_assert_int_eq(money_exponent("JPY"), 0);
    ck_assert_int_eq(money_exponent("XPF"), 0);
    ck_assert_int_eq(money_exponent("KWD"), 3);
    ck_assert_int_eq(money_exponent("CLF"), 4);
}
END_TEST

START_TEST(what_is_no_currency_is_refused)
{
    static const char *const texts[] = { "", "E", "EU", "EURO", "eur", "XXX", "UR ", " GB", "R G", "\xc3\xa9X" };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        ck_assert_int_eq(money_exponent(texts[i]), -EINVAL);
}
END_TEST

START_TEST(the_wire_is_read_to_the_minor_unit)
{
    int64_t minor;
    ck_assert_int_eq(read_wire(12, 340000000, "EUR", &minor), 0);
    ck_assert_int_eq(minor, 1234);
    ck_assert_int_eq(read_wire(-1, -750000000, "USD", &minor), 0);
    ck_assert_int_eq(minor, -175);
    ck_assert_int_eq(read_wire(0, -10000000, "USD", &minor), 0);
    ck_assert_int_eq(minor, -1);
    ck_assert_int_eq(read_wire(5000, 0, "JPY", &minor), 0);
    ck_assert_int_eq(minor, 5000);
    ck_assert_int_eq(read_wire(1, 1000000, "KWD", &minor), 0);
    ck_assert_int_eq(minor, 1001);
}
END_TEST

START_TEST(what_does_not_fit_is_refused_and_never_rounded)
{
    int64_t minor = 77;
    ck_assert_int_eq(read_wire(0, 5000000, "EUR", &minor), -EDOM);
    ck_assert_int_eq(read_wire(0, 1, "EUR", &minor), -EDOM);
    ck_assert_int_eq(read_wire(1, 500000000, "JPY", &minor), -EDOM);
    ck_assert_int_eq(read_wire(1, -10000000, "EUR", &minor), -EINVAL);
    ck_assert_int_eq(read_wire(-1, 10000000, "EUR", &minor), -EINVAL);
    ck_assert_int_eq(read_wire(0, 1000000000, "EUR", &minor), -EINVAL);
    ck_assert_int_eq(read_wire(0, INT32_MIN, "EUR", &minor), -EINVAL);
    ck_assert_int_eq(read_wire(1, 0, "", &minor), -EINVAL);
    ck_assert_int_eq(read_wire(INT64_MAX, 0, "EUR", &minor), -ERANGE);
    ck_assert_int_eq(read_wire(INT64_MAX / 100, 990000000, "EUR", &minor), -ERANGE);
    ck_assert_int_eq(money_from_wire(NULL, &minor), -EINVAL);
    ck_assert_int_eq(minor, 77);
    ck_assert_int_eq(read_wire(INT64_MAX / 100, 70000000, "EUR", &minor), 0);
    ck_assert_int_eq(minor, INT64_MAX);
}
END_TEST

START_TEST(every_amount_comes_back_from_the_wire)
{
    static const int64_t amounts[] = { 0, 1, -1, 99, -99, 100, 123456789, -123456789, INT64_MAX, INT64_MIN };
    static const char *const currencies[] = { "EUR", "JPY", "KWD", "UYW" };
    struct arena a;
    arena_init(&a, 1 << 20);
    for (size_t i = 0; i < sizeof(amounts) / sizeof(amounts[0]); i++) {
        for (size_t k = 0; k < sizeof(currencies) / sizeof(currencies[0]); k++) {
            int64_t back;
            Google__Type__Money *m = money_to_wire(&a, amounts[i], currencies[k]);
            ck_assert_ptr_nonnull(m);
            ck_assert_int_eq(money_from_wire(m, &back), 0);
            ck_assert_int_eq(back, amounts[i]);
        }
    }
    arena_finish(&a);
}
END_TEST

START_TEST(arithmetic_that_overflows_is_refused)
{
    int64_t n = 5;
    ck_assert_int_eq(money_multiply(INT64_MAX / 2, 3, &n), -ERANGE);
    ck_assert_int_eq(money_multiply(INT64_MIN, -1, &n), -ERANGE);
    ck_assert_int_eq(money_add(INT64_MAX, 1, &n), -ERANGE);
    ck_assert_int_eq(money_add(INT64_MIN, -1, &n), -ERANGE);
    ck_assert_int_eq(n, 5);
    ck_assert_int_eq(money_multiply(1999, 3, &n), 0);
    ck_assert_int_eq(money_add(n, -7, &n), 0);
    ck_assert_int_eq(n, 5990);
}
END_TEST

START_TEST(amounts_read_as_people_write_them)
{
    char text[32];
    money_format(-1230, "EUR", text);
    ck_assert_str_eq(text, "-12.30 EUR");
    money_format(-5, "EUR", text);
    ck_assert_str_eq(text, "-0.05 EUR");
    money_format(500, "JPY", text);
    ck_assert_str_eq(text, "500 JPY");
    money_format(INT64_MIN, "UYW", text);
    ck_assert_str_eq(text, "-922337203685477.5808 UYW");
    money_format(7, "no currency", text);
    ck_assert_str_eq(text, "7 no ");
}
END_TEST

SUITE("money", 10, currencies_have_their_own_digits, what_is_no_currency_is_refused, the_wire_is_read_to_the_minor_unit,
      what_does_not_fit_is_refused_and_never_rounded, every_amount_comes_back_from_the_wire,
      arithmetic_that_overflows_is_refused, amounts_read_as_people_write_them)
