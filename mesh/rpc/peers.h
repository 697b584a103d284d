/* Where other processes are, and a channel to each, as the client sees them. */
#pragma once

#include "mesh/rpc/core.h"

struct peer {
    char name[64];
    char *target; /* as C core wants it: ipv4:127.0.0.1:7101,127.0.0.1:7111 */
    bool several;
    grpc_channel *channel;
    uint64_t tls_version;
    int64_t looked_us; /* when the certificate files were last looked at */
    struct peer *next;
};

/* A new call to the peer, or NULL if the peer is unknown or the certificates are unusable. Any lane. */
grpc_call *rpc_peer_call(struct rpc_core *core, const char *name, const char *method, int64_t timeout_us);
