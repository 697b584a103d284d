/* The client behind every command: C core's thread fills queues that the main thread takes from. */
#include "omsctl/client.h"

#include "mesh/rpc/server.h"

#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define STREAM_AHEAD   16 /* messages read before the command has printed them */
#define ATTEMPTS       6
#define BACKOFF_US     50000
#define PEER_MAX       256
#define CLIENT_PROCESS "omsctl"

struct client_message {
    struct client_message *next;
    size_t len;
    uint8_t data[];
};

struct client {
    struct port port;
    struct rpc_core *core;
    struct client_options options;
    char peer[PEER_MAX];
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct client_call *ended, **ended_last; /* unary calls */
    size_t under_way;
    struct client_message *shown; /* the stream's message that the command has */
};

static int64_t clock_us(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec * INT64_C(1000000) + t.tv_nsec / 1000;
}

static int64_t wall_us(struct port *port)
{
    return clock_us(CLOCK_REALTIME);
}

static int64_t mono_us(struct port *port)
{
    return clock_us(CLOCK_MONOTONIC);
}

static void random_bytes(struct port *port, void *data, size_t n)
{
    for (size_t done = 0; done < n;) {
        ssize_t r = getrandom((char *)data + done, n - done, 0);
        done += r > 0 ? (size_t)r : 0;
    }
}

static void post(struct port *port, enum lane lane, struct task *task)
{
    rpc_core_post(((struct client *)port)->core, task);
}

/* The peer's name, which its certificate must carry, is the host of the address. */
static int peer_of(const char *server, char ret_peer[PEER_MAX])
{
    const char *colon = strrchr(server, ':');
    if (!colon || colon == server || !colon[1] || (size_t)(colon - server) >= PEER_MAX || strpbrk(server, "=,+"))
        return -EINVAL;
    snprintf(ret_peer, PEER_MAX, "%.*s", (int)(colon - server), server);
    return 0;
}

int client_open(const struct client_options *options, struct client **ret_client)
{
    struct client *client = calloc(1, sizeof(*client));
    if (!client)
        return -ENOMEM;
    client->options = *options;
    client->port = (struct port){ .wall_us = wall_us, .mono_us = mono_us, .random = random_bytes, .post = post };
    client->ended_last = &client->ended;
    pthread_mutex_init(&client->lock, NULL);
    pthread_cond_init(&client->changed, NULL);
    if (peer_of(options->server, client->peer) < 0) {
        fprintf(stderr, "omsctl: the server '%s' is not HOST:PORT\n", options->server);
        client_close(client);
        return -EINVAL;
    }
    char peers[2 * PEER_MAX];
    snprintf(peers, sizeof(peers), "%s=%s", client->peer, options->server);
    struct rpc_tls tls = { .ca = options->ca };
    if (rpc_core_create(&client->port, CLIENT_PROCESS, peers, &tls, &client->core) < 0) {
        fprintf(stderr, "omsctl: cannot prepare the connection to %s\n", options->server);
        client_close(client);
        return -EINVAL;
    }
    if (options->token)
        rpc_core_bearer(client->core, options->token);
    rpc_core_run(client->core);
    *ret_client = client;
    return 0;
}

void client_close(struct client *client)
{
    if (!client)
        return;
    rpc_core_destroy(client->core);
    free(client->shown);
    pthread_cond_destroy(&client->changed);
    pthread_mutex_destroy(&client->lock);
    free(client);
}

struct port *client_port(struct client *client)
{
    return &client->port;
}

static struct bytes copy_bytes(struct bytes from)
{
    uint8_t *data = from.len ? malloc(from.len) : NULL;
    if (data)
        memcpy(data, from.data, from.len);
    return (struct bytes){ data, data ? from.len : 0 };
}

static struct client_call *call_of(struct outcall *out)
{
    return (struct client_call *)((char *)out - offsetof(struct client_call, out));
}

/* rpc lane */
static bool message_came(struct outcall *out, struct bytes bytes)
{
    struct client_call *call = call_of(out);
    struct client_message *message = malloc(sizeof(*message) + bytes.len);
    if (!message)
        abort();
    message->next = NULL;
    message->len = bytes.len;
    if (bytes.len)
        memcpy(message->data, bytes.data, bytes.len);

    pthread_mutex_lock(&call->client->lock);
    *call->last = message;
    call->last = &message->next;
    call->queued++;
    call->held = !call->open && call->queued >= STREAM_AHEAD;
    bool more = !call->held;
    pthread_cond_signal(&call->client->changed);
    pthread_mutex_unlock(&call->client->lock);
    return more;
}

/* rpc lane */
static void call_done(struct outcall *out, const struct rpc_status *status)
{
    struct client_call *call = call_of(out);
    struct client *client = call->client;
    call->status = (struct rpc_status){ .code = status->code,
                                        .message = strdup(status->message),
                                        .details = copy_bytes(status->details) };
    call->elapsed_us = mono_us(NULL) - call->start_us;
    pthread_mutex_lock(&client->lock);
    call->ended = true;
    if (!call->stream) {
        call->next = NULL;
        *client->ended_last = call;
        client->ended_last = &call->next;
    }
    pthread_cond_signal(&client->changed);
    pthread_mutex_unlock(&client->lock);
}

/* rpc lane */
static void message_left(struct outcall *out)
{
    struct client_call *call = call_of(out);
    pthread_mutex_lock(&call->client->lock);
    call->taken = true;
    pthread_cond_signal(&call->client->changed);
    pthread_mutex_unlock(&call->client->lock);
}

static void send_call(struct client_call *call)
{
    struct client *client = call->client;
    call->attempts++;
    call->ended = false;
    call->last = &call->first;
    const char *service = call->service ? call->service : client->options.service;
    int64_t left_us = call->stream ? 0 : client->options.timeout_us - (mono_us(NULL) - call->start_us);
    call->out = (struct outcall){ .peer = client->peer,
                                  .method = call->method,
                                  .request = call->request,
                                  .timeout_us = call->stream     ? 0
                                                : left_us > 1000 ? left_us
                                                                 : 1000,
                                  .target_service = service && service[0] ? service : NULL,
                                  .message = message_came,
                                  .done = call_done,
                                  .taken = call->open ? message_left : NULL };
    trace_child(&client->port, NULL, &call->out.trace);
    rpc_core_call(client->core, &call->out);
}

void client_start(struct client *client, struct client_call *call)
{
    call->client = client;
    call->start_us = mono_us(NULL);
    client->under_way += !call->stream;
    send_call(call);
}

static void forget_messages(struct client_call *call)
{
    for (struct client_message *m = call->first, *next; m; m = next) {
        next = m->next;
        free(m);
    }
    call->first = NULL;
    call->queued = 0;
}

static void forget_status(struct client_call *call)
{
    free((char *)call->status.message);
    free((void *)call->status.details.data);
    call->status = (struct rpc_status){ 0 };
}

/* Waits a little longer each time; false when the attempts or the time are used up. */
static bool try_again(struct client_call *call)
{
    int64_t pause_us = (int64_t)BACKOFF_US << (call->attempts - 1);
    int64_t left_us = call->client->options.timeout_us - (mono_us(NULL) - call->start_us);
    if (call->status.code != RPC_UNAVAILABLE || call->attempts >= ATTEMPTS || pause_us >= left_us)
        return false;
    forget_messages(call);
    forget_status(call);
    struct timespec pause = { pause_us / 1000000, pause_us % 1000000 * 1000 };
    nanosleep(&pause, NULL);
    send_call(call);
    return true;
}

static struct client_call *take_ended(struct client *client)
{
    pthread_mutex_lock(&client->lock);
    while (!client->ended)
        pthread_cond_wait(&client->changed, &client->lock);
    struct client_call *call = client->ended;
    client->ended = call->next;
    if (!client->ended)
        client->ended_last = &client->ended;
    pthread_mutex_unlock(&client->lock);
    return call;
}

struct client_call *client_ended(struct client *client)
{
    if (client->under_way == 0)
        return NULL;
    struct client_call *call;
    do
        call = take_ended(client);
    while (try_again(call));
    client->under_way--;
    if (call->first)
        call->reply = (struct bytes){ call->first->data, call->first->len };
    return call;
}

void client_finish(struct client_call *call)
{
    forget_messages(call);
    forget_status(call);
}

static void unpack_reply(struct client_call *call, const ProtobufCMessageDescriptor *type, struct arena *arena,
                         void *ret_reply)
{
    ProtobufCAllocator allocator = arena_protobuf(arena);
    void *reply = protobuf_c_message_unpack(type, &allocator, call->reply.len, call->reply.data);
    if (reply) {
        *(void **)ret_reply = reply;
        return;
    }
    forget_status(call);
    call->status = (struct rpc_status){ RPC_INTERNAL, strdup("the reply is not what the API says"), { 0 } };
}

enum rpc_code client_unary(struct client *client, struct client_call *call, const char *method,
                           const ProtobufCMessage *request, const ProtobufCMessageDescriptor *reply,
                           struct arena *arena, void *ret_reply)
{
    call->method = method;
    call->request = arena_pack(arena, request);
    client_start(client, call);
    client_ended(client);
    if (call->status.code == RPC_OK)
        unpack_reply(call, reply, arena, ret_reply);
    return call->status.code;
}

void client_stream(struct client *client, struct client_call *call)
{
    call->stream = true;
    client_start(client, call);
}

void client_open_stream(struct client *client, struct client_call *call)
{
    call->open = true;
    client_stream(client, call);
}

/* data NULL: no more. */
static bool say_when_taken(struct client_call *call, struct bytes message)
{
    struct client *client = call->client;
    pthread_mutex_lock(&client->lock);
    while (!call->taken && !call->ended)
        pthread_cond_wait(&client->changed, &client->lock);
    bool alive = !call->ended;
    call->taken = false;
    call->open = message.data != NULL;
    pthread_mutex_unlock(&client->lock);
    if (alive)
        rpc_core_send(client->core, &call->out, message);
    return alive;
}

bool client_say(struct client_call *call, struct bytes message)
{
    static const uint8_t nothing;
    return say_when_taken(call, message.data ? message : (struct bytes){ &nothing, 0 });
}

void client_say_end(struct client_call *call)
{
    say_when_taken(call, (struct bytes){ 0 });
}

int client_next(struct client_call *call, struct bytes *ret_message)
{
    struct client *client = call->client;
    free(client->shown);
    client->shown = NULL;

    pthread_mutex_lock(&client->lock);
    bool resume = call->held && call->queued == 0 && !call->ended;
    if (resume)
        call->held = false;
    pthread_mutex_unlock(&client->lock);
    if (resume)
        rpc_core_resume(client->core, &call->out);

    pthread_mutex_lock(&client->lock);
    while (!call->first && !call->ended)
        pthread_cond_wait(&client->changed, &client->lock);
    struct client_message *message = call->first;
    if (message) {
        call->first = message->next;
        if (!call->first)
            call->last = &call->first;
        call->queued--;
    }
    pthread_mutex_unlock(&client->lock);
    if (!message)
        return 0;
    client->shown = message;
    *ret_message = (struct bytes){ message->data, message->len };
    return 1;
}

void client_cancel(struct client_call *call)
{
    pthread_mutex_lock(&call->client->lock);
    bool alive = !call->ended;
    pthread_mutex_unlock(&call->client->lock);
    if (alive)
        rpc_core_cancel(call->client->core, &call->out);
}
