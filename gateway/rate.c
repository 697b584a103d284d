/* Buckets in sets of eight. The key's hash begins with chance, so that nobody can aim at a set. */
#include "gateway/rate.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define SETS 4096
#define WAYS 8
#define MOST 1000000

struct bucket {
    uint64_t key;
    int64_t full_us;
};

struct rates {
    struct rate rate;
    uint64_t chance;
    struct bucket sets[SETS][WAYS];
};

/* A whole number from 1 to MOST up to one of the ends; NULL: it is none. */
static const char *read_number(const char *text, const char *ends, int64_t *ret_n)
{
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 7 || !strchr(ends, text[digits]))
        return NULL;
    *ret_n = strtoll(text, NULL, 10);
    return *ret_n >= 1 && *ret_n <= MOST ? text + digits : NULL;
}

int rate_parse(const char *text, struct rate *ret_rate)
{
    int64_t n, burst;
    *ret_rate = (struct rate){ 0 };
    if (!*text)
        return 0;
    const char *at = read_number(text, "/", &n);
    if (!at || *at != '/' || (at[1] != 's' && at[1] != 'm'))
        return -EINVAL;
    burst = n;
    if (at[2] && (at[2] != ':' || !(at = read_number(at + 3, "", &burst)) || *at))
        return -EINVAL;
    int64_t span_us = strstr(text, "/m") ? 60 * INT64_C(1000000) : INT64_C(1000000);
    ret_rate->interval_us = span_us / n;
    ret_rate->burst_us = (burst - 1) * ret_rate->interval_us;
    return 0;
}

int64_t rate_take(const struct rate *rate, int64_t *full_us, int64_t now_us)
{
    int64_t from_us = *full_us > now_us ? *full_us : now_us;
    if (!rate->interval_us)
        return 0;
    if (from_us - now_us > rate->burst_us)
        return from_us - now_us - rate->burst_us;
    *full_us = from_us + rate->interval_us;
    return 0;
}

struct rates *rates_create(const struct rate *rate)
{
    struct rates *rates = calloc(1, sizeof(*rates));
    if (!rates)
        return NULL;
    rates->rate = *rate;
    if (getrandom(&rates->chance, sizeof(rates->chance), 0) == sizeof(rates->chance))
        return rates;
    free(rates);
    return NULL;
}

void rates_destroy(struct rates *rates)
{
    free(rates);
}

static uint64_t hash_of(uint64_t hash, const void *key, size_t len)
{
    const uint8_t *bytes = key;
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ bytes[i]) * UINT64_C(0x9e3779b97f4a7c15), hash ^= hash >> 29;
    return hash | 1; /* 0: nobody's */
}

int64_t rates_take(struct rates *rates, const void *key, size_t len, int64_t now_us)
{
    uint64_t hash = hash_of(rates->chance, key, len);
    struct bucket *set = rates->sets[hash >> 32 & (SETS - 1)], *fullest = set;
    for (size_t i = 0; i < WAYS; i++) {
        if (set[i].key == hash)
            return rate_take(&rates->rate, &set[i].full_us, now_us);
        if (set[i].full_us < fullest->full_us)
            fullest = &set[i];
    }
    *fullest = (struct bucket){ .key = hash };
    return rate_take(&rates->rate, &fullest->full_us, now_us);
}
