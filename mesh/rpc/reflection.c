/* What grpc.reflection says, without a transport. */
#include "mesh/rpc/reflection.h"

#include "grpc/reflection/v1/reflection.pb-c.h"

#include <string.h>

typedef Grpc__Reflection__V1__ServerReflectionRequest Request;
typedef Grpc__Reflection__V1__ServerReflectionResponse Response;
typedef Grpc__Reflection__V1__FileDescriptorResponse Files;
typedef Grpc__Reflection__V1__ListServiceResponse List;
typedef Grpc__Reflection__V1__ServiceResponse Service;
typedef Grpc__Reflection__V1__ErrorResponse Error;

static bool refuse(struct arena *arena, Response *reply, enum rpc_code code, const char *message)
{
    Error *error = arena_alloc(arena, sizeof(*error));
    if (!error)
        return false;
    grpc__reflection__v1__error_response__init(error);
    error->error_code = (int32_t)code;
    error->error_message = (char *)message;
    reply->message_response_case = GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_ERROR_RESPONSE;
    reply->error_response = error;
    return true;
}

static bool tell_file(struct arena *arena, Response *reply, bool found, struct bytes file)
{
    if (!found)
        return refuse(arena, reply, RPC_NOT_FOUND, "no such file or symbol");

    Files *files = arena_alloc(arena, sizeof(*files));
    ProtobufCBinaryData *data = arena_alloc(arena, sizeof(*data));
    if (!files || !data)
        return false;
    grpc__reflection__v1__file_descriptor_response__init(files);
    *data = (ProtobufCBinaryData){ file.len, (uint8_t *)file.data };
    files->n_file_descriptor_proto = 1;
    files->file_descriptor_proto = data;
    reply->message_response_case =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_FILE_DESCRIPTOR_RESPONSE;
    reply->file_descriptor_response = files;
    return true;
}

static bool tell_services(const struct reflection *reflection, struct arena *arena, Response *reply)
{
    size_t n = 0;
    while (reflection->services[n])
        n++;

    List *list = arena_alloc(arena, sizeof(*list));
    Service *services = arena_alloc(arena, n * sizeof(*services));
    Service **pointers = arena_alloc(arena, n * sizeof(Service *));
    if (!list || !services || !pointers)
        return false;
    for (size_t i = 0; i < n; i++) {
        grpc__reflection__v1__service_response__init(&services[i]);
        services[i].name = (char *)reflection->services[i];
        pointers[i] = &services[i];
    }
    grpc__reflection__v1__list_service_response__init(list);
    list->n_service = n;
    list->service = pointers;
    reply->message_response_case =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_LIST_SERVICES_RESPONSE;
    reply->list_services_response = list;
    return true;
}

static bool answer(const struct reflection *reflection, struct arena *arena, const Request *request, Response *reply)
{
    struct bytes file = { 0 };
    bool found;

    switch (request->message_request_case) {
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_BY_FILENAME:
        found = schema_file_by_name(reflection->schema, request->file_by_filename, &file);
        return tell_file(arena, reply, found, file);
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_CONTAINING_SYMBOL:
        found = schema_file_of_symbol(reflection->schema, request->file_containing_symbol, &file);
        return tell_file(arena, reply, found, file);
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_LIST_SERVICES:
        return tell_services(reflection, arena, reply);
    default:
        return refuse(arena, reply, RPC_UNIMPLEMENTED, "extensions are not indexed here");
    }
}

bool reflection_answer(const struct reflection *reflection, struct arena *arena, struct bytes request,
                       struct bytes *ret_reply)
{
    ProtobufCAllocator allocator = arena_protobuf(arena);
    Request *decoded = grpc__reflection__v1__server_reflection_request__unpack(&allocator, request.len, request.data);
    if (!decoded)
        return false;

    Response reply = GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__INIT;
    reply.valid_host = decoded->host;
    reply.original_request = decoded;
    if (!answer(reflection, arena, decoded, &reply))
        return false;
    struct bytes packed = arena_pack(arena, &reply.base);
    if (!packed.data)
        return false;
    *ret_reply = packed;
    return true;
}
