/* W3C Trace Context (https://www.w3.org/TR/trace-context/): the identity that one request keeps through
 * calls, commands and events. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define TRACE_TEXT 56 /* "00-32 hex-16 hex-02 hex" with its NUL */

struct port;

struct trace {
    uint8_t trace_id[16]; /* all zero: none */
    uint8_t span_id[8];
    uint8_t flags;
};

/* False, and all zero, if the text is not a traceparent of version 00. NULL is not one. */
bool trace_parse(const char *traceparent, struct trace *ret_trace);
void trace_format(const struct trace *trace, char ret_text[TRACE_TEXT]);
/* Somebody wants to see it: what happens in it is told to a collector (mesh/base/span.h). Who begins a trace decides;
 * that is the gateway for whatever clients ask. */
bool trace_sampled(const struct trace *trace);
void trace_sample(struct trace *trace, bool sampled);
/* The same trace with a span of its own; a new one that is not sampled if the parent is none or NULL. */
void trace_child(struct port *port, const struct trace *parent, struct trace *ret_trace);
