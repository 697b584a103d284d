/* A retailer's invoice lines of one day: which are goods sold, and why the others are not.
 *
 * The file has the columns InvoiceNo, StockCode, Description, Quantity, InvoiceDate ("2010-12-01 08:26:00", taken as
 * UTC), UnitPrice (GBP), CustomerID, Country, as that of Chen (2015), Online Retail. */
#pragma once

#include "mesh/base/arena.h"

#define RETAIL_CURRENCY "GBP"
#define RETAIL_CHANNEL  "erp"
#define RETAIL_GUEST    "guest" /* whose an invoice without customer is */

enum retail_refusal {
    RETAIL_SOLD,
    RETAIL_MISSING_FIELD,
    RETAIL_CANCELLED,
    RETAIL_ADJUSTMENT,
    RETAIL_QUANTITY,
    RETAIL_PRICE,
    RETAIL_PRICE_FRACTION,
    RETAIL_REFUSALS
};

struct retail_line {
    size_t line; /* of the file */
    const char *invoice, *code, *description, *quantity_text, *price_text, *customer, *country;
    int64_t quantity, price_minor, time_us; /* when sold */
    enum retail_refusal refusal;
};

struct retail_invoice {
    const struct retail_line *first; /* n sold lines, one behind the other in sold */
    size_t at, n;
};

struct retail_day {
    struct retail_line *lines; /* all of the day, in the file's order */
    size_t n_lines, n_sold;
    const struct retail_line **sold; /* in the file's order, gathered by invoice */
    struct retail_invoice *invoices;
    size_t n_invoices;
};

struct retail_product {
    const char *code, *title;
    int64_t price_minor, quantity; /* the first price of the day; the sum of what was sold */
    bool stocked;
};

/* In the arena. 0, or -EINVAL after one clear line (also for a day that the file does not have). */
int retail_read(struct arena *arena, const char *path, const char *day, struct retail_day *ret_day);
/* One per stock code that was sold, by code. */
size_t retail_products(struct arena *arena, const struct retail_day *day, struct retail_product **ret_products);
/* UPPER_SNAKE and a sentence. */
const char *retail_reason(enum retail_refusal refusal);
const char *retail_sentence(enum retail_refusal refusal);
