/* Tests of values as people write and read them. */
#include "omsctl/text.h"

#include "tests/suite.h"

#include "api.h"

#include <errno.h>

START_TEST(a_span_is_told_in_the_unit_that_fits)
{
    struct arena arena;
    arena_init(&arena, 4096);
    ck_assert_str_eq(text_span(&arena, 0), "0 s");
    ck_assert_str_eq(text_span(&arena, 119999999), "119 s");
    ck_assert_str_eq(text_span(&arena, 120000000), "2 min");
    ck_assert_str_eq(text_span(&arena, INT64_C(7200000000)), "2 h");
    ck_assert_str_eq(text_span(&arena, INT64_C(172800000000)), "2 d");
    arena_finish(&arena);
}
END_TEST

START_TEST(states_have_their_names_and_unspecified_has_none)
{
    const ProtobufCEnumDescriptor *type = &oms__order__v1__order__payment_state__descriptor;
    ck_assert_str_eq(text_enum(type, 0), "");
    ck_assert_str_eq(text_enum(type, OMS__ORDER__V1__ORDER__PAYMENT_STATE__CAPTURED), "CAPTURED");
    ck_assert_str_eq(text_enum(type, 999), "?");
    ck_assert_str_eq(text_enum(&oms__order__v1__order_step__state__descriptor, 0), "TODO");
}
END_TEST

START_TEST(an_amount_is_exact_or_refused)
{
    int64_t minor;
    ck_assert_int_eq(amount_parse("2.5", "EUR", &minor), 0);
    ck_assert_int_eq(minor, 250);
    ck_assert_int_eq(amount_parse("2.505", "EUR", &minor), -EDOM);
    ck_assert_int_eq(amount_parse("2,5", "EUR", &minor), -EINVAL);
    ck_assert_int_eq(amount_parse("99999999999999999999", "EUR", &minor), -ERANGE);
    ck_assert_int_eq(minor, 250);
}
END_TEST

SUITE("omsctl text", 30, a_span_is_told_in_the_unit_that_fits, states_have_their_names_and_unspecified_has_none,
      an_amount_is_exact_or_refused)
