/* Invoices to load with, from a file as bench/retailer.py writes it: a row "I customer country" for each and, behind
 * it, a row "L sku quantity minor" for each of its lines, columns parted by tabs; the amount is of one piece, in GBP.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct plan_line {
    const char *sku;
    int64_t quantity, minor;
};
struct plan_invoice {
    const char *customer; /* empty: a guest */
    const char *country;
    const struct plan_line *lines;
    size_t n_lines;
};
struct plan {
    struct plan_invoice *invoices;
    size_t n;
    struct plan_line *lines; /* of all of them */
    size_t n_lines;
    char *text; /* what they point into */
};

/* Exits when it cannot be read. */
void plan_read(struct plan *plan, const char *path);
void plan_drop(struct plan *plan);
