/* Bytes on their way from one side of an exchange to the other. Bounded by the flow control window of the side that
 * they come from, because that is opened again only by what is taken out. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define PIPE_INLINE 512

struct pipe {
    uint8_t *data; /* own, or the heap's */
    uint32_t at;   /* taken up to here */
    uint32_t len;  /* put up to here */
    uint32_t cap;
    bool keep; /* what was taken stays, so that pipe_rewind can give it out again */
    uint8_t own[PIPE_INLINE];
};

static inline void pipe_init(struct pipe *p)
{
    p->data = p->own;
    p->at = p->len = 0;
    p->cap = PIPE_INLINE;
    p->keep = false;
}

static inline void pipe_finish(struct pipe *p)
{
    if (p->data != p->own)
        free(p->data);
    pipe_init(p);
}

static inline uint32_t pipe_held(const struct pipe *p)
{
    return p->len - p->at;
}

/* Room for n more bytes; false: no memory. */
static inline bool pipe_reserve(struct pipe *p, uint32_t n)
{
    if (p->cap - p->len >= n)
        return true;
    if (!p->keep && p->at && p->cap - pipe_held(p) >= n) {
        memmove(p->data, p->data + p->at, pipe_held(p));
        p->len -= p->at;
        p->at = 0;
        return true;
    }
    uint32_t skip = p->keep ? 0 : p->at, used = p->len - skip, cap = p->cap;
    while (cap - used < n)
        cap *= 2;
    uint8_t *data = malloc(cap);
    if (!data)
        return false;
    memcpy(data, p->data + skip, used);
    if (p->data != p->own)
        free(p->data);
    p->data = data;
    p->cap = cap;
    p->at -= skip;
    p->len = used;
    return true;
}

static inline bool pipe_put(struct pipe *p, const void *data, uint32_t n)
{
    if (!pipe_reserve(p, n))
        return false;
    memcpy(p->data + p->len, data, n);
    p->len += n;
    return true;
}

/* The next bytes; valid until something is put. */
static inline const uint8_t *pipe_peek(const struct pipe *p)
{
    return p->data + p->at;
}

static inline void pipe_take(struct pipe *p, uint32_t n)
{
    p->at += n;
    if (p->keep || p->at < p->len)
        return;
    if (p->cap > 4 * PIPE_INLINE)
        return pipe_finish(p);
    p->at = p->len = 0;
}

static inline void pipe_forget_taken(struct pipe *p)
{
    p->keep = false;
    pipe_take(p, 0);
}

static inline void pipe_rewind(struct pipe *p)
{
    p->at = 0;
}
