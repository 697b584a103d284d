/* The message types of a schema, compiled for walking wire bytes: what schema.c, rules.c and json.c share. */
#pragma once

#include "mesh/rpc/schema.h"

/* FieldDescriptorProto's TYPE_…, by the names that the .proto files use. */
enum field_type {
    TYPE_DOUBLE = 1,
    TYPE_FLOAT,
    TYPE_INT64,
    TYPE_UINT64,
    TYPE_INT32,
    TYPE_FIXED64,
    TYPE_FIXED32,
    TYPE_BOOL,
    TYPE_STRING,
    TYPE_GROUP,
    TYPE_MESSAGE,
    TYPE_BYTES,
    TYPE_UINT32,
    TYPE_ENUM,
    TYPE_SFIXED32,
    TYPE_SFIXED64,
    TYPE_SINT32,
    TYPE_SINT64,
};

struct schema_field {
    const char *name, *json_name;
    uint32_t number;
    enum field_type type;
    bool repeated;
    int oneof;                                               /* which one of its message, -1: none */
    const struct schema_message *message;                    /* TYPE_MESSAGE */
    const Google__Protobuf__EnumDescriptorProto *enumerated; /* TYPE_ENUM */
    /* mesh.v1.FieldRule with its defaults filled in. */
    bool required, ranged, apart;
    uint32_t max_length, max_items;
    int64_t min, max;
};

#define MESSAGE_FIELDS_MAX 128

/* For tables by name (FNV-1a, its halves folded). */
static inline uint64_t name_hash(const char *name, size_t len)
{
    uint64_t h = 0xcbf29ce484222325;
    for (size_t i = 0; i < len; i++)
        h = (h ^ (uint8_t)name[i]) * 0x100000001b3;
    return h ^ h >> 32;
}

struct schema_message {
    const char *name; /* "oms.order.v1.Order" */
    bool map_entry;
    size_t n_fields;
    struct schema_field *fields; /* by number */
};

/* NULL: no such field. *hint makes it quick when fields come in order; start with 0. */
static inline const struct schema_field *message_field(const struct schema_message *type, uint32_t number, size_t *hint)
{
    size_t at = *hint;
    for (size_t i = 0; i < type->n_fields; i++, at++) {
        if (at >= type->n_fields)
            at = 0;
        if (type->fields[at].number != number)
            continue;
        *hint = at;
        return &type->fields[at];
    }
    return NULL;
}

/* Whether values of the type are varints, 4 or 8 bytes, or counted bytes; those that are not can be packed. */
static inline int type_wire(enum field_type type)
{
    switch (type) {
    case TYPE_DOUBLE:
    case TYPE_FIXED64:
    case TYPE_SFIXED64:
        return 1;
    case TYPE_FLOAT:
    case TYPE_FIXED32:
    case TYPE_SFIXED32:
        return 5;
    case TYPE_STRING:
    case TYPE_BYTES:
    case TYPE_MESSAGE:
    case TYPE_GROUP:
        return 2;
    default:
        return 0;
    }
}
