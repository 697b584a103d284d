/* A process of the mesh inside a test: real port, loop on a thread of its own, dispatcher, server; and a caller that
 * waits. */
#pragma once

#include "mesh/run/real.h"

#include <pthread.h>
#include <semaphore.h>

struct node_options {
    const char *name;
    const char *dir;   /* of certificates; NULL: in the clear */
    bool anonymous;    /* knows the CA, proves nothing */
    const char *peers; /* NULL: calls nobody */
    int port;          /* 0 picks one */
    bool silent;       /* only calls, does not serve */
};

struct node {
    struct real_port *real;
    struct port *port;
    struct store *store;
    struct dispatch *dispatch;
    struct rpc_server *server;
    pthread_t loop;
    char store_dir[64];
    /* GetProduct(sku "wait"): posted when the handler has it; rpc_gathered lets it go on */
    sem_t waiting;
    struct rpc_call *waits;
};

/* Serves CatalogService/GetProduct, LogService/Tail, DeliverService/Deliver and OrderService/ImportOrders:
 *   GetProduct  sku "echo": product_id is the caller's subject, title his roles as a number; "missing": NOT_FOUND;
 *               "wait": see above
 *   Tail        after.seq messages whose position counts them, each with a payload of max_entries KiB; then the end,
 *               or with follow waiting
 *   Deliver     as many outcomes as commands, the reply of each the caller's subject
 *   ImportOrders acknowledges each chunk under its request id */
void node_start(struct node *node, const struct node_options *options);
int node_listen(struct node *node, int port); /* as rpc_server_create; node_start has done so */
/* Runs on the loop lane and waits for it. */
void node_on_loop(struct node *node, void (*run)(void *arg), void *arg);
void node_stop_server(struct node *node);
void node_stop(struct node *node);
/* "NAME=127.0.0.1:PORT" of these nodes, on the heap. */
char *node_peers(const char *name, int port);

/* A call and everything it came back with; free with said_free. */
struct said {
    enum rpc_code code;
    char message[256], reason[64];
    size_t n; /* messages */
    struct bytes last;
    struct arena arena;
};

struct asking {
    struct outcall call;
    struct port *port;
    struct said *said;
    bool hold; /* message() says false */
    sem_t came, over, taken;
    pthread_mutex_t lock;
};

/* Starts a call: came is posted for each message and the end, over at the end. The request is copied. */
void ask_start(struct asking *asking, struct node *from, const char *peer, const char *method,
               const ProtobufCMessage *request, const struct caller *caller, int64_t timeout_us, struct said *ret_said);
void ask_wait(struct asking *asking); /* for the end; once */
/* The same for a client's stream, of which the request is the first message: taken is posted when another may go. */
void ask_open(struct asking *asking, struct node *from, const char *peer, const char *method,
              const ProtobufCMessage *request, const struct caller *caller, struct said *ret_said);
/* Waits until the one before it has left. NULL: no more. */
void ask_send(struct asking *asking, struct node *from, const ProtobufCMessage *request);
/* Both at once. */
void ask(struct node *from, const char *peer, const char *method, const ProtobufCMessage *request,
         const struct caller *caller, struct said *ret_said);
void said_free(struct said *said);
