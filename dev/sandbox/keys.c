/* Chains; the slots are doubled when there are as many things as slots. */
#include "dev/sandbox/keys.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS_MIN 64

uint64_t keys_hash(const void *data, size_t len, uint64_t seed)
{
    const unsigned char *at = data;
    uint64_t hash = seed ? seed : 0xcbf29ce484222325;
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ at[i]) * 0x100000001b3;
    return hash;
}

struct keyed *keys_find(const struct keys *keys, const char *key)
{
    if (keys->n == 0)
        return NULL;
    uint64_t hash = keys_hash(key, strlen(key), 0);
    struct keyed *thing = keys->slots[hash & (keys->n_slots - 1)];
    while (thing && (thing->hash != hash || strcmp(thing->key, key) != 0))
        thing = thing->next;
    return thing;
}

static void link_in(struct keyed **slots, size_t n_slots, struct keyed *thing)
{
    struct keyed **slot = &slots[thing->hash & (n_slots - 1)];
    thing->next = *slot;
    *slot = thing;
}

int keys_reserve(struct keys *keys)
{
    if (keys->n < keys->n_slots)
        return 0;
    size_t n_slots = keys->n_slots ? 2 * keys->n_slots : SLOTS_MIN;
    struct keyed **slots = calloc(n_slots, sizeof(*slots)), *next;
    if (!slots)
        return -ENOMEM;
    for (size_t i = 0; i < keys->n_slots; i++) {
        for (struct keyed *thing = keys->slots[i]; thing; thing = next) {
            next = thing->next;
            link_in(slots, n_slots, thing);
        }
    }
    free(keys->slots);
    keys->slots = slots;
    keys->n_slots = n_slots;
    return 0;
}

void keys_add(struct keys *keys, struct keyed *thing)
{
    thing->hash = keys_hash(thing->key, strlen(thing->key), 0);
    link_in(keys->slots, keys->n_slots, thing);
    keys->n++;
}

void keys_finish(struct keys *keys)
{
    free(keys->slots);
    *keys = (struct keys){ 0 };
}
