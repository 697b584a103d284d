/* svc-payment: what is paid.
 *
 * Serves  oms.payment.v1.PaymentService                          authorize.c, payments.c, read.c
 *         oms.payment.v1.LedgerService                           ledger.c, invoices.c
 * Calls   the card processor: authorize, capture, void, refund   processor.c, answers.c
 *         and query
 * Stores  payment, payment_operation                             book.c, by the table in machine.c
 *         overdue_round                                          deadlines.c
 *         ledger_entry, ledger_posting, ledger_line,             ledger.c
 *         ledger_balance
 * Tells   PAYMENT_AUTHORIZED and whatever else becomes of an operation
 */
#include "svc-payment/payment.h"

int main(int argc, char **argv)
{
    return service_main(&payment_service, argc, argv);
}
