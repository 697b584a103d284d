/* How one retailer's file of invoice lines is to be read, as a JSON file declares it (dev/sample/retailer.json):
 *
 *   columns          which column of the file is the invoice, code, description, quantity, time, price, customer,
 * country time             how a time is written, as strptime(3) has it; it is UTC currency         of all prices
 *   channel          under which its invoices are known here
 *   customer_suffix  what stands behind customer ids and is no part of them; may be left out
 *   invoices         which are a sale, a cancellation, an adjustment: POSIX extended regular expressions
 *   goods            which codes are goods, and so are stocked: likewise */
#pragma once

#include "mesh/base/arena.h"

#include <regex.h>

enum mapping_column {
    MAPPING_INVOICE,
    MAPPING_CODE,
    MAPPING_DESCRIPTION,
    MAPPING_QUANTITY,
    MAPPING_TIME,
    MAPPING_PRICE,
    MAPPING_CUSTOMER,
    MAPPING_COUNTRY,
    MAPPING_COLUMNS
};

enum mapping_pattern { MAPPING_SALE, MAPPING_CANCELLATION, MAPPING_ADJUSTMENT, MAPPING_GOODS, MAPPING_PATTERNS };

struct mapping {
    const char *columns[MAPPING_COLUMNS + 1]; /* ends with NULL, for sheet_open */
    const char *time, *currency, *channel, *customer_suffix;
    regex_t patterns[MAPPING_PATTERNS];
    size_t n_patterns; /* that are compiled */
};

/* Its texts are in the arena. 0, or -EINVAL after one clear line naming file and key; then there is nothing to finish.
 */
int mapping_read(struct arena *arena, const char *path, struct mapping *ret_mapping);
void mapping_finish(struct mapping *mapping);
bool mapping_fits(const struct mapping *mapping, enum mapping_pattern pattern, const char *text);
/* Microseconds since 1970; 0, or -EINVAL. */
int mapping_time(const struct mapping *mapping, const char *text, int64_t *ret_us);
