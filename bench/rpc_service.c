/* The service of bench/rpc: two methods without work of their own, everything else is the runtime's. */
#include "bench/rpc_servers.h"
#include "mesh/service.h"

const Oms__Catalog__V1__Product *bench_product(void)
{
    static Google__Type__Money price = { PROTOBUF_C_MESSAGE_INIT(&google__type__money__descriptor),
                                         .currency_code = (char *)"GBP", .units = 12, .nanos = 950000000 };
    static Oms__Catalog__V1__Variant variant = { PROTOBUF_C_MESSAGE_INIT(&oms__catalog__v1__variant__descriptor),
                                                 .sku = (char *)"85123A-RED",
                                                 .title = (char *)"red",
                                                 .price = &price,
                                                 .weight_grams = 310,
                                                 .gtin = (char *)"04006381333931",
                                                 .stocked = true };
    static Oms__Catalog__V1__Variant *variants[] = { &variant };
    static Oms__Catalog__V1__Product product = {
        PROTOBUF_C_MESSAGE_INIT(&oms__catalog__v1__product__descriptor),
        .product_id = (char *)"prd_01hf3k9v2m8q4w6x0c5r7t1n3p",
        .title = (char *)"White hanging heart t-light holder",
        .description = (char *)"Metal, for one tea light, with a ribbon to hang it by a window or on the wall.",
        .brand = (char *)"House",
        .category = (char *)"candles",
        .n_variants = 1,
        .variants = variants,
        .version = 7,
        .update_time_us = 1700000000000000,
        .etag = (char *)"7",
    };
    return &product;
}

static int get_product(struct rpc_call *call, const void *in, void *out)
{
    *(Oms__Catalog__V1__Product *)out = *bench_product();
    return RPC_REPLY;
}

static int search_products(struct rpc_call *call, struct txn *txn, const void *in, void *out)
{
    static Oms__Catalog__V1__Product *found[1];
    Oms__Catalog__V1__SearchProductsResponse *reply = out;
    found[0] = (Oms__Catalog__V1__Product *)bench_product();
    reply->n_products = 1;
    reply->products = found;
    return 0;
}

static const struct rpc_method methods[] = {
    { "UpsertProduct", .elsewhere = true },
    { "GetProduct", .gather = get_product },
    { "ListProducts", .elsewhere = true },
    { "SearchProducts", .unit = search_products },
    {},
};
static const struct rpc_service catalog = { "oms.catalog.v1.CatalogService",
                                            &oms__catalog__v1__catalog_service__descriptor, methods };
static const struct rpc_service *const serves[] = { &catalog, NULL };
static const struct service_spec spec = { .name = "svc-bench", .about = "what a call costs", .serves = serves };

int service_process(int argc, char **argv)
{
    return service_main(&spec, argc, argv);
}
