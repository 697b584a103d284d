/* SQLite's memory: Debian's has no lookaside, so that every cursor and every value asks malloc. Here a block goes on
 * the list of its size and comes back from there, and what a run has once had it keeps. */
#include "tests/sim/memory.h"

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#define WATCHED true
#elif defined(__has_feature)
#define WATCHED __has_feature(address_sanitizer)
#else
#define WATCHED false
#endif

#define STEP      16
#define SMALL_MAX 8192 /* larger blocks are malloc's */
#define CHUNK     (256 << 10)

struct block {
    size_t size; /* of what is behind it */
    union {
        struct block *next; /* while it is free */
        uint64_t data;      /* what SQLite wants to be aligned to */
    };
};

static struct block *lists[SMALL_MAX / STEP + 1];
static char *chunk;
static size_t left;

static struct block *of(void *data)
{
    return (struct block *)((char *)data - offsetof(struct block, data));
}

static int round_up(int n)
{
    return n <= STEP ? STEP : (n + STEP - 1) / STEP * STEP;
}

static struct block *cut(size_t size)
{
    size_t whole = offsetof(struct block, data) + size;

    if (left < whole) {
        chunk = malloc(CHUNK);
        left = chunk ? CHUNK : 0;
    }
    if (left < whole)
        return NULL;
    struct block *block = (struct block *)chunk;
    chunk += whole;
    left -= whole;
    return block;
}

static void *take(int n)
{
    size_t size = (size_t)round_up(n);
    struct block *block = size <= SMALL_MAX ? lists[size / STEP] : NULL;

    if (block)
        lists[size / STEP] = block->next;
    else
        block = size <= SMALL_MAX ? cut(size) : malloc(offsetof(struct block, data) + size);
    if (!block)
        return NULL;
    block->size = size;
    return &block->data;
}

static void give(void *data)
{
    struct block *block = of(data);

    if (block->size > SMALL_MAX) {
        free(block);
        return;
    }
    block->next = lists[block->size / STEP];
    lists[block->size / STEP] = block;
}

static int size_of(void *data)
{
    return data ? (int)of(data)->size : 0;
}

static void *change(void *data, int n)
{
    int had = size_of(data);

    if (n <= had)
        return data;
    void *more = take(n);
    if (!more)
        return NULL;
    memcpy(more, data, (size_t)had);
    give(data);
    return more;
}

static int begin(void *arg)
{
    return SQLITE_OK;
}

static void end(void *arg)
{
}

void memory_init(void)
{
    static const sqlite3_mem_methods methods = {
        .xMalloc = take,
        .xFree = give,
        .xRealloc = change,
        .xSize = size_of,
        .xRoundup = round_up,
        .xInit = begin,
        .xShutdown = end,
    };
    if (!WATCHED)
        sqlite3_config(SQLITE_CONFIG_MALLOC, &methods);
}
