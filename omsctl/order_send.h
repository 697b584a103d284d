/* Many entries of another system, sent in chunks on one stream; what was not acknowledged when it broke is sent again.
 *
 * A chunk's request id is made of its bytes, and each entry is known by its channel and external id: whoever sends the
 * same again, also in another run, has no second effect. Once the catalogue has changed it is another request, as what
 * was refused before may be taken now; but not with a staged import, of which each entry comes once. */
#pragma once

#include "omsctl/api_names.h"
#include "omsctl/cli.h"

#define ORDER_SEND_NONE SIZE_MAX

struct order_sending {
    struct ctl *ctl;
    size_t n, lines;                     /* entries; lines of all of them, for the progress */
    const Mesh__V1__Position *catalogue; /* by which they are priced */
    const char *import_id;               /* they are staged under it; "": they begin at once */
    /* Fills entry i, in the arena, which lives until it is packed; returns the latest entry before i that must be
     * carried out before it, or ORDER_SEND_NONE. */
    size_t (*entry)(void *arg, size_t i, struct arena *arena, NewOrder *ret_entry);
    /* What became of entry i, once; the result lives during the call. Returns its lines. */
    size_t (*ended)(void *arg, size_t i, const ImportResult *result);
    void *arg;
};

/* Shows how it goes. CTL_OK: every entry has a result; else the exit code after the error was shown: the entries that
 * have none are not known to have been taken, and may be sent again. */
int order_send(const struct order_sending *sending);
