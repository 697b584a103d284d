/* What grpc.health.v1 says, without a transport. */
#include "mesh/rpc/health.h"

#include "grpc/health/v1/health.pb-c.h"

const char *health_service(struct arena *arena, struct bytes request)
{
    ProtobufCAllocator allocator = arena_protobuf(arena);
    Grpc__Health__V1__HealthCheckRequest *decoded =
        grpc__health__v1__health_check_request__unpack(&allocator, request.len, request.data);
    return decoded ? decoded->service : NULL;
}

struct bytes health_reply(struct arena *arena, enum health health)
{
    Grpc__Health__V1__HealthCheckResponse reply = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
    reply.status = (Grpc__Health__V1__HealthCheckResponse__ServingStatus)health;
    return arena_pack(arena, &reply.base);
}

enum rpc_code health_check(struct arena *arena, struct bytes request, health_of *of, void *arg, struct bytes *ret_reply)
{
    const char *service = health_service(arena, request);
    if (!service)
        return RPC_INVALID_ARGUMENT;

    enum health health = of(arg, service);
    if (health == HEALTH_SERVICE_UNKNOWN)
        return RPC_NOT_FOUND;
    *ret_reply = health_reply(arena, health);
    return RPC_OK;
}
