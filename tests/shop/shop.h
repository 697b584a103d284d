/* A shop: services in a simulated world where nothing goes wrong, the companies that they deal with, and calls by
 * anybody. */
#pragma once

#include "mesh/service.h"
#include "svc-inventory/api.h"
#include "tests/sim/world.h"

#include "api.h"

struct carrier;   /* dev/sandbox/carrier.h */
struct processor; /* dev/sandbox/processor.h */

struct shop_mail {
    char path[128];
    char *text; /* as it came last */
    int times;
};

struct shop {
    struct world *world;
    struct node *inventory, *order, *payment, *shipping, *notify, *client;
    struct carrier *carrier;
    uint64_t carrier_asked; /* requests that reached it */
    struct processor *processor;
    struct shop_mail mails[512];
    int n_mails;
    int64_t epoch_us;   /* what every clock shows when the world begins */
    struct arena arena; /* of replies and of what tests make; until shop_close */
    uint64_t requests;
};

void shop_open(struct shop *s, uint64_t seed);
void shop_close(struct shop *s);
/* outside.c: opens and closes with the shop. */
void outside_open(struct shop *s);
void outside_close(struct shop *s);
/* A mail by the end of its name, such as "-confirmed"; of several the first; NULL: there is none. */
const struct shop_mail *outside_mail(const struct shop *s, const char *end);
/* What the processor answers, for tests that let somebody else answer now and then; arg is the shop. */
void outside_processor(void *arg, int64_t now_us, const struct fetch *fetch, struct outside_answer *ret);

/* Who calls. */
extern const struct caller anna, bert /* customers */, staff, erp, depot, order_process;

/* One call and its end. */
struct asked {
    struct shop *shop;
    struct outcall call;
    const ProtobufCMessageDescriptor *type;
    bool done;
    enum rpc_code code;
    const char *reason, *message, *field; /* of the first field that BadRequest names, or "" */
    const char *subject;                  /* of the first violation of PreconditionFailure, or "" */
    const char *resource;                 /* that ResourceInfo names, or "" */
    struct rpc_status status;
    void *reply; /* NULL if it failed; of a stream the last */
    void **replies;
    size_t n_replies;
};
/* method "PlaceOrder": its service is found by itself. The end comes while the world runs. */
struct asked *ask_begin(struct shop *s, const struct caller *who, const char *method, const void *request);
/* The same of a method that several processes have; NULL: as above. */
struct asked *ask_begin_at(struct shop *s, const char *peer, const struct caller *who, const char *method,
                           const void *request);
/* Until it has ended. */
const struct asked *ask_end(struct asked *a);
const struct asked *ask(struct shop *s, const struct caller *who, const char *method, const void *request);
/* The reply of a call that succeeds. */
void *get(struct shop *s, const struct caller *who, const char *method, const void *request);
/* Checks how a call failed; "" as field: none is named. FAILED_PRECONDITION has to say of what, too. */
void ck_refused(const struct asked *a, enum rpc_code code, const char *reason, const char *field);
/* A request id that nobody had. */
char *fresh(struct shop *s);

/* The first cell of a query's first row, as a number; what has been written so far is seen. */
#define NUMBER(shop, node, sql) shop_number(shop, node, SQL(sql))
int64_t shop_number(struct shop *s, struct node *node, const char *sql);
/* Changes a database behind its service's back. */
#define WRITE(shop, node, sql) shop_write(shop, node, SQL(sql))
void shop_write(struct shop *s, struct node *node, const char *sql);
/* Until all is quiet: consumers and outboxes have nothing left to do but what is for later. */
void shop_settle(struct shop *s);

/* --- stock and catalogue, in one line each --- */

Money *money(struct shop *s, const char *currency, int64_t units, int32_t nanos);
/* A product of one stocked variant whose SKU is its id. */
Product *product(struct shop *s, const char *sku, int64_t units, int32_t nanos);
void add_variant(struct shop *s, Product *p, const char *sku, int64_t units, bool stocked);
const Product *upsert(struct shop *s, Product *p);
/* Locations L1 and L2, in this order of priority. */
void open_locations(struct shop *s);
void stock(struct shop *s, const char *sku, const char *location_id, int64_t delta);
