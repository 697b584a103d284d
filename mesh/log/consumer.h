/* Consumers: follow another service's log and apply what happened there, each batch in one transaction with the cursor.
 *
 * A consumer runs while its lease is held. It starts from a Snapshot when it is new, when its cursor is below the
 * source's floor and when the source is of another incarnation. All on the loop lane. */
#pragma once

#include "mesh/log/log.h"
#include "mesh/port.h"

struct leases;
struct consumers;

extern const struct migration consumer_migrations[];

/* The table ends with a row without name; NULL: none. Their leases "consumer/NAME" are added to leases. */
int consumers_create(struct port *port, struct store *store, const struct consumer *rows, struct leases *leases,
                     struct consumers **ret_consumers);
/* Ends the streams, lets the transactions under way end; then stopped(arg). */
void consumers_stop(struct consumers *consumers, void (*stopped)(void *), void *arg);
/* After consumers_stop, or when no callback of port or store will come any more. Takes NULL. */
void consumers_destroy(struct consumers *consumers);

struct consumer_state {
    const char *name, *source;
    struct log_position position;
    uint64_t behind; /* of the head it was last told */
    char state[96];  /* "RUNNING", "BOOTSTRAPPING", "WAITING: …", "RETRYING: …", "STOPPED: unknown event type 7" */
};
size_t consumers_count(const struct consumers *consumers);
void consumers_state(const struct consumers *consumers, size_t i, struct consumer_state *ret_state);
