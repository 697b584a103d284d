/* svc-order: what is ordered.
 *
 * Serves  oms.order.v1.OrderService                              place.c, read.c (WatchOrder: the gateway)
 * Calls   svc-inventory: ReserveStock, ReleaseStock              saga.c, by the table in machine.c
 * Feeds   on svc-inventory: PRODUCT_UPSERTED                     prices.c
 * Stores  price, priced_product                                  prices.c
 *         sales_order, order_line, order_address, order_step     place.c, saga.c
 * Tells   ORDER_PLACED, ORDER_CONFIRMED, ORDER_REJECTED
 */
#include "svc-order/order.h"

int main(int argc, char **argv)
{
    return service_main(&order_service, argc, argv);
}
