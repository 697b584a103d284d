/* The relay's life: one turn after whatever happened, one timer for what is due next. */
#include "mesh/base/say.h"
#include "mesh/outbox/batch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WAKE_MAX_US   10000000 /* wall clocks jump: look again at least that often */
#define CLOCK_JUMP_US 1000000

uint32_t relay_chance(struct relay *relay)
{
    uint32_t chance;
    relay->port->random(relay->port, &chance, sizeof(chance));
    return chance;
}

static bool end_if_idle(struct relay *relay)
{
    if (!relay->stopping)
        return false;
    if (relay->batches || relay->claim.running || !relay->on_stopped)
        return true;
    void (*stopped)(void *) = relay->on_stopped;
    relay->on_stopped = NULL;
    relay->port->timer_stop(relay->port, &relay->wake);
    stopped(relay->on_stopped_arg);
    return true;
}

static void send_what_may_go(struct destination *to, int64_t mono_us)
{
    while (circuit_closed(&to->circuit) && to->ready && batch_fits(to, to->ready))
        if (!batch_send(to, BATCH_MAX))
            return;
    if (circuit_closed(&to->circuit))
        return;
    batch_expire(to);
    bool probes = circuit_may_probe(&to->circuit, mono_us) && to->ready;
    /* Also when the one that was to stay for the probe is given up: those dropped before it wait for that, too. */
    if (probes || !to->ready) {
        to->dirty |= to->dropped;
        to->dropped = false;
    }
    if (probes)
        batch_send(to, 1);
}

/* Retries wait for a wall clock's time; when it is set back they must not wait for it to come round again. */
static void watch_clock(struct relay *relay)
{
    int64_t gap = relay->port->wall_us(relay->port) - relay->port->mono_us(relay->port);
    if (gap < relay->clock_gap_us - CLOCK_JUMP_US) {
        relay->claim.recall = true;
        claim_everything(relay);
    }
    relay->clock_gap_us = gap;
}

static void set_wake(struct relay *relay)
{
    int64_t wall = relay->port->wall_us(relay->port), mono = relay->port->mono_us(relay->port), wait = WAKE_MAX_US;
    for (size_t i = 0; i < relay->n_destinations; i++) {
        const struct destination *to = relay->destinations[i];
        bool open = !circuit_closed(&to->circuit);
        if (open && to->ready && to->circuit.state == CIRCUIT_OPEN && to->circuit.probe_us - mono < wait)
            wait = to->circuit.probe_us - mono;
        if (open && claim_pending(to) && to->sweep_us - mono < wait)
            wait = to->sweep_us - mono;
        if (to->next_due_us != INT64_MAX && to->next_due_us - wall < wait)
            wait = to->next_due_us - wall;
    }
    if (relay->claim.after_us > mono && relay->claim.after_us - mono < wait)
        wait = relay->claim.after_us - mono;
    relay->port->timer_start(relay->port, &relay->wake, wait > 1000 ? wait : 1000);
}

void relay_turn(struct relay *relay)
{
    if (end_if_idle(relay) || !lease_held(&relay->lease))
        return;
    int64_t mono = relay->port->mono_us(relay->port), wall = relay->port->wall_us(relay->port);
    watch_clock(relay);
    for (size_t i = 0; i < relay->n_destinations; i++) {
        struct destination *to = relay->destinations[i];
        if (to->next_due_us <= wall) {
            to->news = true;
            to->next_due_us = INT64_MAX;
        }
        send_what_may_go(to, mono);
        metric_set(to->open, !circuit_closed(&to->circuit));
    }
    claim_start(relay);
    set_wake(relay);
}

static void wake(struct timer *timer)
{
    relay_turn(OF(timer, struct relay, wake));
}

static void nudged(struct task *task)
{
    struct relay *relay = OF(task, struct relay, nudge);
    atomic_store(&relay->nudged, false);
    if (atomic_exchange(&relay->set_back, false))
        claim_everything(relay);
    else
        claim_news(relay);
    relay_turn(relay);
}

void relay_nudge(struct relay *relay, int64_t committed_us)
{
    if (committed_us <= atomic_exchange(&relay->committed_us, committed_us))
        atomic_store(&relay->set_back, true);
    if (!atomic_exchange(&relay->nudged, true))
        relay->port->post(relay->port, LANE_LOOP, &relay->nudge);
}

static void lease_changed(struct lease *lease, bool held)
{
    struct relay *relay = OF(lease, struct relay, lease);
    for (size_t i = 0; i < relay->n_destinations; i++)
        parcels_drop_ready(relay->destinations[i]);
    if (!held)
        return;
    relay->claim.recall = true;
    claim_everything(relay);
    relay_turn(relay);
}

int relay_create(struct port *port, struct store *store, const struct deliverer *deliverers,
                 const struct timer_row *timers, struct leases *leases, struct relay **ret_relay)
{
    struct relay *relay = calloc(1, sizeof(*relay));
    if (!relay)
        return -ENOMEM;
    relay->port = port;
    relay->store = store;
    relay->deliverers = deliverers;
    relay->timers = timers;
    relay->wake.fire = wake;
    relay->nudge.run = nudged;
    atomic_init(&relay->committed_us, 0);
    relay->clock_gap_us = port->wall_us(port) - port->mono_us(port);
    snprintf(relay->lease.name, sizeof(relay->lease.name), "relay");
    relay->lease.changed = lease_changed;
    leases_add(leases, &relay->lease);
    *ret_relay = relay;
    return 0;
}

void relay_stop(struct relay *relay, void (*stopped)(void *), void *arg)
{
    relay->stopping = true;
    relay->on_stopped = stopped;
    relay->on_stopped_arg = arg;
    for (size_t i = 0; i < relay->n_destinations; i++)
        parcels_drop_ready(relay->destinations[i]);
    for (struct batch *batch = relay->batches, *next; batch; batch = next) {
        next = batch->next;
        batch_stop(batch);
    }
    end_if_idle(relay);
}

void relay_destroy(struct relay *relay)
{
    if (!relay)
        return;
    while (relay->batches)
        batch_free(relay->batches);
    for (size_t i = 0; i < relay->n_destinations; i++)
        destination_free(relay->destinations[i]);
    arena_finish(&relay->claim.arena);
    free(relay);
}

size_t relay_circuits(const struct relay *relay, struct relay_circuit *ret_circuits, size_t max)
{
    size_t n = relay->n_destinations < max ? relay->n_destinations : max;
    for (size_t i = 0; i < n; i++)
        ret_circuits[i] =
            (struct relay_circuit){ relay->destinations[i]->name, circuit_name(&relay->destinations[i]->circuit) };
    return n;
}
