/* Size classes of 64 bytes up to 1 KiB; what is larger goes to malloc. A block's first word says its class. */
#include "gateway/blocks.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define STEP    64
#define CLASSES 16
#define KEPT    512 /* of one class at most: 4.3 MiB in all */

struct block {
    size_t size;        /* of what follows the header */
    struct block *next; /* of those that are free */
};
#define HEADER 16

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
    if (!data)
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
    size_t had = ((struct block *)((char *)data - HEADER))->size;
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

void blocks_trim(void)
{
    for (unsigned c = 0; c < CLASSES; c++)
        for (struct block *block; (block = classes[c].free);) {
            classes[c].free = block->next;
            classes[c].n--;
            free(block);
        }
}
