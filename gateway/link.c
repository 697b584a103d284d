/* One socket, polled by libuv and read and written by us, so that a turn of the loop costs one read and one write per
 * connection. */
#include "gateway/link.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROUNDS 4 /* full buffers that one link may read or write before the others have their turn */

static void on_poll(uv_poll_t *poll, int status, int events);

static void poll_for(struct link *link, int events)
{
    if (link->events == events)
        return;
    link->events = (uint8_t)events;
    uv_poll_start(&link->poll, events, on_poll);
}

/* What to wait for: the peer's bytes always, unless it is deaf itself or nobody wants them; room to write only while
 * some are waiting. */
static void poll_as_needed(struct link *link)
{
    if (link->state != LINK_OPEN)
        return;
    bool blocked = link->backlog_len > link->backlog_at;
    int input = link->paused ? UV_DISCONNECT : UV_READABLE;
    poll_for(link, (blocked ? UV_WRITABLE : 0) | (blocked && link->deaf ? 0 : input));
}

void link_close(struct link *link, int why)
{
    if (link->state == LINK_CLOSED)
        return;
    link->state = LINK_CLOSED;
    link->why = why;
    uv_poll_stop(&link->poll);
    link->next_dead = link->reactor->dead;
    link->reactor->dead = link;
}

void link_wake(struct link *link)
{
    if (link->woken)
        return;
    link->woken = true;
    link->next = link->reactor->woken;
    link->reactor->woken = link;
}

void link_finish(struct link *link)
{
    link->finishing = true;
    link_wake(link);
}

void link_part(struct link *link)
{
    link->patient = true;
    link_finish(link);
}

void link_pause(struct link *link, bool paused)
{
    if (link->paused == paused)
        return;
    link->paused = paused;
    link->unread = !paused; /* what the TLS layer holds is not polled for */
    poll_as_needed(link);
    link_wake(link);
}

/* --- bytes --- */

static ssize_t tls_error(struct link *link, int n)
{
    int why = SSL_get_error(link->ssl, n);
    ERR_clear_error();
    if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE)
        return -EAGAIN;
    return why == SSL_ERROR_ZERO_RETURN ? -ECONNRESET : -EPROTO;
}

/* > 0, or -EAGAIN, or another negative errno; the peer's end is -ECONNRESET. */
static ssize_t read_some(struct link *link, uint8_t *data, size_t room)
{
    if (link->ssl) {
        int n = SSL_read(link->ssl, data, (int)room);
        return n > 0 ? n : tls_error(link, n);
    }
    ssize_t n = read(link->fd, data, room);
    if (n > 0)
        return n;
    return n == 0 ? -ECONNRESET : -errno;
}

static ssize_t write_some(struct link *link, const uint8_t *data, size_t len)
{
    if (link->ssl) {
        int n = SSL_write(link->ssl, data, (int)len);
        return n > 0 ? n : tls_error(link, n);
    }
    ssize_t n = send(link->fd, data, len, MSG_NOSIGNAL);
    return n >= 0 ? n : -errno;
}

/* Writes as much as goes; returns how much, or a negative errno. */
static ssize_t write_out(struct link *link, const uint8_t *data, size_t len)
{
    size_t done = 0;
    while (done < len) {
        ssize_t n = write_some(link, data + done, len - done);
        if (n == -EAGAIN)
            break;
        if (n < 0)
            return n;
        done += (size_t)n;
    }
    link->written += done;
    return (ssize_t)done;
}

static int keep_backlog(struct link *link, const uint8_t *data, size_t len)
{
    link->backlog = malloc(len);
    if (!link->backlog)
        return -ENOMEM;
    memcpy(link->backlog, data, len);
    link->backlog_len = len;
    link->backlog_at = 0;
    return 0;
}

/* 0 when nothing is left, -EAGAIN, or another negative errno. */
static int write_backlog(struct link *link)
{
    if (!link->backlog)
        return 0;
    ssize_t n = write_out(link, link->backlog + link->backlog_at, link->backlog_len - link->backlog_at);
    if (n < 0)
        return (int)n;
    link->backlog_at += (size_t)n;
    if (link->backlog_at < link->backlog_len)
        return -EAGAIN;
    free(link->backlog);
    link->backlog = NULL;
    link->backlog_len = link->backlog_at = 0;
    return 0;
}

/* One turn of sending: 0, 1 if it was stopped for the others' sake, or a negative errno. */
static int send_turn(struct link *link)
{
    int r = write_backlog(link);
    if (r < 0)
        return r == -EAGAIN ? 0 : r;

    struct outbuf *out = &link->reactor->out;
    int more = 1;
    for (int round = 0; more && round < ROUNDS; round++) {
        out->len = 0;
        more = link->ops->output(link, out);
        if (more < 0)
            return more;
        ssize_t n = write_out(link, out->data, out->len);
        if (n < 0)
            return (int)n;
        if ((size_t)n < out->len)
            return keep_backlog(link, out->data + n, out->len - (size_t)n);
    }
    return more;
}

static void receive(struct link *link)
{
    struct reactor *reactor = link->reactor;
    link->unread = false;
    for (int round = 0; link->state == LINK_OPEN && !link->paused; round++) {
        if (round == ROUNDS) {
            link->unread = link->ssl != NULL;
            break;
        }
        ssize_t n = read_some(link, reactor->in, sizeof(reactor->in));
        if (n == -EAGAIN)
            break;
        if (n < 0)
            return link_close(link, (int)n);
        int r = link->ops->input(link, reactor->in, (size_t)n);
        if (r < 0)
            return link_close(link, r);
        if (!link->ssl && (size_t)n < sizeof(reactor->in))
            break;
    }
    if (link->unread)
        link_wake(link);
}

static void shake_hands(struct link *link)
{
    int n = SSL_do_handshake(link->ssl);
    if (n == 1) {
        link->state = LINK_OPEN;
        poll_as_needed(link);
        link->ops->ready(link);
        link_wake(link);
        return receive(link);
    }
    int why = SSL_get_error(link->ssl, n);
    ERR_clear_error();
    if (why == SSL_ERROR_WANT_READ)
        return poll_for(link, UV_READABLE);
    if (why == SSL_ERROR_WANT_WRITE)
        return poll_for(link, UV_WRITABLE);
    link_close(link, SSL_get_verify_result(link->ssl) == X509_V_OK ? -EPROTO : -EKEYREJECTED);
}

static int socket_error(const struct link *link)
{
    int error = 0;
    socklen_t len = sizeof(error);
    getsockopt(link->fd, SOL_SOCKET, SO_ERROR, &error, &len);
    return -error;
}

static void connected(struct link *link)
{
    int r = socket_error(link);
    if (r < 0)
        return link_close(link, r);
    if (link->ssl) {
        link->state = LINK_HANDSHAKE;
        return shake_hands(link);
    }
    link->state = LINK_OPEN;
    poll_as_needed(link);
    link->ops->ready(link);
    link_wake(link);
}

/* Nothing is left to be sent. */
static void hang_up(struct link *link)
{
    if (link->ssl) {
        SSL_shutdown(link->ssl);
        ERR_clear_error();
    }
    if (!link->patient)
        return link_close(link, 0);
    link->state = LINK_PARTING;
    shutdown(link->fd, SHUT_WR);
    poll_for(link, UV_READABLE);
}

static void drop_input(struct link *link)
{
    ssize_t n = read(link->fd, link->reactor->in, sizeof(link->reactor->in));
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        link_close(link, 0);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct link *link = poll->data;
    if (status < 0) {
        int r = socket_error(link);
        return link_close(link, r < 0 ? r : -ECONNRESET);
    }
    if (link->state == LINK_CONNECTING)
        return connected(link);
    if (link->state == LINK_HANDSHAKE)
        return shake_hands(link);
    if (link->state == LINK_PARTING)
        return drop_input(link);
    if (link->paused && (events & UV_DISCONNECT))
        return link_close(link, -ECONNRESET);
    if (events & UV_WRITABLE)
        link_wake(link);
    if (events & UV_READABLE)
        receive(link);
}

/* --- the turn of the loop --- */

static void handle_closed(uv_handle_t *handle)
{
    struct link *link = handle->data;
    close(link->fd);
    link->reactor->n_links--;
    link->ops->gone(link);
}

static void bury(struct link *link)
{
    link->ops->down(link, link->why);
    SSL_free(link->ssl);
    free(link->backlog);
    uv_close((uv_handle_t *)&link->poll, handle_closed);
}

static void tend(struct link *link)
{
    struct reactor *reactor = link->reactor;
    if (link->unread)
        receive(link);
    if (link->state != LINK_OPEN)
        return;
    int r = send_turn(link);
    if (r < 0)
        return link_close(link, r);
    if (r == 0 && link->finishing && !link->backlog)
        return hang_up(link);
    poll_as_needed(link);
    if ((r > 0 || link->unread) && !link->woken) {
        link->woken = true;
        link->next = reactor->later;
        reactor->later = link;
    }
}

static void on_again(uv_idle_t *again)
{
}

static void turn(struct reactor *reactor)
{
    for (struct link *link; (link = reactor->woken);) {
        reactor->woken = link->next;
        link->woken = false;
        tend(link);
    }
    /* Burying one may close or wake others; one that still stands in a list of the woken waits for the next turn. */
    struct link *waiting = NULL;
    for (struct link *link; (link = reactor->dead);) {
        reactor->dead = link->next_dead;
        if (!link->woken) {
            bury(link);
            continue;
        }
        link->next_dead = waiting;
        waiting = link;
    }
    reactor->dead = waiting;
    for (struct link *link; (link = reactor->later);) {
        reactor->later = link->next;
        link->next = reactor->woken;
        reactor->woken = link;
    }
    if (reactor->woken || reactor->dead)
        uv_idle_start(&reactor->again, on_again);
    else
        uv_idle_stop(&reactor->again);
}

static void on_check(uv_check_t *check)
{
    turn(check->data);
}

/* Timers run before the poll: what they woke must not wait for it. */
static void on_prepare(uv_prepare_t *prepare)
{
    struct reactor *reactor = prepare->data;
    if (!uv_is_active((uv_handle_t *)&reactor->again))
        turn(reactor);
}

void reactor_init(struct reactor *reactor, uv_loop_t *loop)
{
    reactor->loop = loop;
    reactor->woken = reactor->later = reactor->dead = NULL;
    reactor->n_links = 0;
    uv_check_init(loop, &reactor->check);
    uv_prepare_init(loop, &reactor->prepare);
    uv_idle_init(loop, &reactor->again);
    reactor->check.data = reactor->prepare.data = reactor;
    uv_check_start(&reactor->check, on_check);
    uv_prepare_start(&reactor->prepare, on_prepare);
    wheel_init(&reactor->wheel, loop);
}

static void on_closed(uv_handle_t *handle)
{
    struct reactor *reactor = handle->data;
    if (--reactor->closing == 0)
        reactor->closed(reactor->closed_arg);
}

void reactor_finish(struct reactor *reactor, void (*closed)(void *arg), void *arg)
{
    uv_handle_t *handles[] = { (uv_handle_t *)&reactor->check, (uv_handle_t *)&reactor->prepare,
                               (uv_handle_t *)&reactor->again, (uv_handle_t *)&reactor->wheel.timer };
    reactor->closed = closed;
    reactor->closed_arg = arg;
    reactor->closing = sizeof(handles) / sizeof(handles[0]);
    for (size_t i = 0; i < sizeof(handles) / sizeof(handles[0]); i++) {
        handles[i]->data = reactor;
        uv_close(handles[i], on_closed);
    }
}

static int start(struct link *link, struct reactor *reactor, const struct link_ops *ops, int fd, SSL *ssl)
{
    link->reactor = reactor;
    link->ops = ops;
    link->ssl = ssl;
    link->fd = fd;
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (ssl && SSL_set_fd(ssl, fd) != 1)
        return -ENOMEM;
    int r = uv_poll_init(reactor->loop, &link->poll, fd);
    link->poll.data = link;
    if (r == 0)
        reactor->n_links++;
    return r;
}

int link_accept(struct link *link, struct reactor *reactor, const struct link_ops *ops, int fd, SSL *ssl)
{
    int r = start(link, reactor, ops, fd, ssl);
    if (r < 0) {
        SSL_free(ssl);
        close(fd);
        return r;
    }
    if (ssl)
        SSL_set_accept_state(ssl);
    link->state = ssl ? LINK_HANDSHAKE : LINK_OPEN;
    poll_for(link, UV_READABLE);
    if (!ssl)
        ops->ready(link);
    link_wake(link);
    return 0;
}

int link_connect(struct link *link, struct reactor *reactor, const struct link_ops *ops, const struct sockaddr *address,
                 SSL *ssl)
{
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        SSL_free(ssl);
        return -errno;
    }
    socklen_t len = address->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
    int r = connect(fd, address, len) < 0 && errno != EINPROGRESS ? -errno : 0;
    if (r == 0)
        r = start(link, reactor, ops, fd, ssl);
    if (r < 0) {
        SSL_free(ssl);
        close(fd);
        return r;
    }
    if (ssl)
        SSL_set_connect_state(ssl);
    link->state = LINK_CONNECTING;
    poll_for(link, UV_WRITABLE);
    return 0;
}
