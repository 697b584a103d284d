/* A request put together from path, query, header and body; a status taken apart into what HTTP says. */
#include "gateway/rest.h"

#include "gateway/access.h"
#include "gateway/json.h"
#include "gateway/rest_route.h"
#include "mesh/rpc/types.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <strings.h>

static const int statuses[] = {
    [RPC_OK] = 200,
    [RPC_CANCELLED] = 499,
    [RPC_UNKNOWN] = 500,
    [RPC_INVALID_ARGUMENT] = 400,
    [RPC_DEADLINE_EXCEEDED] = 504,
    [RPC_NOT_FOUND] = 404,
    [RPC_ALREADY_EXISTS] = 409,
    [RPC_PERMISSION_DENIED] = 403,
    [RPC_RESOURCE_EXHAUSTED] = 429,
    [RPC_FAILED_PRECONDITION] = 400,
    [RPC_ABORTED] = 409,
    [RPC_OUT_OF_RANGE] = 400,
    [RPC_UNIMPLEMENTED] = 501,
    [RPC_INTERNAL] = 500,
    [RPC_UNAVAILABLE] = 503,
    [RPC_DATA_LOSS] = 500,
    [RPC_UNAUTHENTICATED] = 401,
};

/* What HTTP has a word of its own for, by the reason in ErrorInfo. */
static const struct {
    const char *reason;
    int status;
} better[] = {
    { "VERB_NOT_ALLOWED", 405 },        { "REQUEST_TOO_LARGE", 413 }, { "CONTENT_UNSUPPORTED", 415 },
    { "COMPRESSION_UNSUPPORTED", 415 }, { "HEADERS_TOO_LARGE", 431 },
};

static int refuse(struct answer *ret_answer, enum rpc_code code, const char *reason, const char *message,
                  const char *subject)
{
    *ret_answer = (struct answer){ code, reason, message, 0, subject };
    return -EINVAL;
}

/* --- the beginning --- */

/* The path, and what follows "?" in it. */
static struct bytes path_of(const struct exchange *x, struct bytes *ret_query)
{
    nghttp2_vec all = nghttp2_rcbuf_get_buf(x->path);
    const uint8_t *mark = memchr(all.base, '?', all.len);
    size_t len = mark ? (size_t)(mark - all.base) : all.len;
    *ret_query = mark ? (struct bytes){ mark + 1, all.len - len - 1 } : (struct bytes){ 0 };
    return (struct bytes){ all.base, len };
}

bool rest_is_path(const struct exchange *x)
{
    nghttp2_vec path = nghttp2_rcbuf_get_buf(x->path);
    return path.len >= 4 && memcmp(path.base, "/v1/", 4) == 0;
}

static bool find(const struct exchange *x, struct rest_match *ret_match)
{
    struct bytes query, path = path_of(x, &query);
    nghttp2_vec verb = x->verb ? nghttp2_rcbuf_get_buf(x->verb) : (nghttp2_vec){ (uint8_t *)"POST", 4 };
    return rest_find(x->gateway->rest, (const char *)verb.base, verb.len, (const char *)path.data, path.len, ret_match);
}

static bool allowed(const struct exchange *x, char ret_allow[REST_ALLOW])
{
    struct bytes query, path = path_of(x, &query);
    return rest_allow(x->gateway->rest, (const char *)path.data, path.len, ret_allow);
}

/* Application/json, in UTF-8, or nothing at all. */
static bool content_is_json(const struct exchange *x)
{
    static const char json[] = "application/json";
    nghttp2_vec v = x->content ? nghttp2_rcbuf_get_buf(x->content) : (nghttp2_vec){ 0 };
    if (v.len == 0)
        return true;
    return v.len >= sizeof(json) - 1 && strncasecmp((const char *)v.base, json, sizeof(json) - 1) == 0 &&
           (v.len == sizeof(json) - 1 || v.base[sizeof(json) - 1] == ';' || v.base[sizeof(json) - 1] == ' ');
}

static int begin(struct exchange *x, struct answer *ret_answer)
{
    struct rest_match match;
    char allow[REST_ALLOW];
    x->translation->timeout_us = ACCESS_NO_TIMEOUT;
    if (!find(x, &match) && allowed(x, allow))
        return refuse(ret_answer, RPC_UNIMPLEMENTED, "VERB_NOT_ALLOWED",
                      "the path is asked by another method of HTTP: see the header allow", NULL);
    if (!find(x, &match))
        return refuse(ret_answer, RPC_NOT_FOUND, "PATH_UNKNOWN", "there is nothing at this path", NULL);
    if (x->post && !content_is_json(x))
        return refuse(ret_answer, RPC_INVALID_ARGUMENT, "CONTENT_UNSUPPORTED", "the body must be application/json",
                      NULL);
    x->route = match.route;
    return 0;
}

/* --- the request --- */

/* Without its %XX; NULL: no memory. */
static char *decode_text(struct arena *arena, struct bytes text, bool query, size_t *ret_len)
{
    char *plain = arena_alloc(arena, text.len + 1);
    for (size_t i = 0; plain && i < text.len; i++)
        plain[i] = query && text.data[i] == '+' ? ' ' : (char)text.data[i];
    *ret_len = plain ? answer_unpercent(plain, text.len, plain) : 0;
    if (plain)
        plain[*ret_len] = '\0';
    return plain;
}

static const struct schema_field *field_named(const struct schema_message *type, const char *name, size_t len)
{
    for (size_t i = 0; type && i < type->n_fields; i++) {
        const struct schema_field *field = &type->fields[i];
        if ((strlen(field->name) == len && memcmp(field->name, name, len) == 0) ||
            (strlen(field->json_name) == len && memcmp(field->json_name, name, len) == 0))
            return field;
    }
    return NULL;
}

/* What the object has under either name. */
static json_t *value_of(const json_t *object, const struct schema_field *field)
{
    json_t *value = json_object_get(object, field->json_name);
    return value ? value : json_object_get(object, field->name);
}

/* Text as the JSON of its field; NULL: it is no UTF-8. What it should be is json_in.c's to say. */
static json_t *json_of_text(const struct schema_field *field, const char *text, size_t len)
{
    if (field->type == TYPE_BOOL && (strcmp(text, "true") == 0 || strcmp(text, "false") == 0))
        return json_boolean(text[0] == 't');
    return json_stringn(text, len);
}

static int refuse_parameter(struct arena *arena, struct answer *ret_answer, const char *name, const char *what)
{
    return refuse(ret_answer, RPC_INVALID_ARGUMENT, "PARAMETER_INVALID",
                  arena_printf(arena, "the parameter %s %s", name, what), name);
}

static int put_parameter(const struct schema_message *type, json_t *object, char *name, struct bytes value,
                         struct arena *arena, struct answer *ret_answer)
{
    const struct schema_field *field;
    const char *at = name;
    for (;; at++) { /* down to the message that the last name is a field of */
        size_t part = strcspn(at, ".");
        field = field_named(type, at, part);
        if (!field || field->message ? !field || at[part] != '.' || field->repeated : at[part] == '.')
            return refuse_parameter(arena, ret_answer, name, "is no field of this request");
        at += part;
        if (!field->message)
            break;
        json_t *inner = json_object_get(object, field->json_name);
        if (!inner)
            json_object_set_new(object, field->json_name, inner = json_object());
        object = inner;
        type = field->message;
    }
    size_t len;
    const char *text = decode_text(arena, value, true, &len);
    json_t *json = text ? json_of_text(field, text, len) : NULL, *before = json_object_get(object, field->json_name);
    if (!json)
        return refuse_parameter(arena, ret_answer, name, "is not UTF-8");
    if (!field->repeated && before) {
        json_decref(json);
        return refuse_parameter(arena, ret_answer, name, "is given twice");
    }
    if (field->repeated && !before)
        json_object_set_new(object, field->json_name, before = json_array());
    if (field->repeated)
        json_array_append_new(before, json);
    else
        json_object_set_new(object, field->json_name, json);
    return 0;
}

static int put_query(const struct schema_message *type, json_t *request, struct bytes query, struct arena *arena,
                     struct answer *ret_answer)
{
    const uint8_t *at = query.data, *end = query.len ? at + query.len : at;
    while (at && at < end) {
        const uint8_t *next = memchr(at, '&', (size_t)(end - at)), *to = next ? next : end;
        const uint8_t *equals = memchr(at, '=', (size_t)(to - at)), *value = equals ? equals + 1 : to;
        size_t len;
        char *name = decode_text(arena, (struct bytes){ at, (size_t)((equals ? equals : to) - at) }, true, &len);
        int r = !name ? refuse(ret_answer, RPC_RESOURCE_EXHAUSTED, "REQUEST_TOO_COSTLY", "the query is too long", NULL)
                : len > 0 ? put_parameter(type, request, name, (struct bytes){ value, (size_t)(to - value) }, arena,
                                          ret_answer)
                          : 0;
        if (r < 0)
            return r;
        at = next ? next + 1 : end;
    }
    return 0;
}

/* A string that is said beside the body, which may say the same but nothing else. */
static int put_beside(const struct schema_field *field, json_t *request, const char *text, size_t len,
                      struct answer *ret_answer)
{
    const json_t *before = value_of(request, field);
    json_t *value = json_stringn(text, len);
    bool differs = value && before && !json_equal(before, value);
    if (value && !before)
        json_object_set(request, field->json_name, value);
    json_decref(value);
    if (!value)
        return refuse(ret_answer, RPC_INVALID_ARGUMENT, "FIELD_MALFORMED", "the path or a header is not UTF-8",
                      field->name);
    if (differs)
        return refuse(ret_answer, RPC_INVALID_ARGUMENT, "FIELD_CONTRADICTED",
                      "the request says something else than its path or header", field->name);
    return 0;
}

static int put_path(const struct exchange *x, const struct schema_message *type, json_t *request, struct arena *arena,
                    struct answer *ret_answer)
{
    struct rest_match match;
    int r = find(x, &match) ? 0 : -EINVAL;
    for (size_t i = 0; r == 0 && i < match.n; i++) {
        size_t len;
        const char *text = decode_text(arena, match.fields[i].value, false, &len);
        const struct schema_field *field = field_named(type, match.fields[i].field, match.fields[i].field_len);
        if (!text || !field)
            return refuse(ret_answer, RPC_RESOURCE_EXHAUSTED, "REQUEST_TOO_COSTLY", "the path is too long", NULL);
        r = put_beside(field, request, text, len, ret_answer);
    }
    return r;
}

static int put_request(const struct exchange *x, json_t *request, struct arena *arena, struct answer *ret_answer)
{
    const struct schema_message *type = schema_message(schema_builtin(), x->route->method->input);
    struct bytes query;
    path_of(x, &query);
    if (x->post && query.len)
        return refuse(ret_answer, RPC_INVALID_ARGUMENT, "PARAMETER_INVALID",
                      "the fields of a POST are in its body, not in the query", NULL);
    nghttp2_vec key = dialect_header(x, "idempotency-key");
    const struct schema_field *request_id = field_named(type, "request_id", 10);
    int r = put_query(type, request, query, arena, ret_answer);
    if (r == 0 && key.len && request_id)
        r = put_beside(request_id, request, (const char *)key.base, key.len, ret_answer);
    return r < 0 ? r : put_path(x, type, request, arena, ret_answer);
}

static int decode(struct exchange *x, struct bytes body, struct arena *arena, struct bytes *ret_message,
                  struct answer *ret_answer)
{
    json_t *request = NULL;
    if (!x->post && body.len)
        return refuse(ret_answer, RPC_INVALID_ARGUMENT, "BODY_UNEXPECTED", "a GET has no body", NULL);
    int r = body.len ? json_parse(body, arena, &request, ret_answer) : 0;
    if (r < 0)
        return r;
    if (!request)
        request = json_object();
    if (!json_is_object(request))
        r = refuse(ret_answer, RPC_INVALID_ARGUMENT, "JSON_MALFORMED", "the body must be an object", NULL);
    else
        r = put_request(x, request, arena, ret_answer);
    if (r == 0)
        r = json_to_message(x->route->method->input, request, arena, ret_message, ret_answer);
    json_decref(request);
    return r;
}

/* --- the end --- */

static int status_of(enum rpc_code code, const json_t *details)
{
    size_t i;
    const json_t *detail;
    json_array_foreach(details, i, detail)
    {
        const char *reason = json_string_value(json_object_get(detail, "reason"));
        for (size_t j = 0; reason && j < sizeof(better) / sizeof(better[0]); j++)
            if (strcmp(reason, better[j].reason) == 0)
                return better[j].status;
    }
    return (size_t)code < sizeof(statuses) / sizeof(statuses[0]) ? statuses[code] : 500;
}

/* Whole seconds until it may be asked again, at least one; 0: RetryInfo does not say. */
static long retry_after(const json_t *details)
{
    size_t i;
    const json_t *detail;
    json_array_foreach(details, i, detail)
    {
        const char *delay = json_string_value(json_object_get(detail, "retryDelay"));
        if (delay)
            return strtol(delay, NULL, 10) + (strchr(delay, '.') || *delay == '0' ? 1 : 0);
    }
    return 0;
}

static bool end_error(struct exchange *x, const struct ending *ending)
{
    const struct rpc_status *status = &ending->status;
    json_t *known = status->details.len ? json_of_message("google.rpc.Status", status->details) : NULL;
    json_t *details = json_object_get(known, "details");
    char allow[REST_ALLOW], http[8], after[24];
    nghttp2_nv more[2];
    size_t n = 0, len;
    int code = status_of(status->code, details);
    long retry_s = retry_after(details);
    snprintf(http, sizeof(http), "%d", code);
    snprintf(after, sizeof(after), "%ld", retry_s);
    if (retry_s > 0)
        more[n++] = dialect_field("retry-after", after);
    if (code == 405 && allowed(x, allow))
        more[n++] = dialect_field("allow", allow);
    json_t *error = json_pack("{s:{s:i, s:s*, s:s, s:O*}}", "error", "code", code, "message", status->message, "status",
                              rpc_code_name(status->code), "details", details);
    const char *text = error ? json_text(error, ending->arena, &len) : NULL;
    json_decref(error);
    json_decref(known);
    return text && dialect_answer(x, http, "application/json", more, n, (struct bytes){ (const uint8_t *)text, len },
                                  ending->arena);
}

static bool end(struct exchange *x, const struct ending *ending)
{
    if (ending->status.code != RPC_OK)
        return end_error(x, ending);
    return dialect_answer(x, "200", "application/json", NULL, 0, ending->message, ending->arena);
}

const struct dialect rest = {
    .content = "application/json",
    .bare = true,
    .calls = CALLS_UNARY,
    .encoding = "content-encoding",
    .accept = "accept-encoding",
    .begin = begin,
    .decode = decode,
    .encode = json_encode,
    .end = end,
};
