/* Watches: one tail for all of them, nothing missed, nothing told twice, nothing told to the wrong one. */
#include "gateway/hub.h"
#include "tests/gateway/stage.h"
#include "tests/suite.h"

#include "api.h"

#include <stdio.h>

#define WATCH "/oms.order.v1.OrderService/WatchOrder"
#define INC   "a1"

typedef Oms__Order__V1__OrderUpdate Update;

/* The processes behind, played by the test: calls wait until they are answered. */
static struct {
    struct outcall *calls[64];
    size_t n;
    struct task *first, **last;
    bool held[64];
} behind;

static struct stage stage;

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

static void run_posted(void)
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

static void end_call(struct outcall *call, enum rpc_code code, const char *message)
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

static void open_stage(void)
{
    const struct port port = { .post = port_post, .call = port_call, .resume = port_resume, .cancel = port_cancel };
    behind.n = 0;
    behind.first = NULL;
    behind.last = &behind.first;
    stage_open_on(&stage, 0, &port);
}

static void set_true(void *arg)
{
    *(bool *)arg = true;
}

static void close_stage(void)
{
    bool gone = false;
    gateway_destroy(stage.gateway, set_true, &gone);
    int64_t until_us = wheel_now_us() + 5000000;
    while (!gone) {
        run_posted();
        stage_turn(&stage, until_us);
    }
    stage.gateway = NULL;
    stage_close(&stage);
}

static struct outcall *find_call(const char *method)
{
    for (size_t i = behind.n; i > 0; i--)
        if (strcmp(behind.calls[i - 1]->method, method) == 0)
            return behind.calls[i - 1];
    return NULL;
}

static struct outcall *the_read(void)
{
    struct outcall *call;
    stage_until(&stage, (call = find_call("/oms.order.v1.OrderService/GetOrder")) != NULL);
    return call;
}

static struct outcall *find_tail(bool follow)
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

static uint64_t tail_after(const struct outcall *call)
{
    Mesh__V1__TailRequest *request = mesh__v1__tail_request__unpack(NULL, call->request.len, call->request.data);
    uint64_t seq = request->after->seq;
    ck_assert_str_eq(request->after->incarnation, INC);
    mesh__v1__tail_request__free_unpacked(request, NULL);
    return seq;
}

static void send_message(struct outcall *call, const ProtobufCMessage *message)
{
    uint8_t packed[4096];
    size_t n = protobuf_c_message_pack(message, packed);
    ck_assert(!behind.held[place_of(call)]);
    behind.held[place_of(call)] = !call->message(call, (struct bytes){ packed, n });
    run_posted();
}

#define PENDING   OMS__ORDER__V1__ORDER__STATE__PENDING
#define COMPLETED OMS__ORDER__V1__ORDER__STATE__COMPLETED
#define REJECTED  OMS__ORDER__V1__ORDER__STATE__REJECTED

static void answer_read_in(const char *incarnation, const char *order_id, int state, uint64_t seq)
{
    Oms__Order__V1__GetOrderResponse reply = OMS__ORDER__V1__GET_ORDER_RESPONSE__INIT;
    Oms__Order__V1__Order order = OMS__ORDER__V1__ORDER__INIT;
    Mesh__V1__Position position = MESH__V1__POSITION__INIT;
    order.order_id = (char *)order_id;
    order.customer_id = "ann";
    order.state = (Oms__Order__V1__Order__State)state;
    position.incarnation = (char *)incarnation;
    position.seq = seq;
    reply.order = &order;
    reply.position = &position;
    struct outcall *call = the_read();
    send_message(call, &reply.base);
    end_call(call, RPC_OK, "");
}

static void answer_read(const char *order_id, int state, uint64_t seq)
{
    answer_read_in(INC, order_id, state, seq);
}

#define CUSTOMERS_AND_CSR (ROLE_BIT(MESH__V1__ROLE__CUSTOMER) | ROLE_BIT(MESH__V1__ROLE__CSR))

static void send_entry_for(struct outcall *call, uint64_t seq, const char *key, int type, uint32_t audience)
{
    uint8_t payload[256];
    Oms__Event__V1__OrderStateChanged changed = OMS__EVENT__V1__ORDER_STATE_CHANGED__INIT;
    Mesh__V1__TailResponse reply = MESH__V1__TAIL_RESPONSE__INIT;
    Mesh__V1__LogEntry entry = MESH__V1__LOG_ENTRY__INIT, *entries[] = { &entry };
    Mesh__V1__Position position = MESH__V1__POSITION__INIT;
    changed.reason = "sold out";
    entry.seq = position.seq = seq;
    entry.key = (char *)key;
    entry.owner = "ann";
    entry.audience = audience;
    entry.type = type;
    if (type != OMS__EVENT__V1__EVENT_TYPE__ORDER_PLACED) {
        entry.payload.len = oms__event__v1__order_state_changed__pack(&changed, payload);
        entry.payload.data = payload;
    }
    position.incarnation = INC;
    reply.entries = entries;
    reply.n_entries = 1;
    reply.position = &position;
    send_message(call, &reply.base);
}

static void send_entry(struct outcall *call, uint64_t seq, const char *key, int type)
{
    send_entry_for(call, seq, key, type, CUSTOMERS_AND_CSR);
}

/* --- the watcher's side --- */

static struct call *watch_as(struct peer *client, const char *bearer, const char *order_id, uint64_t after)
{
    uint8_t packed[256];
    Oms__Order__V1__WatchOrderRequest request = OMS__ORDER__V1__WATCH_ORDER_REQUEST__INIT;
    Mesh__V1__Position position = MESH__V1__POSITION__INIT;
    request.order_id = (char *)order_id;
    position.incarnation = INC;
    position.seq = after;
    request.after = after ? &position : NULL;
    size_t n = oms__order__v1__watch_order_request__pack(&request, packed);
    struct call *call = peer_call(client, WATCH, bearer);
    call_put_message(call, packed, n);
    call_end(call);
    return call;
}

static struct call *watch(struct peer *client, const char *order_id, uint64_t after)
{
    return watch_as(client, stage.bearer, order_id, after);
}

/* The i-th update that came; NULL: not yet. The caller frees it. */
static Update *update_at(const struct call *call, size_t i)
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

static size_t n_updates(const struct call *call)
{
    size_t n = 0;
    for (Update *update; (update = update_at(call, n)); n++)
        oms__order__v1__order_update__free_unpacked(update, NULL);
    return n;
}

static void expect_update(struct call *call, size_t i, int state, uint64_t seq, bool with_order)
{
    stage_until(&stage, n_updates(call) > i);
    Update *update = update_at(call, i);
    ck_assert_int_eq(update->state, state);
    ck_assert_uint_eq(update->position->seq, seq);
    ck_assert_int_eq(update->order != NULL, with_order);
    oms__order__v1__order_update__free_unpacked(update, NULL);
}

static void expect_end(struct call *call, int status, const char *reason)
{
    stage_until(&stage, call->closed);
    ck_assert_int_eq(call_status(call), status);
    ck_assert_str_eq(call_reason(call), reason);
}

#define PLACED_EVENT    OMS__EVENT__V1__EVENT_TYPE__ORDER_PLACED
#define COMPLETED_EVENT OMS__EVENT__V1__EVENT_TYPE__ORDER_COMPLETED
#define REJECTED_EVENT  OMS__EVENT__V1__EVENT_TYPE__ORDER_REJECTED

START_TEST(a_watch_tells_the_order_and_then_what_happens_to_it)
{
    open_stage();
    struct call *call = watch(stage_client(&stage), "ord_1", 0);
    ck_assert_str_eq(the_read()->caller->subject, "ann");
    answer_read("ord_1", PENDING, 7);
    expect_update(call, 0, PENDING, 7, true);
    struct outcall *tail = find_tail(true);
    ck_assert_uint_eq(tail_after(tail), 7);
    ck_assert_ptr_null(tail->caller);
    send_entry(tail, 8, "ord_2", COMPLETED_EVENT);
    send_entry(tail, 9, "ord_1", COMPLETED_EVENT);
    expect_update(call, 1, COMPLETED, 9, false);
    expect_end(call, RPC_OK, "");
    ck_assert_uint_eq(n_updates(call), 2);
    close_stage();
}
END_TEST

START_TEST(who_may_not_read_the_order_may_not_watch_it)
{
    open_stage();
    struct call *call = watch(stage_client(&stage), "ord_1", 0);
    end_call(the_read(), RPC_NOT_FOUND, "there is no order \"ord_1\"");
    expect_end(call, RPC_NOT_FOUND, "");
    ck_assert_str_eq(call_field(call, "grpc-message"), "there is no order \"ord_1\"");
    ck_assert_ptr_null(find_tail(true));
    close_stage();
}
END_TEST

START_TEST(all_watches_share_one_tail)
{
    open_stage();
    struct peer *client = stage_client(&stage);
    struct call *first = watch(client, "ord_1", 0);
    answer_read("ord_1", PENDING, 7);
    struct call *second = watch(client, "ord_2", 0);
    answer_read("ord_2", PENDING, 7);
    struct call *third = watch(client, "ord_1", 0);
    answer_read("ord_1", PENDING, 7);
    ck_assert_uint_eq(behind.n, 1);
    send_entry(find_tail(true), 8, "ord_1", COMPLETED_EVENT);
    send_entry(find_tail(true), 9, "ord_2", REJECTED_EVENT);
    expect_update(first, 1, COMPLETED, 8, false);
    expect_update(third, 1, COMPLETED, 8, false);
    expect_update(second, 1, REJECTED, 9, false);
    close_stage();
}
END_TEST

START_TEST(what_the_tail_saw_between_read_and_reply_is_not_missed)
{
    open_stage();
    struct peer *client = stage_client(&stage);
    struct call *first = watch(client, "ord_0", 0);
    answer_read("ord_0", PENDING, 7);
    struct call *call = watch(client, "ord_1", 0);
    the_read();
    send_entry(find_tail(true), 8, "ord_1", PLACED_EVENT);
    send_entry(find_tail(true), 9, "ord_1", COMPLETED_EVENT);
    answer_read("ord_1", PENDING, 8);
    expect_update(call, 0, PENDING, 8, true);
    expect_update(call, 1, COMPLETED, 9, false);
    expect_end(call, RPC_OK, "");
    ck_assert_uint_eq(n_updates(first), 1);
    close_stage();
}
END_TEST

START_TEST(what_the_read_already_told_is_not_told_again)
{
    open_stage();
    struct peer *client = stage_client(&stage);
    watch(client, "ord_0", 0);
    answer_read("ord_0", PENDING, 7);
    struct call *call = watch(client, "ord_1", 0);
    answer_read("ord_1", PENDING, 9);
    send_entry(find_tail(true), 8, "ord_1", PLACED_EVENT);
    send_entry(find_tail(true), 9, "ord_1", PLACED_EVENT);
    send_entry(find_tail(true), 10, "ord_1", REJECTED_EVENT);
    expect_update(call, 1, REJECTED, 10, false);
    expect_end(call, RPC_OK, "");
    ck_assert_uint_eq(n_updates(call), 2);
    close_stage();
}
END_TEST

START_TEST(an_order_in_its_last_state_ends_the_watch)
{
    open_stage();
    struct call *call = watch(stage_client(&stage), "ord_1", 0);
    answer_read("ord_1", REJECTED, 7);
    expect_update(call, 0, REJECTED, 7, true);
    expect_end(call, RPC_OK, "");
    close_stage();
}
END_TEST

START_TEST(a_resumed_watch_gets_what_the_window_still_has)
{
    open_stage();
    struct peer *client = stage_client(&stage);
    watch(client, "ord_0", 0);
    answer_read("ord_0", PENDING, 7);
    send_entry(find_tail(true), 8, "ord_1", PLACED_EVENT);
    send_entry(find_tail(true), 9, "ord_1", COMPLETED_EVENT);
    struct call *call = watch(client, "ord_1", 8);
    answer_read("ord_1", COMPLETED, 9);
    expect_update(call, 0, COMPLETED, 9, false);
    expect_end(call, RPC_OK, "");
    ck_assert_uint_eq(n_updates(call), 1);
    close_stage();
}
END_TEST

START_TEST(a_watch_resumed_after_the_last_event_ends_at_once)
{
    open_stage();
    struct peer *client = stage_client(&stage);
    watch(client, "ord_0", 0);
    answer_read("ord_0", PENDING, 7);
    send_entry(find_tail(true), 8, "ord_1", COMPLETED_EVENT);
    struct call *call = watch(client, "ord_1", 8);
    answer_read("ord_1", COMPLETED, 8);
    expect_end(call, RPC_OK, "");
    ck_assert_uint_eq(n_updates(call), 0);
    close_stage();
}
END_TEST

START_TEST(a_watch_resumed_from_before_the_window_is_replayed)
{
    open_stage();
    struct peer *client = stage_client(&stage);
    struct call *call = watch(client, "ord_1", 3);
    answer_read("ord_1", PENDING, 7);
    struct outcall *replay = find_tail(false);
    ck_assert_ptr_nonnull(replay);
    ck_assert_uint_eq(tail_after(replay), 3);
    send_entry(replay, 4, "ord_9", PLACED_EVENT);
    send_entry(replay, 5, "ord_1", PLACED_EVENT);
    send_entry(replay, 8, "ord_9", PLACED_EVENT);
    send_entry(find_tail(true), 8, "ord_9", PLACED_EVENT);
    send_entry(find_tail(true), 9, "ord_1", COMPLETED_EVENT);
    end_call(replay, RPC_OK, "");
    expect_update(call, 0, PENDING, 5, false);
    expect_update(call, 1, COMPLETED, 9, false);
    expect_end(call, RPC_OK, "");
    ck_assert_uint_eq(n_updates(call), 2);
    close_stage();
}
END_TEST

START_TEST(a_position_of_another_incarnation_is_refused)
{
    open_stage();
    struct call *call = watch(stage_client(&stage), "ord_1", 3);
    answer_read_in("b2", "ord_1", PENDING, 7);
    expect_end(call, RPC_FAILED_PRECONDITION, "FOREIGN_INCARNATION");
    close_stage();
}
END_TEST

START_TEST(a_position_ahead_of_the_log_is_refused)
{
    open_stage();
    struct call *call = watch(stage_client(&stage), "ord_1", 8);
    answer_read("ord_1", PENDING, 7);
    expect_end(call, RPC_OUT_OF_RANGE, "LOG_AHEAD");
    close_stage();
}
END_TEST

START_TEST(a_lost_tail_goes_on_where_it_was)
{
    open_stage();
    struct call *call = watch(stage_client(&stage), "ord_1", 0);
    answer_read("ord_1", PENDING, 7);
    send_entry(find_tail(true), 8, "ord_2", PLACED_EVENT);
    end_call(find_tail(true), RPC_UNAVAILABLE, "gone");
    stage_until(&stage, find_tail(true) != NULL);
    ck_assert_uint_eq(tail_after(find_tail(true)), 8);
    send_entry(find_tail(true), 9, "ord_1", COMPLETED_EVENT);
    expect_update(call, 1, COMPLETED, 9, false);
    close_stage();
}
END_TEST

START_TEST(a_log_that_was_restored_ends_every_watch)
{
    open_stage();
    struct peer *client = stage_client(&stage);
    struct call *first = watch(client, "ord_1", 0);
    answer_read("ord_1", PENDING, 7);
    end_call(find_tail(true), RPC_FAILED_PRECONDITION, "foreign");
    expect_end(first, RPC_UNAVAILABLE, "WATCH_RESUME");
    ck_assert_ptr_null(find_tail(true));
    struct call *second = watch(client, "ord_1", 0);
    answer_read("ord_1", PENDING, 2);
    struct call *third = watch(client, "ord_1", 0);
    answer_read_in("b2", "ord_1", PENDING, 1);
    expect_end(second, RPC_UNAVAILABLE, "WATCH_RESUME");
    expect_update(third, 0, PENDING, 1, true);
    close_stage();
}
END_TEST

static void expect_reason_text(struct call *call, size_t i, const char *text)
{
    stage_until(&stage, n_updates(call) > i);
    Update *update = update_at(call, i);
    ck_assert_int_eq(update->state, REJECTED);
    ck_assert_str_eq(update->reject_reason, text);
    oms__order__v1__order_update__free_unpacked(update, NULL);
}

START_TEST(a_payload_is_told_only_to_its_audience)
{
    open_stage();
    struct peer *client = stage_client(&stage);
    struct call *owner = watch(client, "ord_1", 0);
    answer_read("ord_1", PENDING, 7);
    char bearer[1024];
    strcpy(bearer, stage_bearer(&stage, "eve", "\"customer\""));
    struct call *other = watch_as(client, bearer, "ord_1", 0);
    answer_read("ord_1", PENDING, 7);
    strcpy(bearer, stage_bearer(&stage, "will", "\"warehouse\""));
    struct call *warehouse = watch_as(client, bearer, "ord_1", 0);
    answer_read("ord_1", PENDING, 7);
    strcpy(bearer, stage_bearer(&stage, "carl", "\"csr\""));
    struct call *csr = watch_as(client, bearer, "ord_1", 0);
    answer_read("ord_1", PENDING, 7);
    send_entry(find_tail(true), 8, "ord_1", REJECTED_EVENT);
    expect_reason_text(owner, 1, "sold out");
    expect_reason_text(csr, 1, "sold out");
    expect_reason_text(other, 1, "");
    expect_reason_text(warehouse, 1, "");
    close_stage();
}
END_TEST

START_TEST(a_watcher_that_does_not_read_is_let_go)
{
    open_stage();
    struct peer *client = stage_client(&stage);
    client->slow = true;
    struct call *call = watch(client, "ord_1", 0);
    answer_read("ord_1", PENDING, 7);
    for (uint64_t seq = 8; !call->closed; seq++) {
        ck_assert_uint_lt(seq, 20000);
        send_entry(find_tail(true), seq, "ord_1", PLACED_EVENT);
        if (seq % 64 == 0)
            stage_turn(&stage, INT64_MAX);
    }
    expect_end(call, RPC_UNAVAILABLE, "WATCH_RESUME");
    ck_assert_int_gt(call_retry_us(call), 0);
    ck_assert_uint_lt(stage.gateway->buffered, 1024);
    close_stage();
}
END_TEST

START_TEST(a_watcher_that_leaves_is_forgotten)
{
    open_stage();
    struct peer *client = stage_client(&stage);
    struct call *first = watch(client, "ord_1", 0);
    the_read();
    call_reset(first, NGHTTP2_CANCEL);
    stage_until(&stage, behind.n == 0);
    run_posted();
    struct call *second = watch(client, "ord_1", 0);
    answer_read("ord_1", PENDING, 7);
    expect_update(second, 0, PENDING, 7, true);
    call_reset(second, NGHTTP2_CANCEL);
    stage_until(&stage, stage.gateway->n_exchanges == 0);
    send_entry(find_tail(true), 8, "ord_1", COMPLETED_EVENT);
    close_stage();
}
END_TEST

START_TEST(a_gateway_that_drains_sends_watchers_elsewhere)
{
    open_stage();
    struct peer *client = stage_client(&stage);
    struct call *call = watch(client, "ord_1", 0);
    answer_read("ord_1", PENDING, 7);
    gateway_drain(stage.gateway, 10000, 5000000, set_true, &stage.drained);
    expect_end(call, RPC_UNAVAILABLE, "WATCH_RESUME");
    stage_until(&stage, stage.drained);
    ck_assert(client->got_goaway);
    close_stage();
}
END_TEST

SUITE("hub", 60, a_watch_tells_the_order_and_then_what_happens_to_it, who_may_not_read_the_order_may_not_watch_it,
      all_watches_share_one_tail, what_the_tail_saw_between_read_and_reply_is_not_missed,
      what_the_read_already_told_is_not_told_again, an_order_in_its_last_state_ends_the_watch,
      a_resumed_watch_gets_what_the_window_still_has, a_watch_resumed_after_the_last_event_ends_at_once,
      a_watch_resumed_from_before_the_window_is_replayed, a_position_of_another_incarnation_is_refused,
      a_position_ahead_of_the_log_is_refused, a_lost_tail_goes_on_where_it_was,
      a_log_that_was_restored_ends_every_watch, a_payload_is_told_only_to_its_audience,
      a_watcher_that_does_not_read_is_let_go, a_watcher_that_leaves_is_forgotten,
      a_gateway_that_drains_sends_watchers_elsewhere)
