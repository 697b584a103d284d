/* Following what has left: the carrier's events, asked for again and again, and the promise that runs out.
 *
 * Asking is a chain, each link made in the transaction that ends the one before: timer, command, outcome, timer. The
 * cursor's row says which chain counts: its round. A new chain begins, with a new round, when something is handed over
 * while the last one rests; what is still under way of an older round ends when it finds that it does not count any
 * more. So there is one chain, whoever dies between two links; and none before the first parcel has left. */
#include "svc-shipping/manifest.h"

#include "mesh/base/metrics.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TIMER_POLL    "poll"
#define TIMER_PROMISE "promise"
#define REST_US       5000000       /* between two askings while nothing is on its way */
#define PATIENCE_US   86400000000ll /* behind the promise */

static struct metric unknown_events = {
    .name = "shipping_carrier_events_unknown_total",
    .help = "Events of the carrier about what is not ours, or of types that we do not know.",
    .type = METRIC_COUNTER,
};

/* --- the chain --- */

static int ask_later(struct txn *txn, const char *carrier, int64_t round, int64_t wait_us)
{
    const char *key = arena_printf(txn->arena, "%s/%lld", carrier, (long long)round);
    return key ? outbox_timer(txn, TIMER_POLL, key, txn->now_us + wait_us) : -ENOMEM;
}

int tracking_wake(struct txn *txn, const char *carrier)
{
    struct rows rows;
    int r = txn_query(txn, &rows,
                      "UPDATE carrier_cursor SET round = round + 1, resting = 0 WHERE carrier = $1 AND resting = 1 "
                      "RETURNING round",
                      T(carrier));
    if (r < 0 || rows.n == 0)
        return r;
    return ask_later(txn, carrier, row_int(&rows, 0, 0), shipping_carrier_poll_us());
}

static int poll_fired(struct txn *txn, const char *key, int64_t due_us)
{
    const char *slash = strrchr(key, '/');
    const char *carrier = slash ? arena_copy(txn->arena, key, (size_t)(slash - key)) : NULL;
    if (!carrier)
        return slash ? -ENOMEM : 0;
    int64_t round = strtoll(slash + 1, NULL, 10);
    struct rows rows;
    int r =
        txn_query(txn, &rows, "SELECT seq FROM carrier_cursor WHERE carrier = $1 AND round = $2", T(carrier), I(round));
    if (r < 0 || rows.n == 0)
        return r;
    return carrier_ask_events(txn, carrier, (uint64_t)row_int(&rows, 0, 0), round);
}

/* A full page is followed by another one at once. */
static int ask_on(struct txn *txn, const CarrierEventsRequest *req, bool full)
{
    struct rows rows;
    int r = txn_query(txn, &rows,
                      "UPDATE carrier_cursor SET resting = CASE WHEN EXISTS (SELECT 1 FROM fulfillment "
                      "WHERE carrier = $1 AND standing BETWEEN 4 AND 6) THEN 0 ELSE 1 END "
                      "WHERE carrier = $1 AND round = $2 RETURNING seq, resting",
                      T(req->carrier), I(req->round));
    if (r < 0 || rows.n == 0)
        return r;
    if (full)
        return carrier_ask_events(txn, req->carrier, (uint64_t)row_int(&rows, 0, 0), req->round);
    return ask_later(txn, req->carrier, req->round, row_int(&rows, 0, 1) ? REST_US : shipping_carrier_poll_us());
}

/* --- what has come --- */

static const enum fulfillment_outcome outcomes[] = {
    [OMS__SHIPPING__V1__TRACKING_EVENT__TYPE__IN_TRANSIT] = MOVED,
    [OMS__SHIPPING__V1__TRACKING_EVENT__TYPE__DELAYED] = HELD_UP,
    [OMS__SHIPPING__V1__TRACKING_EVENT__TYPE__DELIVERED] = ARRIVED,
    [OMS__SHIPPING__V1__TRACKING_EVENT__TYPE__LOST] = WENT_MISSING,
    [OMS__SHIPPING__V1__TRACKING_EVENT__TYPE__RETURNED] = CAME_BACK,
};

static bool is_known(const CarrierEvent *event)
{
    return event->type >= OMS__SHIPPING__V1__TRACKING_EVENT__TYPE__IN_TRANSIT &&
           event->type <= OMS__SHIPPING__V1__TRACKING_EVENT__TYPE__RETURNED;
}

/* Being late is told again only with another promise. */
static bool is_repeated(const struct entry *entry, const CarrierEvent *event)
{
    return outcomes[event->type] == HELD_UP && entry->standing == LATE &&
           (event->promise_time_us == 0 || event->promise_time_us == entry->told->promise_time_us);
}

static int apply(struct manifest *manifest, struct entry *entry, const CarrierEvent *event)
{
    enum fulfillment_outcome outcome = outcomes[event->type];
    if (is_repeated(entry, event))
        return 0;
    return manifest_move(manifest, entry, fulfillment_happened(entry->standing, outcome),
                         &(struct news){ .time_us = event->time_us,
                                         .promise_time_us = outcome == HELD_UP ? event->promise_time_us : 0 });
}

/* Set to what the row says, as a unit may be run twice. */
static int count_unknown(struct txn *txn, const char *carrier, int64_t n)
{
    struct rows rows;
    int r = n ? txn_query(txn, &rows,
                          "UPDATE carrier_cursor SET unknown = unknown + $2 WHERE carrier = $1 RETURNING unknown",
                          T(carrier), I(n))
              : 0;
    if (r == 0 && n)
        metric_set(&unknown_events, row_int(&rows, 0, 0));
    return r;
}

static int apply_page(struct txn *txn, const char *carrier, CarrierEvent *const *events, size_t n)
{
    struct manifest manifest;
    int64_t unknown = 0;
    const char **ids = arena_alloc(txn->arena, n * sizeof(*ids));
    if (!ids)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        ids[i] = events[i]->fulfillment_id;
    int r = manifest_open(txn, ids, n, n, &manifest);
    for (size_t i = 0; r == 0 && i < n; i++) {
        struct entry *entry = manifest_find(&manifest, ids[i]);
        if (entry && is_known(events[i]))
            r = apply(&manifest, entry, events[i]);
        else
            unknown++;
    }
    if (r == 0)
        r = manifest_close(&manifest);
    return r < 0 ? r : count_unknown(txn, carrier, unknown);
}

/* The cursor moves in the transaction of the effect, and only from where the page began. */
static int take_page(struct txn *txn, const CarrierEventsRequest *req, const CarrierEvents *page)
{
    if (page->n_events == 0)
        return 0;
    int64_t moved = txn_exec(txn, "UPDATE carrier_cursor SET seq = $3 WHERE carrier = $1 AND seq = $2", T(req->carrier),
                             I(req->after), I(page->events[page->n_events - 1]->seq));
    if (moved <= 0)
        return (int)moved;
    return apply_page(txn, req->carrier, page->events, page->n_events);
}

int tracking_events_came(struct txn *txn, const struct outcome *outcome)
{
    const CarrierEventsRequest *req = outcome->request;
    const CarrierEvents *page = outcome->reply;
    bool told = outcome->code == RPC_OK;
    int r = told ? take_page(txn, req, page) : 0;
    return r < 0 ? r : ask_on(txn, req, told && page->n_events == CARRIER_PAGE);
}

/* --- the promise --- */

int tracking_await(struct txn *txn, const Fulfillment *f)
{
    return outbox_timer(txn, TIMER_PROMISE, f->fulfillment_id, f->promise_time_us + PATIENCE_US);
}

static int promise_ran_out(struct txn *txn, const char *key, int64_t due_us)
{
    static const struct news nothing_new = { 0 };
    return manifest_happened(txn, key, OVERDUE, &nothing_new);
}

const struct timer_row shipping_timers[] = {
    { TIMER_POLL, poll_fired },
    { TIMER_PROMISE, promise_ran_out },
    {},
};
