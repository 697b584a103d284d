/* A closed loop of calls over nghttp2: as soon as one is answered, its place is taken by the next. */
#include "bench/gateway_bench.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

#define TIMES_MAX 2000000

struct load;

struct client {
    struct link link;
    nghttp2_session *session;
    struct load *load;
    bool down;
};

struct flight {
    struct client *client;
    int64_t begun_us;
    bool ok;
    size_t sent; /* of the request's body */
};

struct load {
    uv_loop_t loop;
    struct reactor reactor;
    struct client clients[BENCH_CONNECTIONS];
    struct flight flights[BENCH_CONNECTIONS * LOAD_STREAMS_MAX];
    struct tokens *tokens;
    uint64_t seed;
    size_t warmed; /* known tokens that have been used */
    bool measuring, over, ending;
    size_t calls, failed, flying;
    uint32_t *times;
    size_t n_times;
};

static size_t write_message(void *arg, uint8_t *buffer, size_t room)
{
    memset(buffer, 0, BENCH_MESSAGE);
    return BENCH_MESSAGE;
}

static struct load_call calls = { BENCH_PATH, BENCH_STREAMS, write_message, NULL };

void load_calls(const struct load_call *call)
{
    calls = *call;
}

static uint64_t chance(struct load *load)
{
    load->seed ^= load->seed << 13;
    load->seed ^= load->seed >> 7;
    load->seed ^= load->seed << 17;
    return load->seed;
}

static const char *next_token(struct load *load)
{
    struct tokens *t = load->tokens;
    if (load->warmed < t->n_known)
        return t->known[load->warmed++];
    if (!load->measuring || chance(load) % 1000 >= (uint64_t)t->fresh_per_mille)
        return t->known[chance(load) % t->n_known];
    if (t->next_fresh == t->n_fresh) {
        fprintf(stderr, "bench: there are no more tokens that nobody has seen\n");
        exit(EXIT_FAILURE);
    }
    return t->fresh[t->next_fresh++];
}

static ssize_t read_message(nghttp2_session *session, int32_t id, uint8_t *buffer, size_t room, uint32_t *flags,
                            nghttp2_data_source *source, void *data)
{
    size_t n = calls.write(calls.arg, buffer + 5, room - 5);
    buffer[0] = 0;
    for (size_t i = 0; i < 4; i++)
        buffer[1 + i] = (uint8_t)(n >> (24 - 8 * i));
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)(5 + n);
}

static void take_off(struct flight *flight)
{
    struct client *client = flight->client;
    const char *token = next_token(client->load);
    nghttp2_nv nva[] = {
        H2_FIELD(":method", "POST"),
        H2_FIELD(":scheme", "http"),
        H2_VALUE(":path", calls.path, strlen(calls.path)),
        H2_FIELD(":authority", "shop.example"),
        H2_FIELD("te", "trailers"),
        H2_FIELD("content-type", "application/grpc"),
        H2_FIELD("user-agent", "grpc-c/29.0.0 (linux; chttp2)"),
        H2_FIELD("grpc-accept-encoding", "identity, deflate, gzip"),
        H2_FIELD("grpc-timeout", "5S"),
        H2_VALUE("authorization", token, strlen(token)),
    };
    nva[9].flags |= NGHTTP2_NV_FLAG_NO_INDEX; /* credentials: RFC 7541, section 7.1.3 */
    nghttp2_data_provider body = { .source.ptr = flight, .read_callback = read_message };
    flight->ok = false;
    client->load->flying++;
    flight->begun_us = wheel_now_us();
    if (nghttp2_submit_request(client->session, NULL, nva, sizeof(nva) / sizeof(nva[0]), &body, flight) < 0)
        abort();
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, nghttp2_rcbuf *name, nghttp2_rcbuf *value,
                     uint8_t flags, void *data)
{
    nghttp2_vec n = nghttp2_rcbuf_get_buf(name), v = nghttp2_rcbuf_get_buf(value);
    if (n.len != 11 || memcmp(n.base, "grpc-status", 11) != 0)
        return 0;
    struct flight *flight = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (flight)
        flight->ok = v.len == 1 && v.base[0] == '0';
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t error, void *data)
{
    struct client *client = data;
    struct load *load = client->load;
    struct flight *flight = nghttp2_session_get_stream_user_data(session, id);
    if (!flight)
        return 0;
    load->flying--;
    load->calls++;
    load->failed += !flight->ok;
    if (load->measuring && load->n_times < TIMES_MAX)
        load->times[load->n_times++] = (uint32_t)(wheel_now_us() - flight->begun_us);
    if (!load->ending && !load->over)
        take_off(flight);
    return 0;
}

static void ready(struct link *link)
{
    struct client *client = (struct client *)link;
    struct load *load = client->load;
    size_t first = (size_t)(client - load->clients) * LOAD_STREAMS_MAX;
    for (size_t i = 0; i < calls.streams; i++) {
        load->flights[first + i].client = client;
        take_off(&load->flights[first + i]);
    }
}

static int input(struct link *link, const uint8_t *data, size_t n)
{
    link_wake(link);
    return nghttp2_session_mem_recv(((struct client *)link)->session, data, n) < 0 ? -1 : 0;
}

static int output(struct link *link, struct outbuf *out)
{
    return h2_output(((struct client *)link)->session, out);
}

static void down(struct link *link, int why)
{
    struct client *client = (struct client *)link;
    client->down = true;
    if (client->load->ending)
        return;
    fprintf(stderr, "bench/gateway: the proxy closed a connection: %s\n", strerror(-why));
    exit(EXIT_FAILURE);
}

static void gone(struct link *link)
{
    nghttp2_session_del(((struct client *)link)->session);
}

static const struct link_ops ops = { ready, input, output, down, gone };

static nghttp2_session_callbacks *callbacks(void)
{
    static nghttp2_session_callbacks *made;
    if (made)
        return made;
    nghttp2_session_callbacks_new(&made);
    nghttp2_session_callbacks_set_on_header_callback2(made, on_header);
    nghttp2_session_callbacks_set_on_stream_close_callback(made, on_stream_close);
    return made;
}

static void open_client(struct load *load, struct client *client, int port)
{
    const struct sockaddr_in address = { AF_INET, htons((uint16_t)port), { htonl(INADDR_LOOPBACK) }, { 0 } };
    const nghttp2_settings_entry settings[] = { { NGHTTP2_SETTINGS_ENABLE_PUSH, 0 } };
    client->load = load;
    if (nghttp2_session_client_new(&client->session, callbacks(), client) != 0 ||
        nghttp2_submit_settings(client->session, 0, settings, 1) != 0 ||
        link_connect(&client->link, &load->reactor, &ops, (const struct sockaddr *)&address, NULL) < 0)
        abort();
}

static void on_beat(uv_timer_t *timer)
{
}

static void run_until(struct load *load, int64_t until_us)
{
    while (wheel_now_us() < until_us || load->warmed < load->tokens->n_known)
        uv_run(&load->loop, UV_RUN_ONCE);
}

static int by_time(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void closed(void *arg)
{
}

static void end(struct load *load)
{
    load->ending = true;
    for (size_t i = 0; i < BENCH_CONNECTIONS; i++)
        link_close(&load->clients[i].link, 0);
    while (load->reactor.n_links)
        uv_run(&load->loop, UV_RUN_ONCE);
    reactor_finish(&load->reactor, closed, NULL);
    uv_run(&load->loop, UV_RUN_DEFAULT);
    uv_loop_close(&load->loop);
}

void load_run(int port, struct tokens *tokens, int64_t warm_us, int64_t measured_us,
              void (*measuring)(void *arg, bool begins), void *arg, struct load_result *ret_result)
{
    struct load *load = calloc(1, sizeof(*load));
    uv_timer_t beat;
    load->tokens = tokens;
    load->seed = 0x9e3779b97f4a7c15;
    load->times = malloc(TIMES_MAX * sizeof(*load->times));
    uv_loop_init(&load->loop);
    reactor_init(&load->reactor, &load->loop);
    uv_timer_init(&load->loop, &beat);
    uv_timer_start(&beat, on_beat, 10, 10);
    for (size_t i = 0; i < BENCH_CONNECTIONS; i++)
        open_client(load, &load->clients[i], port);
    run_until(load, wheel_now_us() + warm_us);

    load->calls = load->failed = 0;
    load->measuring = true;
    measuring(arg, true);
    int64_t begun_us = wheel_now_us();
    run_until(load, begun_us + measured_us);
    ret_result->wall_us = wheel_now_us() - begun_us;
    measuring(arg, false);
    load->measuring = false;
    load->over = true;
    ret_result->calls = load->calls;
    for (int64_t until_us = wheel_now_us() + 10000000; load->flying && wheel_now_us() < until_us;)
        uv_run(&load->loop, UV_RUN_ONCE);
    ret_result->failed = load->failed + load->flying;
    qsort(load->times, load->n_times, sizeof(*load->times), by_time);
    ret_result->p50_us = load->n_times ? load->times[load->n_times / 2] : 0;
    ret_result->p99_us = load->n_times ? load->times[load->n_times * 99 / 100] : 0;
    uv_close((uv_handle_t *)&beat, NULL);
    end(load);
    free(load->times);
    free(load);
}
