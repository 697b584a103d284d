/* Statements rewritten: one for one row for many, and $n as SQLite likes it. */
#include "mesh/store/inside.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Behind the quoted text that starts at s. */
static const char *skip_quoted(const char *s)
{
    const char *end = strchr(s + 1, *s);
    return end ? end + 1 : s + strlen(s);
}

static bool is_word(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

/* The parenthesis behind the next VALUES, or NULL. */
static const char *find_values(const char *sql)
{
    bool inside_word = false;
    for (const char *s = sql; *s;) {
        if (*s == '\'' || *s == '"') {
            s = skip_quoted(s);
            inside_word = false;
            continue;
        }
        if (!inside_word && strncasecmp(s, "VALUES", 6) == 0 && !is_word(s[6])) {
            const char *open = s + 6 + strspn(s + 6, " \t\n");
            if (*open == '(')
                return open;
        }
        inside_word = is_word(*s);
        s++;
    }
    return NULL;
}

/* Behind the parenthesis that closes the one at open, or NULL. */
static const char *find_close(const char *open)
{
    int depth = 0;
    for (const char *s = open; *s;) {
        if (*s == '\'' || *s == '"') {
            s = skip_quoted(s);
            continue;
        }
        depth += *s == '(' ? 1 : *s == ')' ? -1 : 0;
        s++;
        if (depth == 0)
            return s;
    }
    return NULL;
}

static void put_row(FILE *out, const char *open, const char *close, size_t first)
{
    for (const char *s = open; s < close;) {
        const char *next = *s == '\'' || *s == '"' ? skip_quoted(s) : s + 1;
        if (*s == '$') {
            char *end;
            fprintf(out, "$%lu", strtoul(s + 1, &end, 10) + first);
            next = end;
        } else {
            fwrite(s, 1, (size_t)(next - s), out);
        }
        s = next;
    }
}

char *many_expand(const char *sql, size_t rows, size_t columns)
{
    const char *open = find_values(sql), *close = open ? find_close(open) : NULL;
    if (!close || find_values(close) || memchr(sql, '$', (size_t)(open - sql)) || strchr(close, '$'))
        return NULL;

    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    if (!out)
        return NULL;
    fwrite(sql, 1, (size_t)(open - sql), out);
    for (size_t row = 0; row < rows; row++) {
        fputs(row ? ", " : "", out);
        put_row(out, open, close, row * columns);
    }
    fputs(close, out);
    if (fclose(out) != 0) {
        free(text);
        return NULL;
    }
    return text;
}

char *many_numbered(const char *sql)
{
    char *text = strdup(sql);
    for (char *s = text; s && *s;) {
        if (*s == '\'' || *s == '"') {
            s += skip_quoted(s) - s;
            continue;
        }
        if (*s == '?') {
            free(text);
            return NULL;
        }
        if (*s == '$')
            *s = '?';
        s++;
    }
    return text;
}
