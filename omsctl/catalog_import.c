/* catalog import: products, locations and stock, of which only what differs is sent. */
#include "mesh/base/id.h"
#include "omsctl/api_names.h"
#include "omsctl/ask.h"
#include "omsctl/catalog_file.h"
#include "omsctl/commands.h"
#include "omsctl/load.h"

#include <errno.h>
#include <jansson.h>
#include <openssl/evp.h>
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

static int by_sku(const void *a, const void *b)
{
    return strcmp((*(const Stock *const *)a)->sku, (*(const Stock *const *)b)->sku);
}

static int by_place(const void *a, const void *b)
{
    int r = by_sku(a, b);
    return r ? r : strcmp((*(const Stock *const *)a)->location_id, (*(const Stock *const *)b)->location_id);
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

/* One that is only named is left as it is. */
static bool same_location(const struct catalog_file *file, const Location *ours, const Location *theirs)
{
    return strcmp(ours->location_id, theirs->location_id) == 0 &&
           (file->opening || (strcmp(ours->title, theirs->title) == 0 && strcmp(ours->country, theirs->country) == 0 &&
                              ours->priority == theirs->priority));
}

static int import_locations(struct ctl *ctl, const struct catalog_file *file, size_t *ret_sent)
{
    Oms__Inventory__V1__ListLocationsRequest list = OMS__INVENTORY__V1__LIST_LOCATIONS_REQUEST__INIT;
    Oms__Inventory__V1__ListLocationsResponse *have;
    int exit = ask(ctl, INVENTORY_METHOD("ListLocations"), &list.base,
                   &oms__inventory__v1__list_locations_response__descriptor, &have);
    for (size_t i = 0; i < file->n_locations && exit == CTL_OK; i++) {
        bool same = false;
        for (size_t j = 0; j < have->n_locations; j++)
            same |= same_location(file, file->locations[i], have->locations[j]);
        if (same)
            continue;
        Oms__Inventory__V1__UpsertLocationRequest request = OMS__INVENTORY__V1__UPSERT_LOCATION_REQUEST__INIT;
        request.request_id = ask_request_id(ctl);
        request.location = file->locations[i];
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

/* A second run finds stock and sends none; two at once have the same id for it. */
static const char *opening_id(struct arena *arena, const Stock *stock)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    const char *of = arena_printf(arena, "%s\n%s", stock->location_id, stock->sku);
    char id[] = "opening-0123456789abcdef0123456789abcdef";
    if (EVP_Digest(of, strlen(of), digest, NULL, EVP_sha256(), NULL) != 1)
        abort();
    for (size_t i = 0; i < 16; i++)
        snprintf(id + 8 + 2 * i, 3, "%02x", digest[i]);
    return arena_copy(arena, id, strlen(id));
}

static struct adjustment adjustment_of(struct ctl *ctl, const struct catalog_file *file, const Stock *ours,
                                       const Stock *theirs)
{
    struct adjustment adjustment = { .sku = ours->sku, .location = ours->location_id };
    if (file->opening) {
        adjustment.request_id = opening_id(&ctl->arena, ours);
        adjustment.reason = "RECEIVED";
        adjustment.delta = theirs ? 0 : ours->on_hand;
    } else {
        adjustment.request_id = ask_request_id(ctl);
        adjustment.reason = "COUNTED";
        adjustment.delta = ours->on_hand - (theirs ? theirs->on_hand : 0);
    }
    return adjustment;
}

/* The difference between what is on hand there and what is to be is adjusted. */
static int import_stock(struct ctl *ctl, const struct catalog_file *file, struct load_result *ret_result)
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
    struct adjustment *adjustments = arena_alloc(&ctl->arena, (file->n_stock + 1) * sizeof(*adjustments));
    size_t changed = 0;
    for (size_t i = 0; i < file->n_stock; i++) {
        const Stock *theirs = find(&known, file->stock[i], file->opening ? by_sku : by_place);
        adjustments[changed] = adjustment_of(ctl, file, file->stock[i], theirs);
        changed += adjustments[changed].delta != 0;
    }
    struct load load = { .what = "stock adjustments",
                         .method = INVENTORY_METHOD("AdjustStock"),
                         .n = changed,
                         .request = adjust_request,
                         .arg = adjustments };
    *ret_result = load_run(ctl, &load);
    return ret_result->exit;
}

/* --- the command --- */

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

static int import_all(struct ctl *ctl, const struct catalog_file *file)
{
    struct summary summary = { .products = file->n_products };
    int exit = import_products(ctl, file->products, file->n_products, &summary.product, &summary.products_same);
    if (exit == CTL_OK || exit == CTL_PARTLY)
        exit = worse(exit, import_locations(ctl, file, &summary.locations));
    if (file->n_stock && (exit == CTL_OK || exit == CTL_PARTLY))
        exit = worse(exit, import_stock(ctl, file, &summary.stock));
    return tell(ctl, &summary, exit);
}

static int read_retail(struct ctl *ctl, const char *map, struct catalog_file *ret_file)
{
    const char *location = cli_flag(ctl, "location");
    struct mapping mapping;
    struct retail retail;
    if (cli_flag(ctl, "locations") || cli_flag(ctl, "stock")) {
        cli_usage("--locations and --stock go with a catalogue, not with --map");
        return -EINVAL;
    }
    if (mapping_read(&ctl->arena, map, &mapping) < 0)
        return -EINVAL;
    int r = retail_read(&ctl->arena, ctl->args[0], &mapping, &retail);
    if (r == 0) {
        catalog_of_retail(&ctl->arena, &retail, location ? location : "MAIN", ret_file);
        retail_finish(&retail);
    }
    mapping_finish(&mapping);
    return r;
}

int run_catalog_import(struct ctl *ctl)
{
    const char *map = cli_flag(ctl, "map");
    struct catalog_file file;
    int r =
        map ? read_retail(ctl, map, &file)
            : catalog_file_read(&ctl->arena, ctl->args[0], cli_flag(ctl, "locations"), cli_flag(ctl, "stock"), &file);
    return r < 0 || !cli_client(ctl) ? CTL_USAGE : import_all(ctl, &file);
}
