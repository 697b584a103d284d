/* HTTP/2 sessions of clients (RFC 9113). What nghttp2's options do not limit is limited in edge.c. */
#include "gateway/edge.h"

#include "gateway/blocks.h"

#include <errno.h>

#define CONNECTION_WINDOW (1 << 20)
#define LAST_CALLS_US     (200 * 1000)

/* --- nghttp2's callbacks --- */

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *data)
{
    struct edge *edge = data;
    edge->current = NULL;
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    edge->current = edge_begin(edge, frame->hd.stream_id);
    if (!edge->current)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, edge->current);
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, nghttp2_rcbuf *name, nghttp2_rcbuf *value,
                     uint8_t flags, void *data)
{
    struct edge *edge = data;
    if (edge->current)
        exchange_field(edge->current, name, value);
    return 0;
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *data)
{
    struct edge *edge = data;
    bool end = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
    if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
        if (edge->current)
            exchange_begin(edge->current, end);
        edge->current = NULL;
    } else if (end && (frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS)) {
        struct exchange *x = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
        if (x)
            exchange_end(x);
    }
    return 0;
}

static int on_data_chunk(nghttp2_session *session, uint8_t flags, int32_t stream, const uint8_t *bytes, size_t n,
                         void *data)
{
    struct exchange *x = nghttp2_session_get_stream_user_data(session, stream);
    if (x)
        exchange_data(x, bytes, n);
    else
        nghttp2_session_consume_connection(session, n);
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t stream, uint32_t error_code, void *data)
{
    struct edge *edge = data;
    struct exchange *x = nghttp2_session_get_stream_user_data(session, stream);
    if (x) {
        if (edge->current == x)
            edge->current = NULL;
        edge_end(edge, x);
    }
    if (edge->left && !edge->exchanges)
        link_finish(&edge->link);
    return 0;
}

static ssize_t read_reply(nghttp2_session *session, int32_t stream, uint8_t *buffer, size_t room, uint32_t *flags,
                          nghttp2_data_source *source, void *data)
{
    return exchange_read(source->ptr, room, flags);
}

static int send_reply(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *header, size_t n,
                      nghttp2_data_source *source, void *data)
{
    struct edge *edge = data;
    return exchange_send(source->ptr, &edge->link.reactor->out, header, n);
}

/* A client that is still sending after its answer is told to stop, and only now: a reset that is queued behind the
 * answer would take its place. */
static int on_frame_sent(nghttp2_session *session, const nghttp2_frame *frame, void *data)
{
    if (frame->hd.type > NGHTTP2_HEADERS || !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM)) /* and DATA, which is 0 */
        return 0;
    struct exchange *x = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (x && !x->call.request_ended)
        nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_NO_ERROR);
    return 0;
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
    nghttp2_session_callbacks_set_send_data_callback(made, send_reply);
    nghttp2_session_callbacks_set_on_frame_send_callback(made, on_frame_sent);
    return made;
}

/* --- the connection --- */

static int session_open(struct edge *edge)
{
    const nghttp2_settings_entry settings[] = {
        { NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, edge->gateway->limits.streams },
        { NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HEADERS_MAX },
        { NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1 },
    };
    blocks_session_begin();
    int r = nghttp2_session_server_new3(&edge->session, callbacks(), edge, h2_server_options(), blocks_mem());
    blocks_session_end();
    if (r != 0 || nghttp2_submit_settings(edge->session, NGHTTP2_FLAG_NONE, settings, 3) != 0 ||
        nghttp2_session_set_local_window_size(edge->session, NGHTTP2_FLAG_NONE, 0, CONNECTION_WINDOW) != 0)
        return -ENOMEM;
    return 0;
}

static void session_close(struct edge *edge)
{
    edge->current = NULL;
    nghttp2_session_del(edge->session);
    edge->session = NULL;
}

static int link_input(struct link *link, const uint8_t *data, size_t n)
{
    struct edge *edge = (struct edge *)link;
    ssize_t r = nghttp2_session_mem_recv(edge->session, data, n);
    if (r == NGHTTP2_ERR_NOMEM)
        return -ENOMEM;
    if (r < 0) {
        limit_met(LIMIT_PROTOCOL);
        return -EPROTO;
    }
    edge->pinged = false;
    edge->heard_us = wheel_now_us();
    link_wake(link);
    return 0;
}

static int link_output(struct link *link, struct outbuf *out)
{
    struct edge *edge = (struct edge *)link;
    int r = h2_output(edge->session, out);
    if (r == 0 && !nghttp2_session_want_read(edge->session) && !nghttp2_session_want_write(edge->session))
        link->finishing = true;
    return r;
}

/* What the client sent before it read our notice has come by now: nothing later is taken. */
static void say_last(struct alarm *alarm)
{
    struct edge *edge = (struct edge *)((char *)alarm - offsetof(struct edge, watch));
    int32_t last = nghttp2_session_get_last_proc_stream_id(edge->session);
    nghttp2_submit_goaway(edge->session, NGHTTP2_FLAG_NONE, last, NGHTTP2_NO_ERROR, NULL, 0);
    edge->left = true;
    link_wake(&edge->link);
    if (!edge->exchanges)
        link_finish(&edge->link);
    edge_watch(edge);
}

static void leave(struct edge *edge)
{
    nghttp2_submit_shutdown_notice(edge->session);
    link_wake(&edge->link);
    alarm_start(&edge->link.reactor->wheel, &edge->watch, LAST_CALLS_US, say_last);
}

static void calm(struct edge *edge)
{
    nghttp2_session_terminate_session(edge->session, NGHTTP2_ENHANCE_YOUR_CALM);
    link_wake(&edge->link);
}

static void reset(struct edge *edge, int32_t stream, uint32_t error_code)
{
    nghttp2_submit_rst_stream(edge->session, NGHTTP2_FLAG_NONE, stream, error_code);
    link_wake(&edge->link);
}

/* Calls are looked at, and who is silent is asked for a sign of life. */
static int look(struct edge *edge, int64_t now_us)
{
    const struct gateway_limits *limits = &edge->gateway->limits;
    if (edge->current && now_us - edge->current->begun_us >= limits->head_us) {
        limit_met(LIMIT_HEAD);
        return -ETIMEDOUT;
    }
    for (struct exchange *x = edge->exchanges; x; x = x->next)
        if (x != edge->current && !exchange_look(x, now_us))
            reset(edge, x->stream, NGHTTP2_CANCEL);
    if (now_us - edge->heard_us < limits->quiet_us)
        return 0;
    if (edge->pinged) {
        limit_met(LIMIT_QUIET);
        return -ETIMEDOUT;
    }
    edge->pinged = true;
    nghttp2_submit_ping(edge->session, NGHTTP2_FLAG_NONE, NULL);
    link_wake(&edge->link);
    return 0;
}

/* --- what exchanges ask for --- */

static void head(struct edge *edge, struct exchange *x, const nghttp2_nv *nva, size_t n, bool body)
{
    nghttp2_data_provider reply = { .source.ptr = x, .read_callback = read_reply };
    if (nghttp2_submit_response(edge->session, x->stream, nva, n, body ? &reply : NULL) != 0)
        reset(edge, x->stream, NGHTTP2_INTERNAL_ERROR);
    link_wake(&edge->link);
}

static void trailers(struct edge *edge, int32_t stream, const nghttp2_nv *nva, size_t n)
{
    if (nghttp2_submit_trailer(edge->session, stream, nva, n) != 0)
        reset(edge, stream, NGHTTP2_INTERNAL_ERROR);
    link_wake(&edge->link);
}

static void resume(struct edge *edge, int32_t stream)
{
    nghttp2_session_resume_data(edge->session, stream);
    link_wake(&edge->link);
}

static void consumed(struct edge *edge, int32_t stream, size_t n)
{
    nghttp2_session_consume_connection(edge->session, n);
    if (stream)
        nghttp2_session_consume_stream(edge->session, stream, n);
    link_wake(&edge->link);
}

const struct wire edge_h2 = {
    .link = { NULL, link_input, link_output, edge_down, edge_gone },
    .open = session_open,
    .close = session_close,
    .head = head,
    .trailers = trailers,
    .resume = resume,
    .reset = reset,
    .consumed = consumed,
    .leave = leave,
    .calm = calm,
    .look = look,
};
