/* Values as people write them: amounts, times, numbers. */
#pragma once

#include "mesh/base/arena.h"

#include "google/type/money.pb-c.h"

/* In the arena. */
const char *text_money(struct arena *arena, const Google__Type__Money *money); /* "12.30 EUR" */
const char *text_time(struct arena *arena, int64_t time_us);                   /* UTC, seconds; 0 is "" */
const char *text_number(struct arena *arena, int64_t number);
/* "2.5" and the like in minor units of the currency: 0; -EINVAL: no number or no currency; -EDOM: not whole minor
 * units; -ERANGE. */
int amount_parse(const char *text, const char *currency, int64_t *ret_minor);
