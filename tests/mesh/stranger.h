/* Somebody outside, on the test's own loop: takes connections and hands what was heard to a function of the test. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#define HEARD_MAX (64 << 10)

/* One connection. */
struct guest {
    uv_tcp_t tcp; /* first */
    struct stranger *stranger;
    char heard[HEARD_MAX + 1]; /* a text so far; the function takes from its beginning by guest_took */
    size_t n_heard;
    int state; /* the function's own */
};

struct stranger {
    uv_tcp_t tcp; /* first */
    /* On every connection (nothing heard yet) and whenever more was heard. */
    void (*hears)(struct guest *guest);
    unsigned port, connections /* so far */, open, most_open;
    struct guest *guests[1024];
};

/* On a free port of 127.0.0.1. */
void stranger_open(struct stranger *s, uv_loop_t *loop, void (*hears)(struct guest *guest));
/* With all its guests; the loop must run once more. */
void stranger_close(struct stranger *s);
void guest_say(struct guest *guest, const char *data, size_t n);
void guest_took(struct guest *guest, size_t n);
/* With a FIN, after all has been said; or with a reset at once. */
void guest_leave(struct guest *guest);
void guest_reset(struct guest *guest);
