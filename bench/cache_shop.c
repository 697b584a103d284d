/* What svc-inventory has, and what is asked of it. */
#include "bench/cache_bench.h"
#include "mesh/rpc/rpc.h"
#include "svc-inventory/api.h"

#include <stdlib.h>
#include <string.h>

#define CATALOG  "/oms.catalog.v1.CatalogService/"
#define STOCK    "/oms.inventory.v1.InventoryService/"
#define VARIANTS 100 /* of a product */
#define AT_ONCE  64

static const char *sku_of(int i)
{
    static char skus[SKUS][16];
    snprintf(skus[i], sizeof(skus[i]), "SKU-%05d", i);
    return skus[i];
}

static const char *admin(void)
{
    static char text[CALLER_SUBJECT_MAX + 16];
    caller_format(&(struct caller){ ROLE_BIT(MESH__V1__ROLE__ADMIN), "bench" }, text);
    return text;
}

static void ask(const char *dir, const struct server *server, const char *method, const ProtobufCMessage *request,
                const ProtobufCMessageDescriptor *reply)
{
    protobuf_c_message_free_unpacked(calls_ask(dir, server, admin(), method, request, reply), NULL);
}

static void add_location(const char *dir, const struct server *server)
{
    Location location = OMS__INVENTORY__V1__LOCATION__INIT;
    UpsertLocationRequest request = OMS__INVENTORY__V1__UPSERT_LOCATION_REQUEST__INIT;
    location.location_id = (char *)"MAIN";
    location.title = (char *)"the only one";
    request.request_id = (char *)"location";
    request.location = &location;
    ask(dir, server, STOCK "UpsertLocation", &request.base, &oms__inventory__v1__location__descriptor);
}

static void add_product(const char *dir, const struct server *server, int first)
{
    Product product = OMS__CATALOG__V1__PRODUCT__INIT;
    Variant variants[VARIANTS], *pointers[VARIANTS];
    Money price = GOOGLE__TYPE__MONEY__INIT;
    UpsertProductRequest request = OMS__CATALOG__V1__UPSERT_PRODUCT_REQUEST__INIT;
    price.currency_code = (char *)"EUR";
    price.units = 1;
    for (int i = 0; i < VARIANTS; i++) {
        oms__catalog__v1__variant__init(&variants[i]);
        variants[i].sku = (char *)sku_of(first + i);
        variants[i].price = &price;
        variants[i].stocked = true;
        pointers[i] = &variants[i];
    }
    product.product_id = product.title = request.request_id = (char *)sku_of(first);
    product.variants = pointers;
    product.n_variants = VARIANTS;
    request.product = &product;
    ask(dir, server, CATALOG "UpsertProduct", &request.base, &oms__catalog__v1__upsert_product_response__descriptor);
}

static void start_stocking(struct calls *calls, struct slot *slot, int i)
{
    AdjustStockRequest request = OMS__INVENTORY__V1__ADJUST_STOCK_REQUEST__INIT;
    request.request_id = request.sku = (char *)sku_of(i);
    request.location_id = (char *)"MAIN";
    request.delta = i + 1;
    request.reason = (char *)"RECEIVED";
    calls_start(calls, slot, STOCK "AdjustStock", admin(), &request.base);
}

void shop_fill(const char *dir, const struct server *server)
{
    struct slot slots[AT_ONCE] = { 0 };
    int next = 0;
    add_location(dir, server);
    for (int i = 0; i < SKUS; i += VARIANTS)
        add_product(dir, server, i);
    struct calls *calls = calls_open(dir, server, "gateway");
    for (; next < AT_ONCE; next++)
        start_stocking(calls, &slots[next], next);
    while (calls_in_flight(calls) > 0) {
        ProtobufCMessage *reply;
        struct slot *slot = calls_next(calls, &oms__inventory__v1__adjust_stock_response__descriptor, &reply);
        if (!reply)
            exit(EXIT_FAILURE);
        protobuf_c_message_free_unpacked(reply, NULL);
        if (next < SKUS)
            start_stocking(calls, slot, next++);
    }
    for (int i = 0; i < AT_ONCE; i++)
        slot_forget(&slots[i]);
    calls_close(calls);
}

void page_ask(struct calls *calls, struct slot *slot, struct page *page)
{
    BatchGetAvailabilityRequest request = OMS__INVENTORY__V1__BATCH_GET_AVAILABILITY_REQUEST__INIT;
    char *skus[PAGE_SKUS_MAX];
    for (int i = 0; i < page->n; i++) {
        page->skus[i] = (int)(random() % SKUS);
        skus[i] = (char *)sku_of(page->skus[i]);
    }
    request.skus = skus;
    request.n_skus = (size_t)page->n;
    calls_start(calls, slot, STOCK "BatchGetAvailability", admin(), &request.base);
}

static bool is_right(const struct page *page, const BatchGetAvailabilityResponse *reply)
{
    bool right = reply && reply->n_availability == (size_t)page->n;
    for (int i = 0; right && i < page->n; i++)
        right = strcmp(reply->availability[i]->sku, sku_of(page->skus[i])) == 0 &&
                reply->availability[i]->available == page->skus[i] + 1;
    return right;
}

struct slot *page_answer(struct calls *calls, const struct slot *slots, const struct page *pages, bool *ret_right)
{
    ProtobufCMessage *reply;
    struct slot *slot = calls_next(calls, &oms__inventory__v1__batch_get_availability_response__descriptor, &reply);
    *ret_right = is_right(&pages[slot - slots], (const BatchGetAvailabilityResponse *)reply);
    if (reply)
        protobuf_c_message_free_unpacked(reply, NULL);
    return slot;
}
