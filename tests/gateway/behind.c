/* The processes behind as tests of watches play them, and the watchers' side. */
#include "tests/gateway/behind.h"

#include <stdio.h>

/* The processes behind, played by the test: calls wait until they are answered. */
struct behind behind;

struct stage stage;

static void port_call(struct port *port, struct outcall *call)
{
    behind.held[behind.n] = false;
    behind.calls[behind.n++] = call;
}

static void port_post(struct port *port, enum lane lane, struct task *task)
{
    task->next = NULL;
    *behind.last = task;
    behind.last = &task->next;
}

void run_posted(void)
{
    for (struct task *task; (task = behind.first);) {
        behind.first = task->next;
        if (!behind.first)
            behind.last = &behind.first;
        task->run(task);
    }
}

static size_t place_of(const struct outcall *call)
{
    size_t i = 0;
    while (i < behind.n && behind.calls[i] != call)
        i++;
    return i;
}

static void port_resume(struct port *port, struct outcall *call)
{
    if (place_of(call) < behind.n)
        behind.held[place_of(call)] = false;
}

void end_call(struct outcall *call, enum rpc_code code, const char *message)
{
    size_t i = place_of(call);
    ck_assert_uint_lt(i, behind.n);
    memmove(&behind.calls[i], &behind.calls[i + 1], (behind.n - i - 1) * sizeof(behind.calls[0]));
    behind.n--;
    call->done(call, &(struct rpc_status){ code, message, { 0 } });
    run_posted();
}

static void port_cancel(struct port *port, struct outcall *call)
{
    size_t i = place_of(call);
    if (i == behind.n)
        return;
    memmove(&behind.calls[i], &behind.calls[i + 1], (behind.n - i - 1) * sizeof(behind.calls[0]));
    behind.n--;
    call->done(call, &(struct rpc_status){ RPC_CANCELLED, "cancelled", { 0 } });
}

void open_stage(void)
{
    const struct port port = { .post = port_post, .call = port_call, .resume = port_resume, .cancel = port_cancel };
    behind.n = 0;
    behind.first = NULL;
    behind.last = &behind.first;
    stage_open_on(&stage, 0, &port);
}

void behind_true(void *arg)
{
    *(bool *)arg = true;
}

void close_stage(void)
{
    bool gone = false;
    gateway_destroy(stage.gateway, behind_true, &gone);
    int64_t until_us = wheel_now_us() + 5000000;
    while (!gone) {
        run_posted();
        stage_turn(&stage, until_us);
    }
    stage.gateway = NULL;
    stage_close(&stage);
}

struct outcall *find_call(const char *method)
{
    for (size_t i = behind.n; i > 0; i--)
        if (strcmp(behind.calls[i - 1]->method, method) == 0)
            return behind.calls[i - 1];
    return NULL;
}

struct outcall *the_read(void)
{
    struct outcall *call;
    stage_until(&stage, (call = find_call("/oms.order.v1.OrderService/GetOrder")) != NULL);
    return call;
}

struct outcall *find_tail(bool follow)
{
    for (size_t i = behind.n; i > 0; i--) {
        struct outcall *call = behind.calls[i - 1];
        if (strcmp(call->method, "/mesh.v1.LogService/Tail") != 0)
            continue;
        Mesh__V1__TailRequest *request = mesh__v1__tail_request__unpack(NULL, call->request.len, call->request.data);
        bool fits = request->follow == follow;
        mesh__v1__tail_request__free_unpacked(request, NULL);
        if (fits)
            return call;
    }
    return NULL;
}

uint64_t tail_after(const struct outcall *call)
{
    Mesh__V1__TailRequest *request = mesh__v1__tail_request__unpack(NULL, call->request.len, call->request.data);
    uint64_t seq = request->after->seq;
    ck_assert_str_eq(request->after->incarnation, INC);
    mesh__v1__tail_request__free_unpacked(request, NULL);
    return seq;
}

void send_message(struct outcall *call, const ProtobufCMessage *message)
{
    uint8_t packed[4096];
    size_t n = protobuf_c_message_pack(message, packed);
    ck_assert(!behind.held[place_of(call)]);
    behind.held[place_of(call)] = !call->message(call, (struct bytes){ packed, n });
    run_posted();
}

void answer_read_in(const char *incarnation, const char *order_id, int state, uint64_t seq)
{
    Oms__Order__V1__GetOrderResponse reply = OMS__ORDER__V1__GET_ORDER_RESPONSE__INIT;
    Oms__Order__V1__Order order = OMS__ORDER__V1__ORDER__INIT;
    Mesh__V1__Position position = MESH__V1__POSITION__INIT;
    order.order_id = (char *)order_id;
    order.customer_id = (char *)"ann";
    order.state = (Oms__Order__V1__Order__State)state;
    position.incarnation = (char *)incarnation;
    position.seq = seq;
    reply.order = &order;
    reply.position = &position;
    struct outcall *call = the_read();
    send_message(call, &reply.base);
    end_call(call, RPC_OK, "");
}

void answer_read(const char *order_id, int state, uint64_t seq)
{
    answer_read_in(INC, order_id, state, seq);
}

void send_entry_for(struct outcall *call, uint64_t seq, const char *key, int type, uint32_t audience)
{
    Oms__Event__V1__OrderStateChanged changed = OMS__EVENT__V1__ORDER_STATE_CHANGED__INIT;
    changed.reason = (char *)"sold out";
    send_payload(call, seq, key, type, audience, type == PLACED_EVENT ? NULL : &changed.base);
}

void send_payload(struct outcall *call, uint64_t seq, const char *key, int type, uint32_t audience,
                  const ProtobufCMessage *message)
{
    uint8_t payload[256];
    Mesh__V1__TailResponse reply = MESH__V1__TAIL_RESPONSE__INIT;
    Mesh__V1__LogEntry entry = MESH__V1__LOG_ENTRY__INIT, *entries[] = { &entry };
    Mesh__V1__Position position = MESH__V1__POSITION__INIT;
    entry.seq = position.seq = seq;
    entry.key = (char *)key;
    entry.owner = (char *)"ann";
    entry.audience = audience;
    entry.type = type;
    if (message) {
        entry.payload.len = protobuf_c_message_pack(message, payload);
        entry.payload.data = payload;
    }
    position.incarnation = (char *)INC;
    reply.entries = entries;
    reply.n_entries = 1;
    reply.position = &position;
    send_message(call, &reply.base);
}

void send_entry(struct outcall *call, uint64_t seq, const char *key, int type)
{
    send_entry_for(call, seq, key, type, CUSTOMERS_AND_CSR);
}

/* --- the watcher's side --- */

struct call *watch_raw(struct peer *client, const char *bearer, const void *request, size_t n)
{
    struct call *call = peer_call(client, WATCH, bearer);
    call_put_message(call, request, n);
    call_end(call);
    return call;
}

struct call *watch_as(struct peer *client, const char *bearer, const char *order_id, uint64_t after)
{
    uint8_t packed[256];
    Oms__Order__V1__WatchOrderRequest request = OMS__ORDER__V1__WATCH_ORDER_REQUEST__INIT;
    Mesh__V1__Position position = MESH__V1__POSITION__INIT;
    request.order_id = (char *)order_id;
    position.incarnation = (char *)INC;
    position.seq = after;
    request.after = after ? &position : NULL;
    size_t n = oms__order__v1__watch_order_request__pack(&request, packed);
    return watch_raw(client, bearer, packed, n);
}

struct call *watch(struct peer *client, const char *order_id, uint64_t after)
{
    return watch_as(client, stage.bearer, order_id, after);
}

Update *update_at(const struct call *call, size_t i)
{
    size_t at = 0;
    for (;; i--) {
        if (at + 5 > call->kept)
            return NULL;
        size_t n = (size_t)call->body[at + 3] << 8 | call->body[at + 4];
        if (at + 5 + n > call->kept)
            return NULL;
        if (i == 0)
            return oms__order__v1__order_update__unpack(NULL, n, call->body + at + 5);
        at += 5 + n;
    }
}

size_t n_updates(const struct call *call)
{
    size_t n = 0;
    for (Update *update; (update = update_at(call, n)); n++)
        oms__order__v1__order_update__free_unpacked(update, NULL);
    return n;
}

void expect_update(struct call *call, size_t i, int state, uint64_t seq, bool with_order)
{
    stage_until(&stage, n_updates(call) > i);
    Update *update = update_at(call, i);
    ck_assert_int_eq(update->state, state);
    ck_assert_uint_eq(update->position->seq, seq);
    ck_assert_int_eq(update->order != NULL, with_order);
    oms__order__v1__order_update__free_unpacked(update, NULL);
}

void expect_end(struct call *call, int status, const char *reason)
{
    stage_until(&stage, call->closed);
    ck_assert_int_eq(call_status(call), status);
    ck_assert_str_eq(call_reason(call), reason);
}
