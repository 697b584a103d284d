/* The process as its parts share it. Everything here belongs to the loop lane. */
#pragma once

#include "gateway/audit.h"
#include "gateway/auth.h"
#include "gateway/balance.h"
#include "gateway/link.h"
#include "gateway/rate.h"
#include "gateway/retry.h"

struct port;
struct hub;
struct sources;
struct fans;
struct local;

struct gateway_limits {
    size_t connections;      /* of clients */
    size_t per_source;       /* of these, from one address (sources.h) */
    uint32_t streams;        /* of one connection */
    size_t source_calls;     /* under way, of one address */
    size_t buffered;         /* bytes on their way in all exchanges */
    size_t source_buffered;  /* of these, of one address */
    int64_t call_timeout_us; /* of unary calls that name none, and the most that they may name */
    int64_t idle_us;         /* a connection without calls is closed after it */
    int64_t quiet_us;        /* a connection that said nothing for so long is pinged, and closed if it stays silent */
    int64_t handshake_us;    /* of TLS, and from then until the first call begins */
    int64_t head_us;         /* the headers of a call may take so long */
    int64_t body_us;         /* and its body, where that is one message */
    int64_t stalled_us;      /* who takes less than STALLED_LEAST bytes of a reply meanwhile is cut off */
    int64_t age_us;          /* a connection is asked to go after it; 0: never */
};
#define STALLED_LEAST 4096
extern const struct gateway_limits gateway_limits;

/* Strings must outlive the gateway, but for peers. */
struct gateway_options {
    const char *listen, *listen_tls; /* host:port or NULL */
    const char *cert, *key;          /* for clients, with listen_tls */
    const char *client_ca; /* of certificates that clients may show, with listen_tls; NULL or "": none is asked for */
    const char *mesh_ca, *mesh_cert, *mesh_key; /* towards processes behind; all NULL: cleartext */
    const char *peers;
    const char *cors_origins; /* of pages that may call: "https://a,https://b", "*"; NULL or "": none */
    struct auth_options auth;
    struct rate rate_source, rate_principal; /* calls; zeroes: no limit */
    struct gateway_limits limits;            /* zeroes: gateway_limits */
    bool access_log;
    uint64_t trace_every; /* one call in so many is sampled; 0: none */
};

struct listener;

struct gateway {
    struct reactor reactor;
    struct gateway_options options;
    struct listener *listener, *listener_tls;
    struct gateway_limits limits;
    struct port *port; /* clocks, and calls of the gateway's own */
    struct auth *auth;
    struct audit audit;
    struct rates *by_source, *by_principal; /* NULL: no limit */
    struct routes *routes;
    struct rest_routes *rest;
    struct balance *balance;
    struct retries retries;
    struct hub *hub;
    struct fans *fans;
    struct local *local;
    struct sources *sources;
    struct edge *edges;
    size_t n_edges;
    struct exchange *pool;
    size_t n_pool, n_exchanges;
    size_t buffered;
    struct metric *connections;
    int64_t look_us; /* connections are looked at so often */
    bool access_log;
    uint64_t trace_every;
    bool draining;
    uint8_t chance[1024]; /* bytes of chance not used yet, from chance_at */
    size_t chance_at;
    struct alarm stage;    /* of the drain */
    struct alarm rotation; /* keys and certificates are looked at again */
    uint64_t files;        /* changes when one of them does */
    int64_t grace_until_us;
    int64_t grace_us;
    void (*over)(void *arg); /* the drain, or all of it */
    void *over_arg;
    uv_idle_t ending;
};

/* Listens and connects. The port's calls are used for watches. 0 or a negative errno after one clear line. */
int gateway_create(struct port *port, uv_loop_t *loop, const struct gateway_options *options,
                   struct gateway **ret_gateway);
/* Ports that it listens on; 0: none. */
int gateway_port(const struct gateway *gateway);
int gateway_tls_port(const struct gateway *gateway);
/* Every process behind is well, there are keys for tokens, and it does not drain. */
bool gateway_serving(const struct gateway *gateway);
/* Keys and certificates from their files, for tokens and connections to come. What cannot be used stays as it was.
 * Also happens by itself within seconds of a change of the files. */
void gateway_reload(struct gateway *gateway);
/* NOT_SERVING, wait notice_us, GOAWAY; calls under way finish within grace_us, the rest is cut; then drained(arg). */
void gateway_drain(struct gateway *gateway, int64_t notice_us, int64_t grace_us, void (*drained)(void *), void *arg);
/* Closes what is open; the loop must run until destroyed(arg), after which nothing is left of it. */
void gateway_destroy(struct gateway *gateway, void (*destroyed)(void *), void *arg);

/* Bytes of chance for ids of traces; at most 64. */
void gateway_random(struct gateway *gateway, void *data, size_t n);
