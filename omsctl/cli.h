/* What was typed: one table of commands, their flags from flags or environment, and help made of the same tables. */
#pragma once

#include "omsctl/client.h"

#include <stdbool.h>
#include <stdint.h>

/* What the process ends with. */
enum {
    CTL_OK,
    CTL_USAGE,     /* nothing was sent */
    CTL_REFUSED,   /* the server said no */
    CTL_UNREACHED, /* no answer: unavailable, or the deadline passed */
    CTL_PARTLY,    /* an import of which some was refused; books of which some do not agree */
};

struct flag {
    const char *name;  /* "day": --day */
    const char *value; /* what stands behind it in the help; NULL: a switch */
    const char *env;   /* NULL: none */
    const char *help;
};

struct ctl;

struct command {
    const char *name; /* one or two words */
    const char *args;
    const char *help; /* the first line stands in the list of commands */
    int (*run)(struct ctl *ctl);
    const struct flag *flags; /* end with a row without name; NULL: none */
    int min_args, max_args;   /* max -1: any number */
};

#define CTL_FLAGS_MAX 32

/* One run of omsctl. */
struct ctl {
    const struct command *commands, *command;
    char *const *args; /* behind the command's name, without flags */
    int n_args;
    bool json;
    struct arena arena; /* lives as long as the run */
    struct client *client;
    /* inside */
    struct {
        const struct flag *flag;
        const char *value;
    } given[CTL_FLAGS_MAX];
    size_t n_given;
};

/* Finds the command and reads its flags. 0: run it; 1: help was printed; -EINVAL after one clear line. */
int cli_parse(struct ctl *ctl, const struct command *commands, int argc, char **argv);
/* The flag's value, from the command line, else the environment; NULL if neither has it. A switch is "". */
const char *cli_flag(const struct ctl *ctl, const char *name);
/* 0, or -EINVAL after one clear line naming the flag: not a whole number in the range. absent: when not given. */
int cli_number(const struct ctl *ctl, const char *name, int64_t min, int64_t max, int64_t absent, int64_t *ret_number);
/* "1500ms", "10s", "5m", "12h" or "7d" in microseconds; 0 or -EINVAL. */
int cli_duration(const char *text, int64_t *ret_us);
/* One clear line on stderr; returns CTL_USAGE. */
int cli_usage(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Sets what dev/up left for us in .dev/omsctl.env and the environment does not have yet: of the working directory or
 * one above it, else of the checkout the program was built in. */
void cli_defaults(void);

/* Connects on first use; NULL after one clear line. */
struct client *cli_client(struct ctl *ctl);
/* Process exit: closes what is open. */
void cli_finish(struct ctl *ctl);
