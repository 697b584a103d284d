/* What a service costs that has nothing to do, and how long it takes to start: svc-inventory beside svc-order, which it
 * follows, and a Redis. */
#include "bench/machine.h"
#include "bench/redis.h"
#include "bench/rpc_servers.h"
#include "tests/mesh/certs.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STARTS 5

struct mesh {
    const char *dir;
    char peers[128];
    int inventory_port, order_port;
    struct redis redis;
};

/* The program NAME/NAME of the build directory that we are in. */
static char *program_of(const char *name)
{
    char self[400];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    self[n > 0 ? n : 0] = '\0';
    for (int i = 0; i < 2 && strrchr(self, '/'); i++)
        *strrchr(self, '/') = '\0';
    char *path;
    if (asprintf(&path, "%s/%s/%s", self, name, name) < 0)
        abort();
    return path;
}

static char *file_of(const struct mesh *mesh, const char *name, const char *ending)
{
    char file[64];
    snprintf(file, sizeof(file), "%s.%s", name, ending);
    return path_in(mesh->dir, file);
}

static void start(struct mesh *mesh, const char *name, int port, struct server *server)
{
    char listen_on[32], *program = program_of(name), *ca = path_in(mesh->dir, "ca.pem"),
                        *cert = file_of(mesh, name, "pem"), *key = file_of(mesh, name, "key"),
                        *db = file_of(mesh, name, "db");
    snprintf(listen_on, sizeof(listen_on), "127.0.0.1:%d", port);
    server_start(server, program,
                 (char *[]){ program, (char *)"--listen", listen_on, (char *)"--peers", mesh->peers, (char *)"--redis",
                             mesh->redis.address, (char *)"--store-path", db, (char *)"--tls-ca", ca,
                             (char *)"--tls-cert", cert, (char *)"--tls-key", key, (char *)"--drain-notice",
                             (char *)"0ms", NULL });
    free(program);
    free(ca);
    free(cert);
    free(key);
    free(db);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void idle_measure(const char *dir, struct idle_cost *ret_cost)
{
    struct mesh mesh = { dir, .inventory_port = machine_free_port(), .order_port = machine_free_port() };
    struct server order, inventory;
    double start_ms[STARTS];
    certs_issue(dir, "ca", "svc-inventory");
    certs_issue(dir, "ca", "svc-order");
    snprintf(mesh.peers, sizeof(mesh.peers), "svc-inventory=127.0.0.1:%d,svc-order=127.0.0.1:%d", mesh.inventory_port,
             mesh.order_port);
    redis_start(&mesh.redis, dir);
    start(&mesh, "svc-order", mesh.order_port, &order);

    start(&mesh, "svc-inventory", mesh.inventory_port, &inventory);
    printf("svc-inventory's first start, on a store that is still to be made: %.0f ms\n", inventory.start_ms);
    for (int i = 0; i < STARTS; i++) {
        server_stop(&inventory);
        start(&mesh, "svc-inventory", mesh.inventory_port, &inventory);
        start_ms[i] = inventory.start_ms;
    }
    machine_await_idle(inventory.pid);
    ret_cost->rss_kb = machine_memory_kb(inventory.pid, "Rss:");
    printf("it is idle with %.0f kB, of which %.0f are its own alone\n\n", ret_cost->rss_kb,
           machine_private_kb(inventory.pid));
    qsort(start_ms, STARTS, sizeof(start_ms[0]), by_value);
    ret_cost->start_ms = start_ms[STARTS / 2];
    server_stop(&inventory);
    server_stop(&order);
    redis_stop(&mesh.redis);
}
