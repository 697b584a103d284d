/* The field rules of the API, checked on the wire bytes of a request in one walk. */
#include "mesh/rpc/call.h"
#include "mesh/rpc/types.h"
#include "mesh/rpc/wire.h"

#include <inttypes.h>
#include <stdio.h>

#define DEPTH_MAX 32
#define PATH_MAX_ 200
/* Of an item that is judged apart: its error's texts, and where they stand. */
#define SPOILED_BUDGET 1024

/* Where the walk stands: a chain on the stack, written out only when something is wrong, as from an item that is judged
 * apart on. */
struct place {
    const struct place *up;
    const struct schema_field *field;
    uint32_t index;
    unsigned depth;
};

static size_t write_path(const struct place *place, char *path, size_t size)
{
    size_t at = place->up ? write_path(place->up, path, size) : 0;
    if (!place->field || place->field->apart || at + 1 >= size)
        return at;
    int n = place->field->repeated
                ? snprintf(path + at, size - at, "%s%s[%u]", at ? "." : "", place->field->name, place->index)
                : snprintf(path + at, size - at, "%s%s", at ? "." : "", place->field->name);
    return (size_t)n < size - at ? at + (size_t)n : size - 1;
}

static int malformed(struct rpc_call *call)
{
    return rpc_fail(call, RPC_INVALID_ARGUMENT, "MALFORMED_REQUEST", "the request is not a message of its type");
}

#define fail_at(call, place, reason, format, ...) \
    ({ \
        char path_[PATH_MAX_]; \
        write_path(place, path_, sizeof(path_)); \
        rpc_fail_field(call, path_, reason, format __VA_OPT__(, ) __VA_ARGS__); \
    })

static int check_text(struct rpc_call *call, const struct place *place, struct bytes text)
{
    const struct schema_field *field = place->field;
    if (text.len > field->max_length)
        return fail_at(call, place, "FIELD_TOO_LONG", "%zu bytes, of which %u are allowed", text.len,
                       field->max_length);
    if (field->type == TYPE_BYTES || text.len == 0)
        return 0;
    if (memchr(text.data, '\0', text.len))
        return fail_at(call, place, "STRING_HAS_NUL", "a text must not contain NUL");
    if (!utf8_valid(text))
        return fail_at(call, place, "INVALID_UTF8", "a text must be valid UTF-8");
    return 0;
}

static bool in_range(const struct schema_field *field, uint64_t value)
{
    switch (field->type) {
    case TYPE_UINT64:
    case TYPE_FIXED64:
        return value >= (field->min > 0 ? (uint64_t)field->min : 0) && field->max >= 0 && value <= (uint64_t)field->max;
    case TYPE_UINT32:
    case TYPE_FIXED32:
        return (int64_t)(uint32_t)value >= field->min && (int64_t)(uint32_t)value <= field->max;
    case TYPE_SINT32:
    case TYPE_SINT64:
        value = value >> 1 ^ (0 - (value & 1));
        return (int64_t)value >= field->min && (int64_t)value <= field->max;
    case TYPE_INT32:
    case TYPE_SFIXED32:
    case TYPE_ENUM:
        return (int32_t)value >= field->min && (int32_t)value <= field->max;
    case TYPE_INT64:
    case TYPE_SFIXED64:
        return (int64_t)value >= field->min && (int64_t)value <= field->max;
    default:
        return true;
    }
}

static int check_number(struct rpc_call *call, const struct place *place, uint64_t value)
{
    const struct schema_field *field = place->field;
    if (field->ranged && !in_range(field, value))
        return fail_at(call, place, "OUT_OF_RANGE", "must be between %" PRId64 " and %" PRId64, field->min, field->max);
    return 0;
}

static int check_count(struct rpc_call *call, const struct place *place)
{
    if (!place->field->repeated || place->index < place->field->max_items)
        return 0;
    const struct place whole = { .up = place->up, .field = &(struct schema_field){ .name = place->field->name } };
    return fail_at(call, &whole, "TOO_MANY_ITEMS", "at most %u are allowed", place->field->max_items);
}

static int check_packed(struct rpc_call *call, struct place *place, struct bytes in)
{
    int wire = type_wire(place->field->type);
    while (in.len > 0) {
        uint64_t value;
        bool good =
            wire == WIRE_VARINT ? wire_varint(&in, &value) : wire_fixed(&in, wire == WIRE_FIXED64 ? 8 : 4, &value);
        if (!good)
            return malformed(call);
        int r = check_count(call, place);
        if (r == 0)
            r = check_number(call, place, value);
        if (r < 0)
            return r;
        place->index++;
    }
    return 0;
}

static int check_message(struct rpc_call *call, const struct schema_message *type, struct bytes in,
                         const struct place *up);

/* What is wrong is kept for the method, and the walk goes on. */
static int set_apart(struct rpc_call *call, const struct place *place)
{
    call->arena.budget += SPOILED_BUDGET;
    struct spoiled *spoiled = arena_alloc(&call->arena, sizeof(*spoiled));
    if (!spoiled || rpc_refused(call, &spoiled->refusal) < 0)
        return -ENOMEM;
    spoiled->index = place->index;
    spoiled->next = call->spoiled;
    call->spoiled = spoiled;
    return 0;
}

/* One value; *seen counts those that the field has had, or for singular ones whether the last was worth anything. */
static int check_value(struct rpc_call *call, struct place *place, const struct wire_field *value, uint32_t *seen)
{
    const struct schema_field *field = place->field;
    int wire = type_wire(field->type), r;
    if (field->repeated && wire != WIRE_BYTES && value->type == WIRE_BYTES) {
        r = check_packed(call, place, value->data);
        *seen = place->index;
        return r;
    }
    if ((int)value->type != wire)
        return malformed(call);
    r = check_count(call, place);
    if (r < 0)
        return r;

    if (field->type == TYPE_MESSAGE) {
        if (!field->repeated && *seen > 0)
            return malformed(call);
        r = check_message(call, field->message, value->data, place);
        if (r == -EPROTO && field->apart)
            r = set_apart(call, place);
    } else if (wire == WIRE_BYTES) {
        r = check_text(call, place, value->data);
    } else {
        r = check_number(call, place, value->value);
    }
    bool worth = field->type == TYPE_MESSAGE || (wire == WIRE_BYTES ? value->data.len > 0 : value->value != 0);
    *seen = field->repeated ? *seen + 1 : worth;
    return r;
}

/* What never came is 0 or empty, and must be allowed to be. */
static int check_absent(struct rpc_call *call, const struct schema_message *type, const uint32_t *seen,
                        const struct place *up)
{
    for (size_t i = 0; i < type->n_fields; i++) {
        const struct schema_field *field = &type->fields[i];
        if (seen[i] > 0 || field->oneof >= 0 || (!field->required && (!field->ranged || field->repeated)))
            continue;
        const struct schema_field single = { .name = field->name };
        const struct place place = { .up = up, .field = &single };
        if (field->required)
            return fail_at(call, &place, "FIELD_REQUIRED", "must be given");
        if (!in_range(field, 0))
            return fail_at(call, &place, "OUT_OF_RANGE", "must be between %" PRId64 " and %" PRId64, field->min,
                           field->max);
    }
    return 0;
}

static int check_message(struct rpc_call *call, const struct schema_message *type, struct bytes in,
                         const struct place *up)
{
    uint32_t seen[MESSAGE_FIELDS_MAX];
    struct place place = { .up = up, .depth = up ? up->depth + 1 : 0 };
    struct wire_field value = { 0 };
    size_t hint = 0;

    if (place.depth > DEPTH_MAX)
        return malformed(call);
    memset(seen, 0, type->n_fields * sizeof(*seen));
    while (in.len > 0) {
        if (!wire_next(&in, &value))
            return malformed(call);
        place.field = message_field(type, value.number, &hint);
        if (!place.field)
            continue;
        place.index = place.field->repeated ? seen[hint] : 0;
        int r = check_value(call, &place, &value, &seen[hint]);
        if (r < 0)
            return r;
    }
    return check_absent(call, type, seen, up);
}

int schema_check(struct rpc_call *call, const struct schema_message *type, struct bytes message)
{
    return check_message(call, type, message, NULL);
}

int schema_judge(struct arena *arena, const struct schema_message *type, struct bytes message,
                 struct rpc_status *ret_status)
{
    struct rpc_call call = { 0 };
    int r = schema_check(&call, type, message);
    if (r < 0)
        *ret_status = error_status(arena, &call.error);
    return r;
}
