/* Traces, the access log, spans. */
#include "gateway/record.h"

#include "mesh/base/say.h"
#include "mesh/base/span.h"
#include "mesh/port.h"

#include <string.h>

static bool is_chosen(const struct exchange *x, const uint8_t chance[8])
{
    uint64_t number;
    memcpy(&number, chance, sizeof(number));
    return x->gateway->trace_every && number % x->gateway->trace_every == 0;
}

void record_trace(struct exchange *x)
{
    struct gateway *gateway = x->gateway;
    nghttp2_vec said = x->traceparent ? nghttp2_rcbuf_get_buf(x->traceparent) : (nghttp2_vec){ 0 };
    struct trace trace = { 0 };
    if (said.len == TRACE_TEXT - 1 && trace_parse((const char *)said.base, &trace))
        memcpy(x->client_span, trace.span_id, sizeof(x->client_span));
    else
        gateway_random(gateway, trace.trace_id, sizeof(trace.trace_id));
    gateway_random(gateway, trace.span_id, sizeof(trace.span_id));
    trace_sample(&trace, is_chosen(x, trace.span_id));
    trace_format(&trace, x->trace_text);
}

static void keep_span(const struct exchange *x, const struct trace *trace, int64_t took_us)
{
    struct port *port = x->gateway->port;
    struct span span = { .trace = *trace, .kind = SPAN_SERVER, .duration_us = took_us, .code = (int)x->code };
    if (!span_wanted(trace))
        return;
    memcpy(span.parent, x->client_span, sizeof(span.parent));
    span.end_us = port->wall_us(port);
    span_keep(&span, x->route->method->full_name);
}

static void log_access(const struct exchange *x, const struct trace *trace, int64_t took_us)
{
    say(SAY_INFO, trace, "call", SAY_T("method", x->route->method->full_name), SAY_T("code", rpc_code_name(x->code)),
        SAY_N("us", took_us), SAY_T("subject", x->principal ? x->principal->caller.subject : ""));
}

void record_end(struct exchange *x)
{
    int64_t took_us = wheel_now_us() - x->begun_us;
    struct trace trace;
    if (!x->route)
        return;
    route_count(x->route, x->code, took_us);
    bool traced = trace_parse(x->trace_text, &trace);
    if (traced)
        keep_span(x, &trace, took_us);
    if (x->gateway->access_log)
        log_access(x, traced ? &trace : NULL, took_us);
}
