/* Calls to the gateway from one thread: start many, take what ended; or one at a time.
 *
 * Not thread-safe: everything is called from the main thread; C core's thread stays inside. */
#pragma once

#include "mesh/port.h"
#include "mesh/rpc/rpc.h"

struct client;

struct client_options {
    const char *server;  /* host:port */
    const char *ca;      /* PEM file; NULL: cleartext */
    const char *token;   /* NULL: none */
    const char *service; /* the process that every service has under one name is meant of (mesh-service); NULL: any */
    int64_t timeout_us;  /* of a unary call, with all its attempts */
};

/* 0; -EINVAL after one clear line. */
int client_open(const struct client_options *options, struct client **ret_client);
void client_close(struct client *client);        /* no call may be under way; takes NULL */
struct port *client_port(struct client *client); /* clocks and chance, for id_make */

/* One call. The caller zeroes it, sets method, request and user, and finishes it after it ended. */
struct client_call {
    const char *method;   /* must live as long as the call */
    struct bytes request; /* likewise; sent again as it is when the server was unavailable */
    const char *service;  /* instead of the client's; "": none; NULL: the client's */
    void *user;
    /* what became of it */
    struct rpc_status status;
    struct bytes reply; /* of a unary call that ended well */
    int64_t elapsed_us;
    /* inside */
    struct client *client;
    struct outcall out;
    struct client_message *first, **last;
    struct client_call *next;
    int64_t start_us;
    size_t queued;
    unsigned attempts;
    bool stream, open, taken, held, ended;
};
void client_start(struct client *client, struct client_call *call);
/* The next unary call that ended, waiting for it; NULL when none is under way. One that met UNAVAILABLE is tried again
 * with the same bytes, a few times within its timeout. */
struct client_call *client_ended(struct client *client);
void client_finish(struct client_call *call);

/* A whole unary call. The reply, if it ended well, is unpacked into the arena. Returns the status's code, which stays
 * in call->status until client_finish. */
enum rpc_code client_unary(struct client *client, struct client_call *call, const char *method,
                           const ProtobufCMessage *request, const ProtobufCMessageDescriptor *reply,
                           struct arena *arena, void *ret_reply);

/* A server's stream: 1 with the next message, which is valid until the following call; 0 at its end, with the status in
 * the call. */
void client_stream(struct client *client, struct client_call *call);
int client_next(struct client_call *call, struct bytes *ret_message);
/* The same, where the client streams, too; the request is its first message. Replies are kept as they come until
 * client_say_end, so whoever says much at once has to know how much may come back. */
void client_open_stream(struct client *client, struct client_call *call);
/* The next message, when the one before it has left. False: the stream has ended, client_next tells why. */
bool client_say(struct client_call *call, struct bytes message);
void client_say_end(struct client_call *call);
/* Ends the stream early: client_next goes on until it says 0. */
void client_cancel(struct client_call *call);
