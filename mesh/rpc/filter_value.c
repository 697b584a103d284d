/* The values of filters, as the types of their fields have them. */
#include "mesh/rpc/filter_tree.h"
#include "mesh/rpc/known.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NANO_DIGITS 9
#define DAY_LENGTH  10 /* of 2011-12-09 */

static const char *read_number(const char *text, struct filter_held *ret)
{
    char *end;
    errno = 0;
    bool begins = (*text >= '0' && *text <= '9') || (*text == '-' && text[1] >= '0' && text[1] <= '9');
    long long number = strtoll(text, &end, 10);
    if (!begins || *end)
        return "a whole number is expected";
    if (errno == ERANGE)
        return "the number does not fit in 64 bits";
    ret->number = number;
    return NULL;
}

/* Units and nanos have the same sign, as google.type.Money's. */
static const char *read_amount(const char *text, struct filter_held *ret)
{
    static const char wrong[] = "an amount is expected, such as 12.50";
    bool negative = *text == '-';
    const char *c = text + negative;
    size_t units = strspn(c, "0123456789"), digits = c[units] == '.' ? strspn(c + units + 1, "0123456789") : 0;
    if (units == 0 || c[units + (c[units] == '.') + digits] || (c[units] == '.' && digits == 0))
        return wrong;
    if (units > 18)
        return "the amount is too large";
    if (digits > NANO_DIGITS)
        return "an amount has at most 9 digits behind the point";
    int32_t nanos = 0;
    for (size_t i = 0; i < NANO_DIGITS; i++)
        nanos = nanos * 10 + (i < digits ? c[units + 1 + i] - '0' : 0);
    ret->number = strtoll(c, NULL, 10);
    ret->nanos = nanos;
    if (negative) {
        ret->number = -ret->number;
        ret->nanos = -ret->nanos;
    }
    return NULL;
}

static const char *read_time(const char *text, struct filter_held *ret)
{
    static const char midnight[] = "T00:00:00Z";
    char day[DAY_LENGTH + sizeof(midnight)];
    int64_t seconds;
    int32_t nanos;
    if (strlen(text) == DAY_LENGTH) {
        memcpy(day, text, DAY_LENGTH);
        memcpy(day + DAY_LENGTH, midnight, sizeof(midnight));
        text = day;
    }
    if (!known_timestamp_parse(text, &seconds, &nanos))
        return "a time is expected, such as 2011-12-09T12:50:00Z or 2011-12-09";
    if (nanos % 1000)
        return "times are whole microseconds";
    ret->number = seconds * 1000000 + nanos / 1000;
    return NULL;
}

static const char *read_name(struct arena *arena, const ProtobufCEnumDescriptor *names, const char *text,
                             struct filter_held *ret)
{
    const ProtobufCEnumValue *found = protobuf_c_enum_descriptor_get_value_by_name(names, text);
    if (found) {
        ret->number = found->value;
        return NULL;
    }
    const char *all = "";
    for (unsigned i = 0; all && i < names->n_values; i++)
        all = arena_printf(arena, "%s%s %s", all, i ? "," : "", names->values[i].name);
    return all ? arena_printf(arena, "one of these is expected:%s", all) : "no such name";
}

static const char *read_bool(const char *text, struct filter_held *ret)
{
    ret->number = strcmp(text, "true") == 0;
    return ret->number || strcmp(text, "false") == 0 ? NULL : "true or false is expected";
}

const char *filter_read_value(struct arena *arena, const struct filter_field *row, const struct filter_value *value,
                              struct filter_held *ret_held)
{
    const char *text = value->parts[0];
    *ret_held = (struct filter_held){ .text = text };
    if (row->type == FILTER_TEXT)
        return NULL;
    if (value->n > 1)
        return "only texts have wildcards";
    switch (row->type) {
    case FILTER_NUMBER:
        return read_number(text, ret_held);
    case FILTER_AMOUNT:
        return read_amount(text, ret_held);
    case FILTER_TIME:
        return read_time(text, ret_held);
    case FILTER_BOOL:
        return read_bool(text, ret_held);
    default:
        return read_name(arena, row->names, text, ret_held);
    }
}
