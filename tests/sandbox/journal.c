/* Lines one behind the other. */
#include "tests/sandbox/journal.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static int keep(void *arg, const char *line, size_t len)
{
    struct kept *kept = arg;
    if (kept->refuse)
        return kept->refuse;
    ck_assert_int_eq(line[len - 1], '\n');
    kept->text = realloc(kept->text, kept->len + len + 1);
    ck_assert_ptr_nonnull(kept->text);
    memcpy(kept->text + kept->len, line, len);
    kept->len += len;
    kept->text[kept->len] = '\0';
    return 0;
}

struct journal kept_journal(struct kept *kept)
{
    return (struct journal){ keep, kept };
}

void kept_finish(struct kept *kept)
{
    free(kept->text);
    *kept = (struct kept){ 0 };
}

size_t kept_count(const struct kept *kept, const char *text)
{
    size_t n = 0;
    for (const char *line = kept->text, *end; line && *line; line = end + 1) {
        end = strchr(line, '\n');
        n += memmem(line, (size_t)(end - line), text, strlen(text)) != NULL;
    }
    return n;
}

size_t kept_lines(const struct kept *kept)
{
    return kept_count(kept, "{");
}

struct bytes kept_bytes(const struct kept *kept)
{
    return (struct bytes){ (const uint8_t *)kept->text, kept->len };
}

void expect(struct answer *answer, int status, const char *text)
{
    ck_assert_msg(answer->status == status && answer->body && strlen(answer->body) == answer->len &&
                      strstr(answer->body, text),
                  "%d %s, not %d %s", answer->status, answer->body, status, text);
    answer_finish(answer);
}
