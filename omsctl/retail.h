/* A retailer's file of invoice lines: what becomes of each by the rules of docs/import.md, and which invoices are sent.
 *
 * All of the file is in memory, 40 bytes for a line and 48 for an invoice, and each text once. */
#pragma once

#include "omsctl/mapping.h"
#include "omsctl/names.h"

enum retail_outcome {
    RETAIL_SOLD,
    RETAIL_REFUNDED,
    RETAIL_CUSTOMER_UNKNOWN, /* credited, from here */
    RETAIL_NO_SUCH_SALE,
    RETAIL_ABOVE_SALE_PRICE,
    RETAIL_ADJUSTMENT, /* refused, from here */
    RETAIL_FIELD_MISSING,
    RETAIL_QUANTITY_MISSING,
    RETAIL_PRICE_MISSING,
    RETAIL_PRICE_NOT_WHOLE,
    RETAIL_PRICE_NEGATIVE,
    RETAIL_QUANTITY_NOT_POSITIVE,
    RETAIL_QUANTITY_NOT_NEGATIVE,
    RETAIL_INVOICE_TOO_LONG,
    RETAIL_OUTCOMES
};

#define RETAIL_NONE UINT32_MAX

struct retail_line {
    uint32_t line; /* of the file */
    uint32_t invoice, code;
    uint32_t next;    /* line of the same invoice that is not refused, or RETAIL_NONE */
    uint32_t sale;    /* the line that it refunds, or RETAIL_NONE */
    int32_t quantity; /* of a cancellation too: above zero, if it is not refused */
    int64_t price_minor;
    uint8_t outcome;
};

/* Made of its lines that are not refused: without one it is not sent. Time, customer and country are the first one's.
 */
struct retail_invoice {
    bool cancellation;
    uint32_t n, first, last; /* lines */
    uint32_t place;          /* in sent */
    uint32_t customer, country;
    int64_t time_us;
};

struct retail {
    const struct mapping *mapping;
    struct arena *arena;
    struct names numbers, codes, customers, countries; /* customer 0 is a guest: "" */
    struct retail_line *lines;                         /* in the order of the file */
    struct retail_invoice *invoices;                   /* of each number */
    const char **titles;                               /* of each code: the longest that its lines have, or "" */
    uint32_t *sent;                                    /* invoices, in the order of their first lines */
    size_t n_lines, n_sent;
    size_t lines_room, invoices_room, titles_room; /* inside */
};

/* Keeps arena and mapping until retail_finish. 0, or -EINVAL after one clear line; then there is nothing to finish. */
int retail_read(struct arena *arena, const char *path, const struct mapping *mapping, struct retail *ret_retail);
void retail_finish(struct retail *retail);

static inline bool retail_is_credited(enum retail_outcome outcome)
{
    return outcome >= RETAIL_CUSTOMER_UNKNOWN && outcome < RETAIL_ADJUSTMENT;
}
static inline bool retail_is_refused(enum retail_outcome outcome)
{
    return outcome >= RETAIL_ADJUSTMENT;
}
/* "sold", "refunded", "credited" or "refused". */
const char *retail_word(enum retail_outcome outcome);
/* UPPER_SNAKE; "" for what is accepted. */
const char *retail_reason(enum retail_outcome outcome);

/* Inside of retail_read: finds the sale that each line of a cancellation refers to, or why it is a credit. */
void retail_match(struct retail *retail);
