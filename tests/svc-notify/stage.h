/* svc-notify in a simulated world, beside three services of the test's own that only tell what they are told to tell,
 * and a mail server that keeps what it gets.
 *
 * "svc-order" also answers BatchGetOrders, of the orders that stage_order made. */
#pragma once

#include "mesh/service.h"
#include "svc-notify/api.h"
#include "tests/sim/world.h"

#include "api.h"

#define SECOND_US 1000000ll
#define MINUTE_US (60 * SECOND_US)
#define HOUR_US   (3600 * SECOND_US)
#define STEP_US   5000 /* a check that is made now and then */

struct mail {
    char path[128], to[256];
    char *body;
    int times;
};

struct stage {
    struct world *world;
    struct node *notify, *order, *payment, *shipping, *client;
    struct arena arena; /* of replies; until stage_close */
    /* the mail server */
    struct mail mails[1024];
    int n_mails;
    int dropped; /* so many are taken without a word */
    int status;  /* of its answers; 0: 200 */
    /* what svc-shipping's Snapshot tells: so many entries of that type, keys "ord_s0" … */
    int32_t snapshot_type;
    int n_snapshot;
    uint64_t requests;
    struct attempt *begun; /* what order_event_begin began */
};

void stage_open(struct stage *s, uint64_t seed);
void stage_close(struct stage *s);

/* An order as svc-order knows it; the world's customer of "ord_1" is "cus_ord_1". */
void stage_order(struct stage *s, const char *order_id, const char *name, const char *email);
/* Something happens: one transaction of the source, one event. Its customer is that of the order. */
void order_event(struct stage *s, int32_t type, const char *order_id, const char *code);
void payment_event(struct stage *s, int32_t type, const char *order_id, const char *operation_id, uint64_t version);
void parcel_event(struct stage *s, int32_t type, const char *order_id, const char *fulfillment_id);
/* The same without waiting until it is stored. */
void order_event_begin(struct stage *s, int32_t type, const char *order_id);

/* Until consumers have followed and the outbox is empty, or nothing has changed for that long. */
void stage_settle(struct stage *s);
/* The mail at "/NAME.eml"; NULL: there is none. */
const struct mail *stage_mail(const struct stage *s, const char *name);

/* --- calls to svc-notify --- */

extern const struct caller carla, walter /* csr, warehouse */, ann /* the customer of ord_1 */;

struct answer {
    enum rpc_code code;
    const char *reason;
    void *reply;
};
struct answer stage_ask(struct stage *s, const struct caller *who, const ProtobufCServiceDescriptor *service,
                        const char *method, const ProtobufCMessage *request);
/* Of AlertService and NotificationService. */
struct answer ask_alerts(struct stage *s, const struct caller *who, const char *method,
                         const ProtobufCMessage *request);
struct answer ask_messages(struct stage *s, const struct caller *who, const char *method,
                           const ProtobufCMessage *request);
char *fresh(struct stage *s);

/* The first cell of a query's first row, as a number. */
#define NUMBER(stage, sql) stage_number(stage, SQL(sql))
int64_t stage_number(struct stage *s, const char *sql);
/* Changes the database behind the service's back. */
void stage_write(struct stage *s, const char *sql);
/* Runs the world until the number is that, at most five minutes of its time. */
#define AWAIT(stage, sql, number) ck_assert_msg(stage_await(stage, SQL(sql), number), "never: %s", sql)
bool stage_await(struct stage *s, const char *sql, int64_t number);
