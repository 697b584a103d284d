/* Sockets that clients connect to, one in cleartext for loopback, one with TLS for the world. */
#include "gateway/edge.h"
#include "gateway/limited.h"
#include "mesh/base/say.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <unistd.h>

#define BURST    64           /* connections taken before others have their turn */
#define PAUSE_US (100 * 1000) /* when there are no more file descriptors */

struct listener {
    struct gateway *gateway;
    SSL_CTX *context;
    uv_poll_t poll;
    struct alarm pause;
    int fd, port;
};

static void on_connection(uv_poll_t *poll, int status, int events);

static void resume(struct alarm *alarm)
{
    struct listener *l = (struct listener *)((char *)alarm - offsetof(struct listener, pause));
    uv_poll_start(&l->poll, UV_READABLE, on_connection);
}

static void on_connection(uv_poll_t *poll, int status, int events)
{
    struct listener *l = poll->data;
    for (int i = 0; i < BURST; i++) {
        struct sockaddr_storage from;
        socklen_t len = sizeof(from);
        int fd = accept4(l->fd, (struct sockaddr *)&from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            edge_accept(l->gateway, fd, (struct sockaddr *)&from, l->context);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
            limit_met(LIMIT_FILES);
            uv_poll_stop(poll);
            alarm_start(&l->gateway->reactor.wheel, &l->pause, PAUSE_US, resume);
        }
        if (errno != EINTR && errno != ECONNABORTED)
            return;
    }
}

static bool is_loopback(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET)
        return ntohl(((const struct sockaddr_in *)address)->sin_addr.s_addr) >> 24 == 127;
    return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)address)->sin6_addr);
}

static int resolve(const char *text, struct addrinfo **ret_list)
{
    char host[256];
    const char *colon = strrchr(text, ':');
    if (!colon || (size_t)(colon - text) >= sizeof(host))
        return -EINVAL;
    bool bracketed = text[0] == '[' && colon > text + 1 && colon[-1] == ']';
    size_t len = (size_t)(colon - text) - (bracketed ? 2 : 0);
    memcpy(host, text + bracketed, len);
    host[len] = '\0';
    const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV };
    return getaddrinfo(len ? host : NULL, colon + 1, &hints, ret_list) ? -EINVAL : 0;
}

static int open_socket(const struct addrinfo *address, int *ret_port)
{
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int on = 1;
    struct sockaddr_storage bound;
    socklen_t len = sizeof(bound);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, address->ai_addr, address->ai_addrlen) < 0 || listen(fd, 1024) < 0 ||
        getsockname(fd, (struct sockaddr *)&bound, &len) < 0) {
        int r = -errno;
        close(fd);
        return r;
    }
    *ret_port = ntohs(bound.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&bound)->sin6_port
                                                  : ((struct sockaddr_in *)&bound)->sin_port);
    return fd;
}

static int refuse(const char *address, const char *reason, int r)
{
    say(SAY_ERROR, NULL, "cannot listen", SAY_T("address", address), SAY_T("reason", reason));
    return r;
}

int listener_create(struct gateway *gateway, const char *address, SSL_CTX *context, struct listener **ret_listener)
{
    struct addrinfo *list;
    if (resolve(address, &list) < 0)
        return refuse(address, "it is not host:port", -EINVAL);
    if (!context && !is_loopback(list->ai_addr)) {
        freeaddrinfo(list);
        return refuse(address, "without TLS only loopback addresses are allowed, as tokens travel in clear", -EPERM);
    }
    struct listener *l = calloc(1, sizeof(*l));
    int fd = l ? open_socket(list, &l->port) : -ENOMEM;
    freeaddrinfo(list);
    if (fd < 0) {
        free(l);
        return refuse(address, strerror(-fd), fd);
    }
    l->gateway = gateway;
    l->context = context;
    l->fd = fd;
    uv_poll_init(gateway->reactor.loop, &l->poll, fd);
    l->poll.data = l;
    uv_poll_start(&l->poll, UV_READABLE, on_connection);
    *ret_listener = l;
    return 0;
}

int listener_port(const struct listener *listener)
{
    return listener->port;
}

void listener_context(struct listener *listener, SSL_CTX *context)
{
    SSL_CTX_free(listener->context);
    listener->context = context;
}

static void closed(uv_handle_t *handle)
{
    struct listener *l = handle->data;
    close(l->fd);
    SSL_CTX_free(l->context);
    free(l);
}

void listener_destroy(struct listener *listener)
{
    if (!listener)
        return;
    alarm_stop(&listener->pause);
    uv_close((uv_handle_t *)&listener->poll, closed);
}
