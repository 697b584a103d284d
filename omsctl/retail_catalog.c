/* What a retailer's lines say about the catalogue: a product for every code that is sold or credited. */
#include "omsctl/catalog_file.h"

#include "mesh/base/money.h"

#include <stdlib.h>

struct code {
    int64_t price_minor; /* of its first sale above zero; of the first line, if there is none */
    int64_t sold;
    bool known, priced;
};

static void count_line(struct code *code, const struct retail_line *line)
{
    bool sold = line->outcome == RETAIL_SOLD;
    if (!code->known || (sold && line->price_minor > 0 && !code->priced))
        code->price_minor = line->price_minor;
    code->known = true;
    code->priced |= sold && line->price_minor > 0;
    code->sold += sold ? line->quantity : 0;
}

static Product *make_product(struct arena *arena, const char *sku, const char *title, Money *price, bool stocked)
{
    Product *product = arena_message(arena, &oms__catalog__v1__product__descriptor);
    Variant *variant = arena_message(arena, &oms__catalog__v1__variant__descriptor);
    product->product_id = (char *)sku;
    product->title = (char *)(title ? title : sku);
    product->n_variants = 1;
    product->variants = arena_alloc(arena, sizeof(Variant *));
    product->variants[0] = variant;
    variant->sku = (char *)sku;
    variant->price = price;
    variant->stocked = stocked;
    return product;
}

static void make_location(struct arena *arena, const char *id, struct catalog_file *file)
{
    Location *location = arena_message(arena, &oms__inventory__v1__location__descriptor);
    location->location_id = (char *)id;
    location->title = (char *)id;
    file->locations = arena_alloc(arena, sizeof(Location *));
    file->locations[file->n_locations++] = location;
}

void catalog_of_retail(struct arena *arena, const struct retail *retail, const char *location,
                       struct catalog_file *ret_file)
{
    struct catalog_file file = { .opening = true };
    size_t n = retail->codes.n;
    struct code *codes = arena_zalloc(arena, (n + 1) * sizeof(*codes));
    for (size_t i = 0; i < retail->n_lines; i++)
        if (!retail_is_refused(retail->lines[i].outcome))
            count_line(&codes[retail->lines[i].code], &retail->lines[i]);
    file.products = arena_alloc(arena, (n + 1) * sizeof(*file.products));
    file.stock = arena_alloc(arena, (n + 1) * sizeof(*file.stock));
    for (size_t i = 0; i < n; i++) {
        const char *sku = retail->codes.texts[i];
        if (!codes[i].known)
            continue;
        bool stocked = mapping_fits(retail->mapping, MAPPING_GOODS, sku);
        Money *price = money_to_wire(arena, codes[i].price_minor, retail->mapping->currency);
        file.products[file.n_products++] = make_product(arena, sku, retail->titles[i], price, stocked);
        if (!stocked || codes[i].sold == 0)
            continue;
        Stock *stock = arena_message(arena, &oms__inventory__v1__stock__descriptor);
        stock->sku = (char *)sku;
        stock->location_id = (char *)location;
        stock->on_hand = codes[i].sold;
        file.stock[file.n_stock++] = stock;
    }
    make_location(arena, location, &file);
    *ret_file = file;
}
