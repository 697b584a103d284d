/* The one writer of the shared cache: brings every change of availability from this service's own log to Redis.
 *
 * At start, and whenever Redis has lost what it was told, everything is told anew; then the log is followed, coalesced
 * per SKU. Every value is written by compare-and-set, so that late and doubled writes do no harm. A mark in Redis,
 * written together with the values, says up to where it was told: a Redis that was emptied or came back old shows
 * another mark. Loop lane. */
#pragma once

#include "svc-inventory/inventory.h"

struct feed;

/* 0 or -ENOMEM. It begins by itself. */
int feed_create(struct service *service, const char *epoch, struct feed **ret_feed);
void feed_log_grown(struct feed *feed, uint64_t seq); /* NULL is harmless */
/* It ends once what it has under way is done. NULL is harmless. */
void feed_destroy(struct feed *feed);
