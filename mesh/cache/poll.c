/* On a poll error hiredis itself finds out what is wrong: the adapter it ships returns there, and then a refused
 * connection or a killed server is never heard of. */
#include "mesh/cache/poll.h"

#include <errno.h>
#include <hiredis/async.h>
#include <stdlib.h>
#include <uv.h>

struct poll {
    uv_poll_t handle;
    redisAsyncContext *context; /* NULL: freed */
    int events;
};

static void ready(uv_poll_t *handle, int status, int events)
{
    struct poll *p = handle->data;
    if (status < 0)
        events = UV_READABLE | UV_WRITABLE;
    if (p->context && (events & UV_READABLE))
        redisAsyncHandleRead(p->context);
    if (p->context && (events & UV_WRITABLE))
        redisAsyncHandleWrite(p->context);
    if (p->context && status < 0 && p->events)
        uv_poll_start(&p->handle, p->events, ready); /* libuv has stopped it */
}

static void watch(struct poll *p, int events)
{
    p->events = events;
    if (events)
        uv_poll_start(&p->handle, events, ready);
    else
        uv_poll_stop(&p->handle);
}

static void add_read(void *data)
{
    struct poll *p = data;
    watch(p, p->events | UV_READABLE);
}

static void del_read(void *data)
{
    struct poll *p = data;
    watch(p, p->events & ~UV_READABLE);
}

static void add_write(void *data)
{
    struct poll *p = data;
    watch(p, p->events | UV_WRITABLE);
}

static void del_write(void *data)
{
    struct poll *p = data;
    watch(p, p->events & ~UV_WRITABLE);
}

static void closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void cleanup(void *data)
{
    struct poll *p = data;
    p->context = NULL;
    p->events = 0;
    uv_close((uv_handle_t *)&p->handle, closed);
}

int poll_attach(struct uv_loop_s *loop, struct redisAsyncContext *context)
{
    struct poll *p = calloc(1, sizeof(*p));
    if (!p)
        return -ENOMEM;
    int r = uv_poll_init(loop, &p->handle, context->c.fd);
    if (r < 0) {
        free(p);
        return r;
    }
    p->handle.data = p;
    p->context = context;
    context->ev.data = p;
    context->ev.addRead = add_read;
    context->ev.delRead = del_read;
    context->ev.addWrite = add_write;
    context->ev.delWrite = del_write;
    context->ev.cleanup = cleanup;
    return 0;
}
