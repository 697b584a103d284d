/* Tests of mesh/outside: HTTP, mails and files as others see them, and everything that a stranger may do wrong. */
#include "mesh/base/say.h"
#include "mesh/outside/outside.h"
#include "tests/mesh/certs.h"
#include "tests/mesh/stranger.h"
#include "tests/suite.h"

#include <dirent.h>
#include <errno.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECOND_US 1000000ll

static uv_loop_t loop;
static struct outside *outside;
static struct stranger shop;
static char folder[64];

/* --- fetches --- */

struct errand {
    struct fetch fetch;
    int ended, result, status;
    size_t len;
    char body[256];
};

static void done(struct fetch *fetch, int result, int status, struct bytes body)
{
    struct errand *e = (struct errand *)fetch;
    e->ended++;
    e->result = result;
    e->status = status;
    e->len = body.len;
    snprintf(e->body, sizeof(e->body), "%.*s", (int)(body.len < 255 ? body.len : 255), (const char *)body.data);
}

static void begin_fetch(struct errand *e, const char *peer, const char *verb, const char *path, const char *key,
                        const char *body)
{
    *e = (struct errand){ .fetch = { .peer = peer,
                                     .verb = verb,
                                     .path = path,
                                     .idempotency_key = key,
                                     .body = { (const uint8_t *)body, strlen(body) },
                                     .timeout_us = 20 * SECOND_US,
                                     .done = done } };
    outside_submit(outside, &e->fetch);
}

static int await(struct errand *e)
{
    while (!e->ended)
        uv_run(&loop, UV_RUN_ONCE);
    ck_assert_int_eq(e->ended, 1);
    return e->result;
}

static struct errand *fetch(const char *peer, const char *verb, const char *path, const char *key, const char *body)
{
    static struct errand e;
    begin_fetch(&e, peer, verb, path, key, body);
    await(&e);
    return &e;
}

/* --- a stranger that speaks HTTP and does what the path says --- */

static struct {
    int n;
    char head[4096], body[4096]; /* of the last one */
    struct guest *held[512];
    size_t n_held;
} heard;

static void answer(struct guest *guest, int status, const char *body)
{
    char text[8192];
    int n = snprintf(text, sizeof(text), "HTTP/1.1 %d So\r\nLocation: /elsewhere\r\nContent-Length: %zu\r\n\r\n%s",
                     status, strlen(body), body);
    guest_say(guest, text, (size_t)n);
}

static void answer_large(struct guest *guest, size_t n)
{
    char *text = malloc(n + 64);
    int head = sprintf(text, "HTTP/1.1 200 So\r\nContent-Length: %zu\r\n\r\n", n);
    memset(text + head, 'x', n);
    guest_say(guest, text, (size_t)head + n);
    free(text);
}

static void release_held(void)
{
    size_t n = heard.n_held;
    heard.n_held = 0;
    for (size_t i = 0; i < n; i++)
        answer(heard.held[i], 200, "at last");
}

static void act(struct guest *guest, const char *path)
{
    static const char half[] = "HTTP/1.1 200 So\r\nContent-Length: 100\r\n\r\nhalf";
    static const char odd[] = "I do not speak HTTP\r\n\r\n";
    if (strncmp(path, "/status/", 8) == 0)
        answer(guest, atoi(path + 8), "{}");
    else if (strncmp(path, "/hold", 5) == 0)
        heard.held[heard.n_held++] = guest;
    else if (strncmp(path, "/silent", 7) == 0)
        return;
    else if (strncmp(path, "/reset", 6) == 0)
        guest_reset(guest);
    else if (strncmp(path, "/leave", 6) == 0)
        guest_leave(guest);
    else if (strncmp(path, "/half", 5) == 0)
        guest_say(guest, half, sizeof(half) - 1), guest_leave(guest);
    else if (strncmp(path, "/odd", 4) == 0)
        guest_say(guest, odd, sizeof(odd) - 1), guest_leave(guest);
    else if (strncmp(path, "/last", 5) == 0)
        answer(guest, 200, "the last one"), guest_leave(guest);
    else if (strncmp(path, "/most", 5) == 0)
        answer_large(guest, OUTSIDE_ANSWER_MAX);
    else if (strncmp(path, "/more", 5) == 0)
        answer_large(guest, OUTSIDE_ANSWER_MAX + 1);
    else
        answer(guest, 200, heard.body);
}

static void hears_http(struct guest *guest)
{
    const char *end;
    while ((end = strstr(guest->heard, "\r\n\r\n"))) {
        size_t head = (size_t)(end - guest->heard) + 4;
        const char *length = strcasestr(guest->heard, "\r\nContent-Length:");
        size_t body = length && length < end ? (size_t)atoi(length + 17) : 0;
        if (guest->n_heard < head + body)
            return;
        heard.n++;
        snprintf(heard.head, sizeof(heard.head), "%.*s", (int)head, guest->heard);
        snprintf(heard.body, sizeof(heard.body), "%.*s", (int)body, guest->heard + head);
        guest_took(guest, head + body);
        const char *path = strchr(heard.head, ' ') + 1;
        act(guest, path);
        if (strncmp(path, "/reset", 6) == 0)
            return;
    }
}

/* --- the frame --- */

static void begin_with(void (*hears)(struct guest *guest), const char *peers_format)
{
    char peers[256], template[] = "/tmp/check_fetch.XXXXXX";
    say_init("check", SAY_ERROR + 1);
    ck_assert_ptr_nonnull(mkdtemp(template));
    snprintf(folder, sizeof(folder), "%s/mails", template);
    uv_loop_init(&loop);
    stranger_open(&shop, &loop, hears);
    snprintf(peers, sizeof(peers), peers_format, shop.port, folder);
    ck_assert_int_eq(outside_create(&loop, peers, &outside), 0);
}

static void begin(void)
{
    begin_with(hears_http, "shop=http://127.0.0.1:%u,folder=file://%s/");
}

static void end(void)
{
    outside_destroy(outside);
    stranger_close(&shop);
    uv_run(&loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&loop), 0);
    rmdir(folder);
    *strrchr(folder, '/') = '\0';
    rmdir(folder);
}

/* Removes all files; how many there were. */
static int empty_folder(void)
{
    int n = 0;
    DIR *dir = opendir(folder);
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        ck_assert_int_eq(unlinkat(dirfd(dir), entry->d_name, 0), 0);
        n++;
    }
    closedir(dir);
    return n;
}

/* --- HTTP --- */

START_TEST(what_is_to_be_said_is_said)
{
    begin();
    struct errand *e = fetch("shop", "POST", "/v1/captures?x=1", "ord_1-capture", "{\"amount_minor\":5}");
    ck_assert_int_eq(e->result, 0);
    ck_assert_int_eq(e->status, 200);
    ck_assert_str_eq(e->body, "{\"amount_minor\":5}");
    ck_assert_ptr_eq(strstr(heard.head, "POST /v1/captures?x=1 HTTP/1.1\r\n"), heard.head);
    ck_assert_ptr_nonnull(strstr(heard.head, "\r\nIdempotency-Key: ord_1-capture\r\n"));
    ck_assert_ptr_nonnull(strstr(heard.head, "\r\nContent-Type: application/json\r\n"));
    ck_assert_ptr_null(strstr(heard.head, "Expect"));

    ck_assert_str_eq(fetch("shop", "GET", "/v1/operations/a", NULL, "")->body, "");
    ck_assert_ptr_eq(strstr(heard.head, "GET /v1/operations/a HTTP/1.1\r\n"), heard.head);
    ck_assert_ptr_null(strstr(heard.head, "Idempotency-Key"));
    ck_assert_ptr_null(strstr(heard.head, "Content-"));

    ck_assert_int_eq(fetch("shop", "DELETE", "/v1/shipments/ful_1", "ful_1-cancel", "")->status, 200);
    ck_assert_ptr_eq(strstr(heard.head, "DELETE /v1/shipments/ful_1 HTTP/1.1\r\n"), heard.head);
    ck_assert_ptr_nonnull(strstr(heard.head, "\r\nIdempotency-Key: ful_1-cancel\r\n"));

    ck_assert_int_eq(fetch("shop", "POST", "/v1/shipments/ful_1/handover", "h", "")->status, 200);
    ck_assert_ptr_eq(strstr(heard.head, "POST /v1/shipments/ful_1/handover HTTP/1.1\r\n"), heard.head);
    ck_assert_str_eq(fetch("shop", "PUT", "/a", "p", "put")->body, "put");
    ck_assert_ptr_eq(strstr(heard.head, "PUT /a HTTP/1.1\r\n"), heard.head);
    ck_assert_str_eq(fetch("shop", "POST", "/a", NULL, "plain")->body, "plain");
    ck_assert_ptr_eq(strstr(heard.head, "POST /a HTTP/1.1\r\n"), heard.head);
    ck_assert_ptr_null(strstr(heard.head, "Idempotency-Key"));
    end();
}
END_TEST

START_TEST(every_status_is_an_answer_and_nobody_is_sent_elsewhere)
{
    static const int statuses[] = { 200, 204, 302, 307, 400, 404, 409, 429, 500, 503 };
    begin();
    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
        char path[32];
        snprintf(path, sizeof(path), "/status/%d", statuses[i]);
        struct errand *e = fetch("shop", "POST", path, "k", "{}");
        ck_assert_int_eq(e->result, 0);
        ck_assert_int_eq(e->status, statuses[i]);
    }
    ck_assert_int_eq(heard.n, sizeof(statuses) / sizeof(statuses[0]));
    end();
}
END_TEST

START_TEST(a_base_stands_before_the_path)
{
    begin_with(hears_http, "shop=http://127.0.0.1:%u/api/");
    ck_assert_int_eq(fetch("shop", "GET", "/v1/book", NULL, "")->status, 200);
    ck_assert_ptr_eq(strstr(heard.head, "GET /api/v1/book HTTP/1.1\r\n"), heard.head);
    end();
}
END_TEST

START_TEST(a_connection_is_used_again)
{
    begin();
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(fetch("shop", i % 2 ? "GET" : "POST", "/a", "k", i % 2 ? "" : "{}")->status, 200);
    ck_assert_uint_eq(shop.connections, 1);
    end();
}
END_TEST

static struct errand many[600];

static void begin_many(size_t n, const char *path)
{
    for (size_t i = 0; i < n; i++)
        begin_fetch(&many[i], "shop", "POST", path, "k", "{}");
}

static void await_held(size_t n)
{
    while (heard.n_held < n)
        uv_run(&loop, UV_RUN_ONCE);
}

static void await_many(size_t n)
{
    for (size_t i = 0; i < n; i++)
        ck_assert_int_eq(await(&many[i]), 0);
}

START_TEST(sixty_four_go_at_once_and_their_connections_are_kept)
{
    begin();
    for (int round = 0; round < 5; round++) {
        begin_many(64, "/hold");
        await_held(64);
        release_held();
        await_many(64);
        ck_assert_int_eq(fetch("shop", "GET", "/a", NULL, "")->status, 200);
    }
    ck_assert_uint_eq(shop.connections, 64);
    end();
}
END_TEST

START_TEST(no_peer_has_more_connections_than_its_limit)
{
    begin();
    begin_many(600, "/hold");
    await_held(OUTSIDE_CONNECTIONS_MAX);
    for (int i = 0; i < 10; i++)
        uv_run(&loop, UV_RUN_NOWAIT);
    ck_assert_uint_eq(heard.n_held, OUTSIDE_CONNECTIONS_MAX);
    while (!many[599].ended) {
        release_held();
        uv_run(&loop, UV_RUN_ONCE);
    }
    await_many(600);
    ck_assert_uint_eq(shop.most_open, OUTSIDE_CONNECTIONS_MAX);
    end();
}
END_TEST

START_TEST(who_waits_for_a_connection_waits_in_his_own_time)
{
    begin();
    begin_many(OUTSIDE_CONNECTIONS_MAX, "/hold");
    struct errand late = { .fetch = { .peer = "shop", .verb = "GET", .path = "/a", .timeout_us = 1, .done = done } };
    outside_submit(outside, &late.fetch);
    await_held(OUTSIDE_CONNECTIONS_MAX);
    release_held();
    ck_assert_int_eq(await(&late), -ETIMEDOUT);
    await_many(OUTSIDE_CONNECTIONS_MAX);
    ck_assert_int_eq(heard.n, OUTSIDE_CONNECTIONS_MAX);
    end();
}
END_TEST

/* --- what strangers do wrong --- */

START_TEST(who_does_not_answer_in_time_is_left)
{
    begin();
    struct errand e = { .fetch = {
                            .peer = "shop", .verb = "GET", .path = "/silent", .timeout_us = 50000, .done = done } };
    outside_submit(outside, &e.fetch);
    ck_assert_int_eq(await(&e), -ETIMEDOUT);
    ck_assert_int_eq(heard.n, 1);
    ck_assert_int_eq(fetch("shop", "GET", "/a", NULL, "")->result, 0);
    end();
}
END_TEST

START_TEST(where_nobody_listens_is_refused)
{
    begin();
    unsigned port = shop.port;
    outside_destroy(outside);
    stranger_close(&shop);
    uv_run(&loop, UV_RUN_DEFAULT);
    char peers[64];
    snprintf(peers, sizeof(peers), "shop=http://127.0.0.1:%u,name=http://no.such.name.invalid", port);
    ck_assert_int_eq(outside_create(&loop, peers, &outside), 0);
    ck_assert_int_eq(fetch("shop", "POST", "/a", "k", "{}")->result, -ECONNREFUSED);
    ck_assert_int_eq(fetch("name", "POST", "/a", "k", "{}")->result, -ECONNREFUSED);
    outside_destroy(outside);
    uv_run(&loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&loop), 0);
}
END_TEST

START_TEST(a_connection_that_breaks_is_no_answer)
{
    static const char *const paths[] = { "/reset", "/leave", "/half" };
    begin();
    for (size_t i = 0; i < 3; i++) {
        struct errand *e = fetch("shop", "POST", paths[i], "k", "{}");
        ck_assert_int_eq(e->result, -ECONNRESET);
        ck_assert_uint_eq(e->len, 0);
    }
    ck_assert_int_eq(fetch("shop", "POST", "/odd", "k", "{}")->result, -EIO);
    ck_assert_int_eq(fetch("shop", "POST", "/a", "k", "{}")->result, 0);
    end();
}
END_TEST

START_TEST(a_kept_connection_that_was_closed_is_replaced)
{
    begin();
    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(fetch("shop", "POST", "/last", "k", "{}")->result, 0);
    ck_assert_int_eq(heard.n, 10);
    end();
}
END_TEST

START_TEST(an_answer_has_its_limit)
{
    begin();
    struct errand *e = fetch("shop", "GET", "/most", NULL, "");
    ck_assert_int_eq(e->result, 0);
    ck_assert_uint_eq(e->len, OUTSIDE_ANSWER_MAX);
    ck_assert_int_eq(fetch("shop", "GET", "/more", NULL, "")->result, -EMSGSIZE);
    ck_assert_int_eq(fetch("shop", "GET", "/a", NULL, "")->result, 0);
    end();
}
END_TEST

START_TEST(what_would_be_more_than_one_line_is_not_said)
{
    static char long_path[4096];
    begin();
    memset(long_path, 'a', sizeof(long_path) - 1);
    long_path[0] = '/';
    const struct {
        const char *verb, *path, *key;
    } bad[] = {
        { "GET", "/a HTTP/1.1\r\nX: y", "k" },
        { "GET", "/a\nb", "k" },
        { "GET", "a", "k" },
        { "GET", "", "k" },
        { "GET", long_path, "k" },
        { "POST", "/a", "k\r\nX: y" },
        { "POST", "/a", "k k" },
        { "POST", "/a", "" },
        { "P\r\nX: y", "/a", "k" },
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        ck_assert_int_eq(fetch("shop", bad[i].verb, bad[i].path, bad[i].key, "{}")->result, -EIO);
    ck_assert_int_eq(heard.n, 0);
    ck_assert_int_eq(fetch("shop", "POST", "/a", "k", "{}")->result, 0);
    end();
}
END_TEST

START_TEST(a_proxy_of_the_environment_is_not_used)
{
    setenv("http_proxy", "http://127.0.0.1:1", 1);
    setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
    begin();
    ck_assert_int_eq(fetch("shop", "GET", "/a", NULL, "")->result, 0);
    end();
}
END_TEST

/* Answers one request over TLS, with a certificate of nobody's CA. */
static void *run_impostor(void *arg)
{
    static const char so[] = "HTTP/1.1 200 So\r\nContent-Length: 0\r\n\r\n";
    char path[128], request[1024];
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    snprintf(path, sizeof(path), "%s/localhost.pem", folder);
    ck_assert_int_eq(SSL_CTX_use_certificate_file(context, path, SSL_FILETYPE_PEM), 1);
    snprintf(path, sizeof(path), "%s/localhost.key", folder);
    ck_assert_int_eq(SSL_CTX_use_PrivateKey_file(context, path, SSL_FILETYPE_PEM), 1);
    SSL *ssl = SSL_new(context);
    int fd = accept(*(int *)arg, NULL, NULL);
    SSL_set_fd(ssl, fd);
    if (SSL_accept(ssl) == 1 && SSL_read(ssl, request, sizeof(request)) > 0)
        SSL_write(ssl, so, sizeof(so) - 1);
    SSL_free(ssl);
    SSL_CTX_free(context);
    close(fd);
    return NULL;
}

START_TEST(tls_is_not_spoken_with_who_cannot_prove_himself)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    char peers[64];
    pthread_t impostor;
    begin();
    certs_authority(folder, "ca");
    certs_issue(folder, "ca", "localhost");
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, len), 0);
    ck_assert_int_eq(listen(fd, 1), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    ck_assert_int_eq(pthread_create(&impostor, NULL, run_impostor, &fd), 0);
    outside_destroy(outside);
    snprintf(peers, sizeof(peers), "shop=https://localhost:%d", ntohs(address.sin_port));
    ck_assert_int_eq(outside_create(&loop, peers, &outside), 0);
    ck_assert_int_eq(fetch("shop", "GET", "/a", NULL, "")->result, -EIO);
    pthread_join(impostor, NULL);
    close(fd);
    empty_folder();
    end();
}
END_TEST

/* --- the end --- */

START_TEST(an_unknown_peer_is_told)
{
    begin();
    ck_assert_int_eq(fetch("nobody", "GET", "/a", NULL, "")->result, -ENOSYS);
    end();
}
END_TEST

START_TEST(a_stop_ends_what_is_under_way_and_all_that_comes)
{
    begin();
    begin_many(300, "/hold");
    await_held(OUTSIDE_CONNECTIONS_MAX);
    begin_fetch(&many[300], "folder", "PUT", "a.eml", NULL, "mail");
    outside_stop(outside);
    for (int i = 0; i <= 300; i++) {
        ck_assert_int_eq(many[i].ended, 1);
        ck_assert_int_eq(many[i].result, -ECONNRESET);
    }
    ck_assert_int_eq(fetch("shop", "GET", "/a", NULL, "")->result, -ECONNRESET);
    ck_assert_int_eq(fetch("nobody", "GET", "/a", NULL, "")->result, -ENOSYS);
    while (uv_run(&loop, UV_RUN_NOWAIT) && shop.open > 0)
        ;
    char path[128];
    snprintf(path, sizeof(path), "%s/a.eml", folder);
    while (unlink(path) < 0)
        uv_run(&loop, UV_RUN_NOWAIT);
    end();
}
END_TEST

START_TEST(an_address_that_is_none_is_refused)
{
    static const char *const bad[] = {
        "shop",         "shop=",         "=http://a",       "shop=127.0.0.1:80",    "shop=ftp://a",
        "shop=http://", "shop=http:///", "mail=file://a/b", "mail=file:///no/such", "mail=file:///dev/null",
        "a=http://a,b", "shop=HTTP",
    };
    say_init("check", SAY_ERROR + 1);
    uv_loop_init(&loop);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        ck_assert_msg(outside_create(&loop, bad[i], &outside) == -EINVAL, "%s", bad[i]);
    char many_peers[1024] = "";
    for (int i = 0; i <= OUTSIDE_PEERS_MAX; i++)
        sprintf(many_peers + strlen(many_peers), "p%d=http://a,", i);
    ck_assert_int_eq(outside_create(&loop, many_peers, &outside), -EINVAL);
    ck_assert_int_eq(outside_create(&loop, "", &outside), 0);
    outside_destroy(outside);
    outside_destroy(NULL);
    ck_assert_int_eq(uv_loop_close(&loop), 0);
}
END_TEST

/* --- mails: the server has a thread of its own, as curl may wait for it --- */

static struct {
    uv_loop_t loop;
    uv_async_t closing;
    pthread_t thread;
    struct stranger stranger;
    atomic_int mails, silenced;
    bool rude;                           /* says nothing to QUIT */
    char from[128], to[128], text[4096]; /* of the last one */
} post;

static void reply(struct guest *guest, const char *line)
{
    guest_say(guest, line, strlen(line));
}

static void hear_recipient(struct guest *guest, const char *line)
{
    sscanf(line, "RCPT TO:<%127[^>]", post.to);
    if (strncmp(post.to, "silent", 6) == 0)
        atomic_fetch_add(&post.silenced, 1);
    else if (strncmp(post.to, "nobody", 6) == 0)
        reply(guest, "550 no such user\r\n");
    else if (strncmp(post.to, "later", 5) == 0)
        reply(guest, "451 not now\r\n");
    else if (strncmp(post.to, "broken", 6) == 0)
        guest_reset(guest);
    else
        reply(guest, "250 so\r\n");
}

static void hear_command(struct guest *guest, const char *line)
{
    if (strncmp(line, "MAIL FROM:", 10) == 0)
        sscanf(line, "MAIL FROM:<%127[^>]", post.from);
    if (strncmp(line, "RCPT TO:", 8) == 0)
        return hear_recipient(guest, line);
    if (strcmp(line, "QUIT") == 0 && post.rude)
        return;
    guest->state = strcmp(line, "DATA") == 0 ? 2 : 1;
    reply(guest, guest->state == 2 ? "354 go on\r\n" : "250 so\r\n");
}

static void hears_smtp(struct guest *guest)
{
    const char *end;
    if (guest->state == 0) {
        guest->state = 1;
        reply(guest, "220 here\r\n");
    }
    while ((end = strstr(guest->heard, guest->state == 2 ? "\r\n.\r\n" : "\r\n"))) {
        char text[4096];
        snprintf(text, sizeof(text), "%.*s", (int)(end - guest->heard), guest->heard);
        guest_took(guest, (size_t)(end - guest->heard) + (guest->state == 2 ? 5 : 2));
        if (guest->state == 1) {
            hear_command(guest, text);
            continue;
        }
        guest->state = 1;
        memcpy(post.text, text, sizeof(text));
        atomic_fetch_add(&post.mails, 1);
        reply(guest, strstr(text, "spam") ? "554 we do not want that\r\n" : "250 so\r\n");
    }
}

static void close_post(uv_async_t *closing)
{
    stranger_close(&post.stranger);
    uv_close((uv_handle_t *)closing, NULL);
}

static void *run_post(void *arg)
{
    uv_run(&post.loop, UV_RUN_DEFAULT);
    return NULL;
}

static void begin_post(void)
{
    char peers[64];
    say_init("check", SAY_ERROR + 1);
    uv_loop_init(&loop);
    uv_loop_init(&post.loop);
    stranger_open(&post.stranger, &post.loop, hears_smtp);
    uv_async_init(&post.loop, &post.closing, close_post);
    ck_assert_int_eq(pthread_create(&post.thread, NULL, run_post, NULL), 0);
    snprintf(peers, sizeof(peers), "mail=smtp://127.0.0.1:%u", post.stranger.port);
    ck_assert_int_eq(outside_create(&loop, peers, &outside), 0);
}

static void end_post(void)
{
    outside_destroy(outside);
    uv_run(&loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&loop), 0);
    uv_async_send(&post.closing);
    pthread_join(post.thread, NULL);
    ck_assert_int_eq(uv_loop_close(&post.loop), 0);
}

static void begin_mail(struct errand *e, const char *from, const char *to, const char *text)
{
    *e = (struct errand){ .fetch = { .peer = "mail",
                                     .verb = "PUT",
                                     .path = "ntf_1.eml",
                                     .mail_from = from,
                                     .mail_to = to,
                                     .body = { (const uint8_t *)text, strlen(text) },
                                     .timeout_us = 20 * SECOND_US,
                                     .done = done } };
    outside_submit(outside, &e->fetch);
}

/* Its status, or the negative result. */
static int mail(const char *to, const char *text)
{
    struct errand e;
    begin_mail(&e, "shop@example.com", to, text);
    await(&e);
    ck_assert_uint_eq(e.len, 0);
    return e.result < 0 ? e.result : e.status;
}

START_TEST(a_mail_is_handed_in)
{
    begin_post();
    ck_assert_int_eq(mail("anna@example.com", "Subject: a\r\n\r\none\r\n.\r\n..two\r\n"), 200);
    ck_assert_str_eq(post.from, "shop@example.com");
    ck_assert_str_eq(post.to, "anna@example.com");
    ck_assert_str_eq(post.text, "Subject: a\r\n\r\none\r\n..\r\n...two");
    ck_assert_int_eq(mail("bert@example.com", "Subject: b\r\n\r\nb\r\n"), 200);
    ck_assert_str_eq(post.to, "bert@example.com");
    ck_assert_str_eq(post.text, "Subject: b\r\n\r\nb");
    ck_assert_int_eq(atomic_load(&post.mails), 2);
    ck_assert_uint_eq(post.stranger.connections, 1);
    end_post();
}
END_TEST

START_TEST(what_a_mail_server_refuses_is_an_answer)
{
    begin_post();
    ck_assert_int_eq(mail("nobody@example.com", "a\r\n"), 400);
    ck_assert_int_eq(mail("anna@example.com", "spam\r\n"), 400);
    ck_assert_int_eq(mail("later@example.com", "a\r\n"), 503);
    ck_assert_int_eq(mail("broken@example.com", "a\r\n"), -ECONNRESET);
    ck_assert_int_eq(mail("anna@example.com", "a\r\n"), 200);
    end_post();
}
END_TEST

START_TEST(many_mails_are_handed_in_at_once)
{
    begin_post();
    for (int i = 0; i < 200; i++)
        begin_mail(&many[i], "shop@example.com", "anna@example.com", "a\r\n");
    await_many(200);
    ck_assert_int_eq(atomic_load(&post.mails), 200);
    ck_assert_uint_eq(post.stranger.connections, OUTSIDE_MAILS_MAX);
    end_post();
}
END_TEST

START_TEST(an_envelope_that_is_none_is_not_said)
{
    static const char *const bad[] = { "", "a b@example.com", "a@example.com>\r\nRCPT TO:<b@example.com", "<a@b>",
                                       NULL };
    begin_post();
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        ck_assert_int_eq(mail(bad[i], "a\r\n"), -EIO);
    ck_assert_uint_eq(post.stranger.connections, 0);
    end_post();
}
END_TEST

START_TEST(a_mail_server_that_falls_silent_costs_its_time_and_no_stop)
{
    begin_post();
    struct errand e;
    begin_mail(&e, "shop@example.com", "silent@example.com", "a\r\n");
    struct errand brief = e;
    brief.fetch.timeout_us = 200000;
    outside_submit(outside, &brief.fetch);
    ck_assert_int_eq(await(&brief), -ETIMEDOUT);
    while (atomic_load(&post.silenced) < 2)
        uv_run(&loop, UV_RUN_NOWAIT);
    outside_stop(outside);
    ck_assert_int_eq(e.ended, 1);
    ck_assert_int_eq(e.result, -ECONNRESET);
    end_post(); /* well before the twenty seconds that the mail had */
}
END_TEST

START_TEST(nobody_waits_for_a_mail_servers_farewell)
{
    begin_post();
    post.rude = true;
    ck_assert_int_eq(mail("anna@example.com", "a\r\n"), 200);
    uint64_t start_ns = uv_hrtime();
    end_post();
    ck_assert_uint_lt(uv_hrtime() - start_ns, 20000000000); /* curl would wait for thirty seconds */
}
END_TEST

/* --- files --- */

static const char *content(const char *name)
{
    static char text[64];
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
    fclose(file);
    return text;
}

START_TEST(a_file_is_put_into_its_folder)
{
    begin();
    ck_assert_int_eq(fetch("folder", "PUT", "ntf_1.eml", "ntf_1", "first")->status, 200);
    ck_assert_str_eq(content("ntf_1.eml"), "first");
    ck_assert_int_eq(fetch("folder", "PUT", "/ntf_1.eml", "ntf_1", "2nd")->status, 200);
    ck_assert_str_eq(content("ntf_1.eml"), "2nd");
    ck_assert_int_eq(fetch("folder", "PUT", "empty", NULL, "")->status, 200);
    ck_assert_str_eq(content("empty"), "");
    ck_assert_int_eq(empty_folder(), 2);
    end();
}
END_TEST

/* What is not whole has a hidden name. */
START_TEST(nobody_sees_half_a_file)
{
    static char text[200001];
    begin();
    memset(text, 'm', sizeof(text) - 1);
    for (int i = 0; i < 100; i++)
        begin_fetch(&many[i], "folder", "PUT", "same", NULL, text);
    char path[128];
    struct stat status;
    snprintf(path, sizeof(path), "%s/same", folder);
    for (int i = 0; i < 100; i++)
        while (!many[i].ended) {
            uv_run(&loop, UV_RUN_NOWAIT);
            if (stat(path, &status) == 0)
                ck_assert_int_eq(status.st_size, sizeof(text) - 1);
        }
    await_many(100);
    ck_assert_int_eq(empty_folder(), 1);
    end();
}
END_TEST

START_TEST(a_file_stays_in_its_folder)
{
    static const char *const bad[] = { "", "/", ".", "..", "../a", "a/b", "/../a", ".hidden" };
    begin();
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        ck_assert_int_eq(fetch("folder", "PUT", bad[i], NULL, "x")->status, 400);
    ck_assert_int_eq(fetch("folder", "GET", "a", NULL, "")->status, 405);
    ck_assert_int_eq(empty_folder(), 0);
    ck_assert_int_eq(rmdir(folder), 0);
    ck_assert_int_eq(fetch("folder", "PUT", "a", NULL, "x")->result, -EIO);
    end();
}
END_TEST

SUITE("fetch", 60, what_is_to_be_said_is_said, every_status_is_an_answer_and_nobody_is_sent_elsewhere,
      a_base_stands_before_the_path, a_connection_is_used_again, sixty_four_go_at_once_and_their_connections_are_kept,
      no_peer_has_more_connections_than_its_limit, who_waits_for_a_connection_waits_in_his_own_time,
      who_does_not_answer_in_time_is_left, where_nobody_listens_is_refused, a_connection_that_breaks_is_no_answer,
      a_kept_connection_that_was_closed_is_replaced, an_answer_has_its_limit,
      what_would_be_more_than_one_line_is_not_said, a_proxy_of_the_environment_is_not_used,
      tls_is_not_spoken_with_who_cannot_prove_himself, an_unknown_peer_is_told,
      a_stop_ends_what_is_under_way_and_all_that_comes, an_address_that_is_none_is_refused, a_mail_is_handed_in,
      what_a_mail_server_refuses_is_an_answer, many_mails_are_handed_in_at_once, an_envelope_that_is_none_is_not_said,
      a_mail_server_that_falls_silent_costs_its_time_and_no_stop, nobody_waits_for_a_mail_servers_farewell,
      a_file_is_put_into_its_folder, nobody_sees_half_a_file, a_file_stays_in_its_folder)
