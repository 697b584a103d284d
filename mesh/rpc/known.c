/* Durations, timestamps and base64, read strictly. */
#include "mesh/rpc/known.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DURATION_MAX_S  315576000000ll /* 10,000 years */
#define TIMESTAMP_MIN_S -62135596800ll /* 0001-01-01 */
#define TIMESTAMP_MAX_S 253402300799ll /* 9999-12-31T23:59:59 */
#define NANOS_MAX       999999999

/* ".5", ".500000", or nothing for 0. */
static void format_fraction(uint32_t nanos, char *text)
{
    *text = '\0';
    if (nanos == 0)
        return;
    snprintf(text, 12, ".%09" PRIu32, nanos);
    for (size_t len = 10; strcmp(text + len - 3, "000") == 0; len -= 3)
        text[len - 3] = '\0';
}

/* Digits behind an optional point; *text moves behind them. */
static bool parse_fraction(const char **text, int32_t *ret_nanos)
{
    int32_t nanos = 0, digits = 0;
    if (**text == '.') {
        for ((*text)++; **text >= '0' && **text <= '9' && digits < 9; (*text)++, digits++)
            nanos = nanos * 10 + (**text - '0');
        if (digits == 0)
            return false;
        for (; digits < 9; digits++)
            nanos *= 10;
    }
    *ret_nanos = nanos;
    return true;
}

bool known_duration_format(int64_t seconds, int32_t nanos, char ret_text[KNOWN_TEXT])
{
    char fraction[12];
    if (llabs(seconds) > DURATION_MAX_S || nanos < -NANOS_MAX || nanos > NANOS_MAX || (seconds > 0 && nanos < 0) ||
        (seconds < 0 && nanos > 0))
        return false;
    format_fraction((uint32_t)abs(nanos), fraction);
    snprintf(ret_text, KNOWN_TEXT, "%s%lld%ss", seconds < 0 || nanos < 0 ? "-" : "", llabs(seconds), fraction);
    return true;
}

bool known_duration_parse(const char *text, int64_t *ret_seconds, int32_t *ret_nanos)
{
    bool negative = *text == '-';
    int64_t seconds = 0;
    int32_t nanos;
    text += negative;
    const char *first = text;
    for (; *text >= '0' && *text <= '9'; text++) {
        seconds = seconds * 10 + (*text - '0');
        if (seconds > DURATION_MAX_S)
            return false;
    }
    if (text == first || !parse_fraction(&text, &nanos) || strcmp(text, "s") != 0)
        return false;
    *ret_seconds = negative ? -seconds : seconds;
    *ret_nanos = negative ? -nanos : nanos;
    return true;
}

bool known_timestamp_format(int64_t seconds, int32_t nanos, char ret_text[KNOWN_TEXT])
{
    char fraction[12];
    struct tm tm;
    time_t t = (time_t)seconds;
    if (seconds < TIMESTAMP_MIN_S || seconds > TIMESTAMP_MAX_S || nanos < 0 || nanos > NANOS_MAX || !gmtime_r(&t, &tm))
        return false;
    format_fraction((uint32_t)nanos, fraction);
    snprintf(ret_text, KNOWN_TEXT, "%04d-%02d-%02dT%02d:%02d:%02d%sZ", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
             tm.tm_hour, tm.tm_min, tm.tm_sec, fraction);
    return true;
}

/* n digits, and then the character behind them if it is not 0. */
static bool parse_digits(const char **text, int n, char behind, int *ret_number)
{
    int number = 0;
    for (int i = 0; i < n; i++, (*text)++) {
        if (**text < '0' || **text > '9')
            return false;
        number = number * 10 + (**text - '0');
    }
    if (behind && *(*text)++ != behind)
        return false;
    *ret_number = number;
    return true;
}

/* Z, or ±hh:mm. */
static bool parse_zone(const char *text, int *ret_minutes)
{
    int hours, minutes, sign = *text == '-' ? -1 : 1;
    if (strcmp(text, "Z") == 0) {
        *ret_minutes = 0;
        return true;
    }
    if (*text != '+' && *text != '-')
        return false;
    text++;
    if (!parse_digits(&text, 2, ':', &hours) || !parse_digits(&text, 2, 0, &minutes) || *text || hours > 23 ||
        minutes > 59)
        return false;
    *ret_minutes = sign * (hours * 60 + minutes);
    return true;
}

bool known_timestamp_parse(const char *text, int64_t *ret_seconds, int32_t *ret_nanos)
{
    struct tm tm = { 0 };
    int zone;
    int32_t nanos;
    if (!parse_digits(&text, 4, '-', &tm.tm_year) || !parse_digits(&text, 2, '-', &tm.tm_mon) ||
        !parse_digits(&text, 2, 'T', &tm.tm_mday) || !parse_digits(&text, 2, ':', &tm.tm_hour) ||
        !parse_digits(&text, 2, ':', &tm.tm_min) || !parse_digits(&text, 2, 0, &tm.tm_sec) ||
        !parse_fraction(&text, &nanos) || !parse_zone(text, &zone))
        return false;
    const struct tm asked = { .tm_mday = tm.tm_mday, .tm_mon = tm.tm_mon - 1, .tm_hour = tm.tm_hour };
    if (tm.tm_year < 1 || tm.tm_min > 59 || tm.tm_sec > 59)
        return false;
    tm.tm_year -= 1900;
    tm.tm_mon--;
    int64_t seconds = timegm(&tm); /* brings what does not exist into shape, and so gives it away */
    if (tm.tm_mday != asked.tm_mday || tm.tm_mon != asked.tm_mon || tm.tm_hour != asked.tm_hour)
        return false;
    seconds -= 60 * zone;
    if (seconds < TIMESTAMP_MIN_S || seconds > TIMESTAMP_MAX_S)
        return false;
    *ret_seconds = seconds;
    *ret_nanos = nanos;
    return true;
}

static const char alphabet[64] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *known_base64_format(struct bytes data)
{
    char *text = malloc((data.len + 2) / 3 * 4 + 1), *out = text;
    for (size_t i = 0; text && i < data.len; i += 3) {
        size_t left = data.len - i;
        uint32_t bits = (uint32_t)data.data[i] << 16 | (left > 1 ? (uint32_t)data.data[i + 1] << 8 : 0) |
                        (left > 2 ? data.data[i + 2] : 0u);
        *out++ = alphabet[bits >> 18];
        *out++ = alphabet[bits >> 12 & 63];
        *out++ = left > 1 ? alphabet[bits >> 6 & 63] : '=';
        *out++ = left > 2 ? alphabet[bits & 63] : '=';
    }
    if (text)
        *out = '\0';
    return text;
}

int64_t known_base64_parse(const char *text, size_t len, uint8_t *ret_data)
{
    uint32_t bits = 0, held = 0;
    int64_t n = 0;
    if (len % 4 == 0 && len > 0 && text[len - 1] == '=')
        len -= text[len - 2] == '=' ? 2 : 1;
    for (size_t i = 0; i < len; i++) {
        char c = text[i] == '-' ? '+' : text[i] == '_' ? '/' : text[i];
        const char *at = memchr(alphabet, c, sizeof(alphabet));
        if (!at)
            return -EINVAL;
        bits = bits << 6 | (uint32_t)(at - alphabet);
        held += 6;
        if (held < 8)
            continue;
        held -= 8;
        ret_data[n++] = (uint8_t)(bits >> held);
    }
    return held < 6 ? n : -EINVAL;
}
