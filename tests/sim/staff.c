/* Staff: they load the catalogue, count stock and change prices, each request until it is answered. */
#include "tests/sim/shop.h"

#include <stdio.h>
#include <string.h>

#define THINK_US        2000000
#define IDLE_US         10000000 /* without customers there is little to do */
#define LOADING_US      7200000000
#define UPSERT_PRODUCT  "/oms.catalog.v1.CatalogService/UpsertProduct"
#define UPSERT_LOCATION "/oms.inventory.v1.InventoryService/UpsertLocation"
#define ADJUST_STOCK    "/oms.inventory.v1.InventoryService/AdjustStock"

void shop_sku(int sku, char ret_text[16])
{
    snprintf(ret_text, 16, "SKU-%d", sku);
}

void shop_product(int product, char ret_text[16])
{
    snprintf(ret_text, 16, "product-%d", product);
}

void shop_location(int location, char ret_text[16])
{
    snprintf(ret_text, 16, "L%d", location);
}

static void request_id(struct shop *shop, char ret_id[ID_MAX])
{
    id_make(node_port(shop->gateway), "stf", ret_id);
}

/* --- prices --- */

static void repriced(struct actor *actor, const struct heard *answer)
{
    struct shop *shop = actor->shop;

    if (answer->code != RPC_OK)
        shop_violation(shop, "a product was refused: %s", answer->message);
    for (int v = 0; v < SHOP_VARIANTS; v++)
        shop->price_minor[actor->product * SHOP_VARIANTS + v] = actor->price_minor + v;
    actor_rest(actor, THINK_US);
}

/* The second variant of the last product is a service, which is never reserved. */
static void upsert(struct actor *actor, int product)
{
    Oms__Catalog__V1__UpsertProductRequest req = OMS__CATALOG__V1__UPSERT_PRODUCT_REQUEST__INIT;
    Oms__Catalog__V1__Product p = OMS__CATALOG__V1__PRODUCT__INIT;
    Oms__Catalog__V1__Variant variants[SHOP_VARIANTS], *pointers[SHOP_VARIANTS];
    Google__Type__Money prices[SHOP_VARIANTS];
    char id[ID_MAX], product_id[16], skus[SHOP_VARIANTS][16];

    actor->product = product;
    actor->price_minor = 100 + (int64_t)world_roll(actor->shop->w, 100000);
    request_id(actor->shop, id);
    shop_product(product, product_id);
    for (int v = 0; v < SHOP_VARIANTS; v++) {
        shop_sku(product * SHOP_VARIANTS + v, skus[v]);
        prices[v] = (Google__Type__Money)GOOGLE__TYPE__MONEY__INIT;
        prices[v].currency_code = "EUR";
        prices[v].units = (actor->price_minor + v) / 100;
        prices[v].nanos = (int32_t)((actor->price_minor + v) % 100) * 10000000;
        variants[v] = (Oms__Catalog__V1__Variant)OMS__CATALOG__V1__VARIANT__INIT;
        variants[v].sku = skus[v];
        variants[v].title = "A variant";
        variants[v].price = &prices[v];
        variants[v].stocked = product * SHOP_VARIANTS + v != SHOP_SKUS - 1;
        pointers[v] = &variants[v];
    }
    p.product_id = product_id;
    p.title = "A product";
    p.variants = pointers;
    p.n_variants = SHOP_VARIANTS;
    req.request_id = id;
    req.product = &p;
    actor_ask(actor, "svc-inventory", UPSERT_PRODUCT, actor_pack(actor, &req), true, repriced);
}

/* --- stock --- */

static void adjusted(struct actor *actor, const struct heard *answer)
{
    struct adjustment *adjustment = actor->adjustment;

    adjustment->fate = answer->code == RPC_OK ? ACKNOWLEDGED : REFUSED;
    if (answer->code != RPC_OK && answer->code != RPC_FAILED_PRECONDITION)
        shop_violation(actor->shop, "an adjustment was refused: %s %s", answer->reason, answer->message);
    actor_rest(actor, THINK_US);
}

static void adjust(struct actor *actor, int sku, int location, int64_t delta)
{
    Oms__Inventory__V1__AdjustStockRequest req = OMS__INVENTORY__V1__ADJUST_STOCK_REQUEST__INIT;
    struct shop *shop = actor->shop;
    struct adjustment *a = &shop->adjustments[shop->n_adjustments++];
    char sku_text[16], location_text[16];

    *a = (struct adjustment){ .sku = sku, .location = location, .delta = delta };
    request_id(shop, a->request_id);
    shop_sku(sku, sku_text);
    shop_location(location, location_text);
    req.request_id = a->request_id;
    req.sku = sku_text;
    req.location_id = location_text;
    req.delta = delta;
    req.reason = delta > 0 ? "RECEIVED" : "DAMAGED";
    actor->adjustment = a;
    actor_ask(actor, "svc-inventory", ADJUST_STOCK, actor_pack(actor, &req), true, adjusted);
}

void staff_act(struct actor *actor)
{
    struct shop *shop = actor->shop;
    struct world *w = shop->w;

    if (shop->closing)
        return;
    if (shop->n_chores >= shop->n_intentions) {
        actor_rest(actor, IDLE_US);
    } else if (shop->n_chores++ % 3 == 0) {
        int mine = (int)world_roll(w, SHOP_PRODUCTS / SHOP_STAFF) * SHOP_STAFF + actor->number;
        upsert(actor, mine);
    } else {
        int64_t delta = world_roll(w, 3) ? 1 + (int64_t)world_roll(w, 12) : -1 - (int64_t)world_roll(w, 6);
        adjust(actor, (int)world_roll(w, SHOP_SKUS - 1), (int)world_roll(w, SHOP_LOCATIONS), delta);
    }
}

/* --- before the doors open --- */

static bool answered(void *arg)
{
    return !((struct actor *)arg)->answered;
}

static void located(struct actor *actor, const struct heard *answer)
{
    if (answer->code != RPC_OK)
        shop_violation(actor->shop, "a location was refused: %s", answer->message);
}

static void locate(struct actor *actor, int location)
{
    Oms__Inventory__V1__UpsertLocationRequest req = OMS__INVENTORY__V1__UPSERT_LOCATION_REQUEST__INIT;
    Oms__Inventory__V1__Location l = OMS__INVENTORY__V1__LOCATION__INIT;
    char id[ID_MAX], location_id[16];

    request_id(actor->shop, id);
    shop_location(location, location_id);
    l.location_id = location_id;
    l.title = "A warehouse";
    l.priority = location;
    req.request_id = id;
    req.location = &l;
    actor_ask(actor, "svc-inventory", UPSERT_LOCATION, actor_pack(actor, &req), true, located);
}

static bool step(struct actor *loader, int i)
{
    struct world *w = loader->shop->w;

    if (i < SHOP_LOCATIONS)
        locate(loader, i);
    else if ((i -= SHOP_LOCATIONS) < SHOP_PRODUCTS)
        upsert(loader, i);
    else if ((i -= SHOP_PRODUCTS) < (SHOP_SKUS - 1) * SHOP_LOCATIONS)
        adjust(loader, i / SHOP_LOCATIONS, i % SHOP_LOCATIONS,
               1 + (int64_t)world_roll(w, 4 + loader->shop->wanted / SHOP_LOCATIONS / 8));
    else
        return false;
    return true;
}

static void rest(struct actor *actor)
{
}

bool staff_load(struct shop *shop)
{
    struct actor loader;
    bool ok = true;

    actor_init(&loader, shop, 0, ROLE_BIT(MESH__V1__ROLE__ERP), "loader", rest);
    for (int i = 0; ok && step(&loader, i); i++)
        ok = world_until(shop->w, answered, &loader, LOADING_US);
    actor_finish(&loader);
    return ok;
}
