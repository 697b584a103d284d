/* Letters to somebody outside the mesh, one at a time: what to say is read from the database, said, and the answer
 * understood. The same letter under the same key is said again until there is an answer, so that nothing is left
 * unknown. */
#include "mesh/base/say.h"
#include "mesh/base/span.h"
#include "mesh/outbox/batch.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* What an attempt tells about the other side, for the circuit. */
enum sign { SIGN_NONE, SIGN_WELL, SIGN_ILL };

static enum sign set_result(struct batch *batch, enum rpc_code code, const char *reason, enum sign sign)
{
    batch->results[0].code = code;
    batch->results[0].reason = reason ? reason : "";
    batch->results[0].message = "";
    return sign;
}

static enum sign no_answer(struct batch *batch, int result)
{
    static const struct {
        int result;
        enum rpc_code code;
        const char *reason;
        enum sign sign;
    } ends[] = {
        { -ETIMEDOUT, RPC_DEADLINE_EXCEEDED, "NO_ANSWER_IN_TIME", SIGN_ILL },
        { -ECONNREFUSED, RPC_UNAVAILABLE, "CONNECTION_REFUSED", SIGN_ILL },
        { -ECONNRESET, RPC_UNAVAILABLE, "CONNECTION_RESET", SIGN_ILL },
        { -EIO, RPC_UNAVAILABLE, "CONNECTION_FAILED", SIGN_ILL },
        { -EMSGSIZE, RPC_UNAVAILABLE, "ANSWER_TOO_LARGE", SIGN_NONE },
        { -ENOSYS, RPC_UNAVAILABLE, "PEER_NOT_CONFIGURED", SIGN_NONE },
    };
    struct destination *to = batch->to;
    if (result == -ENOSYS && !to->missed) {
        to->missed = true;
        say(SAY_ERROR, NULL, "nobody said where it is: see --outside", SAY_T("destination", to->name));
    }
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
        if (ends[i].result == result)
            return set_result(batch, ends[i].code, ends[i].reason, ends[i].sign);
    return set_result(batch, RPC_UNAVAILABLE, "FETCH_FAILED", SIGN_NONE);
}

static enum sign understand(struct batch *batch, int status, struct bytes body)
{
    const struct deliverer *deliverer = batch->parcels[0]->deliverer;
    ProtobufCMessage *reply = arena_message(&batch->arena, deliverer->reply);
    enum rpc_code code = RPC_UNAVAILABLE;
    if (reply)
        code = deliverer->outside->understand(&batch->arena, status, body, batch->request, reply);
    if (code == RPC_OK) {
        batch->results[0].reply = arena_pack(&batch->arena, reply);
        code = batch->results[0].reply.data ? RPC_OK : RPC_UNAVAILABLE;
    }
    if (code == RPC_UNAVAILABLE)
        return set_result(batch, code, "NOT_UNDERSTOOD", SIGN_NONE);
    return set_result(batch, code, code == RPC_OK ? "" : arena_printf(&batch->arena, "HTTP_%d", status), SIGN_WELL);
}

static enum sign answered(struct batch *batch, int status, struct bytes body)
{
    if (status >= 200 && status < 500 && status != 408 && status != 425 && status != 429)
        return understand(batch, status, body);
    const char *reason = arena_printf(&batch->arena, "HTTP_%d", status);
    return set_result(batch, RPC_UNAVAILABLE, reason, status >= 500 || status == 429 ? SIGN_ILL : SIGN_NONE);
}

static void settle(struct batch *batch, enum sign sign)
{
    if (sign == SIGN_NONE)
        circuit_unsaid(&batch->to->circuit, batch->relay->port->mono_us(batch->relay->port));
    else
        batch_tell_circuit(batch, sign == SIGN_WELL);
    batch_settle(batch);
}

static void keep_span(const struct batch *batch, int result, int status)
{
    struct port *port = batch->relay->port;
    struct span span = { .kind = SPAN_CLIENT, .code = result < 0 || status >= 500 ? SPAN_NO_STATUS : RPC_OK };
    trace_parse(batch->parcels[0]->letter.trace, &span.trace);
    if (!span_wanted(&span.trace))
        return;
    memcpy(span.parent, span.trace.span_id, sizeof(span.parent));
    trace_child(port, &span.trace, &span.trace);
    span.end_us = port->wall_us(port);
    span.duration_us = port->mono_us(port) - batch->asked_us;
    span.http_status = status;
    char name[SPAN_NAME_MAX];
    snprintf(name, sizeof(name), "%s %s", batch->fetch.verb, batch->to->name);
    span_keep(&span, name);
}

static void fetched(struct fetch *fetch, int result, int status, struct bytes body)
{
    struct batch *batch = OF(fetch, struct batch, fetch);
    keep_span(batch, result, status);
    settle(batch, result < 0 ? no_answer(batch, result) : answered(batch, status, body));
}

static int run_ask(struct txn *txn, void *arg)
{
    struct batch *batch = arg;
    const struct parcel *parcel = batch->parcels[0];
    const struct outside *outside = parcel->deliverer->outside;
    ProtobufCAllocator allocator = arena_protobuf(txn->arena);
    struct bytes sent = parcel->letter.request;
    batch->request = protobuf_c_message_unpack(parcel->deliverer->request, &allocator, sent.len, sent.data);
    batch->fetch = (struct fetch){ .peer = batch->to->name, .timeout_us = outside->timeout_us };
    return batch->request ? outside->ask(txn, batch->request, &batch->fetch) : -EBADMSG;
}

static void not_asked(struct task *task)
{
    struct batch *batch = OF(task, struct batch, task);
    if (batch->unit_result == -ECANCELED) {
        settle(batch, set_result(batch, RPC_OK, "", SIGN_NONE));
        return;
    }
    say(SAY_WARN, NULL, "it could not be found out what to say outside", SAY_T("id", batch->parcels[0]->letter.id),
        SAY_T("method", batch->parcels[0]->letter.method), SAY_N("errno", -batch->unit_result));
    settle(batch, set_result(batch, RPC_INTERNAL, "ASK_FAILED", SIGN_NONE));
}

static void ask_done(struct unit *unit, int result)
{
    struct batch *batch = OF(unit, struct batch, unit);
    struct port *port = batch->relay->port;
    batch->unit_result = result;
    batch->fetch.done = fetched;
    batch->asked_us = port->mono_us(port);
    if (result == 0)
        port->fetch(port, &batch->fetch);
    else
        port->post(port, LANE_LOOP, &batch->task);
}

void batch_fetch(struct batch *batch)
{
    batch->task.run = not_asked;
    batch->unit = (struct unit){ .run = run_ask, .arg = batch, .arena = &batch->arena, .done = ask_done };
    store_read(batch->relay->store, &batch->unit);
}
