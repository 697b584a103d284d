/* The process behind: as little as HTTP/2 over mutual TLS can cost, so that the proxies are what is measured. */
#include "bench/gateway_bench.h"
#include "gateway/tls.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

/* What is answered to a path that begins so; reply to all others. */
static const struct answer {
    const char *path;
    uint8_t message[32];
    size_t len;
    bool lasts; /* a stream that never ends */
} answers[] = {
    { "/grpc.health.", { 0, 0, 0, 0, 2, 8, 1 }, 7, false },
    /* a GetOrderResponse: order { ord_1, PENDING }, position { a, 1 } */
    { "/oms.order.v1.OrderService/GetOrder",
      { 0, 0, 0, 0, 18, 0x0a, 9, 0x0a, 5, 'o', 'r', 'd', '_', '1', 0x18, 1, 0x12, 5, 0x0a, 1, 'a', 0x10, 1 },
      23,
      false },
    { "/mesh.v1.LogService/Tail", { 0 }, 0, true },
};

struct connection {
    struct link link;
    nghttp2_session *session;
};

static struct reactor reactor;
static SSL_CTX *context;
static uint8_t reply[5 + BENCH_MESSAGE] = { 0, 0, 0, 0, BENCH_MESSAGE };

static ssize_t read_reply(nghttp2_session *session, int32_t id, uint8_t *buffer, size_t room, uint32_t *flags,
                          nghttp2_data_source *source, void *data)
{
    static const nghttp2_nv trailers[] = { H2_FIELD("grpc-status", "0") };
    const struct answer *answer = source->ptr;
    if (answer && answer->lasts)
        return NGHTTP2_ERR_DEFERRED;
    size_t n = answer ? answer->len : sizeof(reply);
    memcpy(buffer, answer ? answer->message : reply, n);
    *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
    nghttp2_submit_trailer(session, id, trailers, 1);
    return (ssize_t)n;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, nghttp2_rcbuf *name, nghttp2_rcbuf *value,
                     uint8_t flags, void *data)
{
    nghttp2_vec n = nghttp2_rcbuf_get_buf(name), v = nghttp2_rcbuf_get_buf(value);
    if (n.len != 5 || memcmp(n.base, ":path", 5) != 0)
        return 0;
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++)
        if (strncmp((const char *)v.base, answers[i].path, strlen(answers[i].path)) == 0)
            nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, (void *)&answers[i]);
    return 0;
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *data)
{
    static const nghttp2_nv head[] = { H2_FIELD(":status", "200"), H2_FIELD("content-type", "application/grpc") };
    if ((frame->hd.type != NGHTTP2_DATA && frame->hd.type != NGHTTP2_HEADERS) ||
        !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
        return 0;
    void *answer = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    nghttp2_data_provider body = { .source.ptr = answer, .read_callback = read_reply };
    nghttp2_submit_response(session, frame->hd.stream_id, head, 2, &body);
    return 0;
}

static void ready(struct link *link)
{
}

static int input(struct link *link, const uint8_t *data, size_t n)
{
    link_wake(link);
    return nghttp2_session_mem_recv(((struct connection *)link)->session, data, n) < 0 ? -1 : 0;
}

static int output(struct link *link, struct outbuf *out)
{
    return h2_output(((struct connection *)link)->session, out);
}

static void down(struct link *link, int why)
{
}

static void gone(struct link *link)
{
    nghttp2_session_del(((struct connection *)link)->session);
    free((struct connection *)link);
}

static const struct link_ops ops = { ready, input, output, down, gone };

static void on_connection(uv_poll_t *poll, int status, int events)
{
    static nghttp2_session_callbacks *callbacks;
    if (!callbacks) {
        nghttp2_session_callbacks_new(&callbacks);
        nghttp2_session_callbacks_set_on_header_callback2(callbacks, on_header);
        nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame_recv);
    }
    int fd = accept4((int)(intptr_t)poll->data, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    struct connection *c = calloc(1, sizeof(*c));
    const nghttp2_settings_entry settings[] = { { NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 1000 } };
    nghttp2_session_server_new(&c->session, callbacks, c);
    nghttp2_submit_settings(c->session, 0, settings, 1);
    link_accept(&c->link, &reactor, &ops, fd, SSL_new(context));
}

int backend_main(const char *dir)
{
    char ca[512], cert[512], key[512];
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    snprintf(ca, sizeof(ca), "%s/ca.crt", dir);
    snprintf(cert, sizeof(cert), "%s/svc-order.crt", dir);
    snprintf(key, sizeof(key), "%s/svc-order.key", dir);
    context = tls_server(&(struct tls_files){ ca, cert, key });
    if (!context)
        return EXIT_FAILURE;
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);

    uv_poll_t poll;
    struct sockaddr_in address = { AF_INET, 0, { htonl(INADDR_LOOPBACK) }, { 0 } };
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (bind(fd, (struct sockaddr *)&address, len) < 0 || listen(fd, 128) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &len) < 0)
        return EXIT_FAILURE;
    reactor_init(&reactor, uv_default_loop());
    uv_poll_init(uv_default_loop(), &poll, fd);
    poll.data = (void *)(intptr_t)fd;
    uv_poll_start(&poll, UV_READABLE, on_connection);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return uv_run(uv_default_loop(), UV_RUN_DEFAULT);
}
