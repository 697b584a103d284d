/* The port of a real process: lanes are threads, the loop is libuv's on the main thread, calls go over C core. */
#pragma once

#include "mesh/port.h"
#include "mesh/rpc/server.h"

struct real_port;
struct uv_loop_s;

struct real_options {
    const char *process; /* its name, or NULL: neither calls nor serves, port->call must not be used */
    const char *peers;   /* see rpc_core_create; NULL: none */
    struct rpc_tls tls;
    const char *redis;   /* host:port; NULL or "": no cache */
    const char *outside; /* who is outside the mesh, and where (mesh/outside/outside.h); NULL or "": nobody */
};

/* Starts every lane but the loop. 0 or a negative errno after one clear line. */
int real_port_create(const struct real_options *options, struct real_port **ret_real);
struct port *real_port(struct real_port *real);
struct rpc_core *real_port_core(struct real_port *real); /* NULL without a process name */
/* Whether the options say where that is, of those outside. */
bool real_port_knows(const struct real_port *real, const char *peer);
struct uv_loop_s *real_port_loop(struct real_port *real);
/* Runs the loop lane on this thread until real_port_stop. */
void real_port_run(struct real_port *real);
void real_port_stop(struct real_port *real); /* any lane */
/* Loop lane: fetches under way, and all later ones, end with -ECONNRESET. */
void real_port_hang_up(struct real_port *real);
/* On the thread of the loop, after it: ends writer, reader and work when they have done what they were given, and the
 * cache, then runs what they posted to the loop. What is posted to any of them later is never run: a store can be
 * closed now. */
void real_port_halt(struct real_port *real);
/* When everything that used the port is gone. NULL is harmless. */
void real_port_destroy(struct real_port *real);
