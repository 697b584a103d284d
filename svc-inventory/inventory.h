/* svc-inventory inside: what its files give each other. */
#pragma once

#include "mesh/service.h"
#include "svc-inventory/api.h"

extern const struct service_spec inventory_service;
extern const struct rpc_service catalog_rpc, inventory_rpc;
extern const struct migration inventory_migrations[];

/* orders.c: the consumer of svc-order's log. */
#define ORDERS_CONSUMER "inventory-orders"
#define ORDERS_SOURCE   "svc-order"
extern const struct consumer inventory_consumers[];

struct feed;
struct expiry;

/* The service's own state, rpc_app. */
struct inventory {
    struct service *service;
    struct feed *feed; /* NULL: Redis is not used */
    struct expiry *expiry;
    void (*stopped)(void *);
    void *stopped_arg;
};

/* Who may see what is on the shelves: everybody. */
#define AUDIENCE_PUBLIC \
    (ROLE_BIT(MESH__V1__ROLE__GUEST) | ROLE_BIT(MESH__V1__ROLE__CUSTOMER) | ROLE_BIT(MESH__V1__ROLE__CSR) | \
     ROLE_BIT(MESH__V1__ROLE__WAREHOUSE) | ROLE_BIT(MESH__V1__ROLE__ERP) | ROLE_BIT(MESH__V1__ROLE__OPERATOR) | \
     ROLE_BIT(MESH__V1__ROLE__SERVICE) | ROLE_BIT(MESH__V1__ROLE__ADMIN))

#define AUDIENCE_STAFF \
    (ROLE_BIT(MESH__V1__ROLE__OPERATOR) | ROLE_BIT(MESH__V1__ROLE__SERVICE) | ROLE_BIT(MESH__V1__ROLE__ADMIN))

/* --- the methods of InventoryService (spec.c has their table) --- */

/* stock.c */
int check_reason(struct rpc_call *call, const char *reason); /* it is a code */
rpc_unit upsert_location, list_locations, adjust_stock, list_stock;
/* reservations.c */
rpc_batch reserve_stock;
/* releases.c */
rpc_batch release_stock, commit_stock;
/* movements.c */
rpc_batch record_movements;
/* journal.c */
rpc_unit list_movements;
/* verify.c: what is compared on a snapshot and with Redis, and what is told and mended */
rpc_gather verify_books;
rpc_unit verify_inventory;
/* availability.c: from Redis, and what is not there from the table */
rpc_gather availability_cached;
rpc_unit availability_stored;
