/* One table says which package belongs to which process; a hash over the schema's method names finds routes. */
#include "gateway/route.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const processes[] = {
    "svc-order", "svc-inventory", "svc-payment", "svc-shipping", "svc-notify", NULL
};
enum { SVC_ORDER, SVC_INVENTORY, SVC_PAYMENT, SVC_SHIPPING, SVC_NOTIFY };

static const struct {
    const char *package;
    int process;
} packages[] = {
    { "oms.order.", SVC_ORDER },
    { "oms.catalog.", SVC_INVENTORY },
    { "oms.inventory.", SVC_INVENTORY },
    { "oms.payment.", SVC_PAYMENT },
    { "oms.shipping.", SVC_SHIPPING },
    { "oms.notify.", SVC_NOTIFY },
    { "oms.storefront.", ROUTE_NO_PROCESS },
    { "mesh.v1.LogService", ROUTE_ANY_PROCESS },
    { "mesh.v1.AdminService", ROUTE_ANY_PROCESS },
    { "mesh.v1.DeliverService", ROUTE_ANY_PROCESS },
    { "grpc.health.v1.Health", ROUTE_NO_PROCESS },
    { "grpc.reflection.", ROUTE_NO_PROCESS },
};

struct routes {
    struct route *list;
    size_t n;
    struct route **slots;
    size_t n_slots; /* a power of two, at least twice n */
};

const char *const *routes_processes(void)
{
    return processes;
}

int routes_process(const char *name, size_t len)
{
    for (int i = 0; processes[i]; i++)
        if (strlen(processes[i]) == len && memcmp(processes[i], name, len) == 0)
            return i;
    return -ENOENT;
}

int routes_process_of(const char *service)
{
    for (size_t i = 0; i < sizeof(packages) / sizeof(packages[0]); i++)
        if (strncmp(service, packages[i].package, strlen(packages[i].package)) == 0)
            return packages[i].process;
    return -ENOENT;
}

static size_t hash_of(const char *path, size_t len)
{
    uint64_t h = 0xcbf29ce484222325;
    for (size_t i = 0; i < len; i++)
        h = (h ^ (uint8_t)path[i]) * 0x100000001b3;
    return (size_t)(h ^ h >> 32);
}

static void insert(struct routes *routes, struct route *route)
{
    const char *path = route->method->full_name;
    size_t at = hash_of(path, strlen(path));
    while (routes->slots[at & (routes->n_slots - 1)])
        at++;
    routes->slots[at & (routes->n_slots - 1)] = route;
}

struct route *routes_find(const struct routes *routes, const char *path, size_t len)
{
    struct route *route;
    for (size_t at = hash_of(path, len); (route = routes->slots[at & (routes->n_slots - 1)]); at++)
        if (strncmp(route->method->full_name, path, len) == 0 && route->method->full_name[len] == '\0')
            return route;
    return NULL;
}

static const struct server *server_of(const char *path, const struct server *forward, const struct route_own *own)
{
    for (; own->path; own++)
        if (strcmp(own->path, path) == 0)
            return own->server;
    return forward;
}

static enum route_rank rank_of(const struct schema_method *method)
{
    static const char *const many[] = { "List", "Search", "Export", "BatchGet" };
    if (method->mutates)
        return RANK_CHANGES;
    for (size_t i = 0; i < sizeof(many) / sizeof(many[0]); i++)
        if (strncmp(method->name, many[i], strlen(many[i])) == 0)
            return RANK_LISTS;
    return method->server_streaming ? RANK_LISTS : RANK_READS;
}

struct routes *routes_create(const struct schema *schema, const struct server *forward, const struct route_own *own)
{
    const struct schema_method *methods;
    size_t n = schema_methods(schema, &methods);
    struct routes *routes = calloc(1, sizeof(*routes));
    if (!routes)
        return NULL;
    for (routes->n_slots = 64; routes->n_slots < 2 * n;)
        routes->n_slots *= 2;
    routes->list = calloc(n, sizeof(*routes->list));
    routes->slots = calloc(routes->n_slots, sizeof(*routes->slots));
    if (!routes->list || !routes->slots) {
        routes_destroy(routes);
        return NULL;
    }
    for (size_t i = 0; i < n; i++) {
        int process = routes_process_of(methods[i].service);
        const struct server *server = server_of(methods[i].full_name, forward, own);
        if (process == -ENOENT || (process == ROUTE_NO_PROCESS && server == forward))
            continue;
        struct route *route = &routes->list[routes->n++];
        *route =
            (struct route){ .method = &methods[i], .server = server, .process = process, .rank = rank_of(&methods[i]) };
        insert(routes, route);
    }
    return routes;
}

void routes_destroy(struct routes *routes)
{
    if (!routes)
        return;
    free(routes->list);
    free(routes->slots);
    free(routes);
}

void route_count(struct route *route, enum rpc_code code, int64_t duration_us)
{
    if ((unsigned)code > RPC_UNAUTHENTICATED)
        code = RPC_UNKNOWN;
    char labels[256];
    if (!route->codes[code]) {
        snprintf(labels, sizeof(labels), "method=\"%s\",code=\"%s\"", route->method->full_name, rpc_code_name(code));
        route->codes[code] = metric_make(METRIC_COUNTER, "gateway_requests_total", "Calls by method and code.", labels);
    }
    if (!route->time) {
        snprintf(labels, sizeof(labels), "method=\"%s\"", route->method->full_name);
        route->time = metric_make(METRIC_HISTOGRAM, "gateway_request_seconds", "Time from headers to end.", labels);
    }
    metric_add(route->codes[code], 1);
    metric_time(route->time, duration_us);
}
