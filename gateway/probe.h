/* One grpc.health.v1 Check of a process behind, over the connection that calls use. Loop lane. */
#pragma once

#include "gateway/upstream.h"

enum probe_result {
    PROBE_WELL,  /* SERVING, or the process has no health service */
    PROBE_SICK,  /* anything else it said */
    PROBE_AGAIN, /* this connection takes no more calls */
    PROBE_LOST,  /* the connection is gone */
};

struct probe {
    struct upcall call;
    void (*done)(struct probe *probe, enum probe_result result);
    bool running;
    int status;        /* grpc-status; -1: not heard of yet */
    uint8_t reply[32]; /* what came, as far as it is of interest */
    size_t reply_len;
};

/* done comes exactly once, not before it returns. 0, or a negative errno and done will not come. */
int probe_start(struct probe *probe, struct upstream *upstream, const char *process,
                void (*done)(struct probe *, enum probe_result));
