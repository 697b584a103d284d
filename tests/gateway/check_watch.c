/* What a watch may ask for: nothing that breaks a field rule reaches svc-order, and the field is named. */
#include "tests/gateway/behind.h"
#include "tests/suite.h"

#include <string.h>

/* order_id "ord_1"; fields of the position are put behind it. */
#define ORDER "\x0a\x05ord_1"

#define LONG_33 "0123456789abcdef0123456789abcdef0"

static void expect_refused(const void *request, size_t n, const char *reason, const char *field)
{
    struct peer *client = stage_client(&stage);
    struct call *call = watch_raw(client, stage.bearer, request, n);
    expect_end(call, RPC_INVALID_ARGUMENT, reason);
    ck_assert_str_eq(call_violation(call), field);
    ck_assert_uint_eq(behind.n, 0);
}
#define REFUSED(request, reason, field) expect_refused(request, sizeof(request) - 1, reason, field)

START_TEST(a_request_that_breaks_a_field_rule_is_refused_with_the_fields_name)
{
    open_stage();
    REFUSED("", "FIELD_REQUIRED", "order_id");
    REFUSED("\x0a\x03"
            "a\0b",
            "STRING_HAS_NUL", "order_id");
    REFUSED(ORDER "\x12\x05\x0a\x03"
                  "a\0b",
            "STRING_HAS_NUL", "after.incarnation");
    REFUSED(ORDER "\x12\x04\x0a\x02\xc3\x28", "INVALID_UTF8", "after.incarnation");
    REFUSED(ORDER "\x12\x23\x0a\x21" LONG_33, "FIELD_TOO_LONG", "after.incarnation");
    close_stage();
}
END_TEST

START_TEST(a_position_needs_its_incarnation)
{
    open_stage();
    REFUSED(ORDER "\x12\x02\x10\x07", "FIELD_REQUIRED", "after.incarnation");
    close_stage();
}
END_TEST

START_TEST(what_is_no_message_is_refused)
{
    open_stage();
    REFUSED("\x0a\x7f", "MALFORMED_REQUEST", "");
    REFUSED(ORDER "\x12\x00\x12\x00\x12\x05", "MALFORMED_REQUEST", "");
    close_stage();
}
END_TEST

START_TEST(an_empty_position_is_the_beginning_of_a_watch)
{
    open_stage();
    static const char request[] = ORDER "\x12\x00";
    struct call *call = watch_raw(stage_client(&stage), stage.bearer, request, sizeof(request) - 1);
    answer_read("ord_1", PENDING, 7);
    expect_update(call, 0, PENDING, 7, true);
    close_stage();
}
END_TEST

SUITE("watch", 60, a_request_that_breaks_a_field_rule_is_refused_with_the_fields_name, a_position_needs_its_incarnation,
      what_is_no_message_is_refused, an_empty_position_is_the_beginning_of_a_watch)
