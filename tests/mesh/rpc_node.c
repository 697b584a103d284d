/* Processes of the mesh inside a test. */
#include "tests/mesh/rpc_node.h"

#include "mesh/rpc/server.h"
#include "mesh/v1/deliver.pb-c.h"
#include "mesh/v1/log.pb-c.h"
#include "oms/catalog/v1/catalog.pb-c.h"
#include "oms/order/v1/order.pb-c.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CALL_US 20000000 /* sanitizers on a busy machine */

/* --- what it serves --- */

static int get_product(struct rpc_call *call, const void *in, void *out)
{
    const Oms__Catalog__V1__GetProductRequest *request = in;
    Oms__Catalog__V1__Product *product = out;
    struct node *node = rpc_app(call);

    if (strcmp(request->sku, "missing") == 0)
        return rpc_fail_missing(call, "Product", request->sku);
    product->product_id = (char *)rpc_caller(call)->subject;
    product->title = arena_printf(rpc_arena(call), "%u", rpc_caller(call)->roles);
    if (strcmp(request->sku, "wait") != 0)
        return RPC_REPLY;
    node->waits = call;
    sem_post(&node->waiting);
    return RPC_LATER;
}

static int deliver(struct rpc_call *call, const void *in, void *out)
{
    const Mesh__V1__DeliverRequest *request = in;
    Mesh__V1__DeliverResponse *reply = out;
    const char *subject = rpc_caller(call)->subject;

    reply->outcomes = arena_alloc(rpc_arena(call), request->n_commands * sizeof(Mesh__V1__Outcome *));
    for (reply->n_outcomes = 0; reply->n_outcomes < request->n_commands; reply->n_outcomes++) {
        Mesh__V1__Outcome *outcome = arena_alloc(rpc_arena(call), sizeof(*outcome));
        mesh__v1__outcome__init(outcome);
        outcome->reply = (ProtobufCBinaryData){ strlen(subject), (uint8_t *)subject };
        reply->outcomes[reply->n_outcomes] = outcome;
    }
    return RPC_REPLY;
}

static int tail_page(struct rpc_call *call, struct txn *txn, const void *in, void *out, bool *ret_empty)
{
    const Mesh__V1__TailRequest *request = in;
    Mesh__V1__TailResponse *reply = out;
    uint64_t *sent = rpc_scratch(call, sizeof(*sent)), wanted = request->after ? request->after->seq : 0;

    if (*sent == wanted) {
        *ret_empty = true;
        return request->follow ? RPC_WAIT : RPC_END;
    }
    reply->position = arena_alloc(rpc_arena(call), sizeof(*reply->position));
    mesh__v1__position__init(reply->position);
    reply->position->seq = ++*sent;
    if (request->max_entries > 0) {
        Mesh__V1__LogEntry *entry = arena_alloc(rpc_arena(call), sizeof(*entry));
        mesh__v1__log_entry__init(entry);
        entry->payload.len = request->max_entries << 10;
        entry->payload.data = arena_zalloc(rpc_arena(call), entry->payload.len);
        reply->entries = arena_alloc(rpc_arena(call), sizeof(Mesh__V1__LogEntry *));
        reply->entries[0] = entry;
        reply->n_entries = 1;
    }
    return RPC_MORE;
}

static int import_orders(struct rpc_call *call, struct txn *txn, const void *in, void *out)
{
    Oms__Order__V1__ImportOrdersResponse *reply = out;
    reply->request_id = ((const Oms__Order__V1__ImportOrdersRequest *)in)->request_id;
    return 0;
}

static const struct rpc_method catalog_methods[] = {
    { "UpsertProduct", .elsewhere = true },
    { "GetProduct", .gather = get_product },
    { "ListProducts", .elsewhere = true },
    { "SearchProducts", .elsewhere = true },
    {},
};
static const struct rpc_method log_methods[] = { { "Tail", .page = tail_page }, { "Snapshot", .elsewhere = true }, {} };
static const struct rpc_method deliver_methods[] = { { "Deliver", .gather = deliver }, {} };
static const struct rpc_method order_methods[] = {
    { "ImportOrders", .unit = import_orders }, { "PlaceOrder", .elsewhere = true },
    { "GetOrder", .elsewhere = true },         { "ListOrders", .elsewhere = true },
    { "ExportOrders", .elsewhere = true },     { "CancelOrder", .elsewhere = true },
    { "ExplainOrder", .elsewhere = true },     { "BatchGetOrders", .elsewhere = true },
    { "ListStuckOrders", .elsewhere = true },  { "WatchOrder", .elsewhere = true },
    { "GetCredit", .elsewhere = true },        { "ListCredits", .elsewhere = true },
    { "ActivateImport", .elsewhere = true },   { "DiscardImport", .elsewhere = true },
    { "GetImport", .elsewhere = true },        {},
};

static const struct rpc_service catalog = { "oms.catalog.v1.CatalogService",
                                            &oms__catalog__v1__catalog_service__descriptor, catalog_methods };
static const struct rpc_service logs = { "mesh.v1.LogService", &mesh__v1__log_service__descriptor, log_methods };
static const struct rpc_service delivers = { "mesh.v1.DeliverService", &mesh__v1__deliver_service__descriptor,
                                             deliver_methods };
static const struct rpc_service orders = { "oms.order.v1.OrderService", &oms__order__v1__order_service__descriptor,
                                           order_methods };
static const struct rpc_service *const services[] = { &catalog, &logs, &delivers, &orders, NULL };

/* --- its life --- */

static void *run_loop(void *arg)
{
    real_port_run(((struct node *)arg)->real);
    return NULL;
}

int node_listen(struct node *node, int port)
{
    char address[32];
    snprintf(address, sizeof(address), "127.0.0.1:%d", port);
    int r = rpc_server_create(real_port_core(node->real), node->dispatch, address, &node->server);
    if (r == 0)
        rpc_server_serving(node->server, true);
    return r;
}

static void open_store(struct node *node)
{
    char path[128];
    snprintf(node->store_dir, sizeof(node->store_dir), "/tmp/check-rpc-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(node->store_dir));
    snprintf(path, sizeof(path), "%s/test.db", node->store_dir);
    ck_assert_int_eq(store_open(node->port, &(struct store_options){ .path = path }, &node->store), 0);
    ck_assert_int_eq(store_migrate(node->store, "rpc", rpc_migrations), 0);
}

void node_start(struct node *node, const struct node_options *options)
{
    char ca[128], cert[128], key[128];
    struct real_options real = { .process = options->name, .peers = options->peers };

    *node = (struct node){ 0 };
    sem_init(&node->waiting, 0, 0);
    if (options->dir) {
        snprintf(ca, sizeof(ca), "%s/ca.pem", options->dir);
        snprintf(cert, sizeof(cert), "%s/%s.pem", options->dir, options->name);
        snprintf(key, sizeof(key), "%s/%s.key", options->dir, options->name);
        real.tls = options->anonymous ? (struct rpc_tls){ ca, NULL, NULL } : (struct rpc_tls){ ca, cert, key };
    }
    ck_assert_int_eq(real_port_create(&real, &node->real), 0);
    node->port = real_port(node->real);
    if (!options->silent) {
        open_store(node);
        node->dispatch = dispatch_create(node->port, node->store, NULL, node, services);
        ck_assert_ptr_nonnull(node->dispatch);
        ck_assert_int_eq(node_listen(node, options->port), 0);
    }
    pthread_create(&node->loop, NULL, run_loop, node);
}

struct errand {
    struct task task;
    void (*run)(void *arg);
    void *arg;
    sem_t done;
};

static void run_errand(struct task *task)
{
    struct errand *errand = (struct errand *)task;
    errand->run(errand->arg);
    sem_post(&errand->done);
}

void node_on_loop(struct node *node, void (*run)(void *arg), void *arg)
{
    struct errand errand = { { .run = run_errand }, run, arg };
    sem_init(&errand.done, 0, 0);
    node->port->post(node->port, LANE_LOOP, &errand.task);
    sem_wait(&errand.done);
    sem_destroy(&errand.done);
}

static void destroy_server(void *arg)
{
    struct node *node = arg;
    rpc_server_destroy(node->server);
    node->server = NULL;
}

void node_stop_server(struct node *node)
{
    node_on_loop(node, destroy_server, node);
}

void node_stop(struct node *node)
{
    node_stop_server(node);
    real_port_stop(node->real);
    pthread_join(node->loop, NULL);
    real_port_halt(node->real);
    dispatch_destroy(node->dispatch);
    if (node->store) {
        char command[128];
        store_close(node->store);
        snprintf(command, sizeof(command), "rm -r %s", node->store_dir);
        ck_assert_int_eq(system(command), 0);
    }
    real_port_destroy(node->real);
    sem_destroy(&node->waiting);
}

char *node_peers(const char *name, int port)
{
    char *peers;
    ck_assert_int_gt(asprintf(&peers, "%s=127.0.0.1:%d", name, port), 0);
    return peers;
}

/* --- calling --- */

static bool on_message(struct outcall *call, struct bytes message)
{
    struct asking *asking = (struct asking *)call;
    struct said *said = asking->said;

    pthread_mutex_lock(&asking->lock);
    said->n++;
    arena_finish(&said->arena);
    arena_init(&said->arena, 64 << 20);
    said->last = (struct bytes){ (uint8_t *)arena_copy(&said->arena, message.data, message.len), message.len };
    bool more = !asking->hold;
    pthread_mutex_unlock(&asking->lock);
    sem_post(&asking->came);
    return more;
}

static void on_done(struct outcall *call, const struct rpc_status *status)
{
    struct asking *asking = (struct asking *)call;
    struct said *said = asking->said;
    struct arena arena;

    arena_init(&arena, 1 << 20);
    said->code = status->code;
    snprintf(said->message, sizeof(said->message), "%s", status->message);
    snprintf(said->reason, sizeof(said->reason), "%s", rpc_status_reason(&arena, status));
    arena_finish(&arena);
    free((void *)call->request.data);
    sem_post(&asking->came);
    sem_post(&asking->over);
}

static void on_taken(struct outcall *call)
{
    sem_post(&((struct asking *)call)->taken);
}

static void start(struct asking *asking, struct node *from, const char *peer, const char *method,
                  const ProtobufCMessage *request, const struct caller *caller, int64_t timeout_us, bool open,
                  struct said *ret_said)
{
    *ret_said = (struct said){ .code = RPC_UNKNOWN };
    arena_init(&ret_said->arena, 1 << 20);
    *asking = (struct asking){ .said = ret_said, .port = from->port };
    sem_init(&asking->came, 0, 0);
    sem_init(&asking->over, 0, 0);
    sem_init(&asking->taken, 0, 0);
    pthread_mutex_init(&asking->lock, NULL);

    size_t size = protobuf_c_message_get_packed_size(request);
    uint8_t *packed = malloc(size + 1);
    protobuf_c_message_pack(request, packed);
    asking->call = (struct outcall){ .peer = peer,
                                     .method = method,
                                     .request = { packed, size },
                                     .timeout_us = timeout_us,
                                     .caller = caller,
                                     .message = on_message,
                                     .done = on_done,
                                     .taken = open ? on_taken : NULL };
    from->port->call(from->port, &asking->call);
}

void ask_start(struct asking *asking, struct node *from, const char *peer, const char *method,
               const ProtobufCMessage *request, const struct caller *caller, int64_t timeout_us, struct said *ret_said)
{
    start(asking, from, peer, method, request, caller, timeout_us, false, ret_said);
}

void ask_open(struct asking *asking, struct node *from, const char *peer, const char *method,
              const ProtobufCMessage *request, const struct caller *caller, struct said *ret_said)
{
    start(asking, from, peer, method, request, caller, 0, true, ret_said);
}

void ask_send(struct asking *asking, struct node *from, const ProtobufCMessage *request)
{
    size_t size = request ? protobuf_c_message_get_packed_size(request) : 0;
    uint8_t *packed = request ? malloc(size + 1) : NULL;
    if (request)
        protobuf_c_message_pack(request, packed);
    sem_wait(&asking->taken);
    rpc_core_send(real_port_core(from->real), &asking->call, (struct bytes){ packed, size });
    free(packed);
}

void ask_wait(struct asking *asking)
{
    sem_wait(&asking->over);
    sem_destroy(&asking->came);
    sem_destroy(&asking->over);
    sem_destroy(&asking->taken);
    pthread_mutex_destroy(&asking->lock);
}

void ask(struct node *from, const char *peer, const char *method, const ProtobufCMessage *request,
         const struct caller *caller, struct said *ret_said)
{
    struct asking asking;
    ask_start(&asking, from, peer, method, request, caller, CALL_US, ret_said);
    ask_wait(&asking);
}

void said_free(struct said *said)
{
    arena_finish(&said->arena);
}
