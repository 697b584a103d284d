/* Who svc-order commands, and how its commands are called. */
#pragma once

#include "svc-order/life.h"

#define INVENTORY "svc-inventory"
#define RESERVE   "/oms.inventory.v1.InventoryService/ReserveStock"
#define RELEASE   "/oms.inventory.v1.InventoryService/ReleaseStock"
#define COMMIT    "/oms.inventory.v1.InventoryService/CommitStock"

#define RECORD_MOVEMENTS "/oms.inventory.v1.InventoryService/RecordMovements"

#define PAYMENTS          "svc-payment"
#define AUTHORIZE_PAYMENT "/oms.payment.v1.PaymentService/AuthorizePayment"
#define CAPTURE_PAYMENT   "/oms.payment.v1.PaymentService/CapturePayment"
#define VOID_PAYMENT      "/oms.payment.v1.PaymentService/VoidPayment"
#define REFUND_PAYMENT    "/oms.payment.v1.PaymentService/RefundPayment"

#define BOOK_INVOICE "/oms.payment.v1.LedgerService/BookInvoice"

#define SHIPPING           "svc-shipping"
#define CREATE_FULFILLMENT "/oms.shipping.v1.FulfillmentService/CreateFulfillment"
#define CANCEL_FULFILLMENT "/oms.shipping.v1.FulfillmentService/CancelFulfillment"

#define PAYMENT_DEADLINE "payment-deadline" /* a timer, key order_id */

/* Wants the stock of the lines, all of them stocked, reserved; what becomes of it will have happened to the order. */
int life_reserve(struct life *life, ReserveLine **lines, size_t n);
