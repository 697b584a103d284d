/* Memory of one request: a bump allocator with a budget, freed at once.
 *
 * Not thread-safe; an arena belongs to whichever lane has the request. */
#pragma once

#include <protobuf-c/protobuf-c.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bytes {
    const uint8_t *data;
    size_t len;
};

struct arena_block;

struct arena {
    struct arena_block *blocks;
    size_t used;   /* bytes handed out */
    size_t budget; /* bytes that may be */
    bool spent;    /* an allocation was refused since arena_init */
};

struct arena_mark {
    struct arena_block *block;
    size_t at, used;
};

void arena_init(struct arena *a, size_t budget);
void arena_finish(struct arena *a);
/* Aligned to 16 bytes, not zeroed; NULL once the budget is spent. */
void *arena_alloc(struct arena *a, size_t n);
void *arena_zalloc(struct arena *a, size_t n);
/* A copy with a NUL behind it; NULL once the budget is spent. */
char *arena_copy(struct arena *a, const void *data, size_t n);
char *arena_printf(struct arena *a, const char *format, ...) __attribute__((format(printf, 2, 3)));
char *arena_vprintf(struct arena *a, const char *format, va_list args);
/* Everything allocated after the mark is forgotten by the rewind. */
struct arena_mark arena_mark(struct arena *a);
void arena_rewind(struct arena *a, struct arena_mark mark);
/* For protobuf-c's unpack: free() does nothing. Valid as long as the arena. */
ProtobufCAllocator arena_protobuf(struct arena *a);
/* A fresh message of the type; NULL once the budget is spent. */
void *arena_message(struct arena *a, const ProtobufCMessageDescriptor *type);
/* The packed message in the arena; data is NULL once the budget is spent. */
struct bytes arena_pack(struct arena *a, const ProtobufCMessage *message);
