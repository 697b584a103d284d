/* JSON lines, each written by one write(2), so that lines of several lanes never mix. */
#include "mesh/base/say.h"
#include "mesh/base/trace.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 4096
#define TEXT_MAX_BYTES 1024

static const char *const level_names[] = { "debug", "info", "warn", "error" };
static char process_name[64] = "ordermesh";
static _Atomic int least_level = SAY_INFO;

struct line {
    size_t len;
    bool cut;
    char text[LINE_MAX_BYTES];
};

void say_init(const char *process, enum say_level least)
{
    snprintf(process_name, sizeof(process_name), "%s", process);
    atomic_store(&least_level, (int)least);
}

int say_level_set(const char *name)
{
    for (int i = SAY_DEBUG; i <= SAY_ERROR; i++) {
        if (strcmp(name, level_names[i]) == 0) {
            atomic_store(&least_level, i);
            return 0;
        }
    }
    return -EINVAL;
}

const char *say_level_name(void)
{
    return level_names[atomic_load(&least_level)];
}

/* Room for the closing brace and newline is always kept. */
static void put(struct line *line, const char *data, size_t n)
{
    if (line->cut || n > sizeof(line->text) - line->len - sizeof(",\"cut\":true}\n")) {
        line->cut = true;
        return;
    }
    memcpy(line->text + line->len, data, n);
    line->len += n;
}

/* The length of the UTF-8 sequence at s, or 0 if it is none. */
static size_t utf8_length(const unsigned char *s, size_t n)
{
    size_t len = s[0] < 0x80 ? 1 : s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
    if (len == 1)
        return 1;
    if (s[0] < 0xc2 || s[0] > 0xf4 || len > n)
        return 0;
    for (size_t i = 1; i < len; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    bool overlong = (s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xf0 && s[1] < 0x90);
    bool outside = (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf4 && s[1] > 0x8f);
    return overlong || outside ? 0 : len;
}

static void put_string(struct line *line, const char *text)
{
    char buffer[6 * TEXT_MAX_BYTES / 2 + 2];
    size_t at = 0, n = strnlen(text, TEXT_MAX_BYTES);
    buffer[at++] = '"';
    for (size_t i = 0; i < n && at < sizeof(buffer) - 8;) {
        const unsigned char *s = (const unsigned char *)text + i;
        size_t len = utf8_length(s, n - i);
        if (len == 0) {
            memcpy(buffer + at, "\xef\xbf\xbd", 3);
            at += 3;
            i++;
            continue;
        }
        if (*s == '"' || *s == '\\')
            buffer[at++] = '\\';
        if (*s < 0x20 || *s == 0x7f)
            at += (size_t)snprintf(buffer + at, 7, "\\u%04x", *s);
        else {
            memcpy(buffer + at, s, len);
            at += len;
        }
        i += len;
    }
    buffer[at++] = '"';
    put(line, buffer, at);
}

static void put_name(struct line *line, const char *name)
{
    put(line, ",", 1);
    put_string(line, name);
    put(line, ":", 1);
}

static void put_field(struct line *line, const struct say_field *field)
{
    size_t before = line->len;
    put_name(line, field->name);
    if (field->text) {
        put_string(line, field->text);
    } else {
        char number[24];
        put(line, number, (size_t)snprintf(number, sizeof(number), "%" PRId64, field->number));
    }
    if (line->cut)
        line->len = before;
}

static void put_time(struct line *line)
{
    struct timespec now;
    struct tm tm;
    char text[64];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    size_t n = strftime(text, sizeof(text), "{\"time\":\"%Y-%m-%dT%H:%M:%S", &tm);
    n += (size_t)snprintf(text + n, sizeof(text) - n, ".%06ldZ\"", now.tv_nsec / 1000);
    put(line, text, n);
}

void say_fields(enum say_level level, const struct trace *trace, const char *event, const struct say_field *fields)
{
    if ((int)level < atomic_load_explicit(&least_level, memory_order_relaxed))
        return;

    struct line line;
    line.len = 0;
    line.cut = false;
    put_time(&line);
    put_field(&line, &SAY_T("level", level_names[level]));
    put_field(&line, &SAY_T("process", process_name));
    put_field(&line, &SAY_T("event", event));
    if (trace && memcmp(trace, &(struct trace){ 0 }, sizeof(*trace)) != 0) {
        char text[TRACE_TEXT];
        trace_format(trace, text);
        text[35] = '\0';
        put_field(&line, &SAY_T("trace", text + 3));
    }
    for (; fields->name && !line.cut; fields++)
        put_field(&line, fields);

    const char *end = line.cut ? ",\"cut\":true}\n" : "}\n";
    memcpy(line.text + line.len, end, strlen(end));
    /* Nothing can be done when stderr is gone. */
    ssize_t written = write(STDERR_FILENO, line.text, line.len + strlen(end));
    (void)written;
}
