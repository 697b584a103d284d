/* Where a method is served: the built-in schema's methods, each with its process or the gateway itself. Immutable
 * after routes_create but for the counters. */
#pragma once

#include "mesh/base/metrics.h"
#include "mesh/rpc/schema.h"

struct exchange;

/* Who answers an exchange: a process behind (forward.c), or the gateway itself (local.c, hub.c). */
struct server {
    /* The request is allowed: it begins. For methods without client streaming the first five bytes are there. */
    void (*begin)(struct exchange *x);
    /* There is more of the request, or it has ended; not before begin. */
    void (*more)(struct exchange *x);
    /* The client took n bytes of the reply. */
    void (*taken)(struct exchange *x, size_t n);
    /* The exchange ends without the server having ended it: the client is gone, or it failed. After begin only. */
    void (*abort)(struct exchange *x);
};

#define ROUTE_ANY_PROCESS (-1)   /* the one that the metadata mesh-service names */
#define ROUTE_NO_PROCESS  (-100) /* the gateway's own; no errno that is used here */
#define PROCESSES_MAX     16

/* Who goes on when not all can: who changes something (orders, payments), then who reads one thing, and at last who
 * reads many. */
enum route_rank { RANK_CHANGES, RANK_READS, RANK_LISTS };

struct route {
    const struct schema_method *method;
    const struct server *server;
    int process;                                   /* index into processes, or one of the above */
    struct metric *codes[RPC_UNAUTHENTICATED + 1]; /* made when first counted */
    struct metric *time;
    enum route_rank rank;
    int64_t usual_us; /* the median of what its replies take; 0: none came yet */
};

struct routes;

/* What serves the methods of a service instead of the process that its package belongs to. */
struct route_own {
    const char *path; /* "/grpc.health.v1.Health/Check" */
    const struct server *server;
};

/* forward serves what own (ended by a row without path) does not name. NULL: no memory. */
struct routes *routes_create(const struct schema *schema, const struct server *forward, const struct route_own *own);
void routes_destroy(struct routes *routes);
struct route *routes_find(const struct routes *routes, const char *path, size_t len); /* NULL: unknown */
/* The processes that packages belong to, by index; ends with NULL. */
const char *const *routes_processes(void);
int routes_process(const char *name, size_t len); /* -ENOENT: none of that name */
/* The process of a service by its full name ("oms.order.v1.OrderService"), or one of ROUTE_…; -ENOENT. */
int routes_process_of(const char *service);
void route_count(struct route *route, enum rpc_code code, int64_t duration_us);
