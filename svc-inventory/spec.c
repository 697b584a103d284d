/* The tables of svc-inventory, wired, and its own state. */
#include "mesh/base/say.h"
#include "svc-inventory/availability.h"
#include "svc-inventory/expiry.h"
#include "svc-inventory/feed.h"
#include "svc-inventory/product.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct rpc_method inventory_methods[] = {
    { "UpsertLocation", .unit = upsert_location },
    { "ListLocations", .unit = list_locations },
    { "AdjustStock", .unit = adjust_stock },
    { "ListStock", .unit = list_stock },
    { "BatchGetAvailability", .gather = availability_cached, .unit = availability_stored },
    { "ReserveStock", .batch = reserve_stock },
    { "ReleaseStock", .batch = release_stock },
    { "CommitStock", .batch = commit_stock },
    { "RecordMovements", .batch = record_movements },
    { "ListMovements", .unit = list_movements },
    { "VerifyInventory", .gather = verify_books, .unit = verify_inventory },
    {},
};
const struct rpc_service inventory_rpc = {
    "oms.inventory.v1.InventoryService",
    &oms__inventory__v1__inventory_service__descriptor,
    inventory_methods,
};

static const struct rpc_service *const serves[] = { &catalog_rpc, &inventory_rpc, NULL };

static const struct snapshot_kind snapshots[] = {
    { product_snapshot },
    { availability_snapshot },
    {},
};

static struct option options[] = {
    { "cache", OPTION_TEXT, "on", "on, or off: availability is always read from the database" },
    {},
};

static int read_head(struct txn *txn, void *arg)
{
    return log_position(txn, arg);
}

/* The log's incarnation is the cache's epoch: what a database that was restored from a backup told before is void. */
static int start_feed(struct inventory *inventory)
{
    struct log_position head;
    struct arena arena;
    arena_init(&arena, 4096);
    struct unit unit = { .run = read_head, .arg = &head, .arena = &arena };
    int r = store_write_now(service_store(inventory->service), &unit);
    arena_finish(&arena);
    return r < 0 ? r : feed_create(inventory->service, head.incarnation, &inventory->feed);
}

static void close_inventory(void *app)
{
    struct inventory *inventory = app;
    expiry_destroy(inventory->expiry);
    feed_destroy(inventory->feed);
    free(inventory);
}

static int read_switch(bool *ret_cached)
{
    const char *said = config_text((struct option *const[]){ options, NULL }, "cache");
    *ret_cached = strcmp(said, "on") == 0;
    if (*ret_cached || strcmp(said, "off") == 0)
        return 0;
    say(SAY_ERROR, NULL, "cache is on or off", SAY_T("cache", said));
    return -EINVAL;
}

static int open_inventory(struct service *service, void **ret_app)
{
    bool cached;
    int r = read_switch(&cached);
    if (r < 0)
        return r;
    struct inventory *inventory = calloc(1, sizeof(*inventory));
    if (!inventory)
        return -ENOMEM;
    inventory->service = service;
    r = cached ? start_feed(inventory) : 0;
    if (r == 0)
        r = expiry_create(service, &inventory->expiry);
    if (r < 0) {
        close_inventory(inventory);
        return r;
    }
    *ret_app = inventory;
    return 0;
}

static void expiry_stopped(void *arg)
{
    struct inventory *inventory = arg;
    if (inventory->feed)
        feed_stop(inventory->feed, inventory->stopped, inventory->stopped_arg);
    else
        inventory->stopped(inventory->stopped_arg);
}

static void stop_inventory(void *app, void (*stopped)(void *), void *arg)
{
    struct inventory *inventory = app;
    inventory->stopped = stopped;
    inventory->stopped_arg = arg;
    expiry_stop(inventory->expiry, expiry_stopped, inventory);
}

static void log_grown(void *app, uint64_t seq)
{
    struct inventory *inventory = app;
    if (inventory->feed)
        feed_log_grown(inventory->feed, seq);
}

const struct service_spec inventory_service = {
    .name = "svc-inventory",
    .about = "What is sold and what is there: catalogue, stock, reservations, availability.",
    .options = options,
    .serves = serves,
    .consumers = inventory_consumers,
    .snapshots = snapshots,
    .migrations = inventory_migrations,
    .open = open_inventory,
    .close = close_inventory,
    .stop = stop_inventory,
    .log_grown = log_grown,
};
