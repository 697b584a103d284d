/* The shared cache of availability in Redis: lose it at any moment and nothing but speed is lost.
 *
 * One writer (a consumer of svc-inventory's own commits); every value carries (epoch, version) and only a newer one
 * replaces it, so that late and doubled writes do no harm. */
#pragma once

#include "mesh/port.h"

#include <stdbool.h>

struct cache;
struct uv_loop_s;

/* --- the client on the loop lane behind port->cache (mesh/real.c) --- */
/* address "127.0.0.1:6379" or "" (every operation is -ENOSYS). Connects and reconnects by itself with backoff. */
int cache_create(struct uv_loop_s *loop, const char *address, struct cache **ret_cache);
void cache_submit(struct cache *cache, struct cache_op *op); /* loop lane */
bool cache_connected(const struct cache *cache);
void cache_destroy(struct cache *cache);
