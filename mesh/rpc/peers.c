/* Addresses of the other processes, and one channel to each that follows its certificate files. */
#include "mesh/rpc/peers.h"

#include "mesh/base/say.h"

#include <arpa/inet.h>
#include <errno.h>
#include <grpc/slice.h>
#include <grpc/support/time.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TLS_LOOK_US 2000000
#define PEERS_MAX   64
/* Balances over all addresses, and only over those whose health says SERVING: a backend that drains is left in time. */
#define ROUND_ROBIN "{\"loadBalancingConfig\":[{\"round_robin\":{}}],\"healthCheckConfig\":{\"serviceName\":\"\"}}"

enum address_kind { ADDRESS_IPV4, ADDRESS_IPV6, ADDRESS_NAME };

/* Of one address, which ends at a + or with the text; -EINVAL if it has no port. */
static int kind_of(const char *address)
{
    char one[128], *colon;
    struct in_addr parsed;

    snprintf(one, sizeof(one), "%.*s", (int)strcspn(address, "+"), address);
    colon = strrchr(one, ':');
    if (!colon || colon == one || !colon[1])
        return -EINVAL;
    *colon = '\0';
    if (one[0] == '[')
        return ADDRESS_IPV6;
    return inet_pton(AF_INET, one, &parsed) == 1 ? ADDRESS_IPV4 : ADDRESS_NAME;
}

/* "127.0.0.1:1+127.0.0.1:2" as C core's "ipv4:127.0.0.1:1,127.0.0.1:2". */
static int target_of(const char *addresses, char **ret_target, bool *ret_several)
{
    if (strncmp(addresses, "dns:", 4) == 0) {
        *ret_target = strdup(addresses);
        *ret_several = true;
        return *ret_target ? 0 : -ENOMEM;
    }

    int kind = kind_of(addresses);
    bool several = strchr(addresses, '+') != NULL;
    if (kind < 0 || (kind == ADDRESS_NAME && several))
        return -EINVAL;
    for (const char *at = strchr(addresses, '+'); at; at = strchr(at + 1, '+'))
        if (kind_of(at + 1) != kind)
            return -EINVAL;

    static const char *const schemes[] = {
        [ADDRESS_IPV4] = "ipv4:", [ADDRESS_IPV6] = "ipv6:", [ADDRESS_NAME] = "dns:///"
    };
    if (asprintf(ret_target, "%s%s", schemes[kind], addresses) < 0)
        return -ENOMEM;
    for (char *at = *ret_target; *at; at++)
        if (*at == '+')
            *at = ',';
    *ret_several = several;
    return 0;
}

static int add_peer(struct rpc_core *core, const char *entry)
{
    const char *equals = strchr(entry, '=');
    struct peer *peer = calloc(1, sizeof(*peer));
    if (!peer)
        return -ENOMEM;

    int r = -EINVAL;
    if (equals && equals > entry && (size_t)(equals - entry) < sizeof(peer->name)) {
        memcpy(peer->name, entry, (size_t)(equals - entry));
        r = target_of(equals + 1, &peer->target, &peer->several);
    }
    if (r < 0) {
        free(peer);
        return r;
    }
    peer->next = core->peers;
    core->peers = peer;
    return 0;
}

int rpc_peers_parse(struct rpc_core *core, const char *peers)
{
    char *copy = strdup(peers), *save = NULL;
    int r = copy ? 0 : -ENOMEM;
    size_t n = 0;

    for (char *entry = copy ? strtok_r(copy, ",", &save) : NULL; entry && r == 0; entry = strtok_r(NULL, ",", &save)) {
        r = ++n > PEERS_MAX ? -E2BIG : add_peer(core, entry);
        if (r < 0)
            say(SAY_ERROR, NULL, "peers wants NAME=HOST:PORT, several addresses (numbers only) joined by +",
                SAY_T("entry", entry));
    }
    free(copy);
    return r;
}

void rpc_peers_free(struct rpc_core *core)
{
    while (core->peers) {
        struct peer *peer = core->peers;
        core->peers = peer->next;
        if (peer->channel)
            grpc_channel_destroy(peer->channel);
        free(peer->target);
        free(peer);
    }
}

static grpc_arg number(const char *key, int value)
{
    return (grpc_arg){ .type = GRPC_ARG_INTEGER, .key = (char *)key, .value.integer = value };
}

static grpc_arg text(const char *key, const char *value)
{
    return (grpc_arg){ .type = GRPC_ARG_STRING, .key = (char *)key, .value.string = (char *)value };
}

static grpc_channel *open_channel(struct rpc_core *core, const struct peer *peer)
{
    grpc_arg args[] = {
        number("grpc.compression_enabled_algorithms_bitset", 1),
        number(GRPC_ARG_ENABLE_RETRIES, 0),
        number(GRPC_ARG_ENABLE_HTTP_PROXY, 0),
        number(GRPC_ARG_ENABLE_CHANNELZ, 0),
        number(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1),
        number(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, 8 << 20),
        number(GRPC_ARG_KEEPALIVE_TIME_MS, 20000),
        number(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 5000),
        number(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0),
        number(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100),
        number(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 1000),
        number(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 2000),
        number(GRPC_ARG_CLIENT_IDLE_TIMEOUT_MS, INT_MAX),
        text(GRPC_SSL_TARGET_NAME_OVERRIDE_ARG, peer->name),
        text(GRPC_ARG_PRIMARY_USER_AGENT_STRING, core->process),
        text(GRPC_ARG_SERVICE_CONFIG, peer->several ? ROUND_ROBIN : "{}"),
    };

    grpc_channel_credentials *credentials = rpc_tls_channel(core);
    if (!credentials)
        return NULL;
    grpc_channel_args all = { sizeof(args) / sizeof(args[0]), args };
    grpc_channel *channel = grpc_channel_create(peer->target, credentials, &all);
    grpc_channel_credentials_release(credentials);
    return channel;
}

/* Under calls_lock. Calls under way keep the old channel alive. */
static grpc_channel *channel_of(struct rpc_core *core, struct peer *peer)
{
    int64_t now = core->port->mono_us(core->port);
    if (peer->channel && now - peer->looked_us < TLS_LOOK_US)
        return peer->channel;

    peer->looked_us = now;
    uint64_t version = rpc_tls_version(&core->tls);
    if (peer->channel && peer->tls_version == version)
        return peer->channel;

    grpc_channel *fresh = open_channel(core, peer);
    if (!fresh)
        return peer->channel;
    if (peer->channel)
        grpc_channel_destroy(peer->channel);
    peer->channel = fresh;
    peer->tls_version = version;
    return fresh;
}

grpc_call *rpc_peer_call(struct rpc_core *core, const char *name, const char *method, int64_t timeout_us)
{
    gpr_timespec deadline = gpr_inf_future(GPR_CLOCK_MONOTONIC);
    if (timeout_us > 0)
        deadline = gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_micros(timeout_us, GPR_TIMESPAN));

    pthread_mutex_lock(&core->calls_lock);
    struct peer *peer = core->peers;
    while (peer && strcmp(peer->name, name) != 0)
        peer = peer->next;
    grpc_channel *channel = peer ? channel_of(core, peer) : NULL;
    grpc_call *call = NULL;
    if (channel) {
        /* A copy: the header compressor may keep the path for longer than the call lives. */
        grpc_slice path = grpc_slice_from_copied_string(method);
        call =
            grpc_channel_create_call(channel, NULL, GRPC_PROPAGATE_DEFAULTS, core->queue, path, NULL, deadline, NULL);
        grpc_slice_unref(path);
    }
    pthread_mutex_unlock(&core->calls_lock);
    return call;
}
