/* One loop over libmicrohttpd's epoll and a descriptor for signals. An exchange whose answer has to wait is suspended
 * and stands in a list by the time when it is due. */
#include "dev/sandbox/server.h"

#include "mesh/base/say.h"
#include "mesh/rpc/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <microhttpd.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#define BODY_MAX         (64 << 10)
#define CONNECTIONS_MAX  2048
#define CONNECTION_BYTES 8192
#define CONNECTION_IDLE  60      /* seconds */
#define FAREWELL_US      1000000 /* for what is under way at the end */
#define PACE_US          2000    /* who takes longer anyway looks only that often: many at a time cost less */
#define TRY_AGAIN_US     100000  /* when the company cannot advance */

struct exchange {
    struct server *server;
    struct MHD_Connection *connection;
    char *path;
    uint8_t *body;
    size_t body_len;
    bool begun, too_long, asked, waits;
    struct answer answer;
    int64_t due_us; /* monotonic */
    TAILQ_ENTRY(exchange) entry;
};

struct server {
    const struct company *company;
    struct book *book;
    struct MHD_Daemon *daemon;
    size_t exchanges;
    bool ending;
    TAILQ_HEAD(exchanges_waiting, exchange) waiting; /* the first one due first */
};

static int64_t clock_us(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now);
    return now.tv_sec * (int64_t)1000000 + now.tv_nsec / 1000;
}

static int64_t mono_us(void)
{
    return clock_us(CLOCK_MONOTONIC);
}

/* --- exchanges --- */

static void *begin_exchange(void *arg, const char *path, struct MHD_Connection *connection)
{
    struct server *server = arg;
    struct exchange *exchange = calloc(1, sizeof(*exchange));
    if (!exchange)
        return NULL;
    exchange->server = server;
    exchange->connection = connection;
    exchange->path = strdup(path);
    server->exchanges++;
    return exchange;
}

static void end_exchange(void *arg, struct MHD_Connection *connection, void **ctx, enum MHD_RequestTerminationCode code)
{
    struct exchange *exchange = *ctx;
    *ctx = NULL;
    if (!exchange)
        return;
    if (exchange->waits)
        TAILQ_REMOVE(&exchange->server->waiting, exchange, entry);
    exchange->server->exchanges--;
    answer_finish(&exchange->answer);
    free(exchange->path);
    free(exchange->body);
    free(exchange);
}

static void take_body(struct exchange *exchange, const char *data, size_t len)
{
    if (exchange->too_long || exchange->body_len + len > BODY_MAX) {
        exchange->too_long = true;
        return;
    }
    uint8_t *body = realloc(exchange->body, exchange->body_len + len);
    if (!body) {
        exchange->too_long = true;
        return;
    }
    memcpy(body + exchange->body_len, data, len);
    exchange->body = body;
    exchange->body_len += len;
}

static enum MHD_Result send_response(struct exchange *exchange, int status, struct MHD_Response *response,
                                     const char *type)
{
    if (!response)
        return MHD_NO;
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    if (exchange->server->ending)
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
    enum MHD_Result sent = MHD_queue_response(exchange->connection, (unsigned)status, response);
    MHD_destroy_response(response);
    return sent;
}

/* MHD_NO ends the connection without an answer. */
static enum MHD_Result give_answer(struct exchange *exchange)
{
    struct answer *answer = &exchange->answer;
    if (answer->silent)
        return MHD_NO;
    char *body = answer->body;
    answer->body = NULL;
    return send_response(exchange, answer->status,
                         MHD_create_response_from_buffer(answer->len, body, MHD_RESPMEM_MUST_FREE), "application/json");
}

static enum MHD_Result give_book(struct exchange *exchange)
{
    uint64_t len;
    exchange->server->company->advance(exchange->server->company->self, clock_us(CLOCK_REALTIME));
    int fd = book_read(exchange->server->book, &len);
    if (fd < 0)
        return MHD_NO;
    return send_response(exchange, 200, MHD_create_response_from_fd64(len, fd), "application/x-ndjson");
}

/* By far most are due last. */
static void hold_back(struct exchange *exchange)
{
    struct server *server = exchange->server;
    struct exchange *before = TAILQ_LAST(&server->waiting, exchanges_waiting);
    while (before && before->due_us > exchange->due_us)
        before = TAILQ_PREV(before, exchanges_waiting, entry);
    if (before)
        TAILQ_INSERT_AFTER(&server->waiting, before, exchange, entry);
    else
        TAILQ_INSERT_HEAD(&server->waiting, exchange, entry);
    exchange->waits = true;
    MHD_suspend_connection(exchange->connection);
}

static enum MHD_Result ask_company(struct exchange *exchange, const char *verb)
{
    const struct company *company = exchange->server->company;
    const char *key = MHD_lookup_connection_value(exchange->connection, MHD_HEADER_KIND, "Idempotency-Key");
    exchange->asked = true;
    if (exchange->too_long) {
        answer_error(&exchange->answer, 413, "BODY_TOO_LONG", "a body has at most 64 KiB");
        return give_answer(exchange);
    }
    if (strcmp(exchange->path, "/v1/book") == 0 && strcmp(verb, "GET") == 0)
        return give_book(exchange);
    if (strcmp(exchange->path, "/healthz") == 0) {
        answer_say(&exchange->answer, 200, "{\"status\":\"serving\"}");
        return give_answer(exchange);
    }

    company->answer(company->self, clock_us(CLOCK_REALTIME), verb, exchange->path, key,
                    (struct bytes){ exchange->body, exchange->body_len }, &exchange->answer);
    int64_t delay_us = exchange->answer.delay_us + company->latency_us;
    if (delay_us <= 0 || exchange->server->ending)
        return give_answer(exchange);
    exchange->due_us = mono_us() + delay_us;
    hold_back(exchange);
    return MHD_YES;
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *connection, const char *url, const char *verb,
                                  const char *version, const char *data, size_t *len, void **ctx)
{
    struct exchange *exchange = *ctx;
    if (!exchange || !exchange->path)
        return MHD_NO;
    if (!exchange->begun) {
        exchange->begun = true;
        return MHD_YES;
    }
    if (*len > 0) {
        take_body(exchange, data, *len);
        *len = 0;
        return MHD_YES;
    }
    return exchange->asked ? give_answer(exchange) : ask_company(exchange, verb);
}

/* --- the loop --- */

/* Whether anybody's answer was due. */
static bool release_due(struct server *server)
{
    struct exchange *first;
    int64_t now_us = server->ending ? INT64_MAX : mono_us();
    bool any = false;
    while ((first = TAILQ_FIRST(&server->waiting)) && first->due_us <= now_us) {
        TAILQ_REMOVE(&server->waiting, first, entry);
        first->waits = false;
        MHD_resume_connection(first->connection);
        any = true;
    }
    return any;
}

/* How long the company can be left alone. */
static int64_t until_advance_us(const struct server *server)
{
    const struct company *company = server->company;
    int64_t now_us = clock_us(CLOCK_REALTIME);
    int64_t next_us = company->next_us(company->self);
    if (next_us > now_us)
        return next_us - now_us;
    company->advance(company->self, now_us);
    next_us = company->next_us(company->self);
    return next_us > now_us ? next_us - now_us : TRY_AGAIN_US;
}

static int64_t wait_us(const struct server *server)
{
    const struct exchange *first = TAILQ_FIRST(&server->waiting);
    MHD_UNSIGNED_LONG_LONG timeout_ms;
    int64_t us = until_advance_us(server);
    if (first && first->due_us - mono_us() < us)
        us = first->due_us - mono_us();
    if (MHD_get_timeout(server->daemon, &timeout_ms) == MHD_YES && (int64_t)timeout_ms * 1000 < us)
        us = (int64_t)timeout_ms * 1000;
    return us < 0 ? 0 : us > 60000000 ? 60000000 : us;
}

static void sleep_until(int64_t us)
{
    struct timespec until = { us / 1000000, us % 1000000 * 1000 };
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}

static void serve(struct server *server, int signals)
{
    int epoll = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    struct pollfd fds[] = { { epoll, POLLIN, 0 }, { signals, POLLIN, 0 } };
    int64_t end_us = INT64_MAX, pace_us = server->company->latency_us > PACE_US ? PACE_US : 0, last_us = 0;
    while (!server->ending || (server->exchanges > 0 && mono_us() < end_us)) {
        int64_t us = server->ending ? 1000 : wait_us(server);
        ppoll(fds, 2, &(struct timespec){ us / 1000000, us % 1000000 * 1000 }, NULL);
        if (pace_us)
            sleep_until(last_us + pace_us);
        last_us = mono_us();
        if (!server->ending && fds[1].revents) {
            server->ending = true;
            end_us = last_us + FAREWELL_US;
            MHD_quiesce_daemon(server->daemon);
        }
        release_due(server);
        MHD_run(server->daemon);
    }
}

static struct MHD_Daemon *start(struct server *server, const char *listen)
{
    struct sockaddr_storage address;
    socklen_t len;
    unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_SUPPRESS_DATE_NO_CLOCK;
    int r = address_parse(listen, &address, &len);
    if (r < 0) {
        errno = -r;
        return NULL;
    }
    if (address.ss_family == AF_INET6)
        flags |= MHD_USE_IPv6;
    errno = 0;
    return MHD_start_daemon(flags, 0, NULL, NULL, on_request, NULL, MHD_OPTION_SOCK_ADDR, &address,
                            MHD_OPTION_URI_LOG_CALLBACK, begin_exchange, server, MHD_OPTION_NOTIFY_COMPLETED,
                            end_exchange, server, MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX,
                            MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES, MHD_OPTION_CONNECTION_TIMEOUT,
                            CONNECTION_IDLE, MHD_OPTION_END);
}

int server_run(const char *listen, const struct company *company, struct book *book)
{
    struct server server = { .company = company, .book = book };
    sigset_t set;
    TAILQ_INIT(&server.waiting);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    int signals = signalfd(-1, &set, SFD_CLOEXEC);
    if (signals < 0)
        return -errno;

    server.daemon = start(&server, listen);
    if (!server.daemon) {
        int r = errno ? -errno : -EIO;
        say(SAY_ERROR, NULL, "cannot listen", SAY_T("address", listen), SAY_T("error", strerror(-r)));
        close(signals);
        return r;
    }
    say(SAY_INFO, NULL, "listening", SAY_T("address", listen),
        SAY_N("port", MHD_get_daemon_info(server.daemon, MHD_DAEMON_INFO_BIND_PORT)->port));
    serve(&server, signals);
    MHD_stop_daemon(server.daemon);
    close(signals);
    return 0;
}
