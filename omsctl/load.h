/* Long work: many unary calls of one method, a number of them under way at once, with a progress line. */
#pragma once

#include "omsctl/cli.h"

struct load {
    const char *what;   /* "products", for the progress line */
    const char *method; /* of all calls */
    size_t n;
    /* The packed request of item i, in the arena, which lives until the call ended. */
    struct bytes (*request)(void *arg, size_t i, struct arena *arena);
    /* Item i ended, well or not; may be NULL. */
    void (*ended)(void *arg, size_t i, const struct client_call *call);
    void *arg;
};

struct load_result {
    size_t accepted, refused;
    int exit; /* CTL_OK, CTL_PARTLY, or CTL_UNREACHED: it was given up */
};

/* Refusals are told on stderr, unless ended takes them; when the server is gone no more calls are started. */
struct load_result load_run(struct ctl *ctl, const struct load *load);
