/* The table of events and their payloads; a test compares it with the enum. */
#include "omsctl/event_types.h"

#include "oms/event/v1/event.pb-c.h"

static const struct {
    int32_t type;
    const ProtobufCMessageDescriptor *payload;
} payloads[] = {
    { OMS__EVENT__V1__EVENT_TYPE__PRODUCT_UPSERTED, &oms__event__v1__product_upserted__descriptor },
    { OMS__EVENT__V1__EVENT_TYPE__AVAILABILITY_CHANGED, &oms__event__v1__availability_changed__descriptor },
    { OMS__EVENT__V1__EVENT_TYPE__ORDER_PLACED, &oms__event__v1__order_placed__descriptor },
    { OMS__EVENT__V1__EVENT_TYPE__ORDER_CONFIRMED, &oms__event__v1__order_state_changed__descriptor },
    { OMS__EVENT__V1__EVENT_TYPE__ORDER_REJECTED, &oms__event__v1__order_state_changed__descriptor },
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
