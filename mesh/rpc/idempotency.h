/* The request rows: what was answered to which request, so that a repeat has the same answer and no second effect.
 *
 * A row is written in the transaction of the effect and holds (id, method, principal), the hash of the request, and the
 * reply, or the resource it is rebuilt from. The principal is who calls: a subject, or the name of a process.
 *
 * A method whose rule says that it undoes another one names the other's request id as operation_id. When that was never
 * carried out the undo leaves a tombstone in its place, answers with an empty reply, and its unit is not run; the
 * operation, should it still come, is refused with FAILED_PRECONDITION, reason OPERATION_UNDONE. An operation may be
 * undone several times, in parts. One whose id, or the id that it is made of, tells that it is older than rows are kept
 * may have been carried out and forgotten: the undo's unit runs and sees for itself. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct txn;

#define REQUEST_KEEP_US  (7 * 86400ll * 1000000)  /* rows of people's requests, and how old their ids may be */
#define REQUEST_AHEAD_US (86400ll * 1000000)      /* how far ahead of our clock an id may be */
#define COMMAND_KEEP_US  (30 * 86400ll * 1000000) /* of services' */

/* Deletes rows older than the age (those of services: at least COMMAND_KEEP_US), at most n of each. Returns how many
 * went, or a negative errno. */
int64_t rpc_prune_requests(struct txn *txn, int64_t max_age_us, size_t n);
