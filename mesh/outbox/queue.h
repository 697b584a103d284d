/* The rows of the outbox as the relay and AdminService handle them, inside units.
 *
 * A queue is all rows of one (destination, key), numbered by n. Only its head is READY (or PARKED); the rest is BEHIND
 * and moves up when the head goes, in the same transaction. Timers (destination "") stand in no queue: all READY.
 *
 * A row that is made READY, or is to be tried again, is not due before the transaction that makes it so: whoever has
 * seen what was due at a transaction's time finds all that later ones make due behind it (claim.c). */
#pragma once

#include "mesh/outbox/outbox.h"

#define OUTBOX_REQUEST_MAX (256 << 10) /* bytes of one command */

enum letter_state { LETTER_READY, LETTER_BEHIND, LETTER_PARKED };

/* One row. Strings belong to whoever holds the letter. */
struct letter {
    const char *destination, *key, *id, *method, *trace;
    int64_t n;
    struct bytes request;
    int64_t due_us;  /* when it was wanted first; wall clock */
    int64_t next_us; /* when it is tried next; wall clock */
    int64_t created_us;
    uint32_t attempts;
};

/* Where a scan of a destination's ready rows stands; zeroed: at the start. */
struct letter_place {
    int64_t next_us, n;
    const char *key;
};

/* Ready rows that are due, after the place, oldest first. Returns how many (at most max) or a negative errno. */
int letter_due(struct txn *txn, const char *destination, const struct letter_place *after, size_t max,
               struct letter **ret_letters);
/* When the next ready row becomes due that is not yet; INT64_MAX: there is none. */
int letter_next_due(struct txn *txn, const char *destination, int64_t *ret_due_us);
/* The first destination after that one (NULL: of all) with ready rows; NULL: there is none. Timers are "". */
int letter_destination(struct txn *txn, const char *after, const char **ret_destination);

/* Takes the rows, all of one destination, out and lets the next of their queues move up; ret_taken: those that were
 * still there. 0 or a negative errno. */
int letters_take(struct txn *txn, const struct letter *const *letters, size_t n, bool *ret_taken);
/* One attempt more; again at next_us. 0 also if it is not there any more. */
int letter_retry(struct txn *txn, const struct letter *letter, int64_t next_us, enum rpc_code code, const char *reason);
/* 1; 0: it is not there any more. */
int letter_park(struct txn *txn, const struct letter *letter, enum rpc_code code, const char *reason);
/* Puts letters at the ends of their queues, one after the other; n and next_us are given to them here. */
int letters_add(struct txn *txn, const struct letter *letters, size_t n);

/* What waits, by destination ("timers" for those). In the arena; returns how many or a negative errno. */
struct outbox_count {
    const char *destination;
    int64_t waiting, parked;
    int64_t oldest_age_us; /* since it was due */
};
int outbox_counts(struct txn *txn, struct outbox_count **ret_counts);
