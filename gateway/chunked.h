/* The chunked transfer coding of HTTP/1.1 (RFC 9112, 7.1), taken apart as strictly as it is written: two readers of one
 * connection that do not agree on where a message ends are how requests are smuggled. Extensions and trailers are
 * passed over. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define CHUNKED_IDLE_MAX (16 * 1024) /* bytes of extensions and trailers, all together */

struct chunked {
    uint8_t state;
    uint8_t digits;
    uint16_t idle; /* bytes that were passed over */
    uint32_t left; /* of the chunk */
};

static inline void chunked_init(struct chunked *c)
{
    *c = (struct chunked){ 0 };
}

/* Looks at the next bytes: how many of n are done with, of which the last *ret_len belong to the body. Called again
 * until all are done with or the end is there. -EPROTO: that is not the coding. */
ssize_t chunked_take(struct chunked *c, const uint8_t *data, size_t n, size_t *ret_len);
bool chunked_ended(const struct chunked *c);
