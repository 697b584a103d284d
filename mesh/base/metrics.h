/* Counters, gauges and histograms, told to Prometheus in its text format (version 0.0.4).
 *
 * A metric is a static variable, registered on first use; updates are relaxed atomics, any lane. */
#pragma once

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };
#define METRIC_BUCKETS 20 /* upper bounds 50 µs × 2^i, the last one is +Inf */

struct metric {
    const char *name, *help, *labels; /* labels: method="Get",code="0", or NULL */
    enum metric_type type;
    _Atomic int64_t value; /* counter, gauge; a histogram's sum in microseconds */
    _Atomic int64_t buckets[METRIC_BUCKETS];
    struct metric *next;
    atomic_bool registered;
};

/* Metrics that exist per method, queue … are made at start and never freed; name and help must be literals, labels are
 * copied. */
struct metric *metric_make(enum metric_type type, const char *name, const char *help, const char *labels);
void metric_add(struct metric *m, int64_t n);
void metric_set(struct metric *m, int64_t n);
void metric_time(struct metric *m, int64_t duration_us);
/* Everything registered, as text on the heap; the caller frees it. */
char *metrics_render(size_t *ret_len);
