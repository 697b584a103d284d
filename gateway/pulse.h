/* How an endpoint fares: what its replies take, in units of what they usually take, how new it is, and whether it fails
 * again and again. Times are on the monotonic clock. Loop lane. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct pulse {
    double slow;       /* 1: as quick as replies of these methods usually are */
    int64_t heard_us;  /* the last reply */
    int64_t since_us;  /* it gets calls again */
    unsigned failures; /* in a row */
    unsigned strikes;  /* how often it was put aside; forgotten after a while */
};

/* Gets calls from now on: few at first. */
void pulse_begin(struct pulse *pulse, int64_t now_us);
/* A reply took so long, which is usually usual_us. */
void pulse_heard(struct pulse *pulse, int64_t took_us, int64_t usual_us, int64_t now_us);
/* A call has failed as if the endpoint were broken, or has not. For how long the endpoint is to be put aside; 0: it is
 * not. */
int64_t pulse_judge(struct pulse *pulse, bool failed, int64_t now_us);
/* What one more call would have to wait for: to be compared. */
double pulse_load(const struct pulse *pulse, unsigned in_flight, int64_t now_us);

/* A running median of what a method's replies take; *us 0: not known yet. */
static inline void median_move(int64_t *us, int64_t took_us)
{
    int64_t step = *us / 8 + 1;
    if (*us == 0)
        *us = took_us > 0 ? took_us : 1;
    else if (took_us > *us)
        *us += step;
    else if (took_us<*us && * us> step)
        *us -= step;
}
