/* The frame that is the end. */
#include "gateway/grpc_web.h"

#include "gateway/access.h"

#include <errno.h>

#define TRAILERS 0x80

static int begin(struct exchange *x, struct answer *ret_answer)
{
    nghttp2_vec encoding = dialect_header(x, "content-encoding");
    x->translation->timeout_us = access_grpc_timeout(x);
    if (encoding.len == 0 || (encoding.len == 8 && memcmp(encoding.base, "identity", 8) == 0))
        return 0;
    *ret_answer = (struct answer){ RPC_UNIMPLEMENTED, "COMPRESSION_UNSUPPORTED", "the body must not be compressed", 0 };
    return -EOPNOTSUPP;
}

static bool is_trailer(const nghttp2_nv *field)
{
    return dialect_is_metadata(field) || (field->namelen > 5 && memcmp(field->name, "grpc-", 5) == 0);
}

static char *put(char *at, const void *data, size_t n)
{
    memcpy(at, data, n);
    return at + n;
}

static bool end(struct exchange *x, const struct ending *ending)
{
    size_t room = 0;
    for (size_t i = 0; i < ending->n; i++)
        room += ending->fields[i].namelen + ending->fields[i].valuelen + 4;
    char *block = arena_alloc(ending->arena, room + 1), *at = block;
    if (!block)
        return false;
    for (size_t i = 0; i < ending->n; i++) {
        const nghttp2_nv *field = &ending->fields[i];
        if (!is_trailer(field))
            continue;
        at = put(at, field->name, field->namelen);
        at = put(at, ": ", 2);
        at = put(at, field->value, field->valuelen);
        at = put(at, "\r\n", 2);
    }
    if (x->state == REPLY_NONE)
        dialect_head(x, "200", x->translation->dialect->content, NULL, 0, true);
    return dialect_say_frame(x, TRAILERS, (struct bytes){ (uint8_t *)block, (size_t)(at - block) });
}

const struct dialect grpc_web = { .content = "application/grpc-web+proto", .begin = begin, .end = end };
const struct dialect grpc_web_text = {
    .content = "application/grpc-web-text+proto", .text = true, .begin = begin, .end = end
};
