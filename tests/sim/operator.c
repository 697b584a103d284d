/* The person on duty: looks through the dead letters now and then, and has each delivered again. */
#include "mesh/v1/admin.pb-c.h"
#include "tests/sim/shop.h"

#include <stdio.h>

#define ROUND_US 60000000
#define THINK_US 1000000 /* between two letters */
#define LIST     "/mesh.v1.AdminService/ListDeadLetters"
#define RETRY    "/mesh.v1.AdminService/RetryDeadLetter"

static void retried(struct actor *actor, const struct heard *answer)
{
    /* The letter may be gone: the answer to the first request was lost, or a repeat of it has come late. */
    if (answer->code != RPC_OK && answer->code != RPC_NOT_FOUND && answer->code != RPC_FAILED_PRECONDITION)
        shop_violation(actor->shop, "a dead letter cannot be retried: %s", answer->message);
    actor_rest(actor, THINK_US);
}

static void retry(struct actor *actor, const char *letter)
{
    Mesh__V1__RetryDeadLetterRequest req = MESH__V1__RETRY_DEAD_LETTER_REQUEST__INIT;
    char request_id[ID_MAX];

    id_make(node_port(actor->shop->gateway), "ops", request_id);
    req.id = (char *)letter;
    req.request_id = request_id;
    actor->shop->retried++;
    actor_ask(actor, "svc-order", RETRY, actor_pack(actor, &req), true, retried);
}

static void listed(struct actor *actor, const struct heard *answer)
{
    Mesh__V1__ListDeadLettersResponse *reply = NULL;

    if (answer->code == RPC_OK)
        reply = mesh__v1__list_dead_letters_response__unpack(NULL, answer->reply.len, answer->reply.data);
    if (reply && reply->n_dead_letters > 0)
        retry(actor, reply->dead_letters[world_roll(actor->shop->w, reply->n_dead_letters)]->id);
    else
        actor_rest(actor, ROUND_US);
    if (reply)
        mesh__v1__list_dead_letters_response__free_unpacked(reply, NULL);
}

void operator_act(struct actor *actor)
{
    Mesh__V1__ListDeadLettersRequest req = MESH__V1__LIST_DEAD_LETTERS_REQUEST__INIT;

    actor_ask(actor, "svc-order", LIST, actor_pack(actor, &req), false, listed);
}
