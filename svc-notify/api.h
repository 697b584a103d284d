/* Short names for the generated types of the API that this service serves and uses. */
#pragma once

#include "oms/event/v1/event.pb-c.h"
#include "oms/notify/v1/alert.pb-c.h"
#include "oms/notify/v1/notification.pb-c.h"
#include "oms/order/v1/order.pb-c.h"

typedef Oms__Event__V1__OrderStateChanged OrderStateChanged;
typedef Oms__Event__V1__PaymentChanged PaymentChanged;
typedef Oms__Event__V1__FulfillmentChanged FulfillmentChanged;
typedef Oms__Event__V1__CaseChanged CaseChanged;

typedef Oms__Order__V1__Order Order;
typedef Oms__Order__V1__BatchGetOrdersRequest BatchGetOrdersRequest;
typedef Oms__Order__V1__BatchGetOrdersResponse BatchGetOrdersResponse;

typedef Oms__Notify__V1__Message Message;
typedef Oms__Notify__V1__SendMailRequest SendMailRequest;
typedef Oms__Notify__V1__SendMailResponse SendMailResponse;
typedef Oms__Notify__V1__ListMessagesRequest ListMessagesRequest;
typedef Oms__Notify__V1__ListMessagesResponse ListMessagesResponse;
typedef Oms__Notify__V1__GetMessageRequest GetMessageRequest;

typedef Oms__Notify__V1__Case Case;
typedef Oms__Notify__V1__ListCasesRequest ListCasesRequest;
typedef Oms__Notify__V1__ListCasesResponse ListCasesResponse;
typedef Oms__Notify__V1__GetCaseRequest GetCaseRequest;
typedef Oms__Notify__V1__AcknowledgeCaseRequest AcknowledgeCaseRequest;
typedef Oms__Notify__V1__ResolveCaseRequest ResolveCaseRequest;

enum message_template {
    NO_MAIL = OMS__NOTIFY__V1__MESSAGE__TEMPLATE__TEMPLATE_UNSPECIFIED,
    PAYMENT_ACTION_REQUIRED = OMS__NOTIFY__V1__MESSAGE__TEMPLATE__PAYMENT_ACTION_REQUIRED,
    ORDER_CONFIRMED = OMS__NOTIFY__V1__MESSAGE__TEMPLATE__ORDER_CONFIRMED,
    ORDER_REJECTED = OMS__NOTIFY__V1__MESSAGE__TEMPLATE__ORDER_REJECTED,
    ORDER_CANCELLED = OMS__NOTIFY__V1__MESSAGE__TEMPLATE__ORDER_CANCELLED,
    SHIPPED = OMS__NOTIFY__V1__MESSAGE__TEMPLATE__SHIPPED,
    DELAYED = OMS__NOTIFY__V1__MESSAGE__TEMPLATE__DELAYED,
    LOST = OMS__NOTIFY__V1__MESSAGE__TEMPLATE__PARCEL_LOST,
    RETURNED = OMS__NOTIFY__V1__MESSAGE__TEMPLATE__PARCEL_RETURNED,
    DELIVERED = OMS__NOTIFY__V1__MESSAGE__TEMPLATE__DELIVERED,
    ORDER_COMPLETED = OMS__NOTIFY__V1__MESSAGE__TEMPLATE__ORDER_COMPLETED,
    CANCEL_TOO_LATE = OMS__NOTIFY__V1__MESSAGE__TEMPLATE__CANCEL_TOO_LATE,
    REFUNDED = OMS__NOTIFY__V1__MESSAGE__TEMPLATE__REFUNDED,
    SHORT = OMS__NOTIFY__V1__MESSAGE__TEMPLATE__PARCEL_SHORT,
};
enum message_state {
    QUEUED = OMS__NOTIFY__V1__MESSAGE__STATE__QUEUED,
    SENT = OMS__NOTIFY__V1__MESSAGE__STATE__SENT,
    NO_ADDRESS = OMS__NOTIFY__V1__MESSAGE__STATE__NO_ADDRESS,
    FAILED = OMS__NOTIFY__V1__MESSAGE__STATE__FAILED,
};
enum case_kind {
    NO_CASE = OMS__NOTIFY__V1__CASE__KIND__KIND_UNSPECIFIED,
    SHORTAGE = OMS__NOTIFY__V1__CASE__KIND__SHORTAGE,
    DELAY = OMS__NOTIFY__V1__CASE__KIND__DELAY,
    PARCEL_LOST = OMS__NOTIFY__V1__CASE__KIND__PARCEL_LOST,
    PARCEL_RETURNED = OMS__NOTIFY__V1__CASE__KIND__PARCEL_RETURNED,
    ADDRESS_REFUSED = OMS__NOTIFY__V1__CASE__KIND__ADDRESS_REFUSED,
    PAYMENT_UNKNOWN = OMS__NOTIFY__V1__CASE__KIND__PAYMENT_UNKNOWN,
    PAYMENT_CONTRADICTED = OMS__NOTIFY__V1__CASE__KIND__PAYMENT_CONTRADICTED,
    CAPTURE_FAILED = OMS__NOTIFY__V1__CASE__KIND__CAPTURE_FAILED,
    REFUND_FAILED = OMS__NOTIFY__V1__CASE__KIND__REFUND_FAILED,
    CASE_KINDS,
};
enum case_state {
    OPEN = OMS__NOTIFY__V1__CASE__STATE__OPEN,
    ACKNOWLEDGED = OMS__NOTIFY__V1__CASE__STATE__ACKNOWLEDGED,
    RESOLVED = OMS__NOTIFY__V1__CASE__STATE__RESOLVED,
};
