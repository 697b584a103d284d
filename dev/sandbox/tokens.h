/* How an authorization goes, by its payment token. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum action { NO_ACTION, ACTION_SUCCEEDS, ACTION_FAILS, ACTION_NEVER };

struct behaviour {
    const char *token;
    const char *declines;     /* the reason; NULL: it does not */
    enum action action;       /* the customer's, somewhat later */
    int64_t errors, silences; /* so many times at first: 503 · done, and no answer */
    int64_t mute_us;          /* not done and no answer, since it was asked for the first time */
    int64_t answers_after_us; /* since it was done */
    bool captures_fail, refunds_fail;
};
/* A token without a row of its own is like tok_ok. */
const struct behaviour *behaviour_of(const char *token);
