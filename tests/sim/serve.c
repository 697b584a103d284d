/* Machines that run the mesh's own code: a dispatcher behind the network, a service that boots. */
#include "mesh/service.h"
#include "tests/sim/inner.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void transport_send(struct rpc_call *call, struct bytes message)
{
    node_send(rpc_transport_data(call), message);
}

static void transport_finish(struct rpc_call *call, struct bytes reply, const struct rpc_status *status)
{
    node_finish(rpc_transport_data(call), call, reply, status);
}

static const struct rpc_transport transport = { transport_send, transport_finish };

static void *begin(struct node *node, void *leg, const struct outcall *call, const struct caller *caller,
                   int64_t deadline_us)
{
    const struct rpc_begin start = {
        .transport = &transport,
        .transport_data = leg,
        .method = call->method,
        .method_len = strlen(call->method),
        .request = call->request,
        .caller = *caller,
        .authentic = true,
        .trace = call->trace,
        .deadline_us = deadline_us,
    };

    return dispatch_begin(node_server(node), &start);
}

/* A call of a method whose client streams is a stream of one chunk. */
static bool streams(const char *method)
{
    const struct schema_method *known = schema_method(schema_builtin(), method, strlen(method));

    return known && known->server_streaming && !known->client_streaming;
}

static void writable(void *call)
{
    dispatch_writable(call);
}

static void cancel(void *call)
{
    dispatch_cancel(call);
}

static void release(void *call)
{
    dispatch_release(call);
}

static const struct server_ops dispatch_ops = { begin, streams, writable, cancel, release };

void node_serve(struct node *node, struct dispatch *dispatch)
{
    node_answer(node, dispatch ? &dispatch_ops : NULL, dispatch);
}

/* --- services --- */

/* One a node, found by the boot hook's argument. */
struct hosted {
    struct node *node;
    const struct service_spec *spec;
    struct service_options options;
    char path[96];
    struct service *service;
    uint32_t life;
    bool stopped;
};

static bool host_boot(struct node *node, void *arg)
{
    struct hosted *hosted = arg;
    struct service *service;

    hosted->life = node->life;
    if (hosted->service)
        world_bury(hosted->service);
    hosted->service = NULL;
    if (service_create(&node->port, hosted->spec, &hosted->options, &service) < 0)
        return false;
    hosted->service = service;
    service_start(service);
    node_serve(node, service_dispatch(service));
    return true;
}

static struct hosted *hosted_of(const struct node *node)
{
    return node->boot == host_boot ? node->boot_arg : NULL;
}

bool node_host(struct node *node, const struct service_spec *spec, const struct service_options *options)
{
    struct hosted *hosted = calloc(1, sizeof(*hosted));

    assert(hosted);
    hosted->node = node;
    hosted->spec = spec;
    hosted->options = *options;
    snprintf(hosted->path, sizeof(hosted->path), "%s/store.db", node->name);
    hosted->options.store_path = hosted->path;
    hosted->options.vfs = "sim";
    node_on_boot(node, host_boot, hosted);
    world_bury(hosted);
    return host_boot(node, hosted);
}

struct service *node_service(struct node *node)
{
    struct hosted *hosted = hosted_of(node);

    return hosted && node->up && hosted->life == node->life ? hosted->service : NULL;
}

static void stopped(void *arg)
{
    ((struct hosted *)arg)->stopped = true;
}

static bool at_rest(void *arg)
{
    struct hosted *hosted = arg;

    return hosted->stopped && dispatch_active(service_dispatch(hosted->service)) == 0;
}

void node_retire(struct node *node)
{
    struct hosted *hosted = hosted_of(node);

    if (!node_service(node))
        return;
    node->refuses = true;
    net_cancel_calls_to(node);
    service_stop(hosted->service, stopped, hosted);
    bool rested = world_until(node->world, at_rest, hosted, 60000000);
    assert(rested);
    (void)rested;
    node->ops = NULL;
    node->refuses = false;
    service_destroy(hosted->service);
    hosted->service = NULL;
    node_on_boot(node, NULL, NULL);
}
