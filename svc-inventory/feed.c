/* One thing is under way at a time: reading (reader lane), then telling Redis, or asking it for the mark. */
#include "svc-inventory/feed.h"

#include "svc-inventory/availability.h"

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BEAT_US       1000000 /* how soon a lost cache is noticed, and a failed write tried again */
#define PAGE_MAX      500
#define ENTRIES_MAX   128
#define ARENA_BUDGET  (ENTRIES_MAX * (LOG_PAYLOAD_MAX + 4096))
#define REPAIR_BUDGET (1 << 20)
#define SKU_SIZE      65

static const char *const mark_key = ""; /* no SKU is empty */

struct feed {
    struct service *service;
    struct port *port;
    struct timer beat;
    struct arena arena;
    struct unit unit;
    struct task task;
    struct cache_op op;
    char epoch[INCARNATION_MAX];
    bool busy, off;
    atomic_int repairs;      /* under way */
    void (*stopped)(void *); /* NULL: not to stop */
    void *stopped_arg;
    int read_result;

    bool everything;      /* being told, else the log is followed */
    char after[SKU_SIZE]; /* of everything: what is told already */
    uint64_t told, head;  /* of the log */
    uint64_t mark;        /* in Redis, if it is as it was */
    struct availability_page page;
    uint64_t page_mark; /* what Redis is told with the page; 0: the page is not the last one */
    uint64_t answered_mark;
    int64_t answered_value;
};

#define FEED_OF(pointer, member) ((struct feed *)((char *)(pointer)-offsetof(struct feed, member)))

/* Nothing is under way any more: the next thing may begin, unless the feed is to stop. */
static bool rest(struct feed *feed)
{
    feed->busy = false;
    if (feed->stopped && feed->repairs == 0)
        feed->stopped(feed->stopped_arg);
    return feed->stopped;
}

static int read_everything(struct txn *txn, struct feed *feed)
{
    if (feed->after[0] == '\0') {
        struct log_position at;
        int r = log_position(txn, &at);
        if (r < 0)
            return r;
        feed->told = at.seq;
    }
    int r = availability_after(txn, feed->after, PAGE_MAX, &feed->page);
    feed->page_mark = feed->page.n < PAGE_MAX ? feed->told + 1 : 0;
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

/* Newest first, so that of each SKU only the newest is told. */
static int read_log(struct txn *txn, struct feed *feed)
{
    struct log_entry *entries;
    int n = log_read(txn, feed->told, ENTRIES_MAX, &entries);
    if (n <= 0)
        return n;
    if (entries[0].seq != feed->told + 1)
        return -ESTALE;
    int r = availability_page_init(txn->arena, n, &feed->page);
    if (r < 0)
        return r;

    for (int i = n; i-- > 0;) {
        if (entries[i].type != OMS__EVENT__V1__EVENT_TYPE__AVAILABILITY_CHANGED || has_sku(&feed->page, entries[i].key))
            continue;
        ProtobufCAllocator allocator = arena_protobuf(txn->arena);
        AvailabilityChanged *change =
            oms__event__v1__availability_changed__unpack(&allocator, entries[i].payload.len, entries[i].payload.data);
        if (!change)
            return -ENOMEM;
        feed->page.skus[feed->page.n] = entries[i].key;
        feed->page.values[feed->page.n] = change->available;
        feed->page.versions[feed->page.n++] = change->version;
    }
    feed->page_mark = entries[n - 1].seq + 1;
    return 0;
}

static int run_read(struct txn *txn, void *arg)
{
    struct feed *feed = arg;
    feed->page = (struct availability_page){ 0 };
    feed->page_mark = 0;
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
    feed->busy = true;
    arena_finish(&feed->arena);
    arena_init(&feed->arena, ARENA_BUDGET);
    feed->unit = (struct unit){ .run = run_read, .arg = feed, .arena = &feed->arena, .done = read_done };
    store_read(service_store(feed->service), &feed->unit);
}

/* From the beginning, at the next beat. */
static void begin_anew(struct feed *feed)
{
    feed->everything = true;
    feed->after[0] = '\0';
}

static void go_on(struct feed *feed)
{
    if (feed->everything || feed->head > feed->told)
        start_reading(feed);
}

static void page_told(struct feed *feed)
{
    if (feed->page_mark) {
        feed->mark = feed->page_mark;
        feed->told = feed->page_mark - 1;
        feed->everything = false;
    } else if (feed->page.n) {
        snprintf(feed->after, sizeof(feed->after), "%s", feed->page.skus[feed->page.n - 1]);
    } else {
        feed->head = feed->told;
    }
    go_on(feed);
}

static void telling_done(struct cache_op *op, int result)
{
    struct feed *feed = FEED_OF(op, op);
    if (rest(feed))
        return;
    if (result == 0) {
        page_told(feed);
        return;
    }
    feed->off = result == -ENOSYS;
    begin_anew(feed);
}

/* The mark goes with the page in one script: either both are in Redis or neither. */
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
    page.skus[page.n] = mark_key;
    page.versions[page.n++] = feed->page_mark;
    feed->page = page;
    return 0;
}

static void tell(struct task *task)
{
    struct feed *feed = FEED_OF(task, task);
    bool failed = feed->read_result < 0 || (feed->page_mark && add_mark(feed) < 0);
    if (failed || feed->stopped || feed->page.n == 0) {
        if (rest(feed))
            return;
        if (failed)
            begin_anew(feed);
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
        .done = telling_done,
    };
    feed->port->cache(feed->port, &feed->op);
}

static void mark_answered(struct cache_op *op, int result)
{
    struct feed *feed = FEED_OF(op, op);
    if (rest(feed))
        return;
    if (result < 0 || feed->answered_mark != feed->mark)
        begin_anew(feed);
    if (result == 0)
        go_on(feed);
}

static void ask_mark(struct feed *feed)
{
    feed->busy = true;
    feed->answered_mark = 0;
    feed->op = (struct cache_op){
        .op = CACHE_GET,
        .n = 1,
        .keys = &mark_key,
        .epoch = feed->epoch,
        .versions = &feed->answered_mark,
        .values = &feed->answered_value,
        .timeout_us = CACHE_TIMEOUT_US,
        .done = mark_answered,
    };
    feed->port->cache(feed->port, &feed->op);
}

static void beat(struct timer *timer)
{
    struct feed *feed = FEED_OF(timer, beat);
    if (feed->off)
        return;
    feed->port->timer_start(feed->port, timer, BEAT_US);
    if (feed->busy)
        return;
    if (feed->everything)
        start_reading(feed);
    else
        ask_mark(feed);
}

int feed_create(struct service *service, const char *epoch, struct feed **ret_feed)
{
    struct feed *feed = calloc(1, sizeof(*feed));
    if (!feed)
        return -ENOMEM;
    feed->service = service;
    feed->port = service_port(service);
    feed->everything = true;
    feed->beat.fire = beat;
    snprintf(feed->epoch, sizeof(feed->epoch), "%s", epoch);
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
    if (!feed->busy && !feed->everything && !feed->stopped)
        go_on(feed);
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

/* --- repairs --- */

struct repair {
    struct cache_op op;
    struct feed *feed;
    struct arena arena;
};

static void free_repair(struct repair *repair)
{
    arena_finish(&repair->arena);
    free(repair);
}

static void repaired(struct cache_op *op, int result)
{
    struct repair *repair = (struct repair *)((char *)op - offsetof(struct repair, op));
    struct feed *feed = repair->feed;
    free_repair(repair);
    if (atomic_fetch_sub(&feed->repairs, 1) == 1 && feed->stopped && !feed->busy)
        rest(feed);
}

static int fill_repair(struct repair *repair, const struct availability_page *missed)
{
    struct availability_page page;
    int r = availability_page_init(&repair->arena, missed->n, &page);
    if (r < 0)
        return r;
    for (size_t i = 0; i < missed->n; i++) {
        if (missed->versions[i] == 0)
            continue;
        page.skus[page.n] = arena_copy(&repair->arena, missed->skus[i], strlen(missed->skus[i]));
        page.values[page.n] = missed->values[i];
        page.versions[page.n] = missed->versions[i];
        if (!page.skus[page.n++])
            return -ENOMEM;
    }
    repair->op = (struct cache_op){
        .op = CACHE_SET_IF_NEWER,
        .n = page.n,
        .keys = page.skus,
        .epoch = repair->feed->epoch,
        .versions = page.versions,
        .values = page.values,
        .timeout_us = CACHE_TIMEOUT_US,
        .done = repaired,
    };
    return 0;
}

void feed_repair(struct feed *feed, const struct availability_page *page)
{
    struct repair *repair = malloc(sizeof(*repair));
    if (!repair)
        return;
    repair->feed = feed;
    arena_init(&repair->arena, REPAIR_BUDGET);
    if (fill_repair(repair, page) < 0 || repair->op.n == 0) {
        free_repair(repair);
        return;
    }
    atomic_fetch_add(&feed->repairs, 1);
    feed->port->cache(feed->port, &repair->op);
}
