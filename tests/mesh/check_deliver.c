/* Commands of another service, each a call of its own. */
#include "mesh/rpc/call.h"
#include "tests/mesh/calls.h"
#include "tests/suite.h"

#include <string.h>

#define DELIVER "/mesh.v1.DeliverService/Deliver"

static struct world world;
static struct asked a;

struct commands {
    Mesh__V1__DeliverRequest request;
    Mesh__V1__Command commands[256], *pointers[256];
    uint8_t bytes[256][256];
};
static struct commands batch;

static void add(const char *method, const ProtobufCMessage *request)
{
    size_t i = batch.request.n_commands++;
    Mesh__V1__Command *command = batch.pointers[i] = &batch.commands[i];
    mesh__v1__command__init(command);
    command->method = (char *)method;
    command->request.data = batch.bytes[i];
    command->request.len = request ? protobuf_c_message_pack(request, batch.bytes[i]) : 0;
    ck_assert_uint_le(command->request.len, sizeof(batch.bytes[i]));
}

static void begin(bool threads)
{
    world_open(&world, threads);
    mesh__v1__deliver_request__init(&batch.request);
    batch.request.commands = batch.pointers;
}

static Mesh__V1__DeliverResponse *deliver(void)
{
    ask(&world, &a, &(struct asking){ DELIVER, &batch.request.base, .roles = ROLE_BIT(MESH__V1__ROLE__SERVICE) });
    ck_assert_int_eq(atomic_load(&a.finished), 1);
    ck_assert_msg(a.code == RPC_OK, "%s", a.reason);
    Mesh__V1__DeliverResponse *response = mesh__v1__deliver_response__unpack(NULL, a.len, a.reply);
    ck_assert_uint_eq(response->n_outcomes, batch.request.n_commands);
    return response;
}

static void ck_outcome(const Mesh__V1__Outcome *outcome, enum rpc_code code, const char *reason)
{
    uint8_t packed[4096];
    struct arena arena;
    arena_init(&arena, 1 << 20);
    struct rpc_status status = { .message = "" };
    status.details = (struct bytes){ packed, google__rpc__status__pack(outcome->status, packed) };
    ck_assert_str_eq(rpc_code_name((enum rpc_code)outcome->status->code), rpc_code_name(code));
    ck_assert_str_eq(rpc_status_reason(&arena, &status), reason);
    arena_finish(&arena);
}

START_TEST(outcomes_come_in_the_order_of_their_commands)
{
    begin(false);
    static char ids[40][8];
    for (size_t i = 0; i < 40; i++) {
        snprintf(ids[i], sizeof(ids[i]), "c%zu", i);
        add(INVENTORY("ReserveStock"), &reserve(ids[i], i % 8 == 5 ? "fail" : ids[i])->base);
    }
    Mesh__V1__DeliverResponse *response = deliver();
    ck_assert_int_eq(atomic_load(&world.batch_most), 40); /* the store has grouped them */
    for (size_t i = 0; i < 40; i++) {
        const Mesh__V1__Outcome *outcome = response->outcomes[i];
        if (i % 8 == 5) {
            ck_outcome(outcome, RPC_FAILED_PRECONDITION, "NO_SUCH_LUCK");
            continue;
        }
        ck_outcome(outcome, RPC_OK, "");
        char wanted[16];
        snprintf(wanted, sizeof(wanted), "res-%s", ids[i]);
        Oms__Inventory__V1__ReserveStockResponse *reply =
            oms__inventory__v1__reserve_stock_response__unpack(NULL, outcome->reply.len, outcome->reply.data);
        ck_assert_str_eq(reply->reservation_id, wanted);
        oms__inventory__v1__reserve_stock_response__free_unpacked(reply, NULL);
    }
    mesh__v1__deliver_response__free_unpacked(response, NULL);
    world_close(&world);
}
END_TEST

START_TEST(a_repeated_command_has_the_same_outcome)
{
    begin(false);
    add(INVENTORY("ReserveStock"), &reserve("c1", "A")->base);
    add(INVENTORY("ReserveStock"), &reserve("c1", "A")->base);
    mesh__v1__deliver_response__free_unpacked(deliver(), NULL);
    Mesh__V1__DeliverResponse *response = deliver();
    ck_outcome(response->outcomes[0], RPC_OK, "");
    ck_assert_uint_eq(response->outcomes[0]->reply.len, response->outcomes[1]->reply.len);
    ck_assert_uint_gt(response->outcomes[0]->reply.len, 0);
    mesh__v1__deliver_response__free_unpacked(response, NULL);
    ck_assert_int_eq(world_marks(&world, NULL), 1);
    world_close(&world);
}
END_TEST

START_TEST(an_undo_and_its_do_in_one_delivery_are_told_apart)
{
    begin(false);
    add(INVENTORY("ReleaseStock"), &release("u1", "c1")->base);
    add(INVENTORY("ReserveStock"), &reserve("c1", "A")->base);
    Mesh__V1__DeliverResponse *response = deliver();
    ck_outcome(response->outcomes[0], RPC_OK, "");
    ck_outcome(response->outcomes[1], RPC_FAILED_PRECONDITION, "OPERATION_UNDONE");
    mesh__v1__deliver_response__free_unpacked(response, NULL);
    world_close(&world);
}
END_TEST

START_TEST(only_what_a_service_may_repeat_is_delivered)
{
    begin(false);
    add(DELIVER, NULL);
    add(TAIL, NULL);                                         /* a stream */
    add(INVENTORY("AdjustStock"), &adjust("c1", "A")->base); /* not for services */
    add("/grpc.health.v1.Health/Check", NULL);
    add(INVENTORY("Nothing"), NULL);
    add(INVENTORY("ReserveStock"), &reserve("c2", "A")->base);
    add(INVENTORY("ReserveStock"), NULL);
    Mesh__V1__DeliverResponse *response = deliver();
    for (size_t i = 0; i < 4; i++)
        ck_outcome(response->outcomes[i], RPC_PERMISSION_DENIED, "NOT_DELIVERABLE");
    ck_outcome(response->outcomes[4], RPC_UNIMPLEMENTED, "METHOD_UNKNOWN");
    ck_outcome(response->outcomes[5], RPC_OK, "");
    ck_outcome(response->outcomes[6], RPC_INVALID_ARGUMENT, "FIELD_REQUIRED");
    mesh__v1__deliver_response__free_unpacked(response, NULL);
    world_close(&world);
}
END_TEST

START_TEST(what_is_read_is_told_as_an_outcome)
{
    begin(false);
    Oms__Order__V1__GetOrderRequest get = OMS__ORDER__V1__GET_ORDER_REQUEST__INIT;
    Oms__Inventory__V1__ListStockRequest list = OMS__INVENTORY__V1__LIST_STOCK_REQUEST__INIT;
    get.order_id = "ord_9";
    list.page_token = "next";
    add(INVENTORY("ListStock"), &list.base);
    add(ORDER("GetOrder"), &get.base);
    Mesh__V1__DeliverResponse *response = deliver();
    ck_outcome(response->outcomes[0], RPC_OK, "");
    ck_assert_uint_gt(response->outcomes[0]->reply.len, 0);
    ck_outcome(response->outcomes[1], RPC_NOT_FOUND, "ORDER_NOT_FOUND");
    mesh__v1__deliver_response__free_unpacked(response, NULL);
    world_close(&world);
}
END_TEST

START_TEST(a_person_cannot_deliver)
{
    begin(false);
    add(INVENTORY("ReserveStock"), &reserve("c2", "A")->base);
    ask(&world, &a, &(struct asking){ DELIVER, &batch.request.base, .roles = ~ROLE_BIT(MESH__V1__ROLE__SERVICE) });
    ck_assert_int_eq(a.code, RPC_PERMISSION_DENIED);
    ck_assert_int_eq(world_marks(&world, NULL), 0);
    world_close(&world);
}
END_TEST

START_TEST(commands_have_the_time_that_the_delivery_has)
{
    begin(false);
    add(INVENTORY("ReserveStock"), &reserve("c1", "A")->base);
    add(INVENTORY("ReleaseStock"), &release("u1", "c1")->base);
    struct asking asking = { DELIVER, &batch.request.base, .roles = ROLE_BIT(MESH__V1__ROLE__SERVICE),
                             .timeout_us = 1000 };
    ask_begin(&world, &a, &asking);
    world.steps.now_us += 1000;
    world_settle(&world);
    ck_assert_int_eq(a.code, RPC_DEADLINE_EXCEEDED);
    ck_assert_int_eq(world_marks(&world, NULL), 0);
    ask(&world, &a, &asking);
    ck_assert_int_eq(a.code, RPC_OK);
    ck_assert_int_eq(world.time_left_us, 1000);
    world_close(&world);
}
END_TEST

START_TEST(threads_collect_every_outcome)
{
    begin(true);
    static char ids[256][8];
    for (size_t i = 0; i < 50; i++) {
        snprintf(ids[i], sizeof(ids[i]), "c%zu", i);
        if (i % 3)
            add(INVENTORY("ReserveStock"), &reserve(ids[i], "A")->base);
        else
            add(INVENTORY("ReleaseStock"), &release(ids[i], "none")->base);
    }
    for (int round = 0; round < 20; round++) {
        Mesh__V1__DeliverResponse *response = deliver();
        for (size_t i = 0; i < response->n_outcomes; i++)
            ck_outcome(response->outcomes[i], RPC_OK, "");
        mesh__v1__deliver_response__free_unpacked(response, NULL);
    }
    ck_assert_int_eq(world_marks(&world, "A"), 33);
    world_close(&world);
}
END_TEST

SUITE("deliver", 60, outcomes_come_in_the_order_of_their_commands, a_repeated_command_has_the_same_outcome,
      an_undo_and_its_do_in_one_delivery_are_told_apart, only_what_a_service_may_repeat_is_delivered,
      what_is_read_is_told_as_an_outcome, a_person_cannot_deliver, commands_have_the_time_that_the_delivery_has,
      threads_collect_every_outcome)
