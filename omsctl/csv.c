/* A small reader of CSV: a source of bytes, plain or decompressed, and one pass over them a row at a time. */
#include "omsctl/csv.h"

#include <errno.h>
#include <lzma.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define END           (-1)
#define XZ_MEMORY_MAX (UINT64_C(256) << 20) /* xz -9 needs 65 MiB */

struct csv {
    FILE *file; /* NULL: memory */
    bool compressed;
    lzma_stream xz;
    uint8_t in[65536];  /* compressed bytes */
    uint8_t out[65536]; /* bytes to be read */
    const uint8_t *at, *end;
    int error;
    size_t line, row_line;
    char row[CSV_ROW_MAX];
    char *fields[CSV_FIELDS_MAX];
};

static int fill_plain(struct csv *csv)
{
    size_t n = fread(csv->out, 1, sizeof(csv->out), csv->file);
    csv->at = csv->out;
    csv->end = csv->out + n;
    return n == 0 && ferror(csv->file) ? -EIO : 0;
}

static int fill_xz(struct csv *csv)
{
    csv->xz.next_out = csv->out;
    csv->xz.avail_out = sizeof(csv->out);
    lzma_ret r = LZMA_OK;
    while (r == LZMA_OK && csv->xz.avail_out == sizeof(csv->out)) {
        if (csv->xz.avail_in == 0) {
            csv->xz.next_in = csv->in;
            csv->xz.avail_in = fread(csv->in, 1, sizeof(csv->in), csv->file);
        }
        r = lzma_code(&csv->xz, csv->xz.avail_in ? LZMA_RUN : LZMA_FINISH);
    }
    csv->at = csv->out;
    csv->end = csv->xz.next_out;
    if (r == LZMA_STREAM_END)
        csv->compressed = false; /* what is left in out is all there is */
    return r == LZMA_OK || r == LZMA_STREAM_END ? 0 : -EIO;
}

static int next_byte(struct csv *csv)
{
    if (csv->at == csv->end && csv->file && !csv->error)
        csv->error = csv->compressed ? fill_xz(csv) : fill_plain(csv);
    if (csv->at == csv->end || csv->error)
        return END;
    return *csv->at++;
}

static void unread_byte(struct csv *csv)
{
    csv->at--;
}

static void skip_byte_order_mark(struct csv *csv)
{
    if (next_byte(csv) == END)
        return;
    unread_byte(csv);
    if (csv->end - csv->at >= 3 && memcmp(csv->at, "\xef\xbb\xbf", 3) == 0)
        csv->at += 3;
}

int csv_open(const char *path, struct csv **ret_csv)
{
    FILE *file = fopen(path, "rbe");
    if (!file)
        return -errno;
    struct csv *csv = calloc(1, sizeof(*csv));
    if (!csv) {
        fclose(file);
        return -ENOMEM;
    }
    csv->file = file;
    csv->line = 1;
    const char *ending = strrchr(path, '.');
    csv->compressed = ending && strcmp(ending, ".xz") == 0;
    if (csv->compressed && lzma_stream_decoder(&csv->xz, XZ_MEMORY_MAX, LZMA_CONCATENATED) != LZMA_OK) {
        csv_close(csv);
        return -ENOMEM;
    }
    skip_byte_order_mark(csv);
    if (csv->error) {
        csv_close(csv);
        return -EINVAL;
    }
    *ret_csv = csv;
    return 0;
}

struct csv *csv_from(const void *data, size_t len)
{
    struct csv *csv = calloc(1, sizeof(*csv));
    if (!csv)
        return NULL;
    csv->at = data;
    csv->end = csv->at + len;
    csv->line = 1;
    skip_byte_order_mark(csv);
    return csv;
}

void csv_close(struct csv *csv)
{
    if (!csv)
        return;
    lzma_end(&csv->xz);
    if (csv->file)
        fclose(csv->file);
    free(csv);
}

static int keep(struct csv *csv, size_t *used, int c)
{
    if (*used + 1 >= sizeof(csv->row))
        return -E2BIG;
    csv->row[(*used)++] = (char)c;
    return 0;
}

/* What stands between the opening quote, which was read, and the closing one. */
static int read_quoted(struct csv *csv, size_t *used)
{
    for (;;) {
        int c = next_byte(csv);
        if (c == END)
            return -EINVAL;
        if (c == '\n')
            csv->line++;
        if (c == '"' && (c = next_byte(csv)) != '"') {
            if (c != END)
                unread_byte(csv);
            return 0;
        }
        int r = keep(csv, used, c);
        if (r < 0)
            return r;
    }
}

/* One field, and the separator behind it in *ret_separator: a comma, a line feed or END. */
static int read_field(struct csv *csv, size_t *used, int *ret_separator)
{
    int c = next_byte(csv);
    bool quoted = c == '"';
    if (quoted) {
        int r = read_quoted(csv, used);
        if (r < 0)
            return r;
        c = next_byte(csv);
    }
    for (;; c = next_byte(csv)) {
        if (c == ',' || c == '\n' || c == END)
            break;
        if (c == '\r')
            continue;
        if (quoted || c == '"')
            return -EINVAL;
        int r = keep(csv, used, c);
        if (r < 0)
            return r;
    }
    csv->row[(*used)++] = '\0';
    csv->line += c == '\n';
    *ret_separator = c;
    return 0;
}

/* The fields of the line that begins here; an empty line is one empty field. */
static int read_row(struct csv *csv, int *ret_separator)
{
    size_t used = 0;
    int n = 0, separator;
    do {
        if (n == CSV_FIELDS_MAX || used + 1 >= sizeof(csv->row))
            return -E2BIG;
        csv->fields[n++] = csv->row + used;
        int r = read_field(csv, &used, &separator);
        if (r < 0)
            return r;
    } while (separator == ',');
    *ret_separator = separator;
    return n;
}

int csv_next(struct csv *csv, char *const **ret_fields)
{
    for (;;) {
        csv->row_line = csv->line;
        int separator, n = read_row(csv, &separator);
        if (csv->error)
            return csv->error;
        if (n < 0)
            return n;
        if (n > 1 || csv->fields[0][0]) {
            *ret_fields = csv->fields;
            return n;
        }
        if (separator == END)
            return 0;
    }
}

size_t csv_line(const struct csv *csv)
{
    return csv->row_line;
}

void csv_put(FILE *file, const char *text, char end)
{
    if (text[strcspn(text, ",\"\r\n")] == '\0') {
        fputs(text, file);
    } else {
        fputc('"', file);
        for (; *text; text++) {
            if (*text == '"')
                fputc('"', file);
            fputc(*text, file);
        }
        fputc('"', file);
    }
    fputc(end, file);
}
