/* AdminService: dead letters for a person to decide, and what the process knows about itself. */
#include "mesh/base/say.h"
#include "mesh/log/consumer.h"
#include "mesh/outbox/deadletter.h"
#include "mesh/outbox/relay.h"
#include "mesh/run/lease.h"
#include "mesh/run/parts.h"
#include "mesh/v1/admin.pb-c.h"

#include <errno.h>
#include <string.h>

#define PAGE_DEFAULT 50
#define STATES_MAX   32
#define CIRCUITS_MAX 64

/* --- dead letters --- */

static char *explain(struct arena *arena, const struct deadletter *dead)
{
    const struct letter *l = &dead->letter;
    if (dead->parked)
        return arena_printf(arena,
                            "%s towards %s was tried %u times and given up (%s: %s). It stands at the head of queue"
                            " \"%s\" and holds up %lld commands. Retrying sends it again at once, from the first"
                            " attempt; discarding drops it and lets those behind it go.",
                            l->method, l->destination, l->attempts, rpc_code_name(dead->last_code), dead->last_reason,
                            l->key, (long long)dead->waiting_behind);
    return arena_printf(arena,
                        "%s towards %s was tried %u times and skipped (%s: %s); its queue \"%s\" went on without it."
                        " Retrying puts it at the end of that queue; discarding drops it for good.",
                        l->method, l->destination, l->attempts, rpc_code_name(dead->last_code), dead->last_reason,
                        l->key);
}

static int fill(struct arena *arena, const struct deadletter *dead, Mesh__V1__DeadLetter *ret)
{
    const struct letter *l = &dead->letter;
    ret->id = (char *)l->id;
    ret->destination = (char *)l->destination;
    ret->method = (char *)l->method;
    ret->key = (char *)l->key;
    ret->create_time_us = l->created_us;
    ret->give_up_time_us = dead->gave_up_us;
    ret->attempts = l->attempts;
    ret->last_code = (int32_t)dead->last_code;
    ret->last_reason = (char *)dead->last_reason;
    ret->waiting_behind = dead->waiting_behind > UINT32_MAX ? UINT32_MAX : (uint32_t)dead->waiting_behind;
    ret->explanation = explain(arena, dead);
    return ret->explanation ? 0 : -ENOMEM;
}

static int find(struct rpc_call *call, struct txn *txn, const char *id, struct deadletter *ret_dead)
{
    int r = deadletter_get(txn, id, ret_dead);
    return r == 0 ? rpc_fail_missing(call, "DeadLetter", id) : r < 0 ? r : 0;
}

static int list_dead_letters(struct rpc_call *call, struct txn *txn, const void *in, void *out)
{
    const Mesh__V1__ListDeadLettersRequest *request = in;
    Mesh__V1__ListDeadLettersResponse *response = out;
    struct arena *arena = rpc_arena(call);
    size_t max = request->page_size ? request->page_size : PAGE_DEFAULT;
    const char *after;
    int r = rpc_page_open(call, request->page_token, "dead_letters", &after, 1);
    if (r < 0)
        return r;

    struct deadletter *dead = arena_alloc(arena, (max + 1) * sizeof(*dead));
    response->dead_letters = arena_alloc(arena, max * sizeof(*response->dead_letters));
    if (!dead || !response->dead_letters)
        return -ENOMEM;
    int n = deadletter_list(txn, after, max + 1, dead);
    if (n < 0)
        return n;
    for (size_t i = 0; i < (size_t)n && i < max; i++) {
        Mesh__V1__DeadLetter *letter = arena_message(arena, &mesh__v1__dead_letter__descriptor);
        if (!letter || fill(arena, &dead[i], letter) < 0)
            return -ENOMEM;
        response->dead_letters[response->n_dead_letters++] = letter;
    }
    if ((size_t)n <= max)
        return 0;
    response->next_page_token = (char *)rpc_page_token(call, "dead_letters", &dead[max - 1].letter.id, 1);
    return response->next_page_token ? 0 : -ENOMEM;
}

static int explain_dead_letter(struct rpc_call *call, struct txn *txn, const void *in, void *out)
{
    const Mesh__V1__ExplainDeadLetterRequest *request = in;
    struct deadletter dead;
    int r = find(call, txn, request->id, &dead);
    return r < 0 ? r : fill(rpc_arena(call), &dead, out);
}

static int retry_dead_letter(struct rpc_call *call, struct txn *txn, const void *in, void *out)
{
    const Mesh__V1__RetryDeadLetterRequest *request = in;
    struct deadletter dead;
    int r = find(call, txn, request->id, &dead);
    if (r == 0)
        r = deadletter_retry(txn, &dead);
    return r < 0 ? r : fill(rpc_arena(call), &dead, out);
}

static int discard_dead_letter(struct rpc_call *call, struct txn *txn, const void *in, void *out)
{
    const Mesh__V1__DiscardDeadLetterRequest *request = in;
    struct deadletter dead;
    int r = find(call, txn, request->id, &dead);
    if (r == 0)
        r = deadletter_discard(txn, &dead, request->reason);
    return r < 0 ? r : fill(rpc_arena(call), &dead, out);
}

/* --- status --- */

/* What only the loop lane may look at, taken there for the unit. */
struct seen {
    size_t n_consumers, n_circuits;
    struct relay_circuit circuits[CIRCUITS_MAX];
    struct consumer_state consumers[STATES_MAX];
};

static int see_loop(struct rpc_call *call, const void *in, void *out)
{
    struct seen *seen = rpc_scratch(call, sizeof(*seen));
    struct service *service = rpc_service_of(call);
    struct consumers *consumers = service_consumers(service);
    if (!seen)
        return -ENOMEM;
    seen->n_circuits = relay_circuits(service_relay(service), seen->circuits, CIRCUITS_MAX);
    for (size_t i = 0; i < consumers_count(consumers) && i < STATES_MAX; i++)
        consumers_state(consumers, seen->n_consumers++, &seen->consumers[i]);
    return RPC_NOW;
}

static int tell_cursors(struct rpc_call *call, Mesh__V1__GetStatusResponse *ret)
{
    const struct seen *seen = rpc_scratch(call, sizeof(*seen));
    struct arena *arena = rpc_arena(call);
    ret->cursors = arena_alloc(arena, (seen->n_consumers + 1) * sizeof(*ret->cursors));
    for (size_t i = 0; ret->cursors && i < seen->n_consumers; i++) {
        const struct consumer_state *state = &seen->consumers[i];
        Mesh__V1__GetStatusResponse__Cursor *cursor =
            arena_message(arena, &mesh__v1__get_status_response__cursor__descriptor);
        Mesh__V1__Position *position = arena_message(arena, &mesh__v1__position__descriptor);
        if (!cursor || !position)
            return -ENOMEM;
        position->incarnation = (char *)state->position.incarnation;
        position->seq = state->position.seq;
        cursor->consumer = (char *)state->name;
        cursor->source = (char *)state->source;
        cursor->position = position;
        cursor->behind = state->behind;
        cursor->state = (char *)state->state;
        ret->cursors[ret->n_cursors++] = cursor;
    }
    return ret->cursors ? 0 : -ENOMEM;
}

static const char *circuit_of(const struct seen *seen, const char *destination)
{
    for (size_t i = 0; i < seen->n_circuits; i++)
        if (strcmp(seen->circuits[i].destination, destination) == 0)
            return seen->circuits[i].state;
    return "CLOSED";
}

static int tell_queues(struct rpc_call *call, struct txn *txn, Mesh__V1__GetStatusResponse *ret)
{
    struct arena *arena = rpc_arena(call);
    struct outbox_count *counts;
    int n = outbox_counts(txn, &counts);
    if (n < 0)
        return n;
    ret->queues = arena_alloc(arena, ((size_t)n + 1) * sizeof(*ret->queues));
    for (int i = 0; ret->queues && i < n; i++) {
        Mesh__V1__GetStatusResponse__Queue *queue =
            arena_message(arena, &mesh__v1__get_status_response__queue__descriptor);
        if (!queue)
            return -ENOMEM;
        queue->destination = (char *)counts[i].destination;
        queue->waiting = (uint64_t)counts[i].waiting;
        queue->parked = (uint64_t)counts[i].parked;
        queue->oldest_age_us = counts[i].oldest_age_us;
        queue->circuit = (char *)circuit_of(rpc_scratch(call, sizeof(struct seen)), counts[i].destination);
        ret->queues[ret->n_queues++] = queue;
    }
    return ret->queues ? 0 : -ENOMEM;
}

static int tell_leases(struct rpc_call *call, struct txn *txn, Mesh__V1__GetStatusResponse *ret)
{
    struct arena *arena = rpc_arena(call);
    const char *instance = leases_instance(service_leases(rpc_service_of(call)));
    struct rows rows;
    int r = txn_query(txn, &rows, "SELECT name, owner, term FROM lease ORDER BY name");
    if (r < 0)
        return r;
    ret->leases = arena_alloc(arena, (rows.n + 1) * sizeof(*ret->leases));
    for (size_t i = 0; ret->leases && i < rows.n; i++) {
        Mesh__V1__GetStatusResponse__Lease *lease =
            arena_message(arena, &mesh__v1__get_status_response__lease__descriptor);
        if (!lease)
            return -ENOMEM;
        lease->name = (char *)row_text(&rows, i, 0);
        lease->owner = (char *)row_text(&rows, i, 1);
        lease->term = (uint64_t)row_int(&rows, i, 2);
        lease->mine = strcmp(lease->owner, instance) == 0;
        ret->leases[ret->n_leases++] = lease;
    }
    return ret->leases ? 0 : -ENOMEM;
}

static int get_status(struct rpc_call *call, struct txn *txn, const void *in, void *out)
{
    Mesh__V1__GetStatusResponse *response = out;
    struct log_position head;
    int r = log_range(txn, &head, &response->floor);
    if (r == 0)
        r = log_position_message(txn, &response->head);
    if (r == 0)
        r = tell_queues(call, txn, response);
    if (r == 0)
        r = tell_leases(call, txn, response);
    if (r == 0)
        r = tell_cursors(call, response);
    response->service = (char *)service_spec_of(rpc_service_of(call))->name;
    response->version = ORDERMESH_VERSION;
    response->log_level = (char *)say_level_name();
    return r;
}

static int set_log_level(struct rpc_call *call, const void *in, void *out)
{
    const Mesh__V1__SetLogLevelRequest *request = in;
    Mesh__V1__SetLogLevelResponse *response = out;
    if (say_level_set(request->level) < 0)
        return rpc_fail_field(call, "level", "LOG_LEVEL_UNKNOWN", "the level is debug, info, warn or error");
    response->level = (char *)say_level_name();
    return RPC_REPLY;
}

static const struct rpc_method methods[] = {
    { "ListDeadLetters", .unit = list_dead_letters },
    { "ExplainDeadLetter", .unit = explain_dead_letter },
    { "RetryDeadLetter", .unit = retry_dead_letter },
    { "DiscardDeadLetter", .unit = discard_dead_letter },
    { "GetStatus", .gather = see_loop, .unit = get_status },
    { "Backup", .gather = backup_prepare, .page = backup_page },
    { "SetLogLevel", .gather = set_log_level },
    {},
};

const struct rpc_service admin_service = {
    .name = "mesh.v1.AdminService",
    .descriptor = &mesh__v1__admin_service__descriptor,
    .methods = methods,
};
