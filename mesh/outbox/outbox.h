/* The outbox: what must happen elsewhere or later, written in the transaction that wants it.
 *
 * Commands go to other services' methods or to somebody outside the mesh, timers come back to this one. Order is kept
 * per (destination, key). The relay (relay.c, loop lane) delivers to services in batches by mesh.v1.Deliver, to the
 * outside one by one by port->fetch; each outcome comes back into a transaction of this service together with the
 * deletion of the row: at-least-once delivery and operation ids make one effect. */
#pragma once

#include "mesh/rpc/rpc.h"
#include "mesh/store/store.h"

struct fetch; /* mesh/port.h */
struct service;

struct command {
    const char *destination;         /* a process: "svc-inventory" */
    const char *method;              /* "/oms.inventory.v1.InventoryService/ReserveStock", or "/processor/authorize" of
                                      * somebody outside the mesh; must have a deliverer row */
    const char *key;                 /* its queue within the destination */
    const ProtobufCMessage *request; /* carries the operation id as request_id; packed now, resent verbatim */
    int64_t due_us;                  /* wall clock; 0: at once */
    const struct trace *trace;       /* whose work it is; NULL: the unit's */
};
int outbox_add(struct txn *txn, const struct command *command);
/* The same for many, one after the other, in multi-row statements. */
int outbox_add_many(struct txn *txn, const struct command *commands, size_t n);
/* Fires the timer row of that name at due_us or later, in a transaction, exactly once. */
int outbox_timer(struct txn *txn, const char *name, const char *key, int64_t due_us);

/* What became of a command: code 0 with the reply, or the error that will not change by itself (INVALID_ARGUMENT,
 * FAILED_PRECONDITION, NOT_FOUND … ), or what was the last one when it was given up (gave_up). */
struct outcome {
    const char *key;
    const void *request; /* unpacked, as it was sent */
    enum rpc_code code;
    const void *reply; /* unpacked if code is 0, else NULL */
    const char *reason, *message;
    bool gave_up;
    uint32_t attempts;
};

enum give_up {
    GIVE_UP_RAISE,
    GIVE_UP_SKIP,
    GIVE_UP_PARK
}; /* into outcome() · drop with a dead letter · hold the queue for a person */

/* How a command is said to somebody outside the mesh, and what is understood of the answer. Both may be run again. */
struct outside {
    /* Inside a read unit: fills verb, path, body, idempotency_key (and what else fetch has) from the request and from
     * the database, in the unit's arena. 0; -ECANCELED: there is nothing to be said any more, the reply stays as it is
     * (all defaults) and the outcome's code is 0; or a negative errno of the store. */
    int (*ask)(struct txn *txn, const void *request, struct fetch *ret_fetch);
    /* Pure: reads an answer of status 200 … 499 but 408, 425 and 429 into the reply, whose memory is the arena's.
     * Returns the outcome's code, RPC_OK or one that will not change by itself; RPC_UNAVAILABLE: not understood, ask
     * again. */
    enum rpc_code (*understand)(struct arena *arena, int status, struct bytes body, const void *request, void *reply);
    int64_t timeout_us;
};

struct deliverer {
    const char *method;
    const ProtobufCMessageDescriptor *request, *reply;
    int (*outcome)(struct txn *txn, const struct outcome *outcome);
    enum give_up give_up;
    int64_t give_up_after_us;      /* since the command was due; 0: never */
    const struct outside *outside; /* NULL: the destination is a process of the mesh */
};
struct timer_row {
    const char *name;
    int (*fire)(struct txn *txn, const char *key, int64_t due_us);
};

extern const struct migration outbox_migrations[];
