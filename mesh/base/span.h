/* What a traced request did here: spans, kept until an exporter fetches them (mesh/run/exporter.h). Nothing is kept
 * without one, nor of traces that are not sampled; never waits, never grows: what does not fit is dropped and counted
 * (mesh_spans_total). Any lane. */
#pragma once

#include "mesh/base/trace.h"

#include <stddef.h>

#define SPANS_KEPT     2048
#define SPAN_NAME_MAX  80
#define SPAN_NO_STATUS (-1)

/* The numbers are OpenTelemetry's (opentelemetry/proto/trace/v1/trace.proto). */
enum span_kind { SPAN_SERVER = 2, SPAN_CLIENT = 3 };

struct span {
    struct trace trace; /* span_id is its own */
    uint8_t parent[8];  /* all zero: none */
    char name[SPAN_NAME_MAX];
    enum span_kind kind;
    int64_t end_us; /* wall clock */
    int64_t duration_us;
    int code;        /* enum rpc_code, or SPAN_NO_STATUS: nobody answered */
    int http_status; /* of a request to somebody outside; 0: it was none */
};

/* From now on they are kept, or not any more. */
void spans_wanted(bool wanted);
/* Whether one of this trace would be kept: for who would have to make an effort. */
bool span_wanted(const struct trace *trace);
/* name is cut to fit. */
void span_keep(const struct span *span, const char *name);
/* The oldest ones. How many. */
size_t spans_take(struct span *ret_spans, size_t max);
size_t spans_waiting(void);
