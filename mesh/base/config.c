/* Flags, environment and defaults, read into one table. */
#include "mesh/base/config.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ENVIRONMENT_MAX 64
#define FOR_EACH_OPTION(tables, o) \
    for (struct option *const *table_ = (tables); *table_; table_++) \
        for (struct option *o = *table_; o->name; o++)

struct unit_name {
    const char *name;
    int64_t factor;
};

static const struct unit_name numbers[] = { { "", 1 }, { 0 } };
static const struct unit_name sizes[] = { { "", 1 }, { "k", 1 << 10 }, { "M", 1 << 20 }, { "G", 1 << 30 }, { 0 } };
static const struct unit_name durations[] = { { "us", 1 },
                                              { "ms", 1000 },
                                              { "s", 1000000 },
                                              { "m", 60 * 1000000ll },
                                              { "h", 3600 * 1000000ll },
                                              { "d", 86400 * 1000000ll },
                                              { 0 } };

static const struct {
    const char *placeholder, *wanted;
    const struct unit_name *units;
} types[] = {
    [OPTION_TEXT] = { "TEXT", "a text", NULL },
    [OPTION_NUMBER] = { "N", "a whole number such as 64", numbers },
    [OPTION_BYTES] = { "SIZE", "a size such as 4096, 64k, 16M or 1G", sizes },
    [OPTION_DURATION] = { "TIME", "a time such as 150ms, 2s, 5m, 1h or 7d", durations },
    [OPTION_FLAG] = { "", "true or false", NULL },
};

static int parse_number(const char *text, const struct unit_name *units, int64_t *ret_number)
{
    char *end;
    errno = 0;
    long long n = strtoll(text, &end, 10);
    if (errno || end == text || isspace((unsigned char)*text))
        return -EINVAL;
    for (; units->name; units++) {
        int64_t product;
        if (strcmp(units->name, end) != 0)
            continue;
        if (__builtin_mul_overflow((int64_t)n, units->factor, &product))
            return -EINVAL;
        *ret_number = product;
        return 0;
    }
    return -EINVAL;
}

static int parse_flag(const char *text, int64_t *ret_number)
{
    if (strcmp(text, "true") != 0 && strcmp(text, "1") != 0 && strcmp(text, "false") != 0 && strcmp(text, "0") != 0)
        return -EINVAL;
    *ret_number = *text == 't' || *text == '1';
    return 0;
}

static int set(struct option *o, const char *text, const char *process, const char *origin)
{
    int r = 0;
    if (o->type == OPTION_FLAG)
        r = parse_flag(text, &o->number);
    else if (types[o->type].units)
        r = parse_number(text, types[o->type].units, &o->number);
    if (r < 0) {
        fprintf(stderr, "%s: %s: \"%s\" is not %s\n", process, origin, text, types[o->type].wanted);
        return r;
    }
    o->value = text;
    return 0;
}

static void environment_name(const struct option *o, char ret_name[ENVIRONMENT_MAX])
{
    int n = snprintf(ret_name, ENVIRONMENT_MAX, "OMS_%s", o->name);
    for (int i = 0; i < n && ret_name[i]; i++)
        ret_name[i] = ret_name[i] == '-' ? '_' : (char)toupper((unsigned char)ret_name[i]);
}

static struct option *find(struct option *const *tables, const char *name, size_t len)
{
    FOR_EACH_OPTION(tables, o)
    if (strlen(o->name) == len && memcmp(o->name, name, len) == 0)
        return o;
    return NULL;
}

static void print_help(struct option *const *tables, const char *process, const char *about)
{
    printf("%s: %s\n\nUsage: %s [--option value] …\n\n", process, about, process);
    FOR_EACH_OPTION(tables, o)
    {
        char flag[ENVIRONMENT_MAX], environment[ENVIRONMENT_MAX];
        environment_name(o, environment);
        snprintf(flag, sizeof(flag), "--%s %s", o->name, types[o->type].placeholder);
        printf("  %-26s %s (%s", flag, o->help, environment);
        if (o->value && *o->value)
            printf(", %s", o->value);
        printf(")\n");
    }
    printf("  %-26s this text\n  %-26s the version\n", "--help", "--version");
}

static int parse_defaults_and_environment(struct option *const *tables, const char *process)
{
    FOR_EACH_OPTION(tables, o)
    {
        char environment[ENVIRONMENT_MAX];
        environment_name(o, environment);
        const char *given = getenv(environment);
        int r = o->value ? set(o, o->value, process, o->name) : 0;
        if (r == 0 && given)
            r = set(o, given, process, environment);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Takes one flag, and the argument behind it if that is its value; *at moves to the last one taken. */
static int parse_flag_at(struct option *const *tables, const char *process, int argc, char **argv, int *at)
{
    const char *arg = argv[*at];
    const char *equals = strchr(arg, '=');
    size_t len = equals ? (size_t)(equals - arg) : strlen(arg);
    struct option *o = strncmp(arg, "--", 2) == 0 ? find(tables, arg + 2, len - 2) : NULL;
    if (!o) {
        fprintf(stderr, "%s: %s: no such option; --help lists them\n", process, arg);
        return -EINVAL;
    }
    if (equals)
        return set(o, equals + 1, process, arg);
    if (o->type == OPTION_FLAG)
        return set(o, "true", process, arg);
    if (*at + 1 >= argc) {
        fprintf(stderr, "%s: %s: needs %s\n", process, arg, types[o->type].wanted);
        return -EINVAL;
    }
    return set(o, argv[++*at], process, arg);
}

int config_parse(struct option *const *tables, const char *process, const char *about, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0)
            return print_help(tables, process, about), 1;
        if (strcmp(argv[i], "--version") == 0)
            return printf("%s %s\n", process, ORDERMESH_VERSION), 1;
    }

    int r = parse_defaults_and_environment(tables, process);
    for (int i = 1; r == 0 && i < argc; i++)
        r = parse_flag_at(tables, process, argc, argv, &i);
    return r;
}

static struct option *need(struct option *const *tables, const char *name)
{
    struct option *o = find(tables, name, strlen(name));
    if (!o) {
        fprintf(stderr, "no option is named %s\n", name);
        abort();
    }
    return o;
}

const char *config_text(struct option *const *tables, const char *name)
{
    return need(tables, name)->value;
}

int64_t config_number(struct option *const *tables, const char *name)
{
    return need(tables, name)->number;
}
