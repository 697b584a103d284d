#include "bench/calls.h"

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc_security.h>
#include <stdbool.h>
#include <stdlib.h>

#define DEADLINE_S 30

struct calls {
    grpc_completion_queue *queue;
    grpc_channel *channels[CALLS_CHANNELS];
    int in_flight;
    bool told;
};

static grpc_channel *open_channel(const char *dir, const struct server *server, const char *process)
{
    char target[64], name[64];
    snprintf(name, sizeof(name), "%s.pem", process);
    char *ca = read_in(dir, "ca.pem"), *cert = read_in(dir, name);
    snprintf(name, sizeof(name), "%s.key", process);
    char *key = read_in(dir, name);
    grpc_ssl_pem_key_cert_pair pair = { key, cert };
    grpc_channel_credentials *tls = grpc_ssl_credentials_create_ex(ca, &pair, NULL, NULL);
    grpc_arg args[] = {
        { GRPC_ARG_STRING, (char *)GRPC_SSL_TARGET_NAME_OVERRIDE_ARG, .value.string = (char *)"svc-inventory" },
        { GRPC_ARG_INTEGER, (char *)GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, .value.integer = 1 },
        { GRPC_ARG_INTEGER, (char *)GRPC_ARG_ENABLE_RETRIES, .value.integer = 0 },
        { GRPC_ARG_INTEGER, (char *)"grpc.compression_enabled_algorithms_bitset", .value.integer = 1 },
    };
    snprintf(target, sizeof(target), "ipv4:127.0.0.1:%d", server->port);
    grpc_channel *channel = grpc_channel_create(target, tls, &(grpc_channel_args){ 4, args });
    grpc_channel_credentials_release(tls);
    free(ca);
    free(cert);
    free(key);
    return channel;
}

struct calls *calls_open(const char *dir, const struct server *server, const char *process)
{
    struct calls *calls = calloc(1, sizeof(*calls));
    calls->queue = grpc_completion_queue_create_for_next(NULL);
    for (int i = 0; i < CALLS_CHANNELS; i++)
        calls->channels[i] = open_channel(dir, server, process);
    return calls;
}

void calls_close(struct calls *calls)
{
    for (int i = 0; i < CALLS_CHANNELS; i++)
        grpc_channel_destroy(calls->channels[i]);
    grpc_completion_queue_shutdown(calls->queue);
    while (grpc_completion_queue_next(calls->queue, gpr_inf_future(GPR_CLOCK_REALTIME), NULL).type !=
           GRPC_QUEUE_SHUTDOWN)
        ;
    grpc_completion_queue_destroy(calls->queue);
    free(calls);
}

static grpc_byte_buffer *buffer_of(const ProtobufCMessage *message)
{
    grpc_slice slice = grpc_slice_malloc(protobuf_c_message_get_packed_size(message));
    protobuf_c_message_pack(message, GRPC_SLICE_START_PTR(slice));
    grpc_byte_buffer *buffer = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
    return buffer;
}

void calls_start(struct calls *calls, struct slot *slot, const char *method, const char *caller,
                 const ProtobufCMessage *request)
{
    grpc_metadata metadata = { .key = grpc_slice_from_static_string("x-mesh-caller"),
                               .value = grpc_slice_from_copied_string(caller ? caller : "") };
    gpr_timespec deadline = gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_seconds(DEADLINE_S, GPR_TIMESPAN));
    grpc_byte_buffer *buffer = buffer_of(request);
    slot->call = grpc_channel_create_call(calls->channels[slot->channel], NULL, GRPC_PROPAGATE_DEFAULTS, calls->queue,
                                          grpc_slice_from_static_string(method), NULL, deadline, NULL);
    slot->initial.count = slot->trailing.count = 0;
    slot->received = NULL;
    grpc_op ops[] = {
        { .op = GRPC_OP_SEND_INITIAL_METADATA, .data.send_initial_metadata = { caller ? 1 : 0, &metadata, { 0 } } },
        { .op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = buffer },
        { .op = GRPC_OP_SEND_CLOSE_FROM_CLIENT },
        { .op = GRPC_OP_RECV_INITIAL_METADATA, .data.recv_initial_metadata.recv_initial_metadata = &slot->initial },
        { .op = GRPC_OP_RECV_MESSAGE, .data.recv_message.recv_message = &slot->received },
        { .op = GRPC_OP_RECV_STATUS_ON_CLIENT,
          .data.recv_status_on_client = { &slot->trailing, &slot->status, &slot->message, NULL } },
    };
    grpc_call_start_batch(slot->call, ops, 6, slot, NULL);
    grpc_byte_buffer_destroy(buffer);
    grpc_slice_unref(metadata.value);
    calls->in_flight++;
}

int calls_in_flight(const struct calls *calls)
{
    return calls->in_flight;
}

static ProtobufCMessage *message_of(grpc_byte_buffer *buffer, const ProtobufCMessageDescriptor *type)
{
    grpc_byte_buffer_reader reader;
    if (!buffer || !grpc_byte_buffer_reader_init(&reader, buffer))
        return NULL;
    grpc_slice slice = grpc_byte_buffer_reader_readall(&reader);
    ProtobufCMessage *message =
        protobuf_c_message_unpack(type, NULL, GRPC_SLICE_LENGTH(slice), GRPC_SLICE_START_PTR(slice));
    grpc_slice_unref(slice);
    grpc_byte_buffer_reader_destroy(&reader);
    return message;
}

struct slot *calls_next(struct calls *calls, const ProtobufCMessageDescriptor *type, ProtobufCMessage **ret_reply)
{
    struct slot *slot = grpc_completion_queue_next(calls->queue, gpr_inf_future(GPR_CLOCK_REALTIME), NULL).tag;
    *ret_reply = slot->status == GRPC_STATUS_OK ? message_of(slot->received, type) : NULL;
    if (!*ret_reply && !calls->told) {
        calls->told = true;
        fprintf(stderr, "a call failed: %.*s\n", (int)GRPC_SLICE_LENGTH(slot->message),
                (const char *)GRPC_SLICE_START_PTR(slot->message));
    }
    if (slot->received)
        grpc_byte_buffer_destroy(slot->received);
    grpc_slice_unref(slot->message);
    grpc_call_unref(slot->call);
    calls->in_flight--;
    return slot;
}

void slot_forget(struct slot *slot)
{
    grpc_metadata_array_destroy(&slot->initial);
    grpc_metadata_array_destroy(&slot->trailing);
}

ProtobufCMessage *calls_ask(const char *dir, const struct server *server, const char *caller, const char *method,
                            const ProtobufCMessage *request, const ProtobufCMessageDescriptor *reply)
{
    struct calls *calls = calls_open(dir, server, "gateway");
    struct slot slot = { 0 };
    ProtobufCMessage *message;
    calls_start(calls, &slot, method, caller, request);
    calls_next(calls, reply, &message);
    slot_forget(&slot);
    calls_close(calls);
    if (!message)
        exit(EXIT_FAILURE);
    return message;
}
