/* What nghttp2 is told once, and the road of its frames into the buffer that is written. */
#include "gateway/h2.h"

#include "mesh/rpc/rpc.h"

#include <errno.h>
#include <stdlib.h>

#define FRAME_ROOM  (9 + 16384 + 1)
#define REPLY_TABLE 512 /* bytes: of replies only content-type and grpc-status come again */

void fields_init(struct fields *fields)
{
    fields->list = fields->own;
    fields->n = 0;
    fields->cap = FIELDS_INLINE;
}

void fields_finish(struct fields *fields)
{
    for (size_t i = 0; i < fields->n; i++) {
        nghttp2_rcbuf_decref(fields->list[i].name);
        nghttp2_rcbuf_decref(fields->list[i].value);
    }
    if (fields->list != fields->own)
        free(fields->list);
    fields_init(fields);
}

int fields_add(struct fields *fields, nghttp2_rcbuf *name, nghttp2_rcbuf *value)
{
    if (fields->n == FIELDS_MAX)
        return -E2BIG;
    if (fields->n == fields->cap) {
        bool own = fields->list == fields->own;
        struct field *list = reallocarray(own ? NULL : fields->list, 2 * fields->cap, sizeof(*list));
        if (!list)
            return -ENOMEM;
        if (own)
            memcpy(list, fields->own, sizeof(fields->own));
        fields->list = list;
        fields->cap *= 2;
    }
    nghttp2_rcbuf_incref(name);
    nghttp2_rcbuf_incref(value);
    fields->list[fields->n++] = (struct field){ name, value };
    return 0;
}

size_t fields_nva(const struct fields *fields, nghttp2_nv *ret_nva)
{
    for (size_t i = 0; i < fields->n; i++) {
        nghttp2_vec name = nghttp2_rcbuf_get_buf(fields->list[i].name);
        nghttp2_vec value = nghttp2_rcbuf_get_buf(fields->list[i].value);
        ret_nva[i] = (nghttp2_nv){ name.base, value.base, name.len, value.len,
                                   NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE };
    }
    return fields->n;
}

static nghttp2_option *options(void)
{
    nghttp2_option *option;
    if (nghttp2_option_new(&option) != 0)
        abort();
    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_option_set_no_closed_streams(option, 1);
    return option;
}

const nghttp2_option *h2_server_options(void)
{
    static nghttp2_option *option;
    if (option)
        return option;
    option = options();
    nghttp2_option_set_max_outbound_ack(option, 64);
    nghttp2_option_set_max_settings(option, 32);
    nghttp2_option_set_stream_reset_rate_limit(option, 1000, 33);
    nghttp2_option_set_max_continuations(option, 8);
    nghttp2_option_set_max_send_header_block_length(option, 32 * 1024);
    nghttp2_option_set_max_deflate_dynamic_table_size(option, REPLY_TABLE);
    return option;
}

const nghttp2_option *h2_client_options(void)
{
    static nghttp2_option *option;
    if (option)
        return option;
    option = options();
    nghttp2_option_set_max_reserved_remote_streams(option, 0);
    nghttp2_option_set_no_http_messaging(option, 1); /* it is one of us: what we rely on is looked at by forward.c */
    return option;
}

int h2_output(nghttp2_session *session, struct outbuf *out)
{
    out->full = false;
    while (!out->full && sizeof(out->data) - out->len >= FRAME_ROOM) {
        const uint8_t *data;
        ssize_t n = nghttp2_session_mem_send(session, &data);
        if (n < 0)
            return n == NGHTTP2_ERR_NOMEM ? -ENOMEM : -EPROTO;
        if (n == 0)
            return out->full;
        memcpy(out->data + out->len, data, (size_t)n);
        out->len += (size_t)n;
    }
    return 1;
}

int h2_send_data(struct outbuf *out, const uint8_t *frame_header, struct pipe *pipe, size_t n)
{
    memcpy(out->data + out->len, frame_header, 9);
    if (n)
        memcpy(out->data + out->len + 9, pipe_peek(pipe), n);
    out->len += 9 + n;
    pipe_take(pipe, (uint32_t)n);
    out->full = sizeof(out->data) - out->len < FRAME_ROOM;
    return out->full ? NGHTTP2_ERR_PAUSE : 0;
}

int h2_error_to_code(uint32_t error_code)
{
    switch (error_code) {
    case NGHTTP2_REFUSED_STREAM:
        return RPC_UNAVAILABLE;
    case NGHTTP2_CANCEL:
        return RPC_CANCELLED;
    case NGHTTP2_ENHANCE_YOUR_CALM:
        return RPC_RESOURCE_EXHAUSTED;
    case NGHTTP2_INADEQUATE_SECURITY:
        return RPC_PERMISSION_DENIED;
    default:
        return RPC_INTERNAL;
    }
}
