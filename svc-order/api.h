/* Short names for the generated types of the API that this service serves and uses. */
#pragma once

#include "oms/event/v1/event.pb-c.h"
#include "oms/inventory/v1/inventory.pb-c.h"
#include "oms/order/v1/order.pb-c.h"

typedef Google__Type__Money Money;
typedef Mesh__V1__Position Position;

typedef Oms__Catalog__V1__Product Product;
typedef Oms__Catalog__V1__Variant Variant;
typedef Oms__Event__V1__ProductUpserted ProductUpserted;
typedef Oms__Event__V1__OrderPlaced OrderPlaced;
typedef Oms__Event__V1__OrderStateChanged OrderStateChanged;

typedef Oms__Inventory__V1__ReserveStockRequest ReserveStockRequest;
typedef Oms__Inventory__V1__ReserveStockRequest__Line ReserveLine;
typedef Oms__Inventory__V1__ReserveStockResponse ReserveStockResponse;
typedef Oms__Inventory__V1__ReserveStockResponse__Shortage Shortage;
typedef Oms__Inventory__V1__ReleaseStockRequest ReleaseStockRequest;

typedef Oms__Order__V1__Order Order;
typedef Oms__Order__V1__OrderLine OrderLine;
typedef Oms__Order__V1__Address Address;
typedef Oms__Order__V1__PlaceOrderRequest PlaceOrderRequest;
typedef Oms__Order__V1__PlaceOrderRequest__Line PlaceLine;
typedef Oms__Order__V1__PlaceOrderResponse PlaceOrderResponse;
typedef Oms__Order__V1__GetOrderRequest GetOrderRequest;
typedef Oms__Order__V1__GetOrderResponse GetOrderResponse;
typedef Oms__Order__V1__ListOrdersRequest ListOrdersRequest;
typedef Oms__Order__V1__ListOrdersResponse ListOrdersResponse;
