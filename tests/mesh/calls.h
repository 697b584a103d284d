/* A dispatcher over a real store, with handlers that only leave marks, and calls to it whose ends are kept. */
#pragma once

#include "mesh/log/log.h"
#include "mesh/rpc/dispatch.h"
#include "tests/mesh/steps_port.h"
#include "tests/mesh/threads_port.h"

#include "api.h"

#include <stdatomic.h>

#define INVENTORY(m) "/oms.inventory.v1.InventoryService/" m
#define ORDER(m)     "/oms.order.v1.OrderService/" m
#define TAIL         "/mesh.v1.LogService/Tail"

struct world {
    struct steps_port steps;
    struct port *port; /* &steps.port, or one of threads */
    bool threads;
    char dir[64];
    struct store *store;
    struct dispatch *dispatch;
    /* What the handlers have seen, across runs and rollbacks. */
    atomic_int runs;       /* units, also those run again or rolled back */
    atomic_int batch_most; /* items of the largest batch */
    atomic_int settled_runs;
    char owner[CALLER_SUBJECT_MAX]; /* rpc_owner of the last one */
    struct trace trace;             /* of the last ListStock */
    atomic_int commits;
    int64_t time_left_us;       /* of the last release */
    struct rpc_call *gathering; /* a gather that said RPC_LATER */
};

/* Opens everything; one thread and a clock that stands still, or real threads. */
void world_open(struct world *w, bool threads);
void world_close(struct world *w);
/* Until nothing is left to do. */
void world_settle(struct world *w);
/* The rows of the table of marks with this text (NULL: all), and the sum of all request rows. */
int64_t world_marks(struct world *w, const char *what);
int64_t world_requests(struct world *w);
/* Puts a consumer of a log where it is said to be, as a unit of its own. */
void world_consumer(struct world *w, const char *name, const char *incarnation, int64_t seq, bool booting);
/* Appends an event of the key to the log, as a unit of its own. */
void world_event(struct world *w, const char *key);

/* One call and its end. */
struct asked {
    struct world *world;
    struct rpc_call *call;
    atomic_int finished; /* must become 1 */
    atomic_int sent;
    bool hold; /* a stream: do not say that it is writable */
    enum rpc_code code;
    char reason[64], message[512], field[64];
    int64_t retry_us; /* RetryInfo; 0: none */
    size_t len;       /* of the reply, or of the last message */
    uint8_t reply[4096];
};

struct asking {
    const char *method;
    const ProtobufCMessage *request;
    struct bytes bytes; /* instead of request */
    uint32_t roles;     /* 0: SERVICE and ERP */
    const char *subject;
    bool not_authentic;
    int64_t timeout_us;
    struct trace trace;
};
/* Begins a call; its end comes with world_settle. */
void ask_begin(struct world *w, struct asked *a, const struct asking *asking);
/* Begins one and settles. */
void ask(struct world *w, struct asked *a, const struct asking *asking);
/* In static memory, until the next one of the same type. */
const Oms__Inventory__V1__AdjustStockRequest *adjust(const char *request_id, const char *sku);
const Oms__Inventory__V1__ReserveStockRequest *reserve(const char *request_id, const char *order_id);
const Oms__Inventory__V1__ReleaseStockRequest *release(const char *request_id, const char *operation_id);
const Oms__Order__V1__PlaceOrderRequest *place(const char *request_id, const char *customer_id);
