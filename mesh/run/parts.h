/* The parts of a service that only the runtime itself sees, and the services that every process serves. */
#pragma once

#include "mesh/service.h"

struct leases;
struct relay;
struct consumers;

struct leases *service_leases(struct service *service);
struct relay *service_relay(struct service *service);
struct consumers *service_consumers(struct service *service);

extern const struct rpc_service admin_service; /* operate.c: mesh.v1.AdminService */

/* backup.c */
rpc_gather backup_prepare;
rpc_page backup_page;
