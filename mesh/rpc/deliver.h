/* mesh.v1.DeliverService, which every service serves: commands of another one, each dispatched as a call of its own
 * with the same caller, all at once, so that the store groups them; outcomes in their order. Only methods that a
 * SERVICE may call and that mutate can be delivered. */
#pragma once

#include "mesh/rpc/rpc.h"

extern const struct rpc_service deliver_service;
