/* One list of everything that is counted, and its rendering. */
#include "mesh/base/metrics.h"

#include <assert.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_BOUND_US 50

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct metric *registered;
static size_t n_registered;

static void add_locked(struct metric *m)
{
    m->next = registered;
    registered = m;
    n_registered++;
    atomic_store(&m->registered, true);
}

static void touch(struct metric *m)
{
    if (atomic_load_explicit(&m->registered, memory_order_relaxed))
        return;
    pthread_mutex_lock(&lock);
    if (!atomic_load(&m->registered))
        add_locked(m);
    pthread_mutex_unlock(&lock);
}

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static struct metric *find_locked(const char *name, const char *labels)
{
    struct metric *m = registered;
    while (m && !(strcmp(m->name, name) == 0 && same_text(m->labels, labels)))
        m = m->next;
    return m;
}

struct metric *metric_make(enum metric_type type, const char *name, const char *help, const char *labels)
{
    pthread_mutex_lock(&lock);
    struct metric *m = find_locked(name, labels);
    if (!m) {
        m = calloc(1, sizeof(*m));
        char *copy = labels ? strdup(labels) : NULL;
        if (!m || (labels && !copy))
            abort();
        m->type = type;
        m->name = name;
        m->help = help;
        m->labels = copy;
        add_locked(m);
    }
    pthread_mutex_unlock(&lock);
    assert(m->type == type);
    return m;
}

void metric_add(struct metric *m, int64_t n)
{
    touch(m);
    atomic_fetch_add_explicit(&m->value, n, memory_order_relaxed);
}

void metric_set(struct metric *m, int64_t n)
{
    touch(m);
    atomic_store_explicit(&m->value, n, memory_order_relaxed);
}

void metric_time(struct metric *m, int64_t duration_us)
{
    touch(m);
    int bucket = 0;
    while (bucket < METRIC_BUCKETS - 1 && duration_us > (int64_t)FIRST_BOUND_US << bucket)
        bucket++;
    atomic_fetch_add_explicit(&m->buckets[bucket], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&m->value, duration_us, memory_order_relaxed);
}

static void render_histogram(FILE *out, const struct metric *m)
{
    const char *labels = m->labels ? m->labels : "", *comma = m->labels ? "," : "";
    int64_t count = 0;
    for (int i = 0; i < METRIC_BUCKETS; i++) {
        count += atomic_load_explicit(&m->buckets[i], memory_order_relaxed);
        if (i < METRIC_BUCKETS - 1)
            fprintf(out, "%s_bucket{%s%sle=\"%g\"} %" PRId64 "\n", m->name, labels, comma,
                    (double)((int64_t)FIRST_BOUND_US << i) / 1e6, count);
        else
            fprintf(out, "%s_bucket{%s%sle=\"+Inf\"} %" PRId64 "\n", m->name, labels, comma, count);
    }
    const char *open = m->labels ? "{" : "", *close = m->labels ? "}" : "";
    double sum = (double)atomic_load_explicit(&m->value, memory_order_relaxed) / 1e6;
    fprintf(out, "%s_sum%s%s%s %.6f\n", m->name, open, labels, close, sum);
    fprintf(out, "%s_count%s%s%s %" PRId64 "\n", m->name, open, labels, close, count);
}

static void render(FILE *out, const struct metric *m)
{
    if (m->type == METRIC_HISTOGRAM) {
        render_histogram(out, m);
        return;
    }
    int64_t value = atomic_load_explicit(&m->value, memory_order_relaxed);
    if (m->labels)
        fprintf(out, "%s{%s} %" PRId64 "\n", m->name, m->labels, value);
    else
        fprintf(out, "%s %" PRId64 "\n", m->name, value);
}

static int by_name(const void *a, const void *b)
{
    const struct metric *x = *(const struct metric *const *)a, *y = *(const struct metric *const *)b;
    int order = strcmp(x->name, y->name);
    return order ? order : strcmp(x->labels ? x->labels : "", y->labels ? y->labels : "");
}

/* The format wants all samples of a name together, so they are sorted; the list only ever grows at its head. */
char *metrics_render(size_t *ret_len)
{
    static const char *const type_names[] = { "counter", "gauge", "histogram" };

    pthread_mutex_lock(&lock);
    size_t n = n_registered;
    const struct metric *first = registered;
    pthread_mutex_unlock(&lock);

    const struct metric **sorted = calloc(n + 1, sizeof(*sorted));
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    if (!sorted || !out)
        abort();
    for (size_t i = 0; i < n; i++, first = first->next)
        sorted[i] = first;
    qsort(sorted, n, sizeof(*sorted), by_name);

    for (size_t i = 0; i < n; i++) {
        if (i == 0 || strcmp(sorted[i]->name, sorted[i - 1]->name) != 0)
            fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", sorted[i]->name, sorted[i]->help, sorted[i]->name,
                    type_names[sorted[i]->type]);
        render(out, sorted[i]);
    }
    fclose(out);
    free(sorted);
    *ret_len = len;
    return text;
}
