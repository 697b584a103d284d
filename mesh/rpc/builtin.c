/* Health and reflection over C core's server; what they say is in health.c and reflection.c. */
#include "mesh/rpc/builtin.h"

#include "mesh/rpc/health.h"
#include "mesh/rpc/reflection.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define HELD_MOST    64 /* watches and reflection streams: each is an operation outstanding on the queue */
#define REPLY_BUDGET (1 << 20)

struct builtin {
    struct rpc_server *server;
    const char **services; /* the dispatcher's, then our own; ends with NULL */
    struct reflection reflection;
    atomic_bool serving, telling;
    struct task tell;
    /* rpc lane */
    struct server_call *held;
    size_t n_held;
    bool ended;
};

struct watch {
    char *service;
    enum health told;
    bool sending;
};

static const struct rpc_status fine = { RPC_OK, "", { 0 } };
static const struct bytes nothing;

static struct builtin *builtin_of(const struct server_call *c)
{
    return server_builtin(c->method->server);
}

static void refuse(struct server_call *c, enum rpc_code code, const char *message)
{
    call_finish(c, nothing, &(struct rpc_status){ code, message, { 0 } });
}

static enum health health_now(void *arg, const char *service)
{
    struct builtin *builtin = arg;
    bool known = *service == '\0';
    for (const char **s = builtin->services; *s && !known; s++)
        known = strcmp(*s, service) == 0;
    if (!known)
        return HEALTH_SERVICE_UNKNOWN;
    return atomic_load(&builtin->serving) ? HEALTH_SERVING : HEALTH_NOT_SERVING;
}

static void check(struct server_call *c, struct bytes request)
{
    struct arena arena;
    struct bytes reply = { 0 };

    arena_init(&arena, REPLY_BUDGET);
    enum rpc_code code = health_check(&arena, request, health_now, builtin_of(c), &reply);
    if (code == RPC_OK)
        call_finish(c, reply, &fine);
    else
        refuse(c, code, code == RPC_NOT_FOUND ? "this service is not served here" : "no HealthCheckRequest");
    arena_finish(&arena);
}

/* --- streams that are held --- */

static bool hold(struct server_call *c)
{
    struct builtin *builtin = builtin_of(c);
    if (builtin->ended) {
        refuse(c, RPC_UNAVAILABLE, "the server shuts down");
        return false;
    }
    if (builtin->n_held == HELD_MOST) {
        refuse(c, RPC_RESOURCE_EXHAUSTED, "too many streams of this kind are open");
        return false;
    }
    builtin->n_held++;
    c->next = builtin->held;
    c->at = &builtin->held;
    if (c->next)
        c->next->at = &c->next;
    builtin->held = c;
    return true;
}

static void let_go(struct server_call *c)
{
    if (!c->at)
        return;
    builtin_of(c)->n_held--;
    *c->at = c->next;
    if (c->next)
        c->next->at = c->at;
    c->at = NULL;
}

static void cancelled(struct server_call *c)
{
    refuse(c, RPC_CANCELLED, "cancelled");
}

static void tell_watch(struct server_call *c)
{
    struct watch *watch = c->data;
    enum health now = health_now(builtin_of(c), watch->service);
    if (watch->sending || watch->told == now)
        return;

    struct arena arena;
    arena_init(&arena, REPLY_BUDGET);
    watch->told = now;
    watch->sending = true;
    call_send(c, health_reply(&arena, now));
    arena_finish(&arena);
}

static void watch_begin(struct server_call *c, struct bytes request)
{
    struct arena arena;
    arena_init(&arena, REPLY_BUDGET);
    const char *service = health_service(&arena, request);
    struct watch *watch = service ? calloc(1, sizeof(*watch)) : NULL;

    if (!service) {
        refuse(c, RPC_INVALID_ARGUMENT, "no HealthCheckRequest");
    } else if (watch && hold(c)) {
        watch->service = strdup(service);
        c->data = watch;
        tell_watch(c);
    } else {
        free(watch);
        refuse(c, RPC_RESOURCE_EXHAUSTED, "out of memory");
    }
    arena_finish(&arena);
}

static void watch_writable(struct server_call *c)
{
    ((struct watch *)c->data)->sending = false;
    tell_watch(c);
}

static void watch_release(struct server_call *c)
{
    struct watch *watch = c->data;
    let_go(c);
    if (watch)
        free(watch->service);
    free(watch);
}

static void answer_reflection(struct server_call *c, struct bytes request)
{
    struct arena arena;
    struct bytes reply;

    arena_init(&arena, REPLY_BUDGET);
    if (reflection_answer(&builtin_of(c)->reflection, &arena, request, &reply))
        call_send(c, reply);
    else
        refuse(c, RPC_INVALID_ARGUMENT, "no ServerReflectionRequest");
    arena_finish(&arena);
}

static void reflect_begin(struct server_call *c, struct bytes request)
{
    if (hold(c))
        answer_reflection(c, request);
}

static void reflect_received(struct server_call *c, const struct bytes *request)
{
    if (request)
        answer_reflection(c, *request);
    else
        call_finish(c, nothing, &fine);
}

static const struct call_kind check_kind = { .begin = check };
static const struct call_kind watch_kind = {
    .streaming = true,
    .watched = true,
    .begin = watch_begin,
    .writable = watch_writable,
    .cancelled = cancelled,
    .release = watch_release,
};
static const struct call_kind reflect_kind = {
    .streaming = true,
    .watched = true,
    .begin = reflect_begin,
    .writable = call_receive,
    .received = reflect_received,
    .cancelled = cancelled,
    .release = let_go,
};

const struct builtin_method builtin_methods[] = {
    { "/grpc.health.v1.Health/Check", &check_kind },
    { "/grpc.health.v1.Health/Watch", &watch_kind },
    { "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", &reflect_kind },
    { "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", &reflect_kind },
    { 0 },
};

static const char *const own_services[] = {
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
};

/* --- life --- */

static void tell_all(struct task *task)
{
    struct builtin *builtin = (struct builtin *)((char *)task - offsetof(struct builtin, tell));
    atomic_store(&builtin->telling, false);
    for (struct server_call *c = builtin->held; c; c = c->next)
        if (c->data)
            tell_watch(c);
}

void builtin_serving(struct builtin *builtin, bool serving)
{
    atomic_store(&builtin->serving, serving);
    if (!atomic_exchange(&builtin->telling, true))
        rpc_core_post(server_core(builtin->server), &builtin->tell);
}

void builtin_end(struct builtin *builtin)
{
    builtin->ended = true;
    for (struct server_call *c = builtin->held; c; c = c->next)
        refuse(c, RPC_UNAVAILABLE, "the server shuts down");
}

int builtin_create(struct rpc_server *server, struct builtin **ret_builtin)
{
    const struct rpc_service *const *dispatched = dispatch_services(server_dispatch(server));
    size_t n = 0, n_own = sizeof(own_services) / sizeof(own_services[0]);
    while (dispatched[n])
        n++;

    struct builtin *builtin = calloc(1, sizeof(*builtin));
    const char **services = calloc(n + n_own + 1, sizeof(*services));
    if (!builtin || !services) {
        free(builtin);
        free(services);
        return -ENOMEM;
    }
    for (size_t i = 0; i < n; i++)
        services[i] = dispatched[i]->name;
    memcpy(services + n, own_services, sizeof(own_services));
    builtin->server = server;
    builtin->services = services;
    builtin->reflection = (struct reflection){ schema_builtin(), services };
    builtin->tell.run = tell_all;
    *ret_builtin = builtin;
    return 0;
}

void builtin_destroy(struct builtin *builtin)
{
    if (!builtin)
        return;
    free(builtin->services);
    free(builtin);
}
