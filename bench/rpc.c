/* bench/rpc: closed-loop load on a service and on bare C core in turns, and the CPU that each spends on a call. */
#include "bench/machine.h"
#include "bench/rpc_servers.h"
#include "tests/mesh/certs.h"

#include <grpc/byte_buffer.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHANNELS   8
#define STREAMS    16
#define PRINCIPALS 10000
#define ROUND_S    0.25
#define ALONE      2000 /* calls one after the other */

static const char *dir;

/* --- the load --- */

struct load {
    grpc_completion_queue *queue;
    grpc_channel *channels[CHANNELS];
    void *methods[CHANNELS];
    const char *method;
    struct bytes_of {
        uint8_t data[64];
        size_t len;
    } request;
    long done, failed;
    bool running;
    int in_flight;
};

struct slot {
    struct load *load;
    int channel;
    grpc_call *call;
    grpc_metadata_array initial, trailing;
    grpc_byte_buffer *received;
    grpc_status_code status;
    grpc_slice message;
};

/* One in a hundred is somebody who has not been seen before. */
static void name_caller(char ret_text[64])
{
    static unsigned long next, fresh;
    unsigned long who = ++next % 100 ? (unsigned long)random() % PRINCIPALS : PRINCIPALS + ++fresh;
    snprintf(ret_text, 64, "4;usr_%020lu", who);
}

static void issue(struct slot *slot)
{
    struct load *load = slot->load;
    char caller[64], trace[64];
    name_caller(caller);
    snprintf(trace, sizeof(trace), "00-%016lx%016lx-%016lx-01", random(), random() | 1, random() | 1);
    grpc_metadata metadata[] = {
        { .key = grpc_slice_from_static_string("traceparent"), .value = grpc_slice_from_copied_string(trace) },
        { .key = grpc_slice_from_static_string("x-mesh-caller"), .value = grpc_slice_from_copied_string(caller) },
    };
    grpc_slice payload = grpc_slice_from_copied_buffer((const char *)load->request.data, load->request.len);
    grpc_byte_buffer *buffer = grpc_raw_byte_buffer_create(&payload, 1);
    gpr_timespec deadline = gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_seconds(10, GPR_TIMESPAN));

    slot->call = grpc_channel_create_registered_call(load->channels[slot->channel], NULL, GRPC_PROPAGATE_DEFAULTS,
                                                     load->queue, load->methods[slot->channel], deadline, NULL);
    slot->initial.count = slot->trailing.count = 0;
    grpc_op ops[] = {
        { .op = GRPC_OP_SEND_INITIAL_METADATA, .data.send_initial_metadata = { 2, metadata, { 0 } } },
        { .op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = buffer },
        { .op = GRPC_OP_SEND_CLOSE_FROM_CLIENT },
        { .op = GRPC_OP_RECV_INITIAL_METADATA, .data.recv_initial_metadata.recv_initial_metadata = &slot->initial },
        { .op = GRPC_OP_RECV_MESSAGE, .data.recv_message.recv_message = &slot->received },
        { .op = GRPC_OP_RECV_STATUS_ON_CLIENT,
          .data.recv_status_on_client = { &slot->trailing, &slot->status, &slot->message, NULL } },
    };
    grpc_call_start_batch(slot->call, ops, 6, slot, NULL);
    grpc_byte_buffer_destroy(buffer);
    grpc_slice_unref(payload);
    grpc_slice_unref(metadata[0].value);
    grpc_slice_unref(metadata[1].value);
    load->in_flight++;
}

static void finished(struct slot *slot)
{
    struct load *load = slot->load;
    load->in_flight--;
    load->done++;
    if (slot->status != GRPC_STATUS_OK && load->failed++ == 0)
        fprintf(stderr, "bench/rpc: %.*s\n", (int)GRPC_SLICE_LENGTH(slot->message),
                (const char *)GRPC_SLICE_START_PTR(slot->message));
    if (slot->received)
        grpc_byte_buffer_destroy(slot->received);
    slot->received = NULL;
    grpc_slice_unref(slot->message);
    grpc_call_unref(slot->call);
    if (load->running)
        issue(slot);
}

static void open_load(struct load *load, const struct server *server, const char *method,
                      const ProtobufCMessage *request)
{
    char target[64], *ca = read_in(dir, "ca.pem"), *cert = read_in(dir, "gateway.pem"),
                     *key = read_in(dir, "gateway.key");
    grpc_ssl_pem_key_cert_pair pair = { key, cert };
    grpc_channel_credentials *tls = grpc_ssl_credentials_create_ex(ca, &pair, NULL, NULL);

    *load = (struct load){ .method = method, .queue = grpc_completion_queue_create_for_next(NULL) };
    load->request.len = protobuf_c_message_pack(request, load->request.data);
    snprintf(target, sizeof(target), "ipv4:127.0.0.1:%d", server->port);
    for (int i = 0; i < CHANNELS; i++) {
        grpc_arg args[] = {
            { GRPC_ARG_STRING, (char *)GRPC_SSL_TARGET_NAME_OVERRIDE_ARG, .value.string = (char *)"svc-bench" },
            { GRPC_ARG_INTEGER, (char *)GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, .value.integer = 1 },
            { GRPC_ARG_INTEGER, (char *)GRPC_ARG_ENABLE_RETRIES, .value.integer = 0 },
            { GRPC_ARG_INTEGER, (char *)"grpc.compression_enabled_algorithms_bitset", .value.integer = 1 },
        };
        load->channels[i] = grpc_channel_create(target, tls, &(grpc_channel_args){ 4, args });
        load->methods[i] = grpc_channel_register_call(load->channels[i], method, NULL, NULL);
    }
    grpc_channel_credentials_release(tls);
    free(ca);
    free(cert);
    free(key);
}

static void close_load(struct load *load)
{
    for (int i = 0; i < CHANNELS; i++)
        grpc_channel_destroy(load->channels[i]);
    grpc_completion_queue_shutdown(load->queue);
    while (grpc_completion_queue_next(load->queue, gpr_inf_future(GPR_CLOCK_REALTIME), NULL).type !=
           GRPC_QUEUE_SHUTDOWN)
        ;
    grpc_completion_queue_destroy(load->queue);
}

struct cost {
    double cpu_s, wall_s;
    long calls;
};

static struct slot slots[CHANNELS * STREAMS];

static void forget_slots(int n)
{
    for (int i = 0; i < n; i++) {
        grpc_metadata_array_destroy(&slots[i].initial);
        grpc_metadata_array_destroy(&slots[i].trailing);
    }
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Half of the calls are faster, one after the other on one connection. */
static double median_us(struct load *load)
{
    static double took[ALONE];

    load->running = false;
    slots[0] = (struct slot){ .load = load };
    for (int i = 0; i < ALONE; i++) {
        double begun = machine_now_s(CLOCK_MONOTONIC);
        issue(&slots[0]);
        grpc_event event = grpc_completion_queue_next(load->queue, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
        finished(event.tag);
        took[i] = machine_now_s(CLOCK_MONOTONIC) - begun;
    }
    forget_slots(1);
    qsort(took, ALONE, sizeof(took[0]), compare_doubles);
    return took[ALONE / 2] * 1e6;
}

/* All slots busy for so long; the server's CPU meanwhile is added to the cost. */
static void run_load(struct load *load, const struct server *server, double seconds, struct cost *cost)
{
    double until = machine_now_s(CLOCK_MONOTONIC) + seconds;

    load->running = true;
    load->done = 0;
    double begun = machine_now_s(CLOCK_MONOTONIC), cpu = machine_now_s(server->cpu);
    for (int i = 0; i < CHANNELS * STREAMS; i++) {
        slots[i] = (struct slot){ .load = load, .channel = i % CHANNELS };
        issue(&slots[i]);
    }
    while (load->in_flight > 0) {
        grpc_event event = grpc_completion_queue_next(load->queue, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
        if (machine_now_s(CLOCK_MONOTONIC) >= until)
            load->running = false;
        finished(event.tag);
    }
    if (cost) {
        cost->cpu_s += machine_now_s(server->cpu) - cpu;
        cost->wall_s += machine_now_s(CLOCK_MONOTONIC) - begun;
        cost->calls += load->done;
    }
    forget_slots(CHANNELS * STREAMS);
}

static void tell(const char *what, const struct cost *cost, double alone_us)
{
    printf("%-30s %6.0f calls/s %6.0f per CPU-second %5.1f us of CPU a call; alone %4.0f us until answered\n", what,
           (double)cost->calls / cost->wall_s, (double)cost->calls / cost->cpu_s,
           cost->cpu_s / (double)cost->calls * 1e6, alone_us);
}

static void compare(struct server *service, struct server *bare, double seconds)
{
    Oms__Catalog__V1__GetProductRequest get = OMS__CATALOG__V1__GET_PRODUCT_REQUEST__INIT;
    Oms__Catalog__V1__SearchProductsRequest search = OMS__CATALOG__V1__SEARCH_PRODUCTS_REQUEST__INIT;
    struct load loads[3];
    struct server *servers[] = { bare, service, service };
    struct cost costs[3] = { 0 };

    get.by_case = OMS__CATALOG__V1__GET_PRODUCT_REQUEST__BY_SKU;
    get.sku = (char *)"85123A-RED";
    search.prefix = (char *)"hanging";
    open_load(&loads[0], bare, GET, &get.base);
    open_load(&loads[1], service, GET, &get.base);
    open_load(&loads[2], service, SEARCH, &search.base);
    for (int i = 0; i < 3; i++)
        run_load(&loads[i], servers[i], 0.3, NULL);
    /* In turns, so that what else the machine does weighs on all alike. */
    for (double spent = 0; spent < seconds; spent += 3 * ROUND_S)
        for (int i = 0; i < 3; i++)
            run_load(&loads[i], servers[i], ROUND_S, &costs[i]);
    static const char *const names[] = { "bare C core", "a service, without a unit", "a service, through a read unit" };
    for (int i = 0; i < 3; i++)
        tell(names[i], &costs[i], median_us(&loads[i]));

    double per_call[3];
    long failed = 0;
    for (int i = 0; i < 3; i++) {
        per_call[i] = costs[i].cpu_s / (double)costs[i].calls;
        failed += loads[i].failed;
        close_load(&loads[i]);
    }
    printf("failed calls: %ld\n", failed);
    printf("figure: rpc_cpu_vs_bare %.2f ratio\n", per_call[1] / per_call[0]);
    printf("figure: rpc_read_unit_cpu_vs_bare %.2f ratio\n", per_call[2] / per_call[0]);
    if (failed > 0)
        exit(EXIT_FAILURE);
}

static void make_dir(void)
{
    dir = machine_scratch("rpc");
    certs_authority(dir, "ca");
    certs_issue(dir, "ca", "svc-bench");
    certs_issue(dir, "ca", "gateway");
}

int main(int argc, char **argv)
{
    double seconds = 20;
    if (argc > 1 && strcmp(argv[1], "service") == 0)
        return service_process(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "bare") == 0)
        return bare_process(argc - 1, argv + 1);
    if (argc == 3 && strcmp(argv[1], "--seconds") == 0 && atof(argv[2]) > 0)
        seconds = atof(argv[2]);
    else if (argc != 1) {
        fprintf(stderr, "usage: bench/rpc [--seconds N]\n");
        return EXIT_FAILURE;
    }

    make_dir();
    machine_print(dir);
    printf("fdatasync of one page: %.0f us (median of 100)\n", machine_sync_us(dir));
    printf("%d connections x %d calls, mutual TLS, %d callers and 1 in 100 new\n\n", CHANNELS, STREAMS, PRINCIPALS);
    struct idle_cost idle;
    idle_measure(dir, &idle);

    char *ca = path_in(dir, "ca.pem"), *cert = path_in(dir, "svc-bench.pem"), *key = path_in(dir, "svc-bench.key"),
         *db = path_in(dir, "bench.db");
    struct server service, bare;
    server_start(&service, NULL,
                 (char *[]){ argv[0], (char *)"service", (char *)"--store-path", db, (char *)"--tls-ca", ca,
                             (char *)"--tls-cert", cert, (char *)"--tls-key", key, NULL });
    server_start(&bare, NULL, (char *[]){ argv[0], (char *)"bare", ca, cert, key, NULL });
    grpc_init();
    compare(&service, &bare, seconds);
    server_stop(&service);
    server_stop(&bare);
    grpc_shutdown_blocking();
    printf("figure: service_idle_kb %.0f kB\nfigure: start_ms %.0f ms\n", idle.rss_kb, idle.start_ms);
    free(ca);
    free(cert);
    free(key);
    free(db);
    return EXIT_SUCCESS;
}
