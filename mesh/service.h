/* A service is three tables - handlers, deliverers, consumers - and this is everything else: it opens the store, runs
 * the lanes, relay, consumers and leases, serves, drains. One struct service per service; a real process has one, the
 * simulator several. */
#pragma once

#include "mesh/base/config.h"
#include "mesh/log/log.h"
#include "mesh/outbox/outbox.h"
#include "mesh/port.h"
#include "mesh/rpc/dispatch.h"

struct service_spec {
    const char *name;                        /* "svc-order": process, peer, certificate */
    const char *about;                       /* one line for --help */
    struct option *options;                  /* its own, or NULL */
    const struct rpc_service *const *serves; /* ends with NULL */
    const struct deliverer *deliverers;      /* end with a row without method / name; NULL: none */
    const struct timer_row *timers;
    const struct consumer *consumers;
    const struct snapshot_kind *snapshots; /* end with a row without page */
    const struct migration *migrations;
    /* The service's own state, on the loop lane before anything is served; *ret_app goes to rpc_app. May be NULL. */
    int (*open)(struct service *service, void **ret_app);
    void (*close)(void *app);
    /* Loop lane, before close: begins nothing more; stopped(arg) when nothing of it is under way. May be NULL. */
    void (*stop)(void *app, void (*stopped)(void *), void *arg);
    /* Loop lane: the service's own log has grown to seq; several commits may be told as one. May be NULL. */
    void (*log_grown)(void *app, uint64_t seq);
};

struct service_options {
    const char *store_path, *vfs;
    bool rerun_always;
    int64_t log_keep_us;  /* 0: 14 days */
    int64_t lease_ttl_us; /* 0: 5 s */
    int64_t pace_us;      /* between commits under load; 0: none */
    const char *instance; /* who holds leases; NULL: made of chance */
};

/* Everything but the transport: used by service_main and by the simulator. 0 or a negative errno after one clear line.
 */
int service_create(struct port *port, const struct service_spec *spec, const struct service_options *options,
                   struct service **ret_service);
/* Starts relay, consumers, leases, pruning; loop lane. */
void service_start(struct service *service);
/* Stops what service_start started; stopped(arg) on the loop lane when nothing of it is under way. */
void service_stop(struct service *service, void (*stopped)(void *), void *arg);
void service_destroy(struct service *service);
/* Puts the store back from a directory that omsctl backup has made, and renews it: whole or not at all, whenever the
 * process ends. The service must not run: -EBUSY. 0 or a negative errno after one clear line. Any thread. */
int service_restore(struct port *port, const struct service_spec *spec, const struct service_options *options,
                    const char *directory);
/* Once, on a store that was put back from a backup, before the service is started on it: its log becomes another one,
 * so that consumers start from a snapshot, watches begin anew and the cache is filled again. Says so in one line. */
int service_renew(struct port *port, const struct service_spec *spec, const struct service_options *options);

struct port *service_port(struct service *service);
struct store *service_store(struct service *service);
struct dispatch *service_dispatch(struct service *service);
const struct service_spec *service_spec_of(struct service *service);
void *service_app(struct service *service);

/* A whole process: options, signals, admin port (/healthz, /metrics), C core, drain on SIGTERM, exit code. */
int service_main(const struct service_spec *spec, int argc, char **argv);
