/* The table of tokens. */
#include "dev/sandbox/tokens.h"

#include <string.h>

static const struct behaviour behaviours[] = {
    { "tok_ok" },
    { "tok_declined", .declines = "CARD_DECLINED" },
    { "tok_poor", .declines = "INSUFFICIENT_FUNDS" },
    { "tok_3ds", .action = ACTION_SUCCEEDS },
    { "tok_3ds_fails", .action = ACTION_FAILS },
    { "tok_3ds_never", .action = ACTION_NEVER },
    { "tok_slow", .answers_after_us = 2000000 },
    { "tok_late", .answers_after_us = 20000000 },
    { "tok_silent", .silences = 3 },
    { "tok_mute", .mute_us = 15000000 },
    { "tok_error", .errors = 2 },
    { "tok_refund_fails", .refunds_fail = true },
    { "tok_capture_fails", .captures_fail = true },
};

const struct behaviour *behaviour_of(const char *token)
{
    for (size_t i = 1; i < sizeof(behaviours) / sizeof(behaviours[0]); i++)
        if (strcmp(token, behaviours[i].token) == 0)
            return &behaviours[i];
    return &behaviours[0];
}
