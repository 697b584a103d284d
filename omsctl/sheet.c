/* Columns by name over the reader of CSV. */
#include "omsctl/sheet.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

int sheet_error(const struct sheet *sheet, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "omsctl: %s:%zu: ", sheet->path, csv_line(sheet->csv));
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    return -EINVAL;
}

static int broken(const struct sheet *sheet, int error)
{
    return sheet_error(sheet, "%s",
                       error == -EINVAL  ? "a quote is out of place"
                       : error == -E2BIG ? "too many fields, or too long a row"
                                         : "the file is damaged or cut short");
}

int sheet_open(struct sheet *sheet, const char *path, const char *const *columns)
{
    *sheet = (struct sheet){ .path = path };
    int r = csv_open(path, &sheet->csv);
    if (r < 0) {
        fprintf(stderr, "omsctl: cannot read %s: %s\n", path, r == -EINVAL ? "it is no xz file" : strerror(-r));
        return -EINVAL;
    }
    char *const *heads;
    int n = csv_next(sheet->csv, &heads);
    if (n <= 0) {
        r = n < 0 ? broken(sheet, n) : sheet_error(sheet, "the file is empty");
        sheet_close(sheet);
        return r;
    }
    for (; columns[sheet->n]; sheet->n++) {
        const char *name = columns[sheet->n];
        bool optional = name[0] == '?';
        int i = 0;
        while (i < n && strcmp(heads[i], name + optional) != 0)
            i++;
        sheet->at[sheet->n] = i < n ? i : -1;
        if (i == n && !optional) {
            r = sheet_error(sheet, "the column %s is missing", name);
            sheet_close(sheet);
            return r;
        }
    }
    return 0;
}

int sheet_next(struct sheet *sheet, const char **ret_values)
{
    char *const *fields;
    int n = csv_next(sheet->csv, &fields);
    if (n <= 0)
        return n < 0 ? broken(sheet, n) : 0;
    for (size_t i = 0; i < sheet->n; i++)
        ret_values[i] = sheet->at[i] >= 0 && sheet->at[i] < n ? fields[sheet->at[i]] : "";
    return 1;
}

void sheet_close(struct sheet *sheet)
{
    csv_close(sheet->csv);
    sheet->csv = NULL;
}
