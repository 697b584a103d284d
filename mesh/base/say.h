/* What a process says on stderr: one JSON object a line, with time, level, process, trace id and fields.
 * Only main programs and mesh/ say anything; services return errors. Any lane. */
#pragma once

#include <stdint.h>

enum say_level { SAY_DEBUG, SAY_INFO, SAY_WARN, SAY_ERROR };

struct trace;

void say_init(const char *process, enum say_level least);
/* 0 or -EINVAL: not one of debug, info, warn, error. Takes effect at once. */
int say_level_set(const char *name);
const char *say_level_name(void);

/* Fields are pairs of a name and a value: say(SAY_INFO, NULL, "listening", SAY_T("address", addr), SAY_N("port",
 * 7001)). */
struct say_field {
    const char *name, *text; /* text NULL: the number counts */
    int64_t number;
};
static inline const char *say_text(const char *text)
{
    return text ? text : "";
}
#define SAY_T(n, t) ((struct say_field){ .name = (n), .text = say_text(t) })
#define SAY_N(n, v) ((struct say_field){ .name = (n), .number = (v) })
#define say(level, trace, event, ...) \
    say_fields(level, trace, event, (const struct say_field[]){ __VA_ARGS__ __VA_OPT__(, ){ 0 } })
void say_fields(enum say_level level, const struct trace *trace, const char *event, const struct say_field *fields);
