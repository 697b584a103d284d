/* What each event of the log carries (protos/oms/event/v1/event.proto). */
#pragma once

#include <protobuf-c/protobuf-c.h>
#include <stdint.h>

const char *event_name(int32_t type);                          /* "?" for one that is not known here */
const ProtobufCMessageDescriptor *event_payload(int32_t type); /* NULL: not known here */
