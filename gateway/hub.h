/* Everybody who watches an order, fed from one tail of svc-order's log.
 *
 * A watch opens with a read of the order on the caller's behalf, so that svc-order itself decides who may see it; the
 * read's position says where the watch stands in the log. From there on it gets the entries of its order: from the
 * window of the last ones, from a replay of the log if it resumes from further back, and then from the tail as they
 * come. What an entry's payload tells is passed on only where the entry's audience includes the caller. Loop lane. */
#pragma once

#include "gateway/exchange.h"

struct hub;

extern const struct server hub_watch_order;

/* NULL: no memory. Tails nothing before somebody watches. */
struct hub *hub_create(struct gateway *gateway);
/* Ends all watches, for the clients to resume them elsewhere. */
void hub_leave(struct hub *hub);
/* No exchange may be left; gone(arg) when no call of the hub is under way any more and its memory is free. NULL: at
 * once. */
void hub_destroy(struct hub *hub, void (*gone)(void *arg), void *arg);
