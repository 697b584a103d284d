/* The shared cache of availability in Redis: lose it at any moment and nothing but speed is lost.
 *
 * One writer (svc-inventory, from its own log); every value carries (epoch, version) and only a newer one of the same
 * epoch, or one of another epoch, replaces it, so that late and doubled writes do no harm. The value of a key K is the
 * string "epoch version value" under avail:K. */
#pragma once

#include "mesh/port.h"

#include <stdbool.h>

struct cache;
struct uv_loop_s;

#define CACHE_KEYS_MAX 512  /* of one operation */
#define CACHE_OPS_MAX  1024 /* under way at once */

/* --- the client on the loop lane behind port->cache (mesh/real.c) --- */
/* address: "" (every operation is -ENOSYS), or [password@]host:port[/database], or [password@]/path of a socket.
 * Connects and reconnects by itself with backoff. 0; -EINVAL: no such address; -ENOMEM. */
int cache_create(struct uv_loop_s *loop, const char *address, struct cache **ret_cache);
/* Loop lane. done is called later, never inside. While there is no connection operations fail at once. -EIO: Redis
 * answered with an error. */
void cache_submit(struct cache *cache, struct cache_op *op);
bool cache_connected(const struct cache *cache);
/* What is under way ends with -ECONNREFUSED. The loop must run once more, to close its handles. Takes NULL. */
void cache_destroy(struct cache *cache);
