/* What became of the commands: each outcome in one transaction with the deletion of its command. */
#include "svc-order/commands.h"

#include "mesh/base/money.h"

#include <errno.h>
#include <string.h>

#define MINUTE       (60 * 1000000ll)
#define LIMIT_US     (15 * MINUTE) /* for the answer of a service */
#define REASON_LINES 3             /* shortages that a reason names */

/* --- svc-inventory --- */

static const char *sold_out_reason(struct txn *txn, const ReserveStockResponse *reply)
{
    char *reason = arena_printf(txn->arena, "Not enough in stock:");
    for (size_t i = 0; reason && i < reply->n_shortages && i < REASON_LINES; i++) {
        const Shortage *s = reply->shortages[i];
        reason = arena_printf(txn->arena, "%s%s %s (%lld wanted, %lld left)", reason, i ? "," : "", s->sku,
                              (long long)s->wanted, (long long)s->available);
    }
    if (reason && reply->n_shortages > REASON_LINES)
        reason = arena_printf(txn->arena, "%s and %zu more", reason, reply->n_shortages - REASON_LINES);
    return reason;
}

static int reserve_ended(struct txn *txn, const struct outcome *outcome)
{
    const ReserveStockResponse *reply = outcome->reply;
    if (outcome->code != RPC_OK)
        return order_happened(txn, outcome->key, RESERVE_GAVE_UP, "The goods could not be reserved in time.",
                              "RESERVATION_FAILED");
    if (reply->n_shortages == 0) {
        int r = allocate(txn, outcome->key, reply->allocations, reply->n_allocations);
        return r < 0 ? r : order_happened(txn, outcome->key, STOCK_RESERVED, "", "");
    }
    const char *reason = sold_out_reason(txn, reply);
    return reason ? order_happened(txn, outcome->key, SOLD_OUT, reason, "OUT_OF_STOCK") : -ENOMEM;
}

/* A part of it is an affair of svc-inventory alone. */
static int release_ended(struct txn *txn, const struct outcome *outcome)
{
    const ReleaseStockRequest *request = outcome->request;
    return request->n_lines ? 0 : order_happened(txn, outcome->key, STOCK_RELEASED, "The goods were released.", "");
}

/* --- svc-payment: what it accepts comes back as events (follow.c) --- */

static int authorize_ended(struct txn *txn, const struct outcome *outcome)
{
    if (outcome->code == RPC_OK)
        return 0;
    if (outcome->gave_up)
        return order_happened(txn, outcome->key, PAYMENT_GAVE_UP, "The payment could not be made in time.",
                              "PAYMENT_FAILED");
    return order_happened(txn, outcome->key, PAYMENT_REFUSED, "The payment was not accepted.", outcome->reason);
}

static int void_ended(struct txn *txn, const struct outcome *outcome)
{
    const VoidPaymentResponse *reply = outcome->reply;
    return reply->voiding ? 0 : order_happened(txn, outcome->key, PAYMENT_GIVEN_BACK, "", "");
}

/* svc-payment waits with a refund for captures under way, and refuses what then is not there to be given back. */
static int refund_ended(struct txn *txn, const struct outcome *outcome)
{
    const RefundPaymentRequest *request = outcome->request;
    struct life life;
    int64_t minor;
    if (outcome->code == RPC_OK)
        return 0;
    int r = life_open(txn, outcome->key, &life);
    if (r <= 0)
        return r;
    if (money_from_wire(request->amount, &minor) < 0)
        return -EBADMSG;
    life.returning_minor -= minor;
    life.code = outcome->reason;
    enum order_outcome happened = life.captured_minor <= life.refunded_minor           ? MONEY_REFUNDED
                                  : life.captured_minor - life.returning_minor < minor ? MONEY_PARTLY_REFUNDED
                                                                                       : REFUND_REFUSED;
    life.stuck = happened == REFUND_REFUSED;
    r = life_happen(&life, happened);
    return r < 0 ? r : life_close(&life);
}

/* --- svc-shipping --- */

static int fulfil_ended(struct txn *txn, const struct outcome *outcome)
{
    return order_happened(txn, outcome->key, outcome->code == RPC_OK ? FULFILLMENT_ACCEPTED : FULFILLMENT_REFUSED,
                          "The order could not be sent.", outcome->code == RPC_OK ? "" : outcome->reason);
}

static int apply_verdicts(struct life *life, const CancelFulfillmentResponse *reply, struct cancelled *each)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < reply->n_verdicts; i++) {
        const Verdict *v = reply->verdicts[i];
        each[i].too_late = v->too_late;
        r = parcel_read(life->txn, v->fulfillment_id, v->location_id, v->lines, v->n_lines, &each[i].parcel);
        if (r == 0)
            r = parcel_cancelled(life, &each[i]);
    }
    return r;
}

/* Whether there is, or may still be, that much to give back. */
static bool was_paid(const struct life *life, int64_t minor)
{
    return life->asked_minor - life->returning_minor >= minor;
}

/* The order goes on without these parcels: what was kept is released, what was lost is paid back. */
static int settle_cancelled(struct life *life, const struct cancelled *each, size_t n)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < n; i++) {
        const struct parcel *p = &each[i].parcel;
        if (!each[i].now)
            continue;
        if (!each[i].too_late)
            r = life_release_lines(life, p->fulfillment_id, p->location_id, p->shares, p->n);
        else if (was_paid(life, each[i].paid_minor))
            r = life_refund(life, p->fulfillment_id, each[i].paid_minor);
    }
    return r;
}

static int cancel_ended(struct txn *txn, const struct outcome *outcome)
{
    const CancelFulfillmentResponse *reply = outcome->reply;
    struct life life;
    bool too_late = false;
    int r = life_open(txn, outcome->key, &life);
    if (r <= 0)
        return r;
    struct cancelled *each = arena_zalloc(txn->arena, (reply->n_verdicts + 1) * sizeof(*each));
    r = each ? apply_verdicts(&life, reply, each) : -ENOMEM;
    for (size_t i = 0; r == 0 && i < reply->n_verdicts; i++)
        too_late |= !each[i].cancelled;
    if (r == 0 && too_late)
        r = settle_cancelled(&life, each, reply->n_verdicts);
    life.code = too_late ? "CANCEL_TOO_LATE" : "";
    if (r == 0)
        r = life_happen(&life, too_late ? CANCEL_TOO_LATE : CANCEL_GRANTED);
    return r < 0 ? r : life_close(&life);
}

/* What gives back, or takes what is due, must not be lost: a refusal is for a person to look at. */
#define ROW(method, request, reply, outcome, give_up, limit_us) \
    { \
        method, &request##__descriptor, &reply##__descriptor, outcome, give_up, limit_us, NULL \
    }

const struct deliverer order_deliverers[] = {
    ROW(RESERVE, oms__inventory__v1__reserve_stock_request, oms__inventory__v1__reserve_stock_response, reserve_ended,
        GIVE_UP_RAISE, LIMIT_US),
    ROW(RELEASE, oms__inventory__v1__release_stock_request, oms__inventory__v1__release_stock_response, release_ended,
        GIVE_UP_PARK, LIMIT_US),
    ROW(COMMIT, oms__inventory__v1__commit_stock_request, oms__inventory__v1__commit_stock_response, NULL, GIVE_UP_PARK,
        0),
    ROW(AUTHORIZE_PAYMENT, oms__payment__v1__authorize_payment_request, oms__payment__v1__authorize_payment_response,
        authorize_ended, GIVE_UP_RAISE, LIMIT_US),
    ROW(CAPTURE_PAYMENT, oms__payment__v1__capture_payment_request, oms__payment__v1__capture_payment_response, NULL,
        GIVE_UP_PARK, 0),
    ROW(VOID_PAYMENT, oms__payment__v1__void_payment_request, oms__payment__v1__void_payment_response, void_ended,
        GIVE_UP_PARK, 0),
    ROW(REFUND_PAYMENT, oms__payment__v1__refund_payment_request, oms__payment__v1__refund_payment_response,
        refund_ended, GIVE_UP_RAISE, 0),
    ROW(CREATE_FULFILLMENT, oms__shipping__v1__create_fulfillment_request,
        oms__shipping__v1__create_fulfillment_response, fulfil_ended, GIVE_UP_RAISE, 0),
    ROW(CANCEL_FULFILLMENT, oms__shipping__v1__cancel_fulfillment_request,
        oms__shipping__v1__cancel_fulfillment_response, cancel_ended, GIVE_UP_PARK, 0),
    ROW(RECORD_MOVEMENTS, oms__inventory__v1__record_movements_request, oms__inventory__v1__record_movements_response,
        NULL, GIVE_UP_PARK, 0),
    ROW(BOOK_INVOICE, oms__payment__v1__book_invoice_request, oms__payment__v1__book_invoice_response, NULL,
        GIVE_UP_PARK, 0),
    {},
};

static int payment_deadline(struct txn *txn, const char *order_id, int64_t due_us)
{
    struct life life;
    int r = life_open(txn, order_id, &life);
    if (r <= 0 || life.payment_state != OMS__ORDER__V1__ORDER__PAYMENT_STATE__PAYMENT_UNKNOWN)
        return r < 0 ? r : 0;
    life.reason = "The payment could not be made in time.";
    life.code = "PAYMENT_UNKNOWN";
    r = life_happen(&life, PAYMENT_TOOK_TOO_LONG);
    return r < 0 ? r : life_close(&life);
}

const struct timer_row order_timers[] = {
    { PAYMENT_DEADLINE, payment_deadline },
    { IMPORT_STEP, import_step },
    { IMPORT_EXPIRY, import_expired },
    {},
};
