/* Minor units: the currencies, conversion from and to the wire, checked arithmetic. */
#include "mesh/base/money.h"
#include "mesh/base/arena.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define NANO_DIGITS 9
#define NANOS_MAX   999999999

/* ISO 4217, by digits behind the point. */
static const char *const currencies[] = {
    [0] = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    [1] = "",
    [2] = "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF "
          "CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG "
          "HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR "
          "MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD "
          "SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XCD XCG "
          "YER "
          "ZAR ZMW ZWG",
    [3] = "BHD IQD JOD KWD LYD OMR TND",
    [4] = "CLF UYW",
};

int money_exponent(const char *currency)
{
    if (strlen(currency) != 3 || strchr(currency, ' '))
        return -EINVAL;
    for (size_t digits = 0; digits < sizeof(currencies) / sizeof(currencies[0]); digits++)
        for (const char *at = currencies[digits]; *at; at += at[3] ? 4 : 3)
            if (memcmp(at, currency, 3) == 0)
                return (int)digits;
    return -EINVAL;
}

static int64_t power_of_ten(int n)
{
    int64_t power = 1;
    while (n-- > 0)
        power *= 10;
    return power;
}

int money_from_wire(const Google__Type__Money *money, int64_t *ret_minor)
{
    int digits = money ? money_exponent(money->currency_code) : -EINVAL;
    if (digits < 0)
        return -EINVAL;
    if (money->nanos < -NANOS_MAX || money->nanos > NANOS_MAX)
        return -EINVAL;
    if ((money->units > 0 && money->nanos < 0) || (money->units < 0 && money->nanos > 0))
        return -EINVAL;

    int64_t nanos_per_minor = power_of_ten(NANO_DIGITS - digits);
    if (money->nanos % nanos_per_minor)
        return -EDOM;

    int64_t minor;
    int r = money_multiply(money->units, power_of_ten(digits), &minor);
    return r < 0 ? r : money_add(minor, money->nanos / nanos_per_minor, ret_minor);
}

static void split(int64_t minor, int digits, int64_t *ret_units, int32_t *ret_nanos)
{
    int64_t whole = power_of_ten(digits);
    *ret_units = minor / whole;
    *ret_nanos = (int32_t)(minor % whole * power_of_ten(NANO_DIGITS - digits));
}

void money_split(int64_t minor, const char *currency, int64_t *ret_units, int32_t *ret_nanos)
{
    int digits = money_exponent(currency);
    split(minor, digits < 0 ? 0 : digits, ret_units, ret_nanos);
}

Google__Type__Money *money_to_wire(struct arena *arena, int64_t minor, const char *currency)
{
    int digits = money_exponent(currency);
    Google__Type__Money *money = digits < 0 ? NULL : arena_alloc(arena, sizeof(*money));
    char *code = arena_copy(arena, currency, strlen(currency));
    if (!money || !code)
        return NULL;

    google__type__money__init(money);
    money->currency_code = code;
    split(minor, digits, &money->units, &money->nanos);
    return money;
}

int money_multiply(int64_t minor, int64_t quantity, int64_t *ret_minor)
{
    int64_t product;
    if (__builtin_mul_overflow(minor, quantity, &product))
        return -ERANGE;
    *ret_minor = product;
    return 0;
}

int money_add(int64_t a, int64_t b, int64_t *ret_minor)
{
    int64_t sum;
    if (__builtin_add_overflow(a, b, &sum))
        return -ERANGE;
    *ret_minor = sum;
    return 0;
}

void money_format(int64_t minor, const char *currency, char ret_text[32])
{
    int digits = money_exponent(currency);
    if (digits < 0)
        digits = 0;
    uint64_t magnitude = minor < 0 ? 0 - (uint64_t)minor : (uint64_t)minor;
    uint64_t power = (uint64_t)power_of_ten(digits);
    int n = snprintf(ret_text, 32, "%s%" PRIu64, minor < 0 ? "-" : "", magnitude / power);
    if (digits > 0)
        n += snprintf(ret_text + n, 32 - (size_t)n, ".%0*" PRIu64, digits, magnitude % power);
    snprintf(ret_text + n, 32 - (size_t)n, " %.3s", currency);
}
