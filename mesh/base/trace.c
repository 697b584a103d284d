/* traceparent, read and written. */
#include "mesh/base/trace.h"
#include "mesh/port.h"

#include <stddef.h>
#include <string.h>

#define SAMPLED 1

static int hex_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool parse_hex(const char *text, uint8_t *ret_bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int high = hex_of(text[2 * i]), low = high < 0 ? -1 : hex_of(text[2 * i + 1]);
        if (low < 0)
            return false;
        ret_bytes[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static char *format_hex(char *at, const uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        *at++ = "0123456789abcdef"[bytes[i] >> 4];
        *at++ = "0123456789abcdef"[bytes[i] & 15];
    }
    return at;
}

static bool is_zero(const uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (bytes[i])
            return false;
    return true;
}

bool trace_parse(const char *traceparent, struct trace *ret_trace)
{
    *ret_trace = (struct trace){ 0 };
    struct trace t;
    if (!traceparent || strlen(traceparent) != TRACE_TEXT - 1 || memcmp(traceparent, "00-", 3) != 0)
        return false;
    if (traceparent[35] != '-' || traceparent[52] != '-')
        return false;
    if (!parse_hex(traceparent + 3, t.trace_id, sizeof(t.trace_id)) ||
        !parse_hex(traceparent + 36, t.span_id, sizeof(t.span_id)) || !parse_hex(traceparent + 53, &t.flags, 1))
        return false;
    if (is_zero(t.trace_id, sizeof(t.trace_id)) || is_zero(t.span_id, sizeof(t.span_id)))
        return false;
    *ret_trace = t;
    return true;
}

void trace_format(const struct trace *trace, char ret_text[TRACE_TEXT])
{
    char *at = ret_text;
    memcpy(at, "00-", 3);
    at = format_hex(at + 3, trace->trace_id, sizeof(trace->trace_id));
    *at++ = '-';
    at = format_hex(at, trace->span_id, sizeof(trace->span_id));
    *at++ = '-';
    at = format_hex(at, &trace->flags, 1);
    *at = '\0';
}

bool trace_sampled(const struct trace *trace)
{
    return trace->flags & SAMPLED;
}

void trace_sample(struct trace *trace, bool sampled)
{
    trace->flags = (uint8_t)((trace->flags & ~SAMPLED) | (sampled ? SAMPLED : 0));
}

/* All zero means none, so chance may not say it. */
static void random_id(struct port *port, uint8_t *id, size_t n)
{
    port->random(port, id, n);
    if (is_zero(id, n))
        id[n - 1] = 1;
}

void trace_child(struct port *port, const struct trace *parent, struct trace *ret_trace)
{
    struct trace t = { 0 };
    if (parent && !is_zero(parent->trace_id, sizeof(parent->trace_id)))
        t = *parent;
    else
        random_id(port, t.trace_id, sizeof(t.trace_id));
    random_id(port, t.span_id, sizeof(t.span_id));
    *ret_trace = t;
}
