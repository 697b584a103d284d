/* A line in the log for each call that was refused for who made it or how often: who, from where, which method, why;
 * never the proof. At most ten a second, and a hundred at once: what was left out is counted, and said with the next
 * line. Loop lane. */
#pragma once

#include <stdint.h>

struct answer;
struct exchange;

struct audit {
    int64_t full_us;
    int64_t left_out;
};

void audit_refused(struct audit *audit, const struct exchange *x, const struct answer *answer);
