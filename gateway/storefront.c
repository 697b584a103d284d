/* What an order's overview and a product's page are put together from. */
#include "gateway/storefront.h"

#include "api.h"

#include <errno.h>

#define PART_US (2 * 1000 * 1000)

typedef Oms__Storefront__V1__GetOrderOverviewRequest OrderOverviewRequest;
typedef Oms__Storefront__V1__GetProductPageRequest ProductPageRequest;

static int packed(struct fan *fan, const ProtobufCMessage *message, struct bytes *ret_request)
{
    *ret_request = arena_pack(fan_arena(fan), message);
    return ret_request->data ? 0 : -ENOMEM;
}

/* --- an order --- */

static const char *order_of(const struct fan *fan)
{
    return ((const OrderOverviewRequest *)fan_request(fan))->order_id;
}

static int ask_order(struct fan *fan, struct bytes *ret_request)
{
    Oms__Order__V1__GetOrderRequest request = OMS__ORDER__V1__GET_ORDER_REQUEST__INIT;
    request.order_id = (char *)order_of(fan);
    return packed(fan, &request.base, ret_request);
}

static int ask_payment(struct fan *fan, struct bytes *ret_request)
{
    Oms__Payment__V1__GetPaymentRequest request = OMS__PAYMENT__V1__GET_PAYMENT_REQUEST__INIT;
    request.by_case = OMS__PAYMENT__V1__GET_PAYMENT_REQUEST__BY_ORDER_ID;
    request.order_id = (char *)order_of(fan);
    return packed(fan, &request.base, ret_request);
}

static int ask_fulfillments(struct fan *fan, struct bytes *ret_request)
{
    Oms__Shipping__V1__ListFulfillmentsRequest request = OMS__SHIPPING__V1__LIST_FULFILLMENTS_REQUEST__INIT;
    request.order_id = (char *)order_of(fan);
    return packed(fan, &request.base, ret_request);
}

static int ask_messages(struct fan *fan, struct bytes *ret_request)
{
    Oms__Notify__V1__ListMessagesRequest request = OMS__NOTIFY__V1__LIST_MESSAGES_REQUEST__INIT;
    request.order_id = (char *)order_of(fan);
    request.min_position = ((const OrderOverviewRequest *)fan_request(fan))->min_position;
    return packed(fan, &request.base, ret_request);
}

static struct fan_part order_parts[] = {
    { .name = "order",
      .peer = "svc-order",
      .method = "/oms.order.v1.OrderService/GetOrder",
      .most_us = PART_US,
      .share = 100,
      .after = FAN_AT_ONCE,
      .request = ask_order,
      .fields = { { 1, 1 } },
      .position = 2,
      .decides = true },
    { .name = "payment",
      .peer = "svc-payment",
      .method = "/oms.payment.v1.PaymentService/GetPayment",
      .most_us = PART_US,
      .share = 100,
      .after = FAN_AT_ONCE,
      .request = ask_payment,
      .whole = 2,
      .may_be_none = true },
    { .name = "fulfillments",
      .peer = "svc-shipping",
      .method = "/oms.shipping.v1.FulfillmentService/ListFulfillments",
      .most_us = PART_US,
      .share = 100,
      .after = FAN_AT_ONCE,
      .request = ask_fulfillments,
      .fields = { { 1, 3 }, { 2, 5 } } },
    { .name = "messages",
      .peer = "svc-notify",
      .method = "/oms.notify.v1.NotificationService/ListMessages",
      .most_us = PART_US,
      .share = 100,
      .after = FAN_AT_ONCE,
      .request = ask_messages,
      .fields = { { 1, 4 }, { 2, 6 } } },
};
static const struct fan_page order_page = {
    .name = "GetOrderOverview",
    .request = &oms__storefront__v1__get_order_overview_request__descriptor,
    .missing = 7,
    .as_of = 8,
    .parts = order_parts,
    .n_parts = sizeof(order_parts) / sizeof(order_parts[0]),
};

/* --- a product --- */

enum { PRODUCT, AVAILABILITY };

static int ask_product(struct fan *fan, struct bytes *ret_request)
{
    const ProductPageRequest *page = fan_request(fan);
    Oms__Catalog__V1__GetProductRequest request = OMS__CATALOG__V1__GET_PRODUCT_REQUEST__INIT;
    request.by_case = (Oms__Catalog__V1__GetProductRequest__ByCase)page->by_case;
    if (page->by_case == OMS__STOREFRONT__V1__GET_PRODUCT_PAGE_REQUEST__BY_SKU)
        request.sku = page->sku;
    else
        request.product_id = page->product_id;
    return packed(fan, &request.base, ret_request);
}

/* Of what is not stocked there is always enough. */
static int ask_availability(struct fan *fan, struct bytes *ret_request)
{
    struct bytes reply = fan_reply(fan, PRODUCT);
    ProtobufCAllocator allocator = arena_protobuf(fan_arena(fan));
    const Oms__Catalog__V1__Product *product = oms__catalog__v1__product__unpack(&allocator, reply.len, reply.data);
    if (!product)
        return -ENOMEM;
    Oms__Inventory__V1__BatchGetAvailabilityRequest request = OMS__INVENTORY__V1__BATCH_GET_AVAILABILITY_REQUEST__INIT;
    request.skus = arena_alloc(fan_arena(fan), product->n_variants * sizeof(*request.skus) + 1);
    if (!request.skus)
        return -ENOMEM;
    for (size_t i = 0; i < product->n_variants; i++)
        if (product->variants[i]->stocked)
            request.skus[request.n_skus++] = product->variants[i]->sku;
    return request.n_skus ? packed(fan, &request.base, ret_request) : -ENOENT;
}

static struct fan_part product_parts[] = {
    [PRODUCT] = { .name = "product",
                  .peer = "svc-inventory",
                  .method = "/oms.catalog.v1.CatalogService/GetProduct",
                  .most_us = PART_US,
                  .share = 60,
                  .after = FAN_AT_ONCE,
                  .request = ask_product,
                  .whole = 1,
                  .decides = true },
    [AVAILABILITY] = { .name = "availability",
                       .peer = "svc-inventory",
                       .method = "/oms.inventory.v1.InventoryService/BatchGetAvailability",
                       .most_us = PART_US,
                       .share = 100,
                       .after = PRODUCT,
                       .request = ask_availability,
                       .fields = { { 1, 2 } } },
};
static const struct fan_page product_page = {
    .name = "GetProductPage",
    .request = &oms__storefront__v1__get_product_page_request__descriptor,
    .missing = 3,
    .as_of = 4,
    .parts = product_parts,
    .n_parts = sizeof(product_parts) / sizeof(product_parts[0]),
};

/* --- servers --- */

static void begin_order(struct exchange *x)
{
    fan_begin(x, &order_page);
}

static void begin_product(struct exchange *x)
{
    fan_begin(x, &product_page);
}

static void taken(struct exchange *x, size_t n)
{
}

const struct server storefront_order_overview = { begin_order, begin_order, taken, fan_abort };
const struct server storefront_product_page = { begin_product, begin_product, taken, fan_abort };
