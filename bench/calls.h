/* Calls of a benchmark through C core's client, from one completion queue: all on this thread, over mutual TLS. */
#pragma once

#include "bench/machine.h"

#include <grpc/grpc.h>
#include <protobuf-c/protobuf-c.h>

#define CALLS_CHANNELS 8

struct calls;

/* One call after another; zeroed before the first, forgotten after the last. */
struct slot {
    int channel; /* 0 to CALLS_CHANNELS - 1 */
    grpc_call *call;
    grpc_metadata_array initial, trailing;
    grpc_byte_buffer *received;
    grpc_status_code status;
    grpc_slice message;
};

/* To svc-inventory with the certificate of a process in the directory. */
struct calls *calls_open(const char *dir, const struct server *server, const char *process);
void calls_close(struct calls *calls);
/* caller: on whose behalf, such as "30;erp", only for the gateway; NULL: for itself. */
void calls_start(struct calls *calls, struct slot *slot, const char *method, const char *caller,
                 const ProtobufCMessage *request);
int calls_in_flight(const struct calls *calls);
/* Waits for the next one that is answered; its reply (NULL: it failed, and the first failure is told), to be freed with
 * protobuf_c_message_free_unpacked. The slot is free again. */
struct slot *calls_next(struct calls *calls, const ProtobufCMessageDescriptor *type, ProtobufCMessage **ret_reply);
void slot_forget(struct slot *slot);
/* One call by the gateway; exits when it fails. */
ProtobufCMessage *calls_ask(const char *dir, const struct server *server, const char *caller, const char *method,
                            const ProtobufCMessage *request, const ProtobufCMessageDescriptor *reply);
