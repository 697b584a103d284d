/* svc-shipping: what leaves the warehouses.
 *
 * Serves  oms.shipping.v1.FulfillmentService                     fulfillments.c, warehouse.c, read.c
 * Calls   svc-order: GetOrder                                    address.c: where it goes
 *         the carrier: ship, handover, cancel, events            carrier.c, tracking.c
 * Stores  fulfillment, fulfillment_line, tracking_event          fulfillments.c, manifest.c
 *         shipment_address                                       address.c
 *         carrier_cursor                                         tracking.c
 * Tells   FULFILLMENT_CREATED and what becomes of it, by the table in machine.c
 */
#include "svc-shipping/shipping.h"

int main(int argc, char **argv)
{
    return service_main(&shipping_service, argc, argv);
}
