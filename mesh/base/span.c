/* A ring of spans under a lock. */
#include "mesh/base/span.h"

#include "mesh/base/metrics.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static struct metric kept = { "mesh_spans_total", "Spans of sampled traces, and what became of them.", "fate=\"kept\"",
                              METRIC_COUNTER };
static struct metric dropped = { "mesh_spans_total", "Spans of sampled traces, and what became of them.",
                                 "fate=\"dropped\"", METRIC_COUNTER };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct span *ring; /* NULL: not wanted */
static size_t first, held;
static atomic_bool wanted;

void spans_wanted(bool want)
{
    struct span *room = want ? calloc(SPANS_KEPT, sizeof(*room)) : NULL;
    pthread_mutex_lock(&lock);
    struct span *old = ring;
    ring = room;
    first = held = 0;
    pthread_mutex_unlock(&lock);
    free(old);
    atomic_store(&wanted, room != NULL);
}

bool span_wanted(const struct trace *trace)
{
    return atomic_load_explicit(&wanted, memory_order_relaxed) && trace_sampled(trace);
}

static bool put(const struct span *span, const char *name)
{
    if (!ring || held == SPANS_KEPT)
        return false;
    struct span *slot = &ring[(first + held++) % SPANS_KEPT];
    *slot = *span;
    size_t n = strnlen(name, sizeof(slot->name) - 1);
    memcpy(slot->name, name, n);
    slot->name[n] = '\0';
    return true;
}

void span_keep(const struct span *span, const char *name)
{
    if (!span_wanted(&span->trace))
        return;
    pthread_mutex_lock(&lock);
    bool fits = put(span, name);
    pthread_mutex_unlock(&lock);
    metric_add(fits ? &kept : &dropped, 1);
}

size_t spans_take(struct span *ret_spans, size_t max)
{
    size_t n = 0;
    pthread_mutex_lock(&lock);
    for (; n < max && held; n++, held--, first = (first + 1) % SPANS_KEPT)
        ret_spans[n] = ring[first];
    pthread_mutex_unlock(&lock);
    return n;
}

size_t spans_waiting(void)
{
    pthread_mutex_lock(&lock);
    size_t n = held;
    pthread_mutex_unlock(&lock);
    return n;
}
