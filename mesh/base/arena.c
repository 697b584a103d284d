/* Blocks in a list, newest first; the bytes come from the newest one. */
#include "mesh/base/arena.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALIGNMENT   16
#define FIRST_BLOCK 4096
#define LAST_BLOCK  (64 * 1024)

struct arena_block {
    struct arena_block *next;
    size_t size, at;
    _Alignas(ALIGNMENT) unsigned char data[];
};

void arena_init(struct arena *a, size_t budget)
{
    *a = (struct arena){ .budget = budget };
}

static void free_until(struct arena *a, struct arena_block *last)
{
    while (a->blocks != last) {
        struct arena_block *next = a->blocks->next;
        free(a->blocks);
        a->blocks = next;
    }
}

void arena_finish(struct arena *a)
{
    free_until(a, NULL);
    *a = (struct arena){ 0 };
}

/* A block takes its header's share too, so that the allocator's size classes are met. */
static struct arena_block *add_block(struct arena *a, size_t n)
{
    size_t size = a->blocks ? 2 * (a->blocks->size + sizeof(struct arena_block)) : FIRST_BLOCK;
    if (size > LAST_BLOCK)
        size = LAST_BLOCK;
    if (size < n + sizeof(struct arena_block))
        size = n + sizeof(struct arena_block);

    struct arena_block *block = malloc(size);
    if (!block)
        return NULL;
    block->next = a->blocks;
    block->size = size - sizeof(*block);
    block->at = 0;
    a->blocks = block;
    return block;
}

static void *refuse(struct arena *a)
{
    a->spent = true;
    return NULL;
}

void *arena_alloc(struct arena *a, size_t n)
{
    if (n > a->budget - a->used)
        return refuse(a);

    n = n ? (n + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1) : ALIGNMENT;
    if (n > a->budget - a->used)
        return refuse(a);

    struct arena_block *block = a->blocks;
    if (!block || n > block->size - block->at)
        block = add_block(a, n);
    if (!block)
        return refuse(a);

    void *p = block->data + block->at;
    block->at += n;
    a->used += n;
    return p;
}

void *arena_zalloc(struct arena *a, size_t n)
{
    void *p = arena_alloc(a, n);
    return p ? memset(p, 0, n) : NULL;
}

char *arena_copy(struct arena *a, const void *data, size_t n)
{
    char *copy = n < SIZE_MAX ? arena_alloc(a, n + 1) : refuse(a);
    if (!copy)
        return NULL;
    if (n > 0)
        memcpy(copy, data, n);
    copy[n] = '\0';
    return copy;
}

char *arena_vprintf(struct arena *a, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, again);
    va_end(again);

    char *text = n < 0 ? refuse(a) : arena_alloc(a, (size_t)n + 1);
    if (text)
        vsnprintf(text, (size_t)n + 1, format, args);
    return text;
}

char *arena_printf(struct arena *a, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = arena_vprintf(a, format, args);
    va_end(args);
    return text;
}

struct arena_mark arena_mark(struct arena *a)
{
    return (struct arena_mark){ .block = a->blocks, .at = a->blocks ? a->blocks->at : 0, .used = a->used };
}

void arena_rewind(struct arena *a, struct arena_mark mark)
{
    free_until(a, mark.block);
    if (a->blocks)
        a->blocks->at = mark.at;
    a->used = mark.used;
}

static void *protobuf_alloc(void *data, size_t n)
{
    return arena_alloc(data, n);
}

static void protobuf_free(void *data, void *p)
{
}

ProtobufCAllocator arena_protobuf(struct arena *a)
{
    return (ProtobufCAllocator){ .alloc = protobuf_alloc, .free = protobuf_free, .allocator_data = a };
}

void *arena_message(struct arena *a, const ProtobufCMessageDescriptor *type)
{
    ProtobufCMessage *message = arena_alloc(a, type->sizeof_message);
    if (message)
        type->message_init(message);
    return message;
}

struct bytes arena_pack(struct arena *a, const ProtobufCMessage *message)
{
    size_t n = protobuf_c_message_get_packed_size(message);
    uint8_t *data = arena_alloc(a, n);
    if (!data)
        return (struct bytes){ 0 };
    return (struct bytes){ .data = data, .len = protobuf_c_message_pack(message, data) };
}
