/* A hash table with linear probing, never more than half full. */
#include "omsctl/names.h"

#include <stdlib.h>
#include <string.h>

#define ROOM_FIRST 256

void names_init(struct names *names, struct arena *arena)
{
    *names = (struct names){ .arena = arena };
}

void names_finish(struct names *names)
{
    free(names->texts);
    free(names->slots);
    *names = (struct names){ 0 };
}

/* FNV-1a. */
static uint64_t hash(const char *text)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (const char *c = text; *c; c++)
        h = (h ^ (uint8_t)*c) * 0x100000001b3u;
    return h;
}

/* Where the text is, or would be. */
static uint32_t *slot_of(const struct names *names, const char *text)
{
    size_t mask = 2 * names->room - 1, at = hash(text) & mask;
    while (names->slots[at] && strcmp(names->texts[names->slots[at] - 1], text) != 0)
        at = (at + 1) & mask;
    return &names->slots[at];
}

static void grow(struct names *names)
{
    names->room = names->room ? 2 * names->room : ROOM_FIRST;
    names->texts = realloc(names->texts, names->room * sizeof(*names->texts));
    free(names->slots);
    names->slots = calloc(2 * names->room, sizeof(*names->slots));
    if (!names->texts || !names->slots)
        abort();
    for (size_t i = 0; i < names->n; i++)
        *slot_of(names, names->texts[i]) = (uint32_t)i + 1;
}

uint32_t names_add(struct names *names, const char *text)
{
    if (names->n == names->room)
        grow(names);
    uint32_t *slot = slot_of(names, text);
    if (!*slot) {
        const char *copy = arena_copy(names->arena, text, strlen(text));
        if (!copy)
            abort();
        names->texts[names->n++] = copy;
        *slot = (uint32_t)names->n;
    }
    return *slot - 1;
}
