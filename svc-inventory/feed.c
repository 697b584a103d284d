/* A chain of turns, one at a time: ask Redis for the marks, read what is to be told, tell it with the next mark.
 *
 * Batch k is written together with mark k under one of two keys in turn. Before each batch, and at every beat, the last
 * two marks must be there. A Redis that lost anything in between has lost the older of them or has it no longer beside
 * the newer: then everything is told anew. With one mark, what was lost between asking and telling would be hidden by
 * the mark that is told. A mark's value is made of chance, as one that came back from long ago may have its number. */
#include "svc-inventory/feed.h"

#include "svc-inventory/availability.h"

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BEAT_US      1000000 /* how soon a lost cache is noticed, and a failed write tried again */
#define PAGE_MAX     500
#define ENTRIES_MAX  128
#define ARENA_BUDGET (ENTRIES_MAX * (LOG_PAYLOAD_MAX + 4096))
#define SKU_SIZE     65

/* No SKU is called so: it is not UTF-8. */
static const char *const mark_keys[2] = { "\xff"
                                          "0",
                                          "\xff"
                                          "1" };

struct feed {
    struct service *service;
    struct port *port;
    struct timer beat;
    struct arena arena; /* of one turn */
    struct unit unit;
    struct task task;
    struct cache_op op;
    char epoch[INCARNATION_MAX];
    bool busy, failed, off; /* failed: nothing until the next beat; off: there is no cache */
    int read_result;
    atomic_int held;         /* things that others have under way */
    void (*stopped)(void *); /* NULL: not to stop */
    void *stopped_arg;

    uint64_t batch; /* the last one told */
    uint64_t links; /* batches told since everything began to be told */
    uint64_t marks[2];
    int64_t mark_values[2], told_values[2]; /* in Redis; as they were told */

    bool everything;      /* is being told, else the log is followed */
    char after[SKU_SIZE]; /* of everything: what is told already */
    uint64_t told, head;  /* of the log */
    struct availability_page page;
    uint64_t page_told; /* of the log, once the page is told */
    bool page_last;     /* of everything */
};

#define FEED_OF(pointer, member) ((struct feed *)((char *)(pointer)-offsetof(struct feed, member)))

/* Nothing is under way any more. True: the feed is to stop. */
static bool rest(struct feed *feed)
{
    feed->busy = false;
    if (feed->stopped && feed->held == 0)
        feed->stopped(feed->stopped_arg);
    return feed->stopped;
}

static void begin_anew(struct feed *feed)
{
    feed->everything = true;
    feed->after[0] = '\0';
    feed->links = 0;
}

/* From the beginning, at the next beat. */
static void fail(struct feed *feed)
{
    begin_anew(feed);
    feed->failed = true;
}

/* --- reading --- */

static int read_everything(struct txn *txn, struct feed *feed)
{
    struct log_position at;
    int r = log_position(txn, &at);
    if (r < 0)
        return r;
    feed->page_told = feed->after[0] ? feed->told : at.seq;
    r = availability_after(txn, feed->after, PAGE_MAX, &feed->page);
    feed->page_last = feed->page.n < PAGE_MAX;
    return r;
}

static bool has_sku(const struct availability_page *page, const char *sku)
{
    for (size_t i = 0; i < page->n; i++) {
        if (strcmp(page->skus[i], sku) == 0)
            return true;
    }
    return false;
}

static int add_change(struct txn *txn, const struct log_entry *entry, struct availability_page *page)
{
    ProtobufCAllocator allocator = arena_protobuf(txn->arena);
    AvailabilityChanged *change =
        oms__event__v1__availability_changed__unpack(&allocator, entry->payload.len, entry->payload.data);
    if (!change)
        return -ENOMEM;
    page->skus[page->n] = entry->key;
    page->values[page->n] = change->available;
    page->versions[page->n++] = change->version;
    return 0;
}

/* Newest first, so that of each SKU only the newest is told. */
static int read_log(struct txn *txn, struct feed *feed)
{
    struct log_entry *entries;
    int n = log_read(txn, feed->told, ENTRIES_MAX, &entries);
    if (n < 0)
        return n;
    feed->page_told = n ? entries[n - 1].seq : feed->told;
    if (n && entries[0].seq != feed->told + 1)
        return -ESTALE;

    int r = availability_page_init(txn->arena, n, &feed->page);
    for (int i = n; r == 0 && i-- > 0;) {
        if (entries[i].type == OMS__EVENT__V1__EVENT_TYPE__AVAILABILITY_CHANGED &&
            !has_sku(&feed->page, entries[i].key))
            r = add_change(txn, &entries[i], &feed->page);
    }
    return r;
}

static int run_read(struct txn *txn, void *arg)
{
    struct feed *feed = arg;
    feed->page = (struct availability_page){ 0 };
    return feed->everything ? read_everything(txn, feed) : read_log(txn, feed);
}

static void tell(struct task *task);

static void read_done(struct unit *unit, int result)
{
    struct feed *feed = FEED_OF(unit, unit);
    feed->read_result = result;
    feed->task.run = tell;
    feed->port->post(feed->port, LANE_LOOP, &feed->task);
}

static void start_reading(struct feed *feed)
{
    feed->unit = (struct unit){ .run = run_read, .arg = feed, .arena = &feed->arena, .done = read_done };
    store_read(service_store(feed->service), &feed->unit);
}

/* --- telling --- */

static void turn(struct feed *feed);

static void page_told(struct feed *feed)
{
    bool grown = feed->page_told > feed->told;
    feed->told = feed->page_told;
    if (feed->everything && feed->page.n)
        snprintf(feed->after, sizeof(feed->after), "%s", feed->page.skus[feed->page.n - 1]);
    if (feed->everything && feed->page_last)
        feed->everything = false;
    if (feed->everything || (grown && feed->head > feed->told))
        turn(feed);
}

static void told(struct cache_op *op, int result)
{
    struct feed *feed = FEED_OF(op, op);
    if (rest(feed))
        return;
    if (result < 0) {
        fail(feed);
        return;
    }
    feed->batch++;
    feed->links++;
    feed->page.n--; /* the mark */
    page_told(feed);
}

static int add_mark(struct feed *feed)
{
    struct availability_page page;
    size_t n = feed->page.n;
    int r = availability_page_init(&feed->arena, n + 1, &page);
    if (r < 0)
        return r;
    for (; page.n < n; page.n++) {
        page.skus[page.n] = feed->page.skus[page.n];
        page.values[page.n] = feed->page.values[page.n];
        page.versions[page.n] = feed->page.versions[page.n];
    }
    size_t mark = (feed->batch + 1) % 2;
    feed->port->random(feed->port, &feed->told_values[mark], sizeof(feed->told_values[mark]));
    page.skus[page.n] = mark_keys[mark];
    page.values[page.n] = feed->told_values[mark];
    page.versions[page.n++] = feed->batch + 1;
    feed->page = page;
    return 0;
}

static void tell(struct task *task)
{
    struct feed *feed = FEED_OF(task, task);
    bool failed = feed->read_result < 0 || (feed->page.n && add_mark(feed) < 0);
    if (failed || feed->stopped || feed->page.n == 0) {
        if (rest(feed))
            return;
        if (failed)
            fail(feed);
        else
            page_told(feed);
        return;
    }
    feed->op = (struct cache_op){
        .op = CACHE_SET_IF_NEWER,
        .n = feed->page.n,
        .keys = feed->page.skus,
        .epoch = feed->epoch,
        .versions = feed->page.versions,
        .values = feed->page.values,
        .timeout_us = CACHE_TIMEOUT_US,
        .done = told,
    };
    feed->port->cache(feed->port, &feed->op);
}

/* --- the marks --- */

static bool is_there(const struct feed *feed, uint64_t batch)
{
    return feed->marks[batch % 2] == batch && feed->mark_values[batch % 2] == feed->told_values[batch % 2];
}

static bool is_whole(const struct feed *feed)
{
    return (feed->links < 1 || is_there(feed, feed->batch)) && (feed->links < 2 || is_there(feed, feed->batch - 1));
}

static void marks_answered(struct cache_op *op, int result)
{
    struct feed *feed = FEED_OF(op, op);
    feed->off = result == -ENOSYS;
    if (result < 0 || feed->stopped) {
        if (!rest(feed))
            fail(feed);
        return;
    }
    if (!is_whole(feed))
        begin_anew(feed);
    if (feed->links == 0)
        feed->batch = feed->marks[0] > feed->marks[1] ? feed->marks[0] : feed->marks[1];
    if (feed->everything || feed->head > feed->told)
        start_reading(feed);
    else
        rest(feed);
}

static void turn(struct feed *feed)
{
    feed->busy = true;
    feed->failed = false;
    arena_finish(&feed->arena);
    arena_init(&feed->arena, ARENA_BUDGET);
    feed->op = (struct cache_op){
        .op = CACHE_GET,
        .n = 2,
        .keys = mark_keys,
        .epoch = feed->epoch,
        .versions = feed->marks,
        .values = feed->mark_values,
        .timeout_us = CACHE_TIMEOUT_US,
        .done = marks_answered,
    };
    feed->port->cache(feed->port, &feed->op);
}

static void beat(struct timer *timer)
{
    struct feed *feed = FEED_OF(timer, beat);
    if (feed->off)
        return;
    feed->port->timer_start(feed->port, timer, BEAT_US);
    if (!feed->busy)
        turn(feed);
}

int feed_create(struct service *service, const char *epoch, struct feed **ret_feed)
{
    struct feed *feed = calloc(1, sizeof(*feed));
    if (!feed)
        return -ENOMEM;
    feed->service = service;
    feed->port = service_port(service);
    feed->beat.fire = beat;
    snprintf(feed->epoch, sizeof(feed->epoch), "%s", epoch);
    fail(feed);
    feed->port->timer_start(feed->port, &feed->beat, 0);
    *ret_feed = feed;
    return 0;
}

const char *feed_epoch(const struct feed *feed)
{
    return feed->epoch;
}

void feed_log_grown(struct feed *feed, uint64_t seq)
{
    feed->head = seq;
    if (!feed->busy && !feed->failed && !feed->stopped)
        turn(feed);
}

bool feed_has_told(const struct feed *feed, uint64_t seq)
{
    return !feed->everything && feed->told >= seq;
}

void feed_stop(struct feed *feed, void (*stopped)(void *), void *arg)
{
    feed->stopped = stopped;
    feed->stopped_arg = arg;
    feed->port->timer_stop(feed->port, &feed->beat);
    if (!feed->busy)
        rest(feed);
}

void feed_destroy(struct feed *feed)
{
    if (!feed)
        return;
    arena_finish(&feed->arena);
    free(feed);
}

void feed_hold(struct feed *feed)
{
    atomic_fetch_add(&feed->held, 1);
}

void feed_release(struct feed *feed)
{
    if (atomic_fetch_sub(&feed->held, 1) == 1 && feed->stopped && !feed->busy)
        rest(feed);
}
