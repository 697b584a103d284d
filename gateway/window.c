/* A ring of entries, each one block on the heap; what does not fit pushes the oldest out. */
#include "gateway/window.h"

#include <stdlib.h>
#include <string.h>

static void drop_oldest(struct window *window)
{
    struct window_entry *entry = window->entries[window->first];
    window->floor = entry->seq;
    window->bytes -= entry->size;
    window->first = (window->first + 1) % WINDOW_ENTRIES;
    window->n--;
    free(entry);
}

void window_reset(struct window *window, uint64_t seq)
{
    while (window->n)
        drop_oldest(window);
    window->floor = window->seq = seq;
}

struct window_entry window_entry_of(const Mesh__V1__LogEntry *entry)
{
    return (struct window_entry){
        .seq = entry->seq,
        .time_us = entry->time_us,
        .type = entry->type,
        .audience = entry->audience,
        .payload_len = (uint32_t)entry->payload.len,
        .key = entry->key,
        .owner = entry->owner,
        .payload = entry->payload.data,
    };
}

const struct window_entry *window_put(struct window *window, const Mesh__V1__LogEntry *entry)
{
    size_t key_len = strlen(entry->key) + 1, owner_len = strlen(entry->owner) + 1;
    size_t size = sizeof(struct window_entry) + key_len + owner_len + entry->payload.len;
    struct window_entry *kept = malloc(size);
    if (!kept) {
        window_reset(window, entry->seq);
        return NULL;
    }
    while (window->n == WINDOW_ENTRIES || (window->n && window->bytes + size > WINDOW_BYTES))
        drop_oldest(window);
    char *text = (char *)(kept + 1);
    *kept = window_entry_of(entry);
    kept->size = size;
    kept->key = memcpy(text, entry->key, key_len);
    kept->owner = memcpy(text + key_len, entry->owner, owner_len);
    kept->payload = (uint8_t *)text + key_len + owner_len;
    if (entry->payload.len)
        memcpy(text + key_len + owner_len, entry->payload.data, entry->payload.len);
    window->entries[(window->first + window->n++) % WINDOW_ENTRIES] = kept;
    window->bytes += size;
    window->seq = entry->seq;
    return kept;
}

const struct window_entry *window_at(const struct window *window, size_t i)
{
    return i < window->n ? window->entries[(window->first + i) % WINDOW_ENTRIES] : NULL;
}
