/* grpc.reflection as bytes in, bytes out; whoever has a transport serves it (mesh/rpc/builtin.c, the gateway).
 * v1 and v1alpha are the same on the wire, so one answer serves both. */
#pragma once

#include "mesh/rpc/schema.h"

struct reflection {
    const struct schema *schema;
    const char *const *services; /* what list_services tells: full names, ends with NULL */
};

/* One ServerReflectionRequest to its ServerReflectionResponse, in the arena. What is not known or not offered is an
 * error_response inside; false: the bytes are no such request, or the arena is spent. */
bool reflection_answer(const struct reflection *reflection, struct arena *arena, struct bytes request,
                       struct bytes *ret_reply);
