/* One listener, a thousand guests. */
#include "tests/mesh/stranger.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

struct saying {
    uv_write_t write;
    char data[];
};

static void said(uv_write_t *write, int status)
{
    free(write);
}

void guest_say(struct guest *guest, const char *data, size_t n)
{
    struct saying *saying = malloc(sizeof(*saying) + n);
    ck_assert_ptr_nonnull(saying);
    memcpy(saying->data, data, n);
    uv_buf_t buffer = uv_buf_init(saying->data, (unsigned)n);
    if (uv_write(&saying->write, (uv_stream_t *)&guest->tcp, &buffer, 1, said) < 0)
        free(saying);
}

void guest_took(struct guest *guest, size_t n)
{
    ck_assert_uint_le(n, guest->n_heard);
    guest->n_heard -= n;
    memmove(guest->heard, guest->heard + n, guest->n_heard + 1);
}

static void left(uv_handle_t *handle)
{
    free(handle);
}

static bool forget(struct guest *guest)
{
    struct stranger *s = guest->stranger;
    if (uv_is_closing((uv_handle_t *)&guest->tcp))
        return false;
    for (size_t i = 0; i < sizeof(s->guests) / sizeof(s->guests[0]); i++)
        if (s->guests[i] == guest)
            s->guests[i] = NULL;
    s->open--;
    return true;
}

static void shut(uv_shutdown_t *shutdown, int status)
{
    struct guest *guest = shutdown->data;
    free(shutdown);
    if (forget(guest))
        uv_close((uv_handle_t *)&guest->tcp, left);
}

void guest_leave(struct guest *guest)
{
    uv_shutdown_t *shutdown = malloc(sizeof(*shutdown));
    ck_assert_ptr_nonnull(shutdown);
    shutdown->data = guest;
    if (uv_shutdown(shutdown, (uv_stream_t *)&guest->tcp, shut) < 0)
        shut(shutdown, 0);
}

void guest_reset(struct guest *guest)
{
    if (forget(guest))
        uv_tcp_close_reset(&guest->tcp, left);
}

static void on_room(uv_handle_t *handle, size_t wanted, uv_buf_t *ret_buffer)
{
    struct guest *guest = (struct guest *)handle;
    *ret_buffer = uv_buf_init(guest->heard + guest->n_heard, (unsigned)(HEARD_MAX - guest->n_heard));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer)
{
    struct guest *guest = (struct guest *)stream;
    if (n < 0) {
        if (forget(guest))
            uv_close((uv_handle_t *)&guest->tcp, left);
        return;
    }
    guest->n_heard += (size_t)n;
    guest->heard[guest->n_heard] = '\0';
    guest->stranger->hears(guest);
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct stranger *s = (struct stranger *)listener;
    struct guest *guest = calloc(1, sizeof(*guest));
    ck_assert_ptr_nonnull(guest);
    ck_assert_int_eq(status, 0);
    guest->stranger = s;
    uv_tcp_init(listener->loop, &guest->tcp);
    ck_assert_int_eq(uv_accept(listener, (uv_stream_t *)&guest->tcp), 0);
    size_t i = 0;
    while (s->guests[i])
        ck_assert_uint_lt(++i, sizeof(s->guests) / sizeof(s->guests[0]));
    s->guests[i] = guest;
    s->connections++;
    if (++s->open > s->most_open)
        s->most_open = s->open;
    uv_read_start((uv_stream_t *)&guest->tcp, on_room, on_read);
    s->hears(guest);
}

void stranger_open(struct stranger *s, uv_loop_t *loop, void (*hears)(struct guest *guest))
{
    struct sockaddr_in address;
    int len = sizeof(address);
    *s = (struct stranger){ .hears = hears };
    uv_tcp_init(loop, &s->tcp);
    uv_ip4_addr("127.0.0.1", 0, &address);
    ck_assert_int_eq(uv_tcp_bind(&s->tcp, (struct sockaddr *)&address, 0), 0);
    ck_assert_int_eq(uv_listen((uv_stream_t *)&s->tcp, 512, on_connection), 0);
    ck_assert_int_eq(uv_tcp_getsockname(&s->tcp, (struct sockaddr *)&address, &len), 0);
    s->port = ntohs(address.sin_port);
}

void stranger_close(struct stranger *s)
{
    for (size_t i = 0; i < sizeof(s->guests) / sizeof(s->guests[0]); i++)
        if (s->guests[i])
            guest_reset(s->guests[i]);
    uv_close((uv_handle_t *)&s->tcp, NULL);
}
