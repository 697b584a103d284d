/* svc-inventory: what is sold and what is there.
 *
 * Serves  oms.catalog.v1.CatalogService       catalog.c
 *         oms.inventory.v1.InventoryService   stock.c, reservations.c, availability.c
 * Calls   Redis                               feed.c writes what availability.c reads
 * Stores  product, variant, search_word       product.c, words.c
 *         location                            stock.c
 *         stock, movement, availability       book.c
 *         reservation, reservation_line       reservations.c
 * Tells   PRODUCT_UPSERTED, AVAILABILITY_CHANGED
 */
#include "svc-inventory/inventory.h"

int main(int argc, char **argv)
{
    return service_main(&inventory_service, argc, argv);
}
