/* Values as people write them: amounts, times, numbers. */
#pragma once

#include "mesh/base/arena.h"

#include "google/type/money.pb-c.h"

/* In the arena. */
const char *text_money(struct arena *arena, const Google__Type__Money *money); /* "12.30 EUR" */
const char *text_time(struct arena *arena, int64_t time_us);                   /* UTC, seconds; 0 is "" */
const char *text_span(struct arena *arena, int64_t span_us);                   /* "12 s", "4 min", "3 h", "2 d" */
const char *text_number(struct arena *arena, int64_t number);
/* The value's name; "" for 0 that is unspecified, "?" for one that we do not know. */
const char *text_enum(const ProtobufCEnumDescriptor *type, int value);
/* "2.5" and the like in minor units of the currency: 0; -EINVAL: no number or no currency; -EDOM: not whole minor
 * units; -ERANGE. */
int amount_parse(const char *text, const char *currency, int64_t *ret_minor);
