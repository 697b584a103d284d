/* The words that a product is found by: of its title and its variants' titles, and its SKUs, in lower case. */
#pragma once

#include "svc-inventory/api.h"

#include "mesh/base/arena.h"

struct words {
    size_t n;
    const char **items; /* sorted, each once */
};
/* 0 or -ENOMEM (the arena's budget). Latin letters are folded, others are taken as they are. */
int words_collect(struct arena *arena, const Product *product, struct words *ret_words);

/* Every text that starts with the folded prefix: from ≤ word < below. 0 or -ENOMEM. */
struct word_range {
    const char *from, *below;
};
int word_prefix(struct arena *arena, const char *prefix, struct word_range *ret_range);
