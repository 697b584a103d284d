/* Answers, lines and paths. */
#include "dev/sandbox/outsider.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_BYTES 2048

void answer_finish(struct answer *answer)
{
    free(answer->body);
    *answer = (struct answer){ 0 };
}

void answer_say(struct answer *ret, int status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    free(ret->body);
    int len = vasprintf(&ret->body, format, args);
    va_end(args);
    ret->status = len < 0 ? 503 : status;
    ret->len = len < 0 ? 0 : (size_t)len;
    if (len < 0)
        ret->body = NULL;
}

void answer_error(struct answer *ret, int status, const char *code, const char *message)
{
    answer_say(ret, status, "{\"error\":\"%s\",\"message\":\"%s\"}", code, message);
}

int journal_line(const struct journal *journal, const char *format, ...)
{
    char line[LINE_MAX_BYTES];
    va_list args;
    if (!journal->write)
        return 0;
    va_start(args, format);
    int len = vsnprintf(line, sizeof(line) - 1, format, args);
    va_end(args);
    if (len < 0 || (size_t)len >= sizeof(line) - 1)
        return -EMSGSIZE;
    line[len++] = '\n';
    return journal->write(journal->arg, line, (size_t)len);
}

int outsider_replay(struct bytes book, int (*replay)(void *company, struct bytes line), void *company, size_t *ret_len)
{
    size_t at = 0;
    const uint8_t *end;
    while (at < book.len && (end = memchr(book.data + at, '\n', book.len - at))) {
        size_t len = (size_t)(end - book.data) - at;
        int r = replay(company, (struct bytes){ book.data + at, len });
        if (r < 0)
            return r;
        at += len + 1;
    }
    *ret_len = at;
    return 0;
}

static size_t id_length(const char *text)
{
    return strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.:");
}

bool outsider_is_id(const char *text)
{
    size_t len = text ? id_length(text) : 0;
    return len > 0 && len <= OUTSIDER_ID_MAX && text[len] == '\0';
}

const char *outsider_path_id(const char *path, const char *prefix, char ret_id[OUTSIDER_ID_MAX + 1])
{
    size_t n = strlen(prefix);
    if (strncmp(path, prefix, n) != 0)
        return NULL;
    size_t len = id_length(path + n);
    if (len == 0 || len > OUTSIDER_ID_MAX)
        return NULL;
    memcpy(ret_id, path + n, len);
    ret_id[len] = '\0';
    return path + n + len;
}

bool outsider_path_is(const char *path, const char *wanted)
{
    size_t n = strcspn(path, "?");
    return n == strlen(wanted) && memcmp(path, wanted, n) == 0;
}
