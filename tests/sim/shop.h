/* What people do in the simulated shop, and what they were told: customers who order and retry, staff who count and
 * reprice, a follower of the log. What they remember is what the databases are judged by. */
#pragma once

#include "oms/catalog/v1/catalog.pb-c.h"
#include "oms/inventory/v1/inventory.pb-c.h"
#include "oms/order/v1/order.pb-c.h"
#include "tests/sim/world.h"

#include "mesh/base/id.h"

#define SHOP_LINES     6
#define SHOP_PRODUCTS  12
#define SHOP_VARIANTS  2
#define SHOP_SKUS      (SHOP_PRODUCTS * SHOP_VARIANTS)
#define SHOP_LOCATIONS 3
#define SHOP_CUSTOMERS 24
#define SHOP_STAFF     4
#define SHOP_DEPOTS    (2 * SHOP_LOCATIONS)
#define SHOP_HOT_SKU   0 /* of the flash sale */

enum fate { OPEN, ACKNOWLEDGED, REFUSED };

/* An order that somebody wants, under one request id however often it is sent. */
struct intention {
    char request_id[ID_MAX], customer[CALLER_SUBJECT_MAX], channel[16];
    const char *token, *city; /* of the card and of the address: they say how it goes */
    struct {
        int sku;
        int64_t quantity;
    } lines[SHOP_LINES];
    size_t n_lines;
    struct bytes request; /* as it is sent, again and again */
    enum fate fate;
    char order_id[ID_MAX];
    int64_t total_minor;
    bool cancelled; /* it was acknowledged that it would be cancelled */
};

/* A correction of stock. */
struct adjustment {
    char request_id[ID_MAX];
    int sku, location;
    int64_t delta;
    enum fate fate;
};

/* An order as the log told of it. */
struct told {
    char order_id[ID_MAX];
    int placed, confirmed, rejected, cancelling, cancelled, completed;
};

struct actor;
struct books;
struct follower;
struct town;

struct shop {
    struct world *w;
    struct node *gateway;
    struct intention *intentions;
    size_t n_intentions, wanted, n_open, acknowledged;
    struct adjustment *adjustments;
    size_t n_adjustments, n_chores, n_blunders; /* chores: what staff have done, no more than there are orders */
    int64_t hurry;                              /* so many times faster than at their ease people order and pack */
    uint64_t regret;                            /* in so many cases of a hundred somebody cancels instead of going on */
    int64_t price_minor[SHOP_SKUS]; /* the last that was acknowledged; each product has one person who reprices it */
    bool closing;                   /* nobody begins anything new */
    bool closed;                    /* nobody acts any more, whatever is answered */
    bool faults;                    /* things may go wrong */
    bool hears_all;                 /* svc-notify follows everybody since before the first order */
    struct actor *actors;
    size_t n_actors;
    struct follower *follower;
    struct town *town;
    struct books *books; /* of the judge */
    unsigned violations;
    uint64_t refused, repeated, cancels, retried; /* retried: dead letters */
};

struct shop *shop_create(struct world *w, size_t orders);
void shop_destroy(struct shop *shop);
/* Locations, products and stock by the real methods; until everything is acknowledged, or false. */
bool shop_load(struct shop *shop);
/* Everybody starts. */
void shop_open(struct shop *shop);
/* Every order that was wanted has been acknowledged or refused for good, and once nobody begins anything new, nobody
 * waits for an answer. */
bool shop_served(void *shop);
/* Something that must never happen. */
void shop_violation(struct shop *shop, const char *format, ...) __attribute__((format(printf, 2, 3)));
void shop_sku(int sku, char ret_text[16]);
void shop_product(int product, char ret_text[16]);
void shop_location(int location, char ret_text[16]);

/* --- actors (actor.c): one call at a time, repeated verbatim while the answer is unknown --- */

struct heard {
    enum rpc_code code;
    struct bytes reply;
    const char *reason, *message;
};

struct actor {
    struct timer timer;
    struct outcall call;
    struct shop *shop;
    int number;
    struct caller caller;
    void (*act)(struct actor *actor); /* begins something, or rests */
    void (*answered)(struct actor *actor, const struct heard *answer);
    bool asking, insists;
    unsigned attempts, idle;
    struct bytes request;
    uint8_t *reply;
    size_t reply_len;
    struct intention *intention;
    struct adjustment *adjustment;
    char order_id[ID_MAX]; /* of the parcel in hand */
    void *list;            /* what depots have still to see to */
    int sku, product;
    int64_t price_minor;
};

void actor_init(struct actor *actor, struct shop *shop, int number, uint32_t roles, const char *subject,
                void (*act)(struct actor *actor));
/* It acts no more; what it has asked may still be answered. */
void actor_stop(struct actor *actor);
void actor_finish(struct actor *actor);
/* Bytes stay the caller's until answered. insists: asked again until there is an answer that will not change. */
void actor_ask(struct actor *actor, const char *peer, const char *method, struct bytes request, bool insists,
               void (*answered)(struct actor *actor, const struct heard *answer));
/* Acts again after a while. */
void actor_rest(struct actor *actor, int64_t longest_us);
/* A message as bytes on the heap, kept by the actor until the next one. */
struct bytes actor_pack(struct actor *actor, const void *message);

/* --- customers.c, staff.c, depot.c, operator.c, blunders.c, follower.c --- */

void customer_act(struct actor *actor);
void staff_act(struct actor *actor);
void warehouse_act(struct actor *actor);
void service_act(struct actor *actor);
void depot_finish(struct actor *actor);
void operator_act(struct actor *actor);
void blunder_act(struct actor *actor);
bool staff_load(struct shop *shop);

struct follower *follower_create(struct shop *shop);
void follower_destroy(struct follower *follower);
uint64_t follower_seq(const struct follower *follower); /* of the last entry it was told */
/* Everything it was told about orders. */
size_t follower_told(const struct follower *follower, const struct told **ret_first);
