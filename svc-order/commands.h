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

/* Timers. */
#define PAYMENT_DEADLINE "payment-deadline" /* key order_id */
#define IMPORT_STEP      "import-step"      /* key import_id; these two are in staging.c */
#define IMPORT_EXPIRY    "import-expiry"
int import_step(struct txn *txn, const char *import_id, int64_t due_us);
int import_expired(struct txn *txn, const char *import_id, int64_t due_us);

/* Wants the stock of the lines, all of them stocked, reserved; what becomes of it will have happened to the order. */
int life_reserve(struct life *life, ReserveLine **lines, size_t n);
