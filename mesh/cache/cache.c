/* Operations become one MGET or one script; each has a deadline of its own, whatever Redis does. */
#include "mesh/cache/cache.h"

#include "mesh/cache/link.h"

#include <assert.h>
#include <errno.h>
#include <hiredis/async.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#define STALLED_MS   1000 /* a connection that owes an answer for so long is given up */
#define ARENA_BUDGET (1 << 20)
#define PREFIX       "avail:"

/* Versions are compared as decimal text, longer is larger: Lua's numbers end at 2^53. */
static const char script[] = "local epoch = ARGV[1]\n"
                             "for i = 1, #KEYS do\n"
                             "  local version, value = ARGV[2 * i], ARGV[2 * i + 1]\n"
                             "  local e, v = string.match(redis.call('GET', KEYS[i]) or '', '^(%S+) (%d+) ')\n"
                             "  if e ~= epoch or #version > #v or (#version == #v and version > v) then\n"
                             "    redis.call('SET', KEYS[i], epoch .. ' ' .. version .. ' ' .. value)\n"
                             "  end\n"
                             "end\n"
                             "return #KEYS\n";

/* An operation until Redis has answered it or is lost, which can be after its own end. */
struct pending {
    struct cache *cache;
    struct cache_op *op; /* NULL: it has ended */
    uint64_t due_ms, sent_ms;
    int result; /* at the deadline */
    bool sent;  /* hiredis holds it too */
    struct pending *next, **before;
};

struct cache {
    uv_loop_t *loop;
    struct cache_link *link; /* NULL: no cache */
    uv_timer_t deadlines;
    uint64_t armed_ms; /* when it fires, if it is active */
    struct pending *first;
    size_t n;
    char sha[41];
};

static void free_pending(struct pending *p)
{
    *p->before = p->next;
    if (p->next)
        p->next->before = p->before;
    p->cache->n--;
    free(p);
}

static void end(struct pending *p, int result)
{
    struct cache_op *op = p->op;
    p->op = NULL;
    if (op)
        op->done(op, result);
}

/* Another epoch, and anything that is not of this form, is a miss. */
static void read_value(const redisReply *reply, const struct cache_op *op, size_t i)
{
    op->versions[i] = 0;
    size_t epoch_len = strlen(op->epoch);
    if (reply->type != REDIS_REPLY_STRING || strncmp(reply->str, op->epoch, epoch_len) != 0 ||
        reply->str[epoch_len] != ' ')
        return;
    unsigned long long version;
    long long value;
    int len;
    if (sscanf(reply->str + epoch_len, " %llu %lld%n", &version, &value, &len) != 2 ||
        reply->str[epoch_len + len] != '\0')
        return;
    op->versions[i] = version;
    op->values[i] = value;
}

static int read_reply(const redisReply *reply, const struct cache_op *op)
{
    if (op->op == CACHE_SET_IF_NEWER)
        return reply->type == REDIS_REPLY_INTEGER ? 0 : -EIO;
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != op->n)
        return -EIO;
    for (size_t i = 0; i < op->n; i++)
        read_value(reply->element[i], op, i);
    return 0;
}

static int send_set(struct pending *p, bool whole);

static void answered(redisAsyncContext *redis, void *data, void *privdata)
{
    struct pending *p = privdata;
    const redisReply *reply = data;
    p->sent = false;
    if (reply && p->op && reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "NOSCRIPT", 8) == 0 &&
        send_set(p, true) == 0)
        return;
    if (p->op)
        end(p, reply ? read_reply(reply, p->op) : -ECONNREFUSED);
    free_pending(p);
}

static const char *key_of(struct arena *arena, const char *key)
{
    return arena_printf(arena, PREFIX "%s", key);
}

static int send_words(struct pending *p, size_t n, const char **words)
{
    for (size_t i = 0; i < n; i++) {
        if (!words[i])
            return -ENOBUFS;
    }
    redisAsyncContext *redis = link_redis(p->cache->link);
    if (!redis || redisAsyncCommandArgv(redis, answered, p, (int)n, words, NULL) != REDIS_OK)
        return -ECONNREFUSED;
    p->sent = true;
    p->sent_ms = uv_now(p->cache->loop);
    return 0;
}

static int send_get(struct pending *p)
{
    struct arena arena;
    arena_init(&arena, ARENA_BUDGET);
    const char *words[1 + CACHE_KEYS_MAX] = { "MGET" };
    for (size_t i = 0; i < p->op->n; i++)
        words[1 + i] = key_of(&arena, p->op->keys[i]);
    int r = send_words(p, 1 + p->op->n, words);
    arena_finish(&arena);
    return r;
}

static int send_set(struct pending *p, bool whole)
{
    const struct cache_op *op = p->op;
    struct arena arena;
    arena_init(&arena, ARENA_BUDGET);
    const char *words[4 + 3 * CACHE_KEYS_MAX] = { whole ? "EVAL" : "EVALSHA", whole ? script : p->cache->sha };
    size_t n = 2;
    words[n++] = arena_printf(&arena, "%zu", op->n);
    for (size_t i = 0; i < op->n; i++)
        words[n++] = key_of(&arena, op->keys[i]);
    words[n++] = op->epoch;
    for (size_t i = 0; i < op->n; i++) {
        words[n++] = arena_printf(&arena, "%llu", (unsigned long long)op->versions[i]);
        words[n++] = arena_printf(&arena, "%lld", (long long)op->values[i]);
    }
    int r = send_words(p, n, words);
    arena_finish(&arena);
    return r;
}

/* Ending an operation can submit another, or drop the connection with all that wait: begin again after each. */
static bool end_one(struct cache *cache, uint64_t now)
{
    for (struct pending *p = cache->first; p; p = p->next) {
        if (!p->op || p->due_ms > now)
            continue;
        bool sent = p->sent;
        struct cache_op *op = p->op;
        int result = p->result;
        p->op = NULL;
        if (!sent)
            free_pending(p);
        op->done(op, result);
        return true;
    }
    return false;
}

static bool is_stalled(const struct cache *cache, uint64_t now)
{
    for (const struct pending *p = cache->first; p; p = p->next) {
        if (p->sent && now - p->sent_ms >= STALLED_MS)
            return true;
    }
    return false;
}

static void look_at_deadlines(uv_timer_t *timer);

static void arm(struct cache *cache, uint64_t due_ms)
{
    uint64_t now = uv_now(cache->loop);
    if (uv_is_active((uv_handle_t *)&cache->deadlines) && cache->armed_ms <= due_ms)
        return;
    cache->armed_ms = due_ms;
    uv_timer_start(&cache->deadlines, look_at_deadlines, due_ms > now ? due_ms - now : 0, 0);
}

static uint64_t next_due(const struct cache *cache)
{
    uint64_t next = UINT64_MAX;
    for (const struct pending *p = cache->first; p; p = p->next) {
        uint64_t due = p->op ? p->due_ms : p->sent_ms + STALLED_MS;
        next = due < next ? due : next;
    }
    return next;
}

static void look_at_deadlines(uv_timer_t *timer)
{
    struct cache *cache = timer->data;
    uint64_t now = uv_now(cache->loop);
    while (end_one(cache, now))
        ;
    if (is_stalled(cache, now))
        link_drop(cache->link);
    if (cache->first)
        arm(cache, next_due(cache));
}

void cache_submit(struct cache *cache, struct cache_op *op)
{
    assert(op->n > 0 && op->n <= CACHE_KEYS_MAX);
    struct pending *p = calloc(1, sizeof(*p));
    if (!p)
        abort();
    *p = (struct pending){
        .cache = cache, .op = op, .result = -ETIMEDOUT, .next = cache->first, .before = &cache->first
    };
    if (p->next)
        p->next->before = &p->next;
    cache->first = p;
    cache->n++;

    int r = -ENOSYS;
    if (cache->link && cache->n > CACHE_OPS_MAX)
        r = -ENOBUFS;
    else if (cache->link)
        r = op->op == CACHE_GET ? send_get(p) : send_set(p, false);
    p->due_ms = r < 0 ? 0 : uv_now(cache->loop) + (uint64_t)(op->timeout_us + 999) / 1000;
    if (r < 0)
        p->result = r;
    arm(cache, p->due_ms);
}

bool cache_connected(const struct cache *cache)
{
    return cache->link && link_redis(cache->link);
}

static void hash_script(char ret_sha[41])
{
    unsigned char hash[20];
    if (!EVP_Q_digest(NULL, "SHA1", NULL, script, sizeof(script) - 1, hash, NULL))
        abort();
    for (size_t i = 0; i < sizeof(hash); i++)
        sprintf(ret_sha + 2 * i, "%02x", hash[i]);
}

int cache_create(struct uv_loop_s *loop, const char *address, struct cache **ret_cache)
{
    struct cache *cache = calloc(1, sizeof(*cache));
    if (!cache)
        return -ENOMEM;
    int r = address[0] ? link_create(loop, address, &cache->link) : 0;
    if (r < 0) {
        free(cache);
        return r;
    }
    cache->loop = loop;
    hash_script(cache->sha);
    uv_timer_init(loop, &cache->deadlines);
    cache->deadlines.data = cache;
    *ret_cache = cache;
    return 0;
}

static void closed(uv_handle_t *handle)
{
    free(handle->data);
}

void cache_destroy(struct cache *cache)
{
    if (!cache)
        return;
    link_destroy(cache->link);
    cache->link = NULL;
    while (cache->first) {
        struct pending *p = cache->first;
        end(p, -ECONNREFUSED);
        free_pending(p);
    }
    uv_close((uv_handle_t *)&cache->deadlines, closed);
}
