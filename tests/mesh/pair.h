/* Two services in a simulated world: "sender" has an outbox, "receiver" carries out what it is told and has a log.
 *
 * The receiver serves InventoryService.ReserveStock and ReleaseStock, and appends one event per reservation. The sender
 * keeps every outcome, and follows the receiver's log. Queue key and order id are the same; operation ids are
 * "KEY-NUMBER". Orders named "refuse…" are refused for good, "busy…" are UNAVAILABLE while pair->busy. */
#pragma once

#include "mesh/outbox/queue.h"
#include "mesh/service.h"
#include "tests/sim/world.h"

#include "api.h"

#define RESERVE "/oms.inventory.v1.InventoryService/ReserveStock"
#define RELEASE "/oms.inventory.v1.InventoryService/ReleaseStock"

struct pair {
    struct world *world;
    struct node *sender, *receiver;
    struct service_options sender_options, receiver_options;
    const char *to, *method; /* of the sender's commands */
    /* What the services' code is told to do. */
    bool busy;           /* the receiver answers busy orders with UNAVAILABLE */
    int refuse_outcomes; /* so many outcomes of the sender fail with -EINVAL */
    int refuse_events;   /* so many events, too */
    int64_t heard;       /* events applied, also in runs that were rolled back */
    int64_t fired_us;    /* when the last timer fired, on the sender's wall clock */
    struct deliverer deliverers[4];
    struct consumer consumers[2];
    struct consumed consumed[3];
    struct service_spec sender_spec, receiver_spec;
};

/* Both are made and started; change options or tables between init and start. */
void pair_init(struct pair *p, uint64_t seed);
void pair_start(struct pair *p);
void pair_end(struct pair *p);

/* One transaction of the sender that adds commands first … first + n - 1 for the key. Tried until it is stored. */
void pair_send(struct pair *p, const char *key, int first, int n);
/* The same without waiting: true once it is stored. Call it again and again. */
bool pair_sending(struct pair *p, const char *key, int first, int n);
void pair_undo(struct pair *p, const char *key, int number);
void pair_timer(struct pair *p, const char *key, int64_t due_us);
/* One transaction of the receiver that reserves first … first + n - 1 for the key, asked by nobody. */
void pair_happen(struct pair *p, const char *key, int first, int n);
/* One transaction of a node; its result. */
int pair_do(struct node *node, int (*run)(struct txn *txn, void *arg), void *arg);

/* A call from one node to another, as the process itself or on behalf of an operator. */
struct asked {
    struct outcall call;
    struct caller caller;
    struct arena arena;
    struct bytes replies[64]; /* in the arena */
    size_t n;
    bool done;
    enum rpc_code code;
    char reason[64], meta[64];
};
/* Waits for the end, or, of a stream that follows, for that many replies. */
void pair_ask(struct pair *p, struct asked *asked, struct node *from, const char *to, const char *method,
              const ProtobufCMessage *request, bool operator, size_t replies);
void pair_await_replies(struct pair *p, struct asked *asked, size_t replies);
void pair_cancel(struct pair *p, struct asked *asked, struct node *from);
void asked_finish(struct asked *asked);

/* A number out of a node's database, which must be up: PAIR_COUNT(p->sender, "SELECT COUNT(*) FROM outcome"). */
#define PAIR_COUNT(node, sql) pair_count(node, SQL(sql))
int64_t pair_count(struct node *node, const char *sql);
/* Runs the world until the number is that, at most a minute of its time. */
#define PAIR_AWAIT(p, node, sql, number) \
    ck_assert_msg(pair_await(p, node, SQL(sql), number), "never: %s = %d", sql, number)
bool pair_await(struct pair *p, struct node *node, const char *sql, int64_t number);
