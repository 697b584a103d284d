/* Tests of mesh/base/trace.c. */
#include "mesh/base/trace.h"
#include "tests/mesh/steps_port.h"
#include "tests/suite.h"

#include <string.h>

static const char example[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

START_TEST(a_traceparent_comes_back_as_it_was)
{
    struct trace t;
    char text[TRACE_TEXT];
    ck_assert(trace_parse(example, &t));
    ck_assert_uint_eq(t.flags, 1);
    ck_assert_uint_eq(t.trace_id[0], 0x4b);
    ck_assert_uint_eq(t.span_id[7], 0xb7);
    trace_format(&t, text);
    ck_assert_str_eq(text, example);
}
END_TEST

START_TEST(what_is_no_traceparent_is_no_trace)
{
    static const char *const texts[] = {
        "",
        "00",
        "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736+00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
    };
    struct trace none = { 0 }, t;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        memset(&t, 0xff, sizeof(t));
        ck_assert(!trace_parse(texts[i], &t));
        ck_assert_mem_eq(&t, &none, sizeof(t));
    }
    ck_assert(!trace_parse(NULL, &t));
}
END_TEST

START_TEST(a_child_keeps_the_trace_and_has_a_span_of_its_own)
{
    struct steps_port p;
    steps_port_init(&p);
    struct trace parent, child;
    ck_assert(trace_parse(example, &parent));
    trace_child(&p.port, &parent, &child);
    ck_assert_mem_eq(child.trace_id, parent.trace_id, 16);
    ck_assert_mem_ne(child.span_id, parent.span_id, 8);
    ck_assert_uint_eq(child.flags, parent.flags);
}
END_TEST

START_TEST(without_a_parent_a_trace_begins)
{
    struct steps_port p;
    steps_port_init(&p);
    struct trace a, b, none = { 0 }, read;
    char text[TRACE_TEXT];
    trace_child(&p.port, NULL, &a);
    trace_child(&p.port, &none, &b);
    ck_assert_mem_ne(a.trace_id, b.trace_id, 16);
    trace_format(&a, text);
    ck_assert(trace_parse(text, &read));
}
END_TEST

static void no_chance(struct port *port, void *data, size_t n)
{
    memset(data, 0, n);
}

START_TEST(chance_that_says_zero_still_makes_a_trace)
{
    struct steps_port p;
    steps_port_init(&p);
    p.port.random = no_chance;
    struct trace t, read;
    char text[TRACE_TEXT];
    trace_child(&p.port, NULL, &t);
    trace_format(&t, text);
    ck_assert(trace_parse(text, &read));
}
END_TEST

SUITE("trace", 10, a_traceparent_comes_back_as_it_was, what_is_no_traceparent_is_no_trace,
      a_child_keeps_the_trace_and_has_a_span_of_its_own, without_a_parent_a_trace_begins,
      chance_that_says_zero_still_makes_a_trace)
