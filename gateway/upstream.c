/* The client side of HTTP/2. Flow control is opened per stream as the client at the other end takes bytes; the
 * connection's own window is opened at once, so that one slow client cannot stop its neighbours. */
#include "gateway/upstream.h"

#include "gateway/blocks.h"
#include "gateway/tls.h"

#include <errno.h>
#include <stdlib.h>

#define CONNECTION_WINDOW (4 * 1024 * 1024)
#define STREAMS_ENOUGH    (1 << 30) /* a new connection takes over long before stream ids run out */
#define HANDSHAKE_US      (3 * 1000 * 1000)

/* --- nghttp2's callbacks --- */

static struct upcall *call_of(nghttp2_session *session, int32_t stream)
{
    return nghttp2_session_get_stream_user_data(session, stream);
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *data)
{
    struct upstream *upstream = data;
    upstream->current = frame->hd.type == NGHTTP2_HEADERS ? call_of(session, frame->hd.stream_id) : NULL;
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, nghttp2_rcbuf *name, nghttp2_rcbuf *value,
                     uint8_t flags, void *data)
{
    struct upstream *upstream = data;
    if (upstream->current)
        upstream->current->ops->field(upstream->current, name, value);
    return 0;
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *data)
{
    struct upstream *upstream = data;
    bool end = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
    if (frame->hd.type == NGHTTP2_HEADERS && upstream->current)
        upstream->current->ops->head(upstream->current, end);
    else if (frame->hd.type == NGHTTP2_GOAWAY)
        upstream_leave(upstream);
    else if (frame->hd.type == NGHTTP2_DATA && end) {
        struct upcall *call = call_of(session, frame->hd.stream_id);
        if (call)
            call->ops->end(call);
    }
    return 0;
}

static int on_data_chunk(nghttp2_session *session, uint8_t flags, int32_t stream, const uint8_t *bytes, size_t n,
                         void *data)
{
    struct upcall *call = call_of(session, stream);
    nghttp2_session_consume_connection(session, n);
    if (call)
        call->ops->data(call, bytes, n);
    return 0;
}

static void finish_call(struct upstream *upstream, struct upcall *call, uint32_t error_code)
{
    if (call->prev)
        call->prev->next = call->next;
    else
        upstream->calls = call->next;
    if (call->next)
        call->next->prev = call->prev;
    if (upstream->current == call)
        upstream->current = NULL;
    upstream->in_flight -= !call->cancelled;
    call->upstream = NULL;
    call->ops->closed(call, error_code, error_code == NGHTTP2_REFUSED_STREAM || !call->sent);
}

static int on_stream_close(nghttp2_session *session, int32_t stream, uint32_t error_code, void *data)
{
    struct upstream *upstream = data;
    struct upcall *call = call_of(session, stream);
    if (call)
        finish_call(upstream, call, error_code);
    if (upstream->leaving && !upstream->calls)
        link_finish(&upstream->link);
    return 0;
}

static ssize_t read_request(nghttp2_session *session, int32_t stream, uint8_t *buffer, size_t room, uint32_t *flags,
                            nghttp2_data_source *source, void *data)
{
    struct upcall *call = source->ptr;
    uint32_t held = pipe_held(&call->request);
    if (held == 0 && !call->request_ended) {
        call->parked = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (held > room)
        return (ssize_t)room;
    if (call->request_ended)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return held;
}

static int send_request(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *header, size_t n,
                        nghttp2_data_source *source, void *data)
{
    struct upstream *upstream = data;
    struct upcall *call = source->ptr;
    int r = h2_send_data(&upstream->link.reactor->out, header, &call->request, n);
    call->sent = true;
    call->ops->taken(call, n);
    return r;
}

static nghttp2_session_callbacks *callbacks(void)
{
    static nghttp2_session_callbacks *made;
    if (made)
        return made;
    if (nghttp2_session_callbacks_new(&made) != 0)
        abort();
    nghttp2_session_callbacks_set_on_begin_headers_callback(made, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback2(made, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(made, on_frame_recv);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(made, on_data_chunk);
    nghttp2_session_callbacks_set_on_stream_close_callback(made, on_stream_close);
    nghttp2_session_callbacks_set_send_data_callback(made, send_request);
    return made;
}

/* --- the link's callbacks --- */

static void link_ready(struct link *link)
{
    struct upstream *upstream = (struct upstream *)link;
    alarm_stop(&upstream->handshake);
    if (link->ssl && !tls_is_h2(link->ssl))
        return link_close(link, -EPROTONOSUPPORT);
    upstream->ready = true;
    upstream->owner->up(upstream);
}

static int link_input(struct link *link, const uint8_t *data, size_t n)
{
    struct upstream *upstream = (struct upstream *)link;
    ssize_t r = nghttp2_session_mem_recv(upstream->session, data, n);
    if (r < 0)
        return r == NGHTTP2_ERR_NOMEM ? -ENOMEM : -EPROTO;
    link_wake(link);
    return 0;
}

static int link_output(struct link *link, struct outbuf *out)
{
    return h2_output(((struct upstream *)link)->session, out);
}

static void link_down(struct link *link, int why)
{
    struct upstream *upstream = (struct upstream *)link;
    alarm_stop(&upstream->handshake);
    upstream->ready = false;
    while (upstream->calls)
        finish_call(upstream, upstream->calls, UPCALL_LOST);
    upstream->owner->down(upstream, why);
    nghttp2_session_del(upstream->session);
    upstream->session = NULL;
}

static void link_gone(struct link *link)
{
    free((struct upstream *)link);
}

static const struct link_ops ops = { link_ready, link_input, link_output, link_down, link_gone };

static void handshake_late(struct alarm *alarm)
{
    struct upstream *upstream = (struct upstream *)((char *)alarm - offsetof(struct upstream, handshake));
    link_close(&upstream->link, -ETIMEDOUT);
}

static int greet(nghttp2_session *session)
{
    const nghttp2_settings_entry settings[] = {
        { NGHTTP2_SETTINGS_ENABLE_PUSH, 0 },
        { NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1 },
    };
    if (nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, settings, 2) != 0)
        return -ENOMEM;
    return nghttp2_session_set_local_window_size(session, NGHTTP2_FLAG_NONE, 0, CONNECTION_WINDOW) ? -ENOMEM : 0;
}

struct upstream *upstream_connect(struct reactor *reactor, const struct sockaddr *address, const char *process,
                                  SSL_CTX *context, const struct upstream_owner *owner, void *owner_data)
{
    struct upstream *upstream = calloc(1, sizeof(*upstream));
    if (!upstream)
        return NULL;
    upstream->owner = owner;
    upstream->owner_data = owner_data;
    SSL *ssl = context ? tls_to(context, process) : NULL;
    blocks_session_begin();
    int r = nghttp2_session_client_new3(&upstream->session, callbacks(), upstream, h2_client_options(), blocks_mem());
    blocks_session_end();
    if (r != 0 || (context && !ssl)) {
        SSL_free(ssl);
        goto fail;
    }
    if (greet(upstream->session) < 0) {
        SSL_free(ssl);
        goto fail;
    }
    if (link_connect(&upstream->link, reactor, &ops, address, ssl) < 0)
        goto fail;
    alarm_start(&reactor->wheel, &upstream->handshake, HANDSHAKE_US, handshake_late);
    return upstream;
fail:
    nghttp2_session_del(upstream->session);
    free(upstream);
    return NULL;
}

void upstream_leave(struct upstream *upstream)
{
    if (upstream->leaving)
        return;
    upstream->leaving = true;
    upstream->owner->leaving(upstream);
    if (!upstream->calls)
        link_finish(&upstream->link);
}

void upstream_close(struct upstream *upstream)
{
    upstream->ready = false;
    link_close(&upstream->link, 0);
}

/* --- calls --- */

int upcall_start(struct upcall *call, struct upstream *upstream, const nghttp2_nv *nva, size_t n)
{
    nghttp2_data_provider body = { .source.ptr = call, .read_callback = read_request };
    bool empty = call->request_ended && pipe_held(&call->request) == 0;
    int32_t stream = nghttp2_submit_request(upstream->session, NULL, nva, n, empty ? NULL : &body, call);
    if (stream == NGHTTP2_ERR_STREAM_ID_NOT_AVAILABLE)
        upstream_leave(upstream);
    if (stream < 0)
        return stream == NGHTTP2_ERR_NOMEM ? -ENOMEM : -EAGAIN;
    call->stream = stream;
    call->parked = call->sent = call->cancelled = false;
    call->upstream = upstream;
    call->prev = NULL;
    call->next = upstream->calls;
    if (call->next)
        call->next->prev = call;
    upstream->calls = call;
    upstream->in_flight++;
    if (stream > STREAMS_ENOUGH)
        upstream_leave(upstream);
    link_wake(&upstream->link);
    return 0;
}

void upcall_wake(struct upcall *call)
{
    if (!call->parked || !call->upstream)
        return;
    call->parked = false;
    nghttp2_session_resume_data(call->upstream->session, call->stream);
    link_wake(&call->upstream->link);
}

void upcall_consumed(struct upcall *call, size_t n)
{
    if (!call->upstream)
        return;
    nghttp2_session_consume_stream(call->upstream->session, call->stream, n);
    link_wake(&call->upstream->link);
}

void upcall_cancel(struct upcall *call, uint32_t error_code)
{
    if (!call->upstream)
        return;
    call->upstream->in_flight -= !call->cancelled;
    call->cancelled = true;
    nghttp2_submit_rst_stream(call->upstream->session, NGHTTP2_FLAG_NONE, call->stream, error_code);
    link_wake(&call->upstream->link);
}
