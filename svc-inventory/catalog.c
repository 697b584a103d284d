/* CatalogService: what is sold. Every change of a product is one version and one event that carries it whole. */
#include "mesh/base/money.h"
#include "svc-inventory/product.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_DEFAULT 50

static int fail_price(struct rpc_call *call, const char *field, int error)
{
    if (error == -EDOM)
        return rpc_fail_field(call, field, "AMOUNT_NOT_WHOLE", "the price is not a whole number of minor units");
    if (error == -ERANGE)
        return rpc_fail_field(call, field, "AMOUNT_OVERFLOW", "the price does not fit in 64 bits");
    return rpc_fail_field(call, field, "AMOUNT_INVALID", "the price is no amount of a currency of ISO 4217");
}

static int read_prices(struct rpc_call *call, const Product *product, int64_t **ret_minor)
{
    int64_t *minor = arena_alloc(rpc_arena(call), product->n_variants * sizeof(*minor));
    if (!minor)
        return -ENOMEM;

    for (size_t i = 0; i < product->n_variants; i++) {
        const char *field = arena_printf(rpc_arena(call), "product.variants[%zu].price", i);
        if (!field)
            return -ENOMEM;
        int r = money_from_wire(product->variants[i]->price, &minor[i]);
        if (r < 0)
            return fail_price(call, field, r);
        if (minor[i] < 0)
            return rpc_fail_field(call, field, "AMOUNT_NEGATIVE", "a price is not below zero");
    }
    *ret_minor = minor;
    return 0;
}

struct named {
    const char *sku;
    size_t place;
};

static int compare_named(const void *a, const void *b)
{
    const struct named *x = a, *y = b;
    int order = strcmp(x->sku, y->sku);
    return order ? order : (x->place > y->place) - (x->place < y->place);
}

static int check_skus_differ(struct rpc_call *call, const Product *product)
{
    struct named *skus = arena_alloc(rpc_arena(call), product->n_variants * sizeof(*skus));
    if (!skus)
        return -ENOMEM;
    for (size_t i = 0; i < product->n_variants; i++)
        skus[i] = (struct named){ product->variants[i]->sku, i };
    qsort(skus, product->n_variants, sizeof(*skus), compare_named);

    for (size_t i = 1; i < product->n_variants; i++) {
        if (strcmp(skus[i - 1].sku, skus[i].sku) != 0)
            continue;
        const char *field = arena_printf(rpc_arena(call), "product.variants[%zu].sku", skus[i].place);
        if (!field)
            return -ENOMEM;
        return rpc_fail_field(call, field, "SKU_REPEATED", "variant %zu has the same SKU", skus[i - 1].place);
    }
    return 0;
}

static int check_skus_free(struct rpc_call *call, struct txn *txn, const Product *product)
{
    struct value *skus = arena_alloc(txn->arena, product->n_variants * sizeof(*skus));
    if (!skus)
        return -ENOMEM;
    for (size_t i = 0; i < product->n_variants; i++)
        skus[i] = T(product->variants[i]->sku);

    struct rows rows;
    int r = txn_query_many(txn, &rows,
                           "WITH wanted (sku) AS (VALUES (CAST($1 AS TEXT))) SELECT v.sku, v.product_id "
                           "FROM wanted CROSS JOIN variant v WHERE v.sku = wanted.sku ORDER BY v.sku",
                           product->n_variants, 1, skus);
    if (r < 0)
        return r;
    for (size_t i = 0; i < rows.n; i++) {
        if (strcmp(row_text(&rows, i, 1), product->product_id) == 0)
            continue;
        r = rpc_fail(call, RPC_ALREADY_EXISTS, "SKU_TAKEN", "another product has this SKU");
        rpc_error_meta(call, "sku", row_text(&rows, i, 0));
        rpc_error_meta(call, "product_id", row_text(&rows, i, 1));
        return r;
    }
    return 0;
}

static int check_etag(struct rpc_call *call, const Product *wanted, const Product *current)
{
    if (wanted->etag[0] == '\0' || (current && strcmp(wanted->etag, current->etag) == 0))
        return 0;
    int r = rpc_fail(call, RPC_ABORTED, "ETAG_MISMATCH", "the product has changed since it was read");
    if (current)
        rpc_error_meta(call, "etag", current->etag);
    return r;
}

/* Whether the wanted product is the current one, all but version, time and etag. */
static int compare_products(struct arena *arena, const Product *wanted, const Product *current, bool *ret_same)
{
    Product as_wanted = *wanted;
    as_wanted.version = current->version;
    as_wanted.update_time_us = current->update_time_us;
    as_wanted.etag = current->etag;

    struct bytes a = arena_pack(arena, &as_wanted.base), b = arena_pack(arena, &current->base);
    if (!a.data || !b.data)
        return -ENOMEM;
    *ret_same = a.len == b.len && memcmp(a.data, b.data, a.len) == 0;
    return 0;
}

static int append_upserted(struct txn *txn, Product *product)
{
    ProductUpserted payload = OMS__EVENT__V1__PRODUCT_UPSERTED__INIT;
    payload.product = product;
    return log_append(txn, &(struct event){
                               .type = OMS__EVENT__V1__EVENT_TYPE__PRODUCT_UPSERTED,
                               .key = product->product_id,
                               .owner = "",
                               .audience = AUDIENCE_PUBLIC,
                               .payload = &payload.base,
                           });
}

static int change_product(struct txn *txn, const Product *wanted, const int64_t *prices_minor, uint64_t version,
                          Product **ret_product)
{
    Product *product = arena_message(txn->arena, wanted->base.descriptor);
    if (!product)
        return -ENOMEM;
    *product = *wanted;
    product->version = version;
    product->update_time_us = txn->now_us;
    product->etag = (char *)product_etag(txn->arena, version);
    if (!product->etag)
        return -ENOMEM;

    int r = product_write(txn, product, prices_minor);
    if (r < 0)
        return r;
    *ret_product = product;
    return append_upserted(txn, product);
}

static int upsert_product(struct rpc_call *call, struct txn *txn, const void *in, void *out)
{
    const UpsertProductRequest *req = in;
    UpsertProductResponse *ret = out;

    int64_t *prices = NULL;
    int r = read_prices(call, req->product, &prices);
    if (r < 0)
        return r;
    r = check_skus_differ(call, req->product);
    if (r < 0)
        return r;

    Product *current;
    r = product_by_id(txn, req->product->product_id, &current);
    if (r < 0)
        return r;
    r = check_etag(call, req->product, current);
    if (r < 0)
        return r;

    bool same = false;
    if (current && (r = compare_products(txn->arena, req->product, current, &same)) < 0)
        return r;
    ret->product = current;
    if (!same) {
        r = check_skus_free(call, txn, req->product);
        if (r < 0)
            return r;
        r = change_product(txn, req->product, prices, current ? current->version + 1 : 1, &ret->product);
        if (r < 0)
            return r;
    }
    return log_position_message(txn, &ret->position);
}

static int get_product(struct rpc_call *call, struct txn *txn, const void *in, void *out)
{
    const GetProductRequest *req = in;
    bool by_id = req->by_case == OMS__CATALOG__V1__GET_PRODUCT_REQUEST__BY_PRODUCT_ID;
    const char *name = by_id ? req->product_id : req->sku;
    if (req->by_case == OMS__CATALOG__V1__GET_PRODUCT_REQUEST__BY__NOT_SET || name[0] == '\0')
        return rpc_fail_field(call, "product_id", "FIELD_REQUIRED", "a product_id or a sku is needed");

    Product *product;
    int r = by_id ? product_by_id(txn, name, &product) : product_by_sku(txn, name, &product);
    if (r < 0)
        return r;
    if (!product)
        return rpc_fail_missing(call, "product", name);
    *(Product *)out = *product;
    return 0;
}

/* A page was read with one product too many, if there are more. */
static int end_page(struct rpc_call *call, const char *query, size_t max, struct products *products,
                    char **ret_next_page_token)
{
    if (products->n <= max)
        return 0;
    products->n = max;
    const char *last = products->items[max - 1]->product_id;
    *ret_next_page_token = (char *)rpc_page_token(call, query, &last, 1);
    return *ret_next_page_token ? 0 : -ENOMEM;
}

static int list_products(struct rpc_call *call, struct txn *txn, const void *in, void *out)
{
    const ListProductsRequest *req = in;
    ListProductsResponse *ret = out;
    size_t max = req->page_size ? req->page_size : PAGE_DEFAULT;
    const char *after;
    int r = rpc_page_open(call, req->page_token, "products", &after, 1);
    if (r < 0)
        return r;

    struct products products;
    r = products_after(txn, after ? after : "", max + 1, &products);
    if (r < 0)
        return r;
    r = end_page(call, "products", max, &products, &ret->next_page_token);
    if (r < 0)
        return r;
    ret->products = products.items;
    ret->n_products = products.n;
    return 0;
}

static int search_products(struct rpc_call *call, struct txn *txn, const void *in, void *out)
{
    const SearchProductsRequest *req = in;
    SearchProductsResponse *ret = out;
    size_t max = req->page_size ? req->page_size : PAGE_DEFAULT;
    const char *query = arena_printf(rpc_arena(call), "search %s", req->prefix), *after;
    if (!query)
        return -ENOMEM;
    int r = rpc_page_open(call, req->page_token, query, &after, 1);
    if (r < 0)
        return r;

    struct products products;
    r = products_search(txn, req->prefix, after ? after : "", max + 1, &products);
    if (r < 0)
        return r;
    r = end_page(call, query, max, &products, &ret->next_page_token);
    if (r < 0)
        return r;
    ret->products = products.items;
    ret->n_products = products.n;
    return 0;
}

static const struct rpc_method methods[] = {
    { "UpsertProduct", .unit = upsert_product },
    { "GetProduct", .unit = get_product },
    { "ListProducts", .unit = list_products },
    { "SearchProducts", .unit = search_products },
    {},
};
const struct rpc_service catalog_rpc = {
    "oms.catalog.v1.CatalogService",
    &oms__catalog__v1__catalog_service__descriptor,
    methods,
};
