/* Reads many credit memos at once. A cancelled line may have become several of the memo, one behind the other. */
#include "omsctl/order_credits.h"

#include "omsctl/api_names.h"
#include "omsctl/load.h"

#include <string.h>

struct reading {
    struct ctl *ctl;
    const struct retail *retail;
    const uint32_t *invoices;
    const char **judged;
};

static struct bytes get_request(void *arg, size_t i, struct arena *arena)
{
    const struct reading *reading = arg;
    Oms__Order__V1__GetCreditRequest request = OMS__ORDER__V1__GET_CREDIT_REQUEST__INIT;
    request.channel = (char *)reading->retail->mapping->channel;
    request.external_id = (char *)reading->retail->numbers.texts[reading->invoices[i]];
    return arena_pack(arena, &request.base);
}

static void judge_lines(struct reading *reading, const struct retail_invoice *invoice, const Credit *credit)
{
    struct arena *arena = &reading->ctl->arena;
    size_t piece = 0;
    for (uint32_t at = invoice->first; at != RETAIL_NONE; at = reading->retail->lines[at].next) {
        int64_t left = reading->retail->lines[at].quantity;
        if (piece == credit->n_lines)
            return;
        const CreditLine *line = credit->lines[piece];
        reading->judged[at] = line->order_id[0] ? "" : arena_copy(arena, line->reason, strlen(line->reason));
        while (left > 0 && piece < credit->n_lines)
            left -= credit->lines[piece++]->quantity;
    }
}

static void get_ended(void *arg, size_t i, const struct client_call *call)
{
    struct reading *reading = arg;
    struct arena arena;
    arena_init(&arena, 4 << 20);
    ProtobufCAllocator allocator = arena_protobuf(&arena);
    Oms__Order__V1__GetCreditResponse *reply =
        call->status.code == RPC_OK
            ? oms__order__v1__get_credit_response__unpack(&allocator, call->reply.len, call->reply.data)
            : NULL;
    if (reply && reply->credit)
        judge_lines(reading, &reading->retail->invoices[reading->invoices[i]], reply->credit);
    arena_finish(&arena);
}

int order_credits_read(struct ctl *ctl, const struct retail *retail, const uint32_t *invoices, size_t n,
                       const char **judged)
{
    struct reading reading = { ctl, retail, invoices, judged };
    const struct load load = { .what = "credit memos read back",
                               .method = ORDER_METHOD("GetCredit"),
                               .n = n,
                               .request = get_request,
                               .ended = get_ended,
                               .arg = &reading };
    return n ? load_run(ctl, &load).exit : CTL_OK;
}
