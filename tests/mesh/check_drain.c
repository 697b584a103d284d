/* The drain: balancers are told, calls under way finish, new ones are refused, what lasts for ever is cancelled. */
#include "mesh/v1/log.pb-c.h"
#include "oms/catalog/v1/catalog.pb-c.h"
#include "oms/order/v1/order.pb-c.h"
#include "tests/mesh/certs.h"
#include "tests/mesh/rpc_node.h"
#include "tests/suite.h"

#include "grpc/health/v1/health.pb-c.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define LONG_US 60000000 /* longer than a test may take */

static struct node server, client;
static char dir[64], *peers;
static sem_t drained;

static void begin(void)
{
    snprintf(dir, sizeof(dir), "/tmp/check-drain-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    certs_authority(dir, "ca");
    certs_issue(dir, "ca", "svc-server");
    certs_issue(dir, "ca", "gateway");
    sem_init(&drained, 0, 0);
    node_start(&server, &(struct node_options){ .name = "svc-server", .dir = dir });
    peers = node_peers("svc-server", rpc_server_port(server.server));
    node_start(&client, &(struct node_options){ .name = "gateway", .dir = dir, .peers = peers, .silent = true });
}

static void end(void)
{
    char command[128];
    node_stop(&client);
    node_stop(&server);
    free(peers);
    snprintf(command, sizeof(command), "rm -r %s", dir);
    ck_assert_int_eq(system(command), 0);
}

static int64_t notice_us, grace_us;

static void on_drained(void *arg)
{
    sem_post(&drained);
}

static void start_drain(void *arg)
{
    rpc_server_drain(server.server, notice_us, grace_us, on_drained, NULL);
}

static void drain(int64_t notice, int64_t grace)
{
    notice_us = notice;
    grace_us = grace;
    node_on_loop(&server, start_drain, NULL);
}

static void get(struct asking *asking, const char *sku, struct said *ret_said)
{
    Oms__Catalog__V1__GetProductRequest request = OMS__CATALOG__V1__GET_PRODUCT_REQUEST__INIT;
    request.by_case = OMS__CATALOG__V1__GET_PRODUCT_REQUEST__BY_SKU;
    request.sku = (char *)sku;
    ask_start(asking, &client, "svc-server", "/oms.catalog.v1.CatalogService/GetProduct", &request.base, NULL, LONG_US,
              ret_said);
}

static enum rpc_code get_now(void)
{
    struct asking asking;
    struct said said;
    get(&asking, "echo", &said);
    ask_wait(&asking);
    said_free(&said);
    return said.code;
}

/* n messages of so many KiB, and then it follows. */
static void tail(struct asking *asking, uint64_t n, uint32_t kib, struct said *ret_said)
{
    Mesh__V1__Position after = MESH__V1__POSITION__INIT;
    Mesh__V1__TailRequest request = MESH__V1__TAIL_REQUEST__INIT;
    after.seq = n;
    request.after = &after;
    request.max_entries = kib;
    request.follow = true;
    ask_start(asking, &client, "svc-server", "/mesh.v1.LogService/Tail", &request.base, NULL, 0, ret_said);
    sem_wait(&asking->came);
}

static void set_hold(struct asking *asking, bool hold)
{
    pthread_mutex_lock(&asking->lock);
    asking->hold = hold;
    pthread_mutex_unlock(&asking->lock);
}

static void watch(struct asking *asking, struct said *ret_said)
{
    Grpc__Health__V1__HealthCheckRequest request = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
    ask_start(asking, &client, "svc-server", "/grpc.health.v1.Health/Watch", &request.base, NULL, 0, ret_said);
    sem_wait(&asking->came);
}

START_TEST(a_call_under_way_finishes_and_new_ones_are_unavailable)
{
    struct asking asking;
    struct said said;

    begin();
    get(&asking, "wait", &said);
    sem_wait(&server.waiting);
    drain(0, LONG_US);
    enum rpc_code code;
    do {
        code = get_now();
    } while (code == RPC_OK);
    ck_assert_int_eq(code, RPC_UNAVAILABLE);
    ck_assert_int_ne(sem_trywait(&drained), 0);

    rpc_gathered(server.waits, RPC_REPLY);
    ask_wait(&asking);
    ck_assert_int_eq(said.code, RPC_OK);
    ck_assert_uint_eq(said.n, 1);
    sem_wait(&drained);
    said_free(&said);
    end();
}
END_TEST

START_TEST(during_the_notice_health_says_no_and_calls_are_still_served)
{
    struct asking asking;
    struct said said;

    begin();
    watch(&asking, &said);
    ck_assert_int_eq(said.last.data[1], 1);
    drain(LONG_US, LONG_US);
    sem_wait(&asking.came);
    ck_assert_int_eq(said.last.data[1], 2);
    ck_assert_int_eq(get_now(), RPC_OK);
    ck_assert_int_ne(sem_trywait(&drained), 0);
    node_stop_server(&server);
    ask_wait(&asking);
    said_free(&said);
    end();
}
END_TEST

START_TEST(watches_of_health_do_not_hold_the_drain)
{
    struct asking asking;
    struct said said;

    begin();
    watch(&asking, &said);
    drain(0, LONG_US);
    sem_wait(&drained);
    ask_wait(&asking);
    ck_assert_int_eq(said.code, RPC_UNAVAILABLE);
    said_free(&said);
    end();
}
END_TEST

START_TEST(streams_that_wait_do_not_hold_the_drain)
{
    struct asking asking;
    struct said said;

    begin();
    tail(&asking, 1, 0, &said);
    drain(0, LONG_US);
    sem_wait(&drained);
    ask_wait(&asking);
    ck_assert_int_eq(said.code, RPC_UNAVAILABLE);
    ck_assert_str_eq(said.reason, "DRAINING");
    ck_assert_uint_eq(said.n, 1);
    said_free(&said);
    end();
}
END_TEST

START_TEST(a_clients_stream_ends_behind_the_acknowledgement_of_what_was_taken)
{
    static const struct caller erp = { .roles = ROLE_BIT(MESH__V1__ROLE__ERP), .subject = "erp" };
    Oms__Order__V1__PlaceOrderRequest__Line line = OMS__ORDER__V1__PLACE_ORDER_REQUEST__LINE__INIT,
                                            *lines[] = { &line };
    Oms__Order__V1__ImportOrdersRequest__Entry order = OMS__ORDER__V1__IMPORT_ORDERS_REQUEST__ENTRY__INIT;
    Oms__Order__V1__ImportOrdersRequest__Entry *orders[] = { &order };
    Oms__Order__V1__ImportOrdersRequest request = OMS__ORDER__V1__IMPORT_ORDERS_REQUEST__INIT;
    struct asking asking;
    struct said said;
    line.sku = (char *)"A";
    line.quantity = 1;
    order.lines = lines;
    order.n_lines = 1;
    order.currency_code = (char *)"GBP";
    order.channel = order.external_id = (char *)"erp";
    request.request_id = (char *)"c";
    request.orders = orders;
    request.n_orders = 1;

    begin();
    ask_open(&asking, &client, "svc-server", "/oms.order.v1.OrderService/ImportOrders", &request.base, &erp, &said);
    sem_wait(&asking.came);
    drain(0, LONG_US);
    sem_wait(&drained);
    ask_wait(&asking);
    ck_assert_int_eq(said.code, RPC_UNAVAILABLE);
    ck_assert_str_eq(said.reason, "DRAINING");
    ck_assert_uint_eq(said.n, 1);
    said_free(&said);
    end();
}
END_TEST

/* One that its client does not read has always something to say. */
START_TEST(streams_under_way_are_cancelled_after_the_grace_and_not_before)
{
    struct asking asking;
    struct said said;

    begin();
    tail(&asking, 2000, 16, &said);
    set_hold(&asking, true);
    int64_t begun = server.port->mono_us(server.port);
    drain(0, 300000);
    sem_wait(&drained);
    ck_assert_int_ge(server.port->mono_us(server.port) - begun, 300000);
    set_hold(&asking, false);
    client.port->resume(client.port, &asking.call);
    ask_wait(&asking);
    ck_assert_int_eq(said.code, RPC_UNAVAILABLE);
    ck_assert_uint_eq(dispatch_active(server.dispatch), 0);
    said_free(&said);
    end();
}
END_TEST

START_TEST(a_server_destroyed_at_once_cancels_what_is_open)
{
    struct asking asking;
    struct said said;

    begin();
    tail(&asking, 1, 0, &said);
    node_stop_server(&server);
    ask_wait(&asking);
    ck_assert_int_eq(said.code, RPC_UNAVAILABLE);
    ck_assert_uint_eq(dispatch_active(server.dispatch), 0);
    said_free(&said);
    end();
}
END_TEST

START_TEST(a_client_that_ends_cancels_its_calls_and_their_ends_still_come)
{
    struct asking asking;
    struct said said;

    begin();
    tail(&asking, 1, 0, &said);
    node_stop(&client);
    ask_wait(&asking);
    ck_assert_int_eq(said.code, RPC_CANCELLED);
    said_free(&said);
    node_start(&client, &(struct node_options){ .name = "gateway", .dir = dir, .peers = peers, .silent = true });
    ck_assert_int_eq(get_now(), RPC_OK);
    end();
}
END_TEST

SUITE("drain", 60, a_call_under_way_finishes_and_new_ones_are_unavailable,
      during_the_notice_health_says_no_and_calls_are_still_served, watches_of_health_do_not_hold_the_drain,
      streams_that_wait_do_not_hold_the_drain, a_clients_stream_ends_behind_the_acknowledgement_of_what_was_taken,
      streams_under_way_are_cancelled_after_the_grace_and_not_before, a_server_destroyed_at_once_cancels_what_is_open,
      a_client_that_ends_cancels_its_calls_and_their_ends_still_come)
