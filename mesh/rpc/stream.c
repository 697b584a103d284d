/* A server's stream: pages of a read unit, one message under way at a time. */
#include "mesh/rpc/call.h"

static int run_page(struct txn *txn, void *arg)
{
    struct rpc_call *call = arg;
    call_reset(call);
    int r = call_over(call);
    if (r == 0)
        r = call->step = call->method->row->page(call, txn, call->in, call->out, &call->empty_page);
    if (r < 0 || call->empty_page)
        return r < 0 ? r : 0;
    return call_pack(call);
}

static void next_page(struct rpc_call *call)
{
    if (call->step == RPC_MORE) {
        stream_page(call);
    } else if (call->step == RPC_END) {
        call->reply = (struct bytes){ 0 };
        call_end(call, 0);
    } else if (!park(call, WAITS_LOG, call->deadline_us > 0 ? call->deadline_us : INT64_MAX)) {
        stream_woken(call);
    }
}

/* The call stays ours until the message is on its way; the answer may come before that. */
static void send_page(struct rpc_call *call)
{
    if (atomic_load(&call->hold) & HOLD_CANCELLED) {
        call_end(call, call_over(call));
        return;
    }
    call->transport->send(call, call->reply);
    int hold = 0;
    if (atomic_compare_exchange_strong(&call->hold, &hold, HOLD_WAITING))
        return;
    if (hold & HOLD_CANCELLED) {
        call_end(call, call_over(call));
        return;
    }
    atomic_fetch_and(&call->hold, ~HOLD_WRITTEN);
    next_page(call);
}

static void page_done(struct unit *unit, int result)
{
    struct rpc_call *call = unit->arg;
    if (result < 0)
        call_end(call, result);
    else if (call->empty_page)
        next_page(call);
    else
        send_page(call);
}

void stream_page(struct rpc_call *call)
{
    arena_rewind(&call->arena, call->mark);
    call_keep_scratch(call);
    call->unit =
        (struct unit){ .run = run_page, .arg = call, .arena = &call->arena, .trace = &call->trace, .done = page_done };
    store_read(call->dispatch->store, &call->unit);
}

void stream_woken(struct rpc_call *call)
{
    if (call->woken == WOKEN_BY_LOG)
        stream_page(call);
    else if (call->woken == WOKEN_BY_DRAIN)
        call_end(call, rpc_fail(call, RPC_UNAVAILABLE, "DRAINING", "the process ends: go on from the last position"));
    else
        call_end(call, call_over(call));
}

void dispatch_writable(struct rpc_call *call)
{
    int hold = atomic_load(&call->hold);
    while (!atomic_compare_exchange_weak(&call->hold, &hold,
                                         hold & HOLD_WAITING ? hold & ~HOLD_WAITING : hold | HOLD_WRITTEN))
        ;
    if (hold & HOLD_WAITING)
        next_page(call);
}
