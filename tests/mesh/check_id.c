/* Tests of mesh/base/id.c. */
#include "mesh/base/id.h"
#include "tests/mesh/steps_port.h"
#include "tests/suite.h"

#include <string.h>

START_TEST(an_id_is_its_prefix_and_a_ulid)
{
    struct steps_port p;
    steps_port_init(&p);
    char id[ID_MAX];
    id_make(&p.port, "ord", id);
    ck_assert_uint_eq(strlen(id), 4 + 26);
    ck_assert_int_eq(memcmp(id, "ord_", 4), 0);
    ck_assert_uint_eq(strspn(id + 4, "0123456789abcdefghjkmnpqrstvwxyz"), 26);
    ck_assert_int_eq(id_time_ms(id), p.now_us / 1000);
}
END_TEST

START_TEST(the_ulid_of_the_specification_has_its_time)
{
    ck_assert_int_eq(id_time_ms("01ARYZ6S41TSV4RRFFQ69G5FAV"), 1469918176385);
    ck_assert_int_eq(id_time_ms("x_01arYz6s41tsv4rrffq69g5fav"), 1469918176385);
}
END_TEST

START_TEST(later_ids_sort_behind_earlier_ones)
{
    struct steps_port p;
    steps_port_init(&p);
    char last[ID_MAX] = "", id[ID_MAX];
    for (int i = 0; i < 100; i++) {
        p.now_us += 1000 + i * 7919;
        id_make(&p.port, "ord", id);
        ck_assert_int_lt(strcmp(last, id), 0);
        strcpy(last, id);
    }
}
END_TEST

START_TEST(ids_of_one_moment_differ)
{
    struct steps_port p;
    steps_port_init(&p);
    char a[ID_MAX], b[ID_MAX];
    id_make(&p.port, "eightchr", a);
    id_make(&p.port, "eightchr", b);
    ck_assert_str_ne(a, b);
}
END_TEST

START_TEST(an_id_that_is_derived_is_the_same_again)
{
    char a[ID_MAX], b[ID_MAX], c[ID_MAX];
    ck_assert_int_eq(id_derive("ord", 1645557742000000, "erp\n1", a), 0);
    ck_assert_int_eq(id_derive("ord", 1645557742000000, "erp\n1", b), 0);
    ck_assert_int_eq(id_derive("ord", 1645557742000000, "erp\n2", c), 0);
    ck_assert_str_eq(a, b);
    ck_assert_str_ne(a, c);
    ck_assert_int_eq(id_time_ms(a), 1645557742000);
}
END_TEST

START_TEST(a_uuid_has_a_time_only_in_version_7)
{
    ck_assert_int_eq(id_time_ms("017F22E2-79B0-7CC3-98C4-DC0C0C07398F"), 1645557742000);
    ck_assert_int_eq(id_time_ms("919108f7-52d1-4320-9bac-f847db4148a8"), -1);
    ck_assert_int_eq(id_time_ms("017F22E2-79B0-7CC3-18C4-DC0C0C07398F"), -1);
    ck_assert_int_eq(id_time_ms("017F22E2x79B0-7CC3-98C4-DC0C0C07398F"), -1);
}
END_TEST

START_TEST(other_texts_hold_no_time)
{
    static const char *const texts[] = { "",
                                         "ord_",
                                         "_",
                                         "hello",
                                         "ord_01hf3k9v2m8q4w6x0c5r7t1n3",
                                         "ord_01hf3k9v2m8q4w6x0c5r7t1n3pp",
                                         "81hf3k9v2m8q4w6x0c5r7t1n3p",
                                         "01hf3k9v2m8q4w6x0c5r7t1n3u",
                                         "01hf3k9v2m8q4w6x0c5r7t1n\xc3\xa9" };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        ck_assert_int_eq(id_time_ms(texts[i]), -1);
}
END_TEST

SUITE("id", 10, an_id_is_its_prefix_and_a_ulid, the_ulid_of_the_specification_has_its_time,
      later_ids_sort_behind_earlier_ones, ids_of_one_moment_differ, an_id_that_is_derived_is_the_same_again,
      a_uuid_has_a_time_only_in_version_7, other_texts_hold_no_time)
