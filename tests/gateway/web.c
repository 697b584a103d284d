/* Frames of a body, and trailers in one of them. */
#include "tests/gateway/web.h"

#include "gateway/base64.h"

#include <stdio.h>
#include <string.h>

struct call *web_call(struct peer *peer, const char *path, const char *content, const char *extra)
{
    char fields[4096];
    snprintf(fields, sizeof(fields), "content-type: %s\n%s", content, extra);
    return peer_call(peer, path, fields);
}

static struct call *newest(struct backend *backend)
{
    for (struct peer *peer = backend->peers; peer; peer = peer->next)
        for (struct call *call = peer->calls; call; call = call->next)
            if (call->begun)
                return call;
    return NULL;
}

struct call *web_request(struct stage *stage, struct backend *backend)
{
    struct call *call;
    stage_until(stage, (call = newest(backend)) != NULL && call->headed);
    return call;
}

bool web_frame(const struct call *call, size_t i, struct web_frame *ret_frame)
{
    ck_assert_uint_eq(call->kept, call->body_len);
    for (size_t at = 0; at + PREFIX <= call->kept; i--) {
        const uint8_t *p = call->body + at;
        size_t len = (size_t)p[1] << 24 | (size_t)p[2] << 16 | (size_t)p[3] << 8 | p[4];
        at += PREFIX + len;
        if (at > call->kept)
            return false;
        *ret_frame = (struct web_frame){ p[0], { p + PREFIX, len } };
        if (i == 0)
            return true;
    }
    return false;
}

void web_untext(struct call *call)
{
    struct base64 state = { 0 };
    ck_assert_uint_eq(call->kept, call->body_len);
    int64_t n = base64_decode(&state, (const char *)call->body, call->kept, call->body);
    ck_assert_int_ge(n, 0);
    ck_assert(base64_whole(&state));
    call->kept = call->body_len = (size_t)n;
}

void web_trailers(struct call *call, size_t i)
{
    struct web_frame frame;
    ck_assert(web_frame(call, i, &frame));
    ck_assert_uint_eq(frame.flags, 0x80);
    ck_assert_ptr_eq(frame.payload.data + frame.payload.len, call->body + call->kept);
    size_t len = 0;
    for (size_t j = 0; j < frame.payload.len; j++)
        if (frame.payload.data[j] != '\r')
            call->trailers[len++] = (char)frame.payload.data[j];
    call->trailers[len] = '\0';
    ck_assert(len > 0 && call->trailers[len - 1] == '\n');
}
