/* The life of a service's process: options, store, lanes, ports, signals, drain, exit code. */
#include "mesh/run/admin.h"
#include "mesh/run/exporter.h"
#include "mesh/run/real.h"
#include "mesh/run/timers.h"

#include "mesh/base/say.h"
#include "mesh/service.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

static struct option common_options[] = {
    { "listen", OPTION_TEXT, "127.0.0.1:0", "where gRPC is served; port 0 picks one" },
    { "admin-listen", OPTION_TEXT, "127.0.0.1:0", "where /healthz and /metrics are served over HTTP" },
    { "store-path", OPTION_TEXT, NULL, "the SQLite file; by default NAME.db in the working directory" },
    { "peers", OPTION_TEXT, "", "other processes: svc-order=127.0.0.1:7101+127.0.0.1:7111,svc-x=dns:///svc-x:7100" },
    { "redis", OPTION_TEXT, "", "host:port of the shared cache; without it everything is slower and nothing is wrong" },
    { "outside", OPTION_TEXT, "",
      "whoever is outside: processor=https://pay.example,mail=smtp://10.0.0.5 or "
      "file:///folder,traces=http://otel:4318" },
    { "tls-ca", OPTION_TEXT, NULL, "PEM file of the mesh's CA; without it the mesh is spoken to in the clear" },
    { "tls-cert", OPTION_TEXT, NULL, "PEM file of this process's certificate (spiffe://ordermesh/NAME)" },
    { "tls-key", OPTION_TEXT, NULL, "PEM file of its key" },
    { "log-level", OPTION_TEXT, "info", "debug, info, warn or error" },
    { "drain-notice", OPTION_DURATION, "500ms", "how long NOT_SERVING is told before new calls are refused" },
    { "drain-grace", OPTION_DURATION, "5s", "how long calls under way may take after that" },
    { "log-keep", OPTION_DURATION, "14d", "how long events can be read again" },
    { "lease-ttl", OPTION_DURATION, "5s", "how long a lease outlives its silent owner" },
    { "commit-pace", OPTION_DURATION, "4ms", "how far apart commits are under load; longer: cheaper, and later" },
    { "instance", OPTION_TEXT, NULL, "who holds leases; by default made of chance" },
    { "restore", OPTION_TEXT, NULL, "a directory of omsctl backup: puts the store back from there, and ends" },
    {},
};

struct process {
    const struct service_spec *spec;
    struct option *tables[3];
    struct real_port *real;
    struct service *service;
    struct rpc_server *server;
    struct admin *admin;
    struct exporter *exporter; /* NULL: nobody wants spans */
    uv_signal_t signals[2];
    struct task drained;
    atomic_bool serving;
    bool draining;
};

static const char *text(const struct process *p, const char *name)
{
    return config_text(p->tables, name);
}

static bool is_serving(void *arg)
{
    return atomic_load(&((struct process *)arg)->serving);
}

/* --- the end --- */

static void on_stopped(void *arg)
{
    real_port_stop(((struct process *)arg)->real);
}

static void after_drain(struct task *task)
{
    struct process *p = (struct process *)((char *)task - offsetof(struct process, drained));
    service_stop(p->service, on_stopped, p);
    real_port_hang_up(p->real); /* it is asked again under the same key */
}

static void on_drained(void *arg)
{
    struct process *p = arg;
    struct port *port = real_port(p->real);
    p->drained.run = after_drain;
    port->post(port, LANE_LOOP, &p->drained);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct process *p = handle->data;
    if (p->draining) {
        /* Somebody is in a hurry; the store survives that as it survives a crash. */
        _exit(EXIT_FAILURE);
    }
    p->draining = true;
    atomic_store(&p->serving, false);
    exporter_flush(p->exporter);
    say(SAY_INFO, NULL, "draining", SAY_T("signal", strsignal(number)),
        SAY_N("active", (int64_t)dispatch_active(service_dispatch(p->service))));
    rpc_server_drain(p->server, config_number(p->tables, "drain-notice"), config_number(p->tables, "drain-grace"),
                     on_drained, p);
}

/* --- the start --- */

static int open_port(struct process *p)
{
    const struct real_options options = {
        .process = p->spec->name,
        .peers = text(p, "peers"),
        .tls = { text(p, "tls-ca"), text(p, "tls-cert"), text(p, "tls-key") },
        .redis = text(p, "redis"),
        .outside = text(p, "outside"),
    };
    int r = real_port_create(&options, &p->real);
    if (r == 0 && real_port_knows(p->real, "traces"))
        r = exporter_create(real_port(p->real), p->spec->name, &p->exporter);
    return r;
}

static const char *store_path(const struct process *p, char path[128])
{
    snprintf(path, 128, "%s.db", p->spec->name);
    return text(p, "store-path") ? text(p, "store-path") : path;
}

static int open_service(struct process *p)
{
    char path[128];
    const char *rerun = getenv("MESH_RERUN");
    const struct service_options options = {
        .store_path = store_path(p, path),
        .rerun_always = rerun && strcmp(rerun, "always") == 0,
        .log_keep_us = config_number(p->tables, "log-keep"),
        .lease_ttl_us = config_number(p->tables, "lease-ttl"),
        .instance = text(p, "instance"),
        .pace_us = config_number(p->tables, "commit-pace"),
    };
    return service_create(real_port(p->real), p->spec, &options, &p->service);
}

static int restore(struct process *p)
{
    char path[128];
    const struct service_options options = { .store_path = store_path(p, path) };
    return service_restore(real_port(p->real), p->spec, &options, text(p, "restore"));
}

static void listen_to_signals(struct process *p)
{
    static const int numbers[] = { SIGTERM, SIGINT };
    for (size_t i = 0; i < 2; i++) {
        uv_signal_init(real_port_loop(p->real), &p->signals[i]);
        p->signals[i].data = p;
        uv_signal_start(&p->signals[i], on_signal, numbers[i]);
    }
}

static int serve(struct process *p, int64_t started_us)
{
    int r = admin_create(text(p, "admin-listen"), is_serving, p, &p->admin);
    if (r == 0)
        r = rpc_server_create(real_port_core(p->real), service_dispatch(p->service), text(p, "listen"), &p->server);
    if (r < 0)
        return r;

    listen_to_signals(p);
    service_start(p->service);
    rpc_server_serving(p->server, true);
    atomic_store(&p->serving, true);
    say(SAY_INFO, NULL, "serving", SAY_T("listen", text(p, "listen")), SAY_N("port", rpc_server_port(p->server)),
        SAY_T("admin_listen", text(p, "admin-listen")), SAY_N("admin_port", admin_port(p->admin)),
        SAY_N("start_ms", (timers_now_us() - started_us) / 1000));
    real_port_run(p->real);
    for (size_t i = 0; i < 2; i++)
        uv_close((uv_handle_t *)&p->signals[i], NULL);
    return 0;
}

int service_main(const struct service_spec *spec, int argc, char **argv)
{
    int64_t started_us = timers_now_us();
    struct process p = { .spec = spec, .tables = { common_options, spec->options } };

    say_init(spec->name, SAY_INFO);
    int r = config_parse(p.tables, spec->name, spec->about, argc, argv);
    if (r != 0)
        return r > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
    if (say_level_set(text(&p, "log-level")) < 0) {
        fprintf(stderr, "%s: --log-level is debug, info, warn or error\n", spec->name);
        return EXIT_FAILURE;
    }
    signal(SIGPIPE, SIG_IGN);

    r = open_port(&p);
    bool restores = text(&p, "restore");
    if (r == 0)
        r = restores ? restore(&p) : open_service(&p);
    if (r == 0 && !restores)
        r = serve(&p, started_us);

    admin_destroy(p.admin);
    rpc_server_destroy(p.server);
    if (p.real)
        real_port_halt(p.real);
    service_destroy(p.service);
    exporter_destroy(p.exporter);
    real_port_destroy(p.real);
    if (r == 0 && !restores)
        say(SAY_INFO, NULL, "stopped");
    return r == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
