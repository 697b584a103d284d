/* More calls than a process can do: what goes on, what is refused, and how much good comes of it. */
#include "gateway/edge.h"
#include "tests/gateway/stage.h"
#include "tests/suite.h"

#include <stdio.h>

#define GET   "/oms.order.v1.OrderService/GetOrder"
#define LIST  "/oms.order.v1.OrderService/ListOrders"
#define PLACE "/oms.order.v1.OrderService/PlaceOrder"

static struct stage stage;
static struct peer *clients[8];
static size_t n_asked;

static struct call *ask(const char *path, const char *extra)
{
    char all[2048];
    snprintf(all, sizeof(all), "%s%s", stage.bearer, extra);
    struct call *call = peer_call(clients[n_asked++ % 8], path, all);
    call_put_message(call, "x", 1);
    call_end(call);
    return call;
}

static void open_shed(void)
{
    stage_open(&stage, 0);
    for (size_t i = 0; i < 8; i++)
        clients[i] = stage_client(&stage);
}

static void expect_refused(const char *path, const char *reason)
{
    struct call *call = ask(path, "");
    stage_until(&stage, call->closed);
    ck_assert_int_eq(call_status(call), 14);
    ck_assert_str_eq(call_reason(call), reason);
    ck_assert_int_gt(call_retry_us(call), 0);
}

static void fill(const char *path, int n)
{
    int until = stage.order[0].n_requests + n;
    for (int i = 0; i < n; i++)
        ask(path, "");
    stage_until(&stage, stage.order[0].n_requests == until);
}

START_TEST(who_reads_many_is_refused_first_and_who_changes_something_last)
{
    open_shed();
    fill(LIST, 256);
    expect_refused(LIST, "OVERLOADED");
    fill(GET, 192);
    expect_refused(GET, "OVERLOADED");
    expect_refused(LIST, "OVERLOADED");
    fill(PLACE, 64);
    expect_refused(PLACE, "OVERLOADED");
    stage_close(&stage);
}
END_TEST

/* --- a process that does one call after the other, so many in a second --- */

#define PER_S 100

static struct call *queue[4096];
static size_t n_queued, n_served;

static void enqueue(struct call *call)
{
    if (!call->ended || call->replied)
        return;
    call->replied = true;
    queue[n_queued++] = call;
}

/* What nobody waits for any more is not begun; what is begun is done, even if nobody waits for it then. */
static void serve(void)
{
    static struct call *current;
    static int64_t done_us;
    int64_t now_us = wheel_now_us();
    if (current && now_us < done_us)
        return;
    if (current && !current->closed) {
        current->replied = false;
        call_reply(current, "x", 1);
    }
    while (n_served < n_queued && queue[n_served]->closed)
        n_served++;
    done_us = (current && now_us - done_us < 1000000 / PER_S ? done_us : now_us) + 1000000 / PER_S;
    current = n_served < n_queued ? queue[n_served++] : NULL;
}

/* How many of those that were asked for in a second, in the last seconds, were answered in time in a second. */
static int goodput(int per_s, int seconds)
{
    static struct call *calls[4096];
    size_t n = 0, first = 0;
    int64_t begun_us = wheel_now_us(), passed_us = 0;
    n_queued = n_served = 0;
    stage.order[0].more = enqueue;
    while ((passed_us = wheel_now_us() - begun_us) < seconds * INT64_C(1000000)) {
        for (; (int64_t)n < passed_us * per_s / 1000000; n++)
            calls[n] = ask(GET, "grpc-timeout: 300m\n");
        if (passed_us < 1000000)
            first = n;
        stage_turn(&stage, INT64_MAX);
        serve();
    }
    int good = 0;
    for (size_t i = first; i < n; i++)
        good += calls[i]->closed && call_status(calls[i]) == 0;
    return good / (seconds - 1);
}

START_TEST(of_five_times_too_much_a_good_part_comes_in_time)
{
    open_shed();
    int peak = goodput(PER_S * 9 / 10, 4), good = goodput(5 * PER_S, 4);
    ck_assert_int_ge(peak, PER_S * 7 / 10);
    ck_assert_msg(good >= peak * 4 / 10, "%d of %d", good, peak);
    stage_close(&stage);
}
END_TEST

SUITE("shed", 100, who_reads_many_is_refused_first_and_who_changes_something_last,
      of_five_times_too_much_a_good_part_comes_in_time)
