/* Outcomes: what became of a batch goes into one unit together with the deletion of its rows. */
#include "mesh/base/say.h"
#include "mesh/outbox/batch.h"
#include "mesh/outbox/deadletter.h"

#include <errno.h>
#include <string.h>

#define RETRY_FIRST_US   200000
#define RETRY_LONGEST_US 30000000
#define UNIT_ARENA       (64 << 20) /* requests and replies of a batch, unpacked */

static bool retryable(enum rpc_code code)
{
    static const uint32_t codes = 1u << RPC_UNAVAILABLE | 1u << RPC_DEADLINE_EXCEEDED | 1u << RPC_RESOURCE_EXHAUSTED |
                                  1u << RPC_ABORTED | 1u << RPC_UNKNOWN | 1u << RPC_INTERNAL | 1u << RPC_CANCELLED |
                                  1u << RPC_UNIMPLEMENTED; /* during a rollout some do not serve it yet */
    return code > RPC_UNAUTHENTICATED || codes >> code & 1;
}

bool parcel_too_old(const struct parcel *parcel, int64_t wall_us)
{
    return parcel->deliverer && parcel->deliverer->give_up_after_us > 0 &&
           wall_us - parcel->letter.due_us >= parcel->deliverer->give_up_after_us;
}

static void retry_later(struct batch *batch, size_t i)
{
    struct relay *relay = batch->relay;
    batch->results[i].verdict = VERDICT_RETRY;
    batch->results[i].retry_us =
        relay->port->wall_us(relay->port) +
        backoff_us(batch->parcels[i]->letter.attempts, RETRY_FIRST_US, RETRY_LONGEST_US, relay_chance(relay));
}

static void judge(struct batch *batch, size_t i)
{
    static const enum verdict given_up[] = {
        [GIVE_UP_RAISE] = VERDICT_OUTCOME,
        [GIVE_UP_SKIP] = VERDICT_SKIP,
        [GIVE_UP_PARK] = VERDICT_PARK,
    };
    const struct parcel *parcel = batch->parcels[i];
    struct result *result = &batch->results[i];
    result->verdict = VERDICT_OUTCOME;
    if (!parcel->deliverer || result->code == RPC_OK)
        return;
    bool again = retryable(result->code);
    if (again && !parcel_too_old(parcel, batch->relay->port->wall_us(batch->relay->port)))
        return retry_later(batch, i);
    result->verdict = given_up[parcel->deliverer->give_up];
    result->gave_up = again;
}

static int tell_outcome(struct txn *txn, const struct parcel *parcel, const struct result *result)
{
    const struct deliverer *deliverer = parcel->deliverer;
    if (!deliverer->outcome)
        return 0;
    ProtobufCAllocator allocator = arena_protobuf(txn->arena);
    struct bytes sent = parcel->letter.request, reply = result->reply;
    struct outcome outcome = {
        .key = parcel->letter.key,
        .request = protobuf_c_message_unpack(deliverer->request, &allocator, sent.len, sent.data),
        .code = result->code,
        .reason = result->reason,
        .message = result->message,
        .gave_up = result->gave_up,
        .attempts = parcel->letter.attempts + 1,
    };
    if (result->code == RPC_OK)
        outcome.reply = protobuf_c_message_unpack(deliverer->reply, &allocator, reply.len, reply.data);
    if (!outcome.request || (result->code == RPC_OK && !outcome.reply))
        return -EBADMSG;
    return deliverer->outcome(txn, &outcome);
}

static int settle_outcome(struct txn *txn, const struct parcel *parcel, const struct result *result)
{
    if (parcel->timer)
        return parcel->timer->fire(txn, parcel->letter.key, parcel->letter.due_us);
    return tell_outcome(txn, parcel, result);
}

static const char *last_reason(const struct result *result)
{
    return result->reason && *result->reason ? result->reason : result->message;
}

static int settle_retry(struct txn *txn, const struct parcel *parcel, const struct result *result)
{
    return letter_retry(txn, &parcel->letter, result->retry_us, result->code, last_reason(result));
}

static int settle_skip(struct txn *txn, const struct parcel *parcel, const struct result *result)
{
    return deadletter_add(txn, &parcel->letter, false, result->code, last_reason(result));
}

static int settle_park(struct txn *txn, const struct parcel *parcel, const struct result *result)
{
    int r = letter_park(txn, &parcel->letter, result->code, last_reason(result));
    return r <= 0 ? r : deadletter_add(txn, &parcel->letter, true, result->code, last_reason(result));
}

static const struct {
    bool takes; /* the row goes first, and if it is gone already nothing follows */
    int (*settle)(struct txn *, const struct parcel *, const struct result *);
} verdicts[] = {
    [VERDICT_OUTCOME] = { true, settle_outcome },
    [VERDICT_RETRY] = { false, settle_retry },
    [VERDICT_SKIP] = { true, settle_skip },
    [VERDICT_PARK] = { false, settle_park },
};

/* Marks those whose rows were gone. */
static int take_rows(struct txn *txn, const struct batch *batch, bool *ret_gone)
{
    const struct letter *letters[BATCH_MAX] = { 0 };
    size_t at[BATCH_MAX], n = 0;
    bool taken[BATCH_MAX];
    for (size_t i = batch->at; i < batch->at + batch->width; i++) {
        ret_gone[i] = false;
        if (verdicts[batch->results[i].verdict].takes) {
            at[n] = i;
            letters[n++] = &batch->parcels[i]->letter;
        }
    }
    int r = letters_take(txn, letters, n, taken);
    for (size_t i = 0; r == 0 && i < n; i++)
        ret_gone[at[i]] = !taken[i];
    return r;
}

static int settle_one(struct txn *txn, struct batch *batch)
{
    bool gone[BATCH_MAX];
    int r = take_rows(txn, batch, gone);
    for (size_t i = batch->at; r >= 0 && i < batch->at + batch->width; i++) {
        struct trace trace;
        if (gone[i])
            continue;
        trace_parse(batch->parcels[i]->letter.trace, &trace);
        txn->trace = &trace;
        r = verdicts[batch->results[i].verdict].settle(txn, batch->parcels[i], &batch->results[i]);
        txn->trace = NULL;
    }
    return r < 0 ? r : 0;
}

/* All batches that are to be settled at once. */
static int run_settle(struct txn *txn, struct unit **units, size_t n, int *results)
{
    struct batch *first = OF(units[0], struct batch, unit);
    int r = lease_guard(txn, &first->hold);
    first->lost = r == -EPERM;
    for (size_t i = 0; r == 0 && i < n; i++) {
        struct batch *batch = OF(units[i], struct batch, unit);
        r = batch->hold.term == first->hold.term ? settle_one(txn, batch) : -EPERM;
    }
    return r;
}

static void settle_done(struct unit *unit, int result)
{
    struct batch *batch = OF(unit, struct batch, unit);
    batch->unit_result = result;
    batch->relay->port->post(batch->relay->port, LANE_LOOP, &batch->task);
}

static void settled(struct task *task);

static void submit(struct batch *batch)
{
    arena_finish(&batch->unit_arena);
    arena_init(&batch->unit_arena, UNIT_ARENA);
    batch->hold = lease_hold(&batch->relay->lease);
    batch->lost = false;
    batch->task.run = settled;
    batch->unit =
        (struct unit){ .gather = run_settle, .group = batch->relay, .arena = &batch->unit_arena, .done = settle_done };
    store_write(batch->relay->store, &batch->unit);
}

static void finish(struct batch *batch)
{
    struct relay *relay = batch->relay;
    batch->to->dirty |= batch->at < batch->n; /* rows that a scan has passed over, as they were here */
    for (; batch->at < batch->n; batch->at++)
        parcel_gone(batch->to, batch->parcels[batch->at]);
    batch_free(batch);
    relay_turn(relay);
}

static void resume(struct timer *timer)
{
    struct batch *batch = OF(timer, struct batch, again);
    batch->paused = false;
    submit(batch);
}

static void pause_batch(struct batch *batch)
{
    if (batch->relay->stopping)
        return finish(batch);
    batch->paused = true;
    batch->again.fire = resume;
    batch->relay->port->timer_start(batch->relay->port, &batch->again, STORE_PAUSE_US);
}

void batch_stop(struct batch *batch)
{
    if (batch->paused)
        finish(batch);
}

static void advance(struct batch *batch)
{
    size_t retried = 0;
    for (size_t i = 0; i < batch->width; i++, batch->at++) {
        retried += batch->results[batch->at].verdict == VERDICT_RETRY;
        parcel_gone(batch->to, batch->parcels[batch->at]);
    }
    metric_add(batch->to->failed, (int64_t)retried);
    metric_add(batch->to->delivered, (int64_t)(batch->width - retried));
    if (batch->at == batch->n)
        return finish(batch);
    submit(batch);
}

/* A service's own code refuses the outcome. It is never skipped: told again later, and said aloud. */
static void refuse(struct batch *batch)
{
    size_t i = batch->at;
    say(SAY_ERROR, NULL, "an outcome cannot be applied", SAY_T("id", batch->parcels[i]->letter.id),
        SAY_T("method", batch->parcels[i]->letter.method), SAY_N("errno", -batch->unit_result));
    if (batch->results[i].verdict == VERDICT_RETRY)
        return pause_batch(batch);
    batch->results[i].code = RPC_INTERNAL;
    batch->results[i].reason = "OUTCOME_FAILED";
    retry_later(batch, i);
    submit(batch);
}

static void settled(struct task *task)
{
    struct batch *batch = OF(task, struct batch, task);
    switch (batch->unit_result) {
    case 0:
        return advance(batch);
    case -EAGAIN:
    case -ENOSPC:
    case -EIO:
        return pause_batch(batch);
    case -ESHUTDOWN:
        return finish(batch);
    }
    if (batch->lost)
        return finish(batch);
    if (batch->width == 1)
        return refuse(batch);
    batch->width = 1;
    submit(batch);
}

void batch_settle(struct batch *batch)
{
    for (size_t i = 0; i < batch->n; i++)
        judge(batch, i);
    batch->at = 0;
    batch->width = batch->n;
    submit(batch);
}
