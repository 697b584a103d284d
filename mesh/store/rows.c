/* Values, and rows as numbers, texts and messages. */
#include "mesh/store/store.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

struct value value_int(int64_t n)
{
    return (struct value){ .type = VALUE_INT, .number = n };
}

struct value value_text(const char *text)
{
    if (!text)
        return (struct value){ .type = VALUE_NULL };
    return (struct value){ .type = VALUE_TEXT, .len = strlen(text), .data = text };
}

/* Bytes that are not there are bytes of length 0: protobuf-c has no other way to say so. */
struct value value_blob(struct bytes b)
{
    return (struct value){ .type = VALUE_BLOB, .len = b.len, .data = b.data ? (const void *)b.data : "" };
}

static const struct value *cell_at(const struct rows *rows, size_t row, size_t column)
{
    assert(row < rows->n && column < rows->columns);
    return &rows->cells[row * rows->columns + column];
}

int64_t row_int(const struct rows *rows, size_t row, size_t column)
{
    const struct value *v = cell_at(rows, row, column);
    return v->type == VALUE_INT ? v->number : 0;
}

const char *row_text(const struct rows *rows, size_t row, size_t column)
{
    const struct value *v = cell_at(rows, row, column);
    return v->type == VALUE_TEXT ? v->data : "";
}

struct bytes row_blob(const struct rows *rows, size_t row, size_t column)
{
    const struct value *v = cell_at(rows, row, column);
    if (v->type != VALUE_BLOB)
        return (struct bytes){ 0 };
    return (struct bytes){ .data = v->data, .len = v->len };
}

bool row_null(const struct rows *rows, size_t row, size_t column)
{
    return cell_at(rows, row, column)->type == VALUE_NULL;
}

static int set_number(const ProtobufCFieldDescriptor *field, void *member, int64_t n)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        *(int64_t *)member = n;
        return 0;
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        *(uint64_t *)member = (uint64_t)n;
        return n < 0 ? -EINVAL : 0;
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_ENUM:
        *(int32_t *)member = (int32_t)n;
        return n < INT32_MIN || n > INT32_MAX ? -EINVAL : 0;
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        *(uint32_t *)member = (uint32_t)n;
        return n < 0 || n > UINT32_MAX ? -EINVAL : 0;
    case PROTOBUF_C_TYPE_BOOL:
        *(protobuf_c_boolean *)member = n != 0;
        return 0;
    default:
        return -EINVAL;
    }
}

static int set_field(const ProtobufCFieldDescriptor *field, void *member, const struct value *v)
{
    if (v->type == VALUE_INT)
        return set_number(field, member, v->number);
    if (v->type == VALUE_TEXT && field->type == PROTOBUF_C_TYPE_STRING) {
        *(const char **)member = v->data;
        return 0;
    }
    if (v->type == VALUE_BLOB && field->type == PROTOBUF_C_TYPE_BYTES) {
        *(ProtobufCBinaryData *)member = (ProtobufCBinaryData){ .len = v->len, .data = (uint8_t *)v->data };
        return 0;
    }
    return -EINVAL;
}

/* Null leaves a field as it is. A member of a oneof is chosen by being set. */
int row_message(const struct rows *rows, size_t row, ProtobufCMessage *message)
{
    for (size_t i = 0; i < rows->columns; i++) {
        const struct value *v = cell_at(rows, row, i);
        const ProtobufCFieldDescriptor *field =
            protobuf_c_message_descriptor_get_field_by_name(message->descriptor, rows->names[i]);
        if (!field || field->label == PROTOBUF_C_LABEL_REPEATED)
            return -EINVAL;
        if (v->type == VALUE_NULL)
            continue;
        int r = set_field(field, (char *)message + field->offset, v);
        if (r < 0)
            return r;
        if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
            *(uint32_t *)((char *)message + field->quantifier_offset) = field->id;
    }
    return 0;
}
