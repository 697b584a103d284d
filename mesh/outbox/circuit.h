/* One destination's circuit: after five failures in a row nothing is sent but one probe at a time.
 *
 * Plain arithmetic on a monotonic clock that the caller reads. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define CIRCUIT_FAILURES   5
#define CIRCUIT_FIRST_US   100000
#define CIRCUIT_LONGEST_US 5000000

enum circuit_state { CIRCUIT_CLOSED, CIRCUIT_OPEN, CIRCUIT_PROBING };

struct circuit { /* zeroed: closed */
    enum circuit_state state;
    uint32_t failures; /* in a row */
    int64_t backoff_us, probe_us;
};

/* Closed: anything may go out. May probe: one command, and circuit_sent is told when it went. */
bool circuit_closed(const struct circuit *c);
bool circuit_may_probe(const struct circuit *c, int64_t mono_us);
void circuit_sent(struct circuit *c);
/* A probe came back that says nothing: the next one waits as long as this one did. */
void circuit_unsaid(struct circuit *c, int64_t mono_us);
void circuit_succeeded(struct circuit *c);
/* chance spreads probes of many processes: any number. */
void circuit_failed(struct circuit *c, int64_t mono_us, uint32_t chance);
const char *circuit_name(const struct circuit *c); /* "CLOSED" */

/* The wait before attempt n + 1: from first doubling to longest, its last half by chance. */
int64_t backoff_us(uint32_t attempts, int64_t first_us, int64_t longest_us, uint32_t chance);
