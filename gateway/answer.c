/* Statuses as header fields: percent-encoded message, details packed and in base64 without padding. */
#include "gateway/answer.h"

#include "mesh/rpc/error.h"

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

size_t answer_fields(const struct answer *answer, bool trailers, nghttp2_nv ret_nva[ANSWER_FIELDS], char **ret_block)
{
    struct arena arena;
    arena_init(&arena, 16 * 1024);
    struct rpc_status status = { answer->code, answer->message ? answer->message : "", { 0 } };
    if (answer->reason)
        status = error_status(&arena, &(struct rpc_error){ .code = answer->code,
                                                           .reason = answer->reason,
                                                           .message = status.message,
                                                           .subject = answer->subject,
                                                           .retry_us = answer->retry_us });
    size_t n = answer_of_status(&status, trailers, ret_nva, ret_block);
    arena_finish(&arena);
    return n;
}
