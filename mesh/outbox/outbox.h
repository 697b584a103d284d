/* The outbox: what must happen elsewhere or later, written in the transaction that wants it.
 *
 * Commands go to other services' methods, timers come back to this one. Order is kept per (destination, key). The relay
 * (relay.c, loop lane) delivers in batches by mesh.v1.Deliver; each outcome comes back into a transaction of this
 * service together with the deletion of the row: at-least-once delivery and operation ids make one effect. */
#pragma once

#include "mesh/rpc/rpc.h"
#include "mesh/store/store.h"

struct service;

struct command {
    const char *destination;         /* a process: "svc-inventory" */
    const char *method;              /* "/oms.inventory.v1.InventoryService/ReserveStock"; must have a deliverer row */
    const char *key;                 /* its queue within the destination */
    const ProtobufCMessage *request; /* carries the operation id as request_id; packed now, resent verbatim */
    int64_t due_us;                  /* wall clock; 0: at once */
};
int outbox_add(struct txn *txn, const struct command *command);
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

struct deliverer {
    const char *method;
    const ProtobufCMessageDescriptor *request, *reply;
    int (*outcome)(struct txn *txn, const struct outcome *outcome);
    enum give_up give_up;
    int64_t give_up_after_us; /* since the command was due; 0: never */
};
struct timer_row {
    const char *name;
    int (*fire)(struct txn *txn, const char *key, int64_t due_us);
};

extern const struct migration outbox_migrations[];
