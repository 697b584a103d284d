/* Another database in the place of a store's: whole or not at all, whenever the process ends.
 *
 * It is made beside the old one, under the name store_restore_path, while nobody else can open that. Then it gets a
 * second name, from which on there is no way back: whoever opens the store completes what is left to be done, which is
 * to remove the old one's log, as it would be taken for the new one's, and to rename the new one. */
#pragma once

struct store_restore;

/* Locks the store at that path, which need not exist, and removes what an earlier attempt has left. -EBUSY, after one
 * clear line: a process has it open. */
int store_restore_begin(const char *path, struct store_restore **ret_restore);
const char *store_restore_path(const struct store_restore *restore);
/* What has been made there, closed and without a log of its own, is the store. Durable afterwards. */
int store_restore_end(struct store_restore *restore);
void store_restore_destroy(struct store_restore *restore); /* takes NULL */
