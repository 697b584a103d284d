#include "bench/plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static void fail(const char *path)
{
    fprintf(stderr, "bench: there is no plan in %s\n", path);
    exit(EXIT_FAILURE);
}

static char *read_text(const char *path)
{
    struct stat st;
    FILE *file = fopen(path, "re");
    if (!file || fstat(fileno(file), &st) < 0)
        fail(path);
    char *text = malloc((size_t)st.st_size + 1);
    if (!text || fread(text, 1, (size_t)st.st_size, file) != (size_t)st.st_size)
        fail(path);
    text[st.st_size] = '\0';
    fclose(file);
    return text;
}

/* How many rows of the kind there are. */
static size_t count(const char *text, char kind)
{
    size_t n = 0;
    for (const char *row = text; row && *row; row = strchr(row, '\n') ? strchr(row, '\n') + 1 : NULL)
        n += *row == kind;
    return n;
}

static void read_row(struct plan *plan, char *row)
{
    char *kind = strsep(&row, "\t"), *first = strsep(&row, "\t"), *second = strsep(&row, "\t");
    if (*kind == 'I') {
        plan->invoices[plan->n++] = (struct plan_invoice){ first, second, plan->lines + plan->n_lines, 0 };
    } else {
        plan->lines[plan->n_lines++] = (struct plan_line){ first, atoll(second), atoll(row) };
        plan->invoices[plan->n - 1].n_lines++;
    }
}

void plan_read(struct plan *plan, const char *path)
{
    *plan = (struct plan){ .text = read_text(path) };
    plan->invoices = calloc(count(plan->text, 'I') + 1, sizeof(*plan->invoices));
    plan->lines = calloc(count(plan->text, 'L') + 1, sizeof(*plan->lines));
    for (char *at = plan->text, *row; (row = strsep(&at, "\n")) && *row;)
        read_row(plan, row);
    if (plan->n == 0)
        fail(path);
}

void plan_drop(struct plan *plan)
{
    free(plan->invoices);
    free(plan->lines);
    free(plan->text);
}
