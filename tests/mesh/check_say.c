/* Tests of mesh/base/say.c: what arrives on stderr is read back as JSON. */
#include "mesh/base/say.h"
#include "mesh/base/trace.h"
#include "tests/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <string.h>
#include <unistd.h>

static int caught;

static void catch_stderr(void)
{
    char path[] = "/tmp/check_say_XXXXXX";
    caught = mkstemp(path);
    unlink(path);
    dup2(caught, STDERR_FILENO);
}

/* The one line that was said, as an object. */
static json_t *heard(void)
{
    char text[8192];
    ssize_t n = pread(caught, text, sizeof(text), 0);
    ck_assert_int_gt(n, 0);
    ck_assert_int_eq(text[n - 1], '\n');
    ck_assert_ptr_eq(memchr(text, '\n', (size_t)n), text + n - 1);
    json_error_t error;
    json_t *line = json_loadb(text, (size_t)n - 1, JSON_REJECT_DUPLICATES, &error);
    ck_assert_msg(line != NULL, "%s", error.text);
    return line;
}

static const char *text_of(json_t *line, const char *name)
{
    const char *text = json_string_value(json_object_get(line, name));
    return text ? text : "(none)";
}

START_TEST(a_line_is_one_json_object)
{
    catch_stderr();
    say_init("svc-order", SAY_INFO);
    struct trace t;
    ck_assert(trace_parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", &t));
    say(SAY_WARN, &t, "listening", SAY_T("address", "127.0.0.1"), SAY_N("port", 7001), SAY_T("gone", NULL));
    json_t *line = heard();
    ck_assert_str_eq(text_of(line, "level"), "warn");
    ck_assert_str_eq(text_of(line, "process"), "svc-order");
    ck_assert_str_eq(text_of(line, "event"), "listening");
    ck_assert_str_eq(text_of(line, "trace"), "4bf92f3577b34da6a3ce929d0e0e4736");
    ck_assert_str_eq(text_of(line, "address"), "127.0.0.1");
    ck_assert_str_eq(text_of(line, "gone"), "");
    ck_assert_int_eq(json_integer_value(json_object_get(line, "port")), 7001);
    ck_assert_uint_eq(strlen(text_of(line, "time")), strlen("2024-01-01T00:00:00.000000Z"));
    json_decref(line);
}
END_TEST

START_TEST(hostile_text_cannot_forge_a_line)
{
    catch_stderr();
    say_init("p", SAY_INFO);
    const char *text = "a\"}\n{\"level\":\"error\"\\\x01\x7f \xc3\xa9 \xff \xed\xa0\x80 \xf0\x9f\x98\x80 \xe2\x82";
    say(SAY_INFO, NULL, "bad input", SAY_T("text", text));
    json_t *line = heard();
    ck_assert_str_eq(text_of(line, "level"), "info");
    const char *back = text_of(line, "text");
    ck_assert_ptr_nonnull(strstr(back, "a\"}\n{\"level\":\"error\"\\\x01\x7f \xc3\xa9 \xef\xbf\xbd "));
    ck_assert_ptr_nonnull(strstr(back, "\xf0\x9f\x98\x80 \xef\xbf\xbd"));
    json_decref(line);
}
END_TEST

START_TEST(an_endless_line_is_cut_and_says_so)
{
    catch_stderr();
    say_init("p", SAY_INFO);
    char text[5000];
    memset(text, 1, sizeof(text));
    text[sizeof(text) - 1] = '\0';
    say(SAY_INFO, NULL, "long", SAY_T("a", text), SAY_T("b", text), SAY_N("c", 1));
    json_t *line = heard();
    ck_assert(json_is_true(json_object_get(line, "cut")));
    ck_assert_str_eq(text_of(line, "event"), "long");
    json_decref(line);
}
END_TEST

START_TEST(levels_below_the_least_are_not_said)
{
    catch_stderr();
    say_init("p", SAY_WARN);
    say(SAY_INFO, NULL, "quiet");
    ck_assert_int_eq(lseek(caught, 0, SEEK_END), 0);
    ck_assert_int_eq(say_level_set("loud"), -EINVAL);
    ck_assert_str_eq(say_level_name(), "warn");
    ck_assert_int_eq(say_level_set("debug"), 0);
    say(SAY_DEBUG, NULL, "heard");
    json_t *line = heard();
    ck_assert_str_eq(text_of(line, "event"), "heard");
    json_decref(line);
}
END_TEST

SUITE("say", 10, a_line_is_one_json_object, hostile_text_cannot_forge_a_line, an_endless_line_is_cut_and_says_so,
      levels_below_the_least_are_not_said)
