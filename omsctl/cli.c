/* Reads the command line by the tables of commands and flags, and prints help from them. */
#include "omsctl/cli.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TOKEN_MAX     8192
#define ARENA_BUDGET  (UINT64_C(1) << 30)
#define LEVELS_UP_MAX 32
#define ARGS_MAX      4096

static const struct flag common_flags[] = {
    { "server", "HOST:PORT", "OMSCTL_SERVER", "the gateway; 127.0.0.1:7000 if nothing says otherwise" },
    { "ca", "FILE", "OMSCTL_CA", "speak TLS, and trust the certificates that this one signed" },
    { "token", "TOKEN|FILE", "OMSCTL_TOKEN", "who you are: a JWT, or the file it is in" },
    { "service", "PROCESS", "OMSCTL_SERVICE", "which process is asked for its log, letters, status or health" },
    { "timeout", "DURATION", "OMSCTL_TIMEOUT", "how long an answer may take, retries included; 30s" },
    { "o", "json|table", "OMSCTL_OUTPUT", "json: one document for scripts, of a stream one per line" },
    { "help", NULL, NULL, "what you are reading" },
    {},
};

static const char exit_codes[] = "Ends with 0: well · 1: usage, nothing was sent · 2: refused by the server · 3: no "
                                 "answer (unavailable, deadline) ·\n"
                                 "4: an import of which some was refused.\n";

int cli_usage(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("omsctl: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    return CTL_USAGE;
}

static void print_flags(const struct flag *flags)
{
    for (const struct flag *f = flags; f && f->name; f++) {
        char left[64];
        snprintf(left, sizeof(left), "%s%s%s%s", strlen(f->name) == 1 ? "-" : "--", f->name, f->value ? " " : "",
                 f->value ? f->value : "");
        printf("  %-24s %s%s%s%s\n", left, f->help, f->env ? " (" : "", f->env ? f->env : "", f->env ? ")" : "");
    }
}

static void print_command(const struct command *c)
{
    printf("omsctl %s%s%s\n\n%s\n\n", c->name, c->args[0] ? " " : "", c->args, c->help);
    if (c->flags) {
        print_flags(c->flags);
        putchar('\n');
    }
    print_flags(common_flags);
    printf("\n%s", exit_codes);
}

/* The commands whose name begins with the given word, or all. */
static int print_commands(const struct command *commands, const char *word)
{
    size_t n = strlen(word);
    int found = 0;
    for (const struct command *c = commands; c->name; c++)
        found += strncmp(c->name, word, n) == 0;
    if (!found)
        return 0;
    printf("omsctl: the client of the order mesh\n\n");
    for (const struct command *c = commands; c->name; c++)
        if (strncmp(c->name, word, n) == 0)
            printf("  %-22s %.*s\n", c->name, (int)strcspn(c->help, "\n"), c->help);
    printf("\nomsctl COMMAND --help tells more. For every command:\n\n");
    print_flags(common_flags);
    printf("\n%s", exit_codes);
    return found;
}

static const struct flag *find_flag(const struct flag *flags, const char *name, size_t len)
{
    for (const struct flag *f = flags; f && f->name; f++)
        if (strlen(f->name) == len && strncmp(f->name, name, len) == 0)
            return f;
    return NULL;
}

/* One flag at argv[*i], with its value behind '=' or as the next word. */
static int read_flag(struct ctl *ctl, char **argv, int argc, int *i)
{
    const char *name = argv[*i] + (argv[*i][1] == '-' ? 2 : 1);
    size_t len = strcspn(name, "=");
    const struct flag *flag = find_flag(common_flags, name, len);
    if (!flag && ctl->command)
        flag = find_flag(ctl->command->flags, name, len);
    if (!flag) {
        cli_usage("there is no %s here; omsctl %s --help lists what there is", argv[*i],
                  ctl->command ? ctl->command->name : "");
        return -EINVAL;
    }
    const char *value = name[len] == '=' ? name + len + 1 : NULL;
    if (flag->value && !value)
        value = *i + 1 < argc ? argv[++*i] : NULL;
    if (!flag->value != !value) {
        cli_usage(flag->value ? "--%s needs a value: %s" : "--%s takes no value%s", flag->name,
                  flag->value ? flag->value : "");
        return -EINVAL;
    }
    if (ctl->n_given == CTL_FLAGS_MAX) {
        cli_usage("too many flags");
        return -EINVAL;
    }
    ctl->given[ctl->n_given].flag = flag;
    ctl->given[ctl->n_given++].value = value ? value : "";
    return 0;
}

/* The longest name that the first words are. */
static const struct command *find_command(const struct command *commands, char *const *words, int n, int *ret_used)
{
    const struct command *best = NULL;
    for (const struct command *c = commands; c->name; c++) {
        const char *space = strchr(c->name, ' ');
        size_t first = space ? (size_t)(space - c->name) : strlen(c->name);
        if (n < 1 + !!space || strlen(words[0]) != first || strncmp(words[0], c->name, first) != 0)
            continue;
        if (space && strcmp(words[1], space + 1) != 0)
            continue;
        if (best && *ret_used > 1 + !!space)
            continue;
        best = c;
        *ret_used = 1 + !!space;
    }
    return best;
}

static bool is_flag(const char *word)
{
    return word[0] == '-' && word[1] != '\0';
}

/* Words first, so that flags may stand anywhere; a flag's value is no word. */
static int split(struct ctl *ctl, int argc, char **argv, char **words, int *ret_n)
{
    int n = 0;
    bool flags_end = false;
    for (int i = 1; i < argc; i++) {
        if (!flags_end && strcmp(argv[i], "--") == 0) {
            flags_end = true;
            continue;
        }
        if (!flags_end && is_flag(argv[i])) {
            int used, r = 0;
            if (!ctl->command)
                ctl->command = find_command(ctl->commands, words, n, &used);
            r = read_flag(ctl, argv, argc, &i);
            if (r < 0)
                return r;
            continue;
        }
        if (n == ARGS_MAX) {
            cli_usage("too many arguments");
            return -EINVAL;
        }
        words[n++] = argv[i];
    }
    *ret_n = n;
    return 0;
}

static int check_output(struct ctl *ctl)
{
    const char *output = cli_flag(ctl, "o");
    ctl->json = output && strcmp(output, "json") == 0;
    if (!output || ctl->json || strcmp(output, "table") == 0)
        return 0;
    cli_usage("-o is json or table, not '%s'", output);
    return -EINVAL;
}

int cli_parse(struct ctl *ctl, const struct command *commands, int argc, char **argv)
{
    arena_init(&ctl->arena, ARENA_BUDGET);
    ctl->commands = commands;
    char **words = arena_alloc(&ctl->arena, ARGS_MAX * sizeof(*words));
    int n = 0, used = 0, r = split(ctl, argc, argv, words, &n);
    if (r < 0)
        return r;
    bool help = cli_flag(ctl, "help") != NULL;
    ctl->command = find_command(commands, words, n, &used);
    if (!ctl->command) {
        if ((n == 0 && (help || argc == 1)) || (n == 1 && help))
            if (print_commands(commands, n ? words[0] : ""))
                return 1;
        cli_usage(n ? "there is no command '%s%s%s'; omsctl --help lists them"
                    : "a command is needed; see --help%s%s%s",
                  n ? words[0] : "", n > 1 ? " " : "", n > 1 ? words[1] : "");
        return -EINVAL;
    }
    if (help) {
        print_command(ctl->command);
        return 1;
    }
    ctl->args = words + used;
    ctl->n_args = n - used;
    if (ctl->n_args < ctl->command->min_args || (ctl->command->max_args >= 0 && ctl->n_args > ctl->command->max_args)) {
        cli_usage("it is: omsctl %s %s", ctl->command->name, ctl->command->args);
        return -EINVAL;
    }
    return check_output(ctl);
}

const char *cli_flag(const struct ctl *ctl, const char *name)
{
    for (size_t i = ctl->n_given; i-- > 0;)
        if (strcmp(ctl->given[i].flag->name, name) == 0)
            return ctl->given[i].value;
    size_t len = strlen(name);
    const struct flag *flag = find_flag(common_flags, name, len);
    if (!flag && ctl->command)
        flag = find_flag(ctl->command->flags, name, len);
    const char *value = flag && flag->env ? getenv(flag->env) : NULL;
    return value && value[0] ? value : NULL;
}

int cli_number(const struct ctl *ctl, const char *name, int64_t min, int64_t max, int64_t absent, int64_t *ret_number)
{
    const char *text = cli_flag(ctl, name);
    if (!text) {
        *ret_number = absent;
        return 0;
    }
    char *end;
    errno = 0;
    long long n = strtoll(text, &end, 10);
    if (errno || end == text || *end || n < min || n > max) {
        cli_usage("--%s is a whole number from %lld to %lld, not '%s'", name, (long long)min, (long long)max, text);
        return -EINVAL;
    }
    *ret_number = n;
    return 0;
}

int cli_duration(const char *text, int64_t *ret_us)
{
    static const struct {
        const char *unit;
        int64_t us;
    } units[] = {
        { "ms", 1000 }, { "s", 1000000 }, { "m", 60000000 }, { "h", INT64_C(3600000000) }, { "d", INT64_C(86400000000) }
    };
    char *end;
    errno = 0;
    long long n = strtoll(text, &end, 10);
    if (errno || end == text || n <= 0)
        return -EINVAL;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        if (strcmp(end, units[i].unit) == 0)
            return __builtin_mul_overflow(n, units[i].us, ret_us) ? -EINVAL : 0;
    return -EINVAL;
}

/* Lines of NAME=VALUE; what the environment has stays. */
static bool read_defaults(const char *dir, const char *name)
{
    char path[PATH_MAX], line[PATH_MAX + 64];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    while (fgets(line, sizeof(line), file)) {
        line[strcspn(line, "\n")] = '\0';
        char *value = strchr(line, '=');
        if (line[0] == '#' || !value)
            continue;
        *value++ = '\0';
        setenv(line, value, 0);
    }
    fclose(file);
    return true;
}

static bool search_upwards(char *dir)
{
    for (int i = 0; i < LEVELS_UP_MAX && dir[0]; i++) {
        if (read_defaults(dir, ".dev/omsctl.env"))
            return true;
        char *slash = strrchr(dir, '/');
        if (!slash)
            return false;
        *slash = '\0';
    }
    return false;
}

void cli_defaults(void)
{
    const char *state = getenv("OMS_DEV_DIR");
    if (state && read_defaults(state, "omsctl.env"))
        return;
    char dir[PATH_MAX];
    if (getcwd(dir, sizeof(dir)) && search_upwards(dir))
        return;
    ssize_t n = readlink("/proc/self/exe", dir, sizeof(dir) - 1);
    if (n > 0) {
        dir[n] = '\0';
        search_upwards(dir);
    }
}

/* A JWT has two points and begins with a brace in base64; anything else is a file's name. */
static const char *read_token(struct arena *arena, const char *token)
{
    if (strncmp(token, "ey", 2) == 0 && strchr(token, '.') && !strchr(token, '/'))
        return token;
    FILE *file = fopen(token, "re");
    if (!file) {
        cli_usage("the token's file %s cannot be read: %s", token, strerror(errno));
        return NULL;
    }
    char *text = arena_alloc(arena, TOKEN_MAX);
    size_t n = fread(text, 1, TOKEN_MAX - 1, file);
    fclose(file);
    text[n] = '\0';
    text[strcspn(text, " \r\n")] = '\0';
    return text;
}

struct client *cli_client(struct ctl *ctl)
{
    if (ctl->client)
        return ctl->client;
    const char *server = cli_flag(ctl, "server"), *token = cli_flag(ctl, "token"), *timeout = cli_flag(ctl, "timeout");
    struct client_options options = { .server = server ? server : "127.0.0.1:7000",
                                      .ca = cli_flag(ctl, "ca"),
                                      .service = cli_flag(ctl, "service"),
                                      .timeout_us = 30000000 };
    if (timeout && cli_duration(timeout, &options.timeout_us) < 0) {
        cli_usage("--timeout is a duration such as 1500ms or 10s, not '%s'", timeout);
        return NULL;
    }
    if (token && !(options.token = read_token(&ctl->arena, token)))
        return NULL;
    if (options.ca && access(options.ca, R_OK) < 0) {
        cli_usage("the CA's file %s cannot be read: %s", options.ca, strerror(errno));
        return NULL;
    }
    return client_open(&options, &ctl->client) < 0 ? NULL : ctl->client;
}

void cli_finish(struct ctl *ctl)
{
    client_close(ctl->client);
    arena_finish(&ctl->arena);
}
