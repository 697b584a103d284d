/* nghttp2 as both sides of the gateway use it: options, frames into a link's buffer, DATA straight from a pipe. */
#pragma once

#include "gateway/link.h"
#include "gateway/pipe.h"

#include <nghttp2/nghttp2.h>

/* A header of constant text, and one of text that stays valid until the frame is sent. */
#define H2_FIELD(n, v) \
    { \
        (uint8_t *)(n), (uint8_t *)(v), sizeof(n) - 1, sizeof(v) - 1, \
            NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE \
    }
#define H2_VALUE(n, v, len) \
    ((nghttp2_nv){ (uint8_t *)(n), (uint8_t *)(v), sizeof(n) - 1, (len), \
                   NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE })

#define FIELDS_INLINE 4
#define FIELDS_MAX    64

/* Header fields as they came, kept by reference. */
struct fields {
    struct field {
        nghttp2_rcbuf *name, *value;
    } * list;
    uint16_t n, cap;
    struct field own[FIELDS_INLINE];
};
void fields_init(struct fields *fields);
void fields_finish(struct fields *fields);
/* 0, -E2BIG beyond FIELDS_MAX, -ENOMEM. */
int fields_add(struct fields *fields, nghttp2_rcbuf *name, nghttp2_rcbuf *value);
/* Appends them as they are to ret_nva, which has room; returns how many. They must stay until the frame is sent. */
size_t fields_nva(const struct fields *fields, nghttp2_nv *ret_nva);

/* Limits against peers that may be hostile are part of the server's options. Never freed by the caller. */
const nghttp2_option *h2_server_options(void);
const nghttp2_option *h2_client_options(void);

/* As link_ops.output. */
int h2_output(nghttp2_session *session, struct outbuf *out);
/* As nghttp2_send_data_callback: the frame's header and n bytes of the pipe, which are taken. Always the whole frame,
 * within the same call of nghttp2 that asked for the bytes. */
int h2_send_data(struct outbuf *out, const uint8_t *frame_header, struct pipe *pipe, size_t n);
/* An HTTP/2 error code as gRPC over HTTP/2 maps it to a status. */
int h2_error_to_code(uint32_t error_code);
