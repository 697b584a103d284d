/* A book in memory for tests of the companies outside. */
#pragma once

#include "dev/sandbox/outsider.h"

struct kept {
    char *text;
    size_t len;
    int refuse; /* what the next lines get instead of being kept */
};

struct journal kept_journal(struct kept *kept);
void kept_finish(struct kept *kept);
size_t kept_lines(const struct kept *kept);
/* How many lines have the text. */
size_t kept_count(const struct kept *kept, const char *text);
struct bytes kept_bytes(const struct kept *kept);
/* Whether the answer has the status and the text in its body; frees it. */
void expect(struct answer *answer, int status, const char *text);
