/* What a catalogue is made of: products with variants, locations, stock; from an ERP's export as files, or as a
 * retailer's invoice lines have it. */
#pragma once

#include "mesh/base/arena.h"
#include "omsctl/api_names.h"
#include "omsctl/retail.h"

struct catalog_file {
    Product **products;
    Location **locations;
    Stock **stock;
    size_t n_products, n_locations, n_stock;
    bool opening; /* stock is received where nothing is known of it, and left alone elsewhere; else it was counted */
};

/* Into the arena; locations and stock may be NULL. 0, or -EINVAL after one clear line naming file and line. */
int catalog_file_read(struct arena *arena, const char *products, const char *locations, const char *stock,
                      struct catalog_file *ret_file);
/* Products at the first price they were sold at, and at the location as much of each as is sold, so that it can leave
 * it. */
void catalog_of_retail(struct arena *arena, const struct retail *retail, const char *location,
                       struct catalog_file *ret_file);
