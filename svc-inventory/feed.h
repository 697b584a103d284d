/* The one writer of the shared cache: brings every change of availability from this service's own log to Redis.
 *
 * At start, and whenever Redis has lost what it was told, everything is told anew; then the log is followed, coalesced
 * per SKU. Every value is written by compare-and-set, so that late and doubled writes do no harm. Marks in Redis,
 * written together with the values, prove that nothing was lost since: a Redis that was emptied or came back old has
 * not the last ones. Loop lane. */
#pragma once

#include "svc-inventory/inventory.h"

struct feed;

struct availability_page;

/* 0 or -ENOMEM. It begins by itself. */
int feed_create(struct service *service, const char *epoch, struct feed **ret_feed);
const char *feed_epoch(const struct feed *feed);
void feed_log_grown(struct feed *feed, uint64_t seq);
/* Redis has been told all that the log had told up to seq. */
bool feed_has_told(const struct feed *feed, uint64_t seq);
/* stopped(arg) when nothing is under way. */
void feed_stop(struct feed *feed, void (*stopped)(void *), void *arg);
void feed_destroy(struct feed *feed); /* after feed_stop; NULL is harmless */

/* feed_stop waits for whoever holds it, too. Hold: any lane; release: loop lane. */
void feed_hold(struct feed *feed);
void feed_release(struct feed *feed);

/* What a reader missed goes to Redis by itself; nobody waits for it. Versions of 0 are left out. Any lane. */
void cache_repair(struct port *port, struct feed *feed, const struct availability_page *page);
