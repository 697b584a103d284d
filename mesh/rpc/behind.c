/* Read your writes: a request with a min_position is carried out when everything up to it has come here.
 *
 * The position is of any log that this process follows, or of its own. It is looked at in the unit itself, so that what
 * the unit reads is at least that new; a unit that is behind is rolled back and run again when a consumer has moved,
 * until shortly before the deadline, and for BEHIND_MAX_US at most. Several consumers of one log must all have come so
 * far. A repeat is answered as it was, without waiting. */
#include "mesh/log/log.h"
#include "mesh/rpc/call.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define BEHIND_MAX_US 5000000
#define RETRY_US      200000

static const Mesh__V1__Position *wanted(const struct rpc_call *call)
{
    const ProtobufCFieldDescriptor *field = call->method->min_position;
    return field ? *(Mesh__V1__Position *const *)((const uint8_t *)call->in + field->offset) : NULL;
}

int behind_check(struct txn *txn, struct rpc_call *call)
{
    const Mesh__V1__Position *position = wanted(call);
    if (!position || position->seq == 0)
        return 0;
    if (position->incarnation[0] == '\0')
        return rpc_fail_field(call, "min_position.incarnation", "FIELD_REQUIRED", "must be given");
    int r = log_reached(txn, position->incarnation, &call->reached);
    if (r < 0 && r != -ENOENT)
        return r;
    call->foreign = r == -ENOENT;
    return r == 0 && call->reached >= position->seq ? 0 : BEHIND;
}

static void give_up(struct rpc_call *call)
{
    char seq[24];
    if (call->foreign) {
        call_end(call, rpc_fail_state(call, "min_position", "FOREIGN_INCARNATION",
                                      "min_position is of a log that is not followed here"));
        return;
    }
    snprintf(seq, sizeof(seq), "%" PRIu64, call->reached);
    rpc_fail(call, RPC_UNAVAILABLE, "POSITION_NOT_REACHED", "what is read here has not come up to min_position yet");
    rpc_error_meta(call, "incarnation", wanted(call)->incarnation);
    rpc_error_meta(call, "seq", seq);
    rpc_error_retry(call, RETRY_US);
    call_end(call, -EPROTO);
}

void behind_wait(struct rpc_call *call)
{
    int64_t until_us = call_wait_until(call), most_us = call->begun_us + BEHIND_MAX_US;
    if (!park(call, WAITS_CONSUMER, until_us < most_us ? until_us : most_us))
        behind_woken(call);
}

void behind_woken(struct rpc_call *call)
{
    if (call->woken == WOKEN_BY_CANCEL)
        call_end(call, call_over(call));
    else if (call->woken == WOKEN_BY_DEADLINE)
        give_up(call);
    else
        call_submit(call);
}
