/* How calls begin and how they end; messages are json.c's, or nobody's. */
#include "gateway/connect.h"

#include "gateway/access.h"
#include "gateway/json.h"
#include "mesh/rpc/known.h"

#include "google/rpc/status.pb-c.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>

#define END_OF_STREAM 2

static const struct {
    const char *name, *http;
} codes[] = {
    [RPC_OK] = { "ok", "200" },
    [RPC_CANCELLED] = { "canceled", "499" },
    [RPC_UNKNOWN] = { "unknown", "500" },
    [RPC_INVALID_ARGUMENT] = { "invalid_argument", "400" },
    [RPC_DEADLINE_EXCEEDED] = { "deadline_exceeded", "504" },
    [RPC_NOT_FOUND] = { "not_found", "404" },
    [RPC_ALREADY_EXISTS] = { "already_exists", "409" },
    [RPC_PERMISSION_DENIED] = { "permission_denied", "403" },
    [RPC_RESOURCE_EXHAUSTED] = { "resource_exhausted", "429" },
    [RPC_FAILED_PRECONDITION] = { "failed_precondition", "400" },
    [RPC_ABORTED] = { "aborted", "409" },
    [RPC_OUT_OF_RANGE] = { "out_of_range", "400" },
    [RPC_UNIMPLEMENTED] = { "unimplemented", "501" },
    [RPC_INTERNAL] = { "internal", "500" },
    [RPC_UNAVAILABLE] = { "unavailable", "503" },
    [RPC_DATA_LOSS] = { "data_loss", "500" },
    [RPC_UNAUTHENTICATED] = { "unauthenticated", "401" },
};

static size_t row_of(enum rpc_code code)
{
    return (size_t)code < sizeof(codes) / sizeof(codes[0]) ? code : RPC_UNKNOWN;
}

/* --- the beginning --- */

/* At most ten digits. */
static int64_t read_timeout(nghttp2_vec text)
{
    int64_t ms = 0;
    if (text.len == 0)
        return ACCESS_NO_TIMEOUT;
    if (text.len > 10)
        return -EINVAL;
    for (size_t i = 0; i < text.len; i++) {
        if (text.base[i] < '0' || text.base[i] > '9')
            return -EINVAL;
        ms = ms * 10 + (text.base[i] - '0');
    }
    return ms * 1000;
}

static bool is(nghttp2_vec v, const char *text)
{
    return v.len == strlen(text) && memcmp(v.base, text, v.len) == 0;
}

static int refuse(struct answer *ret_answer, enum rpc_code code, const char *reason, const char *message)
{
    *ret_answer = (struct answer){ code, reason, message, 0 };
    return -EINVAL;
}

static int begin_get(struct exchange *x, struct answer *ret_answer);

static int begin(struct exchange *x, struct answer *ret_answer)
{
    nghttp2_vec version = dialect_header(x, "connect-protocol-version");
    x->translation->timeout_us = read_timeout(dialect_header(x, "connect-timeout-ms"));
    if (version.len && !is(version, "1"))
        return refuse(ret_answer, RPC_INVALID_ARGUMENT, "VERSION_UNSUPPORTED", "the version of Connect must be 1");
    return x->post ? 0 : begin_get(x, ret_answer);
}

/* --- the end --- */

static json_t *detail_of(struct arena *arena, const Google__Protobuf__Any *any)
{
    const char *slash = strrchr(any->type_url, '/'), *type = slash ? slash + 1 : any->type_url;
    char *value = arena_alloc(arena, BASE64_ROOM(any->value.len) + 1);
    if (!value)
        return NULL;
    value[base64_encode(any->value.data, any->value.len, false, value)] = '\0';
    json_t *debug = json_of_message(type, (struct bytes){ any->value.data, any->value.len });
    return json_pack("{s:s, s:s, s:o*}", "type", type, "value", value, "debug", debug);
}

static json_t *details_of(struct arena *arena, struct bytes packed)
{
    ProtobufCAllocator allocator = arena_protobuf(arena);
    Google__Rpc__Status *status = packed.len ? google__rpc__status__unpack(&allocator, packed.len, packed.data) : NULL;
    json_t *details = status && status->n_details ? json_array() : NULL;
    for (size_t i = 0; details && i < status->n_details; i++)
        json_array_append_new(details, detail_of(arena, status->details[i]));
    return details;
}

static json_t *error_of(const struct ending *ending)
{
    const struct rpc_status *status = &ending->status;
    json_t *error = json_object();
    json_object_set_new(error, "code", json_string(codes[row_of(status->code)].name));
    if (status->message[0])
        json_object_set_new(error, "message", json_string(status->message)); /* nothing, if it is no UTF-8 */
    json_t *details = details_of(ending->arena, status->details);
    if (details)
        json_object_set_new(error, "details", details);
    return error;
}

/* A copy of the field under another name. */
static bool add_field(struct arena *arena, const char *prefix, const nghttp2_nv *field, nghttp2_nv *ret_nva, size_t *n)
{
    char *name = arena_printf(arena, "%s%.*s", prefix, (int)field->namelen, (const char *)field->name);
    if (!name || *n == DIALECT_FIELDS)
        return false;
    ret_nva[*n] = *field;
    ret_nva[*n].name = (uint8_t *)name;
    ret_nva[*n].namelen = strlen(name);
    (*n)++;
    return true;
}

/* The server's headers, and its trailers as "trailer-…". */
static size_t metadata_fields(struct exchange *x, const struct ending *ending, nghttp2_nv *ret_nva)
{
    nghttp2_nv head[FIELDS_MAX];
    size_t n = 0, n_head = x->state == REPLY_HEADED ? fields_nva(&x->head, head) : 0;
    for (size_t i = 0; i < n_head; i++)
        if (dialect_is_metadata(&head[i]))
            add_field(ending->arena, "", &head[i], ret_nva, &n);
    for (size_t i = 0; i < ending->n; i++)
        if (dialect_is_metadata(&ending->fields[i]))
            add_field(ending->arena, "trailer-", &ending->fields[i], ret_nva, &n);
    return n;
}

static bool end_unary(struct exchange *x, const struct ending *ending)
{
    nghttp2_nv more[DIALECT_FIELDS];
    struct bytes body = ending->message;
    const char *content = x->translation->dialect->content;
    if (ending->status.code != RPC_OK) {
        json_t *error = error_of(ending);
        body.data = (uint8_t *)json_text(error, ending->arena, &body.len);
        json_decref(error);
        if (!body.data)
            return false;
        content = "application/json";
    }
    size_t n = metadata_fields(x, ending, more);
    return dialect_answer(x, codes[row_of(ending->status.code)].http, content, more, n, body, ending->arena);
}

static json_t *metadata_of(const struct ending *ending)
{
    json_t *metadata = json_object();
    for (size_t i = 0; i < ending->n; i++) {
        const nghttp2_nv *field = &ending->fields[i];
        char *name = dialect_is_metadata(field) ? arena_copy(ending->arena, field->name, field->namelen) : NULL;
        if (!name)
            continue;
        json_t *values = json_object_get(metadata, name);
        if (!values)
            json_object_set_new(metadata, name, values = json_array());
        json_array_append_new(values, json_stringn((const char *)field->value, field->valuelen));
    }
    return metadata;
}

static bool end_stream(struct exchange *x, const struct ending *ending)
{
    json_t *json = json_object(), *metadata = metadata_of(ending);
    size_t len = 0;
    if (ending->status.code != RPC_OK)
        json_object_set_new(json, "error", error_of(ending));
    if (json_object_size(metadata) > 0)
        json_object_set(json, "metadata", metadata);
    const char *text = json_text(json, ending->arena, &len);
    json_decref(metadata);
    json_decref(json);
    if (!text)
        return false;
    if (x->state == REPLY_NONE)
        dialect_head(x, "200", x->translation->dialect->content, NULL, 0, true);
    return dialect_say_frame(x, END_OF_STREAM, (struct bytes){ (const uint8_t *)text, len });
}

#define UNARY \
    .bare = true, .calls = CALLS_UNARY, .encoding = "content-encoding", .accept = "accept-encoding", .begin = begin, \
    .end = end_unary
#define STREAMS \
    .calls = CALLS_STREAMS, .encoding = "connect-content-encoding", .accept = "connect-accept-encoding", \
    .begin = begin, .end = end_stream
#define IN_JSON .decode = json_decode, .encode = json_encode

const struct dialect connect_proto = { .content = "application/proto", UNARY };
const struct dialect connect_json = { .content = "application/json", UNARY, IN_JSON };
const struct dialect connect_streams_proto = { .content = "application/connect+proto", STREAMS };
const struct dialect connect_streams_json = { .content = "application/connect+json", STREAMS, IN_JSON };

/* --- GET --- */

/* The value of a query's parameter, as it stands there. False: it is not given. */
static bool parameter(const struct exchange *x, const char *name, nghttp2_vec *ret_value)
{
    nghttp2_vec path = nghttp2_rcbuf_get_buf(x->path);
    const uint8_t *end = path.base + path.len, *at = memchr(path.base, '?', path.len);
    size_t len = strlen(name);
    while (at && ++at < end) {
        const uint8_t *next = memchr(at, '&', (size_t)(end - at)), *to = next ? next : end;
        if ((size_t)(to - at) > len && memcmp(at, name, len) == 0 && at[len] == '=') {
            *ret_value = (nghttp2_vec){ (uint8_t *)at + len + 1, (size_t)(to - at) - len - 1 };
            return true;
        }
        at = next;
    }
    return false;
}

const struct dialect *connect_get(struct exchange *x)
{
    nghttp2_vec path = nghttp2_rcbuf_get_buf(x->path), encoding, verb;
    const uint8_t *mark = memchr(path.base, '?', path.len);
    verb = x->verb ? nghttp2_rcbuf_get_buf(x->verb) : (nghttp2_vec){ 0 };
    if (!is(verb, "GET") || !mark || !x->call.request_ended || !parameter(x, "encoding", &encoding))
        return NULL;
    struct route *route = routes_find(x->gateway->routes, (const char *)path.base, (size_t)(mark - path.base));
    if (!route || route->method->mutates || (!is(encoding, "json") && !is(encoding, "proto")))
        return NULL;
    x->route = route;
    return is(encoding, "json") ? &connect_json : &connect_proto;
}

/* Percent-encoded, and + is a space. */
static size_t decode_query(nghttp2_vec value, char *ret_text)
{
    char *plain = ret_text;
    for (size_t i = 0; i < value.len; i++)
        plain[i] = value.base[i] == '+' ? ' ' : (char)value.base[i];
    return answer_unpercent(plain, value.len, plain);
}

static int begin_get(struct exchange *x, struct answer *ret_answer)
{
    nghttp2_vec message = { 0 }, flag;
    if (parameter(x, "connect", &flag) && !is(flag, "v1"))
        return refuse(ret_answer, RPC_INVALID_ARGUMENT, "VERSION_UNSUPPORTED", "connect must be v1");
    if (!dialect_inflates(x, parameter(x, "compression", &flag) ? flag : message, ret_answer))
        return -EINVAL;
    if (!parameter(x, "message", &message))
        return refuse(ret_answer, RPC_INVALID_ARGUMENT, "MESSAGE_MISSING", "the query has no message");
    char *text = malloc(message.len + 1);
    if (!text)
        return refuse(ret_answer, RPC_RESOURCE_EXHAUSTED, "GATEWAY_FULL", "the gateway holds too much already");
    size_t len = decode_query(message, text);
    int64_t n = (int64_t)len;
    if (parameter(x, "base64", &flag) && is(flag, "1"))
        n = known_base64_parse(text, len, (uint8_t *)text);
    bool held = n >= 0 && dialect_ask(x, text, (size_t)n);
    free(text);
    if (n < 0)
        return refuse(ret_answer, RPC_INVALID_ARGUMENT, "MESSAGE_MALFORMED", "the query's message is not base64");
    return held ? 0 : refuse(ret_answer, RPC_RESOURCE_EXHAUSTED, "GATEWAY_FULL", "the gateway holds too much already");
}
