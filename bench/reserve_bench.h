/* bench/reserve: what its parts give each other. */
#pragma once

#include "bench/machine.h"

#include <stdbool.h>

struct cost {
    double wall_s, cpu_s; /* of the process under test */
    long requests, granted, refused, failed;
};

/* --- reserve_load.c: callers of svc-inventory, all on this thread --- */

struct load;

/* As svc-order, with the certificates in the directory. */
struct load *load_open(const char *dir, const struct server *server);
void load_close(struct load *load);
/* One piece of the SKU for an order each, asked again as soon as answered, so many at once, for so long. batch 0: each
 * is a call of its own; else so many are delivered in one call, as a relay does. Added to the cost. */
void load_run(struct load *load, const char *sku, int outstanding, int batch, double seconds, struct cost *cost);

/* --- reserve_naive.c: the row lock, a transaction for each request --- */

/* One loop on SQLite with the same pragmas as the store. */
void naive_sqlite(const char *path, double seconds, struct cost *cost);
/* Sixteen connections to PostgreSQL. False if it is not installed. CPU is not told. */
bool naive_postgresql(double seconds, struct cost *cost);
