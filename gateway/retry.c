/* A bucket of repeats for each process: calls fill it, and so does time, a little. */
#include "gateway/retry.h"

#include <errno.h>
#include <stdio.h>

#define WHOLE        1000 /* one repeat */
#define EARNED       200  /* by a call */
#define PER_S        10   /* repeats that there are even with few calls */
#define CREDIT_MAX   (50 * WHOLE)
#define BACKOFF_US   (20 * 1000) /* doubled with every attempt */
#define PUSHBACK_MAX 600000      /* ms */

void retries_earn(struct retries *retries, int process)
{
    struct retry_budget *budget = &retries->of[process];
    budget->credit = budget->credit + EARNED < CREDIT_MAX ? budget->credit + EARNED : CREDIT_MAX;
}

static void count(struct metric **metric, int process, const char *outcome)
{
    char labels[96];
    if (!*metric) {
        snprintf(labels, sizeof(labels), "peer=\"%s\",outcome=\"%s\"", routes_processes()[process], outcome);
        *metric = metric_make(METRIC_COUNTER, "gateway_retries_total",
                              "Calls that failed and could be sent again: sent, or over_budget.", labels);
    }
    metric_add(*metric, 1);
}

bool retries_take(struct retries *retries, int process, int64_t now_us)
{
    struct retry_budget *budget = &retries->of[process];
    int64_t waited_us = now_us - budget->at_us;
    int64_t most = CREDIT_MAX / (PER_S * WHOLE) * 1000000;
    budget->credit += (waited_us < most ? waited_us : most) * PER_S * WHOLE / 1000000;
    if (budget->credit > CREDIT_MAX)
        budget->credit = CREDIT_MAX;
    budget->at_us = now_us;
    bool enough = budget->credit >= WHOLE;
    if (enough)
        budget->credit -= WHOLE;
    count(enough ? &budget->sent : &budget->refused, process, enough ? "sent" : "over_budget");
    return enough;
}

int64_t retry_delay_us(unsigned attempts, uint16_t chance)
{
    int64_t most_us = BACKOFF_US << (attempts < 8 ? attempts - 1 : 7);
    return most_us / 2 + most_us / 2 * chance / 65536;
}

int64_t retry_pushback_us(const char *text, size_t len)
{
    int64_t ms = 0;
    if (len == 0 || len > 9)
        return -EINVAL;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -EINVAL;
        ms = ms * 10 + (text[i] - '0');
    }
    return (ms < PUSHBACK_MAX ? ms : PUSHBACK_MAX) * 1000;
}
