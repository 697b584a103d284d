/* Short names for what protobuf-c generates. */
#pragma once

#include "api.h"

typedef Google__Type__Money Money;
typedef Oms__Catalog__V1__Product Product;
typedef Oms__Catalog__V1__Variant Variant;
typedef Oms__Inventory__V1__Location Location;
typedef Oms__Inventory__V1__Stock Stock;
typedef Oms__Inventory__V1__Movement Movement;
typedef Oms__Inventory__V1__VerifyInventoryResponse VerifyInventoryResponse;
typedef Oms__Inventory__V1__VerifyInventoryResponse__Divergence Divergence;
typedef Oms__Notify__V1__Case Case;
typedef Oms__Order__V1__Credit Credit;
typedef Oms__Order__V1__CreditLine CreditLine;
typedef Oms__Order__V1__Order Order;
typedef Oms__Order__V1__OrderLine OrderLine;
typedef Oms__Order__V1__PlaceOrderRequest PlaceOrderRequest;
typedef Oms__Order__V1__PlaceOrderRequest__Line PlaceOrderLine;
typedef Oms__Order__V1__ImportJob ImportJob;
typedef Oms__Order__V1__ImportOrdersRequest ImportOrdersRequest;
typedef Oms__Order__V1__ImportOrdersRequest__Entry NewOrder;
typedef Oms__Order__V1__ImportOrdersRequest__Cancelled CancelledLine;
typedef Oms__Order__V1__ImportOrdersResponse ImportOrdersResponse;
typedef Oms__Order__V1__ImportOrdersResponse__Refusal ImportRefusal;
typedef Oms__Order__V1__ImportOrdersResponse__Result ImportResult;
typedef Oms__Order__V1__ExportOrdersRequest ExportOrdersRequest;
typedef Oms__Order__V1__ExportOrdersResponse ExportOrdersResponse;
typedef Oms__Payment__V1__Operation Operation;
typedef Oms__Payment__V1__Payment Payment;
typedef Oms__Shipping__V1__Fulfillment Fulfillment;

#define CATALOG_METHOD(name)   "/oms.catalog.v1.CatalogService/" name
#define INVENTORY_METHOD(name) "/oms.inventory.v1.InventoryService/" name
#define ALERT_METHOD(name)     "/oms.notify.v1.AlertService/" name
#define LEDGER_METHOD(name)    "/oms.payment.v1.LedgerService/" name
#define MESSAGE_METHOD(name)   "/oms.notify.v1.NotificationService/" name
#define ORDER_METHOD(name)     "/oms.order.v1.OrderService/" name
#define PAYMENT_METHOD(name)   "/oms.payment.v1.PaymentService/" name
#define SHIPPING_METHOD(name)  "/oms.shipping.v1.FulfillmentService/" name
#define ADMIN_METHOD(name)     "/mesh.v1.AdminService/" name
#define LOG_METHOD(name)       "/mesh.v1.LogService/" name

#define PAGE_MAX      500
#define LIMIT_DEFAULT 100
#define LIMIT_MAX     INT64_C(100000000)
