/* The tables of svc-payment, wired. */
#include "svc-payment/payment.h"

static const struct rpc_method payment_methods[] = {
    { "AuthorizePayment", .batch = authorize_payments },
    { "CapturePayment", .unit = capture_payment },
    { "VoidPayment", .unit = void_payment },
    { "RefundPayment", .unit = refund_payment },
    { "GetPayment", .unit = get_payment },
    { "ListPayments", .unit = list_payments },
    { "ResolveOperation", .unit = resolve_operation },
    {},
};
static const struct rpc_service payment_rpc = {
    "oms.payment.v1.PaymentService",
    &oms__payment__v1__payment_service__descriptor,
    payment_methods,
};

static const struct rpc_method ledger_methods[] = {
    { "BookInvoice", .batch = book_invoices },
    { "GetTrialBalance", .unit = get_trial_balance },
    { "ListLedgerEntries", .unit = list_ledger_entries },
    {},
};
static const struct rpc_service ledger_rpc = {
    "oms.payment.v1.LedgerService",
    &oms__payment__v1__ledger_service__descriptor,
    ledger_methods,
};

static const struct rpc_service *const serves[] = { &payment_rpc, &ledger_rpc, NULL };

static const struct snapshot_kind snapshots[] = {
    { open_snapshot }, { authorized_snapshot }, { captured_snapshot }, { refunded_snapshot }, { voided_snapshot }, {},
};

const struct service_spec payment_service = {
    .name = "svc-payment",
    .about = "What is paid: authorized, captured, given back, each once; and the books.",
    .serves = serves,
    .deliverers = payment_deliverers,
    .timers = payment_timers,
    .snapshots = snapshots,
    .migrations = payment_migrations,
};
