/* Statuses as header fields: percent-encoded message, details packed and in base64 without padding. */
#include "gateway/answer.h"

#include "gateway/base64.h"
#include "mesh/rpc/error.h"

#include <errno.h>
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

size_t answer_of_status(const struct rpc_status *status, bool trailers, nghttp2_nv ret_nva[ANSWER_FIELDS],
                        char **ret_block)
{
    struct bytes details = status->details;
    if (details.len > DETAILS_MAX)
        details.len = 0;
    char *block = malloc(4 + 3 * MESSAGE_MAX + BASE64_ROOM(details.len));
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
        ret_nva[n++] =
            H2_VALUE("grpc-status-details-bin", encoded, base64_encode(details.data, details.len, false, encoded));
    *ret_block = block;
    return n;
}

struct rpc_status answer_status(struct arena *arena, const struct answer *answer)
{
    const char *message = answer->message ? answer->message : "";
    if (!answer->reason)
        return (struct rpc_status){ answer->code, message, { 0 } };
    return error_status(arena, &(struct rpc_error){ .code = answer->code,
                                                    .reason = answer->reason,
                                                    .message = message,
                                                    .subject = answer->subject,
                                                    .retry_us = answer->retry_us });
}

size_t answer_fields(const struct answer *answer, bool trailers, nghttp2_nv ret_nva[ANSWER_FIELDS], char **ret_block)
{
    struct arena arena;
    arena_init(&arena, 16 * 1024);
    const struct rpc_status status = answer_status(&arena, answer);
    size_t n = answer_of_status(&status, trailers, ret_nva, ret_block);
    arena_finish(&arena);
    return n;
}

static int hex_of(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                  : -1;
}

size_t answer_unpercent(const char *text, size_t n, char *ret_text)
{
    size_t len = 0;
    for (size_t i = 0; i < n; i++) {
        int high = text[i] == '%' && i + 2 < n ? hex_of(text[i + 1]) : -1, low = high < 0 ? -1 : hex_of(text[i + 2]);
        ret_text[len++] = low < 0 ? text[i] : (char)(high << 4 | low);
        i += low < 0 ? 0 : 2;
    }
    return len;
}

static bool is(const nghttp2_nv *field, const char *name)
{
    return field->namelen == strlen(name) && memcmp(field->name, name, field->namelen) == 0;
}

struct rpc_status answer_parse(struct arena *arena, enum rpc_code code, const nghttp2_nv *nva, size_t n)
{
    struct rpc_status status = { code, "", { 0 } };
    for (size_t i = 0; i < n; i++) {
        const char *value = (const char *)nva[i].value;
        size_t len = nva[i].valuelen;
        if (is(&nva[i], "grpc-message")) {
            char *text = arena_copy(arena, value, len);
            if (text)
                text[answer_unpercent(value, len, text)] = '\0';
            status.message = text ? text : "";
        } else if (is(&nva[i], "grpc-status-details-bin")) {
            uint8_t *packed = arena_alloc(arena, len + 3);
            struct base64 state = { 0 };
            int64_t n_packed = packed ? base64_decode(&state, value, len, packed) : -ENOMEM;
            if (n_packed >= 0 && state.held)
                n_packed += base64_decode(&state, "==", 4 - state.held, packed + n_packed);
            if (n_packed >= 0)
                status.details = (struct bytes){ packed, (size_t)n_packed };
        }
    }
    return status;
}
