/* How often something was asked for, and when first: for those who answer only after a while. */
#pragma once

#include "dev/sandbox/keys.h"

struct asked_one;

struct asked {
    struct keys keys;
    struct asked_one *first;
};
struct attempts {
    int64_t n, first_us;
};
/* Counts this time too. Whom there is no memory to count is treated as if he had asked for long. */
struct attempts asked_add(struct asked *asked, const char *key, int64_t now_us);
void asked_finish(struct asked *asked);
