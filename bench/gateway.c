/* What a proxied call costs: requests per CPU-second of the gateway beside haproxy, nginx and a proxy on bare C core,
 * all in front of the same backend, in turn: bench/gateway [--seconds N]. */
#include "bench/gateway_bench.h"
#include "bench/machine.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS     2 /* of every proxy in turn, so that a noisy neighbour meets them all */
#define PRINCIPALS 10000
#define FRESH_RATE 2000 /* tokens a second that are seen for the first time: more than any of them gets through */
#define WARM_US    200000
#define WATCHERS   5000

struct proxy {
    const char *name;
    void (*start)(struct proxy *proxy);
    pid_t pid;
    int port;
    double cpu_s;
    size_t calls;
    int64_t wall_us, p50_us, p99_us;
};

static const char *dir, *bin; /* keys and configurations; programs built beside this one */
static int backend_port;
static double idle_kb, start_ms, loaded_kb, watchers_kb, watcher_kb;

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "bench/gateway: %s\n", what);
    exit(EXIT_FAILURE);
}

/* --- processes --- */

/* Runs a program that ends with us; ret_out reads what it writes to the given descriptor. */
static pid_t run(const char *const *argv, int what_fd, int *ret_out)
{
    int pipe_fds[2];
    if (pipe2(pipe_fds, O_CLOEXEC) < 0)
        die("no pipe");
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(pipe_fds[1], what_fd);
        execvp(argv[0], (char **)argv);
        _exit(127);
    }
    close(pipe_fds[1]);
    *ret_out = pipe_fds[0];
    return pid;
}

static void stop(struct proxy *proxy)
{
    kill(proxy->pid, SIGTERM);
    for (int i = 0; i < 300 && waitpid(proxy->pid, NULL, WNOHANG) == 0; i++)
        usleep(10000);
    kill(proxy->pid, SIGKILL);
    waitpid(proxy->pid, NULL, 0);
}

/* Reads until the text has come, and the number behind it. */
static int read_number(int fd, const char *before)
{
    static char text[16384];
    size_t len = 0;
    for (ssize_t n; (n = read(fd, text + len, sizeof(text) - 1 - len)) > 0;) {
        text[len += (size_t)n] = '\0';
        char *at = strstr(text, before);
        if (at && strchr(at, '\n'))
            return atoi(at + strlen(before));
        if (len == sizeof(text) - 1)
            break;
    }
    fprintf(stderr, "%s", text);
    return -1;
}

static void wait_for_port(const struct proxy *proxy)
{
    struct sockaddr_in address = { AF_INET, htons((uint16_t)proxy->port), { htonl(INADDR_LOOPBACK) }, { 0 } };
    for (int i = 0; i < 500; i++) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        int r = connect(fd, (struct sockaddr *)&address, sizeof(address));
        close(fd);
        if (r == 0)
            return;
        if (waitpid(proxy->pid, NULL, WNOHANG) > 0)
            break;
        usleep(10000);
    }
    fprintf(stderr, "bench/gateway: %s does not listen\n", proxy->name);
    exit(EXIT_FAILURE);
}

static double cpu_s(pid_t pid)
{
    clockid_t clock;
    struct timespec t;
    if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &t) < 0)
        die("the proxy is gone");
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static const char *in_dir(const char *name)
{
    static char paths[8][512];
    static int next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof(paths[0]), "%s/%s", dir, name);
    return path;
}

/* --- the contenders --- */

static void start_gateway(struct proxy *proxy)
{
    char program[512], peers[64];
    int log;
    snprintf(program, sizeof(program), "%s/gateway/gateway", bin);
    snprintf(peers, sizeof(peers), "svc-order=127.0.0.1:%d", backend_port);
    const char *argv[] = { program,
                           "--listen",
                           "127.0.0.1:0",
                           "--peers",
                           peers,
                           "--tls-ca",
                           in_dir("ca.crt"),
                           "--tls-cert",
                           in_dir("gateway.crt"),
                           "--tls-key",
                           in_dir("gateway.key"),
                           "--jwt-keys",
                           in_dir("token.pub"),
                           "--connections-per-source",
                           "60000",
                           "--calls-per-source",
                           "60000",
                           NULL };
    proxy->pid = run(argv, STDERR_FILENO, &log);
    proxy->port = read_number(log, "\"event\":\"serving\",\"port\":");
    if (proxy->port < 0)
        die("the gateway does not serve");
    close(log);
}

static void write_config(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    if (!file || fputs(text, file) < 0 || fclose(file) != 0)
        die("cannot write a configuration");
}

static void start_haproxy(struct proxy *proxy)
{
    char text[2048];
    int log;
    proxy->port = machine_free_port();
    snprintf(text, sizeof(text),
             "global\n nbthread 1\n maxconn 1000\n"
             "defaults\n mode http\n timeout connect 5s\n timeout client 60s\n timeout server 60s\n http-reuse always\n"
             "frontend f\n bind 127.0.0.1:%d proto h2\n default_backend b\n"
             "backend b\n server s 127.0.0.1:%d ssl verify required ca-file %s crt %s sni str(svc-order) verifyhost "
             "svc-order alpn h2\n",
             proxy->port, backend_port, in_dir("ca.crt"), in_dir("gateway.both"));
    write_config(in_dir("haproxy.cfg"), text);
    const char *argv[] = { "haproxy", "-db", "-f", in_dir("haproxy.cfg"), NULL };
    proxy->pid = run(argv, STDERR_FILENO, &log);
    wait_for_port(proxy);
}

static void start_nginx(struct proxy *proxy)
{
    char text[2048];
    int log;
    proxy->port = machine_free_port();
    snprintf(text, sizeof(text),
             "daemon off; master_process off; worker_processes 1; pid %s; error_log /dev/null;\n"
             "events { worker_connections 1024; }\n"
             "http { access_log off; keepalive_requests 100000000;\n"
             " upstream b { server 127.0.0.1:%d; keepalive 128; keepalive_requests 100000000; }\n"
             " server { listen 127.0.0.1:%d http2; http2_max_requests 100000000; location / {\n"
             "  grpc_pass grpcs://b; grpc_ssl_verify on; grpc_ssl_name svc-order; grpc_ssl_server_name on;\n"
             "  grpc_ssl_trusted_certificate %s; grpc_ssl_certificate %s; grpc_ssl_certificate_key %s; } } }\n",
             in_dir("nginx.pid"), backend_port, proxy->port, in_dir("ca.crt"), in_dir("gateway.crt"),
             in_dir("gateway.key"));
    write_config(in_dir("nginx.cfg"), text);
    const char *argv[] = { "nginx", "-p", dir, "-c", in_dir("nginx.cfg"), NULL };
    proxy->pid = run(argv, STDERR_FILENO, &log);
    wait_for_port(proxy);
}

static void start_ccore(struct proxy *proxy)
{
    char program[512], port[16];
    int out;
    snprintf(program, sizeof(program), "%s/bench/bench_gateway_ccore", bin);
    snprintf(port, sizeof(port), "%d", backend_port);
    const char *argv[] = { program, dir, port, NULL };
    proxy->pid = run(argv, STDOUT_FILENO, &out);
    proxy->port = read_number(out, "");
    if (proxy->port < 0)
        die("the proxy on C core does not serve");
    close(out);
}

static void start_backend(struct proxy *backend, const char *self)
{
    int out;
    const char *argv[] = { self, "--backend", dir, NULL };
    backend->pid = run(argv, STDOUT_FILENO, &out);
    backend_port = read_number(out, "");
    if (backend_port < 0)
        die("the backend does not serve");
    close(out);
}

/* One of those that are always beside the gateway and have the same libraries in memory: what all share is nobody's own
 * alone. It has nothing to do. */
static void start_service(struct proxy *service)
{
    char program[512];
    int log;
    snprintf(program, sizeof(program), "%s/svc-order/svc-order", bin);
    const char *argv[] = {
        program,          "--listen",   "127.0.0.1:0",           "--store-path", in_dir("order.db"),      "--tls-ca",
        in_dir("ca.crt"), "--tls-cert", in_dir("svc-order.crt"), "--tls-key",    in_dir("svc-order.key"), NULL
    };
    service->pid = run(argv, STDERR_FILENO, &log);
    if (read_number(log, "\"port\":") < 0)
        die("the service does not serve");
    close(log);
}

/* --- measuring --- */

static void measuring(void *arg, bool begins)
{
    struct proxy *proxy = arg;
    proxy->cpu_s += begins ? -cpu_s(proxy->pid) : cpu_s(proxy->pid);
    if (!begins && proxy->start == start_gateway)
        loaded_kb = machine_private_kb(proxy->pid);
}

static void measure(struct proxy *proxy, struct tokens *tokens, int64_t measured_us)
{
    struct load_result result;
    int64_t begun_us = wheel_now_us();
    proxy->start(proxy);
    if (proxy->start == start_gateway && !start_ms) {
        start_ms = (double)(wheel_now_us() - begun_us) / 1000;
        machine_await_idle(proxy->pid);
        idle_kb = machine_private_kb(proxy->pid);
    }
    tokens->next_fresh = 0; /* it has not seen any of them */
    load_run(proxy->port, tokens, WARM_US, measured_us, measuring, proxy, &result);
    stop(proxy);
    if (result.failed)
        fprintf(stderr, "bench/gateway: %s: %zu of %zu calls failed\n", proxy->name, result.failed, result.calls);
    if (result.failed * 1000 > result.calls)
        die("too many calls failed");
    proxy->calls += result.calls;
    proxy->wall_us += result.wall_us;
    proxy->p50_us = result.p50_us;
    proxy->p99_us = result.p99_us;
}

static void all_watch(void *arg)
{
    struct proxy *proxy = arg;
    watcher_kb = (machine_private_kb(proxy->pid) - watchers_kb) / WATCHERS;
}

/* What an idle watcher costs: a connection of its own, its session, its watch. */
static void measure_watchers(struct proxy *gateway, const char *token)
{
    gateway->start(gateway);
    watchers_run(gateway->port, token, 100, all_watch, gateway); /* what the first ones cost once */
    watchers_kb = machine_private_kb(gateway->pid);
    watchers_run(gateway->port, token, WATCHERS, all_watch, gateway);
    stop(gateway);
}

static double per_cpu_s(const struct proxy *proxy)
{
    return (double)proxy->calls / proxy->cpu_s;
}

static void print_machine(void)
{
    char line[256] = "", *model = line;
    FILE *file = fopen("/proc/cpuinfo", "r");
    while (file && fgets(line, sizeof(line), file) && strncmp(line, "model name", 10) != 0)
        ;
    if (file)
        fclose(file);
    model = strchr(line, ':') ? strchr(line, ':') + 2 : line;
    model[strcspn(model, "\n")] = '\0';
    printf("machine: %s\n", model);
    machine_print(dir);
    printf("fdatasync of one page: %.0f us (median of 100)\n", machine_sync_us(dir));
    printf(
        "load: %d connections × %d calls in flight, %d bytes both ways; %d principals, 1 %% of the calls by new ones\n",
        BENCH_CONNECTIONS, BENCH_STREAMS, BENCH_MESSAGE, PRINCIPALS);
    printf("all speak mutual TLS to the backend; only the gateway verifies tokens, checks roles and counts\n\n");
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--backend") == 0)
        return backend_main(argv[2]);
    struct proxy proxies[] = {
        { "gateway", start_gateway }, { "haproxy", start_haproxy }, { "nginx", start_nginx }, { "C core", start_ccore }
    };
    const size_t n = sizeof(proxies) / sizeof(proxies[0]);
    double seconds = 24;
    if (argc == 5 && strcmp(argv[3], "--seconds") == 0)
        seconds = atof(argv[4]);
    if ((argc != 3 && argc != 5) || seconds <= 0)
        die("[--seconds N]");
    dir = argv[1];
    bin = argv[2];
    signal(SIGPIPE, SIG_IGN);
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }

    struct tokens tokens;
    struct proxy backend = { "backend" }, service = { "service" };
    print_machine();
    int64_t measured_us = (int64_t)(seconds * 1e6 / (double)(n * ROUNDS));
    tokens_make(&tokens, in_dir("token.key"), PRINCIPALS, (size_t)(measured_us * FRESH_RATE / 1000000) + 1);
    start_backend(&backend, argv[0]);
    start_service(&service);
    for (int round = 0; round < ROUNDS; round++)
        for (size_t i = 0; i < n; i++)
            measure(&proxies[i], &tokens, measured_us);
    measure_watchers(&proxies[0], tokens.known[0]);
    stop(&service);
    stop(&backend);
    tokens_drop(&tokens);

    printf("%-10s %12s %12s %10s %10s\n", "proxy", "req/CPU-s", "req/s", "p50 µs", "p99 µs");
    for (size_t i = 0; i < n; i++)
        printf("%-10s %12.0f %12.0f %10lld %10lld\n", proxies[i].name, per_cpu_s(&proxies[i]),
               (double)proxies[i].calls * 1e6 / (double)proxies[i].wall_us, (long long)proxies[i].p50_us,
               (long long)proxies[i].p99_us);
    printf("\nthe gateway's private memory after the load: %.0f KiB\n", loaded_kb);
    printf("figure: gateway_vs_haproxy %.2f ratio\n", per_cpu_s(&proxies[0]) / per_cpu_s(&proxies[1]));
    printf("figure: gateway_vs_nginx %.2f ratio\n", per_cpu_s(&proxies[0]) / per_cpu_s(&proxies[2]));
    printf("figure: gateway_vs_ccore %.2f ratio\n", per_cpu_s(&proxies[0]) / per_cpu_s(&proxies[3]));
    printf("figure: gateway_idle_kb %.0f KiB\n", idle_kb);
    printf("figure: watcher_idle_kb %.1f KiB\n", watcher_kb);
    printf("figure: gateway_start_ms %.0f ms\n", start_ms);
    return EXIT_SUCCESS;
}
