/* A filter as it was read: what filter.c makes, and filter_judge.c walks. */
#pragma once

#include "mesh/rpc/filter.h"

enum filter_kind { FILTER_TERM, FILTER_ALL, FILTER_ANY, FILTER_NOT };
enum filter_operator {
    FILTER_IS,
    FILTER_IS_NOT,
    FILTER_BELOW,
    FILTER_AT_MOST,
    FILTER_ABOVE,
    FILTER_AT_LEAST,
    FILTER_HAS,
    FILTER_THERE, /* name:* */
};

/* A value as it stands in the text: what is between its wildcards; without any it is one part. */
struct filter_value {
    size_t n;
    const char **parts;
};

struct filter {
    enum filter_kind kind;
    struct filter *first, *next; /* the operands, and who comes after it among its siblings */
    /* of a term */
    const struct filter_field *row;
    int field;
    enum filter_operator op;
    struct filter_held held;   /* what it compares with */
    struct filter_value value; /* of a text */
};

/* filter_value.c */
/* Reads the value as the row's type has it. NULL, or what is wrong: a sentence in the arena or a literal. */
const char *filter_read_value(struct arena *arena, const struct filter_field *row, const struct filter_value *value,
                              struct filter_held *ret_held);
