/* svc-notify inside: what its files give each other. */
#pragma once

#include "mesh/service.h"
#include "svc-notify/api.h"

extern const struct service_spec notify_service;
extern const struct migration notify_migrations[];

/* Who sees cases: whoever works on orders. */
#define AUDIENCE_STAFF \
    (ROLE_BIT(MESH__V1__ROLE__CSR) | ROLE_BIT(MESH__V1__ROLE__WAREHOUSE) | ROLE_BIT(MESH__V1__ROLE__OPERATOR) | \
     ROLE_BIT(MESH__V1__ROLE__SERVICE) | ROLE_BIT(MESH__V1__ROLE__ADMIN))

/* --- spec.c --- */

/* What the options say: the address that mails come from, and the name beside it. */
const char *notify_mail_from(void);
const char *notify_shop_name(void);

/* --- follow.c: the events of the other services --- */

extern const struct consumer notify_consumers[];

/* What an event is to us. Strings live as long as the unit. */
struct news {
    const struct log_entry *entry;
    struct trace trace;
    const char *order_id, *customer_id;
    /* a message, unless NO_MAIL */
    enum message_template template;
    const char *about;                             /* the id of what it tells of: an order, a parcel, a payment */
    uint64_t version;                              /* of that */
    const char *reason, *tracking_number, *amount; /* what its text may say; "" */
    /* a case, unless NO_CASE, and those that end: bits 1 << kind */
    enum case_kind raises;
    uint32_t settles;
    const char *ref, *detail;
};

/* --- the methods (spec.c has their tables) --- */

/* messages.c */
rpc_unit list_messages, get_message;
/* alerts.c */
rpc_unit list_cases, get_case, acknowledge_case, resolve_case;

/* --- messages.c --- */

/* Makes those messages that are not there yet, and has them sent as soon as somebody knows where to. */
int messages_add(struct txn *txn, const struct news *news, size_t n);
/* Messages that are still QUEUED, the n or all of an order; what has ended stays as it ended. */
int message_ends(struct txn *txn, const char *message_id, enum message_state state);
int messages_end(struct txn *txn, const char *order_id, enum message_state state);
/* Those of the orders that have waited for an address, of each in the order in which things happened. */
int messages_send(struct txn *txn, const struct value *order_ids, size_t n);

/* --- contacts.c: where an order's customer is written to --- */

#define ORDER_PROCESS "svc-order"
#define ORDERS_GET    "/oms.order.v1.OrderService/BatchGetOrders"
#define ORDERS_MAX    100 /* in one request */

struct addressee {
    const char *order_id;
    enum { ADDRESS_ASKED, ADDRESS_KNOWN, ADDRESS_NONE } state;
};
/* Sets the states of addressees that are sorted, each order once. Who is not known yet is asked of svc-order. */
int addressees_find(struct txn *txn, struct addressee *addressees, size_t n);
int contacts_answered(struct txn *txn, const struct outcome *outcome);

/* --- mail.c --- */

#define MAIL_PEER        "mail"
#define MAIL_SEND        "/mail/send"
#define MAIL_PATIENCE_US (2 * 86400ll * 1000000)

struct mail_letter {
    const char *message_id, *order_id;
    struct trace trace; /* whose work it is */
};
/* Those of an order in this order. */
int mail_queue(struct txn *txn, const struct mail_letter *letters, size_t n);
int mail_ended(struct txn *txn, const struct outcome *outcome);
extern const struct outside mail_outside;

/* --- cases.c --- */

/* Raises and settles, as if one after the other. A matter that a snapshot tells of is raised only if it is new. */
int cases_follow(struct txn *txn, const struct news *news, size_t n);
/* Adds the event of a case to the log. */
int case_tell(struct txn *txn, int32_t type, const char *case_id, int64_t kind, const char *order_id, uint64_t version);
/* See struct snapshot_kind. */
int case_snapshot(struct txn *txn, const char *after, size_t max, struct event *ret_events, const char **ret_keys);
