/* What calls may be sent again that a process had begun: so many per cent of all calls to it, so that a process in
 * trouble is not given more of it by those who try again. Loop lane. */
#pragma once

#include "gateway/route.h"

struct retries {
    struct retry_budget {
        int64_t credit, at_us; /* thousandths of a repeat, and when they were last counted by time */
        struct metric *sent, *refused;
    } of[PROCESSES_MAX];
};

/* A call goes out for the first time. */
void retries_earn(struct retries *retries, int process);
/* One repeat, if the budget has it. */
bool retries_take(struct retries *retries, int process, int64_t now_us);
/* Before the attempt after `attempts` ones, with jitter from chance. */
int64_t retry_delay_us(unsigned attempts, uint16_t chance);
/* What grpc-retry-pushback-ms says, in microseconds: -EINVAL: do not try again (gRFC A6). */
int64_t retry_pushback_us(const char *text, size_t len);
