/* Two ends of HTTP/2 that talk to each other in memory: every head is a request of its own, answered at once. */
#include "gateway/mint.h"

#include <errno.h>

#define HEADS_MAX (1 << 20) /* of one pair of sessions: long before stream ids run out */

static struct mint {
    nghttp2_session *client, *server;
    int n_heads;
    void (*field)(void *arg, nghttp2_rcbuf *name, nghttp2_rcbuf *value);
    void *arg;
    bool whole;
} mint;

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, nghttp2_rcbuf *name, nghttp2_rcbuf *value,
                     uint8_t flags, void *data)
{
    mint.field(mint.arg, name, value);
    return 0;
}

static int on_invalid(nghttp2_session *session, const nghttp2_frame *frame, nghttp2_rcbuf *name, nghttp2_rcbuf *value,
                      uint8_t flags, void *data)
{
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *data)
{
    static const nghttp2_nv thanks[] = { H2_FIELD(":status", "204") };
    if (frame->hd.type != NGHTTP2_HEADERS)
        return 0;
    mint.whole = true;
    return nghttp2_submit_response(session, frame->hd.stream_id, thanks, 1, NULL);
}

static int open_sessions(void)
{
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;
    if (nghttp2_session_callbacks_new(&callbacks) != 0)
        return -ENOMEM;
    if (nghttp2_option_new(&option) != 0) {
        nghttp2_session_callbacks_del(callbacks);
        return -ENOMEM;
    }
    nghttp2_option_set_no_closed_streams(option, 1);
    int r = nghttp2_session_client_new2(&mint.client, callbacks, NULL, option);
    nghttp2_session_callbacks_set_on_header_callback2(callbacks, on_header);
    nghttp2_session_callbacks_set_on_invalid_header_callback2(callbacks, on_invalid);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame_recv);
    if (r == 0)
        r = nghttp2_session_server_new2(&mint.server, callbacks, NULL, option);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    if (r == 0)
        r = nghttp2_submit_settings(mint.client, NGHTTP2_FLAG_NONE, NULL, 0);
    if (r == 0)
        r = nghttp2_submit_settings(mint.server, NGHTTP2_FLAG_NONE, NULL, 0);
    return r == 0 ? 0 : -ENOMEM;
}

/* All that one end has to say. */
static int carry(nghttp2_session *from, nghttp2_session *to)
{
    const uint8_t *data;
    ssize_t n;
    while ((n = nghttp2_session_mem_send(from, &data)) > 0)
        if (nghttp2_session_mem_recv(to, data, (size_t)n) < 0)
            return -ENOMEM;
    return n < 0 ? -ENOMEM : 0;
}

void mint_trim(void)
{
    nghttp2_session_del(mint.client);
    nghttp2_session_del(mint.server);
    mint = (struct mint){ 0 };
}

int mint_head(const nghttp2_nv *nva, size_t n, void (*field)(void *arg, nghttp2_rcbuf *name, nghttp2_rcbuf *value),
              void *arg)
{
    if (mint.n_heads == HEADS_MAX)
        mint_trim();
    int r = mint.n_heads++ ? 0 : open_sessions();
    mint.field = field;
    mint.arg = arg;
    mint.whole = false;
    if (r == 0 && nghttp2_submit_request(mint.client, NULL, nva, n, NULL, NULL) < 0)
        r = -ENOMEM;
    if (r == 0)
        r = carry(mint.client, mint.server);
    if (r == 0)
        r = carry(mint.server, mint.client);
    if (r < 0) {
        mint_trim();
        return r;
    }
    return mint.whole ? 0 : -EPROTO;
}
