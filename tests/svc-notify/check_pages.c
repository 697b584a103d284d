/* How many statements a page of events costs: as many for sixty as for one, but for the chunks of 64 rows.
 *
 * The linker leads the calls of the store's functions through the counters here (--wrap). */
#include "tests/suite.h"
#include "tests/svc-notify/stage.h"

#include <string.h>

static struct stage s;
static int counted;

int __real_txn_post_values(struct txn *, const char *, const struct value *, size_t);
int64_t __real_txn_exec_values(struct txn *, const char *, const struct value *, size_t);
int __real_txn_query_values(struct txn *, struct rows *, const char *, const struct value *, size_t);
int __real_txn_post_many_values(struct txn *, const char *, size_t, size_t, const struct value *);
int __real_txn_query_many_values(struct txn *, struct rows *, const char *, size_t, size_t, const struct value *);
int __wrap_txn_post_values(struct txn *, const char *, const struct value *, size_t);
int64_t __wrap_txn_exec_values(struct txn *, const char *, const struct value *, size_t);
int __wrap_txn_query_values(struct txn *, struct rows *, const char *, const struct value *, size_t);
int __wrap_txn_post_many_values(struct txn *, const char *, size_t, size_t, const struct value *);
int __wrap_txn_query_many_values(struct txn *, struct rows *, const char *, size_t, size_t, const struct value *);

/* What the runtime does now and then by itself is not the page's; nobody answers, so that no outcome is either. */
static void count(const char *sql)
{
    static const char *const ours[] = { "INSERT INTO message", "INSERT INTO contact", "INSERT INTO outbox",
                                        "contact c",           "alert_case",          "UPDATE message" };
    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
        if (strstr(sql, ours[i])) {
            counted++;
            return;
        }
}

int __wrap_txn_post_values(struct txn *txn, const char *sql, const struct value *values, size_t n)
{
    count(sql);
    return __real_txn_post_values(txn, sql, values, n);
}

int64_t __wrap_txn_exec_values(struct txn *txn, const char *sql, const struct value *values, size_t n)
{
    count(sql);
    return __real_txn_exec_values(txn, sql, values, n);
}

int __wrap_txn_query_values(struct txn *txn, struct rows *rows, const char *sql, const struct value *values, size_t n)
{
    count(sql);
    return __real_txn_query_values(txn, rows, sql, values, n);
}

int __wrap_txn_post_many_values(struct txn *txn, const char *sql, size_t n, size_t columns, const struct value *values)
{
    count(sql);
    return __real_txn_post_many_values(txn, sql, n, columns, values);
}

int __wrap_txn_query_many_values(struct txn *txn, struct rows *rows, const char *sql, size_t n, size_t columns,
                                 const struct value *values)
{
    count(sql);
    return __real_txn_query_many_values(txn, rows, sql, n, columns, values);
}

/* So many parcels of as many orders are late; svc-notify hears of them in one page. Nobody knows the addresses yet. */
static int cost(const char *series, int n)
{
    world_partition(s.world, s.notify, s.shipping, 10 * SECOND_US);
    for (int i = 0; i < n; i++)
        parcel_event(&s, OMS__EVENT__V1__EVENT_TYPE__FULFILLMENT_DELAYED, arena_printf(&s.arena, "ord_%s%d", series, i),
                     arena_printf(&s.arena, "ful_%s%d", series, i));
    int64_t before = NUMBER(&s, "SELECT COUNT(*) FROM message");
    counted = 0;
    AWAIT(&s, "SELECT COUNT(*) FROM message", before + n);
    return counted;
}

START_TEST(a_long_page_takes_as_many_statements_as_a_short_one)
{
    stage_open(&s, 1);
    world_partition(s.world, s.notify, s.order, HOUR_US);
    int one = cost("a", 1), sixty = cost("b", 60);
    ck_assert_int_eq(sixty, one);
    ck_assert_int_le(one, 2 * 4); /* each unit is run twice */
    ck_assert_int_eq(NUMBER(&s, "SELECT COUNT(*) FROM alert_case"), 61);
    ck_assert_int_eq(NUMBER(&s, "SELECT COUNT(*) FROM outbox"), 2); /* svc-order is asked once for each page */
    stage_close(&s);
}
END_TEST

SUITE("pages", 60, a_long_page_takes_as_many_statements_as_a_short_one)
