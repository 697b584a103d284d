/* The relay: claims what is due, delivers it in batches, and brings each outcome back into a transaction.
 *
 * Lives on the loop lane, while its lease is held; only relay_nudge may be called on any lane. */
#pragma once

#include "mesh/outbox/outbox.h"
#include "mesh/port.h"

struct leases;
struct relay;

/* The tables end with a row without method / name; NULL: none. Its lease "relay" is added to leases. */
int relay_create(struct port *port, struct store *store, const struct deliverer *deliverers,
                 const struct timer_row *timers, struct leases *leases, struct relay **ret_relay);
/* There may be something new to claim: the outbox was touched by a commit whose units had that clock. The relay looks
 * only for what is due later than the commits that it knows of, so that all have to be told; 0: for everything. */
void relay_nudge(struct relay *relay, int64_t committed_us);
/* What is in flight ends, nothing new begins; then stopped(arg). */
void relay_stop(struct relay *relay, void (*stopped)(void *), void *arg);
/* After relay_stop, or when no callback of port or store will come any more. Takes NULL. */
void relay_destroy(struct relay *relay);

struct relay_circuit {
    const char *destination;
    const char *state; /* "CLOSED", "OPEN" or "PROBING" */
};
/* Of the destinations that it has seen; returns how many. The texts outlive the relay's use. */
size_t relay_circuits(const struct relay *relay, struct relay_circuit *ret_circuits, size_t max);
