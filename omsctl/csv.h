/* Rows of comma-separated values (RFC 4180) from a plain or xz-compressed file, one at a time.
 *
 * Quoted fields may hold commas, quotes ("") and line breaks; lines end with LF or CRLF; a byte order mark is skipped.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define CSV_FIELDS_MAX 64
#define CSV_ROW_MAX    65536 /* bytes of one row */

struct csv;

/* 0; -ENOENT and the like; -EINVAL: not an xz file although its name ends in .xz. */
int csv_open(const char *path, struct csv **ret_csv);
/* From memory, which must outlive the csv. */
struct csv *csv_from(const void *data, size_t len);
void csv_close(struct csv *csv); /* takes NULL */

/* The next row: its fields, valid until the next call; empty lines are passed over. The number of fields, 0 at the end;
 * -EINVAL: a quote that is not closed or stands inside a field; -E2BIG: too many fields or too long a row; -EIO:
 * the file or its compression is broken. */
int csv_next(struct csv *csv, char *const **ret_fields);
/* The line the last row began at, from 1. */
size_t csv_line(const struct csv *csv);

/* Writes a field, in quotes where it must be, and what stands behind it: ',' or '\n'. */
void csv_put(FILE *file, const char *text, char end);
