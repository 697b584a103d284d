/* HTTP/2 sessions of clients. What nghttp2's options do not limit is limited here: connections, silence, tokens that
 * are refused. */
#include "gateway/edge.h"

#include "gateway/blocks.h"
#include "gateway/tls.h"
#include "mesh/port.h"

#include <errno.h>
#include <unistd.h>

#define CONNECTION_WINDOW (1 << 20)
#define LAST_CALLS_US     (200 * 1000)
#define REFUSED_MAX       64 /* tokens on one connection: each costs a verification */

/* --- nghttp2's callbacks --- */

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *data)
{
    struct edge *edge = data;
    edge->current = NULL;
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    struct exchange *x = exchange_create(edge->gateway, edge, frame->hd.stream_id);
    if (!x)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    x->prev = NULL;
    x->next = edge->exchanges;
    if (x->next)
        x->next->prev = x;
    edge->exchanges = x;
    edge->n_exchanges++;
    edge->used_us = x->begun_us;
    edge->current = x;
    nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, x);
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

static void unlink_exchange(struct edge *edge, struct exchange *x)
{
    if (x->prev)
        x->prev->next = x->next;
    else
        edge->exchanges = x->next;
    if (x->next)
        x->next->prev = x->prev;
    if (edge->current == x)
        edge->current = NULL;
    edge->n_exchanges--;
    if (!edge->exchanges)
        edge->used_us = wheel_now_us();
}

static int on_stream_close(nghttp2_session *session, int32_t stream, uint32_t error_code, void *data)
{
    struct edge *edge = data;
    struct exchange *x = nghttp2_session_get_stream_user_data(session, stream);
    if (x) {
        unlink_exchange(edge, x);
        exchange_closed(x);
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

/* --- the link's callbacks --- */

static void look(struct alarm *alarm);

static void link_ready(struct link *link)
{
    struct edge *edge = (struct edge *)link;
    const struct gateway_limits *limits = &edge->gateway->limits;
    if (link->ssl && !tls_is_h2(link->ssl))
        return link_close(link, -EPROTONOSUPPORT);
    const nghttp2_settings_entry settings[] = {
        { NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, limits->streams },
        { NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HEADERS_MAX },
        { NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1 },
    };
    edge->heard_us = wheel_now_us();
    blocks_session_begin();
    int r = nghttp2_session_server_new3(&edge->session, callbacks(), edge, h2_server_options(), blocks_mem());
    blocks_session_end();
    if (r != 0 || nghttp2_submit_settings(edge->session, NGHTTP2_FLAG_NONE, settings, 3) != 0 ||
        nghttp2_session_set_local_window_size(edge->session, NGHTTP2_FLAG_NONE, 0, CONNECTION_WINDOW) != 0)
        return link_close(link, -ENOMEM);
    alarm_start(&link->reactor->wheel, &edge->watch, limits->handshake_us, look);
}

static int link_input(struct link *link, const uint8_t *data, size_t n)
{
    struct edge *edge = (struct edge *)link;
    ssize_t r = nghttp2_session_mem_recv(edge->session, data, n);
    if (r < 0)
        return r == NGHTTP2_ERR_NOMEM ? -ENOMEM : -EPROTO;
    edge->pinged = false;
    edge->heard_us = wheel_now_us();
    link_wake(link);
    return 0;
}

static int link_output(struct link *link, struct outbuf *out)
{
    struct edge *edge = (struct edge *)link;
    if (!edge->session)
        return 0;
    int r = h2_output(edge->session, out);
    if (r == 0 && !nghttp2_session_want_read(edge->session) && !nghttp2_session_want_write(edge->session))
        link->finishing = true;
    return r;
}

static void link_down(struct link *link, int why)
{
    struct edge *edge = (struct edge *)link;
    struct gateway *gateway = edge->gateway;
    alarm_stop(&edge->watch);
    for (struct exchange *x; (x = edge->exchanges);) {
        unlink_exchange(edge, x);
        exchange_closed(x);
    }
    nghttp2_session_del(edge->session);
    edge->session = NULL;
    if (edge->token)
        nghttp2_rcbuf_decref(edge->token);
    principal_unref(edge->principal);
    *(edge->prev ? &edge->prev->next : &gateway->edges) = edge->next;
    if (edge->next)
        edge->next->prev = edge->prev;
    gateway->n_edges--;
    metric_set(gateway->connections, (int64_t)gateway->n_edges);
}

static void link_gone(struct link *link)
{
    free((struct edge *)link);
}

static const struct link_ops ops = { link_ready, link_input, link_output, link_down, link_gone };

/* --- silence --- */

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
    alarm_start(&edge->link.reactor->wheel, alarm, edge->gateway->limits.quiet_us / 2, look);
}

static void leave(struct edge *edge)
{
    if (edge->leaving || !edge->session)
        return;
    edge->leaving = true;
    nghttp2_submit_shutdown_notice(edge->session);
    link_wake(&edge->link);
    alarm_start(&edge->link.reactor->wheel, &edge->watch, LAST_CALLS_US, say_last);
}

/* From time to time: who is silent without a call goes, who is silent with one is asked for a sign of life. */
static void look(struct alarm *alarm)
{
    struct edge *edge = (struct edge *)((char *)alarm - offsetof(struct edge, watch));
    const struct gateway_limits *limits = &edge->gateway->limits;
    int64_t now_us = wheel_now_us(), silent_us = now_us - edge->heard_us, unused_us = now_us - edge->used_us;
    bool idle = !edge->exchanges;
    if (!edge->session || (edge->pinged && silent_us >= limits->quiet_us) ||
        (idle && nghttp2_session_get_last_proc_stream_id(edge->session) == 0 && unused_us >= limits->handshake_us))
        return link_close(&edge->link, -ETIMEDOUT);
    if (idle && unused_us >= limits->idle_us)
        return leave(edge);
    if (silent_us >= limits->quiet_us) {
        edge->pinged = true;
        nghttp2_submit_ping(edge->session, NGHTTP2_FLAG_NONE, NULL);
        link_wake(&edge->link);
    }
    alarm_start(&edge->link.reactor->wheel, alarm, limits->quiet_us / 2, look);
}

/* --- connections --- */

void edge_accept(struct gateway *gateway, int fd, SSL_CTX *context)
{
    struct edge *edge = gateway->n_edges < gateway->limits.connections ? calloc(1, sizeof(*edge)) : NULL;
    SSL *ssl = edge && context ? SSL_new(context) : NULL;
    if (!edge || (context && !ssl)) {
        free(edge);
        close(fd);
        return;
    }
    edge->gateway = gateway;
    edge->link.deaf = true;
    edge->heard_us = edge->used_us = wheel_now_us();
    edge->next = gateway->edges;
    if (edge->next)
        edge->next->prev = edge;
    gateway->edges = edge;
    gateway->n_edges++;
    metric_set(gateway->connections, (int64_t)gateway->n_edges);
    alarm_start(&gateway->reactor.wheel, &edge->watch, gateway->limits.handshake_us, look);
    if (link_accept(&edge->link, &gateway->reactor, &ops, fd, ssl) == 0)
        return;
    link_down(&edge->link, 0);
    free(edge);
}

void edges_leave(struct gateway *gateway)
{
    for (struct edge *edge = gateway->edges; edge; edge = edge->next)
        leave(edge);
}

void edges_close(struct gateway *gateway)
{
    for (struct edge *edge = gateway->edges; edge; edge = edge->next)
        link_close(&edge->link, 0);
}

/* --- what exchanges ask for --- */

int edge_authenticate(struct edge *edge, nghttp2_rcbuf *authorization, struct principal **ret_principal,
                      struct refusal *ret_refusal)
{
    struct gateway *gateway = edge->gateway;
    int64_t now_s = gateway->port->wall_us(gateway->port) / 1000000;
    if (!authorization)
        return auth_check(gateway->auth, NULL, 0, now_s, ret_principal, ret_refusal);
    if (edge->token == authorization && auth_still_good(gateway->auth, edge->principal, now_s)) {
        *ret_principal = principal_ref(edge->principal);
        return 0;
    }
    nghttp2_vec text = nghttp2_rcbuf_get_buf(authorization);
    int r = auth_check(gateway->auth, (const char *)text.base, text.len, now_s, ret_principal, ret_refusal);
    if (r < 0) {
        if (++edge->refused == REFUSED_MAX)
            nghttp2_session_terminate_session(edge->session, NGHTTP2_ENHANCE_YOUR_CALM);
        return r;
    }
    if (edge->token)
        nghttp2_rcbuf_decref(edge->token);
    nghttp2_rcbuf_incref(authorization);
    edge->token = authorization;
    principal_unref(edge->principal);
    edge->principal = principal_ref(*ret_principal);
    return 0;
}

void edge_head(struct edge *edge, struct exchange *x, const nghttp2_nv *nva, size_t n, bool body)
{
    nghttp2_data_provider reply = { .source.ptr = x, .read_callback = read_reply };
    if (nghttp2_submit_response(edge->session, x->stream, nva, n, body ? &reply : NULL) != 0)
        edge_reset(edge, x->stream, NGHTTP2_INTERNAL_ERROR);
    link_wake(&edge->link);
}

void edge_trailers(struct edge *edge, int32_t stream, const nghttp2_nv *nva, size_t n)
{
    if (nghttp2_submit_trailer(edge->session, stream, nva, n) != 0)
        edge_reset(edge, stream, NGHTTP2_INTERNAL_ERROR);
    link_wake(&edge->link);
}

void edge_resume(struct edge *edge, int32_t stream)
{
    nghttp2_session_resume_data(edge->session, stream);
    link_wake(&edge->link);
}

void edge_reset(struct edge *edge, int32_t stream, uint32_t error_code)
{
    nghttp2_submit_rst_stream(edge->session, NGHTTP2_FLAG_NONE, stream, error_code);
    link_wake(&edge->link);
}

void edge_consumed(struct edge *edge, int32_t stream, size_t n)
{
    nghttp2_session_consume_connection(edge->session, n);
    if (stream)
        nghttp2_session_consume_stream(edge->session, stream, n);
    link_wake(&edge->link);
}
