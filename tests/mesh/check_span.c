/* Tests of mesh/base/span.c and mesh/run/exporter.c, with a collector that answers when the test says so. */
#include "mesh/base/span.h"
#include "mesh/run/exporter.h"
#include "tests/mesh/steps_port.h"
#include "tests/suite.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

static struct steps_port p;
static struct exporter *exporter;
static struct fetch *asked; /* that the collector has not answered */
static unsigned n_asked;

static void collect(struct port *port, struct fetch *fetch)
{
    ck_assert_msg(!asked, "two requests are under way");
    ck_assert_str_eq(fetch->peer, "traces");
    ck_assert_str_eq(fetch->path, "/v1/traces");
    asked = fetch;
    n_asked++;
}

static void answer(int result, int status)
{
    struct fetch *fetch = asked;
    asked = NULL;
    fetch->done(fetch, result, status, (struct bytes){ 0 });
}

static void begin(void)
{
    steps_port_init(&p);
    p.port.fetch = collect;
    p.now_us = 1700000000000000;
    ck_assert_int_eq(exporter_create(&p.port, "svc-test", &exporter), 0);
}

static void end(void)
{
    exporter_destroy(exporter);
    exporter = NULL;
}

static struct span span_of(bool sampled)
{
    struct span span = { .kind = SPAN_SERVER, .end_us = p.now_us, .duration_us = 1500 };
    trace_child(&p.port, NULL, &span.trace);
    trace_sample(&span.trace, sampled);
    return span;
}

static void keep(int n)
{
    for (int i = 0; i < n; i++) {
        struct span span = span_of(true);
        span_keep(&span, "/test.v1.Test/Do");
    }
}

static json_t *spans_sent(void)
{
    json_t *body = json_loadb((const char *)asked->body.data, asked->body.len, 0, NULL);
    ck_assert_ptr_nonnull(body);
    json_t *spans = NULL;
    ck_assert_int_eq(json_unpack(body, "{s:[{s:[{s:O}]}]}", "resourceSpans", "scopeSpans", "spans", &spans), 0);
    json_decref(body);
    return spans;
}

static size_t count_sent(void)
{
    json_t *spans = spans_sent();
    size_t n = json_array_size(spans);
    json_decref(spans);
    return n;
}

START_TEST(what_is_not_sampled_is_not_kept)
{
    begin();
    struct span span = span_of(false);
    ck_assert(!span_wanted(&span.trace));
    span_keep(&span, "/test.v1.Test/Do");
    ck_assert_uint_eq(spans_waiting(), 0);
    end();
}
END_TEST

START_TEST(without_an_exporter_nothing_is_kept)
{
    steps_port_init(&p);
    keep(1);
    ck_assert_uint_eq(spans_waiting(), 0);
}
END_TEST

START_TEST(what_does_not_fit_is_dropped_and_nothing_else)
{
    begin();
    keep(SPANS_KEPT + 10);
    ck_assert_uint_eq(spans_waiting(), SPANS_KEPT);
    struct span taken[2];
    ck_assert_uint_eq(spans_take(taken, 2), 2);
    keep(3);
    ck_assert_uint_eq(spans_waiting(), SPANS_KEPT);
    end();
}
END_TEST

START_TEST(a_name_that_is_too_long_is_cut)
{
    begin();
    char name[2 * SPAN_NAME_MAX];
    memset(name, 'x', sizeof(name));
    name[sizeof(name) - 1] = '\0';
    struct span span = span_of(true), taken;
    span_keep(&span, name);
    ck_assert_uint_eq(spans_take(&taken, 1), 1);
    ck_assert_uint_eq(strlen(taken.name), SPAN_NAME_MAX - 1);
    end();
}
END_TEST

START_TEST(a_span_is_told_as_otlp_has_it)
{
    begin();
    struct span span = span_of(true);
    ck_assert(trace_parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", &span.trace));
    memset(span.parent, 0xab, sizeof(span.parent));
    span.code = 14;
    span_keep(&span, "/test.v1.Test/Do");
    steps_port_advance(&p, EXPORT_PERIOD_US);
    json_t *spans = spans_sent();
    const char *trace, *id, *parent, *name, *start, *stop;
    int kind, code;
    ck_assert_int_eq(json_unpack(json_array_get(spans, 0), "{s:s,s:s,s:s,s:s,s:i,s:s,s:s,s:{s:i}}", "traceId", &trace,
                                 "spanId", &id, "parentSpanId", &parent, "name", &name, "kind", &kind,
                                 "startTimeUnixNano", &start, "endTimeUnixNano", &stop, "status", "code", &code),
                     0);
    ck_assert_str_eq(trace, "4bf92f3577b34da6a3ce929d0e0e4736");
    ck_assert_str_eq(id, "00f067aa0ba902b7");
    ck_assert_str_eq(parent, "abababababababab");
    ck_assert_str_eq(name, "test.v1.Test/Do");
    ck_assert_int_eq(kind, 2);
    ck_assert_str_eq(start, "1699999999998500000");
    ck_assert_str_eq(stop, "1700000000000000000");
    ck_assert_int_eq(code, 2);
    json_decref(spans);
    answer(0, 200);
    end();
}
END_TEST

START_TEST(a_refusal_is_no_fault_of_the_server)
{
    begin();
    struct span span = span_of(true);
    span.code = 3;
    span_keep(&span, "/test.v1.Test/Do");
    steps_port_advance(&p, EXPORT_PERIOD_US);
    json_t *spans = spans_sent();
    ck_assert_ptr_null(json_object_get(json_array_get(spans, 0), "status"));
    ck_assert_ptr_null(json_object_get(json_array_get(spans, 0), "parentSpanId"));
    json_decref(spans);
    answer(0, 200);
    end();
}
END_TEST

START_TEST(a_collector_gets_one_request_after_the_other)
{
    begin();
    keep(2 * EXPORT_BATCH + 1);
    steps_port_advance(&p, EXPORT_PERIOD_US);
    ck_assert_uint_eq(count_sent(), EXPORT_BATCH);
    steps_port_advance(&p, 5 * EXPORT_PERIOD_US);
    ck_assert_uint_eq(n_asked, 1);
    answer(0, 200);
    steps_port_advance(&p, 0);
    ck_assert_uint_eq(count_sent(), EXPORT_BATCH);
    answer(0, 200);
    steps_port_advance(&p, 0);
    ck_assert_ptr_null(asked);
    steps_port_advance(&p, EXPORT_PERIOD_US);
    ck_assert_uint_eq(count_sent(), 1);
    answer(0, 200);
    end();
}
END_TEST

START_TEST(a_collector_that_does_not_take_them_costs_a_batch_and_no_more)
{
    begin();
    keep(EXPORT_BATCH + 1);
    steps_port_advance(&p, EXPORT_PERIOD_US);
    answer(-ECONNREFUSED, 0);
    steps_port_advance(&p, 0);
    ck_assert_ptr_null(asked);
    steps_port_advance(&p, EXPORT_PERIOD_US);
    ck_assert_uint_eq(count_sent(), 1);
    answer(0, 503);
    ck_assert_uint_eq(spans_waiting(), 0);
    end();
}
END_TEST

START_TEST(what_waits_is_sent_before_the_process_hangs_up)
{
    begin();
    keep(1);
    exporter_flush(exporter);
    steps_port_advance(&p, 0);
    ck_assert_uint_eq(count_sent(), 1);
    answer(0, 200);
    end();
}
END_TEST

SUITE("span", 10, what_is_not_sampled_is_not_kept, without_an_exporter_nothing_is_kept,
      what_does_not_fit_is_dropped_and_nothing_else, a_name_that_is_too_long_is_cut, a_span_is_told_as_otlp_has_it,
      a_refusal_is_no_fault_of_the_server, a_collector_gets_one_request_after_the_other,
      a_collector_that_does_not_take_them_costs_a_batch_and_no_more, what_waits_is_sent_before_the_process_hangs_up)
