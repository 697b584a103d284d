/* A CSV file with a header, read by the names of its columns. */
#pragma once

#include "omsctl/csv.h"

#define SHEET_COLUMNS_MAX 32

struct sheet {
    struct csv *csv;
    const char *path;
    size_t n;
    int at[SHEET_COLUMNS_MAX]; /* field of each column; -1: absent */
};

/* columns end with NULL; a name that begins with '?' may be absent. 0, or -EINVAL after one clear line. */
int sheet_open(struct sheet *sheet, const char *path, const char *const *columns);
/* 1 and a text per column ("" where absent), valid until the next call; 0 at the end; -EINVAL after one clear line. */
int sheet_next(struct sheet *sheet, const char **ret_values);
void sheet_close(struct sheet *sheet);
/* "FILE:LINE: …" on stderr; returns -EINVAL. */
int sheet_error(const struct sheet *sheet, const char *format, ...) __attribute__((format(printf, 2, 3)));
