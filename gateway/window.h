/* The last entries of a log, so that a watch that begins or resumes a little behind the tail misses nothing. */
#pragma once

#include "mesh/v1/log.pb-c.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WINDOW_ENTRIES 4096
#define WINDOW_BYTES   (2 * 1024 * 1024)

struct window_entry {
    uint64_t seq;
    int64_t time_us;
    int32_t type;
    uint32_t audience;
    uint32_t payload_len;
    const char *key, *owner;
    const uint8_t *payload;
    size_t size; /* of all of it */
};

struct window {
    struct window_entry *entries[WINDOW_ENTRIES]; /* a ring */
    size_t first, n, bytes;
    uint64_t floor; /* entries after it are all here */
    uint64_t seq;   /* up to it */
};

/* Empty, and standing at seq. */
void window_reset(struct window *window, uint64_t seq);
/* The entry, or NULL: no memory, and then the window is empty and stands behind it. */
const struct window_entry *window_put(struct window *window, const Mesh__V1__LogEntry *entry);
/* The i-th of those that are here, oldest first; NULL beyond the last. */
const struct window_entry *window_at(const struct window *window, size_t i);
/* A view of a message's entry. */
struct window_entry window_entry_of(const Mesh__V1__LogEntry *entry);
