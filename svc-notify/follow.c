/* What the other services' events mean here: one table a source, of the mail that tells the customer, the case that it
 * raises and the cases that it ends. A row that says nothing is ignored; a type without a row stops the consumer. */
#include "svc-notify/notify.h"

#include "mesh/base/money.h"

#include <errno.h>
#include <string.h>

#define NOTHING 0
#define K(kind) (1u << (kind))

/* The processor has answered, one way or the other. */
#define ANSWERED K(PAYMENT_UNKNOWN)

// clang-format off
#define ORDER_EVENTS(ROW) \
    /*  event                    if the code is     mail                     raises                ends */ \
    ROW(ORDER_PLACED,            NULL,              NO_MAIL,                 NO_CASE,              NOTHING) \
    ROW(ORDER_CONFIRMED,         NULL,              ORDER_CONFIRMED,         NO_CASE,              NOTHING) \
    ROW(ORDER_REJECTED,          "OUT_OF_STOCK",    ORDER_REJECTED,          SHORTAGE,             NOTHING) \
    ROW(ORDER_REJECTED,          NULL,              ORDER_REJECTED,          NO_CASE,              NOTHING) \
    ROW(ORDER_CANCELLING,        NULL,              NO_MAIL,                 NO_CASE,              NOTHING) \
    ROW(ORDER_CANCELLED,         NULL,              ORDER_CANCELLED,         NO_CASE,              NOTHING) \
    ROW(ORDER_COMPLETED,         NULL,              ORDER_COMPLETED,         NO_CASE,              NOTHING) \
    ROW(ORDER_PROGRESSED,        "CANCEL_TOO_LATE", CANCEL_TOO_LATE,         NO_CASE,              NOTHING) \
    ROW(ORDER_PROGRESSED,        NULL,              NO_MAIL,                 NO_CASE,              NOTHING) \
    ROW(ORDER_IMPORTED,          NULL,              NO_MAIL,                 NO_CASE,              NOTHING) \
    ROW(CREDIT_ISSUED,           NULL,              NO_MAIL,                 NO_CASE,              NOTHING)

/* What is declined or expires has its order rejected, and that is told. */
#define PAYMENT_EVENTS(ROW) \
    ROW(PAYMENT_AUTHORIZED,      NULL,              NO_MAIL,                 NO_CASE,              ANSWERED) \
    ROW(PAYMENT_DECLINED,        NULL,              NO_MAIL,                 NO_CASE,              ANSWERED) \
    ROW(PAYMENT_ACTION_REQUIRED, NULL,              PAYMENT_ACTION_REQUIRED, NO_CASE,              ANSWERED) \
    ROW(PAYMENT_UNKNOWN,         NULL,              NO_MAIL,                 PAYMENT_UNKNOWN,      NOTHING) \
    ROW(PAYMENT_EXPIRED,         NULL,              NO_MAIL,                 NO_CASE,              ANSWERED) \
    ROW(PAYMENT_CAPTURED,        NULL,              NO_MAIL,                 NO_CASE,              ANSWERED | K(CAPTURE_FAILED)) \
    ROW(PAYMENT_CAPTURE_FAILED,  NULL,              NO_MAIL,                 CAPTURE_FAILED,       ANSWERED) \
    ROW(PAYMENT_VOIDED,          NULL,              NO_MAIL,                 NO_CASE,              ANSWERED) \
    ROW(PAYMENT_REFUNDED,        NULL,              REFUNDED,                NO_CASE,              ANSWERED | K(REFUND_FAILED)) \
    ROW(PAYMENT_REFUND_FAILED,   NULL,              NO_MAIL,                 REFUND_FAILED,        ANSWERED) \
    ROW(PAYMENT_CONTRADICTED,    NULL,              NO_MAIL,                 PAYMENT_CONTRADICTED, ANSWERED)

#define FULFILLMENT_EVENTS(ROW) \
    ROW(FULFILLMENT_CREATED,     NULL,              NO_MAIL,                 NO_CASE,              NOTHING) \
    ROW(FULFILLMENT_SHORT,       NULL,              SHORT,                   SHORTAGE,             NOTHING) \
    ROW(FULFILLMENT_PACKED,      NULL,              NO_MAIL,                 NO_CASE,              K(ADDRESS_REFUSED)) \
    ROW(FULFILLMENT_SHIPPED,     NULL,              SHIPPED,                 NO_CASE,              K(ADDRESS_REFUSED)) \
    ROW(FULFILLMENT_IN_TRANSIT,  NULL,              NO_MAIL,                 NO_CASE,              NOTHING) \
    ROW(FULFILLMENT_DELAYED,     NULL,              DELAYED,                 DELAY,                NOTHING) \
    ROW(FULFILLMENT_DELIVERED,   NULL,              DELIVERED,               NO_CASE,              K(DELAY) | K(PARCEL_LOST)) \
    ROW(FULFILLMENT_LOST,        NULL,              LOST,                    PARCEL_LOST,          K(DELAY)) \
    ROW(FULFILLMENT_RETURNED,    NULL,              RETURNED,                PARCEL_RETURNED,      K(DELAY) | K(PARCEL_LOST)) \
    ROW(FULFILLMENT_CANCELLED,   NULL,              NO_MAIL,                 NO_CASE,              K(ADDRESS_REFUSED)) \
    ROW(FULFILLMENT_REFUSED,     NULL,              NO_MAIL,                 ADDRESS_REFUSED,      NOTHING)
// clang-format on

/* Matters of the moment: a snapshot tells of them for ever, and nobody can do anything about them any more. */
#define PASSING K(SHORTAGE)

struct reaction {
    int32_t type;
    const char *code; /* NULL: any that no row above takes */
    enum message_template mail;
    enum case_kind raises;
    uint32_t settles;
};
#define REACTION(event, ...) { OMS__EVENT__V1__EVENT_TYPE__##event, __VA_ARGS__ },

struct source {
    const struct reaction *reactions; /* for every type that its consumer takes one without a code */
    /* Fills what differs by the payload: about and version, ref, detail, and what a text may say. */
    int (*read)(struct txn *txn, const void *payload, struct news *news);
};

static const struct reaction order_reactions[] = { ORDER_EVENTS(REACTION) };
static const struct reaction payment_reactions[] = { PAYMENT_EVENTS(REACTION) };
static const struct reaction fulfillment_reactions[] = { FULFILLMENT_EVENTS(REACTION) };

/* --- what is in the payloads --- */

static int read_order(struct txn *txn, const void *payload, struct news *news)
{
    const OrderStateChanged *changed = payload;
    news->about = news->ref = news->order_id;
    news->version = changed->version;
    news->reason = changed->reason;
    news->detail = changed->code;
    return 0;
}

static const char *operation_kind(const PaymentChanged *changed)
{
    const ProtobufCEnumValue *value =
        protobuf_c_enum_descriptor_get_value(&oms__payment__v1__operation__kind__descriptor, (int)changed->kind);
    return value ? value->name : "";
}

static int read_payment(struct txn *txn, const void *payload, struct news *news)
{
    const PaymentChanged *changed = payload;
    char text[32] = "";
    int64_t minor;
    if (changed->amount && money_from_wire(changed->amount, &minor) == 0)
        money_format(minor, changed->amount->currency_code, text);
    news->about = changed->payment_id;
    news->version = changed->version;
    news->amount = arena_copy(txn->arena, text, strlen(text));
    news->ref = changed->operation_id;
    news->detail = changed->reason[0] ? changed->reason : operation_kind(changed);
    return news->amount ? 0 : -ENOMEM;
}

static int read_fulfillment(struct txn *txn, const void *payload, struct news *news)
{
    const FulfillmentChanged *changed = payload;
    news->about = news->ref = changed->fulfillment_id;
    news->version = changed->version;
    news->tracking_number = changed->tracking_number;
    news->detail = changed->tracking_number[0] ? changed->tracking_number : changed->location_id;
    return 0;
}

/* --- a page of them --- */

static const struct reaction *find_reaction(const struct source *source, int32_t type, const char *code)
{
    const struct reaction *r = source->reactions;
    while (r->type != type || (r->code && strcmp(r->code, code) != 0))
        r++;
    return r;
}

static int read_news(struct txn *txn, const struct source *source, const struct log_entry *entry, const void *payload,
                     struct news *ret_news)
{
    struct news news = {
        .entry = entry,
        .order_id = entry->key,
        .customer_id = entry->owner,
        .reason = "",
        .tracking_number = "",
        .amount = "",
    };
    trace_parse(entry->trace, &news.trace);
    int r = source->read(txn, payload, &news);
    if (r < 0)
        return r;
    const struct reaction *reaction = find_reaction(source, entry->type, news.detail);
    news.template = entry->snapshot ? NO_MAIL : reaction->mail;
    news.raises = entry->snapshot && K(reaction->raises) & PASSING ? NO_CASE : reaction->raises;
    news.settles = reaction->settles;
    *ret_news = news;
    return 0;
}

static int follow(struct txn *txn, const struct source *source, const struct log_entry *entries,
                  const void *const *payloads, size_t n)
{
    struct news *news = arena_alloc(txn->arena, n * sizeof(*news));
    if (!news)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        int r = read_news(txn, source, &entries[i], payloads[i], &news[i]);
        if (r < 0)
            return r;
    }
    int r = messages_add(txn, news, n);
    return r < 0 ? r : cases_follow(txn, news, n);
}

/* --- the consumers --- */

static int follow_orders(struct txn *txn, const struct log_entry *entries, const void *const *payloads, size_t n)
{
    static const struct source source = { order_reactions, read_order };
    return follow(txn, &source, entries, payloads, n);
}

static int follow_payments(struct txn *txn, const struct log_entry *entries, const void *const *payloads, size_t n)
{
    static const struct source source = { payment_reactions, read_payment };
    return follow(txn, &source, entries, payloads, n);
}

static int follow_fulfillments(struct txn *txn, const struct log_entry *entries, const void *const *payloads, size_t n)
{
    static const struct source source = { fulfillment_reactions, read_fulfillment };
    return follow(txn, &source, entries, payloads, n);
}

#define CONSUMED(event, payload, code, mail, raises, settles) \
    { OMS__EVENT__V1__EVENT_TYPE__##event, (mail) || (raises) || (settles) ? (payload) : NULL, NULL },
#define OF_ORDER(event, ...)       CONSUMED(event, &oms__event__v1__order_state_changed__descriptor, __VA_ARGS__)
#define OF_PAYMENT(event, ...)     CONSUMED(event, &oms__event__v1__payment_changed__descriptor, __VA_ARGS__)
#define OF_FULFILLMENT(event, ...) CONSUMED(event, &oms__event__v1__fulfillment_changed__descriptor, __VA_ARGS__)

static const struct consumed order_events[] = { ORDER_EVENTS(OF_ORDER){} };
static const struct consumed payment_events[] = { PAYMENT_EVENTS(OF_PAYMENT){} };
static const struct consumed fulfillment_events[] = { FULFILLMENT_EVENTS(OF_FULFILLMENT){} };

const struct consumer notify_consumers[] = {
    { "notify-orders", ORDER_PROCESS, order_events, follow_orders },
    { "notify-payments", "svc-payment", payment_events, follow_payments },
    { "notify-fulfillments", "svc-shipping", fulfillment_events, follow_fulfillments },
    {},
};
