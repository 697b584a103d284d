/* The API as data: the embedded descriptor set of all protos, read once at start. Gateway, services, reflection and
 * omsctl read rules and types from here, so that they cannot disagree. Immutable after schema_open; any lane. */
#pragma once

#include "mesh/rpc/rpc.h"

#include "google/protobuf/descriptor.pb-c.h"

struct schema;
struct schema_message; /* a message type (mesh/rpc/types.h) */

/* allow of what anybody may call, proven or not: grpc.health.* and grpc.reflection.*. */
#define SCHEMA_PUBLIC UINT32_MAX

struct schema_method {
    const char *full_name;      /* "/oms.order.v1.OrderService/PlaceOrder" */
    const char *service;        /* "oms.order.v1.OrderService" */
    const char *name;           /* "PlaceOrder" */
    const char *input, *output; /* "oms.order.v1.PlaceOrderRequest" */
    bool client_streaming, server_streaming;
    uint32_t allow; /* role bits; 0: nobody (a method without a rule); SCHEMA_PUBLIC */
    bool mutates, idempotent;
    const char *owner, *undoes; /* NULL: none */
    size_t max_request_bytes;
    /* google.api.http: "GET" or "POST" with the body "*", and the template of the path; NULL: not over plain HTTP. */
    const char *http_verb, *http_path;
};

/* The set compiled into this binary (protos/meson.build); aborts if it is broken, as nothing could be trusted then. */
const struct schema *schema_builtin(void);
/* Any FileDescriptorSet, as reflection gives it. NULL if it does not decode or names are missing. */
struct schema *schema_open(struct bytes file_descriptor_set);
void schema_close(struct schema *schema);

const struct schema_method *schema_method(const struct schema *schema, const char *full_name,
                                          size_t len); /* NULL: unknown */
size_t schema_methods(const struct schema *schema, const struct schema_method **ret_first);
/* The file that declares a symbol or has a name, as packed FileDescriptorProto; false: unknown. For reflection. */
bool schema_file_of_symbol(const struct schema *schema, const char *symbol, struct bytes *ret_file);
bool schema_file_by_name(const struct schema *schema, const char *name, struct bytes *ret_file);
const Google__Protobuf__FileDescriptorSet *schema_set(const struct schema *schema);

const struct schema_message *schema_message(const struct schema *schema, const char *name); /* NULL: unknown */
/* Checks packed bytes against the field rules of the type, before they are unpacked: protobuf-c would cut strings at a
 * NUL and take invalid UTF-8. Well-formed, at most 32 levels deep, strings valid and within their lengths, repeated
 * fields within their counts, required ones there, integers in range; a singular message given twice is refused, as
 * merging would double what its rules allow. 0, or rpc_fail_field of the call with the path. */
int schema_check(struct rpc_call *call, const struct schema_message *type, struct bytes message);
/* The same for who has no call: 0, or -EPROTO with the status to answer with, in the arena. */
int schema_judge(struct arena *arena, const struct schema_message *type, struct bytes message,
                 struct rpc_status *ret_status);

/* --- JSON (https://protobuf.dev/programming-guides/json) for any message type of a schema --- */
struct json_t;
/* A message as JSON: lowerCamelCase names, 64-bit integers as strings, enums by name, bytes in base64. Any and
 * well-known Duration, Timestamp are written their own way. NULL with *ret_error on malformed bytes. */
struct json_t *schema_to_json(const struct schema *schema, const char *type, struct bytes message, char **ret_error);
/* JSON to wire bytes on the heap (free ret_message->data). Both name styles are read. 0 or -EINVAL with *ret_error,
 * a sentence naming the path, on the heap. */
int schema_from_json(const struct schema *schema, const char *type, const struct json_t *json,
                     struct bytes *ret_message, char **ret_error);
#define JSON_PATH_MAX 256
/* And the path by itself; "" if it is none of a field. */
int schema_from_json_at(const struct schema *schema, const char *type, const struct json_t *json,
                        struct bytes *ret_message, char ret_path[JSON_PATH_MAX], char **ret_error);
