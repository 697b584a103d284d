/* Reservations of one SKU, each asked for again as soon as answered. */
#include "bench/calls.h"
#include "bench/reserve_bench.h"
#include "oms/inventory/v1/inventory.pb-c.h"

#include "api.h"

#include <stdlib.h>
#include <string.h>

#define SLOTS_MAX   512
#define BATCH_MAX   64
#define RESERVE     "/oms.inventory.v1.InventoryService/ReserveStock"
#define DELIVER     "/mesh.v1.DeliverService/Deliver"
#define EXPIRE_US   90000000000 /* from now: 25 hours, as svc-order says */
#define REQUEST_MAX 256         /* bytes */

struct load {
    struct calls *calls;
    const char *sku;
    int batch;
    bool running;
    long tally[3];
    struct slot slots[SLOTS_MAX];
};
enum { GRANTED, REFUSED, FAILED };

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

static const ProtobufCMessage *next_delivery(const struct load *load)
{
    static uint8_t packed[BATCH_MAX][REQUEST_MAX];
    static Mesh__V1__Command commands[BATCH_MAX], *all[BATCH_MAX];
    static Mesh__V1__DeliverRequest request = MESH__V1__DELIVER_REQUEST__INIT;
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
    return &request.base;
}

static void issue(struct load *load, struct slot *slot)
{
    struct order order;
    if (load->batch)
        calls_start(load->calls, slot, DELIVER, NULL, next_delivery(load));
    else
        calls_start(load->calls, slot, RESERVE, NULL, next_order(load, &order));
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

static struct slot *await_answer(struct load *load)
{
    const ProtobufCMessageDescriptor *type =
        load->batch ? &mesh__v1__deliver_response__descriptor : &oms__inventory__v1__reserve_stock_response__descriptor;
    ProtobufCMessage *reply;
    struct slot *slot = calls_next(load->calls, type, &reply);
    if (load->batch)
        count_delivery(load, (const Mesh__V1__DeliverResponse *)reply);
    else
        load->tally[result_of((const Oms__Inventory__V1__ReserveStockResponse *)reply)]++;
    if (reply)
        protobuf_c_message_free_unpacked(reply, NULL);
    return slot;
}

void load_run(struct load *load, const char *sku, int outstanding, int batch, double seconds, struct cost *cost)
{
    load->sku = sku;
    load->batch = batch;
    load->running = true;
    memset(load->tally, 0, sizeof(load->tally));
    double begun = machine_now_s(CLOCK_MONOTONIC);
    for (int i = 0; i < outstanding; i++) {
        load->slots[i].channel = batch ? 0 : i % CALLS_CHANNELS;
        issue(load, &load->slots[i]);
    }
    while (calls_in_flight(load->calls) > 0) {
        struct slot *slot = await_answer(load);
        load->running &= machine_now_s(CLOCK_MONOTONIC) < begun + seconds;
        if (load->running)
            issue(load, slot);
    }
    cost->wall_s += machine_now_s(CLOCK_MONOTONIC) - begun;
    cost->granted += load->tally[GRANTED];
    cost->refused += load->tally[REFUSED];
    cost->failed += load->tally[FAILED];
    cost->requests += load->tally[GRANTED] + load->tally[REFUSED] + load->tally[FAILED];
}

struct load *load_open(const char *dir, const struct server *server)
{
    struct load *load = calloc(1, sizeof(*load));
    load->calls = calls_open(dir, server, "svc-order");
    return load;
}

void load_close(struct load *load)
{
    for (int i = 0; i < SLOTS_MAX; i++)
        slot_forget(&load->slots[i]);
    calls_close(load->calls);
    free(load);
}
