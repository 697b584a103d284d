/* catalog get, list, search: what is sold. */
#include "omsctl/api_names.h"
#include "omsctl/ask.h"
#include "omsctl/commands.h"

#include <stdio.h>

static const char *const product_heads[] = { "PRODUCT", "TITLE", "BRAND", "CATEGORY", ">VARIANTS", ">FROM", NULL };

static const Money *lowest_price(const Product *product)
{
    const Money *lowest = NULL;
    for (size_t i = 0; i < product->n_variants; i++) {
        const Money *price = product->variants[i]->price;
        if (price && (!lowest || price->units < lowest->units ||
                      (price->units == lowest->units && price->nanos < lowest->nanos)))
            lowest = price;
    }
    return lowest;
}

static void product_row(struct arena *arena, struct table *table, const ProtobufCMessage *item)
{
    const Product *product = (const Product *)item;
    TABLE_ROW(table, product->product_id, product->title, product->brand, product->category,
              text_number(arena, (int64_t)product->n_variants), text_money(arena, lowest_price(product)));
}

static void show_product(struct ctl *ctl, const Product *product)
{
    static const char *const heads[] = { "SKU", "VARIANT", ">PRICE", ">WEIGHT", "GTIN", "STOCKED", NULL };
    printf("%s  %s\n%s · %s · version %llu of %s\n%s\n\n", product->product_id, product->title, product->brand,
           product->category, (unsigned long long)product->version, text_time(&ctl->arena, product->update_time_us),
           product->description);
    struct table *table = table_create(heads);
    for (size_t i = 0; i < product->n_variants; i++) {
        const Variant *v = product->variants[i];
        TABLE_ROW(table, v->sku, v->title, text_money(&ctl->arena, v->price),
                  v->weight_grams ? arena_printf(&ctl->arena, "%lld g", (long long)v->weight_grams) : "", v->gtin,
                  v->stocked ? "yes" : "no");
    }
    table_show(table, "no variants");
}

/* A product's id or a SKU: whichever of them the server knows. */
int run_catalog_get(struct ctl *ctl)
{
    struct client *client = cli_client(ctl);
    if (!client)
        return CTL_USAGE;
    Oms__Catalog__V1__GetProductRequest request = OMS__CATALOG__V1__GET_PRODUCT_REQUEST__INIT;
    request.by_case = OMS__CATALOG__V1__GET_PRODUCT_REQUEST__BY_PRODUCT_ID;
    request.product_id = ctl->args[0];
    Product *product;
    struct client_call call = { 0 };
    enum rpc_code code = client_unary(client, &call, CATALOG_METHOD("GetProduct"), &request.base,
                                      &oms__catalog__v1__product__descriptor, &ctl->arena, &product);
    int exit = code == RPC_OK || code == RPC_NOT_FOUND ? CTL_OK : show_status(ctl, &call.status);
    client_finish(&call);
    if (code == RPC_NOT_FOUND) {
        request.by_case = OMS__CATALOG__V1__GET_PRODUCT_REQUEST__BY_SKU;
        request.sku = ctl->args[0];
        exit = ask(ctl, CATALOG_METHOD("GetProduct"), &request.base, &oms__catalog__v1__product__descriptor, &product);
    }
    if (exit != CTL_OK)
        return exit;
    if (ctl->json)
        show_message(&product->base);
    else
        show_product(ctl, product);
    return CTL_OK;
}

int run_catalog_list(struct ctl *ctl)
{
    Oms__Catalog__V1__ListProductsRequest request = OMS__CATALOG__V1__LIST_PRODUCTS_REQUEST__INIT;
    struct listing listing = { .pages = { .method = CATALOG_METHOD("ListProducts"),
                                          .request = &request.base,
                                          .reply = &oms__catalog__v1__list_products_response__descriptor,
                                          .items = "products" },
                               .heads = product_heads,
                               .row = product_row,
                               .nothing = "no products" };
    return ask_listing(ctl, &listing);
}

int run_catalog_search(struct ctl *ctl)
{
    Oms__Catalog__V1__SearchProductsRequest request = OMS__CATALOG__V1__SEARCH_PRODUCTS_REQUEST__INIT;
    request.prefix = ctl->args[0];
    struct listing listing = { .pages = { .method = CATALOG_METHOD("SearchProducts"),
                                          .request = &request.base,
                                          .reply = &oms__catalog__v1__search_products_response__descriptor,
                                          .items = "products" },
                               .heads = product_heads,
                               .row = product_row,
                               .nothing = "no products" };
    return ask_listing(ctl, &listing);
}
