/* The only road from services and mesh logic to lanes, clocks, chance, other processes, Redis and whoever is outside.
 *
 * A real process has threads, C core, libuv and libcurl behind it (mesh/run/real.c); the simulator has one thread and a
 * seed (tests/sim). Nothing else in services, mesh/log, mesh/outbox or the dispatcher may call time(), rand(),
 * sockets or threads. Every function may be called on any lane unless it says otherwise.
 *
 * Code runs to completion on its lane: loop (signals, timers, Redis, relay, drain), rpc (one thread polling C
 * core), writer and reader (transactions), work (pure CPU). */
#pragma once

#include "mesh/base/arena.h"
#include "mesh/base/trace.h"

#include <stdint.h>

enum lane { LANE_LOOP, LANE_RPC, LANE_WRITER, LANE_READER, LANE_WORK, LANE_COUNT };

/* Embedded in whatever is handed over; runs once per post and may be freed by run. */
struct task {
    void (*run)(struct task *task);
    struct task *next;
};

/* One shot, on the loop lane. */
struct timer {
    void (*fire)(struct timer *timer);
    int64_t due_us; /* on the port's monotonic clock; 0: not started */
    void *impl;
};

struct rpc_status; /* mesh/rpc/rpc.h */
struct caller;

/* A call to another process: unary, or a server's stream. The caller owns it until done has run. Callbacks
 * come on the rpc lane, never inside port->call. Strings must outlive the call. */
struct outcall {
    const char *peer;   /* a process: "svc-inventory" */
    const char *method; /* "/oms.inventory.v1.InventoryService/ReserveStock" */
    struct bytes request;
    int64_t timeout_us; /* 0: none; only for streams */
    struct trace trace;
    const struct caller *caller; /* on whose behalf; NULL: the process itself (role SERVICE) */
    const char *target_service; /* reserved for tools that go through the gateway: the mesh-service metadata, or NULL */
    /* One reply of a unary call, any number of a stream. false: hold the next one until port->resume. */
    bool (*message)(struct outcall *call, struct bytes message);
    /* The end: code 0 or what went wrong. Exactly once, also after cancel. */
    void (*done)(struct outcall *call, const struct rpc_status *status);
    /* Reserved for tools: a client's stream, whose first message the request is. The last one has left: rpc_core_send
     * takes another (mesh/rpc/server.h). NULL: no stream of the client's. */
    void (*taken)(struct outcall *call);
    void *impl;
};

/* Redis, a cache and nothing more (mesh/cache/cache.h builds on it). */
struct cache_op {
    enum { CACHE_GET, CACHE_SET_IF_NEWER } op;
    size_t n; /* keys of one pipeline, at most 512 */
    const char *const *keys;
    const char *epoch;  /* both: the incarnation the values belong to */
    uint64_t *versions; /* GET: filled (0: miss) · SET: each value's version */
    int64_t *values;    /* GET: filled · SET: given */
    int64_t timeout_us;
    /* 0, or -ETIMEDOUT, -ECONNREFUSED, -ENOBUFS (queue full), -ENOSYS (no cache configured). On the loop lane. */
    void (*done)(struct cache_op *op, int result);
    void *impl;
};

/* A request to somebody outside the mesh: a card processor, a carrier, a mail server, a folder (libcurl behind it).
 * The caller owns it, and what it points to, until done has run. */
struct fetch {
    const char *peer;                /* "processor": the option --outside says where that is */
    const char *verb;                /* "GET", "POST", "DELETE"; "PUT" for a mail or a file */
    const char *path;                /* "/v1/captures"; for a mail or a file its name */
    const char *idempotency_key;     /* sent as the header Idempotency-Key; NULL: none */
    const char *mail_from, *mail_to; /* of the envelope, only for a mail server; or NULL */
    struct bytes body;               /* JSON, a mail, a file's content */
    int64_t timeout_us;
    /* Loop lane, exactly once, never inside port->fetch. result 0: there was an answer, with an HTTP status (200 for
     * what is no HTTP) and a body that is valid during the call. Else nobody knows whether it arrived: -ETIMEDOUT,
     * -ECONNREFUSED, -ECONNRESET, -EIO, or -EMSGSIZE (an answer above 1 MiB); -ENOSYS: nobody said where the peer is.
     */
    void (*done)(struct fetch *fetch, int result, int status, struct bytes body);
    void *impl;
};

struct port {
    int64_t (*wall_us)(struct port *port); /* microseconds since 1970, UTC; may jump */
    int64_t (*mono_us)(struct port *port); /* never goes back */
    void (*random)(struct port *port, void *data, size_t n);
    /* Runs the task on the lane, after tasks posted there before from the same lane. One wake per batch. */
    void (*post)(struct port *port, enum lane lane, struct task *task);
    void (*timer_start)(struct port *port, struct timer *timer,
                        int64_t delay_us);                      /* loop lane; restarts a started one */
    void (*timer_stop)(struct port *port, struct timer *timer); /* loop lane; harmless if not started */
    void (*call)(struct port *port, struct outcall *call);
    void (*resume)(struct port *port, struct outcall *call); /* after message returned false */
    void (*cancel)(struct port *port,
                   struct outcall *call); /* done still comes; harmless afterwards only until done ran */
    void (*cache)(struct port *port, struct cache_op *op);
    void (*fetch)(struct port *port, struct fetch *fetch); /* any lane */
};
