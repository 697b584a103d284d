/* Base64 (RFC 4648) on the fly: what is encoded goes where the caller says, what is decoded may come in any pieces. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BASE64_ROOM(n) (((n) + 2) / 3 * 4)

/* How many characters, no NUL behind them; ret_text has BASE64_ROOM(n). */
size_t base64_encode(const uint8_t *data, size_t n, bool pad, char *ret_text);

/* Zeroed at first. */
struct base64 {
    uint32_t bits;
    uint8_t held; /* characters of the group of four that has begun, padding included */
    uint8_t pads;
};
/* Groups of four, each of which may be padded: several texts one after the other are one. ret_data has room for
 * n / 4 * 3 + 3. How many bytes came out, or -EINVAL. */
int64_t base64_decode(struct base64 *state, const char *text, size_t n, uint8_t *ret_data);
/* No group is left unfinished. */
bool base64_whole(const struct base64 *state);
