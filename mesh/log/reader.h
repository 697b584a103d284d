/* What the files of a consumer share: one consumer at work. */
#pragma once

#include "mesh/base/metrics.h"
#include "mesh/log/consumer.h"
#include "mesh/rpc/rpc.h"
#include "mesh/run/lease.h"
#include "mesh/v1/log.pb-c.h"

#include <stdatomic.h>

#define PAGE_TOKEN_MAX 513

#define OF(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

enum reader_phase {
    READER_OFF,     /* the lease is not held */
    READER_LOADING, /* the cursor is being read, or set back for a bootstrap */
    READER_PAGING,  /* a page of the snapshot is fetched or applied */
    READER_TAILING, /* the stream is open; what it brings is applied */
    READER_ENDING,  /* call and unit come to their ends, then all begins again after the delay */
    READER_PAUSED,
    READER_STOPPED, /* by an event that this release does not know */
};

/* A message, on its way from the rpc lane to the loop lane. */
struct arrival {
    struct arrival *next;
    size_t len;
    uint8_t data[];
};

struct reader {
    struct consumers *all;
    struct port *port;
    struct store *store;
    const struct consumer *row;
    struct lease lease;
    enum reader_phase phase;
    char trouble[72]; /* why it waits or has stopped */
    struct timer timer;
    uint32_t attempts;
    int64_t delay_us;

    struct cursor {
        struct log_position at;
        bool booting;
        char page_token[PAGE_TOKEN_MAX]; /* of the page that is next */
    } cursor, stored;                    /* stored: the unit's, while it runs */
    uint64_t head;

    /* The call. done and message come on the rpc lane and hop to the loop lane. */
    struct outcall call;
    struct arena request_arena;
    bool calling, over;                 /* done is still to come · has come */
    _Atomic(struct arrival *) arrivals; /* the last first */
    atomic_size_t waiting;              /* bytes of what came and is not applied yet */
    uint8_t *incoming;                  /* messages one behind the other: read together, they are one message */
    size_t incoming_len;
    struct task came, ended;
    enum rpc_code code;
    char reason[64];

    /* What came, and the unit that applies it. */
    struct arena arena;
    Mesh__V1__TailResponse *tail;
    Mesh__V1__SnapshotResponse *page;
    size_t at, width, end; /* of the tail's entries: at … at + width in one unit, known until end */
    struct unit unit;
    struct lease_hold hold;
    bool applying, lost, stopped_by; /* the unit is away · the lease was another's · unknown_type */
    int32_t unknown_type;
    int result;
    struct task applied;
    void (*after)(struct reader *reader, int result);

    struct metric *lag, *applied_events, *stopped;
};

/* consumer.c */
void reader_restart(struct reader *reader, const char *trouble, bool at_once);
void reader_load(struct reader *reader);
void reader_begin(struct reader *reader); /* with the loaded cursor: the next page, or the tail */
void reader_go_on(struct reader *reader); /* with what came meanwhile, or with what the end means */
void reader_stop_at(struct reader *reader, int32_t type);

/* apply.c */
void apply_load(struct reader *reader);
void apply_bootstrap(struct reader *reader); /* from the first page on */
void apply_page(struct reader *reader);
void apply_tail(struct reader *reader);
