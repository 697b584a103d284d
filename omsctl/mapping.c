/* A table of the keys that a mapping has; what is amiss is told with the file and the key. */
#include "omsctl/mapping.h"

#include "mesh/base/money.h"

#include <errno.h>
#include <jansson.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define CHANNEL_MAX 32 /* as the API has it */

struct key {
    const char *group, *name; /* group "": the outermost object */
    int (*take)(struct mapping *mapping, size_t at, const char *text, char ret_why[200]);
    size_t at;
    bool optional;
};

struct reading {
    struct arena *arena;
    const char *path;
    struct mapping mapping;
};

/* --- values --- */

static int wrong(char why[200], const char *what)
{
    snprintf(why, 200, "%s", what);
    return -EINVAL;
}

static int take_column(struct mapping *mapping, size_t at, const char *text, char why[200])
{
    mapping->columns[at] = text;
    return text[0] ? 0 : wrong(why, "is empty");
}

static int take_text(struct mapping *mapping, size_t at, const char *text, char why[200])
{
    memcpy((char *)mapping + at, &text, sizeof(const char *));
    return 0;
}

/* What it writes of a moment must be enough to read the day of it. */
static int take_time(struct mapping *mapping, size_t at, const char *text, char why[200])
{
    static const time_t moment = 981173106; /* 2001-02-03 04:05:06 */
    struct tm tm;
    char written[100];
    int64_t read_us;
    mapping->time = text;
    if (strftime(written, sizeof(written), text, gmtime_r(&moment, &tm)) == 0 ||
        mapping_time(mapping, written, &read_us) < 0 || read_us / 86400000000 != moment / 86400)
        return wrong(why, "does not tell the day, as %Y-%m-%d does");
    return 0;
}

static int take_currency(struct mapping *mapping, size_t at, const char *text, char why[200])
{
    mapping->currency = text;
    return money_exponent(text) < 0 ? wrong(why, "is no currency of ISO 4217") : 0;
}

static int take_channel(struct mapping *mapping, size_t at, const char *text, char why[200])
{
    mapping->channel = text;
    return text[0] && strlen(text) <= CHANNEL_MAX ? 0 : wrong(why, "has 1 to 32 characters");
}

static int take_pattern(struct mapping *mapping, size_t at, const char *text, char why[200])
{
    int r = regcomp(&mapping->patterns[at], text, REG_EXTENDED | REG_NOSUB);
    if (r == 0)
        mapping->n_patterns++;
    else
        regerror(r, &mapping->patterns[at], why, 200);
    return r == 0 ? 0 : -EINVAL;
}

/* Patterns in the order of their numbers, so that a mapping that is given up knows which are compiled. */
static const struct key keys[] = {
    { "columns", "invoice", take_column, MAPPING_INVOICE },
    { "columns", "code", take_column, MAPPING_CODE },
    { "columns", "description", take_column, MAPPING_DESCRIPTION },
    { "columns", "quantity", take_column, MAPPING_QUANTITY },
    { "columns", "time", take_column, MAPPING_TIME },
    { "columns", "price", take_column, MAPPING_PRICE },
    { "columns", "customer", take_column, MAPPING_CUSTOMER },
    { "columns", "country", take_column, MAPPING_COUNTRY },
    { "", "time", take_time },
    { "", "currency", take_currency },
    { "", "channel", take_channel },
    { "", "customer_suffix", take_text, offsetof(struct mapping, customer_suffix), .optional = true },
    { "invoices", "sale", take_pattern, MAPPING_SALE },
    { "invoices", "cancellation", take_pattern, MAPPING_CANCELLATION },
    { "invoices", "adjustment", take_pattern, MAPPING_ADJUSTMENT },
    { "", "goods", take_pattern, MAPPING_GOODS },
};
#define KEYS (sizeof(keys) / sizeof(keys[0]))

/* --- the file --- */

static int complain(const struct reading *r, const char *group, const char *name, const char *why)
{
    fprintf(stderr, "omsctl: %s: %s%s%s: %s\n", r->path, group, group[0] ? "." : "", name, why);
    return -EINVAL;
}

static int check_known(const struct reading *r, const char *group, json_t *object)
{
    const char *name;
    json_t *value;
    json_object_foreach(object, name, value)
    {
        bool known = false;
        for (size_t i = 0; i < KEYS; i++)
            known |= (strcmp(keys[i].group, group) == 0 && strcmp(keys[i].name, name) == 0) ||
                     (group[0] == '\0' && strcmp(keys[i].group, name) == 0);
        if (!known)
            return complain(r, group, name, "is no key of a mapping");
    }
    return 0;
}

static int take(struct reading *r, json_t *json, const struct key *key)
{
    json_t *value = json_object_get(key->group[0] ? json_object_get(json, key->group) : json, key->name);
    char why[200];
    if (!value && key->optional)
        return 0;
    if (!value)
        return complain(r, key->group, key->name, "is missing");
    if (!json_is_string(value))
        return complain(r, key->group, key->name, "is not a text");
    const char *text = arena_copy(r->arena, json_string_value(value), json_string_length(value));
    return key->take(&r->mapping, key->at, text, why) < 0 ? complain(r, key->group, key->name, why) : 0;
}

static int take_all(struct reading *r, json_t *json)
{
    static const char *const groups[] = { "", "columns", "invoices" };
    for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
        json_t *object = groups[i][0] ? json_object_get(json, groups[i]) : json;
        if (object && !json_is_object(object))
            return complain(r, "", groups[i], "is not an object");
        if (object && check_known(r, groups[i], object) < 0)
            return -EINVAL;
    }
    for (size_t i = 0; i < KEYS; i++)
        if (take(r, json, &keys[i]) < 0)
            return -EINVAL;
    return 0;
}

int mapping_read(struct arena *arena, const char *path, struct mapping *ret_mapping)
{
    struct reading r = { arena, path, { .customer_suffix = "" } };
    json_error_t error;
    json_t *json = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    if (!json && error.line < 0) {
        fprintf(stderr, "omsctl: cannot read %s: %s\n", path, strerror(errno));
        return -EINVAL;
    }
    if (!json || !json_is_object(json)) {
        fprintf(stderr, "omsctl: %s:%d: %s\n", path, json ? 1 : error.line, json ? "is not an object" : error.text);
        json_decref(json);
        return -EINVAL;
    }
    int result = take_all(&r, json);
    json_decref(json);
    if (result < 0)
        mapping_finish(&r.mapping);
    else
        *ret_mapping = r.mapping;
    return result;
}

void mapping_finish(struct mapping *mapping)
{
    while (mapping->n_patterns > 0)
        regfree(&mapping->patterns[--mapping->n_patterns]);
}

bool mapping_fits(const struct mapping *mapping, enum mapping_pattern pattern, const char *text)
{
    return regexec(&mapping->patterns[pattern], text, 0, NULL, 0) == 0;
}

int mapping_time(const struct mapping *mapping, const char *text, int64_t *ret_us)
{
    struct tm tm = { .tm_mday = 1 };
    const char *end = strptime(text, mapping->time, &tm);
    if (!end || *end)
        return -EINVAL;
    *ret_us = (int64_t)timegm(&tm) * 1000000;
    return 0;
}
