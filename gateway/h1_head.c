/* http_parser takes the head apart and knows when lengths contradict each other. Debian's build of it is the lenient
 * one, so that what it lets through is refused here: lines without CR, folded lines, spaces in names. */
#include "gateway/h1_head.h"

#include <ctype.h>
#include <errno.h>
#include <http_parser.h>
#include <limits.h>
#include <strings.h>

struct line {
    uint8_t *name;
    const uint8_t *value;
    size_t name_len, value_len;
};

struct reading {
    struct h1_head *head;
    const char *url;
    size_t url_len;
    struct line lines[H1_LINES_MAX];
    size_t n_lines;
    bool whole, many;
};

/* --- http_parser --- */

static int on_url(http_parser *parser, const char *at, size_t n)
{
    struct reading *r = parser->data;
    r->url = at;
    r->url_len = n;
    return 0;
}

static int on_name(http_parser *parser, const char *at, size_t n)
{
    struct reading *r = parser->data;
    if (r->n_lines == H1_LINES_MAX) {
        r->many = true;
        return 1;
    }
    r->lines[r->n_lines++] = (struct line){ (uint8_t *)at, (const uint8_t *)at + n, n, 0 };
    return 0;
}

static int on_value(http_parser *parser, const char *at, size_t n)
{
    struct reading *r = parser->data;
    struct line *line = &r->lines[r->n_lines - 1];
    while (n && (at[n - 1] == ' ' || at[n - 1] == '\t'))
        n--;
    line->value = (const uint8_t *)at;
    line->value_len = n;
    return 0;
}

static int on_whole(http_parser *parser)
{
    struct reading *r = parser->data;
    r->whole = true;
    r->head->old = parser->http_minor == 0;
    r->head->chunked = parser->flags & F_CHUNKED;
    r->head->length = parser->flags & F_CONTENTLENGTH ? parser->content_length : 0;
    r->head->keep_alive = !r->head->old && http_should_keep_alive(parser);
    r->head->headers_only = parser->method == HTTP_HEAD;
    return 1; /* the body is not its business */
}

static const http_parser_settings settings = {
    .on_url = on_url,
    .on_header_field = on_name,
    .on_header_value = on_value,
    .on_headers_complete = on_whole,
};

/* --- the text --- */

ssize_t h1_head_end(const uint8_t *data, size_t n, size_t *line)
{
    const uint8_t *lf;
    while (*line < n && (lf = memchr(data + *line, '\n', n - *line))) {
        size_t begin = *line, len = (size_t)(lf - data) - begin; /* with CR */
        if (len == 0 || lf[-1] != '\r' || memchr(data + begin, '\r', len - 1) || data[begin] == ' ' ||
            data[begin] == '\t')
            return -EPROTO;
        *line = begin + len + 1;
        if (len == 1)
            return (ssize_t)*line;
    }
    return 0;
}

static bool is(const struct line *line, const char *name)
{
    return line->name_len == strlen(name) && memcmp(line->name, name, line->name_len) == 0;
}

static bool says(const struct line *line, const char *value)
{
    return line->value_len == strlen(value) && strncasecmp((const char *)line->value, value, line->value_len) == 0;
}

/* Whether a Connection header has the name in its list. */
static bool nominates(const struct line *connection, const struct line *line)
{
    const uint8_t *at = connection->value, *end = at + connection->value_len;
    while (at < end) {
        const uint8_t *comma = memchr(at, ',', (size_t)(end - at));
        const uint8_t *next = comma ? comma : end, *last = next;
        while (at < last && (*at == ' ' || *at == '\t'))
            at++;
        while (last > at && (last[-1] == ' ' || last[-1] == '\t'))
            last--;
        if ((size_t)(last - at) == line->name_len &&
            strncasecmp((const char *)at, (const char *)line->name, line->name_len) == 0)
            return true;
        at = next + 1;
    }
    return false;
}

/* What belongs to the connection, and ends here (RFC 9110, 7.6.1). */
static bool stays_here(const struct reading *r, const struct line *line)
{
    static const char *const names[] = { "connection",        "content-length", "expect",           "host",
                                         "http2-settings",    "keep-alive",     "proxy-connection", "te",
                                         "transfer-encoding", "upgrade" };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (is(line, names[i]))
            return true;
    for (size_t i = 0; i < r->n_lines; i++)
        if (is(&r->lines[i], "connection") && nominates(&r->lines[i], line))
            return true;
    return false;
}

/* --- the request --- */

static bool refuse(struct h1_refusal *ret_refusal, const char *status, const char *text)
{
    *ret_refusal = (struct h1_refusal){ status, text };
    return false;
}

static nghttp2_nv field(const char *name, const void *value, size_t len)
{
    return (nghttp2_nv){ (uint8_t *)name, (uint8_t *)value, strlen(name), len, NGHTTP2_NV_FLAG_NONE };
}

static bool is_grpc(const struct line *line)
{
    static const char grpc[] = "application/grpc";
    size_t n = sizeof(grpc) - 1;
    return line->value_len >= n && strncasecmp((const char *)line->value, grpc, n) == 0 &&
           (line->value_len == n || !(isalnum(line->value[n]) || line->value[n] == '-'));
}

/* What the lines say of the message. Lengths that contradict each other have been refused by http_parser. */
static bool read_lines(struct reading *r, const struct line **ret_host, struct h1_refusal *ret_refusal)
{
    size_t n_hosts = 0, n_codings = 0;
    for (size_t i = 0; i < r->n_lines; i++) {
        struct line *line = &r->lines[i];
        for (size_t j = 0; j < line->name_len; j++)
            line->name[j] = (uint8_t)tolower(line->name[j]);
        if (!nghttp2_check_header_name(line->name, line->name_len) || line->name[0] == ':' ||
            !nghttp2_check_header_value(line->value, line->value_len))
            return refuse(ret_refusal, "400", "a header has characters that it must not have");
        if (is(line, "host")) {
            *ret_host = line;
            n_hosts++;
        } else if (is(line, "transfer-encoding")) {
            if (!says(line, "chunked") || n_codings++ || r->head->old)
                return refuse(ret_refusal, "400", "the only transfer coding is chunked, once");
        } else if (is(line, "expect")) {
            if (!says(line, "100-continue"))
                return refuse(ret_refusal, "417", "the only expectation that is understood is 100-continue");
            r->head->expects = !r->head->old;
        } else if (is(line, "content-type")) {
            r->head->grpc = is_grpc(line);
        }
    }
    if (n_hosts > 1 || (n_hosts == 0 && !r->head->old))
        return refuse(ret_refusal, "400", "a request has one Host");
    if ((n_codings == 1) != r->head->chunked)
        return refuse(ret_refusal, "400", "the only transfer coding is chunked, once");
    return true;
}

/* The target is a path, * or a whole URL, whose host then stands before that of the header (RFC 9112, 3.2). */
static bool read_target(struct reading *r, const struct line *host, struct h1_refusal *ret_refusal)
{
    struct h1_head *head = r->head;
    struct http_parser_url url;
    const char *path = r->url, *authority = host ? (const char *)host->value : "";
    size_t path_len = r->url_len, authority_len = host ? host->value_len : 0;
    http_parser_url_init(&url);
    if (path_len && path[0] != '/' && !(path_len == 1 && path[0] == '*')) {
        const uint16_t parts = 1 << UF_SCHEMA | 1 << UF_HOST, never = 1 << UF_USERINFO | 1 << UF_FRAGMENT;
        if (path_len > UINT16_MAX || http_parser_parse_url(path, path_len, 0, &url) != 0 ||
            (url.field_set & (parts | never)) != parts)
            return refuse(ret_refusal, "400", "the target of the request is malformed");
        authority = path + url.field_data[UF_SCHEMA].len + 3;
        const char *end = path + path_len, *slash = memchr(authority, '/', (size_t)(end - authority));
        path = slash ? slash : "/";
        path_len = slash ? (size_t)(end - slash) : 1;
        authority_len = (size_t)((slash ? slash : end) - authority);
    }
    head->fields[2] = field(":path", path, path_len);
    head->fields[3] = authority_len ? field(":authority", authority, authority_len) : field(":authority", "-", 1);
    return true;
}

bool h1_head_read(uint8_t *text, size_t len, bool encrypted, struct h1_head *ret_head, struct h1_refusal *ret_refusal)
{
    struct reading r = { .head = ret_head };
    const struct line *host = NULL;
    http_parser parser;
    *ret_head = (struct h1_head){ .n = 4 };
    http_parser_init(&parser, HTTP_REQUEST);
    parser.data = &r;
    http_parser_execute(&parser, &settings, (const char *)text, len);
    if (r.many)
        return refuse(ret_refusal, "431", "there are too many headers");
    if (!r.whole || HTTP_PARSER_ERRNO(&parser) != HPE_OK)
        return refuse(ret_refusal, "400", http_errno_description(HTTP_PARSER_ERRNO(&parser)));
    if (parser.http_major != 1 || parser.http_minor > 1)
        return refuse(ret_refusal, "505", "only HTTP/1.1 and HTTP/1.0 are spoken here, and HTTP/2");
    const char *method = http_method_str((enum http_method)parser.method);
    if (r.url != (const char *)text + strlen(method) + 1)
        return refuse(ret_refusal, "400", "there is one space between the method and the target");
    if (!read_lines(&r, &host, ret_refusal) || !read_target(&r, host, ret_refusal))
        return false;
    ret_head->fields[0] = field(":method", method, strlen(method));
    ret_head->fields[1] = encrypted ? field(":scheme", "https", 5) : field(":scheme", "http", 4);
    for (size_t i = 0; i < r.n_lines; i++)
        if (!stays_here(&r, &r.lines[i]))
            ret_head->fields[ret_head->n++] = (nghttp2_nv){ r.lines[i].name, (uint8_t *)r.lines[i].value,
                                                            r.lines[i].name_len, r.lines[i].value_len, 0 };
    return true;
}
