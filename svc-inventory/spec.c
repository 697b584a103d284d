/* The tables of svc-inventory, wired. */
#include "svc-inventory/inventory.h"
#include "svc-inventory/product.h"

static const struct rpc_service *const serves[] = { &catalog_rpc, NULL };

static const struct snapshot_kind snapshots[] = {
    { product_snapshot },
    {},
};

const struct service_spec inventory_service = {
    .name = "svc-inventory",
    .about = "What is sold and what is there: catalogue, stock, reservations, availability.",
    .serves = serves,
    .snapshots = snapshots,
    .migrations = inventory_migrations,
};
