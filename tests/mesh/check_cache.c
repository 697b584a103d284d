/* The cache against a real redis-server of its own on a socket in a new directory. */
#include "mesh/cache/address.h"
#include "mesh/cache/cache.h"
#include "tests/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#define TIMEOUT_US 5000000

static char directory[] = "/tmp/check_cache.XXXXXX";
static char path[64];
static pid_t server;
static uv_loop_t loop;
static struct cache *cache;

static void start_redis(const char *password)
{
    server = fork();
    if (server == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        int null = open("/dev/null", O_RDWR);
        dup2(null, 1);
        dup2(null, 2);
        execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", path, "--save", "", "--dir", directory,
               "--requirepass", password, NULL);
        _exit(127);
    }
    ck_assert_int_gt(server, 0);
}

static void stop_redis(void)
{
    kill(server, SIGKILL);
    waitpid(server, NULL, 0);
    unlink(path);
}

static void await_connected(bool wanted)
{
    while (cache_connected(cache) != wanted)
        uv_run(&loop, UV_RUN_ONCE);
}

static void begin_at(const char *address)
{
    ck_assert_ptr_nonnull(mkdtemp(directory));
    snprintf(path, sizeof(path), "%s/redis", directory);
    uv_loop_init(&loop);
    ck_assert_int_eq(cache_create(&loop, address ? address : path, &cache), 0);
}

static void begin(void)
{
    begin_at(NULL);
    start_redis("");
    await_connected(true);
}

static void end(void)
{
    cache_destroy(cache);
    uv_run(&loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&loop), 0);
    if (server > 0)
        stop_redis();
    rmdir(directory);
}

struct call {
    struct cache_op op;
    bool ended;
    int result;
};

static void ended(struct cache_op *op, int result)
{
    struct call *call = (struct call *)op;
    ck_assert(!call->ended);
    call->ended = true;
    call->result = result;
}

static void submit(struct call *call, int kind, size_t n, const char *const *keys, const char *epoch,
                   uint64_t *versions, int64_t *values, int64_t timeout_us)
{
    *call = (struct call){ .op = { .op = kind,
                                   .n = n,
                                   .keys = keys,
                                   .epoch = epoch,
                                   .versions = versions,
                                   .values = values,
                                   .timeout_us = timeout_us,
                                   .done = ended } };
    cache_submit(cache, &call->op);
    ck_assert(!call->ended);
}

static int await(struct call *call)
{
    while (!call->ended)
        uv_run(&loop, UV_RUN_ONCE);
    return call->result;
}

static int set(const char *key, const char *epoch, uint64_t version, int64_t value)
{
    struct call call;
    submit(&call, CACHE_SET_IF_NEWER, 1, &key, epoch, &version, &value, TIMEOUT_US);
    return await(&call);
}

static uint64_t get(const char *key, const char *epoch, int64_t *ret_value)
{
    struct call call;
    uint64_t version = 99;
    *ret_value = -99;
    submit(&call, CACHE_GET, 1, &key, epoch, &version, ret_value, TIMEOUT_US);
    ck_assert_int_eq(await(&call), 0);
    return version;
}

/* Speaks to the server beside the cache. */
static void redis_cli(const char *command)
{
    char line[256];
    snprintf(line, sizeof(line), "redis-cli -s %s %s >/dev/null", path, command);
    ck_assert_int_eq(system(line), 0);
}

START_TEST(what_was_set_comes_back)
{
    begin();
    int64_t value;
    ck_assert_int_eq(get("A", "e1", &value), 0);
    ck_assert_int_eq(set("A", "e1", 7, 42), 0);
    ck_assert_int_eq(get("A", "e1", &value), 7);
    ck_assert_int_eq(value, 42);
    ck_assert_int_eq(set("sold out", "e1", 1, 0), 0);
    ck_assert_int_eq(get("sold out", "e1", &value), 1);
    ck_assert_int_eq(value, 0);
    end();
}
END_TEST

START_TEST(many_keys_travel_in_one_operation)
{
    begin();
    static char texts[CACHE_KEYS_MAX][8];
    const char *keys[CACHE_KEYS_MAX];
    uint64_t versions[CACHE_KEYS_MAX];
    int64_t values[CACHE_KEYS_MAX];
    for (size_t i = 0; i < CACHE_KEYS_MAX; i++) {
        snprintf(texts[i], sizeof(texts[i]), "S%zu", i);
        keys[i] = texts[i];
        versions[i] = i + 1;
        values[i] = (int64_t)i * 10;
    }
    struct call call;
    submit(&call, CACHE_SET_IF_NEWER, CACHE_KEYS_MAX - 1, keys, "e1", versions, values, TIMEOUT_US);
    ck_assert_int_eq(await(&call), 0);
    memset(values, 0xff, sizeof(values));
    submit(&call, CACHE_GET, CACHE_KEYS_MAX, keys, "e1", versions, values, TIMEOUT_US);
    ck_assert_int_eq(await(&call), 0);
    for (size_t i = 0; i + 1 < CACHE_KEYS_MAX; i++) {
        ck_assert_int_eq(versions[i], i + 1);
        ck_assert_int_eq(values[i], (int64_t)i * 10);
    }
    ck_assert_int_eq(versions[CACHE_KEYS_MAX - 1], 0);
    end();
}
END_TEST

START_TEST(whatever_the_order_of_writes_the_newest_stays)
{
    begin();
    enum { N = 200 };
    static struct call calls[N];
    static uint64_t versions[N];
    static int64_t values[N];
    const char *key = "hot";
    unsigned seed = 12345;
    for (size_t i = 0; i < N; i++)
        versions[i] = i + 1;
    for (size_t i = N - 1; i > 0; i--) {
        seed = seed * 1103515245 + 12345;
        size_t j = (seed >> 8) % (i + 1);
        uint64_t swapped = versions[i];
        versions[i] = versions[j];
        versions[j] = swapped;
    }
    for (size_t i = 0; i < N; i++) {
        values[i] = (int64_t)versions[i] * 3;
        submit(&calls[i], CACHE_SET_IF_NEWER, 1, &key, "e1", &versions[i], &values[i], TIMEOUT_US);
    }
    for (size_t i = 0; i < N; i++)
        ck_assert_int_eq(await(&calls[i]), 0);
    int64_t value;
    ck_assert_int_eq(get(key, "e1", &value), N);
    ck_assert_int_eq(value, N * 3);
    end();
}
END_TEST

START_TEST(versions_beyond_the_numbers_of_lua_are_compared_exactly)
{
    begin();
    int64_t value;
    uint64_t big = (1ull << 60) + 1;
    ck_assert_int_eq(set("A", "e1", big, 1), 0);
    ck_assert_int_eq(set("A", "e1", big - 1, 2), 0);
    ck_assert_int_eq(set("A", "e1", 9, 3), 0);
    ck_assert(get("A", "e1", &value) == big);
    ck_assert_int_eq(value, 1);
    ck_assert_int_eq(set("A", "e1", big + 1, INT64_MIN), 0);
    ck_assert(get("A", "e1", &value) == big + 1);
    ck_assert(value == INT64_MIN);
    end();
}
END_TEST

START_TEST(another_epoch_is_a_miss_and_is_replaced)
{
    begin();
    int64_t value;
    ck_assert_int_eq(set("A", "old", 50, 5), 0);
    ck_assert_int_eq(get("A", "new", &value), 0);
    ck_assert_int_eq(get("A", "ol", &value), 0);
    ck_assert_int_eq(set("A", "new", 1, 6), 0);
    ck_assert_int_eq(get("A", "old", &value), 0);
    ck_assert_int_eq(get("A", "new", &value), 1);
    ck_assert_int_eq(value, 6);
    end();
}
END_TEST

START_TEST(what_somebody_else_wrote_is_a_miss_and_is_replaced)
{
    begin();
    int64_t value;
    redis_cli("set avail:A garbage");
    redis_cli("set avail:B 'e1 1 2 3'");
    ck_assert_int_eq(get("A", "e1", &value), 0);
    ck_assert_int_eq(get("B", "e1", &value), 0);
    ck_assert_int_eq(set("A", "e1", 1, 6), 0);
    ck_assert_int_eq(get("A", "e1", &value), 1);
    redis_cli("rpush avail:C x");
    ck_assert_int_eq(get("C", "e1", &value), 0);
    ck_assert_int_eq(set("C", "e1", 1, 6), -EIO);
    end();
}
END_TEST

START_TEST(a_flushed_cache_is_empty_and_fills_again)
{
    begin();
    int64_t value;
    ck_assert_int_eq(set("A", "e1", 7, 42), 0);
    redis_cli("flushall");
    redis_cli("script flush");
    ck_assert_int_eq(get("A", "e1", &value), 0);
    ck_assert_int_eq(set("A", "e1", 7, 43), 0);
    ck_assert_int_eq(get("A", "e1", &value), 7);
    ck_assert_int_eq(value, 43);
    end();
}
END_TEST

START_TEST(a_server_that_is_not_there_refuses_and_is_found_when_it_comes)
{
    begin_at(NULL);
    ck_assert_int_eq(set("A", "e1", 1, 1), -ECONNREFUSED);
    start_redis("");
    await_connected(true);
    ck_assert_int_eq(set("A", "e1", 1, 1), 0);
    end();
}
END_TEST

START_TEST(a_refused_port_refuses_at_once)
{
    begin_at("127.0.0.1:1");
    for (int i = 0; i < 5; i++)
        uv_run(&loop, UV_RUN_ONCE);
    ck_assert_int_eq(set("A", "e1", 1, 1), -ECONNREFUSED);
    end();
}
END_TEST

START_TEST(a_killed_server_ends_what_is_under_way_and_is_found_again)
{
    begin();
    kill(server, SIGSTOP);
    const char *key = "A";
    uint64_t version[3] = { 0 };
    int64_t value[3];
    struct call calls[3];
    for (int i = 0; i < 3; i++)
        submit(&calls[i], CACHE_GET, 1, &key, "e1", &version[i], &value[i], TIMEOUT_US);
    uv_run(&loop, UV_RUN_NOWAIT);
    stop_redis();
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(await(&calls[i]), -ECONNREFUSED);
    ck_assert(!cache_connected(cache));
    ck_assert_int_eq(set("A", "e1", 1, 1), -ECONNREFUSED);

    start_redis("");
    await_connected(true);
    ck_assert_int_eq(set("A", "e1", 1, 1), 0);
    end();
}
END_TEST

START_TEST(a_server_that_hangs_costs_the_deadline_and_then_nothing)
{
    begin();
    kill(server, SIGSTOP);
    const char *key = "A";
    uint64_t version = 1;
    int64_t value = 1;
    struct call call;
    uint64_t began = uv_hrtime();
    submit(&call, CACHE_SET_IF_NEWER, 1, &key, "e1", &version, &value, 20000);
    ck_assert_int_eq(await(&call), -ETIMEDOUT);
    ck_assert_int_ge(uv_hrtime() - began, 19 * 1000000ull);
    await_connected(false); /* given up as it owes an answer */
    ck_assert_int_eq(set("A", "e1", 1, 1), -ECONNREFUSED);
    kill(server, SIGCONT);
    await_connected(true);
    ck_assert_int_eq(set("A", "e1", 2, 2), 0);
    end();
}
END_TEST

START_TEST(a_full_queue_is_refused)
{
    begin();
    kill(server, SIGSTOP);
    static struct call calls[CACHE_OPS_MAX + 1];
    const char *key = "A";
    uint64_t version = 1;
    int64_t value = 1;
    for (size_t i = 0; i <= CACHE_OPS_MAX; i++)
        submit(&calls[i], CACHE_SET_IF_NEWER, 1, &key, "e1", &version, &value, TIMEOUT_US);
    ck_assert_int_eq(await(&calls[CACHE_OPS_MAX]), -ENOBUFS);
    ck_assert(!calls[0].ended);
    kill(server, SIGCONT);
    for (size_t i = 0; i < CACHE_OPS_MAX; i++)
        ck_assert_int_eq(await(&calls[i]), 0);
    end();
}
END_TEST

START_TEST(destroying_ends_what_is_under_way)
{
    begin();
    kill(server, SIGSTOP);
    const char *key = "A";
    uint64_t version = 1;
    int64_t value = 1;
    struct call call;
    submit(&call, CACHE_SET_IF_NEWER, 1, &key, "e1", &version, &value, TIMEOUT_US);
    end();
    ck_assert(call.ended);
    ck_assert_int_eq(call.result, -ECONNREFUSED);
}
END_TEST

START_TEST(a_password_is_given_and_a_wrong_one_is_not_connected)
{
    begin_at("");
    start_redis("hush");
    cache_destroy(cache);
    char address[96];
    snprintf(address, sizeof(address), "hush@%s", path);
    ck_assert_int_eq(cache_create(&loop, address, &cache), 0);
    await_connected(true);
    ck_assert_int_eq(set("A", "e1", 1, 1), 0);
    cache_destroy(cache);

    snprintf(address, sizeof(address), "wrong@%s", path);
    ck_assert_int_eq(cache_create(&loop, address, &cache), 0);
    uint64_t until = uv_hrtime() + 300000000;
    while (uv_hrtime() < until) {
        uv_run(&loop, UV_RUN_ONCE);
        ck_assert(!cache_connected(cache));
    }
    end();
}
END_TEST

START_TEST(without_an_address_there_is_no_cache)
{
    begin_at("");
    ck_assert_int_eq(set("A", "e1", 1, 1), -ENOSYS);
    ck_assert(!cache_connected(cache));
    end();
}
END_TEST

START_TEST(addresses_are_taken_apart)
{
    struct cache_address a;
    ck_assert_int_eq(cache_address_parse("p@ss@redis.local:6379/3", &a), 0);
    ck_assert_str_eq(a.password, "p@ss");
    ck_assert_str_eq(a.host, "redis.local");
    ck_assert_str_eq(a.port, "6379");
    ck_assert_str_eq(a.database, "3");
    ck_assert_int_eq(cache_address_parse("/run/redis", &a), 0);
    ck_assert_str_eq(a.host, "/run/redis");
    const char *const wrong[] = { "redis", ":6379", "redis:", "redis:x", "redis:1/", "redis:1/x", "redis:123456789" };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        ck_assert_int_eq(cache_address_parse(wrong[i], &a), -EINVAL);
}
END_TEST

SUITE("cache", 30, what_was_set_comes_back, many_keys_travel_in_one_operation,
      whatever_the_order_of_writes_the_newest_stays, versions_beyond_the_numbers_of_lua_are_compared_exactly,
      another_epoch_is_a_miss_and_is_replaced, what_somebody_else_wrote_is_a_miss_and_is_replaced,
      a_flushed_cache_is_empty_and_fills_again, a_server_that_is_not_there_refuses_and_is_found_when_it_comes,
      a_refused_port_refuses_at_once, a_killed_server_ends_what_is_under_way_and_is_found_again,
      a_server_that_hangs_costs_the_deadline_and_then_nothing, a_full_queue_is_refused,
      destroying_ends_what_is_under_way, a_password_is_given_and_a_wrong_one_is_not_connected,
      without_an_address_there_is_no_cache, addresses_are_taken_apart)
