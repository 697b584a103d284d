/* What became of a retailer's lines: every one in a file, and the sums by outcome and reason. */
#pragma once

#include "omsctl/retail.h"

#include <stdbool.h>

struct json_t;

/* An invoice, by what the server said of it. */
struct retail_fate {
    bool answered;
    const char *refusal; /* why it was refused: a code; NULL: it was not */
};

struct retail_result {
    const struct retail *retail;
    const struct retail_fate *fates; /* of each invoice number */
    /* Of each line of a cancellation that the server told apart by itself: "" it is a refund, else why it is a credit;
     * NULL for all others. */
    const char *const *judged;
};

/* CSV: line, invoice, code, outcome, reason. 0, or -EINVAL after one clear line. */
int retail_report_write(const struct retail_result *result, const char *path);
/* Lines and sums by outcome and reason; all lines of the file are among them. A new reference. */
struct json_t *retail_report_json(const struct retail_result *result);
void retail_report_show(const struct retail_result *result);
/* Lines that were refused, here or by the server, or that are not known to have been taken. */
size_t retail_report_refused(const struct retail_result *result);
