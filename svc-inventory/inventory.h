/* svc-inventory inside: what its files give each other. */
#pragma once

#include "mesh/service.h"
#include "svc-inventory/api.h"

extern const struct service_spec inventory_service;
extern const struct rpc_service catalog_rpc, inventory_rpc;
extern const struct migration inventory_migrations[];

struct feed;

/* The service's own state, rpc_app. */
struct inventory {
    struct service *service;
    struct feed *feed; /* NULL: Redis is not used */
};

/* Who may see what is on the shelves: everybody. */
#define AUDIENCE_PUBLIC \
    (ROLE_BIT(MESH__V1__ROLE__GUEST) | ROLE_BIT(MESH__V1__ROLE__CUSTOMER) | ROLE_BIT(MESH__V1__ROLE__CSR) | \
     ROLE_BIT(MESH__V1__ROLE__WAREHOUSE) | ROLE_BIT(MESH__V1__ROLE__ERP) | ROLE_BIT(MESH__V1__ROLE__OPERATOR) | \
     ROLE_BIT(MESH__V1__ROLE__SERVICE) | ROLE_BIT(MESH__V1__ROLE__ADMIN))

/* --- the methods of InventoryService (spec.c has their table) --- */

/* stock.c */
rpc_unit upsert_location, list_locations, adjust_stock, list_stock;
/* reservations.c */
rpc_batch reserve_stock;
rpc_unit release_stock;
/* availability.c: from Redis, and what is not there from the table */
rpc_gather availability_cached;
rpc_unit availability_stored;
