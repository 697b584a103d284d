/* The gateway's parts put together, and taken apart again in the right order. */
#include "gateway/gateway.h"

#include "gateway/blocks.h"
#include "gateway/edge.h"
#include "gateway/forward.h"
#include "gateway/hub.h"
#include "gateway/limited.h"
#include "gateway/local.h"
#include "gateway/mint.h"
#include "gateway/rest_route.h"
#include "gateway/sources.h"
#include "gateway/storefront.h"
#include "gateway/tls.h"
#include "mesh/base/say.h"

#include <errno.h>
#include <sys/random.h>
#include <sys/stat.h>

#define ROTATION_US (2 * 1000 * 1000) /* between two looks at keys and certificates */

const struct gateway_limits gateway_limits = {
    .connections = 60000,
    .per_source = 4096,
    .streams = 128,
    .source_calls = 8192,
    .buffered = 64 * 1024 * 1024,
    .source_buffered = 16 * 1024 * 1024,
    .call_timeout_us = 60 * 1000 * 1000,
    .idle_us = 300 * INT64_C(1000000),
    .quiet_us = 60 * 1000 * 1000,
    .handshake_us = 10 * 1000 * 1000,
    .head_us = 10 * 1000 * 1000,
    .body_us = 30 * 1000 * 1000,
    .stalled_us = 30 * 1000 * 1000,
};

static const struct route_own own[] = {
    { "/grpc.health.v1.Health/Check", &local_check },
    { "/grpc.health.v1.Health/Watch", &local_watch },
    { "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", &local_reflect },
    { "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", &local_reflect },
    { "/oms.order.v1.OrderService/WatchOrder", &hub_watch_order },
    { "/oms.storefront.v1.StorefrontService/GetOrderOverview", &storefront_order_overview },
    { "/oms.storefront.v1.StorefrontService/GetProductPage", &storefront_product_page },
    {},
};

void gateway_random(struct gateway *gateway, void *data, size_t n)
{
    if (sizeof(gateway->chance) - gateway->chance_at < n) {
        if (getrandom(gateway->chance, sizeof(gateway->chance), 0) != sizeof(gateway->chance))
            abort();
        gateway->chance_at = 0;
    }
    memcpy(data, gateway->chance + gateway->chance_at, n);
    gateway->chance_at += n;
}

static void health_changed(void *arg)
{
    struct gateway *gateway = arg;
    if (gateway->local)
        local_changed(gateway->local);
}

/* --- start --- */

static int open_behind(struct gateway *gateway)
{
    const struct gateway_options *o = &gateway->options;
    SSL_CTX *context = NULL;
    if (o->mesh_ca && !(context = tls_client(&(struct tls_files){ o->mesh_ca, o->mesh_cert, o->mesh_key })))
        return -EINVAL;
    gateway->balance = balance_create(gateway, o->peers, context);
    if (!gateway->balance)
        return -EINVAL;
    balance_on_change(gateway->balance, health_changed, gateway);
    return 0;
}

static int open_front(struct gateway *gateway)
{
    const struct gateway_options *o = &gateway->options;
    int r = o->listen ? listener_create(gateway, o->listen, NULL, &gateway->listener) : 0;
    if (r < 0 || !o->listen_tls)
        return r;
    SSL_CTX *context = tls_server(&(struct tls_files){ o->client_ca, o->cert, o->key });
    if (!context)
        return -EINVAL;
    r = listener_create(gateway, o->listen_tls, context, &gateway->listener_tls);
    if (r < 0)
        SSL_CTX_free(context);
    return r;
}

/* Half of the shortest time that a look enforces. */
static int64_t look_often(const struct gateway_limits *limits)
{
    const int64_t times_us[] = { limits->handshake_us, limits->head_us,  limits->body_us,
                                 limits->stalled_us,   limits->quiet_us, limits->idle_us };
    int64_t least_us = times_us[0];
    for (size_t i = 1; i < sizeof(times_us) / sizeof(times_us[0]); i++)
        least_us = times_us[i] < least_us ? times_us[i] : least_us;
    return least_us / 2 + 1;
}

static int open_rates(struct gateway *gateway)
{
    const struct gateway_options *o = &gateway->options;
    if (o->rate_source.interval_us && !(gateway->by_source = rates_create(&o->rate_source)))
        return -ENOMEM;
    if (o->rate_principal.interval_us && !(gateway->by_principal = rates_create(&o->rate_principal)))
        return -ENOMEM;
    return 0;
}

static int open_parts(struct gateway *gateway)
{
    if (open_rates(gateway) < 0)
        return -ENOMEM;
    gateway->sources = sources_create();
    if (!gateway->sources)
        return -ENOMEM;
    gateway->auth = auth_create(gateway->port, &gateway->options.auth);
    if (!gateway->auth)
        return -EINVAL;
    gateway->routes = routes_create(schema_builtin(), &forward_server, own);
    gateway->rest = gateway->routes ? rest_routes_create(schema_builtin(), gateway->routes) : NULL;
    gateway->local = gateway->rest ? local_create(gateway) : NULL;
    gateway->hub = gateway->local ? hub_create(gateway) : NULL;
    gateway->fans = gateway->hub ? fans_create(gateway) : NULL;
    if (!gateway->fans)
        return -ENOMEM;
    int r = open_behind(gateway);
    return r < 0 ? r : open_front(gateway);
}

void gateway_reload(struct gateway *gateway)
{
    const struct gateway_options *o = &gateway->options;
    auth_reload(gateway->auth);
    edges_renew(gateway);
    SSL_CTX *context = o->mesh_ca ? tls_client(&(struct tls_files){ o->mesh_ca, o->mesh_cert, o->mesh_key }) : NULL;
    if (context)
        balance_context(gateway->balance, context);
    context = gateway->listener_tls ? tls_server(&(struct tls_files){ o->client_ca, o->cert, o->key }) : NULL;
    if (context)
        listener_context(gateway->listener_tls, context);
    say(SAY_INFO, NULL, "keys and certificates were read again");
}

/* Also changes once in the life of a TLS ticket, so that their keys are new. */
static uint64_t file_marks(const struct gateway_options *o)
{
    const char *paths[] = { o->auth.keys, o->auth.accounts, o->client_ca, o->cert,
                            o->key,       o->mesh_ca,       o->mesh_cert, o->mesh_key };
    uint64_t marks = (uint64_t)(wheel_now_us() / (TLS_TICKET_S * INT64_C(1000000)));
    struct stat st;
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        if (paths[i] && stat(paths[i], &st) == 0)
            marks = marks * 31 + (uint64_t)st.st_ino * 7 + (uint64_t)st.st_mtim.tv_sec * 1000000007 +
                    (uint64_t)st.st_mtim.tv_nsec;
    return marks;
}

static void look_at_files(struct alarm *alarm)
{
    struct gateway *gateway = (struct gateway *)((char *)alarm - offsetof(struct gateway, rotation));
    uint64_t marks = file_marks(&gateway->options);
    if (marks != gateway->files)
        gateway_reload(gateway);
    gateway->files = marks;
    alarm_start(&gateway->reactor.wheel, alarm, ROTATION_US, look_at_files);
}

static void nothing(void *arg)
{
}

int gateway_create(struct port *port, uv_loop_t *loop, const struct gateway_options *options,
                   struct gateway **ret_gateway)
{
    struct gateway *gateway = calloc(1, sizeof(*gateway));
    if (!gateway)
        return -ENOMEM;
    gateway->options = *options;
    gateway->limits = options->limits.connections ? options->limits : gateway_limits;
    gateway->access_log = options->access_log;
    gateway->trace_every = options->trace_every;
    gateway->port = port;
    gateway->chance_at = sizeof(gateway->chance);
    reactor_init(&gateway->reactor, loop);
    uv_idle_init(loop, &gateway->ending);
    gateway->ending.data = gateway;
    gateway->look_us = look_often(&gateway->limits);
    limits_open();
    gateway->connections = metric_make(METRIC_GAUGE, "gateway_connections", "Connections of clients.", NULL);
    gateway->files = file_marks(options);
    int r = open_parts(gateway);
    if (r < 0) {
        gateway_destroy(gateway, nothing, NULL);
        return r;
    }
    alarm_start(&gateway->reactor.wheel, &gateway->rotation, ROTATION_US, look_at_files);
    *ret_gateway = gateway;
    return 0;
}

int gateway_port(const struct gateway *gateway)
{
    return gateway->listener ? listener_port(gateway->listener) : 0;
}

int gateway_tls_port(const struct gateway *gateway)
{
    return gateway->listener_tls ? listener_port(gateway->listener_tls) : 0;
}

bool gateway_serving(const struct gateway *gateway)
{
    return !gateway->draining && auth_ready(gateway->auth) && balance_all_well(gateway->balance);
}

/* --- drain --- */

static struct gateway *gateway_of(struct alarm *alarm)
{
    return (struct gateway *)((char *)alarm - offsetof(struct gateway, stage));
}

static void wait_for_calls(struct alarm *alarm)
{
    struct gateway *gateway = gateway_of(alarm);
    if (gateway->n_edges && wheel_now_us() < gateway->grace_until_us) {
        alarm_start(&gateway->reactor.wheel, alarm, 10 * 1000, wait_for_calls);
        return;
    }
    gateway->over(gateway->over_arg);
}

static void notice_given(struct alarm *alarm)
{
    struct gateway *gateway = gateway_of(alarm);
    listener_destroy(gateway->listener);
    listener_destroy(gateway->listener_tls);
    gateway->listener = gateway->listener_tls = NULL;
    local_leave(gateway->local);
    hub_leave(gateway->hub);
    edges_leave(gateway);
    gateway->grace_until_us = wheel_now_us() + gateway->grace_us;
    wait_for_calls(alarm);
}

void gateway_drain(struct gateway *gateway, int64_t notice_us, int64_t grace_us, void (*drained)(void *), void *arg)
{
    gateway->draining = true;
    gateway->grace_us = grace_us;
    gateway->over = drained;
    gateway->over_arg = arg;
    local_changed(gateway->local);
    alarm_start(&gateway->reactor.wheel, &gateway->stage, notice_us, notice_given);
}

/* --- end --- */

static void all_closed(uv_handle_t *handle)
{
    struct gateway *gateway = handle->data;
    void (*over)(void *) = gateway->over;
    void *arg = gateway->over_arg;
    for (struct exchange *x; (x = gateway->pool);) {
        gateway->pool = x->next;
        free(x);
    }
    local_destroy(gateway->local);
    rest_routes_destroy(gateway->rest);
    routes_destroy(gateway->routes);
    auth_destroy(gateway->auth);
    rates_destroy(gateway->by_source);
    rates_destroy(gateway->by_principal);
    sources_destroy(gateway->sources);
    mint_trim();
    blocks_trim();
    pipe_trim();
    free(gateway);
    over(arg);
}

static void close_last(void *arg)
{
    uv_close((uv_handle_t *)&((struct gateway *)arg)->ending, all_closed);
}

static void fans_gone(void *arg)
{
    struct gateway *gateway = arg;
    reactor_finish(&gateway->reactor, close_last, gateway);
}

static void hub_gone(void *arg)
{
    struct gateway *gateway = arg;
    fans_destroy(gateway->fans, fans_gone, gateway);
}

/* Handles close in a turn of the loop each: first connections, then what they live on. */
static void on_ending(uv_idle_t *idle)
{
    struct gateway *gateway = idle->data;
    if (gateway->reactor.n_links)
        return;
    uv_idle_stop(idle);
    hub_destroy(gateway->hub, hub_gone, gateway);
}

void gateway_destroy(struct gateway *gateway, void (*destroyed)(void *), void *arg)
{
    gateway->over = destroyed;
    gateway->over_arg = arg;
    gateway->draining = true;
    alarm_stop(&gateway->stage);
    alarm_stop(&gateway->rotation);
    listener_destroy(gateway->listener);
    listener_destroy(gateway->listener_tls);
    edges_close(gateway);
    balance_destroy(gateway->balance);
    uv_idle_start(&gateway->ending, on_ending);
}
