/* Things by their key: a hash table that is made of links inside the things, and frees nothing. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct keyed {
    const char *key; /* outlives the thing's stay in the table */
    uint64_t hash;
    struct keyed *next;
};

struct keys {
    struct keyed **slots;
    size_t n, n_slots;
};

uint64_t keys_hash(const void *data, size_t len, uint64_t seed); /* FNV-1a; seed 0 to begin with */
struct keyed *keys_find(const struct keys *keys, const char *key);
/* Makes room for one more, which keys_add then takes. 0 or -ENOMEM. */
int keys_reserve(struct keys *keys);
/* The key is not there yet, and there is room. */
void keys_add(struct keys *keys, struct keyed *thing);
void keys_finish(struct keys *keys);
