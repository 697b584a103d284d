/* The load of bench/import: an ERP sends invoices through the gateway, on a few streams of ImportOrders at once, as
 * omsctl does: chunks of up to 50 orders or 64 KiB, 8 of them sent and not acknowledged.
 *
 * bench_import_load PORT TOKEN SECONDS STREAMS PLAN: prints "begin" and "end" around what is measured, "end" once all
 * that was sent is acknowledged, and then one line: invoices, lines, refused, chunks, p50_us, p99_us of an
 * acknowledgement. */
#include "bench/plan.h"
#include "gateway/h2.h"

#include "oms/order/v1/order.pb-c.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STREAMS_MAX  16
#define AHEAD        8
#define CHUNK_ORDERS 50
#define CHUNK_BYTES  (64u << 10)
#define LINES_MAX    1000
#define FRAME        5 /* before each message: RFC "gRPC over HTTP2" */
#define ACK_MAX      (64u << 10)
#define CHUNKS_MAX   200000
#define YEAR_2011_US 1293840000000000ll

typedef Oms__Order__V1__ImportOrdersRequest ImportOrdersRequest;
typedef Oms__Order__V1__ImportOrdersRequest__Entry Entry;
typedef Oms__Order__V1__ImportOrdersResponse ImportOrdersResponse;
typedef Oms__Order__V1__PlaceOrderRequest__Line PlaceLine;

struct importer;

struct sender {
    struct link link;
    nghttp2_session *session;
    struct importer *importer;
    int32_t stream;
    uint8_t *out; /* the chunk that is being sent, with its frame */
    size_t out_len, out_at;
    int64_t begun_us[AHEAD]; /* of chunks that are not acknowledged, a ring */
    size_t acknowledged, made;
    uint8_t in[FRAME + ACK_MAX];
    size_t in_len;
    bool good, over;
};

struct importer {
    uv_loop_t loop;
    struct reactor reactor;
    struct sender *senders;
    size_t n, open;
    const char *token;
    struct plan plan;
    size_t next; /* of the plan, which begins again when it is at its end */
    int64_t end_us;
    char run[17];
    size_t invoices, lines, refused;
    uint32_t *times;
    size_t n_times;
    Entry entries[CHUNK_ORDERS], *entry_list[CHUNK_ORDERS];
    char names[CHUNK_ORDERS][64];
    Oms__Order__V1__Address addresses[CHUNK_ORDERS];
    PlaceLine *lines_of, **line_list; /* CHUNK_ORDERS × LINES_MAX */
    Google__Type__Money *prices;
};

static void fail(const char *why)
{
    fprintf(stderr, "bench/import: %s\n", why);
    exit(EXIT_FAILURE);
}

/* --- chunks --- */

static void fill_entry(struct importer *im, size_t at, const struct plan_invoice *invoice)
{
    Entry *entry = &im->entries[at];
    Oms__Order__V1__Address *address = &im->addresses[at];
    *address = (Oms__Order__V1__Address)OMS__ORDER__V1__ADDRESS__INIT;
    address->country = (char *)invoice->country;
    *entry = (Entry)OMS__ORDER__V1__IMPORT_ORDERS_REQUEST__ENTRY__INIT;
    snprintf(im->names[at], sizeof(im->names[at]), "%s-%zu", im->run, im->next);
    entry->customer_id = (char *)invoice->customer;
    entry->currency_code = "GBP";
    entry->channel = "retail";
    entry->external_id = im->names[at];
    entry->ship_to = address;
    entry->fulfilled = true;
    entry->place_time_us = YEAR_2011_US + (int64_t)im->next * 60000000;
    entry->n_lines = invoice->n_lines < LINES_MAX ? invoice->n_lines : LINES_MAX;
    entry->lines = im->line_list + at * LINES_MAX;
    for (size_t i = 0; i < entry->n_lines; i++) {
        const struct plan_line *planned = &invoice->lines[i];
        PlaceLine *line = entry->lines[i] = &im->lines_of[at * LINES_MAX + i];
        Google__Type__Money *price = &im->prices[at * LINES_MAX + i];
        *price = (Google__Type__Money)GOOGLE__TYPE__MONEY__INIT;
        price->currency_code = "GBP";
        price->units = planned->minor / 100;
        price->nanos = (int32_t)(planned->minor % 100) * 10000000;
        *line = (PlaceLine)OMS__ORDER__V1__PLACE_ORDER_REQUEST__LINE__INIT;
        line->sku = (char *)planned->sku;
        line->quantity = planned->quantity;
        line->unit_price = price;
    }
    im->entry_list[at] = entry;
}

static void make_chunk(struct sender *s)
{
    struct importer *im = s->importer;
    ImportOrdersRequest request = OMS__ORDER__V1__IMPORT_ORDERS_REQUEST__INIT;
    char id[64];
    size_t bytes = 0;
    snprintf(id, sizeof(id), "%s-%zu-%zu", im->run, (size_t)(s - im->senders), s->made);
    request.request_id = id;
    request.orders = im->entry_list;
    for (; request.n_orders < CHUNK_ORDERS && bytes < CHUNK_BYTES; request.n_orders++, im->next++) {
        fill_entry(im, request.n_orders, &im->plan.invoices[im->next % im->plan.n]);
        bytes += protobuf_c_message_get_packed_size(&im->entries[request.n_orders].base);
        im->lines += im->entries[request.n_orders].n_lines;
    }
    im->invoices += request.n_orders;
    size_t n = protobuf_c_message_get_packed_size(&request.base);
    s->out = realloc(s->out, FRAME + n);
    s->out[0] = 0;
    for (size_t i = 0; i < 4; i++)
        s->out[1 + i] = (uint8_t)(n >> (24 - 8 * i));
    protobuf_c_message_pack(&request.base, s->out + FRAME);
    s->out_len = FRAME + n;
    s->out_at = 0;
    s->begun_us[s->made++ % AHEAD] = wheel_now_us();
}

static ssize_t read_chunks(nghttp2_session *session, int32_t id, uint8_t *buffer, size_t room, uint32_t *flags,
                           nghttp2_data_source *source, void *data)
{
    struct sender *s = source->ptr;
    if (s->out_at == s->out_len) {
        if (wheel_now_us() >= s->importer->end_us) {
            *flags |= NGHTTP2_DATA_FLAG_EOF;
            return 0;
        }
        if (s->made - s->acknowledged == AHEAD)
            return NGHTTP2_ERR_DEFERRED;
        make_chunk(s);
    }
    size_t n = s->out_len - s->out_at < room ? s->out_len - s->out_at : room;
    memcpy(buffer, s->out + s->out_at, n);
    s->out_at += n;
    return (ssize_t)n;
}

static void acknowledge(struct sender *s, const uint8_t *message, size_t n)
{
    struct importer *im = s->importer;
    ImportOrdersResponse *ack = oms__order__v1__import_orders_response__unpack(NULL, n, message);
    if (!ack)
        fail("an acknowledgement cannot be read");
    if (ack->refused && !im->refused)
        for (size_t i = 0; i < ack->n_results; i++)
            if (ack->results[i]->refusal)
                fprintf(stderr, "bench/import: refused: %s %s\n", ack->results[i]->refusal->reason,
                        ack->results[i]->refusal->field);
    im->refused += ack->refused;
    oms__order__v1__import_orders_response__free_unpacked(ack, NULL);
    if (im->n_times < CHUNKS_MAX)
        im->times[im->n_times++] = (uint32_t)(wheel_now_us() - s->begun_us[s->acknowledged % AHEAD]);
    s->acknowledged++;
}

/* --- HTTP/2 --- */

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data, size_t n, void *arg)
{
    struct sender *s = arg;
    if (s->in_len + n > sizeof(s->in))
        fail("an acknowledgement is too large");
    memcpy(s->in + s->in_len, data, n);
    s->in_len += n;
    while (s->in_len >= FRAME) {
        size_t len = (size_t)s->in[1] << 24 | (size_t)s->in[2] << 16 | (size_t)s->in[3] << 8 | s->in[4];
        if (s->in_len < FRAME + len)
            break;
        acknowledge(s, s->in + FRAME, len);
        s->in_len -= FRAME + len;
        memmove(s->in, s->in + FRAME + len, s->in_len);
        nghttp2_session_resume_data(session, id);
    }
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, nghttp2_rcbuf *name, nghttp2_rcbuf *value,
                     uint8_t flags, void *arg)
{
    struct sender *s = arg;
    nghttp2_vec n = nghttp2_rcbuf_get_buf(name), v = nghttp2_rcbuf_get_buf(value);
    if (n.len == 11 && memcmp(n.base, "grpc-status", 11) == 0)
        s->good = v.len == 1 && v.base[0] == '0';
    if (n.len == 12 && memcmp(n.base, "grpc-message", 12) == 0 && v.len > 0)
        fprintf(stderr, "bench/import: %.*s\n", (int)v.len, (const char *)v.base);
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t error, void *arg)
{
    struct sender *s = arg;
    if (!s->good || s->acknowledged != s->made)
        fail("a stream did not end well");
    s->over = true;
    s->importer->open--;
    return 0;
}

static void ready(struct link *link)
{
    struct sender *s = (struct sender *)link;
    const char *token = s->importer->token;
    nghttp2_nv nva[] = {
        H2_FIELD(":method", "POST"),
        H2_FIELD(":scheme", "http"),
        H2_FIELD(":path", "/oms.order.v1.OrderService/ImportOrders"),
        H2_FIELD(":authority", "shop.example"),
        H2_FIELD("te", "trailers"),
        H2_FIELD("content-type", "application/grpc"),
        H2_VALUE("authorization", token, strlen(token)),
    };
    nghttp2_data_provider body = { .source.ptr = s, .read_callback = read_chunks };
    s->stream = nghttp2_submit_request(s->session, NULL, nva, sizeof(nva) / sizeof(nva[0]), &body, s);
    if (s->stream < 0)
        abort();
    link_wake(link);
}

static int input(struct link *link, const uint8_t *data, size_t n)
{
    link_wake(link);
    return nghttp2_session_mem_recv(((struct sender *)link)->session, data, n) < 0 ? -1 : 0;
}

static int output(struct link *link, struct outbuf *out)
{
    return h2_output(((struct sender *)link)->session, out);
}

static void down(struct link *link, int why)
{
    if (!((struct sender *)link)->over)
        fail("the gateway closed a connection");
}

static void gone(struct link *link)
{
    nghttp2_session_del(((struct sender *)link)->session);
}

static const struct link_ops ops = { ready, input, output, down, gone };

static void open_sender(struct importer *im, struct sender *s, int port)
{
    const struct sockaddr_in address = { AF_INET, htons((uint16_t)port), { htonl(INADDR_LOOPBACK) }, { 0 } };
    const nghttp2_settings_entry settings[] = { { NGHTTP2_SETTINGS_ENABLE_PUSH, 0 } };
    nghttp2_session_callbacks *callbacks;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback2(callbacks, on_header);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    s->importer = im;
    if (nghttp2_session_client_new(&s->session, callbacks, s) != 0 ||
        nghttp2_submit_settings(s->session, 0, settings, 1) != 0 ||
        link_connect(&s->link, &im->reactor, &ops, (const struct sockaddr *)&address, NULL) < 0)
        abort();
    nghttp2_session_callbacks_del(callbacks);
}

/* --- the run --- */

/* So that a stream that waits for nothing else sees that the time is over. */
static void on_beat(uv_timer_t *timer)
{
    struct importer *im = timer->data;
    for (size_t i = 0; wheel_now_us() >= im->end_us && i < im->n; i++) {
        struct sender *s = &im->senders[i];
        if (!s->over && nghttp2_session_resume_data(s->session, s->stream) == 0)
            link_wake(&s->link);
    }
}

static int by_time(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void closed(void *arg)
{
}

static void run(struct importer *im, int port, double seconds)
{
    uv_timer_t beat = { .data = im };
    uv_loop_init(&im->loop);
    reactor_init(&im->reactor, &im->loop);
    uv_timer_init(&im->loop, &beat);
    uv_timer_start(&beat, on_beat, 50, 50);
    im->open = im->n;
    im->end_us = wheel_now_us() + (int64_t)(seconds * 1e6);
    puts("begin");
    fflush(stdout);
    for (size_t i = 0; i < im->n; i++)
        open_sender(im, &im->senders[i], port);
    while (im->open)
        uv_run(&im->loop, UV_RUN_ONCE);
    puts("end");
    fflush(stdout);
    uv_close((uv_handle_t *)&beat, NULL);
    for (size_t i = 0; i < im->n; i++)
        link_close(&im->senders[i].link, 0);
    while (im->reactor.n_links)
        uv_run(&im->loop, UV_RUN_ONCE);
    reactor_finish(&im->reactor, closed, NULL);
    uv_run(&im->loop, UV_RUN_DEFAULT);
    uv_loop_close(&im->loop);
}

int main(int argc, char **argv)
{
    static struct importer im; /* large */
    if (argc != 6 || atoi(argv[4]) < 1 || atoi(argv[4]) > STREAMS_MAX) {
        fprintf(stderr, "bench_import_load PORT TOKEN SECONDS STREAMS PLAN\n");
        return EXIT_FAILURE;
    }
    char token[4096];
    snprintf(token, sizeof(token), "Bearer %s", argv[2]);
    im.token = token;
    im.n = (size_t)atoi(argv[4]);
    im.senders = calloc(im.n, sizeof(*im.senders));
    im.times = calloc(CHUNKS_MAX, sizeof(*im.times));
    im.lines_of = calloc(CHUNK_ORDERS * LINES_MAX, sizeof(*im.lines_of));
    im.line_list = calloc(CHUNK_ORDERS * LINES_MAX, sizeof(*im.line_list));
    im.prices = calloc(CHUNK_ORDERS * LINES_MAX, sizeof(*im.prices));
    snprintf(im.run, sizeof(im.run), "%llx", (unsigned long long)wheel_now_us());
    plan_read(&im.plan, argv[5]);

    run(&im, atoi(argv[1]), atof(argv[3]));
    qsort(im.times, im.n_times, sizeof(*im.times), by_time);
    printf("%zu %zu %zu %zu %u %u\n", im.invoices, im.lines, im.refused, im.n_times,
           im.n_times ? im.times[im.n_times / 2] : 0, im.n_times ? im.times[im.n_times * 99 / 100] : 0);
    for (size_t i = 0; i < im.n; i++)
        free(im.senders[i].out);
    free(im.senders);
    free(im.times);
    free(im.lines_of);
    free(im.line_list);
    free(im.prices);
    plan_drop(&im.plan);
    return EXIT_SUCCESS;
}
