/* The completion queue, the one thread that polls it, and how other lanes reach that thread. */
#include "mesh/rpc/core.h"

#include "mesh/base/say.h"

#include <errno.h>
#include <grpc/support/log.h>
#include <grpc/support/time.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Events handled before what they posted is handed over, even if more are ready. */
#define EVENTS_PER_PAUSE 64
/* C core logs a line per bad frame: a peer must not fill our disk. */
#define LOG_LINES_PER_SECOND 5

/* Debian builds abseil with its mutexes' search for deadlocks switched on, a twelfth of what a call costs. Weak, and by
 * its name of today: where it is called otherwise, it stays on. */
extern void
set_deadlock_detection(int mode) __asm__("_ZN4absl7debian329SetMutexDeadlockDetectionModeENS0_15OnDeadlockCycleE")
    __attribute__((weak));

static void tell_log(gpr_log_func_args *args)
{
    static _Atomic int64_t window; /* second << 16 | lines in it */

    int64_t second = gpr_now(GPR_CLOCK_MONOTONIC).tv_sec;
    int64_t old = atomic_load_explicit(&window, memory_order_relaxed), new;
    do {
        new = old >> 16 == second ? old + 1 : second << 16 | 1;
        if ((new & 0xffff) > LOG_LINES_PER_SECOND)
            return;
    } while (!atomic_compare_exchange_weak_explicit(&window, &old, new, memory_order_relaxed, memory_order_relaxed));

    say(args->severity == GPR_LOG_SEVERITY_ERROR ? SAY_WARN : SAY_DEBUG, NULL, "grpc", SAY_T("message", args->message),
        SAY_T("file", args->file), SAY_N("line", args->line));
}

static void run_posted(struct tag *tag, bool ok)
{
    struct rpc_core *core = (struct rpc_core *)((char *)tag - offsetof(struct rpc_core, wake));

    pthread_mutex_lock(&core->lock);
    struct task *task = core->first;
    core->first = NULL;
    core->last = &core->first;
    core->woken = false;
    pthread_mutex_unlock(&core->lock);

    while (task) {
        struct task *next = task->next;
        task->run(task);
        task = next;
    }
}

void rpc_core_post(struct rpc_core *core, struct task *task)
{
    task->next = NULL;
    pthread_mutex_lock(&core->lock);
    *core->last = task;
    core->last = &task->next;
    if (!core->woken) {
        core->woken = true;
        /* A batch of nothing completes at once: the only way to put a tag of ours on a queue through this API. */
        grpc_call_start_batch(core->waker, NULL, 0, &core->wake, NULL);
    }
    pthread_mutex_unlock(&core->lock);
}

static __thread const struct rpc_core *polled_here;

bool rpc_core_here(const struct rpc_core *core)
{
    return polled_here == core;
}

static void *poll_queue(void *arg)
{
    struct rpc_core *core = arg;
    polled_here = core;
    if (core->pause)
        core->pause(core->pause_arg);
    pthread_setname_np(pthread_self(), "rpc");

    for (int handled = 0;;) {
        gpr_timespec until =
            core->pause_wanted ? gpr_inf_past(GPR_CLOCK_MONOTONIC) : gpr_inf_future(GPR_CLOCK_MONOTONIC);
        grpc_event event = grpc_completion_queue_next(core->queue, until, NULL);
        if (event.type == GRPC_QUEUE_SHUTDOWN)
            break;
        if (event.type == GRPC_OP_COMPLETE) {
            struct tag *tag = event.tag;
            tag->run(tag, event.success != 0);
            if (!core->pause_wanted || ++handled < EVENTS_PER_PAUSE)
                continue;
        }
        handled = 0;
        core->pause_wanted = false;
        core->pause(core->pause_arg);
    }
    if (core->pause)
        core->pause(core->pause_arg);
    return NULL;
}

static int open_queue(struct rpc_core *core)
{
    core->queue = grpc_completion_queue_create_for_next(NULL);
    core->lame = grpc_lame_client_channel_create("wake", GRPC_STATUS_UNAVAILABLE, "only for waking");
    core->waker = grpc_channel_create_call(core->lame, NULL, GRPC_PROPAGATE_DEFAULTS, core->queue,
                                           grpc_slice_from_static_string("/wake"), NULL,
                                           gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
    return core->queue && core->waker ? 0 : -ENOMEM;
}

static void close_queue(struct rpc_core *core)
{
    if (core->waker)
        grpc_call_unref(core->waker);
    if (core->lame)
        grpc_channel_destroy(core->lame);
    grpc_completion_queue_shutdown(core->queue);
    if (core->running)
        pthread_join(core->thread, NULL);
    else
        while (grpc_completion_queue_next(core->queue, gpr_inf_future(GPR_CLOCK_REALTIME), NULL).type !=
               GRPC_QUEUE_SHUTDOWN)
            ;
    grpc_completion_queue_destroy(core->queue);
}

static char *copy_or_null(const char *text)
{
    return text && *text ? strdup(text) : NULL;
}

int rpc_core_create(struct port *port, const char *process, const char *peers, const struct rpc_tls *tls,
                    struct rpc_core **ret_core)
{
    struct rpc_core *core = calloc(1, sizeof(*core));
    if (!core)
        return -ENOMEM;

    /* Before the first use: later readers of the log function take no lock. */
    gpr_set_log_verbosity(GPR_LOG_SEVERITY_ERROR);
    gpr_set_log_function(tell_log);
    if (set_deadlock_detection)
        set_deadlock_detection(0);
    grpc_init();

    core->port = port;
    snprintf(core->process, sizeof(core->process), "%s", process);
    if (tls)
        core->tls = (struct rpc_tls){ copy_or_null(tls->ca), copy_or_null(tls->cert), copy_or_null(tls->key) };
    core->last = &core->first;
    core->wake.run = run_posted;
    pthread_mutex_init(&core->lock, NULL);
    pthread_mutex_init(&core->calls_lock, NULL);
    pthread_cond_init(&core->calls_fewer, NULL);

    int r = open_queue(core);
    if (r == 0)
        r = rpc_peers_parse(core, peers ? peers : "");
    if (r < 0) {
        rpc_core_destroy(core);
        return r;
    }
    *ret_core = core;
    return 0;
}

void rpc_core_on_pause(struct rpc_core *core, void (*pause)(void *arg), void *arg)
{
    core->pause = pause;
    core->pause_arg = arg;
}

void rpc_core_pause_soon(struct rpc_core *core)
{
    core->pause_wanted = true;
}

void rpc_core_bearer(struct rpc_core *core, const char *token)
{
    free(core->bearer);
    core->bearer = NULL;
    if (token && asprintf(&core->bearer, "Bearer %s", token) < 0)
        abort();
}

void rpc_core_run(struct rpc_core *core)
{
    if (pthread_create(&core->thread, NULL, poll_queue, core) != 0)
        abort();
    core->running = true;
}

void rpc_core_destroy(struct rpc_core *core)
{
    if (!core)
        return;
    rpc_calls_end(core);
    rpc_peers_free(core);
    close_queue(core);
    pthread_cond_destroy(&core->calls_fewer);
    pthread_mutex_destroy(&core->lock);
    pthread_mutex_destroy(&core->calls_lock);
    free((char *)core->tls.ca);
    free((char *)core->tls.cert);
    free((char *)core->tls.key);
    free(core->bearer);
    free(core);
    grpc_shutdown_blocking();
}
