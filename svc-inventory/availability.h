/* Availability: how many of a SKU may still be sold over all locations, with a version that rises with every change. */
#pragma once

#include "svc-inventory/inventory.h"

#define CACHE_TIMEOUT_US 50000

/* The event that tells it; payload and its strings must outlive the event. */
struct event availability_event(const AvailabilityChanged *payload);

struct availability_page {
    size_t n;
    const char **skus;
    int64_t *values;
    uint64_t *versions;
};
/* Room for n in the arena; 0 or -ENOMEM. */
int availability_page_init(struct arena *arena, size_t n, struct availability_page *ret_page);
/* The rows after the SKU, sorted; in the transaction's arena. 0 or a negative errno. */
int availability_after(struct txn *txn, const char *sku, size_t max, struct availability_page *ret_page);
int availability_snapshot(struct txn *txn, const char *after, size_t max, struct event *ret_events,
                          const char **ret_keys);
