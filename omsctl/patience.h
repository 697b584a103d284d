/* How long something is tried again that breaks for a reason that passes: the server is away, or has too much to do. */
#pragma once

#include "mesh/rpc/rpc.h"

struct patience {
    int64_t since_us; /* of the last progress, monotonic */
    int64_t pause_us;
};

/* At the beginning, and whenever there was progress. */
void patience_renew(struct patience *patience);
/* Pauses, longer each time without progress; false at once if the code's reason does not pass, or there has been no
 * progress for 20 seconds. */
bool patience_try(struct patience *patience, enum rpc_code code);
