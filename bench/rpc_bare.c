/* What one would write on C core by hand for one method: the least that a call can cost with it. */
#include "bench/rpc_servers.h"

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define POSTED 64

struct bare_call {
    grpc_call *call;
    gpr_timespec deadline;
    grpc_metadata_array metadata;
    grpc_byte_buffer *payload;
    int cancelled;
    bool replying;
};

static grpc_server *server;
static grpc_completion_queue *queue;
static void *method;
static volatile sig_atomic_t ending;

static void post(struct bare_call *c)
{
    c->replying = false;
    c->metadata.count = 0;
    grpc_server_request_registered_call(server, method, &c->call, &c->deadline, &c->metadata, &c->payload, queue, queue,
                                        c);
}

static grpc_byte_buffer *answer(grpc_byte_buffer *payload)
{
    grpc_byte_buffer_reader reader;
    grpc_byte_buffer_reader_init(&reader, payload);
    grpc_slice in = grpc_byte_buffer_reader_readall(&reader);
    grpc_byte_buffer_reader_destroy(&reader);
    Oms__Catalog__V1__GetProductRequest *request =
        oms__catalog__v1__get_product_request__unpack(NULL, GRPC_SLICE_LENGTH(in), GRPC_SLICE_START_PTR(in));
    grpc_slice_unref(in);
    if (!request)
        abort();
    oms__catalog__v1__get_product_request__free_unpacked(request, NULL);

    const Oms__Catalog__V1__Product *product = bench_product();
    grpc_slice out = grpc_slice_malloc(oms__catalog__v1__product__get_packed_size(product));
    oms__catalog__v1__product__pack(product, GRPC_SLICE_START_PTR(out));
    grpc_byte_buffer *buffer = grpc_raw_byte_buffer_create(&out, 1);
    grpc_slice_unref(out);
    return buffer;
}

static void reply(struct bare_call *c)
{
    grpc_byte_buffer *buffer = answer(c->payload);
    grpc_op ops[] = {
        { .op = GRPC_OP_SEND_INITIAL_METADATA },
        { .op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = buffer },
        { .op = GRPC_OP_SEND_STATUS_FROM_SERVER, .data.send_status_from_server.status = GRPC_STATUS_OK },
        { .op = GRPC_OP_RECV_CLOSE_ON_SERVER, .data.recv_close_on_server.cancelled = &c->cancelled },
    };
    c->replying = true;
    grpc_call_start_batch(c->call, ops, 4, c, NULL);
    grpc_byte_buffer_destroy(buffer);
    grpc_byte_buffer_destroy(c->payload);
}

static char *read_all(const char *path)
{
    FILE *file = fopen(path, "re");
    char *text = calloc(1, 65536);
    if (!file || !text || fread(text, 1, 65535, file) == 0)
        abort();
    fclose(file);
    return text;
}

static grpc_server_credentials *credentials(char **paths)
{
    char *ca = read_all(paths[0]), *cert = read_all(paths[1]), *key = read_all(paths[2]);
    grpc_ssl_pem_key_cert_pair pair = { key, cert };
    grpc_server_credentials *made =
        grpc_ssl_server_credentials_create_ex(ca, &pair, 1, GRPC_SSL_REQUEST_CLIENT_CERTIFICATE_AND_VERIFY, NULL);
    free(ca);
    free(cert);
    free(key);
    return made;
}

static void on_term(int signal)
{
    ending = 1;
}

int bare_process(int argc, char **argv)
{
    static struct bare_call calls[POSTED];
    grpc_arg args[] = { { GRPC_ARG_INTEGER, (char *)"grpc.compression_enabled_algorithms_bitset", .value.integer = 1 },
                        { GRPC_ARG_INTEGER, (char *)GRPC_ARG_ENABLE_CHANNELZ, .value.integer = 0 } };

    signal(SIGTERM, on_term);
    grpc_init();
    server = grpc_server_create(&(grpc_channel_args){ 2, args }, NULL);
    queue = grpc_completion_queue_create_for_next(NULL);
    grpc_server_register_completion_queue(server, queue, NULL);
    method = grpc_server_register_method(server, GET, NULL, GRPC_SRM_PAYLOAD_READ_INITIAL_BYTE_BUFFER, 0);
    grpc_server_credentials *tls = credentials(argv + 1);
    int port = grpc_server_add_http2_port(server, "127.0.0.1:0", tls);
    grpc_server_credentials_release(tls);
    grpc_server_start(server);
    fprintf(stderr, "{\"event\":\"serving\",\"port\":%d}\n", port);

    for (int i = 0; i < POSTED; i++) {
        grpc_metadata_array_init(&calls[i].metadata);
        post(&calls[i]);
    }
    while (!ending) {
        gpr_timespec until = gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_millis(200, GPR_TIMESPAN));
        grpc_event event = grpc_completion_queue_next(queue, until, NULL);
        struct bare_call *c = event.tag;
        if (event.type != GRPC_OP_COMPLETE)
            continue;
        if (!c->replying) {
            reply(c);
            continue;
        }
        grpc_call_unref(c->call);
        post(c);
    }
    _exit(EXIT_SUCCESS); /* it has nothing to lose */
}
