/* Size classes of 32 bytes up to 1 KiB; what is larger goes to malloc. A block's first word says its class. */
#include "gateway/blocks.h"

#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define STEP    32
#define CLASSES 32
#define KEPT    256 /* of one class at most: 4.2 MiB in all */

struct block {
    size_t size;        /* of what follows the header */
    struct block *next; /* of those that are free */
};
#define HEADER sizeof(size_t) /* what nghttp2 keeps needs no larger alignment */

/* nghttp2's NGHTTP2_FRAMEBUF_CHUNKLEN, with room for padding. */
#define SCRATCH (16384 + 64)

static alignas(16) uint8_t scratch[SCRATCH];
static bool session_begins;

static struct {
    struct block *free;
    unsigned n;
} classes[CLASSES];

static unsigned class_of(size_t size)
{
    return (unsigned)((size + STEP - 1) / STEP) - (size > 0);
}

static void *take(size_t size, void *arg)
{
    unsigned c = class_of(size);
    if (session_begins && size > 16384 && size <= SCRATCH) {
        session_begins = false;
        return scratch;
    }
    struct block *block;
    if (c < CLASSES && (block = classes[c].free)) {
        classes[c].free = block->next;
        classes[c].n--;
        return (char *)block + HEADER;
    }
    size_t room = c < CLASSES ? (c + 1) * (size_t)STEP : size;
    block = malloc(HEADER + room);
    if (!block)
        return NULL;
    block->size = room;
    return (char *)block + HEADER;
}

static void give(void *data, void *arg)
{
    if (!data || data == scratch)
        return;
    struct block *block = (struct block *)((char *)data - HEADER);
    unsigned c = class_of(block->size);
    if (c >= CLASSES || classes[c].n == KEPT) {
        free(block);
        return;
    }
    block->next = classes[c].free;
    classes[c].free = block;
    classes[c].n++;
}

static void *take_zeroed(size_t n, size_t size, void *arg)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, size, &bytes))
        return NULL;
    void *data = take(bytes, arg);
    return data ? memset(data, 0, bytes) : NULL;
}

static void *resize(void *data, size_t size, void *arg)
{
    if (!data)
        return take(size, arg);
    size_t had = data == scratch ? SCRATCH : ((struct block *)((char *)data - HEADER))->size;
    if (size <= had)
        return data;
    void *larger = take(size, arg);
    if (!larger)
        return NULL;
    memcpy(larger, data, had);
    give(data, arg);
    return larger;
}

nghttp2_mem *blocks_mem(void)
{
    static nghttp2_mem mem = { NULL, take, give, take_zeroed, resize };
    return &mem;
}

void blocks_session_begin(void)
{
    session_begins = true;
}

void blocks_session_end(void)
{
    session_begins = false;
}

void blocks_trim(void)
{
    for (unsigned c = 0; c < CLASSES; c++)
        for (struct block *block; (block = classes[c].free);) {
            classes[c].free = block->next;
            classes[c].n--;
            free(block);
        }
}
