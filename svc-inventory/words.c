/* Words are runs of ASCII letters and digits and of everything beyond ASCII. */
#include "svc-inventory/words.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Lower case of ASCII and of Latin-1's capitals (À … Þ but ×), which UTF-8 writes as C3 80 … C3 9E. */
static char *fold(struct arena *arena, const char *text)
{
    char *folded = arena_copy(arena, text, strlen(text));
    for (char *c = folded; c && *c; c++) {
        if (*c >= 'A' && *c <= 'Z')
            *c += 'a' - 'A';
        else if (c > folded && (uint8_t)c[-1] == 0xc3 && (uint8_t)*c >= 0x80 && (uint8_t)*c <= 0x9e &&
                 (uint8_t)*c != 0x97)
            *c += 0x20;
    }
    return folded;
}

static bool in_word(char c)
{
    return (uint8_t)c >= 0x80 || isalnum((unsigned char)c);
}

/* Each word of the text into items; the text is cut up. */
static size_t split(char *text, const char **items)
{
    size_t n = 0;
    while (*text) {
        if (!in_word(*text)) {
            text++;
            continue;
        }
        items[n++] = text;
        while (in_word(*text))
            text++;
        if (*text)
            *text++ = '\0';
    }
    return n;
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int add_text(struct arena *arena, const char *text, struct words *words)
{
    char *folded = fold(arena, text);
    if (!folded)
        return -ENOMEM;
    words->n += split(folded, words->items + words->n);
    return 0;
}

int words_collect(struct arena *arena, const Product *product, struct words *ret_words)
{
    size_t max = strlen(product->title) / 2 + 1;
    for (size_t i = 0; i < product->n_variants; i++)
        max += strlen(product->variants[i]->title) / 2 + 2;

    struct words words = { .items = arena_alloc(arena, max * sizeof(*words.items)) };
    if (!words.items || add_text(arena, product->title, &words) < 0)
        return -ENOMEM;
    for (size_t i = 0; i < product->n_variants; i++) {
        const char *sku = fold(arena, product->variants[i]->sku);
        if (!sku || add_text(arena, product->variants[i]->title, &words) < 0)
            return -ENOMEM;
        words.items[words.n++] = sku;
    }

    qsort(words.items, words.n, sizeof(*words.items), compare);
    size_t kept = 0;
    for (size_t i = 0; i < words.n; i++) {
        if (kept == 0 || strcmp(words.items[kept - 1], words.items[i]) != 0)
            words.items[kept++] = words.items[i];
    }
    words.n = kept;
    *ret_words = words;
    return 0;
}

int word_prefix(struct arena *arena, const char *prefix, struct word_range *ret_range)
{
    const char *from = fold(arena, prefix);
    const char *below = from ? arena_printf(arena, "%s\U0010ffff", from) : NULL;
    if (!below)
        return -ENOMEM;
    *ret_range = (struct word_range){ from, below };
    return 0;
}
