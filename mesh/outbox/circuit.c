/* Counting failures in a row, and when to look again. */
#include "mesh/outbox/circuit.h"

bool circuit_closed(const struct circuit *c)
{
    return c->state == CIRCUIT_CLOSED;
}

bool circuit_may_probe(const struct circuit *c, int64_t mono_us)
{
    return c->state == CIRCUIT_OPEN && mono_us >= c->probe_us;
}

void circuit_sent(struct circuit *c)
{
    if (c->state == CIRCUIT_OPEN)
        c->state = CIRCUIT_PROBING;
}

void circuit_unsaid(struct circuit *c, int64_t mono_us)
{
    if (c->state != CIRCUIT_PROBING)
        return;
    c->state = CIRCUIT_OPEN;
    c->probe_us = mono_us + c->backoff_us;
}

void circuit_succeeded(struct circuit *c)
{
    *c = (struct circuit){ 0 };
}

/* What was sent before the circuit opened may still fail afterwards: it says nothing about the probe. */
void circuit_failed(struct circuit *c, int64_t mono_us, uint32_t chance)
{
    if (c->state == CIRCUIT_OPEN)
        return;
    if (c->failures < UINT32_MAX)
        c->failures++;
    if (c->failures < CIRCUIT_FAILURES)
        return;
    c->backoff_us = backoff_us(c->failures - CIRCUIT_FAILURES, CIRCUIT_FIRST_US, CIRCUIT_LONGEST_US, chance);
    c->probe_us = mono_us + c->backoff_us;
    c->state = CIRCUIT_OPEN;
}

const char *circuit_name(const struct circuit *c)
{
    static const char *const names[] = { "CLOSED", "OPEN", "PROBING" };
    return names[c->state];
}

int64_t backoff_us(uint32_t attempts, int64_t first_us, int64_t longest_us, uint32_t chance)
{
    int64_t wait = first_us;
    while (attempts-- > 0 && wait < longest_us)
        wait *= 2;
    if (wait > longest_us)
        wait = longest_us;
    return wait / 2 + (int64_t)((uint64_t)(wait / 2) * chance >> 32);
}
