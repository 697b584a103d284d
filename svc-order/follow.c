/* What svc-payment and svc-shipping tell of an order's money and parcels. */
#include "svc-order/life.h"

#include "mesh/base/money.h"

#include <errno.h>
#include <string.h>

#define TYPE(name) OMS__EVENT__V1__EVENT_TYPE__##name

/* --- payments --- */

static int minor_of(const Money *money, int64_t *ret_minor)
{
    *ret_minor = 0;
    return money && money_from_wire(money, ret_minor) < 0 ? -EBADMSG : 0;
}

/* What the events of an operation's kind mean; ORDER_OUTCOMES: only the sums count. */
static enum order_outcome meaning(const struct life *life, int32_t type, const PaymentChanged *payload)
{
    bool authorizes = payload->kind == OMS__PAYMENT__V1__OPERATION__KIND__AUTHORIZE;
    switch (type) {
    case TYPE(PAYMENT_AUTHORIZED):
        return PAYMENT_GRANTED;
    case TYPE(PAYMENT_DECLINED):
    case TYPE(PAYMENT_EXPIRED):
        return PAYMENT_REFUSED;
    case TYPE(PAYMENT_ACTION_REQUIRED):
        return PAYMENT_NEEDS_ACTION;
    case TYPE(PAYMENT_UNKNOWN):
        return authorizes ? PAYMENT_UNANSWERED : ORDER_OUTCOMES;
    case TYPE(PAYMENT_CAPTURED):
        return MONEY_CAPTURED;
    case TYPE(PAYMENT_CAPTURE_FAILED):
        return CAPTURE_REFUSED;
    case TYPE(PAYMENT_VOIDED):
        return PAYMENT_GIVEN_BACK;
    case TYPE(PAYMENT_REFUNDED):
        return life->refunded_minor >= life->captured_minor ? MONEY_REFUNDED : MONEY_PARTLY_REFUNDED;
    case TYPE(PAYMENT_REFUND_FAILED):
        return REFUND_REFUSED;
    }
    return ORDER_OUTCOMES;
}

static int read_sums(struct life *life, int32_t type, const PaymentChanged *payload)
{
    int64_t amount_minor;
    int r = minor_of(payload->captured, &life->captured_minor);
    if (r == 0)
        r = minor_of(payload->refunded, &life->refunded_minor);
    if (r == 0)
        r = minor_of(payload->amount, &amount_minor);
    if (r == 0 && type == TYPE(PAYMENT_CAPTURE_FAILED))
        life->asked_minor -= amount_minor;
    if (r == 0 && type == TYPE(PAYMENT_REFUND_FAILED))
        life->returning_minor -= amount_minor;
    if (life->returning_minor < life->refunded_minor)
        life->returning_minor = life->refunded_minor; /* staff pay back, too */
    life->payment_id = payload->payment_id;
    life->payment_version = payload->version;
    return r;
}

/* Others may make payments in an order's name. */
static bool asks_for_payment(const struct life *life)
{
    return life->steps[STEP_AUTHORIZE] != TODO;
}

static int apply_payment(struct txn *txn, const struct log_entry *entry, const void *in)
{
    const PaymentChanged *payload = in;
    struct life life;
    int r = life_open(txn, payload->order_id, &life);
    if (r <= 0 || !asks_for_payment(&life) || payload->version <= life.payment_version)
        return r < 0 ? r : 0;
    r = read_sums(&life, entry->type, payload);
    if (r < 0)
        return r;
    life.reason =
        entry->type == TYPE(PAYMENT_EXPIRED) ? "The payment was not completed in time." : "The payment was declined.";
    life.code = payload->reason;
    enum order_outcome outcome = meaning(&life, entry->type, payload);
    if (outcome != ORDER_OUTCOMES)
        r = life_happen(&life, outcome);
    return r < 0 ? r : life_close(&life);
}

#define PAYMENT(name) \
    { \
        TYPE(PAYMENT_##name), &oms__event__v1__payment_changed__descriptor, apply_payment \
    }

static const struct consumed payment_events[] = {
    PAYMENT(AUTHORIZED), PAYMENT(DECLINED),      PAYMENT(ACTION_REQUIRED), PAYMENT(UNKNOWN),
    PAYMENT(EXPIRED),    PAYMENT(CAPTURED),      PAYMENT(CAPTURE_FAILED),  PAYMENT(VOIDED),
    PAYMENT(REFUNDED),   PAYMENT(REFUND_FAILED), PAYMENT(CONTRADICTED),    {},
};

/* --- fulfilments --- */

/* Others may send parcels in an order's name. */
static bool is_asked_for(const FulfillmentChanged *payload)
{
    size_t n = strlen(payload->order_id);
    return strncmp(payload->operation_id, payload->order_id, n) == 0 &&
           strcmp(payload->operation_id + n, "-" OPERATION_FULFIL) == 0;
}

/* What is delivered or in trouble has left before, whether that was told or not. */
static int parcel_became(struct life *life, int32_t type, const FulfillmentChanged *payload)
{
    static const enum parcel_state states[] = {
        [OMS__SHIPPING__V1__FULFILLMENT__STATE__SHIPPED] = PARCEL_ON_ITS_WAY,
        [OMS__SHIPPING__V1__FULFILLMENT__STATE__DELIVERED] = PARCEL_THERE,
        [OMS__SHIPPING__V1__FULFILLMENT__STATE__EXCEPTION] = PARCEL_IN_TROUBLE,
    };
    struct parcel parcel;
    int r = parcel_read(life->txn, payload->fulfillment_id, payload->location_id, payload->lines, payload->n_lines,
                        &parcel);
    if (r < 0)
        return r;
    r = type == TYPE(FULFILLMENT_REFUSED) ? parcel_refused(life, &parcel) : parcel_left(life, &parcel);
    enum parcel_state state = states[payload->state];
    return r == 0 && state > PARCEL_ON_ITS_WAY ? parcel_moved(life, payload->fulfillment_id, state) : r;
}

static int apply_fulfillment(struct txn *txn, const struct log_entry *entry, const void *in)
{
    const FulfillmentChanged *payload = in;
    struct life life;
    int r = is_asked_for(payload) ? life_open(txn, payload->order_id, &life) : 0;
    if (r <= 0)
        return r;
    r = parcel_short(&life, payload);
    if (r == 0 && entry->type != TYPE(FULFILLMENT_SHORT))
        r = parcel_became(&life, entry->type, payload);
    return r < 0 ? r : life_close(&life);
}

#define FULFILLMENT(name) \
    { \
        TYPE(FULFILLMENT_##name), &oms__event__v1__fulfillment_changed__descriptor, apply_fulfillment \
    }
#define IGNORED(name) \
    { \
        TYPE(FULFILLMENT_##name), NULL, NULL \
    }

static const struct consumed fulfillment_events[] = {
    IGNORED(CREATED),      FULFILLMENT(SHORT),   IGNORED(PACKED),        FULFILLMENT(SHIPPED),
    IGNORED(IN_TRANSIT),   IGNORED(DELAYED),     FULFILLMENT(DELIVERED), FULFILLMENT(LOST),
    FULFILLMENT(RETURNED), FULFILLMENT(REFUSED), IGNORED(CANCELLED),     {},
};

/* --- reservations: told by the log that prices come from (prices.c) --- */

int apply_reservation_expired(struct txn *txn, const struct log_entry *entry, const void *in)
{
    const ReservationExpired *payload = in;
    return order_happened(txn, payload->order_id, STOCK_EXPIRED, "The goods could not be kept any longer.",
                          "RESERVATION_EXPIRED");
}

const struct consumer order_consumers[] = {
    { "order-prices", "svc-inventory", price_events },
    { "order-payments", "svc-payment", payment_events },
    { "order-fulfillments", "svc-shipping", fulfillment_events },
    {},
};
