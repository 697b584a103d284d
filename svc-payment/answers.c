/* What is understood of the card processor's answers. What is not understood is none, so that it is asked again. */
#include "svc-payment/payment.h"

#include <jansson.h>
#include <string.h>

#define TEXT_MAX 128 /* of the processor's ids */
#define URL_MAX  1024

/* The text of a member, in the arena; "": there is none, or a longer one. */
static char *member_text(struct arena *arena, const json_t *object, const char *name, size_t max)
{
    const json_t *text = json_object_get(object, name);
    size_t len = json_string_length(text);
    char *copy = len && len <= max ? arena_copy(arena, json_string_value(text), len) : NULL;
    return copy ? copy : "";
}

/* Whatever else stood there could be a person's. */
static char *member_code(struct arena *arena, const json_t *object, const char *name, char *absent)
{
    char *code = member_text(arena, object, name, 64);
    return code[0] && code[strspn(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")] == '\0' ? code : absent;
}

static Oms__Payment__V1__Operation__State state_of(const json_t *json)
{
    static const struct {
        const char *status;
        enum operation_state state;
    } states[] = { { "succeeded", SUCCEEDED }, { "declined", DECLINED }, { "requires_action", ACTION_REQUIRED } };
    const char *status = json_string_value(json_object_get(json, "status"));
    for (size_t i = 0; status && i < sizeof(states) / sizeof(states[0]); i++)
        if (strcmp(states[i].status, status) == 0)
            return (Oms__Payment__V1__Operation__State)states[i].state;
    return 0;
}

static bool read_answer(struct arena *arena, const json_t *json, ProcessorAnswer *ret)
{
    ret->state = state_of(json);
    ret->processor_ref = member_text(arena, json, "id", TEXT_MAX);
    ret->action_url = member_text(arena, json, "action_url", URL_MAX);
    if (ret->state == OPERATION_STATE(DECLINED))
        ret->reason = member_code(arena, json, "reason", "DECLINED");
    return ret->state != OPERATION_STATE(STATE_UNSPECIFIED);
}

/* The request itself was refused: it will be refused again. Who we are, and where we ask, is not the request. */
static bool read_refusal(struct arena *arena, int status, const json_t *json, ProcessorAnswer *ret)
{
    if (status != 400 && status != 402 && status != 409 && status != 422)
        return false;
    ret->state = OPERATION_STATE(DECLINED);
    ret->reason = member_code(arena, json, "error", "");
    return ret->reason[0] != '\0';
}

static json_t *parse(struct bytes body)
{
    return json_loadb((const char *)body.data, body.len, JSON_REJECT_DUPLICATES, NULL);
}

enum rpc_code answer_operation(struct arena *arena, int status, struct bytes body, const void *request, void *reply)
{
    json_t *json = parse(body);
    bool understood = status == 200 ? read_answer(arena, json, reply) : read_refusal(arena, status, json, reply);
    json_decref(json);
    return understood ? RPC_OK : RPC_UNAVAILABLE;
}

/* For a capture or a refund nobody has to act. */
enum rpc_code answer_move(struct arena *arena, int status, struct bytes body, const void *request, void *reply)
{
    ProcessorAnswer *answer = reply;
    enum rpc_code code = answer_operation(arena, status, body, request, reply);
    return answer->state == OPERATION_STATE(ACTION_REQUIRED) ? RPC_UNAVAILABLE : code;
}

enum rpc_code answer_query(struct arena *arena, int status, struct bytes body, const void *request, void *reply)
{
    return status == 200 ? answer_operation(arena, status, body, request, reply) : RPC_UNAVAILABLE;
}

/* Money that was asked back must not stay held: a refusal is no answer. It is asked again, and a person hears of it
 * when it is overdue. */
enum rpc_code answer_void(struct arena *arena, int status, struct bytes body, const void *request, void *reply)
{
    ProcessorAnswer *answer = reply;
    enum rpc_code code = answer_query(arena, status, body, request, reply);
    return answer->state == OPERATION_STATE(SUCCEEDED) ? code : RPC_UNAVAILABLE;
}
