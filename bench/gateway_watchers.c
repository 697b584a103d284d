/* Phones that watch: each a connection of its own with one watch on it, all of them idle. */
#include "bench/gateway_bench.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

#define AT_ONCE 64 /* connections that are being opened */

struct phone {
    struct link link;
    nghttp2_session *session;
    struct phones *phones;
    bool told;
};

struct phones {
    uv_loop_t loop;
    struct reactor reactor;
    struct phone *list;
    size_t n, n_told;
    const char *token;
};

/* WatchOrderRequest of "ord_1". */
static const uint8_t request[] = { 0, 0, 0, 0, 7, 0x0a, 5, 'o', 'r', 'd', '_', '1' };

static ssize_t read_request(nghttp2_session *session, int32_t id, uint8_t *buffer, size_t room, uint32_t *flags,
                            nghttp2_data_source *source, void *data)
{
    memcpy(buffer, request, sizeof(request));
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    return sizeof(request);
}

static int on_data_chunk(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes, size_t n,
                         void *data)
{
    struct phone *phone = data;
    phone->phones->n_told += !phone->told;
    phone->told = true;
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t error, void *data)
{
    fprintf(stderr, "bench/gateway: a watch ended\n");
    exit(EXIT_FAILURE);
}

static void ready(struct link *link)
{
    struct phone *phone = (struct phone *)link;
    const char *token = phone->phones->token;
    nghttp2_nv nva[] = {
        H2_FIELD(":method", "POST"),
        H2_FIELD(":scheme", "http"),
        H2_FIELD(":path", "/oms.order.v1.OrderService/WatchOrder"),
        H2_FIELD(":authority", "shop.example"),
        H2_FIELD("te", "trailers"),
        H2_FIELD("content-type", "application/grpc"),
        H2_FIELD("user-agent", "grpc-c/29.0.0 (linux; chttp2)"),
        H2_VALUE("authorization", token, strlen(token)),
    };
    nghttp2_data_provider body = { .read_callback = read_request };
    nghttp2_submit_request(phone->session, NULL, nva, sizeof(nva) / sizeof(nva[0]), &body, NULL);
}

static int input(struct link *link, const uint8_t *data, size_t n)
{
    link_wake(link);
    return nghttp2_session_mem_recv(((struct phone *)link)->session, data, n) < 0 ? -1 : 0;
}

static int output(struct link *link, struct outbuf *out)
{
    return h2_output(((struct phone *)link)->session, out);
}

static void down(struct link *link, int why)
{
}

static void gone(struct link *link)
{
    nghttp2_session_del(((struct phone *)link)->session);
}

static const struct link_ops ops = { ready, input, output, down, gone };

static void open_phone(struct phones *phones, struct phone *phone, int port)
{
    static nghttp2_session_callbacks *callbacks;
    const struct sockaddr_in address = { AF_INET, htons((uint16_t)port), { htonl(INADDR_LOOPBACK) }, { 0 } };
    if (!callbacks) {
        nghttp2_session_callbacks_new(&callbacks);
        nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data_chunk);
        nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    }
    phone->phones = phones;
    if (nghttp2_session_client_new(&phone->session, callbacks, phone) != 0 ||
        nghttp2_submit_settings(phone->session, 0, NULL, 0) != 0 ||
        link_connect(&phone->link, &phones->reactor, &ops, (const struct sockaddr *)&address, NULL) < 0)
        abort();
}

static void on_beat(uv_timer_t *timer)
{
}

static void closed(void *arg)
{
}

void watchers_run(int port, const char *token, size_t n, void (*all_watch)(void *arg), void *arg)
{
    struct phones *phones = calloc(1, sizeof(*phones));
    uv_timer_t beat;
    phones->list = calloc(n, sizeof(*phones->list));
    phones->token = token;
    uv_loop_init(&phones->loop);
    reactor_init(&phones->reactor, &phones->loop);
    uv_timer_init(&phones->loop, &beat);
    uv_timer_start(&beat, on_beat, 10, 10);
    for (int64_t until_us = wheel_now_us() + 30000000; phones->n_told < n;) {
        while (phones->n < n && phones->n < phones->n_told + AT_ONCE)
            open_phone(phones, &phones->list[phones->n++], port);
        uv_run(&phones->loop, UV_RUN_ONCE);
        if (wheel_now_us() > until_us) {
            fprintf(stderr, "bench/gateway: only %zu of %zu watches began\n", phones->n_told, n);
            exit(EXIT_FAILURE);
        }
    }
    all_watch(arg);
    for (size_t i = 0; i < n; i++)
        link_close(&phones->list[i].link, 0);
    uv_close((uv_handle_t *)&beat, NULL);
    while (phones->reactor.n_links)
        uv_run(&phones->loop, UV_RUN_ONCE);
    reactor_finish(&phones->reactor, closed, NULL);
    uv_run(&phones->loop, UV_RUN_DEFAULT);
    uv_loop_close(&phones->loop);
    free(phones->list);
    free(phones);
}
