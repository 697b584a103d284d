/* svc-order inside: what its files give each other. */
#pragma once

#include "mesh/service.h"
#include "svc-order/api.h"
#include "svc-order/machine.h"

extern const struct service_spec order_service;
extern const struct migration order_migrations[];

/* Who may see what happens to an order: its owner and who works on it. */
#define AUDIENCE_ORDER \
    (ROLE_BIT(MESH__V1__ROLE__CUSTOMER) | ROLE_BIT(MESH__V1__ROLE__CSR) | ROLE_BIT(MESH__V1__ROLE__WAREHOUSE) | \
     ROLE_BIT(MESH__V1__ROLE__ERP) | ROLE_BIT(MESH__V1__ROLE__OPERATOR) | ROLE_BIT(MESH__V1__ROLE__SERVICE) | \
     ROLE_BIT(MESH__V1__ROLE__ADMIN))

/* --- the methods of OrderService (spec.c has their table) --- */

/* place.c */
rpc_unit place_order, replay_place_order, settle_place_order;
/* import.c */
rpc_unit import_orders;
/* cancel.c */
rpc_unit cancel_order, replay_cancel_order, settle_cancel_order;
/* read.c */
rpc_unit get_order, batch_get_orders;
/* list.c */
rpc_unit list_orders;
/* explain.c */
rpc_unit explain_order, list_stuck_orders;

/* --- placing.c: a new order, in the transaction of whoever has it --- */

struct placed_order {
    const char *order_id; /* in the transaction's arena; of a refused one: of the order that has its number, or NULL */
    int64_t total_minor;
};
/* 0; -EPROTO: refused, nothing is written and the call has the error; or a negative errno of the store. */
int order_place(struct rpc_call *call, struct txn *txn, const NewOrder *order, struct placed_order *ret_placed);

/* --- cancel.c: verbs, which people ask for and a state may not know --- */

enum verb { VERB_CANCEL, VERBS };
bool verb_legal(enum verb verb, enum order_state state);
const char *verb_name(enum verb verb);

/* --- read.c: orders as messages in the transaction's arena; 0 or a negative errno of the store --- */

/* owner: only if it is that customer's, or "". *ret_order is NULL if there is none. */
int order_read(struct txn *txn, const char *order_id, const char *owner, Order **ret_order);

/* --- snapshot.c: see struct snapshot_kind --- */

int placed_snapshot(struct txn *txn, const char *after, size_t max, struct event *ret_events, const char **ret_keys);
int changed_snapshot(struct txn *txn, const char *after, size_t max, struct event *ret_events, const char **ret_keys);

/* --- saga.c (life.h has the rest) --- */

/* The type of the event that tells that an order is in the state now. */
int32_t order_event_of(enum order_state state);
/* Adds the event to the log; the owner is "" for guests. */
int order_tell(struct txn *txn, int32_t type, const char *order_id, const char *owner, const ProtobufCMessage *payload);

/* --- outcomes.c, follow.c --- */

extern const struct deliverer order_deliverers[];
extern const struct timer_row order_timers[];
extern const struct consumer order_consumers[];
int apply_reservation_expired(struct txn *txn, const struct log_entry *entry, const void *payload);

/* --- prices.c: the projection of the catalogue --- */

extern const struct consumed price_events[];

struct price {
    const char *sku, *title, *currency;
    int64_t minor;
    bool stocked;
};
struct price_list {
    struct price *items; /* sorted by SKU */
    size_t n;
};
/* The prices of the lines' SKUs, as far as they are known. 0 or a negative errno. */
int prices_read(struct txn *txn, PlaceLine *const *lines, size_t n, struct price_list *ret_list);
/* NULL: no such SKU. */
const struct price *prices_find(const struct price_list *list, const char *sku);
