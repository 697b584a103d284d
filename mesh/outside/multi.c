/* libcurl's multi interface on libuv: curl says what to wait for, libuv waits, curl goes on.
 *
 * A handle of libuv is kept per number of a file descriptor, stopped while curl does not care: making one costs more
 * system calls than the fetch itself. */
#include "mesh/outside/inner.h"
#include "mesh/outside/libcurl.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#define CONNECTIONS_KEPT (2L * OUTSIDE_CONNECTIONS_MAX) /* to all peers together, while nothing is said */

struct watch {
    uv_poll_t handle;
    struct multi *multi;
    curl_socket_t fd;
};

struct multi {
    CURLM *curl;
    uv_loop_t *loop;
    uv_timer_t timer;
    struct watch **watches; /* by file descriptor */
    size_t n_watches;
};

static void tell_ends(struct multi *multi)
{
    CURLMsg *message;
    int left;
    while ((message = libcurl.multi_info_read(multi->curl, &left))) {
        CURL *easy = message->easy_handle;
        CURLcode code = message->data.result;
        char *transfer;
        libcurl.easy_getinfo(easy, CURLINFO_PRIVATE, &transfer);
        libcurl.multi_remove_handle(multi->curl, easy);
        http_over((struct transfer *)transfer, code);
    }
}

static void go_on(struct multi *multi, curl_socket_t fd, int events)
{
    int running;
    libcurl.multi_socket_action(multi->curl, fd, events, &running);
    tell_ends(multi);
}

static void on_ready(uv_poll_t *handle, int status, int events)
{
    struct watch *watch = handle->data;
    int flags = status < 0 ? CURL_CSELECT_ERR : 0;
    flags |= events & UV_READABLE ? CURL_CSELECT_IN : 0;
    flags |= events & UV_WRITABLE ? CURL_CSELECT_OUT : 0;
    go_on(watch->multi, watch->fd, flags);
}

static void on_timer(uv_timer_t *timer)
{
    go_on(timer->data, CURL_SOCKET_TIMEOUT, 0);
}

static int set_timer(CURLM *curl, long timeout_ms, void *data)
{
    struct multi *multi = data;
    if (timeout_ms < 0)
        return uv_timer_stop(&multi->timer);
    return uv_timer_start(&multi->timer, on_timer, (uint64_t)timeout_ms, 0);
}

static bool make_room(struct multi *multi, size_t fd)
{
    size_t n = multi->n_watches ? multi->n_watches : 64;
    while (n <= fd)
        n *= 2;
    struct watch **watches = realloc(multi->watches, n * sizeof(struct watch *));
    if (!watches)
        return false;
    memset(watches + multi->n_watches, 0, (n - multi->n_watches) * sizeof(struct watch *));
    multi->watches = watches;
    multi->n_watches = n;
    return true;
}

static struct watch *watch_of(struct multi *multi, curl_socket_t fd)
{
    if ((size_t)fd >= multi->n_watches && !make_room(multi, (size_t)fd))
        return NULL;
    if (multi->watches[fd])
        return multi->watches[fd];
    struct watch *watch = calloc(1, sizeof(*watch));
    if (!watch || uv_poll_init(multi->loop, &watch->handle, fd) < 0) {
        free(watch);
        return NULL;
    }
    watch->handle.data = watch;
    watch->multi = multi;
    watch->fd = fd;
    multi->watches[fd] = watch;
    return watch;
}

/* -1 ends the transfer, and all of curl's others: there is no memory. */
static int set_watch(CURL *easy, curl_socket_t fd, int what, void *data, void *socket_data)
{
    struct multi *multi = data;
    if (what == CURL_POLL_REMOVE)
        return (size_t)fd < multi->n_watches && multi->watches[fd] ? uv_poll_stop(&multi->watches[fd]->handle) : 0;
    struct watch *watch = watch_of(multi, fd);
    int events = (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
    return watch && uv_poll_start(&watch->handle, events, on_ready) == 0 ? 0 : -1;
}

int multi_create(struct uv_loop_s *loop, struct multi **ret_multi)
{
    struct multi *multi = calloc(1, sizeof(*multi));
    if (!multi || !libcurl_load() || !(multi->curl = libcurl.multi_init())) {
        free(multi);
        return -EIO;
    }
    multi->loop = loop;
    uv_timer_init(loop, &multi->timer);
    multi->timer.data = multi;
    libcurl.multi_setopt(multi->curl, CURLMOPT_SOCKETFUNCTION, set_watch);
    libcurl.multi_setopt(multi->curl, CURLMOPT_SOCKETDATA, multi);
    libcurl.multi_setopt(multi->curl, CURLMOPT_TIMERFUNCTION, set_timer);
    libcurl.multi_setopt(multi->curl, CURLMOPT_TIMERDATA, multi);
    libcurl.multi_setopt(multi->curl, CURLMOPT_MAXCONNECTS, CONNECTIONS_KEPT);
    libcurl.multi_setopt(multi->curl, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
    *ret_multi = multi;
    return 0;
}

int multi_add(struct multi *multi, void *easy)
{
    return libcurl.multi_add_handle(multi->curl, easy) == CURLM_OK ? 0 : -EIO;
}

void multi_remove(struct multi *multi, void *easy)
{
    libcurl.multi_remove_handle(multi->curl, easy);
}

static void free_watch(uv_handle_t *handle)
{
    free(handle->data);
}

void multi_destroy(struct multi *multi)
{
    if (!multi)
        return;
    libcurl.multi_cleanup(multi->curl);
    for (size_t i = 0; i < multi->n_watches; i++)
        if (multi->watches[i])
            uv_close((uv_handle_t *)&multi->watches[i]->handle, free_watch);
    free(multi->watches);
    uv_close((uv_handle_t *)&multi->timer, free_watch);
}
