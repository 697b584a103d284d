/* Statuses as header fields: percent-encoded message, details packed and in base64 without padding. */
#include "gateway/answer.h"

#include "api.h"

#include <stdio.h>

#define MESSAGE_MAX 1024
#define DETAILS_MAX 4096

static const nghttp2_nv status_200 = H2_FIELD(":status", "200");
static const nghttp2_nv content_type = H2_FIELD("content-type", "application/grpc");

/* Everything but visible ASCII and space, and % itself, as %XX. */
static size_t percent(const char *text, char *ret_text)
{
    static const char hex[] = "0123456789ABCDEF";
    char *at = ret_text;
    for (size_t i = 0; text[i] && i < MESSAGE_MAX; i++) {
        uint8_t c = (uint8_t)text[i];
        if (c >= ' ' && c <= '~' && c != '%') {
            *at++ = (char)c;
            continue;
        }
        *at++ = '%';
        *at++ = hex[c >> 4];
        *at++ = hex[c & 15];
    }
    return (size_t)(at - ret_text);
}

static size_t base64(struct bytes in, char *ret_text)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *at = ret_text;
    uint32_t held = 0;
    int bits = 0;
    for (size_t i = 0; i < in.len; i++) {
        held = held << 8 | in.data[i];
        for (bits += 8; bits >= 6; bits -= 6)
            *at++ = digits[held >> (bits - 6) & 63];
    }
    if (bits > 0)
        *at++ = digits[held << (6 - bits) & 63];
    return (size_t)(at - ret_text);
}

size_t answer_of_status(const struct rpc_status *status, bool trailers, nghttp2_nv ret_nva[ANSWER_FIELDS],
                        char **ret_block)
{
    struct bytes details = status->details;
    if (details.len > DETAILS_MAX)
        details.len = 0;
    char *block = malloc(4 + 3 * MESSAGE_MAX + (details.len + 2) / 3 * 4);
    if (!block)
        return 0;
    char *message = block + 4, *encoded = message + 3 * MESSAGE_MAX;
    int code_len = snprintf(block, 4, "%u", (unsigned)status->code % 100);
    size_t n = 0;
    if (!trailers) {
        ret_nva[n++] = status_200;
        ret_nva[n++] = content_type;
    }
    ret_nva[n++] = H2_VALUE("grpc-status", block, (size_t)code_len);
    size_t len = percent(status->message, message);
    if (len)
        ret_nva[n++] = H2_VALUE("grpc-message", message, len);
    if (details.len)
        ret_nva[n++] = H2_VALUE("grpc-status-details-bin", encoded, base64(details, encoded));
    *ret_block = block;
    return n;
}

static void add_detail(struct arena *arena, Google__Rpc__Status *status, const ProtobufCMessage *message)
{
    Google__Protobuf__Any *any = arena_alloc(arena, sizeof(*any));
    struct bytes packed = arena_pack(arena, message);
    if (!any || !packed.data)
        return;
    google__protobuf__any__init(any);
    any->type_url = arena_printf(arena, "type.googleapis.com/%s", message->descriptor->name);
    any->value = (ProtobufCBinaryData){ .len = packed.len, .data = (uint8_t *)packed.data };
    if (any->type_url)
        status->details[status->n_details++] = any;
}

static struct bytes pack_details(const struct answer *answer, struct arena *arena)
{
    Google__Protobuf__Any *details[3];
    Google__Rpc__Status status = GOOGLE__RPC__STATUS__INIT;
    status.code = (int32_t)answer->code;
    status.message = (char *)answer->message;
    status.details = details;

    Google__Rpc__ErrorInfo info = GOOGLE__RPC__ERROR_INFO__INIT;
    info.reason = (char *)answer->reason;
    info.domain = (char *)"ordermesh";
    add_detail(arena, &status, &info.base);

    Google__Rpc__BadRequest__FieldViolation violation = GOOGLE__RPC__BAD_REQUEST__FIELD_VIOLATION__INIT;
    Google__Rpc__BadRequest__FieldViolation *violations[] = { &violation };
    Google__Rpc__BadRequest bad = GOOGLE__RPC__BAD_REQUEST__INIT;
    violation.field = (char *)answer->field;
    violation.description = (char *)answer->message;
    violation.reason = (char *)answer->reason;
    bad.field_violations = violations;
    bad.n_field_violations = 1;
    if (answer->field)
        add_detail(arena, &status, &bad.base);

    Google__Protobuf__Duration delay = GOOGLE__PROTOBUF__DURATION__INIT;
    Google__Rpc__RetryInfo retry = GOOGLE__RPC__RETRY_INFO__INIT;
    delay.seconds = answer->retry_us / 1000000;
    delay.nanos = (int32_t)(answer->retry_us % 1000000 * 1000);
    retry.retry_delay = &delay;
    if (answer->retry_us)
        add_detail(arena, &status, &retry.base);
    return arena_pack(arena, &status.base);
}

size_t answer_fields(const struct answer *answer, bool trailers, nghttp2_nv ret_nva[ANSWER_FIELDS], char **ret_block)
{
    struct arena arena;
    arena_init(&arena, 16 * 1024);
    struct rpc_status status = { answer->code, answer->message ? answer->message : "", { 0 } };
    if (answer->reason)
        status.details = pack_details(answer, &arena);
    size_t n = answer_of_status(&status, trailers, ret_nva, ret_block);
    arena_finish(&arena);
    return n;
}
