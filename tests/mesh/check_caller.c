/* Who calls, as text. */
#include "mesh/rpc/rpc.h"
#include "tests/suite.h"

#include <string.h>

START_TEST(a_caller_survives_the_text)
{
    struct caller caller = { .roles = ROLE_BIT(MESH__V1__ROLE__CUSTOMER) | ROLE_BIT(MESH__V1__ROLE__ADMIN) }, again;
    char text[CALLER_SUBJECT_MAX + 16];
    memset(caller.subject, 'x', CALLER_SUBJECT_MAX - 1);
    caller_format(&caller, text);
    ck_assert(caller_parse(text, &again));
    ck_assert_uint_eq(again.roles, caller.roles);
    ck_assert_str_eq(again.subject, caller.subject);
    ck_assert(caller_is(&again, MESH__V1__ROLE__ADMIN));
    ck_assert(!caller_is(&again, MESH__V1__ROLE__SERVICE));
}
END_TEST

START_TEST(a_guest_has_no_subject)
{
    struct caller guest;
    ck_assert(caller_parse("2;", &guest));
    ck_assert_uint_eq(guest.roles, ROLE_BIT(MESH__V1__ROLE__GUEST));
    ck_assert_str_eq(guest.subject, "");
}
END_TEST

START_TEST(a_malformed_caller_is_refused_and_changes_nothing)
{
    static const char *const bad[] = { "",       ";x",         "4",           "g;x",  "4 ;x",  "4; x",
                                       "4;a\tb", "4;\xc3\xa9", "123456789;x", "-4;x", "0x4;x", "4;a\n" };
    char long_one[CALLER_SUBJECT_MAX + 8] = "4;";
    memset(long_one + 2, 'x', CALLER_SUBJECT_MAX);
    struct caller caller = { .roles = 7 };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        ck_assert_msg(!caller_parse(bad[i], &caller), "%s", bad[i]);
    ck_assert(!caller_parse(long_one, &caller));
    ck_assert_uint_eq(caller.roles, 7);
}
END_TEST

SUITE("caller", 10, a_caller_survives_the_text, a_guest_has_no_subject,
      a_malformed_caller_is_refused_and_changes_nothing)
