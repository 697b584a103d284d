/* Amounts are exact: what does not fit in minor units is an error. */
#include "omsctl/text.h"

#include "mesh/base/money.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

const char *text_money(struct arena *arena, const Google__Type__Money *money)
{
    int64_t minor;
    char text[32];
    if (!money || money_from_wire(money, &minor) < 0)
        return "";
    money_format(minor, money->currency_code, text);
    return arena_printf(arena, "%s", text);
}

const char *text_time(struct arena *arena, int64_t time_us)
{
    if (time_us == 0)
        return "";
    time_t seconds = time_us / 1000000;
    struct tm tm;
    char text[32];
    if (!gmtime_r(&seconds, &tm) || !strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm))
        return "";
    return arena_printf(arena, "%s", text);
}

const char *text_span(struct arena *arena, int64_t span_us)
{
    static const struct {
        int64_t us;
        const char *unit;
    } units[] = { { INT64_C(86400000000), "d" }, { INT64_C(3600000000), "h" }, { 60000000, "min" }, { 1000000, "s" } };
    size_t i = 0;
    while (i + 1 < sizeof(units) / sizeof(units[0]) && span_us < 2 * units[i].us)
        i++;
    return arena_printf(arena, "%" PRId64 " %s", span_us / units[i].us, units[i].unit);
}

const char *text_number(struct arena *arena, int64_t number)
{
    return arena_printf(arena, "%" PRId64, number);
}

const char *text_enum(const ProtobufCEnumDescriptor *type, int value)
{
    static const char unspecified[] = "_UNSPECIFIED";
    const ProtobufCEnumValue *found = protobuf_c_enum_descriptor_get_value(type, value);
    if (!found)
        return "?";
    size_t len = strlen(found->name), tail = sizeof(unspecified) - 1;
    return value == 0 && len > tail && strcmp(found->name + len - tail, unspecified) == 0 ? "" : found->name;
}

int amount_parse(const char *text, const char *currency, int64_t *ret_minor)
{
    int exponent = money_exponent(currency), digits = 0, behind = -1;
    if (exponent < 0)
        return -EINVAL;
    bool negative = text[0] == '-';
    int64_t minor = 0;
    for (const char *c = text + negative; *c; c++) {
        if (*c == '.' && behind < 0) {
            behind = 0;
            continue;
        }
        if (*c < '0' || *c > '9')
            return -EINVAL;
        digits++;
        if (behind == exponent) {
            if (*c != '0')
                return -EDOM;
            continue;
        }
        behind += behind >= 0;
        if (__builtin_mul_overflow(minor, 10, &minor) || __builtin_add_overflow(minor, *c - '0', &minor))
            return -ERANGE;
    }
    if (digits == 0)
        return -EINVAL;
    for (behind = behind < 0 ? 0 : behind; behind < exponent; behind++)
        if (__builtin_mul_overflow(minor, 10, &minor))
            return -ERANGE;
    *ret_minor = negative ? -minor : minor;
    return 0;
}
