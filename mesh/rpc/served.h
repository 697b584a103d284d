/* One call at the server, from C core's side: its batches, and when it may be forgotten. All of it on the rpc lane.
 *
 * What happens in between is its kind's business: the dispatcher's (server.c), health's or reflection's (builtin.c). */
#pragma once

#include "mesh/rpc/core.h"

struct server_call;
struct rpc_server;

struct call_kind {
    bool streaming; /* the reply is a stream: no message with the end */
    bool watched;   /* the client's cancel is wanted; costs one more event */
    bool unread;    /* begins before there is a message, with an empty request */
    /* The first message; the call must come to call_finish. */
    void (*begin)(struct server_call *c, struct bytes request);
    void (*received)(struct server_call *c, const struct bytes *request); /* after call_receive; NULL: no more come */
    void (*writable)(struct server_call *c);                              /* after call_send */
    void (*cancelled)(struct server_call *c);
    void (*release)(struct server_call *c); /* nothing of it is used any more */
};

struct served_method {
    const char *name;
    void *handle; /* NULL: whatever is not registered */
    const struct call_kind *kind;
    struct rpc_server *server;
};

struct server_call {
    const struct served_method *method;
    grpc_call *call;
    gpr_timespec deadline;
    grpc_metadata_array metadata;
    grpc_byte_buffer *payload;
    grpc_call_details details; /* of what is not registered */
    struct tag requested, received, sent, closed, ended;
    int open;            /* tags that are still to come */
    bool opened, ending; /* initial metadata, the status were sent */
    int cancelled;
    /* From other lanes; the bytes are the dispatcher's and stay as they are. */
    struct task sending, finishing;
    struct bytes message, reply;
    struct rpc_status status;
    void *data; /* the kind's */
    struct server_call *next, **at;
};

/* Posts a call for the method; *ret_call is the server's to keep until it begins or is refused. */
void call_request(struct server_call *c);
/* One at a time, until writable. */
void call_send(struct server_call *c, struct bytes message);
void call_receive(struct server_call *c);
/* The end; what comes after the first one is ignored. */
void call_finish(struct server_call *c, struct bytes reply, const struct rpc_status *status);
/* "/pkg.Service/Method" as the client wrote it. */
struct bytes call_method_name(const struct server_call *c);

/* server.c: a call of the method came, was refused because the server shuts down, or is over. */
struct server_call *server_call_new(const struct served_method *method);
void server_call_began(struct server_call *c);
void server_call_over(struct server_call *c);
grpc_server *server_grpc(const struct rpc_server *server);
struct rpc_core *server_core(const struct rpc_server *server);
struct dispatch *server_dispatch(const struct rpc_server *server);
struct builtin *server_builtin(const struct rpc_server *server);
