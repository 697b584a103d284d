/* One byte at a time, but for what is in the chunks. */
#include "gateway/chunked.h"

#include <errno.h>

#define DIGITS_MAX 7 /* 256 MiB less one byte */

enum state { SIZE, EXTENSION, SIZE_LF, BYTES, BYTES_CR, BYTES_LF, LINE, TRAILER, TRAILER_LF, LAST_LF, ENDED };

static int digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool is_text(uint8_t c)
{
    return (c >= ' ' && c != 0x7f) || c == '\t';
}

/* What may be passed over: text, as long as it is not too much. */
static int pass_over(struct chunked *c, uint8_t byte)
{
    return is_text(byte) && ++c->idle < CHUNKED_IDLE_MAX ? 0 : -EPROTO;
}

static int expect(struct chunked *c, uint8_t byte, uint8_t expected, enum state next)
{
    c->state = next;
    return byte == expected ? 0 : -EPROTO;
}

static int take_size(struct chunked *c, uint8_t byte)
{
    int value = digit(byte);
    if (value >= 0 && c->digits < DIGITS_MAX) {
        c->left = c->left << 4 | (uint32_t)value;
        c->digits++;
        return 0;
    }
    if (c->digits == 0 || (byte != '\r' && byte != ';' && byte != ' ' && byte != '\t'))
        return -EPROTO;
    c->state = byte == '\r' ? SIZE_LF : EXTENSION;
    return 0;
}

static int take_byte(struct chunked *c, uint8_t byte)
{
    switch ((enum state)c->state) {
    case SIZE:
        return take_size(c, byte);
    case EXTENSION:
        return byte == '\r' ? expect(c, byte, '\r', SIZE_LF) : pass_over(c, byte);
    case SIZE_LF:
        c->digits = 0;
        return expect(c, byte, '\n', c->left ? BYTES : LINE);
    case BYTES_CR:
        return expect(c, byte, '\r', BYTES_LF);
    case BYTES_LF:
        return expect(c, byte, '\n', SIZE);
    case LINE:
        c->state = byte == '\r' ? LAST_LF : TRAILER;
        return byte == '\r' ? 0 : pass_over(c, byte);
    case TRAILER:
        return byte == '\r' ? expect(c, byte, '\r', TRAILER_LF) : pass_over(c, byte);
    case TRAILER_LF:
        return expect(c, byte, '\n', LINE);
    case LAST_LF:
        return expect(c, byte, '\n', ENDED);
    default:
        return -EPROTO;
    }
}

ssize_t chunked_take(struct chunked *c, const uint8_t *data, size_t n, size_t *ret_len)
{
    size_t at = 0;
    *ret_len = 0;
    while (at < n && c->state != ENDED) {
        if (c->state == BYTES) {
            size_t len = n - at < c->left ? n - at : c->left;
            c->left -= (uint32_t)len;
            if (c->left == 0)
                c->state = BYTES_CR;
            *ret_len = len;
            return (ssize_t)(at + len);
        }
        if (take_byte(c, data[at++]) < 0)
            return -EPROTO;
    }
    return (ssize_t)at;
}

bool chunked_ended(const struct chunked *c)
{
    return c->state == ENDED;
}
