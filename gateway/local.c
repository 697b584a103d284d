/* grpc.health.v1 and grpc.reflection over exchanges; what they say is in mesh/rpc. A service is as well as the process
 * that serves it, and "" as all of them together. */
#include "gateway/local.h"

#include "mesh/rpc/health.h"
#include "mesh/rpc/reflection.h"

#include <errno.h>

#define WATCHES_MAX  256
#define BUDGET       (1 << 20)
#define REPLIES_HELD (64 * 1024) /* of one reflection stream, before its next request is read */

struct watch {
    struct exchange *x;
    struct watch *prev, *next;
    enum health told;
    char service[];
};

struct local {
    struct gateway *gateway;
    const char **services; /* ends with NULL */
    struct reflection reflection;
    struct watch *watches;
    size_t n_watches;
};

static void refuse(struct exchange *x, enum rpc_code code, const char *reason, const char *message)
{
    exchange_fail(x, &(struct answer){ code, reason, message, 0 });
}

/* 1 with a message, 0: not there yet, -EPROTO: the exchange has failed. */
static int next_message(struct exchange *x, struct bytes *ret_message)
{
    int r = exchange_message(x, ret_message);
    if (r == -EMSGSIZE)
        refuse(x, RPC_RESOURCE_EXHAUSTED, "REQUEST_TOO_LARGE", "the message is larger than this method takes");
    else if (r == -EOPNOTSUPP)
        refuse(x, RPC_UNIMPLEMENTED, "COMPRESSION_UNSUPPORTED", "messages must not be compressed");
    return r < 0 ? -EPROTO : r;
}

static void nothing_taken(struct exchange *x, size_t n)
{
}

static void nothing_to_abort(struct exchange *x)
{
}

/* --- health --- */

static enum health health_now(void *arg, const char *service)
{
    const struct gateway *gateway = arg;
    int process = *service ? routes_process_of(service) : ROUTE_ANY_PROCESS;
    bool known = !*service;
    for (const char **s = gateway->local->services; *s && !known; s++)
        known = strcmp(*s, service) == 0;
    if (!known)
        return HEALTH_SERVICE_UNKNOWN;
    if (gateway->draining)
        return HEALTH_NOT_SERVING;
    if (process == ROUTE_NO_PROCESS)
        return HEALTH_SERVING;
    bool well = process >= 0 ? balance_well(gateway->balance, process) : balance_all_well(gateway->balance);
    return well ? HEALTH_SERVING : HEALTH_NOT_SERVING;
}

static void check(struct exchange *x)
{
    struct bytes request, reply = { 0 };
    if (next_message(x, &request) <= 0)
        return;
    struct arena arena;
    arena_init(&arena, BUDGET);
    enum rpc_code code = health_check(&arena, request, health_now, x->gateway, &reply);
    if (code == RPC_NOT_FOUND)
        refuse(x, code, "SERVICE_UNKNOWN", "this service is not served here");
    else if (code != RPC_OK)
        refuse(x, code, "MESSAGE_MALFORMED", "no HealthCheckRequest");
    else if (exchange_put_message(x, reply))
        exchange_finish(x, RPC_OK);
    arena_finish(&arena);
}

const struct server local_check = { check, check, nothing_taken, nothing_to_abort };

static void tell(struct watch *watch)
{
    enum health now = health_now(watch->x->gateway, watch->service);
    if (watch->told == now || pipe_held(&watch->x->reply) > 0)
        return;
    watch->told = now;
    struct arena arena;
    arena_init(&arena, BUDGET);
    exchange_put_message(watch->x, health_reply(&arena, now));
    arena_finish(&arena);
}

static void watch_begin(struct exchange *x)
{
    struct bytes request;
    struct local *local = x->gateway->local;
    if (x->own || next_message(x, &request) <= 0)
        return;
    struct arena arena;
    arena_init(&arena, BUDGET);
    const char *service = health_service(&arena, request);
    struct watch *watch =
        service && local->n_watches < WATCHES_MAX ? malloc(sizeof(*watch) + strlen(service) + 1) : NULL;
    if (!service) {
        refuse(x, RPC_INVALID_ARGUMENT, "MESSAGE_MALFORMED", "no HealthCheckRequest");
    } else if (!watch) {
        refuse(x, RPC_RESOURCE_EXHAUSTED, "TOO_MANY_WATCHES", "too many watches of health are open");
    } else {
        *watch = (struct watch){ .x = x, .next = local->watches, .told = HEALTH_UNKNOWN };
        strcpy(watch->service, service);
        if (watch->next)
            watch->next->prev = watch;
        local->watches = watch;
        local->n_watches++;
        x->own = watch;
        tell(watch);
    }
    arena_finish(&arena);
}

static void watch_taken(struct exchange *x, size_t n)
{
    if (x->own)
        tell(x->own);
}

static void watch_abort(struct exchange *x)
{
    struct watch *watch = x->own;
    if (!watch)
        return;
    struct local *local = x->gateway->local;
    *(watch->prev ? &watch->prev->next : &local->watches) = watch->next;
    if (watch->next)
        watch->next->prev = watch->prev;
    local->n_watches--;
    free(watch);
    x->own = NULL;
}

const struct server local_watch = { watch_begin, watch_begin, watch_taken, watch_abort };

/* --- reflection --- */

static void reflect(struct exchange *x)
{
    struct bytes request, reply;
    int r = 0;
    while (pipe_held(&x->reply) < REPLIES_HELD && (r = next_message(x, &request)) > 0) {
        struct arena arena;
        arena_init(&arena, BUDGET);
        bool understood = reflection_answer(&x->gateway->local->reflection, &arena, request, &reply);
        bool put = understood && exchange_put_message(x, reply);
        arena_finish(&arena);
        if (!understood)
            refuse(x, RPC_INVALID_ARGUMENT, "MESSAGE_MALFORMED", "no ServerReflectionRequest");
        if (!put)
            return;
    }
    if (r == 0 && x->call.request_ended && pipe_held(&x->call.request) == 0)
        exchange_finish(x, RPC_OK);
    else if (r == 0 && x->call.request_ended && pipe_held(&x->reply) < REPLIES_HELD)
        refuse(x, RPC_INVALID_ARGUMENT, "MESSAGE_MALFORMED", "the last message is cut off");
}

static void reflect_taken(struct exchange *x, size_t n)
{
    reflect(x);
}

const struct server local_reflect = { reflect, reflect, reflect_taken, nothing_to_abort };

/* --- life --- */

struct local *local_create(struct gateway *gateway)
{
    const struct schema_method *methods;
    size_t n = schema_methods(schema_builtin(), &methods), n_services = 0;
    struct local *local = calloc(1, sizeof(*local));
    const char **services = calloc(n + 1, sizeof(*services));
    if (!local || !services) {
        free(local);
        free(services);
        return NULL;
    }
    for (size_t i = 0; i < n; i++) {
        bool listed = false;
        for (size_t j = 0; j < n_services && !listed; j++)
            listed = strcmp(services[j], methods[i].service) == 0;
        if (!listed && routes_find(gateway->routes, methods[i].full_name, strlen(methods[i].full_name)))
            services[n_services++] = methods[i].service;
    }
    local->gateway = gateway;
    local->services = services;
    local->reflection = (struct reflection){ schema_builtin(), services };
    return local;
}

void local_destroy(struct local *local)
{
    if (!local)
        return;
    free(local->services);
    free(local);
}

void local_changed(struct local *local)
{
    for (struct watch *watch = local->watches, *next; watch; watch = next) {
        next = watch->next;
        tell(watch);
    }
}

void local_leave(struct local *local)
{
    while (local->watches)
        refuse(local->watches->x, RPC_UNAVAILABLE, "SHUTTING_DOWN", "the gateway shuts down");
}
