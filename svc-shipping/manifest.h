/* The manifest: the fulfilments that one transaction is about, read once, moved through the table in memory, and
 * written back in multi-row statements together with their tracking and their events.
 *
 * Everything lives in the transaction's arena. Functions return 0 or a negative errno of the store. */
#pragma once

#include "svc-shipping/shipping.h"

struct entry {
    enum standing standing;
    int64_t weight_grams;
    Fulfillment *told; /* as it is now, without tracking */
    uint64_t version_before;
};

struct manifest {
    struct txn *txn;
    struct entry *entries; /* sorted by fulfillment_id */
    size_t n;
    struct event *events;
    struct value *tracking;
    size_t n_events, max_events, n_tracking;
};

/* Those of the ids that there are; the ids in any order, also repeatedly. At most max_steps will be taken. */
int manifest_open(struct txn *txn, const char *const *ids, size_t n, size_t max_steps, struct manifest *ret_manifest);
/* NULL: there is none. */
struct entry *manifest_find(const struct manifest *manifest, const char *fulfillment_id);

/* What is known besides the step itself; zeroed: nothing. */
struct news {
    int64_t time_us; /* when it happened; 0: now */
    int64_t promise_time_us;
    const char *tracking_number, *refused;
};
/* Moves it on, and sees to what follows. A step that changes nothing is let be. */
int manifest_move(struct manifest *manifest, struct entry *entry, const struct fulfillment_step *step,
                  const struct news *news);
/* -EAGAIN: another transaction was there first. */
int manifest_close(struct manifest *manifest);

/* One outcome of one fulfilment, from open to close; one that is not there is let be. */
int manifest_happened(struct txn *txn, const char *fulfillment_id, enum fulfillment_outcome outcome,
                      const struct news *news);

/* The event that tells of a fulfilment as it is now; type is one of FULFILLMENT_…. */
int manifest_event(struct txn *txn, int32_t type, const Fulfillment *fulfillment, struct event *ret_event);
