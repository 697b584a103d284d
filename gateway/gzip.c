/* zlib with its memory in the arena, so that what it takes is bounded and given back at once. */
#include "gateway/gzip.h"

#include <errno.h>
#include <string.h>
#include <zlib.h>

#define GZIP       16 /* of window bits: with gzip's header */
#define LEVEL      1  /* the loop waits for it */
#define ROOM_FIRST 4096

static void *take(void *arena, unsigned n, unsigned size)
{
    return arena_alloc(arena, (size_t)n * size);
}

static void give(void *arena, void *data)
{
}

/* Twice the room, up to max and one more byte, which tells that there is more than that. */
static bool grow(z_stream *z, uint8_t **data, size_t *room, size_t max, struct arena *arena)
{
    size_t had = *room, more = had * 2 < max + 1 ? had * 2 : max + 1;
    uint8_t *larger = arena_alloc(arena, more);
    if (!larger)
        return false;
    memcpy(larger, *data, had);
    *data = larger;
    *room = more;
    z->next_out = larger + had;
    z->avail_out = (unsigned)(more - had);
    return true;
}

int gzip_inflate(struct bytes in, size_t max, struct arena *arena, struct bytes *ret_data)
{
    z_stream z = { .zalloc = take, .zfree = give, .opaque = arena };
    size_t room = max < ROOM_FIRST ? max + 1 : ROOM_FIRST;
    uint8_t *data = arena_alloc(arena, room);
    if (!data || inflateInit2(&z, GZIP + MAX_WBITS) != Z_OK)
        return -ENOMEM;
    z.next_in = (uint8_t *)in.data;
    z.avail_in = (unsigned)in.len;
    z.next_out = data;
    z.avail_out = (unsigned)room;
    int r;
    while ((r = inflate(&z, Z_NO_FLUSH)) == Z_OK && z.avail_out == 0 && room <= max)
        if (!grow(&z, &data, &room, max, arena))
            return -ENOMEM;
    if (z.total_out > max)
        return -EMSGSIZE;
    if (r == Z_MEM_ERROR)
        return -ENOMEM;
    if (r != Z_STREAM_END || z.avail_in > 0)
        return -EINVAL;
    *ret_data = (struct bytes){ data, z.total_out };
    return 0;
}

int gzip_deflate(struct bytes in, struct arena *arena, struct bytes *ret_data)
{
    z_stream z = { .zalloc = take, .zfree = give, .opaque = arena };
    uint8_t *data = arena_alloc(arena, in.len);
    if (!data || deflateInit2(&z, LEVEL, Z_DEFLATED, GZIP + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return -ENOMEM;
    z.next_in = (uint8_t *)in.data;
    z.avail_in = (unsigned)in.len;
    z.next_out = data;
    z.avail_out = (unsigned)in.len;
    if (deflate(&z, Z_FINISH) != Z_STREAM_END)
        return -E2BIG;
    *ret_data = (struct bytes){ data, z.total_out };
    return 0;
}
