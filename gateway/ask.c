/* Hands what comes on the rpc lane over to the loop lane, one message at a time. */
#include "gateway/ask.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

struct arrival {
    struct task task;
    struct ask *ask;
    size_t len;
    uint8_t data[];
};

struct ask {
    struct outcall call;
    struct port *port;
    const struct ask_ops *ops;
    void *owner, *data;
    struct caller caller;
    struct task done_task;
    struct rpc_status status; /* its texts are on the heap */
    bool cancelled, lost;     /* lost: a message found no memory, so the end is an error */
    uint8_t request[];
};

static const struct rpc_status no_memory = { RPC_RESOURCE_EXHAUSTED, "out of memory", { 0 } };

static void message_arrived(struct task *task)
{
    struct arrival *arrival = (struct arrival *)task;
    struct ask *ask = arrival->ask;
    if (!ask->cancelled)
        ask->ops->message(ask, (struct bytes){ arrival->data, arrival->len });
    free(arrival);
    ask->port->resume(ask->port, &ask->call);
}

static bool on_message(struct outcall *call, struct bytes message)
{
    struct ask *ask = (struct ask *)call;
    struct arrival *arrival = malloc(sizeof(*arrival) + message.len);
    if (!arrival) {
        ask->lost = true;
        ask->port->cancel(ask->port, call);
        return true;
    }
    arrival->task.run = message_arrived;
    arrival->ask = ask;
    arrival->len = message.len;
    if (message.len)
        memcpy(arrival->data, message.data, message.len);
    ask->port->post(ask->port, LANE_LOOP, &arrival->task);
    return false;
}

static void done_arrived(struct task *task)
{
    struct ask *ask = (struct ask *)((char *)task - offsetof(struct ask, done_task));
    bool copied = ask->status.message;
    ask->ops->done(ask, copied && !ask->lost ? &ask->status : &no_memory);
    free((char *)ask->status.message);
    free((uint8_t *)ask->status.details.data);
    free(ask);
}

static void on_done(struct outcall *call, const struct rpc_status *status)
{
    struct ask *ask = (struct ask *)call;
    ask->status.code = status->code;
    ask->status.message = strdup(status->message);
    uint8_t *details = status->details.len ? malloc(status->details.len) : NULL;
    if (details) {
        memcpy(details, status->details.data, status->details.len);
        ask->status.details = (struct bytes){ details, status->details.len };
    }
    ask->done_task.run = done_arrived;
    ask->port->post(ask->port, LANE_LOOP, &ask->done_task);
}

struct ask *ask_start(struct port *port, const struct ask_options *options, const struct ask_ops *ops, void *owner,
                      void *data)
{
    struct ask *ask = calloc(1, sizeof(*ask) + options->request.len);
    if (!ask)
        return NULL;
    if (options->request.len)
        memcpy(ask->request, options->request.data, options->request.len);
    if (options->caller)
        ask->caller = *options->caller;
    ask->port = port;
    ask->ops = ops;
    ask->owner = owner;
    ask->data = data;
    ask->call = (struct outcall){
        .peer = options->peer,
        .method = options->method,
        .request = { ask->request, options->request.len },
        .timeout_us = options->timeout_us,
        .trace = options->trace,
        .caller = options->caller ? &ask->caller : NULL,
        .message = on_message,
        .done = on_done,
    };
    port->call(port, &ask->call);
    return ask;
}

void *ask_owner(const struct ask *ask)
{
    return ask->owner;
}

void *ask_data(const struct ask *ask)
{
    return ask->data;
}

void ask_cancel(struct ask *ask)
{
    ask->cancelled = true;
    ask->data = NULL;
    ask->port->cancel(ask->port, &ask->call);
}
