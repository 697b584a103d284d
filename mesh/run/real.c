/* Lanes as threads with a queue each, woken once for whatever has gathered. */
#include "mesh/run/real.h"

#include "mesh/base/say.h"
#include "mesh/cache/cache.h"
#include "mesh/outside/outside.h"
#include "mesh/run/timers.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <uv.h>

struct queue {
    struct task *first, **last;
};

struct lane_thread {
    const char *name;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct queue queue;
    bool sleeping, closing, running;
};

struct real_port {
    struct port port;
    uv_loop_t loop;
    uv_async_t async;
    pthread_mutex_t lock; /* loop_queue, woken */
    struct queue loop_queue;
    bool woken, halted;
    struct timers timers;
    struct lane_thread lanes[LANE_COUNT]; /* writer, reader and work only */
    struct cache *cache;
    struct outside *outside;
    struct rpc_core *core;
    struct queue gathered[LANE_COUNT]; /* rpc lane: what it posted since its last pause */
};

/* Set on the rpc lane's thread: posts from there are gathered. */
static __thread struct real_port *gathering;

static void queue_init(struct queue *queue)
{
    queue->first = NULL;
    queue->last = &queue->first;
}

static void queue_push(struct queue *queue, struct task *task)
{
    task->next = NULL;
    *queue->last = task;
    queue->last = &task->next;
}

static void queue_append(struct queue *queue, struct queue *tail)
{
    if (!tail->first)
        return;
    *queue->last = tail->first;
    queue->last = tail->last;
    queue_init(tail);
}

static void run_all(struct task *task)
{
    while (task) {
        struct task *next = task->next;
        task->run(task);
        task = next;
    }
}

/* --- the threads --- */

static void *run_lane(void *arg)
{
    struct lane_thread *lane = arg;
    pthread_setname_np(pthread_self(), lane->name);

    pthread_mutex_lock(&lane->lock);
    while (lane->queue.first || !lane->closing) {
        if (!lane->queue.first) {
            lane->sleeping = true;
            pthread_cond_wait(&lane->more, &lane->lock);
            lane->sleeping = false;
            continue;
        }
        struct task *first = lane->queue.first;
        queue_init(&lane->queue);
        pthread_mutex_unlock(&lane->lock);
        run_all(first);
        pthread_mutex_lock(&lane->lock);
    }
    pthread_mutex_unlock(&lane->lock);
    return NULL;
}

static void lane_append(struct lane_thread *lane, struct queue *tasks)
{
    pthread_mutex_lock(&lane->lock);
    queue_append(&lane->queue, tasks);
    bool wake = lane->sleeping;
    lane->sleeping = false;
    pthread_mutex_unlock(&lane->lock);
    if (wake)
        pthread_cond_signal(&lane->more);
}

static int lane_start(struct lane_thread *lane, const char *name)
{
    lane->name = name;
    pthread_mutex_init(&lane->lock, NULL);
    pthread_cond_init(&lane->more, NULL);
    queue_init(&lane->queue);
    int r = pthread_create(&lane->thread, NULL, run_lane, lane);
    lane->running = r == 0;
    return -r;
}

static void lane_stop(struct lane_thread *lane)
{
    if (!lane->running)
        return;
    pthread_mutex_lock(&lane->lock);
    lane->closing = true;
    pthread_mutex_unlock(&lane->lock);
    pthread_cond_signal(&lane->more);
    pthread_join(lane->thread, NULL);
    lane->running = false;
}

/* --- the loop --- */

static void loop_append(struct real_port *real, struct queue *tasks)
{
    pthread_mutex_lock(&real->lock);
    queue_append(&real->loop_queue, tasks);
    bool wake = !real->woken;
    real->woken = true;
    pthread_mutex_unlock(&real->lock);
    if (wake)
        uv_async_send(&real->async);
}

static void on_async(uv_async_t *async)
{
    struct real_port *real = async->data;
    pthread_mutex_lock(&real->lock);
    struct task *first = real->loop_queue.first;
    queue_init(&real->loop_queue);
    real->woken = false;
    pthread_mutex_unlock(&real->lock);
    run_all(first);
}

/* --- struct port --- */

static void hand_over(struct real_port *real, enum lane lane, struct queue *tasks)
{
    if (lane == LANE_LOOP)
        loop_append(real, tasks);
    else
        lane_append(&real->lanes[lane], tasks);
}

static void on_pause(void *arg)
{
    struct real_port *real = gathering = arg;
    for (enum lane lane = 0; lane < LANE_COUNT; lane++)
        if (real->gathered[lane].first)
            hand_over(real, lane, &real->gathered[lane]);
}

static void port_post(struct port *port, enum lane lane, struct task *task)
{
    struct real_port *real = (struct real_port *)port;
    if (lane == LANE_RPC) {
        rpc_core_post(real->core, task);
        return;
    }
    if (gathering == real) {
        queue_push(&real->gathered[lane], task);
        rpc_core_pause_soon(real->core);
        return;
    }
    struct queue one;
    queue_init(&one);
    queue_push(&one, task);
    hand_over(real, lane, &one);
}

static int64_t port_wall_us(struct port *port)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int64_t port_mono_us(struct port *port)
{
    return timers_now_us();
}

static void port_random(struct port *port, void *data, size_t n)
{
    /* A system call per id would cost more than the id. */
    static __thread uint8_t pool[256];
    static __thread size_t left;

    while (n > 0) {
        if (left == 0) {
            if (getrandom(pool, sizeof(pool), 0) != sizeof(pool)) /* up to 256 bytes are never interrupted */
                abort();
            left = sizeof(pool);
        }
        size_t take = n < left ? n : left;
        memcpy(data, pool + left - take, take);
        explicit_bzero(pool + left - take, take);
        left -= take;
        n -= take;
        data = (uint8_t *)data + take;
    }
}

static void port_timer_start(struct port *port, struct timer *timer, int64_t delay_us)
{
    struct real_port *real = (struct real_port *)port;
    timers_start(&real->timers, timer, timers_now_us() + (delay_us > 0 ? delay_us : 0));
}

static void port_timer_stop(struct port *port, struct timer *timer)
{
    timers_stop(&((struct real_port *)port)->timers, timer);
}

static void port_call(struct port *port, struct outcall *call)
{
    rpc_core_call(((struct real_port *)port)->core, call);
}

static void port_resume(struct port *port, struct outcall *call)
{
    rpc_core_resume(((struct real_port *)port)->core, call);
}

static void port_cancel(struct port *port, struct outcall *call)
{
    rpc_core_cancel(((struct real_port *)port)->core, call);
}

struct cache_hop {
    struct task task;
    struct cache *cache;
    struct cache_op *op;
};

static void submit_cache_op(struct task *task)
{
    struct cache_hop *hop = (struct cache_hop *)task;
    cache_submit(hop->cache, hop->op);
    free(hop);
}

static void port_cache(struct port *port, struct cache_op *op)
{
    struct cache_hop *hop = malloc(sizeof(*hop));
    if (!hop)
        abort();
    *hop = (struct cache_hop){ { .run = submit_cache_op }, ((struct real_port *)port)->cache, op };
    port_post(port, LANE_LOOP, &hop->task);
}

struct fetch_hop {
    struct task task;
    struct outside *outside;
    struct fetch *fetch;
};

static void submit_fetch(struct task *task)
{
    struct fetch_hop hop = *(struct fetch_hop *)task;
    free(task);
    outside_submit(hop.outside, hop.fetch);
}

static void port_fetch(struct port *port, struct fetch *fetch)
{
    struct fetch_hop *hop = malloc(sizeof(*hop));
    if (!hop)
        abort();
    *hop = (struct fetch_hop){ { .run = submit_fetch }, ((struct real_port *)port)->outside, fetch };
    port_post(port, LANE_LOOP, &hop->task);
}

/* --- life --- */

static int open_loop(struct real_port *real)
{
    int r = uv_loop_init(&real->loop);
    if (r < 0)
        return r;
    uv_async_init(&real->loop, &real->async, on_async);
    real->async.data = real;
    timers_init(&real->timers, &real->loop);
    return 0;
}

static int open_lanes(struct real_port *real, const struct real_options *options)
{
    static const struct {
        enum lane lane;
        const char *name;
    } threads[] = { { LANE_WRITER, "writer" }, { LANE_READER, "reader" }, { LANE_WORK, "work" } };

    for (size_t i = 0; i < sizeof(threads) / sizeof(threads[0]); i++) {
        int started = lane_start(&real->lanes[threads[i].lane], threads[i].name);
        if (started < 0)
            return started;
    }
    int r = cache_create(&real->loop, options->redis ? options->redis : "", &real->cache);
    if (r == -EINVAL)
        say(SAY_ERROR, NULL, "redis wants host:port", SAY_T("redis", options->redis));
    if (r == 0)
        r = outside_create(&real->loop, options->outside ? options->outside : "", &real->outside);
    if (r < 0 || !options->process)
        return r;
    r = rpc_core_create(&real->port, options->process, options->peers, &options->tls, &real->core);
    if (r < 0)
        return r;
    rpc_core_on_pause(real->core, on_pause, real);
    rpc_core_run(real->core);
    return 0;
}

int real_port_create(const struct real_options *options, struct real_port **ret_real)
{
    struct real_port *real = calloc(1, sizeof(*real));
    if (!real)
        return -ENOMEM;
    real->port = (struct port){
        .wall_us = port_wall_us,
        .mono_us = port_mono_us,
        .random = port_random,
        .post = port_post,
        .timer_start = port_timer_start,
        .timer_stop = port_timer_stop,
        .call = port_call,
        .resume = port_resume,
        .cancel = port_cancel,
        .cache = port_cache,
        .fetch = port_fetch,
    };
    pthread_mutex_init(&real->lock, NULL);
    queue_init(&real->loop_queue);
    for (enum lane lane = 0; lane < LANE_COUNT; lane++)
        queue_init(&real->gathered[lane]);

    int r = open_loop(real);
    if (r < 0) {
        free(real);
        return r;
    }
    r = open_lanes(real, options);
    if (r < 0) {
        real_port_destroy(real);
        return r;
    }
    *ret_real = real;
    return 0;
}

struct port *real_port(struct real_port *real)
{
    return &real->port;
}

struct rpc_core *real_port_core(struct real_port *real)
{
    return real->core;
}

bool real_port_knows(const struct real_port *real, const char *peer)
{
    return outside_knows(real->outside, peer);
}

struct uv_loop_s *real_port_loop(struct real_port *real)
{
    return &real->loop;
}

void real_port_run(struct real_port *real)
{
    uv_run(&real->loop, UV_RUN_DEFAULT);
}

struct stop {
    struct task task;
    struct real_port *real;
};

static void stop_loop(struct task *task)
{
    struct stop *stop = (struct stop *)task;
    uv_stop(&stop->real->loop);
    free(stop);
}

void real_port_stop(struct real_port *real)
{
    struct stop *stop = malloc(sizeof(*stop));
    if (!stop)
        abort();
    *stop = (struct stop){ { .run = stop_loop }, real };
    port_post(&real->port, LANE_LOOP, &stop->task);
}

void real_port_hang_up(struct real_port *real)
{
    outside_stop(real->outside);
}

void real_port_halt(struct real_port *real)
{
    if (real->halted)
        return;
    real->halted = true;
    for (enum lane lane = 0; lane < LANE_COUNT; lane++)
        lane_stop(&real->lanes[lane]);
    cache_destroy(real->cache);
    real->cache = NULL;
    if (real->outside)
        outside_stop(real->outside);
    on_async(&real->async);
}

void real_port_destroy(struct real_port *real)
{
    if (!real)
        return;
    real_port_halt(real);
    outside_destroy(real->outside);
    rpc_core_destroy(real->core);
    uv_close((uv_handle_t *)&real->async, NULL);
    timers_finish(&real->timers);
    uv_run(&real->loop, UV_RUN_DEFAULT);
    uv_loop_close(&real->loop);
    pthread_mutex_destroy(&real->lock);
    free(real);
}
