/* JSON to wire bytes, by the types of a schema; what does not fit is an error that names the path. */
#include "mesh/rpc/json.h"
#include "mesh/rpc/known.h"
#include "mesh/rpc/wire.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ONEOFS_MAX 32

struct buffer {
    uint8_t *data;
    size_t len, room;
};

static void put(struct buffer *b, const void *data, size_t n)
{
    if (n > b->room - b->len) {
        b->room = 2 * (b->len + n) + 64;
        b->data = realloc(b->data, b->room);
        if (!b->data)
            abort();
    }
    if (n > 0)
        memcpy(b->data + b->len, data, n);
    b->len += n;
}

static void put_varint(struct buffer *b, uint64_t value)
{
    uint8_t bytes[10];
    size_t n = 0;
    do
        bytes[n++] = (uint8_t)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
    while ((value >>= 7) > 0);
    put(b, bytes, n);
}

static void put_fixed(struct buffer *b, uint64_t value, size_t n)
{
    uint8_t bytes[8];
    for (size_t i = 0; i < n; i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
    put(b, bytes, n);
}

static void put_tag(struct buffer *b, uint32_t number, int wire)
{
    put_varint(b, (uint64_t)number << 3 | (uint64_t)wire);
}

static void put_bytes(struct buffer *b, uint32_t number, const void *data, size_t n)
{
    put_tag(b, number, WIRE_BYTES);
    put_varint(b, n);
    put(b, data, n);
}

static void put_number(struct buffer *b, const struct schema_field *field, uint64_t value)
{
    int wire = type_wire(field->type);
    if (wire == WIRE_VARINT)
        put_varint(b, value);
    else
        put_fixed(b, value, wire == WIRE_FIXED64 ? 8 : 4);
}

static bool read_message(struct json_walk *w, const struct schema_message *type, const json_t *json,
                         struct buffer *out);

/* --- numbers --- */

static bool wrong(struct json_walk *w, const char *wanted)
{
    json_fail(w, "must be %s", wanted);
    return false;
}

/* A JSON number or a text; whole, also when it is written as 1e3 or 2.0. negative tells of what only fits signed. */
static bool read_integer(const json_t *json, bool *ret_negative, uint64_t *ret_magnitude)
{
    if (json_is_integer(json)) {
        json_int_t n = json_integer_value(json);
        *ret_negative = n < 0;
        *ret_magnitude = n < 0 ? 0 - (uint64_t)n : (uint64_t)n;
        return true;
    }
    if (json_is_real(json)) {
        double real = json_real_value(json);
        *ret_negative = real < 0;
        *ret_magnitude = fabs(real) < 18446744073709551616.0 ? (uint64_t)fabs(real) : 0;
        return fabs(real) < 18446744073709551616.0 && floor(real) == real;
    }
    const char *text = json_string_value(json);
    if (!text)
        return false;
    char *end;
    *ret_negative = *text == '-';
    text += *ret_negative;
    if (*text < '0' || *text > '9' || strlen(text) != (json_string_length(json) - *ret_negative))
        return false;
    errno = 0;
    *ret_magnitude = strtoull(text, &end, 10);
    return errno == 0 && *end == '\0';
}

static bool read_bounded(struct json_walk *w, const json_t *json, uint64_t below, uint64_t above, uint64_t *ret_value)
{
    bool negative;
    uint64_t magnitude;
    if (!read_integer(json, &negative, &magnitude))
        return wrong(w, "a whole number");
    if (magnitude > (negative ? below : above)) {
        json_fail(w, "is out of range");
        return false;
    }
    *ret_value = negative ? 0 - magnitude : magnitude;
    return true;
}

/* A number, or one of the three words that JSON has no number for. */
static bool parse_real(struct json_walk *w, const char *text, double *ret_real)
{
    static const char *const words[] = { "NaN", "Infinity", "-Infinity" };
    char *end;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strcmp(text, words[i]) == 0) {
            *ret_real = strtod(text, NULL);
            return true;
        }
    *ret_real = strtod(text, &end);
    if (!*text || *end || strspn(text, "-+.0123456789eE") != strlen(text))
        return wrong(w, "a number");
    if (isinf(*ret_real))
        json_fail(w, "is out of range");
    return !isinf(*ret_real);
}

static bool read_real(struct json_walk *w, const json_t *json, bool single, uint64_t *ret_value)
{
    double real = json_number_value(json);
    if (!json_is_number(json) && !json_is_string(json))
        return wrong(w, "a number");
    if (json_is_string(json) && !parse_real(w, json_string_value(json), &real))
        return false;
    float narrow = (float)real;
    uint32_t low = 0;
    *ret_value = 0;
    if (single && isinf(narrow) && !isinf(real)) {
        json_fail(w, "is out of range");
        return false;
    }
    if (single) {
        memcpy(&low, &narrow, sizeof(low));
        *ret_value = low;
    } else {
        memcpy(ret_value, &real, sizeof(*ret_value));
    }
    return true;
}

static bool read_enum(struct json_walk *w, const struct schema_field *field, const json_t *json, uint64_t *ret_value)
{
    const char *name = json_string_value(json);
    if (json_is_integer(json))
        return read_bounded(w, json, 1ull << 31, INT32_MAX, ret_value);
    for (size_t i = 0; name && i < field->enumerated->n_value; i++) {
        if (strcmp(field->enumerated->value[i]->name, name) != 0)
            continue;
        *ret_value = (uint64_t)(int64_t)field->enumerated->value[i]->number;
        return true;
    }
    json_fail(w, "is no value of %s", field->enumerated->name);
    return false;
}

static bool read_bool(struct json_walk *w, const json_t *json, uint64_t *ret_value)
{
    if (!json_is_boolean(json))
        return wrong(w, "true or false");
    *ret_value = json_is_true(json);
    return true;
}

/* As it stands on the wire: zigzag done, floats as their bits. */
static bool read_number(struct json_walk *w, const struct schema_field *field, const json_t *json, uint64_t *ret_value)
{
    bool good;
    switch (field->type) {
    case TYPE_FLOAT:
    case TYPE_DOUBLE:
        return read_real(w, json, field->type == TYPE_FLOAT, ret_value);
    case TYPE_BOOL:
        return read_bool(w, json, ret_value);
    case TYPE_ENUM:
        return read_enum(w, field, json, ret_value);
    case TYPE_UINT32:
    case TYPE_FIXED32:
        return read_bounded(w, json, 0, UINT32_MAX, ret_value);
    case TYPE_UINT64:
    case TYPE_FIXED64:
        return read_bounded(w, json, 0, UINT64_MAX, ret_value);
    case TYPE_INT32:
    case TYPE_SFIXED32:
        return read_bounded(w, json, 1ull << 31, INT32_MAX, ret_value);
    case TYPE_SINT32:
    case TYPE_SINT64:
        good = field->type == TYPE_SINT32 ? read_bounded(w, json, 1ull << 31, INT32_MAX, ret_value)
                                          : read_bounded(w, json, 1ull << 63, INT64_MAX, ret_value);
        *ret_value = good ? *ret_value << 1 ^ (0 - (*ret_value >> 63)) : 0;
        return good;
    default:
        return read_bounded(w, json, 1ull << 63, INT64_MAX, ret_value);
    }
}

/* --- fields --- */

static bool read_text(struct json_walk *w, const json_t *json, struct buffer *out)
{
    if (!json_is_string(json))
        return wrong(w, "a text");
    put(out, json_string_value(json), json_string_length(json));
    return true;
}

static bool read_base64(struct json_walk *w, const json_t *json, struct buffer *out)
{
    size_t len = json_string_length(json);
    uint8_t *data = malloc(len + 1);
    int64_t n = data && json_is_string(json) ? known_base64_parse(json_string_value(json), len, data) : -EINVAL;
    if (n >= 0)
        put(out, data, (size_t)n);
    free(data);
    return n >= 0 || wrong(w, "bytes in base64");
}

/* What is counted: texts, bytes, messages. */
static bool read_counted(struct json_walk *w, const struct schema_field *field, const json_t *json, struct buffer *out)
{
    if (field->type == TYPE_STRING)
        return read_text(w, json, out);
    if (field->type == TYPE_BYTES)
        return read_base64(w, json, out);
    return read_message(w, field->message, json, out);
}

/* skip_zero: a singular field outside of a oneof says nothing by being zero. */
static bool read_one(struct json_walk *w, const struct schema_field *field, const json_t *json, bool skip_zero,
                     struct buffer *out)
{
    if (type_wire(field->type) != WIRE_BYTES) {
        uint64_t value = 0;
        if (!read_number(w, field, json, &value))
            return false;
        if (skip_zero && value == 0)
            return true;
        put_tag(out, field->number, type_wire(field->type));
        put_number(out, field, value);
        return true;
    }
    struct buffer inner = { 0 };
    bool good = read_counted(w, field, json, &inner);
    if (good && !(skip_zero && inner.len == 0 && field->type != TYPE_MESSAGE))
        put_bytes(out, field->number, inner.data, inner.len);
    free(inner.data);
    return good;
}

static bool read_array(struct json_walk *w, const struct schema_field *field, const json_t *json, struct buffer *out)
{
    bool packs = type_wire(field->type) != WIRE_BYTES, good = true;
    struct buffer packed = { 0 };
    if (!json_is_array(json))
        return wrong(w, "an array");
    for (size_t i = 0; good && i < json_array_size(json); i++) {
        const json_t *element = json_array_get(json, i);
        size_t at = json_enter(w, NULL, i);
        uint64_t value = 0;
        good = packs ? read_number(w, field, element, &value) : read_one(w, field, element, false, out);
        if (good && packs)
            put_number(&packed, field, value);
        json_leave(w, at);
    }
    if (good && packed.len > 0)
        put_bytes(out, field->number, packed.data, packed.len);
    free(packed.data);
    return good;
}

/* Keys of a map are texts in JSON, whatever they are on the wire. */
static bool read_key(struct json_walk *w, const struct schema_field *field, const char *key, struct buffer *out)
{
    bool is_bool = field->type == TYPE_BOOL;
    json_t *json = is_bool && strcmp(key, "true") == 0    ? json_true()
                   : is_bool && strcmp(key, "false") == 0 ? json_false()
                                                          : json_string(key);
    bool good = read_one(w, field, json, false, out);
    json_decref(json);
    return good;
}

static bool read_map(struct json_walk *w, const struct schema_field *field, const json_t *json, struct buffer *out)
{
    const struct schema_message *entry = field->message;
    const char *key;
    json_t *value;
    if (!json_is_object(json) || entry->n_fields != 2)
        return wrong(w, "an object");
    json_object_foreach((json_t *)json, key, value)
    {
        struct buffer inner = { 0 };
        size_t at = json_enter(w, key, 0);
        bool good = read_key(w, &entry->fields[0], key, &inner) && read_one(w, &entry->fields[1], value, false, &inner);
        if (good)
            put_bytes(out, field->number, inner.data, inner.len);
        free(inner.data);
        json_leave(w, at);
        if (!good)
            return false;
    }
    return true;
}

static bool read_field(struct json_walk *w, const struct schema_field *field, const json_t *json, struct buffer *out)
{
    if (!field->repeated)
        return read_one(w, field, json, field->oneof < 0, out);
    return field->message && field->message->map_entry ? read_map(w, field, json, out)
                                                       : read_array(w, field, json, out);
}

static const struct schema_field *field_named(const struct schema_message *type, const char *name)
{
    for (size_t i = 0; i < type->n_fields; i++)
        if (strcmp(type->fields[i].json_name, name) == 0 || strcmp(type->fields[i].name, name) == 0)
            return &type->fields[i];
    return NULL;
}

/* Every key is a field, none is given by both of its names, and of a oneof there is one. */
static bool check_keys(struct json_walk *w, const struct schema_message *type, const json_t *json, bool any)
{
    uint32_t oneofs = 0;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)json, key, value)
    {
        const struct schema_field *field = field_named(type, key);
        if (any && strcmp(key, "@type") == 0)
            continue;
        size_t at = json_enter(w, key, 0);
        if (!field)
            json_fail(w, "%s has no such field", type->name);
        else if (strcmp(key, field->json_name) != 0 && json_object_get(json, field->json_name))
            json_fail(w, "is given twice, also as %s", field->json_name);
        else if (field->oneof >= 0 && field->oneof < ONEOFS_MAX && !json_is_null(value)) {
            if (oneofs & 1u << field->oneof)
                json_fail(w, "excludes another field that is given");
            oneofs |= 1u << field->oneof;
        }
        json_leave(w, at);
        if (w->error)
            return false;
    }
    return true;
}

/* any: "@type" stands among the fields. */
static bool read_fields(struct json_walk *w, const struct schema_message *type, const json_t *json, bool any,
                        struct buffer *out)
{
    if (!json_is_object(json))
        return wrong(w, "an object");
    if (!check_keys(w, type, json, any))
        return false;
    for (size_t i = 0; i < type->n_fields; i++) {
        const struct schema_field *field = &type->fields[i];
        const json_t *value = json_object_get(json, field->json_name);
        if (!value)
            value = json_object_get(json, field->name);
        if (!value || json_is_null(value))
            continue;
        size_t at = json_enter(w, field->name, 0);
        bool good = read_field(w, field, value, out);
        json_leave(w, at);
        if (!good)
            return false;
    }
    return true;
}

static bool read_time(struct json_walk *w, enum json_known known, const json_t *json, struct buffer *out)
{
    int64_t seconds = 0;
    int32_t nanos = 0;
    const char *text = json_string_value(json);
    bool good = text && (known == JSON_DURATION ? known_duration_parse(text, &seconds, &nanos)
                                                : known_timestamp_parse(text, &seconds, &nanos));
    if (!good)
        return wrong(w, known == JSON_DURATION ? "a duration such as 1.5s" : "a time such as 2024-02-29T12:00:00Z");
    if (seconds != 0) {
        put_tag(out, 1, WIRE_VARINT);
        put_varint(out, (uint64_t)seconds);
    }
    if (nanos != 0) {
        put_tag(out, 2, WIRE_VARINT);
        put_varint(out, (uint64_t)(int64_t)nanos);
    }
    return true;
}

static bool read_any(struct json_walk *w, const json_t *json, struct buffer *out)
{
    if (json_is_object(json) && json_object_size(json) == 0)
        return true;
    const char *url = json_string_value(json_object_get(json, "@type"));
    const struct schema_message *type = url ? json_any_type(w, url) : NULL;
    if (!url)
        return wrong(w, "an object with @type");
    if (!type) {
        json_fail(w, "the type %s is unknown", url);
        return false;
    }
    struct buffer inner = { 0 };
    bool good = json_known(type) == JSON_PLAIN ? read_fields(w, type, json, true, &inner)
                                               : read_message(w, type, json_object_get(json, "value"), &inner);
    if (good) {
        put_bytes(out, 1, url, strlen(url));
        if (inner.len > 0)
            put_bytes(out, 2, inner.data, inner.len);
    }
    free(inner.data);
    return good;
}

static bool read_message(struct json_walk *w, const struct schema_message *type, const json_t *json, struct buffer *out)
{
    bool good = false;
    if (w->depth++ >= JSON_DEPTH_MAX)
        json_fail(w, "is nested more than %d deep", JSON_DEPTH_MAX);
    else if (json_known(type) == JSON_ANY)
        good = read_any(w, json, out);
    else if (json_known(type) != JSON_PLAIN)
        good = read_time(w, json_known(type), json, out);
    else
        good = read_fields(w, type, json, false, out);
    w->depth--;
    return good;
}

int schema_from_json(const struct schema *schema, const char *type, const struct json_t *json,
                     struct bytes *ret_message, char **ret_error)
{
    char path[JSON_PATH_MAX];
    return schema_from_json_at(schema, type, json, ret_message, path, ret_error);
}

int schema_from_json_at(const struct schema *schema, const char *type, const struct json_t *json,
                        struct bytes *ret_message, char ret_path[JSON_PATH_MAX], char **ret_error)
{
    struct json_walk w = { .schema = schema };
    const struct schema_message *root = schema_message(schema, type);
    struct buffer out = { 0 };
    put(&out, "", 1); /* so that an empty message is there, too */
    out.len = 0;
    if (root && read_message(&w, root, json, &out)) {
        *ret_message = (struct bytes){ out.data, out.len };
        return 0;
    }
    free(out.data);
    json_fail(&w, root ? "does not fit %s" : "there is no type %s", type);
    memcpy(ret_path, w.where, JSON_PATH_MAX);
    *ret_error = w.error;
    return -EINVAL;
}
