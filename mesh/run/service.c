/* A service without its transport: the store with everybody's tables, the dispatcher, relay, consumers and leases, made
 * in one order and taken down in the other. */
#include "mesh/service.h"
#include "mesh/base/say.h"
#include "mesh/log/consumer.h"
#include "mesh/log/serve.h"
#include "mesh/outbox/relay.h"
#include "mesh/rpc/deliver.h"
#include "mesh/run/chores.h"
#include "mesh/run/lease.h"
#include "mesh/run/parts.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define LOG_KEEP_US  (14 * 86400ll * 1000000)
#define LEASE_TTL_US 5000000
#define SERVES_MAX   32

#define OF(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

struct service {
    struct port *port;
    const struct service_spec *spec;
    struct store *store;
    struct dispatch *dispatch;
    struct leases *leases;
    struct relay *relay;
    struct consumers *consumers;
    struct chores *chores;
    void *app;
    bool opened;
    const struct rpc_service *serves[SERVES_MAX];

    struct task grown; /* tells the service that its log has grown */
    atomic_bool telling;
    _Atomic uint64_t log_seq;

    atomic_bool stopping;
    void (*on_stopped)(void *);
    void *on_stopped_arg;
};

/* --- commits --- */

static void tell_grown(struct task *task)
{
    struct service *service = OF(task, struct service, grown);
    atomic_store(&service->telling, false);
    service->spec->log_grown(service->app, atomic_load(&service->log_seq));
}

/* On the writer lane. Once the service stops only its calls are told, as they may still end well. */
static void committed(void *arg, const struct commit *commit)
{
    struct service *service = arg;
    if (commit->touched & TOUCHED_LOG)
        dispatch_log_grown(service->dispatch, commit->log_seq);
    if (commit->touched & TOUCHED_CURSOR)
        dispatch_consumer_moved(service->dispatch);
    if (atomic_load(&service->stopping))
        return;
    if (commit->touched & TOUCHED_OUTBOX)
        relay_nudge(service->relay, commit->now_us);
    if (!(commit->touched & TOUCHED_LOG) || !service->spec->log_grown)
        return;
    atomic_store(&service->log_seq, commit->log_seq);
    if (!atomic_exchange(&service->telling, true))
        service->port->post(service->port, LANE_LOOP, &service->grown);
}

/* --- the start --- */

static int migrate(struct store *store, const struct service_spec *spec)
{
    const struct {
        const char *list;
        const struct migration *migrations;
    } lists[] = {
        { "log", log_migrations },      { "outbox", outbox_migrations },      { "requests", rpc_migrations },
        { "leases", lease_migrations }, { "consumers", consumer_migrations }, { spec->name, spec->migrations },
    };
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        int r = lists[i].migrations ? store_migrate(store, lists[i].list, lists[i].migrations) : 0;
        if (r < 0)
            return r;
    }
    return 0;
}

static int open_store(struct port *port, const struct service_spec *spec, const struct service_options *options,
                      struct store **ret_store, struct log_position *ret_head)
{
    const struct store_options store_options = {
        .path = options->store_path,
        .vfs = options->vfs,
        .rerun_always = options->rerun_always,
        .pace_us = options->pace_us,
    };
    int r = store_open(port, &store_options, ret_store);
    if (r == 0)
        r = migrate(*ret_store, spec);
    if (r == 0)
        r = log_open(*ret_store, ret_head);
    return r;
}

static int refuse(const struct service_spec *spec, const struct service_options *options, int r)
{
    say(SAY_ERROR, NULL, "the service cannot be opened", SAY_T("service", spec->name),
        SAY_T("store", options->store_path), SAY_T("error", strerror(-r)));
    return r;
}

int service_renew(struct port *port, const struct service_spec *spec, const struct service_options *options)
{
    struct store *store = NULL;
    struct log_position was, head;
    int r = open_store(port, spec, options, &store, &was);
    if (r == 0)
        r = log_renew(store, &head);
    store_close(store);
    if (r < 0)
        return refuse(spec, options, r);
    say(SAY_INFO, NULL, "the log has a new incarnation", SAY_T("service", spec->name),
        SAY_T("store", options->store_path), SAY_T("was", was.incarnation), SAY_T("incarnation", head.incarnation),
        SAY_N("seq", (int64_t)head.seq));
    return 0;
}

static void list_serves(struct service *service)
{
    size_t n = 0;
    for (const struct rpc_service *const *s = service->spec->serves; s && *s; s++) {
        assert(n < SERVES_MAX - 4);
        service->serves[n++] = *s;
    }
    service->serves[n++] = &log_service;
    service->serves[n++] = &admin_service;
    service->serves[n] = &deliver_service;
}

static int make_parts(struct service *service, const struct service_options *options)
{
    const struct service_spec *spec = service->spec;
    struct port *port = service->port;
    int64_t log_keep_us = options->log_keep_us ? options->log_keep_us : LOG_KEEP_US;
    int64_t ttl_us = options->lease_ttl_us ? options->lease_ttl_us : LEASE_TTL_US;
    int r = leases_create(port, service->store, options->instance, ttl_us, &service->leases);
    if (r == 0)
        r = relay_create(port, service->store, spec->deliverers, spec->timers, service->leases, &service->relay);
    if (r == 0)
        r = consumers_create(port, service->store, spec->consumers, service->leases, &service->consumers);
    if (r == 0)
        r = chores_create(port, service->store, log_keep_us, &service->chores);
    if (r == 0 && spec->open)
        r = spec->open(service, &service->app);
    service->opened = r == 0;
    return r;
}

int service_create(struct port *port, const struct service_spec *spec, const struct service_options *options,
                   struct service **ret_service)
{
    struct service *service = calloc(1, sizeof(*service));
    if (!service)
        return -ENOMEM;
    service->port = port;
    service->spec = spec;
    service->grown.run = tell_grown;
    list_serves(service);

    struct log_position head;
    int r = open_store(port, spec, options, &service->store, &head);
    /* One process at a time has a SQLite file, so that whoever held the leases is gone. */
    if (r == 0)
        r = leases_clear(service->store);
    if (r == 0)
        r = make_parts(service, options);
    if (r < 0) {
        service_destroy(service);
        return refuse(spec, options, r);
    }
    service->dispatch = dispatch_create(port, service->store, service, service->app, service->serves);
    store_on_commit(service->store, committed, service);
    *ret_service = service;
    return 0;
}

void service_start(struct service *service)
{
    leases_start(service->leases);
    chores_start(service->chores);
    relay_nudge(service->relay, 0);
}

/* --- the end: one after the other, each when the one before is idle --- */

static void leases_stopped(void *arg)
{
    struct service *service = arg;
    service->on_stopped(service->on_stopped_arg);
}

/* Its last unit comes after every commit that may still have told somebody. */
static void chores_stopped(void *arg)
{
    struct service *service = arg;
    leases_stop(service->leases, leases_stopped, service);
}

static void consumers_stopped(void *arg)
{
    struct service *service = arg;
    chores_stop(service->chores, chores_stopped, service);
}

static void relay_stopped(void *arg)
{
    struct service *service = arg;
    consumers_stop(service->consumers, consumers_stopped, service);
}

static void app_stopped(void *arg)
{
    struct service *service = arg;
    relay_stop(service->relay, relay_stopped, service);
}

void service_stop(struct service *service, void (*stopped)(void *), void *arg)
{
    service->on_stopped = stopped;
    service->on_stopped_arg = arg;
    atomic_store(&service->stopping, true);
    if (service->spec->stop)
        service->spec->stop(service->app, app_stopped, service);
    else
        app_stopped(service);
}

void service_destroy(struct service *service)
{
    if (!service)
        return;
    dispatch_destroy(service->dispatch);
    store_close(service->store);
    if (service->opened && service->spec->close)
        service->spec->close(service->app);
    chores_destroy(service->chores);
    consumers_destroy(service->consumers);
    relay_destroy(service->relay);
    leases_destroy(service->leases);
    free(service);
}

struct port *service_port(struct service *service)
{
    return service->port;
}

struct store *service_store(struct service *service)
{
    return service->store;
}

struct dispatch *service_dispatch(struct service *service)
{
    return service->dispatch;
}

const struct service_spec *service_spec_of(struct service *service)
{
    return service->spec;
}

void *service_app(struct service *service)
{
    return service->app;
}

struct leases *service_leases(struct service *service)
{
    return service->leases;
}

struct relay *service_relay(struct service *service)
{
    return service->relay;
}

struct consumers *service_consumers(struct service *service)
{
    return service->consumers;
}
