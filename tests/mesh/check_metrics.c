/* Tests of mesh/base/metrics.c. */
#include "mesh/base/metrics.h"
#include "tests/suite.h"

#include <pthread.h>
#include <string.h>

static char *text;
static const char *render(void)
{
    size_t len;
    free(text);
    text = metrics_render(&len);
    ck_assert_uint_eq(strlen(text), len);
    return text;
}
static void finish(void)
{
    free(text);
    text = NULL;
}

START_TEST(a_counter_appears_with_its_first_use)
{
    static struct metric orders = { .name = "orders_total", .help = "Orders placed.", .type = METRIC_COUNTER };
    ck_assert_str_eq(render(), "");
    metric_add(&orders, 2);
    metric_add(&orders, 3);
    ck_assert_str_eq(render(), "# HELP orders_total Orders placed.\n# TYPE orders_total counter\norders_total 5\n");
    finish();
}
END_TEST

START_TEST(samples_of_one_name_stand_together)
{
    struct metric *a = metric_make(METRIC_COUNTER, "calls_total", "Calls.", "method=\"Get\"");
    struct metric *other = metric_make(METRIC_GAUGE, "depth", "Depth.", NULL);
    char labels[] = "method=\"Put\"";
    struct metric *b = metric_make(METRIC_COUNTER, "calls_total", "Calls.", labels);
    labels[8] = 'C';
    metric_add(a, 1);
    metric_set(other, -4);
    metric_add(b, 2);
    ck_assert_ptr_eq(metric_make(METRIC_COUNTER, "calls_total", "Calls.", "method=\"Get\""), a);
    ck_assert_str_eq(render(), "# HELP calls_total Calls.\n# TYPE calls_total counter\n"
                               "calls_total{method=\"Get\"} 1\ncalls_total{method=\"Put\"} 2\n"
                               "# HELP depth Depth.\n# TYPE depth gauge\ndepth -4\n");
    finish();
}
END_TEST

START_TEST(a_histogram_counts_up_in_seconds)
{
    static struct metric h = { .name = "t_seconds", .help = "Time.", .labels = "lane=\"w\"", .type = METRIC_HISTOGRAM };
    metric_time(&h, 50);
    metric_time(&h, 51);
    metric_time(&h, 3600000000);
    const char *s = render();
    ck_assert_ptr_nonnull(strstr(s, "t_seconds_bucket{lane=\"w\",le=\"5e-05\"} 1\n"));
    ck_assert_ptr_nonnull(strstr(s, "t_seconds_bucket{lane=\"w\",le=\"0.0001\"} 2\n"));
    ck_assert_ptr_nonnull(strstr(s, "t_seconds_bucket{lane=\"w\",le=\"13.1072\"} 2\n"));
    ck_assert_ptr_nonnull(strstr(s, "t_seconds_bucket{lane=\"w\",le=\"+Inf\"} 3\n"));
    ck_assert_ptr_nonnull(strstr(s, "t_seconds_sum{lane=\"w\"} 3600.000101\n"));
    ck_assert_ptr_nonnull(strstr(s, "t_seconds_count{lane=\"w\"} 3\n"));
    finish();
}
END_TEST

static struct metric shared = { .name = "shared_total", .help = "Shared.", .type = METRIC_COUNTER };
static void *add_many(void *arg)
{
    for (int i = 0; i < 10000; i++)
        metric_add(&shared, 1);
    return NULL;
}

START_TEST(lanes_count_together_and_nothing_is_lost)
{
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, add_many, NULL), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    ck_assert_ptr_nonnull(strstr(render(), "\nshared_total 40000\n"));
    ck_assert_ptr_null(strstr(strstr(text, "TYPE shared_total") + 1, "TYPE shared_total"));
    finish();
}
END_TEST

SUITE("metrics", 10, a_counter_appears_with_its_first_use, samples_of_one_name_stand_together,
      a_histogram_counts_up_in_seconds, lanes_count_together_and_nothing_is_lost)
