/* A counter for each limit. */
#include "gateway/limited.h"

#include <stdio.h>

static struct metric *counters[LIMITS];

void limits_open(void)
{
    static const char *const names[LIMITS] = {
        "connections",
        "connections-per-source",
        "calls-per-source",
        "files",
        "handshake",
        "unused",
        "head",
        "head-size",
        "body",
        "stalled",
        "quiet",
        "tokens",
        "buffered",
        "protocol",
        "rate-source",
        "rate-principal",
    };
    for (int i = 0; i < LIMITS && !counters[i]; i++) {
        char labels[64];
        snprintf(labels, sizeof(labels), "limit=\"%s\"", names[i]);
        counters[i] = metric_make(METRIC_COUNTER, "gateway_limited_total",
                                  "Clients that were refused or cut off, by the limit that they met.", labels);
    }
}

void limit_met(enum limit limit)
{
    if (counters[limit])
        metric_add(counters[limit], 1);
}

int64_t limit_times(enum limit limit)
{
    return counters[limit] ? counters[limit]->value : 0;
}
