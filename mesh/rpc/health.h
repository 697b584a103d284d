/* grpc.health.v1 as bytes in, bytes out; whoever has a transport serves it (mesh/rpc/builtin.c, the gateway). */
#pragma once

#include "mesh/rpc/rpc.h"

/* The numbers of grpc.health.v1.HealthCheckResponse.ServingStatus. */
enum health { HEALTH_UNKNOWN, HEALTH_SERVING, HEALTH_NOT_SERVING, HEALTH_SERVICE_UNKNOWN };

/* How a service of that name is; "" is the process as a whole. */
typedef enum health health_of(void *arg, const char *service);

/* The service that a HealthCheckRequest asks for, in the arena; NULL if the bytes are no such message. */
const char *health_service(struct arena *arena, struct bytes request);
/* A HealthCheckResponse in the arena. */
struct bytes health_reply(struct arena *arena, enum health health);
/* Check whole: OK with the reply, NOT_FOUND for a service that is not here, INVALID_ARGUMENT. */
enum rpc_code health_check(struct arena *arena, struct bytes request, health_of *of, void *arg,
                           struct bytes *ret_reply);
