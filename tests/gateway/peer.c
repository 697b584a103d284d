/* Clients and backends over the gateway's own links, with nghttp2 sessions of their own. */
#include "tests/gateway/peer.h"

#include "gateway/tls.h"
#include "mesh/rpc/rpc.h"

#include "api.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <unistd.h>

#define KEPT_MAX (256 * 1024)

static struct call *call_of(nghttp2_session *session, int32_t id)
{
    return nghttp2_session_get_stream_user_data(session, id);
}

static struct call *new_call(struct peer *peer)
{
    struct call *call = calloc(1, sizeof(*call));
    ck_assert_ptr_nonnull(call);
    call->peer = peer;
    pipe_init(&call->out);
    call->next = peer->calls;
    peer->calls = call;
    return call;
}

/* "name: value\n"… into nva, pointing into the text. */
static size_t parse_fields(const char *text, nghttp2_nv *ret_nva)
{
    size_t n = 0;
    while (*text) {
        const char *colon = strstr(text, ": "), *end = strchr(text, '\n');
        ck_assert(colon && end && colon < end);
        ret_nva[n++] = (nghttp2_nv){ (uint8_t *)text, (uint8_t *)colon + 2, (size_t)(colon - text),
                                     (size_t)(end - colon - 2), NGHTTP2_NV_FLAG_NONE };
        text = end + 1;
    }
    return n;
}

/* --- callbacks --- */

static bool is_probe(const struct call *call)
{
    return strstr(call->head, ":path: /grpc.health.v1.Health/Check\n") != NULL;
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *data)
{
    struct peer *peer = data;
    if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
        struct call *call = new_call(peer);
        call->id = frame->hd.stream_id;
        nghttp2_session_set_stream_user_data(session, call->id, call);
    }
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
                     const uint8_t *value, size_t value_len, uint8_t flags, void *data)
{
    struct call *call = call_of(session, frame->hd.stream_id);
    if (!call)
        return 0;
    char *text = call->headed ? call->trailers : call->head;
    size_t room = call->headed ? sizeof(call->trailers) : sizeof(call->head), len = strlen(text);
    snprintf(text + len, room - len, "%.*s: %.*s\n", (int)name_len, name, (int)value_len, value);
    return 0;
}

static void progress(struct call *call)
{
    struct backend *backend = call->peer->backend;
    if (!backend || call->closed)
        return;
    if (is_probe(call)) {
        if (call->ended && !call->replied)
            call_reply(call, (uint8_t[]){ 8, backend->sick ? 2 : 1 }, 2);
        return;
    }
    if (!call->begun) {
        call->begun = true;
        backend->n_requests++;
        if (backend->begin)
            backend->begin(call);
    }
    if (backend->more)
        backend->more(call);
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *data)
{
    struct peer *peer = data;
    if (frame->hd.type == NGHTTP2_GOAWAY)
        peer->got_goaway = true;
    struct call *call = frame->hd.stream_id ? call_of(session, frame->hd.stream_id) : NULL;
    if (!call || (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA))
        return 0;
    call->headed |= frame->hd.type == NGHTTP2_HEADERS;
    call->ended |= (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    progress(call);
    return 0;
}

static int on_data_chunk(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes, size_t n,
                         void *data)
{
    struct peer *peer = data;
    struct call *call = call_of(session, id);
    if (!call) {
        nghttp2_session_consume(session, id, n);
        return 0;
    }
    size_t keep = n < KEPT_MAX - call->kept ? n : KEPT_MAX - call->kept;
    call->body = realloc(call->body, call->kept + keep + 1);
    ck_assert_ptr_nonnull(call->body);
    memcpy(call->body + call->kept, bytes, keep);
    call->kept += keep;
    call->body_len += n;
    if (peer->slow)
        call->unread += n;
    else
        nghttp2_session_consume(session, id, n);
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t error, void *data)
{
    struct call *call = call_of(session, id);
    if (call) {
        call->closed = true;
        call->error = error;
    }
    return 0;
}

static ssize_t read_out(nghttp2_session *session, int32_t id, uint8_t *buffer, size_t room, uint32_t *flags,
                        nghttp2_data_source *source, void *data)
{
    struct call *call = source->ptr;
    size_t held = pipe_held(&call->out);
    if (held == 0 && !call->out_end) {
        call->parked = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    size_t n = held < room ? held : room;
    if (n)
        memcpy(buffer, pipe_peek(&call->out), n);
    pipe_take(&call->out, (uint32_t)n);
    if (call->out_end && n == held) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        if (call->out_trailers[0]) {
            nghttp2_nv nva[16];
            *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
            nghttp2_submit_trailer(session, id, nva, parse_fields(call->out_trailers, nva));
        }
    }
    return (ssize_t)n;
}

static nghttp2_session_callbacks *callbacks(void)
{
    static nghttp2_session_callbacks *made;
    if (made)
        return made;
    nghttp2_session_callbacks_new(&made);
    nghttp2_session_callbacks_set_on_begin_headers_callback(made, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(made, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(made, on_frame_recv);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(made, on_data_chunk);
    nghttp2_session_callbacks_set_on_stream_close_callback(made, on_stream_close);
    return made;
}

/* --- the link --- */

static void link_ready(struct link *link)
{
    ((struct peer *)link)->ready = true;
}

static int link_input(struct link *link, const uint8_t *data, size_t n)
{
    struct peer *peer = (struct peer *)link;
    ssize_t r = nghttp2_session_mem_recv(peer->session, data, n);
    link_wake(link);
    return r < 0 ? -EPROTO : 0;
}

static int link_output(struct link *link, struct outbuf *out)
{
    struct peer *peer = (struct peer *)link;
    int r = h2_output(peer->session, out);
    if (r == 0 && !nghttp2_session_want_read(peer->session) && !nghttp2_session_want_write(peer->session))
        link->finishing = true;
    return r;
}

static void link_down(struct link *link, int why)
{
    struct peer *peer = (struct peer *)link;
    peer->down = true;
    peer->why = why;
    for (struct call *call = peer->calls; call; call = call->next)
        call->closed = true;
}

struct peer *all_peers;

static void link_gone(struct link *link)
{
    struct peer *peer = (struct peer *)link;
    nghttp2_session_del(peer->session);
    peer->session = NULL;
}

static const struct link_ops ops = { link_ready, link_input, link_output, link_down, link_gone };

static nghttp2_option *options(void)
{
    static nghttp2_option *option;
    if (option)
        return option;
    nghttp2_option_new(&option);
    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_option_set_no_http_messaging(option, 1); /* tests say wrong things, too */
    return option;
}

static struct peer *new_peer(void)
{
    struct peer *peer = calloc(1, sizeof(*peer));
    ck_assert_ptr_nonnull(peer);
    return peer;
}

struct peer *peer_connect(struct reactor *reactor, int port, SSL_CTX *context, const char *name)
{
    struct peer *peer = new_peer();
    const struct sockaddr_in address = { AF_INET, htons((uint16_t)port), { htonl(INADDR_LOOPBACK) }, { 0 } };
    nghttp2_session_client_new2(&peer->session, callbacks(), peer, options());
    const nghttp2_settings_entry entries[] = { { NGHTTP2_SETTINGS_ENABLE_PUSH, 0 } };
    nghttp2_submit_settings(peer->session, 0, entries, 1);
    SSL *ssl = context ? tls_to(context, name) : NULL;
    ck_assert_int_eq(link_connect(&peer->link, reactor, &ops, (const struct sockaddr *)&address, ssl), 0);
    peer->next = all_peers;
    all_peers = peer;
    return peer;
}

static struct call *submit(struct peer *peer, const char *path, const char *extra, bool body)
{
    struct call *call = new_call(peer);
    nghttp2_nv nva[64];
    snprintf(call->request_head, sizeof(call->request_head), "%s:scheme: http\n:path: %s\n:authority: test\n%s%s%s",
             strstr(extra, ":method: ") ? "" : ":method: POST\n", path,
             strstr(extra, "content-type: ") ? "" : "content-type: application/grpc\n", "te: trailers\n", extra);
    /* pseudo header fields go first */
    char *pseudo = strstr(call->request_head, "\n:method: ");
    if (pseudo) {
        char line[64], rest[2048];
        size_t len = strcspn(pseudo + 1, "\n") + 1;
        snprintf(line, sizeof(line), "%.*s", (int)len, pseudo + 1);
        memmove(pseudo + 1, pseudo + 1 + len, strlen(pseudo + 1 + len) + 1);
        strcpy(rest, call->request_head);
        snprintf(call->request_head, sizeof(call->request_head), "%s%.1900s", line, rest);
    }
    nghttp2_data_provider out = { .source.ptr = call, .read_callback = read_out };
    call->id = nghttp2_submit_request(peer->session, NULL, nva, parse_fields(call->request_head, nva),
                                      body ? &out : NULL, call);
    ck_assert_int_gt(call->id, 0);
    link_wake(&peer->link);
    return call;
}

struct call *peer_call(struct peer *peer, const char *path, const char *extra)
{
    return submit(peer, path, extra, true);
}

struct call *peer_bare(struct peer *peer, const char *path, const char *extra)
{
    return submit(peer, path, extra, false);
}

void peer_close(struct peer *peer)
{
    link_close(&peer->link, 0);
}

/* --- backends --- */

static void on_connection(uv_poll_t *poll, int status, int events)
{
    struct backend *backend = poll->data;
    int fd = accept4(backend->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    struct peer *peer = new_peer();
    peer->backend = backend;
    peer->slow = backend->slow;
    peer->next = backend->peers;
    backend->peers = peer;
    backend->n_connections++;
    nghttp2_session_server_new2(&peer->session, callbacks(), peer, options());
    nghttp2_submit_settings(peer->session, 0, NULL, 0);
    SSL *ssl = backend->context ? SSL_new(backend->context) : NULL;
    ck_assert_int_eq(link_accept(&peer->link, backend->reactor, &ops, fd, ssl), 0);
}

void backend_start(struct backend *backend, struct reactor *reactor, SSL_CTX *context, int port)
{
    struct sockaddr_in address = { AF_INET, htons((uint16_t)port), { htonl(INADDR_LOOPBACK) }, { 0 } };
    socklen_t len = sizeof(address);
    int on = 1;
    backend->reactor = reactor;
    backend->context = context;
    backend->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(backend->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    ck_assert_int_eq(bind(backend->fd, (struct sockaddr *)&address, len), 0);
    ck_assert_int_eq(listen(backend->fd, 64), 0);
    getsockname(backend->fd, (struct sockaddr *)&address, &len);
    backend->port = ntohs(address.sin_port);
    uv_poll_init(reactor->loop, &backend->poll, backend->fd);
    backend->poll.data = backend;
    uv_poll_start(&backend->poll, UV_READABLE, on_connection);
}

void backend_stop(struct backend *backend)
{
    if (backend->fd < 0)
        return;
    uv_poll_stop(&backend->poll);
    close(backend->fd);
    backend->fd = -1;
}

void backend_kill(struct backend *backend)
{
    backend_stop(backend);
    for (struct peer *peer = backend->peers; peer; peer = peer->next)
        link_close(&peer->link, 0);
}

void backend_goaway(struct backend *backend, int32_t last)
{
    for (struct peer *peer = backend->peers; peer; peer = peer->next) {
        if (peer->down)
            continue;
        nghttp2_submit_goaway(peer->session, 0, last, NGHTTP2_NO_ERROR, NULL, 0);
        link_wake(&peer->link);
    }
}

/* --- streams --- */

static void wake(struct call *call)
{
    if (call->closed)
        return;
    if (call->parked) {
        call->parked = false;
        nghttp2_session_resume_data(call->peer->session, call->id);
    }
    link_wake(&call->peer->link);
}

void call_head(struct call *call, const char *fields)
{
    nghttp2_nv nva[32];
    nghttp2_data_provider body = { .source.ptr = call, .read_callback = read_out };
    if (!fields)
        fields = ":status: 200\ncontent-type: application/grpc\n";
    call->replied = true;
    nghttp2_submit_response(call->peer->session, call->id, nva, parse_fields(fields, nva), &body);
    link_wake(&call->peer->link);
}

void call_put(struct call *call, const void *data, size_t n)
{
    ck_assert(pipe_put(&call->out, data, (uint32_t)n));
    wake(call);
}

void call_put_message(struct call *call, const void *data, size_t n)
{
    call_put(call, (uint8_t[]){ 0, (uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n }, 5);
    call_put(call, data, n);
}

void call_end(struct call *call)
{
    call->out_end = true;
    wake(call);
}

void call_trailers(struct call *call, const char *fields)
{
    snprintf(call->out_trailers, sizeof(call->out_trailers), "%s", fields);
    call_end(call);
}

void call_only(struct call *call, const char *fields)
{
    nghttp2_nv nva[32];
    call->replied = true;
    nghttp2_submit_response(call->peer->session, call->id, nva, parse_fields(fields, nva), NULL);
    link_wake(&call->peer->link);
}

void call_reset(struct call *call, uint32_t error_code)
{
    nghttp2_submit_rst_stream(call->peer->session, 0, call->id, error_code);
    link_wake(&call->peer->link);
}

void call_read(struct call *call, size_t n)
{
    ck_assert_uint_le(n, call->unread);
    call->unread -= n;
    nghttp2_session_consume(call->peer->session, call->id, n);
    link_wake(&call->peer->link);
}

void call_reply(struct call *call, const void *data, size_t n)
{
    call_head(call, NULL);
    call_put_message(call, data, n);
    call_trailers(call, "grpc-status: 0\n");
}

/* --- what came --- */

const char *call_field(const struct call *call, const char *name)
{
    static char value[4096];
    char start[80];
    const char *texts[] = { call->trailers, call->head };
    snprintf(start, sizeof(start), "%s: ", name);
    for (size_t i = 0; i < 2; i++)
        for (const char *at = texts[i]; (at = strstr(at, start)); at++) {
            if (at != texts[i] && at[-1] != '\n')
                continue;
            at += strlen(start);
            snprintf(value, sizeof(value), "%.*s", (int)strcspn(at, "\n"), at);
            return value;
        }
    return "";
}

int call_status(const struct call *call)
{
    const char *text = call_field(call, "grpc-status");
    return *text ? atoi(text) : -1;
}

static Google__Rpc__Status *details(const struct call *call)
{
    char text[4096];
    unsigned char packed[3072];
    snprintf(text, sizeof(text) - 4, "%s", call_field(call, "grpc-status-details-bin"));
    size_t len = strlen(text), pad = (4 - len % 4) % 4;
    memset(text + len, '=', pad);
    int n = len ? EVP_DecodeBlock(packed, (unsigned char *)text, (int)(len + pad)) : 0;
    return n > (int)pad ? google__rpc__status__unpack(NULL, (size_t)n - pad, packed) : NULL;
}

const char *call_reason(const struct call *call)
{
    static char reason[128];
    Google__Rpc__Status *status = details(call);
    reason[0] = '\0';
    for (size_t i = 0; status && i < status->n_details; i++) {
        if (strcmp(status->details[i]->type_url, "type.googleapis.com/google.rpc.ErrorInfo") != 0)
            continue;
        Google__Rpc__ErrorInfo *info =
            google__rpc__error_info__unpack(NULL, status->details[i]->value.len, status->details[i]->value.data);
        ck_assert_ptr_nonnull(info);
        ck_assert_str_eq(info->domain, "ordermesh");
        snprintf(reason, sizeof(reason), "%s", info->reason);
        google__rpc__error_info__free_unpacked(info, NULL);
    }
    if (status) {
        ck_assert_int_eq(status->code, call_status(call));
        google__rpc__status__free_unpacked(status, NULL);
    }
    return reason;
}

const char *call_violation(const struct call *call)
{
    static char what[128];
    Google__Rpc__Status *status = details(call);
    what[0] = '\0';
    for (size_t i = 0; status && i < status->n_details; i++) {
        const Google__Protobuf__Any *any = status->details[i];
        if (strcmp(any->type_url, "type.googleapis.com/google.rpc.BadRequest") == 0) {
            Google__Rpc__BadRequest *bad = google__rpc__bad_request__unpack(NULL, any->value.len, any->value.data);
            snprintf(what, sizeof(what), "%s", bad->field_violations[0]->field);
            google__rpc__bad_request__free_unpacked(bad, NULL);
        } else if (strcmp(any->type_url, "type.googleapis.com/google.rpc.PreconditionFailure") == 0) {
            Google__Rpc__PreconditionFailure *failure =
                google__rpc__precondition_failure__unpack(NULL, any->value.len, any->value.data);
            snprintf(what, sizeof(what), "%s", failure->violations[0]->subject);
            google__rpc__precondition_failure__free_unpacked(failure, NULL);
        }
    }
    if (status)
        google__rpc__status__free_unpacked(status, NULL);
    return what;
}

int64_t call_retry_us(const struct call *call)
{
    Google__Rpc__Status *status = details(call);
    int64_t us = 0;
    for (size_t i = 0; status && i < status->n_details; i++) {
        if (strcmp(status->details[i]->type_url, "type.googleapis.com/google.rpc.RetryInfo") != 0)
            continue;
        Google__Rpc__RetryInfo *info =
            google__rpc__retry_info__unpack(NULL, status->details[i]->value.len, status->details[i]->value.data);
        us = info->retry_delay->seconds * 1000000 + info->retry_delay->nanos / 1000;
        google__rpc__retry_info__free_unpacked(info, NULL);
    }
    if (status)
        google__rpc__status__free_unpacked(status, NULL);
    return us;
}
