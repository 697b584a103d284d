/* What reading and writing JSON have in common: where in the message they are, and what went wrong there. */
#pragma once

#include "mesh/rpc/types.h"

#include <jansson.h>

#define JSON_DEPTH_MAX 32

struct json_walk {
    const struct schema *schema;
    char path[JSON_PATH_MAX];
    size_t at; /* its length */
    unsigned depth;
    char *error;               /* on the heap; the first one stays */
    char where[JSON_PATH_MAX]; /* the path of the error */
};

/* Steps into a field, or with name NULL into element i; what it returns goes back with json_leave. */
size_t json_enter(struct json_walk *w, const char *name, size_t i);
void json_leave(struct json_walk *w, size_t at);
/* Sets the error, with the path in front. */
void json_fail(struct json_walk *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The type that an Any holds, by its URL; NULL: unknown. */
const struct schema_message *json_any_type(const struct json_walk *w, const char *url);
/* Types whose JSON is a text of its own. */
enum json_known { JSON_PLAIN, JSON_ANY, JSON_DURATION, JSON_TIMESTAMP };
enum json_known json_known(const struct schema_message *type);
const char *json_enum_name(const struct schema_field *field, int32_t number); /* NULL: none */
