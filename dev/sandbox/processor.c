/* The requests: read, compared with what was done under the key, decided, written down, done, answered. What is kept is
 * in accounts.c. */
#include "dev/sandbox/processor.h"
#include "dev/sandbox/accounts.h"
#include "dev/sandbox/tokens.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <string.h>

/* Something wrong with a request. */
struct refusal {
    const char *code, *message;
};

struct request {
    struct processor *p;
    int64_t now_us;
    const struct kind *kind;
    struct processed wanted; /* status and reason: what is decided */
    struct operation *on;    /* the authorization of what is none; NULL if it has not come */
    struct answer *ret;
};

struct kind {
    const char *path, *name;
    bool has_amount, has_token;
    /* Decides status and reason, or finds fault. */
    const struct refusal *(*decide)(struct request *request);
};

/* --- decisions --- */

#define REFUSAL(name, code, message) static const struct refusal name = { code, message }
REFUSAL(key_invalid, "KEY_INVALID", "Idempotency-Key is one to 128 letters, digits and _ - . :");
REFUSAL(body_invalid, "BODY_INVALID", "the body is a JSON object");
REFUSAL(amount_invalid, "AMOUNT_INVALID", "amount_minor is a whole number above zero");
REFUSAL(currency_invalid, "CURRENCY_INVALID", "currency is three capital letters");
REFUSAL(token_unknown, "TOKEN_UNKNOWN", "a token begins with tok_");
REFUSAL(reference_invalid, "REFERENCE_INVALID", "reference is one to 128 letters, digits and _ - . :");
REFUSAL(authorization_invalid, "AUTHORIZATION_INVALID", "authorization is the key of an authorization");
REFUSAL(authorization_unknown, "AUTHORIZATION_UNKNOWN", "there is no authorization under this key");
REFUSAL(authorization_open, "AUTHORIZATION_OPEN", "the customer has not acted yet");
REFUSAL(authorization_declined, "AUTHORIZATION_DECLINED", "the authorization was declined");
REFUSAL(currency_mismatch, "CURRENCY_MISMATCH", "the authorization is in another currency");
REFUSAL(above_authorized, "CAPTURE_EXCEEDS_AUTHORIZATION", "captures in all stay within what was authorized");
REFUSAL(above_captured, "REFUND_EXCEEDS_CAPTURES", "refunds in all stay within what was captured");

static void decline(struct request *request, const char *reason)
{
    request->wanted.status = DECLINED;
    request->wanted.reason = reason;
}

static const struct refusal *decide_authorize(struct request *request)
{
    const struct behaviour *behaviour = behaviour_of(request->wanted.token);
    if (is_tombstone(request->p, request->wanted.key))
        decline(request, "VOIDED");
    else if (behaviour->declines)
        decline(request, behaviour->declines);
    else if (behaviour->action != NO_ACTION)
        request->wanted.status = REQUIRES_ACTION;
    return NULL;
}

static const struct refusal *decide_capture(struct request *request)
{
    const struct operation *on = request->on;
    if (!on)
        return &authorization_unknown;
    if (strcmp(on->what.currency, request->wanted.currency) != 0)
        return &currency_mismatch;
    if (on->voided) {
        decline(request, "VOIDED");
        return NULL;
    }
    if (on->what.status == REQUIRES_ACTION)
        return &authorization_open;
    if (on->what.status == DECLINED)
        return &authorization_declined;
    if (request->wanted.amount_minor > on->what.amount_minor - on->captured_minor)
        return &above_authorized;
    if (behaviour_of(on->what.token)->captures_fail)
        decline(request, "CAPTURE_REFUSED");
    return NULL;
}

static const struct refusal *decide_refund(struct request *request)
{
    const struct operation *on = request->on;
    if (!on)
        return &authorization_unknown;
    if (strcmp(on->what.currency, request->wanted.currency) != 0)
        return &currency_mismatch;
    if (request->wanted.amount_minor > on->captured_minor - on->refunded_minor)
        return &above_captured;
    if (behaviour_of(on->what.token)->refunds_fail)
        decline(request, "REFUND_REFUSED");
    return NULL;
}

static const struct refusal *decide_void(struct request *request)
{
    return NULL;
}

static const struct kind kinds[] = {
    { "/v1/authorizations", "authorize", true, true, decide_authorize },
    { "/v1/captures", "capture", true, false, decide_capture },
    { "/v1/refunds", "refund", true, false, decide_refund },
    { "/v1/voids", "void", false, false, decide_void },
    {},
};

/* --- reading --- */

static const char *text_of(const json_t *body, const char *name)
{
    const char *text = json_string_value(json_object_get(body, name));
    return text ? text : "";
}

static bool is_currency(const char *text)
{
    return strlen(text) == 3 && strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 3;
}

static const struct refusal *read_token(struct processed *wanted, const json_t *body)
{
    wanted->token = text_of(body, "token");
    wanted->reference = text_of(body, "reference");
    wanted->authorization = wanted->key;
    if (strncmp(wanted->token, "tok_", 4) != 0 || !outsider_is_id(wanted->token))
        return &token_unknown;
    return outsider_is_id(wanted->reference) ? NULL : &reference_invalid;
}

static const struct refusal *read_body(struct request *request, const json_t *body)
{
    struct processed *wanted = &request->wanted;
    if (!json_is_object(body))
        return &body_invalid;
    if (request->kind->has_amount) {
        wanted->amount_minor = json_integer_value(json_object_get(body, "amount_minor"));
        wanted->currency = text_of(body, "currency");
        if (wanted->amount_minor <= 0)
            return &amount_invalid;
        if (!is_currency(wanted->currency))
            return &currency_invalid;
    }
    if (request->kind->has_token)
        return read_token(wanted, body);

    wanted->authorization = text_of(body, "authorization");
    if (!outsider_is_id(wanted->authorization))
        return &authorization_invalid;
    request->on = authorization_find(request->p, wanted->authorization);
    wanted->reference = request->on ? request->on->what.reference : "";
    return NULL;
}

/* --- answering --- */

/* The answer of the first time; or, when somebody asks for it, how it stands now. */
static void tell(const struct operation *operation, const char *status, const char *reason, struct answer *ret)
{
    uint64_t id = keys_hash(operation->what.key, strlen(operation->what.key), 0);
    if (status == REQUIRES_ACTION)
        answer_say(ret, 200,
                   "{\"status\":\"%s\",\"id\":\"prc_%016" PRIx64
                   "\",\"action_url\":\"http://processor.example/actions/prc_%016" PRIx64 "\"}",
                   status, id, id);
    else if (status == DECLINED)
        answer_say(ret, 200, "{\"status\":\"%s\",\"id\":\"prc_%016" PRIx64 "\",\"reason\":\"%s\"}", status, id, reason);
    else
        answer_say(ret, 200, "{\"status\":\"%s\",\"id\":\"prc_%016" PRIx64 "\"}", status, id);
}

static bool is_same(const struct processed *a, const struct processed *b)
{
    return strcmp(a->kind, b->kind) == 0 && strcmp(a->authorization, b->authorization) == 0 &&
           a->amount_minor == b->amount_minor && strcmp(a->currency, b->currency) == 0 &&
           strcmp(a->token, b->token) == 0 && (a->token[0] == '\0' || strcmp(a->reference, b->reference) == 0);
}

/* Does it, unless it was done before. NULL when there is an answer already. */
static const struct operation *carry_out(struct request *request)
{
    struct operation *operation = operation_find(request->p, request->wanted.key);
    if (operation && is_same(&operation->what, &request->wanted))
        return operation;
    if (operation) {
        answer_error(request->ret, 409, "KEY_REUSED", "another request was made under this key");
        return NULL;
    }

    const struct refusal *refusal = request->kind->decide(request);
    if (refusal)
        answer_error(request->ret, 400, refusal->code, refusal->message);
    else if (operation_do(request->p, &request->wanted, &operation) < 0)
        answer_error(request->ret, 503, "BOOK_UNAVAILABLE", "it cannot be written down, and is not done");
    return operation;
}

static void answer_post(struct request *request)
{
    const struct behaviour *behaviour = behaviour_of(request->wanted.token);
    struct attempts attempts = { 1, request->now_us };
    struct answer *ret = request->ret;
    if (behaviour->errors || behaviour->silences || behaviour->mute_us)
        attempts = operation_asked(request->p, request->wanted.key, request->now_us);
    if (attempts.n <= behaviour->errors) {
        answer_error(ret, 503, "TRY_AGAIN", "the processor is not well");
        return;
    }
    if (request->now_us - attempts.first_us < behaviour->mute_us) {
        ret->silent = true;
        ret->delay_us = attempts.first_us + behaviour->mute_us - request->now_us;
        return;
    }

    const struct operation *operation = carry_out(request);
    if (!operation)
        return;
    tell(operation, operation->first_status, operation->first_reason, ret);
    ret->silent = attempts.n <= behaviour->silences;
    int64_t left_us = operation->first_us + behaviour->answers_after_us - request->now_us;
    ret->delay_us = behaviour->answers_after_us && left_us > 0 ? left_us : 0;
}

static void read_post(struct request *request, struct bytes body)
{
    json_error_t error;
    json_t *json = json_loadb((const char *)body.data, body.len, JSON_REJECT_DUPLICATES, &error);
    const struct refusal *refusal = outsider_is_id(request->wanted.key) ? read_body(request, json) : &key_invalid;
    if (refusal)
        answer_error(request->ret, 400, refusal->code, refusal->message);
    else
        answer_post(request);
    json_decref(json);
}

static void answer_get(struct processor *p, const char *path, struct answer *ret)
{
    char key[OUTSIDER_ID_MAX + 1];
    const char *rest = outsider_path_id(path, "/v1/operations/", key);
    if (!rest || rest[0] != '\0') {
        answer_error(ret, 404, "NOT_FOUND", "there is /v1/operations/<key>");
        return;
    }
    const struct operation *operation = operation_find(p, key);
    if (operation)
        tell(operation, operation->what.status, operation->what.reason, ret);
    else
        answer_error(ret, 404, "UNKNOWN_OPERATION", "nothing was done under this key");
}

void processor_answer(struct processor *p, int64_t now_us, const char *verb, const char *path,
                      const char *idempotency_key, struct bytes body, struct answer *ret)
{
    struct request request = { .p = p, .now_us = now_us, .ret = ret };
    request.wanted = (struct processed){ idempotency_key, .currency = "", .status = SUCCEEDED,
                                         .reason = "",    .token = "",    .time_us = now_us };
    *ret = (struct answer){ 0 };
    processor_advance(p, now_us);
    for (const struct kind *kind = kinds; kind->path; kind++)
        if (strcmp(path, kind->path) == 0)
            request.kind = kind;

    if (request.kind && strcmp(verb, "POST") == 0) {
        request.wanted.kind = request.kind->name;
        read_post(&request, body);
    } else if (strcmp(verb, "GET") == 0) {
        answer_get(p, path, ret);
    } else {
        answer_error(ret, 404, "NOT_FOUND", "there is no such thing to be done");
    }
}
