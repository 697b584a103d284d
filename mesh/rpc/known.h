/* The texts that JSON has for what is not text: Duration, Timestamp and bytes. */
#pragma once

#include "mesh/base/arena.h"

#define KNOWN_TEXT 96 /* with its NUL; compilers count what every number could hold */

/* Duration as "1.5s", Timestamp as RFC 3339 with Z, both with 0, 3, 6 or 9 digits. False: out of the type's range. */
bool known_duration_format(int64_t seconds, int32_t nanos, char ret_text[KNOWN_TEXT]);
bool known_duration_parse(const char *text, int64_t *ret_seconds, int32_t *ret_nanos);
bool known_timestamp_format(int64_t seconds, int32_t nanos, char ret_text[KNOWN_TEXT]);
bool known_timestamp_parse(const char *text, int64_t *ret_seconds, int32_t *ret_nanos);

/* Base64 with padding, on the heap; NULL: out of memory. */
char *known_base64_format(struct bytes data);
/* Either alphabet, padded or not. ret_data needs 3/4 of len; returns how many bytes came out, or -EINVAL. */
int64_t known_base64_parse(const char *text, size_t len, uint8_t *ret_data);
