/* C core's server in front of a dispatcher, and its client behind port->call; the only code that includes grpc/.
 * One completion queue, polled by one thread (the rpc lane). */
#pragma once

#include "mesh/rpc/dispatch.h"

struct rpc_tls {
    const char *ca, *cert,
        *key; /* PEM files; all NULL: cleartext, and then every peer on loopback is believed nothing. Only ca: a client
               * that proves nothing of itself. Files that change are read again. */
};

struct rpc_core; /* the queue and its thread, shared by server and client */
struct rpc_server;

/* Makes the completion queue; the thread starts with rpc_core_run. peers: "svc-order=127.0.0.1:7101+127.0.0.1:7111,…",
 * addresses of one process joined by +, or dns:///name:port. */
int rpc_core_create(struct port *port, const char *process, const char *peers, const struct rpc_tls *tls,
                    struct rpc_core **ret_core);
void rpc_core_run(struct rpc_core *core);
/* Called on the rpc lane when it begins and ends, and after rpc_core_pause_soon as soon as it has nothing more to do,
 * or 64 events later: what events post elsewhere can go together. Before rpc_core_run. */
void rpc_core_on_pause(struct rpc_core *core, void (*pause)(void *arg), void *arg);
void rpc_core_pause_soon(struct rpc_core *core); /* rpc lane */
/* A token that goes with every call, for tools that go through the gateway. Before the first call. */
void rpc_core_bearer(struct rpc_core *core, const char *token);
void rpc_core_post(struct rpc_core *core, struct task *task); /* the rpc lane */
void rpc_core_call(struct rpc_core *core, struct outcall *call);
/* The next message of a client's stream, one at a time: the first after the call's taken, which comes for each; or,
 * with data NULL, the end of what the client has to say. Nothing happens once the call has ended. Any lane. */
void rpc_core_send(struct rpc_core *core, struct outcall *out, struct bytes message);
void rpc_core_resume(struct rpc_core *core, struct outcall *call);
void rpc_core_cancel(struct rpc_core *core, struct outcall *call);
void rpc_core_destroy(struct rpc_core *core); /* after the server; joins the thread; NULL is harmless */

/* Listens on host:port (port 0 picks one). 0, or -EADDRINUSE and the like after one clear line.
 * Serves grpc.health.v1 (Check, Watch) and reflection (v1, v1alpha) itself. */
int rpc_server_create(struct rpc_core *core, struct dispatch *dispatch, const char *listen,
                      struct rpc_server **ret_server);
int rpc_server_port(const struct rpc_server *server);
/* Health: every service of the dispatcher and "" at once. Not before the first call. Any lane. */
void rpc_server_serving(struct rpc_server *server, bool serving);
/* NOT_SERVING, wait notice_us (so that balancers look away), GOAWAY, in-flight calls finish within grace_us, the rest
 * is cancelled; then drained(arg) on the rpc lane. Loop lane. */
void rpc_server_drain(struct rpc_server *server, int64_t notice_us, int64_t grace_us, void (*drained)(void *),
                      void *arg);
/* Not drained yet: cancels all calls, and waits until the dispatcher has ended them. Loop lane. NULL is harmless. */
void rpc_server_destroy(struct rpc_server *server);
