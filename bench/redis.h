/* A Redis of a benchmark's own, on a port that nobody has. */
#pragma once

#include "bench/machine.h"

struct redis {
    pid_t pid;
    clockid_t cpu;
    char address[32]; /* "127.0.0.1:port" */
};
/* Keeps nothing in the directory. Exits when it does not come up; ends with us. */
void redis_start(struct redis *redis, const char *dir);
void redis_stop(struct redis *redis);
