/* Three bytes are four characters. */
#include "gateway/base64.h"

#include <errno.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t base64_encode(const uint8_t *data, size_t n, bool pad, char *ret_text)
{
    char *at = ret_text;
    for (; n >= 3; data += 3, n -= 3) {
        uint32_t bits = (uint32_t)data[0] << 16 | (uint32_t)data[1] << 8 | data[2];
        *at++ = digits[bits >> 18];
        *at++ = digits[bits >> 12 & 63];
        *at++ = digits[bits >> 6 & 63];
        *at++ = digits[bits & 63];
    }
    if (n > 0) {
        uint32_t bits = (uint32_t)data[0] << 16 | (n > 1 ? (uint32_t)data[1] << 8 : 0);
        *at++ = digits[bits >> 18];
        *at++ = digits[bits >> 12 & 63];
        if (n > 1)
            *at++ = digits[bits >> 6 & 63];
        for (size_t i = n; pad && i < 3; i++)
            *at++ = '=';
    }
    return (size_t)(at - ret_text);
}

static int value_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' || c == '-' ? 62 : c == '/' || c == '_' ? 63 : -1;
}

int64_t base64_decode(struct base64 *state, const char *text, size_t n, uint8_t *ret_data)
{
    uint8_t *at = ret_data;
    for (size_t i = 0; i < n; i++) {
        int value = text[i] == '=' ? 0 : value_of(text[i]);
        bool pad = text[i] == '=';
        if (value < 0 || (pad && state->held < 2) || (!pad && state->pads))
            return -EINVAL;
        state->bits = state->bits << 6 | (uint32_t)value;
        state->pads += pad;
        if (++state->held < 4)
            continue;
        *at++ = (uint8_t)(state->bits >> 16);
        if (state->pads < 2)
            *at++ = (uint8_t)(state->bits >> 8);
        if (state->pads < 1)
            *at++ = (uint8_t)state->bits;
        *state = (struct base64){ 0 };
    }
    return at - ret_data;
}

bool base64_whole(const struct base64 *state)
{
    return state->held == 0;
}
