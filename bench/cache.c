/* bench/cache: availability through Redis beside direct reads of the database, by svc-inventory as it runs in
 * production, over mutual TLS; and what it costs to look for a Redis that is not there. */
#include "bench/cache_bench.h"
#include "bench/redis.h"
#include "svc-inventory/inventory.h"
#include "tests/mesh/certs.h"

#include <stdlib.h>
#include <string.h>

#define AT_ONCE 64
#define ROUND_S 0.25
#define ALONE   500 /* calls one after the other, in each round */

static const char *dir;

static const struct contender {
    const char *name, *cache; /* --cache */
    bool redis;               /* there is one */
} contenders[] = {
    { "through Redis", "on", true },
    { "direct reads", "off", true },
    { "Redis is not there", "on", false },
};
enum { CACHED, DIRECT, LOST, CONTENDERS };

static const int sizes[] = { 1, 20, PAGE_SKUS_MAX };
enum { ONE, PAGE, MANY, SIZES };

struct cost {
    double wall_s, cpu_s, redis_cpu_s;
    double alone_us; /* of the round that was disturbed least */
    long calls, wrong;
};

struct runner {
    struct server server;
    struct calls *calls;
    struct cost costs[SIZES];
};

/* --- the load --- */

static struct slot slots[AT_ONCE];
static struct page pages[AT_ONCE];

/* So many calls at once until it is time, but at least so many in all. Returns how many. */
static long run(struct runner *runner, int size, int at_once, double seconds, long least)
{
    double until = machine_now_s(CLOCK_MONOTONIC) + seconds;
    long begun = 0, *wrong = &runner->costs[size].wrong;
    for (int i = 0; i < at_once; i++, begun++) {
        slots[i].channel = i % CALLS_CHANNELS;
        pages[i].n = sizes[size];
        page_ask(runner->calls, &slots[i], &pages[i]);
    }
    while (calls_in_flight(runner->calls) > 0) {
        bool right;
        struct slot *slot = page_answer(runner->calls, slots, pages, &right);
        *wrong += !right;
        if (begun < least || machine_now_s(CLOCK_MONOTONIC) < until) {
            page_ask(runner->calls, slot, &pages[slot - slots]);
            begun++;
        }
    }
    return begun;
}

static void measure(struct runner *runner, int size, const struct redis *redis)
{
    struct cost *cost = &runner->costs[size];
    double wall = machine_now_s(CLOCK_MONOTONIC), cpu = machine_now_s(runner->server.cpu),
           redis_cpu = machine_now_s(redis->cpu);
    cost->calls += run(runner, size, AT_ONCE, ROUND_S, 0);
    double end = machine_now_s(CLOCK_MONOTONIC);
    cost->wall_s += end - wall;
    cost->cpu_s += machine_now_s(runner->server.cpu) - cpu;
    cost->redis_cpu_s += machine_now_s(redis->cpu) - redis_cpu;
    long alone = run(runner, size, 1, 0, ALONE);
    double alone_us = (machine_now_s(CLOCK_MONOTONIC) - end) / (double)alone * 1e6;
    cost->alone_us = cost->alone_us == 0 || alone_us < cost->alone_us ? alone_us : cost->alone_us;
}

/* --- what is told --- */

static double rate(const struct cost *cost)
{
    return (double)cost->calls / cost->wall_s;
}

static double cpu_us(const struct cost *cost)
{
    return (cost->cpu_s + cost->redis_cpu_s) / (double)cost->calls * 1e6;
}

static void tell(const struct runner *runners)
{
    for (int size = 0; size < SIZES; size++)
        for (int i = 0; i < CONTENDERS; i++) {
            const struct cost *cost = &runners[i].costs[size];
            printf("%3d SKUs, %-20s %6.0f calls/s %6.1f us of CPU a call, of which Redis' %5.1f; alone %4.0f us until "
                   "answered\n",
                   sizes[size], contenders[i].name, rate(cost), cpu_us(cost),
                   cost->redis_cpu_s / (double)cost->calls * 1e6, cost->alone_us);
        }
}

/* True: no answer was wrong. */
static bool tell_figures(const struct runner *runners)
{
    const struct cost *cached = runners[CACHED].costs, *direct = runners[DIRECT].costs, *lost = runners[LOST].costs;
    long wrong = 0;
    for (int size = 0; size < SIZES; size++)
        wrong += cached[size].wrong + direct[size].wrong + lost[size].wrong;
    printf("\nfigure: cache_rate_vs_direct %.2f x\n", rate(&cached[PAGE]) / rate(&direct[PAGE]));
    printf("figure: cache_cpu_vs_direct %.2f x\n", cpu_us(&cached[PAGE]) / cpu_us(&direct[PAGE]));
    printf("figure: cache_wait_vs_direct %.2f x\n", cached[PAGE].alone_us / direct[PAGE].alone_us);
    printf("figure: cache_lost_cpu_vs_direct %.2f x\n", cpu_us(&lost[PAGE]) / cpu_us(&direct[PAGE]));
    printf("figure: cache_wrong %ld answers\n", wrong);
    return wrong == 0;
}

/* --- the processes --- */

static void start(struct runner *runner, int i, const char *redis)
{
    char name[16], *ca = path_in(dir, "ca.pem"), *cert = path_in(dir, "svc-inventory.pem"),
                   *key = path_in(dir, "svc-inventory.key");
    snprintf(name, sizeof(name), "%d.db", i);
    char *db = path_in(dir, name);
    server_start(&runner->server, NULL,
                 (char *[]){ (char *)"bench_cache", (char *)"service", (char *)"--store-path", db, (char *)"--cache",
                             (char *)contenders[i].cache, (char *)"--redis", (char *)redis, (char *)"--tls-ca", ca,
                             (char *)"--tls-cert", cert, (char *)"--tls-key", key, NULL });
    free(ca);
    free(cert);
    free(key);
    free(db);
}

static void compare(double seconds)
{
    struct redis redis;
    struct runner runners[CONTENDERS] = { 0 };
    char nowhere[32];
    redis_start(&redis, dir);
    snprintf(nowhere, sizeof(nowhere), "127.0.0.1:%d", machine_free_port());
    for (int i = 0; i < CONTENDERS; i++)
        start(&runners[i], i, contenders[i].redis ? redis.address : nowhere);
    grpc_init();
    for (int i = 0; i < CONTENDERS; i++) {
        shop_fill(dir, &runners[i].server);
        runners[i].calls = calls_open(dir, &runners[i].server, "gateway");
        run(&runners[i], PAGE, AT_ONCE, ROUND_S, 0); /* to get warm */
    }
    /* In turns, so that what else the machine does weighs on all alike. */
    for (double end = machine_now_s(CLOCK_MONOTONIC) + seconds; machine_now_s(CLOCK_MONOTONIC) < end;)
        for (int size = 0; size < SIZES; size++)
            for (int i = 0; i < CONTENDERS; i++)
                measure(&runners[i], size, &redis);
    tell(runners);
    bool right = tell_figures(runners);
    for (int i = 0; i < CONTENDERS; i++) {
        calls_close(runners[i].calls);
        server_stop(&runners[i].server);
    }
    for (int i = 0; i < AT_ONCE; i++)
        slot_forget(&slots[i]);
    redis_stop(&redis);
    grpc_shutdown_blocking();
    if (!right)
        exit(EXIT_FAILURE);
}

static void make_dir(void)
{
    dir = machine_scratch("cache");
    certs_authority(dir, "ca");
    certs_issue(dir, "ca", "svc-inventory");
    certs_issue(dir, "ca", "gateway");
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "service") == 0)
        return service_main(&inventory_service, argc - 1, argv + 1);
    double seconds = argc == 3 && strcmp(argv[1], "--seconds") == 0 ? atof(argv[2]) : argc == 1 ? 24 : 0;
    if (seconds <= 0) {
        fprintf(stderr, "usage: bench/cache [--seconds N]\n");
        return 2;
    }
    make_dir();
    machine_print(dir);
    printf("%d SKUs, mutual TLS, %d calls at once, one thread of load\n\n", SKUS, AT_ONCE);
    compare(seconds);
    return EXIT_SUCCESS;
}
