/* A batch of spans every second, as OTLP's JSON. */
#include "mesh/run/exporter.h"

#include "mesh/base/metrics.h"
#include "mesh/base/say.h"
#include "mesh/base/span.h"
#include "mesh/rpc/rpc.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_US     10000000
#define STATUS_ERROR   2 /* opentelemetry.proto.trace.v1.Status.StatusCode */
#define INTEGER_DIGITS 24

static struct metric sent = { "mesh_spans_sent_total", "Spans that the collector has taken.", NULL, METRIC_COUNTER };
static struct metric unsent = { "mesh_spans_unsent_total", "Spans that the collector did not take.", NULL,
                                METRIC_COUNTER };

struct exporter {
    struct port *port;
    const char *process;
    struct timer timer;
    struct fetch fetch;
    char *body;
    size_t under_way; /* spans; 0: none is */
    bool failing;     /* and said so */
    struct span spans[EXPORT_BATCH];
};

/* --- OTLP's JSON: ids in hex, 64-bit numbers as text --- */

static json_t *hex(const uint8_t *id, size_t n)
{
    char text[33];
    for (size_t i = 0; i < n; i++)
        snprintf(text + 2 * i, 3, "%02x", id[i]);
    return json_string(text);
}

static json_t *integer(int64_t n)
{
    char text[INTEGER_DIGITS];
    snprintf(text, sizeof(text), "%" PRId64, n);
    return json_string(text);
}

static json_t *text_attribute(const char *key, const char *value)
{
    return json_pack("{s:s,s:{s:s}}", "key", key, "value", "stringValue", value);
}

static json_t *number_attribute(const char *key, int64_t value)
{
    return json_pack("{s:s,s:{s:o}}", "key", key, "value", "intValue", integer(value));
}

/* What was the server's fault, not the caller's, as OpenTelemetry's conventions for gRPC have it. */
static bool is_fault(const struct span *span)
{
    switch (span->code) {
    case SPAN_NO_STATUS:
    case RPC_UNKNOWN:
    case RPC_DEADLINE_EXCEEDED:
    case RPC_UNIMPLEMENTED:
    case RPC_INTERNAL:
    case RPC_UNAVAILABLE:
    case RPC_DATA_LOSS:
        return true;
    default:
        return false;
    }
}

static json_t *attributes(const struct span *span)
{
    json_t *list = json_array();
    if (span->kind == SPAN_SERVER) {
        json_array_append_new(list, text_attribute("rpc.system", "grpc"));
        json_array_append_new(list, number_attribute("rpc.grpc.status_code", span->code));
    }
    if (span->http_status)
        json_array_append_new(list, number_attribute("http.response.status_code", span->http_status));
    return list;
}

static json_t *span_json(const struct span *span)
{
    static const uint8_t none[sizeof(span->parent)];
    const char *name = span->name[0] == '/' ? span->name + 1 : span->name;
    int64_t start_us = span->end_us - span->duration_us;
    json_t *json =
        json_pack("{s:o,s:o,s:s,s:i,s:o,s:o,s:o}", "traceId", hex(span->trace.trace_id, sizeof(span->trace.trace_id)),
                  "spanId", hex(span->trace.span_id, sizeof(span->trace.span_id)), "name", name, "kind",
                  (int)span->kind, "startTimeUnixNano", integer(start_us * 1000), "endTimeUnixNano",
                  integer(span->end_us * 1000), "attributes", attributes(span));
    if (json && memcmp(span->parent, none, sizeof(none)) != 0)
        json_object_set_new(json, "parentSpanId", hex(span->parent, sizeof(span->parent)));
    if (json && is_fault(span))
        json_object_set_new(json, "status", json_pack("{s:i}", "code", STATUS_ERROR));
    return json;
}

static char *batch_json(const struct exporter *e)
{
    json_t *spans = json_array();
    for (size_t i = 0; i < e->under_way; i++)
        json_array_append_new(spans, span_json(&e->spans[i]));
    json_t *whole = json_pack("{s:[{s:{s:[o]},s:[{s:{s:s},s:o}]}]}", "resourceSpans", "resource", "attributes",
                              text_attribute("service.name", e->process), "scopeSpans", "scope", "name", "ordermesh",
                              "spans", spans);
    char *text = whole ? json_dumps(whole, JSON_COMPACT) : NULL;
    json_decref(whole);
    return text;
}

/* --- one request after the other --- */

static void send_batch(struct exporter *e);

static void on_timer(struct timer *timer)
{
    send_batch((struct exporter *)((char *)timer - offsetof(struct exporter, timer)));
}

static void done(struct fetch *fetch, int result, int status, struct bytes body)
{
    struct exporter *e = (struct exporter *)((char *)fetch - offsetof(struct exporter, fetch));
    bool taken = result == 0 && status >= 200 && status < 300;
    metric_add(taken ? &sent : &unsent, (int64_t)e->under_way);
    if (!taken && !e->failing)
        say(SAY_WARN, NULL, "the collector does not take spans", SAY_N("errno", -result), SAY_N("status", status));
    e->failing = !taken;
    e->under_way = 0;
    free(e->body);
    e->body = NULL;
    bool more = taken && spans_waiting() >= EXPORT_BATCH;
    e->port->timer_start(e->port, &e->timer, more ? 0 : EXPORT_PERIOD_US);
}

static void send_batch(struct exporter *e)
{
    e->under_way = spans_take(e->spans, EXPORT_BATCH);
    e->body = e->under_way ? batch_json(e) : NULL;
    if (!e->body) {
        metric_add(&unsent, (int64_t)e->under_way);
        e->under_way = 0;
        e->port->timer_start(e->port, &e->timer, EXPORT_PERIOD_US);
        return;
    }
    e->fetch = (struct fetch){
        .peer = "traces",
        .verb = "POST",
        .path = "/v1/traces",
        .body = { (const uint8_t *)e->body, strlen(e->body) },
        .timeout_us = TIMEOUT_US,
        .done = done,
    };
    e->port->fetch(e->port, &e->fetch);
}

int exporter_create(struct port *port, const char *process, struct exporter **ret_exporter)
{
    struct exporter *e = calloc(1, sizeof(*e));
    if (!e)
        return -ENOMEM;
    e->port = port;
    e->process = process;
    e->timer.fire = on_timer;
    spans_wanted(true);
    port->timer_start(port, &e->timer, EXPORT_PERIOD_US);
    *ret_exporter = e;
    return 0;
}

void exporter_flush(struct exporter *exporter)
{
    if (exporter && !exporter->under_way)
        exporter->port->timer_start(exporter->port, &exporter->timer, 0);
}

void exporter_destroy(struct exporter *exporter)
{
    if (!exporter)
        return;
    spans_wanted(false);
    exporter->port->timer_stop(exporter->port, &exporter->timer);
    free(exporter->body);
    free(exporter);
}
