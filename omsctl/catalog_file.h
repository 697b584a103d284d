/* An ERP's export as files: products with variants, locations, stock on hand. */
#pragma once

#include "mesh/base/arena.h"
#include "omsctl/api_names.h"

struct catalog_file {
    Product **products;
    Location **locations;
    Stock **stock;
    size_t n_products, n_locations, n_stock;
};

/* Into the arena; locations and stock may be NULL. 0, or -EINVAL after one clear line naming file and line. */
int catalog_file_read(struct arena *arena, const char *products, const char *locations, const char *stock,
                      struct catalog_file *ret_file);
