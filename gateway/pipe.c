/* Where the bytes of pipes live: chunks that go from hand to hand, and the heap for what is larger. */
#include "gateway/pipe.h"

#define KEPT 512 /* chunks */

static struct chunk {
    struct chunk *next;
} * kept;
static unsigned n_kept;

uint8_t *pipe_chunk(void)
{
    struct chunk *chunk = kept;
    if (!chunk)
        return malloc(PIPE_CHUNK);
    kept = chunk->next;
    n_kept--;
    return (uint8_t *)chunk;
}

void pipe_free(uint8_t *data, uint32_t cap)
{
    if (cap != PIPE_CHUNK || n_kept == KEPT) {
        free(data);
        return;
    }
    struct chunk *chunk = (struct chunk *)data;
    chunk->next = kept;
    kept = chunk;
    n_kept++;
}

void pipe_trim(void)
{
    for (struct chunk *chunk; (chunk = kept);) {
        kept = chunk->next;
        n_kept--;
        free(chunk);
    }
}

bool pipe_grow(struct pipe *p, uint32_t n)
{
    uint32_t skip = p->keep ? 0 : p->at, used = p->len - skip, cap = p->cap ? p->cap : PIPE_CHUNK;
    while (cap - used < n)
        cap *= 2;
    uint8_t *data = cap == PIPE_CHUNK ? pipe_chunk() : malloc(cap);
    if (!data)
        return false;
    if (used)
        memcpy(data, p->data + skip, used);
    if (p->data)
        pipe_free(p->data, p->cap);
    p->data = data;
    p->cap = cap;
    p->at -= skip;
    p->len = used;
    return true;
}
