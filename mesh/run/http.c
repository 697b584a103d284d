/* The admin port: a thread that polls a handful of connections, one request each; the requests are read by http_parser.
 */
#include "mesh/run/admin.h"

#include "mesh/base/metrics.h"
#include "mesh/base/say.h"
#include "mesh/rpc/address.h"
#include "mesh/run/timers.h"

#include <arpa/inet.h>
#include <errno.h>
#include <http_parser.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTIONS 16
#define REQUEST_MAX (16 << 10)
#define PATIENCE_US 10000000 /* from accept to the last byte sent */

struct connection {
    int fd; /* -1: free */
    int64_t until_us;
    struct http_parser parser;
    char url[64];
    size_t url_len, received, sent, len;
    bool complete;
    char *reply; /* NULL: the request is still being read */
};

struct admin {
    bool (*healthy)(void *arg);
    void *arg;
    int listener, stop, port;
    pthread_t thread;
    struct connection connections[CONNECTIONS];
};

static void forget(struct connection *c)
{
    close(c->fd);
    free(c->reply);
    *c = (struct connection){ .fd = -1 };
}

/* --- requests --- */

static int on_url(struct http_parser *parser, const char *at, size_t n)
{
    struct connection *c = parser->data;
    if (c->url_len + n >= sizeof(c->url))
        return -1;
    memcpy(c->url + c->url_len, at, n);
    c->url_len += n;
    return 0;
}

static int on_complete(struct http_parser *parser)
{
    ((struct connection *)parser->data)->complete = true;
    http_parser_pause(parser, 1);
    return 0;
}

static void reply(struct connection *c, const char *status, const char *type, const char *body, size_t len)
{
    char head[256];
    int head_len = snprintf(head, sizeof(head),
                            "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n",
                            status, type, len);
    size_t body_len = c->parser.method == HTTP_HEAD ? 0 : len;
    c->reply = malloc((size_t)head_len + body_len);
    if (!c->reply) {
        forget(c);
        return;
    }
    memcpy(c->reply, head, (size_t)head_len);
    memcpy(c->reply + head_len, body, body_len);
    c->len = (size_t)head_len + body_len;
}

static void reply_text(struct connection *c, const char *status, const char *text)
{
    reply(c, status, "text/plain", text, strlen(text));
}

static void answer(struct admin *admin, struct connection *c)
{
    if (c->parser.method != HTTP_GET && c->parser.method != HTTP_HEAD) {
        reply_text(c, "405 Method Not Allowed", "only GET\n");
    } else if (strcmp(c->url, "/healthz") == 0) {
        if (admin->healthy(admin->arg))
            reply_text(c, "200 OK", "serving\n");
        else
            reply_text(c, "503 Service Unavailable", "not serving\n");
    } else if (strcmp(c->url, "/metrics") == 0) {
        size_t len;
        char *text = metrics_render(&len);
        reply(c, "200 OK", "text/plain; version=0.0.4", text, len);
        free(text);
    } else {
        reply_text(c, "404 Not Found", "there are /healthz and /metrics\n");
    }
}

static void receive(struct admin *admin, struct connection *c)
{
    static const http_parser_settings settings = { .on_url = on_url, .on_message_complete = on_complete };
    char data[4096];
    ssize_t n = recv(c->fd, data, sizeof(data), MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        forget(c);
        return;
    }
    c->received += (size_t)n;
    size_t parsed = http_parser_execute(&c->parser, &settings, data, (size_t)n);
    if (c->complete)
        answer(admin, c);
    else if (parsed != (size_t)n || c->received > REQUEST_MAX)
        reply_text(c, "400 Bad Request", "this is no request of HTTP/1.1, or a very long one\n");
}

static void transmit(struct connection *c)
{
    ssize_t n = send(c->fd, c->reply + c->sent, c->len - c->sent, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n > 0)
        c->sent += (size_t)n;
    if (n <= 0 || c->sent == c->len)
        forget(c);
}

/* --- the thread --- */

static void take(struct admin *admin)
{
    int fd = accept4(admin->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    for (struct connection *c = admin->connections; fd >= 0 && c < admin->connections + CONNECTIONS; c++) {
        if (c->fd >= 0)
            continue;
        c->fd = fd;
        c->until_us = timers_now_us() + PATIENCE_US;
        http_parser_init(&c->parser, HTTP_REQUEST);
        c->parser.data = c;
        return;
    }
    if (fd >= 0)
        close(fd);
}

/* How long poll may wait: until a connection has been open for too long. */
static int patience_ms(struct admin *admin)
{
    int64_t now = timers_now_us(), until = INT64_MAX;
    for (struct connection *c = admin->connections; c < admin->connections + CONNECTIONS; c++) {
        if (c->fd >= 0 && c->until_us <= now)
            forget(c);
        else if (c->fd >= 0 && c->until_us < until)
            until = c->until_us;
    }
    return until == INT64_MAX ? -1 : (int)((until - now) / 1000 + 1);
}

static void *run_admin(void *arg)
{
    struct admin *admin = arg;
    struct pollfd fds[2 + CONNECTIONS] = { { admin->stop, POLLIN, 0 }, { admin->listener, POLLIN, 0 } };
    pthread_setname_np(pthread_self(), "admin");

    while (!(fds[0].revents & POLLIN)) {
        int timeout_ms = patience_ms(admin), free_ones = 0;
        for (int i = 0; i < CONNECTIONS; i++) {
            struct connection *c = &admin->connections[i];
            fds[2 + i] = (struct pollfd){ c->fd, c->reply ? POLLOUT : POLLIN, 0 };
            free_ones += c->fd < 0;
        }
        fds[1].fd = free_ones > 0 ? admin->listener : -1;
        if (poll(fds, 2 + CONNECTIONS, timeout_ms) < 0)
            continue;
        for (int i = 0; i < CONNECTIONS; i++) {
            struct connection *c = &admin->connections[i];
            if (fds[2 + i].revents && c->reply)
                transmit(c);
            else if (fds[2 + i].revents)
                receive(admin, c);
        }
        if (fds[1].revents)
            take(admin);
    }
    return NULL;
}

static int listen_at(struct admin *admin, const char *address)
{
    struct sockaddr_storage at;
    socklen_t len;
    int on = 1, r = address_parse(address, &at, &len);
    if (r < 0)
        return r;
    admin->listener = socket(at.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (admin->listener < 0)
        return -errno;
    setsockopt(admin->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(admin->listener, (struct sockaddr *)&at, len) < 0 || listen(admin->listener, CONNECTIONS) < 0 ||
        getsockname(admin->listener, (struct sockaddr *)&at, &len) < 0)
        return -errno;
    admin->port = ntohs(at.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&at)->sin6_port
                                                 : ((struct sockaddr_in *)&at)->sin_port);
    return 0;
}

int admin_create(const char *listen_on, bool (*healthy)(void *arg), void *arg, struct admin **ret_admin)
{
    struct admin *admin = calloc(1, sizeof(*admin));
    if (!admin)
        return -ENOMEM;
    admin->healthy = healthy;
    admin->arg = arg;
    admin->listener = -1;
    for (int i = 0; i < CONNECTIONS; i++)
        admin->connections[i].fd = -1;
    admin->stop = eventfd(0, EFD_CLOEXEC);

    int r = admin->stop < 0 ? -errno : listen_at(admin, listen_on);
    if (r == 0)
        r = -pthread_create(&admin->thread, NULL, run_admin, admin);
    if (r < 0) {
        say(SAY_ERROR, NULL, "cannot listen", SAY_T("address", listen_on), SAY_T("error", strerror(-r)));
        if (admin->listener >= 0)
            close(admin->listener);
        if (admin->stop >= 0)
            close(admin->stop);
        free(admin);
        return r;
    }
    *ret_admin = admin;
    return 0;
}

int admin_port(const struct admin *admin)
{
    return admin->port;
}

void admin_destroy(struct admin *admin)
{
    if (!admin)
        return;
    eventfd_write(admin->stop, 1);
    pthread_join(admin->thread, NULL);
    for (int i = 0; i < CONNECTIONS; i++)
        if (admin->connections[i].fd >= 0)
            forget(&admin->connections[i]);
    close(admin->listener);
    close(admin->stop);
    free(admin);
}
