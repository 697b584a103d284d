/* svc-order inside: what its files give each other. */
#pragma once

#include "mesh/base/id.h"
#include "mesh/service.h"
#include "svc-order/api.h"
#include "svc-order/machine.h"

extern const struct service_spec order_service;
extern const struct migration order_migrations[];

#define TOTAL_MAX 1000000000000000 /* minor units of one order: more is not taken by svc-payment's books */

/* Who may see what happens to an order: its owner and who works on it. */
#define AUDIENCE_ORDER \
    (ROLE_BIT(MESH__V1__ROLE__CUSTOMER) | ROLE_BIT(MESH__V1__ROLE__CSR) | ROLE_BIT(MESH__V1__ROLE__WAREHOUSE) | \
     ROLE_BIT(MESH__V1__ROLE__ERP) | ROLE_BIT(MESH__V1__ROLE__OPERATOR) | ROLE_BIT(MESH__V1__ROLE__SERVICE) | \
     ROLE_BIT(MESH__V1__ROLE__ADMIN))

/* The same of a credit memo, which does not change: it has one version. */
#define AUDIENCE_CREDIT \
    (ROLE_BIT(MESH__V1__ROLE__CUSTOMER) | ROLE_BIT(MESH__V1__ROLE__CSR) | ROLE_BIT(MESH__V1__ROLE__ERP) | \
     ROLE_BIT(MESH__V1__ROLE__OPERATOR) | ROLE_BIT(MESH__V1__ROLE__SERVICE) | ROLE_BIT(MESH__V1__ROLE__ADMIN))
#define CREDIT_VERSION 1

/* --- the methods of OrderService (spec.c has their table) --- */

/* place.c */
rpc_unit place_order, replay_place_order, settle_place_order;
/* import.c */
rpc_unit import_orders;
/* staging.c */
rpc_unit activate_import, discard_import, get_import;
/* cancel.c */
rpc_unit cancel_order, replay_cancel_order, settle_cancel_order;
/* read.c */
rpc_unit get_order, batch_get_orders;
/* list.c */
rpc_unit list_orders;
/* export.c */
rpc_page export_orders;
/* credits.c */
rpc_unit get_credit, list_credits;
/* explain.c */
rpc_unit explain_order, list_stuck_orders;

/* --- entry.c: what is checked of an order and of a cancellation alike ---
 * 0, or the negative value of rpc_fail. A list is the field of the entry that the i-th item is in. */

struct entry_head {
    const char *customer_id; /* "": a guest's, by an ERP */
    int64_t time_us;         /* when it was placed, or issued */
};
int entry_check(struct rpc_call *call, struct txn *txn, const NewOrder *entry, struct entry_head *ret_head);
/* Of what was done elsewhere: a function of its number and time, so that a store that was put back from a backup tells
 * stock and books of the same document when it is sent again. 0 or -ENOMEM. */
int entry_id(const struct txn *txn, const NewOrder *entry, const struct entry_head *head, const char *prefix,
             char ret_id[ID_MAX]);
bool entry_from_erp(struct rpc_call *call);
/* The price that an item names. */
int entry_price(struct rpc_call *call, const NewOrder *entry, const char *list, size_t i, const Money *named,
                int64_t *ret_minor);
/* Adds what the item costs to the total. */
int entry_add(struct rpc_call *call, const char *list, size_t i, int64_t unit_minor, int64_t quantity,
              int64_t *total_minor);
/* "lines[3].sku" */
const char *entry_field(struct rpc_call *call, const char *list, size_t i, const char *name);

/* --- placing.c: a new order, in the transaction of whoever has it --- */

struct placed_order {
    const char *order_id; /* in the transaction's arena; of a refused one: of the order that has its number, or NULL */
    int64_t total_minor;
    bool pending; /* something has to be waited for */
};
/* 0; -EPROTO: refused, nothing is written and the call has the error; or a negative errno of the store. With an
 * import_id it is a draft, and does not begin. */
int order_place(struct rpc_call *call, struct txn *txn, const NewOrder *order, const char *import_id,
                struct placed_order *ret_placed);

/* --- begin.c, document.c: what follows from it --- */

struct item {
    const char *sku, *title;
    int64_t quantity, unit_minor;
    bool stocked;
};
struct new_order {
    struct txn *txn;
    const char *order_id, *customer_id, *channel, *country, *currency, *payment_token;
    int64_t place_time_us, total_minor;
    Oms__Order__V1__Order__PaymentState payment_state;
    Oms__Order__V1__Order__FulfillmentState fulfillment_state;
    bool elsewhere; /* it was carried out there */
    const struct item *items;
    size_t n;
};
/* It is written as it begins, and told with what has to be done for it. 1: something has to be waited for; 0: nothing;
 * or a negative errno. */
int order_begin(const struct new_order *order);

/* An order that was carried out elsewhere, or a credit memo. */
struct document {
    const char *id, *order_id; /* order_id: the only one that it is about, or "" */
    const char *customer_id, *country, *channel, *currency;
    int64_t time_us;
    bool credit;
    const struct item *items;
    size_t n;
};
/* Wants its stock moved, and its amounts booked. */
int document_send(struct txn *txn, const struct document *document);

/* --- crediting.c: a credit memo, in the transaction of whoever has it --- */

struct issued_credit {
    const char *credit_id; /* as of placed_order */
    int64_t total_minor;
    uint32_t refunded, credited; /* lines */
};
/* As order_place. */
int credit_issue(struct rpc_call *call, struct txn *txn, const NewOrder *entry, const char *import_id,
                 struct issued_credit *ret_issued);

/* --- staging.c, activate.c: imports that take effect as a whole --- */

/* Before a chunk of the import is taken: 0, -EPROTO if it takes nothing more, or a negative errno of the store. */
int import_open(struct rpc_call *call, struct txn *txn, const char *import_id);
/* What became of the chunk's entries. */
int import_count(struct txn *txn, const char *import_id, uint32_t staged, uint32_t refused);
/* Lets some of its drafts begin, or forgets some: how many; 0: there are none left; or a negative errno. */
int import_activate(struct txn *txn, const char *import_id);
int import_discard(struct txn *txn, const char *import_id);

/* --- cancel.c: verbs, which people ask for and a state may not know --- */

enum verb { VERB_CANCEL, VERBS };
bool verb_legal(enum verb verb, enum order_state state);
const char *verb_name(enum verb verb);

/* --- credits.c: credit memos as messages in the transaction's arena; 0 or a negative errno of the store --- */

/* Those that there are, in any order. */
int credits_read(struct txn *txn, const char *const *credit_ids, size_t n, Credit ***ret_credits, size_t *ret_n);

/* --- read.c: orders as messages in the transaction's arena; 0 or a negative errno of the store --- */

/* An order or a credit is named by its id, or by its channel's number: one of the two. 0, or -EPROTO. */
int check_name(struct rpc_call *call, const char *what, const char *id, const char *channel, const char *external_id);

/* owner: only if it is that customer's and has begun, or "". *ret_order is NULL if there is none. */
int order_read(struct txn *txn, const char *order_id, const char *owner, Order **ret_order);

/* --- snapshot.c: see struct snapshot_kind --- */

int came_snapshot(struct txn *txn, const char *after, size_t max, struct event *ret_events, const char **ret_keys);
int changed_snapshot(struct txn *txn, const char *after, size_t max, struct event *ret_events, const char **ret_keys);
int credits_snapshot(struct txn *txn, const char *after, size_t max, struct event *ret_events, const char **ret_keys);

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
/* The prices of the SKUs, as far as they are known; sorts them. 0 or a negative errno. */
int prices_read(struct txn *txn, const char **skus, size_t n, struct price_list *ret_list);
/* NULL: no such SKU. */
const struct price *prices_find(const struct price_list *list, const char *sku);
