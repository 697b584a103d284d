/* Pauses that double. */
#include "omsctl/patience.h"

#include <time.h>

#define GIVE_UP_US   20000000
#define PAUSE_US     50000
#define PAUSE_MAX_US 1600000

static int64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000) + t.tv_nsec / 1000;
}

void patience_renew(struct patience *patience)
{
    *patience = (struct patience){ .since_us = now_us(), .pause_us = PAUSE_US };
}

bool patience_try(struct patience *patience, enum rpc_code code)
{
    static const enum rpc_code passing[] = { RPC_UNAVAILABLE, RPC_RESOURCE_EXHAUSTED, RPC_ABORTED };
    bool passes = false;
    for (size_t i = 0; i < sizeof(passing) / sizeof(passing[0]); i++)
        passes |= code == passing[i];
    if (!passes || now_us() - patience->since_us > GIVE_UP_US)
        return false;
    struct timespec pause = { patience->pause_us / 1000000, patience->pause_us % 1000000 * 1000 };
    nanosleep(&pause, NULL);
    patience->pause_us = patience->pause_us * 2 < PAUSE_MAX_US ? patience->pause_us * 2 : PAUSE_MAX_US;
    return true;
}
