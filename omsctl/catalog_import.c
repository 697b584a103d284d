/* catalog import: products, locations and stock from an ERP's files or a retailer's day; only what differs is sent. */
#include "mesh/base/id.h"
#include "mesh/base/money.h"
#include "omsctl/api_names.h"
#include "omsctl/ask.h"
#include "omsctl/catalog_file.h"
#include "omsctl/commands.h"
#include "omsctl/load.h"
#include "omsctl/retail.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- what the server has, by key --- */

struct known {
    struct ctl *ctl;
    const ProtobufCMessage **items;
    size_t n, room;
};

static void remember(void *arg, const ProtobufCMessage *item)
{
    struct known *known = arg;
    if (known->n == known->room) {
        size_t room = known->room ? known->room * 2 : 1024;
        const ProtobufCMessage **items = arena_alloc(&known->ctl->arena, room * sizeof(*items));
        if (known->n)
            memcpy(items, known->items, known->n * sizeof(*items));
        known->items = items;
        known->room = room;
    }
    known->items[known->n++] = item;
}

static const char *product_id(const void *item)
{
    return ((const Product *)item)->product_id;
}

static int by_product_id(const void *a, const void *b)
{
    return strcmp(product_id(*(const void *const *)a), product_id(*(const void *const *)b));
}

static int by_place(const void *a, const void *b)
{
    const Stock *x = *(const Stock *const *)a, *y = *(const Stock *const *)b;
    int r = strcmp(x->sku, y->sku);
    return r ? r : strcmp(x->location_id, y->location_id);
}

static void sort(struct known *known, int (*compare)(const void *, const void *))
{
    if (known->n)
        qsort(known->items, known->n, sizeof(*known->items), compare);
}

static const void *find(const struct known *known, const void *item, int (*compare)(const void *, const void *))
{
    const void *const *found = known->n ? bsearch(&item, known->items, known->n, sizeof(*known->items), compare) : NULL;
    return found ? *found : NULL;
}

/* --- products --- */

struct upsert {
    struct ctl *ctl;
    Product **products;
};

static struct bytes upsert_request(void *arg, size_t i, struct arena *arena)
{
    struct upsert *upsert = arg;
    char id[ID_MAX];
    id_make(client_port(upsert->ctl->client), "req", id);
    Oms__Catalog__V1__UpsertProductRequest request = OMS__CATALOG__V1__UPSERT_PRODUCT_REQUEST__INIT;
    request.request_id = id;
    request.product = upsert->products[i];
    return arena_pack(arena, &request.base);
}

/* The same but for what the service sets. */
static bool same_product(struct arena *arena, const Product *ours, const Product *theirs)
{
    Product stripped = *theirs;
    stripped.version = 0;
    stripped.update_time_us = 0;
    stripped.etag = (char *)protobuf_c_empty_string;
    struct arena_mark mark = arena_mark(arena);
    struct bytes a = arena_pack(arena, &ours->base), b = arena_pack(arena, &stripped.base);
    bool same = a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
    arena_rewind(arena, mark);
    return same;
}

static int import_products(struct ctl *ctl, Product **products, size_t n, struct load_result *ret_result,
                           size_t *ret_same)
{
    Oms__Catalog__V1__ListProductsRequest list = OMS__CATALOG__V1__LIST_PRODUCTS_REQUEST__INIT;
    struct pages pages = { .method = CATALOG_METHOD("ListProducts"),
                           .request = &list.base,
                           .reply = &oms__catalog__v1__list_products_response__descriptor,
                           .items = "products" };
    struct known known = { .ctl = ctl };
    int exit = ask_pages(ctl, &pages, remember, &known);
    if (exit != CTL_OK)
        return exit;
    sort(&known, by_product_id);
    struct upsert upsert = { ctl, arena_alloc(&ctl->arena, (n + 1) * sizeof(*upsert.products)) };
    size_t changed = 0;
    for (size_t i = 0; i < n; i++) {
        const Product *theirs = find(&known, products[i], by_product_id);
        if (!theirs || !same_product(&ctl->arena, products[i], theirs))
            upsert.products[changed++] = products[i];
    }
    *ret_same = n - changed;
    struct load load = { .what = "products",
                         .method = CATALOG_METHOD("UpsertProduct"),
                         .n = changed,
                         .request = upsert_request,
                         .arg = &upsert };
    *ret_result = load_run(ctl, &load);
    return ret_result->exit;
}

/* --- locations --- */

static int import_locations(struct ctl *ctl, Location *const *locations, size_t n, size_t *ret_sent)
{
    Oms__Inventory__V1__ListLocationsRequest list = OMS__INVENTORY__V1__LIST_LOCATIONS_REQUEST__INIT;
    Oms__Inventory__V1__ListLocationsResponse *have;
    int exit = ask(ctl, INVENTORY_METHOD("ListLocations"), &list.base,
                   &oms__inventory__v1__list_locations_response__descriptor, &have);
    for (size_t i = 0; i < n && exit == CTL_OK; i++) {
        const Location *ours = locations[i];
        bool same = false;
        for (size_t j = 0; j < have->n_locations; j++) {
            const Location *theirs = have->locations[j];
            same |= strcmp(ours->location_id, theirs->location_id) == 0 && strcmp(ours->title, theirs->title) == 0 &&
                    strcmp(ours->country, theirs->country) == 0 && ours->priority == theirs->priority;
        }
        if (same)
            continue;
        Oms__Inventory__V1__UpsertLocationRequest request = OMS__INVENTORY__V1__UPSERT_LOCATION_REQUEST__INIT;
        request.request_id = ask_request_id(ctl);
        request.location = locations[i];
        Location *reply;
        exit = ask(ctl, INVENTORY_METHOD("UpsertLocation"), &request.base, &oms__inventory__v1__location__descriptor,
                   &reply);
        ++*ret_sent;
    }
    return exit;
}

/* --- stock --- */

struct adjustment {
    const char *request_id, *sku, *location, *reason;
    int64_t delta;
};

static struct bytes adjust_request(void *arg, size_t i, struct arena *arena)
{
    const struct adjustment *adjustment = (const struct adjustment *)arg + i;
    Oms__Inventory__V1__AdjustStockRequest request = OMS__INVENTORY__V1__ADJUST_STOCK_REQUEST__INIT;
    request.request_id = (char *)adjustment->request_id;
    request.sku = (char *)adjustment->sku;
    request.location_id = (char *)adjustment->location;
    request.delta = adjustment->delta;
    request.reason = (char *)adjustment->reason;
    return arena_pack(arena, &request.base);
}

static struct load_result send_adjustments(struct ctl *ctl, struct adjustment *adjustments, size_t n)
{
    struct load load = { .what = "stock adjustments",
                         .method = INVENTORY_METHOD("AdjustStock"),
                         .n = n,
                         .request = adjust_request,
                         .arg = adjustments };
    return load_run(ctl, &load);
}

/* Sets what is on hand to what the file says: the difference is adjusted. */
static int import_stock(struct ctl *ctl, Stock *const *stock, size_t n, struct load_result *ret_result)
{
    Oms__Inventory__V1__ListStockRequest list = OMS__INVENTORY__V1__LIST_STOCK_REQUEST__INIT;
    struct pages pages = { .method = INVENTORY_METHOD("ListStock"),
                           .request = &list.base,
                           .reply = &oms__inventory__v1__list_stock_response__descriptor,
                           .items = "stock" };
    struct known known = { .ctl = ctl };
    int exit = ask_pages(ctl, &pages, remember, &known);
    if (exit != CTL_OK)
        return exit;
    sort(&known, by_place);
    struct adjustment *adjustments = arena_alloc(&ctl->arena, (n + 1) * sizeof(*adjustments));
    size_t changed = 0;
    for (size_t i = 0; i < n; i++) {
        const Stock *theirs = find(&known, stock[i], by_place);
        int64_t delta = stock[i]->on_hand - (theirs ? theirs->on_hand : 0);
        if (delta)
            adjustments[changed++] = (struct adjustment){ .request_id = ask_request_id(ctl),
                                                          .sku = stock[i]->sku,
                                                          .location = stock[i]->location_id,
                                                          .reason = "COUNTED",
                                                          .delta = delta };
    }
    *ret_result = send_adjustments(ctl, adjustments, changed);
    return ret_result->exit;
}

/* --- the two ways in --- */

struct summary {
    size_t products, products_same, locations;
    struct load_result product, stock;
};

static int worse(int a, int b)
{
    return a == CTL_OK || (a == CTL_PARTLY && b != CTL_OK) ? b : a;
}

static int tell(struct ctl *ctl, const struct summary *s, int exit)
{
    if (ctl->json)
        show_json(json_pack("{s:{s:I, s:I, s:I}, s:I, s:{s:I, s:I}}", "products", "sent",
                            (json_int_t)s->product.accepted, "unchanged", (json_int_t)s->products_same, "refused",
                            (json_int_t)s->product.refused, "locations", (json_int_t)s->locations, "stock", "adjusted",
                            (json_int_t)s->stock.accepted, "refused", (json_int_t)s->stock.refused));
    else
        printf("%zu products: %zu sent, %zu unchanged, %zu refused · %zu locations sent · stock: %zu adjusted, %zu "
               "refused\n",
               s->products, s->product.accepted, s->products_same, s->product.refused, s->locations, s->stock.accepted,
               s->stock.refused);
    return exit;
}

static int import_files(struct ctl *ctl)
{
    struct catalog_file file;
    if (catalog_file_read(&ctl->arena, ctl->args[0], cli_flag(ctl, "locations"), cli_flag(ctl, "stock"), &file) < 0 ||
        !cli_client(ctl))
        return CTL_USAGE;
    struct summary summary = { .products = file.n_products };
    int exit = import_products(ctl, file.products, file.n_products, &summary.product, &summary.products_same);
    if (exit == CTL_OK || exit == CTL_PARTLY)
        exit = worse(exit, import_locations(ctl, file.locations, file.n_locations, &summary.locations));
    if (file.n_stock && (exit == CTL_OK || exit == CTL_PARTLY))
        exit = worse(exit, import_stock(ctl, file.stock, file.n_stock, &summary.stock));
    return tell(ctl, &summary, exit);
}

static Product *retail_product(struct arena *arena, const struct retail_product *from)
{
    Product *product = arena_alloc(arena, sizeof(*product));
    Variant *variant = arena_alloc(arena, sizeof(*variant));
    oms__catalog__v1__product__init(product);
    oms__catalog__v1__variant__init(variant);
    product->product_id = (char *)from->code;
    product->title = (char *)from->title;
    product->n_variants = 1;
    product->variants = arena_alloc(arena, sizeof(*product->variants));
    product->variants[0] = variant;
    variant->sku = (char *)from->code;
    variant->price = money_to_wire(arena, from->price_minor, RETAIL_CURRENCY);
    variant->stocked = from->stocked;
    return product;
}

static int import_retailer(struct ctl *ctl, const char *path)
{
    const char *day = cli_flag(ctl, "day"), *location = cli_flag(ctl, "location");
    location = location ? location : "MAIN";
    struct retail_day data;
    if (!day)
        return cli_usage("which day? --day 2010-12-01, for instance");
    if (retail_read(&ctl->arena, path, day, &data) < 0 || !cli_client(ctl))
        return CTL_USAGE;
    struct retail_product *goods;
    size_t n = retail_products(&ctl->arena, &data, &goods), stocked = 0;
    Product **products = arena_alloc(&ctl->arena, (n + 1) * sizeof(*products));
    struct adjustment *receipts = arena_alloc(&ctl->arena, (n + 1) * sizeof(*receipts));
    for (size_t i = 0; i < n; i++) {
        products[i] = retail_product(&ctl->arena, &goods[i]);
        if (goods[i].stocked)
            receipts[stocked++] =
                (struct adjustment){ .request_id = arena_printf(&ctl->arena, "stock:%s:%s", day, goods[i].code),
                                     .sku = goods[i].code,
                                     .location = location,
                                     .reason = "RECEIVED",
                                     .delta = goods[i].quantity };
    }
    Location place = OMS__INVENTORY__V1__LOCATION__INIT;
    place.location_id = (char *)location;
    place.title = (char *)"Main warehouse";
    place.country = (char *)"United Kingdom";
    struct summary summary = { .products = n };
    int exit = import_products(ctl, products, n, &summary.product, &summary.products_same);
    if (exit == CTL_OK || exit == CTL_PARTLY)
        exit = worse(exit, import_locations(ctl, (Location *[]){ &place }, 1, &summary.locations));
    if (exit == CTL_OK || exit == CTL_PARTLY) {
        summary.stock = send_adjustments(ctl, receipts, stocked);
        exit = worse(exit, summary.stock.exit);
    }
    return tell(ctl, &summary, exit);
}

int run_catalog_import(struct ctl *ctl)
{
    const char *retailer = cli_flag(ctl, "retailer");
    if (!retailer == !ctl->n_args)
        return cli_usage("it is: omsctl catalog import FILE, or --retailer FILE --day D");
    return retailer ? import_retailer(ctl, retailer) : import_files(ctl);
}
