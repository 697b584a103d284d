/* Builds the stage, and takes it down so that nothing leaks. */
#include "tests/gateway/stage.h"

#include "gateway/edge.h"
#include "gateway/tls.h"

#include <stdio.h>

#define TURN_MS      4 /* of a turn in which nothing happens */
#define TURN_MOST_NS (5 * 1000000)

static uint64_t now_ns, real_ns; /* the stage's clock, and the machine's when the last turn began */

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Stands before libuv's: the gateway's clock. The machine's until a stage is opened. */
uint64_t uv_hrtime(void)
{
    return now_ns ? now_ns : clock_ns(CLOCK_MONOTONIC);
}

static void clock_turn(void)
{
    uint64_t real = clock_ns(CLOCK_MONOTONIC), passed = real - real_ns;
    now_ns += passed < TURN_MOST_NS ? passed : TURN_MOST_NS;
    real_ns = real;
}

static int64_t wall_us(struct port *port)
{
    struct stage *stage = (struct stage *)((char *)port - offsetof(struct stage, port));
    return stage->epoch_us + wheel_now_us() + stage->skew_us;
}

static int64_t mono_us(struct port *port)
{
    return wheel_now_us();
}

static void nothing(uv_timer_t *timer)
{
}

void stage_turn(struct stage *stage, int64_t until_us)
{
    uv_timer_t timer;
    if (wheel_now_us() > until_us)
        ck_abort_msg("waited in vain");
    uv_timer_init(&stage->loop, &timer);
    uv_timer_start(&timer, nothing, TURN_MS, 0);
    clock_turn();
    uv_run(&stage->loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(&stage->loop, UV_RUN_NOWAIT);
}

void stage_for(struct stage *stage, int64_t us)
{
    int64_t until_us = wheel_now_us() + us;
    while (wheel_now_us() < until_us)
        stage_turn(stage, INT64_MAX);
}

static SSL_CTX *server_context(struct stage *stage, const char *name)
{
    char cert[128], key[128];
    keys_certificate(&stage->keys, name, cert, key);
    const struct tls_files files = { stage->keys.ca_path, cert, key };
    SSL_CTX *context = tls_server(&files);
    ck_assert_ptr_nonnull(context);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    return context;
}

static void start_backends(struct stage *stage, bool tls, bool two)
{
    for (int i = 0; i < STAGE_BACKENDS; i++) {
        stage->order[i].fd = -1;
        if (i == 0 || two)
            backend_start(&stage->order[i], &stage->reactor, tls ? server_context(stage, "svc-order") : NULL, 0);
    }
    backend_start(&stage->inventory, &stage->reactor, tls ? server_context(stage, "svc-inventory") : NULL, 0);
}

static struct gateway_limits limits_of(int how)
{
    struct gateway_limits limits = gateway_limits;
    if (how & STAGE_FEW) {
        limits.connections = limits.streams = 4;
        limits.buffered = 256 * 1024;
    }
    if (how & STAGE_SOON) {
        limits.call_timeout_us = 500000;
        limits.idle_us = 400000;
        limits.quiet_us = 200000;
        limits.handshake_us = limits.head_us = limits.body_us = limits.stalled_us = 300000;
    }
    return limits;
}

void stage_open_on(struct stage *stage, int how, const struct port *port)
{
    bool tls = how & STAGE_TLS, two = how & STAGE_TWO, named = how & STAGE_NAMED;
    char peers[256], first[32], second[48] = "";
    memset(stage, 0, sizeof(*stage));
    now_ns = real_ns = clock_ns(CLOCK_MONOTONIC);
    stage->epoch_us = (int64_t)((clock_ns(CLOCK_REALTIME) - now_ns) / 1000);
    uv_loop_init(&stage->loop);
    reactor_init(&stage->reactor, &stage->loop);
    stage->port = *port;
    stage->port.wall_us = wall_us;
    stage->port.mono_us = mono_us;
    keys_make(&stage->keys);
    snprintf(stage->accounts, sizeof(stage->accounts), "%s/accounts", stage->keys.dir);
    stage_accounts(stage, "");
    start_backends(stage, tls, two || named);
    snprintf(first, sizeof(first), "127.0.0.1:%d", stage->order[0].port);
    if (named)
        strcpy(second, "dns:///orders.test:7100");
    else if (two)
        snprintf(second, sizeof(second), "127.0.0.1:%d", stage->order[1].port);
    bool by_address = two || !named;
    snprintf(peers, sizeof(peers), "svc-order=%s%s%s,svc-inventory=127.0.0.1:%d", by_address ? first : "",
             by_address && second[0] ? "+" : "", second, stage->inventory.port);
    struct gateway_options options = {
        .listen = "127.0.0.1:0",
        .peers = peers,
        .auth = { stage->keys.jwt_path, "ordermesh-dev", "ordermesh", .accounts = stage->accounts },
    };
    if (tls) {
        keys_certificate(&stage->keys, "gateway", stage->mesh_cert, stage->mesh_key);
        keys_certificate(&stage->keys, "shop.example", stage->cert, stage->key);
        options.listen_tls = "127.0.0.1:0";
        options.cert = stage->cert;
        options.key = stage->key;
        options.client_ca = options.mesh_ca = stage->keys.ca_path;
        options.mesh_cert = stage->mesh_cert;
        options.mesh_key = stage->mesh_key;
        stage->client_context = tls_client(&(struct tls_files){ stage->keys.ca_path, NULL, NULL });
    }
    options.limits = limits_of(how);
    ck_assert_int_eq(gateway_create(&stage->port, &stage->loop, &options, &stage->gateway), 0);
    strcpy(stage->bearer, stage_bearer(stage, "ann", "\"customer\""));
    stage_until(stage, gateway_serving(stage->gateway));
    if (two)
        stage_until(stage, balance_count(stage->gateway->balance, 0) == 2);
}

void stage_accounts(struct stage *stage, const char *text)
{
    FILE *file = fopen(stage->accounts, "w");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
    if (stage->gateway)
        gateway_reload(stage->gateway);
}

void stage_open(struct stage *stage, int how)
{
    const struct port port = { 0 };
    stage_open_on(stage, how, &port);
}

static void drop_peer(struct peer *peer)
{
    for (struct call *call; (call = peer->calls);) {
        peer->calls = call->next;
        pipe_finish(&call->out);
        free(call->body);
        free(call);
    }
    free(peer);
}

static void drop_peers(struct peer *peer)
{
    for (struct peer *next; peer; peer = next) {
        next = peer->next;
        drop_peer(peer);
    }
}

static void drop_backend(struct backend *backend)
{
    backend_kill(backend);
    SSL_CTX_free(backend->context);
}

static void set_true(void *arg)
{
    *(bool *)arg = true;
}

static void close_handle(uv_handle_t *handle, void *arg)
{
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

void stage_close(struct stage *stage)
{
    if (stage->gateway) {
        gateway_destroy(stage->gateway, set_true, &stage->destroyed);
        stage_until(stage, stage->destroyed);
    }
    for (int i = 0; i < STAGE_BACKENDS; i++)
        drop_backend(&stage->order[i]);
    drop_backend(&stage->inventory);
    for (struct peer *peer = all_peers; peer; peer = peer->next)
        peer_close(peer);
    stage_until(stage, stage->reactor.n_links == 0);
    for (int i = 0; i < STAGE_BACKENDS; i++)
        drop_peers(stage->order[i].peers);
    drop_peers(stage->inventory.peers);
    drop_peers(all_peers);
    all_peers = NULL;
    uv_walk(&stage->loop, close_handle, NULL);
    uv_run(&stage->loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&stage->loop), 0);
    SSL_CTX_free(stage->client_context);
    keys_drop(&stage->keys);
}

struct peer *stage_client(struct stage *stage)
{
    int port = stage->client_context ? gateway_tls_port(stage->gateway) : gateway_port(stage->gateway);
    struct peer *peer = peer_connect(&stage->reactor, port, stage->client_context, "shop.example");
    return peer;
}

const char *stage_bearer(struct stage *stage, const char *subject, const char *roles)
{
    static char line[1024];
    char *bearer = keys_bearer(&stage->keys, subject, roles, wall_us(&stage->port) / 1000000 + 600);
    snprintf(line, sizeof(line), "authorization: %s\n", bearer);
    free(bearer);
    return line;
}
