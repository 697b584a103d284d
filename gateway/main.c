/* The gateway's process: options, port, signals, drain, exit code. */
#include "gateway/gateway.h"
#include "gateway/keyring.h"
#include "mesh/base/config.h"
#include "mesh/base/say.h"
#include "mesh/run/admin.h"
#include "mesh/run/exporter.h"
#include "mesh/run/real.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

static struct option options[] = {
    { "listen", OPTION_TEXT, NULL, "where clients are served without TLS: loopback only, such as 127.0.0.1:7000" },
    { "listen-tls", OPTION_TEXT, NULL, "where clients are served with TLS, such as 0.0.0.0:7443" },
    { "cert", OPTION_TEXT, NULL, "PEM file of the certificate that clients see" },
    { "key", OPTION_TEXT, NULL, "PEM file of its key" },
    { "admin-listen", OPTION_TEXT, "127.0.0.1:0", "where /healthz and /metrics are served over HTTP" },
    { "peers", OPTION_TEXT, "", "processes behind: svc-order=127.0.0.1:7101+127.0.0.1:7111,svc-x=dns:///svc-x:7100" },
    { "tls-ca", OPTION_TEXT, NULL, "PEM file of the mesh's CA; without it the mesh is spoken to in the clear" },
    { "tls-cert", OPTION_TEXT, NULL, "PEM file of the gateway's certificate (spiffe://ordermesh/gateway)" },
    { "tls-key", OPTION_TEXT, NULL, "PEM file of its key" },
    { "jwt-keys", OPTION_TEXT, NULL, "keys for tokens: a file (PEM or JWK Set), or https://… of an issuer's JWK Set" },
    { "jwt-refetch", OPTION_DURATION, "5m", "keys are fetched from their URL again after it" },
    { "jwt-algorithms", OPTION_TEXT, "ES256,RS256,EdDSA", "what tokens may be signed with" },
    { "jwt-issuer", OPTION_TEXT, "ordermesh-dev", "the issuer that tokens must have" },
    { "jwt-audience", OPTION_TEXT, "ordermesh",
      "the audience that tokens must have, or several with commas: one of them" },
    { "accounts", OPTION_TEXT, NULL, "file of the machines that have API keys or certificates (docs/gateway.md)" },
    { "client-ca", OPTION_TEXT, NULL, "PEM file of the CA of certificates that clients may show" },
    { "token-cache", OPTION_NUMBER, "16384", "verified tokens that are remembered" },
    { "rate-source", OPTION_TEXT, "", "calls from one address, or one /64 of IPv6: 1000/s:2000, 600/m; no limit" },
    { "rate-principal", OPTION_TEXT, "", "calls of one caller, wherever from; no limit" },
    { "connections", OPTION_NUMBER, "60000", "clients' connections at most" },
    { "connections-per-source", OPTION_NUMBER, "4096", "of these from one address, or one /64 of IPv6" },
    { "streams", OPTION_NUMBER, "128", "calls under way on one connection at most" },
    { "calls-per-source", OPTION_NUMBER, "8192", "calls under way of one address at most" },
    { "buffered", OPTION_BYTES, "64M", "bytes held for all calls at most" },
    { "buffered-per-source", OPTION_BYTES, "16M", "of these for one address" },
    { "call-timeout", OPTION_DURATION, "60s", "of unary calls, unless the client asks for less" },
    { "idle", OPTION_DURATION, "5m", "a connection without calls is closed after it" },
    { "quiet", OPTION_DURATION, "60s", "a silent connection is asked for a sign of life after it" },
    { "handshake", OPTION_DURATION, "10s", "from connecting until the first call begins, at most" },
    { "head", OPTION_DURATION, "10s", "the headers of a call may take so long" },
    { "body", OPTION_DURATION, "30s", "and its body, where that is one message" },
    { "stalled", OPTION_DURATION, "30s", "a client that takes nothing of a reply meanwhile is cut off" },
    { "age", OPTION_DURATION, "0s", "a connection is asked to go after it; 0s: never" },
    { "cors-origins", OPTION_TEXT, "",
      "pages that may call from a browser: https://shop.example,https://x:8443, or *" },
    { "access-log", OPTION_FLAG, "false", "one line for every call" },
    { "outside", OPTION_TEXT, "", "who takes traces by OTLP over HTTP: traces=http://127.0.0.1:4318" },
    { "trace-every", OPTION_NUMBER, "100", "one call in so many is told to who takes traces, with all that follows" },
    { "log-level", OPTION_TEXT, "info", "debug, info, warn or error" },
    { "drain-notice", OPTION_DURATION, "500ms", "how long NOT_SERVING is told before clients are sent away" },
    { "drain-grace", OPTION_DURATION, "5s", "how long calls under way may take after that" },
    {},
};
static struct option *const tables[] = { options, NULL };

struct process {
    struct real_port *real;
    struct gateway *gateway;
    struct admin *admin;
    struct exporter *exporter; /* NULL: nobody wants spans */
    uv_signal_t signals[3];
    uv_timer_t beat;
    atomic_bool serving;
    int64_t started_us;
    bool draining, told;
};

static const char *text(const char *name)
{
    return config_text(tables, name);
}

static int64_t number(const char *name)
{
    return config_number(tables, name);
}

static bool is_serving(void *arg)
{
    return atomic_load(&((struct process *)arg)->serving);
}

static void destroyed(void *arg)
{
    struct process *p = arg;
    p->gateway = NULL;
    real_port_stop(p->real);
}

static void drained(void *arg)
{
    struct process *p = arg;
    gateway_destroy(p->gateway, destroyed, p);
}

static void on_signal(uv_signal_t *handle, int signum)
{
    struct process *p = handle->data;
    if (signum == SIGHUP) {
        gateway_reload(p->gateway);
        return;
    }
    if (p->draining)
        _exit(EXIT_FAILURE);
    p->draining = true;
    atomic_store(&p->serving, false);
    exporter_flush(p->exporter);
    say(SAY_INFO, NULL, "draining", SAY_T("signal", strsignal(signum)),
        SAY_N("active", (int64_t)p->gateway->n_exchanges));
    gateway_drain(p->gateway, number("drain-notice"), number("drain-grace"), drained, p);
}

/* Readiness, as the admin port's thread sees it. */
static void on_beat(uv_timer_t *timer)
{
    struct process *p = timer->data;
    bool serving = p->gateway && gateway_serving(p->gateway);
    atomic_store(&p->serving, serving);
    if (serving && !p->told) {
        p->told = true;
        say(SAY_INFO, NULL, "serving", SAY_N("port", gateway_port(p->gateway)),
            SAY_N("tls_port", gateway_tls_port(p->gateway)), SAY_N("admin_port", admin_port(p->admin)),
            SAY_N("start_ms", (wheel_now_us() - p->started_us) / 1000));
        uv_timer_set_repeat(timer, 100);
    }
}

static void listen_to_signals(struct process *p)
{
    static const int numbers[] = { SIGTERM, SIGINT, SIGHUP };
    uv_loop_t *loop = real_port_loop(p->real);
    for (size_t i = 0; i < 3; i++) {
        uv_signal_init(loop, &p->signals[i]);
        p->signals[i].data = p;
        uv_signal_start(&p->signals[i], on_signal, numbers[i]);
    }
    uv_timer_init(loop, &p->beat);
    p->beat.data = p;
    uv_timer_start(&p->beat, on_beat, 1, 5);
}

static void close_handles(struct process *p)
{
    for (size_t i = 0; i < 3; i++)
        uv_close((uv_handle_t *)&p->signals[i], NULL);
    uv_close((uv_handle_t *)&p->beat, NULL);
}

static int serve(struct process *p)
{
    struct gateway_options o = {
        .listen = text("listen"),
        .listen_tls = text("listen-tls"),
        .cert = text("cert"),
        .key = text("key"),
        .client_ca = text("client-ca"),
        .mesh_ca = text("tls-ca"),
        .mesh_cert = text("tls-cert"),
        .mesh_key = text("tls-key"),
        .peers = text("peers"),
        .cors_origins = text("cors-origins"),
        .auth = { text("jwt-keys"), text("jwt-issuer"), text("jwt-audience"), (size_t)number("token-cache"),
                  text("jwt-algorithms"), number("jwt-refetch"), text("accounts") },
        .limits = { .connections = (size_t)number("connections"),
                    .per_source = (size_t)number("connections-per-source"),
                    .streams = (uint32_t)number("streams"),
                    .source_calls = (size_t)number("calls-per-source"),
                    .buffered = (size_t)number("buffered"),
                    .source_buffered = (size_t)number("buffered-per-source"),
                    .call_timeout_us = number("call-timeout"),
                    .idle_us = number("idle"),
                    .quiet_us = number("quiet"),
                    .handshake_us = number("handshake"),
                    .head_us = number("head"),
                    .body_us = number("body"),
                    .stalled_us = number("stalled"),
                    .age_us = number("age") },
        .access_log = number("access-log"),
        .trace_every = p->exporter ? (uint64_t)number("trace-every") : 0,
    };
    if (rate_parse(text("rate-source"), &o.rate_source) < 0 ||
        rate_parse(text("rate-principal"), &o.rate_principal) < 0) {
        say(SAY_ERROR, NULL, "rates are such as 1000/s:2000 or 600/m");
        return -EINVAL;
    }
    int r = admin_create(text("admin-listen"), is_serving, p, &p->admin);
    if (r == 0)
        r = gateway_create(real_port(p->real), real_port_loop(p->real), &o, &p->gateway);
    if (r < 0)
        return r;
    listen_to_signals(p);
    say(SAY_INFO, NULL, "listening", SAY_N("port", gateway_port(p->gateway)),
        SAY_N("tls_port", gateway_tls_port(p->gateway)), SAY_N("admin_port", admin_port(p->admin)));
    real_port_run(p->real);
    close_handles(p);
    return 0;
}

/* What cannot work is said before anything is opened. */
static const char *missing(void)
{
    if (!text("listen") && !text("listen-tls"))
        return "--listen or --listen-tls is needed";
    if (text("listen-tls") && (!text("cert") || !text("key")))
        return "--listen-tls needs --cert and --key";
    if (!text("jwt-keys"))
        return "--jwt-keys is needed";
    return NULL;
}

static void allow_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

int main(int argc, char **argv)
{
    struct process p = { .started_us = wheel_now_us() };
    say_init("gateway", SAY_INFO);
    int r = config_parse(tables, "gateway", "the mesh's one door for clients", argc, argv);
    if (r != 0)
        return r > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
    const char *lack = say_level_set(text("log-level")) < 0 ? "--log-level is debug, info, warn or error" : missing();
    if (lack) {
        fprintf(stderr, "gateway: %s\n", lack);
        return EXIT_FAILURE;
    }
    signal(SIGPIPE, SIG_IGN);
    allow_descriptors();

    char outside[2048], keys[512];
    if (keyring_outside(text("jwt-keys"), keys, sizeof(keys)) < 0)
        return EXIT_FAILURE;
    if ((size_t)snprintf(outside, sizeof(outside), "%s%s%s", text("outside"), *text("outside") && *keys ? "," : "",
                         keys) >= sizeof(outside)) {
        fprintf(stderr, "gateway: --outside is too long\n");
        return EXIT_FAILURE;
    }
    const struct real_options real = {
        .process = "gateway",
        .peers = text("peers"),
        .tls = { text("tls-ca"), text("tls-cert"), text("tls-key") },
        .outside = outside,
    };
    r = real_port_create(&real, &p.real);
    if (r == 0 && real_port_knows(p.real, "traces"))
        r = exporter_create(real_port(p.real), "gateway", &p.exporter);
    if (r == 0)
        r = serve(&p);
    admin_destroy(p.admin);
    if (p.real)
        real_port_halt(p.real);
    exporter_destroy(p.exporter);
    real_port_destroy(p.real);
    if (r == 0)
        say(SAY_INFO, NULL, "stopped");
    return r == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
