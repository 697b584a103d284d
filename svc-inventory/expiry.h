/* Ends reservations whose time is over and whose orders were not confirmed, exact to a second.
 *
 * Every second it looks whether the time of any is over. If so it asks svc-order where the head of its log is, and lets
 * the consumer come there first: an order that was confirmed in time keeps its goods, however far behind this process
 * was. While svc-order does not answer nothing ends. Loop lane. */
#pragma once

#include "svc-inventory/inventory.h"

struct expiry;

/* 0 or -ENOMEM. It begins by itself. */
int expiry_create(struct service *service, struct expiry **ret_expiry);
/* stopped(arg) when nothing is under way. */
void expiry_stop(struct expiry *expiry, void (*stopped)(void *), void *arg);
void expiry_destroy(struct expiry *expiry); /* after expiry_stop; NULL is harmless */
