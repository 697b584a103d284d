/* One watch: what it is about, how far it has been told. Between hub.c (the tail), watch.c (its life) and
 * update.c (what it tells). Loop lane. */
#pragma once

#include "gateway/ask.h"
#include "gateway/hub.h"
#include "gateway/window.h"

#include "api.h"

#define HUB_BUCKETS 4096
#define HUB_PEER    "svc-order"

enum watch_state { WATCH_READING, WATCH_REPLAYING, WATCH_LIVE };

struct watch {
    struct hub *hub;
    struct exchange *x;
    struct watch *prev, *next; /* of the same bucket */
    struct ask *ask;           /* the read or the replay that is under way */
    enum watch_state state;
    bool added;   /* the hub knows it */
    bool resumes; /* the client has seen everything up to told */
    bool final;   /* the order was in its last state at read */
    uint8_t replays;
    uint32_t replayed;   /* entries */
    uint64_t told, read; /* positions: told up to, order read at */
    uint8_t *read_reply; /* until the read has ended */
    size_t read_len;
    char incarnation[36]; /* that the client resumes in */
    char order_id[];
};

struct hub {
    struct gateway *gateway;
    struct watch *buckets[HUB_BUCKETS];
    size_t n_watches, n_replays;
    size_t n_asks; /* under way, the tail included */
    struct window window;
    char incarnation[40]; /* "": nothing is known of the log yet */
    struct ask *tail;
    struct alarm retry;
    int64_t backoff_us;
    struct metric *watches, *told, *tails;
    bool leaving;
    void (*gone)(void *arg);
    void *gone_arg;
};

/* update.c; false: the watch has ended, and is freed */
bool watch_put(struct watch *watch, const Oms__Order__V1__OrderUpdate *update);
/* The next entry of its order: once, and no more of it than this caller may see. */
bool watch_tell(struct watch *watch, const struct window_entry *entry);
bool watch_ends_with(Oms__Order__V1__Order__State state);

/* watch.c */
void watch_finish(struct watch *watch);       /* its order's life has ended; it is freed */
void watch_resume_later(struct watch *watch); /* ends it with UNAVAILABLE, WATCH_RESUME; it is freed */

/* hub.c */
void hub_add(struct hub *hub, struct watch *watch);
void hub_remove(struct hub *hub, struct watch *watch);
/* An order was read at this position: the tail starts there, unless it runs already. Another incarnation than the one
 * that is known ends every watch that has been added. */
void hub_stands_at(struct hub *hub, const Mesh__V1__Position *position);
/* An ask of the hub's is over; it may be gone now. */
void hub_ask_over(struct hub *hub);
