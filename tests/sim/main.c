/* The simulator: all services in one world, people who shop in it, everything that can go wrong, and then the books.
 */
#include "mesh/base/say.h"
#include "mesh/service.h"
#include "tests/sim/judge.h"
#include "tests/sim/town.h"

#include <fcntl.h>
#include <malloc.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define KEPT_BYTES  (32 << 20) /* the heap keeps blocks as large as that, and as much in reserve */
#define HOUR_US     3600000000
#define SECOND_US   1000000
#define OUTAGE_US   HOUR_US /* the longest: longer than commands are tried */
#define NOTICED_US  (60 * SECOND_US)
#define OUTAGES     3             /* fewer than that many in a run */
#define STORM_US    (2 * HOUR_US) /* the longest that faults last */
#define LEASE_US    (30 * SECOND_US)
#define PATIENCE_US (60 * SECOND_US)
#define LULL_US     (60 * SECOND_US) /* the longest that a machine stands still in the calm */
#define CALM_US     (4 * HOUR_US)    /* settling may take as long; wall clocks may be two hours apart */

struct plan {
    uint64_t seed;
    size_t orders;
    bool faults;
};

/* What a run has to tell; its process hands it on through a pipe. */
struct result {
    uint64_t orders, refused, repeated, cancels, retried, violations, faults, steps, trace;
    double cpu_s, virtual_s;
};

/* How often things happen at least where they happen at all, in millionths; a run has about two thirds of the kinds, at
 * one, three or nine times that rate. */
static const struct faults least = {
    .request_lost = 3000,
    .request_twice = 3000,
    .reply_lost = 3000,
    .late = 3000,
    .stream_broken = 3000,
    .held_up = 200000,
    .crash = 100,
    .crash_in_write = 200,
    .disk_full = 30,
    .stall = 100,
    .partition = 100,
    .wall_jump = 50,
    .cache_late = 5000,
    .cache_refused = 5000,
    .cache_flushed = 100,
    .cache_set_back = 200,
    .cache_saved = 300000,
};

static void choose_faults(struct world *w)
{
    static const uint32_t times[] = { 1, 3, 9 };
    const uint32_t *from = (const uint32_t *)&least;
    uint32_t *to = (uint32_t *)world_faults(w);

    for (size_t i = 0; i < offsetof(struct faults, outage_us) / sizeof(*from); i++)
        to[i] = world_roll(w, 3) ? from[i] * times[world_roll(w, 3)] : 0;
}

/* How fast people are, from at their ease to a flash sale, whether they mean it, and how slow the disks are: who waits
 * is served together. */
static void choose_pace(struct world *w, struct shop *shop)
{
    static const int64_t hurry[] = { 1, 10, 100 }, commit_us[] = { 100, 1000, 5000 };
    static const uint64_t regret[] = { 0, 0, 30 };

    shop->hurry = hurry[world_roll(w, 3)];
    shop->regret = regret[world_roll(w, 3)];
    world_faults(w)->commit_us = commit_us[world_roll(w, 3)];
}

extern const struct service_spec inventory_service, order_service, payment_service, shipping_service, notify_service;

static const struct service_spec *const services[] = { &inventory_service, &order_service, &payment_service,
                                                       &shipping_service, &notify_service };
#define SERVICES (sizeof(services) / sizeof(services[0]))

static struct node *some_service(struct world *w)
{
    return world_node(w, services[world_roll(w, SERVICES)]->name);
}

/* Some run every unit twice; leases are short enough to lapse while a machine stands still, or cost little. */
static bool host(struct world *w, struct node *nodes[SERVICES])
{
    bool well = true;

    for (size_t i = 0; i < SERVICES; i++)
        nodes[i] = node_create(w, services[i]->name);
    for (size_t i = 0; well && i < SERVICES; i++) {
        const struct service_options options = { .rerun_always = world_roll(w, 4) == 0,
                                                 .lease_ttl_us = world_roll(w, 2) ? LEASE_US : 0 };
        well = node_host(nodes[i], services[i], &options);
    }
    return well;
}

/* One of them is gone for long, when that many orders have been placed. */
struct outages {
    struct shop *shop;
    size_t left, next_at;
};

static bool outage_due(const struct outages *o)
{
    return o->left > 0 && o->shop->n_intentions >= o->next_at;
}

static void next_outage(struct outages *o)
{
    o->next_at += world_roll(o->shop->w, o->shop->wanted - o->next_at + 1);
}

/* Once everybody has noticed there is little going on, in which it would be all that happens. */
static void strike(struct outages *o)
{
    struct shop *shop = o->shop;
    int64_t us = (int64_t)world_roll(shop->w, OUTAGE_US);

    o->left--;
    next_outage(o);
    node_crash(some_service(shop->w), us);
    world_until(shop->w, shop_served, shop, NOTICED_US);
    world_hush(shop->w, us - NOTICED_US);
}

static bool something_due(void *arg)
{
    return outage_due(arg) || shop_served(((struct outages *)arg)->shop);
}

/* Until everybody is served, with a look at the books now and then. */
static void storm(struct shop *shop)
{
    struct world *w = shop->w;
    struct outages outages = { shop, shop->faults ? world_roll(w, OUTAGES) : 0, 0 };

    next_outage(&outages);
    for (int64_t end_us = world_now(w) + STORM_US; world_now(w) < end_us;) {
        world_until(w, something_due, &outages, 1 + (int64_t)world_roll(w, 120 * SECOND_US));
        if (outage_due(&outages))
            strike(&outages);
        if (shop_served(shop))
            break;
        judge(shop, false, true);
    }
}

/* What may still happen when everything else is well: it heals by itself, whether or not anybody does anything. */
static void standstill(struct world *w)
{
    node_stall(some_service(w), (int64_t)world_roll(w, LULL_US));
}

static void forgetfulness(struct world *w)
{
    world_cache_set_back(w);
}

static void breakdown(struct world *w)
{
    node_crash(some_service(w), -1);
}

/* Until everything is over; longer and longer, as some of it takes its time. */
static bool come_to_rest(struct shop *shop)
{
    struct world *w = shop->w;
    int64_t end_us = world_now(w) + CALM_US;

    for (int64_t wait_us = 4 * SECOND_US; world_now(w) < end_us; wait_us += wait_us / 4) {
        world_until(w, shop_served, shop, wait_us);
        world_run(w, wait_us);
        if (shop_served(shop) && !world_belated(w) && judge(shop, true, false) == 0)
            return true;
        if (shop->faults && world_roll(w, 4) == 0)
            standstill(w);
    }
    return false;
}

static void calm(struct shop *shop)
{
    static void (*const mishaps[])(struct world *) = { standstill, forgetfulness, breakdown };
    struct world *w = shop->w;

    world_quiet(w);
    shop->closing = true;
    bool well = come_to_rest(shop);
    if (well && shop->faults && world_roll(w, 2)) {
        mishaps[world_roll(w, sizeof(mishaps) / sizeof(mishaps[0]))](w);
        well = come_to_rest(shop);
    }
    if (!shop_served(shop))
        shop_violation(shop, "%zu orders were never answered", shop->n_open);
    if (!well && judge(shop, true, true) < 0)
        shop_violation(shop, "a service is not there although nothing is wrong any more");
}

/* Some wait for whoever writes to customers. */
static bool prepare(struct shop *shop)
{
    static const char begun[] = "svc-notify follows everybody";
    struct world *w = shop->w;
    int64_t start_us = world_now(w), patience_us = world_roll(w, 4) ? PATIENCE_US : 0;

    for (; world_now(w) < start_us + HOUR_US; world_run(w, SECOND_US / 4)) {
        if (!judge_one(shop, "svc-order knows the prices of the catalogue"))
            continue;
        shop->hears_all = judge_one(shop, begun);
        if (shop->hears_all || world_now(w) >= start_us + patience_us)
            return true;
    }
    return false;
}

static void run(const struct plan *plan, struct result *ret_result)
{
    struct world *w = world_create(plan->seed);
    struct node *nodes[SERVICES];
    struct shop *shop = shop_create(w, plan->orders);

    shop->town = town_create(w, shop->gateway);
    if (!host(w, nodes))
        shop_violation(shop, "the services do not start");
    shop->faults = plan->faults;
    choose_pace(w, shop);
    if (plan->faults)
        choose_faults(w);
    if (!shop_load(shop))
        shop_violation(shop, "the catalogue cannot be loaded");
    if (!prepare(shop))
        shop_violation(shop, "svc-order does not learn the prices");
    shop_open(shop);
    storm(shop);
    calm(shop);
    struct timespec cpu;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
    *ret_result = (struct result){
        .orders = shop->acknowledged,
        .refused = shop->refused,
        .repeated = shop->repeated,
        .cancels = shop->cancels,
        .retried = shop->retried,
        .violations = shop->violations,
        .faults = world_faults_seen(w),
        .steps = world_steps(w),
        .trace = world_trace(w),
        .cpu_s = (double)cpu.tv_sec + (double)cpu.tv_nsec / 1e9,
        .virtual_s = (double)world_now(w) / 1e6,
    };
    struct town *town = shop->town;
    judge_close(shop);
    shop_destroy(shop);
    for (size_t i = 0; i < SERVICES; i++)
        node_retire(nodes[i]);
    world_destroy(w);
    town_destroy(town);
}

/* In a process of its own, so that what crashed machines leave in memory goes with it. */
static bool run_apart(const struct plan *plan, struct result *ret_result)
{
    int fds[2], status = 0;

    if (pipe2(fds, O_CLOEXEC) < 0)
        return false;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        struct result result;
        mallopt(M_MMAP_THRESHOLD, KEPT_BYTES);
        mallopt(M_TRIM_THRESHOLD, KEPT_BYTES);
        mallopt(M_TOP_PAD, KEPT_BYTES);
        run(plan, &result);
        bool told = write(fds[1], &result, sizeof(result)) == sizeof(result);
        exit(told ? 0 : 1);
    }
    close(fds[1]);
    bool told = pid > 0 && read(fds[0], ret_result, sizeof(*ret_result)) == sizeof(*ret_result);
    close(fds[0]);
    return pid > 0 && waitpid(pid, &status, 0) == pid && told && status == 0;
}

static void tell(const struct plan *plan, const struct result *r)
{
    printf("seed %llu: %llu orders, %llu refused, %llu repeated, %llu cancelled, %llu dead letters, %llu faults, %llu "
           "steps, %.0f s "
           "told in %.2f s, trace "
           "%016llx\n",
           (unsigned long long)plan->seed, (unsigned long long)r->orders, (unsigned long long)r->refused,
           (unsigned long long)r->repeated, (unsigned long long)r->cancels, (unsigned long long)r->retried,
           (unsigned long long)r->faults, (unsigned long long)r->steps, r->virtual_s, r->cpu_s,
           (unsigned long long)r->trace);
    if (r->violations)
        printf("seed %llu: %llu violations; again with: tests/sim/run --seed %llu --orders %zu --faults %s\n",
               (unsigned long long)plan->seed, (unsigned long long)r->violations, (unsigned long long)plan->seed,
               plan->orders, plan->faults ? "on" : "off");
    fflush(stdout);
}

static struct option options[] = {
    { "seed", OPTION_NUMBER, NULL, "the first seed; without it, one that nobody has seen" },
    { "orders", OPTION_NUMBER, "500", "orders of one run" },
    { "faults", OPTION_TEXT, "on", "on, or off for a perfect world" },
    { "runs", OPTION_NUMBER, "1", "that many, each with the seed behind the last" },
    { "minutes", OPTION_NUMBER, "0", "goes on with further runs for so long" },
    { "verbose", OPTION_NUMBER, "0", "1: tells on stderr what befalls the machines; 2: and every message" },
    {},
};
static struct option *const tables[] = { options, NULL };

/* 0, or the exit code plus one. */
static int parse(int argc, char **argv, struct plan *ret_plan)
{
    struct timespec now;
    int r = config_parse(tables, "tests/sim/run",
                         "simulates all services under faults and checks their books; a seed replays", argc, argv);
    if (r != 0)
        return r > 0 ? 1 : 3;

    clock_gettime(CLOCK_REALTIME, &now);
    *ret_plan = (struct plan){
        .seed = (uint64_t)config_number(tables, "seed"),
        .orders = (size_t)config_number(tables, "orders"),
        .faults = strcmp(config_text(tables, "faults"), "off") != 0,
    };
    if (!config_text(tables, "seed"))
        ret_plan->seed = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
    if (config_number(tables, "verbose"))
        setenv("SIM_VERBOSE", config_text(tables, "verbose"), 1);
    return 0;
}

int main(int argc, char **argv)
{
    struct result sum = { 0 }, r;
    struct plan plan;
    bool well = true;
    int parsed = parse(argc, argv, &plan);

    if (parsed)
        return parsed - 1;
    say_init("sim", SAY_ERROR);
    int64_t runs = config_number(tables, "runs");
    time_t end = time(NULL) + config_number(tables, "minutes") * 60;
    do {
        if (!run_apart(&plan, &r)) {
            printf("seed %llu: the run died\n", (unsigned long long)plan.seed);
            sum.violations++;
            well = false;
        } else {
            tell(&plan, &r);
            sum.orders += r.orders;
            sum.violations += r.violations;
            sum.faults += r.faults;
            sum.cpu_s += r.cpu_s;
        }
        plan.seed++;
    } while (well && sum.violations == 0 && (--runs > 0 || time(NULL) < end));
    printf("figure: seed %llu\nfigure: orders %llu\nfigure: violations %llu\nfigure: faults %llu\n"
           "figure: orders_per_cpu_second %.0f\n",
           (unsigned long long)plan.seed - 1, (unsigned long long)sum.orders, (unsigned long long)sum.violations,
           (unsigned long long)sum.faults, sum.cpu_s > 0 ? (double)sum.orders / sum.cpu_s : 0);
    return sum.violations ? 1 : 0;
}
