/* Reservations through C core's client, from one completion queue. */
#include "bench/reserve_bench.h"
#include "oms/inventory/v1/inventory.pb-c.h"

#include "api.h"

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <stdlib.h>
#include <string.h>

#define CHANNELS    8
#define SLOTS_MAX   512
#define BATCH_MAX   64
#define RESERVE     "/oms.inventory.v1.InventoryService/ReserveStock"
#define DELIVER     "/mesh.v1.DeliverService/Deliver"
#define DEADLINE_S  30
#define EXPIRE_US   90000000000 /* from now: 25 hours, as svc-order says */
#define REQUEST_MAX 256         /* bytes */

struct slot {
    struct load *load;
    int channel;
    grpc_call *call;
    grpc_metadata_array initial, trailing;
    grpc_byte_buffer *received;
    grpc_status_code status;
    grpc_slice message;
};

struct load {
    grpc_completion_queue *queue;
    grpc_channel *channels[CHANNELS];
    const char *sku;
    int batch, in_flight;
    bool running;
    long tally[3];
    struct slot slots[SLOTS_MAX];
};
enum { GRANTED, REFUSED, FAILED };

static grpc_channel *open_channel(const char *dir, const struct server *server, const char *process)
{
    char target[64], name[64];
    snprintf(name, sizeof(name), "%s.pem", process);
    char *ca = read_in(dir, "ca.pem"), *cert = read_in(dir, name);
    snprintf(name, sizeof(name), "%s.key", process);
    char *key = read_in(dir, name);
    grpc_ssl_pem_key_cert_pair pair = { key, cert };
    grpc_channel_credentials *tls = grpc_ssl_credentials_create_ex(ca, &pair, NULL, NULL);
    grpc_arg args[] = {
        { GRPC_ARG_STRING, (char *)GRPC_SSL_TARGET_NAME_OVERRIDE_ARG, .value.string = (char *)"svc-inventory" },
        { GRPC_ARG_INTEGER, (char *)GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, .value.integer = 1 },
        { GRPC_ARG_INTEGER, (char *)GRPC_ARG_ENABLE_RETRIES, .value.integer = 0 },
        { GRPC_ARG_INTEGER, (char *)"grpc.compression_enabled_algorithms_bitset", .value.integer = 1 },
    };
    snprintf(target, sizeof(target), "ipv4:127.0.0.1:%d", server->port);
    grpc_channel *channel = grpc_channel_create(target, tls, &(grpc_channel_args){ 4, args });
    grpc_channel_credentials_release(tls);
    free(ca);
    free(cert);
    free(key);
    return channel;
}

static void start(struct slot *slot, const char *method, const char *caller, grpc_byte_buffer *request)
{
    grpc_metadata metadata = { .key = grpc_slice_from_static_string("x-mesh-caller"),
                               .value = grpc_slice_from_copied_string(caller ? caller : "") };
    gpr_timespec deadline = gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_seconds(DEADLINE_S, GPR_TIMESPAN));
    slot->call =
        grpc_channel_create_call(slot->load->channels[slot->channel], NULL, GRPC_PROPAGATE_DEFAULTS, slot->load->queue,
                                 grpc_slice_from_static_string(method), NULL, deadline, NULL);
    slot->initial.count = slot->trailing.count = 0;
    slot->received = NULL;
    grpc_op ops[] = {
        { .op = GRPC_OP_SEND_INITIAL_METADATA, .data.send_initial_metadata = { caller ? 1 : 0, &metadata, { 0 } } },
        { .op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = request },
        { .op = GRPC_OP_SEND_CLOSE_FROM_CLIENT },
        { .op = GRPC_OP_RECV_INITIAL_METADATA, .data.recv_initial_metadata.recv_initial_metadata = &slot->initial },
        { .op = GRPC_OP_RECV_MESSAGE, .data.recv_message.recv_message = &slot->received },
        { .op = GRPC_OP_RECV_STATUS_ON_CLIENT,
          .data.recv_status_on_client = { &slot->trailing, &slot->status, &slot->message, NULL } },
    };
    grpc_call_start_batch(slot->call, ops, 6, slot, NULL);
    grpc_byte_buffer_destroy(request);
    grpc_slice_unref(metadata.value);
    slot->load->in_flight++;
}

static grpc_byte_buffer *buffer_of(const ProtobufCMessage *message)
{
    grpc_slice slice = grpc_slice_malloc(protobuf_c_message_get_packed_size(message));
    protobuf_c_message_pack(message, GRPC_SLICE_START_PTR(slice));
    grpc_byte_buffer *buffer = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
    return buffer;
}

static ProtobufCMessage *message_of(grpc_byte_buffer *buffer, const ProtobufCMessageDescriptor *type)
{
    grpc_byte_buffer_reader reader;
    if (!buffer || !grpc_byte_buffer_reader_init(&reader, buffer))
        return NULL;
    grpc_slice slice = grpc_byte_buffer_reader_readall(&reader);
    ProtobufCMessage *message =
        protobuf_c_message_unpack(type, NULL, GRPC_SLICE_LENGTH(slice), GRPC_SLICE_START_PTR(slice));
    grpc_slice_unref(slice);
    grpc_byte_buffer_reader_destroy(&reader);
    return message;
}

static void finish(struct slot *slot)
{
    if (slot->received)
        grpc_byte_buffer_destroy(slot->received);
    grpc_slice_unref(slot->message);
    grpc_call_unref(slot->call);
    slot->load->in_flight--;
}

/* --- one piece for an order --- */

struct order {
    char id[40], request_id[64];
    Oms__Inventory__V1__ReserveStockRequest request;
    Oms__Inventory__V1__ReserveStockRequest__Line line, *lines[1];
};

/* Ids are ordered by time, as all are. */
static const ProtobufCMessage *next_order(const struct load *load, struct order *order)
{
    static unsigned long made;
    static double began;
    if (made++ == 0)
        began = machine_now_s(CLOCK_REALTIME);
    snprintf(order->id, sizeof(order->id), "ord_01%08lx%016lx", (unsigned long)began, made);
    snprintf(order->request_id, sizeof(order->request_id), "%s-reserve", order->id);
    oms__inventory__v1__reserve_stock_request__init(&order->request);
    oms__inventory__v1__reserve_stock_request__line__init(&order->line);
    order->line.sku = (char *)load->sku;
    order->line.quantity = 1;
    order->lines[0] = &order->line;
    order->request.request_id = order->request_id;
    order->request.order_id = order->id;
    order->request.lines = order->lines;
    order->request.n_lines = 1;
    order->request.expire_time_us = (int64_t)(began * 1e6) + EXPIRE_US;
    return &order->request.base;
}

static grpc_byte_buffer *next_delivery(const struct load *load)
{
    static uint8_t packed[BATCH_MAX][REQUEST_MAX];
    static Mesh__V1__Command commands[BATCH_MAX], *all[BATCH_MAX];
    Mesh__V1__DeliverRequest request = MESH__V1__DELIVER_REQUEST__INIT;
    struct order order;
    for (int i = 0; i < load->batch; i++) {
        mesh__v1__command__init(&commands[i]);
        commands[i].method = (char *)RESERVE;
        commands[i].request.data = packed[i];
        commands[i].request.len = protobuf_c_message_pack(next_order(load, &order), packed[i]);
        all[i] = &commands[i];
    }
    request.commands = all;
    request.n_commands = (size_t)load->batch;
    return buffer_of(&request.base);
}

static void issue(struct slot *slot)
{
    struct order order;
    if (slot->load->batch)
        start(slot, DELIVER, NULL, next_delivery(slot->load));
    else
        start(slot, RESERVE, NULL, buffer_of(next_order(slot->load, &order)));
}

static int result_of(const Oms__Inventory__V1__ReserveStockResponse *reply)
{
    return !reply ? FAILED : reply->reservation_id[0] ? GRANTED : REFUSED;
}

static void count_delivery(struct load *load, const Mesh__V1__DeliverResponse *response)
{
    for (int i = 0; i < load->batch; i++) {
        Oms__Inventory__V1__ReserveStockResponse *reply = NULL;
        if (response && response->outcomes[i]->status && response->outcomes[i]->status->code == 0)
            reply = oms__inventory__v1__reserve_stock_response__unpack(NULL, response->outcomes[i]->reply.len,
                                                                       response->outcomes[i]->reply.data);
        load->tally[result_of(reply)]++;
        if (reply)
            oms__inventory__v1__reserve_stock_response__free_unpacked(reply, NULL);
    }
}

static void answered(struct slot *slot)
{
    struct load *load = slot->load;
    bool good = slot->status == GRPC_STATUS_OK;
    const ProtobufCMessageDescriptor *type =
        load->batch ? &mesh__v1__deliver_response__descriptor : &oms__inventory__v1__reserve_stock_response__descriptor;
    ProtobufCMessage *message = good ? message_of(slot->received, type) : NULL;
    if (!good && load->tally[FAILED] == 0)
        fprintf(stderr, "bench/reserve: %.*s\n", (int)GRPC_SLICE_LENGTH(slot->message),
                (const char *)GRPC_SLICE_START_PTR(slot->message));
    if (load->batch)
        count_delivery(load, (const Mesh__V1__DeliverResponse *)message);
    else
        load->tally[result_of((const Oms__Inventory__V1__ReserveStockResponse *)message)]++;
    if (message)
        protobuf_c_message_free_unpacked(message, NULL);
    finish(slot);
}

static struct slot *next_answer(struct load *load)
{
    return grpc_completion_queue_next(load->queue, gpr_inf_future(GPR_CLOCK_REALTIME), NULL).tag;
}

void load_run(struct load *load, const char *sku, int outstanding, int batch, double seconds, struct cost *cost)
{
    load->sku = sku;
    load->batch = batch;
    load->running = true;
    memset(load->tally, 0, sizeof(load->tally));
    double begun = machine_now_s(CLOCK_MONOTONIC);
    for (int i = 0; i < outstanding; i++) {
        load->slots[i].load = load;
        load->slots[i].channel = batch ? 0 : i % CHANNELS;
        issue(&load->slots[i]);
    }
    while (load->in_flight > 0) {
        struct slot *slot = next_answer(load);
        load->running &= machine_now_s(CLOCK_MONOTONIC) < begun + seconds;
        answered(slot);
        if (load->running)
            issue(slot);
    }
    cost->wall_s += machine_now_s(CLOCK_MONOTONIC) - begun;
    cost->granted += load->tally[GRANTED];
    cost->refused += load->tally[REFUSED];
    cost->failed += load->tally[FAILED];
    cost->requests += load->tally[GRANTED] + load->tally[REFUSED] + load->tally[FAILED];
}

/* --- opening and closing --- */

struct load *load_open(const char *dir, const struct server *server)
{
    struct load *load = calloc(1, sizeof(*load));
    load->queue = grpc_completion_queue_create_for_next(NULL);
    for (int i = 0; i < CHANNELS; i++)
        load->channels[i] = open_channel(dir, server, "svc-order");
    return load;
}

void load_close(struct load *load)
{
    for (int i = 0; i < SLOTS_MAX; i++) {
        grpc_metadata_array_destroy(&load->slots[i].initial);
        grpc_metadata_array_destroy(&load->slots[i].trailing);
    }
    for (int i = 0; i < CHANNELS && load->channels[i]; i++)
        grpc_channel_destroy(load->channels[i]);
    grpc_completion_queue_shutdown(load->queue);
    while (grpc_completion_queue_next(load->queue, gpr_inf_future(GPR_CLOCK_REALTIME), NULL).type !=
           GRPC_QUEUE_SHUTDOWN)
        ;
    grpc_completion_queue_destroy(load->queue);
    free(load);
}

ProtobufCMessage *load_ask(const char *dir, const struct server *server, const char *caller, const char *method,
                           const ProtobufCMessage *request, const ProtobufCMessageDescriptor *reply)
{
    struct load *load = calloc(1, sizeof(*load));
    load->queue = grpc_completion_queue_create_for_next(NULL);
    load->channels[0] = open_channel(dir, server, "gateway");
    load->slots[0].load = load;
    start(&load->slots[0], method, caller, buffer_of(request));
    struct slot *slot = next_answer(load);
    ProtobufCMessage *message = slot->status == GRPC_STATUS_OK ? message_of(slot->received, reply) : NULL;
    if (!message) {
        fprintf(stderr, "bench/reserve: %s: %.*s\n", method, (int)GRPC_SLICE_LENGTH(slot->message),
                (const char *)GRPC_SLICE_START_PTR(slot->message));
        exit(EXIT_FAILURE);
    }
    finish(slot);
    load_close(load);
    return message;
}
