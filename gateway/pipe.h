/* Bytes on their way from one side of an exchange to the other. Bounded by the flow control window of the side that
 * they come from, because that is opened again only by what is taken out. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define PIPE_CHUNK 512

struct pipe {
    uint8_t *data; /* NULL: nothing is held */
    uint32_t at;   /* taken up to here */
    uint32_t len;  /* put up to here */
    uint32_t cap;
    bool keep; /* what was taken stays, so that pipe_rewind can give it out again */
};

/* Memory of PIPE_CHUNK bytes, which most calls never need more than; a few are kept. NULL: no memory. */
uint8_t *pipe_chunk(void);
void pipe_free(uint8_t *data, uint32_t cap);
void pipe_trim(void); /* gives back what is kept */

static inline void pipe_init(struct pipe *p)
{
    *p = (struct pipe){ 0 };
}

static inline void pipe_finish(struct pipe *p)
{
    if (p->data)
        pipe_free(p->data, p->cap);
    pipe_init(p);
}

static inline uint32_t pipe_held(const struct pipe *p)
{
    return p->len - p->at;
}

/* For pipe_reserve. */
bool pipe_grow(struct pipe *p, uint32_t n);
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
    return pipe_grow(p, n);
}

static inline bool pipe_put(struct pipe *p, const void *data, uint32_t n)
{
    if (n == 0)
        return true;
    if (!pipe_reserve(p, n))
        return false;
    memcpy(p->data + p->len, data, n);
    p->len += n;
    return true;
}

/* The next bytes, NULL without any; valid until something is put. */
static inline const uint8_t *pipe_peek(const struct pipe *p)
{
    return p->data ? p->data + p->at : NULL;
}

static inline void pipe_take(struct pipe *p, uint32_t n)
{
    p->at += n;
    if (!p->keep && p->at == p->len)
        pipe_finish(p);
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
