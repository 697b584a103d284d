/* Exponential averages over time, which forget what was not confirmed. */
#include "gateway/pulse.h"

#define RISE_US     (250 * 1000)       /* bad news is believed soon */
#define FALL_US     (2 * 1000 * 1000)  /* good news, or none, later */
#define CHANCE      2.0                /* times as long may be chance */
#define HARDLY_US   (5 * 1000)         /* so much more or less is no matter */
#define PASSED_US   (50 * 1000)        /* one reply stands for no more time than this */
#define TIMES_MAX   16.0               /* one reply says no more than this */
#define WARM_US     (5 * 1000 * 1000)  /* a new one comes from a tenth of its share to all of it */
#define FAILURES    5                  /* in a row */
#define ASIDE_US    (1000 * 1000)      /* doubled each time */
#define STRIKES_MAX 6                  /* doublings */
#define FORGET_US   (60 * 1000 * 1000) /* a strike that long ago is forgotten */

void pulse_begin(struct pulse *pulse, int64_t now_us)
{
    pulse->slow = 1;
    pulse->heard_us = pulse->since_us = now_us;
    pulse->failures = 0;
}

/* What is believed of it now: the average, and the less of it the longer nothing was heard. */
static double slow_now(const struct pulse *pulse, int64_t now_us)
{
    double silent_us = (double)(now_us - pulse->heard_us);
    return 1 + (pulse->slow - 1) * FALL_US / (FALL_US + silent_us);
}

void pulse_heard(struct pulse *pulse, int64_t took_us, int64_t usual_us, int64_t now_us)
{
    double times = (double)(took_us + HARDLY_US) / (double)(usual_us + HARDLY_US);
    times = times > TIMES_MAX ? TIMES_MAX : times < 1 / TIMES_MAX ? 1 / TIMES_MAX : times;
    double passed_us = (double)(now_us - pulse->heard_us) + 1000;
    passed_us = passed_us > PASSED_US ? PASSED_US : passed_us;
    pulse->slow = slow_now(pulse, now_us);
    double over_us = times > pulse->slow ? RISE_US : FALL_US;
    pulse->slow += (times - pulse->slow) * passed_us / (over_us + passed_us);
    pulse->heard_us = now_us;
}

int64_t pulse_judge(struct pulse *pulse, bool failed, int64_t now_us)
{
    if (!failed)
        pulse->failures = 0;
    if (!failed || ++pulse->failures < FAILURES)
        return 0;
    if (now_us - pulse->since_us > FORGET_US)
        pulse->strikes = 0;
    return ASIDE_US << (pulse->strikes < STRIKES_MAX ? pulse->strikes++ : STRIKES_MAX);
}

double pulse_load(const struct pulse *pulse, unsigned in_flight, int64_t now_us)
{
    double slow = slow_now(pulse, now_us);
    /* Where little is to be done, all of it would go to whoever was the quickest by a hair. */
    slow = slow > CHANCE ? slow / CHANCE : 1;
    int64_t tenths = (now_us - pulse->since_us) * 10 / WARM_US; /* who came at about the same time is equal */
    double warm = tenths > 10 ? 10 : tenths < 1 ? 1 : (double)tenths;
    return (in_flight + 1) * slow * 10 / warm;
}
