/* The words that a product is found by. */
#include "svc-inventory/words.h"
#include "tests/suite.h"

#include <string.h>

static struct arena arena;

static struct words collect(const char *title, const char *variant, const char *sku)
{
    static Variant v;
    static Variant *variants[] = { &v };
    oms__catalog__v1__variant__init(&v);
    v.title = (char *)variant;
    v.sku = (char *)sku;
    Product product = OMS__CATALOG__V1__PRODUCT__INIT;
    product.title = (char *)title;
    product.variants = variants;
    product.n_variants = 1;
    struct words words;
    arena_init(&arena, 1 << 20);
    ck_assert_int_eq(words_collect(&arena, &product, &words), 0);
    return words;
}

static void ck_words(struct words words, size_t n, const char *const *expected)
{
    ck_assert_int_eq(words.n, n);
    for (size_t i = 0; i < n; i++)
        ck_assert_str_eq(words.items[i], expected[i]);
    arena_finish(&arena);
}

START_TEST(words_are_folded_sorted_and_single)
{
    ck_words(collect("White hanging HEART, white t-light", "Heart, small", "85123A"), 7,
             (const char *const[]){ "85123a", "hanging", "heart", "light", "small", "t", "white" });
}
END_TEST

START_TEST(a_sku_is_one_word_whatever_stands_in_it)
{
    ck_words(collect("Cup", "", "CUP-01 b"), 2, (const char *const[]){ "cup", "cup-01 b" });
}
END_TEST

START_TEST(latin_capitals_are_folded_and_other_letters_kept)
{
    ck_words(collect("ÜBERTOPF Äpfel Ärger× 植木鉢", "", "x"), 5,
             (const char *const[]){ "x", "äpfel", "ärger×", "übertopf", "植木鉢" });
}
END_TEST

START_TEST(a_title_of_single_letters_fits)
{
    char title[201];
    for (size_t i = 0; i < 200; i++)
        title[i] = i % 2 ? ' ' : 'a';
    title[200] = '\0';
    ck_words(collect(title, title, "a"), 1, (const char *const[]){ "a" });
    ck_words(collect("", "", "s"), 1, (const char *const[]){ "s" });
}
END_TEST

START_TEST(a_prefix_is_the_range_of_all_that_start_so)
{
    struct word_range range;
    arena_init(&arena, 1 << 20);
    ck_assert_int_eq(word_prefix(&arena, "HeA", &range), 0);
    const char *const within[] = { "hea", "heart", "heaz", "hea\xc3\xa9" }, *const without[] = { "he", "heb", "hdz" };
    for (size_t i = 0; i < 4; i++)
        ck_assert(strcmp(within[i], range.from) >= 0 && strcmp(within[i], range.below) < 0);
    for (size_t i = 0; i < 3; i++)
        ck_assert(strcmp(without[i], range.from) < 0 || strcmp(without[i], range.below) >= 0);
    arena_finish(&arena);
}
END_TEST

SUITE("words", 10, words_are_folded_sorted_and_single, a_sku_is_one_word_whatever_stands_in_it,
      latin_capitals_are_folded_and_other_letters_kept, a_title_of_single_letters_fits,
      a_prefix_is_the_range_of_all_that_start_so)
