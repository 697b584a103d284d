/* svc-inventory: what is sold and what is there.
 *
 * Serves  oms.catalog.v1.CatalogService      catalog.c
 * Calls   nobody
 * Stores  product, variant, search_word      product.c, words.c
 */
#include "svc-inventory/inventory.h"

int main(int argc, char **argv)
{
    return service_main(&inventory_service, argc, argv);
}
