/* From one lane to the next: gather, work, unit, and the wait for a deferred reply. */
#include "mesh/rpc/call.h"

#include <string.h>

#define DEFER_MAX_US    60000000 /* without a deadline */
#define REPLY_MARGIN_US 50000    /* a deferred reply leaves so long before the deadline, or a quarter of the time */

static struct rpc_call *call_of(struct task *task)
{
    return (struct rpc_call *)((char *)task - offsetof(struct rpc_call, task));
}

void call_keep_scratch(struct rpc_call *call)
{
    if (call->scratch)
        memcpy(call->scratch + call->scratch_size, call->scratch, call->scratch_size);
}

static void clear_out(struct rpc_call *call)
{
    error_clear(call);
    call->method->output->message_init(call->out);
    if (call->scratch)
        memcpy(call->scratch, call->scratch + call->scratch_size, call->scratch_size);
}

void call_reset(struct rpc_call *call)
{
    clear_out(call);
    call->resource = call->defer_key = NULL;
    call->reply = (struct bytes){ 0 };
    call->step = 0;
    call->empty_page = false;
}

int call_pack(struct rpc_call *call)
{
    call->reply = arena_pack(&call->arena, call->out);
    return call->reply.data ? 0 : -ENOMEM;
}

static void end_with_out(struct rpc_call *call)
{
    call_end(call, call_pack(call));
}

/* --- deferred replies --- */

int64_t call_wait_until(const struct rpc_call *call)
{
    if (call->deadline_us == 0)
        return call->begun_us + DEFER_MAX_US;
    int64_t margin = (call->deadline_us - call->begun_us) / 4;
    return call->deadline_us - (margin < REPLY_MARGIN_US ? margin : REPLY_MARGIN_US);
}

/* Starts from the reply that is stored, so that it may fill in or fill anew. */
static int run_settled(struct txn *txn, void *arg)
{
    struct rpc_call *call = arg;
    const struct method *method = call->method;
    clear_out(call);
    ProtobufCAllocator allocator = arena_protobuf(&call->arena);
    ProtobufCMessage *out = protobuf_c_message_unpack(method->output, &allocator, call->reply.len, call->reply.data);
    if (!out)
        return -ENOMEM;
    memcpy(call->out, out, method->output->sizeof_message);
    call->step = method->row->settled(call, txn, call->in, call->out);
    return call->step < 0 ? call->step : 0;
}

/* What the unit did not see will be an event later than it. */
static void await(struct rpc_call *call)
{
    if (!park(call, WAITS_KEY, call_wait_until(call)))
        call_woken(call);
}

static void settled_done(struct unit *unit, int result)
{
    struct rpc_call *call = unit->arg;
    if (result < 0)
        call_end(call, result);
    else if (call->step == RPC_WAIT && !call->last_look)
        await(call);
    else
        end_with_out(call);
}

static void settle(struct rpc_call *call, bool last_look)
{
    call->last_look = last_look;
    arena_rewind(&call->arena, call->mark);
    call_keep_scratch(call);
    call->unit = (struct unit){
        .run = run_settled, .arg = call, .arena = &call->arena, .trace = &call->trace, .done = settled_done
    };
    store_read(call->dispatch->store, &call->unit);
}

static void settle_woken(struct rpc_call *call)
{
    if (call->woken == WOKEN_BY_CANCEL)
        call_end(call, call_over(call));
    else
        settle(call, call->woken == WOKEN_BY_DEADLINE);
}

void call_woken(struct rpc_call *call)
{
    if (call->waits == WAITS_LOG)
        stream_woken(call);
    else if (call->waits == WAITS_KEY)
        settle_woken(call);
    else
        behind_woken(call);
}

/* --- the unit --- */

static void unit_done(struct unit *unit, int result)
{
    struct rpc_call *call = unit->arg;
    if (result == -EALREADY) {
        call_submit(call);
    } else if (result == BEHIND) {
        behind_wait(call);
    } else if (result == 0 && call->defer_key && call->method->row->settled) {
        call->mark = arena_mark(&call->arena);
        call->fresh ? await(call) : settle(call, false);
    } else {
        call_end(call, result);
    }
}

static int run_read(struct txn *txn, void *arg)
{
    struct rpc_call *call = arg;
    call_reset(call);
    int r = call_over(call);
    if (r == 0)
        r = behind_check(txn, call);
    if (r == 0)
        r = call->method->row->unit(call, txn, call->in, call->out);
    return r < 0 ? r : call_pack(call);
}

static int run_write(struct txn *txn, void *arg)
{
    struct rpc_call *call = arg;
    int r = requests_run(txn, &call, 1);
    return r < 0 ? r : call->result;
}

static int run_batch(struct txn *txn, struct unit **units, size_t n, int *results)
{
    struct rpc_call **calls = arena_alloc(txn->arena, n * sizeof(struct rpc_call *));
    if (!calls)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        calls[i] = units[i]->arg;
    int r = requests_run(txn, calls, n);
    for (size_t i = 0; r == 0 && i < n; i++)
        results[i] = calls[i]->result;
    return r;
}

void call_submit(struct rpc_call *call)
{
    const struct method *method = call->method;
    struct store *store = call->dispatch->store;
    arena_rewind(&call->arena, call->mark);
    call->moves = atomic_load(&call->dispatch->moves);
    call_keep_scratch(call);
    call->unit = (struct unit){ .run = method->rule->mutates ? run_write : run_read,
                                .arg = call,
                                .arena = &call->arena,
                                .trace = &call->trace,
                                .done = unit_done,
                                .gather = method->row->batch ? run_batch : NULL,
                                .group = method };
    if (method->rule->mutates)
        store_write(store, &call->unit);
    else
        store_read(store, &call->unit);
}

static void to_unit(struct rpc_call *call)
{
    const struct rpc_method *row = call->method->row;
    call->mark = arena_mark(&call->arena);
    if (row->page)
        stream_page(call);
    else if (row->unit || row->batch)
        call_submit(call);
    else
        end_with_out(call);
}

/* --- before it --- */

static void run_work(struct task *task)
{
    struct rpc_call *call = call_of(task);
    int r = call_over(call);
    if (r == 0)
        r = call->method->row->work(call, call->in, call->out);
    if (r < 0)
        call_end(call, r);
    else
        to_unit(call);
}

static void to_work(struct rpc_call *call)
{
    struct port *port = call->dispatch->port;
    if (!call->method->row->work) {
        to_unit(call);
        return;
    }
    call->task.run = run_work;
    port->post(port, LANE_WORK, &call->task);
}

static void gathered(struct rpc_call *call, int result)
{
    if (result == RPC_NOW)
        result = call_over(call);
    if (result < 0)
        call_end(call, result);
    else if (result == RPC_REPLY)
        end_with_out(call);
    else
        to_work(call);
}

static bool second_to_come(struct rpc_call *call)
{
    return atomic_fetch_add(&call->meeting, 1) == 1;
}

void rpc_gathered(struct rpc_call *call, int result)
{
    call->gathered = result;
    if (second_to_come(call))
        gathered(call, result);
}

static void run_gather(struct task *task)
{
    struct rpc_call *call = call_of(task);
    int r = call_over(call);
    if (r == 0)
        r = call->method->row->gather(call, call->in, call->out);
    if (r != RPC_LATER)
        gathered(call, r);
    else if (second_to_come(call))
        gathered(call, call->gathered);
}

void call_start(struct rpc_call *call)
{
    struct port *port = call->dispatch->port;
    call_reset(call);
    if (!call->method->row->gather) {
        to_work(call);
        return;
    }
    call->task.run = run_gather;
    port->post(port, LANE_LOOP, &call->task);
}
