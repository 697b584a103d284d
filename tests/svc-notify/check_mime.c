/* Tests of svc-notify/mime.c: what is written is what the RFCs say, and no text makes a line of its own. */
#include "svc-notify/mime.h"
#include "tests/suite.h"

#include <string.h>

static struct arena arena;

static void setup(void)
{
    arena_init(&arena, 1 << 20);
}

static void ck_lines(const char *text, size_t max)
{
    for (const char *line = text; *line;) {
        size_t n = strcspn(line, "\r\n");
        ck_assert_uint_le(n, max);
        if (line[n])
            ck_assert_int_eq(strncmp(line + n, "\r\n", 2), 0);
        line += n + (line[n] ? 2 : 0);
    }
}

START_TEST(addresses_are_those_that_need_no_quoting)
{
    static const char *const good[] = { "ann@example.org", "a.b+c@mail.example.co.uk", "o'neil@example.org", "x@y" };
    static const char *const bad[] = {
        "",
        "ann",
        "@example.org",
        "ann@",
        "a@b@c",
        "ann @example.org",
        "ann@example.org\r\nBcc: eve@example.org",
        "<ann@example.org>",
        "ann@example.org, eve@example.org",
        "\"ann\"@example.org",
        ".ann@example.org",
        "ann.@example.org",
        "an..n@example.org",
        "ann@example..org",
        "zo\xc3\xab@example.org",
        "ann@[127.0.0.1]",
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        ck_assert_msg(mime_is_address(good[i]), "%s", good[i]);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        ck_assert_msg(!mime_is_address(bad[i]), "%s", bad[i]);

    char local[80] = "", whole[300] = "a@";
    memset(local, 'a', 65);
    strcpy(local + 65, "@b");
    ck_assert(!mime_is_address(local));
    ck_assert(mime_is_address(local + 1));
    memset(whole + 2, 'b', 252);
    ck_assert(mime_is_address(whole));
    whole[254] = 'b';
    ck_assert(!mime_is_address(whole));
}
END_TEST

START_TEST(plain_headers_stay_as_they_are)
{
    setup();
    ck_assert_str_eq(mime_words(&arena, "Your order ord_1 is confirmed"), "Your order ord_1 is confirmed");
    ck_assert_str_eq(mime_words(&arena, ""), "");
    arena_finish(&arena);
}
END_TEST

START_TEST(what_is_not_ascii_becomes_encoded_words_that_cut_no_character)
{
    setup();
    ck_assert_str_eq(mime_words(&arena, "Zo\xc3\xab"), "=?UTF-8?B?Wm/Dqw==?=");
    /* 45 bytes would end within the 23rd of these */
    char text[100] = "";
    for (int i = 0; i < 30; i++)
        strcat(text, "\xc3\xab");
    const char *words = mime_words(&arena, text);
    ck_lines(words, 76);
    ck_assert_str_eq(words, "=?UTF-8?B?w6vDq8Orw6vDq8Orw6vDq8Orw6vDq8Orw6vDq8Orw6vDq8Orw6vDq8Orw6s=?=\r\n "
                            "=?UTF-8?B?w6vDq8Orw6vDq8Orw6vDqw==?=");
    arena_finish(&arena);
}
END_TEST

START_TEST(no_text_ends_a_header)
{
    setup();
    ck_assert_str_eq(mime_words(&arena, "a\r\nBcc: eve@example.org"), "a  Bcc: eve@example.org");
    ck_assert_str_eq(mime_mailbox(&arena, "a\r\nBcc: eve", "ann@example.org"), "\"a  Bcc: eve\" <ann@example.org>");
    ck_assert_str_eq(mime_words(&arena, "\xc3\xab\r\nX: y"), "=?UTF-8?B?w6sgIFg6IHk=?=");
    ck_assert_str_eq(mime_words(&arena, "=?UTF-8?B?eA==?="), "=?UTF-8?B?PT9VVEYtOD9CP2VBPT0/PQ==?=");
    arena_finish(&arena);
}
END_TEST

START_TEST(mailboxes_have_their_names_quoted_or_encoded)
{
    setup();
    ck_assert_str_eq(mime_mailbox(&arena, "", "ann@example.org"), "ann@example.org");
    ck_assert_str_eq(mime_mailbox(&arena, "Lee, Ann \"A\" \\", "ann@example.org"),
                     "\"Lee, Ann \\\"A\\\" \\\\\" <ann@example.org>");
    ck_assert_str_eq(mime_mailbox(&arena, "Zo\xc3\xab", "zoe@example.org"),
                     "=?UTF-8?B?Wm/Dqw==?=\r\n <zoe@example.org>");
    char name[101];
    memset(name, 'n', 100);
    name[100] = '\0';
    ck_lines(mime_mailbox(&arena, name, "ann@example.org"), 76);
    arena_finish(&arena);
}
END_TEST

START_TEST(dates_are_those_of_mails)
{
    setup();
    ck_assert_str_eq(mime_date(&arena, 0), "Thu, 01 Jan 1970 00:00:00 +0000");
    ck_assert_str_eq(mime_date(&arena, 1795599660999999), "Wed, 25 Nov 2026 09:41:00 +0000");
    arena_finish(&arena);
}
END_TEST

START_TEST(bodies_are_quoted_printable_with_short_lines)
{
    setup();
    ck_assert_str_eq(mime_quoted_printable(&arena, "a = \xc3\xab\nb \n.c\n-- \n"),
                     "a =3D =C3=AB\r\nb=20\r\n=2Ec\r\n--=20\r\n");
    ck_assert_str_eq(mime_quoted_printable(&arena, ""), "");
    ck_assert_str_eq(mime_quoted_printable(&arena, "x "), "x=20");
    char text[400];
    memset(text, 'x', 399);
    text[399] = '\0';
    const char *encoded = mime_quoted_printable(&arena, text);
    ck_lines(encoded, 76);
    ck_assert_uint_eq(strlen(encoded), 399 + 3 * 5);
    for (int i = 0; i < 399; i++)
        text[i] = (char)(i % 2 ? 0xab : 0xc3);
    ck_lines(mime_quoted_printable(&arena, text), 76);
    arena_finish(&arena);
}
END_TEST

SUITE("mime", 20, addresses_are_those_that_need_no_quoting, plain_headers_stay_as_they_are,
      what_is_not_ascii_becomes_encoded_words_that_cut_no_character, no_text_ends_a_header,
      mailboxes_have_their_names_quoted_or_encoded, dates_are_those_of_mails,
      bodies_are_quoted_printable_with_short_lines)
