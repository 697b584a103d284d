/* Many orders of another system, sent in chunks on one stream; what was not acknowledged when it broke is sent again.
 */
#pragma once

#include "omsctl/api_names.h"
#include "omsctl/cli.h"

struct order_sending {
    struct ctl *ctl;
    size_t n;
    Mesh__V1__Position
        *after; /* of the catalogue: what is in it by then is known when the orders are priced; or NULL */
    /* Fills order i, in the arena, which lives until it is packed. */
    void (*order)(void *arg, size_t i, struct arena *arena, NewOrder *ret_order);
    /* What became of order i; lives as long as the run. */
    void (*ended)(void *arg, size_t i, const ImportResult *result);
    void *arg;
};

/* Shows how it goes. CTL_OK: every order has a result; else the exit code after the error was shown: the orders that
 * have none are not known to have been taken, and may be sent again. */
int order_send(const struct order_sending *sending);
