/* A call of the gateway's own to a process behind: made from the loop lane, and answered there, whatever lane the
 * port's calls come back on. */
#pragma once

#include "mesh/port.h"
#include "mesh/rpc/rpc.h"

struct ask;

struct ask_ops {
    /* A reply, or a message of a stream; the next one comes after it returned. */
    void (*message)(struct ask *ask, struct bytes message);
    /* The end, exactly once, also after ask_cancel; the ask is freed when it returns. */
    void (*done)(struct ask *ask, const struct rpc_status *status);
};

struct ask_options {
    const char *peer, *method;   /* constants */
    struct bytes request;        /* copied */
    int64_t timeout_us;          /* 0: none */
    const struct caller *caller; /* copied; NULL: the gateway itself */
    struct trace trace;
};

/* NULL: no memory, and done does not come. */
struct ask *ask_start(struct port *port, const struct ask_options *options, const struct ask_ops *ops, void *owner,
                      void *data);
void *ask_owner(const struct ask *ask);
void *ask_data(const struct ask *ask); /* NULL after ask_cancel */
/* Messages do not come any more; done still does. */
void ask_cancel(struct ask *ask);
