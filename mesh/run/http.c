/* The admin port on libmicrohttpd, so that parsing HTTP/1.1 is not our business. */
#include "mesh/run/admin.h"

#include "mesh/base/metrics.h"
#include "mesh/base/say.h"
#include "mesh/rpc/address.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>

struct admin {
    struct MHD_Daemon *daemon;
    bool (*healthy)(void *arg);
    void *arg;
};

static enum MHD_Result answer(struct MHD_Connection *connection, unsigned code, const char *type, char *body,
                              size_t len, enum MHD_ResponseMemoryMode mode)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(len, body, mode);
    if (!response)
        return MHD_NO;
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    enum MHD_Result result = MHD_queue_response(connection, code, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result answer_text(struct MHD_Connection *connection, unsigned code, const char *text)
{
    return answer(connection, code, "text/plain", (char *)text, strlen(text), MHD_RESPMEM_PERSISTENT);
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *connection, const char *url, const char *method,
                                  const char *version, const char *upload, size_t *upload_len, void **ret_state)
{
    struct admin *admin = arg;

    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
        return answer_text(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET\n");
    if (strcmp(url, "/healthz") == 0)
        return admin->healthy(admin->arg) ? answer_text(connection, MHD_HTTP_OK, "serving\n")
                                          : answer_text(connection, MHD_HTTP_SERVICE_UNAVAILABLE, "not serving\n");
    if (strcmp(url, "/metrics") == 0) {
        size_t len;
        char *text = metrics_render(&len);
        return answer(connection, MHD_HTTP_OK, "text/plain; version=0.0.4", text, len, MHD_RESPMEM_MUST_FREE);
    }
    return answer_text(connection, MHD_HTTP_NOT_FOUND, "there are /healthz and /metrics\n");
}

static void say_nothing(void *arg, const char *format, va_list args)
{
}

int admin_create(const char *listen_on, bool (*healthy)(void *arg), void *arg, struct admin **ret_admin)
{
    struct sockaddr_storage address;
    socklen_t len;
    int r = address_parse(listen_on, &address, &len);
    struct admin *admin = r == 0 ? calloc(1, sizeof(*admin)) : NULL;
    if (r == 0 && !admin)
        r = -ENOMEM;
    if (r == 0) {
        admin->healthy = healthy;
        admin->arg = arg;
        admin->daemon = MHD_start_daemon(
            MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ERROR_LOG | (address.ss_family == AF_INET6 ? MHD_USE_IPv6 : 0), 0,
            NULL, NULL, on_request, admin, MHD_OPTION_EXTERNAL_LOGGER, say_nothing, NULL, MHD_OPTION_SOCK_ADDR,
            &address, MHD_OPTION_CONNECTION_LIMIT, 32u, MHD_OPTION_CONNECTION_TIMEOUT, 10u,
            MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)16 << 10, MHD_OPTION_END);
        if (!admin->daemon) {
            r = address_try(listen_on);
            r = r == 0 ? -EADDRINUSE : r;
        }
    }
    if (r < 0) {
        say(SAY_ERROR, NULL, "cannot listen", SAY_T("address", listen_on), SAY_T("error", strerror(-r)));
        free(admin);
        return r;
    }
    *ret_admin = admin;
    return 0;
}

int admin_port(const struct admin *admin)
{
    return MHD_get_daemon_info(admin->daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
}

void admin_destroy(struct admin *admin)
{
    if (!admin)
        return;
    MHD_stop_daemon(admin->daemon);
    free(admin);
}
