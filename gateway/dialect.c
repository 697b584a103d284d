/* Which dialect a request is in, what of its headers goes on, and the headers of what is answered. */
#include "gateway/dialect.h"

#include "gateway/connect.h"
#include "gateway/cors.h"
#include "gateway/edge.h"
#include "gateway/grpc_web.h"
#include "gateway/gzip.h"
#include "gateway/rest.h"

#include <errno.h>
#include <strings.h>

static const struct {
    const char *type;
    const struct dialect *dialect;
} contents[] = {
    { "application/grpc-web", &grpc_web },
    { "application/grpc-web+proto", &grpc_web },
    { "application/grpc-web-text", &grpc_web_text },
    { "application/grpc-web-text+proto", &grpc_web_text },
    { "application/proto", &connect_proto },
    { "application/json", &connect_json },
    { "application/connect+proto", &connect_streams_proto },
    { "application/connect+json", &connect_streams_json },
};
#define ACCEPTED \
    "application/grpc, application/grpc-web, application/grpc-web-text, application/proto, application/json, " \
    "application/connect+proto, application/connect+json"

/* --- what a request says --- */

static bool names(nghttp2_vec v, const char *text)
{
    return strlen(text) == v.len && memcmp(v.base, text, v.len) == 0;
}

nghttp2_vec dialect_header(const struct exchange *x, const char *name)
{
    for (size_t i = 0; i < x->extra.n; i++)
        if (names(nghttp2_rcbuf_get_buf(x->extra.list[i].name), name))
            return nghttp2_rcbuf_get_buf(x->extra.list[i].value);
    return (nghttp2_vec){ 0 };
}

/* The media type without its parameters. */
static bool is_content(nghttp2_vec v, const char *content)
{
    size_t len = strlen(content);
    if (v.len < len || strncasecmp((const char *)v.base, content, len) != 0)
        return false;
    while (len < v.len && (v.base[len] == ' ' || v.base[len] == '\t'))
        len++;
    return len == v.len || v.base[len] == ';';
}

static const struct dialect *choose(struct exchange *x)
{
    if (rest_is_path(x))
        return &rest;
    nghttp2_vec content = x->content ? nghttp2_rcbuf_get_buf(x->content) : (nghttp2_vec){ 0 };
    for (size_t i = 0; x->post && i < sizeof(contents) / sizeof(contents[0]); i++)
        if (is_content(content, contents[i].type))
            return contents[i].dialect;
    return x->post ? NULL : connect_get(x);
}

/* What browsers and HTTP say to the gateway, and not to whoever serves the call. */
static bool is_for_us(nghttp2_vec name)
{
    static const char *const ours[] = { "accept",
                                        "accept-encoding",
                                        "accept-language",
                                        "cache-control",
                                        "connection",
                                        "content-encoding",
                                        "cookie",
                                        "dnt",
                                        "keep-alive",
                                        "origin",
                                        "pragma",
                                        "priority",
                                        "referer",
                                        "te",
                                        "trailer",
                                        "transfer-encoding",
                                        "upgrade-insecure-requests",
                                        "x-grpc-web",
                                        "x-user-agent" };
    static const char *const prefixes[] = { "connect-", "sec-", "access-control-", "grpc-" };
    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
        if (names(name, ours[i]))
            return true;
    for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
        if (name.len >= strlen(prefixes[i]) && memcmp(name.base, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    return false;
}

bool dialect_inflates(struct exchange *x, nghttp2_vec encoding, struct answer *ret_answer)
{
    x->translation->inflates = names(encoding, "gzip");
    if (encoding.len == 0 || x->translation->inflates || names(encoding, "identity"))
        return true;
    *ret_answer = (struct answer){ RPC_UNIMPLEMENTED, "COMPRESSION_UNSUPPORTED",
                                   "the encodings that are supported are: gzip, identity", 0 };
    return false;
}

/* Whether gzip is in the list, and not with a quality of 0 (RFC 9110, section 12.5.3). */
static bool takes_gzip(nghttp2_vec accepted)
{
    const char *at = (const char *)accepted.base, *end = at + accepted.len;
    while (at < end) {
        const char *comma = memchr(at, ',', (size_t)(end - at)), *to = comma ? comma : end;
        while (at < to && *at == ' ')
            at++;
        size_t len = 0;
        while (at + len < to && at[len] != ';' && at[len] != ' ')
            len++;
        const char *q = memmem(at, (size_t)(to - at), "q=0", 3);
        if (len == 4 && strncasecmp(at, "gzip", 4) == 0)
            return !q || strspn(q + 3, ".0") < (size_t)(to - q - 3);
        at = to + 1;
    }
    return false;
}

static bool read_encodings(struct exchange *x, struct answer *ret_answer)
{
    struct translation *t = x->translation;
    if (!t->dialect->encoding)
        return true;
    nghttp2_vec accepted = dialect_header(x, t->dialect->accept);
    if (!dialect_inflates(x, dialect_header(x, t->dialect->encoding), ret_answer))
        return false;
    t->deflates = accepted.base ? takes_gzip(accepted) : t->inflates;
    return true;
}

static void keep_what_goes_on(struct fields *fields)
{
    uint16_t n = 0;
    for (size_t i = 0; i < fields->n; i++) {
        if (!is_for_us(nghttp2_rcbuf_get_buf(fields->list[i].name))) {
            fields->list[n++] = fields->list[i];
            continue;
        }
        nghttp2_rcbuf_decref(fields->list[i].name);
        nghttp2_rcbuf_decref(fields->list[i].value);
    }
    fields->n = n;
}

/* --- the beginning --- */

/* An answer of HTTP's: whoever asks has not been understood. */
static bool refuse_http(struct exchange *x, const char *status, const char *name, const char *value)
{
    const nghttp2_nv more[] = { { (uint8_t *)name, (uint8_t *)value, strlen(name), strlen(value), 0 } };
    x->code = RPC_UNIMPLEMENTED;
    dialect_head(x, status, NULL, more, 1, false);
    return false;
}

static bool refuse(struct exchange *x)
{
    return x->post ? refuse_http(x, "415", "accept-post", ACCEPTED) : refuse_http(x, "405", "allow", "POST");
}

bool translation_begin(struct exchange *x)
{
    struct answer answer;
    struct translation *t = calloc(1, sizeof(*t));
    if (!t) {
        exchange_reset(x);
        return false;
    }
    x->translation = t;
    t->origin = cors_origin(x->gateway->options.cors_origins, dialect_header(x, "origin"));
    if (cors_preflight(x))
        return false;
    t->dialect = x->path ? choose(x) : NULL;
    if (!t->dialect)
        return refuse(x);
    if (!read_encodings(x, &answer) || t->dialect->begin(x, &answer) < 0) {
        exchange_fail(x, &answer);
        return false;
    }
    keep_what_goes_on(&x->extra);
    return true;
}

bool translation_fits(struct exchange *x)
{
    const struct schema_method *method = x->route->method;
    const struct dialect *dialect = x->translation->dialect;
    bool streams = method->client_streaming || method->server_streaming;
    if (dialect->calls == CALLS_ANY || streams == (dialect->calls == CALLS_STREAMS))
        return true;
    return refuse_http(x, "415", "accept-post", ACCEPTED);
}

void translation_finish(struct exchange *x)
{
    struct translation *t = x->translation;
    if (!t)
        return;
    pipe_finish(&t->in);
    pipe_finish(&t->back);
    exchange_hold(x, -(ptrdiff_t)t->counted);
    free(t->origin);
    free(t);
    x->translation = NULL;
}

/* --- headers of the answer --- */

bool dialect_is_metadata(const nghttp2_nv *field)
{
    nghttp2_vec name = { field->name, field->namelen };
    return name.len > 0 && name.base[0] != ':' && !is_for_us(name) && !names(name, "content-type") &&
           !names(name, "content-length") && !(name.len >= 7 && memcmp(name.base, "x-mesh-", 7) == 0);
}

nghttp2_nv dialect_field(const char *name, const char *value)
{
    return (nghttp2_nv){ (uint8_t *)name, (uint8_t *)value, strlen(name), strlen(value), NGHTTP2_NV_FLAG_NONE };
}

void dialect_head(struct exchange *x, const char *status, const char *content, const nghttp2_nv *more, size_t n,
                  bool body)
{
    nghttp2_nv nva[2 + DIALECT_FIELDS + CORS_FIELDS];
    char exposed[CORS_EXPOSED];
    size_t at = 0;
    nva[at++] = dialect_field(":status", status);
    if (content)
        nva[at++] = dialect_field("content-type", content);
    for (size_t i = 0; i < n && i < DIALECT_FIELDS; i++) {
        nva[at] = more[i];
        nva[at++].flags = NGHTTP2_NV_FLAG_NONE;
    }
    at += cors_fields(x->translation->origin, nva + 1, at - 1, exposed, nva + at);
    if (body)
        exchange_http_head(x, nva, at);
    else
        exchange_http_only(x, nva, at);
}

bool dialect_answer(struct exchange *x, const char *status, const char *content, const nghttp2_nv *more, size_t n,
                    struct bytes body, struct arena *arena)
{
    nghttp2_nv all[DIALECT_FIELDS];
    bool worth = x->translation->deflates && body.len >= DEFLATE_MIN && body.len <= DEFLATE_MAX;
    if (n > DIALECT_FIELDS - 1)
        n = DIALECT_FIELDS - 1;
    if (n)
        memcpy(all, more, n * sizeof(*all));
    if (worth && gzip_deflate(body, arena, &body) == 0)
        all[n++] = dialect_field("content-encoding", "gzip");
    dialect_head(x, status, content, all, n, true);
    return dialect_say(x, body.data, body.len);
}
