/* One request id, one effect, one reply: repeats, batches, undo before do, age. */
#include "mesh/rpc/call.h"
#include "mesh/rpc/idempotency.h"
#include "tests/mesh/calls.h"
#include "tests/suite.h"

#include "mesh/base/id.h"

#include <string.h>

static struct world world;
static struct asked a, b;

static void ck_error(const struct asked *asked, enum rpc_code code, const char *reason)
{
    ck_assert_int_eq(atomic_load(&asked->finished), 1);
    ck_assert_str_eq(rpc_code_name(asked->code), rpc_code_name(code));
    ck_assert_str_eq(asked->reason, reason);
}

static void ck_good(const struct asked *asked)
{
    ck_assert_int_eq(atomic_load(&asked->finished), 1);
    ck_assert_msg(asked->code == RPC_OK, "%s %s", rpc_code_name(asked->code), asked->reason);
}

static void ck_same(const struct asked *x, const struct asked *y)
{
    ck_good(x);
    ck_good(y);
    ck_assert_uint_eq(x->len, y->len);
    ck_assert_mem_eq(x->reply, y->reply, x->len);
}

static void ask_adjust(struct asked *asked, const char *id, const char *sku)
{
    ask(&world, asked, &(struct asking){ INVENTORY("AdjustStock"), &adjust(id, sku)->base });
}

START_TEST(a_repeat_gets_the_same_reply_and_has_no_effect)
{
    world_open(&world, false);
    ask_adjust(&a, "r1", "A");
    ask_adjust(&b, "r1", "A");
    ck_same(&a, &b); /* the reply counts the runs, so that a second one would show */
    ck_assert_int_eq(world_marks(&world, "A"), 1);
    world_close(&world);
}
END_TEST

START_TEST(another_request_under_the_same_id_is_refused)
{
    world_open(&world, false);
    ask_adjust(&a, "r1", "A");
    ask_adjust(&b, "r1", "B");
    ck_error(&b, RPC_INVALID_ARGUMENT, "REQUEST_ID_REUSED");
    ck_assert_str_eq(b.field, "request_id");
    ck_assert_int_eq(world_marks(&world, NULL), 1);
    world_close(&world);
}
END_TEST

START_TEST(ids_are_the_principals_own_and_the_methods_own)
{
    world_open(&world, false);
    struct asking asking = { INVENTORY("AdjustStock"), &adjust("r1", "A")->base, .subject = "ann" };
    ask(&world, &a, &asking);
    ck_good(&a);
    asking.subject = "bob";
    ask(&world, &a, &asking);
    ck_good(&a);
    asking.roles = ROLE_BIT(MESH__V1__ROLE__ERP); /* not the service of that name */
    ask(&world, &a, &asking);
    ck_good(&a);
    ask(&world, &a, &(struct asking){ INVENTORY("ReserveStock"), &reserve("r1", "A")->base, .subject = "ann" });
    ck_good(&a);
    ck_assert_int_eq(world_marks(&world, "A"), 4);
    world_close(&world);
}
END_TEST

START_TEST(a_missing_id_is_refused)
{
    world_open(&world, false);
    ask_adjust(&a, "", "A");
    ck_error(&a, RPC_INVALID_ARGUMENT, "FIELD_REQUIRED");
    ck_assert_str_eq(a.field, "request_id");
    world_close(&world);
}
END_TEST

START_TEST(an_error_is_not_remembered)
{
    world_open(&world, false);
    ask_adjust(&a, "r1", "fail");
    ask_adjust(&b, "r1", "A"); /* another body is free to use the id of what never happened */
    ck_error(&a, RPC_FAILED_PRECONDITION, "NO_SUCH_LUCK");
    ck_good(&b);
    world_close(&world);
}
END_TEST

START_TEST(ids_that_would_outlive_their_rows_are_refused)
{
    static const struct {
        int64_t age_us;
        uint32_t roles;
        const char *reason; /* NULL: taken */
    } cases[] = {
        { 0, ROLE_BIT(MESH__V1__ROLE__ERP), NULL },
        { REQUEST_KEEP_US, ROLE_BIT(MESH__V1__ROLE__ERP), NULL },
        { REQUEST_KEEP_US + 2000, ROLE_BIT(MESH__V1__ROLE__ERP), "REQUEST_ID_TOO_OLD" },
        { REQUEST_KEEP_US + 2000, ROLE_BIT(MESH__V1__ROLE__SERVICE) | ROLE_BIT(MESH__V1__ROLE__ERP), NULL },
        { COMMAND_KEEP_US + 2000, ROLE_BIT(MESH__V1__ROLE__SERVICE) | ROLE_BIT(MESH__V1__ROLE__ERP),
          "REQUEST_ID_TOO_OLD" },
        { 1000 - REQUEST_AHEAD_US, ROLE_BIT(MESH__V1__ROLE__ERP), NULL },
        { -2000 - REQUEST_AHEAD_US, ROLE_BIT(MESH__V1__ROLE__ERP), "REQUEST_ID_IN_THE_FUTURE" },
    };
    world_open(&world, false);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char id[ID_MAX];
        id_make(world.port, "req", id);
        world.steps.now_us += cases[i].age_us;
        ask(&world, &a, &(struct asking){ INVENTORY("AdjustStock"), &adjust(id, "A")->base, .roles = cases[i].roles });
        if (!cases[i].reason)
            ck_good(&a);
        else
            ck_error(&a, cases[i].age_us > 0 ? RPC_FAILED_PRECONDITION : RPC_INVALID_ARGUMENT, cases[i].reason);
    }
    world_close(&world);
}
END_TEST

START_TEST(a_reply_with_personal_data_is_rebuilt_from_its_resource)
{
    world_open(&world, false);
    Oms__Inventory__V1__Location location = OMS__INVENTORY__V1__LOCATION__INIT;
    Oms__Inventory__V1__UpsertLocationRequest request = OMS__INVENTORY__V1__UPSERT_LOCATION_REQUEST__INIT;
    location.location_id = (char *)"loc-7";
    location.title = (char *)"personal";
    request.request_id = (char *)"r1";
    request.location = &location;
    struct asking asking = { INVENTORY("UpsertLocation"), &request.base };
    ask(&world, &a, &asking);
    ask(&world, &b, &asking);
    ck_good(&a);
    ck_good(&b);
    Oms__Inventory__V1__Location *first = oms__inventory__v1__location__unpack(NULL, a.len, a.reply);
    Oms__Inventory__V1__Location *second = oms__inventory__v1__location__unpack(NULL, b.len, b.reply);
    ck_assert_str_eq(first->title, "personal");
    ck_assert_str_eq(second->title, "rebuilt");
    ck_assert_str_eq(second->location_id, "loc-7");
    oms__inventory__v1__location__free_unpacked(first, NULL);
    oms__inventory__v1__location__free_unpacked(second, NULL);
    ck_assert_int_eq(world_marks(&world, "location"), 1);
    world_close(&world);
}
END_TEST

static void repeat_in_parallel(const char *method, const ProtobufCMessage *request)
{
    static struct asked many[64];
    world_open(&world, true);
    for (size_t i = 0; i < 64; i++)
        ask_begin(&world, &many[i], &(struct asking){ method, request });
    world_settle(&world);
    for (size_t i = 0; i < 64; i++)
        ck_same(&many[0], &many[i]);
    ck_assert_int_eq(world_marks(&world, NULL), 1);
    ck_assert_int_eq(world_requests(&world), 1);
    world_close(&world);
}

START_TEST(sixty_four_repeats_in_parallel_have_one_effect)
{
    repeat_in_parallel(INVENTORY("AdjustStock"), &adjust("r1", "A")->base);
}
END_TEST

START_TEST(sixty_four_repeats_of_a_batch_method_have_one_effect)
{
    repeat_in_parallel(INVENTORY("ReserveStock"), &reserve("r1", "A")->base);
}
END_TEST

/* --- batches --- */

START_TEST(what_queues_runs_as_one_batch_and_each_has_its_own_end)
{
    static struct asked many[100];
    static char ids[100][8];
    world_open(&world, false);
    for (size_t i = 0; i < 100; i++) {
        snprintf(ids[i], sizeof(ids[i]), "r%zu", i);
        ask_begin(&world, &many[i],
                  &(struct asking){ INVENTORY("ReserveStock"), &reserve(ids[i], i % 10 == 3 ? "fail" : ids[i])->base });
    }
    world_settle(&world);
    ck_assert_int_eq(atomic_load(&world.batch_most), 100);
    for (size_t i = 0; i < 100; i++) {
        if (i % 10 == 3) {
            ck_error(&many[i], RPC_FAILED_PRECONDITION, "NO_SUCH_LUCK");
            continue;
        }
        ck_good(&many[i]);
        char wanted[16];
        snprintf(wanted, sizeof(wanted), "res-%s", ids[i]);
        Oms__Inventory__V1__ReserveStockResponse *response =
            oms__inventory__v1__reserve_stock_response__unpack(NULL, many[i].len, many[i].reply);
        ck_assert_str_eq(response->reservation_id, wanted);
        oms__inventory__v1__reserve_stock_response__free_unpacked(response, NULL);
    }
    ck_assert_int_eq(world_marks(&world, NULL), 90);
    ck_assert_int_eq(world_requests(&world), 90);
    world_close(&world);
}
END_TEST

START_TEST(a_batch_passes_on_only_what_is_new)
{
    static struct asked many[6];
    static const char *const ids[6] = { "r1", "r2", "r1", "r3", "r2", "r9" };
    world_open(&world, false);
    ask(&world, &a, &(struct asking){ INVENTORY("ReserveStock"), &reserve("r1", "A")->base });
    ask(&world, &a, &(struct asking){ INVENTORY("ReserveStock"), &reserve("r9", "other")->base });
    atomic_store(&world.batch_most, 0);
    for (size_t i = 0; i < 6; i++)
        ask_begin(&world, &many[i], &(struct asking){ INVENTORY("ReserveStock"), &reserve(ids[i], "A")->base });
    world_settle(&world);
    ck_assert_int_eq(atomic_load(&world.batch_most), 2); /* r2 and r3 */
    for (size_t i = 0; i < 5; i++)
        ck_good(&many[i]);
    ck_same(&many[1], &many[4]);
    ck_error(&many[5], RPC_INVALID_ARGUMENT, "REQUEST_ID_REUSED");
    ck_assert_int_eq(world_marks(&world, "A"), 3);
    world_close(&world);
}
END_TEST

START_TEST(a_repeat_in_one_batch_runs_if_the_first_fails)
{
    world_open(&world, false);
    ask_begin(&world, &a, &(struct asking){ INVENTORY("ReserveStock"), &reserve("r1", "fail")->base });
    ask_begin(&world, &b, &(struct asking){ INVENTORY("ReserveStock"), &reserve("r1", "A")->base });
    world_settle(&world);
    ck_error(&a, RPC_FAILED_PRECONDITION, "NO_SUCH_LUCK");
    ck_good(&b);
    ck_assert_int_eq(world_marks(&world, "A"), 1);
    world_close(&world);
}
END_TEST

START_TEST(a_batch_that_fails_as_a_whole_spoils_only_who_made_it_fail)
{
    world_open(&world, false);
    ask_begin(&world, &a, &(struct asking){ INVENTORY("ReserveStock"), &reserve("r1", "A")->base });
    ask_begin(&world, &b, &(struct asking){ INVENTORY("ReserveStock"), &reserve("r2", "poison")->base });
    world_settle(&world);
    ck_good(&a);
    ck_error(&b, RPC_INTERNAL, "INTERNAL");
    ck_assert_int_eq(world_marks(&world, NULL), 1);
    ck_assert_int_eq(world_requests(&world), 1);
    world_close(&world);
}
END_TEST

/* --- undo --- */

static bool ask_release(const char *id, const char *operation)
{
    ask(&world, &a, &(struct asking){ INVENTORY("ReleaseStock"), &release(id, operation)->base });
    ck_good(&a);
    Oms__Inventory__V1__ReleaseStockResponse *response =
        oms__inventory__v1__release_stock_response__unpack(NULL, a.len, a.reply);
    bool released = response->released;
    oms__inventory__v1__release_stock_response__free_unpacked(response, NULL);
    return released;
}

START_TEST(an_undo_after_its_do_runs)
{
    world_open(&world, false);
    ask(&world, &b, &(struct asking){ INVENTORY("ReserveStock"), &reserve("op", "A")->base });
    ck_good(&b);
    ck_assert(ask_release("u1", "op"));
    ck_assert(ask_release("u1", "op")); /* a repeat */
    ck_assert_int_eq(world_marks(&world, "released"), 1);
    ask(&world, &a, &(struct asking){ INVENTORY("ReserveStock"), &reserve("op", "A")->base });
    ck_same(&a, &b); /* a late repeat of the do does nothing any more */
    ck_assert_int_eq(world_marks(&world, "A"), 1);
    world_close(&world);
}
END_TEST

START_TEST(a_do_that_comes_after_its_undo_is_refused)
{
    world_open(&world, false);
    ck_assert(!ask_release("u1", "op"));
    ck_assert(!ask_release("u2", "op"));
    ck_assert(!ask_release("u1", "op"));
    ask(&world, &b, &(struct asking){ INVENTORY("ReserveStock"), &reserve("op", "A")->base });
    ck_error(&b, RPC_FAILED_PRECONDITION, "OPERATION_UNDONE");
    ask(&world, &b, &(struct asking){ INVENTORY("ReserveStock"), &reserve("op2", "A")->base });
    ck_good(&b);
    ck_assert_int_eq(atomic_load(&world.runs) > 0, 1);
    ck_assert_int_eq(world_marks(&world, "released"), 0);
    ck_assert_int_eq(world_marks(&world, "A"), 1);
    world_close(&world);
}
END_TEST

/* Of 64 that wait, every other one names an operation that was done, and each operation is named twice. */
START_TEST(a_batch_of_undos_runs_those_whose_operations_were_done)
{
    enum { N = 64 };
    static struct asked many[N];
    static char ids[N][8], operations[N / 2][8];
    world_open(&world, true);
    for (int i = 0; i < N / 2; i++) {
        snprintf(operations[i], sizeof(operations[i]), "op%d", i);
        if (i % 2 == 0)
            ask(&world, &b, &(struct asking){ INVENTORY("ReserveStock"), &reserve(operations[i], "A")->base });
    }
    for (int i = 0; i < N; i++) {
        snprintf(ids[i], sizeof(ids[i]), "u%d", i);
        ask_begin(&world, &many[i],
                  &(struct asking){ INVENTORY("ReleaseStock"), &release(ids[i], operations[i / 2])->base });
    }
    world_settle(&world);
    for (int i = 0; i < N; i++) {
        ck_good(&many[i]);
        ck_assert_uint_eq(many[i].len, i / 2 % 2 == 0 ? 2 : 0); /* released: true, or an empty reply */
    }
    ck_assert_int_eq(world_marks(&world, "released"), N / 2);
    ck_assert_int_eq(world_requests(&world), N / 4 + N + N / 4);
    ask(&world, &b, &(struct asking){ INVENTORY("ReserveStock"), &reserve("op1", "A")->base });
    ck_error(&b, RPC_FAILED_PRECONDITION, "OPERATION_UNDONE");
    world_close(&world);
}
END_TEST

START_TEST(an_undo_of_what_is_so_old_that_its_row_is_gone_runs)
{
    static const char *const endings[] = { "-reserve", "-reserve-2" };
    char id[ID_MAX], operation[ID_MAX + 16];
    world_open(&world, false);
    id_make(world.port, "ord", id);
    world.steps.now_us += COMMAND_KEEP_US - 1000000;
    ck_assert(!ask_release("u1", id));
    world.steps.now_us += 2000000;
    ck_assert(!ask_release("u2", id)); /* the tombstone stands */
    for (size_t i = 0; i < 2; i++) {
        snprintf(operation, sizeof(operation), "%s%s", id, endings[i]);
        ck_assert(ask_release(endings[i], operation));
    }
    world_close(&world);
}
END_TEST

START_TEST(an_undo_of_somebody_else_undoes_nothing)
{
    world_open(&world, false);
    ask(&world, &b, &(struct asking){ INVENTORY("ReserveStock"), &reserve("op", "A")->base, .subject = "svc-a" });
    ask(&world, &a, &(struct asking){ INVENTORY("ReleaseStock"), &release("u1", "op")->base, .subject = "svc-b" });
    ck_good(&a);
    ck_assert_int_eq(world_marks(&world, "released"), 0);
    world_close(&world);
}
END_TEST

/* --- forgetting --- */

struct pruning {
    int64_t age_us;
    size_t n;
    int64_t went;
};

static int prune(struct txn *txn, void *arg)
{
    struct pruning *p = arg;
    p->went = rpc_prune_requests(txn, p->age_us, p->n);
    return p->went < 0 ? (int)p->went : 0;
}

static int64_t prune_now(size_t n)
{
    struct arena arena;
    struct pruning p = { .age_us = REQUEST_KEEP_US, .n = n };
    arena_init(&arena, 1 << 20);
    struct unit unit = { .run = prune, .arg = &p, .arena = &arena };
    ck_assert_int_eq(store_write_now(world.store, &unit), 0);
    arena_finish(&arena);
    return p.went;
}

START_TEST(rows_live_as_long_as_their_ids_are_good)
{
    world_open(&world, false);
    for (int i = 0; i < 5; i++) {
        char id[8];
        snprintf(id, sizeof(id), "p%d", i);
        ask(&world, &a,
            &(struct asking){ INVENTORY("AdjustStock"), &adjust(id, "A")->base,
                              .roles = ROLE_BIT(MESH__V1__ROLE__ERP) });
        ask_adjust(&b, id, "A"); /* of a service */
    }
    world.steps.now_us += REQUEST_KEEP_US;
    ck_assert_int_eq(prune_now(100), 0);
    world.steps.now_us += 1;
    ck_assert_int_eq(prune_now(3), 3);
    ck_assert_int_eq(prune_now(100), 2);
    ck_assert_int_eq(world_requests(&world), 5);
    world.steps.now_us += COMMAND_KEEP_US;
    ck_assert_int_eq(prune_now(100), 5);
    ck_assert_int_eq(world_requests(&world), 0);
    world_close(&world);
}
END_TEST

SUITE("idempotency", 60, a_repeat_gets_the_same_reply_and_has_no_effect, another_request_under_the_same_id_is_refused,
      ids_are_the_principals_own_and_the_methods_own, a_missing_id_is_refused, an_error_is_not_remembered,
      ids_that_would_outlive_their_rows_are_refused, a_reply_with_personal_data_is_rebuilt_from_its_resource,
      sixty_four_repeats_in_parallel_have_one_effect, sixty_four_repeats_of_a_batch_method_have_one_effect,
      what_queues_runs_as_one_batch_and_each_has_its_own_end, a_batch_passes_on_only_what_is_new,
      a_repeat_in_one_batch_runs_if_the_first_fails, a_batch_that_fails_as_a_whole_spoils_only_who_made_it_fail,
      an_undo_after_its_do_runs, a_batch_of_undos_runs_those_whose_operations_were_done,
      an_undo_of_what_is_so_old_that_its_row_is_gone_runs, a_do_that_comes_after_its_undo_is_refused,
      an_undo_of_somebody_else_undoes_nothing, rows_live_as_long_as_their_ids_are_good)
