/* Reads an ERP's CSV files into messages of the API. */
#include "omsctl/catalog_file.h"

#include "mesh/base/money.h"
#include "omsctl/sheet.h"
#include "omsctl/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROWS_MAX     1000000
#define VARIANTS_MAX 100

struct list {
    void **items;
    size_t n, room;
};

static int append(struct arena *arena, const struct sheet *sheet, struct list *list, void *item)
{
    if (list->n == ROWS_MAX)
        return sheet_error(sheet, "more than %d rows", ROWS_MAX);
    if (list->n == list->room) {
        size_t room = list->room ? list->room * 2 : 256;
        void **items = arena_alloc(arena, room * sizeof(*items));
        if (!items)
            return sheet_error(sheet, "too much for the memory");
        if (list->n)
            memcpy(items, list->items, list->n * sizeof(*items));
        list->items = items;
        list->room = room;
    }
    list->items[list->n++] = item;
    return 0;
}

static char *keep(struct arena *arena, const char *text)
{
    return arena_copy(arena, text, strlen(text));
}

/* 0, or -EINVAL after one clear line. Empty is 0. */
static int whole(const struct sheet *sheet, const char *column, const char *text, int64_t *ret_number)
{
    char *end;
    errno = 0;
    long long n = strtoll(text, &end, 10);
    if (errno || *end)
        return sheet_error(sheet, "%s is a whole number, not '%s'", column, text);
    *ret_number = n;
    return 0;
}

/* --- products: a line per variant, those of one product behind each other --- */

enum { PRODUCT_ID, TITLE, SKU, PRICE, CURRENCY, DESCRIPTION, BRAND, CATEGORY, VARIANT, WEIGHT, GTIN, STOCKED, COLUMNS };

static int read_variant(struct arena *arena, const struct sheet *sheet, const char *const *values,
                        Variant **ret_variant)
{
    int64_t minor;
    int r = amount_parse(values[PRICE], values[CURRENCY], &minor);
    if (r < 0)
        return sheet_error(sheet, "'%s' is no price in '%s'%s", values[PRICE], values[CURRENCY],
                           r == -EDOM ? ": too many decimals" : "");
    bool no = strcmp(values[STOCKED], "no") == 0;
    if (!no && values[STOCKED][0] && strcmp(values[STOCKED], "yes") != 0)
        return sheet_error(sheet, "stocked is yes or no, not '%s'", values[STOCKED]);
    Variant *variant = arena_alloc(arena, sizeof(*variant));
    oms__catalog__v1__variant__init(variant);
    variant->sku = keep(arena, values[SKU]);
    variant->title = keep(arena, values[VARIANT]);
    variant->price = money_to_wire(arena, minor, values[CURRENCY]);
    variant->gtin = keep(arena, values[GTIN]);
    variant->stocked = !no;
    if (whole(sheet, "weight_grams", values[WEIGHT], &variant->weight_grams) < 0)
        return -EINVAL;
    *ret_variant = variant;
    return 0;
}

static Product *make_product(struct arena *arena, const char *const *values)
{
    Product *product = arena_alloc(arena, sizeof(*product));
    oms__catalog__v1__product__init(product);
    product->product_id = keep(arena, values[PRODUCT_ID]);
    product->title = keep(arena, values[TITLE]);
    product->description = keep(arena, values[DESCRIPTION]);
    product->brand = keep(arena, values[BRAND]);
    product->category = keep(arena, values[CATEGORY]);
    product->variants = arena_alloc(arena, VARIANTS_MAX * sizeof(*product->variants));
    return product;
}

static int read_products(struct arena *arena, struct sheet *sheet, struct list *list)
{
    const char *values[COLUMNS];
    Product *product = NULL;
    int r;
    while ((r = sheet_next(sheet, values)) > 0) {
        if (!values[PRODUCT_ID][0] || !values[SKU][0])
            return sheet_error(sheet, "product_id and sku are needed");
        if (!product || strcmp(product->product_id, values[PRODUCT_ID]) != 0) {
            product = make_product(arena, values);
            if (append(arena, sheet, list, product) < 0)
                return -EINVAL;
        }
        if (product->n_variants == VARIANTS_MAX)
            return sheet_error(sheet, "more than %d variants of one product", VARIANTS_MAX);
        if (read_variant(arena, sheet, values, &product->variants[product->n_variants]) < 0)
            return -EINVAL;
        product->n_variants++;
    }
    return r;
}

/* --- locations and stock --- */

static int read_locations(struct arena *arena, struct sheet *sheet, struct list *list)
{
    const char *values[4];
    int r;
    while ((r = sheet_next(sheet, values)) > 0) {
        Location *location = arena_alloc(arena, sizeof(*location));
        int64_t priority = 0;
        oms__inventory__v1__location__init(location);
        location->location_id = keep(arena, values[0]);
        location->title = keep(arena, values[1]);
        location->country = keep(arena, values[2]);
        if (whole(sheet, "priority", values[3], &priority) < 0 || append(arena, sheet, list, location) < 0)
            return -EINVAL;
        location->priority = (int32_t)priority;
    }
    return r;
}

static int read_stock(struct arena *arena, struct sheet *sheet, struct list *list)
{
    const char *values[3];
    int r;
    while ((r = sheet_next(sheet, values)) > 0) {
        Stock *stock = arena_alloc(arena, sizeof(*stock));
        oms__inventory__v1__stock__init(stock);
        stock->sku = keep(arena, values[0]);
        stock->location_id = keep(arena, values[1]);
        if (whole(sheet, "on_hand", values[2], &stock->on_hand) < 0 || append(arena, sheet, list, stock) < 0)
            return -EINVAL;
    }
    return r;
}

static int read_file(struct arena *arena, const char *path, const char *const *columns,
                     int (*rows)(struct arena *, struct sheet *, struct list *), struct list *list)
{
    struct sheet sheet;
    if (!path)
        return 0;
    int r = sheet_open(&sheet, path, columns);
    if (r < 0)
        return r;
    r = rows(arena, &sheet, list);
    sheet_close(&sheet);
    return r;
}

int catalog_file_read(struct arena *arena, const char *products, const char *locations, const char *stock,
                      struct catalog_file *ret_file)
{
    static const char *const product_columns[] = { "product_id",   "title",    "sku",       "price",    "currency",
                                                   "?description", "?brand",   "?category", "?variant", "?weight_grams",
                                                   "?gtin",        "?stocked", NULL };
    static const char *const location_columns[] = { "location_id", "title", "country", "?priority", NULL };
    static const char *const stock_columns[] = { "sku", "location_id", "on_hand", NULL };
    struct list lists[3] = { 0 };
    int r = read_file(arena, products, product_columns, read_products, &lists[0]);
    if (r == 0)
        r = read_file(arena, locations, location_columns, read_locations, &lists[1]);
    if (r == 0)
        r = read_file(arena, stock, stock_columns, read_stock, &lists[2]);
    if (r < 0)
        return r;
    *ret_file = (struct catalog_file){ .products = (Product **)lists[0].items,
                                       .locations = (Location **)lists[1].items,
                                       .stock = (Stock **)lists[2].items,
                                       .n_products = lists[0].n,
                                       .n_locations = lists[1].n,
                                       .n_stock = lists[2].n };
    return 0;
}
