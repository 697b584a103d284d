/* The table of events and their payloads; a test compares it with the enum. */
#include "omsctl/event_types.h"

#include "oms/event/v1/event.pb-c.h"

#define ROW(type, payload) \
    { \
        OMS__EVENT__V1__EVENT_TYPE__##type, &oms__event__v1__##payload##__descriptor \
    }

static const struct {
    int32_t type;
    const ProtobufCMessageDescriptor *payload;
} payloads[] = {
    ROW(PRODUCT_UPSERTED, product_upserted),
    ROW(AVAILABILITY_CHANGED, availability_changed),
    ROW(RESERVATION_EXPIRED, reservation_expired),
    ROW(ORDER_PLACED, order_placed),
    ROW(ORDER_CONFIRMED, order_state_changed),
    ROW(ORDER_REJECTED, order_state_changed),
    ROW(ORDER_CANCELLING, order_state_changed),
    ROW(ORDER_CANCELLED, order_state_changed),
    ROW(ORDER_COMPLETED, order_state_changed),
    ROW(ORDER_PROGRESSED, order_state_changed),
    ROW(ORDER_IMPORTED, order_imported),
    ROW(CREDIT_ISSUED, credit_issued),
    ROW(PAYMENT_AUTHORIZED, payment_changed),
    ROW(PAYMENT_DECLINED, payment_changed),
    ROW(PAYMENT_ACTION_REQUIRED, payment_changed),
    ROW(PAYMENT_UNKNOWN, payment_changed),
    ROW(PAYMENT_EXPIRED, payment_changed),
    ROW(PAYMENT_CAPTURED, payment_changed),
    ROW(PAYMENT_CAPTURE_FAILED, payment_changed),
    ROW(PAYMENT_VOIDED, payment_changed),
    ROW(PAYMENT_REFUNDED, payment_changed),
    ROW(PAYMENT_REFUND_FAILED, payment_changed),
    ROW(PAYMENT_CONTRADICTED, payment_changed),
    ROW(FULFILLMENT_CREATED, fulfillment_changed),
    ROW(FULFILLMENT_PACKED, fulfillment_changed),
    ROW(FULFILLMENT_SHIPPED, fulfillment_changed),
    ROW(FULFILLMENT_IN_TRANSIT, fulfillment_changed),
    ROW(FULFILLMENT_DELAYED, fulfillment_changed),
    ROW(FULFILLMENT_DELIVERED, fulfillment_changed),
    ROW(FULFILLMENT_LOST, fulfillment_changed),
    ROW(FULFILLMENT_RETURNED, fulfillment_changed),
    ROW(FULFILLMENT_CANCELLED, fulfillment_changed),
    ROW(FULFILLMENT_REFUSED, fulfillment_changed),
    ROW(FULFILLMENT_SHORT, fulfillment_changed),
    ROW(CASE_RAISED, case_changed),
    ROW(CASE_ACKNOWLEDGED, case_changed),
    ROW(CASE_RESOLVED, case_changed),
};

const char *event_name(int32_t type)
{
    const ProtobufCEnumValue *value =
        protobuf_c_enum_descriptor_get_value(&oms__event__v1__event_type__descriptor, type);
    return value ? value->name : "?";
}

const ProtobufCMessageDescriptor *event_payload(int32_t type)
{
    for (size_t i = 0; i < sizeof(payloads) / sizeof(payloads[0]); i++)
        if (payloads[i].type == type)
            return payloads[i].payload;
    return NULL;
}
