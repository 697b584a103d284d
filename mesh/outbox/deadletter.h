/* Dead letters: commands that were given up, for a person to see, retry or discard. Inside units.
 *
 * A parked one still stands at the head of its queue and holds it; a skipped one lives only here. */
#pragma once

#include "mesh/outbox/queue.h"

/* Writes down a letter that is given up. 0 or a negative errno. */
int deadletter_add(struct txn *txn, const struct letter *letter, bool parked, enum rpc_code code, const char *reason);

struct deadletter {
    struct letter letter; /* due_us, created_us, attempts as they were */
    int64_t gave_up_us;
    enum rpc_code last_code;
    const char *last_reason;
    bool parked;
    int64_t waiting_behind;
};
/* Those after the id (NULL: all), oldest id first, at most max. Returns how many or a negative errno. */
int deadletter_list(struct txn *txn, const char *after_id, size_t max, struct deadletter *ret_letters);
/* 1; 0: no such dead letter. */
int deadletter_get(struct txn *txn, const char *id, struct deadletter *ret_letter);
/* Due again now, with attempts 0: a parked one where it stands, a skipped one at the end of its queue. */
int deadletter_retry(struct txn *txn, const struct deadletter *dead);
/* Never sent again; the queue goes on. The row stays for its reason until it is pruned. */
int deadletter_discard(struct txn *txn, const struct deadletter *dead, const char *reason);
/* Forgets discarded ones older than the age, at most n. Returns how many went or a negative errno. */
int64_t deadletter_prune(struct txn *txn, int64_t max_age_us, size_t n);
