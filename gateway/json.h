/* Messages of a method as JSON (mesh/rpc/json_in.c, json_out.c), for dialects that have it. Both styles of names are
 * read, and unknown fields are refused: a field that is misspelt must not be lost in silence. */
#pragma once

#include "gateway/dialect.h"

struct json_t;

/* Of text, an object or an array. 0, or -EINVAL with the answer, which says where. */
int json_parse(struct bytes text, struct arena *arena, struct json_t **ret_json, struct answer *ret_answer);
/* A message of the type; what does not fit is named by its path. */
int json_to_message(const char *type, const struct json_t *json, struct arena *arena, struct bytes *ret_message,
                    struct answer *ret_answer);
/* NULL when the bytes are not of the type. */
struct json_t *json_of_message(const char *type, struct bytes message);
/* Compact, in the arena; NULL: no memory. */
char *json_text(const struct json_t *json, struct arena *arena, size_t *ret_len);

/* As dialect.decode and dialect.encode: the whole message of the exchange's method. */
int json_decode(struct exchange *x, struct bytes message, struct arena *arena, struct bytes *ret_message,
                struct answer *ret_answer);
int json_encode(struct exchange *x, struct bytes message, struct arena *arena, struct bytes *ret_message);
