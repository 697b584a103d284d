/* Credit memos read back, to tell what the server has made of a cancellation's lines. */
#pragma once

#include "omsctl/cli.h"
#include "omsctl/retail.h"

/* Fills what stands in the report for each line of the n invoices (numbers): "" a refund, else the credit's reason; in
 * the run's arena. An exit code; what could not be read is left as it is. */
int order_credits_read(struct ctl *ctl, const struct retail *retail, const uint32_t *invoices, size_t n,
                       const char **judged);
