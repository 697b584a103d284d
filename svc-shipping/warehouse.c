/* What a warehouse does: packs, and hands over to the carrier. */
#include "svc-shipping/manifest.h"

#include <errno.h>

#define LOOK_AGAIN_US 1000000 /* when the other side is expected to have answered */

static const struct news nothing_new = { 0 };

/* What is not there yet comes by itself. */
static int fail_for_now(struct rpc_call *call, const struct entry *entry, const char *reason, const char *message)
{
    int r = rpc_fail_state(call, entry->told->fulfillment_id, reason, "%s", message);
    rpc_error_retry(call, LOOK_AGAIN_US);
    return r;
}

static int fail_state(struct rpc_call *call, const struct entry *entry)
{
    const ProtobufCEnumValue *state =
        protobuf_c_enum_descriptor_get_value(&oms__shipping__v1__fulfillment__state__descriptor, entry->told->state);
    const char *legal = fulfillment_legal(entry->standing);
    int r = rpc_fail_state(call, entry->told->fulfillment_id, "FULFILLMENT_STATE", "it is %s; legal now: %s",
                           state->name, legal);
    rpc_error_meta(call, "state", state->name);
    rpc_error_meta(call, "legal", legal);
    return r;
}

static int find(struct rpc_call *call, struct txn *txn, const char *fulfillment_id, struct manifest *ret_manifest,
                struct entry **ret_entry)
{
    int r = manifest_open(txn, &fulfillment_id, 1, 1, ret_manifest);
    if (r < 0)
        return r;
    *ret_entry = manifest_find(ret_manifest, fulfillment_id);
    return *ret_entry ? 0 : rpc_fail_missing(call, "fulfillment", fulfillment_id);
}

static int take(struct manifest *manifest, struct entry *entry, const struct fulfillment_step *step,
                FulfillmentResponse *ret)
{
    int r = manifest_move(manifest, entry, step, &nothing_new);
    if (r < 0)
        return r;
    r = manifest_close(manifest);
    if (r < 0)
        return r;
    ret->fulfillment = entry->told;
    return log_position_message(manifest->txn, &ret->position);
}

/* Without the address the label is asked for when that has come (address.c). */
int pack_fulfillment(struct rpc_call *call, struct txn *txn, const void *in, void *out)
{
    const PackFulfillmentRequest *req = in;
    struct manifest manifest;
    struct entry *entry;
    int r = find(call, txn, req->fulfillment_id, &manifest, &entry);
    if (r < 0)
        return r;
    if (!fulfillment_asked(entry->standing, PACK))
        return fail_state(call, entry);
    if (req->n_missing)
        r = shortage_take(call, txn, req, entry->told);
    if (r < 0)
        return r;
    enum fulfillment_verb verb = !req->n_missing ? PACK : entry->told->n_lines ? PACK_SHORT : PACK_NOTHING;
    entry->weight_grams = req->weight_grams;
    r = take(&manifest, entry, fulfillment_asked(entry->standing, verb), out);
    if (r == 0 && req->wait && entry->standing == PACKED)
        rpc_defer(call, entry->told->order_id);
    return r;
}

int settle_pack_fulfillment(struct rpc_call *call, struct txn *txn, const void *in, void *out)
{
    const PackFulfillmentRequest *req = in;
    FulfillmentResponse *ret = out;
    struct manifest manifest;
    struct entry *entry;
    int r = find(call, txn, req->fulfillment_id, &manifest, &entry);
    if (r < 0)
        return r;
    if (entry->standing == PACKED)
        return RPC_WAIT;
    ret->fulfillment = entry->told;
    r = log_position_message(txn, &ret->position);
    return r < 0 ? r : RPC_END;
}

int ship_fulfillment(struct rpc_call *call, struct txn *txn, const void *in, void *out)
{
    const ShipFulfillmentRequest *req = in;
    struct manifest manifest;
    struct entry *entry;
    int r = find(call, txn, req->fulfillment_id, &manifest, &entry);
    if (r < 0)
        return r;
    const struct fulfillment_step *step = fulfillment_asked(entry->standing, SHIP);
    if (step)
        return take(&manifest, entry, step, out);
    if (entry->standing == PACKED)
        return fail_for_now(call, entry, "LABEL_NOT_THERE", "the carrier has not given the label yet");
    return fail_state(call, entry);
}
