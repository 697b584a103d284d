/* Tests of svc-notify/templates.c: every template of the API has a text, and subjects tell nothing personal. */
#include "mesh/base/arena.h"
#include "svc-notify/templates.h"
#include "tests/suite.h"

#include <string.h>

static const struct mail_fields fields = { "ORDER", "NAME", "TOTAL", "TRACKING", "REASON", "AMOUNT", "SHOP" };
static const ProtobufCEnumDescriptor *const api = &oms__notify__v1__message__template__descriptor;

START_TEST(every_template_has_a_text)
{
    struct arena arena;
    arena_init(&arena, 1 << 20);
    for (unsigned i = 0; i < api->n_values; i++) {
        const struct mail_template *t = template_find((enum message_template)api->values[i].value);
        if (api->values[i].value == 0) {
            ck_assert_ptr_null(t);
            continue;
        }
        ck_assert_msg(t != NULL, "%s", api->values[i].name);
        ck_assert_ptr_nonnull(strstr(t->subject, "{order_id}"));
        ck_assert_ptr_null(strchr(t->subject, '\n'));
        const char *subject = template_fill(&arena, t->subject, &fields), *body = template_body(&arena, t, &fields);
        ck_assert_ptr_null(strpbrk(subject, "{}"));
        ck_assert_ptr_null(strpbrk(body, "{}"));
        ck_assert_int_eq(strncmp(body, "Hello NAME,\n\n", 13), 0);
        ck_assert_str_eq(body + strlen(body) - 9, "-- \nSHOP\n");
        ck_assert_ptr_nonnull(strstr(body, "ORDER"));
    }
    arena_finish(&arena);
}
END_TEST

START_TEST(no_subject_tells_anything_personal)
{
    for (unsigned i = 1; i < api->n_values; i++) {
        const struct mail_template *t = template_find((enum message_template)api->values[i].value);
        ck_assert_ptr_null(strstr(t->subject, "{name}"));
        ck_assert_ptr_null(strstr(t->subject, "{total}"));
        ck_assert_ptr_null(strstr(t->subject, "{reason}"));
    }
}
END_TEST

START_TEST(messages_are_told_apart_by_their_words)
{
    for (unsigned i = 1; i < api->n_values; i++)
        for (unsigned k = 1; k < i; k++)
            ck_assert_str_ne(template_find((enum message_template)api->values[i].value)->word,
                             template_find((enum message_template)api->values[k].value)->word);
}
END_TEST

START_TEST(what_is_put_in_stays_on_its_line_and_is_not_filled_again)
{
    struct arena arena;
    arena_init(&arena, 1 << 20);
    struct mail_fields odd = fields;
    odd.name = "a\r\nb\x7f{reason}";
    ck_assert_str_eq(template_fill(&arena, "<{name}>", &odd), "<a  b {reason}>");
    odd.name = "";
    const char *body = template_body(&arena, template_find(SHIPPED), &odd);
    ck_assert_int_eq(strncmp(body, "Hello,\n\n", 8), 0);
    arena_finish(&arena);
}
END_TEST

SUITE("templates", 20, every_template_has_a_text, no_subject_tells_anything_personal,
      messages_are_told_apart_by_their_words, what_is_put_in_stays_on_its_line_and_is_not_filled_again)
