/* A copy of a database that is being written to, as it is at one moment.
 *
 * It is made through a connection of its own, which holds one snapshot until the copy is whole: the writer goes on, and
 * only the log cannot be begun anew for so long. SQLite's other ways cost more: a copy without a snapshot begins again
 * with each commit and never ends under load, one through the writer's connection halves its commits, and VACUUM INTO
 * takes half as much CPU again and cannot be done bit by bit.
 *
 * The copy has no name: its file is unlinked as soon as it is open, so that nothing is left behind whatever happens.
 * One copy of a store at a time. One thread at a time. */
#pragma once

#include "mesh/store/store.h"

struct store_copy;

/* Takes the snapshot. -EBUSY: there is a copy already; -ENOSPC: the disk has no room for it and for the log. */
int store_copy_begin(struct store *store, struct store_copy **ret_copy);
uint64_t store_copy_size(const struct store_copy *copy); /* bytes, also before it is whole */
/* Runs a read unit on the snapshot, before the first step. */
int store_copy_ask(struct store_copy *copy, int (*run)(struct txn *txn, void *arg), void *arg, struct arena *arena);
/* About a millisecond's worth. 1: there is more to do; 0: it is whole; or a negative errno. */
int store_copy_step(struct store_copy *copy);
/* Bytes of a whole copy. */
int store_copy_read(struct store_copy *copy, uint64_t at, void *data, size_t n);
void store_copy_destroy(struct store_copy *copy); /* takes NULL */

/* Whether a file that nobody uses is a sound database: 0, or -EIO. */
int store_check(const char *path);
