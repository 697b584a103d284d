/* Server and client on C core: calls, streams, who is believed, and what becomes of those who misbehave. */
#include "mesh/v1/deliver.pb-c.h"
#include "mesh/v1/log.pb-c.h"
#include "oms/catalog/v1/catalog.pb-c.h"
#include "oms/order/v1/order.pb-c.h"
#include "tests/mesh/certs.h"
#include "tests/mesh/rpc_node.h"
#include "tests/suite.h"

#include "grpc/health/v1/health.pb-c.h"
#include "grpc/reflection/v1/reflection.pb-c.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define GET     "/oms.catalog.v1.CatalogService/GetProduct"
#define TAIL    "/mesh.v1.LogService/Tail"
#define IMPORT  "/oms.order.v1.OrderService/ImportOrders"
#define DELIVER "/mesh.v1.DeliverService/Deliver"
#define CHECK   "/grpc.health.v1.Health/Check"
#define WATCH   "/grpc.health.v1.Health/Watch"
#define REFLECT "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"

static char dir[64];

/* Certificates of a server, of the gateway and of another process. */
static void make_certificates(void)
{
    snprintf(dir, sizeof(dir), "/tmp/check-rpc-tls-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    certs_authority(dir, "ca");
    certs_issue(dir, "ca", "svc-server");
    certs_issue(dir, "ca", "svc-other");
    certs_issue(dir, "ca", "gateway");
}

static void forget_certificates(void)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -r %s", dir);
    ck_assert_int_eq(system(command), 0);
}

struct pair {
    struct node server, client;
    char *peers;
};

static void pair_start(struct pair *pair, struct node_options client)
{
    node_start(&pair->server, &(struct node_options){ .name = "svc-server", .dir = client.dir });
    pair->peers = node_peers("svc-server", rpc_server_port(pair->server.server));
    client.peers = pair->peers;
    client.silent = true;
    node_start(&pair->client, &client);
}

static void pair_stop(struct pair *pair)
{
    node_stop(&pair->client);
    node_stop(&pair->server);
    free(pair->peers);
}

static void get(struct node *from, const char *sku, const struct caller *caller, struct said *ret_said)
{
    Oms__Catalog__V1__GetProductRequest request = OMS__CATALOG__V1__GET_PRODUCT_REQUEST__INIT;
    request.by_case = OMS__CATALOG__V1__GET_PRODUCT_REQUEST__BY_SKU;
    request.sku = (char *)sku;
    ask(from, "svc-server", GET, &request.base, caller, ret_said);
}

/* The subject that the server believed in, for SERVICE only. */
static enum rpc_code deliver(struct node *from, const struct caller *caller, char ret_subject[CALLER_SUBJECT_MAX])
{
    Mesh__V1__Command command = MESH__V1__COMMAND__INIT, *commands[] = { &command };
    Mesh__V1__DeliverRequest request = MESH__V1__DELIVER_REQUEST__INIT;
    struct said said;

    command.method = (char *)"/a/b";
    request.n_commands = 1;
    request.commands = commands;
    ask(from, "svc-server", DELIVER, &request.base, caller, &said);
    *ret_subject = '\0';
    if (said.code == RPC_OK) {
        Mesh__V1__DeliverResponse *reply = mesh__v1__deliver_response__unpack(NULL, said.last.len, said.last.data);
        ck_assert_ptr_nonnull(reply);
        snprintf(ret_subject, CALLER_SUBJECT_MAX, "%.*s", (int)reply->outcomes[0]->reply.len,
                 (char *)reply->outcomes[0]->reply.data);
        mesh__v1__deliver_response__free_unpacked(reply, NULL);
    }
    said_free(&said);
    return said.code;
}

static void tail(struct asking *asking, struct node *from, uint64_t n, uint32_t kib, bool follow, struct said *ret_said)
{
    Mesh__V1__Position after = MESH__V1__POSITION__INIT;
    Mesh__V1__TailRequest request = MESH__V1__TAIL_REQUEST__INIT;
    after.seq = n;
    request.after = &after;
    request.max_entries = kib;
    request.follow = follow;
    ask_start(asking, from, "svc-server", TAIL, &request.base, NULL, 0, ret_said);
}

static uint64_t last_seq(const struct said *said)
{
    Mesh__V1__TailResponse *reply = mesh__v1__tail_response__unpack(NULL, said->last.len, said->last.data);
    uint64_t seq = reply->position->seq;
    mesh__v1__tail_response__free_unpacked(reply, NULL);
    return seq;
}

/* The dispatcher has let go of every call. */
static void await_idle(struct node *server)
{
    while (dispatch_active(server->dispatch) > 0)
        sched_yield();
}

START_TEST(nobody_is_a_service_in_the_clear)
{
    struct pair pair;
    char subject[CALLER_SUBJECT_MAX];
    struct caller claim = { ROLE_BIT(MESH__V1__ROLE__SERVICE), "gateway" };

    pair_start(&pair, (struct node_options){ .name = "gateway" });
    ck_assert_int_eq(deliver(&pair.client, NULL, subject), RPC_UNAUTHENTICATED);
    ck_assert_int_eq(deliver(&pair.client, &claim, subject), RPC_UNAUTHENTICATED);
    pair_stop(&pair);
}
END_TEST

START_TEST(a_process_with_a_certificate_is_a_service)
{
    struct pair pair;
    char subject[CALLER_SUBJECT_MAX];

    make_certificates();
    pair_start(&pair, (struct node_options){ .name = "svc-other", .dir = dir });
    ck_assert_int_eq(deliver(&pair.client, NULL, subject), RPC_OK);
    ck_assert_str_eq(subject, "svc-other");
    pair_stop(&pair);
    forget_certificates();
}
END_TEST

START_TEST(a_forged_caller_without_certificate_is_unauthenticated)
{
    struct pair pair;
    char subject[CALLER_SUBJECT_MAX];
    struct caller claim = { ROLE_BIT(MESH__V1__ROLE__SERVICE), "svc-other" };

    make_certificates();
    pair_start(&pair, (struct node_options){ .name = "gateway", .dir = dir, .anonymous = true });
    ck_assert_int_eq(deliver(&pair.client, &claim, subject), RPC_UNAUTHENTICATED);
    pair_stop(&pair);
    forget_certificates();
}
END_TEST

START_TEST(a_process_that_claims_to_be_another_is_still_itself)
{
    struct pair pair;
    char subject[CALLER_SUBJECT_MAX];
    struct caller claim = { ROLE_BIT(MESH__V1__ROLE__SERVICE) | ROLE_BIT(MESH__V1__ROLE__ADMIN), "root" };

    make_certificates();
    pair_start(&pair, (struct node_options){ .name = "svc-other", .dir = dir });
    ck_assert_int_eq(deliver(&pair.client, &claim, subject), RPC_OK);
    ck_assert_str_eq(subject, "svc-other");
    pair_stop(&pair);
    forget_certificates();
}
END_TEST

START_TEST(the_gateway_speaks_for_others)
{
    struct pair pair;
    struct said said;
    char subject[CALLER_SUBJECT_MAX];
    struct caller alice = { ROLE_BIT(MESH__V1__ROLE__CUSTOMER), "alice" };

    make_certificates();
    pair_start(&pair, (struct node_options){ .name = "gateway", .dir = dir });
    get(&pair.client, "echo", &alice, &said);
    ck_assert_int_eq(said.code, RPC_OK);
    Oms__Catalog__V1__Product *product = oms__catalog__v1__product__unpack(NULL, said.last.len, said.last.data);
    ck_assert_str_eq(product->product_id, "alice");
    ck_assert_int_eq(atoi(product->title), (int)alice.roles);
    oms__catalog__v1__product__free_unpacked(product, NULL);
    said_free(&said);
    ck_assert_int_eq(deliver(&pair.client, &alice, subject), RPC_PERMISSION_DENIED);
    ck_assert_int_eq(deliver(&pair.client, NULL, subject), RPC_OK);
    ck_assert_str_eq(subject, "gateway");
    pair_stop(&pair);
    forget_certificates();
}
END_TEST

START_TEST(a_certificate_of_another_authority_is_not_listened_to)
{
    struct pair pair;
    char subject[CALLER_SUBJECT_MAX], theirs[80], command[300];

    make_certificates();
    snprintf(theirs, sizeof(theirs), "%s/theirs", dir);
    snprintf(command, sizeof(command), "mkdir %s && cp %s/ca.pem %s", theirs, dir, theirs);
    ck_assert_int_eq(system(command), 0);
    certs_authority(theirs, "rogue");
    certs_issue(theirs, "rogue", "svc-other");

    node_start(&pair.server, &(struct node_options){ .name = "svc-server", .dir = dir });
    pair.peers = node_peers("svc-server", rpc_server_port(pair.server.server));
    node_start(&pair.client,
               &(struct node_options){ .name = "svc-other", .dir = theirs, .peers = pair.peers, .silent = true });
    ck_assert_int_eq(deliver(&pair.client, NULL, subject), RPC_UNAVAILABLE);
    pair_stop(&pair);
    forget_certificates();
}
END_TEST

START_TEST(a_peer_that_is_not_who_was_called_is_left)
{
    struct pair pair;
    struct said said;
    Oms__Catalog__V1__GetProductRequest request = OMS__CATALOG__V1__GET_PRODUCT_REQUEST__INIT;

    make_certificates();
    node_start(&pair.server, &(struct node_options){ .name = "svc-server", .dir = dir });
    pair.peers = node_peers("svc-order", rpc_server_port(pair.server.server));
    node_start(&pair.client,
               &(struct node_options){ .name = "svc-other", .dir = dir, .peers = pair.peers, .silent = true });
    ask(&pair.client, "svc-order", GET, &request.base, NULL, &said);
    ck_assert_int_eq(said.code, RPC_UNAVAILABLE);
    said_free(&said);
    pair_stop(&pair);
    forget_certificates();
}
END_TEST

/* Its certificate is good for the host, but it is another process. */
START_TEST(a_peer_with_the_name_of_another_process_is_left)
{
    struct pair pair;
    struct said said;
    Oms__Catalog__V1__GetProductRequest request = OMS__CATALOG__V1__GET_PRODUCT_REQUEST__INIT;

    make_certificates();
    certs_issue_for(dir, "ca", "svc-server", "DNS:svc-server,URI:spiffe://ordermesh/svc-other");
    node_start(&pair.server, &(struct node_options){ .name = "svc-server", .dir = dir });
    pair.peers = node_peers("svc-server", rpc_server_port(pair.server.server));
    node_start(&pair.client,
               &(struct node_options){ .name = "svc-other", .dir = dir, .peers = pair.peers, .silent = true });
    ask(&pair.client, "svc-server", GET, &request.base, NULL, &said);
    ck_assert_int_eq(said.code, RPC_UNAVAILABLE);
    said_free(&said);
    pair_stop(&pair);
    forget_certificates();
}
END_TEST

START_TEST(renewed_certificates_are_used_without_a_restart)
{
    struct pair pair;
    char subject[CALLER_SUBJECT_MAX];

    make_certificates();
    node_start(&pair.server, &(struct node_options){ .name = "svc-server", .dir = dir });
    certs_authority(dir, "ca");
    certs_issue(dir, "ca", "svc-server");
    certs_issue(dir, "ca", "svc-other");
    pair.peers = node_peers("svc-server", rpc_server_port(pair.server.server));
    node_start(&pair.client,
               &(struct node_options){ .name = "svc-other", .dir = dir, .peers = pair.peers, .silent = true });
    ck_assert_int_eq(deliver(&pair.client, NULL, subject), RPC_OK);
    ck_assert_str_eq(subject, "svc-other");
    pair_stop(&pair);
    forget_certificates();
}
END_TEST

START_TEST(a_half_renewed_pair_is_not_taken)
{
    struct pair pair;
    char subject[CALLER_SUBJECT_MAX], command[200];

    make_certificates();
    node_start(&pair.server, &(struct node_options){ .name = "svc-server", .dir = dir });
    snprintf(command, sizeof(command), "cp %s/gateway.key %s/svc-server.key", dir, dir);
    ck_assert_int_eq(system(command), 0);
    pair.peers = node_peers("svc-server", rpc_server_port(pair.server.server));
    node_start(&pair.client,
               &(struct node_options){ .name = "svc-other", .dir = dir, .peers = pair.peers, .silent = true });
    ck_assert_int_eq(deliver(&pair.client, NULL, subject), RPC_OK);
    node_stop_server(&pair.server);
    ck_assert_int_lt(node_listen(&pair.server, 0), 0);
    pair_stop(&pair);
    forget_certificates();
}
END_TEST

START_TEST(what_nobody_serves_is_unimplemented)
{
    static const char *const methods[] = { "/no.such.Service/Method", "/oms.catalog.v1.CatalogService/NoSuchMethod",
                                           "/oms.catalog.v1.CatalogService/ListProducts", "/", "/x" };
    struct pair pair;
    struct said said;
    Mesh__V1__Position any = MESH__V1__POSITION__INIT;

    pair_start(&pair, (struct node_options){ .name = "svc-other" });
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        ask(&pair.client, "svc-server", methods[i], &any.base, NULL, &said);
        ck_assert_msg(said.code == RPC_UNIMPLEMENTED, "%s: %d %s", methods[i], said.code, said.message);
        said_free(&said);
    }
    pair_stop(&pair);
}
END_TEST

START_TEST(a_message_beyond_every_limit_is_refused)
{
    struct pair pair;
    struct said said;
    Mesh__V1__Position large = MESH__V1__POSITION__INIT;

    large.incarnation = malloc((4 << 20) + 1);
    memset(large.incarnation, 'x', 4 << 20);
    large.incarnation[4 << 20] = '\0';
    make_certificates();
    pair_start(&pair, (struct node_options){ .name = "svc-other", .dir = dir });
    ask(&pair.client, "svc-server", GET, &large.base, NULL, &said);
    ck_assert_int_eq(said.code, RPC_RESOURCE_EXHAUSTED);
    ck_assert_str_eq(said.reason, ""); /* it did not even reach the dispatcher */
    said_free(&said);
    get(&pair.client, "echo", NULL, &said);
    ck_assert_int_eq(said.code, RPC_OK);
    said_free(&said);
    pair_stop(&pair);
    forget_certificates();
    free(large.incarnation);
}
END_TEST

START_TEST(details_of_an_error_travel)
{
    struct pair pair;
    struct said said;

    make_certificates();
    pair_start(&pair, (struct node_options){ .name = "svc-other", .dir = dir });
    get(&pair.client, "missing", NULL, &said);
    ck_assert_int_eq(said.code, RPC_NOT_FOUND);
    ck_assert_str_eq(said.reason, "PRODUCT_NOT_FOUND");
    ck_assert_uint_gt(strlen(said.message), 0);
    ck_assert_uint_eq(said.n, 0);
    said_free(&said);
    pair_stop(&pair);
    forget_certificates();
}
END_TEST

START_TEST(a_deadline_ends_a_call_that_waits)
{
    struct pair pair;
    struct said said;
    struct asking asking;
    Oms__Catalog__V1__GetProductRequest request = OMS__CATALOG__V1__GET_PRODUCT_REQUEST__INIT;

    request.by_case = OMS__CATALOG__V1__GET_PRODUCT_REQUEST__BY_SKU;
    request.sku = (char *)"wait";
    make_certificates();
    pair_start(&pair, (struct node_options){ .name = "svc-other", .dir = dir });
    /* On a busy machine it may pass before the call has reached the handler: then it is given twice the time. */
    bool reached = false;
    for (int64_t timeout_us = 200000; !reached; timeout_us *= 2) {
        get(&pair.client, "tent", NULL, &said); /* the connection is there */
        said_free(&said);
        int64_t begun = pair.client.port->mono_us(pair.client.port);
        ask_start(&asking, &pair.client, "svc-server", GET, &request.base, NULL, timeout_us, &said);
        ask_wait(&asking);
        ck_assert_int_eq(said.code, RPC_DEADLINE_EXCEEDED);
        ck_assert_int_ge(pair.client.port->mono_us(pair.client.port) - begun, timeout_us - 50000); /* coarse clocks */
        said_free(&said);
        get(&pair.client, "tent", NULL, &said); /* comes behind it, if it comes */
        said_free(&said);
        while (!(reached = sem_trywait(&pair.server.waiting) == 0) && dispatch_active(pair.server.dispatch) > 0)
            sched_yield();
    }
    rpc_gathered(pair.server.waits, RPC_REPLY);
    await_idle(&pair.server);
    pair_stop(&pair);
    forget_certificates();
}
END_TEST

START_TEST(a_stream_brings_every_message_in_order)
{
    struct pair pair;
    struct said said;
    struct asking asking;

    make_certificates();
    pair_start(&pair, (struct node_options){ .name = "svc-other", .dir = dir });
    tail(&asking, &pair.client, 1000, 0, false, &said);
    ask_wait(&asking);
    ck_assert_int_eq(said.code, RPC_OK);
    ck_assert_uint_eq(said.n, 1000);
    ck_assert_uint_eq(last_seq(&said), 1000);
    said_free(&said);
    pair_stop(&pair);
    forget_certificates();
}
END_TEST

START_TEST(a_stream_without_messages_ends_well)
{
    struct pair pair;
    struct said said;
    struct asking asking;

    make_certificates();
    pair_start(&pair, (struct node_options){ .name = "svc-other", .dir = dir });
    tail(&asking, &pair.client, 0, 0, false, &said);
    ask_wait(&asking);
    ck_assert_int_eq(said.code, RPC_OK);
    ck_assert_uint_eq(said.n, 0);
    said_free(&said);
    pair_stop(&pair);
    forget_certificates();
}
END_TEST

static size_t so_far(struct asking *asking)
{
    pthread_mutex_lock(&asking->lock);
    size_t n = asking->said->n;
    pthread_mutex_unlock(&asking->lock);
    return n;
}

static void set_hold(struct asking *asking, bool hold)
{
    pthread_mutex_lock(&asking->lock);
    asking->hold = hold;
    pthread_mutex_unlock(&asking->lock);
}

START_TEST(a_held_stream_waits_until_it_is_resumed)
{
    struct pair pair;
    struct said said, other;
    struct asking asking;

    make_certificates();
    pair_start(&pair, (struct node_options){ .name = "svc-other", .dir = dir });
    tail(&asking, &pair.client, 2000, 0, false, &said);
    set_hold(&asking, true);
    sem_wait(&asking.came);
    size_t before = 0;
    /* Calls on the same connection go through meanwhile, so that messages could have come, too. */
    for (int i = 0; i < 40; i++) {
        get(&pair.client, "echo", NULL, &other);
        ck_assert_int_eq(other.code, RPC_OK);
        said_free(&other);
        if (i == 19)
            before = so_far(&asking);
    }
    ck_assert_uint_eq(so_far(&asking), before);
    ck_assert_uint_lt(before, 2000);
    set_hold(&asking, false);
    pair.client.port->resume(pair.client.port, &asking.call);
    ask_wait(&asking);
    ck_assert_int_eq(said.code, RPC_OK);
    ck_assert_uint_eq(said.n, 2000);
    said_free(&said);
    pair_stop(&pair);
    forget_certificates();
}
END_TEST

START_TEST(each_resume_brings_one_message)
{
    struct pair pair;
    struct said said;
    struct asking asking;

    make_certificates();
    pair_start(&pair, (struct node_options){ .name = "svc-other", .dir = dir });
    tail(&asking, &pair.client, 20, 100, false, &said);
    set_hold(&asking, true);
    for (int i = 0; i < 20; i++) {
        sem_wait(&asking.came);
        pair.client.port->resume(pair.client.port, &asking.call);
    }
    ask_wait(&asking);
    ck_assert_int_eq(said.code, RPC_OK);
    ck_assert_uint_eq(said.n, 20);
    ck_assert_uint_eq(last_seq(&said), 20);
    said_free(&said);
    pair_stop(&pair);
    forget_certificates();
}
END_TEST

START_TEST(a_cancel_of_the_client_ends_the_stream_at_the_server)
{
    struct pair pair;
    struct said said;
    struct asking asking;

    make_certificates();
    pair_start(&pair, (struct node_options){ .name = "svc-other", .dir = dir });
    tail(&asking, &pair.client, 1, 0, true, &said);
    sem_wait(&asking.came);
    ck_assert_uint_eq(dispatch_active(pair.server.dispatch), 1);
    pair.client.port->cancel(pair.client.port, &asking.call);
    ask_wait(&asking);
    ck_assert_int_eq(said.code, RPC_CANCELLED);
    said_free(&said);
    await_idle(&pair.server);
    pair_stop(&pair);
    forget_certificates();
}
END_TEST

START_TEST(a_held_stream_can_be_cancelled)
{
    struct pair pair;
    struct said said;
    struct asking asking;

    make_certificates();
    pair_start(&pair, (struct node_options){ .name = "svc-other", .dir = dir });
    tail(&asking, &pair.client, 1000, 500, false, &said);
    set_hold(&asking, true);
    sem_wait(&asking.came);
    pair.client.port->cancel(pair.client.port, &asking.call);
    ask_wait(&asking);
    ck_assert_int_eq(said.code, RPC_CANCELLED);
    said_free(&said);
    await_idle(&pair.server);
    pair_stop(&pair);
    forget_certificates();
}
END_TEST

/* --- streams of clients --- */

static const struct caller erp = { .roles = ROLE_BIT(MESH__V1__ROLE__ERP), .subject = "erp" };

/* A chunk of one order, packed into static memory when it is sent. */
static const ProtobufCMessage *chunk(const char *request_id)
{
    static Oms__Order__V1__PlaceOrderRequest__Line line, *lines[] = { &line };
    static Oms__Order__V1__ImportOrdersRequest__Entry order, *orders[] = { &order };
    static Oms__Order__V1__ImportOrdersRequest request;
    oms__order__v1__place_order_request__line__init(&line);
    line.sku = (char *)"A";
    line.quantity = 1;
    oms__order__v1__import_orders_request__entry__init(&order);
    order.lines = lines;
    order.n_lines = 1;
    order.currency_code = (char *)"GBP";
    order.channel = (char *)"erp";
    order.external_id = (char *)"1";
    oms__order__v1__import_orders_request__init(&request);
    request.request_id = (char *)request_id;
    request.orders = orders;
    request.n_orders = 1;
    return &request.base;
}

/* Of the last one that came. */
static void ck_acknowledged(const struct said *said, const char *request_id)
{
    Oms__Order__V1__ImportOrdersResponse *ack =
        oms__order__v1__import_orders_response__unpack(NULL, said->last.len, said->last.data);
    ck_assert_ptr_nonnull(ack);
    ck_assert_str_eq(ack->request_id, request_id);
    oms__order__v1__import_orders_response__free_unpacked(ack, NULL);
}

START_TEST(a_clients_stream_is_acknowledged_chunk_by_chunk)
{
    struct pair pair;
    struct said said;
    struct asking asking;
    char id[16];

    make_certificates();
    pair_start(&pair, (struct node_options){ .name = "gateway", .dir = dir });
    ask_open(&asking, &pair.client, "svc-server", IMPORT, chunk("c0"), &erp, &said);
    sem_wait(&asking.came); /* before the client says more, as it is asked for */
    ck_acknowledged(&said, "c0");
    for (int i = 1; i < 100; i++) {
        snprintf(id, sizeof(id), "c%d", i);
        ask_send(&asking, &pair.client, chunk(id));
    }
    ask_send(&asking, &pair.client, NULL);
    ask_wait(&asking);
    ck_assert_int_eq(said.code, RPC_OK);
    ck_assert_uint_eq(said.n, 100);
    ck_acknowledged(&said, "c99");
    said_free(&said);
    pair_stop(&pair);
    forget_certificates();
}
END_TEST

START_TEST(a_clients_stream_ends_with_the_first_chunk_that_cannot_be_taken)
{
    struct pair pair;
    struct said said;
    struct asking asking;

    make_certificates();
    pair_start(&pair, (struct node_options){ .name = "gateway", .dir = dir });
    ask_open(&asking, &pair.client, "svc-server", IMPORT, chunk("c0"), &erp, &said);
    ask_send(&asking, &pair.client, chunk(""));
    ask_wait(&asking);
    ck_assert_int_eq(said.code, RPC_INVALID_ARGUMENT);
    ck_assert_str_eq(said.reason, "FIELD_REQUIRED");
    ck_assert_uint_eq(said.n, 1);
    said_free(&said);

    ask_open(&asking, &pair.client, "svc-server", IMPORT, chunk("c1"), NULL, &said); /* the gateway itself */
    ask_wait(&asking);
    ck_assert_int_eq(said.code, RPC_PERMISSION_DENIED);
    ck_assert_uint_eq(said.n, 0);
    said_free(&said);
    pair_stop(&pair);
    forget_certificates();
}
END_TEST

START_TEST(a_cancel_of_the_client_ends_its_stream_at_the_server)
{
    struct pair pair;
    struct said said;
    struct asking asking;

    make_certificates();
    pair_start(&pair, (struct node_options){ .name = "gateway", .dir = dir });
    ask_open(&asking, &pair.client, "svc-server", IMPORT, chunk("c0"), &erp, &said);
    sem_wait(&asking.came);
    ck_assert_uint_gt(dispatch_active(pair.server.dispatch), 0);
    pair.client.port->cancel(pair.client.port, &asking.call);
    ask_wait(&asking);
    ck_assert_int_eq(said.code, RPC_CANCELLED);
    said_free(&said);
    await_idle(&pair.server);
    pair_stop(&pair);
    forget_certificates();
}
END_TEST

START_TEST(many_calls_at_once_are_all_answered)
{
    enum { COUNT = 2000 };
    struct pair pair;
    struct asking *askings = calloc(COUNT, sizeof(*askings));
    struct said *said = calloc(COUNT, sizeof(*said));
    Oms__Catalog__V1__GetProductRequest request = OMS__CATALOG__V1__GET_PRODUCT_REQUEST__INIT;

    request.by_case = OMS__CATALOG__V1__GET_PRODUCT_REQUEST__BY_SKU;
    request.sku = (char *)"echo";
    make_certificates();
    pair_start(&pair, (struct node_options){ .name = "svc-other", .dir = dir });
    for (int i = 0; i < COUNT; i++)
        ask_start(&askings[i], &pair.client, "svc-server", GET, &request.base, NULL, 60000000, &said[i]);
    for (int i = 0; i < COUNT; i++) {
        ask_wait(&askings[i]);
        ck_assert_msg(said[i].code == RPC_OK, "%d: %d %s", i, said[i].code, said[i].message);
        said_free(&said[i]);
    }
    pair_stop(&pair);
    forget_certificates();
    free(askings);
    free(said);
}
END_TEST

START_TEST(a_process_without_address_is_unavailable)
{
    struct node client;
    struct said said;
    Mesh__V1__Position any = MESH__V1__POSITION__INIT;

    node_start(&client, &(struct node_options){ .name = "svc-other", .silent = true });
    ask(&client, "svc-nowhere", GET, &any.base, NULL, &said);
    ck_assert_int_eq(said.code, RPC_UNAVAILABLE);
    said_free(&said);
    node_stop(&client);
}
END_TEST

START_TEST(after_a_restart_of_the_server_calls_go_on)
{
    struct pair pair;
    struct said said;

    make_certificates();
    pair_start(&pair, (struct node_options){ .name = "svc-other", .dir = dir });
    int port = rpc_server_port(pair.server.server);
    get(&pair.client, "echo", NULL, &said);
    ck_assert_int_eq(said.code, RPC_OK);
    said_free(&said);

    node_stop_server(&pair.server);
    get(&pair.client, "echo", NULL, &said);
    ck_assert_int_eq(said.code, RPC_UNAVAILABLE);
    said_free(&said);

    ck_assert_int_eq(node_listen(&pair.server, port), 0);
    enum rpc_code code;
    do {
        get(&pair.client, "echo", NULL, &said);
        code = said.code;
        said_free(&said);
    } while (code == RPC_UNAVAILABLE);
    ck_assert_int_eq(code, RPC_OK);
    pair_stop(&pair);
    forget_certificates();
}
END_TEST

static int check_health(struct node *from, const char *service, struct said *ret_said)
{
    Grpc__Health__V1__HealthCheckRequest request = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
    request.service = (char *)service;
    ask(from, "svc-server", CHECK, &request.base, NULL, ret_said);
    return ret_said->code == RPC_OK && ret_said->last.len == 2 ? ret_said->last.data[1] : 0;
}

START_TEST(of_two_addresses_the_living_one_answers)
{
    struct node one, two, client;
    struct said said;
    char peers[100];

    make_certificates();
    node_start(&one, &(struct node_options){ .name = "svc-server", .dir = dir });
    node_start(&two, &(struct node_options){ .name = "svc-server", .dir = dir });
    snprintf(peers, sizeof(peers), "svc-server=127.0.0.1:%d+127.0.0.1:%d", rpc_server_port(one.server),
             rpc_server_port(two.server));
    node_start(&client, &(struct node_options){ .name = "svc-other", .dir = dir, .peers = peers, .silent = true });
    get(&client, "echo", NULL, &said);
    ck_assert_int_eq(said.code, RPC_OK);
    said_free(&said);
    node_stop_server(&one);
    /* Until the client has noticed, calls may still be on their way to the one that went. */
    for (int in_a_row = 0; in_a_row < 20; said_free(&said)) {
        get(&client, "echo", NULL, &said);
        in_a_row = said.code == RPC_OK ? in_a_row + 1 : 0;
    }
    node_stop(&client);
    node_stop(&two);
    node_stop(&one);
    forget_certificates();
}
END_TEST

/* Which of two answers is known by what it says of its own health. */
START_TEST(of_two_addresses_the_one_that_is_not_well_gets_no_calls)
{
    struct node one, two, client;
    struct said said;
    char peers[100];

    make_certificates();
    node_start(&one, &(struct node_options){ .name = "svc-server", .dir = dir });
    node_start(&two, &(struct node_options){ .name = "svc-server", .dir = dir });
    snprintf(peers, sizeof(peers), "svc-server=127.0.0.1:%d+127.0.0.1:%d", rpc_server_port(one.server),
             rpc_server_port(two.server));
    node_start(&client, &(struct node_options){ .name = "svc-other", .dir = dir, .peers = peers, .silent = true });
    for (int sick = 0; sick < 2; sick++) {
        rpc_server_serving(one.server, sick != 0);
        rpc_server_serving(two.server, sick != 1);
        for (int in_a_row = 0; in_a_row < 20; said_free(&said))
            in_a_row = check_health(&client, "", &said) == 1 ? in_a_row + 1 : 0;
    }
    node_stop(&client);
    node_stop(&two);
    node_stop(&one);
    forget_certificates();
}
END_TEST

START_TEST(a_taken_port_is_told)
{
    struct node one, two;

    node_start(&one, &(struct node_options){ .name = "svc-server" });
    node_start(&two, &(struct node_options){ .name = "svc-other" });
    int port = rpc_server_port(one.server);
    node_stop_server(&two);
    ck_assert_int_eq(node_listen(&two, port), -EADDRINUSE);
    ck_assert_ptr_null(two.server);
    node_stop(&two);
    node_stop(&one);
}
END_TEST

START_TEST(health_is_told_for_the_whole_and_for_each_service)
{
    static const char *const known[] = { "", "oms.catalog.v1.CatalogService", "mesh.v1.LogService",
                                         "grpc.health.v1.Health" };
    struct pair pair;
    struct said said;

    pair_start(&pair, (struct node_options){ .name = "svc-other" });
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        ck_assert_int_eq(check_health(&pair.client, known[i], &said), 1);
        said_free(&said);
    }
    check_health(&pair.client, "oms.payment.v1.PaymentService", &said);
    ck_assert_int_eq(said.code, RPC_NOT_FOUND);
    said_free(&said);
    rpc_server_serving(pair.server.server, false);
    ck_assert_int_eq(check_health(&pair.client, "", &said), 2);
    said_free(&said);
    pair_stop(&pair);
}
END_TEST

static void watch(struct asking *asking, struct node *from, const char *service, struct said *ret_said)
{
    Grpc__Health__V1__HealthCheckRequest request = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
    request.service = (char *)service;
    ask_start(asking, from, "svc-server", WATCH, &request.base, NULL, 0, ret_said);
}

START_TEST(a_watch_of_health_sees_each_change)
{
    struct pair pair;
    struct said said, unknown;
    struct asking asking, asking_unknown;

    pair_start(&pair, (struct node_options){ .name = "svc-other" });
    watch(&asking, &pair.client, "", &said);
    watch(&asking_unknown, &pair.client, "no.such.Service", &unknown);
    sem_wait(&asking.came);
    ck_assert_int_eq(said.last.data[1], 1);
    sem_wait(&asking_unknown.came);
    ck_assert_int_eq(unknown.last.data[1], 3);
    rpc_server_serving(pair.server.server, false);
    sem_wait(&asking.came);
    ck_assert_int_eq(said.last.data[1], 2);
    rpc_server_serving(pair.server.server, true);
    sem_wait(&asking.came);
    ck_assert_int_eq(said.last.data[1], 1);
    node_stop_server(&pair.server);
    ask_wait(&asking);
    ask_wait(&asking_unknown);
    ck_assert_int_eq(said.code, RPC_UNAVAILABLE);
    ck_assert_uint_eq(unknown.n, 1);
    said_free(&said);
    said_free(&unknown);
    pair_stop(&pair);
}
END_TEST

START_TEST(watches_are_limited_and_make_room_again)
{
    enum { MOST = 64 };
    struct pair pair;
    struct said said[MOST], more;
    struct asking asking[MOST], asking_more;

    pair_start(&pair, (struct node_options){ .name = "svc-other" });
    for (int i = 0; i < MOST; i++)
        watch(&asking[i], &pair.client, "", &said[i]);
    for (int i = 0; i < MOST; i++)
        sem_wait(&asking[i].came);
    watch(&asking_more, &pair.client, "", &more);
    ask_wait(&asking_more);
    ck_assert_int_eq(more.code, RPC_RESOURCE_EXHAUSTED);
    said_free(&more);

    pair.client.port->cancel(pair.client.port, &asking[0].call);
    ask_wait(&asking[0]);
    size_t told;
    do {
        watch(&asking_more, &pair.client, "", &more);
        sem_wait(&asking_more.came);
        pair.client.port->cancel(pair.client.port, &asking_more.call);
        ask_wait(&asking_more);
        told = more.n; /* none: the cancel has not arrived yet */
        said_free(&more);
    } while (told == 0);
    for (int i = 1; i < MOST; i++) {
        pair.client.port->cancel(pair.client.port, &asking[i].call);
        ask_wait(&asking[i]);
    }
    for (int i = 0; i < MOST; i++)
        said_free(&said[i]);
    pair_stop(&pair);
}
END_TEST

typedef Grpc__Reflection__V1__ServerReflectionResponse Reflected;

static Reflected *reflect(struct node *from, const char *method, int kind, const char *text, struct said *ret_said)
{
    Grpc__Reflection__V1__ServerReflectionRequest request = GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;
    request.message_request_case = kind;
    request.list_services = (char *)text;
    ask(from, "svc-server", method, &request.base, NULL, ret_said);
    ck_assert_int_eq(ret_said->code, RPC_OK);
    ck_assert_uint_eq(ret_said->n, 1);
    Reflected *reply =
        grpc__reflection__v1__server_reflection_response__unpack(NULL, ret_said->last.len, ret_said->last.data);
    ck_assert_ptr_nonnull(reply);
    return reply;
}

#define LISTED  GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_LIST_SERVICES
#define BY_NAME GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_BY_FILENAME
#define SYMBOL  GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_CONTAINING_SYMBOL
#define NUMBERS GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_ALL_EXTENSION_NUMBERS_OF_TYPE

START_TEST(reflection_lists_what_is_served_and_nothing_else)
{
    static const char *const methods[] = { REFLECT, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo" };
    static const char *const expected[] = { "oms.catalog.v1.CatalogService",
                                            "mesh.v1.LogService",
                                            "mesh.v1.DeliverService",
                                            "oms.order.v1.OrderService",
                                            "grpc.health.v1.Health",
                                            "grpc.reflection.v1.ServerReflection",
                                            "grpc.reflection.v1alpha.ServerReflection" };
    struct pair pair;
    struct said said;

    pair_start(&pair, (struct node_options){ .name = "svc-other" });
    for (int i = 0; i < 2; i++) {
        Reflected *reply = reflect(&pair.client, methods[i], LISTED, "*", &said);
        ck_assert_ptr_nonnull(reply->list_services_response);
        ck_assert_uint_eq(reply->list_services_response->n_service, 7);
        for (size_t s = 0; s < 7; s++)
            ck_assert_str_eq(reply->list_services_response->service[s]->name, expected[s]);
        grpc__reflection__v1__server_reflection_response__free_unpacked(reply, NULL);
        said_free(&said);
    }
    pair_stop(&pair);
}
END_TEST

START_TEST(reflection_gives_the_file_of_a_name_or_symbol)
{
    static const struct {
        int kind;
        const char *text;
        int error;
    } cases[] = {
        { SYMBOL, "oms.catalog.v1.CatalogService", 0 }, { SYMBOL, "oms.catalog.v1.Product", 0 },
        { BY_NAME, "oms/catalog/v1/catalog.proto", 0 }, { SYMBOL, "oms.catalog.v1.Nothing", RPC_NOT_FOUND },
        { BY_NAME, "no/such.proto", RPC_NOT_FOUND },    { NUMBERS, "oms.catalog.v1.Product", RPC_UNIMPLEMENTED },
    };
    struct pair pair;
    struct said said;

    pair_start(&pair, (struct node_options){ .name = "svc-other" });
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        Reflected *reply = reflect(&pair.client, REFLECT, cases[i].kind, cases[i].text, &said);
        if (cases[i].error) {
            ck_assert_int_eq(reply->error_response->error_code, cases[i].error);
        } else {
            ProtobufCBinaryData file = reply->file_descriptor_response->file_descriptor_proto[0];
            Google__Protobuf__FileDescriptorProto *decoded =
                google__protobuf__file_descriptor_proto__unpack(NULL, file.len, file.data);
            ck_assert_str_eq(decoded->name, "oms/catalog/v1/catalog.proto");
            google__protobuf__file_descriptor_proto__free_unpacked(decoded, NULL);
        }
        grpc__reflection__v1__server_reflection_response__free_unpacked(reply, NULL);
        said_free(&said);
    }
    pair_stop(&pair);
}
END_TEST

SUITE("rpc", 60, nobody_is_a_service_in_the_clear, a_process_with_a_certificate_is_a_service,
      a_forged_caller_without_certificate_is_unauthenticated, a_process_that_claims_to_be_another_is_still_itself,
      the_gateway_speaks_for_others, a_certificate_of_another_authority_is_not_listened_to,
      a_peer_that_is_not_who_was_called_is_left, a_peer_with_the_name_of_another_process_is_left,
      renewed_certificates_are_used_without_a_restart, a_half_renewed_pair_is_not_taken,
      what_nobody_serves_is_unimplemented, a_message_beyond_every_limit_is_refused, details_of_an_error_travel,
      a_deadline_ends_a_call_that_waits, a_stream_brings_every_message_in_order, a_stream_without_messages_ends_well,
      a_held_stream_waits_until_it_is_resumed, each_resume_brings_one_message,
      a_cancel_of_the_client_ends_the_stream_at_the_server, a_held_stream_can_be_cancelled,
      a_clients_stream_is_acknowledged_chunk_by_chunk, a_clients_stream_ends_with_the_first_chunk_that_cannot_be_taken,
      a_cancel_of_the_client_ends_its_stream_at_the_server, many_calls_at_once_are_all_answered,
      a_process_without_address_is_unavailable, after_a_restart_of_the_server_calls_go_on,
      of_two_addresses_the_living_one_answers, of_two_addresses_the_one_that_is_not_well_gets_no_calls,
      a_taken_port_is_told, health_is_told_for_the_whole_and_for_each_service, a_watch_of_health_sees_each_change,
      watches_are_limited_and_make_room_again, reflection_lists_what_is_served_and_nothing_else,
      reflection_gives_the_file_of_a_name_or_symbol)
