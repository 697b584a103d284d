/* The completion queue and its thread, as mesh/rpc's own files on C core see it.
 *
 * Every operation's tag is a struct tag; its run comes on the rpc lane. */
#pragma once

#include "mesh/port.h"
#include "mesh/rpc/server.h"

#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <pthread.h>

struct tag {
    void (*run)(struct tag *tag, bool ok);
};

struct peer;
struct client_call;

struct rpc_core {
    struct port *port;
    char process[64];
    struct rpc_tls tls;  /* strings are this struct's own */
    uint64_t tls_served; /* the version of the files that the server last took (its handshakes are serialised) */
    char *bearer;        /* the authorization metadata of every call, or NULL */
    grpc_completion_queue *queue;
    pthread_t thread;
    bool running;
    void (*pause)(void *arg); /* see rpc_core_on_pause */
    void *pause_arg;
    bool pause_wanted;

    pthread_mutex_t lock; /* the three below */
    struct task *first, **last;
    bool woken;
    grpc_channel *lame; /* carries the call whose empty batches wake the thread */
    grpc_call *waker;
    struct tag wake;

    pthread_mutex_t calls_lock; /* the three below, outcall->impl of every call, and the peers' channels */
    pthread_cond_t calls_fewer;
    struct client_call *calls;
    bool closing;
    struct peer *peers;
};

/* Whether this is the rpc lane. */
bool rpc_core_here(const struct rpc_core *core);

/* client.c: cancels all calls and waits for their ends. */
void rpc_calls_end(struct rpc_core *core);

/* peers.c */
int rpc_peers_parse(struct rpc_core *core, const char *peers);
void rpc_peers_free(struct rpc_core *core);

/* tls.c: NULL, after one clear line, if the files cannot be used. A core without certificate gives NULL to a server. */
grpc_channel_credentials *rpc_tls_channel(const struct rpc_core *core);
grpc_server_credentials *rpc_tls_server(struct rpc_core *core);
/* Changes whenever one of the files does. */
uint64_t rpc_tls_version(const struct rpc_tls *tls);
/* Who is calling, by certificate and metadata. False: the peer did not prove that it is of the mesh. */
bool rpc_identify(grpc_call *call, const grpc_metadata_array *metadata, struct caller *ret_caller);

/* bytes.c */
/* The bytes of a received message; *ret_slice keeps them until it is unreffed. */
struct bytes rpc_bytes_of(grpc_byte_buffer *buffer, grpc_slice *ret_slice);
grpc_byte_buffer *rpc_buffer_of(struct bytes bytes);
/* The text of a metadata value into a buffer; false if it is absent or does not fit. */
bool rpc_metadata_text(const grpc_metadata_array *metadata, const char *key, char *ret_text, size_t size);
const grpc_slice *rpc_metadata_find(const grpc_metadata_array *metadata, const char *key);
