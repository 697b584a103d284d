/* A call from its bytes to its end: access, decoding, stages, errors, streams, deferred replies. */
#include "mesh/rpc/call.h"
#include "tests/mesh/calls.h"
#include "tests/suite.h"

#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROLE(r) ROLE_BIT(MESH__V1__ROLE__##r)

static struct world world;
static struct asked a;

static void ck_error(const struct asked *asked, enum rpc_code code, const char *reason)
{
    ck_assert_int_eq(atomic_load(&asked->finished), 1);
    ck_assert_str_eq(rpc_code_name(asked->code), rpc_code_name(code));
    ck_assert_str_eq(asked->reason, reason);
    ck_assert_uint_eq(asked->len, 0);
}

static void ck_good(const struct asked *asked)
{
    ck_assert_int_eq(atomic_load(&asked->finished), 1);
    ck_assert_msg(asked->code == RPC_OK, "%s %s", rpc_code_name(asked->code), asked->reason);
}

static Oms__Inventory__V1__ListStockRequest *stock_of(const char *sku)
{
    static Oms__Inventory__V1__ListStockRequest request;
    oms__inventory__v1__list_stock_request__init(&request);
    request.sku = (char *)sku;
    request.page_token = (char *)"echo";
    return &request;
}

/* --- reads and writes --- */

START_TEST(a_read_is_answered)
{
    world_open(&world, false);
    ask(&world, &a, &(struct asking){ INVENTORY("ListStock"), &stock_of("A")->base });
    ck_good(&a);
    Oms__Inventory__V1__ListStockResponse *response =
        oms__inventory__v1__list_stock_response__unpack(NULL, a.len, a.reply);
    ck_assert_str_eq(response->next_page_token, "echo");
    oms__inventory__v1__list_stock_response__free_unpacked(response, NULL);
    ck_assert_int_eq(world_requests(&world), 0);
    world_close(&world);
}
END_TEST

START_TEST(a_write_commits_its_effect_and_its_request)
{
    world_open(&world, false);
    ask(&world, &a, &(struct asking){ INVENTORY("AdjustStock"), &adjust("r1", "A")->base });
    ck_good(&a);
    ck_assert_int_eq(world_marks(&world, "A"), 1);
    ck_assert_int_eq(world_requests(&world), 1);
    world_close(&world);
}
END_TEST

START_TEST(an_error_rolls_everything_back)
{
    world_open(&world, false);
    ask(&world, &a, &(struct asking){ INVENTORY("AdjustStock"), &adjust("r1", "fail")->base });
    ck_error(&a, RPC_FAILED_PRECONDITION, "NO_SUCH_LUCK");
    ck_assert_int_eq(world_marks(&world, NULL), 0);
    ck_assert_int_eq(world_requests(&world), 0);
    world_close(&world);
}
END_TEST

START_TEST(an_errno_becomes_a_status_that_tells_nothing_else)
{
    static const struct {
        const char *sku;
        enum rpc_code code;
        const char *reason;
    } cases[] = {
        { "errno11", RPC_RESOURCE_EXHAUSTED, "OVERLOADED" },
        { "errno7", RPC_RESOURCE_EXHAUSTED, "REQUEST_TOO_LARGE" },
        { "errno28", RPC_RESOURCE_EXHAUSTED, "STORAGE_FULL" },
        { "errno5", RPC_UNAVAILABLE, "STORAGE_FAILED" },
        { "errno12", RPC_RESOURCE_EXHAUSTED, "REQUEST_TOO_COSTLY" },
        { "errno22", RPC_INTERNAL, "INTERNAL" },
        { "errno17", RPC_INTERNAL, "INTERNAL" },
        { "errno108", RPC_UNAVAILABLE, "SHUTTING_DOWN" },
    };
    world_open(&world, false);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ask(&world, &a, &(struct asking){ INVENTORY("ListStock"), &stock_of(cases[i].sku)->base });
        ck_error(&a, cases[i].code, cases[i].reason);
        ck_assert_ptr_null(strstr(a.message, "errno"));
        ck_assert_msg((a.retry_us > 0) == (strcmp(a.reason, "OVERLOADED") == 0), "%s, again in %lld us", a.reason,
                      (long long)a.retry_us);
    }
    ask(&world, &a, &(struct asking){ INVENTORY("AdjustStock"), &adjust("r1", "bare")->base });
    ck_error(&a, RPC_INTERNAL, "INTERNAL");
    world_close(&world);
}
END_TEST

START_TEST(what_is_missing_is_named)
{
    world_open(&world, false);
    Oms__Order__V1__GetOrderRequest request = OMS__ORDER__V1__GET_ORDER_REQUEST__INIT;
    request.order_id = (char *)"ord_9";
    ask(&world, &a, &(struct asking){ ORDER("GetOrder"), &request.base });
    ck_error(&a, RPC_NOT_FOUND, "ORDER_NOT_FOUND");
    world_close(&world);
}
END_TEST

START_TEST(a_call_is_a_span_of_its_callers_trace)
{
    world_open(&world, false);
    struct asking asking = { INVENTORY("ListStock"), &stock_of("A")->base };
    ck_assert(trace_parse("00-0123456789abcdef0123456789abcdef-0123456789abcdef-01", &asking.trace));
    ask(&world, &a, &asking);
    ck_good(&a);
    ck_assert_mem_eq(world.trace.trace_id, asking.trace.trace_id, sizeof(asking.trace.trace_id));
    ck_assert_mem_ne(world.trace.span_id, asking.trace.span_id, sizeof(asking.trace.span_id));
    world_close(&world);
}
END_TEST

START_TEST(ends_are_counted_by_method_and_code)
{
    world_open(&world, false);
    for (int i = 0; i < 3; i++)
        ask(&world, &a, &(struct asking){ INVENTORY("ListStock"), &stock_of(i ? "A" : "errno28")->base });
    size_t len;
    char *metrics = metrics_render(&len);
#define LIST_STOCK "mesh_rpc_calls_total{method=\"" INVENTORY("ListStock") "\",code="
    ck_assert_ptr_nonnull(strstr(metrics, LIST_STOCK "\"OK\"} 2\n"));
    ck_assert_ptr_nonnull(strstr(metrics, LIST_STOCK "\"RESOURCE_EXHAUSTED\"} 1\n"));
    ck_assert_ptr_nonnull(strstr(metrics, "mesh_rpc_in_flight 0\n"));
    free(metrics);
    world_close(&world);
}
END_TEST

/* --- who may --- */

START_TEST(only_those_who_may_get_in)
{
    world_open(&world, false);
    ask(&world, &a, &(struct asking){ INVENTORY("AdjustStocks") });
    ck_error(&a, RPC_UNIMPLEMENTED, "METHOD_UNKNOWN");
    ask(&world, &a, &(struct asking){ ORDER("WatchOrder") }); /* served elsewhere */
    ck_error(&a, RPC_UNIMPLEMENTED, "METHOD_UNKNOWN");
    ask(&world, &a, &(struct asking){ INVENTORY("ListStock"), &stock_of("A")->base, .not_authentic = true });
    ck_error(&a, RPC_UNAUTHENTICATED, "PEER_NOT_PROVEN");
    ask(&world, &a, &(struct asking){ INVENTORY("ListStock"), &stock_of("A")->base, .roles = ROLE(CUSTOMER) });
    ck_error(&a, RPC_PERMISSION_DENIED, "ROLE_NOT_ALLOWED");
    ask(&world, &a, &(struct asking){ INVENTORY("ListStock"), &stock_of("A")->base, .roles = 1u << 31 });
    ck_error(&a, RPC_PERMISSION_DENIED, "ROLE_NOT_ALLOWED");
    ck_assert_int_eq(atomic_load(&world.runs), 0);
    world_close(&world);
}
END_TEST

START_TEST(a_customer_is_the_owner_of_what_he_asks_for)
{
    world_open(&world, false);
    Oms__Order__V1__ListOrdersRequest request = OMS__ORDER__V1__LIST_ORDERS_REQUEST__INIT;
    struct asking asking = { ORDER("ListOrders"), &request.base, .roles = ROLE(CUSTOMER), .subject = "ann" };
    ask(&world, &a, &asking);
    ck_good(&a);
    ck_assert_str_eq(world.owner, "ann");
    request.customer_id = (char *)"ann";
    ask(&world, &a, &asking);
    ck_good(&a);
    request.customer_id = (char *)"bob";
    ask(&world, &a, &asking);
    ck_error(&a, RPC_PERMISSION_DENIED, "NOT_YOURS");
    asking.roles |= ROLE(CSR); /* staff may ask for anybody */
    ask(&world, &a, &asking);
    ck_good(&a);
    ck_assert_str_eq(world.owner, "bob");
    asking.roles = ROLE(CUSTOMER);
    asking.subject = ""; /* nobody is not everybody */
    request.customer_id = (char *)"";
    ask(&world, &a, &asking);
    ck_good(&a);
    ck_assert_str_eq(world.owner, " ");
    world_close(&world);
}
END_TEST

/* --- bytes --- */

START_TEST(bad_bytes_are_refused_before_anything_runs)
{
    world_open(&world, false);
    struct asking asking = { INVENTORY("ListStock"), .bytes = { (const uint8_t *)"\xff\xff", 2 } };
    ask(&world, &a, &asking);
    ck_error(&a, RPC_INVALID_ARGUMENT, "MALFORMED_REQUEST");
    asking.bytes = (struct bytes){ (const uint8_t *)"\x0a\x03"
                                                    "A\0B",
                                   5 };
    ask(&world, &a, &asking);
    ck_error(&a, RPC_INVALID_ARGUMENT, "STRING_HAS_NUL");
    ck_assert_str_eq(a.field, "sku");

    static uint8_t large[65537];
    asking.bytes = (struct bytes){ large, sizeof(large) };
    ask(&world, &a, &asking);
    ck_error(&a, RPC_RESOURCE_EXHAUSTED, "REQUEST_TOO_LARGE");
    ck_assert_int_eq(atomic_load(&world.runs), 0);
    world_close(&world);
}
END_TEST

START_TEST(a_request_that_would_blow_up_is_too_costly)
{
    world_open(&world, false);
    static uint8_t bomb[65536]; /* unknown fields, of which protobuf-c keeps every single one */
    for (size_t i = 0; i < sizeof(bomb); i += 2) {
        bomb[i] = 0x78;
        bomb[i + 1] = 1;
    }
    ask(&world, &a, &(struct asking){ INVENTORY("ListStock"), .bytes = { bomb, sizeof(bomb) } });
    ck_error(&a, RPC_RESOURCE_EXHAUSTED, "REQUEST_TOO_COSTLY");
    ask(&world, &a, &(struct asking){ INVENTORY("ListStock"), &stock_of("A")->base }); /* with the same memory */
    ck_good(&a);
    world_close(&world);
}
END_TEST

/* --- time --- */

START_TEST(a_call_whose_deadline_has_passed_is_not_started)
{
    world_open(&world, false);
    ask(&world, &a, &(struct asking){ INVENTORY("ListStock"), &stock_of("A")->base, .timeout_us = -1 });
    ck_error(&a, RPC_DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED");
    ask_begin(&world, &a, &(struct asking){ INVENTORY("AdjustStock"), &adjust("r1", "A")->base, .timeout_us = 1000 });
    world.steps.now_us += 1000; /* while it waits for the writer */
    world_settle(&world);
    ck_error(&a, RPC_DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED");
    ck_assert_int_eq(atomic_load(&world.runs), 0);
    ck_assert_int_eq(world_requests(&world), 0);
    world_close(&world);
}
END_TEST

START_TEST(a_cancelled_call_is_not_started)
{
    world_open(&world, false);
    ask_begin(&world, &a, &(struct asking){ INVENTORY("AdjustStock"), &adjust("r1", "A")->base });
    dispatch_cancel(a.call);
    world_settle(&world);
    ck_error(&a, RPC_CANCELLED, "CANCELLED");
    ck_assert_int_eq(atomic_load(&world.runs), 0);
    world_close(&world);
}
END_TEST

START_TEST(too_many_calls_are_turned_away)
{
    world_open(&world, false);
    static struct asked many[CALLS_MAX + 1];
    for (size_t i = 0; i < CALLS_MAX + 1; i++)
        ask_begin(&world, &many[i], &(struct asking){ INVENTORY("ListStock"), &stock_of("A")->base });
    ck_error(&many[CALLS_MAX], RPC_RESOURCE_EXHAUSTED, "OVERLOADED");
    ck_assert_int_gt(many[CALLS_MAX].retry_us, 0);
    ck_assert_uint_eq(dispatch_active(world.dispatch), CALLS_MAX);
    world_settle(&world);
    for (size_t i = 0; i < CALLS_MAX; i++)
        ck_good(&many[i]);
    ck_assert_uint_eq(dispatch_active(world.dispatch), 0);
    world_close(&world);
}
END_TEST

/* --- gather and work --- */

static void ask_availability(const char *sku)
{
    Oms__Inventory__V1__BatchGetAvailabilityRequest request = OMS__INVENTORY__V1__BATCH_GET_AVAILABILITY_REQUEST__INIT;
    request.skus = (char **)&sku;
    request.n_skus = 1;
    ask(&world, &a, &(struct asking){ INVENTORY("BatchGetAvailability"), &request.base });
}

START_TEST(gather_work_and_unit_follow_each_other)
{
    world_open(&world, false);
    ask_availability("now");
    ck_good(&a);
    ck_assert_uint_gt(a.len, 0);
    ask_availability("inside");
    ck_good(&a);
    ask_availability("fail");
    ck_error(&a, RPC_UNAVAILABLE, "NOBODY_THERE");
    ask_availability("reply");
    ck_good(&a);
    ck_assert_uint_eq(a.len, 0); /* the unit was not asked */
    world_close(&world);
}
END_TEST

START_TEST(what_is_gathered_later_goes_on_then)
{
    world_open(&world, false);
    ask_availability("later");
    ck_assert_int_eq(atomic_load(&a.finished), 0);
    rpc_gathered(world.gathering, RPC_NOW);
    world_settle(&world);
    ck_good(&a);
    ask_availability("later");
    dispatch_cancel(a.call);
    ck_assert_int_eq(atomic_load(&a.finished), 0);
    rpc_gathered(world.gathering, RPC_NOW);
    world_settle(&world);
    ck_error(&a, RPC_CANCELLED, "CANCELLED");
    ask_availability("later");
    rpc_gathered(world.gathering, -EIO);
    world_settle(&world);
    ck_error(&a, RPC_UNAVAILABLE, "STORAGE_FAILED");
    world_close(&world);
}
END_TEST

/* --- streams --- */

static void begin_tail(bool follow, int64_t timeout_us)
{
    Mesh__V1__TailRequest request = MESH__V1__TAIL_REQUEST__INIT;
    request.follow = follow;
    ask(&world, &a, &(struct asking){ TAIL, &request.base, .timeout_us = timeout_us });
}

START_TEST(a_stream_sends_its_pages_and_ends)
{
    world_open(&world, false);
    for (int i = 0; i < 5; i++)
        world_event(&world, "k");
    begin_tail(false, 0);
    ck_good(&a);
    ck_assert_int_eq(atomic_load(&a.sent), 5);
    world_close(&world);
}
END_TEST

START_TEST(a_stream_has_one_message_under_way)
{
    world_open(&world, false);
    for (int i = 0; i < 3; i++)
        world_event(&world, "k");
    a.hold = true;
    begin_tail(false, 0);
    for (int sent = 1; sent <= 3; sent++) {
        ck_assert_int_eq(atomic_load(&a.sent), sent);
        ck_assert_int_eq(atomic_load(&a.finished), 0);
        dispatch_writable(a.call);
        world_settle(&world);
    }
    ck_good(&a);
    a.hold = false;
    world_close(&world);
}
END_TEST

START_TEST(a_stream_that_follows_wakes_when_the_log_grows)
{
    world_open(&world, false);
    begin_tail(true, 0);
    for (int i = 1; i <= 3; i++) {
        world_event(&world, "k");
        world_settle(&world);
        ck_assert_int_eq(atomic_load(&a.sent), i);
    }
    dispatch_cancel(a.call);
    ck_error(&(struct asked){ .finished = a.finished, .code = a.code, .reason = "CANCELLED" }, RPC_CANCELLED,
             "CANCELLED");
    world_close(&world);
}
END_TEST

START_TEST(a_log_that_grew_while_a_page_was_read_is_not_missed)
{
    world_open(&world, false);
    world_event(&world, "k");
    begin_tail(true, 0);
    struct rpc_call call = { .dispatch = world.dispatch, .method = a.call->method };
    call.unit.log_seq = 0; /* its page was read before the event, of which everybody has been told since */
    ck_assert(!park(&call, WAITS_LOG, INT64_MAX));
    ck_assert_int_eq(call.woken, WOKEN_BY_LOG);
    dispatch_cancel(a.call);
    world_close(&world);
}
END_TEST

START_TEST(a_stream_ends_at_its_deadline_and_when_the_client_goes)
{
    world_open(&world, false);
    begin_tail(true, 5000);
    steps_port_advance(&world.steps, 4999);
    ck_assert_int_eq(atomic_load(&a.finished), 0);
    steps_port_advance(&world.steps, 1);
    ck_error(&a, RPC_DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED");

    world_event(&world, "k");
    a.hold = true;
    begin_tail(true, 0);
    ck_assert_int_eq(atomic_load(&a.sent), 1);
    dispatch_cancel(a.call); /* while a message is under way */
    ck_assert_int_eq(atomic_load(&a.finished), 1);
    ck_assert_int_eq(a.code, RPC_CANCELLED);
    a.hold = false;
    world_close(&world);
}
END_TEST

/* --- deferred --- */

static Oms__Order__V1__Order__State state_of(const struct asked *asked)
{
    Oms__Order__V1__PlaceOrderResponse *response =
        oms__order__v1__place_order_response__unpack(NULL, asked->len, asked->reply);
    ck_assert_ptr_nonnull(response);
    ck_assert_str_eq(response->order->order_id, "ord_1");
    Oms__Order__V1__Order__State state = response->order->state;
    oms__order__v1__place_order_response__free_unpacked(response, NULL);
    return state;
}

static void place_and_wait(struct asked *asked, const char *id, int64_t timeout_us)
{
    Oms__Order__V1__PlaceOrderRequest *request = (Oms__Order__V1__PlaceOrderRequest *)place(id, "ann");
    request->wait = true;
    ask(&world, asked,
        &(struct asking){ ORDER("PlaceOrder"), &request->base, .roles = ROLE(CUSTOMER), .subject = "ann",
                          .timeout_us = timeout_us });
}

START_TEST(a_deferred_reply_waits_for_an_event_of_its_key)
{
    world_open(&world, false);
    place_and_wait(&a, "r1", 0);
    ck_assert_int_eq(atomic_load(&a.finished), 0);
    ck_assert_int_eq(world_marks(&world, "order"), 1);
    world_event(&world, "another");
    world_settle(&world);
    ck_assert_int_eq(atomic_load(&a.finished), 0);
    ck_assert_int_eq(atomic_load(&world.settled_runs), 0);
    world_event(&world, "ord_1");
    world_settle(&world);
    ck_good(&a);
    ck_assert_int_eq(state_of(&a), OMS__ORDER__V1__ORDER__STATE__CONFIRMED);
    world_close(&world);
}
END_TEST

START_TEST(a_repeat_attaches_to_the_same_operation)
{
    world_open(&world, false);
    static struct asked again, late;
    place_and_wait(&a, "r1", 0);
    place_and_wait(&again, "r1", 0);
    ck_assert_int_eq(atomic_load(&again.finished), 0);
    world_event(&world, "ord_1");
    world_settle(&world);
    ck_assert_int_eq(state_of(&a), OMS__ORDER__V1__ORDER__STATE__CONFIRMED);
    ck_assert_int_eq(state_of(&again), OMS__ORDER__V1__ORDER__STATE__CONFIRMED);
    place_and_wait(&late, "r1", 0); /* at once now */
    ck_assert_int_eq(state_of(&late), OMS__ORDER__V1__ORDER__STATE__CONFIRMED);
    ck_assert_int_eq(world_marks(&world, "order"), 1);
    world_close(&world);
}
END_TEST

START_TEST(a_deferred_reply_goes_out_as_it_is_before_the_deadline)
{
    world_open(&world, false);
    place_and_wait(&a, "r1", 1000000);
    steps_port_advance(&world.steps, 949999);
    ck_assert_int_eq(atomic_load(&a.finished), 0);
    steps_port_advance(&world.steps, 1);
    ck_good(&a);
    ck_assert_int_eq(state_of(&a), OMS__ORDER__V1__ORDER__STATE__PENDING);
    place_and_wait(&a, "r2", 0); /* without one after a minute */
    steps_port_advance(&world.steps, 59999999);
    ck_assert_int_eq(atomic_load(&a.finished), 0);
    steps_port_advance(&world.steps, 1);
    ck_good(&a);
    world_close(&world);
}
END_TEST

START_TEST(a_deferred_call_can_be_cancelled)
{
    world_open(&world, false);
    place_and_wait(&a, "r1", 0);
    dispatch_cancel(a.call);
    ck_error(&a, RPC_CANCELLED, "CANCELLED");
    world_event(&world, "ord_1");
    ck_assert_int_eq(world_marks(&world, "order"), 1);
    world_close(&world);
}
END_TEST

START_TEST(a_key_among_many_events_is_found)
{
    world_open(&world, false);
    place_and_wait(&a, "r1", 0);
    store_on_commit(world.store, NULL, NULL); /* told of all at once, more than one sweep takes */
    for (int i = 0; i < 1100; i++)
        world_event(&world, "noise");
    world_event(&world, "ord_1");
    ck_assert_int_eq(atomic_load(&a.finished), 0);
    dispatch_log_grown(world.dispatch, 1101);
    world_settle(&world);
    ck_good(&a);
    world_close(&world);
}
END_TEST

START_TEST(a_key_that_nobody_looked_for_before_the_call_was_parked_is_not_missed)
{
    world_open(&world, false);
    place_and_wait(&a, "r1", 0);
    dispatch_cancel(a.call);
    struct rpc_call call = { .dispatch = world.dispatch, .method = a.call->method, .defer_key = "y" };
    world_event(&world, "y");
    world_event(&world, "x");
    call.unit.log_seq = 2;
    ck_assert(park(&call, WAITS_KEY, INT64_MAX)); /* from here on it is swept: nobody waits for what was before */
    ck_assert(unpark(&call));
    call.unit.log_seq = 0; /* but for one whose unit saw neither */
    ck_assert(!park(&call, WAITS_KEY, INT64_MAX));
    ck_assert_int_eq(call.woken, WOKEN_BY_LOG);
    world_close(&world);
}
END_TEST

START_TEST(a_key_that_was_swept_before_the_call_was_parked_is_not_missed)
{
    world_open(&world, false);
    place_and_wait(&a, "r1", 0);
    world_event(&world, "x");
    world_event(&world, "y");
    world_settle(&world);
    ck_assert_uint_eq(world.dispatch->swept_seq, 2);
    struct rpc_call call = { .dispatch = world.dispatch, .method = a.call->method, .defer_key = "y" };
    call.unit.log_seq = 1; /* its unit saw only the first of them */
    ck_assert(!park(&call, WAITS_KEY, INT64_MAX));
    ck_assert_int_eq(call.woken, WOKEN_BY_LOG);
    call.defer_key = "z"; /* nothing was told of that */
    ck_assert(park(&call, WAITS_KEY, INT64_MAX));
    ck_assert(unpark(&call));
    dispatch_cancel(a.call);
    world_close(&world);
}
END_TEST

/* --- tables --- */

static int ck_refused_table(struct rpc_service *service)
{
    const struct rpc_service *services[] = { service, NULL };
    pid_t pid = fork();
    if (pid == 0) {
        fclose(stderr);
        dispatch_create(world.port, world.store, NULL, NULL, services);
        _exit(0);
    }
    int status;
    waitpid(pid, &status, 0);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static int some_unit(struct rpc_call *call, struct txn *txn, const void *in, void *out)
{
    return 0;
}

static int some_page(struct rpc_call *call, struct txn *txn, const void *in, void *out, bool *ret_empty)
{
    return RPC_END;
}

START_TEST(a_table_that_does_not_match_the_protos_does_not_start)
{
    world_open(&world, false);
    struct rpc_method rows[] = { { "Tail", .page = some_page }, { "Snapshot", .unit = some_unit }, {}, {} };
    struct rpc_service service = { "mesh.v1.LogService", &mesh__v1__log_service__descriptor, rows };
    ck_assert(!ck_refused_table(&service));
    rows[2] = (struct rpc_method){ "Another", .unit = some_unit };
    ck_assert(ck_refused_table(&service));
    rows[2] = rows[1];
    ck_assert(ck_refused_table(&service));
    rows[2] = (struct rpc_method){ 0 };
    rows[1] = (struct rpc_method){ 0 };
    ck_assert(ck_refused_table(&service));
    rows[1] = (struct rpc_method){ "Snapshot" };
    ck_assert(ck_refused_table(&service));
    rows[1] = (struct rpc_method){ "Snapshot", .elsewhere = true };
    ck_assert(!ck_refused_table(&service));
    rows[0] = (struct rpc_method){ "Tail", .unit = some_unit };
    ck_assert(ck_refused_table(&service));
    service.name = "mesh.v1.NoService";
    ck_assert(ck_refused_table(&service));

    struct rpc_method orders[32] = { { "ImportOrders", .unit = some_unit }, { "PlaceOrder", .elsewhere = true } };
    size_t n = 2;
    for (const char *const *name =
             (const char *const[]){ "GetOrder", "ListOrders", "CancelOrder", "ExplainOrder", "ListStuckOrders",
                                    "WatchOrder", "BatchGetOrders", "GetCredit", "ListCredits", "ActivateImport",
                                    "DiscardImport", "GetImport", "ExportOrders", NULL };
         *name; name++)
        orders[n++] = (struct rpc_method){ *name, .elsewhere = true };
    struct rpc_service streams = { "oms.order.v1.OrderService", &oms__order__v1__order_service__descriptor, orders };
    ck_assert(!ck_refused_table(&streams));
    orders[0].settled = some_unit; /* an acknowledgement does not wait */
    ck_assert(ck_refused_table(&streams));
    orders[0] = (struct rpc_method){ "ImportOrders", .page = some_page };
    ck_assert(ck_refused_table(&streams));
    world_close(&world);
}
END_TEST

/* --- threads --- */

START_TEST(threads_answer_every_call_once)
{
    world_open(&world, true);
    static struct asked many[600];
    static char ids[200][16];
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < 200; i++) {
            snprintf(ids[i], sizeof(ids[i]), "r%d-%zu", round, i);
            ask_begin(&world, &many[3 * i], &(struct asking){ INVENTORY("AdjustStock"), &adjust(ids[i], "A")->base });
            ask_begin(&world, &many[3 * i + 1], &(struct asking){ INVENTORY("ListStock"), &stock_of("A")->base });
            ask_begin(&world, &many[3 * i + 2],
                      &(struct asking){ INVENTORY("ReserveStock"), &reserve(ids[i], "B")->base });
        }
        world_settle(&world);
        for (size_t i = 0; i < 600; i++)
            ck_good(&many[i]);
    }
    ck_assert_int_eq(world_marks(&world, "A"), 600);
    ck_assert_int_eq(world_marks(&world, "B"), 600);
    world_close(&world);
}
END_TEST

START_TEST(threads_lose_no_wake_up)
{
    world_open(&world, true);
    static struct asked tails[8];
    Mesh__V1__TailRequest request = MESH__V1__TAIL_REQUEST__INIT;
    request.follow = true;
    for (size_t i = 0; i < 8; i++)
        ask_begin(&world, &tails[i], &(struct asking){ TAIL, &request.base });
    for (int i = 0; i < 100; i++) {
        struct arena arena;
        arena_init(&arena, 1 << 20);
        arena_finish(&arena);
        world_event(&world, "k");
    }
    world_settle(&world);
    for (size_t i = 0; i < 8; i++) {
        ck_assert_int_eq(atomic_load(&tails[i].sent), 100);
        dispatch_cancel(tails[i].call);
    }
    world_settle(&world);
    for (size_t i = 0; i < 8; i++)
        ck_assert_int_eq(atomic_load(&tails[i].finished), 1);
    world_close(&world);
}
END_TEST

SUITE("dispatch", 60, a_read_is_answered, a_write_commits_its_effect_and_its_request, an_error_rolls_everything_back,
      an_errno_becomes_a_status_that_tells_nothing_else, what_is_missing_is_named,
      a_call_is_a_span_of_its_callers_trace, ends_are_counted_by_method_and_code, only_those_who_may_get_in,
      a_customer_is_the_owner_of_what_he_asks_for, bad_bytes_are_refused_before_anything_runs,
      a_request_that_would_blow_up_is_too_costly, a_call_whose_deadline_has_passed_is_not_started,
      a_cancelled_call_is_not_started, too_many_calls_are_turned_away, gather_work_and_unit_follow_each_other,
      what_is_gathered_later_goes_on_then, a_stream_sends_its_pages_and_ends, a_stream_has_one_message_under_way,
      a_stream_that_follows_wakes_when_the_log_grows, a_log_that_grew_while_a_page_was_read_is_not_missed,
      a_stream_ends_at_its_deadline_and_when_the_client_goes, a_deferred_reply_waits_for_an_event_of_its_key,
      a_repeat_attaches_to_the_same_operation, a_deferred_reply_goes_out_as_it_is_before_the_deadline,
      a_deferred_call_can_be_cancelled, a_key_among_many_events_is_found,
      a_key_that_nobody_looked_for_before_the_call_was_parked_is_not_missed,
      a_key_that_was_swept_before_the_call_was_parked_is_not_missed,
      a_table_that_does_not_match_the_protos_does_not_start, threads_answer_every_call_once, threads_lose_no_wake_up)
