/* Money inside the mesh: whole minor units and a currency. On the wire it is google.type.Money.
 * What does not fit is an error, never rounded. */
#pragma once

#include "google/type/money.pb-c.h"

#include <stdbool.h>
#include <stdint.h>

struct arena;

/* Digits behind the point of an ISO 4217 currency (EUR 2, JPY 0, KWD 3), or -EINVAL if there is no such currency. */
int money_exponent(const char *currency);
/* 0; -EINVAL: no such currency, or signs of units and nanos differ, or nanos beyond ±999999999;
 * -EDOM: not whole minor units; -ERANGE: does not fit in 64 bits. */
int money_from_wire(const Google__Type__Money *money, int64_t *ret_minor);
/* In the arena; NULL once its budget is spent. The currency must be valid. */
Google__Type__Money *money_to_wire(struct arena *arena, int64_t minor, const char *currency);
/* The same as its two numbers. */
void money_split(int64_t minor, const char *currency, int64_t *ret_units, int32_t *ret_nanos);
/* 0 or -ERANGE. */
int money_multiply(int64_t minor, int64_t quantity, int64_t *ret_minor);
int money_add(int64_t a, int64_t b, int64_t *ret_minor);
/* "-12.30 EUR" into the buffer; 32 bytes always suffice. */
void money_format(int64_t minor, const char *currency, char ret_text[32]);
