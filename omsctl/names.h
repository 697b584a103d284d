/* Texts by number: the same text has the same one, counted from 0 in the order in which they were first seen. */
#pragma once

#include "mesh/base/arena.h"

struct names {
    struct arena *arena; /* has the texts */
    const char **texts;
    uint32_t *slots; /* number + 1; 0: free */
    size_t n, room;  /* room: of texts; there are twice as many slots */
};

void names_init(struct names *names, struct arena *arena);
void names_finish(struct names *names); /* the texts stay */
/* The text's number; names->n has grown if it is new. */
uint32_t names_add(struct names *names, const char *text);
