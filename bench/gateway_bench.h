/* The parts of bench/gateway: who loads, who answers behind, what is measured. */
#pragma once

#include "gateway/h2.h"

#include <stddef.h>

#define BENCH_CONNECTIONS 8
#define BENCH_STREAMS     16
#define BENCH_PATH        "/oms.order.v1.OrderService/ListOrders"
#define BENCH_MESSAGE     200 /* bytes, both ways */

/* gateway_tokens.c: signed by dev's key before anything is measured. */
struct tokens {
    char **known; /* principals that have been seen */
    size_t n_known;
    char **fresh; /* each is used once, and a load ends the benchmark when there are no more */
    size_t n_fresh, next_fresh;
    int fresh_per_mille; /* of the calls */
};
void tokens_make(struct tokens *tokens, const char *key_path, size_t n_known, size_t n_fresh);
void tokens_drop(struct tokens *tokens);

/* gateway_load.c: BENCH_CONNECTIONS × BENCH_STREAMS calls in flight towards a port, each followed by the next. Nothing
 * new is called once the time is over, and what is under way ends. */
struct load_result {
    size_t calls, failed;
    int64_t wall_us;
    int64_t p50_us, p99_us;
};
/* Warms up by calling once with every known token, then tells measuring(arg, true), loads for so long, and tells
 * measuring(arg, false). */
void load_run(int port, struct tokens *tokens, int64_t warm_us, int64_t measured_us,
              void (*measuring)(void *arg, bool begins), void *arg, struct load_result *ret_result);
/* What load_run sends instead of BENCH_MESSAGE bytes to BENCH_PATH, from now on. */
struct load_call {
    const char *path;
    size_t streams; /* in flight on each connection; at most LOAD_STREAMS_MAX */
    /* Writes the next message, without its frame, and returns its length, at most room. */
    size_t (*write)(void *arg, uint8_t *buffer, size_t room);
    void *arg;
};
#define LOAD_STREAMS_MAX 100
void load_calls(const struct load_call *call);

/* gateway_watchers.c: opens n connections with a watch of an order each, tells all_watch(arg), closes them. */
void watchers_run(int port, const char *token, size_t n, void (*all_watch)(void *arg), void *arg);

/* gateway_backend.c: answers every call with BENCH_MESSAGE bytes over mutual TLS; never returns. dir has the
 * certificates of dev/pki. Prints its port on stdout. */
int backend_main(const char *dir);
