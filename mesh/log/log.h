/* The log: what has happened in this service, gapless, numbered, in the transaction that made it so.
 *
 * On SQLite the writer numbers events inside the transaction. Read over mesh.v1.LogService (tail.c, snapshot.c) by
 * consumers, which keep their cursor in the transaction of the effect (consumer.c). */
#pragma once

#include "mesh/store/store.h"
#include "mesh/v1/log.pb-c.h"

struct service;

#define INCARNATION_MAX 33
#define LOG_PAYLOAD_MAX (256 << 10) /* bytes of one event */

struct event {
    int32_t type;      /* oms.event.v1.EventType */
    const char *key;   /* what it is about */
    const char *owner; /* the customer whose it is, or "" */
    uint32_t audience; /* ROLE_BIT()s that may see the payload */
    const ProtobufCMessage *payload;
};
/* Inside a write unit. 0, -E2BIG (the payload) or a negative errno of the store. */
int log_append(struct txn *txn, const struct event *event);
/* The same for many, in multi-row statements. */
int log_append_many(struct txn *txn, const struct event *events, size_t n);

struct log_position {
    char incarnation[INCARNATION_MAX];
    uint64_t seq;
};

extern const struct migration log_migrations[];
/* At start: reads the head, or makes the log and its incarnation, and sets the store's log_seq. */
int log_open(struct store *store, struct log_position *ret_head);
/* The log becomes another one: the same entries in a new incarnation. For a store that was put back from a backup,
 * where numbers that others have seen are about to be given a second time. Before any lane runs. */
int log_renew(struct store *store, struct log_position *ret_head);
/* The position of this unit's commit: of a read unit's snapshot, or of the last event of a write unit. */
int log_position(struct txn *txn, struct log_position *ret_position);
/* The same as a message in the unit's arena. */
int log_position_message(struct txn *txn, Mesh__V1__Position **ret_position);
/* Deletes entries older than the age, at most n at once; the floor rises. Returns how many went, or a negative errno.
 */
int64_t log_prune(struct txn *txn, int64_t max_age_us, size_t n);
/* Head and floor, the last entry that is gone, of one snapshot: entries after the floor can be read. */
int log_range(struct txn *txn, struct log_position *ret_head, uint64_t *ret_floor);

struct log_entry {
    uint64_t seq;
    const char *key, *owner;
    uint32_t audience;
    int32_t type;
    int64_t time_us;
    const char *trace; /* a traceparent or "" */
    struct bytes payload;
    bool snapshot; /* from a bootstrap: the state as it is, not something that happened now */
};
/* The service's own entries after seq, at most max, in the unit's arena. Returns how many, or a negative errno. */
int log_read(struct txn *txn, uint64_t after, size_t max, struct log_entry **ret_entries);

/* --- what a consumer does with another service's events --- */

/* One row per event type of the source; ignored without apply, or without payload if the consumer applies all at once.
 * A type that stands in no row stops the consumer. */
struct consumed {
    int32_t type;
    const ProtobufCMessageDescriptor *payload;
    int (*apply)(struct txn *txn, const struct log_entry *entry, const void *payload);
};
struct consumer {
    const char *name;              /* unique in the service: "order-prices" */
    const char *source;            /* a process: "svc-inventory" */
    const struct consumed *events; /* ends with type 0 */
    /* Instead of the rows' apply: all entries of a unit that are not ignored, in their order, with their payloads. */
    int (*apply_all)(struct txn *txn, const struct log_entry *entries, const void *const *payloads, size_t n);
};

/* How far a consumer of this service has come in its source's log. 0; -ENOENT: it has not begun, or is at a snapshot.
 */
int consumer_position(struct txn *txn, const char *name, struct log_position *ret_position);

/* Up to where everything of the log of that incarnation has come here: it is this service's own, or the consumer that
 * has come least far. 0; -ENOENT: no such log is known here. */
int log_reached(struct txn *txn, const char *incarnation, uint64_t *ret_seq);

/* One kind of state that Snapshot tells as events, in the order of a text key. */
struct snapshot_kind {
    /* Up to max entries after the key: fills ret_events and ret_keys (arena), returns how many or a negative errno. */
    int (*page)(struct txn *txn, const char *after, size_t max, struct event *ret_events, const char **ret_keys);
};
