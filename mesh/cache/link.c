/* Resolve, connect, AUTH, SELECT: each step ends in the next one or in a pause before the first. */
#include "mesh/cache/link.h"

#include "mesh/base/say.h"
#include "mesh/cache/address.h"
#include "mesh/cache/poll.h"

#include <errno.h>
#include <hiredis/async.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#define CONNECT_TIMEOUT_MS 2000
#define PAUSE_FIRST_MS     50
#define PAUSE_LAST_MS      2000

struct cache_link {
    uv_loop_t *loop;
    struct cache_address address;
    uv_timer_t timer; /* the pause before a connection, then how long it may take */
    uv_getaddrinfo_t resolve;
    bool resolving, ready, closing, told;
    bool timer_closed;
    redisAsyncContext *redis;
    uint64_t pause_ms;
};

static void start(uv_timer_t *timer);

static void free_if_closed(struct cache_link *link)
{
    if (link->closing && link->timer_closed && !link->resolving)
        free(link);
}

static void pause_then_start(struct cache_link *link, const char *why)
{
    if (!link->told)
        say(SAY_WARN, NULL, "cache lost", SAY_T("address", link->address.host), SAY_T("why", why));
    link->told = true;
    uv_timer_start(&link->timer, start, link->pause_ms, 0);
    link->pause_ms = link->pause_ms * 2 < PAUSE_LAST_MS ? link->pause_ms * 2 : PAUSE_LAST_MS;
}

/* hiredis frees the context by itself when it has told us of its end. */
static void lost(struct cache_link *link, const redisAsyncContext *redis, const char *why)
{
    if (link->redis != redis || link->closing)
        return;
    link->redis = NULL;
    link->ready = false;
    pause_then_start(link, why);
}

static void give_up(struct cache_link *link, const char *why)
{
    redisAsyncContext *redis = link->redis;
    lost(link, redis, why);
    redisAsyncFree(redis);
}

static void took_too_long(uv_timer_t *timer)
{
    give_up(timer->data, "the connection took too long");
}

static void be_ready(struct cache_link *link)
{
    uv_timer_stop(&link->timer);
    link->ready = true;
    link->pause_ms = PAUSE_FIRST_MS;
    if (link->told)
        say(SAY_INFO, NULL, "cache found", SAY_T("address", link->address.host));
    link->told = false;
}

static void selected(redisAsyncContext *redis, void *data, void *privdata)
{
    struct cache_link *link = privdata;
    const redisReply *reply = data;
    if (link->redis != redis || !reply)
        return;
    if (reply->type == REDIS_REPLY_ERROR)
        give_up(link, reply->str);
    else
        be_ready(link);
}

static void authenticated(redisAsyncContext *redis, void *data, void *privdata)
{
    struct cache_link *link = privdata;
    const redisReply *reply = data;
    if (link->redis == redis && reply && reply->type == REDIS_REPLY_ERROR)
        give_up(link, reply->str);
}

static void connected(const redisAsyncContext *redis, int status)
{
    struct cache_link *link = redis->data;
    if (status != REDIS_OK) {
        lost(link, redis, redis->errstr);
        return;
    }
    if (link->address.password[0])
        redisAsyncCommand(link->redis, authenticated, link, "AUTH %s", link->address.password);
    redisAsyncCommand(link->redis, selected, link, "SELECT %s", link->address.database);
}

static void disconnected(const redisAsyncContext *redis, int status)
{
    lost(redis->data, redis, status == REDIS_OK ? "closed" : redis->errstr);
}

static void connect_to(struct cache_link *link, const char *ip)
{
    redisAsyncContext *redis =
        ip ? redisAsyncConnect(ip, atoi(link->address.port)) : redisAsyncConnectUnix(link->address.host);
    if (!redis || redis->err || poll_attach(link->loop, redis) < 0) {
        pause_then_start(link, redis && redis->err ? redis->errstr : "no memory");
        if (redis)
            redisAsyncFree(redis);
        return;
    }
    redis->data = link;
    link->redis = redis;
    redisAsyncSetConnectCallback(redis, connected);
    redisAsyncSetDisconnectCallback(redis, disconnected);
    uv_timer_start(&link->timer, took_too_long, CONNECT_TIMEOUT_MS, 0);
}

static void resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *found)
{
    struct cache_link *link = request->data;
    char ip[INET6_ADDRSTRLEN] = "";
    if (status == 0)
        uv_ip_name(found->ai_addr, ip, sizeof(ip));
    uv_freeaddrinfo(found);
    link->resolving = false;
    if (link->closing)
        free_if_closed(link);
    else if (status == 0)
        connect_to(link, ip);
    else
        pause_then_start(link, uv_strerror(status));
}

static void start(uv_timer_t *timer)
{
    struct cache_link *link = timer->data;
    if (link->address.host[0] == '/') {
        connect_to(link, NULL);
        return;
    }
    const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
    link->resolve.data = link;
    link->resolving = true;
    int r = uv_getaddrinfo(link->loop, &link->resolve, resolved, link->address.host, link->address.port, &hints);
    if (r < 0) {
        link->resolving = false;
        pause_then_start(link, uv_strerror(r));
    }
}

int link_create(struct uv_loop_s *loop, const char *address, struct cache_link **ret_link)
{
    struct cache_link *link = calloc(1, sizeof(*link));
    if (!link)
        return -ENOMEM;
    int r = cache_address_parse(address, &link->address);
    if (r < 0) {
        free(link);
        return r;
    }
    signal(SIGPIPE, SIG_IGN); /* hiredis writes to whatever has just been closed */
    link->loop = loop;
    link->pause_ms = PAUSE_FIRST_MS;
    uv_timer_init(loop, &link->timer);
    link->timer.data = link;
    uv_timer_start(&link->timer, start, 0, 0);
    *ret_link = link;
    return 0;
}

struct redisAsyncContext *link_redis(const struct cache_link *link)
{
    return link->ready ? link->redis : NULL;
}

void link_drop(struct cache_link *link)
{
    if (link->redis)
        give_up(link, "no answer");
}

static void timer_closed(uv_handle_t *handle)
{
    struct cache_link *link = handle->data;
    link->timer_closed = true;
    free_if_closed(link);
}

void link_destroy(struct cache_link *link)
{
    if (!link)
        return;
    link->closing = true;
    link->ready = false;
    if (link->redis)
        redisAsyncFree(link->redis);
    link->redis = NULL;
    if (link->resolving)
        uv_cancel((uv_req_t *)&link->resolve);
    uv_close((uv_handle_t *)&link->timer, timer_closed);
}
