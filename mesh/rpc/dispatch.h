/* From request bytes to reply bytes: finds the method, decodes, checks, runs the stages, remembers the reply.
 * Knows nothing of the transport: C core's server, mesh.v1.Deliver, the gateway's own methods and the simulator each
 * bring calls here. */
#pragma once

#include "mesh/rpc/rpc.h"
#include "mesh/rpc/schema.h"
#include "mesh/store/store.h"

struct port;
struct dispatch;

/* How a transport is told. Both may come on any lane, never inside dispatch_begin unless it answers at once. The bytes
 * and texts stay as they are until dispatch_writable, or dispatch_release; the status itself only for the call. */
struct rpc_transport {
    /* A message of a stream, valid until the transport has called dispatch_writable, which it does once per message
     * when the client can take another (perhaps inside send). */
    void (*send)(struct rpc_call *call, struct bytes message);
    /* The end: the reply of a unary call (data may be empty) and the status, both valid until the transport calls
     * dispatch_release, perhaps inside finish. Nothing else touches the call after it. */
    void (*finish)(struct rpc_call *call, struct bytes reply, const struct rpc_status *status);
};

extern const struct migration rpc_migrations[]; /* the request table: idempotency and tombstones */

/* store may be NULL (the gateway): then only methods without units can be served. A table that does not match the
 * protos aborts after one clear line: a method without a row, a row without a method, one that mutates without
 * request_id, a stream without pages … */
struct dispatch *dispatch_create(struct port *port, struct store *store, struct service *service, void *app,
                                 const struct rpc_service *const *services);
void dispatch_destroy(struct dispatch *d); /* loop lane; NULL is harmless; dispatch_active must be 0 */

struct rpc_begin {
    const struct rpc_transport *transport;
    void *transport_data; /* rpc_transport_data(call) */
    const char *method;   /* "/pkg.Service/Method" */
    size_t method_len;
    struct bytes request; /* need not outlive dispatch_begin */
    struct caller caller;
    bool authentic; /* false: the peer did not prove who it is; only public methods are answered */
    struct trace trace;
    int64_t deadline_us; /* on the port's monotonic clock; 0: none */
};
/* Any lane (rpc in a real process). Always ends in transport->finish, if need be at once: unknown methods with
 * UNIMPLEMENTED, a peer without proof with UNAUTHENTICATED, a role that is not allowed with PERMISSION_DENIED. */
struct rpc_call *dispatch_begin(struct dispatch *d, const struct rpc_begin *begin);
void *rpc_transport_data(const struct rpc_call *call);
/* Before there is a message: whether the caller may call the method at all. 0, or -EPROTO with the status to end with,
 * in the arena. Any lane. */
int dispatch_admit(struct dispatch *d, const struct rpc_begin *begin, struct arena *arena,
                   struct rpc_status *ret_status);
void dispatch_writable(struct rpc_call *call);
/* The client is gone or the deadline passed: the call still ends in finish, soon; of a stream perhaps while its last
 * message is still under way. Any lane; not after dispatch_release. */
void dispatch_cancel(struct rpc_call *call);
void dispatch_release(struct rpc_call *call);
/* From the store's commit hook: the log has grown, tails and deferred replies look again. */
void dispatch_log_grown(struct dispatch *d, uint64_t seq);
/* From the store's commit hook: a consumer has gone on, and whoever waits for its position looks again. */
void dispatch_consumer_moved(struct dispatch *d);
/* The process drains: streams that wait for the log or for their client end, now and from now on, as they would never
 * end by themselves. The rpc lane. */
void dispatch_leave(struct dispatch *d);
/* Calls not released yet, and what else of the dispatcher is under way. */
size_t dispatch_active(const struct dispatch *d);
/* The table it was made with. */
const struct rpc_service *const *dispatch_services(const struct dispatch *d);
