/* What the files of the relay share: parcels (letters in memory), destinations, batches. All on the loop lane, but for
 * a batch's callbacks while it is away. */
#pragma once

#include "mesh/base/metrics.h"
#include "mesh/outbox/circuit.h"
#include "mesh/outbox/queue.h"
#include "mesh/outbox/relay.h"
#include "mesh/port.h"
#include "mesh/run/lease.h"

#include <stdatomic.h>

#define BATCH_MAX        64        /* commands in one call or one unit */
#define BATCH_BYTES_MAX  (1 << 20) /* their requests */
#define BATCHES_MAX      4         /* in flight per destination */
#define FETCHES_MAX      256       /* the same of somebody outside, each with one command */
#define READY_LOW        BATCH_MAX /* parcels: more are claimed below that */
#define CLAIM_MAX        128       /* rows of one destination at once */
#define DESTINATIONS_MAX 64
#define PARCEL_BUCKETS   256
#define STORE_PAUSE_US   1000000 /* after the store refused */
#define SWEEP_US         100000  /* between pages that are read only to find what is too old */

#define OF(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

/* A letter that was claimed: waiting to be sent, on its way, or gone from the table. */
struct parcel {
    struct letter letter; /* strings in data */
    struct parcel *next;  /* of the ready, or of the gone */
    struct parcel *in_bucket;
    const struct deliverer *deliverer; /* or */
    const struct timer_row *timer;
    bool alone; /* it is for somebody outside; or its batch was refused, and it may be the reason */
    bool gone;  /* kept only so that a claim that began earlier does not bring it back */
    char data[];
};

struct destination {
    struct relay *relay;
    char *name; /* "": timers */
    struct circuit circuit;
    struct parcel *buckets[PARCEL_BUCKETS]; /* by key: at most one that is not gone, but for timers */
    struct parcel *ready, **ready_end;
    size_t n_ready, n_unknown;
    unsigned in_flight;
    bool dirty;                /* a scan may have passed over rows: the next one begins at the start */
    bool news;                 /* rows may have come, or come due, behind what scans have seen */
    bool held_back;            /* a scan has passed over a row, as another of its queue was here */
    bool dropped;              /* rows that a scan had seen were forgotten, as the circuit is open */
    bool missed;               /* it was said that nobody knows where it is */
    int64_t sweep_us;          /* monotonic: the next page while the circuit is open */
    bool scanning;             /* a scan is under way; it goes on after place */
    bool whole;                /* it began at the start */
    struct letter_place place; /* its key is owned */
    int64_t horizon_us;        /* of the scan: the last commit that it was sure to see */
    int64_t seen_us;           /* wall clock: what is due by then has been seen, unless dirty */
    int64_t next_due_us;       /* wall clock: when a row not yet due will be; INT64_MAX: none */
    struct metric *read, *delivered, *failed, *open, *unknown;
};

enum verdict { VERDICT_OUTCOME, VERDICT_RETRY, VERDICT_SKIP, VERDICT_PARK };

struct result {
    enum verdict verdict;
    enum rpc_code code;
    const char *reason, *message;
    struct bytes reply;
    bool gave_up;
    int64_t retry_us; /* wall clock */
};

struct batch {
    struct relay *relay;
    struct destination *to;
    struct batch *next, **back;
    size_t n;
    struct parcel *parcels[BATCH_MAX];
    struct result results[BATCH_MAX];
    struct arena arena; /* request, reply and results */
    /* To a process of the mesh: */
    struct outcall call;
    struct bytes reply; /* of the call */
    struct rpc_status status;
    /* To somebody outside: */
    struct fetch fetch;
    const void *request; /* unpacked */
    int64_t asked_us;    /* monotonic */
    /* To both: */
    struct task task; /* hops to the loop lane */
    struct timer again;
    /* asking what to fetch; settling: parcels at … at + width in one unit */
    size_t at, width;
    struct lease_hold hold;
    struct unit unit;
    struct arena unit_arena;
    int unit_result;
    bool lost, paused; /* the lease · waiting for the store */
};

struct claim_ask {
    const char *name;
    bool page;
    struct letter_place place;
};
struct claim_answer {
    const char *name;
    struct letter *letters;
    int n; /* -1: no page was asked for */
    int64_t next_due_us;
};

struct relay {
    struct port *port;
    struct store *store;
    const struct deliverer *deliverers;
    const struct timer_row *timers;
    struct lease lease;
    struct destination *destinations[DESTINATIONS_MAX];
    size_t n_destinations;
    struct batch *batches;
    struct timer wake;
    struct task nudge;
    atomic_bool nudged, set_back; /* set back: a commit was not later than the one before */
    _Atomic int64_t committed_us; /* when the last commit was that touched the outbox; by the clock of its units */
    int64_t clock_gap_us;         /* wall minus monotonic, as it was last */

    struct {
        struct unit unit;
        struct arena arena;
        struct task task;
        struct claim_ask asks[DESTINATIONS_MAX];
        struct claim_answer answers[DESTINATIONS_MAX];
        size_t n_asks, n_answers;
        bool running, wanted;
        int64_t after_us; /* monotonic: not before, as the store had trouble */
        bool recall;      /* bring back what waits for a time that a clock invented */
        struct lease_hold hold;
        int result;
        int64_t now_us;      /* of its snapshot */
        struct parcel *gone; /* settled while it ran */
    } claim;

    bool stopping;
    void (*on_stopped)(void *);
    void *on_stopped_arg;
};

/* relay.c: something has changed; sends, claims and sets the timer. */
void relay_turn(struct relay *relay);
uint32_t relay_chance(struct relay *relay);

/* claim.c */
void claim_start(struct relay *relay);            /* if anything is wanted and none is running */
bool claim_pending(const struct destination *to); /* it may have rows that are to be claimed */
void claim_news(struct relay *relay);             /* makes wanted what has come since */
void claim_everything(struct relay *relay);       /* and what may have been passed over */
void parcel_gone(struct destination *to, struct parcel *parcel);
void parcels_drop_ready(struct destination *to);
void parcel_put_back(struct destination *to, struct parcel *parcel);
void destination_free(struct destination *to);

/* deliver.c */
/* There is room for one batch more, if the next parcel goes first in it. */
bool batch_fits(const struct destination *to, const struct parcel *next);
bool batch_send(struct destination *to, size_t n); /* at most n of the ready; false: no memory */
/* While the circuit is open: what is too old to wait for it is given up, of the rest one stays for the probe. */
void batch_expire(struct destination *to);
void batch_free(struct batch *batch);
void batch_tell_circuit(struct batch *batch, bool well);

/* outside.c */
void batch_fetch(struct batch *batch); /* one parcel for somebody outside; ends in batch_settle */

/* settle.c */
void batch_settle(struct batch *batch); /* codes and replies are in the results; ends in batch_free */
void batch_stop(struct batch *batch);   /* does not wait for a store in trouble any more */
bool parcel_too_old(const struct parcel *parcel, int64_t wall_us);
