/* What is said to the card processor: JSON over HTTP, each operation under its own id as idempotency key.
 *
 * Operations on one payment stand in one queue, so that a void is said behind the authorize that it undoes. What has no
 * answer, or none that is understood, is said again under the same key, for ever: that is all the reconciling there
 * is to do. Whether a customer has acted is asked beside the queue. */
#include "svc-payment/book.h"

#include "mesh/port.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_US 5000000
#define QUERY      "/processor/query"

static const char *const methods[OPERATION_KINDS + 1] = {
    [AUTHORIZE] = "/processor/authorize",
    [CAPTURE] = "/processor/capture",
    [VOID] = "/processor/void",
    [REFUND] = "/processor/refund",
};
static const char *const paths[OPERATION_KINDS + 1] = {
    [AUTHORIZE] = "/v1/authorizations",
    [CAPTURE] = "/v1/captures",
    [VOID] = "/v1/voids",
    [REFUND] = "/v1/refunds",
};

/* --- wanting --- */

static int fill(struct txn *txn, const char *method, const char *key, const char *operation_id,
                struct command *ret_command)
{
    ProcessorRequest *request = arena_message(txn->arena, &oms__payment__v1__processor_request__descriptor);
    if (!request)
        return -ENOMEM;
    request->operation_id = (char *)operation_id;
    *ret_command = (struct command){ PROCESSOR, method, key, &request->base, 0, NULL };
    return 0;
}

int processor_want(struct txn *txn, const struct errand *errands, size_t n)
{
    struct command *commands = arena_alloc(txn->arena, n * sizeof(*commands));
    int r = commands ? 0 : -ENOMEM;
    for (size_t i = 0; r == 0 && i < n; i++) {
        const struct errand *e = &errands[i];
        r = fill(txn, methods[e->kind], e->payment_id, e->operation_id, &commands[i]);
        commands[i].trace = e->trace;
    }
    return r < 0 ? r : outbox_add_many(txn, commands, n);
}

int processor_look(struct txn *txn, const char *operation_id, int64_t delay_us)
{
    struct command command;
    int r = fill(txn, QUERY, operation_id, operation_id, &command);
    command.due_us = txn->now_us + delay_us;
    return r < 0 ? r : outbox_add(txn, &command);
}

/* --- asking --- */

/* What has to be known to say it: the operation, its payment and the authorize that it is about. */
struct wanted {
    struct payment payment;
    struct operation operation;
    const char *payment_token, *authorize_id, *authorize_decided_by;
};
enum { COLUMN_WANTED = PAYMENT_COLUMN_COUNT, COLUMN_TOKEN = COLUMN_WANTED + 10 };

static int read_wanted(struct txn *txn, const char *operation_id, struct wanted *ret_wanted)
{
    struct rows rows;
    int r = txn_query(txn, &rows,
                      "SELECT " PAYMENT_COLUMNS ", " OPERATION_COLUMNS ", p.payment_token, a.operation_id, "
                      "a.decided_by FROM payment_operation o JOIN payment p ON p.payment_id = o.payment_id "
                      "JOIN payment_operation a ON a.payment_id = o.payment_id AND a.place = 1 "
                      "WHERE o.operation_id = $1",
                      T(operation_id));
    if (r < 0)
        return r;
    if (rows.n == 0)
        return -ECANCELED;
    *ret_wanted = (struct wanted){
        .payment = payment_of(&rows, 0),
        .operation = operation_of(&rows, 0, COLUMN_WANTED),
        .payment_token = row_text(&rows, 0, COLUMN_TOKEN),
        .authorize_id = row_text(&rows, 0, COLUMN_TOKEN + 1),
        .authorize_decided_by = row_text(&rows, 0, COLUMN_TOKEN + 2),
    };
    return 0;
}

/* Takes the reference. */
static int post(struct txn *txn, const struct wanted *wanted, json_t *json, struct fetch *ret_fetch)
{
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    size_t len = text ? strlen(text) : 0;
    ret_fetch->verb = "POST";
    ret_fetch->path = paths[wanted->operation.kind];
    ret_fetch->idempotency_key = wanted->operation.operation_id;
    ret_fetch->body.data = text ? (const uint8_t *)arena_copy(txn->arena, text, len) : NULL;
    ret_fetch->body.len = len;
    free(text);
    json_decref(json);
    return ret_fetch->body.data ? 0 : -ENOMEM;
}

static int ask_authorize(struct txn *txn, const void *request, struct fetch *ret_fetch)
{
    struct wanted w;
    int r = read_wanted(txn, ((const ProcessorRequest *)request)->operation_id, &w);
    if (r < 0)
        return r;
    return post(txn, &w,
                json_pack("{s:I, s:s, s:s, s:s}", "amount_minor", (json_int_t)w.operation.amount_minor, "currency",
                          w.payment.currency, "token", w.payment_token, "reference", w.payment.order_id),
                ret_fetch);
}

/* A capture or a refund. */
static int ask_move(struct txn *txn, const void *request, struct fetch *ret_fetch)
{
    struct wanted w;
    int r = read_wanted(txn, ((const ProcessorRequest *)request)->operation_id, &w);
    if (r < 0)
        return r;
    return post(txn, &w,
                json_pack("{s:s, s:I, s:s}", "authorization", w.authorize_id, "amount_minor",
                          (json_int_t)w.operation.amount_minor, "currency", w.payment.currency),
                ret_fetch);
}

/* By now the authorize has been answered. What a person has declined may have been authorized after all. */
static bool is_nothing_to_void(const struct wanted *w)
{
    const struct payment *p = &w->payment;
    if (w->operation.decided_by[0])
        return true;
    if (p->authorize_state == SUCCEEDED)
        return p->captured_minor >= p->authorized_minor;
    return p->authorize_state == DECLINED && w->authorize_decided_by[0] == '\0';
}

static int ask_void(struct txn *txn, const void *request, struct fetch *ret_fetch)
{
    struct wanted w;
    int r = read_wanted(txn, ((const ProcessorRequest *)request)->operation_id, &w);
    if (r < 0)
        return r;
    if (is_nothing_to_void(&w))
        return -ECANCELED;
    return post(txn, &w, json_pack("{s:s}", "authorization", w.authorize_id), ret_fetch);
}

/* Once it is to be voided nobody waits for the customer any more. */
static int ask_query(struct txn *txn, const void *request, struct fetch *ret_fetch)
{
    struct wanted w;
    int r = read_wanted(txn, ((const ProcessorRequest *)request)->operation_id, &w);
    if (r < 0)
        return r;
    if (w.operation.state != ACTION_REQUIRED || w.payment.voiding != NOT_VOIDED)
        return -ECANCELED;
    ret_fetch->verb = "GET";
    ret_fetch->path = arena_printf(txn->arena, "/v1/operations/%s", w.operation.operation_id);
    return ret_fetch->path ? 0 : -ENOMEM;
}

/* --- what it came to --- */

static int tell_outcome(struct txn *txn, const struct outcome *outcome, enum operation_state state)
{
    static const enum operation_outcome outcomes[] = {
        [SUCCEEDED] = ANSWERED_SUCCEEDED,
        [DECLINED] = ANSWERED_DECLINED,
        [ACTION_REQUIRED] = ANSWERED_ACTION,
    };
    const ProcessorRequest *request = outcome->request;
    const ProcessorAnswer *answer = outcome->reply;
    const struct news news = {
        .processor_ref = answer->processor_ref[0] ? answer->processor_ref : NULL,
        .reason = answer->reason[0] ? answer->reason : NULL,
        .action_url = answer->action_url,
    };
    return operation_happened(txn, request->operation_id, outcomes[state], &news);
}

/* Unspecified: it was not said, as there was nothing to be said any more. */
static int operation_ended(struct txn *txn, const struct outcome *outcome)
{
    const ProcessorAnswer *answer = outcome->reply;
    if (outcome->code != RPC_OK || answer->state == OPERATION_STATE(STATE_UNSPECIFIED))
        return 0;
    return tell_outcome(txn, outcome, (enum operation_state)answer->state);
}

static int void_ended(struct txn *txn, const struct outcome *outcome)
{
    return outcome->code == RPC_OK ? tell_outcome(txn, outcome, SUCCEEDED) : 0;
}

/* What was asked before it was voided may have been true then. */
static int query_ended(struct txn *txn, const struct outcome *outcome)
{
    const ProcessorRequest *request = outcome->request;
    struct payment payment;
    struct operation operation;
    int r = payment_open_operation(txn, request->operation_id, &payment, &operation);
    if (r <= 0 || payment.voiding == VOIDED)
        return r < 0 ? r : 0;
    return operation_ended(txn, outcome);
}

static const struct outside authorize = { ask_authorize, answer_operation, TIMEOUT_US };
static const struct outside move = { ask_move, answer_move, TIMEOUT_US };
static const struct outside void_it = { ask_void, answer_void, TIMEOUT_US };
static const struct outside query = { ask_query, answer_query, TIMEOUT_US };

#define ROW(method, outcome, outside) \
    { \
        method, &oms__payment__v1__processor_request__descriptor, &oms__payment__v1__processor_answer__descriptor, \
            outcome, GIVE_UP_PARK, 0, outside \
    }

/* None is ever given up: money may have been moved. */
const struct deliverer payment_deliverers[] = {
    ROW("/processor/authorize", operation_ended, &authorize),
    ROW("/processor/capture", operation_ended, &move),
    ROW("/processor/void", void_ended, &void_it),
    ROW("/processor/refund", operation_ended, &move),
    ROW(QUERY, query_ended, &query),
    {},
};
