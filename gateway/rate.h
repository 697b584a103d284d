/* How often: the generic cell rate algorithm (ITU-T I.371, A), which keeps one number a bucket, the time at which it is
 * full again. Buckets are found by a key in a table that does not grow: when it is crowded, the one that is nearest to
 * full is taken for another key. Loop lane. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rate {
    int64_t interval_us; /* between two in the long run; 0: no limit */
    int64_t burst_us;    /* how far ahead of that one may be */
};

/* "100/s", "600/m", "100/s:200": so many in a second or minute, and at once (as many if not said). "": no limit.
 * 0 or -EINVAL. */
int rate_parse(const char *text, struct rate *ret_rate);
/* Takes one. 0, or after how many microseconds there will be one. full_us is the bucket, 0 at first. */
int64_t rate_take(const struct rate *rate, int64_t *full_us, int64_t now_us);

struct rates;
struct rates *rates_create(const struct rate *rate); /* NULL: no memory */
void rates_destroy(struct rates *rates);             /* NULL is harmless */
/* Of this key's bucket: 0, or after how many microseconds there will be one. */
int64_t rates_take(struct rates *rates, const void *key, size_t len, int64_t now_us);
