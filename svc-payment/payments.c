/* The commands and verbs on payments that are there: they check and write what is wanted, and the processor is asked
 * afterwards. Sums count what is still under way, so that what is accepted stays within what there is whatever becomes
 * of the rest. */
#include "svc-payment/book.h"

#include "mesh/base/money.h"

#include <errno.h>
#include <string.h>

/* --- checks --- */

/* It is the idempotency key, and part of a path, at the processor. */
int payment_check_id(struct rpc_call *call, const char *id)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.:";
    if (id[strspn(id, letters)] == '\0')
        return 0;
    return rpc_fail_field(call, "request_id", "REQUEST_ID_INVALID", "is letters, digits and _ - . :");
}

static int check_reason(struct rpc_call *call, const char *reason)
{
    if (reason[strspn(reason, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")] == '\0')
        return 0;
    return rpc_fail_field(call, "reason", "REASON_INVALID", "a reason is a code of A-Z, 0-9 and _");
}

int payment_check_amount(struct rpc_call *call, const Money *amount, int64_t *ret_minor)
{
    int64_t minor;
    int r = money_from_wire(amount, &minor);
    if (r == -EDOM)
        return rpc_fail_field(call, "amount", "AMOUNT_NOT_WHOLE", "not a whole number of minor units");
    if (r == -ERANGE || (r == 0 && minor > AMOUNT_MAX))
        return rpc_fail_field(call, "amount", "AMOUNT_OVERFLOW", "more than %lld minor units", (long long)AMOUNT_MAX);
    if (r < 0)
        return rpc_fail_field(call, "amount", "AMOUNT_INVALID", "no amount of a currency of ISO 4217");
    if (minor <= 0)
        return rpc_fail_field(call, "amount", "AMOUNT_NOT_POSITIVE", "an amount is above zero");
    *ret_minor = minor;
    return 0;
}

static int fail_exceeds(struct rpc_call *call, const struct payment *p, const char *reason, int64_t left_minor)
{
    char text[32];
    money_format(left_minor, p->currency, text);
    int r = rpc_fail_state(call, p->payment_id, reason, "%s are left", text);
    rpc_error_meta(call, "left", text);
    return r;
}

static const char *state_name(const ProtobufCEnumDescriptor *descriptor, int state)
{
    const ProtobufCEnumValue *value = protobuf_c_enum_descriptor_get_value(descriptor, state);
    return value ? value->name : "?";
}

/* The payment that an operation is to be added to. */
static int open_payment(struct rpc_call *call, struct txn *txn, const char *payment_id, const Money *amount,
                        struct payment *ret_payment)
{
    int r = payment_open(txn, payment_id, ret_payment);
    if (r < 0)
        return r;
    if (r == 0)
        return rpc_fail_missing(call, "payment", payment_id);
    if (strcmp(amount->currency_code, ret_payment->currency) != 0)
        return rpc_fail_state(call, payment_id, "CURRENCY_MISMATCH", "the payment is in %s", ret_payment->currency);
    if (ret_payment->operations >= OPERATIONS_MAX)
        return rpc_fail_state(call, payment_id, "TOO_MANY_OPERATIONS", "a payment has at most %d", OPERATIONS_MAX);
    return 0;
}

int payment_fail_taken(struct rpc_call *call)
{
    return rpc_fail_field(call, "request_id", "REQUEST_ID_REUSED", "another operation has this id");
}

static int want(struct rpc_call *call, struct txn *txn, struct payment *payment, const struct operation *operation)
{
    int r = operation_want(txn, payment, operation);
    if (r == -EALREADY)
        return payment_fail_taken(call);
    return r < 0 ? r : payment_write(txn, payment);
}

/* --- capture and refund --- */

static int check_capture(struct rpc_call *call, const struct payment *p, int64_t minor)
{
    const char *state = state_name(&oms__payment__v1__payment__state__descriptor, (int)payment_state(p));
    int64_t left_minor = p->authorized_minor - p->captured_minor - p->capturing_minor;
    if (p->voiding != NOT_VOIDED)
        return rpc_fail_state(call, p->payment_id, "PAYMENT_VOIDED", "what was not captured is given up");
    if (p->authorize_state != SUCCEEDED) {
        int r = rpc_fail_state(call, p->payment_id, "PAYMENT_NOT_AUTHORIZED", "the payment is %s", state);
        rpc_error_meta(call, "state", state);
        return r;
    }
    return minor > left_minor ? fail_exceeds(call, p, "CAPTURE_EXCEEDS_AUTHORIZED", left_minor) : 0;
}

int capture_payment(struct rpc_call *call, struct txn *txn, const void *in, void *out)
{
    const CapturePaymentRequest *req = in;
    struct payment payment;
    struct operation o = { .operation_id = req->request_id, .kind = CAPTURE, .reason = "" };
    int r = payment_check_id(call, req->request_id);
    if (r == 0)
        r = payment_check_amount(call, req->amount, &o.amount_minor);
    if (r == 0)
        r = open_payment(call, txn, req->payment_id, req->amount, &payment);
    if (r == 0)
        r = check_capture(call, &payment, o.amount_minor);
    return r < 0 ? r : want(call, txn, &payment, &o);
}

static int check_refund(struct rpc_call *call, const struct payment *p, int64_t minor)
{
    int64_t left_minor = p->captured_minor - p->refunded_minor - p->refunding_minor;
    if (minor > left_minor && minor <= left_minor + p->capturing_minor)
        return rpc_fail(call, RPC_ABORTED, "CAPTURE_UNDER_WAY", "a capture has not had its answer yet: ask again");
    return minor > left_minor ? fail_exceeds(call, p, "REFUND_EXCEEDS_CAPTURED", left_minor) : 0;
}

int refund_payment(struct rpc_call *call, struct txn *txn, const void *in, void *out)
{
    const RefundPaymentRequest *req = in;
    RefundPaymentResponse *ret = out;
    struct payment payment;
    struct operation o = { .operation_id = req->request_id, .kind = REFUND, .reason = req->reason };
    int r = payment_check_id(call, req->request_id);
    if (r == 0)
        r = check_reason(call, req->reason);
    if (r == 0)
        r = payment_check_amount(call, req->amount, &o.amount_minor);
    if (r == 0)
        r = open_payment(call, txn, req->payment_id, req->amount, &payment);
    if (r == 0)
        r = check_refund(call, &payment, o.amount_minor);
    if (r == 0)
        r = want(call, txn, &payment, &o);
    if (r == 0)
        r = payment_message(txn, payment.payment_id, "", &ret->payment);
    return r < 0 ? r : log_position_message(txn, &ret->position);
}

/* --- void --- */

/* Told all the same: somebody waits for it. */
static int void_nothing(struct rpc_call *call, struct txn *txn, struct payment *p, struct operation *o)
{
    o->place = ++p->operations;
    o->state = SUCCEEDED;
    p->voiding = VOIDED;
    int r = operation_insert(txn, p, o);
    if (r == -EALREADY)
        return payment_fail_taken(call);
    if (r == 0)
        r = payment_write(txn, p);
    return r < 0 ? r : payment_tell(txn, operation_event(VOID, SUCCEEDED), p, o);
}

int void_payment(struct rpc_call *call, struct txn *txn, const void *in, void *out)
{
    const VoidPaymentRequest *req = in;
    VoidPaymentResponse *ret = out;
    struct payment payment;
    struct operation undone, o = { .operation_id = req->request_id, .kind = VOID, .reason = "" };
    int r = payment_check_id(call, req->request_id);
    if (r == 0)
        r = payment_open_operation(txn, req->operation_id, &payment, &undone);
    if (r < 0)
        return r;
    if (r == 0 || undone.kind != AUTHORIZE)
        return rpc_fail_missing(call, "operation", req->operation_id);
    bool captured = payment.authorize_state == SUCCEEDED && payment.captured_minor >= payment.authorized_minor;
    ret->voiding = payment.voiding == VOIDING;
    if (payment.voiding != NOT_VOIDED)
        return 0;
    if (captured || payment.authorize_state == DECLINED)
        return void_nothing(call, txn, &payment, &o);
    ret->voiding = true;
    return want(call, txn, &payment, &o);
}

/* --- what a person decides --- */

/* An authorize that is not decided may still come to hold money. A refund that the processor has refused may have been
 * made another way. */
static int check_decision(struct rpc_call *call, const ResolveOperationRequest *req, const struct payment *p,
                          const struct operation *o)
{
    const char *state = state_name(&oms__payment__v1__operation__state__descriptor, (int)o->state);
    if (o->state == DECLINED && o->kind == REFUND && req->succeeded)
        return check_refund(call, p, o->amount_minor);
    if (o->state != UNKNOWN) {
        int r = rpc_fail_state(call, o->operation_id, "OPERATION_NOT_UNKNOWN",
                               "it is %s: only what has had no answer in time is decided", state);
        rpc_error_meta(call, "state", state);
        return r;
    }
    if (o->kind == VOID && !req->succeeded)
        return rpc_fail_state(call, o->operation_id, "VOID_CANNOT_FAIL", "it is asked for until it has been done");
    if (o->kind == VOID && operation_under_way(p->authorize_state))
        return rpc_fail_state(call, o->operation_id, "AUTHORIZE_NOT_DECIDED", "what it voids has to be decided before");
    return 0;
}

int resolve_operation(struct rpc_call *call, struct txn *txn, const void *in, void *out)
{
    const ResolveOperationRequest *req = in;
    ResolveOperationResponse *ret = out;
    struct payment payment;
    struct operation operation;
    int r = check_reason(call, req->reason);
    if (r == 0)
        r = payment_open_operation(txn, req->operation_id, &payment, &operation);
    if (r < 0)
        return r;
    if (r == 0)
        return rpc_fail_missing(call, "operation", req->operation_id);
    r = check_decision(call, req, &payment, &operation);
    if (r < 0)
        return r;
    r = operation_happened(txn, req->operation_id, req->succeeded ? DECIDED_SUCCEEDED : DECIDED_DECLINED,
                           &(struct news){ .reason = req->reason, .decided_by = rpc_caller(call)->subject });
    return r < 0 ? r : payment_message(txn, payment.payment_id, "", &ret->payment);
}
