/* What a service does in the background: forgets what is old, in small pieces, and measures itself. Loop lane. */
#pragma once

#include "mesh/store/store.h"

struct chores;

/* Starts with chores_start. 0 or -ENOMEM. */
int chores_create(struct port *port, struct store *store, int64_t log_keep_us, struct chores **ret_chores);
void chores_start(struct chores *chores);
void chores_stop(struct chores *chores, void (*stopped)(void *), void *arg);
void chores_destroy(struct chores *chores); /* NULL is harmless */
