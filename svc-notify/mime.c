/* Encoders that only ever grow a text: each result has its worst case allocated. */
#include "svc-notify/mime.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define ADDRESS_MAX   254 /* RFC 5321, 4.5.3.1.3 */
#define LOCAL_MAX     64
#define PLAIN_MAX     60 /* a longer text is broken into encoded words */
#define WORD_BYTES    45 /* of an encoded word, so that it stays below 76 characters */
#define LINE_MAX_QP   76
#define WORD_OVERHEAD 20 /* "=?UTF-8?B?" "?=" "\r\n " and padding */

static bool is_atext(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr("!#$%&'*+-/=?^_`{|}~", c));
}

/* RFC 5322, 3.2.3: atoms with dots between them. */
static bool is_dot_atom(const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        bool edge = i == 0 || i == n - 1;
        if (!is_atext(text[i]) && (text[i] != '.' || edge || text[i + 1] == '.'))
            return false;
    }
    return n > 0;
}

bool mime_is_address(const char *text)
{
    size_t n = strlen(text), local = strcspn(text, "@");
    return n <= ADDRESS_MAX && local <= LOCAL_MAX && local < n && is_dot_atom(text, local) &&
           is_dot_atom(text + local + 1, n - local - 1);
}

static bool is_plain(const char *text)
{
    for (const char *c = text; *c; c++)
        if (*c < ' ' || *c > '~')
            return false;
    return strlen(text) <= PLAIN_MAX && !strstr(text, "=?");
}

/* A copy in which nothing ends a line. */
static char *without_controls(struct arena *arena, const char *text)
{
    char *copy = arena_copy(arena, text, strlen(text));
    for (char *c = copy; c && *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = ' ';
    return copy;
}

static char *put_base64(char *to, const unsigned char *data, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < n; i += 3) {
        unsigned bits = data[i] << 16 | (i + 1 < n ? data[i + 1] << 8 : 0) | (i + 2 < n ? data[i + 2] : 0);
        *to++ = digits[bits >> 18];
        *to++ = digits[bits >> 12 & 63];
        *to++ = i + 1 < n ? digits[bits >> 6 & 63] : '=';
        *to++ = i + 2 < n ? digits[bits & 63] : '=';
    }
    return to;
}

/* At most WORD_BYTES, and no character is cut. */
static size_t word_length(const char *text)
{
    size_t n = strlen(text);
    if (n <= WORD_BYTES)
        return n;
    for (n = WORD_BYTES; n > WORD_BYTES - 3 && ((unsigned char)text[n] & 0xc0) == 0x80;)
        n--;
    return n;
}

static char *encoded_words(struct arena *arena, const char *text)
{
    size_t words = strlen(text) / (WORD_BYTES - 3) + 1;
    char *result = arena_alloc(arena, 2 * strlen(text) + words * WORD_OVERHEAD + 1), *to = result;
    if (!result)
        return NULL;
    while (*text) {
        size_t n = word_length(text);
        to = stpcpy(to, to == result ? "=?UTF-8?B?" : "\r\n =?UTF-8?B?");
        to = put_base64(to, (const unsigned char *)text, n);
        to = stpcpy(to, "?=");
        text += n;
    }
    *to = '\0';
    return result;
}

char *mime_words(struct arena *arena, const char *text)
{
    char *clean = without_controls(arena, text);
    if (!clean || is_plain(clean))
        return clean;
    return encoded_words(arena, clean);
}

static char *quoted(struct arena *arena, const char *text)
{
    char *result = arena_alloc(arena, 2 * strlen(text) + 3), *to = result;
    if (!result)
        return NULL;
    *to++ = '"';
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            *to++ = '\\';
        *to++ = *text;
    }
    *to++ = '"';
    *to = '\0';
    return result;
}

char *mime_mailbox(struct arena *arena, const char *name, const char *address)
{
    char *clean = without_controls(arena, name);
    if (!clean)
        return NULL;
    if (clean[0] == '\0')
        return arena_printf(arena, "%s", address);
    bool plain = is_plain(clean);
    char *phrase = plain ? quoted(arena, clean) : encoded_words(arena, clean);
    return phrase ? arena_printf(arena, "%s%s<%s>", phrase, plain ? " " : "\r\n ", address) : NULL;
}

char *mime_date(struct arena *arena, int64_t time_us)
{
    struct tm parts;
    char text[48];
    time_t seconds = (time_t)(time_us / 1000000);
    if (!gmtime_r(&seconds, &parts) || strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S +0000", &parts) == 0)
        return NULL;
    return arena_copy(arena, text, strlen(text));
}

/* Spaces at the end of a line would be lost, and a dot at its beginning means something to a mail server. */
static bool must_quote(const char *c, size_t column)
{
    if (*c == ' ' || *c == '\t')
        return c[1] == '\n' || c[1] == '\0';
    return *c < ' ' || *c > '~' || *c == '=' || (*c == '.' && column == 0);
}

char *mime_quoted_printable(struct arena *arena, const char *text)
{
    size_t worst = 3 * strlen(text);
    char *result = arena_alloc(arena, worst + 3 * (worst / (LINE_MAX_QP - 4)) + 4), *to = result;
    size_t column = 0;
    if (!result)
        return NULL;
    for (const char *c = text; *c; c++) {
        if (*c == '\n') {
            to = stpcpy(to, "\r\n");
            column = 0;
            continue;
        }
        size_t width = must_quote(c, column) ? 3 : 1;
        if (column + width >= LINE_MAX_QP) {
            to = stpcpy(to, "=\r\n");
            column = 0;
            width = must_quote(c, column) ? 3 : 1;
        }
        if (width == 1)
            *to++ = *c;
        else
            to += sprintf(to, "=%02X", (unsigned char)*c);
        column += width;
    }
    *to = '\0';
    return result;
}
