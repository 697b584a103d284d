/* mesh.v1.DeliverService, which every service serves: commands of another one, each dispatched as a call of its own
 * with the same caller, all at once, so that the store groups them; outcomes in their order. Only methods that a
 * SERVICE may call, that may be repeated (they mutate under a request id, or are idempotent) and that are no streams
 * can be delivered. */
#pragma once

#include "mesh/rpc/rpc.h"

extern const struct rpc_service deliver_service;
