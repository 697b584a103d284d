/* Options of a process, from one table: flags win over environment, environment over defaults.
 * --listen and OMS_LISTEN are the same option; --help prints the table. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum option_type { OPTION_TEXT, OPTION_NUMBER, OPTION_BYTES, OPTION_DURATION, OPTION_FLAG };

struct option {
    const char *name; /* "store-path": --store-path, OMS_STORE_PATH */
    enum option_type type;
    const char *value; /* the default as text; NULL: none */
    const char *help;
    int64_t number; /* set by config_parse: the number, bytes, microseconds (from 150ms, 2s, 5m, 7d) or 0/1 */
};

/* Tables end with a row without name. Several tables are one: the runtime's and the service's own.
 * 0; 1 when --help or --version was printed and the process should end well; -EINVAL after one clear line on stderr. */
int config_parse(struct option *const *tables, const char *process, const char *about, int argc, char **argv);
/* An unknown name is a programmer's mistake: it aborts. */
const char *config_text(struct option *const *tables, const char *name);
int64_t config_number(struct option *const *tables, const char *name);
