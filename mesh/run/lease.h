/* Leases: work that only one process may do at a time (the relay, each consumer), by (owner, term, beat) in a table.
 *
 * The holder beats every third of the TTL and takes itself for lapsed when no beat of the last TTL was stored; a
 * contender takes over, raising the term, when it has seen the same beat for a TTL. Both measure on their own monotonic
 * clocks: what anybody's wall clock says does not matter. A holder that was stopped and wakes up cannot write: each of
 * its units says lease_guard. All functions but lease_guard on the loop lane. */
#pragma once

#include "mesh/base/id.h"
#include "mesh/port.h"
#include "mesh/store/store.h"

#define LEASES_MAX     32
#define LEASE_NAME_MAX 80

struct leases; /* those of one process */

/* What a unit carries to prove that it may write. */
struct lease_hold {
    char name[LEASE_NAME_MAX], owner[ID_MAX];
    int64_t term;
};

struct lease {
    char name[LEASE_NAME_MAX];
    void (*changed)(struct lease *lease, bool held); /* got it, or lost or lapsed */
    /* Private. */
    struct leases *leases;
    bool wanted, held;
    int64_t term, beaten_us;
    struct {
        char owner[ID_MAX];
        int64_t term, beat, since_us;
    } seen; /* another's */
    struct metric *metric;
};

extern const struct migration lease_migrations[];

/* instance NULL: made of chance. 0 or -ENOMEM. */
int leases_create(struct port *port, struct store *store, const char *instance, int64_t ttl_us,
                  struct leases **ret_leases);
/* Gives all leases back in the name of whoever held them: for who has the database alone, so that the holder is proven
 * dead. Before any lane runs. */
int leases_clear(struct store *store);
/* The lease is wanted from then on; it belongs to the caller and outlives leases. Name and changed are set. */
void leases_add(struct leases *leases, struct lease *lease);
void leases_start(struct leases *leases);
/* Held, and not lapsed at this very moment. */
bool lease_held(const struct lease *lease);
struct lease_hold lease_hold(const struct lease *lease);
/* Leaves it to others, until it is wanted again. changed is not called. */
void lease_release(struct lease *lease);
void lease_want(struct lease *lease);
/* Gives everything back; stopped(arg) when that is stored or cannot be. */
void leases_stop(struct leases *leases, void (*stopped)(void *), void *arg);
void leases_destroy(struct leases *leases);

const char *leases_instance(const struct leases *leases); /* any lane */

/* Inside a write unit: 0, or -EPERM if the lease is not of that owner and term any more. */
int lease_guard(struct txn *txn, const struct lease_hold *hold);
