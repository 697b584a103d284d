/* Counters by key. */
#include "dev/sandbox/asked.h"
#include "dev/sandbox/outsider.h"

#include <stdlib.h>
#include <string.h>

struct asked_one {
    struct keyed keyed;
    struct attempts attempts;
    struct asked_one *later;
    char key[];
};

static struct asked_one *first_time(struct asked *asked, const char *key, int64_t now_us)
{
    struct asked_one *one = asked->keys.n < OUTSIDER_MAX ? calloc(1, sizeof(*one) + strlen(key) + 1) : NULL;
    if (!one || keys_reserve(&asked->keys) < 0) {
        free(one);
        return NULL;
    }
    one->keyed.key = strcpy(one->key, key);
    one->attempts.first_us = now_us;
    keys_add(&asked->keys, &one->keyed);
    one->later = asked->first;
    asked->first = one;
    return one;
}

struct attempts asked_add(struct asked *asked, const char *key, int64_t now_us)
{
    struct asked_one *one = (struct asked_one *)keys_find(&asked->keys, key);
    if (!one)
        one = first_time(asked, key, now_us);
    if (!one)
        return (struct attempts){ INT64_MAX, INT64_MIN / 2 };
    one->attempts.n++;
    return one->attempts;
}

void asked_finish(struct asked *asked)
{
    for (struct asked_one *one = asked->first, *later; one; one = later) {
        later = one->later;
        free(one);
    }
    keys_finish(&asked->keys);
    asked->first = NULL;
}
