/* Text, tree, packed bytes, and back. */
#include "gateway/json.h"

#include "mesh/rpc/json.h"
#include "mesh/rpc/wire.h"

#include <errno.h>

#define VALUES_MAX 20000 /* of a body: a tree of more would hold up the loop */

/* A copy; the fallback instead of what was cut within a character, as no text may be such in a message. */
static const char *sound(struct arena *arena, const char *text, const char *fallback)
{
    size_t len = strlen(text);
    const char *copy = utf8_valid((struct bytes){ (const uint8_t *)text, len }) ? arena_copy(arena, text, len) : NULL;
    return copy ? copy : fallback;
}

/* Commas and brackets outside of texts, of which each value has about one. */
static bool is_crowded(struct bytes text)
{
    size_t n = 0;
    bool inside = false;
    for (size_t i = 0; i < text.len && n <= VALUES_MAX; i++) {
        uint8_t c = text.data[i];
        if (inside && c == '\\')
            i++;
        else if (c == '"')
            inside = !inside;
        else if (!inside)
            n += c == ',' || c == '{' || c == '[';
    }
    return n > VALUES_MAX;
}

int json_parse(struct bytes text, struct arena *arena, json_t **ret_json, struct answer *ret_answer)
{
    if (is_crowded(text)) {
        *ret_answer =
            (struct answer){ RPC_INVALID_ARGUMENT, "JSON_TOO_MANY_VALUES", "the body has too many values", 0 };
        return -EINVAL;
    }
    json_error_t error;
    json_t *json = json_loadb((const char *)text.data, text.len, JSON_REJECT_DUPLICATES, &error);
    if (json) {
        *ret_json = json;
        return 0;
    }
    const char *message =
        arena_printf(arena, "the body is not JSON: %s (line %d, column %d)", error.text, error.line, error.column);
    *ret_answer = (struct answer){ RPC_INVALID_ARGUMENT, "JSON_MALFORMED", message, 0 };
    return -EINVAL;
}

int json_to_message(const char *type, const json_t *json, struct arena *arena, struct bytes *ret_message,
                    struct answer *ret_answer)
{
    struct bytes packed;
    char path[JSON_PATH_MAX], *error;
    if (schema_from_json_at(schema_builtin(), type, json, &packed, path, &error) < 0) {
        const char *message = sound(arena, error, "a field does not fit, and its name is too long to be told");
        *ret_answer = (struct answer){ RPC_INVALID_ARGUMENT, "FIELD_MALFORMED", message, 0,
                                       path[0] ? sound(arena, path, NULL) : NULL };
        free(error);
        return -EINVAL;
    }
    char *copy = arena_copy(arena, packed.data, packed.len);
    free((void *)packed.data);
    *ret_answer =
        (struct answer){ RPC_RESOURCE_EXHAUSTED, "REQUEST_TOO_COSTLY", "the request takes more memory than it may", 0 };
    *ret_message = (struct bytes){ (uint8_t *)copy, packed.len };
    return copy ? 0 : -ENOMEM;
}

json_t *json_of_message(const char *type, struct bytes message)
{
    char *error = NULL;
    json_t *json = schema_to_json(schema_builtin(), type, message, &error);
    free(error);
    return json;
}

char *json_text(const json_t *json, struct arena *arena, size_t *ret_len)
{
    char *text = json_dumps(json, JSON_COMPACT);
    if (!text)
        return NULL;
    *ret_len = strlen(text);
    char *copy = arena_copy(arena, text, *ret_len);
    free(text);
    return copy;
}

int json_decode(struct exchange *x, struct bytes message, struct arena *arena, struct bytes *ret_message,
                struct answer *ret_answer)
{
    json_t *json;
    int r = json_parse(message, arena, &json, ret_answer);
    if (r < 0)
        return r;
    r = json_to_message(x->route->method->input, json, arena, ret_message, ret_answer);
    json_decref(json);
    return r;
}

int json_encode(struct exchange *x, struct bytes message, struct arena *arena, struct bytes *ret_message)
{
    size_t len = 0;
    json_t *json = json_of_message(x->route->method->output, message);
    char *text = json ? json_text(json, arena, &len) : NULL;
    json_decref(json);
    *ret_message = (struct bytes){ (uint8_t *)text, len };
    return text ? 0 : -EPROTO;
}
