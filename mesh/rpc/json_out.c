/* Wire bytes to JSON, by the types of a schema. */
#include "mesh/rpc/json.h"
#include "mesh/rpc/known.h"
#include "mesh/rpc/wire.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

size_t json_enter(struct json_walk *w, const char *name, size_t i)
{
    size_t at = w->at, room = sizeof(w->path) - at;
    int n = name ? snprintf(w->path + at, room, "%s%s", at ? "." : "", name) : snprintf(w->path + at, room, "[%zu]", i);
    w->at += (size_t)n < room ? (size_t)n : room - 1;
    return at;
}

void json_leave(struct json_walk *w, size_t at)
{
    w->at = at;
    w->path[at] = '\0';
}

void json_fail(struct json_walk *w, const char *format, ...)
{
    char *sentence = NULL;
    va_list args;
    if (w->error)
        return;
    va_start(args, format);
    int n = vasprintf(&sentence, format, args);
    va_end(args);
    if (n < 0 || asprintf(&w->error, "%s%s%s", w->path, w->at ? ": " : "", sentence) < 0)
        abort();
    memcpy(w->where, w->path, w->at + 1);
    free(sentence);
}

const struct schema_message *json_any_type(const struct json_walk *w, const char *url)
{
    const char *slash = strrchr(url, '/');
    return slash ? schema_message(w->schema, slash + 1) : NULL;
}

enum json_known json_known(const struct schema_message *type)
{
    static const char package[] = "google.protobuf.";
    if (strncmp(type->name, package, sizeof(package) - 1) != 0)
        return JSON_PLAIN;
    const char *name = type->name + sizeof(package) - 1;
    return strcmp(name, "Any") == 0         ? JSON_ANY
           : strcmp(name, "Duration") == 0  ? JSON_DURATION
           : strcmp(name, "Timestamp") == 0 ? JSON_TIMESTAMP
                                            : JSON_PLAIN;
}

const char *json_enum_name(const struct schema_field *field, int32_t number)
{
    for (size_t i = 0; i < field->enumerated->n_value; i++)
        if (field->enumerated->value[i]->number == number)
            return field->enumerated->value[i]->name;
    return NULL;
}

static json_t *write_message(struct json_walk *w, const struct schema_message *type, struct bytes in);

static json_t *write_real(double value)
{
    if (isnan(value))
        return json_string("NaN");
    return isinf(value) ? json_string(value > 0 ? "Infinity" : "-Infinity") : json_real(value);
}

static json_t *write_signed(int64_t value)
{
    char text[24];
    snprintf(text, sizeof(text), "%" PRId64, value);
    return json_string(text);
}

static json_t *write_unsigned(uint64_t value)
{
    char text[24];
    snprintf(text, sizeof(text), "%" PRIu64, value);
    return json_string(text);
}

static json_t *write_enum(const struct schema_field *field, int32_t number)
{
    const char *name = json_enum_name(field, number);
    return name ? json_string(name) : json_integer(number);
}

static json_t *write_number(const struct schema_field *field, uint64_t value)
{
    float single;
    double real;
    uint32_t low = (uint32_t)value;
    int64_t zigzag = (int64_t)(value >> 1 ^ (0 - (value & 1)));
    switch (field->type) {
    case TYPE_FLOAT:
        memcpy(&single, &low, sizeof(single));
        return write_real(single);
    case TYPE_DOUBLE:
        memcpy(&real, &value, sizeof(real));
        return write_real(real);
    case TYPE_BOOL:
        return json_boolean(value != 0);
    case TYPE_ENUM:
        return write_enum(field, (int32_t)value);
    case TYPE_INT32:
    case TYPE_SFIXED32:
        return json_integer((int32_t)value);
    case TYPE_SINT32:
        return json_integer((int32_t)zigzag);
    case TYPE_UINT32:
    case TYPE_FIXED32:
        return json_integer(low);
    case TYPE_UINT64:
    case TYPE_FIXED64:
        return write_unsigned(value);
    case TYPE_SINT64:
        return write_signed(zigzag);
    default:
        return write_signed((int64_t)value);
    }
}

static json_t *write_bytes(struct bytes data)
{
    char *text = known_base64_format(data);
    json_t *json = text ? json_string(text) : NULL;
    free(text);
    return json;
}

static json_t *write_value(struct json_walk *w, const struct schema_field *field, const struct wire_field *value)
{
    if (field->type == TYPE_MESSAGE)
        return write_message(w, field->message, value->data);
    if (field->type == TYPE_BYTES)
        return write_bytes(value->data);
    if (field->type != TYPE_STRING)
        return write_number(field, value->value);
    const char *data = value->data.len > 0 ? (const char *)value->data.data : "";
    json_t *text = json_stringn(data, value->data.len);
    if (!text)
        json_fail(w, "is not valid UTF-8");
    return text;
}

static bool write_packed(struct json_walk *w, const struct schema_field *field, struct bytes in, json_t *array)
{
    int wire = type_wire(field->type);
    while (in.len > 0) {
        uint64_t value;
        bool good =
            wire == WIRE_VARINT ? wire_varint(&in, &value) : wire_fixed(&in, wire == WIRE_FIXED64 ? 8 : 4, &value);
        if (!good || json_array_append_new(array, write_number(field, value)) < 0) {
            json_fail(w, "is malformed");
            return false;
        }
    }
    return true;
}

/* A map's entry: what is absent is the zero of its type. */
static bool write_entry(struct json_walk *w, const struct schema_message *type, struct bytes in, json_t *object)
{
    struct wire_field given[2] = { 0 }, value;
    while (in.len > 0) {
        if (!wire_next(&in, &value)) {
            json_fail(w, "is malformed");
            return false;
        }
        if (value.number == 1 || value.number == 2)
            given[value.number - 1] = value;
    }
    if (type->n_fields != 2 || (given[0].number && (int)given[0].type != type_wire(type->fields[0].type)) ||
        (given[1].number && (int)given[1].type != type_wire(type->fields[1].type))) {
        json_fail(w, "is malformed");
        return false;
    }
    json_t *key = write_value(w, &type->fields[0], &given[0]);
    json_t *to = write_value(w, &type->fields[1], &given[1]);
    char number[24], *name = number;
    if (json_is_integer(key))
        snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT, json_integer_value(key));
    else
        name = json_is_string(key) ? (char *)json_string_value(key) : (char *)(json_is_true(key) ? "true" : "false");
    bool good = key && to && json_object_set(object, name, to) == 0;
    json_decref(key);
    json_decref(to);
    return good;
}

static bool write_repeated(struct json_walk *w, const struct schema_field *field, const struct wire_field *value,
                           json_t *object)
{
    bool map = field->message && field->message->map_entry;
    json_t *all = json_object_get(object, field->json_name);
    if (!all) {
        all = map ? json_object() : json_array();
        json_object_set_new(object, field->json_name, all);
    }
    if (map)
        return write_entry(w, field->message, value->data, all);
    if (type_wire(field->type) != WIRE_BYTES && value->type == WIRE_BYTES)
        return write_packed(w, field, value->data, all);
    size_t at = json_enter(w, NULL, json_array_size(all));
    json_t *one = write_value(w, field, value);
    json_leave(w, at);
    return one && json_array_append_new(all, one) == 0;
}

static bool write_field(struct json_walk *w, const struct schema_field *field, const struct wire_field *value,
                        json_t *object)
{
    bool packed = field->repeated && value->type == WIRE_BYTES;
    if ((int)value->type != type_wire(field->type) && !packed) {
        json_fail(w, "has another type");
        return false;
    }
    if (field->repeated)
        return write_repeated(w, field, value, object);
    json_t *one = write_value(w, field, value);
    return one && json_object_set_new(object, field->json_name, one) == 0;
}

static json_t *write_fields(struct json_walk *w, const struct schema_message *type, struct bytes in)
{
    json_t *object = json_object();
    struct wire_field value = { 0 };
    size_t hint = 0;
    while (in.len > 0) {
        bool good = wire_next(&in, &value);
        const struct schema_field *field = good ? message_field(type, value.number, &hint) : NULL;
        size_t at = json_enter(w, field ? field->name : "?", 0);
        if (good && field)
            good = write_field(w, field, &value, object);
        if (!good)
            json_fail(w, "is malformed");
        json_leave(w, at);
        if (!good) {
            json_decref(object);
            return NULL;
        }
    }
    return object;
}

/* The two fields of Any, Duration and Timestamp are numbered 1 and 2. */
static bool read_pair(struct bytes in, struct wire_field ret_pair[2])
{
    struct wire_field value;
    memset(ret_pair, 0, 2 * sizeof(*ret_pair));
    while (in.len > 0) {
        if (!wire_next(&in, &value))
            return false;
        if (value.number == 1 || value.number == 2)
            ret_pair[value.number - 1] = value;
    }
    return true;
}

static json_t *write_time(struct json_walk *w, enum json_known known, struct bytes in)
{
    char text[KNOWN_TEXT];
    struct wire_field pair[2];
    bool good = read_pair(in, pair);
    int64_t seconds = (int64_t)pair[0].value;
    int32_t nanos = (int32_t)pair[1].value;
    if (good)
        good = known == JSON_DURATION ? known_duration_format(seconds, nanos, text)
                                      : known_timestamp_format(seconds, nanos, text);
    if (!good)
        json_fail(w, "is out of range");
    return good ? json_string(text) : NULL;
}

static json_t *write_any(struct json_walk *w, struct bytes in)
{
    struct wire_field pair[2];
    if (!read_pair(in, pair)) {
        json_fail(w, "is malformed");
        return NULL;
    }
    if (pair[0].number == 0)
        return json_object();
    json_t *url = json_stringn((const char *)pair[0].data.data, pair[0].data.len);
    const struct schema_message *type = url ? json_any_type(w, json_string_value(url)) : NULL;
    json_t *value = type ? write_message(w, type, pair[1].data) : url ? write_bytes(pair[1].data) : NULL;
    json_t *object = value ? json_object() : NULL;
    if (!url)
        json_fail(w, "has a malformed type");
    if (object) {
        json_object_set(object, "@type", url);
        if (type && json_known(type) == JSON_PLAIN)
            json_object_update(object, value);
        else
            json_object_set(object, "value", value);
    }
    json_decref(url);
    json_decref(value);
    return object;
}

static json_t *write_message(struct json_walk *w, const struct schema_message *type, struct bytes in)
{
    json_t *json = NULL;
    if (w->depth++ >= JSON_DEPTH_MAX)
        json_fail(w, "is nested more than %d deep", JSON_DEPTH_MAX);
    else if (json_known(type) == JSON_ANY)
        json = write_any(w, in);
    else if (json_known(type) != JSON_PLAIN)
        json = write_time(w, json_known(type), in);
    else
        json = write_fields(w, type, in);
    w->depth--;
    return json;
}

struct json_t *schema_to_json(const struct schema *schema, const char *type, struct bytes message, char **ret_error)
{
    struct json_walk w = { .schema = schema };
    const struct schema_message *root = schema_message(schema, type);
    json_t *json = root ? write_message(&w, root, message) : NULL;
    if (json)
        return json;
    json_fail(&w, root ? "is malformed" : "there is no type %s", type);
    *ret_error = w.error;
    return NULL;
}
