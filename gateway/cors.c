/* Who asks is looked up in a list; what he wants to send, he may. */
#include "gateway/cors.h"

#define MAX_AGE_S   "7200" /* the most that browsers keep an answer for */
#define HEADERS_LEN 1024

static char *copy_of(const void *text, size_t len)
{
    char *copy = malloc(len + 1);
    if (copy) {
        memcpy(copy, text, len);
        copy[len] = '\0';
    }
    return copy;
}

char *cors_origin(const char *list, nghttp2_vec origin)
{
    while (list && *list && origin.len > 0) {
        size_t len = strcspn(list, ",");
        if (len == 1 && *list == '*')
            return copy_of("*", 1);
        if (len == origin.len && memcmp(list, origin.base, len) == 0)
            return copy_of(list, len);
        list += len + (list[len] == ',');
    }
    return NULL;
}

bool cors_preflight(struct exchange *x)
{
    nghttp2_vec verb = x->verb ? nghttp2_rcbuf_get_buf(x->verb) : (nghttp2_vec){ 0 };
    if (verb.len != 7 || memcmp(verb.base, "OPTIONS", 7) != 0)
        return false;
    nghttp2_nv more[4];
    size_t n = 0;
    more[n++] = dialect_field("allow", "GET, POST, OPTIONS");
    if (x->translation->origin && dialect_header(x, "access-control-request-method").len) {
        nghttp2_vec headers = dialect_header(x, "access-control-request-headers");
        more[n++] = dialect_field("access-control-allow-methods", "GET, POST, PUT, PATCH, DELETE");
        more[n++] = dialect_field("access-control-max-age", MAX_AGE_S);
        if (headers.len && headers.len <= HEADERS_LEN)
            more[n++] = H2_VALUE("access-control-allow-headers", headers.base, headers.len);
    }
    x->code = RPC_OK;
    dialect_head(x, "204", NULL, more, n, false);
    return true;
}

/* Names of the reply's headers that a page could not read otherwise. */
static void expose(const nghttp2_nv *nva, size_t n, char exposed[CORS_EXPOSED])
{
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        if (at + nva[i].namelen + 3 > CORS_EXPOSED)
            break;
        if (at > 0)
            exposed[at++] = ',';
        memcpy(exposed + at, nva[i].name, nva[i].namelen);
        at += nva[i].namelen;
    }
    exposed[at] = '\0';
}

size_t cors_fields(const char *origin, const nghttp2_nv *nva, size_t n, char exposed[CORS_EXPOSED],
                   nghttp2_nv ret_nva[CORS_FIELDS])
{
    size_t at = 0;
    if (!origin)
        return 0;
    ret_nva[at++] = dialect_field("access-control-allow-origin", origin);
    ret_nva[at++] = dialect_field("vary", "origin");
    expose(nva, n, exposed);
    if (exposed[0])
        ret_nva[at++] = dialect_field("access-control-expose-headers", exposed);
    return at;
}
