/* svc-order: what is ordered.
 *
 * Serves  oms.order.v1.OrderService              place.c, import.c, staging.c, cancel.c, read.c, list.c, credits.c,
 *                                               explain.c (WatchOrder: the gateway)
 * Calls   svc-inventory, svc-payment, svc-shipping      commands.c, document.c, outcomes.c, by the tables in machine.c
 * Feeds   on svc-inventory: prices, lost reservations   prices.c, follow.c
 *         on svc-payment and svc-shipping               follow.c
 * Stores  price, priced_product                         prices.c
 *         sales_order, order_line, order_address        placing.c, saga.c
 *         order_step                                    saga.c
 *         order_allocation, order_parcel                parcels.c
 *         credit, credit_line                           crediting.c, memo.c
 *         import_job                                    staging.c, activate.c
 * Tells   ORDER_PLACED, ORDER_CONFIRMED, ORDER_REJECTED, ORDER_CANCELLING, ORDER_CANCELLED, ORDER_COMPLETED,
 *         ORDER_PROGRESSED, ORDER_IMPORTED, CREDIT_ISSUED
 */
#include "svc-order/order.h"

int main(int argc, char **argv)
{
    return service_main(&order_service, argc, argv);
}
