/* A stage whose processes behind are played by the test: calls wait until they are answered. And the watchers' side:
 * what they ask for, and what they were told. For check_hub.c and its kin; one stage a test. */
#pragma once

#include "tests/gateway/stage.h"

#include "api.h"

#define WATCH "/oms.order.v1.OrderService/WatchOrder"
#define INC   "a1"

#define PENDING   OMS__ORDER__V1__ORDER__STATE__PENDING
#define CONFIRMED OMS__ORDER__V1__ORDER__STATE__CONFIRMED
#define REJECTED  OMS__ORDER__V1__ORDER__STATE__REJECTED
#define COMPLETED OMS__ORDER__V1__ORDER__STATE__COMPLETED

#define PLACED_EVENT     OMS__EVENT__V1__EVENT_TYPE__ORDER_PLACED
#define PROGRESSED_EVENT OMS__EVENT__V1__EVENT_TYPE__ORDER_PROGRESSED
#define CONFIRMED_EVENT  OMS__EVENT__V1__EVENT_TYPE__ORDER_CONFIRMED
#define REJECTED_EVENT   OMS__EVENT__V1__EVENT_TYPE__ORDER_REJECTED
#define COMPLETED_EVENT  OMS__EVENT__V1__EVENT_TYPE__ORDER_COMPLETED

#define CUSTOMERS_AND_CSR (ROLE_BIT(MESH__V1__ROLE__CUSTOMER) | ROLE_BIT(MESH__V1__ROLE__CSR))

typedef Oms__Order__V1__OrderUpdate Update;

struct behind {
    struct outcall *calls[256]; /* that are under way, the oldest first */
    size_t n;
    struct task *first, **last;
    bool held[256];
};
extern struct behind behind;
extern struct stage stage;

void open_stage(void);
void close_stage(void);
void behind_true(void *arg); /* sets the bool */
void run_posted(void);

/* --- calls of the gateway --- */
struct outcall *find_call(const char *method); /* the latest; NULL: none */
struct outcall *the_read(void);                /* of an order; waits for it */
struct outcall *find_tail(bool follow);        /* the latest; NULL: none */
uint64_t tail_after(const struct outcall *call);
void send_message(struct outcall *call, const ProtobufCMessage *message);
void end_call(struct outcall *call, enum rpc_code code, const char *message);
/* The read's reply: an order of ann's. */
void answer_read(const char *order_id, int state, uint64_t seq);
void answer_read_in(const char *incarnation, const char *order_id, int state, uint64_t seq);
/* One entry of ann's; its payload says nothing but why it was rejected. */
void send_entry(struct outcall *call, uint64_t seq, const char *key, int type);
void send_entry_for(struct outcall *call, uint64_t seq, const char *key, int type, uint32_t audience);
void send_payload(struct outcall *call, uint64_t seq, const char *key, int type, uint32_t audience,
                  const ProtobufCMessage *message); /* NULL: none */

/* --- watchers --- */
struct call *watch(struct peer *client, const char *order_id, uint64_t after); /* ann's; after 0: from the beginning */
struct call *watch_as(struct peer *client, const char *bearer, const char *order_id, uint64_t after);
struct call *watch_raw(struct peer *client, const char *bearer, const void *request, size_t n);
Update *update_at(const struct call *call, size_t i); /* the i-th that came; NULL: not yet. The caller frees it */
size_t n_updates(const struct call *call);
void expect_update(struct call *call, size_t i, int state, uint64_t seq, bool with_order);
void expect_end(struct call *call, int status, const char *reason);
